#include "kernels/reference.h"

#include "kernels/blocks.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

/* One run: a view of the sizes and the rows of every position. */
struct run {
    const struct reference_model *m;
    int n;
    double *x;             /* [n, d] residual stream */
    double *h;             /* [n, d] normalized, or the sum of a block's outputs */
    double *q, *k, *v, *o; /* [n, heads hd], [n, kv_heads hd] x2, [n, heads hd] */
    double *up, *gate;     /* [ffn] */
    double *thinned;       /* [the widest input of a product] */
    double *out;           /* [d] */
    double *score;         /* [n] */
};

static double *new_array(int a, int b)
{
    return calloc((size_t)a * (size_t)b + 1, sizeof(double));
}

static int allocate(struct run *r)
{
    const struct reference_model *m = r->m;
    r->x = new_array(r->n, m->d);
    r->h = new_array(r->n, m->d);
    r->q = new_array(r->n, m->heads * m->head_dim);
    r->k = new_array(r->n, m->kv_heads * m->head_dim);
    r->v = new_array(r->n, m->kv_heads * m->head_dim);
    r->o = new_array(r->n, m->heads * m->head_dim);
    r->up = new_array(1, m->ffn);
    r->gate = new_array(1, m->ffn);
    r->thinned = new_array(1, m->d + m->heads * m->head_dim + m->ffn);
    r->out = new_array(1, m->d);
    r->score = new_array(1, r->n);
    return r->x && r->h && r->q && r->k && r->v && r->o && r->up && r->gate && r->thinned && r->out &&
                   r->score
               ? 0
               : -1;
}

static void release(struct run *r)
{
    double *all[] = {r->x, r->h, r->q, r->k, r->v, r->o, r->up, r->gate, r->thinned, r->out, r->score};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        free(all[i]);
}

/* y[rows] = w[rows, cols] x + bias */
static void multiply(double *y, const double *w, const double *bias, const double *x, int rows, int cols)
{
    for (int r = 0; r < rows; r++) {
        double sum = bias ? bias[r] : 0;
        for (int c = 0; c < cols; c++)
            sum += w[(size_t)r * (size_t)cols + (size_t)c] * x[c];
        y[r] = sum;
    }
}

static void layer_norm(double *y, const double *x, const double *weight, const double *bias, double eps,
                       int n)
{
    double mean = 0, variance = 0;
    for (int i = 0; i < n; i++)
        mean += x[i] / n;
    for (int i = 0; i < n; i++)
        variance += (x[i] - mean) * (x[i] - mean) / n;
    for (int i = 0; i < n; i++)
        y[i] = (x[i] - mean) / sqrt(variance + eps) * weight[i] + (bias ? bias[i] : 0);
}

static void rms_norm(double *y, const double *x, const double *weight, double eps, int n)
{
    double square = 0;
    for (int i = 0; i < n; i++)
        square += x[i] * x[i] / n;
    for (int i = 0; i < n; i++)
        y[i] = x[i] / sqrt(square + eps) * weight[i];
}

static void normalize(const struct reference_model *m, double *y, const double *x, const double *weight,
                      const double *bias)
{
    if (m->family == REFERENCE_LLAMA || m->family == REFERENCE_MAMBA)
        rms_norm(y, x, weight, m->eps, m->d);
    else
        layer_norm(y, x, weight, bias, m->eps, m->d);
}

/* All but the `keep` entries of largest magnitude to 0, found by counting; of equals the later ones go. */
static void thin(double *y, const double *x, int n, int keep)
{
    for (int i = 0; i < n; i++) {
        int larger = 0;
        for (int j = 0; j < n; j++)
            larger += fabs(x[j]) > fabs(x[i]) || (j < i && fabs(x[j]) >= fabs(x[i]));
        y[i] = larger < keep ? x[i] : 0;
    }
}

static double gelu(const struct reference_model *m, double x)
{
    if (m->gelu_erf)
        return 0.5 * x * (1 + erf(x / sqrt(2)));
    return 0.5 * x * (1 + tanh(sqrt(2 / acos(-1)) * (x + 0.044715 * x * x * x)));
}

/* Each head's element i turns with element i + dims / 2 by position * frequency[i]. */
static void rotate(const struct reference_model *m, double *x, int heads, int position)
{
    int half = m->rotary_dims / 2;
    for (int h = 0; h < heads; h++)
        for (int i = 0; i < half; i++) {
            double angle = position * m->rope_frequency[i];
            double *a = x + h * m->head_dim + i, *b = a + half, before = *a;
            *a = before * cos(angle) - *b * sin(angle);
            *b = *b * cos(angle) + before * sin(angle);
        }
}

