/* Generated weights and conversions between element types, at every level. */
#include "kernels/generator.h"

#include "tests/kernels/fixture.h"

static const enum kernel_dtype narrow_types[] = {KERNEL_FP16, KERNEL_BF16};

TEST(weights_are_the_stated_function_of_seed_id_and_index_at_every_level_and_thread_count)
{
    enum { ROWS = 37, COLS = 1003 };
    static float out[ROWS * COLS];
    for (int level = 0; level < LEVELS; level++)
        for (int threads = 1; threads <= 5; threads += 2) {
            struct kernels *k = open_level(levels[level], "own", threads);
            if (!k)
                continue;
            struct kernel_matrix m = {KERNEL_FP32, ROWS, COLS, out, NULL};
            memset(out, 0, sizeof out);
            k->ops->generate(k, &m, 99, 1234, KERNEL_UNIFORM, 0.02f);
            for (uint32_t i = 0; i < ROWS * COLS; i++)
                if (out[i] != generator_value(generator_key(99, 1234, i), i, 0.02f)) {
                    TEST_FAIL("element %u at %s", i, levels[level]);
                    break;
                }
            k->ops->close(k);
        }
}

TEST(uniform_weights_have_the_mean_and_variance_of_their_law_and_no_serial_correlation)
{
    enum { N = 1 << 20 };
    float *x = malloc(N * sizeof *x);
    struct kernels *k = open_level("auto", "own", 2);
    struct kernel_matrix m = {KERNEL_FP32, 1024, 1024, x, NULL};
    for (uint64_t id = 0; id < 3; id++) {
        k->ops->generate(k, &m, 5, id, KERNEL_UNIFORM, 1);
        double mean = 0, square = 0, lag1 = 0, lag1024 = 0, largest = 0;
        for (int i = 0; i < N; i++) {
            double v = (double)x[i];
            mean += v / N, square += v * v / N, largest = fmax(largest, fabs(v));
            lag1 += i ? v * (double)x[i - 1] / N : 0, lag1024 += i >= 1024 ? v * (double)x[i - 1024] / N : 0;
        }
        /* Five standard deviations of each estimate. */
        CHECK(fabs(mean) < 5 * sqrt(1 / 3.0 / N));
        CHECK(fabs(square - 1 / 3.0) < 5 * sqrt(4 / 45.0 / N));
        CHECK(fabs(lag1) < 5 / 3.0 / sqrt(N) && fabs(lag1024) < 5 / 3.0 / sqrt(N));
        CHECK(largest < 1 && largest > 0.9999);
    }
    k->ops->close(k);
    free(x);
}

TEST(seeds_and_tensors_differ)
{
    int equal = 0;
    for (uint32_t i = 0; i < 1000; i++) {
        float a = generator_value(generator_key(1, 1, i), i, 1),
              b = generator_value(generator_key(1, 2, i), i, 1);
        float c = generator_value(generator_key(2, 1, i), i, 1),
              d = generator_value(generator_key(1, 1, i + (1ull << 32)), i, 1);
        equal += a == b || a == c || a == d || b == c;
    }
    CHECK(equal < 3);
}

TEST(rounded_weights_are_the_nearest_of_their_type)
{
    FOR_EACH_LEVEL(k)
    for (int i = 0; i < 2; i++) {
        enum { ROWS = 5, COLS = 77 };
        uint16_t data[ROWS * COLS];
        float exact[ROWS * COLS], rounded[ROWS * COLS];
        struct kernel_matrix m = {narrow_types[i], ROWS, COLS, data, NULL},
                             e = {KERNEL_FP32, ROWS, COLS, exact, NULL};
        k->ops->generate(k, &m, 3, 4, KERNEL_UNIFORM, 0.05f);
        k->ops->generate(k, &e, 3, 4, KERNEL_UNIFORM, 0.05f);
        k->ops->read_matrix(k, &m, 0, ROWS, rounded);
        for (int j = 0; j < ROWS * COLS; j++) /* half a unit in the last of 11 or 8 bits */
            CHECK(fabsf(rounded[j] - exact[j]) <= fabsf(exact[j]) * (i ? 0x1p-8f : 0x1p-11f) + 0x1p-25f);
    }
}

TEST(int8_weights_are_within_half_a_step_of_the_exact_ones)
{
    FOR_EACH_LEVEL(k)
    {
        enum { ROWS = 7, COLS = 5001 };
        static int8_t data[ROWS * COLS];
        static float exact[ROWS * COLS], got[ROWS * COLS], scales[ROWS];
        struct kernel_matrix m = {KERNEL_INT8, ROWS, COLS, data, scales},
                             e = {KERNEL_FP32, ROWS, COLS, exact, NULL};
        k->ops->generate(k, &m, 3, 4, KERNEL_UNIFORM, 0.05f);
        k->ops->generate(k, &e, 3, 4, KERNEL_UNIFORM, 0.05f);
        k->ops->read_matrix(k, &m, 0, ROWS, got);
        for (int r = 0; r < ROWS; r++) {
            int largest = 0;
            for (int i = 0; i < COLS; i++) {
                CHECK(fabsf(got[r * COLS + i] - exact[r * COLS + i]) <= scales[r] * 0.50001f);
                largest = abs(data[r * COLS + i]) > largest ? abs(data[r * COLS + i]) : largest;
            }
            CHECK_INT(largest, 127);
        }
        float two[2 * COLS]; /* a range of rows is the same values */
        k->ops->read_matrix(k, &m, 3, 2, two);
        CHECK(memcmp(two, got + 3 * COLS, sizeof two) == 0);
    }
}

