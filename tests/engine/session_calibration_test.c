#include "engine/session_calibration.h"
#include "engine/session_file.h"
#include "engine/summary.h"
#include "tests/engine/fake_run.h"

#define PRESET(arms, rounds)                                                                                 \
    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\"],"       \
    "\"arms\":[" arms "],\"workloads\":[\"prefill\"],\"batch\":[1,2],\"seq\":[32],\"rounds\":" rounds        \
    ",\"max_rounds\":60,\"samples_per_block\":4,\"warmup\":3,\"criteria\":{\"min_speedup\":1.2},"            \
    "\"fake\":{\"arms\":{\"baseline\":{\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0.01,"                \
    "\"between_sd\":0.01},\"fused\":{\"law\":\"normal\",\"mean_ms\":8,\"within_sd\":0.01}}}}"

static const char *data_home(void)
{
    static char folder[160];
    snprintf(folder, sizeof folder, "%s/calibration-test-%ld", fake_folder(), (long)getpid());
    setenv("XDG_DATA_HOME", folder, 1);
    return folder;
}

static void remove_home(void)
{
    char command[256];
    snprintf(command, sizeof command, "rm -rf '%s'", data_home());
    CHECK_INT(system(command), 0);
}

static struct engine *calibrate(void)
{
    struct preset p = fake_preset(PRESET("\"baseline\",\"fused\"", "10")), aa;
    struct error e = {0};
    CHECK_INT(calibration_preset(&p, &aa, &e), 0);
    CHECK_INT(aa.n_arms, 2);
    CHECK_STRING(aa.arms[1].name, "baseline again");
    CHECK(implementation_equal(&aa.arms[0].implementation, &aa.arms[1].implementation));
    CHECK(isnan(aa.criteria.min_speedup) && aa.max_rounds == 10);
    struct engine *g = fake_start(&aa, NULL);
    preset_free(&p);
    preset_free(&aa);
    if (g)
        engine_join(g);
    return g;
}

TEST(a_calibration_is_stored_and_stands_in_later_sessions_of_the_same_cell)
{
    struct error e = {0};
    char path[512];
    data_home();
    struct engine *g = calibrate();
    if (!g)
        return;
    struct session_calibration c;
    CHECK(calibration_of(engine_session(g), 0, &c));
    /* a block mean has a CV of 1.12 %, a log ratio 1.58 %: t(9) 2.26 / sqrt(10) makes 1.13 % */
    CHECK(c.noise_floor_pct > 0.5 && c.noise_floor_pct < 2.6);
    CHECK(c.mde_pct > 0.7 && c.mde_pct < 3);
    CHECK_INT(c.rounds, 10);
    CHECK_INT(calibration_store(engine_session(g), path, sizeof path, &e), 2);
    CHECK_INT(calibration_store(engine_session(g), path, sizeof path, &e), 2); /* replaced, not doubled */
    fake_end(g);

    g = fake_run(PRESET("\"baseline\",\"fused\"", "6"));
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK(s->cell[0].calibration.noise_floor_pct == c.noise_floor_pct);
    struct comparison x;
    char text[SUMMARY_CALIBRATION_TEXT];
    CHECK_INT(summary_compare_arms(s, 0, 0, 1, &x), 0);
    CHECK_CONTAINS(summary_calibration_text(s, 0, &x, text, sizeof text), "noise floor is ");
    x.verdict = VERDICT_FASTER;
    x.speedup = 1 + c.noise_floor_pct / 300;
    CHECK_CONTAINS(summary_calibration_text(s, 0, &x, text, sizeof text),
                   "that is less than the noise floor");
    struct session back = {0};
    CHECK_INT(session_load(fake_path(), &back, NULL, &e), 0);
    CHECK(back.cell[1].calibration.mde_pct == s->cell[1].calibration.mde_pct);
    CHECK_STRING(back.cell[1].calibration.measured_at, s->cell[1].calibration.measured_at);
    session_free(&back);
    fake_end(g);

    g = fake_run(PRESET("\"fused\",\"baseline\"", "6")); /* another baseline: another key */
    if (g) {
        CHECK_STRING(engine_session(g)->cell[0].calibration.measured_at, "");
        fake_end(g);
    }
    remove_home();
}

TEST(without_a_file_or_with_a_broken_one_nothing_is_attached)
{
    struct error e = {0};
    char path[512];
    data_home();
    struct engine *g = calibrate();
    if (!g)
        return;
    CHECK_STRING(engine_session(g)->cell[0].calibration.measured_at, "");
    CHECK_INT(calibration_store(engine_session(g), path, sizeof path, &e), 2);
    FILE *f = fopen(path, "w");
    CHECK(f != NULL);
    if (f) {
        fputs("{\"schema\":\"benchtop/calibration/1\",\"entries\":3}", f);
        fclose(f);
    }
    struct session *s = (struct session *)(uintptr_t)engine_session(g);
    calibration_attach(s);
    CHECK_STRING(s->cell[0].calibration.measured_at, "");
    CHECK_INT(calibration_store(s, path, sizeof path, &e), -1);
    CHECK_CONTAINS(e.text, "move it away");
    fake_end(g);
    remove_home();
}

TEST(too_few_rounds_calibrate_nothing)
{
    struct engine *g = fake_run(PRESET("\"baseline\",\"fused\"", "3,\"half_width\":0"));
    struct session_calibration c;
    if (!g)
        return;
    CHECK(!calibration_of(engine_session(g), 0, &c));
    fake_end(g);
}
