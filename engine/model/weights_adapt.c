#include "engine/model/weights_adapt.h"

#include "engine/model/larosa.h"
#include "engine/model/vocabulary.h"
#include "kernels/pack.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 512 };

struct work {
    struct kernels *k;
    const struct vocabulary *v;
    bool head;           /* the first token weighs most */
    float *row, *part;   /* [BLOCK_ROWS, cols] the new rows, and the old ones they are made of */
    float *absmax;       /* of nf4_dq's blocks */
    unsigned char *host; /* the new matrix as its bytes */
    bool (*cancelled)(void *);
    void *who;
    struct error *e;
};

static int no_memory(struct error *e)
{
    return error_set(
        e, ERROR_MEMORY,
        "no memory for the embedding of an adapted vocabulary: choose a smaller model or precision");
}

/* The matrix of that type at data, its parts on cache lines of their own; *bytes of all of them. */
static struct kernel_matrix layout(enum kernel_dtype dtype, int64_t rows, int64_t cols, void *data,
                                   size_t *bytes)
{
    size_t part[3], scales, codes;
    kernel_matrix_parts(dtype, rows, cols, part);
    scales = (part[0] + 63) / 64 * 64;
    codes = scales + (part[1] + 63) / 64 * 64;
    *bytes = part[2] ? codes + part[2] : part[1] ? scales + part[1] : part[0];
    struct kernel_matrix m = {.dtype = dtype, .rows = rows, .cols = cols, .data = data};
    if (part[1] && data)
        m.scales = (float *)(void *)((char *)data + scales);
    if (part[2] && data)
        m.codes = (uint8_t *)data + codes;
    return m;
}

/* out = sum of w_i part[i], i from 0. */
static void blend(float *out, const float *part, int n, int64_t cols, bool first_heaviest)
{
    double weight[VOCABULARY_PARTS], sum = 0;
    for (int i = 0; i < n; i++) {
        weight[i] = 1.0 / (double)(1 << (first_heaviest ? i : n - 1 - i));
        sum += weight[i];
    }
    for (int64_t c = 0; c < cols; c++) {
        double value = 0;
        for (int i = 0; i < n; i++)
            value += weight[i] / sum * (double)part[i * cols + c];
        out[c] = (float)value;
    }
}

/* How many rows from `id` on are single old rows one after another. */
static int run_of(const struct work *k, int id, int most)
{
    const int32_t *part, *next;
    int n = 1;
    if (vocabulary_parts(k->v, id, &part) != 1)
        return 0;
    while (n < most && vocabulary_parts(k->v, id + n, &next) == 1 && *next == *part + n)
        n++;
    return n;
}

/* New rows [first, first + n) in fp32 into k->row. */
static void make_rows(const struct work *k, const struct kernel_matrix *from, int first, int n)
{
    for (int i = 0; i < n;) {
        const int32_t *part;
        float *out = k->row + (int64_t)i * from->cols;
        int parts = vocabulary_parts(k->v, first + i, &part), run = run_of(k, first + i, n - i);
        if (run > 0) {
            k->k->ops->read_matrix(k->k, from, *part, run, out);
            i += run;
            continue;
        }
        for (int p = 0; p < parts; p++)
            k->k->ops->read_matrix(k->k, from, part[p], 1, k->part + p * from->cols);
        blend(out, k->part, parts, from->cols, k->head);
        i++;
    }
}

/* Packs every row in host memory, then uploads the whole. `to` is zeroed where this fails. */
static int make_matrix(struct work *k, const struct kernel_matrix *from, struct kernel_matrix *to,
                       size_t *bytes)
{
    int rows = vocabulary_size(k->v);
    *to = layout(from->dtype, rows, from->cols, NULL, bytes);
    k->host = malloc(*bytes);
    k->absmax = malloc(((size_t)kernel_pack_blocks(to) + 1) * sizeof *k->absmax);
    *to = (struct kernel_matrix){0};
    if (!k->host || !k->absmax)
        return no_memory(k->e);
    struct kernel_matrix packed = layout(from->dtype, rows, from->cols, k->host, bytes);
    for (int first = 0; first < rows; first += BLOCK_ROWS) {
        int n = rows - first < BLOCK_ROWS ? rows - first : BLOCK_ROWS;
        if (k->cancelled && k->cancelled(k->who))
            return error_set(k->e, ERROR_CANCELLED, "stopped while making weights: run again to continue");
        make_rows(k, from, first, n);
        kernel_pack_rows(&packed, first, n, k->row, k->absmax);
    }
    kernel_pack_scales(&packed, k->absmax);
    void *data = k->k->ops->alloc(k->k, *bytes);
    if (!data)
        return no_memory(k->e);
    *to = layout(from->dtype, rows, from->cols, data, bytes);
    k->k->ops->upload(k->k, data, k->host, *bytes);
    k->k->ops->synchronize(k->k);
    free(k->host);
    free(k->absmax);
    k->host = NULL;
    k->absmax = NULL;
    return 0;
}

