/* The unfused elementwise steps against double loops, at odd lengths and unaligned starts. */
#include "tests/emu/fixture.h"

static const size_t lengths[] = {1, 7, 8, 60, 172, 4099};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

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

/* Two operands of n elements that begin `skip` elements behind an aligned address. */
static void check_binary(struct kernels *k, size_t n, size_t skip, bool in_place)
{
    size_t element = kernel_dtype_bytes(k->activation), all = n + skip;
    float *a = noise_array(all), *b = noise_array(all);
    double *sum = malloc(n * sizeof *sum), *gated = malloc(n * sizeof *gated);
    for (size_t i = 0; i < all; i++)
        a[i] *= 8;
    narrow_array(k, a, all);
    narrow_array(k, b, all);
    for (size_t i = 0; i < n; i++) {
        sum[i] = (double)a[skip + i] + (double)b[skip + i];
        gated[i] = activated((double)a[skip + i], KERNEL_SILU) * (double)b[skip + i];
    }
    for (int op = 0; op < 2; op++) {
        char *da = to_device(k, a, all), *db = to_device(k, b, all), *place = new_array(k, all);
        char *out = (in_place ? op ? da : db : place) + skip * element;
        if (op == 0)
            k->ops->add(k, out, da + skip * element, db + skip * element, (int64_t)n);
        else
            k->ops->multiply_silu(k, out, da + skip * element, db + skip * element, (int64_t)n);
        check_device(op ? "multiply_silu" : "add", k, out, op ? gated : sum, n, 1);
        free_array(k, da, all), free_array(k, db, all), free_array(k, place, all);
    }
    free(a), free(b), free(sum), free(gated);
}

TEST(add_and_multiply_silu_equal_the_double_loops)
{
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int i = 0; i < LENGTHS; i++)
        for (int how = 0; how < 4; how++)
            check_binary(k, lengths[i], how & 1 ? 3 : 0, how & 2);
    close_emulated(cuda);
}

TEST(activations_equal_the_double_functions_from_far_below_zero_to_far_above)
{
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int activation = KERNEL_LINEAR; activation <= KERNEL_TANH; activation++)
        for (int l = 0; l < LENGTHS; l++) {
            size_t n = lengths[l];
            float *x = noise_array(n);
            double *want = malloc(n * sizeof *want);
            for (size_t i = 0; i < n; i++)
                x[i] *= i % 3 ? 3 : 30;
            narrow_array(k, x, n);
            void *dx = to_device(k, x, n);
            for (size_t i = 0; i < n; i++)
                want[i] = activated((double)x[i], (enum kernel_activation)activation);
            k->ops->activate(k, dx, (enum kernel_activation)activation, (int64_t)n);
            check_device("activate", k, dx, want, n, 0.1);
            free_array(k, dx, n);
            free(x), free(want);
        }
    close_emulated(cuda);
}

TEST(add_bias_touches_the_width_of_every_row_and_nothing_between)
{
    enum { ROWS = 5 };
    static const int widths[][2] = {{64, 64}, {64, 96}, {172, 172}, {60, 63}, {2056, 2064}, {3, 8}};
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        int width = widths[w][0], stride = widths[w][1];
        size_t n = (size_t)(ROWS * stride), bytes = (size_t)width * sizeof(float);
        float *x = noise_array(n), *bias = noise_array((size_t)width);
        double *want = malloc(n * sizeof *want);
        narrow_array(k, x, n);
        void *dx = to_device(k, x, n);
        float *b = bytes_to_device(k, bias, bytes);
        for (int i = 0; i < ROWS * stride; i++)
            want[i] = (double)x[i] + (i % stride < width ? (double)bias[i % stride] : 0);
        k->ops->add_bias(k, dx, stride, b, ROWS, width);
        check_device("add_bias", k, dx, want, n, 1);
        free_array(k, dx, n);
        k->ops->free(k, b, bytes);
        free(x), free(bias), free(want);
    }
    close_emulated(cuda);
}
