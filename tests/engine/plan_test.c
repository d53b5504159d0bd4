#include "engine/plan.h"

#include "engine/runners/fake.h"
#include "tests/engine/fake_run.h"

#define PRESET(device, models, rest)                                                                         \
    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"" device "\",\"models\":[" models "],"    \
    "\"rounds\":10,\"max_rounds\":10," rest "}"
#define FP32_BF16                                                                                            \
    "\"arms\":[{\"name\":\"a\",\"precision\":\"fp32\"},{\"name\":\"b\",\"precision\":\"bf16\"}],"
#define DECODE "\"workloads\":[\"decode\"],\"batch\":[1],\"seq\":[128]"

/* A machine of known ceilings, so that no test depends on the one it runs on. */
static struct device machine(double free_gib)
{
    struct device d = {.id = "cpu",
                       .memory_bytes = (int64_t)(64 * 0x1p30),
                       .memory_free_bytes = (int64_t)(free_gib * 0x1p30),
                       .read_bandwidth = 50e9,
                       .product_rate = {500e9, 500e9, 1000e9, 500e9},
                       .measured = true};
    return d;
}

static struct plan build(const char *json, const struct device *d)
{
    struct preset p = fake_preset(json);
    struct plan plan = {0};
    struct error e = {0};
    if (plan_build(&p, d, &plan, &e) < 0)
        TEST_FAIL("%s", e.text);
    preset_free(&p);
    return plan;
}

TEST(cells_come_in_the_order_of_the_session)
{
    struct device d = machine(32);
    struct preset p =
        fake_preset(PRESET("cpu", "\"gpt2-124m\",\"gpt2-355m\"",
                           "\"workloads\":[\"prefill\",\"generate\"],\"batch\":[1,4],\"seq\":[32,64],"
                           "\"tokens\":8,\"arms\":[\"baseline\"]"));
    struct plan plan;
    struct session s = {0};
    struct error e = {0};
    CHECK_INT(plan_build(&p, &d, &plan, &e), 0);
    CHECK_INT(session_layout(&s, &p, &e), 0);
    CHECK_INT(plan.n_cells, 16);
    CHECK_INT(s.n_cells, 16);
    for (int i = 0; i < 16; i++) {
        CHECK_STRING(plan.model[plan.cell[i].model].name, s.cell[i].model);
        CHECK_INT(plan.cell[i].workload, s.cell[i].workload);
        CHECK_INT(plan.cell[i].batch, s.cell[i].batch);
        CHECK_INT(plan.cell[i].seq, s.cell[i].seq);
        CHECK_INT(plan.cell[i].tokens, s.cell[i].tokens);
    }
    session_free(&s);
    plan_free(&plan);
    preset_free(&p);
}

TEST(decode_of_a_small_model_is_memory_bound_and_prefill_is_not)
{
    struct device d = machine(32);
    struct plan plan =
        build(PRESET("cpu", "\"gpt2-124m\"",
                     FP32_BF16 "\"workloads\":[\"prefill\",\"decode\"],\"batch\":[1],\"seq\":[512]"),
              &d);
    CHECK(!plan.cell[0].arm[0].memory_bound);
    CHECK(plan.cell[1].arm[0].memory_bound);
    CHECK_INT(plan.n_memory_bound, 1);
    CHECK_INT(plan.n_compute_bound, 1);
    const struct plan_arm *a = &plan.cell[1].arm[0];
    CHECK_CLOSE(a->sample_s, a->work.bytes / 50e9, 1e-12);
    CHECK_CLOSE(a->limit_tokens_per_second, 1 / a->sample_s, 1e-12);
    CHECK(a->sample_s > 0.0103 && a->sample_s < 0.0110); /* 124 M weights, 38 MB of cache, fp32, at 50 GB/s */
    const struct plan_arm *p = &plan.cell[0].arm[1];
    CHECK_CLOSE(p->sample_s, p->work.flops / 1000e9, 1e-12); /* bf16 products */
    plan_free(&plan);
}

