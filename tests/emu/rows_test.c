/* Passes over token rows: tables, rows gathered, largest logits, positions. */
#include "tests/emu/fixture.h"

struct ragged { /* sequences of 3, 0, 1 and 4 rows, with 2, 9, 0 and 5 tokens cached */
    int32_t row_start[5], context[4], position[8];
};
static const struct ragged ragged = {{0, 3, 3, 4, 8}, {2, 9, 0, 5}, {2, 3, 4, 0, 5, 6, 7, 8}};

static struct kernel_batch ragged_batch(struct kernels *k)
{
    return (struct kernel_batch){4,
                                 8,
                                 4,
                                 9,
                                 bytes_to_device(k, ragged.row_start, sizeof ragged.row_start),
                                 bytes_to_device(k, ragged.context, sizeof ragged.context)};
}

static void free_batch(struct kernels *k, struct kernel_batch *b)
{
    k->ops->free(k, (void *)(uintptr_t)b->row_start, sizeof ragged.row_start);
    k->ops->free(k, (void *)(uintptr_t)b->context, sizeof ragged.context);
}

static void check_embed(struct kernels *k, enum kernel_dtype dtype, int cols)
{
    enum { ROWS = 8, VOCAB = 50 };
    static const int32_t ids[ROWS] = {49, 0, 7, 7, 13, 48, 1, 0};
    struct kernel_batch batch = ragged_batch(k);
    float *table, *positions, *extra;
    enum kernel_dtype other = dtype == KERNEL_FP32 ? KERNEL_FP32 : KERNEL_FP16;
    struct kernel_matrix t = new_matrix(k, dtype, VOCAB, cols, 1, &table),
                         p = new_matrix(k, other, 10, cols, 2, &positions),
                         e = new_matrix(k, other, 2, cols, 3, &extra);
    size_t n = (size_t)(ROWS * cols);
    void *out = new_array(k, n), *id = bytes_to_device(k, ids, sizeof ids);
    double *want = malloc(n * sizeof *want);
    for (int how = 0; how < 3; how++) { /* bare, with positions, with both */
        for (int r = 0; r < ROWS; r++)
            for (int i = 0; i < cols; i++)
                want[r * cols + i] = (double)table[ids[r] * cols + i] +
                                     (how > 0 ? (double)positions[ragged.position[r] * cols + i] : 0) +
                                     (how > 1 ? (double)extra[i] : 0);
        k->ops->embed(k, out, &t, id, how > 0 ? &p : NULL, how > 1 ? &e : NULL, &batch);
        check_device("embed", k, out, want, n, 1);
    }
    free_array(k, out, n);
    k->ops->free(k, id, sizeof ids);
    free_batch(k, &batch);
    free_matrix(k, &t), free_matrix(k, &p), free_matrix(k, &e);
    free(table), free(positions), free(extra), free(want);
}

TEST(embedding_adds_table_position_and_type_rows_in_every_type_and_width)
{
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++) {
        check_embed(k, (enum kernel_dtype)dtype, whole_cols((enum kernel_dtype)dtype, 64));
        check_embed(k, (enum kernel_dtype)dtype, whole_cols((enum kernel_dtype)dtype, 172));
        check_embed(k, (enum kernel_dtype)dtype, whole_cols((enum kernel_dtype)dtype, 1100));
    }
    close_emulated(cuda);
}

TEST(embedding_of_one_row_per_sequence_takes_each_sequences_position)
{
    enum { N = 3, COLS = 16 };
    int32_t ids[N] = {1, 1, 1}, row_start[N + 1] = {0, 1, 2, 3}, context[N] = {4, 0, 9};
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    {
        float *table, *positions;
        struct kernel_matrix t = new_matrix(k, KERNEL_FP32, 2, COLS, 1, &table),
                             p = new_matrix(k, KERNEL_FP32, 10, COLS, 2, &positions);
        int32_t *id = bytes_to_device(k, ids, sizeof ids),
                *start = bytes_to_device(k, row_start, sizeof row_start),
                *at = bytes_to_device(k, context, sizeof context);
        struct kernel_batch batch = {N, N, 1, 10, start, at};
        void *out = new_array(k, N * COLS);
        double want[N * COLS];
        for (int i = 0; i < N * COLS; i++)
            want[i] = (double)table[COLS + i % COLS] + (double)positions[context[i / COLS] * COLS + i % COLS];
        k->ops->embed(k, out, &t, id, &p, NULL, &batch);
        check_device("embed", k, out, want, N * COLS, 1);
        free_array(k, out, N * COLS);
        k->ops->free(k, id, sizeof ids), k->ops->free(k, start, sizeof row_start);
        k->ops->free(k, at, sizeof context);
        free_matrix(k, &t), free_matrix(k, &p);
        free(table), free(positions);
    }
    close_emulated(cuda);
}

