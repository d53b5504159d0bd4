/* What a schedule by memory came to (engine/model/admission): for those who show it. */
#pragma once

#include <stdint.h>

struct admission_report {
    int peak;            /* sequences running at once */
    double mean;         /* over the steps */
    int64_t steps;       /* to finish all */
    int64_t preemptions; /* times a running sequence had to wait again */
    int64_t recomputed;  /* tokens whose keys and values were given up by them */
    double wasted_bytes; /* held by a running sequence and not used, mean over steps and sequences */
    double used_share;   /* of the budget, by tokens: mean over the steps */
};