TEST(weights_are_what_the_published_parameters_weigh)
{
    struct device d = machine(1024);
    struct plan plan = build(PRESET("cpu", "\"gpt2-124m\",\"llama-7b\",\"llama3-8b\"", FP32_BF16 DECODE), &d);
    for (int c = 0; c < plan.n_cells; c++) {
        const struct model_spec *m = &plan.model[plan.cell[c].model];
        CHECK_CLOSE((double)plan.cell[c].arm[0].memory.weights, 4.0 * (double)m->published_parameters, 0.02);
        CHECK_CLOSE((double)plan.cell[c].arm[1].memory.weights, 2.0 * (double)m->published_parameters, 0.02);
    }
    plan_free(&plan);
}

TEST(arms_of_one_precision_share_their_weights_in_the_peak)
{
    struct device d = machine(64);
    struct plan one = build(PRESET("cpu", "\"gpt2-124m\"", "\"arms\":[\"baseline\"]," DECODE), &d);
    struct plan two = build(PRESET("cpu", "\"gpt2-124m\"", "\"arms\":[\"baseline\",\"fused\"]," DECODE), &d);
    struct plan mixed = build(PRESET("cpu", "\"gpt2-124m\"", FP32_BF16 DECODE), &d);
    int64_t weights = one.cell[0].arm[0].memory.weights;
    CHECK(two.cell[0].peak_bytes - one.cell[0].peak_bytes < weights / 4);
    CHECK(mixed.cell[0].peak_bytes - one.cell[0].peak_bytes > weights / 3);
    CHECK(one.cell[0].peak_bytes >= weights);
    plan_free(&one);
    plan_free(&two);
    plan_free(&mixed);
}

TEST(a_cell_too_large_says_by_how_much)
{
    struct device d = machine(8);
    struct plan plan = build(PRESET("cpu", "\"gpt2-124m\",\"llama-7b\"", FP32_BF16 DECODE), &d);
    CHECK(plan.cell[0].fits);
    CHECK(!plan.cell[1].fits);
    CHECK_INT(plan.n_unfit, 1);
    double needs, free_gib, over;
    CHECK_INT(sscanf(plan.cell[1].reason, "needs %lf GiB, %lf GiB are free: %lf GiB too much", &needs,
                     &free_gib, &over),
              3);
    CHECK_CLOSE(needs - free_gib, over, 0.01);
    CHECK(needs > 25 && needs < 27);                         /* the baseline's 6.7 G parameters in 4 bytes */
    CHECK(plan.cell[1].peak_bytes > (int64_t)(37 * 0x1p30)); /* and the other arm's in 2 */
    CHECK_CLOSE(plan.cell[1].time_s, 0, 0);
    plan_free(&plan);
    /* Arms of one precision share their weights in the peak of what does not fit, too. */
    plan = build(PRESET("cpu", "\"llama-7b\"", "\"arms\":[\"baseline\",\"fused\"]," DECODE), &d);
    CHECK(!plan.cell[0].fits);
    CHECK(plan.cell[0].peak_bytes < (int64_t)(28 * 0x1p30));
    plan_free(&plan);
}

TEST(a_candidate_that_finds_no_room_leaves_its_cell_running)
{
    struct device d = machine(32);
    struct plan plan = build(PRESET("cpu", "\"llama-7b\"", FP32_BF16 DECODE), &d);
    const struct plan_cell *c = &plan.cell[0];
    CHECK(c->fits && c->arm[0].fits && !c->arm[1].fits);
    CHECK_INT(plan.n_unfit, 0);
    CHECK_CONTAINS(c->arm[1].reason, "beside the arms before it");
    CHECK(c->peak_bytes < (int64_t)(27 * 0x1p30));
    CHECK(c->time_s > 0);
    plan_free(&plan);
}

TEST(the_fake_device_holds_everything)
{
    struct device d;
    struct error e = {0};
    CHECK_INT(device_find("fake", &d, &e), 0);
    struct plan plan = build(PRESET("fake", "\"llama3-70b\"", "\"arms\":[\"baseline\"]," DECODE), &d);
    CHECK(plan.cell[0].fits && plan.cell[0].supported);
    CHECK(plan.cell[0].arm[0].memory.weights > (int64_t)(200 * 0x1p30));
    CHECK_CLOSE(plan.cell[0].arm[0].sample_s, plan.cell[0].arm[0].work.bytes / FAKE_BANDWIDTH, 1e-9);
    plan_free(&plan);
}

