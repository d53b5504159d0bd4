/* Products, their epilogues and fusions, against double loops, at every level, dtype and odd size. */
#include "tests/kernels/fixture.h"

/* Accumulating n products of values below 1 in fp32 errs by about n^(1/2) eps; the bound has room for
 * n = 1000. Dot products of bf16 pairs (AVX512-BF16, more than 8 rows) round x to 8 bits first: 2^-9 per
 * term. */
static double tolerance_of(const char *level, enum kernel_dtype dtype, int rows)
{
    return dtype == KERNEL_BF16 && rows > 8 && strcmp(level, "avx512_bf16") == 0 ? 0x1p-8 : 4e-6;
}

static void oracle(double *out, const float *x, int x_stride, const float *w, const float *bias, int rows,
                   int n, int cols)
{
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < n; o++) {
            double sum = bias ? (double)bias[o] : 0;
            for (int i = 0; i < cols; i++)
                sum += (double)x[r * x_stride + i] * (double)w[o * cols + i];
            out[r * n + o] = sum;
        }
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

static void check_product(struct kernels *k, const char *level, enum kernel_dtype dtype, int rows, int n,
                          int cols, const struct kernel_epilogue *shape)
{
    cols = whole_cols(dtype, cols);
    int x_stride = cols + 3, out_stride = n + 5;
    float *plain, *x = noise_array((size_t)rows * (size_t)x_stride), *bias = noise_array((size_t)n);
    float *out = noise_array((size_t)rows * (size_t)out_stride),
          *old = malloc((size_t)rows * (size_t)n * sizeof *old);
    double *want = malloc((size_t)rows * (size_t)n * sizeof *want);
    float *dense = malloc((size_t)rows * (size_t)n * sizeof *dense);
    struct kernel_matrix m = new_matrix(k, dtype, n, cols, 3, &plain);
    struct kernel_epilogue epilogue = *shape;
    epilogue.bias = shape->bias ? bias : NULL;
    for (int r = 0; r < rows; r++)
        memcpy(old + r * n, out + r * out_stride, (size_t)n * sizeof *old);
    oracle(want, x, x_stride, plain, epilogue.bias, rows, n, cols);
    for (int i = 0; i < rows * n; i++)
        want[i] = activated(want[i], epilogue.activation) + (epilogue.accumulate ? (double)old[i] : 0);
    size_t bytes = k->ops->product_workspace(k, &m, rows);
    void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
    float fence = out[n];
    k->ops->product(k, out, out_stride, x, x_stride, &m, &epilogue, rows, workspace);
    k->ops->synchronize(k);
    CHECK(out[n] == fence); /* between the rows nothing is touched */
    for (int r = 0; r < rows; r++)
        memcpy(dense + r * n, out + r * out_stride, (size_t)n * sizeof *dense);
    char what[120];
    snprintf(what, sizeof what, "%s product %d x %d x %d activation %d", kernel_dtype_name(dtype), rows, n,
             cols, (int)epilogue.activation);
    check_near(what, level, dense, want, (size_t)rows * (size_t)n, tolerance_of(level, dtype, rows),
               sqrt((double)cols));
    k->ops->free(k, workspace, bytes);
    free_matrix(k, &m, plain);
    free(x), free(bias), free(out), free(old), free(want), free(dense);
}

static const struct kernel_epilogue epilogues[] = {
    {NULL, KERNEL_LINEAR, false},
    {(float[]){0}, KERNEL_GELU_TANH, false},
    {(float[]){0}, KERNEL_GELU_ERF, true},
    {(float[]){0}, KERNEL_LINEAR, true},
    {NULL, KERNEL_SILU, false},
    {(float[]){0}, KERNEL_TANH, false},
};

TEST(product_of_every_small_size_equals_the_double_loops)
{
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int cols = 1; cols <= 33; cols++)
            check_product(k, levels[level_], (enum kernel_dtype)dtype, 1 + cols % 10, 1 + cols * 7 % 40, cols,
                          &epilogues[cols % 6]);
}

TEST(product_of_one_to_seventy_rows_equals_the_double_loops)
{
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int rows = 1; rows <= 70; rows += rows < 20 ? 1 : 7)
            check_product(k, levels[level_], (enum kernel_dtype)dtype, rows, 67, 200, &epilogues[rows % 6]);
}

TEST(large_products_equal_the_double_loops)
{
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++) {
        check_product(k, levels[level_], (enum kernel_dtype)dtype, 129, 311, 1000, &epilogues[2]);
        check_product(k, levels[level_], (enum kernel_dtype)dtype, 1, 1031, 520, &epilogues[3]);
    }
}

