/* Products of more rows than the GEMV takes, on the stand-in for a GPU: every type of weights and
 * activations, ragged shapes, odd strides and every epilogue against double loops, by the library and by our
 * own tiles. */
#include "kernels/cuda/product.h"
#include "tests/emu/fixture.h"

/* The backend with a product library ("auto", "own") and activations of a type. */
static struct kernels *open_with(const char *product)
{
    char why[200] = "";
    struct kernels_config config = {.product = product};
    struct kernels *k = kernels_open_cuda(0, &config, why, sizeof why);
    if (!k)
        TEST_FAIL("the cuda backend does not open: %s", why);
    return k;
}

#define WITH(k, product, type)                                                                               \
    for (struct kernels *opened_ = open_with(product); opened_; close_emulated(opened_), opened_ = NULL)     \
        for (struct kernels *k = opened_->ops->view(opened_, type); k; k = NULL)

/* x in the activations' type in device memory; x itself is rounded to it. */
static void *put(struct kernels *k, float *x, size_t n)
{
    narrow_array(k, x, n);
    return to_device(k, x, n);
}

static size_t element(const struct kernels *k, bool fp32)
{
    return fp32 ? sizeof(float) : kernel_dtype_bytes(k->activation);
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

/* W8A8's own rounding of x, in the fp32 arithmetic that defines it. */
static void quantize_rows(float *x, int stride, int rows, int cols)
{
    for (int r = 0; r < rows; r++) {
        float largest = 0;
        for (int i = 0; i < cols; i++)
            largest = fmaxf(largest, fabsf(x[r * stride + i]));
        float inverse = largest > 0 ? 127 / largest : 0;
        for (int i = 0; i < cols; i++)
            x[r * stride + i] = rintf(x[r * stride + i] * inverse) * (largest / 127);
    }
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

/* Half an ulp at 1. */
static double unit_of(enum kernel_dtype dtype)
{
    return dtype == KERNEL_BF16 ? 0x1p-8 : dtype == KERNEL_FP16 ? 0x1p-11 : 0x1p-24;
}

/* What an element of a product may err: the result's rounding (where the library stores it before an
 * activation of ours, twice) and the bias's; fp32 sums of terms below 1, and weights below 1 that the
 * activations' type does not hold and are rounded to it, both growing with the root of cols. int8 enters our
 * tiles exactly, the library rounded. */
static double allowed(const struct kernels *k, enum kernel_dtype dtype, double want, int cols, bool fp32,
                      bool widened)
{
    double out = fp32 ? 0x1p-24 : unit_of(k->activation), root = sqrt((double)cols);
    bool exact = dtype == k->activation || (dtype == KERNEL_INT8 && !widened) || k->activation == KERNEL_FP32;
    return out * (2.2 * fabs(want) + 1) + 0x1p-20 * root + (exact ? 0 : 0.75 * unit_of(k->activation) * root);
}

static void check_product(struct kernels *k, enum kernel_dtype dtype, bool quantize_input, int rows, int n,
                          int cols, int x_pad, int out_pad, const struct kernel_epilogue *shape)
{
    cols = whole_cols(dtype, cols);
    int x_stride = cols + x_pad, out_stride = n + out_pad;
    size_t x_count = (size_t)(rows * x_stride), out_count = (size_t)(rows * out_stride);
    float *plain, *x = noise_array(x_count), *bias = noise_array((size_t)n), *out = noise_array(out_count);
    double *want = malloc((size_t)(rows * n) * sizeof *want);
    struct kernel_matrix m = new_matrix(k, dtype, n, cols, 3, &plain);
    m.quantize_input = quantize_input;
    void *x_there = put(k, x, x_count), *bias_there = bytes_to_device(k, bias, (size_t)n * sizeof *bias);
    void *out_there = shape->fp32 ? bytes_to_device(k, out, out_count * sizeof *out) : put(k, out, out_count);
    struct kernel_epilogue epilogue = *shape;
    epilogue.bias = shape->bias ? bias_there : NULL;
    if (quantize_input)
        quantize_rows(x, x_stride, rows, cols);
    oracle(want, x, x_stride, plain, shape->bias ? bias : NULL, rows, n, cols);
    for (int r = 0; r < rows; r++)
        for (int o = 0; o < n; o++)
            want[r * n + o] = activated(want[r * n + o], epilogue.activation) +
                              (epilogue.accumulate ? (double)out[r * out_stride + o] : 0);
    size_t bytes = k->ops->product_workspace(k, &m, rows);
    void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
    k->ops->product(k, out_there, out_stride, x_there, x_stride, &m, &epilogue, rows, workspace);
    float *got = from_device_as(k, out_there, out_count, shape->fp32 ? KERNEL_FP32 : k->activation);
    for (int i = 0, told = 0; i < rows * out_stride && !told; i++) {
        int r = i / out_stride, o = i % out_stride;
        double right = o < n ? want[r * n + o] : (double)out[i]; /* between the rows nothing is touched */
        if (o < n ? fabs((double)got[i] - right) <= allowed(k, dtype, right, cols, shape->fp32, rows >= 400)
                  : got[i] == out[i])
            continue;
        told = 1;
        TEST_FAIL("%s x %s%s, %d x %d x %d, activation %d%s%s%s: [%d, %d] is %.9g, not %.9g",
                  kernel_dtype_name(k->activation), kernel_dtype_name(dtype), quantize_input ? " both" : "",
                  rows, n, cols, (int)epilogue.activation, shape->bias ? ", bias" : "",
                  shape->accumulate ? ", accumulate" : "", shape->fp32 ? ", fp32" : "", r, o, (double)got[i],
                  right);
    }
    k->ops->free(k, workspace, bytes);
    k->ops->free(k, x_there, x_count * element(k, false));
    k->ops->free(k, bias_there, (size_t)n * sizeof *bias);
    k->ops->free(k, out_there, out_count * element(k, shape->fp32));
    free_matrix(k, &m), free(plain);
    free(x), free(bias), free(out), free(want), free(got);
}

static const float some[1];
static const struct kernel_epilogue epilogues[] = {
    {NULL, KERNEL_LINEAR, false, false},  {some, KERNEL_GELU_TANH, false, false},
    {some, KERNEL_GELU_ERF, true, false}, {some, KERNEL_LINEAR, true, false},
    {some, KERNEL_LINEAR, false, true},   {NULL, KERNEL_SILU, false, false},
    {some, KERNEL_TANH, true, true},      {some, KERNEL_GELU_ERF, false, false},
};
enum { EPILOGUES = sizeof epilogues / sizeof *epilogues };
static const enum kernel_dtype activations[] = {KERNEL_FP32, KERNEL_FP16, KERNEL_BF16};

/* Every activation type by every weight type; of blocks, which are widened and then like all others, each
 * type by one. */
static bool is_tried(int dtype, int activation)
{
    return !kernel_is_blocks((enum kernel_dtype)dtype) || dtype % 3 == activation;
}

/* {rows, n, cols, pad of x, pad of out} */
static const int shapes[][5] = {
    {9, 20, 60, 3, 5}, {17, 193, 172, 0, 0}, {65, 40, 64, 8, 8}, {130, 136, 96, 0, 2}, {33, 24, 7, 1, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void check_all(const char *product)
{
    int turn = 0;
    for (int a = 0; a < 3; a++)
        WITH(k, product, activations[a])
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int s = 0; s < SHAPES && is_tried(dtype, a); s++, turn++)
            check_product(k, (enum kernel_dtype)dtype, false, shapes[s][0], shapes[s][1], shapes[s][2],
                          shapes[s][3], shapes[s][4], &epilogues[turn % EPILOGUES]);
}

static bool library_is_there(void)
{
    struct kernels_info info = {0};
    WITH(k, "auto", KERNEL_FP32)
    k->ops->info(k, &info);
    return strstr(info.product, "cuBLASLt") != NULL;
}

TEST(our_tiles_equal_the_double_loops_in_every_type_shape_and_epilogue)
{
    check_all("own");
}

TEST(products_with_the_library_equal_the_double_loops_in_every_type_shape_and_epilogue)
{
    CHECK(library_is_there());
    check_all("auto");
}

/* The stand-in's own switch (tests/emu/libraries/cublaslt.cc). */
TEST(shapes_that_the_library_refuses_are_multiplied_by_our_tiles)
{
    setenv("EMULATED_CUBLASLT", "refuse", 1);
    CHECK(library_is_there());
    for (int a = 0; a < 3; a++)
        WITH(k, "auto", activations[a])
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++) {
        check_product(k, (enum kernel_dtype)dtype, dtype == KERNEL_INT8, 17, 40, 96, 0, 0,
                      &epilogues[dtype % EPILOGUES]);
        if (dtype == KERNEL_NF4)
            check_product(k, KERNEL_NF4, false, 400, 12, 40, 0, 0, &epilogues[3]);
    }
    unsetenv("EMULATED_CUBLASLT");
}

TEST(a_library_that_is_absent_or_does_not_fit_the_device_is_told_and_our_tiles_serve)
{
    static const char *const variable[][3] = {
        {"BENCHTOP_CUBLASLT", "/no/such/library.so", "/no/such/library.so cannot be opened"},
        {"EMULATED_CUBLASLT", "absent", "status 1"},
    };
    for (int i = 0; i < 2; i++) {
        struct kernels_info info = {0};
        setenv(variable[i][0], variable[i][1], 1);
        WITH(k, "auto", KERNEL_BF16)
        {
            k->ops->info(k, &info);
            CHECK(strstr(info.product, "cuBLASLt") == NULL);
            CHECK_CONTAINS(info.product_why, variable[i][2]);
            check_product(k, KERNEL_BF16, false, 17, 40, 96, 0, 0, &epilogues[0]);
        }
        unsetenv(variable[i][0]);
    }
}

TEST(every_epilogue_works_on_every_kind_of_tile)
{
    static const int rows[] = {9, 40, 70};
    for (int a = 0; a < 3; a++)
        WITH(k, "own", activations[a])
    for (int e = 0; e < EPILOGUES; e++)
        for (int r = 0; r < 3; r++)
            check_product(k, r == 1 ? KERNEL_NF4 : k->activation, false, rows[r], 36, 40, 0, 4,
                          &epilogues[e]);
}

TEST(long_rows_are_split_and_their_partial_sums_joined)
{
    for (int a = 0; a < 3; a++)
        WITH(k, "own", activations[a])
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++) {
        if (!is_tried(dtype, a))
            continue;
        check_product(k, (enum kernel_dtype)dtype, false, 11, 37, 1032, 0, 0, &epilogues[dtype % EPILOGUES]);
        check_product(k, (enum kernel_dtype)dtype, false, 70, 20, 528, 0, 1,
                      &epilogues[(dtype + 3) % EPILOGUES]);
    }
}

TEST(int8_on_both_sides_is_exact_but_for_the_rounding_of_x)
{
    for (int library = 0; library < 2; library++)
        for (int a = 0; a < 3; a++)
            WITH(k, library ? "auto" : "own", activations[a])
    for (int s = 0; s < SHAPES; s++)
        check_product(k, KERNEL_INT8, true, shapes[s][0], shapes[s][1], shapes[s][2], shapes[s][3],
                      shapes[s][4], &epilogues[(s + a) % EPILOGUES]);
}

TEST(weights_of_many_rows_are_widened_for_the_library)
{
    for (int a = 1; a < 3; a++)
        WITH(k, "auto", activations[a])
    for (int dtype = KERNEL_INT8; dtype < KERNEL_DTYPES; dtype++)
        check_product(k, (enum kernel_dtype)dtype, false, 401, 20, 72, 0, 0, &epilogues[dtype % EPILOGUES]);
}

TEST(a_view_of_rows_keeps_its_scales)
{
    for (int a = 0; a < 3; a++)
        WITH(k, "own", activations[a])
        {
            enum { ROWS = 10, N = 300, FIRST = 270, COUNT = 25, COLS = 60 };
            float *plain, *x = noise_array(ROWS * COLS);
            double want[ROWS * COUNT];
            struct kernel_matrix m = new_matrix(k, KERNEL_NF4_DQ, N, COLS, 3, &plain);
            struct kernel_matrix view = kernel_matrix_rows(&m, FIRST, COUNT);
            void *x_there = put(k, x, ROWS * COLS), *out = k->ops->alloc(k, ROWS * COUNT * 4);
            size_t bytes = k->ops->product_workspace(k, &view, ROWS);
            void *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
            k->ops->product(k, out, COUNT, x_there, COLS, &view, &epilogues[0], ROWS, workspace);
            float *got = from_device(k, out, ROWS * COUNT);
            oracle(want, x, COLS, plain + FIRST * COLS, NULL, ROWS, COUNT, COLS);
            for (int i = 0; i < ROWS * COUNT; i++)
                CHECK(fabs((double)got[i] - want[i]) <=
                      allowed(k, KERNEL_NF4_DQ, want[i], COLS, false, false));
            k->ops->free(k, workspace, bytes);
            k->ops->free(k, x_there, ROWS * COLS * element(k, false));
            k->ops->free(k, out, ROWS * COUNT * 4);
            free_matrix(k, &m), free(plain);
            free(x), free(got);
        }
}

static void check_gate_up(struct kernels *k, enum kernel_dtype dtype, bool quantize_input, int rows, int f,
                          int cols)
{
    cols = whole_cols(dtype, cols);
    float *plain, *x = noise_array((size_t)(rows * cols));
    double *both = malloc((size_t)(rows * 2 * f) * sizeof *both);
    struct kernel_matrix m = new_matrix(k, dtype, 2 * f, cols, 3, &plain);
    m.quantize_input = quantize_input;
    void *x_there = put(k, x, (size_t)(rows * cols));
    size_t room = (size_t)(rows * f) * element(k, false), bytes = k->ops->gate_up_workspace(k, &m, rows);
    void *out = k->ops->alloc(k, room), *workspace = bytes ? k->ops->alloc(k, bytes) : NULL;
    if (quantize_input)
        quantize_rows(x, cols, rows, cols);
    oracle(both, x, cols, plain, NULL, rows, 2 * f, cols);
    k->ops->gate_up(k, out, x_there, &m, rows, workspace);
    float *got = from_device(k, out, (size_t)(rows * f));
    for (int i = 0; i < rows * f; i++) {
        double gate = both[i / f * 2 * f + i % f], up = both[i / f * 2 * f + f + i % f];
        double want =
            activated(gate, KERNEL_SILU) * up; /* its slopes: up times at most 1.1, and silu(gate) */
        double most = allowed(k, dtype, gate, cols, false, false) * 1.1 * fabs(up) +
                      allowed(k, dtype, up, cols, false, false) * (fabs(gate) + 0.3) +
                      unit_of(k->activation) * fabs(want);
        if (!(fabs((double)got[i] - want) <= most)) {
            TEST_FAIL("gate_up of %s x %s, %d x %d x %d: [%d, %d] is %.9g, not %.9g",
                      kernel_dtype_name(k->activation), kernel_dtype_name(dtype), rows, f, cols, i / f, i % f,
                      (double)got[i], want);
            break;
        }
    }
    k->ops->free(k, workspace, bytes);
    k->ops->free(k, out, room);
    k->ops->free(k, x_there, (size_t)(rows * cols) * element(k, false));
    free_matrix(k, &m), free(plain);
    free(x), free(got), free(both);
}

TEST(gate_up_of_many_rows_equals_silu_of_gate_times_up)
{
    static const int sizes[][3] = {{9, 20, 60}, {40, 67, 72}, {70, 72, 40}};
    for (int library = 0; library < 2; library++)
        for (int a = 0; a < 3; a++)
            WITH(k, library ? "auto" : "own", activations[a])
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int s = 0; s < 3 && is_tried(dtype, a); s++)
            check_gate_up(k, (enum kernel_dtype)dtype, dtype == KERNEL_INT8 && s == 1, sizes[s][0],
                          sizes[s][1], sizes[s][2]);
}

