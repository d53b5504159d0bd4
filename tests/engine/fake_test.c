#include "engine/runners/fake.h"

#include "presets/catalog.h"
#include "stats/stats.h"
#include "tests/engine/fake_run.h"

#define PRESET(fake)                                                                                         \
    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\"],"       \
    "\"arms\":[\"baseline\",\"fused\"],\"workloads\":[\"prefill\"],\"batch\":[1],\"seq\":[64],\"seed\":11,"  \
    "\"fake\":{" fake "}}"
#define BASELINE(law) PRESET("\"arms\":{\"baseline\":{" law "}}")

struct bench {
    struct preset preset;
    struct model_spec model;
    struct runner *runner;
    struct runner_request request[2];
    struct runner_arm *arm[2];
};

static bool cell_opens(struct bench *b, const char *json, int arms)
{
    struct error e = {0};
    memset(b, 0, sizeof *b);
    b->preset = fake_preset(json);
    if (catalog_model("gpt2-124m", &b->model, &e) < 0 ||
        !(b->runner = runner_open_fake(&b->preset, false, &e))) {
        TEST_FAIL("%s", e.text);
        return false;
    }
    for (int a = 0; a < arms; a++) {
        int64_t load_ns;
        b->request[a] = (struct runner_request){.model = &b->model,
                                                .implementation = &b->preset.arms[a].implementation,
                                                .batch = 1,
                                                .seq = 64,
                                                .samples_max = 256,
                                                .arm = a,
                                                .arm_name = b->preset.arms[a].name,
                                                .seed = b->preset.seed};
        b->arm[a] = b->runner->ops->prepare(b->runner, &b->request[a], NULL, &load_ns, &e);
        CHECK(b->arm[a]);
        CHECK((load_ns > 0) == (a == 0)); /* the second arm shares the first one's weights */
    }
    return true;
}

static void end(struct bench *b)
{
    b->runner->ops->release(b->arm[0]);
    b->runner->ops->release(b->arm[1]);
    b->runner->ops->close(b->runner);
    preset_free(&b->preset);
}

/* n samples of one block in milliseconds, freed by the caller. */
static double *block(struct bench *b, int arm, int n)
{
    struct sample *s = calloc((size_t)n, sizeof *s);
    double *ms = calloc((size_t)n, sizeof *ms);
    struct error e = {0};
    _Atomic int done = 0;
    CHECK_INT(b->runner->ops->reset(b->arm[arm], &e), 0);
    CHECK_INT(b->runner->ops->run_block(b->arm[arm], n, s, &done, NULL, &e), 0);
    CHECK_INT(done, n);
    for (int i = 0; i < n; i++) {
        ms[i] = (double)s[i].device_ns / 1e6;
        CHECK_INT(s[i].host_ns - s[i].device_ns, FAKE_HOST_NS);
    }
    free(s);
    return ms;
}

static struct stats_summary describe(const double *x, int n)
{
    struct stats_summary out;
    double *scratch = calloc((size_t)n, sizeof *scratch);
    stats_describe(x, (size_t)n, 0.95, scratch, &out);
    free(scratch);
    return out;
}

enum { MANY = 100000 };

TEST(the_normal_law_has_its_mean_and_sd)
{
    struct bench b;
    if (!cell_opens(&b, BASELINE("\"law\":\"normal\",\"mean_ms\":5,\"within_sd\":0.04,\"between_sd\":0"), 1))
        return;
    double *ms = block(&b, 0, MANY);
    struct stats_summary s = describe(ms, MANY);
    CHECK_CLOSE(s.mean, 5, 0.001); /* standard error 0.00013 of the mean */
    CHECK_CLOSE(s.std, 0.2, 0.02);
    CHECK(fabs(s.lag1) < 0.02);
    free(ms);
    end(&b);
}

TEST(the_lognormal_law_has_its_mean_and_shape)
{
    struct bench b;
    if (!cell_opens(&b, BASELINE("\"law\":\"lognormal\",\"mean_ms\":5,\"sigma\":0.5,\"between_sd\":0"), 1))
        return;
    double *ms = block(&b, 0, MANY);
    struct stats_summary s = describe(ms, MANY);
    CHECK_CLOSE(s.mean, 5, 0.01);
    CHECK_CLOSE(s.cv, sqrt(expm1(0.25)), 0.03);
    CHECK_CLOSE(s.median, 5 * exp(-0.125), 0.01);
    free(ms);
    end(&b);
}