TEST(gathered_rows_are_the_rows_asked_for_whatever_their_width_and_stride)
{
    enum { ROWS = 6, PICKED = 4 };
    static const int32_t ids[PICKED] = {5, 0, 3, 3};
    static const int widths[][2] = {{64, 64}, {64, 72}, {60, 60}, {60, 61}, {1, 3}, {2056, 2056}};
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        int width = widths[w][0], stride = widths[w][1];
        size_t n = (size_t)(ROWS * stride), picked = (size_t)(PICKED * width);
        float *x = noise_array(n), *got;
        narrow_array(k, x, n);
        void *from = to_device(k, x, n), *out = new_array(k, picked),
             *id = bytes_to_device(k, ids, sizeof ids);
        k->ops->gather_rows(k, out, from, stride, id, PICKED, width);
        got = from_device(k, out, picked);
        for (int r = 0; r < PICKED; r++)
            CHECK(memcmp(got + r * width, x + ids[r] * stride, (size_t)width * sizeof *x) == 0);
        free_array(k, from, n), free_array(k, out, picked);
        k->ops->free(k, id, sizeof ids);
        free(x), free(got);
    }
    close_emulated(cuda);
}

static int first_largest(const float *x, int n)
{
    int best = -1;
    for (int i = 0; i < n; i++)
        if (!isnan(x[i]) && (best < 0 || x[i] > x[best]))
            best = i;
    return best < 0 ? 0 : best;
}

static void check_argmax(struct kernels *k, const float *x, int rows, int width)
{
    size_t n = (size_t)rows * (size_t)width;
    int32_t *got = calloc((size_t)rows, sizeof *got);
    float *logits = bytes_to_device(k, x, n * sizeof *x);
    int32_t *ids = k->ops->alloc(k, (size_t)rows * sizeof *ids);
    k->ops->argmax(k, ids, logits, rows, width);
    k->ops->download(k, got, ids, (size_t)rows * sizeof *ids);
    for (int r = 0; r < rows; r++)
        CHECK_INT(got[r], first_largest(x + (size_t)r * (size_t)width, width));
    k->ops->free(k, logits, n * sizeof *x);
    k->ops->free(k, ids, (size_t)rows * sizeof *ids);
    free(got);
}

TEST(argmax_of_any_width_is_the_first_of_the_largest)
{
    static const int widths[] = {1, 2, 3, 5, 31, 172, 1003, 4096, 20001};
    struct kernels *cuda = open_emulated();
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++) {
        size_t n = 3 * (size_t)widths[w];
        float *x = noise_array(n);
        check_argmax(cuda, x, 3, widths[w]);
        for (size_t i = 0; i < n; i++)
            x[i] = (float)((int)(8 * x[i])); /* many equal ones */
        check_argmax(cuda, x, 3, widths[w]);
        free(x);
    }
    close_emulated(cuda);
}

/* Of rows split over blocks: equal ones on both sides of every seam, the first and last element of every part
 * largest in turn. */
TEST(argmax_of_long_rows_keeps_the_lowest_of_equals_across_parts)
{
    static const int widths[] = {4095, 4096, 4097, 8191, 8192, 8193, 12289, 50257, 128256};
    struct kernels *cuda = open_emulated();
    for (size_t w = 0; w < sizeof widths / sizeof *widths; w++)
        for (int rows = 1; rows <= 3; rows += 2) {
            int width = widths[w], parts = width / 4096 > 1 ? width / 4096 : 1,
                share = (width + parts - 1) / parts;
            size_t n = (size_t)rows * (size_t)width;
            float *x = noise_array(n); /* within -1 and 1 */
            for (int r = 0; r < rows; r++) {
                float *row = x + (size_t)r * (size_t)width;
                for (int p = r % parts; p < parts; p += 2) { /* the same from another part on in each row */
                    int end = (p + 1) * share < width ? (p + 1) * share : width;
                    row[r == 1 ? end - 1 : p * share] = 5;
                    row[end - 1] = 5;
                }
                row[width - 1] = 5;
            }
            check_argmax(cuda, x, rows, width);
            free(x);
        }
    close_emulated(cuda);
}

TEST(argmax_passes_over_nan_and_knows_infinities_and_both_zeros)
{
    enum { N = 200 };
    float x[4 * N];
    struct kernels *cuda = open_emulated();
    for (int i = 0; i < N; i++) {
        x[i] = NAN;
        x[N + i] = i == 150 ? -7 : i % 3 ? NAN : -9;
        x[2 * N + i] = -INFINITY;
        x[3 * N + i] = i == 170 ? 0.0f : i == 60 ? -0.0f : -1;
    }
    check_argmax(cuda, x, 4, N);
    x[2 * N] = NAN;
    check_argmax(cuda, x, 4, N);
    enum { LONG = 20001 }; /* in parts: a part of NaN alone has nothing to give, nor has a row of them */
    float *y = malloc(2 * LONG * sizeof *y);
    for (int i = 0; i < 2 * LONG; i++)
        y[i] = NAN;
    y[LONG + 15000] = -INFINITY;
    check_argmax(cuda, y, 2, LONG);
    free(y);
    close_emulated(cuda);
}

TEST(advance_moves_every_sequence)
{
    enum { N = 300 };
    int32_t context[N], got[N];
    struct kernels *cuda = open_emulated();
    for (int i = 0; i < N; i++)
        context[i] = 3 * i;
    int32_t *at = bytes_to_device(cuda, context, sizeof context);
    cuda->ops->advance(cuda, at, N - 1, 2);
    cuda->ops->download(cuda, got, at, sizeof got);
    for (int i = 0; i < N; i++)
        CHECK_INT(got[i], 3 * i + (i < N - 1 ? 2 : 0));
    cuda->ops->free(cuda, at, sizeof context);
    close_emulated(cuda);
}