TEST(head_argmax_of_many_rows_finds_the_largest_logit)
{
    for (int library = 0; library < 2; library++)
        for (int a = 0; a < 3; a++)
            WITH(k, library ? "auto" : "own", activations[a])
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++) {
        enum { ROWS = 19, N = 300 };
        if (!is_tried(dtype, a))
            continue;
        int cols = whole_cols((enum kernel_dtype)dtype, 40);
        float *plain, *x = noise_array((size_t)(ROWS * cols)), *bias = noise_array(N);
        static double want[ROWS * N];
        int32_t ids[ROWS];
        struct kernel_matrix m = new_matrix(k, (enum kernel_dtype)dtype, N, cols, 3, &plain);
        void *x_there = put(k, x, (size_t)(ROWS * cols)),
             *bias_there = bytes_to_device(k, bias, N * sizeof *bias);
        size_t bytes = k->ops->head_argmax_workspace(k, &m, ROWS);
        void *ids_there = k->ops->alloc(k, sizeof ids), *workspace = k->ops->alloc(k, bytes);
        oracle(want, x, cols, plain, bias, ROWS, N, cols);
        k->ops->head_argmax(k, ids_there, x_there, cols, &m, bias_there, ROWS, workspace);
        k->ops->download(k, ids, ids_there, sizeof ids);
        for (int r = 0; r < ROWS; r++) {
            double best = -INFINITY;
            for (int o = 0; o < N; o++)
                best = fmax(best, want[r * N + o]);
            CHECK(ids[r] >= 0 && ids[r] < N);
            if (ids[r] >= 0 && ids[r] < N)
                CHECK(want[r * N + ids[r]] >= best - 2 * allowed(k, m.dtype, best, cols, true, false));
        }
        k->ops->free(k, workspace, bytes);
        k->ops->free(k, ids_there, sizeof ids);
        k->ops->free(k, x_there, (size_t)(ROWS * cols) * element(k, false));
        k->ops->free(k, bias_there, N * sizeof *bias);
        free_matrix(k, &m), free(plain);
        free(x), free(bias);
    }
}

