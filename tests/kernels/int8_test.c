/* Products that multiply integers (quantize_input) against double loops over the very same rounded inputs, at
 * every level, every format and odd sizes. */
#include "kernels/reference.h"
#include "tests/kernels/fixture.h"

static const char *const int8_levels[] = {"portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16"};
enum { INT8_LEVELS = sizeof int8_levels / sizeof *int8_levels };
static const enum kernel_dtype formats[] = {KERNEL_INT8, KERNEL_Q8_0, KERNEL_Q4_0, KERNEL_Q4_K, KERNEL_Q6_K};
enum { FORMATS = sizeof formats / sizeof *formats };

/* Every level this CPU has and every format. */
#define FOR_EACH(k, level, dtype)                                                                            \
    for (int level = 0; level < INT8_LEVELS; level++)                                                        \
        for (struct kernels *k = open_level(int8_levels[level], "own", 2); k; k->ops->close(k), k = NULL)    \
            for (int f_ = 0, dtype; f_ < FORMATS && ((dtype = (int)formats[f_]), true); f_++)

static enum reference_rounding rounding_of(enum kernel_dtype dtype)
{
    return dtype == KERNEL_INT8                           ? REFERENCE_ROW
           : dtype == KERNEL_Q8_0 || dtype == KERNEL_Q4_0 ? REFERENCE_BLOCK_32
                                                          : REFERENCE_BLOCK_256;
}

/* out [rows, n] = rounded(x) w^T + bias, and what its terms add up to in magnitude, every weight as large as
 * the row's largest: 4 bits are multiplied with 8 added, which comes off again. */
static void oracle(double *out, double *size, const float *x, int x_stride, const float *w, const float *bias,
                   enum kernel_dtype dtype, int rows, int n, int cols)
{
    double *seen = malloc((size_t)cols * sizeof *seen);
    for (int r = 0; r < rows; r++) {
        for (int i = 0; i < cols; i++)
            seen[i] = (double)x[r * x_stride + i];
        reference_round(seen, seen, cols, rounding_of(dtype));
        for (int o = 0; o < n; o++) {
            double sum = bias ? (double)bias[o] : 0, all = 0, largest = 0;
            for (int i = 0; i < cols; i++) {
                sum += seen[i] * (double)w[o * cols + i];
                all += fabs(seen[i]);
                largest = fmax(largest, fabs((double)w[o * cols + i]));
            }
            out[r * n + o] = sum;
            size[r * n + o] = all * largest + 1;
        }
    }
    free(seen);
}

/* Integers are exact; what rounds are the scales' product and the sum of lanes and blocks in fp32, some 2^-24
 * each of the terms' magnitude. */
static const double tolerance = 1e-6;

static void check(struct kernels *k, int level, enum kernel_dtype dtype, const char *what, const float *got,
                  int stride, const double *want, const double *size, int rows, int n, int cols)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < n; o++) {
            double error = fabs((double)got[r * stride + o] - want[r * n + o]);
            if (error <= tolerance * size[r * n + o])
                continue;
            TEST_FAIL("%s %s at %s, %d x %d x %d, [%d, %d]: %.9g, not %.9g (terms of %.3g)", what,
                      kernel_dtype_name(dtype), int8_levels[level], rows, n, cols, r, o,
                      (double)got[r * stride + o], want[r * n + o], size[r * n + o]);
            return;
        }
    (void)k;
}

static void check_product(struct kernels *k, int level, enum kernel_dtype dtype, int rows, int n, int cols,
                          bool biased, bool accumulate)
{
    cols = whole_cols(dtype, cols);
    int x_stride = cols + 3, out_stride = n + 5;
    size_t count = (size_t)rows * (size_t)n;
    float *plain, *x = noise_array((size_t)rows * (size_t)x_stride), *bias = noise_array((size_t)n);
    float *out = noise_array((size_t)rows * (size_t)out_stride);
    double *want = malloc(count * sizeof *want), *size = malloc(count * sizeof *size);
    struct kernel_matrix m = new_matrix(k, dtype, n, cols, 3, &plain);
    struct kernel_epilogue epilogue = {.bias = biased ? bias : NULL, .accumulate = accumulate};
    m.quantize_input = true;
    for (int i = 0; i < cols / 2; i++) /* a row of zeros in part, an outlier, one whole row of zeros */
        x[i] = 0;
    x[cols - 1] = 40;
    for (int i = 0; rows > 2 && i < cols; i++)
        x[2 * x_stride + i] = 0;
    oracle(want, size, x, x_stride, plain, epilogue.bias, dtype, rows, n, cols);
    for (int r = 0; accumulate && r < rows; r++)
        for (int o = 0; o < n; o++)
            want[r * n + o] += (double)out[r * out_stride + o];
    size_t bytes = k->ops->product_workspace(k, &m, rows);
    void *workspace = k->ops->alloc(k, bytes);
    float fence = out[n];
    k->ops->product(k, out, out_stride, x, x_stride, &m, &epilogue, rows, workspace);
    CHECK(bytes > 0 && out[n] == fence); /* between the rows nothing is touched */
    check(k, level, dtype, "product", out, out_stride, want, size, rows, n, cols);
    k->ops->free(k, workspace, bytes);
    free_matrix(k, &m, plain);
    free(x), free(bias), free(out), free(want), free(size);
}

