/* State-space layers: channels are the lanes of the vectors, so that a state's recurrence needs no horizontal
 * operation and every channel's states advance side by side. */
#pragma once

#include "kernels/cpu/level_elementwise.h"

/* 2^x to about 3e-9 relative before rounding, exact at 0: an interpolation of degree 6 at the Chebyshev nodes
 * of [-1/2, 1/2]. A decay near 1 is raised to the power of its memory, so that an error of v_exp's size would
 * be seen after a thousand tokens. Below -126 the result vanishes, above 126 it stays finite. */
INLINE vf v_exp2(vf x)
{
    vf clamped = v_min(v_set(126), v_max(v_set(-126), x)); /* x last: NaN passes */
    vf shifted = clamped + 0x1.8p23f;
    vf r = clamped - (shifted - 0x1.8p23f);
    vf p = v_fma(r, v_set(1.546144469646172e-4f), v_set(1.3400428177419153e-3f));
    p = v_fma(p, r, v_set(9.61805667852609e-3f));
    p = v_fma(p, r, v_set(5.550327226670944e-2f));
    p = v_fma(p, r, v_set(2.4022650922288827e-1f));
    p = v_fma(p, r, v_set(6.931472067028321e-1f));
    p = v_fma(p, r, v_set(1));
    return (vf)((vu)p + ((vu)shifted << 23));
}

/* log(1 + exp(x)) = max(x, 0) + log1p(u), u = exp(-|x|), and log1p(u) = 2 atanh(s), s = u / (2 + u) <= 1/3:
 * eight terms of the series leave 2e-8 of it. NaN passes through u. */
INLINE vf v_softplus(vf x)
{
    vf u = v_exp(-v_abs(x)), s = u / (2.0f + u), q = s * s;
    vf p = v_fma(q, v_set(2.0f / 15), v_set(2.0f / 13));
    p = v_fma(p, q, v_set(2.0f / 11));
    p = v_fma(p, q, v_set(2.0f / 9));
    p = v_fma(p, q, v_set(2.0f / 7));
    p = v_fma(p, q, v_set(2.0f / 5));
    p = v_fma(p, q, v_set(2.0f / 3));
    p = v_fma(p, q, v_set(2));
    return v_fma(p, s, v_max(v_set(0), x));
}

/* Vectors of n floats of which the last may be cut: `lanes` is W but for that one. */
INLINE vf ssm_load(const float *p, int lanes)
{
    return lanes == W ? v_load(p) : v_load_part(p, lanes);
}

INLINE void ssm_store(float *p, vf v, int lanes)
{
    if (lanes == W)
        v_store(p, v);
    else
        v_store_part(p, v, lanes);
}

INLINE int ssm_lanes(int64_t left)
{
    return left < W ? (int)left : W;
}

static void softplus(float *x, const float *bias, int64_t n)
{
    for (int64_t i = 0; i < n; i += W) {
        int lanes = ssm_lanes(n - i);
        ssm_store(x + i, v_softplus(ssm_load(x + i, lanes) + ssm_load(bias + i, lanes)), lanes);
    }
}

static void convolve(float *out, const float *const *in, const float *weight, const float *bias, int taps,
                     bool silu, int64_t n)
{
    for (int64_t i = 0; i < n; i += W) {
        int lanes = ssm_lanes(n - i);
        vf sum = ssm_load(bias + i, lanes);
        for (int t = 0; t < taps; t++)
            if (in[t])
                sum = v_fma(ssm_load(in[t] + i, lanes), ssm_load(weight + t * n + i, lanes), sum);
        ssm_store(out + i, silu ? v_silu(sum) : sum, lanes);
    }
}

/* decay = exp(dt a) and enter = dt b x of one row, [states, n] each. */
static void discretize(float *decay, float *enter, const float *dt, const float *x, const float *b,
                       const float *a, int states, int64_t n)
{
    for (int s = 0; s < states; s++)
        for (int64_t i = 0; i < n; i += W) {
            int lanes = ssm_lanes(n - i);
            vf step = ssm_load(dt + i, lanes);
            vf rate = ssm_load(a + s * n + i, lanes) * 0x1.715476p0f;
            ssm_store(decay + s * n + i, v_exp2(step * rate), lanes);
            ssm_store(enter + s * n + i, step * b[s] * ssm_load(x + i, lanes), lanes);
        }
}

