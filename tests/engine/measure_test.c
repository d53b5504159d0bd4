#include "engine/measure.h"

#include "tests/test.h"

/* A runner whose every answer is scripted per arm, and a host that folds what it is told. */
struct runner_arm {
    int index;
};

struct script {
    enum error_kind prepare_fails, run_fails, output_fails; /* ERROR_NONE: it works */
    int run_fails_at;                                       /* samples of the arm before run_fails applies */
    int64_t sample_ns;                                      /* device time */
    int zero_at;                                            /* this sample's clock says 0; -1: none */
    float logit;                                            /* added to the first logit */
};

static struct {
    struct runner runner;
    struct script script[3];
    struct runner_arm arm[3];
    int64_t now;
    int samples[3], resets[3], prepared, released;
    int largest_part; /* samples asked for at once */
} fake;

static int64_t now_ns(struct runner *r)
{
    (void)r;
    return fake.now;
}

static struct runner_arm *prepare(struct runner *r, const struct runner_request *q,
                                  const struct runner_watch *w, int64_t *load_ns, struct error *e)
{
    (void)r;
    *load_ns = q->arm == 0 ? 5000000 : 0;
    w->progress(w->who, "weights", 0.5);
    fake.now += *load_ns;
    if (fake.script[q->arm].prepare_fails) {
        error_set(e, fake.script[q->arm].prepare_fails, "arm %d cannot be prepared: choose another", q->arm);
        return NULL;
    }
    fake.arm[q->arm].index = q->arm;
    fake.prepared++;
    return &fake.arm[q->arm];
}

static int reset(struct runner_arm *a, struct error *e)
{
    (void)e;
    fake.resets[a->index]++;
    return 0;
}

static int run_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                     const struct runner_watch *w, struct error *e)
{
    const struct script *s = &fake.script[a->index];
    fake.largest_part = n > fake.largest_part ? n : fake.largest_part;
    for (int i = 0; i < n; i++) {
        if (w->cancelled(w->who))
            return error_set(e, ERROR_CANCELLED, "stopped");
        if (s->run_fails && fake.samples[a->index] >= s->run_fails_at)
            return error_set(e, s->run_fails, "arm %d broke: mend it", a->index);
        int64_t ns = fake.samples[a->index] == s->zero_at ? 0 : s->sample_ns + fake.samples[a->index] % 3;
        fake.now += s->sample_ns;
        fake.samples[a->index]++;
        out[i] = (struct sample){ns, ns + 1000, 0};
        atomic_store_explicit(done, i + 1, memory_order_release);
    }
    return 0;
}

static int output(struct runner_arm *a, struct runner_output *out, struct error *e)
{
    if (fake.script[a->index].output_fails)
        return error_set(e, fake.script[a->index].output_fails, "arm %d has no output: mend it", a->index);
    float *logits = calloc(4, sizeof *logits);
    logits[0] = 1 + fake.script[a->index].logit;
    logits[1] = 2;
    *out = (struct runner_output){logits, 1, 4, 77};
    return 0;
}

static void memory(struct runner_arm *a, struct memory_use *out)
{
    *out = (struct memory_use){.peak = 1000 + a->index};
}

static void work(struct runner_arm *a, struct model_work *out)
{
    *out = (struct model_work){1, 2 + a->index, 3};
}

static void release(struct runner_arm *a)
{
    fake.released += a != NULL;
}

static const struct runner_ops ops = {.name = "scripted",
                                      .now_ns = now_ns,
                                      .prepare = prepare,
                                      .reset = reset,
                                      .run_block = run_block,
                                      .output = output,
                                      .memory = memory,
                                      .work = work,
                                      .release = release};

static struct host {
    struct session session;
    struct preset preset;
    struct model_spec model;
    struct plan_cell plan;
    struct measure_cell cell;
    struct session_cell done;
    int stop_after, blocks; /* MEASURE_STOP once so many blocks were closed; 0: never */
    int phases[4];          /* weights, warm-up, verify, measure */
    int64_t share_ns;
    unsigned drop; /* arms to drop */
    int drop_after, rounds_asked;
} host;