TEST(products_of_every_small_size_equal_the_loops_over_rounded_inputs)
{
    FOR_EACH(k, level, dtype)
    for (int cols = 1; cols <= 40; cols++) /* blocks: multiples of these */
        check_product(k, level, (enum kernel_dtype)dtype, 1 + cols % 11, 1 + cols * 7 % 40,
                      cols * (kernel_is_blocks((enum kernel_dtype)dtype) && cols < 12
                                  ? kernel_block_cols((enum kernel_dtype)dtype)
                                  : 1),
                      cols % 2, cols % 3 == 0);
}

TEST(products_of_one_to_seventy_rows_equal_the_loops_over_rounded_inputs)
{
    FOR_EACH(k, level, dtype)
    for (int rows = 1; rows <= 70; rows += rows < 14 ? 1 : 11)
        check_product(k, level, (enum kernel_dtype)dtype, rows, 67, 200, rows % 2, rows % 3 == 0);
}

TEST(large_products_equal_the_loops_over_rounded_inputs)
{
    FOR_EACH(k, level, dtype)
    {
        check_product(k, level, (enum kernel_dtype)dtype, 33, 331, 1056, true, true);
        check_product(k, level, (enum kernel_dtype)dtype, 1, 1031, 800, false, false);
    }
}

TEST(gate_up_of_rounded_inputs_equals_silu_of_gate_times_up)
{
    static const int shapes[][3] = {{1, 5, 9}, {3, 24, 16}, {8, 67, 40}, {9, 67, 40}, {30, 100, 264}};
    FOR_EACH(k, level, dtype)
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        enum kernel_dtype t = (enum kernel_dtype)dtype;
        int rows = shapes[i][0], f = shapes[i][1], cols = whole_cols(t, shapes[i][2]);
        size_t count = (size_t)rows * 2 * (size_t)f;
        float *plain, *x = noise_array((size_t)(rows * cols)), *out = noise_array((size_t)(rows * f));
        double *both = malloc(count * 8), *size = malloc(count * 8), *want = malloc(count * 8),
               *allowed = malloc(count * 8);
        struct kernel_matrix m = new_matrix(k, t, 2 * f, cols, 4, &plain);
        m.quantize_input = true;
        oracle(both, size, x, cols, plain, NULL, t, rows, 2 * f, cols);
        for (int r = 0; r < rows; r++)
            for (int j = 0; j < f; j++) {
                double gate = both[r * 2 * f + j], up = both[r * 2 * f + f + j];
                want[r * f + j] = gate / (1 + exp(-gate)) * up;
                allowed[r * f + j] =
                    1.2 * size[r * 2 * f + j] * fabs(up) + size[r * 2 * f + f + j] * fabs(gate) + 1;
            }
        size_t bytes = k->ops->gate_up_workspace(k, &m, rows);
        void *workspace = k->ops->alloc(k, bytes);
        k->ops->gate_up(k, out, x, &m, rows, workspace);
        check(k, level, t, "gate_up", out, f, want, allowed, rows, f, cols);
        k->ops->free(k, workspace, bytes);
        free_matrix(k, &m, plain);
        free(x), free(out), free(both), free(size), free(want), free(allowed);
    }
}

TEST(head_argmax_of_rounded_inputs_finds_the_largest_logit)
{
    static const int many[] = {1, 8, 9};
    FOR_EACH(k, level, dtype)
    for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
        enum kernel_dtype t = (enum kernel_dtype)dtype;
        int rows = many[i], n = 2100, cols = whole_cols(t, 72);
        float *plain, *x = noise_array((size_t)(rows * cols)), *bias = noise_array((size_t)n);
        double *want = malloc((size_t)(rows * n) * sizeof *want), *size = malloc((size_t)(rows * n) * 8);
        int32_t ids[16];
        struct kernel_matrix m = new_matrix(k, t, n, cols, 5, &plain);
        m.quantize_input = true;
        oracle(want, size, x, cols, plain, bias, t, rows, n, cols);
        size_t bytes = k->ops->head_argmax_workspace(k, &m, rows);
        void *workspace = k->ops->alloc(k, bytes);
        k->ops->head_argmax(k, ids, x, cols, &m, bias, rows, workspace);
        for (int r = 0; r < rows; r++) {
            int best = 0;
            for (int o = 1; o < n; o++)
                best = want[r * n + o] > want[r * n + best] ? o : best;
            CHECK(ids[r] == best ||
                  want[r * n + ids[r]] >= want[r * n + best] - tolerance * size[r * n + best]);
        }
        k->ops->free(k, workspace, bytes);
        free_matrix(k, &m, plain);
        free(x), free(bias), free(want), free(size);
    }
}

