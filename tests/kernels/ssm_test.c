/* State-space layers on the CPU against the recurrence in double precision, on every SIMD level. */
#include "tests/kernels/fixture.h"
#include "tests/kernels/ssm_oracle.h"

/* The layer with its state copied to the backend, where the operations change it. */
struct layer {
    struct kernel_ssm s;
    struct kernel_batch batch;
    size_t window, h; /* floats */
};

static struct layer layer_new(struct kernels *k, const struct ssm_case *c)
{
    struct layer l = {
        .window = (size_t)(c->sequences * (c->taps - 1) * c->inner),
        .h = (size_t)(c->sequences * c->states * c->inner),
        .batch = {c->sequences, c->rows, c->max_rows, c->max_rows + 5, c->start, c->context},
    };
    l.s = (struct kernel_ssm){c->inner,
                              c->states,
                              c->taps,
                              c->conv,
                              c->conv_bias,
                              c->dt_bias,
                              c->a,
                              c->d,
                              k->ops->alloc(k, l.window * sizeof(float)),
                              k->ops->alloc(k, l.h * sizeof(float))};
    memcpy(l.s.window, c->window, l.window * sizeof(float));
    memcpy(l.s.h, c->h, l.h * sizeof(float));
    return l;
}

static void layer_free(struct kernels *k, struct layer *l)
{
    k->ops->free(k, l->s.window, l->window * sizeof(float));
    k->ops->free(k, l->s.h, l->h * sizeof(float));
}

static void check_convolution(struct kernels *k, const struct ssm_shape *shape, const char *level, bool silu)
{
    struct ssm_case c =
        ssm_case_new(shape->inner, shape->states, shape->taps, shape->sequences, shape->lengths);
    struct layer l = layer_new(k, &c);
    size_t n = (size_t)(c.rows * c.inner);
    float *out = calloc(n, sizeof *out);
    ssm_expect_convolution(&c, silu);
    k->ops->ssm_conv(k, out, c.x, c.x_stride, &l.s, silu, &l.batch);
    check_near("convolution", level, out, c.convolved, n, 1e-6, 2);
    check_near("its window", level, l.s.window, c.window_after, l.window, 0, 0);
    free(out);
    layer_free(k, &l);
    ssm_case_free(&c);
}

TEST(a_convolution_reaches_back_into_its_window_and_leaves_the_next)
{
    FOR_EACH_LEVEL(k)
    for (int i = 0; i < SSM_SHAPES; i++)
        for (int silu = 0; silu < 2; silu++)
            check_convolution(k, &ssm_shapes[i], levels[level_], silu);
}

/* way: 0 naive, 1 scan; bits of `fused`: 1 softplus, 2 gate, 4 in place. */
static void check_scan(struct kernels *k, const struct ssm_shape *shape, const char *level, int way,
                       int fused)
{
    struct ssm_case c =
        ssm_case_new(shape->inner, shape->states, shape->taps, shape->sequences, shape->lengths);
    struct layer l = layer_new(k, &c);
    size_t n = (size_t)(c.rows * c.inner);
    float *x = noise_array(n), *out = fused & 4 ? x : calloc(n, sizeof *out);
    if (fused & 1)
        for (size_t i = 0; i < n; i++)
            c.dt[i] = 4 * noise();
    ssm_expect_scan(&c, x, fused & 1, fused & 2);
    struct kernel_ssm_rows in = {x,           c.dt,       c.b,      c.c, fused & 2 ? c.z : NULL,
                                 c.bc_stride, c.z_stride, fused & 1};
    size_t bytes =
        way ? k->ops->ssm_scan_workspace(k, &l.s, &l.batch) : k->ops->ssm_naive_workspace(k, &l.s, &l.batch);
    void *workspace = k->ops->alloc(k, bytes + 64);
    (way ? k->ops->ssm_scan : k->ops->ssm_naive)(k, out, &in, &l.s, &l.batch, workspace);
    check_near(way ? "scan" : "recurrence", level, out, c.out, n, 2e-6, 8);
    check_near("its states", level, l.s.h, c.h_after, l.h, 2e-6, 2);
    k->ops->free(k, workspace, bytes + 64);
    if (out != x)
        free(out);
    free(x);
    layer_free(k, &l);
    ssm_case_free(&c);
}

TEST(scan_and_recurrence_equal_the_double_recurrence)
{
    FOR_EACH_LEVEL(k)
    for (int i = 0; i < SSM_SHAPES; i++)
        for (int way = 0; way < 2; way++)
            for (int fused = 0; fused < 8; fused++)
                check_scan(k, &ssm_shapes[i], levels[level_], way, fused);
}

/* More threads than vectors of channels: time is cut. */
TEST(chunks_of_time_joined_equal_the_recurrence)
{
    static const struct ssm_shape few[] = {
        {4, 16, 4, 1, {700}}, {3, 20, 4, 2, {150, 400}}, {7, 5, 4, 1, {97}}};
    for (int level = 0; level < LEVELS; level++) {
        struct kernels *k = open_level(levels[level], "own", 16);
        if (!k)
            continue;
        struct kernel_ssm s = {.inner = 4, .states = 16, .taps = 4};
        struct kernel_batch one = {.sequences = 1, .rows = 700, .max_rows = 700, .max_context = 700};
        CHECK(k->ops->ssm_scan_workspace(k, &s, &one) > 0);
        for (int i = 0; i < 3; i++)
            for (int fused = 0; fused < 8; fused++)
                check_scan(k, &few[i], levels[level], 1, fused);
        k->ops->close(k);
    }
}

