/* What the tests of the CUDA kernels share: the backend on the emulator and the CPU's beside it, arrays in
 * each activation's type, matrices with what they really hold, and how near is near.
 *
 *     TEST(a_sum_is_a_sum)
 *     {
 *         struct kernels *cuda = open_emulated();
 *         FOR_EACH_ACTIVATION(cuda, k) {
 *             float *x = noise_array(N);
 *             narrow_array(k, x, N);                     what k's type makes of it: the reference's input
 *             void *dx = to_device(k, x, N), *out = new_array(k, N);
 *             k->ops->add(k, out, dx, dx, N);
 *             check_device("add", k, out, want, N, 1.0); want: doubles
 *             free_array(k, dx, N); ...
 *         }
 *         close_emulated(cuda);                          fails if the backend met an error
 *     }
 *
 * Sizes are small: a thread of the emulator takes about 50 ns per exchange with its warp. */
#pragma once

#include "kernels/kernels.h"
#include "tests/test.h"

#include <stdint.h>

#define FIXTURE __attribute__((unused)) static

FIXTURE struct kernels *open_emulated(void)
{
    char why[200] = "";
    struct kernels_config config = {.threads = 1, .product = "own", .simd = "auto"};
    struct kernels *k = kernels_open_cuda(0, &config, why, sizeof why);
    if (!k) {
        printf("FAILED to open the emulated device: %s\n", why);
        exit(1);
    }
    return k;
}

FIXTURE struct kernels *open_cpu(void)
{
    char why[200] = "";
    struct kernels_config config = {.threads = 1, .product = "own", .simd = "auto"};
    struct kernels *k = kernels_open_cpu(&config, why, sizeof why);
    if (!k) {
        printf("FAILED to open the CPU: %s\n", why);
        exit(1);
    }
    return k;
}

