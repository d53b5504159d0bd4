/* The block formats of GGUF files: bytes as ggml writes them, values as its documentation says, a search that
 * its reference does not beat, and matrices of them at every level. */
#include "kernels/blocks.h"
#include "kernels/generator.h"

#include "tests/kernels/fixture.h"

#define FOR_EACH_FORMAT(dtype) for (enum kernel_dtype dtype = KERNEL_Q8_0; dtype <= KERNEL_Q6_K; dtype++)

TEST(sizes_are_those_of_the_file_format)
{
    CHECK_INT(kernel_row_bytes(KERNEL_Q8_0, 64), 68);
    CHECK_INT(kernel_row_bytes(KERNEL_Q4_0, 64), 36);
    CHECK_INT(kernel_row_bytes(KERNEL_Q4_K, 512), 288);
    CHECK_INT(kernel_row_bytes(KERNEL_Q6_K, 512), 420);
    CHECK_INT(kernel_matrix_bytes(KERNEL_Q6_K, 3, 256), 630);
    CHECK_INT(kernel_block_cols(KERNEL_Q4_K), 256);
    CHECK_INT(kernel_block_cols(KERNEL_NF4_DQ), 64);
    CHECK_INT(kernel_block_cols(KERNEL_BF16), 1);
    CHECK(kernel_is_blocks(KERNEL_Q8_0) && kernel_is_blocks(KERNEL_Q6_K) && !kernel_is_blocks(KERNEL_NF4_DQ));
    CHECK_STRING(kernel_dtype_name(KERNEL_Q4_K), "q4_k");
}

/* Written by quantize_row_q8_0_ref and quantize_row_q4_0_ref of ggml for x[i] = ((37 i + 11) % 64 - 29) / 16.
 */
TEST(blocks_of_32_are_the_bytes_that_ggml_writes)
{
    static const unsigned char eight[] = {
        0x08, 0x24, 0xb9, 0x4b, 0xe0, 0x73, 0x08, 0x9d, 0x30, 0xc4, 0x57, 0xec, 0x7f, 0x14, 0xa9, 0x3c, 0xd0,
        0x63, 0xf8, 0x8d, 0x20, 0xb5, 0x47, 0xdc, 0x6f, 0x04, 0x99, 0x2c, 0xc0, 0x53, 0xe8, 0x7b, 0x10, 0xa5};
    static const unsigned char four[] = {0x00, 0xb4, 0x9d, 0xf3, 0x6a, 0xd1, 0x48, 0xae, 0x15,
                                         0x8c, 0xf3, 0x59, 0xc0, 0x37, 0xae, 0x04, 0x7b, 0xe2};
    float x[32];
    unsigned char got[34];
    for (int i = 0; i < 32; i++)
        x[i] = (float)((i * 37 + 11) % 64 - 29) / 16;
    kernel_quantize_rows(KERNEL_Q8_0, x, 1, 32, got);
    CHECK(memcmp(got, eight, sizeof eight) == 0);
    kernel_quantize_rows(KERNEL_Q4_0, x, 1, 32, got);
    CHECK(memcmp(got, four, sizeof four) == 0);
}

static void random_bytes(unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        p[i] = (unsigned char)(noise() * 128);
}

static void put_half(unsigned char *p, float x)
{
    kernel_quantize_rows(KERNEL_FP16, &x, 1, 1, p);
}

/* Every bit of a block is random but its halves. */
static void random_block(enum kernel_dtype dtype, unsigned char *p)
{
    random_bytes(p, kernel_row_bytes(dtype, kernel_block_cols(dtype)));
    put_half(p + (dtype == KERNEL_Q6_K ? 208 : 0), noise());
    if (dtype == KERNEL_Q4_K)
        put_half(p + 2, noise());
}

static double half_of(const unsigned char *p)
{
    float x;
    kernel_dequantize_rows(KERNEL_FP16, p, 1, 1, &x);
    return (double)x;
}

/* Value i of a block by the formulas of the format, in another order of thought than the code's. */
static double value_of(enum kernel_dtype dtype, const unsigned char *p, int i)
{
    if (dtype == KERNEL_Q8_0)
        return half_of(p) * (signed char)p[2 + i];
    if (dtype == KERNEL_Q4_0)
        return half_of(p) * ((i < 16 ? p[2 + i] & 15 : p[2 + i - 16] >> 4) - 8);
    if (dtype == KERNEL_Q4_K) {
        const unsigned char *s = p + 4, *q = p + 16 + i / 64 * 32;
        int j = i / 32, code = i % 64 < 32 ? q[i % 32] & 15 : q[i % 32] >> 4;
        int scale = j < 4 ? s[j] & 63 : (s[j + 4] & 15) | (s[j - 4] >> 6) << 4;
        int min = j < 4 ? s[j + 4] & 63 : s[j + 4] >> 4 | (s[j] >> 6) << 4;
        return half_of(p) * scale * code - half_of(p + 2) * min;
    }
    int j = i % 128, l = j % 32;
    int low = p[i / 128 * 64 + (j / 32 % 2) * 32 + l], high = p[128 + i / 128 * 32 + l];
    int code = (j < 64 ? low & 15 : low >> 4) | (high >> j / 32 * 2 & 3) << 4;
    return half_of(p + 208) * (signed char)p[192 + i / 16] * (code - 32);
}

