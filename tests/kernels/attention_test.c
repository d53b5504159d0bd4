/* Naive and flash attention, rotary positions and both caches, against double loops, at every level. */
#include "tests/kernels/fixture.h"

struct shape {
    int heads, kv_heads, head_dim, window;
    bool causal;
    int block_size; /* 0: contiguous */
    int sequences;
    int context[4], rows[4];
};

static const struct shape shapes[] = {
    {1, 1, 8, 0, true, 0, 1, {0}, {1}},
    {2, 2, 8, 0, true, 4, 1, {0}, {7}},
    {4, 2, 16, 0, true, 16, 3, {0, 5, 70}, {9, 1, 3}},
    {4, 1, 16, 5, true, 0, 2, {0, 20}, {40, 1}},
    {3, 3, 64, 0, false, 0, 2, {0, 0}, {17, 70}},
    {2, 1, 80, 0, true, 32, 1, {0}, {131}},
    {4, 4, 128, 50, true, 16, 2, {100, 3}, {33, 1}},
    {8, 2, 64, 0, true, 16, 4, {300, 1, 64, 63}, {1, 1, 1, 1}},
    {8, 1, 40, 64, true, 0, 1, {500}, {1}},
    {6, 2, 64, 0, true, 0, 1, {0}, {200}},
    {2, 2, 24, 0, false, 8, 1, {0}, {1}},
    {96, 1, 8, 0, true, 4, 2, {2, 30}, {3, 1}},
};

struct setup {
    struct kernels *k;
    struct kernel_attention a;
    struct kernel_kv kv;
    struct kernel_batch batch;
    int32_t row_start[5], context[4], table[4 * 512];
    char *key_memory, *value_memory; /* what kv's arrays lie in */
    float *q, *keys[4], *values[4];  /* per sequence: [tokens, kv_heads, head_dim] as the cache rounds them */
    size_t cache_bytes;
    int q_stride;
};

static void write_tokens(struct setup *s, const struct shape *shape)
{
    struct kernels *k = s->k;
    int width = s->a.kv_heads * s->a.head_dim, total = 0;
    int32_t zero[4] = {0}, starts[5] = {0};
    for (int i = 0; i < shape->sequences; i++)
        starts[i + 1] = total += shape->context[i] + shape->rows[i];
    float *keys = noise_array((size_t)(total * width)), *values = noise_array((size_t)(total * width));
    struct kernel_batch all = {shape->sequences, total, total, total, starts, zero};
    for (int i = 0; i < total * width; i++) /* values that fp16 and bf16 hold exactly */
        keys[i] = roundf(keys[i] * 64) / 64, values[i] = roundf(values[i] * 64) / 64;
    k->ops->cache_write(k, &s->kv, keys, values, width, &all);
    for (int i = 0; i < shape->sequences; i++) {
        size_t bytes = (size_t)((starts[i + 1] - starts[i]) * width) * sizeof(float);
        s->keys[i] = malloc(bytes), s->values[i] = malloc(bytes);
        memcpy(s->keys[i], keys + starts[i] * width, bytes);
        memcpy(s->values[i], values + starts[i] * width, bytes);
    }
    free(keys), free(values);
}

/* Heads apart, tokens whole, or tokens whole with this layer as the second of three inside them. */
enum layout { BY_HEAD, BY_TOKEN, ACROSS_LAYERS, LAYOUTS };
static const char *const layouts[] = {"by head", "by token", "across layers"};

/* Memory for the cache, all of it no number: what lies between a layer's rows must not be read. */
static void lay_out(struct setup *s, enum layout layout, int blocks)
{
    size_t element = kernel_dtype_bytes(s->kv.dtype), before = 0;
    kernel_kv_by_head(&s->kv);
    if (layout != BY_HEAD)
        kernel_kv_by_token(&s->kv);
    if (layout == ACROSS_LAYERS) {
        before = (size_t)s->kv.token_stride * element;
        s->kv.token_stride *= 3;
        s->kv.block_stride *= 3;
    }
    s->cache_bytes = (size_t)(blocks * s->kv.block_stride) * element;
    s->key_memory = s->k->ops->alloc(s->k, s->cache_bytes);
    s->value_memory = s->k->ops->alloc(s->k, s->cache_bytes);
    memset(s->key_memory, 0xff, s->cache_bytes);
    memset(s->value_memory, 0xff, s->cache_bytes);
    s->kv.k = s->key_memory + before;
    s->kv.v = s->value_memory + before;
}

