#include "engine/gate.h"

#include "engine/model/score.h"

#include <math.h>
#include <stdlib.h>

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
    case PRECISION_INT8: /* equal weights; activations are bf16 on a GPU, or of 8 bits: as bf16 */
    case PRECISION_NF4:
    case PRECISION_NF4_DQ:
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
    double *share = malloc((size_t)base->width * sizeof *share);
    if (!share)
        return error_set(e, ERROR_MEMORY, "no memory to compare %d logits: the arm is not ranked",
                         base->width);
    double largest = 0, kl = 0, squares = 0;
    int agree = 0;
    for (int r = 0; r < base->rows; r++) {
        const float *b = base->logits + (size_t)r * (size_t)base->width;
        const float *a = arm->logits + (size_t)r * (size_t)base->width;
        struct score_row of_b = score_read(b, base->width, share), of_a = score_read(a, base->width, NULL);
        if (isnan(of_b.norm) || isnan(of_a.norm)) {
            free(share);
            return error_set(e, ERROR_FAILED,
                             "row %d of the output holds values that are not finite: the arm is not ranked",
                             r);
        }
        kl += fmax(score_kl(b, &of_b, share, a, &of_a, base->width), 0); /* rounding can make it negative */
        agree += of_a.top == of_b.top;
        for (int i = 0; i < base->width; i++) {
            largest = fmax(largest, fabs((double)a[i] - (double)b[i]));
            squares += (double)b[i] * (double)b[i];
        }
    }
    free(share);
    double rms = sqrt(squares / ((double)base->rows * base->width));
    out->top1_agreement = (double)agree / base->rows;
    out->max_relative_error = rms > 0 ? largest / rms : largest > 0 ? (double)INFINITY : 0;
    out->kl = kl / base->rows;
    out->passed = !same_quality || !(out->max_relative_error > out->tolerance);
    return 0;
}
