/* The products of 1 to 8 rows on the stand-in for a GPU, against sums in double precision of the values that
 * the matrix holds (read_matrix). Three multiprocessors, so that blocks walk over many groups of tiles. */
#define _GNU_SOURCE
#include "kernels/kernels.h"
#include "tests/test.h"

#include <float.h>

static const enum kernel_dtype activations[] = {KERNEL_FP32, KERNEL_FP16, KERNEL_BF16};

static struct kernels *opened(void)
{
    char why[256] = "";
    setenv("EMULATED_MULTIPROCESSORS", "3", 1);
    struct kernels_config config = {0, "own", "auto"};
    struct kernels *k = kernels_open("cuda", &config, why, sizeof why);
    if (!k) {
        printf("the stand-in does not open: %s\n", why);
        exit(1);
    }
    return k;
}

static void closed(struct kernels *k)
{
    k->ops->synchronize(k);
    CHECK_STRING(k->ops->error(k) ? k->ops->error(k) : "fine", "fine");
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

/* ---- numbers ---- */

static uint32_t noise_state = 1;

/* -1 to 1 in 64ths: the same in every activation type. */
static float noise(void)
{
    noise_state = noise_state * 1664525u + 1013904223u;
    return (float)((int)(noise_state >> 24) % 129 - 64) / 64;
}

static float narrow(enum kernel_dtype type, float x, void *to)
{
    uint32_t bits;
    memcpy(&bits, &x, 4);
    if (type == KERNEL_FP32)
        memcpy(to, &x, 4);
    else if (type == KERNEL_BF16)
        memcpy(to, &(uint16_t){(uint16_t)(bits >> 16)}, 2);
    else
        memcpy(to,
               &(uint16_t){
                   (uint16_t)(x == 0 ? 0 : (bits >> 16 & 0x8000) | (((bits >> 13) - (112u << 10)) & 0x7fff))},
               2);
    return x;
}

static float widened(enum kernel_dtype type, const void *from, size_t i)
{
    if (type == KERNEL_FP32)
        return ((const float *)from)[i];
    uint16_t h = ((const uint16_t *)from)[i];
    uint32_t bits = (uint32_t)h << 16;
    float x;
    if (type == KERNEL_BF16)
        return memcpy(&x, &bits, 4), x;
    int exponent = h >> 10 & 31, fraction = h & 1023;
    x = exponent == 31 ? INFINITY
        : exponent     ? ldexpf((float)(1024 + fraction), exponent - 25)
                       : ldexpf((float)fraction, -24);
    return h >> 15 ? -x : x;
}

/* An array in device memory with what it holds. */
struct values {
    void *at;
    size_t n, bytes;
    float *plain;
};

static struct values new_values(struct kernels *k, enum kernel_dtype type, size_t n)
{
    size_t each = kernel_dtype_bytes(type);
    struct values v = {k->ops->alloc(k, n * each), n, n * each, malloc(n * sizeof(float))};
    char *raw = malloc(v.bytes);
    for (size_t i = 0; i < n; i++)
        v.plain[i] = narrow(type, noise(), raw + i * each);
    k->ops->upload(k, v.at, raw, v.bytes);
    k->ops->synchronize(k);
    free(raw);
    return v;
}

static void free_values(struct kernels *k, struct values *v)
{
    k->ops->free(k, v->at, v->bytes);
    free(v->plain);
}

/* cols, or the next number of columns that makes whole blocks where those are not padded. */
static int whole_cols(enum kernel_dtype dtype, int cols)
{
    int block = kernel_is_blocks(dtype) ? kernel_block_cols(dtype) : 1;
    return (cols + block - 1) / block * block;
}

/* Of the columns asked for or the next number that makes whole blocks. */
static struct kernel_matrix new_matrix(struct kernels *k, enum kernel_dtype dtype, int64_t rows,
                                       int cols_asked)
{
    int64_t cols = whole_cols(dtype, cols_asked);
    size_t part[3];
    kernel_matrix_parts(dtype, rows, cols, part);
    struct kernel_matrix m = {.dtype = dtype, .rows = rows, .cols = cols, .data = k->ops->alloc(k, part[0])};
    if (part[1])
        m.scales = k->ops->alloc(k, part[1]);
    if (part[2])
        m.codes = k->ops->alloc(k, part[2]);
    k->ops->generate(k, &m, 7, (uint64_t)(rows * 1000 + cols), KERNEL_UNIFORM, 1);
    return m;
}

static void free_matrix(struct kernels *k, struct kernel_matrix *m)
{
    size_t part[3];
    kernel_matrix_parts(m->dtype, m->rows, m->cols, part);
    k->ops->free(k, m->data, part[0]);
    k->ops->free(k, m->scales, part[1]);
    k->ops->free(k, m->codes, part[2]);
}

/* ---- the oracle ---- */

/* y = x . w + bias in double, with how far a sum in fp32 of weights rounded to the activations' type may be.
 */
struct judged {
    double y, off;
};

static struct judged dot(enum kernel_dtype activation, enum kernel_dtype dtype, const float *x,
                         const float *w, int cols, double bias)
{
    double sum = bias, size = fabs(bias);
    for (int i = 0; i < cols; i++) {
        sum += (double)x[i] * (double)w[i];
        size += fabs((double)x[i] * (double)w[i]);
    }
    bool nf4 = dtype == KERNEL_NF4 || dtype == KERNEL_NF4_DQ;
    double code = !nf4 || activation == KERNEL_FP32 ? 0 : activation == KERNEL_BF16 ? 0x1p-9 : 0x1p-12;
    return (struct judged){sum, size * (code + 0x1p-21)};
}

static double activated(double x, enum kernel_activation activation)
{
    switch (activation) {
    case KERNEL_GELU_TANH:
        return 0.5 * x * (1 + tanh(sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case KERNEL_GELU_ERF:
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    case KERNEL_SILU:
        return x / (1 + exp(-x));
    case KERNEL_TANH:
        return tanh(x);
    default:
        return x;
    }
}

static double rounding(enum kernel_dtype type)
{
    return type == KERNEL_FP32 ? 0x1p-22 : type == KERNEL_FP16 ? 0x1p-11 : 0x1p-8;
}

static const char *activation_name(const struct kernels *k)
{
    return kernel_dtype_name(k->activation);
}

/* ---- products ---- */

struct shape {
    int rows, n, cols, x_gap, out_gap; /* strides are wider by the gaps */
};

static void check_product(struct kernels *k, const struct kernel_matrix *m, const struct shape *s,
                          const struct kernel_epilogue *shape)
{
    int cols = (int)m->cols, x_stride = cols + s->x_gap, out_stride = s->n + s->out_gap;
    enum kernel_dtype out_type = shape->fp32 ? KERNEL_FP32 : k->activation;
    struct values x = new_values(k, k->activation, (size_t)s->rows * (size_t)x_stride);
    struct values out = new_values(k, out_type, (size_t)s->rows * (size_t)out_stride);
    struct values bias = new_values(k, KERNEL_FP32, (size_t)s->n);
    float *w = malloc((size_t)s->n * (size_t)cols * sizeof *w);
    char *got = malloc(out.bytes);
    struct kernel_epilogue epilogue = *shape;
    epilogue.bias = shape->bias ? bias.at : NULL;
    k->ops->read_matrix(k, m, 0, s->n, w);
    size_t bytes = k->ops->product_workspace(k, m, s->rows);
    void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
    k->ops->product(k, out.at, out_stride, x.at, x_stride, m, &epilogue, s->rows, workspace);
    k->ops->download(k, got, out.at, out.bytes);
    int bad = 0;
    for (int r = 0; r < s->rows && bad < 3; r++)
        for (int o = 0; o < out_stride && bad < 3; o++) {
            size_t at = (size_t)r * (size_t)out_stride + (size_t)o;
            double y = (double)widened(out_type, got, at), old = (double)out.plain[at];
            if (o >= s->n) { /* between the rows nothing is touched */
                if (y != old) {
                    bad++;
                    TEST_FAIL("%d x %d: out[%d] of row %d was overwritten", s->n, cols, o, r);
                }
                continue;
            }
            struct judged want =
                dot(k->activation, m->dtype, x.plain + (size_t)r * (size_t)x_stride,
                    w + (size_t)o * (size_t)cols, cols, shape->bias ? (double)bias.plain[o] : 0);
            double exact = activated(want.y, epilogue.activation) + (epilogue.accumulate ? old : 0);
            double off = 1.2 * want.off + rounding(out_type) * fabs(exact) + 1e-6;
            if (!(fabs(y - exact) <= off)) {
                bad++;
                TEST_FAIL("%s x %s, %d rows, %d x %d, activation %d%s%s%s, row %d output %d: %.9g, "
                          "not %.9g",
                          activation_name(k), kernel_dtype_name(m->dtype), s->rows, s->n, cols,
                          (int)epilogue.activation, shape->bias ? ", bias" : "",
                          epilogue.accumulate ? ", accumulated" : "", shape->fp32 ? ", fp32" : "", r, o, y,
                          exact);
            }
        }
    k->ops->free(k, workspace, bytes);
    free_values(k, &x), free_values(k, &out), free_values(k, &bias);
    free(w), free(got);
}

static const struct kernel_epilogue epilogues[] = {
    {NULL, KERNEL_LINEAR, false, true},
    {NULL, KERNEL_LINEAR, false, false},
    {(float[]){0}, KERNEL_GELU_TANH, false, true},
    {(float[]){0}, KERNEL_GELU_ERF, true, false},
    {NULL, KERNEL_LINEAR, true, false},
    {(float[]){0}, KERNEL_SILU, true, true},
    {(float[]){0}, KERNEL_TANH, false, false},
};
enum { EPILOGUES = sizeof epilogues / sizeof *epilogues };

/* Every activation type by every weight type; of blocks, whose kernels only read x, each type by one. */
#define FOR_EACH_PAIR(k, view, dtype)                                                                        \
    for (size_t a_ = 0; a_ < sizeof activations / sizeof *activations; a_++)                                 \
        for (struct kernels *view = (k)->ops->view(k, activations[a_]); view; view = NULL)                   \
            for (enum kernel_dtype dtype = KERNEL_FP32; dtype < KERNEL_DTYPES; dtype++)                      \
                if (!kernel_is_blocks(dtype) || (size_t)dtype % 3 == a_)

static void check_shapes(const struct shape *shapes, int count)
{
    struct kernels *k = opened();
    int turn = 0;
    FOR_EACH_PAIR(k, view, dtype)
    for (int i = 0; i < count; i++) {
        struct kernel_matrix m = new_matrix(view, dtype, shapes[i].n, shapes[i].cols);
        check_product(view, &m, &shapes[i], &epilogues[turn++ % EPILOGUES]);
        free_matrix(view, &m);
    }
    closed(k);
}

TEST(one_row_by_every_weight_and_activation_type_equals_the_double_sums)
{
    static const struct shape shapes[] = {{1, 1, 1, 0, 0},     {1, 5, 7, 3, 1},      {1, 33, 64, 0, 0},
                                          {1, 40, 72, 8, 5},   {1, 17, 600, 0, 0},   {1, 70, 256, 0, 2},
                                          {1, 16, 1024, 0, 0}, {1, 100, 2048, 0, 0}, {1, 19, 4104, 0, 0}};
    check_shapes(shapes, sizeof shapes / sizeof *shapes);
}

TEST(two_to_eight_rows_equal_the_double_sums)
{
    static const struct shape shapes[] = {{2, 37, 64, 8, 0},  {2, 16, 513, 0, 3},  {3, 50, 320, 0, 0},
                                          {3, 9, 33, 1, 1},   {4, 20, 1024, 0, 0}, {5, 31, 128, 16, 8},
                                          {5, 70, 77, 0, 0},  {8, 33, 256, 0, 0},  {8, 18, 1100, 4, 4},
                                          {8, 16, 2048, 0, 0}};
    check_shapes(shapes, sizeof shapes / sizeof *shapes);
}

TEST(blocks_that_walk_over_many_groups_of_tiles_store_every_output_once)
{
    static const struct shape shapes[] = {
        {1, 2000, 32, 0, 0}, {1, 700, 512, 0, 0}, {4, 1501, 64, 0, 3}, {8, 900, 96, 0, 0}};
    check_shapes(shapes, sizeof shapes / sizeof *shapes);
}

TEST(every_epilogue_is_applied_in_the_order_of_its_contract)
{
    struct kernels *k = opened();
    static const struct shape shape = {3, 21, 128, 0, 2};
    FOR_EACH_PAIR(k, view, dtype)
    {
        struct kernel_matrix m = new_matrix(view, dtype, shape.n, shape.cols);
        for (int e = 0; e < EPILOGUES; e++)
            check_product(view, &m, &shape, &epilogues[e]);
        free_matrix(view, &m);
    }
    closed(k);
}

TEST(x_too_large_for_shared_memory_is_read_where_it_stands)
{
    struct kernels *k = opened();
    static const struct shape shapes[] = {{8, 9, 14848, 0, 0}, {8, 3, 14848, 1, 0}, {7, 5, 16389, 0, 0}};
    FOR_EACH_PAIR(k, view, dtype)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        struct kernel_matrix m = new_matrix(view, dtype, shapes[i].n, shapes[i].cols);
        check_product(view, &m, &shapes[i], &epilogues[0]);
        free_matrix(view, &m);
    }
    closed(k);
}

TEST(a_view_of_rows_multiplies_as_those_rows_of_the_matrix)
{
    struct kernels *k = opened();
    FOR_EACH_PAIR(k, view, dtype)
    for (int cols = 61; cols <= 192; cols += 131) { /* with 192, 3 blocks a row: groups begin within rows */
        struct kernel_matrix m = new_matrix(view, dtype, 400, cols);
        static const int first[] = {1, 85, 86, 171, 300};
        for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
            struct kernel_matrix part = kernel_matrix_rows(&m, first[i], 100);
            check_product(view, &part, &(struct shape){2, 100, cols, 0, 0}, &epilogues[i % EPILOGUES]);
        }
        free_matrix(view, &m);
    }
    closed(k);
}

TEST(the_same_product_twice_gives_the_same_bits)
{
    struct kernels *k = opened();
    FOR_EACH_PAIR(k, view, dtype)
    {
        enum { ROWS = 5, N = 90, COLS = 1536 };
        struct kernel_matrix m = new_matrix(view, dtype, N, COLS);
        struct values x = new_values(view, view->activation, ROWS * COLS);
        float *out = view->ops->alloc(view, ROWS * N * sizeof(float));
        static float got[2][ROWS * N];
        for (int i = 0; i < 2; i++) {
            view->ops->product(view, out, N, x.at, COLS, &m, &(struct kernel_epilogue){.fp32 = true}, ROWS,
                               NULL);
            view->ops->download(view, got[i], out, sizeof got[i]);
        }
        CHECK(memcmp(got[0], got[1], sizeof got[0]) == 0);
        view->ops->free(view, out, ROWS * N * sizeof(float));
        free_values(view, &x);
        free_matrix(view, &m);
    }
    closed(k);
}

/* ---- gate_up ---- */

TEST(gate_up_equals_silu_of_gate_times_up)
{
    static const struct shape shapes[] = {{1, 5, 9},    {1, 24, 64}, {2, 67, 512}, {3, 8, 1024},
                                          {5, 40, 192}, {8, 67, 40}, {8, 500, 64}};
    struct kernels *k = opened();
    FOR_EACH_PAIR(k, view, dtype)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int rows = shapes[i].rows, f = shapes[i].n, cols = whole_cols(dtype, shapes[i].cols);
        struct kernel_matrix m = new_matrix(view, dtype, 2 * f, cols);
        struct values x = new_values(view, view->activation, (size_t)(rows * cols)),
                      out = new_values(view, view->activation, (size_t)(rows * f));
        float *w = malloc((size_t)(2 * f * cols) * sizeof *w);
        char *got = malloc(out.bytes);
        view->ops->read_matrix(view, &m, 0, 2 * f, w);
        size_t bytes = view->ops->gate_up_workspace(view, &m, rows);
        void *workspace = bytes ? view->ops->alloc(view, bytes) : NULL;
        view->ops->gate_up(view, out.at, x.at, &m, rows, workspace);
        view->ops->download(view, got, out.at, out.bytes);
        int bad = 0;
        for (int r = 0; r < rows; r++)
            for (int o = 0; o < f && bad < 3; o++) {
                const float *row = x.plain + r * cols;
                struct judged gate = dot(view->activation, dtype, row, w + o * cols, cols, 0),
                              up = dot(view->activation, dtype, row, w + (f + o) * cols, cols, 0);
                double s = activated(gate.y, KERNEL_SILU), want = s * up.y,
                       y = (double)widened(view->activation, got, (size_t)(r * f + o));
                double off = 1.2 * gate.off * (fabs(up.y) + up.off) + fabs(s) * up.off +
                             rounding(view->activation) * fabs(want) + 1e-6;
                if (!(fabs(y - want) <= off)) {
                    bad++;
                    TEST_FAIL("%s x %s, %d rows, %d x %d, row %d output %d: %.9g, not %.9g",
                              activation_name(view), kernel_dtype_name(dtype), rows, f, cols, r, o, y, want);
                }
            }
        view->ops->free(view, workspace, bytes);
        free_values(view, &x), free_values(view, &out);
        free_matrix(view, &m);
        free(w), free(got);
    }
    closed(k);
}

