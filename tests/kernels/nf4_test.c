/* The 4-bit code books against their definitions, and NF4 matrices against plain loops, at every level. */
#include "kernels/generator.h"
#include "kernels/quantize.h"

#include "tests/kernels/fixture.h"

TEST(the_dynamic_map_is_sorted_symmetric_and_holds_zero_and_one)
{
    CHECK_CLOSE((double)quantize_dynamic_value(127), 0, 0);
    CHECK_CLOSE((double)quantize_dynamic_value(255), 1, 0);
    for (int i = 1; i < 256; i++)
        CHECK(quantize_dynamic_value(i) > quantize_dynamic_value(i - 1));
    for (int i = 0; i < 127; i++)
        CHECK(quantize_dynamic_value(i) == -quantize_dynamic_value(254 - i));
}

/* create_dynamic_map(signed, 7 exponent bits, 8 bits): per decade the midpoints of an even division. */
TEST(the_dynamic_map_holds_the_midpoints_of_every_decade)
{
    int code = 128;
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 1 << i; j++, code++) {
            double low = 0.1 + 0.9 * j / (1 << i), high = 0.1 + 0.9 * (j + 1) / (1 << i);
            CHECK_CLOSE((double)quantize_dynamic_value(code), (low + high) / 2 * pow(10, i - 6), 1e-7);
        }
    CHECK_INT(code, 255);
}

/* Linear search; the lower of two that are equally near. */
static int nearest(float x, float (*value)(int), int count)
{
    int best = 0;
    for (int i = 1; i < count; i++)
        if (fabs((double)value(i) - (double)x) < fabs((double)value(best) - (double)x))
            best = i;
    return best;
}

TEST(codes_are_the_nearest_values_of_both_books)
{
    for (int i = 0; i < 256; i++)
        CHECK_INT(quantize_dynamic_code(quantize_dynamic_value(i)), i);
    for (int i = 0; i < 16; i++)
        CHECK_INT(quantize_nf4_code(quantize_nf4_value(i)), i);
    for (int i = 0; i < 20000; i++) {
        float x = noise(), small = x * x * x * x * x * x;
        CHECK_INT(quantize_nf4_code(x), nearest(x, quantize_nf4_value, 16));
        CHECK_INT(quantize_dynamic_code(small), nearest(small, quantize_dynamic_value, 256));
    }
    CHECK_INT(quantize_dynamic_code(-1), 0);
    CHECK_INT(quantize_nf4_code(0), QUANTIZE_NF4_ZERO);
}

/* What the header says of NF4, value by value. */
static void check_nf4(const struct kernel_matrix *m, const float *exact, const char *level)
{
    int64_t blocks = (m->cols + 63) / 64;
    for (int64_t row = 0; row < m->rows; row++)
        for (int64_t block = 0; block < blocks; block++) {
            float largest = 0;
            int64_t from = block * 64, to = from + 64 < m->cols ? from + 64 : m->cols;
            for (int64_t i = from; i < to; i++)
                largest = fmaxf(largest, fabsf(exact[row * m->cols + i]));
            if (m->dtype == KERNEL_NF4 && m->scales[row * blocks + block] != largest)
                TEST_FAIL("scale of block %d of row %d at %s", (int)block, (int)row, level);
            for (int64_t i = from; i < from + 64; i++) {
                int byte = ((const uint8_t *)m->data)[(row * blocks + block) * 32 + (i - from) / 2];
                int got = i % 2 ? byte & 15 : byte >> 4;
                int want = i < to ? quantize_nf4_code(exact[row * m->cols + i] * (1 / largest)) : 7;
                if (got != want) {
                    TEST_FAIL("code %d of row %d at %s: %d, not %d", (int)i, (int)row, level, got, want);
                    return;
                }
            }
        }
}

TEST(nf4_weights_are_the_nearest_levels_and_their_padding_is_zero)
{
    enum { ROWS = 19 };
    static const int widths[] = {64, 172, 60, 1, 4200};
    FOR_EACH_LEVEL(k)
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (enum kernel_dtype dtype = KERNEL_NF4; dtype <= KERNEL_NF4_DQ; dtype++) {
            float *got, *exact;
            struct kernel_matrix m = new_matrix(k, dtype, ROWS, widths[w], 11, &got),
                                 e = new_matrix(k, KERNEL_FP32, ROWS, widths[w], 11, &exact);
            check_nf4(&m, exact, levels[level_]);
            free_matrix(k, &m, got);
            free_matrix(k, &e, exact);
        }
}

