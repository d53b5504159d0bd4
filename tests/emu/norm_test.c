/* Norms, with and without the residual's addition, against double loops. */
#include "tests/emu/fixture.h"

static void oracle(double *out, const float *x, const float *weight, const float *bias,
                   enum kernel_norm_kind kind, double eps, int rows, int width)
{
    for (int r = 0; r < rows; r++, out += width, x += width) {
        double mean = 0, square = 0;
        for (int i = 0; kind == KERNEL_LAYER_NORM && i < width; i++)
            mean += (double)x[i] / width;
        for (int i = 0; i < width; i++)
            square += ((double)x[i] - mean) * ((double)x[i] - mean) / width;
        for (int i = 0; i < width; i++)
            out[i] =
                ((double)x[i] - mean) / sqrt(square + eps) * (double)weight[i] + (bias ? (double)bias[i] : 0);
    }
}

/* out: a place of its own, or the input, or (added) the residual. */
static void check_norm(struct kernels *k, enum kernel_norm_kind kind, int rows, int width, bool added,
                       bool in_place, float shift)
{
    size_t n = (size_t)rows * (size_t)width, wide = (size_t)width;
    float *x = noise_array(n), *old = noise_array(n), *weight = noise_array(wide), *bias = noise_array(wide);
    double *want = malloc(n * sizeof *want);
    for (size_t i = 0; i < n; i++)
        x[i] += shift;
    narrow_array(k, x, n);
    narrow_array(k, old, n);
    void *dx = to_device(k, x, n), *residual = to_device(k, old, n), *place = new_array(k, n);
    void *out = !in_place ? place : added ? residual : dx;
    struct kernel_norm norm = {kind, bytes_to_device(k, weight, wide * sizeof *weight),
                               rows % 2 ? bytes_to_device(k, bias, wide * sizeof *bias) : NULL, 1e-5f, width};
    if (added) {
        for (size_t i = 0; i < n; i++)
            x[i] += old[i];
        narrow_array(k, x, n); /* the residual is stored between the steps */
        k->ops->add_norm(k, out, residual, dx, &norm, rows);
    } else {
        k->ops->norm(k, out, dx, &norm, rows);
    }
    oracle(want, x, weight, norm.bias ? bias : NULL, kind, 1e-5, rows, width);
    char what[100];
    snprintf(what, sizeof what, "norm %d of %d x %d%s%s", (int)kind, rows, width, added ? ", added" : "",
             in_place ? ", in place" : "");
    check_device(what, k, out, want, n, 1 + (double)fabsf(shift));
    if (added && !in_place) {
        float *sum = from_device(k, residual, n);
        CHECK(memcmp(sum, x, n * sizeof *x) == 0);
        free(sum);
    }
    k->ops->free(k, (void *)(uintptr_t)norm.weight, wide * sizeof *weight);
    if (norm.bias)
        k->ops->free(k, (void *)(uintptr_t)norm.bias, wide * sizeof *bias);
    free_array(k, dx, n), free_array(k, residual, n), free_array(k, place, n);
    free(x), free(old), free(weight), free(bias), free(want);
}

TEST(norms_of_every_width_equal_the_double_loops_apart_and_in_place)
{
    static const int widths[] = {1, 20, 60, 64, 172, 768, 1003, 2048, 5120};
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int how = 0; how < 8; how++)
            check_norm(k, how & 1 ? KERNEL_LAYER_NORM : KERNEL_RMS_NORM, 2 + (int)(w % 2), widths[w], how & 2,
                       how & 4, 0);
    close_emulated(cuda);
}

TEST(rows_that_fill_all_registers_and_rows_that_exceed_them_are_normed_too)
{
    static const int widths[] = {8200, 8191, 16400, 32768 + 8, 9001};
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        check_norm(k, w % 2 ? KERNEL_RMS_NORM : KERNEL_LAYER_NORM, 1, widths[w], true, w == 2, 0);
    close_emulated(cuda);
}

TEST(many_rows_are_normed_as_few_are)
{
    setenv("EMULATED_MULTIPROCESSORS", "1", 1);
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    {
        check_norm(k, KERNEL_RMS_NORM, 5, 2560, true, false, 0);
        check_norm(k, KERNEL_LAYER_NORM, 4, 4104, false, false, 0);
        check_norm(k, KERNEL_LAYER_NORM, 3, 1001, true, true, 0);
    }
    close_emulated(cuda);
    unsetenv("EMULATED_MULTIPROCESSORS");
}

TEST(layer_norm_far_from_zero_does_not_cancel)
{
    struct kernels *cuda = open_emulated();
    struct kernels *k = cuda->ops->view(cuda, KERNEL_FP32);
    check_norm(k, KERNEL_LAYER_NORM, 2, 768, false, false, 300);
    close_emulated(cuda);
}

TEST(unaligned_rows_take_the_slow_path_and_give_the_same)
{
    enum { ROWS = 3, WIDTH = 64 };
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    {
        size_t element = kernel_dtype_bytes(k->activation), n = ROWS * WIDTH;
        float *x = noise_array(n + 1), *weight = noise_array(WIDTH);
        double want[ROWS * WIDTH];
        narrow_array(k, x, n + 1);
        void *dx = to_device(k, x, n + 1), *out = new_array(k, n), *w = bytes_to_device(k, weight, WIDTH * 4);
        struct kernel_norm norm = {KERNEL_RMS_NORM, w, NULL, 1e-5f, WIDTH};
        k->ops->norm(k, out, (char *)dx + element, &norm, ROWS);
        oracle(want, x + 1, weight, NULL, KERNEL_RMS_NORM, 1e-5, ROWS, WIDTH);
        check_device("norm of unaligned rows", k, out, want, n, 1);
        free_array(k, dx, n + 1), free_array(k, out, n);
        k->ops->free(k, w, WIDTH * 4);
        free(x), free(weight);
    }
    close_emulated(cuda);
}
