/* Sparse activations: the largest entries, and products of listed channels, against plain loops at every
 * level. */
#include "tests/kernels/fixture.h"

static const enum kernel_dtype types[] = {KERNEL_FP32, KERNEL_FP16, KERNEL_BF16, KERNEL_INT8};
enum { TYPES = sizeof types / sizeof *types };

/* By sorting: which of n entries are the `keep` of largest magnitude, of equals those of lower index. */
static void kept_by_rank(bool *kept, const float *x, int n, int keep)
{
    for (int i = 0; i < n; i++) {
        int before = 0;
        for (int j = 0; j < n; j++)
            before += fabsf(x[j]) > fabsf(x[i]) || (fabsf(x[j]) == fabsf(x[i]) && j < i);
        kept[i] = before < keep;
    }
}

static void check_top_k(struct kernels *k, const char *level, const float *x, int width, int keep, int rows)
{
    int stride = width + 3;
    float *in = malloc((size_t)(rows * stride) * sizeof *in);
    struct kernel_kept got = {malloc((size_t)(rows * keep) * sizeof(int32_t)),
                              malloc((size_t)(rows * keep) * sizeof(float)), keep};
    bool *want = malloc((size_t)width);
    for (int r = 0; r < rows; r++)
        memcpy(in + r * stride, x + r * width, (size_t)width * sizeof *in);
    k->ops->top_k(k, &got, in, stride, width, rows);
    k->ops->mask_top_k(k, in, stride, width, keep, rows);
    k->ops->synchronize(k);
    int wrong = 0;
    for (int r = 0; r < rows; r++) {
        const float *row = x + r * width;
        int at = r * keep;
        kept_by_rank(want, row, width, keep);
        for (int i = 0; i < width; i++) {
            if (want[i]) {
                wrong += got.channel[at] != i || got.value[at] != row[i];
                at++;
            }
            wrong += in[r * stride + i] != (want[i] ? row[i] : 0);
        }
    }
    if (wrong)
        TEST_FAIL("%s: %d of the largest %d of %d are wrong", level, wrong, keep, width);
    free(in), free(got.channel), free(got.value), free(want);
}

TEST(the_largest_entries_are_exactly_as_many_and_in_order)
{
    FOR_EACH_LEVEL(k)
    for (int width = 1; width <= 150; width += width < 20 ? 1 : 7)
        for (int keep = 1; keep <= width; keep += 1 + width / 5) {
            float *x = noise_array((size_t)(3 * width));
            check_top_k(k, levels[level_], x, width, keep, 3);
            free(x);
        }
}

TEST(of_equal_magnitudes_the_first_are_kept)
{
    static const float values[] = {0, -1, 1, 0.5f, -0.5f, -0.0f, 3, 1e-40f, 1e30f};
    FOR_EACH_LEVEL(k)
    for (int keep = 1; keep <= 64; keep += 3) {
        float x[2 * 64];
        for (int i = 0; i < 128; i++)
            x[i] = values[(unsigned)(noise() * 4096 + 4096) % (i < 64 ? 9 : 2)];
        check_top_k(k, levels[level_], x, 64, keep, 2);
    }
}

TEST(what_is_no_number_counts_as_largest)
{
    FOR_EACH_LEVEL(k)
    {
        float x[20] = {1, 2, NAN, -INFINITY}, value[2];
        int32_t channel[2];
        struct kernel_kept got = {channel, value, 2};
        k->ops->top_k(k, &got, x, 20, 20, 1);
        CHECK(channel[0] == 2 && channel[1] == 3 && isnan(value[0]));
    }
}

/* The same values by channel. */
static struct kernel_matrix turned(struct kernels *k, const struct kernel_matrix *m, const float *plain)
{
    struct kernel_matrix t = *m;
    t.data = k->ops->alloc(k, kernel_matrix_bytes(m->dtype, m->rows, m->cols));
    t.scales = m->scales ? k->ops->alloc(k, (size_t)m->rows * sizeof(float)) : NULL;
    t.channel_stride = m->rows;
    k->ops->write_matrix(k, &t, 0, m->rows, plain);
    return t;
}

static void free_turned(struct kernels *k, struct kernel_matrix *t)
{
    k->ops->free(k, t->data, kernel_matrix_bytes(t->dtype, t->rows, t->cols));
    if (t->scales)
        k->ops->free(k, t->scales, (size_t)t->rows * sizeof(float));
}

