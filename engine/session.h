/* The record of a run in memory: what was run, where, and every raw sample. Written by the worker through the
 * log, or read from a file (engine/session_file). Statistics are not stored here: engine/summary computes
 * them from the samples, so that a loaded session and a live one are summed up by the same code.
 *
 * Sharing: blocks are written by the worker alone and never move. A reader on another thread reads each
 * block's n with acquire; the samples it covers are final. The worker's session and the UI's own session (a
 * fold over the log) point to the same blocks. */
#pragma once

#include "engine/quality.h"
#include "engine/runners/runner.h"
#include "presets/preset.h"
#include <stdatomic.h>

enum session_status { SESSION_RUNNING, SESSION_COMPLETE, SESSION_STOPPED, SESSION_FAILED };
extern const char *const session_status_names[]; /* the words of the file, in enum order */

enum cell_status {
    CELL_PENDING,
    CELL_RUNNING,
    CELL_OK,
    CELL_OUT_OF_MEMORY,
    CELL_UNSUPPORTED,
    CELL_FAILED,
    CELL_SKIPPED,
    CELL_STOPPED
};
extern const char
    *const cell_status_names[]; /* in files, pending and running cells are written as "stopped" */

enum block_flag {
    BLOCK_WARMUP_NOT_STEADY = 1,
    BLOCK_THROTTLED = 2,
    BLOCK_CLOCK_FAULT = 4,
    BLOCK_PARTIAL = 8
};

/* Readings around and outside the timed region; `valid` says which exist (absent is null in files, never 0).
 */
enum telemetry_field {
    TELEMETRY_CLOCK = 1,
    TELEMETRY_TEMPERATURE = 2,
    TELEMETRY_POWER = 4,
    TELEMETRY_LOAD = 8,
    TELEMETRY_MEMORY = 16,
    TELEMETRY_MEMORY_CLOCK = 32,
    TELEMETRY_UTILIZATION = 64,
    TELEMETRY_REASONS = 128,
    TELEMETRY_OTHERS = 256
};
struct block_telemetry {
    unsigned valid; /* telemetry_field mask */
    double clock_mhz, temperature_c, power_w;
    double load;             /* share of the machine's cpu time used by other processes, 0..1 */
    int64_t memory_bytes;    /* resident set of this process; on a GPU memory used on the device */
    double memory_clock_mhz; /* from here on: of a GPU alone */
    double utilization;      /* share of time in which any kernel ran, 0..1 */
    unsigned reasons;        /* why its clocks are lowered, all seen (engine/nvml.h) */
    double others;           /* other processes that compute on it */
};

struct block {                      /* one arm, after a state reset: the unit of replication */
    int cell, arm, round, position; /* position within the round's order */
    _Atomic unsigned flags; /* block_flag mask; final once the block is closed, read while it is not */
    int64_t started_ns;     /* runner clock */
    int n_warmup;           /* samples before the steady state; only an arm's first block has any */
    struct sample *warmup;
    int capacity;
    _Atomic int n; /* samples published */
    struct sample *samples;
    struct block_telemetry telemetry;
};

struct output_check { /* the correctness gate, against the baseline's output on the same input */
    bool checked, passed;
    double top1_agreement;     /* share of rows with the same argmax */
    double max_relative_error; /* max |a - b| / rms(b) */
    double kl;                 /* mean KL(b || a), nats */
    double tolerance; /* what max_relative_error was held against; NAN where lossy: shown, not gated */
    uint64_t input_hash;
};

struct session_arm {
    char name[PRESET_NAME];
    struct implementation implementation;
    enum cell_status status; /* an arm can be unsupported or out of memory while its cell goes on */
    char reason[256];
    int64_t load_ns;           /* 0: weights were shared with an earlier arm */
    int64_t cold_start_ns;     /* first pass after load, -1: not measured */
    int64_t time_to_steady_ns; /* spent in warm-up, -1: not measured */
    struct memory_use predicted, measured;
    bool has_measured;
    struct model_work work;
    struct runner_graph graph; /* launches and what recording them took */
    struct output_check output;
    struct arm_quality quality;
    struct text_figures text;
    /* generate from a text; NULL: none. Written once and never moved, as blocks are; freed with them. */
    struct session_responses *responses;
    struct block **blocks; /* grows, so the array may move: each session has its own */
    int n_blocks, blocks_capacity;
};