/* Extreme bytes: no sum may leave its 16 or 32 bits, which saturate silently. */
TEST(the_largest_weights_times_the_largest_inputs_do_not_saturate)
{
    FOR_EACH(k, level, dtype)
    for (int sign = -1; sign <= 1; sign += 2) {
        enum kernel_dtype t = (enum kernel_dtype)dtype;
        enum { ROWS = 5, COLS = 1024 };
        float *plain, x[COLS], out[ROWS];
        double want[ROWS], size[ROWS];
        struct kernel_matrix m = new_matrix(k, t, ROWS, COLS, 3, &plain);
        size_t row = kernel_row_bytes(t, COLS);
        m.quantize_input = true;
        if (t == KERNEL_INT8)
            memset(m.data, sign < 0 ? 0x81 : 0x7f, ROWS * row); /* -127: what int8 weights are made of */
        for (size_t at = 0; t != KERNEL_INT8 && at < ROWS * row;
             at += kernel_row_bytes(t, kernel_block_cols(t))) {
            uint8_t *block = (uint8_t *)m.data + at;
            const uint16_t one = 0x3c00;
            size_t bytes = kernel_row_bytes(t, kernel_block_cols(t));
            memset(block, t == KERNEL_Q8_0 && sign < 0 ? 0x80 : t == KERNEL_Q8_0 ? 0x7f : 0xff, bytes);
            if (t == KERNEL_Q6_K)
                memset(block + 192, sign < 0 ? 0x80 : 0x7f, 16);
            memcpy(block + (t == KERNEL_Q6_K ? 208 : 0), &one, sizeof one);
            if (t == KERNEL_Q4_K)
                memcpy(block + 2, &one, sizeof one);
        }
        k->ops->read_matrix(k, &m, 0, ROWS, plain);
        for (int i = 0; i < COLS; i++)
            x[i] = (float)sign;
        oracle(want, size, x, COLS, plain, NULL, t, 1, ROWS, COLS);
        size_t bytes = k->ops->product_workspace(k, &m, 1);
        void *workspace = k->ops->alloc(k, bytes);
        k->ops->product(k, out, ROWS, x, COLS, &m, NULL, 1, workspace);
        check(k, level, t, "extreme product", out, ROWS, want, size, 1, ROWS, COLS);
        k->ops->free(k, workspace, bytes);
        free_matrix(k, &m, plain);
    }
}

TEST(inputs_that_are_not_finite_make_their_rows_nan_and_no_others)
{
    static const float strange[] = {NAN, INFINITY, -INFINITY};
    FOR_EACH(k, level, dtype)
    for (int s = 0; s < 3; s++) {
        enum { ROWS = 3, N = 7, COLS = 256 };
        float *plain, *x = noise_array(ROWS * COLS), out[ROWS * N];
        struct kernel_matrix m = new_matrix(k, (enum kernel_dtype)dtype, N, COLS, 3, &plain);
        m.quantize_input = true;
        x[COLS + 100 + s] = strange[s];
        size_t bytes = k->ops->product_workspace(k, &m, ROWS);
        void *workspace = k->ops->alloc(k, bytes);
        k->ops->product(k, out, N, x, COLS, &m, NULL, ROWS, workspace);
        for (int i = 0; i < ROWS * N; i++)
            CHECK(isnan(out[i]) ? i / N == 1 : i / N != 1);
        k->ops->free(k, workspace, bytes);
        free_matrix(k, &m, plain);
        free(x);
    }
}

TEST(rounded_inputs_are_those_of_the_definition)
{
    double x[256], y[256];
    for (int i = 0; i < 256; i++)
        x[i] = i < 32 ? (i - 16) / 16.0 : 0;
    reference_round(y, x, 256, REFERENCE_BLOCK_32);
    CHECK(fabs(y[0] + 1) < 1e-3 && y[0] != -1); /* 127 times 1 / 127 in fp16 */
    CHECK(y[16] == 0 && y[40] == 0);
    reference_round(y, x, 256, REFERENCE_BLOCK_256);
    CHECK(fabs(y[0] + 1) < 1e-6);
    for (int i = 0; i < 32; i++)
        CHECK(fabs(y[i] - x[i]) <= 0.5 / 127 + 1e-7);
    reference_round(y, x, 256, REFERENCE_EXACT);
    CHECK(memcmp(x, y, sizeof x) == 0);
}