static enum measure_order host_order(void *who)
{
    (void)who;
    return host.stop_after && host.blocks >= host.stop_after ? MEASURE_STOP : MEASURE_GO;
}

static int64_t host_pause(void *who)
{
    (void)who;
    return 0;
}

/* `drop` is asked for after `drop_after` rounds. */
static unsigned host_dropped(void *who)
{
    (void)who;
    return host.rounds_asked++ == host.drop_after ? host.drop : 0;
}

static int host_more(void *who)
{
    (void)who;
    return 0;
}

static void host_tell(void *who, const struct log_entry *entry, size_t size)
{
    static const char *const phases[] = {"weights", "warm-up", "verify", "measure"};
    struct error e = {0};
    (void)who;
    (void)size;
    host.blocks += entry->kind == LOG_BLOCK_DONE;
    for (int i = 0; i < 4; i++)
        host.phases[i] += entry->kind == LOG_PHASE && strcmp(entry->text, phases[i]) == 0;
    if (session_apply(&host.session, entry, &e) < 0)
        TEST_FAIL("%s", e.text);
}

static struct block_telemetry host_telemetry(void *who, int64_t from, int64_t to)
{
    (void)who;
    CHECK(from <= to);
    /* the clock falls to a half in the sixth block */
    return (struct block_telemetry){.valid = TELEMETRY_CLOCK, .clock_mhz = host.blocks == 5 ? 1500 : 3000};
}

static void host_left(void *who, double seconds)
{
    (void)who;
    CHECK(seconds >= 0);
}

static void set_up(int arms)
{
    struct error e = {0};
    memset(&fake, 0, sizeof fake);
    memset(&host, 0, sizeof host);
    fake.runner.ops = &ops;
    preset_default(&host.preset);
    host.preset.n_models = host.preset.n_workloads = host.preset.n_batch = host.preset.n_seq = 1;
    host.preset.batch[0] = 1;
    host.preset.seq[0] = 64;
    host.preset.n_arms = arms;
    host.preset.rounds = host.preset.max_rounds = 6;
    host.preset.warmup_min = 3;
    host.preset.warmup_max = 20;
    for (int a = 0; a < arms; a++) {
        snprintf(host.preset.arms[a].name, sizeof host.preset.arms[a].name, "arm%d", a);
        implementation_default(&host.preset.arms[a].implementation);
        host.plan.arm[a].supported = host.plan.arm[a].fits = true;
        host.plan.arm[a].sample_s = 0.01;
        fake.script[a].sample_ns = 10000000;
        fake.script[a].zero_at = -1;
    }
    host.plan.batch = 1;
    host.plan.seq = 64;
    host.plan.samples_per_block = 64;
    CHECK_INT(session_layout(&host.session, &host.preset, &e), 0);
    host.session.owns_blocks = true;
    host.cell = (struct measure_cell){.runner = &fake.runner,
                                      .preset = &host.preset,
                                      .model = &host.model,
                                      .plan = &host.plan,
                                      .session = &host.session};
}

static const struct session_arm *measured(int arm)
{
    return &host.session.cell[0].arm[arm];
}

static void run(void)
{
    static const struct measure_host h = {&host,        host_order, host_pause,     host_more,
                                          host_dropped, host_tell,  host_telemetry, host_left};
    host.done = host.session.cell[0];
    measure_cell(&host.cell, &h, &host.done);
    CHECK_INT(fake.released, fake.prepared);
}

static void tear_down(void)
{
    session_free(&host.session);
    preset_free(&host.preset);
}

