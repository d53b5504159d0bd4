/* Strict runs: every block in a process of its own, through the program itself (BENCHTOP, else
 * build/benchtop). */
#include "engine/runners/process.h"
#include "engine/summary.h"
#include "tests/engine/fake_run.h"

static const char *program(void)
{
    const char *given = getenv("BENCHTOP");
    return given && *given ? given : "build/benchtop";
}

static struct engine *strict_run(const char *json, const char *exe)
{
    struct preset p = fake_preset(json);
    struct error e = {0};
    struct engine_options o = {.preset = &p, .session_path = fake_path(), .wake_fd = -1, .program = exe};
    struct engine *g = engine_start(&o, &e);
    if (!g)
        TEST_FAIL("engine_start: %s", e.text);
    preset_free(&p);
    if (g)
        engine_join(g);
    return g;
}

#define STRICT(device, rest, fake)                                                                           \
    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"" device "\",\"strict\":true,"            \
    "\"arms\":[\"baseline\",\"fused\"],\"workloads\":[\"prefill\"],\"batch\":[1],"                           \
    "\"seed\":5," rest fake "}"
#define LAWS                                                                                                 \
    ",\"fake\":{\"arms\":{\"baseline\":{\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0.02,"               \
    "\"warmup\":{\"size\":0.5,\"tau\":3}},"                                                                  \
    "\"fused\":{\"law\":\"normal\",\"mean_ms\":8,\"within_sd\":0.02}}}"
#define ROUNDS "\"models\":[\"gpt2-124m\"],\"seq\":[16],\"rounds\":6,\"max_rounds\":6,\"samples_per_block\":5"

TEST(every_block_has_a_process_of_its_own_and_is_warmed_in_it)
{
    struct engine *g = strict_run(STRICT("fake", ROUNDS, LAWS), program());
    if (!g)
        return;
    const struct session *s = engine_session(g);
    const struct session_cell *c = &s->cell[0];
    CHECK_STRING(c->reason, "");
    CHECK_INT(c->status, CELL_OK);
    for (int a = 0; a < 2; a++) {
        CHECK_INT(c->arm[a].n_blocks, 6);
        for (int i = 0; i < c->arm[a].n_blocks; i++) {
            const struct block *b = c->arm[a].blocks[i];
            CHECK_INT(b->n, 5);
            CHECK(b->n_warmup >= 4);
            if (a == 0) /* cold each time */
                CHECK(b->warmup[0].device_ns > 13000000 && b->samples[4].device_ns < 12000000);
            for (int j = 0; j < i; j++) /* no process repeats another */
                CHECK(b->samples[0].device_ns != c->arm[a].blocks[j]->samples[0].device_ns);
        }
    }
    struct comparison x;
    CHECK_INT(summary_compare_arms(s, 0, 0, 1, &x), 0);
    CHECK(x.speedup_ci.low < 1.25 && x.speedup_ci.high > 1.25);
    CHECK_INT(x.verdict, VERDICT_FASTER);
    CHECK(c->arm[1].output.checked && c->arm[1].output.passed);
    CHECK(c->arm[0].measured.weights > 0 && c->arm[0].work.flops > 0 && c->arm[0].load_ns > 0);
    CHECK(engine_now_ns(g) > (int64_t)6 * 2 * 5 * 8000000);
    fake_end(g);
}

TEST(equal_seeds_give_equal_strict_sessions)
{
    int64_t first = 0;
    for (int run = 0; run < 2; run++) {
        struct engine *g = strict_run(STRICT("fake", ROUNDS, LAWS), program());
        if (!g)
            return;
        int64_t last = engine_session(g)->cell[0].arm[1].blocks[5]->samples[4].device_ns;
        CHECK(run == 0 || last == first);
        first = last;
        fake_end(g);
    }
}

TEST(an_arm_that_fails_in_its_process_says_why)
{
    struct engine *g =
        strict_run(STRICT("fake", ROUNDS, ",\"fake\":{\"faults\":{\"0\":\"failed\"}}"), program());
    if (!g)
        return;
    const struct session_cell *c = &engine_session(g)->cell[0];
    CHECK_INT(c->status, CELL_FAILED);
    CHECK_CONTAINS(c->reason, "the fake device failed in cell 0");
    fake_end(g);
}

TEST(a_program_that_is_no_benchtop_is_reported_not_waited_for)
{
    struct engine *g = strict_run(STRICT("fake", ROUNDS, LAWS), "/bin/true");
    if (g) {
        CHECK_INT(engine_session(g)->cell[0].status, CELL_FAILED);
        CHECK_CONTAINS(engine_session(g)->cell[0].reason, "ended with code 0");
        fake_end(g);
    }
    g = strict_run(STRICT("fake", ROUNDS, LAWS), "/nowhere/benchtop");
    if (g) {
        CHECK_CONTAINS(engine_session(g)->cell[0].reason, "cannot be started");
        fake_end(g);
    }
}

TEST(a_hung_process_is_stopped_with_the_run)
{
    struct preset p = fake_preset(STRICT("fake", ROUNDS, ",\"fake\":{\"faults\":{\"0\":\"hang\"}}"));
    struct error e = {0};
    struct engine_options o = {
        .preset = &p, .session_path = fake_path(), .wake_fd = -1, .program = program()};
    struct engine *g = engine_start(&o, &e);
    preset_free(&p);
    if (!g) {
        TEST_FAIL("engine_start: %s", e.text);
        return;
    }
    fake_sleep_ms(300);
    engine_command(g, ENGINE_STOP);
    engine_join(g); /* or the test's time limit says that it waited */
    CHECK_INT(engine_session(g)->status, SESSION_STOPPED);
    fake_end(g);
}

TEST(the_cpu_is_measured_in_processes_too)
{
    char json[1024];
    snprintf(json, sizeof json,
             STRICT("cpu",
                    "\"models\":[\"%s\"],\"seq\":[8],\"rounds\":2,\"max_rounds\":2,\"warmup_max\":4,"
                    "\"samples_per_block\":2,\"threads\":1",
                    ""),
             fake_toy());
    struct engine *g = strict_run(json, program());
    unlink(fake_toy());
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK_INT(s->cell[0].status, CELL_OK);
    CHECK_STRING(s->cell[0].reason, "");
    CHECK_INT(s->cell[0].arm[1].n_blocks, 2);
    CHECK(s->cell[0].arm[1].output.checked && s->cell[0].arm[1].output.passed);
    CHECK(s->environment.simd[0] != '\0');
    fake_end(g);
}