TEST(a_matrix_by_channel_reads_back_as_it_was_written_whole_and_in_views)
{
    FOR_EACH_LEVEL(k)
    for (int t = 0; t < TYPES; t++) {
        enum { ROWS = 77, COLS = 45 };
        float *plain, back[ROWS * COLS];
        struct kernel_matrix m = new_matrix(k, types[t], ROWS, COLS, 5, &plain), by = turned(k, &m, plain);
        k->ops->read_matrix(k, &by, 0, ROWS, back);
        CHECK(memcmp(back, plain, sizeof back) == 0);
        struct kernel_matrix view = kernel_matrix_rows(&by, 33, 20);
        k->ops->read_matrix(k, &view, 4, 9, back);
        CHECK(memcmp(back, plain + 37 * COLS, 9 * COLS * sizeof *back) == 0);
        k->ops->write_matrix(k, &m, 0, ROWS, plain); /* row-major too */
        k->ops->read_matrix(k, &m, 0, ROWS, back);
        CHECK(memcmp(back, plain, sizeof back) == 0);
        free_turned(k, &by);
        free_matrix(k, &m, plain);
    }
}

struct sparse_case {
    float *x, *masked; /* [rows, cols] */
    struct kernel_kept kept;
};

static struct sparse_case new_case(struct kernels *k, int rows, int cols, int keep)
{
    struct sparse_case c = {.x = noise_array((size_t)(rows * cols)), .kept = {.keep = keep}};
    c.masked = malloc((size_t)(rows * cols) * sizeof(float));
    memcpy(c.masked, c.x, (size_t)(rows * cols) * sizeof(float));
    c.kept.channel = k->ops->alloc(k, (size_t)(rows * keep) * sizeof(int32_t));
    c.kept.value = k->ops->alloc(k, (size_t)(rows * keep) * sizeof(float));
    k->ops->top_k(k, &c.kept, c.x, cols, cols, rows);
    k->ops->mask_top_k(k, c.masked, cols, cols, keep, rows);
    return c;
}

static void free_case(struct kernels *k, struct sparse_case *c, int rows)
{
    k->ops->free(k, c->kept.channel, (size_t)(rows * c->kept.keep) * sizeof(int32_t));
    k->ops->free(k, c->kept.value, (size_t)(rows * c->kept.keep) * sizeof(float));
    free(c->x), free(c->masked);
}

static void oracle(double *out, const float *x, const float *w, const float *bias, int rows, int n, int cols)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < n; o++) {
            double sum = bias ? (double)bias[o] : 0;
            for (int i = 0; i < cols; i++)
                sum += (double)x[r * cols + i] * (double)w[o * cols + i];
            out[r * n + o] = sum;
        }
}

/* Lists, and masked rows through the dense product of the same matrix. */
static void check_products(struct kernels *k, const char *level, enum kernel_dtype dtype, int rows, int n,
                           int cols, int keep, bool accumulate)
{
    float *plain, *bias = noise_array((size_t)n), *old = noise_array((size_t)(rows * n));
    struct kernel_matrix m = new_matrix(k, dtype, n, cols, 3, &plain), by = turned(k, &m, plain);
    struct sparse_case c = new_case(k, rows, cols, keep);
    double *want = malloc((size_t)(rows * n) * sizeof *want);
    struct kernel_epilogue epilogue = {bias, KERNEL_LINEAR, accumulate};
    oracle(want, c.masked, plain, bias, rows, n, cols);
    for (int i = 0; accumulate && i < rows * n; i++)
        want[i] += (double)old[i];
    size_t bytes = k->ops->sparse_product_workspace(k, &by, rows),
           dense = k->ops->product_workspace(k, &by, rows);
    bytes = dense > bytes ? dense : bytes;
    void *workspace = k->ops->alloc(k, bytes);
    for (int way = 0; way < 2; way++) {
        float *out = malloc((size_t)(rows * n) * sizeof *out);
        memcpy(out, old, (size_t)(rows * n) * sizeof *out);
        if (way == 0)
            k->ops->sparse_product(k, out, n, &c.kept, &by, &epilogue, rows, workspace);
        else
            k->ops->product(k, out, n, c.masked, cols, &by, &epilogue, rows, workspace);
        char what[120];
        snprintf(what, sizeof what, "%s %s %d x %d x %d of %d", kernel_dtype_name(dtype),
                 way ? "masked" : "listed", rows, n, keep, cols);
        double tolerance =
            way == 1 && dtype == KERNEL_BF16 && strcmp(level, "avx512_bf16") == 0 ? 0x1p-8 : 4e-6;
        check_near(what, level, out, want, (size_t)(rows * n), tolerance, sqrt((double)cols));
        free(out);
    }
    k->ops->free(k, workspace, bytes);
    free_case(k, &c, rows);
    free_turned(k, &by);
    free_matrix(k, &m, plain);
    free(bias), free(old), free(want);
}

