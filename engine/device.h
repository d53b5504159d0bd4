/* What hardware this is and what it was measured to reach. */
#pragma once

#include "engine/session.h"
#include "presets/error.h"

/* Share of the machine used by others above which measured ceilings are too low to be kept for long. */
#define DEVICE_BUSY_SHARE 0.15

struct device {
    char id[32]; /* "cpu", "cuda:0", "fake" */
    char
        title[128]; /* "AMD EPYC · 2 cores · 23.4 GiB", "NVIDIA H200 · 139.8 GiB"; a stand-in says emulated */
    char uuid[48]; /* a GPU's */
    bool emulated; /* kernels run, but no time is a GPU's */
    int64_t memory_bytes, memory_free_bytes;
    double read_bandwidth;  /* bytes/s; measured once and kept in $XDG_CACHE_HOME/benchtop, else estimated */
    double copy_bandwidth;  /* of a GPU that was measured: read and written together; else 0 */
    double product_rate[4]; /* FLOP/s by kernel dtype: fp32, fp16, bf16, int8 */
    double others;          /* share of the machine that others used while these were measured, 0..1 */
    bool measured;          /* false: the two above are estimates, and every screen that uses them says so */
    struct session_environment environment;
};

/* id: "cpu", "cuda[:N]", "fake". -1 USAGE with what is there instead, in one line ("cuda: no driver ...").
 * out names a GPU by its number. Cheap: never measures, creates no context on a GPU. */
int device_find(const char *id, struct device *out, struct error *e);
/* Measures the ceilings (about a second, two on a GPU) and keeps them for this machine. d holds them even
 * where they cannot be kept
 * (-1). The first run on a machine calls it. */
int device_measure(struct device *d, struct error *e);
/* Ids of all GPUs ("cuda:0" ...); how many. 0 with the reason in why. */
int device_gpus(char (*id)[16], int max, char *why, size_t why_size);
/* Lines for doctor and `list devices`: what was found, what is missing and what that means. Returns how many.
 */
struct device_finding {
    char what[64], found[256], means[256];
    bool ok;
    bool emulated; /* a stand-in: neither fine nor amiss, ok is false */
};
int device_findings(struct device_finding *out, int max);
