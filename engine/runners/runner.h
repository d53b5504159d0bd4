/* The seam: something that can be timed. Behind it the native engine (engine/model), the fake of the tests,
 * child processes that run either of them (engine/runners/process); later HTTP endpoints. Everything above it
 * (measure, stop rules, session, screens) is the same for all.
 *
 * One runner per run, one runner_arm per prepared arm of the current cell. All calls come from the worker
 * thread. */
#pragma once

#include "engine/model/model.h"
#include "engine/quality.h"
#include "presets/error.h"
#include "presets/preset.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* One timed iteration. On a device the two clocks differ; on the cpu they bracket the same work. */
struct sample {
    int64_t device_ns; /* span between the events around the work */
    int64_t host_ns;   /* submit to synchronized */
    int64_t first_ns;  /* generate: time to the first token; else 0 */
};

/* How a long call reports and is cancelled. Any member may be NULL. */
struct runner_watch {
    void *who;
    void (*progress)(void *who, const char *what, double fraction); /* "weights", 0..1 */
    bool (*cancelled)(void *who);
};

struct runner_request {
    const struct model_spec *model;
    const struct implementation *implementation;
    enum workload workload;
    int batch, seq, tokens;
    int samples_max;  /* most samples a block (or its warm-up) will ask for: decode reserves cache for them */
    int cell, arm;    /* indices, for the fake's faults and laws */
    int visit, round; /* a number for each time the arm is prepared, and the rounds it had before: the fake
                         draws other samples and drifts on */
    const char *arm_name;
    uint64_t seed;    /* weights and inputs: the same for every arm, so that outputs can be compared */
    const char *text; /* the preset's: a file or a shipped text; NULL, "": seeded random ids */
    enum text_unit texts;
    struct preset_sampling sampling; /* all 0: greedy */
    int quality_tokens;              /* the preset's */
    double shortest;                 /* the preset's; 0 as 1: all prompts are seq tokens */
};

/* What the arm computed, for the gate: logits of a fixed input after reset, the last row of every sequence
 * (encoders: the first row). */
struct runner_output {
    float *logits; /* [rows, width], freed by runner_output_free */
    int rows, width;
    uint64_t input_hash;
};
void runner_output_free(struct runner_output *o);

/* What recording a step took, and its first launches: the counterpart of a compiler's cold start. */
struct runner_graph {
    int launches; /* kernels and copies of a decode step, however they are launched; 0: not known */
    int64_t first_eager_ns,
        eager_ns; /* host clock, launched one by one: the very first step, and one after */
    int nodes;    /* of the recorded step; 0: steps are launched one by one */
    int64_t capture_ns, instantiate_ns;
    int64_t first_replay_ns, replay_ns; /* host clock, submit to done: the first, and the one after it */
};

struct kernels_info; /* kernels/kernels.h */
struct runner;
struct runner_arm;

struct runner_ops {
    const char *name; /* "native", "fake" */
    /* Monotonic nanoseconds; virtual for the fake. Budgets and durations above the seam use this clock only.
     * The one call that any thread may make. */
    int64_t (*now_ns)(struct runner *r);
    /* Loads weights (shared between arms of one model and precision), allocates, brings the arm to its start
     * state (decode: cache filled with seq tokens). *load_ns: time spent on weights, 0 when they were shared.
     * NULL on error: UNSUPPORTED, MEMORY, CANCELLED or FAILED; nothing leaks, other arms stay valid. */
    struct runner_arm *(*prepare)(struct runner *r, const struct runner_request *q,
                                  const struct runner_watch *w, int64_t *load_ns, struct error *e);
    /* The next block in a process of its own, `round` for the fake: what was warm is cold again, and the
     * caller warms it. NULL: this runner's blocks share a process. */
    int (*renew)(struct runner_arm *a, int round, const struct runner_watch *w, struct error *e);
    /* Back to the start state: prefill, generate: empty cache; decode: seq tokens cached. Called before every
     * block. */
    int (*reset)(struct runner_arm *a, struct error *e);
    /* Takes n samples into out[0..n); publishes each by storing the count so far into *done (release) once it
     * is complete. Free-running decode may publish at the end. Called again without reset it goes on from
     * where it was (long samples are asked for one by one). Stops early with CANCELLED between samples. */
    int (*run_block)(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                     const struct runner_watch *w, struct error *e);
    int (*output)(struct runner_arm *a, struct runner_output *out, struct error *e);
    /* How good the prepared arms' predictions are, arm[0] the baseline, all on the same tokens where they
     * have one vocabulary: out[n]. Between blocks: the caller resets before the next one. NULL: this runner
     * computes no logits. */
    int (*quality)(struct runner_arm *const *arm, int n, const struct runner_watch *w,
                   struct arm_quality *out, struct error *e);
    /* What one generation from the text gives, prompt by prompt; *out is the caller's to free, NULL where the
     * request has no text or does not generate. NULL: none. */
    int (*responses)(struct runner_arm *a, const struct runner_watch *w, struct session_responses **out,
                     struct error *e);
    void (*text)(struct runner_arm *a, struct text_figures *out); /* NULL: this runner reads no text */
    void (*memory)(struct runner_arm *a, struct memory_use *out); /* measured, since prepare */
    void (*work)(struct runner_arm *a, struct model_work *out);
    void (*graph)(struct runner_arm *a, struct runner_graph *out); /* NULL: this runner records none */
    /* Whether the last block ran below the device's clocks. NULL: this runner cannot tell, telemetry decides.
     */
    bool (*throttled)(struct runner_arm *a);
    void (*release)(struct runner_arm *a); /* NULL is fine */
    void (*close)(struct runner *r);       /* all arms must be released */
    const struct kernels_info *(*kernels)(
        struct runner *r); /* what the backend chose; NULL: not a native runner */
};

struct runner {
    const struct runner_ops *ops;
};

/* device: "cpu", "cuda[:N]". threads 0: all this process may use. A device that fails (an illegal access)
 * fails the arms that are prepared; the next prepare after their release opens it anew. */
struct runner *runner_open_native(const char *device, int threads, struct error *e);
/* The simulator: virtual time (realtime: sleeps), latency laws and faults from the preset's `fake` object. */
struct runner *runner_open_fake(const struct preset *preset, bool realtime, struct error *e);
