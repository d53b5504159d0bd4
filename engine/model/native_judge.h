/* Small built-in models of every family and the reference's judgement of them: what `selftest` and the tests
 * of the forward pass share. The reference reads back the weights the backend really holds, so that rounding
 * of weights is no error, only arithmetic and the cache's precision are. */
#pragma once

#include "engine/model/forward.h"
#include "kernels/reference.h"

/* One is wide enough for blocks of 256 weights; it is judged in the precisions that the first cannot hold. */
enum { JUDGE_MODELS = 8, JUDGE_WIDE = 6 };
extern const struct model_spec judge_models[JUDGE_MODELS];

/* Largest difference of logits, relative to the largest logit of the reference, that rounding explains: where
 * activations are fp32, and on a backend with activations of the precision's own type. */
double judge_tolerance(const struct implementation *i);
double judge_tolerance_on(const struct kernels *k, const struct implementation *i);

enum { JUDGE_MAX_TEXT = 1024, JUDGE_MAX_SEQUENCES = 7, JUDGE_MEMORY = 16 };

/* A text and the reference's last logits: implementations are judged on the same few texts. */
struct judge_verdict {
    int n, id[JUDGE_MAX_TEXT];
    double *logits;
};

struct judge {
    struct kernels *k;
    const struct model_spec *model;
    struct weights *weights;
    struct reference_model reference;
    struct reference_layer *layers;
    double *values; /* all of the reference's arrays */
    size_t used, size;
    struct judge_verdict *known; /* [JUDGE_MEMORY], the oldest is overwritten */
    int n_known;
};

/* Makes weights and their reference. -1 MEMORY. */
int judge_open(struct judge *j, struct kernels *k, const struct model_spec *m, enum precision_kind precision,
               struct error *e);
/* The same of weights rotated by a random matrix, judged as a llama of this sparsity: the reference leaves
 * out what is left out. A sparsity too small to leave anything out leaves the original model, up to rounding.
 */
int judge_open_sparse(struct judge *j, struct kernels *k, const struct model_spec *m,
                      enum precision_kind precision, double sparsity, struct error *e);
/* Rotated weights against the original's reference: nothing is left out. */
int judge_open_rotated(struct judge *j, struct kernels *k, const struct model_spec *m,
                       enum precision_kind precision, struct error *e);
/* What rounding explains where activations are left out: entries near the border change places. */
double judge_sparse_tolerance(const struct kernels *k, const struct implementation *i);
void judge_close(struct judge *j);

/* Runs prompts of these lengths and then `steps` decode steps as implementation `i`, and compares the last
 * logits of every sequence with the reference on the whole text; a chosen token that is not the likeliest is
 * an error as large as what it loses. Returns the relative error, or NAN with e. */
double judge_run(struct judge *j, const struct implementation *i, int sequences, const int *lengths,
                 int steps, struct error *e);
