/* What hardware this is and what it was measured to reach. */
#pragma once

#include "engine/session.h"
#include "presets/error.h"

/* Share of the machine used by others above which measured ceilings are too low to be kept for long. */
#define DEVICE_BUSY_SHARE 0.15

struct device {
    char id[32];     /* "cpu", "cuda:0", "fake" */
    char title[128]; /* "AMD EPYC · 2 cores · 23.4 GiB" */
    int64_t memory_bytes, memory_free_bytes;
    double read_bandwidth;  /* bytes/s; measured once and kept in $XDG_CACHE_HOME/benchtop, else estimated */
    double product_rate[4]; /* FLOP/s by kernel dtype: fp32, fp16, bf16, int8 */
    double others;          /* share of the machine that others used while these were measured, 0..1 */
    bool measured;          /* false: the two above are estimates, and every screen that uses them says so */
    struct session_environment environment;
};

/* id: "cpu", "cuda[:N]", "fake". -1 USAGE with what is there instead. Cheap: never measures. */
int device_find(const char *id, struct device *out, struct error *e);
/* Measures the ceilings (about a second) and keeps them for this machine. d holds them even where they cannot
 * be kept
 * (-1). The first run on a machine calls it. */
int device_measure(struct device *d, struct error *e);
/* Lines for doctor and `list devices`: what was found, what is missing and what that means. Returns how many.
 */
struct device_finding {
    char what[64], found[256], means[256];
    bool ok;
};
int device_findings(struct device_finding *out, int max);
