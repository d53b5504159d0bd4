/* The situations in which the whole program must keep its promises: presets with laws of known truth for the
 * fake device, run through the engine in virtual time, judged by summary as every screen and file is. Shared
 * by tests/engine/truth_test.c (some sessions, wide bounds) and tests/bench/statistics_bench.c (many, issue's
 * bounds). */
#pragma once

#include "engine/engine.h"
#include "engine/summary.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum situation_count {
    COUNT_FALSE,        /* sessions with a `faster` or `slower` */
    COUNT_FASTER,       /* sessions whose first pair is `faster` */
    COUNT_EQUIVALENT,   /* ... `equivalent` */
    COUNT_MEAN_COVERED, /* the baseline's interval of the mean holds the law's mean */
    COUNT_RATIO_COVERED,
    COUNT_COVERED_OR_BIMODAL, /* both intervals hold the truth, or the verdict is inconclusive: bimodal */
    COUNT_BIAS,               /* not a rate: mean over sessions of the baseline's mean against the law's */
};

struct situation {
    const char *name;
    enum situation_count count;
    const char *preset; /* members of the preset object, without device, models, arms and fake */
    const char *baseline, *candidate; /* laws */
    double mean_ms, ratio;            /* truths: the baseline's mean; baseline / candidate */
    double low, high;                 /* bounds of the rate, as shares */
    int sessions;                     /* for the bench */
};

#define NORMAL(mean, sd) "\"law\":\"normal\",\"mean_ms\":" mean ",\"within_sd\":" sd
#define BETWEEN(sd)      ",\"between_sd\":" sd
#define LOGNORMAL        "\"law\":\"lognormal\",\"mean_ms\":10,\"sigma\":0.5"
#define AR1              "\"law\":\"ar1\",\"mean_ms\":10,\"within_sd\":0.05,\"rho\":0.5"
#define BIMODAL                                                                                              \
    "\"law\":\"bimodal\",\"within_sd\":0.03,\"modes\":[{\"share\":0.9,\"mean_ms\":10},{\"share\":0.1,"       \
    "\"mean_ms\":14}]"
#define SHAPE(rounds, samples)                                                                               \
    "\"rounds\":" rounds ",\"max_rounds\":" rounds ",\"samples_per_block\":" samples
#define WARM ",\"warmup_min\":2,\"warmup_max\":4"