TEST(what_cannot_run_says_why_and_others_can)
{
    struct device d = machine(32);
    struct plan plan = build(PRESET("cpu", "\"gpt2-124m\"",
                                    "\"arms\":[\"baseline\",{\"name\":\"g\",\"launch\":\"graph\"}]," DECODE),
                             &d);
    CHECK(plan.cell[0].supported);
    CHECK(!plan.cell[0].arm[1].supported);
    CHECK_CONTAINS(plan.cell[0].arm[1].reason, "cuda");
    CHECK_INT(plan.n_unsupported, 0);
    plan_free(&plan);
    plan = build(PRESET("cpu", "\"bert-base\"", "\"arms\":[\"baseline\"]," DECODE), &d);
    CHECK(!plan.cell[0].supported);
    CHECK_CONTAINS(plan.cell[0].reason, "encoder");
    CHECK_INT(plan.n_unsupported, 1);
    plan_free(&plan);
}

#define ROW(workload, text)                                                                                  \
    "\"arms\":[\"baseline\"],\"workloads\":[\"" workload "\"],\"batch\":[1],\"seq\":[64]" text
TEST(a_text_that_no_vocabulary_of_the_model_cuts_is_refused_in_the_row)
{
    struct device d = machine(32);
    struct plan plan = build(
        PRESET("cpu", "\"llama-134m\",\"gpt2-124m\"", ROW("generate", ",\"text\":\"tinyshakespeare\"")), &d);
    CHECK(!plan.cell[0].supported && plan.cell[1].supported);
    CHECK_CONTAINS(plan.cell[0].reason, "names no vocabulary");
    CHECK_CONTAINS(plan.cell[0].reason, "choose a gpt2 model");
    plan_free(&plan);
    plan = build(PRESET("cpu", "\"llama-134m\"", ROW("generate", "")), &d); /* of random ids it needs none */
    CHECK(plan.cell[0].supported);
    plan_free(&plan);
}

TEST(decode_takes_no_more_samples_than_the_context_has_room)
{
    struct device d = machine(32);
    struct plan plan =
        build(PRESET("cpu", "\"gpt2-124m\"",
                     "\"arms\":[\"baseline\"],\"workloads\":[\"decode\"],\"batch\":[1],\"seq\":[1020],"
                     "\"samples_per_block\":50"),
              &d);
    CHECK_INT(plan.cell[0].samples_per_block, 4);
    plan_free(&plan);
    plan = build(PRESET("cpu", "\"gpt2-124m\"", "\"arms\":[\"baseline\"]," DECODE), &d);
    CHECK(plan.cell[0].samples_per_block >= 50 && plan.cell[0].samples_per_block <= 70); /* 0.6 s of 10 ms */
    plan_free(&plan);
}

TEST(predicted_time_grows_with_rounds_and_adds_up)
{
    struct device d = machine(32);
    struct plan few = build(PRESET("cpu", "\"gpt2-124m\"", "\"arms\":[\"baseline\"]," DECODE), &d);
    struct preset p = fake_preset(PRESET("cpu", "\"gpt2-124m\"", "\"arms\":[\"baseline\"]," DECODE));
    struct plan many;
    struct error e = {0};
    p.rounds = p.max_rounds = 100;
    CHECK_INT(plan_build(&p, &d, &many, &e), 0);
    CHECK(few.time_s > 3 && few.time_s < 10);         /* 10 rounds of 0.3 s, weights, warm-up, refills */
    CHECK(many.time_s - few.time_s > 27);             /* 90 more of 0.3 s */
    CHECK_CLOSE(many.time_s, many.cell[0].time_s, 0); /* the only cell */
    plan_free(&few);
    plan_free(&many);
    preset_free(&p);
}

TEST(all_impossible_values_come_in_one_message)
{
    struct preset p = fake_preset(PRESET("cpu", "\"gpt2-124m\"", "\"arms\":[\"baseline\"]," DECODE));
    struct device d = machine(32);
    struct plan plan;
    struct error e = {0};
    p.n_models = 2;
    snprintf(p.models[1], sizeof p.models[1], "lama-7b");
    p.seq[0] = 1024; /* decode needs one position more than gpt2 has */
    p.batch[0] = 0;
    CHECK_INT(plan_build(&p, &d, &plan, &e), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "llama-7b"); /* the nearest name */
    CHECK_CONTAINS(e.text, "1025");
    CHECK_CONTAINS(e.text, "batch");
    preset_free(&p);
}
