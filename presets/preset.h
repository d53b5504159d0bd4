/* What to run, as a file ("benchtop/preset/1"). Reads, validates, prints; knows nothing of devices or
 * engines. A preset that was read and written again reads back equal; unknown keys are kept and reported.
 *
 * The keys of a file are the members of struct preset below, all optional: preset_default fills the rest,
 * null asks for the default, a lone value stands for a list of one. "runs", "model" and "workload" are
 * understood as rounds, models and workloads; "warmup": N sets warmup_min and warmup_max. An arm is the name
 * of a bundle, the text of --arm, or {"name", "of": BUNDLE, axes...}; written, it spells every axis, so that
 * it reads the same where its bundle is not known. "criteria" and "fake" are objects. Seeds beyond 2^53 stand
 * in quotes. */
#pragma once

#include "presets/error.h"
#include "presets/implementation.h"
#include <stdbool.h>
#include <stdint.h>

enum workload {
    WORKLOAD_PREFILL,
    WORKLOAD_DECODE,
    WORKLOAD_GENERATE,
    WORKLOAD_TOKENIZE,   /* one pass over the text; neither batch nor seq: one cell per model */
    WORKLOAD_PERPLEXITY, /* batch windows of seq tokens of the text */
    WORKLOADS,           /* those a preset may ask for; what follows is only read from other tools' files */
    WORKLOAD_COMMAND = WORKLOADS,
    WORKLOAD_KERNEL,
    WORKLOAD_NAMES
};
extern const char *const workload_names[WORKLOAD_NAMES];

/* What one text is in the file of texts: all of it, or each line that is not empty. */
enum text_unit { TEXTS_DOCUMENT, TEXTS_LINES, TEXT_UNITS };
extern const char *const text_unit_names[TEXT_UNITS]; /* "document", "lines" */
/* How generate chooses a token. Other than greedy it is done on the host from the logits, inside the sample.
 */
struct preset_sampling {
    double temperature; /* 0: greedy, the likeliest */
    int top_k;          /* 0: all */
    double top_p;       /* 1: all */
};

enum {
    PRESET_NAME = 64,
    PRESET_MODELS = 32,
    PRESET_SWEEP = 32, /* values per swept axis */
    PRESET_ARMS = 8,
    PRESET_BATCH_MAX = 1024,
    PRESET_SEQ_MAX = 32768
};

struct preset_arm {
    char name[PRESET_NAME];
    char bundle[PRESET_NAME];             /* the catalog implementation it came from, "" if spelled out */
    struct implementation implementation; /* bundle with overrides applied */
};

struct preset_criteria { /* NAN: not asked for. Evaluated for each candidate arm against the baseline. */
    double min_speedup;  /* ratio of mean latencies, 1.2 */
    double max_memory_increase;     /* fraction of peak, 0.05 */
    double max_numeric_difference;  /* largest relative logit error against the baseline */
    double min_latency_reduction;   /* fraction, 0.10 */
    double min_bandwidth_gain;      /* fraction, 0.20 */
    double max_cv;                  /* of block means, 0.1 */
    double max_perplexity_increase; /* fraction of the baseline's, 0.05 */
    double max_kl;                  /* mean KL divergence from the baseline, nats */
    double min_top1_agreement;      /* share of scored positions with the baseline's likeliest token, 0..1 */
};

/* A 2^k factorial over axes of the implementation, or a fraction of one (Box, Hunter & Hunter 2005). In a
 * file: "design": {"factors": [{"axis": "attention", "low": "naive", "high": "flash", "name": "flash"}, ...],
 * "generators": ["D=ABC"]}; factors are A, B, ... in their order, name defaults to the high level. The arms
 * are made from it where the file has none, or one, which is then the point that the levels are set on. */
enum { PRESET_FACTORS = 5 };
struct preset_design {
    struct preset_factor {
        char name[24], axis[24], low[32], high[32];
    } factor[PRESET_FACTORS];
    int n_factors; /* 0: no design */
    struct {
        int factor;    /* high where an odd number of ... */
        unsigned word; /* ... these base factors (bits) is */
    } generator[PRESET_FACTORS];
    int n_generators;
};
int preset_design_runs(const struct preset_design *d); /* arms it takes */
unsigned preset_design_setting(const struct preset_design *d,
                               int run); /* bit f: factor f is high; run 0 is 0 */

enum fake_law_kind { FAKE_NORMAL, FAKE_LOGNORMAL, FAKE_BIMODAL, FAKE_AR1 };
enum fake_fault { FAKE_OK, FAKE_OUT_OF_MEMORY, FAKE_FAILED, FAKE_HANG };
enum { FAKE_MODES = 4, FAKE_FAULTS = 16 };
struct fake_law { /* sds and drift relative to the mean (DESIGN section 2) */
    char arm[PRESET_NAME];
    enum fake_law_kind kind;
    double mean_ms, within_sd, between_sd, rho, sigma, drift_per_round, throttled;
    struct {
        double share, mean_ms;
    } mode[FAKE_MODES];
    int n_modes;
    struct {
        double size, tau;
    } warmup;
};
struct fake_spec {
    struct fake_law law[PRESET_ARMS];
    int n_laws;
    struct {
        int cell;
        enum fake_fault fault;
    } fault[FAKE_FAULTS];
    int n_faults;
};

