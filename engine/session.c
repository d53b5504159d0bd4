#include "engine/session.h"

#include "presets/catalog.h"
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

const char *const session_status_names[] = {"running", "complete", "stopped", "failed"};
const char *const cell_status_names[] = {"pending",     "running", "ok",      "out_of_memory",
                                         "unsupported", "failed",  "skipped", "stopped"};

static int out_of_memory(struct error *e, const char *what)
{
    return error_set(e, ERROR_MEMORY, "no memory for %s: close other programs or choose a smaller sweep",
                     what);
}

static int lay_out_cell(struct session_cell *c, const struct preset *p, struct error *e)
{
    c->arm = calloc((size_t)p->n_arms, sizeof *c->arm);
    if (!c->arm)
        return out_of_memory(e, "the arms of a cell");
    c->n_arms = p->n_arms;
    c->status = CELL_PENDING;
    c->rounds_planned = p->rounds;
    for (int a = 0; a < p->n_arms; a++) {
        struct session_arm *arm = &c->arm[a];
        memcpy(arm->name, p->arms[a].name, sizeof arm->name);
        arm->implementation = p->arms[a].implementation;
        arm->status = CELL_PENDING;
        arm->cold_start_ns = arm->time_to_steady_ns = -1;
        arm->output.tolerance = arm->output.kl = (double)NAN;
        arm->output.top1_agreement = arm->output.max_relative_error = (double)NAN;
    }
    return 0;
}

int session_layout(struct session *s, const struct preset *p, struct error *e)
{
    struct session t = *s;
    t.cell = NULL;
    t.n_cells = 0;
    memset(&t.preset, 0, sizeof t.preset);
    if (preset_copy(&t.preset, p, e) < 0)
        return -1;
    size_t n = (size_t)p->n_models * (size_t)p->n_workloads * (size_t)p->n_seq * (size_t)p->n_batch;
    t.cell = calloc(n ? n : 1, sizeof *t.cell); /* tokenize needs fewer */
    if (!t.cell) {
        out_of_memory(e, "the cells of the sweep");
        goto fail;
    }
    for (int m = 0; m < p->n_models; m++)
        for (int w = 0; w < p->n_workloads; w++)
            for (int q = 0; q < preset_seqs(p, p->workloads[w]); q++)
                for (int b = 0; b < preset_batches(p, p->workloads[w]); b++) {
                    struct session_cell *c = &t.cell[t.n_cells++];
                    memcpy(c->model, p->models[m], sizeof c->model);
                    c->workload = p->workloads[w];
                    c->seq = preset_seq(p, c->workload, q);
                    c->batch = preset_batch(p, c->workload, b);
                    c->tokens = c->workload == WORKLOAD_GENERATE ? p->tokens : 0;
                    if (lay_out_cell(c, p, e) < 0)
                        goto fail;
                }
    *s = t;
    return 0;
fail:
    for (int i = 0; i < t.n_cells; i++)
        free(t.cell[i].arm);
    free(t.cell);
    preset_free(&t.preset);
    return -1;
}

void session_free(struct session *s)
{
    for (int i = 0; i < s->n_cells; i++) {
        struct session_cell *c = &s->cell[i];
        for (int a = 0; a < c->n_arms; a++) {
            if (s->owns_blocks)
                quality_free_responses(c->arm[a].responses);
            if (s->owns_blocks)
                for (int b = 0; b < c->arm[a].n_blocks; b++)
                    session_free_block(c->arm[a].blocks[b]);
            free(c->arm[a].blocks);
        }
        free(c->arm);
    }
    free(s->cell);
    free(s->argv);
    preset_free(&s->preset);
    memset(s, 0, sizeof *s);
}

struct block *session_new_block(int cell, int arm, int round, int position, int capacity, struct error *e)
{
    struct block *b = calloc(1, sizeof *b);
    if (b)
        b->samples = calloc(capacity > 0 ? (size_t)capacity : 1, sizeof *b->samples);
    if (!b || !b->samples) {
        free(b);
        out_of_memory(e, "the samples of a block");
        return NULL;
    }
    b->cell = cell;
    b->arm = arm;
    b->round = round;
    b->position = position;
    b->capacity = capacity;
    atomic_init(&b->n, 0);
    return b;
}

void session_free_block(struct block *b)
{
    if (!b)
        return;
    free(b->warmup);
    free(b->samples);
    free(b);
}

int session_add_block(struct session *s, struct block *b, struct error *e)
{
    if (b->cell < 0 || b->cell >= s->n_cells || b->arm < 0 || b->arm >= s->cell[b->cell].n_arms)
        return error_set(e, ERROR_FAILED,
                         "a block names cell %d, arm %d, which this session does not have: "
                         "the session and its preset do not belong together",
                         b->cell, b->arm);
    struct session_arm *a = &s->cell[b->cell].arm[b->arm];
    if (a->n_blocks == a->blocks_capacity) {
        int capacity = a->blocks_capacity ? 2 * a->blocks_capacity : 16;
        struct block **blocks = realloc(a->blocks, (size_t)capacity * sizeof *blocks);
        if (!blocks)
            return out_of_memory(e, "the list of blocks");
        a->blocks = blocks;
        a->blocks_capacity = capacity;
    }
    a->blocks[a->n_blocks++] = b;
    return 0;
}

