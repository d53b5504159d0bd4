#include "engine/model/gguf_write.h"

#include "engine/figure.h"
#include "engine/model/gguf_write_keys.h"
#include "engine/model/model.h"
#include "engine/model/rope.h"
#include "engine/model/weights_internal.h"
#include "kernels/blocks.h"
#include "presets/replacement.h"

#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { ALIGNMENT = 32, CHUNK_BYTES = 16 << 20 };

/* One tensor of the file to be: rows [first, first + rows) of the array they come from. */
struct planned {
    char name[GGUF_NAME];
    const struct gguf_type *type;
    int n_dims;
    int64_t rows, cols; /* as in the file */
    struct gguf_slice order;
    uint64_t offset, bytes;
};

struct writer {
    const struct model_spec *m;
    const char *path;
    struct planned *tensor;
    int n, capacity, at; /* at: the next to be written */
    uint64_t data_bytes, written;
    bool left_out;
    struct replacement file;
    const float *rope_factors; /* of the source file */
};

static uint64_t aligned(uint64_t n)
{
    return (n + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

/* ---- what will stand in the file ---- */

static int no_memory(const struct writer *w, struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory to write %s: close other programs", w->path);
}

static int add_tensor(struct writer *w, const char *name, enum kernel_dtype dtype, int n_dims, int64_t rows,
                      int64_t cols, struct error *e)
{
    if (w->n == w->capacity) {
        int capacity = w->capacity ? 2 * w->capacity : 64;
        struct planned *more = realloc(w->tensor, (size_t)capacity * sizeof *more);
        if (!more)
            return no_memory(w, e);
        w->tensor = more;
        w->capacity = capacity;
    }
    struct planned *t = &w->tensor[w->n++];
    *t = (struct planned){.type = gguf_model_type(dtype), .n_dims = n_dims, .rows = rows, .cols = cols};
    snprintf(t->name, sizeof t->name, "%s", name);
    t->bytes = (uint64_t)rows * kernel_row_bytes(dtype, cols);
    t->offset = w->data_bytes;
    w->data_bytes += aligned(t->bytes);
    return 0;
}

/* Several arrays that files of this family keep in one tensor. */
static int plan_fused(struct writer *w, const struct weights_array *t, const char *name, struct error *e)
{
    return add_tensor(w, name, t->dtype, t->vector ? 1 : 2, t->rows, t->cols, e);
}

/* Readers of gpt-2 files look for a head of its own, as their converter writes it: the embedding again. */
static bool repeats_embedding(const struct model_spec *m)
{
    return m->family == MODEL_GPT2 && m->tied;
}

static int plan_head(struct writer *w, const struct weights_array *t, struct error *e)
{
    struct model_spec apart = *w->m;
    char name[GGUF_NAME];
    apart.tied = false;
    gguf_model_name(&apart, MODEL_HEAD, 0, name);
    return add_tensor(w, name, t->dtype, 2, t->rows, t->cols, e);
}

/* Rows that are added to others stand in fp32 in files: their readers add nothing else. */
static enum kernel_dtype type_in_file(const struct weights_array *t)
{
    return t->part[0] == MODEL_POSITIONS || t->part[0] == MODEL_TYPES ? KERNEL_FP32 : t->dtype;
}

static int plan_array(void *who, const struct weights_array *t, const struct kernel_matrix *m,
                      struct error *e)
{
    struct writer *w = who;
    char name[GGUF_NAME];
    (void)m;
    if (t->part[0] == MODEL_NO_ARRAY) {
        w->left_out = true;
        return 0;
    }
    if (t->part[0] == MODEL_EMBEDDING && repeats_embedding(w->m) && plan_head(w, t, e))
        return -1;
    if (t->parts == WEIGHTS_PARTS && gguf_model_fused_name(w->m, t->part[0], t->layer, name))
        return plan_fused(w, t, name, e);
    for (int i = 0; i < t->parts; i++) {
        enum model_array a = t->part[i];
        int64_t rows, cols;
        gguf_model_shape(w->m, a, &rows, &cols);
        gguf_model_name(w->m, a, t->layer, name);
        bool square = a == MODEL_SSM_CONV || a == MODEL_SSM_A;
        if (add_tensor(w, name, type_in_file(t), t->vector && !square ? 1 : 2, rows, cols, e))
            return -1;
        struct gguf_slice *order = &w->tensor[w->n - 1].order;
        *order = (struct gguf_slice){.rows = rows, .cols = cols, .transposed = square};
        if (w->m->family == MODEL_LLAMA && (a == MODEL_Q || a == MODEL_K)) {
            order->head_dim = w->m->head_dim;
            order->rotated = w->m->rotary_dims;
        }
    }
    return 0;
}

static bool has_rope_factors(const struct writer *w)
{
    return w->rope_factors || (w->m->rope_scaling.factor > 0 && w->m->rope_scaling.original > 0);
}

static int plan_rope_factors(struct writer *w, struct error *e)
{
    char name[GGUF_NAME];
    if (!has_rope_factors(w))
        return 0;
    gguf_model_name(w->m, MODEL_ROPE_FACTORS, 0, name);
    return add_tensor(w, name, KERNEL_FP32, 1, 1, w->m->rotary_dims / 2, e);
}

/* ---- writing ---- */

static int put(struct writer *w, const void *bytes, size_t n, struct error *e)
{
    w->written += n;
    return replacement_put(&w->file, bytes, n, e);
}

static int put_padding(struct writer *w, struct error *e)
{
    static const char zeros[ALIGNMENT];
    uint64_t n = aligned(w->written) - w->written;
    return put(w, zeros, (size_t)n, e);
}

/* Rows of data in the order of the file. */
static int put_rows(struct writer *w, const struct planned *t, const char *data, struct error *e)
{
    size_t row = (size_t)(t->bytes / (uint64_t)t->rows);
    if (t->order.rotated == 0)
        return put(w, data, (size_t)t->bytes, e);
    int64_t group = t->order.head_dim, step = CHUNK_BYTES / (int64_t)row / group * group;
    step = step < group ? group : step < t->rows ? step : t->rows;
    char *chunk = malloc((size_t)step * row);
    int failed = chunk ? 0 : no_memory(w, e);
    for (int64_t first = 0; first < t->rows && !failed; first += step) {
        int64_t rows = t->rows - first < step ? t->rows - first : step;
        for (int64_t r = 0; r < rows; r++)
            memcpy(chunk + (size_t)gguf_model_file_row(&t->order, r) * row, data + (size_t)(first + r) * row,
                   row);
        failed = put(w, chunk, (size_t)rows * row, e);
    }
    free(chunk);
    return failed;
}

static int put_transposed(struct writer *w, const struct planned *t, const float *data, struct error *e)
{
    float *turned = malloc((size_t)t->bytes);
    if (!turned)
        return no_memory(w, e);
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->cols; c++)
            turned[r * t->cols + c] = data[c * t->rows + r];
    int failed = put(w, turned, (size_t)t->bytes, e);
    free(turned);
    return failed;
}

static int put_widened(struct writer *w, const struct weights_array *a, const void *data, struct error *e)
{
    int64_t n = a->rows * a->cols;
    float *values = malloc((size_t)n * sizeof *values);
    if (!values)
        return no_memory(w, e);
    kernel_dequantize_rows(a->dtype, data, a->rows, a->cols, values);
    int failed = put(w, values, (size_t)n * sizeof *values, e);
    free(values);
    return failed;
}

static int write_array(void *who, const struct weights_array *a, const struct kernel_matrix *m,
                       struct error *e)
{
    struct writer *w = who;
    const char *data = m->data;
    if (a->part[0] == MODEL_NO_ARRAY)
        return 0;
    size_t left = (size_t)a->rows * kernel_row_bytes(a->dtype, a->cols);
    if (a->part[0] == MODEL_EMBEDDING && repeats_embedding(w->m)) {
        w->at++;
        if (put(w, data, left, e) || put_padding(w, e))
            return -1;
    }
    if (type_in_file(a) != a->dtype) {
        w->at++;
        return put_widened(w, a, data, e) || put_padding(w, e) ? -1 : 0;
    }
    while (left > 0) {
        const struct planned *t = &w->tensor[w->at++];
        if ((t->order.transposed ? put_transposed(w, t, (const float *)(const void *)data, e)
                                 : put_rows(w, t, data, e)) ||
            put_padding(w, e))
            return -1;
        data += t->bytes;
        left -= (size_t)t->bytes;
    }
    return 0;
}

static int write_rope_factors(struct writer *w, struct error *e)
{
    for (int i = 0; has_rope_factors(w) && i < w->m->rotary_dims / 2; i++) {
        float factor = w->rope_factors ? w->rope_factors[i] : rope_factor(w->m, i);
        if (put(w, &factor, sizeof factor, e))
            return -1;
    }
    return put_padding(w, e);
}

/* Everything before the data: keys, then where each tensor lies. */
static int write_head(struct writer *w, const struct gguf *source, const struct weights_request *q,
                      bool *vocabulary, struct error *e)
{
    char *head = NULL;
    size_t size = 0;
    struct gguf_keys keys;
    if (gguf_keys_begin(&keys, e))
        return -1;
    int failed = gguf_keys_write(&keys, w->m, q, source, vocabulary, e);
    FILE *f = failed ? NULL : open_memstream(&head, &size);
    if (!failed && !f)
        failed = no_memory(w, e);
    if (!failed) {
        gguf_keys_head(&keys, f, w->n);
        for (int i = 0; i < w->n; i++) {
            const struct planned *t = &w->tensor[i];
            gguf_keys_tensor(f, t->name, t->n_dims, t->cols, t->rows, t->type->id, t->offset);
        }
        bool bad = ferror(f) != 0;
        failed = fclose(f) != 0 || bad ? no_memory(w, e) : put(w, head, size, e) || put_padding(w, e);
    }
    free(head);
    gguf_keys_end(&keys);
    return failed;
}

static int check_room(const struct writer *w, struct error *e)
{
    char copy[PATH_MAX], need[FIGURE_TEXT], have[FIGURE_TEXT];
    struct statvfs s;
    snprintf(copy, sizeof copy, "%s", w->path);
    if (statvfs(dirname(copy), &s) != 0)
        return 0; /* creating the file will tell */
    double free_bytes = (double)s.f_bavail * (double)s.f_frsize;
    if ((double)w->data_bytes <= free_bytes)
        return 0;
    return error_set(
        e, ERROR_FAILED, "%s: needs %s, %s are free there: free some space or choose another place", w->path,
        figure_bytes((double)w->data_bytes, need, sizeof need), figure_bytes(free_bytes, have, sizeof have));
}

static int write_whole(struct writer *w, const struct gguf *source, struct weights_stream *s,
                       bool *vocabulary, struct error *e)
{
    if (check_room(w, e) || replacement_begin(&w->file, w->path, e))
        return -1;
    s->each = write_array;
    if (write_head(w, source, s->request, vocabulary, e) || weights_stream(s, e) ||
        write_rope_factors(w, e)) {
        replacement_abandon(&w->file);
        return -1;
    }
    return replacement_finish(&w->file, e);
}

static int check_request(const struct weights_request *q, const char *path, struct error *e)
{
    struct stat mine, other;
    if (q->precision == PRECISION_STORED && !q->model->file[0])
        return error_set(e, ERROR_UNSUPPORTED,
                         "%s has no file whose types could be kept: choose a precision such as bf16 or q4_k",
                         q->model->name);
    if (q->precision != PRECISION_STORED && !gguf_model_type(weights_dtype(q->precision)))
        return error_set(
            e, ERROR_UNSUPPORTED,
            "GGUF has no such type: choose precision fp32, fp16, bf16, q8_0, q4_0, q4_k or q6_k");
    if (model_holds(q->model, q->precision, e))
        return -1;
    if (stat(path, &other) == 0 && !S_ISREG(other.st_mode))
        return error_set(e, ERROR_FAILED, "%s is no file: give the path of a file to be", path);
    if (q->model->file[0] && stat(q->model->file, &mine) == 0 && stat(path, &other) == 0 &&
        mine.st_ino == other.st_ino && mine.st_dev == other.st_dev)
        return error_set(e, ERROR_USAGE, "%s is the model's own file: write to another one", path);
    return 0;
}

static int write_model(struct writer *w, const struct gguf *source, struct weights_stream *s,
                       bool *vocabulary, struct error *e)
{
    struct weights_stream planning = {.request = s->request, .each = plan_array, .who = w};
    return weights_stream(&planning, e) || plan_rope_factors(w, e) || write_whole(w, source, s, vocabulary, e)
               ? -1
               : 0;
}

static int read_rope_factors(struct writer *w, const struct gguf *source, float **out, struct error *e)
{
    struct gguf_slice s;
    if (gguf_model_slice(source, w->m, MODEL_ROPE_FACTORS, 0, &s, e))
        return -1;
    *out = malloc((size_t)s.cols * sizeof **out);
    if (!*out)
        return no_memory(w, e);
    kernel_dequantize_rows(s.dtype, s.tensor->data, 1, s.cols, *out);
    return 0;
}

int gguf_write(struct kernels *k, const struct weights_request *q, const char *path,
               void (*progress)(void *, const char *, double), bool (*cancelled)(void *), void *who,
               struct gguf_written *out, struct error *e)
{
    struct writer w = {.m = q->model, .path = path};
    struct weights_stream s = {
        .k = k, .request = q, .who = &w, .progress = progress, .cancelled = cancelled, .watcher = who};
    struct gguf source = {0};
    bool vocabulary = false;
    if (check_request(q, path, e) || (q->model->file[0] && gguf_open(q->model->file, &source, e)))
        return -1;
    float *factors = NULL;
    int failed = 0;
    if (q->model->file[0] && gguf_tensor(&source, "rope_freqs.weight"))
        failed = read_rope_factors(&w, &source, &factors, e);
    w.rope_factors = factors;
    failed = failed || write_model(&w, q->model->file[0] ? &source : NULL, &s, &vocabulary, e);
    if (!failed)
        *out = (struct gguf_written){(int64_t)w.written, w.n, vocabulary, w.left_out};
    free(factors);
    free(w.tensor);
    gguf_close(&source);
    return failed ? -1 : 0;
}