static void set_up(struct setup *s, struct kernels *k, const struct shape *shape, enum kernel_dtype dtype,
                   enum layout layout)
{
    memset(s, 0, sizeof *s);
    s->k = k;
    s->a = (struct kernel_attention){shape->heads,    shape->kv_heads,
                                     shape->head_dim, 1 / sqrtf((float)shape->head_dim),
                                     shape->window,   shape->causal};
    int longest = 0, blocks = 0;
    for (int i = 0; i < shape->sequences; i++) {
        int total = shape->context[i] + shape->rows[i];
        s->row_start[i + 1] = s->row_start[i] + shape->rows[i];
        s->context[i] = shape->context[i];
        longest = total > longest ? total : longest;
        s->batch.max_rows = shape->rows[i] > s->batch.max_rows ? shape->rows[i] : s->batch.max_rows;
    }
    s->batch.sequences = shape->sequences;
    s->batch.rows = s->row_start[shape->sequences];
    s->batch.max_context = longest;
    s->batch.row_start = s->row_start;
    s->batch.context = s->context;
    s->kv = (struct kernel_kv){
        .dtype = dtype, .block_size = longest + 3, .kv_heads = shape->kv_heads, .head_dim = shape->head_dim};
    blocks = shape->sequences;
    if (shape->block_size) {
        int per_sequence = (longest + shape->block_size - 1) / shape->block_size;
        s->kv.block_size = shape->block_size;
        s->kv.table = s->table;
        s->kv.table_stride = per_sequence;
        blocks = shape->sequences * per_sequence;
        for (int i = 0; i < blocks; i++) /* scattered, last block first */
            s->table[i] = blocks - 1 - i;
    }
    lay_out(s, layout, blocks);
    s->q_stride = shape->heads * shape->head_dim + 7;
    s->q = noise_array((size_t)(s->batch.rows * s->q_stride));
    for (int i = 0; i < s->batch.rows * s->q_stride; i++)
        s->q[i] *= 3;
    write_tokens(s, shape);
}

static void tear_down(struct setup *s)
{
    for (int i = 0; i < s->batch.sequences; i++)
        free(s->keys[i]), free(s->values[i]);
    s->k->ops->free(s->k, s->key_memory, s->cache_bytes);
    s->k->ops->free(s->k, s->value_memory, s->cache_bytes);
    free(s->q);
}

static void oracle(const struct setup *s, double *out)
{
    int dim = s->a.head_dim, group = s->a.heads / s->a.kv_heads, width = s->a.kv_heads * dim;
    for (int i = 0; i < s->batch.sequences; i++)
        for (int r = 0; r < s->row_start[i + 1] - s->row_start[i]; r++)
            for (int h = 0; h < s->a.heads; h++) {
                int row = s->row_start[i] + r, position = s->context[i] + r;
                int high = s->a.causal ? position + 1 : s->context[i] + s->row_start[i + 1] - s->row_start[i];
                int low = s->a.causal && s->a.window && position - s->a.window + 1 > 0
                              ? position - s->a.window + 1
                              : 0;
                double total = 0, *o = out + ((size_t)row * (size_t)s->a.heads + (size_t)h) * (size_t)dim;
                memset(o, 0, (size_t)dim * sizeof *o);
                for (int t = low; t < high; t++) {
                    double score = 0;
                    for (int d = 0; d < dim; d++)
                        score += (double)s->q[row * s->q_stride + h * dim + d] *
                                 (double)s->keys[i][t * width + h / group * dim + d];
                    double p = exp(score * (double)s->a.scale);
                    total += p;
                    for (int d = 0; d < dim; d++)
                        o[d] += p * (double)s->values[i][t * width + h / group * dim + d];
                }
                for (int d = 0; d < dim; d++)
                    o[d] /= total;
            }
}

