/* The engine on the emulated GPU: every implementation against the reference, recorded steps, a cache that
 * grows in address space, memory that runs out, a device that fails. */
#include "engine/device.h"
#include "engine/export.h"
#include "engine/model/forward.h"
#include "engine/model/native.h"
#include "engine/model/native_judge.h"
#include "tests/engine/fake_run.h"

/* Whole models on a small GPU: decode products spread over as many multiprocessors as there are, and every
 * block of theirs is 512 threads to emulate. Kernels have their own tests, on 132 and watched. */
__attribute__((constructor)) static void shape_the_device(void)
{
    setenv("EMULATED_WATCH", "0", 0);
    setenv("EMULATED_MULTIPROCESSORS", "5", 0);
}

static struct kernels *open_gpu(void)
{
    struct error e = {0};
    struct kernels *k = native_open("cuda", 0, &e);
    if (!k) {
        printf("%s\n", e.text);
        exit(1);
    }
    return k;
}

/* ---- every implementation ---- */

static struct {
    int lines;
    bool seen[JUDGE_MODELS][64], int8[JUDGE_MODELS];
    double worst[PRECISIONS];
} told;

static void see(const struct selftest_line *line, int model)
{
    int at = 0;
    if (strstr(line->what, " activations int8")) { /* a word of two axes */
        told.int8[model] = true;
        return;
    }
    for (int axis = 0; axis <= IMPLEMENTATION_KV_CACHE; axis++) {
        const struct implementation_axis *a = &implementation_axes[axis];
        for (int v = 0; v < a->n_values; v++, at++) {
            char word[40];
            snprintf(word, sizeof word, " %s", a->values[v].name);
            const char *found = strstr(line->what, word);
            char after = found ? found[strlen(word)] : 'x';
            if (found && (after == ' ' || after == ':')) {
                told.seen[model][at] = true;
                if (axis == IMPLEMENTATION_PRECISION)
                    told.worst[v] = fmax(told.worst[v], line->error);
            }
        }
    }
}

static void tell(void *who, const struct selftest_line *line)
{
    (void)who;
    told.lines++;
    for (int m = 0; m < JUDGE_MODELS; m++) {
        size_t n = strlen(judge_models[m].name);
        if (strncmp(line->what, judge_models[m].name, n) == 0 && line->what[n] == ' ' &&
            !strstr(line->what, " sparsity")) /* those have models of their own choice */
            see(line, m);
    }
    if (!line->passed)
        TEST_FAIL("%s: error %g, tolerated %g", line->what, line->error, line->tolerance);
}

/* No backend has it, or not this family. */
static bool lacks(const struct model_spec *m, const char *name)
{
    static const char *const nobody[] = {"flash3", "ring", "persistent", "stored"}, *const states[] = {
                                                                                        "rope_cache",
                                                                                        "gate_up", "paged",
                                                                                        "paged256",
                                                                                        "virtual"};
    for (size_t i = 0; i < sizeof nobody / sizeof *nobody; i++)
        if (!strcmp(name, nobody[i]))
            return true;
    for (size_t i = 0; m->family == MODEL_MAMBA && i < sizeof states / sizeof *states; i++)
        if (!strcmp(name, states[i]))
            return true;
    return m->family != MODEL_MAMBA && !strcmp(name, "ssm");
}

