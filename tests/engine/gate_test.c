#include "engine/gate.h"

#include "tests/test.h"

static struct runner_output output(float *logits, int rows, int width)
{
    return (struct runner_output){logits, rows, width, 42};
}

TEST(equal_logits_pass_with_no_difference)
{
    float x[] = {1, 2, 3, -1, 0, 5};
    struct runner_output b = output(x, 2, 3), a = output(x, 2, 3);
    struct output_check c;
    struct error e = {0};
    CHECK_INT(gate_check(&b, &a, true, PRECISION_FP32, &c, &e), 0);
    CHECK(c.checked && c.passed);
    CHECK_CLOSE(c.top1_agreement, 1, 0);
    CHECK_CLOSE(c.max_relative_error, 0, 0);
    CHECK_CLOSE(c.kl, 0, 0);
    CHECK_INT(c.input_hash, 42);
}

TEST(differences_are_relative_to_the_rms_of_the_baseline)
{
    float x[] = {3, 4}, y[] = {3, 4.5f}; /* rms sqrt(12.5) */
    struct runner_output b = output(x, 1, 2), a = output(y, 1, 2);
    struct output_check c;
    struct error e = {0};
    CHECK_INT(gate_check(&b, &a, true, PRECISION_FP32, &c, &e), 0);
    CHECK_CLOSE(c.max_relative_error, 0.5 / sqrt(12.5), 1e-12);
    CHECK(!c.passed);
    double p = 1 / (1 + exp(-1.0)), q = 1 / (1 + exp(-1.5)); /* of the second logit */
    CHECK_CLOSE(c.kl, p * log(p / q) + (1 - p) * log((1 - p) / (1 - q)), 1e-9);
}

TEST(lossy_arms_are_shown_and_not_gated)
{
    float x[] = {3, 4}, y[] = {4, 3};
    struct runner_output b = output(x, 1, 2), a = output(y, 1, 2);
    struct output_check c;
    struct error e = {0};
    CHECK_INT(gate_check(&b, &a, false, PRECISION_INT8, &c, &e), 0);
    CHECK(c.passed);
    CHECK(isnan(c.tolerance));
    CHECK_CLOSE(c.top1_agreement, 0, 0);
}

TEST(values_that_are_not_finite_fail_even_where_differences_are_allowed)
{
    float x[] = {3, 4}, y[] = {3, NAN};
    struct runner_output b = output(x, 1, 2), a = output(y, 1, 2);
    struct output_check c;
    struct error e = {0};
    CHECK_INT(gate_check(&b, &a, false, PRECISION_INT8, &c, &e), -1);
    CHECK(c.checked && !c.passed);
    CHECK_CONTAINS(e.text, "not finite");
}

TEST(other_shapes_or_inputs_are_no_judgment)
{
    float x[] = {1, 2, 3, 4};
    struct runner_output b = output(x, 1, 4), a = output(x, 2, 2);
    struct output_check c;
    struct error e = {0};
    CHECK_INT(gate_check(&b, &a, true, PRECISION_FP32, &c, &e), -1);
    CHECK(!c.passed);
    CHECK_CONTAINS(e.text, "2 x 2");
    a = output(x, 1, 4);
    a.input_hash = 43;
    CHECK_INT(gate_check(&b, &a, true, PRECISION_FP32, &c, &e), -1);
    CHECK_CONTAINS(e.text, "another input");
}

TEST(coarser_precisions_have_wider_tolerances)
{
    CHECK(gate_tolerance(PRECISION_FP32) < gate_tolerance(PRECISION_FP16));
    CHECK(gate_tolerance(PRECISION_FP16) < gate_tolerance(PRECISION_BF16));
}