TEST(products_of_listed_channels_equal_the_masked_double_loops)
{
    FOR_EACH_LEVEL(k)
    for (int t = 0; t < TYPES; t++)
        for (int rows = 1; rows <= 9; rows += 2) {
            check_products(k, levels[level_], types[t], rows, 67, 100, 60, rows == 3);
            check_products(k, levels[level_], types[t], rows, 1 + rows * 31, 33, 1 + rows * 3, false);
        }
}

TEST(large_products_of_listed_channels_equal_the_masked_double_loops)
{
    FOR_EACH_LEVEL(k)
    for (int t = 0; t < TYPES; t++) {
        check_products(k, levels[level_], types[t], 1, 9000, 90, 55, false);
        check_products(k, levels[level_], types[t], 3, 700, 600, 301, true);
    }
}

TEST(a_view_of_rows_is_a_product_of_its_own)
{
    FOR_EACH_LEVEL(k)
    {
        enum { ROWS = 90, COLS = 70, KEEP = 41, FIRST = 37, COUNT = 24 };
        float *plain, out[COUNT];
        double want[COUNT];
        struct kernel_matrix m = new_matrix(k, KERNEL_BF16, ROWS, COLS, 3, &plain), by = turned(k, &m, plain);
        struct kernel_matrix view = kernel_matrix_rows(&by, FIRST, COUNT);
        struct sparse_case c = new_case(k, 1, COLS, KEEP);
        size_t bytes = k->ops->sparse_product_workspace(k, &view, 1);
        void *workspace = k->ops->alloc(k, bytes);
        oracle(want, c.masked, plain + FIRST * COLS, NULL, 1, COUNT, COLS);
        k->ops->sparse_product(k, out, COUNT, &c.kept, &view, NULL, 1, workspace);
        check_near("view", levels[level_], out, want, COUNT, 4e-6, sqrt(COLS));
        k->ops->free(k, workspace, bytes);
        free_case(k, &c, 1);
        free_turned(k, &by);
        free_matrix(k, &m, plain);
    }
}

TEST(sparse_gate_up_equals_silu_of_gate_times_up)
{
    static const int shapes[][4] = {{1, 5, 9, 6}, {3, 24, 16, 10}, {8, 67, 40, 21}, {1, 3000, 60, 36}};
    FOR_EACH_LEVEL(k)
    for (int t = 0; t < TYPES; t++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            int rows = shapes[i][0], f = shapes[i][1], cols = shapes[i][2];
            float *plain, *out = malloc((size_t)(rows * f) * sizeof *out);
            struct kernel_matrix m = new_matrix(k, types[t], 2 * f, cols, 4, &plain),
                                 by = turned(k, &m, plain);
            struct sparse_case c = new_case(k, rows, cols, shapes[i][3]);
            double *both = malloc((size_t)(rows * 2 * f) * sizeof *both),
                   *want = malloc((size_t)(rows * f) * sizeof *want);
            oracle(both, c.masked, plain, NULL, rows, 2 * f, cols);
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < f; j++) {
                    double gate = both[r * 2 * f + j];
                    want[r * f + j] = gate / (1 + exp(-gate)) * both[r * 2 * f + f + j];
                }
            size_t bytes = k->ops->sparse_product_workspace(k, &by, rows),
                   dense = k->ops->gate_up_workspace(k, &by, rows);
            bytes = dense > bytes ? dense : bytes;
            void *workspace = k->ops->alloc(k, bytes);
            k->ops->sparse_gate_up(k, out, &c.kept, &by, rows, workspace);
            check_near("sparse gate_up", levels[level_], out, want, (size_t)(rows * f), 4e-6, (double)cols);
            k->ops->gate_up(k, out, c.masked, &by, rows, workspace);
            double tolerance =
                types[t] == KERNEL_BF16 && strcmp(levels[level_], "avx512_bf16") == 0 ? 0x1p-8 : 4e-6;
            check_near("masked gate_up", levels[level_], out, want, (size_t)(rows * f), tolerance,
                       (double)cols);
            k->ops->free(k, workspace, bytes);
            free_case(k, &c, rows);
            free_turned(k, &by);
            free_matrix(k, &m, plain);
            free(out), free(both), free(want);
        }
}
