/* Attention on a GPU, its kernels' own source run by the emulator, against double loops over the same cache.
 * What no token occupies is NaN, and so are the output and the workspace before: nothing unseen may take
 * part. */
#include "kernels/cuda/attention.h"
#include "tests/test.h"

enum { SEQUENCES = 4, GUARD = 64 };

struct shape {
    int heads, kv_heads, head_dim, window;
    bool causal;
    int block_size; /* 0: contiguous */
    int sequences;
    int context[SEQUENCES], rows[SEQUENCES];
    int q_gap; /* elements between the heads of one row and the next row */
};

enum way { NAIVE, FLASH, SPLIT, SPLIT_ANY }; /* the last two: decode kernels called with five splits */
static const char *const ways[] = {"naive", "flash", "16-bit decode in five", "decode in five"};

static uint64_t noise_state = 1;

static int below(int n)
{
    noise_state = noise_state * 6364136223846793005u + 1442695040888963407u;
    return (int)((noise_state >> 33) % (uint64_t)n);
}

/* Multiples of 1/16 up to 3, which every type holds exactly. */
static float exact(void)
{
    return (float)(below(97) - 48) / 16;
}

static void store(void *array, enum kernel_dtype type, int64_t i, float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (type == KERNEL_FP32) {
        ((float *)array)[i] = x;
    } else if (type == KERNEL_BF16) {
        ((uint16_t *)array)[i] = (uint16_t)(bits >> 16);
    } else { /* exact: a normal number or zero */
        uint32_t half = (bits >> 13 & 0x3ffff) - (112u << 10);
        ((uint16_t *)array)[i] = (uint16_t)((bits >> 16 & 0x8000) | (x == 0 ? 0 : half & 0x7fff));
    }
}

