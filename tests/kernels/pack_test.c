/* Any values packed on the host are the bits that a backend generates from the same values. */
#include "kernels/pack.h"
#include "tests/test.h"

static const int64_t shapes[][2] = {{7, 1003}, {5, 64}, {40, 20}, {3, 172}, {60, 1}, {9, 4224}, {300, 64}};

static void *placed(struct kernel_matrix *m, enum kernel_dtype dtype, const int64_t *shape, size_t *bytes)
{
    size_t part[3];
    kernel_matrix_parts(dtype, shape[0], shape[1], part);
    *bytes = part[0] + part[1] + part[2] + 192;
    char *data = calloc(1, *bytes);
    *m = (struct kernel_matrix){.dtype = dtype, .rows = shape[0], .cols = shape[1], .data = data};
    if (part[1])
        m->scales = (float *)(void *)(data + (part[0] + 63) / 64 * 64);
    if (part[2])
        m->codes = (uint8_t *)data + (part[0] + 63) / 64 * 64 + (part[1] + 63) / 64 * 64;
    return data;
}

TEST(packed_rows_are_the_bits_of_generated_ones)
{
    char why[256] = "";
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){1, "own", "auto"}, why, sizeof why);
    for (int dtype = 0; k && dtype <= KERNEL_NF4_DQ; dtype++)
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
            struct kernel_matrix exact, made, packed;
            size_t bytes, ignored;
            int64_t rows = shapes[s][0], cols = shapes[s][1];
            void *values = placed(&exact, KERNEL_FP32, shapes[s], &ignored);
            void *want = placed(&made, (enum kernel_dtype)dtype, shapes[s], &bytes);
            void *got = placed(&packed, (enum kernel_dtype)dtype, shapes[s], &bytes);
            float *absmax = malloc(((size_t)kernel_pack_blocks(&packed) + 1) * sizeof *absmax);
            k->ops->generate(k, &exact, 5, 6, KERNEL_UNIFORM, 0.02f);
            k->ops->generate(k, &made, 5, 6, KERNEL_UNIFORM, 0.02f);
            for (int64_t row = 0; row < rows; row += 4) /* in pieces, as they come */
                kernel_pack_rows(&packed, row, rows - row < 4 ? rows - row : 4,
                                 (const float *)values + row * cols, absmax);
            kernel_pack_scales(&packed, absmax);
            if (dtype != KERNEL_NF4_DQ && memcmp(want, got, bytes) != 0)
                TEST_FAIL("%s %d x %d differs", kernel_dtype_name((enum kernel_dtype)dtype), (int)rows,
                          (int)cols);
            float *a = malloc((size_t)(rows * cols) * sizeof *a),
                  *b = malloc((size_t)(rows * cols) * sizeof *b);
            k->ops->read_matrix(k, &made, 0, rows, a);
            k->ops->read_matrix(k, &packed, 0, rows, b);
            double worst = 0;
            for (int64_t i = 0; i < rows * cols; i++)
                worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
            CHECK(worst <= (dtype == KERNEL_NF4_DQ ? 1e-8 : 0)); /* the mean of absmax has another unit */
            free(a);
            free(b);
            free(absmax);
            free(values);
            free(want);
            free(got);
        }
    CHECK(k != NULL);
    k->ops->close(k);
}
