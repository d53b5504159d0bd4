#include "stats/stats.h"
#include "tests/stats/oracle.h"

struct sample {
    const char *id;
    size_t n;
    double *x, *sorted, *inverse; /* inverse = 1000 / x */
    struct stats_summary s;
};

enum { MOST = 12 };

struct field {
    const char *name;
    double relative, scale; /* tolerance is relative x max(|got|, |want|, scale) */
    int count;
    double got[MOST];
};

static const double levels[MOST] = {0, .01, .05, .1, .25, .5, .75, .9, .95, .99, .999, 1};

static bool quantiles(const struct sample *s, const char *name, struct field *f)
{
    if (strncmp(name, "q_type", 6) != 0)
        return false;
    *f = (struct field){name, 1e-14, 0, MOST, {0}};
    for (int i = 0; i < MOST; i++)
        f->got[i] = stats_quantile_type(s->sorted, s->n, levels[i], name[6] - '0');
    f->scale = fmax(fabs(s->sorted[0]), fabs(s->sorted[s->n - 1]));
    return true;
}

static bool order_statistics(const struct sample *s, const char *name, struct field *f)
{
    if (strncmp(name, "oci", 3) != 0)
        return false;
    struct stats_order_interval o = stats_quantile_order(s->sorted, s->n, atof(name + 3) / 100, 0.95);
    struct stats_interval i = stats_quantile_ci(s->sorted, s->n, atof(name + 3) / 100, 0.95);
    CHECK(i.low == o.low && i.high == o.high);
    *f = (struct field){
        name, 1e-11, 0, 5, {(double)o.low_rank, (double)o.high_rank, o.low, o.high, o.coverage}};
    return true;
}

static bool mean_interval(const struct sample *s, const char *name, struct field *f)
{
    if (strncmp(name, "mean_ci", 7) != 0 || strstr(name, "ar1"))
        return false;
    struct stats_interval i = stats_mean_ci(s->s.mean, s->s.std, s->n, atof(name + 7) / 100);
    *f = (struct field){name, 1e-12, fmax(fabs(i.low), fabs(i.high)), 2, {i.low, i.high}};
    return true;
}

static bool warm_up(const struct sample *s, const char *name, struct field *f)
{
    struct stats_mser m;
    if (strncmp(name, "mser5_", 6) != 0)
        return false;
    CHECK(stats_mser5_search(s->x, s->n, &m));
    bool steady;
    CHECK_INT(stats_mser5(s->x, s->n, &steady), m.drop);
    CHECK_INT(steady, m.batches < m.limit);
    double relative = s->s.std / fabs(s->s.mean) < 1e-5 ? 1e-9 : 1e-12;
    const struct field fields[] = {{"mser5_d", 0, 0, 1, {(double)m.batches}},
                                   {"mser5_trunc", 0, 0, 1, {(double)m.drop}},
                                   {"mser5_limit", 0, 0, 1, {(double)m.limit}},
                                   {"mser5_min", relative, 0, 1, {m.objective}}};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].name, name)) {
            *f = fields[i];
            return true;
        }
    return false;
}

static bool correlation(const struct sample *s, const char *name, struct field *f)
{
    struct stats_correlated c;
    stats_correlated(s->x, s->n, 0.95, &c);
    double tau = stats_geyer_tau(s->x, s->n), n = (double)s->n;
    const struct field fields[] = {
        {"lag1", 1e-12, 1, 1, {s->s.lag1}},
        {"ess_ar1", 1e-11, n, 1, {stats_ar1_samples(s->s.lag1, s->n)}},
        {"geyer_tau", 1e-11, 1, 1, {tau}},
        {"geyer_ess", 1e-10, n, 1, {n / tau}},
        {"mean_ci95_ar1",
         1e-11,
         fmax(fabs(c.ci_uncorrected.low), fabs(c.ci_uncorrected.high)),
         2,
         {c.ci_uncorrected.low, c.ci_uncorrected.high}},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].name, name)) {
            *f = fields[i];
            return true;
        }
    return false;
}