TEST(values_are_what_the_format_says_for_every_bit_of_a_block)
{
    unsigned char block[256];
    float got[256];
    FOR_EACH_FORMAT(dtype)
    for (int round = 0; round < 200; round++) {
        random_block(dtype, block);
        kernel_dequantize_rows(dtype, block, 1, kernel_block_cols(dtype), got);
        for (int i = 0; i < kernel_block_cols(dtype); i++)
            CHECK_CLOSE((double)got[i], (double)(float)value_of(dtype, block, i), 0);
    }
}

TEST(every_half_becomes_its_value_and_comes_back)
{
    for (unsigned bits = 0; bits < 65536; bits++) {
        uint16_t half = (uint16_t)bits, back;
        float value;
        kernel_dequantize_rows(KERNEL_FP16, &half, 1, 1, &value);
        kernel_quantize_rows(KERNEL_FP16, &value, 1, 1, &back);
        if (isnan(value))
            CHECK((back & 0x7c00) == 0x7c00 && (back & 0x3ff));
        else
            CHECK_INT(back, half);
        kernel_dequantize_rows(KERNEL_BF16, &half, 1, 1, &value);
        kernel_quantize_rows(KERNEL_BF16, &value, 1, 1, &back);
        CHECK(back == half || isnan(value));
    }
    static const float near[][2] = {
        {1.00048828125f, 0x3c00}, {1.00146484375f, 0x3c02}, {65519, 0x7bff}, {65520, 0x7c00}, {0x1p-25f, 0},
        {0x1.8p-25f, 1}};
    for (size_t i = 0; i < sizeof near / sizeof *near; i++) { /* halfway: to even */
        uint16_t half;
        kernel_quantize_rows(KERNEL_FP16, &near[i][0], 1, 1, &half);
        CHECK_INT(half, (int)near[i][1]);
    }
}

/* Root of the mean square of what quantizing loses. */
static double loss(enum kernel_dtype dtype, const float *x, int n)
{
    unsigned char *blocks = malloc(kernel_row_bytes(dtype, n));
    float *back = malloc((size_t)n * sizeof *back);
    double sum = 0;
    kernel_quantize_rows(dtype, x, 1, n, blocks);
    kernel_dequantize_rows(dtype, blocks, 1, n, back);
    for (int i = 0; i < n; i++)
        sum += ((double)x[i] - (double)back[i]) * ((double)x[i] - (double)back[i]);
    free(blocks), free(back);
    return sqrt(sum / n);
}

/* What quantize_row_q4_K_ref and quantize_row_q6_K_ref of ggml lose on the same values. */
TEST(the_search_loses_less_than_the_reference_of_ggml)
{
    enum { N = 65536 };
    float *flat = malloc(N * sizeof *flat), *heavy = malloc(N * sizeof *heavy);
    uint64_t key = generator_key(5, 6, 0);
    for (uint32_t i = 0; i < N; i++) {
        float s = 0;
        for (uint32_t j = 0; j < 4; j++)
            s += generator_value(key, 4 * i + j, 1);
        flat[i] = generator_value(key, i, 1);
        heavy[i] = s * s * s * 0.02f;
    }
    CHECK(loss(KERNEL_Q4_K, flat, N) < 0.03153548 * 0.995);
    CHECK(loss(KERNEL_Q6_K, flat, N) < 0.0075313 * 0.995);
    CHECK(loss(KERNEL_Q4_K, heavy, N) < 0.009249905 * 0.995);
    CHECK(loss(KERNEL_Q6_K, heavy, N) < 0.002416669 * 0.995);
    CHECK(loss(KERNEL_Q8_0, flat, N) < 1.0 / 127 / sqrt(12) * 1.01);
    CHECK(loss(KERNEL_Q4_0, flat, N) < 1.0 / 8 / sqrt(12) * 1.1);
    free(flat), free(heavy);
}

TEST(values_that_the_format_holds_come_back_exactly)
{
    float x[256], got[256];
    unsigned char block[256];
    FOR_EACH_FORMAT(dtype)
    {
        int n = kernel_block_cols(dtype);
        for (int i = 0; i < n; i++) /* one scale, every level, the largest magnitude negative */
            x[i] = dtype == KERNEL_Q8_0   ? (float)(i * 8 - 127) * 0.5f
                   : dtype == KERNEL_Q4_0 ? (float)(i % 16 - 8) * 0.25f
                   : dtype == KERNEL_Q4_K ? (float)(i % 16) * 63 * 0.125f
                                          : (float)((i * 7 + 32) % 64 - 32) * -128 * 0.125f;
        if (dtype == KERNEL_Q6_K)
            for (int i = 0; i < n; i += 16) /* every sub-block has its extreme */
                x[i] = -32 * -128 * 0.125f;
        kernel_quantize_rows(dtype, x, 1, n, block);
        kernel_dequantize_rows(dtype, block, 1, n, got);
        for (int i = 0; i < n; i++)
            CHECK_CLOSE((double)got[i], (double)x[i], 1e-6 * fabs((double)x[i]));
    }
}