/* Scores up to about 15 and their exponentials in fp32: errors of a few 1e-6 of values below 1. */
static void check_shape(struct kernels *k, const char *level, const struct shape *shape, const char *name,
                        enum kernel_dtype dtype, enum layout layout, bool flash)
{
    struct setup s;
    set_up(&s, k, shape, dtype, layout);
    size_t n = (size_t)(s.batch.rows * s.a.heads * s.a.head_dim);
    double *want = malloc(n * sizeof *want);
    float *out = noise_array(n);
    oracle(&s, want);
    size_t bytes = flash ? k->ops->attention_flash_workspace(k, &s.a, &s.batch)
                         : k->ops->attention_naive_workspace(k, &s.a, &s.batch);
    void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
    (flash ? k->ops->attention_flash : k->ops->attention_naive)(k, out, s.q, s.q_stride, &s.kv, &s.a,
                                                                &s.batch, workspace);
    char what[120];
    snprintf(what, sizeof what, "%s, %s, %s cache %s", flash ? "flash" : "naive", name,
             kernel_dtype_name(dtype), layouts[layout]);
    check_near(what, level, out, want, n, 5e-6, 1);
    k->ops->free(k, workspace, bytes);
    free(want), free(out);
    tear_down(&s);
}

static void check_attention(bool flash, int threads)
{
    static const enum kernel_dtype dtypes[] = {KERNEL_FP32, KERNEL_FP16, KERNEL_BF16};
    for (int level = 0; level < LEVELS; level++) {
        struct kernels *k = open_level(levels[level], "own", threads);
        for (int i = 0; k && i < 3; i++)
            for (size_t j = 0; j < sizeof shapes / sizeof *shapes; j++) {
                char name[20];
                snprintf(name, sizeof name, "shape %zu", j);
                for (int layout = 0; layout < LAYOUTS; layout++)
                    check_shape(k, levels[level], &shapes[j], name, dtypes[i], (enum layout)layout, flash);
            }
        if (k)
            k->ops->close(k);
    }
}

static int below(int n)
{
    return (int)((noise() + 1) / 2 * (float)n) % n;
}

TEST(random_ragged_shapes_equal_the_double_loops)
{
    noise_state = 2026;
    for (int i = 0; i < 60; i++) {
        struct shape shape = {
            .kv_heads = 1 + below(3), .head_dim = 8 * (1 + below(12)), .sequences = 1 + below(4)};
        shape.heads = shape.kv_heads * (1 + below(5));
        shape.causal = below(4) > 0;
        shape.window = shape.causal && below(2) ? 1 + below(80) : 0;
        shape.block_size = below(2) ? 1 << below(7) : 0;
        for (int j = 0; j < shape.sequences; j++) {
            shape.context[j] = shape.causal && below(2) ? below(150) : 0;
            shape.rows[j] = 1 + below(below(2) ? 3 : 90);
        }
        char name[120];
        snprintf(name, sizeof name, "random %d: heads %d/%d x %d window %d block %d sequences %d", i,
                 shape.heads, shape.kv_heads, shape.head_dim, shape.window, shape.block_size,
                 shape.sequences);
        const char *level = levels[below(LEVELS)];
        struct kernels *k = open_level(level, "own", 1 + below(5));
        if (!k)
            k = open_level(level = "auto", "own", 1 + below(5));
        enum kernel_dtype dtype = (enum kernel_dtype)below(3);
        enum layout layout = (enum layout)below(LAYOUTS);
        check_shape(k, level, &shape, name, dtype, layout, true);
        check_shape(k, level, &shape, name, dtype, layout, false);
        k->ops->close(k);
    }
}

TEST(naive_attention_equals_the_double_loops)
{
    check_attention(false, 2);
}

TEST(flash_attention_equals_the_double_loops)
{
    check_attention(true, 2);
}

TEST(flash_attention_with_one_and_with_many_threads_equals_the_double_loops)
{
    check_attention(true, 1);
    check_attention(true, 7);
}