TEST(double_quantized_scales_are_near_the_true_ones_and_their_mean_is_exact)
{
    enum { ROWS = 40, COLS = 1500, BLOCKS = 24 };
    FOR_EACH_LEVEL(k)
    {
        float *plain, *plain_dq;
        struct kernel_matrix m = new_matrix(k, KERNEL_NF4, ROWS, COLS, 5, &plain),
                             dq = new_matrix(k, KERNEL_NF4_DQ, ROWS, COLS, 5, &plain_dq);
        double mean = 0;
        for (int b = 0; b < ROWS * BLOCKS; b++)
            mean += (double)m.scales[b] / (ROWS * BLOCKS);
        CHECK_CLOSE((double)dq.scales[0], mean, 1e-7);
        for (int b = 0; b < ROWS * BLOCKS; b++) {
            float group = dq.scales[1 + b / 256],
                  got = quantize_block_scale(dq.codes[b], group, dq.scales[0]);
            /* Neighbors of the map are at most 0.9 / 64 apart, 1 and its neighbor less, -1 is not in it. */
            CHECK(fabsf(got - m.scales[b]) <= group * 0.0071f + 1e-7f);
        }
        CHECK(memcmp(m.data, dq.data, ROWS * BLOCKS * 32) == 0);
        free_matrix(k, &m, plain);
        free_matrix(k, &dq, plain_dq);
    }
}

TEST(nf4_matrices_are_the_same_bits_at_every_level_and_thread_count)
{
    enum { ROWS = 33, COLS = 1003 };
    struct kernels *first = open_level("portable", "own", 1);
    float *want, *want_dq, *got, *got_dq;
    struct kernel_matrix a = new_matrix(first, KERNEL_NF4, ROWS, COLS, 9, &want),
                         b = new_matrix(first, KERNEL_NF4_DQ, ROWS, COLS, 9, &want_dq);
    for (int level = 0; level < LEVELS; level++)
        for (int threads = 1; threads <= 5; threads += 2) {
            struct kernels *k = open_level(levels[level], "own", threads);
            if (!k)
                continue;
            struct kernel_matrix m = new_matrix(k, KERNEL_NF4, ROWS, COLS, 9, &got),
                                 dq = new_matrix(k, KERNEL_NF4_DQ, ROWS, COLS, 9, &got_dq);
            CHECK(memcmp(got, want, ROWS * COLS * sizeof *got) == 0);
            CHECK(memcmp(got_dq, want_dq, ROWS * COLS * sizeof *got) == 0);
            free_matrix(k, &m, got);
            free_matrix(k, &dq, got_dq);
            k->ops->close(k);
        }
    free_matrix(first, &a, want);
    free_matrix(first, &b, want_dq);
    first->ops->close(first);
}

TEST(a_range_of_nf4_rows_is_the_same_values_through_a_view_and_through_read)
{
    enum { ROWS = 70, COLS = 321, FIRST = 47, COUNT = 9 };
    FOR_EACH_LEVEL(k)
    for (enum kernel_dtype dtype = KERNEL_NF4; dtype <= KERNEL_NF4_DQ; dtype++) {
        float *plain, part[COUNT * COLS];
        struct kernel_matrix m = new_matrix(k, dtype, ROWS, COLS, 2, &plain);
        k->ops->read_matrix(k, &m, FIRST, COUNT, part);
        CHECK(memcmp(part, plain + FIRST * COLS, sizeof part) == 0);
        struct kernel_matrix half = kernel_matrix_rows(&m, 40, 30),
                             view = kernel_matrix_rows(&half, 7, COUNT);
        k->ops->read_matrix(k, &view, 0, COUNT, part);
        CHECK(memcmp(part, plain + FIRST * COLS, sizeof part) == 0);
        free_matrix(k, &m, plain);
    }
}

TEST(an_all_zero_nf4_matrix_is_zero)
{
    FOR_EACH_LEVEL(k)
    for (enum kernel_dtype dtype = KERNEL_NF4; dtype <= KERNEL_NF4_DQ; dtype++) {
        float *plain;
        struct kernel_matrix m = new_matrix(k, dtype, 3, 100, 2, &plain);
        k->ops->generate(k, &m, 1, 1, KERNEL_CONSTANT, 0);
        k->ops->read_matrix(k, &m, 0, 3, plain);
        for (int i = 0; i < 300; i++)
            CHECK(plain[i] == 0);
        free_matrix(k, &m, plain);
    }
}

TEST(embedding_takes_nf4_rows_and_adds_nf4_positions)
{
    enum { COLS = 172, ROWS = 4 };
    int32_t ids[ROWS] = {5, 0, 29, 5}, row_start[] = {0, 1, ROWS}, context[] = {7, 2};
    struct kernel_batch batch = {2, ROWS, 3, 8, row_start, context};
    static const int position[ROWS] = {7, 2, 3, 4};
    FOR_EACH_LEVEL(k)
    for (enum kernel_dtype dtype = KERNEL_NF4; dtype <= KERNEL_NF4_DQ; dtype++) {
        float *table, *positions, out[ROWS * COLS];
        struct kernel_matrix t = new_matrix(k, dtype, 30, COLS, 2, &table),
                             p = new_matrix(k, dtype, 9, COLS, 3, &positions);
        k->ops->embed(k, out, &t, ids, &p, NULL, &batch);
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < COLS; i++)
                CHECK(out[r * COLS + i] == table[ids[r] * COLS + i] + positions[position[r] * COLS + i]);
        free_matrix(k, &t, table);
        free_matrix(k, &p, positions);
    }
}