TEST(constant_weights_are_the_amplitude_in_every_type)
{
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++) {
        int cols = whole_cols((enum kernel_dtype)dtype, 12);
        float data[5 * 256], scales[5], out[5 * 256];
        uint8_t codes[5];
        struct kernel_matrix m = {(enum kernel_dtype)dtype, 5, cols, data, scales, codes};
        k->ops->generate(k, &m, 1, 1, KERNEL_CONSTANT, 1);
        k->ops->read_matrix(k, &m, 0, 5, out);
        double near = kernel_is_blocks(m.dtype) ? 2e-3 : 1e-7; /* their scales are halves */
        for (int i = 0; i < 5 * cols; i++)
            CHECK_CLOSE((double)out[i], 1, near);
    }
}

static double half_value(int bits) /* IEEE 754 binary16, finite */
{
    int exponent = bits >> 10 & 31, mantissa = bits & 1023;
    double value = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return bits & 0x8000 ? -value : value;
}

TEST(every_half_widens_to_its_value)
{
    enum { N = 65536 };
    uint16_t *data = malloc(N * sizeof *data);
    float *out = malloc(N * sizeof *out);
    for (int i = 0; i < N; i++)
        data[i] = (uint16_t)i;
    FOR_EACH_LEVEL(k)
    {
        struct kernel_matrix m = {KERNEL_FP16, 256, 256, data, NULL};
        k->ops->read_matrix(k, &m, 0, 256, out);
        for (int i = 0; i < N; i++) {
            int rest = i & 0x7fff;
            bool right = rest < 0x7c00    ? (double)out[i] == half_value(i)
                         : rest == 0x7c00 ? out[i] == (i & 0x8000 ? -INFINITY : INFINITY)
                                          : isnan(out[i]);
            if (!right) {
                TEST_FAIL("half %04x at %s is %g", (unsigned)i, levels[level_], (double)out[i]);
                break;
            }
        }
    }
    free(data), free(out);
}

/* Through the cache, which is where activations are narrowed. */
static void narrowed(struct kernels *k, enum kernel_dtype dtype, const float *x, uint16_t *out, int n)
{
    uint16_t *values = malloc((size_t)n * sizeof *values);
    int32_t row_start[] = {0, 1}, context[] = {0};
    struct kernel_batch batch = {1, 1, 1, 1, row_start, context};
    struct kernel_kv kv = {
        .dtype = dtype, .k = out, .v = values, .block_size = 1, .kv_heads = 1, .head_dim = n};
    kernel_kv_by_head(&kv);
    k->ops->cache_write(k, &kv, x, x, n, &batch);
    CHECK(memcmp(out, values, (size_t)n * sizeof *values) == 0);
    free(values);
}

TEST(floats_narrow_to_the_nearest_half_with_ties_to_even)
{
    enum { N = 3 * 31744 };
    float *x = malloc(N * sizeof *x);
    uint16_t *out = malloc(N * sizeof *out);
    for (int i = 0; i < N / 3; i++) { /* every finite half, the tie above it, and just above the tie */
        double low = half_value(i), high = i == 0x7bff ? 65536 : half_value(i + 1), middle = (low + high) / 2;
        x[3 * i] = (float)low;
        x[3 * i + 1] = (float)-middle;
        x[3 * i + 2] = nextafterf((float)middle, INFINITY);
    }
    FOR_EACH_LEVEL(k)
    {
        narrowed(k, KERNEL_FP16, x, out, N);
        for (int i = 0; i < N / 3; i++) {
            int even = i % 2 ? i + 1 : i;
            if (out[3 * i] != i || out[3 * i + 1] != (0x8000 | even) || out[3 * i + 2] != i + 1) {
                TEST_FAIL("half %04x at %s: %04x, %04x, %04x", (unsigned)i, levels[level_], out[3 * i],
                          out[3 * i + 1], out[3 * i + 2]);
                break;
            }
        }
        float special[] = {INFINITY, -INFINITY, NAN, 1e30f, 0x1p-26f, -0.0f};
        uint16_t bits[6];
        narrowed(k, KERNEL_FP16, special, bits, 6);
        CHECK(bits[0] == 0x7c00 && bits[1] == 0xfc00 && (bits[2] & 0x7fff) > 0x7c00 && bits[3] == 0x7c00);
        CHECK(bits[4] == 0 && bits[5] == 0x8000);
    }
    free(x), free(out);
}

TEST(floats_narrow_to_the_nearest_bf16_with_ties_to_even)
{
    enum { N = 3 * 0x7f00 };
    float *x = malloc(N * sizeof *x);
    uint16_t *out = malloc(N * sizeof *out);
    for (uint32_t i = 0; i < N / 3; i++) {
        uint32_t bits[] = {i << 16, i << 16 | 0x80008000u, (i << 16 | 0x8000u) + 1};
        memcpy(x + 3 * i, bits, sizeof bits);
    }
    FOR_EACH_LEVEL(k)
    {
        narrowed(k, KERNEL_BF16, x, out, N);
        for (int i = 0; i < N / 3; i++)
            if (out[3 * i] != i || out[3 * i + 1] != (0x8000 | (i % 2 ? i + 1 : i)) ||
                out[3 * i + 2] != i + 1) {
                TEST_FAIL("bf16 %04x at %s: %04x, %04x, %04x", (unsigned)i, levels[level_], out[3 * i],
                          out[3 * i + 1], out[3 * i + 2]);
                break;
            }
        float special[] = {INFINITY, NAN};
        uint16_t bits[2];
        narrowed(k, KERNEL_BF16, special, bits, 2);
        CHECK(bits[0] == 0x7f80 && (bits[1] & 0x7fff) > 0x7f80);
    }
    free(x), free(out);
}
