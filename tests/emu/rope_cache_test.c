/* Rotary positions and the cache: the steps apart against double loops, the fusion against the steps. */
#include "tests/emu/fixture.h"

struct shape {
    int heads, kv_heads, head_dim, dims, extra; /* extra: elements between the rows of qkv */
};
static const struct shape shapes[] = {{4, 2, 64, 64, 0},  {3, 3, 20, 20, 0},   {2, 1, 80, 32, 0},
                                      {5, 1, 172, 60, 4}, {2, 2, 128, 128, 8}, {2, 1, 16, 0, 0},
                                      {3, 1, 64, 64, 1}};
enum {
    SHAPES = sizeof shapes / sizeof *shapes,
    SEQUENCES = 4,
    ROWS = 8,
    POSITIONS = 12,
    BLOCK = 4,
    TABLE = 3
};

/* Sequences of 3, 0, 1 and 4 rows with 2, 9, 0 and 5 tokens cached; blocks in no order. */
static const int32_t row_start[SEQUENCES + 1] = {0, 3, 3, 4, 8}, context[SEQUENCES] = {2, 9, 0, 5};
static const int32_t table[SEQUENCES * TABLE] = {7, 2, 11, 0, 1, 3, 10, 4, 9, 5, 8, 6};
static const int row_sequence[ROWS] = {0, 0, 0, 2, 3, 3, 3, 3}, row_position[ROWS] = {2, 3, 4, 0, 5, 6, 7, 8};

struct fixture {
    struct kernels *k;
    struct shape s;
    int stride, q_width, kv_width;
    bool by_token;     /* caches hold whole tokens, else a head's tokens together */
    float *x, *angles; /* host: rows [q | k | v] as the activations hold them; [POSITIONS, dims / 2, 2] */
    size_t n, cache;   /* elements of qkv, of one of k and v */
    struct kernel_batch batch;
    struct kernel_rope rope;
    struct kernel_attention attention;
};

static struct fixture set_up(struct kernels *k, struct shape s)
{
    struct fixture f = {.k = k, .s = s};
    f.q_width = s.heads * s.head_dim;
    f.kv_width = s.kv_heads * s.head_dim;
    f.stride = f.q_width + 2 * f.kv_width + s.extra;
    f.n = (size_t)(ROWS * f.stride);
    f.cache = (size_t)(SEQUENCES * TABLE * BLOCK * f.kv_width);
    f.x = noise_array(f.n);
    narrow_array(k, f.x, f.n);
    size_t angles = (size_t)(POSITIONS * s.dims);
    f.angles = malloc((angles + 1) * sizeof *f.angles);
    for (int p = 0; p < POSITIONS; p++)
        for (int i = 0; i < s.dims / 2; i++) {
            double angle = p * pow(100, -2.0 * i / s.dims);
            f.angles[p * s.dims + 2 * i] = (float)cos(angle);
            f.angles[p * s.dims + 2 * i + 1] = (float)sin(angle);
        }
    f.rope =
        (struct kernel_rope){angles ? bytes_to_device(k, f.angles, angles * sizeof(float)) : NULL, s.dims};
    f.batch = (struct kernel_batch){SEQUENCES,
                                    ROWS,
                                    4,
                                    9,
                                    bytes_to_device(k, row_start, sizeof row_start),
                                    bytes_to_device(k, context, sizeof context)};
    f.attention = (struct kernel_attention){s.heads, s.kv_heads, s.head_dim, 1, 0, true};
    return f;
}

static void tear_down(struct fixture *f)
{
    struct kernels *k = f->k;
    if (f->rope.table)
        k->ops->free(k, (void *)(uintptr_t)f->rope.table, (size_t)(POSITIONS * f->s.dims) * sizeof(float));
    k->ops->free(k, (void *)(uintptr_t)f->batch.row_start, sizeof row_start);
    k->ops->free(k, (void *)(uintptr_t)f->batch.context, sizeof context);
    free(f->x), free(f->angles);
}

static struct kernel_kv new_cache(const struct fixture *f, enum kernel_dtype dtype, const int32_t *blocks)
{
    size_t bytes = f->cache * kernel_dtype_bytes(dtype);
    struct kernel_kv kv = {.dtype = dtype,
                           .k = f->k->ops->alloc(f->k, bytes),
                           .v = f->k->ops->alloc(f->k, bytes),
                           .table = blocks,
                           .table_stride = TABLE,
                           .block_size = blocks ? BLOCK : TABLE * BLOCK,
                           .kv_heads = f->s.kv_heads,
                           .head_dim = f->s.head_dim};
    f->by_token ? kernel_kv_by_token(&kv) : kernel_kv_by_head(&kv);
    return kv;
}

