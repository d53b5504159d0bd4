#include "stats/stats.h"
#include "tests/stats/oracle.h"

static cJSON *table(const char *name, int rows)
{
    stats_init();
    cJSON *file = oracle_read("distributions.json");
    cJSON *found = cJSON_DetachItemFromObject(file, name);
    cJSON_Delete(file);
    CHECK_INT(cJSON_GetArraySize(found), rows);
    return found;
}

TEST(every_t_quantile_of_the_oracle_is_reproduced)
{
    cJSON *rows = table("t_quantile", 198);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        double df = oracle_field(row, "df"), p = oracle_field(row, "p"), want = oracle_field(row, "q");
        char id[64];
        snprintf(id, sizeof id, "df %g p %.15g", df, p);
        oracle_close(id, "quantile", 0, stats_t_quantile(p, df), want, 1e-13, 0);
        oracle_close(id, "mirrored", 0, stats_t_quantile(1 - p, df), -want, p < 0.9999 ? 1e-13 : 1e-5, 0);
    }
    cJSON_Delete(rows);
}

TEST(every_t_tail_of_the_oracle_is_reproduced_however_small)
{
    cJSON *rows = table("t_upper_tail", 180);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        double df = oracle_field(row, "df"), t = oracle_field(row, "t"), want = oracle_field(row, "Q");
        char id[64];
        snprintf(id, sizeof id, "df %g t %g", df, t);
        oracle_close(id, "Q", 0, stats_t_upper(t, df), want, want < 1e-290 ? 1e-6 : 2e-13, 0);
        oracle_close(id, "log10Q", 0, stats_t_log10_upper(t, df), oracle_field(row, "log10Q"), 1e-14, 0.3);
        if (want > 0 && want < 0.5)
            oracle_close(id, "lower", 0, stats_t_upper(-t, df), 1 - want, 1e-14, 0);
    }
    cJSON_Delete(rows);
}

TEST(every_order_statistic_interval_of_the_oracle_is_reproduced)
{
    cJSON *rows = table("order_stat_ci", 110);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        double n = oracle_field(row, "n"), p = oracle_field(row, "p");
        struct stats_order_interval o = stats_quantile_order(NULL, (size_t)n, p, 0.95);
        CHECK_INT(o.low_rank, oracle_field(row, "l"));
        CHECK_INT(o.high_rank, oracle_field(row, "u"));
        CHECK_INT(!isinf(o.low), oracle_field(row, "lower_exists"));
        CHECK_INT(!isinf(o.high), oracle_field(row, "upper_exists"));
        CHECK_CLOSE(o.coverage, oracle_field(row, "exact_coverage"), 1e-12);
        bool both = o.low_rank >= 1 && o.high_rank <= (size_t)n;
        CHECK_INT(both, (int)n >= stats_quantile_min_n(p, 0.95));
    }
    cJSON_Delete(rows);
}

TEST(the_smallest_n_with_both_limits_is_known)
{
    CHECK_INT(stats_quantile_min_n(0.5, 0.95), 6);
    CHECK_INT(stats_quantile_min_n(0.9, 0.95), 36);
    CHECK_INT(stats_quantile_min_n(0.95, 0.95), 72);
    CHECK_INT(stats_quantile_min_n(0.99, 0.95), 368);
    CHECK_INT(stats_quantile_min_n(0.999, 0.95), 3688);
    CHECK_INT(stats_quantile_min_n(1, 0.95), -1);
    CHECK_INT(stats_quantile_min_n(0.5, NAN), -1);
}

TEST(every_sample_size_of_the_oracle_is_reproduced)
{
    cJSON *rows = table("sample_size", 28);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        double half = oracle_field(row, "rel_half_width");
        CHECK_INT(stats_plan_samples(oracle_field(row, "cv"), half, 0.95), oracle_field(row, "n"));
    }
    cJSON_Delete(rows);
}

TEST(every_power_plan_of_the_oracle_is_reproduced)
{
    cJSON *rows = table("power", 12);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        double cv = oracle_field(row, "cv"), difference = oracle_field(row, "rel_diff");
        CHECK_INT(stats_plan_per_arm(cv, difference, 0.8, 0.05), oracle_field(row, "n_per_arm_power80"));
        CHECK_INT(stats_plan_per_arm(cv, difference, 0.9, 0.05), oracle_field(row, "n_per_arm_power90"));
    }
    cJSON_Delete(rows);
}

TEST(plans_that_cannot_be_are_refused)
{
    CHECK_INT(stats_plan_samples(-1, 0.01, 0.95), -1);
    CHECK_INT(stats_plan_samples(0.1, 0, 0.95), -1);
    CHECK_INT(stats_plan_samples(NAN, 0.1, 0.95), -1);
    CHECK_INT(stats_plan_samples(1, 1e-9, 0.95), -1);
    CHECK_INT(stats_plan_samples(0, 0.01, 0.95), 2);
    CHECK_INT(stats_plan_per_arm(0.1, 0, 0.8, 0.05), -1);
    CHECK_INT(stats_plan_per_arm(0, 0.1, 0.8, 0.05), -1);
    CHECK_INT(stats_plan_per_arm(0.1, 0.1, 1, 0.05), -1);
    CHECK_INT(stats_plan_per_arm(1, 1e-9, 0.8, 0.05), -1);
}