FIXTURE void close_emulated(struct kernels *k)
{
    k->ops->synchronize(k);
    if (k->ops->error(k))
        TEST_FAIL("the backend failed: %s", k->ops->error(k));
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

/* k: the view with fp32, then fp16, then bf16 activations. */
#define FOR_EACH_ACTIVATION(cuda, k)                                                                         \
    for (int activation_ = KERNEL_FP32; activation_ <= KERNEL_BF16; activation_++)                           \
        for (struct kernels *k = (cuda)->ops->view((cuda), (enum kernel_dtype)activation_); k; k = NULL)

/* ---- values ---- */

static uint64_t noise_state = 1;

FIXTURE float noise(void)
{
    noise_state = noise_state * 6364136223846793005u + 1442695040888963407u;
    return (float)((int64_t)(noise_state >> 40) - (1 << 23)) * 0x1p-23f;
}

FIXTURE float *noise_array(size_t n)
{
    float *x = malloc(n * sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = noise();
    return x;
}

static inline uint32_t float_bits(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The nearest fp16 or bf16, ties to even, by arithmetic of its own: not the emulator's. */
FIXTURE uint16_t narrow(float x, enum kernel_dtype to)
{
    uint32_t bits = float_bits(x), sign = bits >> 16 & 0x8000u;
    double magnitude = fabs((double)x);
    if (to == KERNEL_BF16)
        return isnan(x) ? 0x7fff : (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1u)) >> 16);
    if (isnan(x))
        return 0x7fff;
    if (magnitude >= 65520)
        return (uint16_t)(sign | 0x7c00u);
    if (magnitude < 0x1p-14)
        return (uint16_t)(sign | (uint32_t)rint(magnitude * 0x1p24));
    int exponent;
    double fraction = rint(frexp(magnitude, &exponent) * 2048); /* [1024, 2048] */
    return (uint16_t)(sign | ((uint32_t)(exponent + 13) * 1024u + (uint32_t)fraction));
}

FIXTURE float widen(uint16_t x, enum kernel_dtype from)
{
    uint32_t bits = (uint32_t)x << 16, exponent = x >> 10 & 31u, mantissa = x & 1023u;
    float y;
    if (from == KERNEL_BF16) {
        memcpy(&y, &bits, sizeof y);
        return y;
    }
    double magnitude = exponent == 31 ? (mantissa ? (double)NAN : (double)INFINITY)
                       : exponent     ? ldexp(1024.0 + mantissa, (int)exponent - 25)
                                      : ldexp(mantissa, -24);
    return (float)(x & 0x8000u ? -magnitude : magnitude);
}

/* What the activations' type makes of x, in place: so that the reference computes from the same numbers. */
FIXTURE void narrow_array(const struct kernels *k, float *x, size_t n)
{
    for (size_t i = 0; k->activation != KERNEL_FP32 && i < n; i++)
        x[i] = widen(narrow(x[i], k->activation), k->activation);
}

/* ---- device memory ---- */

FIXTURE void *new_array(struct kernels *k, size_t n) /* of activations, zero */
{
    return k->ops->alloc(k, n * kernel_dtype_bytes(k->activation));
}

FIXTURE void free_array(struct kernels *k, void *p, size_t n)
{
    k->ops->free(k, p, n * kernel_dtype_bytes(k->activation));
}

FIXTURE void *bytes_to_device(struct kernels *k, const void *from, size_t bytes)
{
    void *p = k->ops->alloc(k, bytes);
    k->ops->upload(k, p, from, bytes);
    return p;
}

FIXTURE void put_array(struct kernels *k, void *to, const float *x, size_t n)
{
    uint16_t *half = malloc(n * sizeof *half);
    for (size_t i = 0; k->activation != KERNEL_FP32 && i < n; i++)
        half[i] = narrow(x[i], k->activation);
    k->ops->upload(k, to, k->activation == KERNEL_FP32 ? (const void *)x : half,
                   n * kernel_dtype_bytes(k->activation));
    k->ops->synchronize(k);
    free(half);
}

FIXTURE void *to_device(struct kernels *k, const float *x, size_t n) /* in k's type */
{
    void *p = new_array(k, n);
    put_array(k, p, x, n);
    return p;
}

FIXTURE float *from_device_as(struct kernels *k, const void *p, size_t n, enum kernel_dtype type) /* free() */
{
    float *x = malloc((n ? n : 1) * sizeof *x);
    uint16_t *half = malloc((n ? n : 1) * sizeof *half);
    k->ops->download(k, type == KERNEL_FP32 ? (void *)x : half, p, n * kernel_dtype_bytes(type));
    for (size_t i = 0; type != KERNEL_FP32 && i < n; i++)
        x[i] = widen(half[i], type);
    free(half);
    return x;
}

FIXTURE float *from_device(struct kernels *k, const void *p, size_t n) /* of k's type; free() */
{
    return from_device_as(k, p, n, k->activation);
}

/* ---- matrices ---- */

/* cols, or the next number of columns that makes whole blocks where those are not padded. */
FIXTURE int whole_cols(enum kernel_dtype dtype, int64_t cols)
{
    int64_t block = kernel_is_blocks(dtype) ? kernel_block_cols(dtype) : 1;
    return (int)((cols + block - 1) / block * block);
}

/* Weights of (seed 7, id) in dtype; *plain (free(), may be NULL): what they hold, [rows, cols]. The same call
 * on the CPU gives the same matrix. */
FIXTURE struct kernel_matrix new_matrix(struct kernels *k, enum kernel_dtype dtype, int64_t rows,
                                        int64_t cols, uint64_t id, float **plain)
{
    size_t part[3];
    struct kernel_matrix m = {.dtype = dtype, .rows = rows, .cols = cols};
    kernel_matrix_parts(dtype, rows, cols, part);
    m.data = k->ops->alloc(k, part[0]);
    m.scales = part[1] ? k->ops->alloc(k, part[1]) : NULL;
    m.codes = part[2] ? k->ops->alloc(k, part[2]) : NULL;
    k->ops->generate(k, &m, 7, id, KERNEL_UNIFORM, 1.0f);
    if (plain) {
        *plain = malloc((size_t)rows * (size_t)cols * sizeof(float));
        k->ops->read_matrix(k, &m, 0, rows, *plain);
    }
    return m;
}

FIXTURE void free_matrix(struct kernels *k, struct kernel_matrix *m)
{
    size_t part[3];
    kernel_matrix_parts(m->dtype, m->rows, m->cols, part);
    k->ops->free(k, m->data, part[0]);
    if (part[1])
        k->ops->free(k, m->scales, part[1]);
    if (part[2])
        k->ops->free(k, m->codes, part[2]);
}

/* ---- judgement ---- */

/* One rounding of a value near 1 stored in that type, with room for sums in fp32 in another order. */
FIXTURE double rounding_of(enum kernel_dtype dtype)
{
    return dtype == KERNEL_FP16 ? 0x1p-10 : dtype == KERNEL_BF16 ? 0x1p-7 : 1e-5;
}

/* Fails once, at the first element farther from `want` than tolerance * (scale + |want|). */
FIXTURE void check_near(const char *what, const float *got, const double *want, size_t n, double tolerance,
                        double scale)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - want[i]) <= tolerance * (scale + fabs(want[i])))) {
            TEST_FAIL("%s, element %zu: %.9g, not %.9g", what, i, (double)got[i], want[i]);
            return;
        }
}

/* The n activations at p against want; scale: the size of the terms that were summed (1 for plain ones). */
FIXTURE void check_device(const char *what, struct kernels *k, const void *p, const double *want, size_t n,
                          double scale)
{
    char name[120];
    float *got = from_device(k, p, n);
    snprintf(name, sizeof name, "%s in %s", what, kernel_dtype_name(k->activation));
    check_near(name, got, want, n, rounding_of(k->activation), scale);
    free(got);
}