/* What the baseline against itself showed in this cell on this machine (engine/session_calibration). */
struct session_calibration {
    double noise_floor_pct; /* the interval of that ratio reaches this far from 1 */
    double mde_pct;         /* smallest difference that `rounds` rounds find four times in five */
    int rounds;
    char measured_at[32]; /* ISO 8601 UTC; "": not calibrated */
};

struct session_cell {
    char model[256];
    enum workload workload;
    int batch, seq, tokens;
    enum cell_status status;
    char reason[256];
    char stop_rule[64]; /* which rule ended it: "planned rounds", "precision", "cap", "budget", "user" */
    int rounds_planned;
    bool seeded;                            /* its model's file says that its weights are random */
    struct session_calibration calibration; /* as it was when the cell was run */
    struct session_arm *arm;                /* [n_arms], preset order */
    int n_arms;
};

struct session_environment { /* empty string or 0: not known, null in the file */
    char host[128], os[128], kernel[128], cpu[128];
    int cores, threads;
    char simd[32], product[64], affinity[96], governor[32];
    int64_t memory_bytes;
    double read_bandwidth;  /* bytes/s measured on this machine */
    double copy_bandwidth;  /* bytes/s, read and written together */
    double product_rate[4]; /* FLOP/s measured by kernel dtype: fp32, fp16, bf16, int8 (both sides) */
    double sheet_bandwidth, sheet_rate[4]; /* what the vendor's data sheet promises */
    char sheet_source[96];                 /* which */
    char device[128];                      /* a GPU in words: name, "emulated", memory; "" for the cpu */
    bool emulated;       /* a GPU's stand-in: kernels run, but no time in this session is a GPU's */
    char gpu_json[2048]; /* JSON array text of environment.gpu; "[]" without one */
};
/* Which of the product rates is the ceiling of an arm's products: with activations of 8 bits int8; else
 * weights smaller than 16 bits are widened, on a GPU to bf16, on the cpu to fp32. */
int session_rate_index(const char *device, const struct implementation *i);

struct session {
    char id[96];                    /* "2026-11-21T06-30-12-quick": also the file's name without .json */
    char path[512];                 /* where it is or will be written */
    char started[32], finished[32]; /* ISO 8601 UTC; "" while running */
    enum session_status status;
    char message[256]; /* why it failed or stopped */
    char *argv;        /* JSON array text, owned */
    char version[32], git_commit[48], build[128];
    struct session_environment environment;
    struct preset preset; /* whole, owned */
    struct session_cell *cell;
    int n_cells;
    bool owns_blocks; /* free blocks and samples with the session */
};

/* Cells and arms laid out from the preset in plan order (model, workload, seq, batch), statuses pending. */
int session_layout(struct session *s, const struct preset *p, struct error *e);
/* Fills id and path: those of `path`, or of a new file in the sessions folder named by time and preset. */
int session_name(struct session *s, const char *path, struct error *e);
/* What screens and tables call a cell's model: a file by its name, without the folder. Points into it. */
const char *session_model_name(const struct session_cell *c);
/* An arm's own state; of one that never came to run, what kept its cell (files write such arms as stopped).
 */
enum cell_status session_arm_status(const struct session_cell *c, int arm);
/* Of the arms of a cell the most responses: how many prompts any of them answered. */
int session_most_responses(const struct session_cell *c);
/* "simulated": the fake device's latencies; "emulated": a stand-in for a GPU, whose times mean nothing; "":
 * they are a machine's. Whoever shows figures says so. */
const char *session_unreal(const struct session *s);
/* Its weights are random (the catalog's, or a file's that says so): what they predict is worth nothing, how
 * arms differ in it is. */
bool session_random_weights(const struct session_cell *c);
void session_free(struct session *s); /* s may be zeroed */
struct block *session_new_block(int cell, int arm, int round, int position, int capacity, struct error *e);
void session_free_block(struct block *b);
int session_add_block(struct session *s, struct block *b, struct error *e);
int64_t session_samples(const struct session *s); /* published so far */