static void check_bootstrap(const cJSON *row)
{
    size_t n, count, two;
    double *jack = oracle_array(row, "jack", &n), *boot = oracle_array(row, "boot", &count);
    double *alpha = oracle_array(row, "alpha12", &two), *bca = oracle_array(row, "ci_type7", &two);
    double *percentile = oracle_array(row, "percentile_ci_type7", &two);
    const char *id = oracle_text(row, "id");
    struct stats_bootstrap b;
    CHECK_INT(count, 999);
    CHECK_INT(stats_bca(oracle_field(row, "theta_hat"), boot, count, jack, n, 0.95, &b), 0);
    oracle_close(id, "z0", 0, b.z0, oracle_field(row, "z0"), 1e-13, 0);
    oracle_close(id, "accel", 0, b.acceleration, oracle_field(row, "accel"), 1e-12, 0);
    oracle_close(id, "alpha", 0, b.alpha_low, alpha[0], 1e-13, 0);
    oracle_close(id, "alpha", 1, b.alpha_high, alpha[1], 1e-13, 0);
    oracle_close(id, "bca", 0, b.bca.low, bca[0], 1e-13, 0);
    oracle_close(id, "bca", 1, b.bca.high, bca[1], 1e-13, 0);
    oracle_close(id, "percentile", 0, b.percentile.low, percentile[0], 1e-13, 0);
    oracle_close(id, "percentile", 1, b.percentile.high, percentile[1], 1e-13, 0);
    free(jack), free(boot), free(alpha), free(bca), free(percentile);
}

TEST(every_bootstrap_of_the_oracle_is_reproduced)
{
    cJSON *rows = table("bca", 3);
    const cJSON *row;
    cJSON_ArrayForEach(row, rows) check_bootstrap(row);
    cJSON_Delete(rows);
}

static double mean_of(double *x, size_t n, void *context)
{
    ++*(int *)context;
    return stats_mean(x, n);
}

TEST(the_bootstrap_of_a_mean_is_close_to_the_t_interval_and_repeats_by_seed)
{
    double x[64];
    int calls = 0;
    struct stats_bootstrap a, b;
    for (int i = 0; i < 64; i++)
        x[i] = 10 + sin(i * 1.7);
    CHECK_INT(stats_bootstrap(x, 64, mean_of, &calls, 2000, 7, 0.95, &a), 0);
    CHECK_INT(calls, 2000 + 64 + 1);
    CHECK_INT(stats_bootstrap(x, 64, mean_of, &calls, 2000, 7, 0.95, &b), 0);
    CHECK(a.bca.low == b.bca.low && a.bca.high == b.bca.high);
    struct stats_interval t = stats_mean_ci(stats_mean(x, 64), stats_std(x, 64), 64, 0.95);
    CHECK_CLOSE(a.bca.high - a.bca.low, t.high - t.low, 0.1);
    CHECK_CLOSE(a.estimate, stats_mean(x, 64), 1e-15);
    CHECK_INT(stats_bootstrap(x, 1, mean_of, &calls, 2000, 7, 0.95, &a), -1);
    CHECK(isnan(a.bca.low));
}

TEST(quantile_and_tail_invert_each_other_over_the_whole_range)
{
    int checked = 0;
    for (double df = 0.7; df < 1e8; df *= 3.1) {
        for (double p = 0.4; p > 1e-250; p *= p < 1e-6 ? 1e-20 : 0.3) {
            double t = stats_t_quantile(p, df);
            if (isinf(t))
                continue;
            checked++;
            char id[64];
            snprintf(id, sizeof id, "df %g p %g", df, p);
            oracle_close(id, "tail", 0, stats_t_upper(-t, df), p, 1e-12, 0);
            CHECK(t < 0);
        }
    }
    CHECK(checked > 300);
    CHECK(stats_t_quantile(0.5, 3) == 0);
    CHECK(stats_t_quantile(0, 3) == -INFINITY && stats_t_quantile(1, 3) == INFINITY);
    CHECK(isnan(stats_t_quantile(-0.1, 3)) && isnan(stats_t_quantile(0.3, 0)) &&
          isnan(stats_t_quantile(NAN, 3)) && isnan(stats_t_quantile(0.3, NAN)));
    CHECK(isnan(stats_t_upper(NAN, 3)) && isnan(stats_t_upper(1, -1)));
    CHECK(stats_t_upper(INFINITY, 3) == 0 && stats_t_upper(-INFINITY, 3) == 1);
}

TEST(the_limit_of_many_degrees_of_freedom_is_normal)
{
    CHECK_CLOSE(stats_t_quantile(0.975, INFINITY), 1.959963984540054, 1e-15);
    CHECK_CLOSE(stats_t_quantile(0.975, 1e12), 1.959963984540054, 1e-11);
    CHECK_CLOSE(stats_t_upper(1.959963984540054, INFINITY), 0.025, 1e-14);
    CHECK_CLOSE(stats_normal_quantile(0.975), 1.959963984540054, 1e-15);
    CHECK_CLOSE(stats_normal_quantile(0.025), -1.959963984540054, 1e-15);
    CHECK_CLOSE(stats_normal_two_sided(1.959963984540054), 0.05, 1e-14);
}

TEST(the_noncentral_t_at_zero_is_the_central_one_and_falls_with_t)
{
    for (double df = 1; df < 2000; df *= 2.7) {
        CHECK_CLOSE(stats_noncentral_t_upper(1.3, df, 0), stats_t_upper(1.3, df), 1e-13);
        CHECK(stats_noncentral_t_upper(1.3, df, 1) > stats_noncentral_t_upper(1.4, df, 1));
        struct stats_interval i = stats_noncentrality_ci(2.1, df, 0.9);
        CHECK_CLOSE(stats_noncentral_t_upper(2.1, df, i.low), 0.05, 1e-12);
        CHECK_CLOSE(stats_noncentral_t_upper(2.1, df, i.high), 0.95, 1e-12);
    }
    CHECK(isnan(stats_noncentrality_ci(1e9, 10, 0.95).low));
    CHECK(isnan(stats_noncentrality_ci(NAN, 10, 0.95).low));
}
