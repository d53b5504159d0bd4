/* The judge's state-space layer: the recurrence of Mamba as published, one token, one channel, one state
 * after another (Gu and Dao 2023, algorithm 2 and section 3.4). */
#include "kernels/reference.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

static double silu(double x)
{
    return x / (1 + exp(-x));
}

static double softplus(double x)
{
    return x > 30 ? x : log1p(exp(x));
}

/* Row r of w [., cols] times x. */
static double dot(const double *w, int r, const double *x, int cols)
{
    double sum = 0;
    for (int c = 0; c < cols; c++)
        sum += w[(size_t)r * (size_t)cols + (size_t)c] * x[c];
    return sum;
}

struct scratch {
    double *normal, *past, *wide, *seen, *select, *y,
        *h; /* past: what channel e was at every token, [inner, n] */
};

static int reserve(struct scratch *s, const struct reference_model *m, int n)
{
    size_t inner = (size_t)m->inner;
    s->normal = calloc((size_t)m->d, sizeof(double));
    s->past = calloc(inner * (size_t)n, sizeof(double));
    s->wide = calloc(2 * inner, sizeof(double)); /* convolved channels, gates */
    s->seen = calloc(inner + (size_t)m->rank, sizeof(double));
    s->select = calloc((size_t)(m->rank + 2 * m->states), sizeof(double));
    s->y = calloc(inner, sizeof(double));
    s->h = calloc(inner * (size_t)m->states, sizeof(double));
    return s->normal && s->past && s->wide && s->seen && s->select && s->y && s->h ? 0 : -1;
}

static void release(struct scratch *s)
{
    free(s->normal);
    free(s->past);
    free(s->wide);
    free(s->seen);
    free(s->select);
    free(s->y);
    free(s->h);
}

static void normalize(double *out, const double *x, const double *weight, double eps, int n)
{
    double square = 0;
    for (int i = 0; i < n; i++)
        square += x[i] * x[i] / n;
    for (int i = 0; i < n; i++)
        out[i] = weight[i] * x[i] / sqrt(square + eps);
}

/* Channel e at token t after the convolution over what it was, the last tap its own. */
static double convolved(const struct reference_model *m, const struct reference_layer *l, const double *past,
                        int e, int t)
{
    double sum = l->conv_bias[e];
    for (int j = 0; j < m->taps; j++) {
        int at = t - (m->taps - 1) + j;
        sum += at < 0 ? 0 : l->conv[(size_t)j * (size_t)m->inner + (size_t)e] * past[at];
    }
    return silu(sum);
}

static void advance(const struct reference_model *m, const struct reference_layer *l, struct scratch *s,
                    int e)
{
    const double *b = s->select + m->rank, *c = b + m->states;
    double x = s->wide[e], dt = softplus(dot(l->dt, e, s->seen + m->inner, m->rank) + l->dt_bias[e]), y = 0;
    for (int n = 0; n < m->states; n++) {
        double *h = s->h + (size_t)e * (size_t)m->states + (size_t)n;
        double a = l->a[(size_t)n * (size_t)m->inner + (size_t)e];
        *h = exp(dt * a) * *h + dt * b[n] * x;
        y += c[n] * *h;
    }
    s->y[e] = (y + l->skip[e] * x) * silu(s->wide[m->inner + e]);
}

int reference_mamba_layer(const struct reference_model *m, const struct reference_layer *l, double *x, int n)
{
    struct scratch s = {0};
    enum reference_rounding small = m->small_exact ? REFERENCE_EXACT : m->rounding;
    int result = reserve(&s, m, n);
    for (int t = 0; t < n && result == 0; t++) {
        double *row = x + (size_t)t * (size_t)m->d;
        normalize(s.normal, row, l->norm1, m->eps, m->d);
        reference_round(s.normal, s.normal, m->d, m->rounding);
        for (int e = 0; e < m->inner; e++) {
            double *past = s.past + (size_t)e * (size_t)n;
            past[t] = dot(l->in, e, s.normal, m->d);
            s.wide[e] = convolved(m, l, past, e, t);
            s.wide[m->inner + e] = dot(l->in, m->inner + e, s.normal, m->d);
        }
        reference_round(s.seen, s.wide, m->inner, small);
        for (int i = 0; i < m->rank + 2 * m->states; i++)
            s.select[i] = dot(l->select, i, s.seen, m->inner);
        reference_round(s.seen + m->inner, s.select, m->rank, small);
        for (int e = 0; e < m->inner; e++)
            advance(m, l, &s, e);
        reference_round(s.y, s.y, m->inner, m->rounding);
        for (int i = 0; i < m->d; i++)
            row[i] += dot(l->o, i, s.y, m->inner);
    }
    release(&s);
    return result;
}