TEST(the_bimodal_law_visits_its_modes_by_share)
{
    struct bench b;
    const char *json = BASELINE("\"law\":\"bimodal\",\"within_sd\":0.01,\"between_sd\":0,\"mean_ms\":10,"
                                "\"modes\":[{\"share\":0.9,\"mean_ms\":10},{\"share\":0.1,\"mean_ms\":14}]");
    if (!cell_opens(&b, json, 1))
        return;
    double *ms = block(&b, 0, MANY);
    struct stats_summary s = describe(ms, MANY);
    int slow = 0;
    for (int i = 0; i < MANY; i++)
        slow += ms[i] > 12;
    CHECK_CLOSE((double)slow / MANY, 0.1, 0.05);
    CHECK_CLOSE(s.mean, 10.4, 0.005);
    CHECK_CLOSE(fake_law_mean_ms(&b.preset.fake.law[0]), 10.4, 1e-12);
    free(ms);
    end(&b);
}

TEST(the_ar1_law_has_its_autocorrelation_and_sd)
{
    struct bench b;
    if (!cell_opens(
            &b, BASELINE("\"law\":\"ar1\",\"mean_ms\":5,\"within_sd\":0.02,\"rho\":0.7,\"between_sd\":0"), 1))
        return;
    double *ms = block(&b, 0, MANY);
    struct stats_summary s = describe(ms, MANY);
    CHECK_CLOSE(s.mean, 5, 0.002);
    CHECK_CLOSE(s.cv, 0.02, 0.03);
    CHECK_CLOSE(s.lag1, 0.7, 0.02);
    free(ms);
    end(&b);
}

TEST(blocks_differ_by_between_sd)
{
    struct bench b;
    enum { BLOCKS = 4000 };
    static double mean[BLOCKS];
    if (!cell_opens(&b, BASELINE("\"law\":\"normal\",\"mean_ms\":5,\"within_sd\":0.001,\"between_sd\":0.03"),
                    1))
        return;
    for (int i = 0; i < BLOCKS; i++) {
        double *ms = block(&b, 0, 10);
        mean[i] = stats_mean(ms, 10);
        free(ms);
    }
    struct stats_summary s = describe(mean, BLOCKS);
    CHECK_CLOSE(s.mean, 5, 0.003);
    CHECK_CLOSE(s.cv, 0.03, 0.06);
    end(&b);
}

TEST(drift_is_a_matter_of_time_not_of_the_arm)
{
    struct bench b;
    const char *json = PRESET("\"arms\":{\"baseline\":{\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0,"
                              "\"between_sd\":0,\"drift_per_round\":0.1},"
                              "\"fused\":{\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0,\"between_sd\":0,"
                              "\"drift_per_round\":0.1}}");
    if (!cell_opens(&b, json, 2))
        return;
    free(block(&b, 0, 1)); /* warm-up */
    free(block(&b, 1, 1));
    static const int order[] = {0, 1, 1, 0}; /* two rounds, ABBA: positions at 0, 0.5, 1 and 1.5 rounds */
    static const double want[] = {10, 10.5, 11, 11.5};
    for (int i = 0; i < 4; i++) {
        double *ms = block(&b, order[i], 3);
        CHECK_CLOSE(ms[2], want[i], 1e-6);
        free(ms);
    }
    end(&b);
}

TEST(warm_up_decays_from_its_size_with_its_time_constant)
{
    struct bench b;
    const char *json = BASELINE("\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0,\"between_sd\":0,"
                                "\"warmup\":{\"size\":0.5,\"tau\":5}");
    if (!cell_opens(&b, json, 1))
        return;
    double *ms = block(&b, 0, 100);
    CHECK_CLOSE(ms[0], 15, 1e-6);
    CHECK_CLOSE(ms[5], 10 * (1 + 0.5 * exp(-1)), 1e-6);
    CHECK_CLOSE(ms[99], 10, 1e-6);
    free(ms);
    ms = block(&b, 0, 1); /* a reset does not cool the arm down */
    CHECK_CLOSE(ms[0], 10, 1e-6);
    free(ms);
    end(&b);
}