/* ---- head_argmax ---- */

static void head_argmax(struct kernels *k, int32_t *ids, const struct values *x, int x_stride,
                        const struct kernel_matrix *m, const float *bias, int rows)
{
    size_t bytes = k->ops->head_argmax_workspace(k, m, rows), of_ids = (size_t)rows * sizeof *ids;
    void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
    int32_t *there = k->ops->alloc(k, of_ids);
    k->ops->head_argmax(k, there, x->at, x_stride, m, bias, rows, workspace);
    k->ops->download(k, ids, there, of_ids);
    k->ops->free(k, there, of_ids);
    k->ops->free(k, workspace, bytes);
}

TEST(head_argmax_finds_the_largest_logit)
{
    static const struct shape shapes[] = {{1, 1, 8},     {1, 1501, 64}, {2, 333, 72},
                                          {3, 50, 1024}, {5, 1000, 33}, {8, 1501, 72}};
    struct kernels *k = opened();
    FOR_EACH_PAIR(k, view, dtype)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        int rows = shapes[i].rows, n = shapes[i].n, cols = whole_cols(dtype, shapes[i].cols),
            stride = cols + (int)i % 2 * 8;
        struct kernel_matrix m = new_matrix(view, dtype, n, cols);
        struct values x = new_values(view, view->activation, (size_t)(rows * stride)),
                      bias = new_values(view, KERNEL_FP32, (size_t)n);
        float *w = malloc((size_t)(n * cols) * sizeof *w);
        int32_t ids[8] = {-1};
        view->ops->read_matrix(view, &m, 0, n, w);
        head_argmax(view, ids, &x, stride, &m, i % 2 ? bias.at : NULL, rows);
        for (int r = 0; r < rows; r++) {
            struct judged best = {-INFINITY, 0}, chosen = best;
            for (int o = 0; o < n; o++) {
                struct judged y = dot(view->activation, dtype, x.plain + r * stride, w + o * cols, cols,
                                      i % 2 ? (double)bias.plain[o] : 0);
                if (y.y > best.y)
                    best = y;
                if (o == ids[r])
                    chosen = y;
            }
            if (!(chosen.y >= best.y - best.off - chosen.off))
                TEST_FAIL("%s x %s, %d x %d, row %d: id %d with %.9g, but the best is %.9g",
                          activation_name(view), kernel_dtype_name(dtype), n, cols, r, (int)ids[r], chosen.y,
                          best.y);
        }
        free_values(view, &x), free_values(view, &bias);
        free_matrix(view, &m);
        free(w);
    }
    closed(k);
}

