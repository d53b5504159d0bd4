/* Weights out of a GGUF file. Bytes are read, not touched through the map: a file that another program cuts
 * short gives an error and not a signal, and what reading costs is told apart from what placing costs. */
#include "engine/clock.h"
#include "engine/model/weights_internal.h"

#include "kernels/blocks.h"
#include "kernels/pack.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CHUNK_BYTES = 16 << 20 }; /* of the file, or of its values, at a time */

/* ---- opening ---- */

static int check_same(const struct weights_file *f, struct error *e)
{
    struct stat s;
    if (fstat(f->fd, &s) != 0)
        return error_set(e, ERROR_FAILED, "%s cannot be read: %s", f->m->file, strerror(errno));
    if (s.st_size != f->m->stored.file_bytes ||
        (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec != f->m->stored.changed_ns)
        return error_set(e, ERROR_FAILED,
                         "%s has changed since it was looked at: run again when it is written whole",
                         f->m->file);
    return 0;
}

int weights_file_open(const struct model_spec *m, bool stored, int threads, struct weights_file *out,
                      struct error *e)
{
    *out = (struct weights_file){.m = m, .stored = stored, .threads = threads};
    out->g = &out->own;
    out->fd = open(m->file, O_RDONLY | O_CLOEXEC);
    if (out->fd < 0)
        return error_set(e, ERROR_FAILED, "%s cannot be opened: %s", m->file, strerror(errno));
    if (check_same(out, e) || gguf_open(m->file, &out->own, e)) {
        weights_file_close(out);
        return -1;
    }
    return 0;
}

void weights_file_close(struct weights_file *f)
{
    gguf_close(&f->own);
    if (f->fd >= 0)
        close(f->fd);
    f->fd = -1;
}

/* ---- types ---- */

/* gguf_model_spec has seen every slice that is asked for here. */
static struct gguf_slice slice_of(const struct weights_file *f, const struct weights_array *t, int part)
{
    struct gguf_slice s = {0};
    gguf_model_slice(f->g, f->m, t->part[part], t->layer, &s, NULL);
    return s;
}

enum kernel_dtype weights_file_dtype(const struct weights_file *f, const struct weights_array *t,
                                     enum kernel_dtype otherwise)
{
    return f->stored ? slice_of(f, t, 0).dtype : otherwise;
}

bool weights_file_apart(const struct weights_file *f, const struct weights_array *t)
{
    enum kernel_dtype first = slice_of(f, t, 0).dtype;
    bool apart = false;
    for (int i = 1; i < t->parts && f->stored; i++)
        apart |= slice_of(f, t, i).dtype != first;
    return apart;
}

/* ---- reading ---- */

static int read_bytes(struct weights_file *f, const struct gguf_tensor *t, uint64_t offset, void *to,
                      size_t bytes, struct error *e)
{
    int64_t start = clock_ns();
    off_t at = (off_t)(f->g->data_offset + t->offset + offset);
    for (size_t done = 0; done < bytes;) {
        ssize_t n = pread(f->fd, (char *)to + done, bytes - done, at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return error_set(e, ERROR_FAILED, "%s: tensor %.*s cannot be read: %s", f->m->file,
                             (int)t->name.n, t->name.bytes,
                             n < 0 ? strerror(errno)
                                   : "the file was cut short while it was read, get it again");
        done += (size_t)n;
    }
    f->page_in_ns += clock_ns() - start;
    return 0;
}

/* Host memory of one array being loaded. */
struct staging {
    uint8_t *raw;       /* rows as they stand in the file */
    void *packed;       /* the array in its own layout, or NULL where rows go up as they are */
    float *values;      /* rows in fp32, in our order */
    float *absmax;      /* nf4_dq */
    int64_t chunk_rows; /* at a time: whole heads where rows are put back */
};

static void drop_staging(struct staging *s)
{
    free(s->raw);
    free(s->packed);
    free(s->values);
    free(s->absmax);
}

static int64_t chunk_rows_of(const struct gguf_slice *s)
{
    int64_t group = s->head_dim > 0 ? s->head_dim : 1;
    int64_t rows = CHUNK_BYTES / (s->cols * (int64_t)sizeof(float)) / group * group;
    rows = rows < group ? group : rows;
    return rows < s->rows ? rows : s->rows;
}

/* The rows of a chunk in our order. */
static void order_rows(const struct gguf_slice *s, int64_t rows, size_t row_bytes, const uint8_t *raw,
                       uint8_t *out)
{
    for (int64_t r = 0; r < rows; r++)
        memcpy(out + (size_t)r * row_bytes, raw + (size_t)gguf_model_file_row(s, r) * row_bytes, row_bytes);
}

static void pack_chunk(const struct weights_file *f, const struct gguf_slice *s, struct kernel_matrix *host,
                       int64_t at, int64_t rows, const struct staging *g)
{
    size_t row_bytes = kernel_row_bytes(s->dtype, s->cols);
#pragma omp parallel for schedule(static) num_threads(f->threads > 0 ? f->threads : 1)
    for (int64_t r = 0; r < rows; r++) {
        const uint8_t *from = g->raw + (size_t)gguf_model_file_row(s, r) * row_bytes;
        float *values = g->values + r * s->cols;
        kernel_dequantize_rows(s->dtype, from, 1, s->cols, values);
        kernel_pack_rows(host, at + r, 1, values, g->absmax);
    }
}

/* One part of a matrix, rows [at, at + slice's rows) of it. */
static int read_part(struct weights_file *f, struct kernels *k, const struct gguf_slice *s, int64_t at,
                     struct kernel_matrix *to, struct kernel_matrix *host, struct staging *g, struct error *e)
{
    size_t row_bytes = kernel_row_bytes(s->dtype, s->cols);
    for (int64_t done = 0; done < s->rows; done += g->chunk_rows) {
        int64_t rows = s->rows - done < g->chunk_rows ? s->rows - done : g->chunk_rows;
        uint64_t offset = (uint64_t)(s->first + done) * row_bytes;
        if (read_bytes(f, s->tensor, offset, g->raw, (size_t)rows * row_bytes, e))
            return -1;
        if (g->packed) {
            pack_chunk(f, s, host, at + done, rows, g);
            continue;
        }
        uint8_t *ordered = s->rotated ? (uint8_t *)(void *)g->values : g->raw;
        if (s->rotated)
            order_rows(s, rows, row_bytes, g->raw, ordered);
        k->ops->upload(k, (char *)to->data + (size_t)(at + done) * row_bytes, ordered,
                       (size_t)rows * row_bytes);
        k->ops->synchronize(k); /* the chunk's memory is filled again */
    }
    return 0;
}

static int read_matrix(struct weights_file *f, struct kernels *k, const struct weights_array *t,
                       struct kernel_matrix *to, struct error *e)
{
    struct gguf_slice part[WEIGHTS_PARTS];
    struct staging g = {0};
    bool same = true;
    size_t raw = 0, values = 0, bytes = weights_layout_of(t).bytes;
    for (int i = 0; i < t->parts; i++) {
        part[i] = slice_of(f, t, i);
        same &= part[i].dtype == t->dtype;
        size_t rows = (size_t)chunk_rows_of(&part[i]), cols = (size_t)part[i].cols;
        raw = rows * kernel_row_bytes(part[i].dtype, part[i].cols) > raw
                  ? rows * kernel_row_bytes(part[i].dtype, part[i].cols)
                  : raw;
        values = rows * cols * sizeof(float) > values ? rows * cols * sizeof(float) : values;
    }
    g.raw = malloc(raw);
    g.values = malloc(values);
    g.packed = same ? NULL : malloc(bytes);
    struct kernel_matrix host = weights_matrix_at(t, g.packed);
    int64_t blocks = same ? 0 : kernel_pack_blocks(&host);
    g.absmax = blocks ? malloc((size_t)blocks * sizeof *g.absmax) : NULL;
    int failed = !g.raw || !g.values || (!same && !g.packed) || (blocks && !g.absmax)
                     ? error_set(e, ERROR_MEMORY, "no memory to load %s: close other programs", f->m->file)
                     : 0;
    int64_t at = 0;
    for (int i = 0; i < t->parts && !failed; at += part[i].rows, i++) {
        g.chunk_rows = chunk_rows_of(&part[i]);
        failed = read_part(f, k, &part[i], at, to, &host, &g, e);
    }
    if (!failed && g.packed) {
        kernel_pack_scales(&host, g.absmax);
        k->ops->upload(k, to->data, g.packed, bytes);
        k->ops->synchronize(k);
    }
    drop_staging(&g);
    return failed;
}

/* A whole tensor's values, `cols` of them from `first` on. */
static int read_values(struct weights_file *f, const struct gguf_slice *s, float *out, struct error *e)
{
    const struct gguf_tensor *t = s->tensor;
    int64_t rows = (int64_t)t->dim[1], cols = (int64_t)t->dim[0];
    uint8_t *raw = malloc(t->bytes);
    float *values = malloc((size_t)(rows * cols) * sizeof *values);
    int failed = !raw || !values
                     ? error_set(e, ERROR_MEMORY, "no memory to load %s: close other programs", f->m->file)
                     : read_bytes(f, t, 0, raw, t->bytes, e);
    if (!failed) {
        kernel_dequantize_rows(s->dtype, raw, rows, cols, values);
        for (int64_t c = 0; c < s->cols; c++)
            for (int64_t r = 0; r < s->rows; r++)
                out[s->transposed ? c * s->rows + r : r * s->cols + c] = values[r * cols + s->first + c];
    }
    free(raw);
    free(values);
    return failed;
}

static int read_vector(struct weights_file *f, struct kernels *k, const struct weights_array *t,
                       struct kernel_matrix *to, struct error *e)
{
    float *values = malloc((size_t)(t->rows * t->cols) * sizeof *values);
    int failed =
        values ? 0 : error_set(e, ERROR_MEMORY, "no memory to load %s: close other programs", f->m->file);
    int64_t at = 0;
    for (int i = 0; i < t->parts && !failed; i++) {
        struct gguf_slice s = slice_of(f, t, i);
        failed = read_values(f, &s, values + at, e);
        at += s.rows * s.cols;
    }
    if (!failed) {
        k->ops->upload(k, to->data, values, (size_t)at * sizeof *values);
        k->ops->synchronize(k);
    }
    free(values);
    return failed;
}

int weights_file_read(struct weights_file *f, struct kernels *k, const struct weights_array *t,
                      struct kernel_matrix *to, struct error *e)
{
    return t->vector ? read_vector(f, k, t, to, e) : read_matrix(f, k, t, to, e);
}

float *weights_file_rope_factors(struct weights_file *f, int *failed, struct error *e)
{
    struct gguf_slice s;
    *failed = 0;
    if (f->m->family != MODEL_LLAMA || !gguf_tensor(f->g, "rope_freqs.weight"))
        return NULL;
    *failed = gguf_model_slice(f->g, f->m, MODEL_ROPE_FACTORS, 0, &s, e);
    float *out = *failed ? NULL : malloc((size_t)s.cols * sizeof *out);
    if (!out && !*failed)
        *failed = error_set(e, ERROR_MEMORY, "no memory to load %s: close other programs", f->m->file);
    if (!*failed)
        *failed = read_values(f, &s, out, e);
    for (int64_t i = 0; !*failed && i < s.cols; i++)
        if (!(out[i] > 0))
            *failed =
                error_set(e, ERROR_FAILED,
                          "%s: tensor rope_freqs.weight holds what no frequency can be divided by: get the "
                          "file again",
                          f->m->file);
    if (*failed) {
        free(out);
        return NULL;
    }
    return out;
}
