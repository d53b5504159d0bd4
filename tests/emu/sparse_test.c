/* Sparse activations on the emulated device: the largest entries, products of their channels, and weights by
 * channel turned for products of many rows. */
#include "tests/emu/fixture.h"

static const enum kernel_dtype types[] = {KERNEL_FP32, KERNEL_FP16, KERNEL_BF16, KERNEL_INT8};
enum { TYPES = sizeof types / sizeof *types };

/* Which of n entries are the `keep` of largest magnitude, of equals those of lower index. */
static void kept_by_rank(bool *kept, const float *x, int n, int keep)
{
    for (int i = 0; i < n; i++) {
        int before = 0;
        for (int j = 0; j < n; j++)
            before += fabsf(x[j]) > fabsf(x[i]) || (fabsf(x[j]) == fabsf(x[i]) && j < i);
        kept[i] = before < keep;
    }
}

static struct kernel_kept new_kept(struct kernels *k, int rows, int keep)
{
    size_t n = (size_t)(rows * keep);
    return (struct kernel_kept){k->ops->alloc(k, n * sizeof(int32_t)), k->ops->alloc(k, n * sizeof(float)),
                                keep};
}

static void free_kept(struct kernels *k, struct kernel_kept *x, int rows)
{
    size_t n = (size_t)(rows * x->keep);
    k->ops->free(k, x->channel, n * sizeof(int32_t));
    k->ops->free(k, x->value, n * sizeof(float));
}

static void check_top_k(struct kernels *k, float *x, int width, int keep, int rows)
{
    size_t n = (size_t)(rows * width), listed = (size_t)(rows * keep);
    narrow_array(k, x, n);
    void *dx = to_device(k, x, n);
    struct kernel_kept got = new_kept(k, rows, keep);
    int32_t *channel = malloc(listed * sizeof *channel);
    float *value = malloc(listed * sizeof *value);
    bool *want = malloc((size_t)width);
    k->ops->top_k(k, &got, dx, width, width, rows);
    k->ops->mask_top_k(k, dx, width, width, keep, rows);
    k->ops->download(k, channel, got.channel, listed * sizeof *channel);
    k->ops->download(k, value, got.value, listed * sizeof *value);
    float *masked = from_device(k, dx, n);
    int wrong = 0;
    for (int r = 0; r < rows; r++) {
        int at = r * keep;
        kept_by_rank(want, x + r * width, width, keep);
        for (int i = 0; i < width; i++) {
            if (want[i]) {
                wrong += channel[at] != i || value[at] != x[r * width + i];
                at++;
            }
            wrong += masked[r * width + i] != (want[i] ? x[r * width + i] : 0);
        }
    }
    if (wrong)
        TEST_FAIL("%s: %d of the largest %d of %d are wrong", kernel_dtype_name(k->activation), wrong, keep,
                  width);
    free_array(k, dx, n);
    free_kept(k, &got, rows);
    free(channel), free(value), free(want), free(masked);
}

TEST(the_largest_entries_are_exactly_as_many_and_in_order)
{
    static const int shapes[][3] = {{1, 1, 1},     {7, 3, 2},    {100, 60, 2},  {100, 100, 1},
                                    {513, 300, 1}, {1300, 1, 1}, {1300, 700, 2}};
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        float *x = noise_array((size_t)(shapes[s][0] * shapes[s][2]));
        check_top_k(k, x, shapes[s][0], shapes[s][1], shapes[s][2]);
        free(x);
    }
    close_emulated(cuda);
}

TEST(of_equal_magnitudes_the_first_are_kept)
{
    static const float values[] = {0, -1, 1, 0.5f, -0.5f, -0.0f, 3, 0.25f, 1e4f};
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int keep = 1; keep <= 600; keep += 57) {
        float x[2 * 600];
        for (int i = 0; i < 1200; i++)
            x[i] = values[(unsigned)(noise() * 4096 + 4096) % (i < 600 ? 9 : 2)];
        check_top_k(k, x, 600, keep, 2);
    }
    close_emulated(cuda);
}

static struct kernel_matrix turned(struct kernels *k, const struct kernel_matrix *m, const float *plain)
{
    struct kernel_matrix t = *m;
    t.data = k->ops->alloc(k, kernel_row_bytes(m->dtype, m->cols) * (size_t)m->rows);
    t.scales = m->scales ? k->ops->alloc(k, (size_t)m->rows * sizeof(float)) : NULL;
    t.channel_stride = m->rows;
    k->ops->write_matrix(k, &t, 0, m->rows, plain);
    return t;
}

static void free_turned(struct kernels *k, struct kernel_matrix *t)
{
    k->ops->free(k, t->data, kernel_row_bytes(t->dtype, t->cols) * (size_t)t->rows);
    if (t->scales)
        k->ops->free(k, t->scales, (size_t)t->rows * sizeof(float));
}