static bool plain(const struct sample *s, const char *name, struct field *f)
{
    const double *x = s->x;
    struct stats_tukey t;
    stats_tukey(s->sorted, s->n, &t);
    struct stats_interval sd = stats_std_ci(s->s.std, s->n, 0.95);
    double count = (double)s->n, high = s->s.max;
    const struct field fields[] = {
        {"n", 0, 0, 1, {(double)s->s.n}},
        {"mean", 1e-15, 0, 1, {s->s.mean}},
        {"min", 0, 0, 1, {s->s.min}},
        {"max", 0, 0, 1, {high}},
        {"median", 1e-15, 0, 1, {s->s.median}},
        {"mad_raw", 1e-14, 0, 1, {stats_mad(s->sorted, s->n)}},
        {"mad_1.4826", 1e-14, 0, 1, {s->s.mad}},
        {"iqr", 1e-14, 0, 1, {t.iqr}},
        {"tukey_fences", 1e-14, fabs(high), 4, {t.fence[0], t.fence[1], t.fence[2], t.fence[3]}},
        {"tukey_counts",
         0,
         0,
         4,
         {(double)t.count[0], (double)t.count[1], (double)t.count[2], (double)t.count[3]}},
        {"modz35_count", 0, 0, 1, {(double)stats_modified_z_count(s->sorted, s->n, 3.5)}},
        {"var", 1e-13, 0, 1, {s->s.std * s->s.std}},
        {"sd", 1e-14, 0, 1, {s->s.std}},
        {"sem", 1e-14, 0, 1, {s->s.std / sqrt(count)}},
        {"sd_ci95", 1e-12, 0, 2, {sd.low, sd.high}},
        {"skew_gsl", 1e-12, 1, 1, {stats_skewness(x, s->n)}},
        {"kurt_gsl", 1e-12, 1, 1, {stats_excess_kurtosis(x, s->n)}},
        {"hmean", 1e-15, 0, 1, {stats_harmonic_mean(x, s->n)}},
        {"gmean", 1e-15, 0, 1, {stats_geometric_mean(x, s->n)}},
        {"throughput_1000_over_mean", 1e-14, 0, 1, {stats_harmonic_mean(s->inverse, s->n)}},
        {"mean_of_rates_1000_over_x", 1e-14, 0, 1, {stats_mean(s->inverse, s->n)}},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (!strcmp(fields[i].name, name)) {
            *f = fields[i];
            return true;
        }
    return false;
}

static void check_acf(const struct sample *s, const double *want, size_t lags)
{
    for (size_t k = 0; k < lags; k++)
        oracle_close(s->id, "acf", k, stats_autocorrelation(s->x, s->n, (int)k + 1), want[k], 1e-12, 1);
}

static void check_field(const struct sample *s, const cJSON *want)
{
    struct field f;
    size_t n;
    const char *name = want->string;
    double *expected = oracle_values(want, &n);
    if (!strcmp(name, "acf")) {
        check_acf(s, expected, n);
    } else if (!strcmp(name, "cv")) { /* undefined for a mean <= 0, whatever the quotient is */
        oracle_close(s->id, name, 0, s->s.cv, s->s.mean > 0 ? expected[0] : NAN, 1e-14, 0);
    } else if (quantiles(s, name, &f) || order_statistics(s, name, &f) || mean_interval(s, name, &f) ||
               warm_up(s, name, &f) || correlation(s, name, &f) || plain(s, name, &f)) {
        CHECK_INT(n, f.count);
        for (size_t i = 0; i < n; i++)
            oracle_close(s->id, name, i, f.got[i], expected[i], f.relative, f.scale);
    } else {
        TEST_FAIL("%s: nothing computes %s", s->id, name);
    }
    free(expected);
}

static int check_file(const char *file, const char *key, int *fields)
{
    cJSON *json = oracle_read(file);
    const cJSON *item, *want;
    int cases = 0;
    stats_init();
    cJSON_ArrayForEach(item, json)
    {
        struct sample s = {.id = oracle_text(item, "id")};
        s.x = oracle_array(item, "x", &s.n);
        s.sorted = calloc(s.n, sizeof *s.sorted);
        s.inverse = calloc(s.n, sizeof *s.inverse);
        for (size_t i = 0; i < s.n; i++)
            s.inverse[i] = 1000 / s.x[i];
        stats_describe(s.x, s.n, 0.95, s.sorted, &s.s);
        CHECK_INT(s.s.rejected, 0);
        cJSON_ArrayForEach(want, cJSON_GetObjectItem(item, key))
        {
            check_field(&s, want);
            ++*fields;
        }
        free(s.x), free(s.sorted), free(s.inverse);
        cases++;
    }
    cJSON_Delete(json);
    return cases;
}

TEST(every_field_of_every_sample_agrees_with_the_oracle)
{
    int fields = 0;
    CHECK_INT(check_file("onesample.json", "expected", &fields), 21);
    CHECK_INT(fields, 844);
}

TEST(every_field_of_the_nist_sets_agrees_with_the_oracle)
{
    int fields = 0;
    CHECK_INT(check_file("nist_strd.json", "expected_on_doubles", &fields), 9);
    CHECK_INT(fields, 367);
}

static double agreeing_digits(double got, double certified)
{
    double error = fabs(got - certified) / (certified != 0 ? fabs(certified) : 1);
    return error > 0 ? fmin(-log10(error), 15.95) : 15.95;
}

TEST(the_nist_sets_keep_every_digit_that_doubles_can_hold)
{
    cJSON *json = oracle_read("nist_strd.json");
    const cJSON *item;
    int cases = 0;
    cJSON_ArrayForEach(item, json)
    {
        size_t n;
        double *x = oracle_array(item, "x", &n);
        const cJSON *certified = cJSON_GetObjectItem(item, "certified_decimal");
        const cJSON *limit = cJSON_GetObjectItem(item, "representation_limit_LRE");
        const struct {
            const char *name;
            double got;
        } values[] = {
            {"mean", stats_mean(x, n)}, {"sd", stats_std(x, n)}, {"lag1", stats_autocorrelation(x, n, 1)}};
        CHECK_INT(oracle_field(certified, "n"), n);
        for (int i = 0; i < 3; i++) {
            double digits = agreeing_digits(values[i].got, atof(oracle_text(certified, values[i].name)));
            /* Certified values carry 15 digits, so the last one may go either way. */
            double reachable = fmin(oracle_field(limit, values[i].name), 14.5) - 0.3;
            if (!(digits >= reachable))
                TEST_FAIL("%s %s: %.2f digits of %.2f", oracle_text(item, "id"), values[i].name, digits,
                          reachable);
        }
        free(x);
        cases++;
    }
    CHECK_INT(cases, 9);
    cJSON_Delete(json);
}