TEST(head_argmax_of_equal_logits_is_the_lowest_id)
{
    struct kernels *k = opened();
    FOR_EACH_PAIR(k, view, dtype)
    for (int rows = 1; rows <= 8; rows += 7) {
        enum { N = 1200 };
        int cols = whole_cols(dtype, 64);
        struct kernel_matrix m = new_matrix(view, dtype, N, cols);
        struct values x = new_values(view, view->activation, (size_t)(rows * cols));
        int32_t ids[8];
        /* No weight at all: every logit is its bias. */
        view->ops->generate(view, &m, 7, 1, KERNEL_CONSTANT, 0);
        float bias[N];
        float *there = view->ops->alloc(view, sizeof bias);
        for (int first = 0; first < N; first += 397) {
            for (int o = 0; o < N; o++)
                bias[o] = o >= first && o % 3 == first % 3 ? 2 : -1;
            view->ops->upload(view, there, bias, sizeof bias);
            head_argmax(view, ids, &x, cols, &m, there, rows);
            for (int r = 0; r < rows; r++)
                CHECK_INT(ids[r], first);
        }
        head_argmax(view, ids, &x, cols, &m, NULL, rows);
        CHECK_INT(ids[rows - 1], 0);
        view->ops->free(view, there, sizeof bias);
        free_values(view, &x);
        free_matrix(view, &m);
    }
    closed(k);
}