TEST(a_cell_goes_through_its_phases_and_takes_its_rounds)
{
    set_up(2);
    run();
    CHECK_INT(host.done.status, CELL_OK);
    CHECK_STRING(host.done.stop_rule, "planned rounds");
    for (int i = 0; i < 4; i++)
        CHECK(host.phases[i] > 0);
    for (int a = 0; a < 2; a++) {
        CHECK_INT(measured(a)->n_blocks, 6);
        CHECK_INT(fake.resets[a], 6); /* before every block; warm-up starts where prepare left the arm */
        CHECK_INT(measured(a)->measured.peak, 1000 + a);
        CHECK_CLOSE(measured(a)->work.flops, 2 + a, 0);
        CHECK_INT(measured(a)->cold_start_ns, 10000000);
    }
    CHECK_INT(measured(0)->load_ns, 5000000);
    CHECK(measured(1)->output.passed);
    CHECK_INT(measured(1)->output.input_hash, 77);
    tear_down();
}

TEST(two_rounds_are_ABBA)
{
    set_up(2);
    run();
    for (int r = 0; r < 6; r += 2) {
        CHECK(measured(0)->blocks[r]->position != measured(1)->blocks[r]->position);
        CHECK(measured(0)->blocks[r]->position != measured(0)->blocks[r + 1]->position);
    }
    tear_down();
}

TEST(an_arm_that_the_plan_or_the_runner_does_not_support_is_left_out)
{
    set_up(3);
    host.plan.arm[1].supported = false;
    snprintf(host.plan.arm[1].reason, sizeof host.plan.arm[1].reason,
             "graph launch needs cuda: choose eager");
    fake.script[2].prepare_fails = ERROR_UNSUPPORTED;
    run();
    CHECK_INT(host.done.status, CELL_OK);
    CHECK_INT(measured(0)->n_blocks, 6);
    CHECK_INT(measured(1)->status, CELL_UNSUPPORTED);
    CHECK_CONTAINS(measured(1)->reason, "graph launch");
    CHECK_INT(measured(2)->status, CELL_UNSUPPORTED);
    CHECK_CONTAINS(measured(2)->reason, "arm 2");
    CHECK_INT(measured(1)->n_blocks + measured(2)->n_blocks, 0);
    tear_down();
}

TEST(a_cell_is_what_its_baseline_is)
{
    static const struct {
        enum error_kind kind;
        enum cell_status status;
    } cases[] = {{ERROR_UNSUPPORTED, CELL_UNSUPPORTED},
                 {ERROR_MEMORY, CELL_OUT_OF_MEMORY},
                 {ERROR_FAILED, CELL_FAILED}};
    for (int i = 0; i < 3; i++) {
        set_up(2);
        fake.script[0].prepare_fails = cases[i].kind;
        run();
        CHECK_INT(host.done.status, cases[i].status);
        CHECK_CONTAINS(host.done.reason, "arm 0 cannot be prepared");
        CHECK_INT(measured(1)->n_blocks, 0);
        tear_down();
    }
}

TEST(a_refused_arm_is_not_prepared)
{
    set_up(2);
    host.cell.refused[1] = "a smaller cell ran out of memory";
    run();
    CHECK_INT(fake.prepared, 1);
    CHECK_INT(measured(1)->status, CELL_OUT_OF_MEMORY);
    CHECK_INT(host.done.status, CELL_OK);
    tear_down();
}

TEST(an_arm_that_does_not_fit_is_not_prepared)
{
    set_up(2);
    host.plan.arm[1].fits = false;
    snprintf(host.plan.arm[1].reason, sizeof host.plan.arm[1].reason, "needs 9 GiB");
    run();
    CHECK_INT(fake.prepared, 1);
    CHECK_INT(measured(1)->status, CELL_OUT_OF_MEMORY);
    CHECK_STRING(measured(1)->reason, "needs 9 GiB");
    CHECK_INT(measured(0)->n_blocks, 6);
    tear_down();
}