/* The scale as fp16 holds it. */
static float in_half(float scale)
{
    uint16_t half;
    kernel_quantize_rows(KERNEL_FP16, &scale, 1, 1, &half);
    kernel_dequantize_rows(KERNEL_FP16, &half, 1, 1, &scale);
    return scale;
}

void reference_round(double *y, const double *x, int64_t n, enum reference_rounding rounding)
{
    int64_t block = rounding == REFERENCE_BLOCK_32 ? 32 : rounding == REFERENCE_BLOCK_256 ? 256 : n;
    for (int64_t first = 0; first < n; first += block) {
        int64_t end = first + block < n ? first + block : n;
        double largest = 0;
        for (int64_t i = first; i < end; i++)
            largest = fmax(largest, fabs(x[i]));
        /* in fp32, as the definition has it */
        float inverse = largest > 0 ? 127 / (float)largest : 0, scale = (float)largest / 127;
        if (rounding == REFERENCE_BLOCK_256)
            scale = largest > 0 ? 1 / inverse : 0;
        if (rounding == REFERENCE_BLOCK_32)
            scale = in_half(scale);
        for (int64_t i = first; i < end; i++)
            y[i] = rounding == REFERENCE_EXACT ? x[i] : nearbyint((float)x[i] * inverse) * (double)scale;
    }
}

/* What a product sees of its input. */
static const double *seen(struct run *r, const double *x, int n, int keep)
{
    if (r->m->rounding != REFERENCE_EXACT) {
        reference_round(r->thinned, x, n, r->m->rounding);
        return r->thinned;
    }
    if (keep == 0)
        return x;
    thin(r->thinned, x, n, keep);
    return r->thinned;
}

static void project(struct run *r, const struct reference_layer *l, const double *input)
{
    const struct reference_model *m = r->m;
    int width = m->heads * m->head_dim, kv_width = m->kv_heads * m->head_dim;
    for (int t = 0; t < r->n; t++) {
        const double *x = seen(r, input + (size_t)t * (size_t)m->d, m->d, m->keep_input);
        double *q = r->q + (size_t)t * (size_t)width, *k = r->k + (size_t)t * (size_t)kv_width;
        multiply(q, l->q, l->q_bias, x, width, m->d);
        multiply(k, l->k, l->k_bias, x, kv_width, m->d);
        multiply(r->v + (size_t)t * (size_t)kv_width, l->v, l->v_bias, x, kv_width, m->d);
        rotate(m, q, m->heads, t);
        rotate(m, k, m->kv_heads, t);
    }
}

/* One head of one position: softmax(q k^T / sqrt(head_dim)) v over the positions it may see. */
static void attend_head(struct run *r, int t, int head)
{
    const struct reference_model *m = r->m;
    int width = m->heads * m->head_dim, kv_width = m->kv_heads * m->head_dim;
    int kv_head = head / (m->heads / m->kv_heads);
    int last = m->family == REFERENCE_BERT ? r->n - 1 : t;
    int first = m->family != REFERENCE_BERT && m->window > 0 && t - m->window + 1 > 0 ? t - m->window + 1 : 0;
    const double *q = r->q + (size_t)t * (size_t)width + head * m->head_dim;
    double *o = r->o + (size_t)t * (size_t)width + head * m->head_dim, largest = -INFINITY, total = 0;
    for (int s = first; s <= last; s++) {
        const double *k = r->k + (size_t)s * (size_t)kv_width + kv_head * m->head_dim;
        double sum = 0;
        for (int i = 0; i < m->head_dim; i++)
            sum += q[i] * k[i];
        r->score[s] = sum / sqrt(m->head_dim);
        largest = fmax(largest, r->score[s]);
    }
    for (int s = first; s <= last; s++)
        total += r->score[s] = exp(r->score[s] - largest);
    for (int i = 0; i < m->head_dim; i++) {
        o[i] = 0;
        for (int s = first; s <= last; s++)
            o[i] += r->score[s] / total *
                    r->v[(size_t)s * (size_t)kv_width + (size_t)(kv_head * m->head_dim + i)];
    }
}

/* The attention block's output at position t (after all positions were projected) into r->out. */
static void attend(struct run *r, const struct reference_layer *l, int t)
{
    const struct reference_model *m = r->m;
    int width = m->heads * m->head_dim;
    for (int head = 0; head < m->heads; head++)
        attend_head(r, t, head);
    multiply(r->out, l->o, l->o_bias, seen(r, r->o + (size_t)t * (size_t)width, width, m->keep_mixed), m->d,
             width);
}