struct preset {
    char name[PRESET_NAME];
    char title[128];
    char answers[512];               /* the question this preset answers, in words */
    char device[32];                 /* "cpu", "cuda", "cuda:1", "fake" */
    char models[PRESET_MODELS][256]; /* catalog names or paths */
    int n_models;
    enum workload workloads[WORKLOADS];
    int n_workloads;
    int batch[PRESET_SWEEP], n_batch;
    int seq[PRESET_SWEEP], n_seq;
    int tokens;           /* generate: tokens after the prompt */
    double shortest;      /* prompts of a batch are spread evenly from this share of seq up to seq; 1: all are
                             seq. Lines of a text are cut to that. */
    char text[256];       /* a file, or the name of a shipped text; "": seeded random ids */
    enum text_unit texts; /* document, lines */
    int quality_tokens;   /* tokens that quality is judged on at most; 0: perplexity all of the text, else 256
                           */
    struct preset_sampling sampling;
    struct preset_arm arms[PRESET_ARMS]; /* the first is the baseline */
    int n_arms;
    struct preset_design design;
    int rounds;                 /* planned rounds ("runs"); the verdict comes here */
    int max_rounds;             /* cap when the interval is still too wide */
    int samples_per_block;      /* 0: chosen by the engine from the sample's length */
    double half_width;          /* stop when the ratio's CI half-width is below this fraction, 0.01 */
    double budget_s;            /* time budget for the whole run, 0: none */
    double time_budget_s;       /* spent: after every cell's planned rounds, what is left of it goes to the
                                   cells still undecided, up to max_rounds each; 0: none */
    bool watch;                 /* decide by the always-valid sequence, after every round from the fifth on */
    bool strict;                /* every block in a process of its own */
    int warmup_min, warmup_max; /* samples per arm and shape */
    double margin;              /* equivalence margin, 0.01 */
    double confidence;          /* 0.95 */
    int threads;                /* 0: all */
    uint64_t seed;
    struct preset_criteria criteria;
    struct fake_spec fake;
    char *unknown; /* JSON object text of keys not understood, or NULL; kept when writing. Owned. */
};

/* What the sweep of a workload takes: tokenize has one cell per model, of batch 1 and seq 1. */
int preset_batches(const struct preset *p, enum workload w);
int preset_seqs(const struct preset *p, enum workload w);
int preset_batch(const struct preset *p, enum workload w, int i);
int preset_seq(const struct preset *p, enum workload w, int i);

/* The arm that stands for a setting of the design; -1: none, or more than one. */
int preset_design_arm(const struct preset *p, unsigned setting);

struct preset_criteria preset_no_criteria(void); /* every member NAN */
void preset_default(struct preset *p);
void preset_free(struct preset *p); /* releases what it owns; p may be zeroed */
int preset_copy(struct preset *to, const struct preset *from, struct error *e);
bool preset_equal(const struct preset *a, const struct preset *b);

/* `name` is used in messages ("FILE: key: expected ..."). Bundles of arms are looked up in the catalog.
 * warning (may be NULL) collects unknown keys. */
int preset_parse(const char *json, size_t size, const char *name, struct preset *out, struct error *warning,
                 struct error *e);
int preset_load(const char *path, struct preset *out, struct error *warning, struct error *e);
char *preset_print(const struct preset *p, struct error *e);                /* JSON text, caller frees */
int preset_save(const struct preset *p, const char *path, struct error *e); /* temp + fsync + rename */
/* --set path=value: a JSON value or a bare word, at a dotted path ("criteria.min_speedup",
 * "arms.1.precision", "arms.optimized.of"); "1,8" is a list where a list belongs; null is the default again.
 * "runs" is "rounds"; rounds above max_rounds raise it. An unknown path is a USAGE error with the nearest
 * names. p is unchanged on failure. */
int preset_set(struct preset *p, const char *path, const char *value, struct error *e);
/* --arm NAME[=key:value,...]: NAME is a bundle, or any name when `of:BUNDLE` or axes are given. Axes given on
 * top of a bundle override it; without any bundle they start from implementation_default. Fusions join with
 * '+'. */
int preset_arm_parse(const char *text, struct preset_arm *out, struct error *e);
/* All impossible values in one message: batch 0, negative runs, no arms, duplicate names ... (models and
 * devices are checked by the plan, which knows them). A fake law for an arm that is not there may wait for
 * it, unless it nearly names an arm without a law. */
int preset_validate(const struct preset *p, struct error *e);
