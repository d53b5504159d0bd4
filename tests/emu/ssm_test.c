/* State-space layers on the emulated GPU, in each activation's type, against the recurrence in double
 * precision. */
#include "tests/emu/fixture.h"
#include "tests/kernels/ssm_oracle.h"

/* A case in device memory: its inputs rounded to the activations' type first, so that the oracle sees the
 * same. */
struct there {
    struct ssm_case c;
    struct kernel_ssm s;
    struct kernel_batch batch;
    struct kernel_ssm_rows in;
    void *x, *convolved;
    float *dense; /* [rows, inner], the scan's x, on the host */
    size_t rows, window, h;
};

static struct there to_there(struct kernels *k, const struct ssm_shape *shape, bool softplus, bool gate)
{
    struct there t = {
        .c = ssm_case_new(shape->inner, shape->states, shape->taps, shape->sequences, shape->lengths)};
    struct ssm_case *c = &t.c;
    size_t rows = (size_t)c->rows, e = (size_t)c->inner, n = (size_t)c->states;
    t.rows = rows * e;
    t.window = (size_t)(c->sequences * (c->taps - 1)) * e;
    t.h = (size_t)c->sequences * n * e;
    t.dense = noise_array(t.rows);
    for (size_t i = 0; softplus && i < t.rows; i++)
        c->dt[i] = 4 * noise();
    narrow_array(k, c->x, rows * (size_t)c->x_stride);
    narrow_array(k, c->dt, t.rows);
    narrow_array(k, c->b, rows * (size_t)c->bc_stride);
    narrow_array(k, c->c, rows * (size_t)c->bc_stride);
    narrow_array(k, c->z, rows * (size_t)c->z_stride);
    narrow_array(k, c->window, t.window);
    narrow_array(k, t.dense, t.rows);
    t.x = to_device(k, c->x, rows * (size_t)c->x_stride);
    t.convolved = to_device(k, t.dense, t.rows);
    t.in = (struct kernel_ssm_rows){
        .x = t.convolved,
        .dt = to_device(k, c->dt, t.rows),
        .b = to_device(k, c->b, rows * (size_t)c->bc_stride),
        .c = to_device(k, c->c, rows * (size_t)c->bc_stride),
        .z = gate ? to_device(k, c->z, rows * (size_t)c->z_stride) : NULL,
        .bc_stride = c->bc_stride,
        .z_stride = c->z_stride,
        .softplus = softplus,
    };
    size_t f = sizeof(float);
    t.s = (struct kernel_ssm){
        .inner = c->inner,
        .states = c->states,
        .taps = c->taps,
        .conv = bytes_to_device(k, c->conv, (size_t)c->taps * e * f),
        .conv_bias = bytes_to_device(k, c->conv_bias, e * f),
        .dt_bias = bytes_to_device(k, c->dt_bias, e * f),
        .a = bytes_to_device(k, c->a, n * e * f),
        .d = bytes_to_device(k, c->d, e * f),
        .window = to_device(k, c->window, t.window),
        .h = bytes_to_device(k, c->h, t.h * f),
    };
    t.batch = (struct kernel_batch){
        c->sequences,
        c->rows,
        c->max_rows,
        c->max_rows + 5,
        bytes_to_device(k, c->start, sizeof c->start),
        bytes_to_device(k, c->context, sizeof c->context),
    };
    return t;
}

static void drop(struct kernels *k, const void *p, size_t bytes)
{
    k->ops->free(k, (void *)(uintptr_t)p, bytes);
}

static void leave(struct kernels *k, struct there *t)
{
    struct ssm_case *c = &t->c;
    size_t rows = (size_t)c->rows, e = (size_t)c->inner, f = sizeof(float);
    free_array(k, t->x, rows * (size_t)c->x_stride);
    free_array(k, t->convolved, t->rows);
    free_array(k, t->in.dt, t->rows);
    free_array(k, (void *)(uintptr_t)t->in.b, rows * (size_t)c->bc_stride);
    free_array(k, (void *)(uintptr_t)t->in.c, rows * (size_t)c->bc_stride);
    if (t->in.z)
        free_array(k, (void *)(uintptr_t)t->in.z, rows * (size_t)c->z_stride);
    drop(k, t->s.conv, (size_t)c->taps * e * f);
    drop(k, t->s.conv_bias, e * f);
    drop(k, t->s.dt_bias, e * f);
    drop(k, t->s.a, (size_t)c->states * e * f);
    drop(k, t->s.d, e * f);
    free_array(k, t->s.window, t->window);
    drop(k, t->s.h, t->h * f);
    drop(k, t->batch.row_start, sizeof c->start);
    drop(k, t->batch.context, sizeof c->context);
    free(t->dense);
    ssm_case_free(c);
}