TEST(a_candidate_that_breaks_is_dropped_and_the_others_keep_their_places)
{
    set_up(3);
    fake.script[1].run_fails = ERROR_FAILED;
    fake.script[1].run_fails_at = 60; /* after its warm-up and a block */
    run();
    CHECK_INT(host.done.status, CELL_OK);
    CHECK_INT(measured(0)->n_blocks, 6);
    CHECK_INT(measured(2)->n_blocks, 6);
    CHECK_INT(measured(1)->status, CELL_FAILED);
    CHECK_CONTAINS(measured(1)->reason, "broke");
    int n = measured(1)->n_blocks;
    CHECK(n >= 1 && n < 6);
    CHECK(measured(1)->blocks[n - 1]->flags & BLOCK_PARTIAL);
    tear_down();
}

TEST(a_baseline_that_breaks_ends_the_cell)
{
    set_up(2);
    fake.script[0].run_fails = ERROR_FAILED;
    fake.script[0].run_fails_at = 60;
    run();
    CHECK_INT(host.done.status, CELL_FAILED);
    CHECK_CONTAINS(host.done.reason, "arm 0 broke");
    tear_down();
}

TEST(an_output_beyond_the_tolerance_is_marked_and_measured)
{
    set_up(2);
    fake.script[1].logit = 0.1f;
    run();
    CHECK(measured(1)->output.checked && !measured(1)->output.passed);
    CHECK_CLOSE(measured(1)->output.max_relative_error, 0.1 / sqrt(5.0 / 4), 1e-6);
    CHECK_CONTAINS(measured(1)->reason, "not ranked");
    CHECK_INT(measured(1)->n_blocks, 6);
    tear_down();
}

TEST(another_precision_is_shown_and_not_gated)
{
    set_up(2);
    fake.script[1].logit = 0.1f;
    host.preset.arms[1].implementation.precision = PRECISION_INT8;
    run();
    CHECK(measured(1)->output.checked && measured(1)->output.passed);
    CHECK(isnan(measured(1)->output.tolerance));
    CHECK_CLOSE(measured(1)->output.top1_agreement, 1, 0);
    tear_down();
}

TEST(warm_up_samples_stay_in_the_first_block_and_say_when_they_were_not_steady)
{
    set_up(1);
    run();
    CHECK(measured(0)->blocks[0]->n_warmup >= 10);
    CHECK(!(measured(0)->blocks[0]->flags & BLOCK_WARMUP_NOT_STEADY));
    CHECK_INT(measured(0)->blocks[1]->n_warmup, 0);
    tear_down();
    set_up(1);
    host.preset.warmup_max = 5; /* too few of 10 ms each to tell */
    run();
    CHECK_INT(measured(0)->blocks[0]->n_warmup, 5);
    CHECK(measured(0)->blocks[0]->flags & BLOCK_WARMUP_NOT_STEADY);
    tear_down();
}

TEST(warm_up_resets_when_the_cache_is_full)
{
    set_up(1);
    host.plan.samples_per_block = 4; /* decode has reserved no more */
    run();
    int first = measured(0)->blocks[0]->n_warmup;
    CHECK(first >= 10);
    CHECK_INT(fake.resets[0], 6 + (first - 1) / 4);
    CHECK(fake.largest_part <= 4);
    CHECK_INT(measured(0)->blocks[0]->capacity, 4);
    tear_down();
}

TEST(the_number_of_samples_follows_their_length_and_is_the_same_for_all_arms)
{
    set_up(2);
    fake.script[1].sample_ns = 40000000;
    run();
    CHECK_INT(measured(0)->blocks[0]->capacity, 14); /* 0.3 s / sqrt(10 ms x 40 ms), with the host's share */
    CHECK_INT(measured(1)->blocks[0]->capacity, 14);
    tear_down();
    set_up(2);
    host.preset.samples_per_block = 9;
    run();
    CHECK_INT(measured(1)->blocks[3]->capacity, 9);
    tear_down();
}

TEST(long_samples_are_asked_for_one_by_one)
{
    set_up(1);
    fake.script[0].sample_ns = 400000000;
    host.preset.samples_per_block = 3;
    run();
    CHECK_INT(fake.largest_part, 1);
    CHECK_INT(measured(0)->blocks[5]->n, 3);
    CHECK_INT(fake.resets[0], 6);
    CHECK(measured(0)->blocks[0]->n_warmup < 10); /* and need not be ten to be steady */
    tear_down();
}