TEST(every_value_of_every_axis_agrees_with_the_reference_in_every_family)
{
    struct error e = {0};
    if (getenv("SANITIZER"))
        SKIP("many minutes of sanitized fibers: every kernel's own test runs here, every implementation in "
             "make test");
    CHECK_INT(native_selftest("cuda", NULL, tell, NULL, &e), 0);
    CHECK(told.lines > 150);
    for (int m = 0; m < JUDGE_MODELS; m++) {
        int at = 0;
        for (int axis = 0; axis <= IMPLEMENTATION_KV_CACHE; axis++)
            for (int v = 0; v < implementation_axes[axis].n_values; v++, at++) {
                const char *name = implementation_axes[axis].values[v].name;
                bool none = lacks(&judge_models[m], name);
                if (axis == IMPLEMENTATION_ACTIVATIONS) /* whole sentences */
                    continue;
                if (axis == IMPLEMENTATION_PRECISION) /* and what no block divides; the wide one is there for
                                                         these alone */
                    none = none || model_holds(&judge_models[m], (enum precision_kind)v, NULL) ||
                           (m == JUDGE_WIDE && !model_holds(&judge_models[0], (enum precision_kind)v, NULL));
                else if (m == JUDGE_WIDE)
                    continue;
                if (told.seen[m][at] == none)
                    TEST_FAIL("%s with %s: %s", judge_models[m].name, name, none ? "seen" : "not seen");
            }
        CHECK(told.int8[m] == (m != JUDGE_WIDE));
    }
    /* the tolerances are not wide enough to hide activations of one type taken for another's */
    CHECK(told.worst[PRECISION_FP16] > 2 * told.worst[PRECISION_FP32]);
    CHECK(told.worst[PRECISION_BF16] > 2 * told.worst[PRECISION_FP16]);
    for (int p = 0; p < PRECISIONS; p++)
        printf("worst %s: %.2e\n", implementation_axes[IMPLEMENTATION_PRECISION].values[p].name,
               told.worst[p]);
}

/* ---- recorded steps ---- */

enum { STEPS = 6, BATCH = 3 };
static const int lengths[BATCH] = {4, 11, 7};

static void tokens_of(struct kernels *k, struct weights *w, const struct implementation *i, int rounds,
                      int32_t out[STEPS][BATCH], float *logits)
{
    struct error e = {0};
    int32_t ids[22];
    for (int t = 0; t < 22; t++)
        ids[t] = (t * 31 + 7) % w->model.vocab;
    struct forward_shape shape = {.model = &w->model,
                                  .implementation = i,
                                  .sequences = BATCH,
                                  .length = 11,
                                  .lengths = lengths,
                                  .steps = STEPS};
    struct forward *f = forward_create(k, w, &shape, ids, &e);
    if (!f) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(forward_prefill(f, &e), 0);
    for (int round = 0; round < rounds; round++) {
        CHECK_INT(forward_rewind(f, &e), 0);
        for (int s = 0; s < STEPS; s++) {
            CHECK_INT(forward_step(f, &e), 0);
            forward_next(f, out[s]);
        }
    }
    CHECK_INT(forward_logits(f, logits, &e), 0);
    forward_free(f);
}