static const struct situation situations[] = {
    {"false verdict: normal, 10 rounds", COUNT_FALSE, SHAPE("10", "4") WARM, NORMAL("10", "0.03"),
     NORMAL("10", "0.03"), 10, 1, 0, 0.055, 12000},
    {"false verdict: block sd half of sample sd, 1 sample", COUNT_FALSE, SHAPE("10", "1") WARM,
     NORMAL("10", "0.04") BETWEEN("0.02"), NORMAL("10", "0.04") BETWEEN("0.02"), 10, 1, 0, 0.055, 12000},
    {"false verdict: block sd half of sample sd, 5 samples", COUNT_FALSE, SHAPE("10", "5") WARM,
     NORMAL("10", "0.04") BETWEEN("0.02"), NORMAL("10", "0.04") BETWEEN("0.02"), 10, 1, 0, 0.055, 12000},
    {"false verdict: block sd half of sample sd, 50 samples", COUNT_FALSE, SHAPE("10", "50") WARM,
     NORMAL("10", "0.04") BETWEEN("0.02"), NORMAL("10", "0.04") BETWEEN("0.02"), 10, 1, 0, 0.055, 6000},
    {"false verdict: AR(1) 0.5 within blocks", COUNT_FALSE, SHAPE("10", "0") WARM, AR1, AR1, 10, 1, 0, 0.06,
     8000},
    {"false verdict: 1 % linear drift over the run", COUNT_FALSE, SHAPE("10", "4") WARM,
     NORMAL("10", "0.006") ",\"drift_per_round\":0.001", NORMAL("10", "0.006") ",\"drift_per_round\":0.001",
     10, 1, 0, 0.055, 12000},
    {"false verdict: watched to 100 rounds, stopped at will", COUNT_FALSE,
     "\"rounds\":10,\"max_rounds\":100,\"samples_per_block\":2,\"watch\":true,\"margin\":0" WARM,
     NORMAL("10", "0.03"), NORMAL("10", "0.03"), 10, 1, 0, 0.05, 3000},
    {"any false verdict: sweep of 50 cells", COUNT_FALSE,
     SHAPE("10", "2") WARM ",\"batch\":[1,2,3,4,5,6,7,8,9,10],\"seq\":[1,2,3,4,5]", NORMAL("10", "0.03"),
     NORMAL("10", "0.03"), 10, 1, 0, 0.055, 2000},
    {"false verdict: 10 to 30 rounds until +-1 %", COUNT_FALSE,
     "\"rounds\":10,\"max_rounds\":30,\"half_width\":0.01,\"samples_per_block\":4" WARM, NORMAL("10", "0.03"),
     NORMAL("10", "0.03"), 10, 1, 0, 0.055, 6000},
    {"any false verdict: time budget spent on 5 cells", COUNT_FALSE,
     "\"rounds\":10,\"max_rounds\":60,\"samples_per_block\":2,\"time_budget_s\":12,\"batch\":[1,2,3,4,"
     "5]" WARM,
     NORMAL("10", "0.03"), NORMAL("10", "0.03"), 10, 1, 0, 0.055, 2000},
    {"interval of the mean: normal", COUNT_MEAN_COVERED, SHAPE("30", "0") WARM, NORMAL("10", "0.05"),
     NORMAL("10", "0.05"), 10, 1, 0.94, 0.965, 3000},
    {"interval of the ratio: normal", COUNT_RATIO_COVERED, SHAPE("30", "0") WARM, NORMAL("10", "0.05"),
     NORMAL("8", "0.05"), 10, 1.25, 0.94, 0.965, 3000},
    {"interval of the mean: lognormal 0.5", COUNT_MEAN_COVERED, SHAPE("30", "0") WARM, LOGNORMAL, LOGNORMAL,
     10, 1, 0.94, 0.965, 3000},
    {"interval of the ratio: lognormal 0.5", COUNT_RATIO_COVERED, SHAPE("30", "0") WARM, LOGNORMAL, LOGNORMAL,
     10, 1, 0.94, 0.965, 3000},
    {"interval of the mean: AR(1) 0.5", COUNT_MEAN_COVERED, SHAPE("30", "0") WARM, AR1, AR1, 10, 1, 0.94,
     0.965, 3000},
    {"interval of the ratio: AR(1) 0.5", COUNT_RATIO_COVERED, SHAPE("30", "0") WARM, AR1, AR1, 10, 1, 0.94,
     0.965, 3000},
    {"bimodal 90/10, 10 blocks: covered or named", COUNT_COVERED_OR_BIMODAL, SHAPE("10", "0") WARM, BIMODAL,
     BIMODAL, 10.4, 1, 0.9, 1, 3000},
    {"bimodal 90/10, 10 blocks of 5: covered or named", COUNT_COVERED_OR_BIMODAL, SHAPE("10", "5") WARM,
     BIMODAL, BIMODAL, 10.4, 1, 0.9, 1, 3000},
    {"power: ratio 1.03, CV 2 %, 30 rounds: faster", COUNT_FASTER, SHAPE("30", "4") WARM,
     NORMAL("10.3", "0") BETWEEN("0.02"), NORMAL("10", "0") BETWEEN("0.02"), 10.3, 1.03, 0.9, 1, 2000},
    {"power: equal, margin 1 %, CV 1 %, 30 rounds: equivalent", COUNT_EQUIVALENT, SHAPE("30", "4") WARM,
     NORMAL("10", "0") BETWEEN("0.01"), NORMAL("10", "0") BETWEEN("0.01"), 10, 1, 0.9, 1, 3000},
    {"warm-up +50 %, constant 5: bias of the mean", COUNT_BIAS, SHAPE("10", "0"),
     NORMAL("10", "0.02") ",\"warmup\":{\"size\":0.5,\"tau\":5}",
     NORMAL("10", "0.02") ",\"warmup\":{\"size\":0.5,\"tau\":5}", 10, 1, -0.003, 0.003, 3000},
    {"warm-up +50 %, constant 5: interval of the mean", COUNT_MEAN_COVERED, SHAPE("10", "0"),
     NORMAL("10", "0.02") ",\"warmup\":{\"size\":0.5,\"tau\":5}",
     NORMAL("10", "0.02") ",\"warmup\":{\"size\":0.5,\"tau\":5}", 10, 1, 0.93, 1, 3000},
};
enum { SITUATIONS = (int)(sizeof situations / sizeof *situations) };