TEST(a_clock_that_did_not_move_flags_its_block)
{
    set_up(1);
    fake.script[0].zero_at = 60;
    run();
    int flagged = 0;
    for (int b = 0; b < 6; b++)
        flagged += (measured(0)->blocks[b]->flags & BLOCK_CLOCK_FAULT) != 0;
    CHECK_INT(flagged, 1);
    tear_down();
}

TEST(a_block_at_a_low_clock_is_flagged_as_throttled)
{
    set_up(1);
    run();
    for (int b = 0; b < 6; b++) {
        CHECK_INT((measured(0)->blocks[b]->flags & BLOCK_THROTTLED) != 0, b == 5);
        CHECK(measured(0)->blocks[b]->telemetry.valid & TELEMETRY_CLOCK);
    }
    tear_down();
}

TEST(stopping_keeps_whole_blocks_and_says_how_many_rounds)
{
    set_up(2);
    host.stop_after = 5;
    run();
    CHECK_INT(host.done.status, CELL_STOPPED);
    CHECK_STRING(host.done.stop_rule, "user");
    CHECK_CONTAINS(host.done.reason, "after 2 of 6 rounds");
    CHECK_INT(measured(0)->n_blocks + measured(1)->n_blocks, 5);
    CHECK(measured(0)->has_measured);
    tear_down();
}

TEST(warm_up_leaves_most_of_a_short_budget_to_the_measurement)
{
    set_up(2);
    fake.script[0].sample_ns = fake.script[1].sample_ns = 200000000;
    host.preset.warmup_min = 2;
    host.cell.share_ns = 3000000000; /* 15 samples: 2 or 3 of warm-up per arm, 2 rounds of 1, more are over */
    run();
    CHECK_INT(host.done.status, CELL_OK);
    CHECK(measured(0)->n_blocks >= 2);
    CHECK(measured(0)->blocks[0]->n_warmup >= 2 && measured(0)->blocks[0]->n_warmup <= 3);
    CHECK(measured(0)->blocks[0]->flags & BLOCK_WARMUP_NOT_STEADY);
    tear_down();
}

TEST(a_deadline_ends_the_block_in_flight)
{
    set_up(1);
    host.cell.deadline_ns = 850000000; /* warm-up of 0.1 s, two blocks of 0.3 s, part of a third */
    run();
    CHECK_STRING(host.done.stop_rule, "budget");
    CHECK_INT(host.done.status, CELL_OK); /* two rounds are a result, though no final one */
    CHECK_CONTAINS(host.done.reason, "2 of 6 rounds");
    CHECK_INT(measured(0)->n_blocks, 3);
    CHECK(measured(0)->blocks[2]->flags & BLOCK_PARTIAL);
    CHECK(measured(0)->blocks[2]->n < measured(0)->blocks[2]->capacity);
    tear_down();
}

TEST(a_dropped_arm_leaves_the_others_to_their_rounds)
{
    set_up(3);
    host.drop = 1u << 2;
    host.drop_after = 1;
    run();
    CHECK_INT(host.done.status, CELL_OK);
    CHECK_INT(measured(0)->n_blocks, 6);
    CHECK_INT(measured(1)->n_blocks, 6);
    CHECK_INT(measured(2)->n_blocks, 2);
    CHECK_INT(measured(2)->status, CELL_STOPPED);
    CHECK_CONTAINS(measured(2)->reason, "dropped by the user after 2 of 6 rounds");
    tear_down();
}

TEST(a_cell_without_a_candidate_left_ends)
{
    set_up(2);
    host.drop = 1u << 1;
    host.drop_after = 2;
    run();
    CHECK_INT(host.done.status, CELL_SKIPPED);
    CHECK_INT(measured(0)->n_blocks, 3);
    CHECK_INT(measured(1)->n_blocks, 3);
    tear_down();
}
