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
