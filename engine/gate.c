#include "engine/gate.h"

#include <math.h>
#include <string.h>

/* Rounding errors of a pass of some tens of layers add like a random walk, and the largest of some tens of
 * thousands of logits lies about 4.5 standard deviations out. With unit roundoff u per product that is
 * roughly 4.5 u sqrt(2 layers), 40 u for 40 layers. */
double gate_tolerance(enum precision_kind precision)
{
    switch (precision) {
    case PRECISION_FP32: /* u = 6e-8, times the square root of the longest sum (16384): 3e-4 */
        return 1e-3;
    case PRECISION_FP16: /* u = 5e-4, activations or cache rounded on one side only: 2e-2 */
        return 2e-2;
    case PRECISION_BF16: /* u = 4e-3, a product library may round activations on one side: 1.6e-1, rarely met
                          */
        return 1e-1;
    case PRECISION_INT8: /* equal weights; activations are bf16 on a GPU, and 8 bits at w8a8: as bf16 */
    case PRECISION_NF4:
    case PRECISION_NF4_DQ:
    case PRECISION_W8A8:
    case PRECISION_Q8_0:
    case PRECISION_Q4_0:
    case PRECISION_Q4_K:
    case PRECISION_Q6_K:
    case PRECISION_STORED: /* whatever the file holds, activations are no coarser than bf16 */
        return 1e-1;
    case PRECISIONS:
        break;
    }
    return (double)NAN;
}

struct row {
    double max_difference, kl;
    bool same_top, finite;
};

static double log_sum_exp(const float *x, int n, float max)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += exp((double)x[i] - (double)max);
    return log(sum) + (double)max;
}

static struct row compare_rows(const float *b, const float *a, int n)
{
    struct row r = {.finite = true};
    int top_b = 0, top_a = 0;
    for (int i = 0; i < n; i++) {
        if (!isfinite(b[i]) || !isfinite(a[i])) {
            r.finite = false;
            return r;
        }
        top_b = b[i] > b[top_b] ? i : top_b;
        top_a = a[i] > a[top_a] ? i : top_a;
        r.max_difference = fmax(r.max_difference, fabs((double)a[i] - (double)b[i]));
    }
    r.same_top = top_a == top_b;
    double norm_b = log_sum_exp(b, n, b[top_b]), norm_a = log_sum_exp(a, n, a[top_a]);
    for (int i = 0; i < n; i++) {
        double log_b = (double)b[i] - norm_b, log_a = (double)a[i] - norm_a;
        r.kl += exp(log_b) * (log_b - log_a);
    }
    r.kl = fmax(r.kl, 0); /* rounding alone can make it negative */
    return r;
}

int gate_check(const struct runner_output *base, const struct runner_output *arm, bool same_quality,
               enum precision_kind precision, struct output_check *out, struct error *e)
{
    *out = (struct output_check){.checked = true,
                                 .top1_agreement = (double)NAN,
                                 .max_relative_error = (double)NAN,
                                 .kl = (double)NAN,
                                 .tolerance = same_quality ? gate_tolerance(precision) : (double)NAN,
                                 .input_hash = arm->input_hash};
    if (base->rows != arm->rows || base->width != arm->width || base->rows <= 0 || base->width <= 0)
        return error_set(e, ERROR_FAILED,
                         "the output has %d x %d logits, the baseline's %d x %d: the arm is not ranked",
                         arm->rows, arm->width, base->rows, base->width);
    if (base->input_hash != arm->input_hash)
        return error_set(e, ERROR_FAILED,
                         "the arm was given another input than the baseline: the arm is not ranked");
    double largest = 0, kl = 0, squares = 0;
    int agree = 0;
    for (int r = 0; r < base->rows; r++) {
        const float *b = base->logits + (size_t)r * (size_t)base->width;
        const float *a = arm->logits + (size_t)r * (size_t)base->width;
        struct row row = compare_rows(b, a, base->width);
        if (!row.finite)
            return error_set(e, ERROR_FAILED,
                             "row %d of the output holds values that are not finite: the arm is not ranked",
                             r);
        largest = fmax(largest, row.max_difference);
        kl += row.kl;
        agree += row.same_top;
        for (int i = 0; i < base->width; i++)
            squares += (double)b[i] * (double)b[i];
    }
    double rms = sqrt(squares / ((double)base->rows * base->width));
    out->top1_agreement = (double)agree / base->rows;
    out->max_relative_error = rms > 0 ? largest / rms : largest > 0 ? (double)INFINITY : 0;
    out->kl = kl / base->rows;
    out->passed = !same_quality || !(out->max_relative_error > out->tolerance);
    return 0;
}