TEST(a_prompt_in_pieces_leaves_what_the_whole_leaves)
{
    enum { E = 24, N = 16, K = 4, ROWS = 90 };
    FOR_EACH_LEVEL(k)
    {
        struct ssm_case c = ssm_case_new(E, N, K, 1, (const int[]){ROWS});
        struct layer whole = layer_new(k, &c), parts = layer_new(k, &c);
        static float x[2][ROWS * E], y[2][ROWS * E];
        size_t bytes = k->ops->ssm_scan_workspace(k, &whole.s, &whole.batch) + 64;
        void *workspace = k->ops->alloc(k, bytes);
        struct kernel_ssm_rows in = {x[0], c.dt, c.b, c.c, c.z, c.bc_stride, c.z_stride, false};
        k->ops->ssm_conv(k, x[0], c.x, c.x_stride, &whole.s, true, &whole.batch);
        k->ops->ssm_scan(k, y[0], &in, &whole.s, &whole.batch, workspace);
        static const int cut[] = {0, 1, 3, 40, 41, ROWS};
        for (int p = 0; p + 1 < 6; p++) {
            int first = cut[p], rows = cut[p + 1] - first;
            const int32_t start[] = {0, rows}, context[] = {first};
            struct kernel_batch batch = {1, rows, rows, first + rows, start, context};
            struct kernel_ssm_rows part = {x[1] + first * E,
                                           c.dt + first * E,
                                           c.b + first * c.bc_stride,
                                           c.c + first * c.bc_stride,
                                           c.z + first * c.z_stride,
                                           c.bc_stride,
                                           c.z_stride,
                                           false};
            k->ops->ssm_conv(k, x[1] + first * E, c.x + first * c.x_stride, c.x_stride, &parts.s, true,
                             &batch);
            k->ops->ssm_scan(k, y[1] + first * E, &part, &parts.s, &batch, workspace);
        }
        CHECK(memcmp(x[0], x[1], sizeof x[0]) == 0);
        CHECK(memcmp(y[0], y[1], sizeof y[0]) == 0);
        CHECK(memcmp(whole.s.h, parts.s.h, whole.h * sizeof(float)) == 0);
        CHECK(memcmp(whole.s.window, parts.s.window, whole.window * sizeof(float)) == 0);
        k->ops->free(k, workspace, bytes);
        layer_free(k, &whole);
        layer_free(k, &parts);
        ssm_case_free(&c);
    }
}

/* Decays near 1 remember a thousand tokens: an error of each is seen a thousand times. */
TEST(a_long_memory_does_not_drift)
{
    enum { ROWS = 4000 };
    FOR_EACH_LEVEL(k)
    {
        struct ssm_case c = ssm_case_new(16, 16, 4, 1, (const int[]){ROWS});
        struct layer l = layer_new(k, &c);
        size_t n = ROWS * 16, bytes = k->ops->ssm_scan_workspace(k, &l.s, &l.batch) + 64;
        float *x = noise_array(n), *out = calloc(n, sizeof *out);
        void *workspace = k->ops->alloc(k, bytes);
        for (size_t i = 0; i < n; i++) {
            c.dt[i] = 0.001f;
            x[i] = 1;
        }
        for (int i = 0; i < 16 * 16; i++)
            c.a[i] = -1.0f - (float)(i / 16);
        ssm_expect_scan(&c, x, false, false);
        struct kernel_ssm_rows in = {x, c.dt, c.b, c.c, NULL, c.bc_stride, c.z_stride, false};
        k->ops->ssm_scan(k, out, &in, &l.s, &l.batch, workspace);
        check_near("a long memory", levels[level_], out, c.out, n, 1e-5, 1);
        k->ops->free(k, workspace, bytes);
        free(x);
        free(out);
        layer_free(k, &l);
        ssm_case_free(&c);
    }
}

TEST(softplus_and_gate_as_passes_of_their_own)
{
    enum { ROWS = 3, WIDTH = 37 };
    FOR_EACH_LEVEL(k)
    {
        float *x = noise_array(ROWS * WIDTH), *bias = noise_array(WIDTH), *z = noise_array(ROWS * 2 * WIDTH);
        double plus[ROWS * WIDTH], gated[ROWS * WIDTH];
        static const float edges[] = {-200, -88, -30, -1e-8f, 0, 1e-8f, 19.9f, 20.1f, 90, 1e30f};
        for (int i = 0; i < 10; i++) {
            x[i] = edges[i];
            bias[i] = 0;
        }
        for (int i = 0; i < ROWS * WIDTH; i++) {
            double v = (double)x[i] + (double)bias[i % WIDTH];
            plus[i] = v > 40 ? v : log1p(exp(v));
            double gate = (double)z[i / WIDTH * 2 * WIDTH + i % WIDTH];
            gated[i] = plus[i] * ssm_silu(gate);
        }
        k->ops->ssm_softplus(k, x, bias, ROWS, WIDTH);
        check_near("softplus", levels[level_], x, plus, ROWS * WIDTH, 3e-7, 1e-30);
        k->ops->ssm_gate(k, x, z, 2 * WIDTH, ROWS, WIDTH);
        check_near("gate", levels[level_], x, gated, ROWS * WIDTH, 1e-6, 1e-30);
        float bad[2] = {NAN, 1}, none[2] = {0};
        k->ops->ssm_softplus(k, bad, none, 1, 2);
        CHECK(isnan(bad[0]) && bad[1] > 1);
        free(x);
        free(bias);
        free(z);
    }
}