/* One row of the recurrence on n channels: h = decay h + enter, out = c h + d x. Rows of states are `stride`
 * apart. */
static void recur(float *out, float *h, const float *decay, const float *enter, const float *c,
                  const float *d, const float *x, int states, int64_t stride, int64_t n)
{
    for (int64_t i = 0; i < n; i += W) {
        int lanes = ssm_lanes(n - i);
        vf y = ssm_load(d + i, lanes) * ssm_load(x + i, lanes);
        for (int s = 0; s < states; s++) {
            int64_t at = s * stride + i;
            vf next =
                v_fma(ssm_load(decay + at, lanes), ssm_load(h + at, lanes), ssm_load(enter + at, lanes));
            ssm_store(h + at, next, lanes);
            y = v_fma(next, v_set(c[s]), y);
        }
        ssm_store(out + i, y, lanes);
    }
}

enum { SCAN_STATES = 16 }; /* advanced together: every published model's, which then stay in registers */

/* A few states of one vector of channels through all rows. What other states have added is in out already,
 * unless they are the first; the last ones close the row. */
INLINE void scan_states(const struct simd_scan *s, int64_t channel, int64_t local, int first, const int count,
                        bool opens, bool closes, const int lanes)
{
    vf h[SCAN_STATES], rate[SCAN_STATES], total = {0};
    for (int i = 0; i < count; i++) {
        rate[i] = ssm_load(s->a + (first + i) * s->channels + channel, lanes) * 0x1.715476p0f;
        h[i] = ssm_load(s->h + (first + i) * s->h_stride + local, lanes);
    }
    vf skip = ssm_load(s->d + channel, lanes);
    vf bias = s->dt_bias ? ssm_load(s->dt_bias + channel, lanes) : (vf){0};
    for (int64_t t = 0; t < s->rows; t++) {
        const float *b = s->b + t * s->bc_stride + first, *c = s->c + t * s->bc_stride + first;
        vf x = ssm_load(s->x + t * s->channels + channel, lanes);
        vf dt = ssm_load(s->dt + t * s->channels + channel, lanes);
        if (s->dt_bias)
            dt = v_softplus(dt + bias);
        vf enter = dt * x, y[2] = {{0}, {0}};
        for (int i = 0; i < count; i++) {
            h[i] = v_fma(v_exp2(dt * rate[i]), h[i], enter * b[i]);
            y[i % 2] = v_fma(h[i], v_set(c[i]), y[i % 2]);
        }
        total += dt;
        if (!s->out)
            continue;
        float *out = s->out + t * s->channels + channel;
        vf sum = y[0] + y[1] + (opens ? skip * x : ssm_load(s->partial + t * W, W));
        if (!closes)
            v_store(s->partial + t * W, sum);
        else if (s->z)
            ssm_store(out, sum * v_silu(ssm_load(s->z + t * s->z_stride + channel, lanes)), lanes);
        else
            ssm_store(out, sum, lanes);
    }
    for (int i = 0; i < count; i++)
        ssm_store(s->h + (first + i) * s->h_stride + local, h[i], lanes);
    if (s->steps && opens)
        ssm_store(s->steps + local, total, lanes);
}

INLINE void scan_group(const struct simd_scan *s, int64_t channel, int64_t local, const int lanes)
{
    for (int first = 0; first < s->states; first += SCAN_STATES) {
        int left = s->states - first;
        bool opens = first == 0, closes = left <= SCAN_STATES;
        if (left >= SCAN_STATES)
            scan_states(s, channel, local, first, SCAN_STATES, opens, closes, lanes);
        else
            scan_states(s, channel, local, first, left, opens, closes, lanes);
    }
}

static void scan(const struct simd_scan *s, int64_t channel, int64_t n)
{
    for (int64_t i = 0; i < n; i += W) {
        if (n - i >= W)
            scan_group(s, channel + i, i, W);
        else
            scan_group(s, channel + i, i, (int)(n - i));
    }
}