TEST(throttled_blocks_are_as_many_as_asked_slower_and_say_so)
{
    struct bench b;
    if (!cell_opens(
            &b,
            BASELINE("\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0,\"between_sd\":0,\"throttled\":0.2"),
            1))
        return;
    int throttled = 0;
    for (int i = 0; i < 2000; i++) {
        double *ms = block(&b, 0, 1);
        bool said = b.runner->ops->throttled(b.arm[0]);
        throttled += said;
        CHECK_CLOSE(ms[0], said ? 10 / FAKE_THROTTLED_CLOCK : 10, 1e-6);
        free(ms);
    }
    CHECK(throttled > 310 && throttled < 490); /* 400 +- 5 standard deviations */
    end(&b);
}

TEST(virtual_time_passes_without_waiting)
{
    struct bench b;
    if (!cell_opens(&b, BASELINE("\"law\":\"normal\",\"mean_ms\":1000,\"between_sd\":0"), 1))
        return;
    int64_t from = b.runner->ops->now_ns(b.runner);
    free(block(&b, 0, 3600));
    int64_t took = b.runner->ops->now_ns(b.runner) - from;
    CHECK_CLOSE((double)took / 1e9, 3600, 1e-3); /* an hour */
    end(&b);
}

TEST(an_arm_without_a_law_follows_the_cost_model)
{
    struct bench b;
    if (!cell_opens(&b, BASELINE("\"law\":\"normal\",\"mean_ms\":1"), 2))
        return;
    struct model_work w;
    b.runner->ops->work(b.arm[1], &w);
    double want = 1e3 * fmax(w.bytes / FAKE_BANDWIDTH, w.flops / FAKE_FLOP_RATE);
    double *ms = block(&b, 1, 20000);
    CHECK_CLOSE(stats_mean(ms + 100, 19900), want, 0.05); /* one block: its own 1 % is in it */
    CHECK(want > 1);
    free(ms);
    end(&b);
}

TEST(outputs_of_all_arms_are_equal_and_change_with_the_seed)
{
    struct bench b;
    struct error e = {0};
    if (!cell_opens(&b, PRESET("\"arms\":{}"), 2))
        return;
    struct runner_output x, y;
    CHECK_INT(b.runner->ops->output(b.arm[0], &x, &e), 0);
    CHECK_INT(b.runner->ops->output(b.arm[1], &y, &e), 0);
    CHECK_INT(x.rows, 1);
    CHECK_INT(x.width, FAKE_LOGITS_WIDTH);
    CHECK(memcmp(x.logits, y.logits, (size_t)x.width * sizeof(float)) == 0);
    CHECK(x.input_hash == y.input_hash);
    runner_output_free(&x);
    runner_output_free(&y);
    CHECK(!y.logits);
    end(&b);
}

static bool is_cancelled(void *who)
{
    int *left = who;
    return --*left < 0;
}

TEST(a_block_stops_between_samples_when_it_is_cancelled)
{
    struct bench b;
    struct error e = {0};
    int left = 3;
    if (!cell_opens(&b, BASELINE("\"law\":\"normal\",\"mean_ms\":1"), 1))
        return;
    struct runner_watch watch = {&left, NULL, is_cancelled};
    struct sample s[10];
    _Atomic int done = 0;
    CHECK_INT(b.runner->ops->run_block(b.arm[0], 10, s, &done, &watch, &e), -1);
    CHECK_INT(e.kind, ERROR_CANCELLED);
    CHECK_INT(done, 3);
    end(&b);
}

TEST(a_workload_without_a_cost_model_takes_some_time_all_the_same)
{
    struct bench b;
    if (!cell_opens(&b, PRESET("\"arms\":{}"), 1))
        return;
    b.request[0].workload = WORKLOAD_TOKENIZE;
    struct fake_law law = fake_law_of(&b.preset, &b.request[0]);
    CHECK(law.mean_ms > 0);
    end(&b);
}
