/* A llama with sparse activations on the emulated device, against the reference that leaves out the same. */
#include "engine/model/native_judge.h"
#include "tests/emu/fixture.h"

static void check(struct judge *j, const struct implementation *i, double tolerance, int sequences,
                  const int *lengths, int steps)
{
    char name[128];
    struct error e = {0};
    double error = judge_run(j, i, sequences, lengths, steps, &e);
    implementation_describe(i, name, sizeof name);
    if (!(error <= tolerance))
        TEST_FAIL("%s %s: %g, more than %g %s", j->model->name, name, error, tolerance, e.text);
}

TEST(listed_and_masked_activations_give_the_reference_s_logits)
{
    struct kernels *k = open_emulated();
    for (int m = 0; m < 3; m++) {
        struct judge j;
        struct implementation i;
        implementation_default(&i);
        i.sparsity = 0.4;
        i.fusion = m == 1 ? 0 : FUSION_FULL;
        i.attention = ATTENTION_FLASH;
        CHECK_INT(judge_open_sparse(&j, k, &judge_models[m], i.precision, i.sparsity, NULL), 0);
        check(&j, &i, judge_sparse_tolerance(k, &i), 1, (const int[]){7}, 3); /* masked, then listed */
        judge_close(&j);
    }
    close_emulated(k);
}

TEST(a_recorded_step_replays_its_lists)
{
    struct kernels *k = open_emulated();
    struct judge j;
    struct implementation i;
    implementation_default(&i);
    i.sparsity = 0.25;
    i.fusion = FUSION_FULL;
    i.launch = LAUNCH_GRAPH;
    CHECK_INT(judge_open_sparse(&j, k, &judge_models[0], i.precision, i.sparsity, NULL), 0);
    check(&j, &i, judge_sparse_tolerance(k, &i), 2, (const int[]){2, 5}, 3);
    judge_close(&j);
    close_emulated(k);
}

TEST(rotated_weights_in_16_bits_that_keep_every_channel_are_the_original_model)
{
    struct kernels *k = open_emulated();
    for (int p = PRECISION_FP16; p <= PRECISION_BF16; p++) {
        struct judge j;
        struct implementation i;
        implementation_default(&i);
        i.precision = (enum precision_kind)p;
        i.sparsity = 1e-9;
        i.fusion = FUSION_FULL;
        CHECK_INT(judge_open_rotated(&j, k, &judge_models[0], i.precision, NULL), 0);
        check(&j, &i, 2 * judge_tolerance_on(k, &i), 1, (const int[]){6}, 2);
        judge_close(&j);
    }
    close_emulated(k);
}