static float fetch(const void *array, enum kernel_dtype type, int64_t i)
{
    if (type == KERNEL_FP32)
        return ((const float *)array)[i];
    uint32_t bits = ((const uint16_t *)array)[i];
    if (type == KERNEL_FP16) {
        float x = ldexpf((float)(bits & 1023) + ((bits >> 10 & 31) ? 1024.0f : 0.0f),
                         ((int)(bits >> 10 & 31) ? (int)(bits >> 10 & 31) : 1) - 25);
        if ((bits >> 10 & 31) == 31)
            x = bits & 1023 ? NAN : INFINITY;
        return bits & 0x8000 ? -x : x;
    }
    float x;
    bits <<= 16;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Heads apart, tokens whole, or tokens whole with this layer as the second of three inside them. */
enum layout { BY_HEAD, BY_TOKEN, ACROSS_LAYERS, LAYOUTS };
static const char *const layouts[] = {"by head", "by token", "across layers"};

struct setup {
    const struct shape *shape;
    enum layout layout;
    struct kernels *k;
    enum kernel_dtype activation, cache;
    struct kernel_attention a;
    struct kernel_kv kv;
    struct kernel_batch batch;
    int32_t row_start[SEQUENCES + 1], table[SEQUENCES * 256];
    int q_stride;
    char *key_memory, *value_memory; /* on the device: what kv's arrays lie in */
    char *host_q, *host_k, *host_v;
    size_t q_bytes, cache_bytes;
    int64_t elements; /* of the output */
};

static int64_t place_of(const struct setup *s, int sequence, int kv_head, int token)
{
    int block = sequence, inside = token;
    if (s->kv.table)
        block = s->table[sequence * s->kv.table_stride + token / s->kv.block_size],
        inside = token % s->kv.block_size;
    int64_t tokens = (int64_t)block * s->kv.block_size, dim = s->a.head_dim, heads = s->a.kv_heads;
    switch (s->layout) {
    case BY_HEAD:
        return (tokens * heads + (int64_t)kv_head * s->kv.block_size + inside) * dim;
    case BY_TOKEN:
        return ((tokens + inside) * heads + kv_head) * dim;
    default:
        return (((tokens + inside) * 3 + 1) * heads + kv_head) * dim;
    }
}

static void *upload(struct kernels *k, const void *from, size_t bytes)
{
    void *to = k->ops->alloc(k, bytes);
    k->ops->upload(k, to, from, bytes);
    return to;
}

static void fill_cache(struct setup *s)
{
    const struct shape *p = s->shape;
    s->host_k = malloc(s->cache_bytes), s->host_v = malloc(s->cache_bytes);
    memset(s->host_k, 0xff, s->cache_bytes), memset(s->host_v, 0xff, s->cache_bytes);
    for (int i = 0; i < p->sequences; i++)
        for (int h = 0; h < p->kv_heads; h++)
            for (int t = 0; t < p->context[i] + p->rows[i]; t++)
                for (int d = 0; d < p->head_dim; d++) {
                    store(s->host_k, s->cache, place_of(s, i, h, t) + d, exact());
                    store(s->host_v, s->cache, place_of(s, i, h, t) + d, exact() / 4);
                }
    s->key_memory = upload(s->k, s->host_k, s->cache_bytes);
    s->value_memory = upload(s->k, s->host_v, s->cache_bytes);
}

/* The view of the layer, of a cache of `blocks`. What lies between its rows stays no number. */
static void lay_out(struct setup *s, int blocks)
{
    size_t element = kernel_dtype_bytes(s->cache), before = 0;
    kernel_kv_by_head(&s->kv);
    if (s->layout != BY_HEAD)
        kernel_kv_by_token(&s->kv);
    if (s->layout == ACROSS_LAYERS) {
        before = (size_t)s->kv.token_stride * element;
        s->kv.token_stride *= 3;
        s->kv.block_stride *= 3;
    }
    s->cache_bytes = (size_t)(blocks * s->kv.block_stride) * element;
    fill_cache(s);
    s->kv.k = s->key_memory + before;
    s->kv.v = s->value_memory + before;
}

static void set_up(struct setup *s, struct kernels *k, const struct shape *p, enum kernel_dtype cache,
                   enum layout layout)
{
    memset(s, 0, sizeof *s);
    s->shape = p, s->layout = layout, s->k = k, s->activation = k->activation, s->cache = cache;
    s->a = (struct kernel_attention){p->heads,  p->kv_heads, p->head_dim, 1 / sqrtf((float)p->head_dim),
                                     p->window, p->causal};
    s->batch.sequences = p->sequences;
    for (int i = 0; i < p->sequences; i++) {
        int total = p->context[i] + p->rows[i];
        s->row_start[i + 1] = s->row_start[i] + p->rows[i];
        s->batch.max_rows = p->rows[i] > s->batch.max_rows ? p->rows[i] : s->batch.max_rows;
        s->batch.max_context = total > s->batch.max_context ? total : s->batch.max_context;
    }
    s->batch.rows = s->row_start[p->sequences];
    s->batch.row_start = upload(k, s->row_start, sizeof s->row_start);
    s->batch.context = upload(k, p->context, sizeof p->context);
    s->kv = (struct kernel_kv){.dtype = cache,
                               .block_size = s->batch.max_context + 3,
                               .kv_heads = p->kv_heads,
                               .head_dim = p->head_dim};
    int blocks = p->sequences;
    if (p->block_size) {
        s->kv.block_size = p->block_size;
        s->kv.table_stride = (s->batch.max_context + p->block_size - 1) / p->block_size;
        blocks = p->sequences * s->kv.table_stride;
        for (int i = 0; i < blocks; i++)
            s->table[i] = i;
        for (int i = blocks - 1; i > 0; i--) { /* shuffled */
            int j = below(i + 1), other = s->table[i];
            s->table[i] = s->table[j], s->table[j] = other;
        }
        s->kv.table = upload(k, s->table, sizeof s->table);
    }
    lay_out(s, blocks);
    s->q_stride = p->heads * p->head_dim + p->q_gap;
    s->q_bytes = (size_t)(s->batch.rows * s->q_stride) * kernel_dtype_bytes(k->activation);
    s->host_q = malloc(s->q_bytes);
    for (int i = 0; i < s->batch.rows * s->q_stride; i++)
        store(s->host_q, k->activation, i, exact());
    s->elements = (int64_t)s->batch.rows * p->heads * p->head_dim;
}

static void tear_down(struct setup *s)
{
    const struct kernel_ops *ops = s->k->ops;
    ops->free(s->k, s->key_memory, s->cache_bytes), ops->free(s->k, s->value_memory, s->cache_bytes);
    ops->free(s->k, (void *)(uintptr_t)s->batch.row_start, sizeof s->row_start);
    ops->free(s->k, (void *)(uintptr_t)s->batch.context, sizeof s->shape->context);
    ops->free(s->k, (void *)(uintptr_t)s->kv.table, s->kv.table ? sizeof s->table : 0);
    free(s->host_q), free(s->host_k), free(s->host_v);
}

static void oracle_row(const struct setup *s, int sequence, int r, int head, double *o)
{
    int dim = s->a.head_dim, kv_head = head / (s->a.heads / s->a.kv_heads);
    int position = s->shape->context[sequence] + r,
        total = s->shape->context[sequence] + s->shape->rows[sequence];
    int high = s->a.causal ? position + 1 : total, low = 0;
    if (s->a.causal && s->a.window && position - s->a.window + 1 > 0)
        low = position - s->a.window + 1;
    int64_t q = (int64_t)(s->row_start[sequence] + r) * s->q_stride + (int64_t)head * dim;
    double sum = 0, scores[2048], top = -INFINITY;
    for (int t = low; t < high; t++) {
        int64_t k = place_of(s, sequence, kv_head, t);
        scores[t] = 0;
        for (int d = 0; d < dim; d++)
            scores[t] +=
                (double)fetch(s->host_q, s->activation, q + d) * (double)fetch(s->host_k, s->cache, k + d);
        scores[t] *= (double)s->a.scale;
        top = fmax(top, scores[t]);
    }
    memset(o, 0, (size_t)dim * sizeof *o);
    for (int t = low; t < high; t++) {
        int64_t v = place_of(s, sequence, kv_head, t);
        double p = exp(scores[t] - top);
        sum += p;
        for (int d = 0; d < dim; d++)
            o[d] += p * (double)fetch(s->host_v, s->cache, v + d);
    }
    for (int d = 0; d < dim; d++)
        o[d] /= sum;
}

static void run(struct setup *s, enum way way, const void *q, void *out, size_t bytes)
{
    struct kernels *k = s->k;
    if (way == NAIVE || way == FLASH) {
        bytes = way == FLASH ? k->ops->attention_flash_workspace(k, &s->a, &s->batch)
                             : k->ops->attention_naive_workspace(k, &s->a, &s->batch);
    }
    char *none = malloc(bytes + GUARD), *workspace;
    memset(none, 0xff, bytes + GUARD);
    workspace = upload(k, none, bytes + GUARD);
    if (way == NAIVE)
        k->ops->attention_naive(k, out, q, s->q_stride, &s->kv, &s->a, &s->batch, workspace);
    else if (way == FLASH)
        k->ops->attention_flash(k, out, q, s->q_stride, &s->kv, &s->a, &s->batch, workspace);
    else {
        struct cuda_attention call = {k, out, q, s->q_stride, &s->kv, &s->a, &s->batch, workspace};
        int rows = way == SPLIT ? CUDA_DECODE_F16_ROWS : cuda_decode_any_rows(s->a.head_dim);
        int packed = s->batch.max_rows * (s->a.heads / s->a.kv_heads);
        struct cuda_splits splits = {5, rows, (packed + rows - 1) / rows, 64};
        (way == SPLIT ? cuda_decode_f16 : cuda_decode_any)(&call, splits);
    }
    char *after = malloc(GUARD);
    k->ops->download(k, after, workspace + bytes, GUARD);
    if (memcmp(after, none, GUARD) != 0)
        TEST_FAIL("%s wrote beyond its workspace of %zu bytes", ways[way], bytes);
    k->ops->free(k, workspace, bytes + GUARD);
    free(none), free(after);
}

/* Scores up to about 40 (fp32: errors of some 1e-6 each), weights and outputs rounded to the type: outputs
 * stay below 0.75, so that each rounding is at most 2^-12 in fp16 and 2^-9 in bf16. */
static void check(struct kernels *cuda, const struct shape *p, const char *name, enum kernel_dtype activation,
                  enum kernel_dtype cache, enum layout layout, enum way way)
{
    static const double allowed[] = {2e-5, 6e-4, 5e-3};
    struct kernels *k = cuda->ops->view(cuda, activation);
    struct setup s;
    set_up(&s, k, p, cache, layout);
    size_t element = kernel_dtype_bytes(activation), bytes = (size_t)s.elements * element + GUARD;
    size_t items = (size_t)(p->sequences * s.batch.max_rows * p->heads);
    char *host = malloc(bytes);
    memset(host, 0xff, bytes);
    void *q = upload(k, s.host_q, s.q_bytes), *out = upload(k, host, bytes);
    run(&s, way, q, out, items * 5 * (size_t)(p->head_dim + 2) * sizeof(float));
    k->ops->download(k, host, out, bytes);
    double worst = 0, *want = malloc((size_t)p->head_dim * sizeof *want);
    for (int i = 0; i < p->sequences; i++)
        for (int r = 0; r < p->rows[i]; r++)
            for (int h = 0; h < p->heads; h++) {
                oracle_row(&s, i, r, h, want);
                for (int d = 0; d < p->head_dim; d++) {
                    int64_t at = ((int64_t)(s.row_start[i] + r) * p->heads + h) * p->head_dim + d;
                    double off = fabs((double)fetch(host, activation, at) - want[d]);
                    worst = off <= worst ? worst : off; /* a NaN stays */
                }
            }
    if (!(worst <= allowed[activation]))
        TEST_FAIL("%s, %s, %s with %s cache %s: off by %g", ways[way], name, kernel_dtype_name(activation),
                  kernel_dtype_name(cache), layouts[layout], worst);
    for (size_t i = (size_t)s.elements * element; i < bytes; i++)
        if (host[i] != (char)0xff) {
            TEST_FAIL("%s, %s wrote beyond the output", ways[way], name);
            break;
        }
    if (cuda->ops->error(cuda))
        TEST_FAIL("%s, %s: %s", ways[way], name, cuda->ops->error(cuda));
    k->ops->free(k, q, s.q_bytes), k->ops->free(k, out, bytes);
    free(host), free(want);
    tear_down(&s);
}

static struct kernels *open_cuda(void)
{
    char why[200] = "";
    struct kernels_config config = {.product = "own"};
    struct kernels *k = kernels_open_cuda(0, &config, why, sizeof why);
    if (!k) {
        TEST_FAIL("cannot open: %s", why);
        exit(1);
    }
    return k;
}

static void check_shapes(const struct shape *shapes, size_t count, const char *what, enum way way)
{
    struct kernels *k = open_cuda();
    for (size_t i = 0; i < count; i++)
        for (int type = 0; type < 3; type++) {
            char name[80];
            snprintf(name, sizeof name, "%s %zu", what, i);
            enum way this_way = way == SPLIT && type == KERNEL_FP32 ? SPLIT_ANY : way;
            check(k, &shapes[i], name, (enum kernel_dtype)type, (enum kernel_dtype)type,
                  (enum layout)((i + (size_t)type) % LAYOUTS), this_way);
        }
    k->ops->close(k);
}
#define CHECK_SHAPES(shapes, way) check_shapes(shapes, sizeof(shapes) / sizeof *(shapes), #shapes, way)

static const struct shape prompts[] = {
    {2, 1, 64, 0, true, 0, 1, {0}, {70}, 0},
    {3, 3, 80, 0, true, 16, 1, {0}, {67}, 0},
    {4, 2, 128, 0, true, 16, 2, {0, 37}, {9, 66}, 256},
    {2, 2, 64, 0, false, 0, 3, {0, 0, 0}, {17, 0, 65}, 64},
    {2, 1, 16, 21, true, 0, 2, {0, 150}, {90, 20}, 0},
    {2, 2, 128, 70, true, 32, 1, {130}, {66}, 0},
    {1, 1, 256, 0, true, 8, 1, {3}, {40}, 0},
    {2, 2, 24, 0, false, 256, 2, {0, 0}, {33, 40}, 0},
    {3, 1, 104, 0, true, 12, 1, {30}, {20}, 0}, /* block size no power of two, head a multiple of 8 alone */
};

TEST(prompts_of_every_head_size_equal_the_double_loops)
{
    CHECK_SHAPES(prompts, FLASH);
}

TEST(unfused_attention_equals_the_double_loops)
{
    CHECK_SHAPES(prompts, NAIVE);
}

/* Head sizes that are no multiple of 8, rows that do not start at multiples of 16 bytes. */
static const struct shape odd[] = {
    {2, 1, 20, 0, true, 4, 2, {0, 9}, {40, 1}, 3}, {2, 2, 64, 0, true, 16, 1, {5}, {67}, 1},
    {3, 1, 7, 5, true, 0, 2, {40, 0}, {1, 1}, 0},  {2, 1, 130, 0, true, 16, 1, {3}, {35}, 0},
    {2, 2, 64, 0, true, 0, 1, {70}, {1}, 2},       {2, 1, 264, 0, true, 0, 1, {2}, {18}, 0},
};

TEST(odd_widths_and_unaligned_rows_take_the_slower_path_to_the_same_result)
{
    CHECK_SHAPES(odd, FLASH);
    CHECK_SHAPES(odd, NAIVE);
}

static const struct shape steps[] = {
    {8, 2, 128, 0, true, 16, 4, {450, 0, 63, 64}, {1, 1, 1, 1}, 512},
    {4, 4, 64, 0, true, 256, 2, {300, 15}, {1, 1}, 0},
    {4, 1, 80, 0, true, 0, 2, {100, 257}, {1, 1}, 0},
    {2, 2, 128, 50, true, 16, 2, {400, 20}, {1, 1}, 0},
    {34, 1, 16, 0, true, 4, 2, {80, 1}, {1, 1}, 0},
    {2, 1, 256, 0, true, 16, 1, {140}, {1}, 0},
    {4, 2, 64, 30, true, 16, 3, {200, 3, 90}, {3, 0, 5}, 0},
    {2, 2, 8, 0, false, 3, 2, {0, 0}, {4, 1}, 0},
};

TEST(decode_equals_the_double_loops)
{
    CHECK_SHAPES(steps, FLASH);
}

TEST(decode_shared_by_five_blocks_equals_the_double_loops)
{
    CHECK_SHAPES(steps, SPLIT);
}

TEST(unfused_decode_equals_the_double_loops)
{
    CHECK_SHAPES(steps, NAIVE);
}

TEST(long_contexts_are_shared_by_the_number_of_blocks_that_the_device_has_places_for)
{
    static const struct shape far[] = {{2, 1, 128, 0, true, 16, 2, {900, 130}, {1, 1}, 0}};
    CHECK_SHAPES(far, FLASH);
}

TEST(a_cache_of_another_type_than_the_activations_is_read_as_it_is)
{
    static const struct shape mixed[] = {{4, 2, 64, 0, true, 16, 2, {0, 20}, {40, 3}, 0},
                                         {4, 2, 64, 0, true, 16, 2, {90, 20}, {1, 1}, 0}};
    struct kernels *k = open_cuda();
    for (int i = 0; i < 2; i++)
        for (int activation = 0; activation < 3; activation++) {
            enum kernel_dtype cache = (enum kernel_dtype)((activation + 1 + i) % 3);
            check(k, &mixed[i], "mixed types", (enum kernel_dtype)activation, cache, BY_HEAD, FLASH);
            check(k, &mixed[i], "mixed types", (enum kernel_dtype)activation, cache, BY_TOKEN, NAIVE);
        }
    k->ops->close(k);
}

TEST(random_ragged_shapes_equal_the_double_loops)
{
    noise_state = 2026;
    struct kernels *k = open_cuda();
    for (int i = 0; i < 16; i++) {
        struct shape p = {
            .kv_heads = 1 + below(2), .head_dim = 8 * (1 + below(16)), .sequences = 1 + below(4)};
        p.heads = p.kv_heads * (1 + below(4));
        p.causal = below(4) > 0;
        p.window = p.causal && below(2) ? 1 + below(80) : 0;
        p.block_size = below(2) ? 1 << (2 + below(6)) : 0;
        for (int j = 0; j < p.sequences; j++) {
            p.context[j] = p.causal && below(2) ? below(120) : 0;
            p.rows[j] = 1 + below(below(2) ? 3 : 70);
        }
        char name[120];
        snprintf(name, sizeof name, "random %d: heads %d/%d x %d window %d block %d sequences %d", i, p.heads,
                 p.kv_heads, p.head_dim, p.window, p.block_size, p.sequences);
        enum kernel_dtype type = (enum kernel_dtype)below(3);
        enum layout layout = (enum layout)(i % LAYOUTS);
        check(k, &p, name, type, type, layout, FLASH);
        check(k, &p, name, type, type, layout, NAIVE);
    }
    k->ops->close(k);
}

TEST(a_workspace_never_shrinks_as_rows_or_tokens_grow)
{
    struct kernels *k = open_cuda();
    struct kernel_attention a = {32, 8, 128, 0.1f, 0, true};
    for (int sequences = 1; sequences < 600; sequences = sequences * 2 + 1)
        for (int context = 64; context < 100000; context *= 3) {
            size_t before = 0;
            for (int rows = 1; rows < 5000; rows = rows * 2 + 1) {
                struct kernel_batch batch = {sequences, sequences * rows, rows, context, NULL, NULL};
                size_t now = k->ops->attention_flash_workspace(k, &a, &batch);
                batch.max_context = context * 3;
                CHECK(k->ops->attention_flash_workspace(k, &a, &batch) >= now);
                CHECK(now >= before);
                before = now;
            }
        }
    k->ops->close(k);
}