TEST(head_argmax_passes_over_nan_and_takes_negative_and_infinite_logits)
{
    struct kernels *k = opened();
    enum { N = 1000, COLS = 16 };
    struct kernel_matrix m = new_matrix(k, KERNEL_FP32, N, COLS);
    struct values x = new_values(k, KERNEL_FP32, COLS);
    k->ops->generate(k, &m, 7, 1, KERNEL_CONSTANT, 0);
    float bias[N], *there = k->ops->alloc(k, sizeof bias);
    int32_t id;
    for (int o = 0; o < N; o++)
        bias[o] = o == 700 ? -2 : o % 5 ? -3 : NAN;
    k->ops->upload(k, there, bias, sizeof bias);
    head_argmax(k, &id, &x, COLS, &m, there, 1);
    CHECK_INT(id, 700);
    for (int o = 0; o < N; o++)
        bias[o] = o < 300 ? NAN : -INFINITY;
    k->ops->upload(k, there, bias, sizeof bias);
    head_argmax(k, &id, &x, COLS, &m, there, 1);
    CHECK_INT(id, 300);
    for (int o = 0; o < N; o++)
        bias[o] = NAN;
    k->ops->upload(k, there, bias, sizeof bias);
    head_argmax(k, &id, &x, COLS, &m, there, 1);
    CHECK_INT(id, 0);
    k->ops->free(k, there, sizeof bias);
    free_values(k, &x);
    free_matrix(k, &m);
    closed(k);
}
