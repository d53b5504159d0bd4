/* Passes over rows against double loops, at every level and at widths that are no multiple of any vector. */
#include "tests/kernels/fixture.h"

enum { MOST = 70 };

static void norm_oracle(double *out, const double *x, const struct kernel_norm *norm)
{
    double mean = 0, square = 0;
    if (norm->kind == KERNEL_LAYER_NORM)
        for (int i = 0; i < norm->width; i++)
            mean += x[i] / norm->width;
    for (int i = 0; i < norm->width; i++)
        square += (x[i] - mean) * (x[i] - mean) / norm->width;
    for (int i = 0; i < norm->width; i++)
        out[i] = (x[i] - mean) / sqrt(square + (double)norm->eps) * (double)norm->weight[i] +
                 (norm->bias ? (double)norm->bias[i] : 0);
}

TEST(norms_of_every_width_equal_the_double_loops)
{
    FOR_EACH_LEVEL(k)
    for (int width = 1; width <= MOST; width++)
        for (int kind = 0; kind < 4; kind++) {
            float *weight = noise_array(MOST), *bias = noise_array(MOST), x[3 * MOST], out[3 * MOST];
            double xs[3 * MOST], want[3 * MOST];
            struct kernel_norm norm = {
                .weight = weight, .bias = kind & 2 ? bias : NULL, .eps = 1e-5f, .width = width};
            norm.kind = kind & 1 ? KERNEL_LAYER_NORM : KERNEL_RMS_NORM;
            for (int i = 0; i < 3 * width; i++)
                xs[i] = (double)(x[i] = noise() * 5 + 1);
            for (int r = 0; r < 3; r++)
                norm_oracle(want + r * width, xs + r * width, &norm);
            k->ops->norm(k, out, x, &norm, 3);
            /* A layer norm of one or two close elements divides rounding errors of the mean by a tiny spread.
             */
            double tolerance = width < 4 && norm.kind == KERNEL_LAYER_NORM ? 1e-4 : 3e-6;
            check_near("norm", levels[level_], out, want, (size_t)(3 * width), tolerance, 1);
            k->ops->norm(k, x, x, &norm, 3);
            CHECK(memcmp(x, out, (size_t)(3 * width) * sizeof(float)) == 0); /* in place: the same bits */
            free(weight), free(bias);
        }
}

TEST(layer_norm_of_a_large_offset_does_not_cancel)
{
    FOR_EACH_LEVEL(k)
    {
        float weight[64], x[64], out[64];
        double xs[64], want[64];
        for (int i = 0; i < 64; i++)
            weight[i] = 1, xs[i] = (double)(x[i] = 4096 + (float)i);
        struct kernel_norm norm = {KERNEL_LAYER_NORM, weight, NULL, 1e-5f, 64};
        norm_oracle(want, xs, &norm);
        k->ops->norm(k, out, x, &norm, 1);
        check_near("norm", levels[level_], out, want, 64, 1e-5, 1);
    }
}

TEST(add_norm_equals_add_then_norm_also_when_out_is_the_residual)
{
    FOR_EACH_LEVEL(k)
    for (int width = 1; width <= MOST; width += 3) {
        float *weight = noise_array(MOST), *bias = noise_array(MOST), *x = noise_array(4 * MOST);
        float *residual = noise_array(4 * MOST), both[4 * MOST], sum[4 * MOST], want[4 * MOST], out[4 * MOST];
        size_t bytes = (size_t)(4 * width) * sizeof(float);
        struct kernel_norm norm = {KERNEL_LAYER_NORM, weight, bias, 1e-12f, width};
        memcpy(both, residual, bytes);
        k->ops->add(k, sum, residual, x, 4 * width);
        k->ops->norm(k, want, sum, &norm, 4);
        k->ops->add_norm(k, out, residual, x, &norm, 4);
        CHECK(memcmp(out, want, bytes) == 0 && memcmp(residual, sum, bytes) == 0);
        k->ops->add_norm(k, both, both, x, &norm, 4);
        CHECK(memcmp(both, want, bytes) == 0);
        free(weight), free(bias), free(x), free(residual);
    }
}

