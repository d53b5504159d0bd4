#include "engine/model/larosa.h"

#include "engine/hash.h"
#include "presets/catalog.h"
#include "presets/replacement.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { HEADER = 128, VERSION = 1, SAMPLES = 64, SAMPLE_BYTES = 65536, PROBES = 4 };
static const char magic[8] = {'B', 'T', 'R', 'O', 'T', 'A', 'T', 'E'};

/* ---- which model ---- */

/* Plans ask at every key press: a file that did not change is not read again. */
static _Thread_local struct {
    char path[512];
    struct stat as;
    uint64_t from, to;
} last_hashed;

static bool is_last_hashed(const char *path, const struct stat *s, uint64_t from)
{
    return last_hashed.from == from && strcmp(last_hashed.path, path) == 0 &&
           last_hashed.as.st_ino == s->st_ino && last_hashed.as.st_dev == s->st_dev &&
           last_hashed.as.st_size == s->st_size && last_hashed.as.st_mtim.tv_sec == s->st_mtim.tv_sec &&
           last_hashed.as.st_mtim.tv_nsec == s->st_mtim.tv_nsec;
}

static int hash_file(const char *path, uint64_t *hash, struct error *e)
{
    struct stat s;
    static _Thread_local unsigned char sample[SAMPLE_BYTES];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &s) < 0) {
        int why = errno;
        if (fd >= 0)
            close(fd);
        return error_set(e, ERROR_FAILED, "%.400s cannot be read (%s): is it there?", path, strerror(why));
    }
    if (!is_last_hashed(path, &s, *hash)) {
        uint64_t from = *hash, to = hash_bytes(from, &s.st_size, sizeof s.st_size);
        for (int i = 0; i < SAMPLES; i++) {
            ssize_t n = pread(fd, sample, sizeof sample, s.st_size / SAMPLES * i);
            to = hash_bytes(to, sample, n > 0 ? (size_t)n : 0);
        }
        snprintf(last_hashed.path, sizeof last_hashed.path, "%s", path);
        last_hashed.as = s;
        last_hashed.from = from;
        last_hashed.to = to;
    }
    *hash = last_hashed.to;
    close(fd);
    return 0;
}

int larosa_identity(const struct model_spec *m, uint64_t seed, uint64_t *out, struct error *e)
{
    const int32_t shape[] = {m->family, m->layers, m->d_model, m->heads, m->kv_heads, m->head_dim, m->ffn};
    uint64_t hash = hash_bytes(HASH_START, shape, sizeof shape);
    if (m->file[0] && hash_file(m->file, &hash, e))
        return -1;
    *out = m->file[0] ? hash : hash_bytes(hash, &seed, sizeof seed);
    return 0;
}

int larosa_path(const struct model_spec *m, uint64_t seed, bool create, char *out, size_t size,
                struct error *e)
{
    char folder[512], name[64];
    uint64_t identity;
    if (larosa_identity(m, seed, &identity, e) || catalog_rotations_dir(folder, sizeof folder, create, e))
        return -1;
    snprintf(name, sizeof name, "%s", m->name);
    for (char *p = name; *p; p++)
        *p = *p == '/' ? '_' : *p;
    int n = snprintf(out, size, "%s/%s-%016llx.rotation", folder, name, (unsigned long long)identity);
    return n > 0 && (size_t)n < size
               ? 0
               : error_set(e, ERROR_FAILED, "%s: too long a path: set XDG_DATA_HOME to a shorter one",
                           folder);
}

/* ---- the file ---- */

static uint64_t get(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = bytes - 1; i >= 0; i--)
        v = v << 8 | p[i];
    return v;
}

static void put(unsigned char *p, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(v >> (8 * i));
}

/* Sums over whole words: a file is as large as its matrix. */
static uint64_t checksum(const float *x, size_t n)
{
    uint64_t hash = HASH_START;
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, x + i, sizeof bits);
        hash = (hash ^ bits) * HASH_PRIME;
    }
    return hash;
}

/* Rows of length 1, and random vectors that keep their length both ways: what no other matrix does. */
static bool is_orthogonal(const float *q, int d)
{
    double *v = malloc((size_t)d * 3 * sizeof *v), worst = 0;
    if (!v)
        return false;
    double *there = v + d, *back = there + d;
    uint64_t state = 12345;
    for (int probe = 0; probe < PROBES; probe++) {
        for (int i = 0; i < d; i++) {
            state = state * 6364136223846793005u + 1442695040888963407u;
            v[i] = (double)(int64_t)(state >> 40) * 0x1p-23 - 1;
            back[i] = 0;
        }
        for (int i = 0; i < d; i++) {
            const float *row = q + (size_t)i * (size_t)d;
            there[i] = 0;
            for (int j = 0; j < d; j++)
                there[i] += (double)row[j] * v[j];
            for (int j = 0; j < d; j++)
                back[j] += (double)row[j] * there[i];
        }
        for (int i = 0; i < d; i++)
            worst = isfinite(back[i]) ? fmax(worst, fabs(back[i] - v[i])) : INFINITY;
    }
    free(v);
    return worst < 1e-3;
}

