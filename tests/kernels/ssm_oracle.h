/* Random state-space layers and what the recurrence makes of them in double precision, for the tests of both
 * backends. Included behind a fixture.h, whose noise() it draws from. */
#pragma once

#include "kernels/kernels.h"

enum { SSM_SEQUENCES = 4 };

struct ssm_case {
    int inner, states, taps, sequences, rows, max_rows;
    int32_t start[SSM_SEQUENCES + 1], context[SSM_SEQUENCES];
    int x_stride, bc_stride, z_stride;
    float *x, *dt, *b, *c, *z;                 /* [rows, stride]; x too */
    float *conv, *conv_bias, *dt_bias, *a, *d; /* as struct kernel_ssm */
    float *window, *h;                         /* [sequences, taps - 1, inner], [sequences, states, inner] */
    double *convolved, *window_after, *out, *h_after; /* dense, expected */
};

static float *ssm_values(size_t n, float scale, float middle)
{
    float *v = malloc((n + 1) * sizeof *v);
    for (size_t i = 0; i < n; i++)
        v[i] = middle + scale * noise();
    return v;
}

/* Sequences of these lengths; every second one goes on from a state, the others must not look at theirs. */
static struct ssm_case ssm_case_new(int inner, int states, int taps, int sequences, const int *lengths)
{
    struct ssm_case c = {.inner = inner, .states = states, .taps = taps, .sequences = sequences};
    for (int s = 0; s < sequences; s++) {
        c.start[s + 1] = c.start[s] + lengths[s];
        c.context[s] = s % 2 ? 5 : 0;
        c.max_rows = lengths[s] > c.max_rows ? lengths[s] : c.max_rows;
    }
    c.rows = c.start[sequences];
    size_t rows = (size_t)c.rows, e = (size_t)inner, n = (size_t)states, of = (size_t)sequences;
    c.x_stride = inner + 8;
    c.bc_stride = states + 5;
    c.z_stride = 2 * inner;
    c.x = ssm_values(rows * (size_t)c.x_stride, 1, 0);
    c.dt = ssm_values(rows * e, 0.1f, 0.12f);
    c.b = ssm_values(rows * (size_t)c.bc_stride, 1, 0);
    c.c = ssm_values(rows * (size_t)c.bc_stride, 1, 0);
    c.z = ssm_values(rows * (size_t)c.z_stride, 2, 0);
    c.conv = ssm_values((size_t)taps * e, 1, 0);
    c.conv_bias = ssm_values(e, 1, 0);
    c.dt_bias = ssm_values(e, 1, -2);
    c.a = ssm_values(n * e, 4, -4.1f);
    c.d = ssm_values(e, 1, 0);
    c.window = ssm_values(of * (size_t)(taps - 1) * e, 1, 0);
    c.h = ssm_values(of * n * e, 1, 0);
    c.convolved = calloc(rows * e, sizeof(double));
    c.window_after = calloc(of * (size_t)(taps - 1) * e, sizeof(double));
    c.out = calloc(rows * e, sizeof(double));
    c.h_after = calloc(of * n * e, sizeof(double));
    return c;
}

static void ssm_case_free(struct ssm_case *c)
{
    float *floats[] = {c->x,         c->dt,      c->b, c->c, c->z,      c->conv,
                       c->conv_bias, c->dt_bias, c->a, c->d, c->window, c->h};
    double *doubles[] = {c->convolved, c->window_after, c->out, c->h_after};
    for (size_t i = 0; i < sizeof floats / sizeof *floats; i++)
        free(floats[i]);
    for (size_t i = 0; i < sizeof doubles / sizeof *doubles; i++)
        free(doubles[i]);
}

static double ssm_silu(double x)
{
    return x / (1 + exp(-x));
}

/* Channel e of sequence s, t rows after its first of this pass; before it the window, or nothing. */
static double ssm_input(const struct ssm_case *c, int s, int t, int e)
{
    if (t >= 0)
        return (double)c->x[(c->start[s] + t) * c->x_stride + e];
    if (c->context[s] == 0 || t < -(c->taps - 1))
        return 0;
    return (double)c->window[(s * (c->taps - 1) + c->taps - 1 + t) * c->inner + e];
}

static void ssm_expect_convolution(struct ssm_case *c, bool silu)
{
    for (int s = 0; s < c->sequences; s++)
        for (int e = 0; e < c->inner; e++) {
            int rows = c->start[s + 1] - c->start[s];
            for (int t = 0; t < rows; t++) {
                double sum = (double)c->conv_bias[e];
                for (int j = 0; j < c->taps; j++)
                    sum += (double)c->conv[j * c->inner + e] * ssm_input(c, s, t - c->taps + 1 + j, e);
                c->convolved[(c->start[s] + t) * c->inner + e] = silu ? ssm_silu(sum) : sum;
            }
            for (int j = 0; j < c->taps - 1; j++)
                c->window_after[(s * (c->taps - 1) + j) * c->inner + e] =
                    ssm_input(c, s, rows - (c->taps - 1) + j, e);
        }
}

/* Of dense x [rows, inner]. softplus: dt are still to be turned; gate: by z. */
static void ssm_expect_scan(struct ssm_case *c, const float *x, bool softplus, bool gate)
{
    for (int s = 0; s < c->sequences; s++)
        for (int e = 0; e < c->inner; e++) {
            double *h = c->h_after + s * c->states * c->inner + e;
            for (int n = 0; n < c->states; n++)
                h[n * c->inner] = c->context[s] ? (double)c->h[(s * c->states + n) * c->inner + e] : 0.0;
            for (int r = c->start[s]; r < c->start[s + 1]; r++) {
                double dt = (double)c->dt[r * c->inner + e], u = (double)x[r * c->inner + e], y = 0;
                if (softplus)
                    dt = log1p(exp(dt + (double)c->dt_bias[e]));
                for (int n = 0; n < c->states; n++) {
                    h[n * c->inner] = exp(dt * (double)c->a[n * c->inner + e]) * h[n * c->inner] +
                                      dt * (double)c->b[r * c->bc_stride + n] * u;
                    y += (double)c->c[r * c->bc_stride + n] * h[n * c->inner];
                }
                y += (double)c->d[e] * u;
                c->out[r * c->inner + e] = gate ? y * ssm_silu((double)c->z[r * c->z_stride + e]) : y;
            }
        }
}

/* Sizes and lengths that meet every edge: cut vectors, one row, more rows than taps and fewer, no rows at
 * all. */
static const struct ssm_shape {
    int inner, states, taps, sequences, lengths[SSM_SEQUENCES];
} ssm_shapes[] = {
    {37, 16, 4, 4, {5, 1, 70, 2}}, {64, 8, 2, 2, {33, 40}},  {21, 3, 7, 3, {4, 3, 12}},
    {16, 20, 4, 2, {9, 17}},       {5, 128, 4, 2, {3, 11}},  {48, 16, 4, 4, {1, 1, 1, 1}},
    {8, 16, 4, 1, {150}},          {33, 1, 3, 2, {65, 130}},
};
enum { SSM_SHAPES = sizeof ssm_shapes / sizeof *ssm_shapes };
