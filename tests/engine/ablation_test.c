/* A design's effects through the whole engine, on laws with a planted interaction. */
#include "engine/ablation.h"
#include "engine/export.h"
#include "engine/session_file.h"
#include "tests/engine/fake_run.h"

#define LAW(arm, ms)                                                                                         \
    "\"" arm "\":{\"law\":\"normal\",\"mean_ms\":" ms ",\"within_sd\":0.002,\"between_sd\":0.002}"
/* graph gains 18 % alone and 4 % on top of fusion, fusion 25 % alone */
#define DESIGN                                                                                               \
    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\"],"       \
    "\"workloads\":[\"decode\"],\"batch\":[1],\"seq\":[32],\"rounds\":10,\"max_rounds\":10,"                 \
    "\"samples_per_block\":10,\"warmup\":3,\"design\":{\"factors\":["                                        \
    "{\"axis\":\"launch\",\"low\":\"eager\",\"high\":\"graph\"},"                                            \
    "{\"name\":\"fusion\",\"axis\":\"fusion\",\"low\":\"none\",\"high\":\"full\"}]},"                        \
    "\"fake\":{\"arms\":{" LAW("baseline", "11.8") "," LAW("graph", "10") "," LAW("fusion", "9.44") "," LAW( \
        "graph+fusion", "9.0769") "}}}"

TEST(graph_gains_alone_and_less_on_top_of_fusion)
{
    struct engine *g = fake_run(DESIGN);
    struct ablation a;
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK_INT(s->preset.n_arms, 4);
    CHECK_STRING(s->preset.arms[3].name, "graph+fusion");
    CHECK_INT(ablation_of(s, 0, &a), 0);
    CHECK_INT(a.rounds, 10);
    CHECK_INT(a.n_effects, 3);
    CHECK_INT(a.n_gains, 4);
    CHECK(a.gain[0].on == -1 && a.gain[0].direct && a.gain[1].on == 1 && a.gain[1].direct);
    CHECK_CLOSE(exp(a.gain[0].log_speedup.estimate), 1.18, 0.005);
    CHECK_CLOSE(exp(a.gain[1].log_speedup.estimate), 1.04, 0.005);
    CHECK(a.gain[1].log_speedup.ci.low < log(1.04) && a.gain[1].log_speedup.ci.high > log(1.04));
    CHECK_CLOSE(a.effect[0].contrast.estimate, (log(1.18) + log(1.04)) / 2, 0.03);
    CHECK_CLOSE(a.effect[2].contrast.estimate, (log(1.04) - log(1.18)) / 2, 0.05);
    CHECK(a.p_holm[2] < 0.001);
    char sentence[512];
    ablation_sentence(&a, 0, sentence, sizeof sentence);
    CHECK_CONTAINS(sentence, "graph +1");
    CHECK_CONTAINS(sentence, " alone, +");
    CHECK_CONTAINS(sentence, " on top of fusion");
    fake_end(g);
}

TEST(the_effects_stand_in_the_file_the_table_and_the_report)
{
    struct engine *g = fake_run(DESIGN);
    struct error e = {0}, warning = {0};
    if (!g)
        return;
    const struct session *s = engine_session(g);
    char *json = session_print(s, &e), *table = table_print(s, 100, &e);
    char *md = export_find("md", &e)->print(s, &e);
    CHECK_CONTAINS(json, "\"ablation\"");
    CHECK_CONTAINS(json, "\"on_top_of\": \"fusion\"");
    CHECK_CONTAINS(table, "graph x fusion");
    CHECK_CONTAINS(table, "on top of fusion");
    CHECK_CONTAINS(md, "### Ablation, gpt2-124m decode");
    struct session back = {0};
    struct ablation a;
    CHECK_INT(session_load(fake_path(), &back, &warning, &e), 0);
    CHECK_STRING(warning.text, "");
    CHECK_INT(back.preset.design.n_factors, 2);
    CHECK_INT(ablation_of(&back, 0, &a), 0);
    session_free(&back);
    free(json);
    free(table);
    free(md);
    fake_end(g);
}

TEST(a_refused_arm_or_no_design_has_no_effects)
{
    struct engine *g = fake_run(DESIGN);
    struct ablation a;
    if (!g)
        return;
    struct session *s = (struct session *)(uintptr_t)engine_session(g);
    s->cell[0].arm[1].output = (struct output_check){.checked = true, .passed = false, .tolerance = 0.1};
    CHECK_INT(ablation_of(s, 0, &a), -1);
    s->cell[0].arm[1].output.checked = false;
    CHECK_INT(ablation_of(s, 0, &a), 0);
    s->preset.design.n_factors = 0;
    CHECK_INT(ablation_of(s, 0, &a), -1);
    fake_end(g);
}