struct larosa *larosa_parse(const unsigned char *bytes, size_t n, const char *what, struct error *e)
{
    static const char again[] = "make it again with `benchtop calibrate-larosa`";
    if (n < HEADER || memcmp(bytes, magic, sizeof magic) != 0) {
        error_set(e, ERROR_FAILED, "%.300s is no rotation file: %s", what, again);
        return NULL;
    }
    uint64_t version = get(bytes + 8, 4), d = get(bytes + 12, 4);
    if (version != VERSION || d < 1 || d > LAROSA_D_MAX || n != HEADER + d * d * sizeof(float)) {
        error_set(e, ERROR_FAILED, "%.300s: version %llu of width %llu in %zu bytes: %s", what,
                  (unsigned long long)version, (unsigned long long)d, n, again);
        return NULL;
    }
    struct larosa *l = calloc(1, sizeof *l);
    size_t count = (size_t)(d * d);
    if (l)
        l->basis = malloc(count * sizeof *l->basis);
    if (!l || !l->basis) {
        larosa_free(l);
        error_set(e, ERROR_MEMORY, "no memory for a rotation of width %llu: close other programs",
                  (unsigned long long)d);
        return NULL;
    }
    l->d = (int)d;
    l->model = get(bytes + 16, 8);
    l->text = get(bytes + 24, 8);
    l->tokens = (int64_t)(get(bytes + 32, 8) & INT64_MAX);
    memcpy(l->name, bytes + 48, sizeof l->name);
    l->name[sizeof l->name - 1] = '\0';
    error_clean_text(l->name);
    memcpy(l->basis, bytes + HEADER,
           count * sizeof *l->basis); /* little-endian, as every host this runs on */
    if (checksum(l->basis, count) != get(bytes + 40, 8) || !is_orthogonal(l->basis, l->d)) {
        error_set(e, ERROR_FAILED, "%.300s is damaged: %s", what, again);
        larosa_free(l);
        return NULL;
    }
    return l;
}

struct larosa *larosa_read(const char *path, struct error *e)
{
    struct stat s;
    const off_t most = HEADER + (off_t)LAROSA_D_MAX * LAROSA_D_MAX * (off_t)sizeof(float);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &s) < 0 || !S_ISREG(s.st_mode) || s.st_size > most) {
        error_set(e, ERROR_FAILED,
                  "%.400s cannot be read (%s): make it again with `benchtop calibrate-larosa`", path,
                  fd < 0 ? strerror(errno) : "no file, or too large a one");
        if (fd >= 0)
            close(fd);
        return NULL;
    }
    unsigned char *bytes = malloc((size_t)s.st_size + 1);
    size_t n = 0;
    ssize_t got = 1;
    while (bytes && n < (size_t)s.st_size && got > 0) {
        got = read(fd, bytes + n, (size_t)s.st_size - n);
        n += got > 0 ? (size_t)got : 0;
    }
    close(fd);
    if (!bytes)
        error_set(e, ERROR_MEMORY, "no memory for %.400s: close other programs", path);
    struct larosa *l = bytes ? larosa_parse(bytes, n, path, e) : NULL;
    free(bytes);
    return l;
}

int larosa_write(const struct larosa *l, const char *path, struct error *e)
{
    unsigned char header[HEADER] = {0};
    struct replacement r;
    size_t count = (size_t)l->d * (size_t)l->d;
    memcpy(header, magic, sizeof magic);
    put(header + 8, VERSION, 4);
    put(header + 12, (uint64_t)l->d, 4);
    put(header + 16, l->model, 8);
    put(header + 24, l->text, 8);
    put(header + 32, (uint64_t)l->tokens, 8);
    put(header + 40, checksum(l->basis, count), 8);
    memcpy(header + 48, l->name, sizeof l->name);
    return replacement_begin(&r, path, e) || replacement_put(&r, header, HEADER, e) ||
                   replacement_put(&r, l->basis, count * sizeof *l->basis, e) || replacement_finish(&r, e)
               ? -1
               : 0;
}

int larosa_known(const struct model_spec *m, uint64_t seed, struct error *e)
{
    char path[640], of_seed[40] = "";
    if (larosa_path(m, seed, false, path, sizeof path, e))
        return -1;
    if (access(path, F_OK) == 0)
        return 0;
    if (!m->file[0] && seed != 1)
        snprintf(of_seed, sizeof of_seed, " --seed %llu", (unsigned long long)seed);
    return error_set(e, ERROR_UNSUPPORTED,
                     "no rotation of %s is known, which sparse activations need: run `benchtop "
                     "calibrate-larosa %s%s --text tinyshakespeare` first",
                     m->name, m->file[0] ? m->file : m->name, of_seed);
}

struct larosa *larosa_find(const struct model_spec *m, uint64_t seed, struct error *e)
{
    char path[640];
    uint64_t identity;
    if (larosa_known(m, seed, e) || larosa_path(m, seed, false, path, sizeof path, e) ||
        larosa_identity(m, seed, &identity, e))
        return NULL;
    struct larosa *l = larosa_read(path, e);
    if (l && (l->d != m->d_model || l->model != identity)) {
        error_set(
            e, ERROR_FAILED,
            "%.300s is the rotation of other weights (%s): make it again with `benchtop calibrate-larosa`",
            path, l->name);
        larosa_free(l);
        return NULL;
    }
    return l;
}

void larosa_free(struct larosa *l)
{
    if (l)
        free(l->basis);
    free(l);
}
