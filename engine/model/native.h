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
/* What of an implementation this model's file does not let be had, in words; "" where all is as named. */
void native_note(const struct model_spec *m, const struct implementation *i, char *out, size_t size);
/* Bytes an arm will hold, from the same size functions that allocate: shares nothing with other arms.
 * samples: decode steps per block (decode reserves cache for them).
 *
 * The size functions belong to an open backend: the first call for a device opens one (on a GPU: creates the
 * context, some tenths of a second and some hundred MB, which a run in this process then shares) and keeps it
 * until another device is asked for. Any thread, one at a time. */
int native_predict_memory(const char *device, const struct model_spec *m, const struct implementation *i,
                          enum workload w, int batch, int seq, int tokens, int samples, int threads,
                          struct memory_use *out, struct error *e);

struct forward_shape; /* engine/model/forward.h */
/* What a workload asks of a forward pass; m and i stay the caller's. -1 UNSUPPORTED when the sequence (or,
 * for generate, its tokens) does not fit the model's context. A decode's steps are capped by the context. */
int native_shape(const struct model_spec *m, const struct implementation *i, enum workload w, int batch,
                 int seq, int tokens, int samples, struct forward_shape *out, struct error *e);
/* What a device can still give, and what the program itself holds of it: the cpu's resident bytes, a GPU's
 * context with modules and libraries. Opens the backend as native_predict_memory does. */
int native_memory(const char *device, int threads, int64_t *available, int64_t *program, struct error *e);
/* Gives up the backend that predictions asked: before a device that failed is opened anew. */
void native_forget(void);

struct kernels; /* kernels/kernels.h */
/* kernels_open with errors in words; remembers what others held of a GPU before this process used it. */
struct kernels *native_open(const char *device, int threads, struct error *e);
/* Bytes that this process holds of the device beyond what the backend allocated, as the system tells:
 * resident memory, or on a GPU the driver's figure. Free bytes: without swapping, INT64_MAX: unknown. */
int64_t native_held_bytes(const char *device, const struct kernels *k);
int64_t native_free_bytes(const char *device, const struct kernels *k);
int64_t native_program_bytes(int64_t allocated); /* resident bytes of this process beyond `allocated` */

/* Every implementation on this device against the double-precision reference, on small built-in models of
 * each family, or on the one named `only` (NULL: all; an unknown name is a USAGE error). Calls line() per
 * check; returns the number of failures, -1 if the device cannot be opened. */
struct selftest_line {
    const char *what; /* "llama flash full bf16 paged: prefill 37" */
    double error, tolerance;
    bool passed;
};
int native_selftest(const char *device, const char *only,
                    void (*line)(void *who, const struct selftest_line *), void *who, struct error *e);
