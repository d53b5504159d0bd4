/* usage: attention_rate [HEADS KV_HEADS HEAD_DIM SEQUENCE]   (32 8 128 4096)
 *
 * The flash attention of one causal prefill alone, bf16, timed by the device's events: one JSON line. FLOPs
 * are those of the half of the scores that a causal mask leaves: 2 * 2 * heads * head_dim * N (N + 1) / 2.
 * For tests/gpu.sh. */
#include "kernels/kernels.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 20 };

struct bench {
    struct kernels *k;
    struct kernel_attention attention;
    struct kernel_kv kv;
    struct kernel_batch batch;
    void *q, *out, *workspace;
};

static void *noise(struct kernels *k, int64_t rows, int64_t cols, uint64_t id)
{
    struct kernel_matrix m = {.dtype = KERNEL_BF16, .rows = rows, .cols = cols};
    m.data = k->ops->alloc(k, kernel_matrix_bytes(KERNEL_BF16, rows, cols));
    if (m.data)
        k->ops->generate(k, &m, 1, id, KERNEL_UNIFORM, 1.0f);
    return m.data;
}

static bool fill(struct bench *b, int sequence)
{
    struct kernels *k = b->k;
    const struct kernel_attention *a = &b->attention;
    int32_t starts[2] = {0, sequence}, context = 0;
    int32_t *arrays = k->ops->alloc(k, 3 * sizeof *arrays);
    int64_t kv_rows = (int64_t)a->kv_heads * sequence;
    if (!arrays)
        return false;
    k->ops->upload(k, arrays, starts, sizeof starts);
    k->ops->upload(k, arrays + 2, &context, sizeof context);
    b->batch = (struct kernel_batch){1, sequence, sequence, sequence, arrays, arrays + 2};
    b->kv = (struct kernel_kv){.dtype = KERNEL_BF16,
                               .k = noise(k, kv_rows, a->head_dim, 1),
                               .v = noise(k, kv_rows, a->head_dim, 2),
                               .block_size = sequence,
                               .kv_heads = a->kv_heads,
                               .head_dim = a->head_dim};
    kernel_kv_by_head(&b->kv);
    b->q = noise(k, sequence, (int64_t)a->heads * a->head_dim, 3);
    b->out = noise(k, sequence, (int64_t)a->heads * a->head_dim, 4);
    size_t bytes = k->ops->attention_flash_workspace(k, a, &b->batch);
    b->workspace = k->ops->alloc(k, bytes + 64);
    return b->kv.k && b->kv.v && b->q && b->out && b->workspace;
}

static int64_t best_ns(struct bench *b, int rounds)
{
    struct kernels *k = b->k;
    struct kernel_event *from = k->ops->event_create(k), *to = k->ops->event_create(k);
    int64_t best = INT64_MAX;
    for (int i = 0; i < rounds; i++) {
        k->ops->event_record(k, from);
        k->ops->attention_flash(k, b->out, b->q, b->attention.heads * b->attention.head_dim, &b->kv,
                                &b->attention, &b->batch, b->workspace);
        k->ops->event_record(k, to);
        k->ops->synchronize(k);
        int64_t span = k->ops->event_span_ns(k, from, to);
        best = i > 0 && span < best ? span : best; /* the first is the warm-up */
    }
    k->ops->event_destroy(k, from);
    k->ops->event_destroy(k, to);
    return best;
}

int main(int argc, char **argv)
{
    char why[200] = "";
    struct bench b = {.attention = {.heads = 32, .kv_heads = 8, .head_dim = 128, .causal = true}};
    int sequence = 4096;
    if (argc == 5) {
        b.attention.heads = atoi(argv[1]);
        b.attention.kv_heads = atoi(argv[2]);
        b.attention.head_dim = atoi(argv[3]);
        sequence = atoi(argv[4]);
    }
    b.attention.scale = 1 / sqrtf((float)b.attention.head_dim);
    struct kernels *cuda = kernels_open_cuda(0, &(struct kernels_config){.product = "auto"}, why, sizeof why);
    if (!cuda) {
        fprintf(stderr, "attention_rate: %s\n", why);
        return 1;
    }
    struct kernels_info info;
    cuda->ops->info(cuda, &info);
    b.k = cuda->ops->view(cuda, KERNEL_BF16);
    int64_t ns = fill(&b, sequence) ? best_ns(&b, info.emulated ? 2 : ROUNDS) : 0;
    const char *error = cuda->ops->error(cuda);
    if (ns <= 0 || error) {
        fprintf(stderr, "attention_rate: %s\n", error ? error : "out of memory");
        cuda->ops->close(cuda);
        return 1;
    }
    double flops = 2.0 * b.attention.heads * b.attention.head_dim * sequence * (sequence + 1.0);
    printf("{\"heads\":%d,\"kv_heads\":%d,\"head_dim\":%d,\"sequence\":%d,\"emulated\":%s,\"ms\":%.6f,"
           "\"tflops\":%.3f}\n",
           b.attention.heads, b.attention.kv_heads, b.attention.head_dim, sequence,
           info.emulated ? "true" : "false", (double)ns * 1e-6, flops / (double)ns * 1e-3);
    cuda->ops->close(cuda);
    return 0;
}