static inline bool situation_holds(struct stats_interval i, double truth)
{
    return i.low <= truth && truth <= i.high;
}

/* What one session says: 1 or 0, or the relative bias. */
static inline double situation_value(const struct situation *t, const struct session *s)
{
    struct comparison *c = NULL;
    struct arm_summary a;
    double value = 0;
    if (summary_comparisons(s, &c, NULL) < 0 || summary_arm(s, 0, 0, &a) < 0) {
        free(c);
        return NAN;
    }
    const struct comparison *pair = &c[1];
    bool mean = situation_holds(a.latency.ci, t->mean_ms),
         ratio = situation_holds(pair->speedup_ci, t->ratio);
    switch (t->count) {
    case COUNT_FALSE:
        for (int i = 0; i < s->n_cells; i++)
            value += c[i * 2 + 1].verdict == VERDICT_FASTER || c[i * 2 + 1].verdict == VERDICT_SLOWER;
        value = value > 0;
        break;
    case COUNT_FASTER:
        value = pair->verdict == VERDICT_FASTER;
        break;
    case COUNT_EQUIVALENT:
        value = pair->verdict == VERDICT_EQUIVALENT;
        break;
    case COUNT_MEAN_COVERED:
        value = mean;
        break;
    case COUNT_RATIO_COVERED:
        value = ratio;
        break;
    case COUNT_COVERED_OR_BIMODAL:
        value =
            (mean && ratio) || (pair->verdict == VERDICT_INCONCLUSIVE && pair->reason_code == REASON_BIMODAL);
        break;
    case COUNT_BIAS:
        value = a.latency.mean / t->mean_ms - 1;
        break;
    }
    free(c);
    return value;
}

static inline int situation_preset(const struct situation *t, struct preset *p, struct error *e)
{
    char json[2048];
    snprintf(
        json, sizeof json,
        "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\"],"
        "\"arms\":[\"baseline\",\"fused\"],\"workloads\":[\"prefill\"],%s,"
        "\"fake\":{\"arms\":{\"baseline\":{%s},\"fused\":{%s}}}}",
        t->preset, t->baseline, t->candidate);
    return preset_parse(json, strlen(json), t->name, p, NULL, e);
}

/* Runs one session through the engine; NAN: it could not, and e says why. */
static inline double situation_session(const struct situation *t, struct preset *p, const char *path,
                                       int seed, struct error *e)
{
    char journal[256];
    p->seed = (uint64_t)seed;
    struct engine_options o = {.preset = p, .session_path = path, .wake_fd = -1};
    struct engine *g = engine_start(&o, e);
    if (!g)
        return (double)NAN;
    engine_join(g);
    double value = situation_value(t, engine_session(g));
    engine_free(g);
    unlink(path);
    snprintf(journal, sizeof journal, "%s.journal", path);
    unlink(journal);
    return value;
}
