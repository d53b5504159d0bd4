/* preset -> cells, each with predicted bytes, FLOPs, time and whether it fits. Allocates nothing large and
 * runs nothing, so the Setup screen may call it at every key press; for a GPU the first call creates the
 * context that sizes and free memory are asked of (engine/model/native.h). */
#pragma once

#include "engine/device.h"
#include "engine/model/model.h"
#include "presets/preset.h"

struct plan_arm {
    struct memory_use memory;
    struct model_work work;
    double sample_s;                /* predicted seconds per sample: max(bytes / bandwidth, flops / rate) */
    double limit_tokens_per_second; /* the device's ceiling for this work; NAN unknown */
    bool memory_bound;
    bool supported;
    bool fits;        /* beside the arms before it; a candidate that does not is left out, its cell runs */
    char reason[256]; /* why not; of an arm that runs: what of it this model does not let be had */
};
struct plan_cell {
    int model; /* index into models */
    enum workload workload;
    int batch, seq, tokens;
    struct plan_arm arm[PRESET_ARMS];
    int64_t peak_bytes; /* the arms that fit (where not even the baseline does: all arms) resident together,
                           shared weights once */
    double time_s;      /* predicted: load, warm-up and all rounds */
    int samples_per_block;
    bool fits;        /* the baseline does */
    bool supported;   /* the baseline and at least every arm that can run make sense */
    char reason[256]; /* "needs 27.1 GiB, 23.4 GiB are free: 3.7 GiB too much" */
};
struct plan {
    struct model_spec *model;
    int n_models;
    struct plan_cell *cell; /* order: model, workload, seq, batch */
    int n_cells;
    int64_t memory_bytes, memory_free_bytes; /* of the device */
    double time_s;
    int n_unfit, n_unsupported, n_memory_bound, n_compute_bound;
};

/* All impossible values in one message (unknown models with the nearest names, a sequence beyond the model's
 * context, what preset_validate finds). */
int plan_build(const struct preset *p, const struct device *d, struct plan *out, struct error *e);
void plan_free(struct plan *p);