TEST(pieces_of_logits_join_in_order_pass_over_nan_and_keep_the_first_of_equals)
{
    enum { N = 700 };
    static float logits[4 * N]; /* four rows, in two pieces of 300 and 400 tokens */
    int32_t ids[4];
    for (int i = 0; i < 4 * N; i++)
        logits[i] = -5 - (float)(i % 7);
    logits[0 * N + 20] = logits[0 * N + 400] = 3;      /* equal in both pieces */
    logits[1 * N + 410] = logits[1 * N + 411] = -1;    /* only in the second */
    logits[2 * N + 299] = -2, logits[2 * N + 5] = NAN; /* the first, behind NaN */
    for (int i = 0; i < N; i++)
        logits[3 * N + i] = NAN;
    WITH(k, "own", KERNEL_FP32)
    {
        float piece[4 * 400];
        void *there = k->ops->alloc(k, sizeof piece), *best = k->ops->alloc(k, 4 * sizeof(float)),
             *to = k->ops->alloc(k, sizeof ids);
        for (int first = 0; first < N; first += 300) {
            int n = first ? 400 : 300;
            if (first > 300)
                break;
            for (int r = 0; r < 4; r++)
                memcpy(piece + r * n, logits + r * N + first, (size_t)n * sizeof *piece);
            k->ops->upload(k, there, piece, (size_t)(4 * n) * sizeof *piece);
            cuda_argmax_piece(k, to, best, there, n, 4, n, first);
        }
        k->ops->download(k, ids, to, sizeof ids);
        CHECK_INT(ids[0], 20);
        CHECK_INT(ids[1], 410);
        CHECK_INT(ids[2], 299);
        CHECK_INT(ids[3], 0);
        k->ops->free(k, there, sizeof piece);
        k->ops->free(k, best, 4 * sizeof(float));
        k->ops->free(k, to, sizeof ids);
    }
}