TEST(a_replayed_step_gives_what_launches_one_by_one_give_again_and_again)
{
    struct kernels *k = open_gpu();
    for (int m = 0; m < JUDGE_MODELS; m += 2) { /* llama, mistral, phi2, mamba: whose states come back too */
        struct weights *w = weights_create(
            k, &(struct weights_request){.model = &judge_models[m], .precision = PRECISION_BF16, .seed = 3},
            NULL, NULL, NULL, NULL);
        int32_t eager[STEPS][BATCH] = {{0}}, graph[STEPS][BATCH] = {{-1}};
        float a[BATCH * 256], b[BATCH * 256];
        bool states = judge_models[m].family == MODEL_MAMBA;
        for (int cache = 0; cache < (states ? 1 : KV_CACHES); cache++) {
            struct implementation i;
            implementation_default(&i);
            i.precision = PRECISION_BF16;
            i.attention = ATTENTION_FLASH;
            i.fusion = FUSION_FULL;
            i.kv_cache = (enum kv_cache_kind)cache;
            tokens_of(k, w, &i, 1, eager, a);
            i.launch = LAUNCH_GRAPH;
            tokens_of(k, w, &i, 2, graph, b); /* rewound: the prompt's choice came back */
            CHECK(memcmp(eager, graph, sizeof eager) == 0);
        }
        weights_release(w);
    }
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(contiguous_and_virtual_caches_give_the_same_bits)
{
    struct kernels *k = open_gpu();
    struct weights *w = weights_create(
        k, &(struct weights_request){.model = &judge_models[0], .precision = PRECISION_FP16, .seed = 3}, NULL,
        NULL, NULL, NULL);
    float logits[2][BATCH * 256];
    int32_t ids[2][STEPS][BATCH];
    for (int n = 0; n < 2; n++) {
        struct implementation i;
        implementation_default(&i);
        i.precision = PRECISION_FP16;
        i.attention = ATTENTION_FLASH;
        i.kv_cache = n ? KV_CACHE_VIRTUAL : KV_CACHE_CONTIGUOUS;
        tokens_of(k, w, &i, 1, ids[n], logits[n]);
    }
    size_t bytes = (size_t)BATCH * (size_t)judge_models[0].vocab * sizeof(float);
    CHECK(memcmp(logits[0], logits[1], bytes) == 0);
    weights_release(w);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(a_step_cannot_be_rewound_once_the_prompts_choice_is_overwritten)
{
    struct kernels *k = open_gpu();
    struct error e = {0};
    struct weights *w = weights_create(
        k, &(struct weights_request){.model = &judge_models[0], .precision = PRECISION_FP16, .seed = 3}, NULL,
        NULL, NULL, NULL);
    struct implementation i;
    implementation_default(&i);
    i.precision = PRECISION_FP16;
    i.launch = LAUNCH_GRAPH;
    struct forward_shape shape = {
        .model = &judge_models[0], .implementation = &i, .sequences = 1, .length = 3, .steps = 2};
    struct forward *f = forward_create(k, w, &shape, (const int32_t[]){1, 2, 3}, &e);
    struct forward_step_report report = {0};
    if (f)
        forward_report(f, &report);
    CHECK(report.recorded && report.eager_ns > 0 && report.first_eager_ns > 0);
    CHECK(report.graph.nodes > 10 && report.graph.instantiate_ns > 0 && report.graph.capture_ns > 0);
    CHECK(forward_prefill(f, &e) == 0 && forward_step(f, &e) == 0);
    CHECK_INT(forward_rewind(f, &e), -1);
    CHECK_CONTAINS(e.text, "rewind once before");
    forward_free(f);
    weights_release(w);
    k->ops->close(k);
}

/* ---- behind the seam ---- */

static struct runner_request request(const struct implementation *i, enum workload w, int batch, int seq)
{
    return (struct runner_request){.model = &judge_models[0],
                                   .implementation = i,
                                   .workload = w,
                                   .batch = batch,
                                   .seq = seq,
                                   .tokens = 3,
                                   .samples_max = 5,
                                   .arm_name = "arm",
                                   .seed = 1};
}

static struct implementation optimized(enum kv_cache_kind cache)
{
    struct implementation i;
    implementation_default(&i);
    i.attention = ATTENTION_FLASH;
    i.fusion = FUSION_FULL;
    i.launch = LAUNCH_GRAPH;
    i.precision = PRECISION_BF16;
    i.kv_cache = cache;
    return i;
}

TEST(an_arm_tells_what_its_graph_took_and_what_its_pages_hold)
{
    struct error e = {0};
    struct runner *r = runner_open_native("cuda", 0, &e);
    struct implementation i = optimized(KV_CACHE_VIRTUAL);
    for (int w = WORKLOAD_DECODE; w <= WORKLOAD_GENERATE; w++) {
        struct runner_request q = request(&i, (enum workload)w, 2, 20);
        int64_t load_ns;
        struct runner_arm *a = r->ops->prepare(r, &q, NULL, &load_ns, &e);
        if (!a) {
            TEST_FAIL("%s", e.text);
            continue;
        }
        struct runner_graph g;
        r->ops->graph(a, &g);
        CHECK(g.nodes > 10 && g.capture_ns > 0 && g.instantiate_ns > 0);
        CHECK(g.first_replay_ns > 0 && g.replay_ns > 0 && g.first_eager_ns > 0 && g.eager_ns > 0);
        CHECK_INT(g.launches, g.nodes);
        struct sample s[5] = {{0}};
        _Atomic int done = 0;
        CHECK_INT(r->ops->reset(a, &e), 0);
        CHECK_INT(r->ops->run_block(a, 5, s, &done, NULL, &e), 0);
        CHECK_INT(done, 5);
        for (int n = 0; n < 5; n++)
            CHECK(s[n].device_ns > 0 && s[n].host_ns > 0);
        struct memory_use m;
        r->ops->memory(a, &m);
        CHECK(m.kv_pages.page_bytes > 0 && m.kv_pages.pages > 0);
        CHECK_INT(m.kv_pages.committed, m.kv_pages.pages * m.kv_pages.page_bytes);
        CHECK(m.kv_pages.reserved >= m.kv_pages.committed);
        CHECK_INT(m.kv_cache, m.kv_pages.committed);
        CHECK_INT(m.kv_pages.wasted, (m.kv_pages.committed - m.kv_used) / 2);
        CHECK(m.kv_pages.exposed_ns > 0);
        r->ops->release(a);
    }
    r->ops->close(r);
}

TEST(quality_is_judged_on_the_device_and_samples_may_be_drawn)
{
    struct error e = {0};
    struct runner *r = runner_open_native("cuda", 0, &e);
    struct implementation i[2] = {optimized(KV_CACHE_CONTIGUOUS), optimized(KV_CACHE_CONTIGUOUS)};
    struct runner_arm *arm[2];
    struct arm_quality q[2];
    int64_t load_ns;
    i[1].precision = PRECISION_INT8;
    for (int a = 0; a < 2; a++) {
        struct runner_request asked = request(&i[a], WORKLOAD_GENERATE, 2, 20);
        asked.sampling = (struct preset_sampling){0.8, 20, 0.9};
        asked.quality_tokens = 32;
        arm[a] = r->ops->prepare(r, &asked, NULL, &load_ns, &e);
        if (!arm[a])
            TEST_FAIL("%s", e.text);
    }
    CHECK_INT(r->ops->quality(arm, 2, NULL, q, &e), 0);
    CHECK_INT(q[1].known, QUALITY_KL | QUALITY_TOP1);
    CHECK(q[1].kl > 0 && q[1].kl < 0.1 && q[1].top1_agreement > 0.5);
    CHECK_INT(r->ops->quality((struct runner_arm *[]){arm[1], arm[1]}, 2, NULL, q, &e), 0);
    CHECK(fabs(q[1].kl) < 1e-9 && q[1].top1_agreement == 1);
    struct sample s[2];
    _Atomic int done = 0;
    CHECK_INT(r->ops->reset(arm[0], &e), 0);
    CHECK_INT(r->ops->run_block(arm[0], 2, s, &done, NULL, &e), 0);
    CHECK(done == 2 && s[1].first_ns > 0 && s[1].first_ns < s[1].device_ns);
    for (int a = 0; a < 2; a++)
        r->ops->release(arm[a]);
    r->ops->close(r);
}

TEST(nothing_is_allocated_or_created_between_timestamps)
{
    struct error e = {0};
    struct runner *r = runner_open_native("cuda", 0, &e);
    for (int n = 0; n < 2 * (WORKLOAD_GENERATE + 1); n++) {
        struct implementation i = optimized(n % 2 ? KV_CACHE_PAGED : KV_CACHE_CONTIGUOUS);
        i.launch = n % 2 ? LAUNCH_EAGER : LAUNCH_GRAPH;
        i.precision = n < 3 ? PRECISION_INT8 : PRECISION_BF16;
        i.activations = n < 3 ? ACTIVATIONS_INT8 : ACTIVATIONS_FULL;
        struct runner_request q = request(&i, (enum workload)(n / 2), 2, 20);
        struct runner_output o = {0};
        struct sample s[5];
        _Atomic int done = 0;
        int64_t load_ns;
        struct runner_arm *a = r->ops->prepare(r, &q, NULL, &load_ns, &e);
        CHECK(a && r->ops->run_block(a, 2, s, &done, NULL, &e) == 0 && r->ops->reset(a, &e) == 0);
        setenv("EMULATED_FAIL",
               "cudaMalloc:1,cudaMallocHost:1,cudaStreamCreate:1,cudaEventCreate:1,cudaGraphInstantiate:1,"
               "cuMemCreate:1,cudaFuncSetAttribute:1",
               1);
        if (r->ops->run_block(a, 3, s, &done, NULL, &e) != 0)
            TEST_FAIL("%s", e.text);
        unsetenv("EMULATED_FAIL");
        CHECK_INT(done, 3);
        CHECK_INT(r->ops->output(a, &o, &e), 0);
        runner_output_free(&o);
        r->ops->release(a);
    }
    r->ops->close(r);
}

static void prepare_fails(struct runner *r, const struct runner_request *q, enum error_kind kind)
{
    struct error e = {0};
    int64_t load_ns;
    struct runner_arm *a = r->ops->prepare(r, q, NULL, &load_ns, &e);
    CHECK(!a);
    if (e.kind != kind)
        TEST_FAIL("%s", e.text);
    r->ops->release(a);
}

TEST(a_device_that_failed_is_opened_anew_for_the_next_cell)
{
    struct error e = {0};
    struct runner *r = runner_open_native("cuda", 0, &e);
    struct implementation i = optimized(KV_CACHE_CONTIGUOUS);
    struct runner_request q = request(&i, WORKLOAD_PREFILL, 1, 9);
    int64_t load_ns;
    struct runner_arm *a = r->ops->prepare(r, &q, NULL, &load_ns, &e);
    struct sample s[2] = {{0}};
    _Atomic int done = 0;
    CHECK(a && r->ops->run_block(a, 1, s, &done, NULL, &e) == 0);
    setenv("EMULATED_FAIL", "kernel:3", 1);
    CHECK_INT(r->ops->run_block(a, 1, s, &done, NULL, &e), -1);
    unsetenv("EMULATED_FAIL");
    CHECK_INT(e.kind, ERROR_FAILED);
    CHECK_CONTAINS(e.text, "the device failed");
    prepare_fails(r, &q, ERROR_FAILED); /* not while an arm of the old context is there */
    r->ops->release(a);
    e = (struct error){0};
    a = r->ops->prepare(r, &q, NULL, &load_ns, &e);
    CHECK_STRING(e.text, "");
    CHECK(a && r->ops->run_block(a, 2, s, &done, NULL, &e) == 0);
    CHECK(load_ns > 0); /* the weights went with the context */
    r->ops->release(a);
    r->ops->close(r);
}

/* ---- whole runs ---- */

static struct engine *run(const char *rest)
{
    char json[2048];
    snprintf(json, sizeof json,
             "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"cuda\",\"models\":[\"%s\"],"
             "\"rounds\":2,\"max_rounds\":2,\"warmup_min\":1,\"warmup_max\":2,\"samples_per_block\":2,"
             "\"seed\":9,%s}",
             fake_toy(), rest);
    return fake_run(json);
}

TEST(an_emulated_run_is_measured_and_says_everywhere_that_it_is_emulated)
{
    struct engine *g = run("\"arms\":[\"baseline-cuda\",\"optimized-cuda\",\"virtual-cuda\",\"nf4-dq-cuda\"],"
                           "\"workloads\":[\"prefill\",\"decode\"],\"batch\":[2],\"seq\":[17]");
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK_INT(s->status, SESSION_COMPLETE);
    CHECK(s->environment.emulated);
    CHECK_CONTAINS(s->environment.device, "emulated");
    CHECK_CONTAINS(s->environment.gpu_json, "\"emulated\":true");
    CHECK_CLOSE(s->environment.read_bandwidth, 0, 0); /* no ceiling was measured of what is no GPU */
    for (int c = 0; c < s->n_cells; c++)
        for (int a = 0; a < 4; a++) {
            const struct session_arm *arm = &s->cell[c].arm[a];
            CHECK_INT(s->cell[c].status, CELL_OK);
            if (arm->status != CELL_OK)
                TEST_FAIL("%s: %s", arm->name, arm->reason);
            CHECK_INT(arm->n_blocks, 2);
            CHECK((arm->graph.nodes > 0) == (a > 0 && s->cell[c].workload == WORKLOAD_DECODE));
            CHECK((arm->graph.launches > 0) == (s->cell[c].workload == WORKLOAD_DECODE));
            if (a == 1 && arm->graph.nodes > 0) /* fused: fewer kernels than one per step */
                CHECK(arm->graph.nodes < s->cell[c].arm[0].graph.launches);
            CHECK((arm->measured.kv_pages.map_calls > 0) == (a == 2));
            if (a == 1 || a == 2)
                CHECK(arm->output.checked && arm->output.passed);
            CHECK_INT(arm->measured.weights, arm->predicted.weights);
            CHECK_INT(arm->measured.activations, arm->predicted.activations);
        }
    struct error e = {0};
    char *table = table_print(s, 100, &e);
    CHECK_CONTAINS(table, "emulated");
    free(table);
    fake_end(g);
    unlink(fake_toy());
}

TEST(cells_that_memory_has_no_room_for_are_told_and_the_sweep_goes_on)
{
    setenv("EMULATED_MEMORY", "56M", 1);
    native_forget();
    struct engine *g = run("\"arms\":[\"optimized-cuda\"],\"workloads\":[\"decode\"],"
                           "\"batch\":[1,512,1024],\"seq\":[17,9]");
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK_INT(s->n_cells, 6);
    for (int c = 0; c < s->n_cells; c++) {
        const struct session_cell *cell = &s->cell[c];
        bool small = cell->batch == 1;
        if ((cell->status == CELL_OK) != small ||
            (!small && cell->status != CELL_OUT_OF_MEMORY && cell->status != CELL_SKIPPED))
            TEST_FAIL("batch %d seq %d: %s %s", cell->batch, cell->seq, cell_status_names[cell->status],
                      cell->reason);
        if (!small)
            CHECK_CONTAINS(cell->reason, cell->status == CELL_SKIPPED ? "ran out of memory" : "too much");
    }
    fake_end(g);
    unsetenv("EMULATED_MEMORY");
    native_forget();
    unlink(fake_toy());
}

TEST(blocks_measured_under_lowered_clocks_are_flagged_with_the_reason)
{
    setenv("EMULATED_NVML", "reasons=0x44", 1);
    struct engine *g =
        run("\"arms\":[\"optimized-cuda\"],\"workloads\":[\"decode\"],\"batch\":[1],\"seq\":[5]");
    unsetenv("EMULATED_NVML");
    if (!g)
        return;
    const struct session *s = engine_session(g);
    for (int b = 0; b < s->cell[0].arm[0].n_blocks; b++) {
        const struct block *block = s->cell[0].arm[0].blocks[b];
        CHECK(block->flags & BLOCK_THROTTLED);
        CHECK_INT(block->telemetry.reasons, 0x44);
        CHECK(block->telemetry.valid & TELEMETRY_POWER && block->telemetry.valid & TELEMETRY_MEMORY);
    }
    struct error e = {0};
    char *table = table_print(s, 0, &e);
    CHECK_CONTAINS(table, "throttled (power cap, hot: clocks lowered by the hardware)");
    free(table);
    fake_end(g);
    unlink(fake_toy());
}

/* Memory that is there when the plan is made and gone when the arm asks. */
TEST(memory_that_runs_out_while_an_arm_is_made_leaves_nothing_behind)
{
    struct error e = {0};
    struct runner *r = runner_open_native("cuda", 0, &e);
    struct implementation i = optimized(KV_CACHE_VIRTUAL);
    struct runner_request q = request(&i, WORKLOAD_DECODE, 2, 20);
    static const char *const failures[] = {"cudaMalloc:1", "cudaMalloc:5", "cudaMalloc:16", "cuMemCreate:1",
                                           "cuMemCreate:2"};
    for (size_t n = 0; n < sizeof failures / sizeof *failures; n++) {
        setenv("EMULATED_FAIL", failures[n], 1);
        prepare_fails(r, &q, ERROR_MEMORY);
        unsetenv("EMULATED_FAIL");
    }
    int64_t load_ns;
    e = (struct error){0};
    struct runner_arm *a = r->ops->prepare(r, &q, NULL, &load_ns, &e);
    CHECK_STRING(e.text, "");
    CHECK(a != NULL);
    r->ops->release(a);
    r->ops->close(r);
}

TEST(devices_are_found_by_number_and_named_as_emulated)
{
    struct device d;
    struct error e = {0};
    setenv("EMULATED_DEVICES", "2", 1);
    CHECK_INT(device_find("cuda", &d, &e), 0);
    CHECK_STRING(d.id, "cuda:0");
    CHECK_CONTAINS(d.title, "emulated");
    CHECK(d.emulated && d.uuid[0] && d.memory_bytes > 0);
    CHECK_INT(device_measure(&d, &e), -1);
    CHECK_CONTAINS(e.text, "emulated");
    CHECK_INT(device_find("cuda:7", &d, &e), -1);
    CHECK_CONTAINS(e.text, "cuda:0");
    unsetenv("EMULATED_DEVICES");
}