TEST(gate_up_equals_silu_of_gate_times_up)
{
    static const int shapes[][3] = {{1, 5, 9}, {3, 24, 16}, {8, 67, 40}, {9, 67, 40}, {50, 100, 264}};
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
            int rows = shapes[i][0], f = shapes[i][1],
                cols = whole_cols((enum kernel_dtype)dtype, shapes[i][2]);
            float *plain, *x = noise_array((size_t)(rows * cols)), *out = noise_array((size_t)(rows * f));
            double *both = malloc((size_t)(rows * 2 * f) * sizeof *both),
                   *want = malloc((size_t)(rows * f) * 8);
            struct kernel_matrix m = new_matrix(k, (enum kernel_dtype)dtype, 2 * f, cols, 4, &plain);
            oracle(both, x, cols, plain, NULL, rows, 2 * f, cols);
            for (int r = 0; r < rows; r++)
                for (int j = 0; j < f; j++)
                    want[r * f + j] = activated(both[r * 2 * f + j], KERNEL_SILU) * both[r * 2 * f + f + j];
            size_t bytes = k->ops->gate_up_workspace(k, &m, rows);
            void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
            k->ops->gate_up(k, out, x, &m, rows, workspace);
            check_near("gate_up", levels[level_], out, want, (size_t)(rows * f),
                       tolerance_of(levels[level_], (enum kernel_dtype)dtype, rows), (double)cols);
            k->ops->free(k, workspace, bytes);
            free_matrix(k, &m, plain);
            free(x), free(out), free(both), free(want);
        }
}

TEST(head_argmax_finds_the_first_largest_logit_for_few_and_many_rows)
{
    static const int many[] = {1, 2, 8, 9, 33};
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (size_t i = 0; i < sizeof many / sizeof *many; i++) {
            int rows = many[i], n = 4099, cols = whole_cols((enum kernel_dtype)dtype, 72);
            float *plain, *x = noise_array((size_t)(rows * cols)), *bias = noise_array((size_t)n);
            double *want = malloc((size_t)(rows * n) * sizeof *want);
            int32_t ids[40];
            struct kernel_matrix m = new_matrix(k, (enum kernel_dtype)dtype, n, cols, 5, &plain);
            oracle(want, x, cols, plain, bias, rows, n, cols);
            size_t bytes = k->ops->head_argmax_workspace(k, &m, rows);
            void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
            k->ops->head_argmax(k, ids, x, cols, &m, bias, rows, workspace);
            for (int r = 0; r < rows; r++) {
                int best = 0;
                for (int o = 1; o < n; o++)
                    best = want[r * n + o] > want[r * n + best] ? o : best;
                double least = want[r * n + best] - tolerance_of(levels[level_], m.dtype, rows) * sqrt(cols);
                CHECK(ids[r] == best || want[r * n + ids[r]] >= least);
            }
            k->ops->free(k, workspace, bytes);
            free_matrix(k, &m, plain);
            free(x), free(bias), free(want);
        }
}

TEST(head_argmax_of_equal_logits_is_the_first_token)
{
    FOR_EACH_LEVEL(k)
    {
        float data[200 * 4] = {0}, x[4] = {1, 2, 3, 4};
        struct kernel_matrix m = {KERNEL_FP32, 200, 4, data, NULL};
        int32_t id = -1;
        k->ops->head_argmax(k, &id, x, 4, &m, NULL, 1, NULL);
        CHECK_INT(id, 0);
    }
}

TEST(head_argmax_passes_over_nan_and_takes_negative_logits_for_few_and_many_rows)
{
    FOR_EACH_LEVEL(k)
    {
        enum { N = 3000, ROWS = 20 };
        static float data[N], x[ROWS];
        int32_t ids[ROWS];
        for (int i = 0; i < N; i++)
            data[i] = i == 2500 ? -1 : i % 7 ? -3 - (float)(i % 5) : NAN;
        for (int r = 0; r < ROWS; r++)
            x[r] = 2;
        struct kernel_matrix m = {KERNEL_FP32, N, 1, data, NULL};
        for (int rows = 1; rows <= ROWS; rows += ROWS - 1) {
            size_t bytes = k->ops->head_argmax_workspace(k, &m, rows);
            void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
            k->ops->head_argmax(k, ids, x, 1, &m, NULL, rows, workspace);
            CHECK_INT(ids[0], 2500);
            CHECK_INT(ids[rows - 1], 2500);
            k->ops->free(k, workspace, bytes);
        }
    }
}