TEST(no_input_makes_a_block_that_cannot_be_read)
{
    static const float odd[] = {0,     -0.0f,  1e-45f,   1e-8f,     65504, 1e6f,
                                3e38f, -3e38f, INFINITY, -INFINITY, NAN};
    enum { ODD = sizeof odd / sizeof *odd };
    float x[256], got[256];
    unsigned char block[256];
    FOR_EACH_FORMAT(dtype)
    for (int a = 0; a < ODD; a++)
        for (int b = 0; b < ODD; b++) {
            int n = kernel_block_cols(dtype);
            for (int i = 0; i < n; i++)
                x[i] = i % 7 == 3 ? odd[a] : odd[b];
            kernel_quantize_rows(dtype, x, 1, n, block);
            kernel_dequantize_rows(dtype, block, 1, n, got);
            for (int i = 0; i < n; i++)
                CHECK(odd[a] != 0 || odd[b] != 0 || got[i] == 0);
        }
}

TEST(matrices_are_the_nearest_blocks_of_the_seeded_values_at_every_level_and_thread_count)
{
    enum { ROWS = 33, COLS = 768 };
    static unsigned char want[ROWS * COLS * 2];
    struct kernels *first = open_level("portable", "own", 1);
    FOR_EACH_FORMAT(dtype)
    {
        float *exact, *got;
        struct kernel_matrix e = new_matrix(first, KERNEL_FP32, ROWS, COLS, 9, &exact);
        kernel_quantize_rows(dtype, exact, ROWS, COLS, want);
        for (int level = 0; level < LEVELS; level++)
            for (int threads = 1; threads <= 5; threads += 2) {
                struct kernels *k = open_level(levels[level], "own", threads);
                if (!k)
                    continue;
                struct kernel_matrix m = new_matrix(k, dtype, ROWS, COLS, 9, &got);
                CHECK(memcmp(m.data, want, kernel_matrix_bytes(dtype, ROWS, COLS)) == 0);
                free_matrix(k, &m, got);
                k->ops->close(k);
            }
        free_matrix(first, &e, exact);
    }
    first->ops->close(first);
}

/* A file's bytes at an address that is even and no more, read back through a view. */
TEST(a_files_own_bytes_are_read_exactly_at_every_level)
{
    enum { ROWS = 9, COLS = 512, FIRST = 2, COUNT = 5 };
    static unsigned char bytes[2 + ROWS * COLS * 2];
    static float want[ROWS * COLS], got[COUNT * COLS];
    FOR_EACH_FORMAT(dtype)
    {
        size_t block = kernel_row_bytes(dtype, kernel_block_cols(dtype));
        for (size_t at = 0; at < kernel_matrix_bytes(dtype, ROWS, COLS); at += block)
            random_block(dtype, bytes + 2 + at);
        kernel_dequantize_rows(dtype, bytes + 2, ROWS, COLS, want);
        struct kernel_matrix m = {.dtype = dtype, .rows = ROWS, .cols = COLS, .data = bytes + 2},
                             view = kernel_matrix_rows(&m, 1, ROWS - 1);
        FOR_EACH_LEVEL(k)
        {
            k->ops->read_matrix(k, &view, FIRST, COUNT, got);
            CHECK(memcmp(got, want + (1 + FIRST) * COLS, sizeof got) == 0);
        }
    }
}

/* One row of x sees the same sums alone and beside others, so that a batch does not change a text. */
TEST(a_row_of_x_gives_the_same_sums_in_any_batch)
{
    enum { N = 41, COLS = 512 };
    float x[8 * COLS], alone[N], out[8 * N], *plain;
    for (int i = 0; i < 8 * COLS; i++)
        x[i] = noise();
    FOR_EACH_LEVEL(k)
    FOR_EACH_FORMAT(dtype)
    {
        struct kernel_matrix m = new_matrix(k, dtype, N, COLS, 3, &plain);
        for (int rows = 1; rows <= 8; rows++) {
            k->ops->product(k, out, N, x, COLS, &m, NULL, rows, NULL);
            for (int r = 0; r < rows; r++) {
                k->ops->product(k, alone, N, x + r * COLS, COLS, &m, NULL, 1, NULL);
                CHECK(memcmp(out + r * N, alone, sizeof alone) == 0);
            }
        }
        free_matrix(k, &m, plain);
    }
}