static void feed_forward(struct run *r, const struct reference_layer *l, const double *x)
{
    const struct reference_model *m = r->m;
    x = seen(r, x, m->d, m->keep_input);
    multiply(r->up, l->up, l->up_bias, x, m->ffn, m->d);
    if (m->family == REFERENCE_LLAMA) {
        multiply(r->gate, l->gate, NULL, x, m->ffn, m->d);
        for (int i = 0; i < m->ffn; i++)
            r->up[i] *= r->gate[i] / (1 + exp(-r->gate[i]));
    } else {
        for (int i = 0; i < m->ffn; i++)
            r->up[i] = gelu(m, r->up[i]);
    }
    multiply(r->out, l->down, l->down_bias, seen(r, r->up, m->ffn, m->keep_inner), m->d, m->ffn);
}

static void add(double *y, const double *x, int n)
{
    for (int i = 0; i < n; i++)
        y[i] += x[i];
}

/* llama, gpt-2: x += attention(norm1 x); x += ffn(norm2 x). phi-2: x += attention(norm1 x) + ffn(norm1 x). */
static void pre_norm_layer(struct run *r, const struct reference_layer *l)
{
    const struct reference_model *m = r->m;
    size_t d = (size_t)m->d;
    for (int t = 0; t < r->n; t++)
        normalize(m, r->h + (size_t)t * d, r->x + (size_t)t * d, l->norm1, l->norm1_bias);
    project(r, l, r->h);
    for (int t = 0; t < r->n; t++) {
        double *x = r->x + (size_t)t * d, *h = r->h + (size_t)t * d;
        attend(r, l, t);
        add(x, r->out, m->d);
        if (m->family != REFERENCE_PHI2)
            normalize(m, h, x, l->norm2, l->norm2_bias);
        feed_forward(r, l, h);
        add(x, r->out, m->d);
    }
}

/* bert: x = norm1(x + attention x); x = norm2(x + ffn x). */
static void post_norm_layer(struct run *r, const struct reference_layer *l)
{
    const struct reference_model *m = r->m;
    project(r, l, r->x);
    for (int t = 0; t < r->n; t++) {
        double *x = r->x + (size_t)t * (size_t)m->d;
        attend(r, l, t);
        add(x, r->out, m->d);
        normalize(m, x, x, l->norm1, l->norm1_bias);
        feed_forward(r, l, x);
        add(x, r->out, m->d);
        normalize(m, x, x, l->norm2, l->norm2_bias);
    }
}

static void embed(struct run *r, const int *ids)
{
    const struct reference_model *m = r->m;
    size_t d = (size_t)m->d;
    for (int t = 0; t < r->n; t++) {
        double *x = r->x + (size_t)t * d;
        add(x, m->embedding + (size_t)ids[t] * d, m->d);
        if (m->positions)
            add(x, m->positions + (size_t)t * d, m->d);
        if (m->type_row)
            add(x, m->type_row, m->d);
        if (m->embedding_norm)
            normalize(m, x, x, m->embedding_norm, m->embedding_norm_bias);
    }
}

static void logits_of(struct run *r, int t, double *logits)
{
    const struct reference_model *m = r->m;
    double *x = r->x + (size_t)t * (size_t)m->d;
    if (m->final_norm)
        normalize(m, x, x, m->final_norm, m->final_norm_bias);
    if (m->mlm) {
        multiply(r->out, m->mlm, m->mlm_bias, seen(r, x, m->d, 0), m->d, m->d);
        for (int i = 0; i < m->d; i++)
            r->out[i] = gelu(m, r->out[i]);
        normalize(m, x, r->out, m->mlm_norm, m->mlm_norm_bias);
    }
    multiply(logits, m->head, m->head_bias, seen(r, x, m->d, 0), m->vocab, m->d);
}

int reference_forward(const struct reference_model *m, const int *ids, int n, double *logits)
{
    struct run r = {.m = m, .n = n};
    int result = allocate(&r);
    if (result == 0) {
        embed(&r, ids);
        for (int l = 0; l < m->layers && result == 0; l++) {
            if (m->family == REFERENCE_MAMBA)
                result = reference_mamba_layer(m, &m->layer[l], r.x, n);
            else
                (m->family == REFERENCE_BERT ? post_norm_layer : pre_norm_layer)(&r, &m->layer[l]);
        }
        for (int t = 0; t < n && result == 0; t++)
            logits_of(&r, t, logits + (size_t)t * (size_t)m->vocab);
    }
    release(&r);
    return result;
}