/* One number per row, weighted as the head's rows are. */
static int make_bias(struct work *k, const float *from, int64_t n, const float **to, size_t *bytes)
{
    size_t rows = (size_t)vocabulary_size(k->v);
    float *old = malloc((size_t)n * sizeof *old), *fresh = malloc(rows * sizeof *fresh);
    *bytes = rows * sizeof *fresh;
    float *data = old && fresh ? k->k->ops->alloc(k->k, *bytes) : NULL;
    if (data) {
        k->k->ops->download(k->k, old, from, (size_t)n * sizeof *old);
        for (size_t i = 0; i < rows; i++) {
            const int32_t *part;
            float value[VOCABULARY_PARTS];
            int parts = vocabulary_parts(k->v, (int32_t)i, &part);
            for (int p = 0; p < parts; p++)
                value[p] = old[part[p]];
            blend(&fresh[i], value, parts, 1, true);
        }
        k->k->ops->upload(k->k, data, fresh, *bytes);
        k->k->ops->synchronize(k->k);
    }
    free(old);
    free(fresh);
    *to = data;
    return data ? 0 : no_memory(k->e);
}

static size_t bytes_of(const struct kernel_matrix *m)
{
    size_t bytes;
    layout(m->dtype, m->rows, m->cols, NULL, &bytes);
    return bytes;
}

static void give_back(struct weights *w, void *data, size_t bytes)
{
    if (data)
        w->k->ops->free(w->k, data, bytes);
}

/* Takes the old arrays out and puts the new ones in. */
static void replace(struct weights *w, const struct kernel_matrix *embedding,
                    const struct kernel_matrix *head, const float *bias, const size_t bytes[3])
{
    size_t old[3] = {bytes_of(&w->embedding), bytes_of(&w->head),
                     w->head_bias ? (size_t)w->head.rows * sizeof *bias : 0};
    bool tied = w->head.data == w->embedding.data;
    if (w->own_head) /* of a rotated model: counted as larosa counts it */
        old[1] = kernel_matrix_bytes(w->head.dtype, w->head.rows, w->head.cols);
    w->bytes += (int64_t)(bytes[0] + bytes[1] + bytes[2]) - (int64_t)(old[0] + (tied ? 0 : old[1]) + old[2]);
    give_back(w, w->embedding.data, old[0]);
    if (w->own_head)
        larosa_free_head(w);
    else if (!tied)
        give_back(w, w->head.data, old[1]);
    give_back(w, (void *)(uintptr_t)w->head_bias, old[2]);
    w->embedding = *embedding;
    w->head = *head;
    w->head_bias = bias;
    memcpy(w->adapted_bytes, bytes, sizeof w->adapted_bytes);
}

int weights_adapt(struct weights *w, const struct weights_request *q, bool (*cancelled)(void *), void *who,
                  struct error *e)
{
    struct vocabulary *v = vocabulary_open(q->model, q->vocabulary, e);
    if (!v)
        return -1;
    size_t cols = (size_t)w->embedding.cols, bytes[3] = {0};
    struct kernel_matrix embedding = {0}, head = {0};
    const float *bias = NULL;
    struct work k = {.k = w->k, .v = v, .cancelled = cancelled, .who = who, .e = e};
    k.row = malloc(BLOCK_ROWS * cols * sizeof *k.row);
    k.part = malloc(VOCABULARY_PARTS * cols * sizeof *k.part);
    int failed = k.row && k.part ? make_matrix(&k, &w->embedding, &embedding, &bytes[0]) : no_memory(e);
    k.head = true;
    if (!failed)
        failed = make_matrix(&k, &w->head, &head, &bytes[1]);
    if (!failed && w->head_bias)
        failed = make_bias(&k, w->head_bias, w->head.rows, &bias, &bytes[2]);
    if (failed) {
        give_back(w, embedding.data, bytes[0]);
        give_back(w, head.data, bytes[1]);
    } else {
        replace(w, &embedding, &head, bias, bytes);
    }
    free(k.row);
    free(k.part);
    free(k.host);
    free(k.absmax);
    vocabulary_free(v);
    return failed;
}

void weights_adapt_drop(struct weights *w)
{
    if (w->adapted_bytes[0] == 0)
        return;
    give_back(w, w->embedding.data, w->adapted_bytes[0]);
    give_back(w, w->head.data, w->adapted_bytes[1]);
    give_back(w, (void *)(uintptr_t)w->head_bias, w->adapted_bytes[2]);
    w->embedding = w->head = (struct kernel_matrix){0};
    w->head_bias = NULL;
    memset(w->adapted_bytes, 0, sizeof w->adapted_bytes);
}
