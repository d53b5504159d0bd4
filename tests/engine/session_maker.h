/* Sessions built in memory for tests: seeded noise around means that the test states. */
#pragma once

#include "engine/session.h"
#include "tests/test.h"
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAKER_SAMPLES = 40 };

static uint64_t maker_state = 1;
static inline double maker_uniform(void)
{
    maker_state = maker_state * 6364136223846793005u + 1442695040888963407u;
    return (double)(maker_state >> 11) * 0x1p-53;
}
static inline double maker_normal(void)
{
    double sum = 0;
    for (int i = 0; i < 12; i++)
        sum += maker_uniform();
    return sum - 6;
}

/* Cells: decode of gpt2-124m at sequence 128, batch 1, 2, 4, ...; arms baseline, fused, int8. */
static inline struct session maker_session(int n_batch, int n_arms, int rounds)
{
    static const char *const arms[] = {"baseline", "fused", "int8"};
    struct session s = {0};
    struct preset p;
    struct error e = {0};
    preset_default(&p);
    strcpy(p.name, "maker");
    strcpy(p.models[0], "gpt2-124m");
    p.n_models = p.n_workloads = p.n_seq = 1;
    p.workloads[0] = WORKLOAD_DECODE;
    p.seq[0] = 128;
    p.n_batch = n_batch;
    for (int i = 0; i < n_batch; i++)
        p.batch[i] = 1 << i;
    p.n_arms = n_arms;
    for (int i = 0; i < n_arms; i++) {
        memset(&p.arms[i], 0, sizeof p.arms[i]);
        strcpy(p.arms[i].name, arms[i]);
        implementation_default(&p.arms[i].implementation);
        if (i == 1)
            p.arms[i].implementation.fusion = FUSION_FULL;
        if (i == 2)
            p.arms[i].implementation.precision = PRECISION_INT8;
    }
    p.rounds = rounds;
    p.max_rounds = 4 * rounds;
    p.margin = 0.01;
    p.confidence = 0.95;
    p.seed = 42;
    if (session_layout(&s, &p, &e) != 0)
        TEST_FAIL("%s", e.text);
    preset_free(&p);
    strcpy(s.id, "2026-11-21T06-30-12-maker");
    strcpy(s.started, "2026-11-21T06:30:12Z");
    strcpy(s.finished, "2026-11-21T06:31:00Z");
    s.argv = strdup("[\"benchtop\",\"run\",\"maker\"]");
    strcpy(s.version, "0.1.0");
    strcpy(s.git_commit, "0123456789ab");
    strcpy(s.build, "gcc 12.2.0 -O3");
    strcpy(s.environment.host, "bench");
    strcpy(s.environment.cpu, "Test CPU");
    s.environment.cores = 2;
    s.environment.threads = 2;
    s.environment.memory_bytes = 24LL << 30;
    s.environment.read_bandwidth = 45e9;
    s.environment.product_rate[0] = 400e9;
    strcpy(s.environment.gpu_json, "[]");
    s.status = SESSION_COMPLETE;
    s.owns_blocks = true;
    return s;
}

static inline struct block *maker_block(struct session *s, int cell, int arm, int round, int n,
                                        double mean_ms, double spread)
{
    struct error e = {0};
    struct block *b = session_new_block(cell, arm, round, arm, n, &e);
    double block_mean = mean_ms * (1 + spread * maker_normal());
    for (int i = 0; i < n; i++) {
        double ns = block_mean * (1 + spread * maker_normal()) * 1e6;
        b->samples[i] = (struct sample){(int64_t)ns, (int64_t)ns + 1500, 0};
    }
    b->started_ns = 1000000000LL * round + arm;
    b->n = n;
    if (session_add_block(s, b, &e) != 0)
        TEST_FAIL("%s", e.text);
    return b;
}

/* Rounds of an arm, and the facts of an arm that ran. */
static inline void maker_fill(struct session *s, int cell, int arm, int rounds, double mean_ms, double spread)
{
    struct session_cell *c = &s->cell[cell];
    struct session_arm *a = &c->arm[arm];
    for (int r = 0; r < rounds; r++)
        maker_block(s, cell, arm, r, MAKER_SAMPLES, mean_ms, spread);
    a->status = CELL_OK;
    a->load_ns = arm == 0 ? 1234567890 : 0;
    a->cold_start_ns = 31234567;
    a->time_to_steady_ns = 91234567;
    a->work = (struct model_work){.bytes = 500e6, .flops = 250e6 * c->batch, .tokens = c->batch};
    a->predicted = (struct memory_use){497000000, 2000000, 9437184, 1000000, 509437184, 509437184, 4718592};
    a->measured = (struct memory_use){
        497759232, 2100000, 9437184, 1100000, 510396416 - arm * 10000000, 510396416 - arm * 10000000,
        4718592};
    a->has_measured = true;
    a->output.input_hash = 0xFEDCBA9876543210u;
    if (arm > 0)
        a->output = (struct output_check){true, true, 1.0, 3.5e-6, 1e-9, 1e-4, 0xFEDCBA9876543210u};
    c->status = CELL_OK;
    strcpy(c->stop_rule, "planned rounds");
}