static void free_cache(const struct fixture *f, struct kernel_kv *kv)
{
    f->k->ops->free(f->k, kv->k, f->cache * kernel_dtype_bytes(kv->dtype));
    f->k->ops->free(f->k, kv->v, f->cache * kernel_dtype_bytes(kv->dtype));
}

/* A head rotated in double precision. */
static void rotate(double *out, const float *x, const float *angle, int head_dim, int dims)
{
    for (int i = 0; i < head_dim; i++)
        out[i] = (double)x[i];
    for (int i = 0; i < dims / 2; i++) {
        double c = (double)angle[2 * i], s = (double)angle[2 * i + 1], a = (double)x[i],
               b = (double)x[i + dims / 2];
        out[i] = a * c - b * s;
        out[i + dims / 2] = b * c + a * s;
    }
}

TEST(rope_rotates_the_first_dims_of_every_head_by_its_rows_position)
{
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int i = 0; i < SHAPES; i++) {
        struct fixture f = set_up(k, shapes[i]);
        double *want = malloc(f.n * sizeof *want);
        for (size_t j = 0; j < f.n; j++)
            want[j] = (double)f.x[j];
        for (int r = 0; r < ROWS; r++)
            for (int h = 0; h < f.s.heads; h++)
                rotate(want + r * f.stride + h * f.s.head_dim, f.x + r * f.stride + h * f.s.head_dim,
                       f.angles + row_position[r] * f.s.dims, f.s.head_dim, f.s.dims);
        void *x = to_device(k, f.x, f.n);
        k->ops->rope(k, x, f.stride, f.s.heads, f.s.head_dim, &f.rope, &f.batch);
        check_device("rope", k, x, want, f.n, 1);
        free_array(k, x, f.n);
        free(want);
        tear_down(&f);
    }
    close_emulated(cuda);
}

/* Where a row's head stands in the cache, by the words of kernels.h. */
static size_t place(const struct fixture *f, const struct kernel_kv *kv, int row, int head)
{
    int t = row_position[row], s = row_sequence[row];
    int block = kv->table ? table[s * TABLE + t / BLOCK] : s, inside = t % kv->block_size;
    if (f->by_token)
        return (size_t)(((block * kv->block_size + inside) * f->s.kv_heads + head) * f->s.head_dim);
    return (size_t)(((block * f->s.kv_heads + head) * kv->block_size + inside) * f->s.head_dim);
}

/* The cache holds x's keys or values where they belong, rounded to its type, and zeros elsewhere. */
static void check_cache(const struct fixture *f, const struct kernel_kv *kv, const void *cache, int offset)
{
    float *want = calloc(f->cache, sizeof *want), *got = from_device_as(f->k, cache, f->cache, kv->dtype);
    for (int r = 0; r < ROWS; r++)
        for (int h = 0; h < f->s.kv_heads; h++)
            for (int i = 0; i < f->s.head_dim; i++) {
                float x = f->x[r * f->stride + offset + h * f->s.head_dim + i];
                want[place(f, kv, r, h) + (size_t)i] =
                    kv->dtype == KERNEL_FP32 ? x : widen(narrow(x, kv->dtype), kv->dtype);
            }
    CHECK(memcmp(got, want, f->cache * sizeof *got) == 0);
    free(want), free(got);
}

TEST(keys_and_values_reach_their_places_in_contiguous_and_paged_caches_of_every_type)
{
    struct kernels *cuda = open_emulated();
    int32_t *blocks = bytes_to_device(cuda, table, sizeof table);
    FOR_EACH_ACTIVATION(cuda, k)
    for (int i = 0; i < SHAPES; i++)
        for (int dtype = KERNEL_FP32; dtype <= KERNEL_BF16; dtype++)
            for (int way = 0; way < 4; way++) {
                struct fixture f = set_up(k, shapes[i]);
                int paged = way % 2;
                f.by_token = way / 2;
                struct kernel_kv kv = new_cache(&f, (enum kernel_dtype)dtype, paged ? blocks : NULL);
                char *x = to_device(k, f.x, f.n);
                size_t element = kernel_dtype_bytes(k->activation);
                k->ops->cache_write(k, &kv, x + (size_t)f.q_width * element,
                                    x + (size_t)(f.q_width + f.kv_width) * element, f.stride, &f.batch);
                check_cache(&f, &kv, kv.k, f.q_width);
                check_cache(&f, &kv, kv.v, f.q_width + f.kv_width);
                free_array(k, x, f.n);
                free_cache(&f, &kv);
                tear_down(&f);
            }
    cuda->ops->free(cuda, blocks, sizeof table);
    close_emulated(cuda);
}