TEST(a_convolution_reaches_back_into_its_window_and_leaves_the_next)
{
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int i = 0; i < SSM_SHAPES; i++) {
        struct there t = to_there(k, &ssm_shapes[i], false, false);
        ssm_expect_convolution(&t.c, i % 2);
        k->ops->ssm_conv(k, t.convolved, t.x, t.c.x_stride, &t.s, i % 2, &t.batch);
        check_device("convolution", k, t.convolved, t.c.convolved, t.rows, 2);
        float *window = from_device(k, t.s.window, t.window);
        check_near("its window", window, t.c.window_after, t.window, 0, 0);
        free(window);
        leave(k, &t);
    }
    close_emulated(cuda);
}

/* way: 0 naive, 1 scan; bits of `fused`: 1 softplus, 2 gate, 4 in place. */
static void check_scan(struct kernels *k, const struct ssm_shape *shape, int way, int fused)
{
    struct there t = to_there(k, shape, fused & 1, fused & 2);
    size_t bytes =
        way ? k->ops->ssm_scan_workspace(k, &t.s, &t.batch) : k->ops->ssm_naive_workspace(k, &t.s, &t.batch);
    void *workspace = k->ops->alloc(k, bytes + 64), *out = fused & 4 ? t.convolved : new_array(k, t.rows);
    ssm_expect_scan(&t.c, t.dense, fused & 1, fused & 2);
    (way ? k->ops->ssm_scan : k->ops->ssm_naive)(k, out, &t.in, &t.s, &t.batch, workspace);
    check_device(way ? "scan" : "recurrence", k, out, t.c.out, t.rows, 8);
    /* states are fp32; the separate softplus rounds the steps to the activations' type */
    double tolerance = !way && fused & 1 ? rounding_of(k->activation) : 4e-6;
    float *h = from_device_as(k, t.s.h, t.h, KERNEL_FP32);
    check_near("its states", h, t.c.h_after, t.h, tolerance, 2);
    free(h);
    if (out != t.convolved)
        free_array(k, out, t.rows);
    k->ops->free(k, workspace, bytes + 64);
    leave(k, &t);
}

TEST(scan_and_recurrence_equal_the_double_recurrence)
{
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    for (int i = 0; i < SSM_SHAPES; i++)
        for (int way = 0; way < 2; way++)
            for (int fused = (i + way) % 2; fused < 8; fused += 2) /* every pair of bits meets each way */
                check_scan(k, &ssm_shapes[i], way, (fused + (fused & 2 ? 1 : 0)) % 8);
    close_emulated(cuda);
}

TEST(softplus_and_gate_as_passes_of_their_own)
{
    enum { ROWS = 3, WIDTH = 150 };
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    {
        float *x = noise_array(ROWS * WIDTH), *bias = noise_array(WIDTH), *z = noise_array(ROWS * 2 * WIDTH);
        static const float edges[] = {-80, -16, -1e-4f, 0, 1e-4f, 19.5f, 20.5f, 90};
        static double plus[ROWS * WIDTH], gated[ROWS * WIDTH];
        for (int i = 0; i < 8; i++) {
            x[i] = edges[i];
            bias[i] = 0;
        }
        narrow_array(k, x, ROWS * WIDTH);
        narrow_array(k, z, ROWS * 2 * WIDTH);
        for (int i = 0; i < ROWS * WIDTH; i++)
            plus[i] = log1p(exp((double)x[i] + (double)bias[i % WIDTH]));
        void *dx = to_device(k, x, ROWS * WIDTH), *dz = to_device(k, z, ROWS * 2 * WIDTH);
        float *dbias = bytes_to_device(k, bias, WIDTH * sizeof *bias);
        k->ops->ssm_softplus(k, dx, dbias, ROWS, WIDTH);
        check_device("softplus", k, dx, plus, ROWS * WIDTH, 1e-3);
        float *now = from_device(k, dx, ROWS * WIDTH);
        for (int i = 0; i < ROWS * WIDTH; i++)
            gated[i] = (double)now[i] * ssm_silu((double)z[i / WIDTH * 2 * WIDTH + i % WIDTH]);
        k->ops->ssm_gate(k, dx, dz, 2 * WIDTH, ROWS, WIDTH);
        check_device("gate", k, dx, gated, ROWS * WIDTH, 1e-3);
        free(now);
        free_array(k, dx, ROWS * WIDTH);
        free_array(k, dz, ROWS * 2 * WIDTH);
        k->ops->free(k, dbias, WIDTH * sizeof *bias);
        free(x);
        free(bias);
        free(z);
    }
    close_emulated(cuda);
}

TEST(a_copy_on_the_device_is_queued_in_order)
{
    struct kernels *cuda = open_emulated();
    static float from[1000], to[1000];
    for (int i = 0; i < 1000; i++)
        from[i] = (float)i;
    float *a = bytes_to_device(cuda, from, sizeof from), *b = cuda->ops->alloc(cuda, sizeof from);
    cuda->ops->copy(cuda, b, a, sizeof from);
    cuda->ops->add(cuda, a, a, a, 1000); /* after the copy */
    cuda->ops->download(cuda, to, b, sizeof to);
    CHECK(memcmp(from, to, sizeof from) == 0);
    cuda->ops->free(cuda, a, sizeof from);
    cuda->ops->free(cuda, b, sizeof from);
    close_emulated(cuda);
}