/* What a file must keep, compared bit for bit. */
static inline bool maker_same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0 || (isnan(a) && isnan(b));
}

static inline bool maker_equal_samples(const struct sample *a, const struct sample *b, int n)
{
    return n == 0 || memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

static inline bool maker_equal_blocks(const struct block *a, const struct block *b)
{
    return a->cell == b->cell && a->arm == b->arm && a->round == b->round && a->position == b->position &&
           a->flags == b->flags && a->started_ns == b->started_ns && a->n_warmup == b->n_warmup &&
           maker_equal_samples(a->warmup, b->warmup, a->n_warmup) && a->n == b->n &&
           maker_equal_samples(a->samples, b->samples, a->n) && a->telemetry.valid == b->telemetry.valid &&
           maker_same(a->telemetry.clock_mhz, b->telemetry.clock_mhz) &&
           maker_same(a->telemetry.load, b->telemetry.load) &&
           a->telemetry.memory_bytes == b->telemetry.memory_bytes;
}

static inline bool maker_equal_arms(const struct session_arm *a, const struct session_arm *b)
{
    const struct output_check *x = &a->output, *y = &b->output;
    bool same =
        strcmp(a->name, b->name) == 0 && implementation_equal(&a->implementation, &b->implementation) &&
        a->status == b->status && strcmp(a->reason, b->reason) == 0 && a->load_ns == b->load_ns &&
        a->cold_start_ns == b->cold_start_ns && a->time_to_steady_ns == b->time_to_steady_ns &&
        memcmp(&a->predicted, &b->predicted, sizeof a->predicted) == 0 &&
        memcmp(&a->measured, &b->measured, sizeof a->measured) == 0 && a->has_measured == b->has_measured &&
        maker_same(a->work.bytes, b->work.bytes) && maker_same(a->work.flops, b->work.flops) &&
        a->work.tokens == b->work.tokens && x->checked == y->checked && x->passed == y->passed &&
        maker_same(x->top1_agreement, y->top1_agreement) &&
        maker_same(x->max_relative_error, y->max_relative_error) && maker_same(x->kl, y->kl) &&
        maker_same(x->tolerance, y->tolerance) && x->input_hash == y->input_hash &&
        a->n_blocks == b->n_blocks;
    for (int i = 0; same && i < a->n_blocks; i++)
        same = maker_equal_blocks(a->blocks[i], b->blocks[i]);
    return same;
}

static inline bool maker_equal(const struct session *a, const struct session *b)
{
    bool same = strcmp(a->id, b->id) == 0 && strcmp(a->started, b->started) == 0 &&
                strcmp(a->finished, b->finished) == 0 && a->status == b->status &&
                strcmp(a->message, b->message) == 0 && strcmp(a->argv, b->argv) == 0 &&
                strcmp(a->version, b->version) == 0 && strcmp(a->git_commit, b->git_commit) == 0 &&
                strcmp(a->build, b->build) == 0 &&
                memcmp(&a->environment, &b->environment, sizeof a->environment) == 0 &&
                preset_equal(&a->preset, &b->preset) && a->n_cells == b->n_cells;
    for (int i = 0; same && i < a->n_cells; i++) {
        const struct session_cell *x = &a->cell[i], *y = &b->cell[i];
        same = strcmp(x->model, y->model) == 0 && x->workload == y->workload && x->batch == y->batch &&
               x->seq == y->seq && x->tokens == y->tokens && x->status == y->status &&
               strcmp(x->reason, y->reason) == 0 && strcmp(x->stop_rule, y->stop_rule) == 0 &&
               x->rounds_planned == y->rounds_planned && x->n_arms == y->n_arms;
        for (int j = 0; same && j < x->n_arms; j++)
            same = maker_equal_arms(&x->arm[j], &y->arm[j]);
    }
    return same;
}

/* A folder of its own for the files of a test; also the home of its sessions. */
static inline const char *maker_folder(void)
{
    static char folder[64];
    strcpy(folder, "/tmp/benchtop-test-XXXXXX");
    if (!mkdtemp(folder))
        TEST_FAIL("no temporary folder");
    setenv("XDG_DATA_HOME", folder, 1);
    return folder;
}

static inline void maker_remove_folder(const char *folder)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    if (system(command) != 0)
        TEST_FAIL("%s was not removed", folder);
}