TEST(a_matrix_by_channel_reads_back_as_it_was_written_whole_and_in_views)
{
    enum { ROWS = 77, COLS = 45 };
    struct kernels *k = open_emulated();
    for (int t = 0; t < TYPES; t++) {
        float *plain, back[ROWS * COLS];
        struct kernel_matrix m = new_matrix(k, types[t], ROWS, COLS, 5, &plain), by = turned(k, &m, plain);
        k->ops->read_matrix(k, &by, 0, ROWS, back);
        CHECK(memcmp(back, plain, sizeof back) == 0);
        struct kernel_matrix view = kernel_matrix_rows(&by, 33, 20);
        k->ops->read_matrix(k, &view, 4, 9, back);
        CHECK(memcmp(back, plain + 37 * COLS, 9 * COLS * sizeof *back) == 0);
        k->ops->write_matrix(k, &m, 0, ROWS, plain);
        k->ops->read_matrix(k, &m, 0, ROWS, back);
        CHECK(memcmp(back, plain, sizeof back) == 0);
        free_turned(k, &by);
        free_matrix(k, &m);
        free(plain);
    }
    close_emulated(k);
}

static double silu(double x)
{
    return x / (1 + exp(-x));
}

/* Listed and, turned, masked: product and gate_up of the same matrix [n, cols], n even. */
static void check_products(struct kernels *k, enum kernel_dtype dtype, int rows, int n, int cols, int keep)
{
    size_t in = (size_t)(rows * cols), out = (size_t)(rows * n);
    float *plain, *x = noise_array(in), *bias = noise_array((size_t)n), *old = noise_array(out);
    struct kernel_matrix m = new_matrix(k, dtype, n, cols, 3, &plain), by = turned(k, &m, plain);
    narrow_array(k, x, in);
    narrow_array(k, old, out);
    void *dx = to_device(k, x, in), *dout = new_array(k, out),
         *dbias = bytes_to_device(k, bias, (size_t)n * sizeof(float));
    struct kernel_kept kept = new_kept(k, rows, keep);
    k->ops->top_k(k, &kept, dx, cols, cols, rows);
    k->ops->mask_top_k(k, dx, cols, cols, keep, rows);
    float *masked = from_device(k, dx, in);
    double *sum = malloc(out * sizeof *sum), *want = malloc(out * sizeof *want),
           *gated = malloc(out * sizeof *gated);
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < n; o++) {
            double s = 0;
            for (int i = 0; i < cols; i++)
                s += (double)masked[r * cols + i] * (double)plain[o * cols + i];
            sum[r * n + o] = s;
            want[r * n + o] = silu(s + (double)bias[o]) + (double)old[r * n + o];
        }
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < n / 2; o++)
            gated[r * (n / 2) + o] = silu(sum[r * n + o]) * sum[r * n + n / 2 + o];
    size_t bytes[4] = {k->ops->sparse_product_workspace(k, &by, rows),
                       k->ops->product_workspace(k, &by, rows), k->ops->gate_up_workspace(k, &by, rows), 0};
    for (int i = 0; i < 3; i++)
        bytes[3] = bytes[i] > bytes[3] ? bytes[i] : bytes[3];
    void *workspace = k->ops->alloc(k, bytes[3]);
    struct kernel_epilogue epilogue = {dbias, KERNEL_SILU, true, false};
    char what[100];
    for (int way = 0; way < 4; way++) {
        snprintf(what, sizeof what, "%s %s%s %d x %d x %d of %d", kernel_dtype_name(dtype),
                 way % 2 ? "masked" : "listed", way < 2 ? "" : " gate_up", rows, n, keep, cols);
        put_array(k, dout, old, out);
        if (way == 0)
            k->ops->sparse_product(k, dout, n, &kept, &by, &epilogue, rows, workspace);
        else if (way == 1)
            k->ops->product(k, dout, n, dx, cols, &by, &epilogue, rows, workspace);
        else if (way == 2)
            k->ops->sparse_gate_up(k, dout, &kept, &by, rows, workspace);
        else
            k->ops->gate_up(k, dout, dx, &by, rows, workspace);
        check_device(what, k, dout, way < 2 ? want : gated, way < 2 ? out : out / 2,
                     way < 2 ? sqrt(cols) : cols);
    }
    k->ops->free(k, workspace, bytes[3]);
    k->ops->free(k, dbias, (size_t)n * sizeof(float));
    free_array(k, dx, in), free_array(k, dout, out);
    free_kept(k, &kept, rows);
    free_turned(k, &by);
    free_matrix(k, &m);
    free(plain), free(x), free(bias), free(old), free(masked), free(sum), free(want), free(gated);
}

TEST(products_of_listed_and_of_masked_activations_equal_the_double_loops)
{
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int t = 0; t < TYPES; t++) {
        check_products(k, types[t], 1, 144, 200, 120); /* packs, several parts */
        check_products(k, types[t], 3, 70, 45, 20);    /* single weights */
        check_products(k, types[t], 9, 64, 64, 40);    /* many rows */
    }
    close_emulated(cuda);
}