int64_t session_samples(const struct session *s)
{
    int64_t n = 0;
    for (int c = 0; c < s->n_cells; c++)
        for (int a = 0; a < s->cell[c].n_arms; a++)
            for (int b = 0; b < s->cell[c].arm[a].n_blocks; b++)
                n += atomic_load_explicit(&s->cell[c].arm[a].blocks[b]->n, memory_order_acquire);
    return n;
}

/* A run is going or was killed under this name, or is about to. */
static bool is_journaled(const char *path)
{
    char journal[600];
    snprintf(journal, sizeof journal, "%s.journal.tmp", path);
    if (access(journal, F_OK) == 0)
        return true;
    snprintf(journal, sizeof journal, "%s.journal", path);
    return access(journal, F_OK) == 0;
}

int session_name(struct session *s, const char *path, struct error *e)
{
    if (path) {
        if (strlen(path) >= sizeof s->path)
            return error_set(e, ERROR_USAGE,
                             "the session's path is longer than %zu bytes: choose a shorter one",
                             sizeof s->path - 1);
        snprintf(s->path, sizeof s->path, "%s", path);
        const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
        size_t n = strlen(base);
        if (n > 5 && strcmp(base + n - 5, ".json") == 0)
            n -= 5;
        snprintf(s->id, sizeof s->id, "%.*s", (int)(n < sizeof s->id ? n : sizeof s->id - 1), base);
        return 0;
    }
    char folder[400], name[PRESET_NAME], stamp[24];
    if (catalog_sessions_dir(folder, sizeof folder, e) < 0)
        return -1;
    snprintf(name, sizeof name, "%s", s->preset.name[0] ? s->preset.name : "session");
    for (char *c = name; *c; c++)
        if (*c == '/' || *c == ' ' || *c == '.')
            *c = '-';
    time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H-%M-%S", &tm);
    for (int i = 1; i < 1000; i++) {
        if (i == 1)
            snprintf(s->id, sizeof s->id, "%s-%s", stamp, name);
        else
            snprintf(s->id, sizeof s->id, "%s-%.50s-%d", stamp, name, i);
        snprintf(s->path, sizeof s->path, "%s/%s.json", folder, s->id);
        if (is_journaled(s->path))
            continue;
        int fd = open(s->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666); /* can it be written? */
        if (fd >= 0) {
            close(fd);
            unlink(s->path);
            return 0;
        }
        if (errno != EEXIST)
            return error_set(e, ERROR_FAILED, "%s cannot be written (%s): free space or give --out", s->path,
                             strerror(errno));
    }
    return error_set(e, ERROR_FAILED, "%s holds too many sessions of this second: try again", folder);
}

int session_rate_index(const char *device, const struct implementation *i)
{
    bool gpu = strncmp(device, "cuda", 4) == 0;
    if (i->activations == ACTIVATIONS_INT8)
        return 3;
    switch (i->precision) {
    case PRECISION_FP16:
        return 1;
    case PRECISION_BF16:
        return 2;
    case PRECISION_INT8:
    case PRECISION_NF4:
    case PRECISION_NF4_DQ:
    case PRECISION_Q8_0:
    case PRECISION_Q4_0:
    case PRECISION_Q4_K:
    case PRECISION_Q6_K:
    case PRECISION_STORED:
        return gpu ? 2 : 0;
    default:
        return 0;
    }
}

const char *session_model_name(const struct session_cell *c)
{
    const char *slash = strrchr(c->model, '/');
    return slash && slash[1] ? slash + 1 : c->model;
}

int session_most_responses(const struct session_cell *c)
{
    int most = 0;
    for (int arm = 0; arm < c->n_arms; arm++)
        if (c->arm[arm].responses && c->arm[arm].responses->n > most)
            most = c->arm[arm].responses->n;
    return most;
}

enum cell_status session_arm_status(const struct session_cell *c, int arm)
{
    enum cell_status own = c->arm[arm].status;
    bool kept = c->status == CELL_OUT_OF_MEMORY || c->status == CELL_UNSUPPORTED ||
                c->status == CELL_FAILED || c->status == CELL_SKIPPED;
    return own == CELL_PENDING || (own == CELL_STOPPED && kept) ? c->status : own;
}

const char *session_unreal(const struct session *s)
{
    return strcmp(s->preset.device, "fake") == 0 ? "simulated" : s->environment.emulated ? "emulated" : "";
}

bool session_random_weights(const struct session_cell *c)
{
    static const char end[] = ".gguf";
    size_t n = strlen(c->model), m = sizeof end - 1;
    return c->seeded || n < m || strcasecmp(c->model + n - m, end) != 0;
}