/* Bytes of both, equal. */
static void check_equal(const char *what, struct kernels *k, const void *a, const void *b, size_t bytes)
{
    void *x = malloc(bytes), *y = malloc(bytes);
    k->ops->download(k, x, a, bytes);
    k->ops->download(k, y, b, bytes);
    if (memcmp(x, y, bytes) != 0)
        TEST_FAIL("%s in %s differs", what, kernel_dtype_name(k->activation));
    free(x), free(y);
}

TEST(rope_cache_leaves_the_queries_and_the_cache_that_the_steps_leave)
{
    struct kernels *cuda = open_emulated();
    int32_t *blocks = bytes_to_device(cuda, table, sizeof table);
    FOR_EACH_ACTIVATION(cuda, k)
    for (int i = 0; i < SHAPES; i++)
        for (int dtype = KERNEL_FP32; dtype <= KERNEL_BF16; dtype++)
            for (int way = 0; way < 4; way++) {
                struct fixture f = set_up(k, shapes[i]);
                int paged = way % 2;
                f.by_token = way / 2;
                struct kernel_kv apart = new_cache(&f, (enum kernel_dtype)dtype, paged ? blocks : NULL),
                                 fused = new_cache(&f, (enum kernel_dtype)dtype, paged ? blocks : NULL);
                char *x = to_device(k, f.x, f.n), *y = to_device(k, f.x, f.n);
                size_t element = kernel_dtype_bytes(k->activation),
                       bytes = f.cache * kernel_dtype_bytes(apart.dtype);
                char *keys = x + (size_t)f.q_width * element, *values = keys + (size_t)f.kv_width * element;
                k->ops->rope(k, x, f.stride, f.s.heads, f.s.head_dim, &f.rope, &f.batch);
                k->ops->rope(k, keys, f.stride, f.s.kv_heads, f.s.head_dim, &f.rope, &f.batch);
                k->ops->cache_write(k, &apart, keys, values, f.stride, &f.batch);
                k->ops->rope_cache(k, y, f.stride, &f.attention, &f.rope, &fused, &f.batch);
                check_equal("keys", k, apart.k, fused.k, bytes);
                check_equal("values", k, apart.v, fused.v, bytes);
                for (int r = 0; r < ROWS; r++)
                    check_equal("queries", k, x + (size_t)(r * f.stride) * element,
                                y + (size_t)(r * f.stride) * element, (size_t)f.q_width * element);
                free_array(k, x, f.n), free_array(k, y, f.n);
                free_cache(&f, &apart), free_cache(&f, &fused);
                tear_down(&f);
            }
    cuda->ops->free(cuda, blocks, sizeof table);
    close_emulated(cuda);
}

TEST(positions_are_read_when_the_step_runs_not_when_it_is_recorded)
{
    struct kernels *cuda = open_emulated();
    if (!cuda->ops->graph_begin)
        SKIP("no graphs");
    struct kernels *k = cuda->ops->view(cuda, KERNEL_FP32);
    struct fixture f = set_up(k, shapes[0]);
    struct kernel_kv kv = new_cache(&f, KERNEL_FP32, NULL);
    char *x = to_device(k, f.x, f.n);
    int32_t zero[SEQUENCES] = {0};
    k->ops->upload(k, (void *)(uintptr_t)f.batch.context, zero, sizeof zero);
    k->ops->synchronize(k);
    CHECK(k->ops->graph_begin(k));
    k->ops->cache_write(k, &kv, x + f.q_width * 4, x + (f.q_width + f.kv_width) * 4, f.stride, &f.batch);
    struct kernel_graph *g = k->ops->graph_end(k, NULL);
    CHECK(g != NULL);
    k->ops->upload(k, (void *)(uintptr_t)f.batch.context, context, sizeof context);
    k->ops->graph_launch(k, g);
    check_cache(&f, &kv, kv.k, f.q_width);
    k->ops->graph_destroy(k, g);
    free_array(k, x, f.n);
    free_cache(&f, &kv);
    tear_down(&f);
    close_emulated(cuda);
}
