/* What a plan's caches are worth to a server: for each model and sequence length of a preset whose arms
 * differ in their caches, how many sequences a scheduler runs at once in the memory that the baseline's model
 * takes for its largest batch when its cache is contiguous (engine/model/admission). Runs nothing. */
#pragma once

#include "engine/model/admission_report.h"
#include "engine/plan.h"

enum { PLAN_REQUESTS = 8 }; /* for each sequence of the batch */

struct plan_admission {
    int model; /* index into the plan's */
    int batch, seq;
    int requests, shortest,
        tokens;     /* prompts of shortest to seq tokens, in mixed order; tokens follow each */
    int64_t budget; /* bytes: what `batch` sequences of seq + tokens take contiguous */
    struct plan_admitted {
        int arm; /* the first that has this cache */
        struct admission_report report;
    } cache[PRESET_ARMS];
    int n;
};

/* How many there are, at most `max` of them in out; 0 where the arms' caches are all the same kind or none of
 * the cells decodes. -1: memory ran out, or page_bytes (of the device's virtual memory) are none. */
int plan_admissions(const struct preset *p, const struct plan *plan, int64_t page_bytes,
                    struct plan_admission *out, int max, struct error *e);
/* Bytes in which a device maps memory: the CPU's pages; a GPU's 2 MiB, which the driver's stock granularity
 * is. */
int64_t plan_page_bytes(const char *device);
