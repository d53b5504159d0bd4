/* Inside of the native runner: one arm, and what its files share. Nobody else includes this.
 *
 * native_runner.c: weights, arms, memory; native_samples.c: timed samples and the output that is judged;
 * native_quality.c: quality and responses; native_tokenize.c: the workload that runs no model. */
#pragma once

#include "engine/model/forward.h"
#include "engine/model/inputs.h"
#include "engine/model/native.h"
#include "engine/model/sampler.h"
#include "engine/runners/runner.h"
#include "kernels/kernels.h"

enum { NATIVE_WEIGHTS_KEPT = PRESET_ARMS }; /* every arm of a cell may have its own */

struct native {
    struct runner base;
    char device[32];
    int threads, arms; /* prepared and not released */
    bool broken;       /* the device failed: nothing more runs on this opening of it */
    struct kernels *k;
    struct kernels_info info;
    struct weights *cached[NATIVE_WEIGHTS_KEPT]; /* one reference each, of one model and seed; free: NULL */
};

struct runner_arm {
    struct native *r;
    struct forward *f; /* NULL: tokenize */
    struct weights *w;
    struct model_spec model;
    struct implementation implementation;
    enum workload workload;
    int batch, seq, tokens, steps;
    double shortest; /* of the prompts, as a share of seq */
    uint64_t seed;
    int quality_tokens;
    struct inputs *in;
    int *lengths; /* [batch] of the prompts */
    struct preset_sampling sampling;
    struct sampler *sampler; /* NULL: greedy */
    float *logits;           /* sampled: [batch, vocabulary] */
    int32_t *chosen;         /* sampled: [batch] */
    struct text_figures text;
    int32_t *fixed; /* [batch] tokens fed before logits are judged, the same for every arm */
    uint64_t input_hash;
    struct forward_sizes sizes;
    struct runner_graph graph;
    struct kernel_event **event;
    int events;
    int64_t program_sum, program_peak; /* resident beyond what the backend allocated, over `readings` */
    int readings;
};

/* perplexity: the first windows of the text, which are timed. */
int native_load_prompts(struct runner_arm *a, struct error *e);
int64_t native_now(struct runner *r); /* r is not looked at */
void native_watch(struct runner_arm *a, const struct runner_watch *w, bool progress);
/* To be asked after each synchronization: what the device could not do since the last one. */
int native_check(struct runner_arm *a, struct error *e);
void native_read_memory(struct runner_arm *a);

/* native_samples.c */
int native_reset(struct runner_arm *a, struct error *e);
int native_run_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                     const struct runner_watch *w, struct error *e);
int native_output(struct runner_arm *a, struct runner_output *out, struct error *e);
/* The token of each sequence for the next step, number t from the prompt on: drawn where the arm samples,
 * else the head's own choice stands. out (may be NULL): [batch]. Synchronizes unless greedy with out NULL. */
int native_choose(struct runner_arm *a, int t, int32_t *out, struct error *e);
/* perplexity: the rows of each window that are scored, and their logits queued. */
int native_first_scored(int length);
int native_scored_rows(int length);
void native_queue_scores(struct forward *f, int sequences, int length);

/* native_quality.c: as in runner.h */
int native_quality(struct runner_arm *const *arm, int n, const struct runner_watch *w,
                   struct arm_quality *out, struct error *e);
int native_responses(struct runner_arm *a, const struct runner_watch *w, struct session_responses **out,
                     struct error *e);

/* native_tokenize.c: samples of an arm without a model. */
int native_tokenize_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                          const struct runner_watch *w, struct error *e);