TEST(rope_rotates_pairs_half_a_head_apart_by_their_angle)
{
    FOR_EACH_LEVEL(k)
    {
        enum { DIMS = 6, HEAD = 10, HEADS = 3, POSITIONS = 12, STRIDE = HEAD * HEADS + 1 };
        float table[POSITIONS * DIMS], x[3 * STRIDE], before[3 * STRIDE];
        for (int p = 0; p < POSITIONS; p++)
            for (int i = 0; i < DIMS / 2; i++) {
                table[(p * DIMS / 2 + i) * 2] = cosf((float)p * powf(10, (float)-i));
                table[(p * DIMS / 2 + i) * 2 + 1] = sinf((float)p * powf(10, (float)-i));
            }
        for (int i = 0; i < 3 * STRIDE; i++)
            before[i] = x[i] = noise();
        int32_t row_start[] = {0, 2, 3}, context[] = {4, 11};
        struct kernel_batch batch = {2, 3, 2, 12, row_start, context};
        struct kernel_rope rope = {table, DIMS};
        k->ops->rope(k, x, STRIDE, HEADS, HEAD, &rope, &batch);
        static const int positions[] = {4, 5, 11};
        for (int r = 0; r < 3; r++)
            for (int h = 0; h < HEADS; h++)
                for (int i = 0; i < HEAD; i++) {
                    const float *b = before + r * STRIDE + h * HEAD;
                    double want = (double)b[i], half = DIMS / 2;
                    if (i < DIMS) {
                        double angle = positions[r] * pow(10, -(i % 3));
                        want = i < 3 ? b[i] * cos(angle) - b[i + 3] * sin(angle)
                                     : b[i] * cos(angle) + b[i - 3] * sin(angle);
                    }
                    (void)half;
                    CHECK_CLOSE((double)x[r * STRIDE + h * HEAD + i] + 4, want + 4, 1e-6);
                }
    }
}

TEST(rope_cache_equals_rope_of_q_and_k_then_cache_write)
{
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < 3; dtype++) {
        enum { HEADS = 4, KV = 2, DIM = 24, DIMS = 16, STRIDE = (HEADS + 2 * KV) * DIM, ROWS = 5 };
        float *table = noise_array(40 * DIMS), *x = noise_array(ROWS * STRIDE), y[ROWS * STRIDE];
        memcpy(y, x, sizeof y);
        int32_t row_start[] = {0, 4, 5}, context[] = {7, 30}, blocks[] = {3, 1, 0, 5, 2, 4, 7, 6};
        struct kernel_batch batch = {2, 5, 4, 31, row_start, context};
        struct kernel_rope rope = {table, DIMS};
        struct kernel_attention a = {HEADS, KV, DIM, 1, 0, true};
        size_t bytes = 8 * KV * 8 * DIM * kernel_dtype_bytes((enum kernel_dtype)dtype);
        void *caches[4];
        for (int i = 0; i < 4; i++)
            caches[i] = k->ops->alloc(k, bytes);
        struct kernel_kv one = {.dtype = (enum kernel_dtype)dtype,
                                .k = caches[0],
                                .v = caches[1],
                                .table = blocks,
                                .table_stride = 4,
                                .block_size = 8,
                                .kv_heads = KV,
                                .head_dim = DIM};
        dtype == KERNEL_FP32 ? kernel_kv_by_head(&one) : kernel_kv_by_token(&one);
        struct kernel_kv two = one;
        two.k = caches[2], two.v = caches[3];
        k->ops->rope_cache(k, x, STRIDE, &a, &rope, &one, &batch);
        k->ops->rope(k, y, STRIDE, HEADS, DIM, &rope, &batch);
        k->ops->rope(k, y + HEADS * DIM, STRIDE, KV, DIM, &rope, &batch);
        k->ops->cache_write(k, &two, y + HEADS * DIM, y + (HEADS + KV) * DIM, STRIDE, &batch);
        CHECK(memcmp(one.k, two.k, bytes) == 0 && memcmp(one.v, two.v, bytes) == 0);
        for (int r = 0; r < ROWS; r++)
            CHECK(memcmp(x + r * STRIDE, y + r * STRIDE, HEADS * DIM * sizeof(float)) == 0);
        for (int i = 0; i < 4; i++)
            k->ops->free(k, caches[i], bytes);
        free(table), free(x);
    }
}