TEST(workspaces_do_not_shrink_as_rows_grow)
{
    for (int library = 0; library < 2; library++)
        for (int a = 0; a < 3; a++)
            WITH(k, library ? "auto" : "own", activations[a])
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int both = 0; both <= (dtype == KERNEL_INT8); both++) {
            struct kernel_matrix m = {
                .dtype = (enum kernel_dtype)dtype, .rows = 28672, .cols = 4096, .quantize_input = both};
            size_t last[3] = {0, 0, 0};
            for (int rows = 1; rows < 9000; rows += rows < 600 ? 1 : 97) {
                size_t now[3] = {k->ops->product_workspace(k, &m, rows),
                                 k->ops->gate_up_workspace(k, &m, rows),
                                 k->ops->head_argmax_workspace(k, &m, rows)};
                for (int i = 0; i < 3; i++) {
                    if (now[i] < last[i])
                        TEST_FAIL("workspace %d of %s shrinks at %d rows from %zu to %zu", i,
                                  kernel_dtype_name(m.dtype), rows, last[i], now[i]);
                    last[i] = now[i];
                }
            }
        }
}

TEST(two_equal_products_give_the_same_bits)
{
    enum { ROWS = 12, N = 40, COLS = 1040 };
    WITH(k, "own", KERNEL_BF16)
    {
        float *plain, *x = noise_array(ROWS * COLS), got[2][ROWS * N];
        struct kernel_matrix m = new_matrix(k, KERNEL_BF16, N, COLS, 3, &plain);
        struct kernel_epilogue wide = {.fp32 = true};
        void *x_there = put(k, x, ROWS * COLS), *out = k->ops->alloc(k, sizeof got[0]);
        size_t bytes = k->ops->product_workspace(k, &m, ROWS);
        void *workspace = k->ops->alloc(k, bytes);
        for (int i = 0; i < 2; i++) {
            k->ops->product(k, out, N, x_there, COLS, &m, &wide, ROWS, workspace);
            k->ops->download(k, got[i], out, sizeof got[0]);
        }
        CHECK(memcmp(got[0], got[1], sizeof got[0]) == 0);
        k->ops->free(k, workspace, bytes);
        k->ops->free(k, out, sizeof got[0]);
        k->ops->free(k, x_there, ROWS * COLS * element(k, false));
        free_matrix(k, &m), free(plain);
        free(x);
    }
}
