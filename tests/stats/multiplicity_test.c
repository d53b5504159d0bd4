#include "stats/stats.h"
#include "tests/stats/oracle.h"

typedef void adjustment(const double *p, size_t n, double *adjusted);

static adjustment *named(const char *name)
{
    static const struct {
        const char *name;
        adjustment *run;
    } all[] = {{"holm", stats_holm},
               {"BH", stats_benjamini_hochberg},
               {"BY", stats_benjamini_yekutieli},
               {"bonferroni", stats_bonferroni},
               {"hochberg", stats_hochberg}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!strcmp(all[i].name, name))
            return all[i].run;
    return NULL;
}

TEST(every_family_of_the_oracle_is_adjusted_as_by_R)
{
    cJSON *file = oracle_read("multiplicity.json");
    const cJSON *item, *want;
    int families = 0, methods = 0;
    cJSON_ArrayForEach(item, file)
    {
        size_t n, m;
        double *p = oracle_array(item, "p", &n), *got = calloc(n, sizeof *got);
        const cJSON *decisions = cJSON_GetObjectItem(item, "reject_at_0.05");
        cJSON_ArrayForEach(want, cJSON_GetObjectItem(item, "expected"))
        {
            adjustment *adjust = named(want->string);
            double *expected = oracle_values(want, &m), *rejected = oracle_array(decisions, want->string, &m);
            CHECK_INT(m, n);
            CHECK(adjust != NULL);
            if (adjust)
                adjust(p, n, got);
            for (size_t i = 0; adjust && i < n; i++) {
                oracle_close(oracle_text(item, "id"), want->string, i, got[i], expected[i], 1e-14, 0);
                CHECK_INT(got[i] <= 0.05, rejected[i]);
            }
            free(expected), free(rejected);
            methods++;
        }
        free(p), free(got);
        families++;
    }
    CHECK_INT(families, 9);
    CHECK_INT(methods, 45);
    cJSON_Delete(file);
}

TEST(undefined_p_values_stay_undefined_and_do_not_count)
{
    const double p[] = {0.01, NAN, 0.04, 0.03};
    double got[4];
    stats_holm(p, 4, got);
    CHECK_CLOSE(got[0], 0.03, 1e-15);
    CHECK(isnan(got[1]));
    CHECK_CLOSE(got[2], 0.06, 1e-15);
    CHECK_CLOSE(got[3], 0.06, 1e-15);
    stats_bonferroni(p, 4, got);
    CHECK_CLOSE(got[2], 0.12, 1e-15);
    CHECK(isnan(got[1]));
}

TEST(adjusting_in_place_gives_the_same_values)
{
    double p[] = {0.04, 0.01, 0.02}, apart[3];
    stats_benjamini_hochberg(p, 3, apart);
    stats_benjamini_hochberg(p, 3, p);
    for (int i = 0; i < 3; i++)
        CHECK_CLOSE(p[i], apart[i], 0);
    stats_holm(NULL, 0, NULL);
}
