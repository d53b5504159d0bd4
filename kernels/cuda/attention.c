/* Which kernel attends, and how many blocks share a sequence's tokens in decode. */
#include "kernels/cuda/attention.h"

enum {
    STEP = 64,       /* tokens a split takes at least */
    WAVES = 6,       /* beyond so many blocks per place on the device, splitting gains nothing */
    PLACES = 2,      /* decode blocks per multiprocessor */
    F16_DIM = 256,   /* largest head of the 16-bit form */
    PACKED_ROWS = 16 /* more (row, head of the group) than this, of more than one row: a prompt */
};

/* Bytes of keys and values that one block reads in about the time that a second kernel, which combines, takes
 * to start and finish: 64 KiB under way, 0.7 us latency, so 90 GB/s, against 2 us. */
static const int64_t ALONE_BYTES = 192 * 1024;

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

static int64_t ceiling(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static bool is_16_bit_form(const struct cuda_attention *call)
{
    enum kernel_dtype type = call->k->activation;
    uintptr_t addresses =
        (uintptr_t)call->q | (uintptr_t)call->out | (uintptr_t)call->kv->k | (uintptr_t)call->kv->v;
    return (type == KERNEL_FP16 || type == KERNEL_BF16) && call->kv->dtype == type &&
           call->a->head_dim % 8 == 0 && call->a->head_dim <= F16_DIM && call->q_stride % 8 == 0 &&
           addresses % 16 == 0;
}

static int tile_rows(const struct kernel_attention *a)
{
    int any = cuda_decode_any_rows(a->head_dim);
    return any < CUDA_DECODE_F16_ROWS ? any : CUDA_DECODE_F16_ROWS;
}

static bool is_decode(const struct kernel_attention *a, const struct kernel_batch *batch)
{
    return batch->max_rows == 1 || (int64_t)batch->max_rows * (a->heads / a->kv_heads) <= PACKED_ROWS ||
           a->head_dim > CUDA_FLASH_F32_DIM;
}

/* Tokens that a row can see at most. */
static int visible_tokens(const struct kernel_attention *a, const struct kernel_batch *batch)
{
    int64_t window = a->causal && a->window ? (int64_t)a->window + batch->max_rows : batch->max_context;
    return window < batch->max_context ? (int)window : batch->max_context;
}

static int most_splits(const struct kernel_attention *a, const struct kernel_batch *batch)
{
    return smaller(CUDA_ATTENTION_SPLITS, (int)ceiling(visible_tokens(a, batch), STEP));
}

static int64_t places(const struct kernels *k)
{
    return (int64_t)PLACES * cuda_of(k)->multiprocessors;
}

/* The fewest splits whose last wave of blocks leaves little of the device idle (FlashAttention's rule: within
 * 85 % of the best). */
static struct cuda_splits plan_of(const struct kernels *k, const struct kernel_attention *a,
                                  const struct kernel_batch *batch)
{
    struct cuda_splits plan = {.splits = 1, .tile_rows = tile_rows(a), .minimum_tokens = STEP};
    int group = a->heads / a->kv_heads, most = most_splits(a, batch);
    plan.tiles = (int)ceiling((int64_t)batch->max_rows * group, plan.tile_rows);
    int64_t blocks = (int64_t)batch->sequences * a->kv_heads * plan.tiles, all = places(k);
    int64_t bytes =
        (int64_t)visible_tokens(a, batch) * a->head_dim * 2 * (int64_t)kernel_dtype_bytes(k->activation);
    if (bytes <= ALONE_BYTES)
        return plan;
    double best = 0;
    for (int s = 1; s <= most && (s == 1 || blocks * s <= WAVES * all); s++) {
        double waves = (double)(blocks * s) / (double)all;
        double use = waves / (double)ceiling(blocks * s, all);
        best = use > best ? use : best;
    }
    for (int s = 1; s <= most && (s == 1 || blocks * s <= WAVES * all); s++) {
        double waves = (double)(blocks * s) / (double)all;
        plan.splits = s;
        if (waves / (double)ceiling(blocks * s, all) >= 0.85 * best)
            break;
    }
    return plan;
}

void cuda_attention_flash(struct kernels *k, void *out, const void *q, int q_stride,
                          const struct kernel_kv *kv, const struct kernel_attention *a,
                          const struct kernel_batch *batch, void *workspace)
{
    struct cuda_attention call = {k, out, q, q_stride, kv, a, batch, workspace};
    bool decode = is_decode(a, batch);
    if (decode && is_16_bit_form(&call))
        cuda_decode_f16(&call, plan_of(k, a, batch));
    else if (decode)
        cuda_decode_any(&call, plan_of(k, a, batch));
    else if (is_16_bit_form(&call))
        cuda_flash_f16(&call);
    else
        cuda_flash_f32(&call);
}

/* What any plan of at most these rows and tokens may need: splits only where all blocks together are at most
 * WAVES places, and never more than there are steps of tokens. */
size_t cuda_attention_flash_workspace(const struct kernels *k, const struct kernel_attention *a,
                                      const struct kernel_batch *batch)
{
    int64_t group = a->heads / a->kv_heads, packed = (int64_t)batch->max_rows * group;
    int64_t most = group > PACKED_ROWS ? group : PACKED_ROWS;
    if (packed > most && a->head_dim <= CUDA_FLASH_F32_DIM)
        packed = most;
    int64_t partials = batch->sequences * a->kv_heads * packed * most_splits(a, batch);
    int64_t bound = WAVES * places(k) * tile_rows(a);
    partials = partials < bound ? partials : bound;
    return (size_t)partials * (size_t)(a->head_dim + 2) * sizeof(float);
}

void cuda_attention_naive(struct kernels *k, void *out, const void *q, int q_stride,
                          const struct kernel_kv *kv, const struct kernel_attention *a,
                          const struct kernel_batch *batch, void *workspace)
{
    struct cuda_attention call = {k, out, q, q_stride, kv, a, batch, workspace};
    if (batch->max_rows > 1 && is_16_bit_form(&call))
        cuda_naive_f16(&call);
    else
        cuda_naive_any(&call);
}

size_t cuda_attention_naive_workspace(const struct kernels *k, const struct kernel_attention *a,
                                      const struct kernel_batch *batch)
{
    (void)k;
    return (size_t)batch->sequences * (size_t)a->heads * (size_t)batch->max_rows *
           (size_t)batch->max_context * sizeof(float);
}
