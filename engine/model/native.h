/* Runs a model on a kernels backend, behind the seam engine/runners/runner.h (runner_open_native).
 * What a backend supports, what a run will need and whether it agrees with the reference are told without
 * running. */
#pragma once

#include "engine/model/model.h"
#include "presets/error.h"

bool native_is_cuda(const char *device); /* "cuda", "cuda:N" */
/* 0, or -1 with UNSUPPORTED and the reason in words ("graph launch needs cuda: choose launch eager"). device:
 * "cpu", "cuda[:N]"; whether a GPU is there is not asked (engine/device). */
int native_supports(const char *device, const struct model_spec *m, const struct implementation *i,
                    enum workload w, struct error *e);
/* Bytes an arm will hold, from the same size functions that allocate: shares nothing with other arms.
 * samples: decode steps per block (decode reserves cache for them). */
int native_predict_memory(const char *device, const struct model_spec *m, const struct implementation *i,
                          enum workload w, int batch, int seq, int tokens, int samples, int threads,
                          struct memory_use *out, struct error *e);

struct forward_shape; /* engine/model/forward.h */
/* What a workload asks of a forward pass; m and i stay the caller's. -1 UNSUPPORTED when the sequence (or,
 * for generate, its tokens) does not fit the model's context. A decode's steps are capped by the context. */
int native_shape(const struct model_spec *m, const struct implementation *i, enum workload w, int batch,
                 int seq, int tokens, int samples, struct forward_shape *out, struct error *e);
/* Resident bytes of this process beyond `allocated`, and bytes the system can still give without swapping
 * (INT64_MAX: unknown). */
int64_t native_program_bytes(int64_t allocated);
int64_t native_available_bytes(void);

/* Every implementation on this device against the double-precision reference, on small built-in models of
 * each family. Calls line() per check; returns the number of failures, -1 if the device cannot be opened. */
struct selftest_line {
    const char *what; /* "llama flash full bf16 paged: prefill 37" */
    double error, tolerance;
    bool passed;
};
int native_selftest(const char *device, void (*line)(void *who, const struct selftest_line *), void *who,
                    struct error *e);