static double activated(double x, enum kernel_activation activation)
{
    switch (activation) {
    case KERNEL_GELU_TANH:
        return x / (1 + exp(-2 * sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
    case KERNEL_GELU_ERF:
        return 0.5 * x * erfc(-x / sqrt(2));
    case KERNEL_SILU:
        return x / (1 + exp(-x));
    case KERNEL_TANH:
        return tanh(x);
    default:
        return x;
    }
}

/* Relative, also in the tails: the argument of exp carries a rounding error of up to |argument| eps. */
TEST(activations_are_accurate_over_their_whole_range)
{
    enum { N = 20001 };
    static float x[N], out[N];
    FOR_EACH_LEVEL(k)
    for (int a = 0; a <= KERNEL_TANH; a++) {
        for (int i = 0; i < N; i++)
            out[i] = x[i] = (float)(i - N / 2) / 500 * (i % 2 ? 1 : 0.01f);
        k->ops->activate(k, out, (enum kernel_activation)a, N);
        for (int i = 0; i < N; i++) {
            double want = activated((double)x[i], (enum kernel_activation)a), got = (double)out[i];
            double argument = fabs((double)x[i]) < 1 ? 1 : pow((double)x[i], 2); /* of exp, in the tail */
            if (fabs(want) < 1e-36) {
                CHECK(fabs(got) < 1e-35);
            } else if (!(fabs(got - want) <= (4e-7 + 3e-7 * argument) * fabs(want))) {
                TEST_FAIL("activation %d at %s of %.9g is %.9g, not %.9g", a, levels[level_], (double)x[i],
                          got, want);
                break;
            }
        }
    }
}

TEST(activations_pass_nan_and_saturate_at_infinity)
{
    FOR_EACH_LEVEL(k)
    for (int a = 0; a <= KERNEL_TANH; a++) {
        float x[3] = {NAN, INFINITY, -200};
        k->ops->activate(k, x, (enum kernel_activation)a, 3);
        CHECK(isnan(x[0]));
        CHECK(x[1] == (a == KERNEL_TANH ? 1.0f : INFINITY));
        CHECK(x[2] == (a == KERNEL_TANH ? -1.0f : a == KERNEL_LINEAR ? -200.0f : x[2]) && x[2] <= 0);
    }
}

TEST(multiply_silu_add_and_add_bias_of_every_length_equal_the_loops)
{
    FOR_EACH_LEVEL(k)
    for (int n = 1; n <= MOST; n++) {
        float *a = noise_array(MOST), *b = noise_array(MOST), out[MOST + 1], x[2 * (MOST + 3)];
        double want[MOST], sum[MOST];
        out[n] = 77;
        for (int i = 0; i < n; i++) {
            want[i] = activated((double)a[i], KERNEL_SILU) * (double)b[i];
            sum[i] = (double)a[i] + (double)b[i];
        }
        k->ops->multiply_silu(k, out, a, b, n);
        check_near("multiply_silu", levels[level_], out, want, (size_t)n, 1e-6, 0);
        k->ops->add(k, out, a, b, n);
        check_near("add", levels[level_], out, sum, (size_t)n, 1e-7, 0);
        CHECK(out[n] == 77);
        for (int r = 0; r < 2; r++)
            memcpy(x + r * (n + 3), a, (size_t)n * sizeof(float));
        x[n] = 5;
        k->ops->add_bias(k, x, n + 3, b, 2, n);
        check_near("add_bias", levels[level_], x, sum, (size_t)n, 1e-7, 0);
        check_near("add_bias", levels[level_], x + n + 3, sum, (size_t)n, 1e-7, 0);
        CHECK(x[n] == 5);
        free(a), free(b);
    }
}

TEST(argmax_is_the_first_of_the_largest_and_never_nan)
{
    FOR_EACH_LEVEL(k)
    for (int n = 1; n <= MOST; n++) {
        float *x = noise_array(3 * MOST);
        int32_t ids[3];
        int at = (n * 7) % n, again = (at + n / 2) % n;
        x[at] = x[again] = 9;
        for (int i = 0; i < n; i++) {
            x[n + i] = i == n / 2 ? -5 : NAN;
            x[2 * n + i] = -INFINITY;
        }
        k->ops->argmax(k, ids, x, 3, n);
        CHECK_INT(ids[0], at < again ? at : again);
        CHECK_INT(ids[1], n / 2);
        CHECK_INT(ids[2], 0);
        free(x);
    }
}

TEST(embed_adds_position_and_type_rows_in_every_precision)
{
    FOR_EACH_LEVEL(k)
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int w = 3; w < 700; w += 231) {
            int width = whole_cols((enum kernel_dtype)dtype, w);
            float *table_plain, *position_plain, *type_plain, *out = noise_array((size_t)(4 * width));
            double *want = malloc((size_t)(4 * width) * sizeof *want);
            struct kernel_matrix table = new_matrix(k, (enum kernel_dtype)dtype, 11, width, 1, &table_plain);
            struct kernel_matrix position =
                new_matrix(k, (enum kernel_dtype)dtype, 20, width, 2, &position_plain);
            struct kernel_matrix type = new_matrix(k, (enum kernel_dtype)dtype, 2, width, 3, &type_plain);
            int32_t ids[] = {10, 0, 3, 3}, row_start[] = {0, 3, 4}, context[] = {2, 19};
            static const int positions[] = {2, 3, 4, 19};
            struct kernel_batch batch = {2, 4, 3, 20, row_start, context};
            for (int r = 0; r < 4; r++)
                for (int i = 0; i < width; i++)
                    want[r * width + i] = (double)table_plain[ids[r] * width + i];
            k->ops->embed(k, out, &table, ids, NULL, NULL, &batch);
            check_near("embed", levels[level_], out, want, (size_t)(4 * width), 0, 0);
            for (int r = 0; r < 4; r++)
                for (int i = 0; i < width; i++)
                    want[r * width + i] +=
                        (double)position_plain[positions[r] * width + i] + (double)type_plain[i];
            k->ops->embed(k, out, &table, ids, &position, &type, &batch);
            check_near("embed", levels[level_], out, want, (size_t)(4 * width), 2e-7, 1);
            free_matrix(k, &table, table_plain);
            free_matrix(k, &position, position_plain);
            free_matrix(k, &type, type_plain);
            free(out), free(want);
        }
}

TEST(gather_rows_and_advance_do_what_they_say)
{
    struct kernels *k = open_level("auto", "own", 2);
    float x[5 * 7], out[3 * 4];
    int32_t rows[] = {4, 0, 4}, context[] = {1, 5, 9};
    for (int i = 0; i < 35; i++)
        x[i] = (float)i;
    k->ops->gather_rows(k, out, x, 7, rows, 3, 4);
    for (int r = 0; r < 3; r++)
        for (int i = 0; i < 4; i++)
            CHECK(out[r * 4 + i] == (float)(rows[r] * 7 + i));
    k->ops->advance(k, context, 2, 3);
    CHECK(context[0] == 4 && context[1] == 8 && context[2] == 9);
    k->ops->close(k);
}
