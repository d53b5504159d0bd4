#include "stats/stats.h"
#include "tests/stats/oracle.h"

struct pair {
    const char *id;
    size_t nx, ny;
    double *x, *y, *sx, *sy;
    struct stats_welch w95, w99;
    struct stats_pooled pooled;
    struct stats_effect effect;
    struct stats_effect_ci ci;
    struct stats_ratio ratio;
    struct stats_tost tost1, tost5;
    struct stats_mann_whitney ranks;
};

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double *sorted_copy(const double *x, size_t n)
{
    double *s = malloc(n * sizeof *s);
    memcpy(s, x, n * sizeof *s);
    qsort(s, n, sizeof *s, ascending);
    return s;
}

static void compute(struct pair *p)
{
    p->sx = sorted_copy(p->x, p->nx);
    p->sy = sorted_copy(p->y, p->ny);
    double mean = fabs(stats_mean(p->x, p->nx));
    stats_welch(p->x, p->nx, p->y, p->ny, 0.95, &p->w95);
    stats_welch(p->x, p->nx, p->y, p->ny, 0.99, &p->w99);
    stats_pooled(p->x, p->nx, p->y, p->ny, &p->pooled);
    stats_effect(p->x, p->nx, p->y, p->ny, &p->effect);
    stats_effect_ci(p->x, p->nx, p->y, p->ny, 0.95, &p->ci);
    stats_ratio(p->x, p->nx, p->y, p->ny, 0.95, &p->ratio);
    stats_tost(p->x, p->nx, p->y, p->ny, 0.01 * mean, 0.05, &p->tost1);
    stats_tost(p->x, p->nx, p->y, p->ny, 0.05 * mean, 0.05, &p->tost5);
    stats_mann_whitney(p->x, p->nx, p->y, p->ny, &p->ranks);
}

struct field {
    const char *name;
    double relative;
    int count;
    double got[4];
};

/* Looks a field of the oracle up among everything computed; false where nothing computes it. */
static bool find(const struct pair *p, const char *name, struct field *out)
{
    const struct stats_effect_ci *c = &p->ci;
    const struct stats_tost *t1 = &p->tost1, *t5 = &p->tost5;
    const struct stats_mann_whitney *r = &p->ranks;
    double nx = (double)p->nx, ny = (double)p->ny, df = nx + ny - 2;
    const struct field fields[] = {
        {"n", 0, 2, {nx, ny}},
        {"mean", 1e-15, 2, {stats_mean(p->x, p->nx), stats_mean(p->y, p->ny)}},
        {"sd", 1e-13, 2, {stats_std(p->x, p->nx), stats_std(p->y, p->ny)}},
        {"median", 1e-15, 2, {stats_quantile(p->sx, p->nx, 0.5), stats_quantile(p->sy, p->ny, 0.5)}},
        {"p95_type7", 1e-14, 2, {stats_quantile(p->sx, p->nx, 0.95), stats_quantile(p->sy, p->ny, 0.95)}},
        {"welch_t", 1e-13, 1, {p->w95.t}},
        {"welch_df", 1e-12, 1, {p->w95.df}},
        {"welch_p", 1e-11, 1, {p->w95.p}},
        {"welch_log10p", 1e-12, 1, {p->w95.log10_p}},
        {"diff_ci95", 1e-12, 2, {p->w95.ci.low, p->w95.ci.high}},
        {"diff_ci99", 1e-12, 2, {p->w99.ci.low, p->w99.ci.high}},
        {"pooled_t", 1e-13, 1, {p->pooled.t}},
        {"pooled_df", 0, 1, {p->pooled.df}},
        {"pooled_p", 1e-11, 1, {p->pooled.p}},
        {"cohen_d_pooled", 1e-13, 1, {p->effect.cohens_d}},
        {"cohen_d_av", 1e-13, 1, {c->d_average}},
        {"hedges_J_exact", 1e-14, 1, {stats_hedges_correction(df)}},
        {"hedges_J_approx", 1e-15, 1, {1 - 3 / (4 * df - 1)}},
        {"hedges_g", 1e-13, 1, {p->effect.hedges_g}},
        {"d_se_approx", 1e-13, 1, {c->normal_error}},
        {"d_ci95_normal", 1e-13, 2, {c->normal.low, c->normal.high}},
        {"d_av_se_bonett", 1e-13, 1, {c->bonett_error}},
        {"d_av_ci95_bonett", 1e-13, 2, {c->bonett.low, c->bonett.high}},
        {"d_ci95_nct", 1e-11, 2, {c->noncentral_t.low, c->noncentral_t.high}},
        {"ratio", 1e-15, 1, {p->ratio.ratio}},
        {"ratio_df", 1e-12, 1, {p->ratio.df}},
        {"fieller_g", 1e-12, 1, {p->ratio.fieller_g}},
        {"fieller_ci95", 1e-12, 2, {p->ratio.fieller.low, p->ratio.fieller.high}},
        {"ratio_logdelta_ci95", 1e-12, 2, {p->ratio.log_delta.low, p->ratio.log_delta.high}},
        {"tost_1", 1e-10, 4, {t1->margin, t1->p_lower, t1->p_upper, t1->p}},
        {"tost_5", 1e-10, 4, {t5->margin, t5->p_lower, t5->p_upper, t5->p}},
        {"mw_U1", 0, 1, {r->u1}},
        {"mw_U2", 0, 1, {r->u2}},
        {"A12", 1e-15, 1, {r->a12}},
        {"has_ties", 0, 1, {r->has_ties}},
        {"mw_p_exact", 1e-12, 1, {r->p_exact}},
        {"mw_p_normal_cc_ties", 1e-12, 1, {r->p_normal}},
        {"mw_p_normal_nocc", 1e-12, 1, {r->p_normal_uncorrected}},
        {"hodges_lehmann", 1e-13, 1, {r->hodges_lehmann}},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (!strcmp(fields[i].name, name)) {
            *out = fields[i];
            return true;
        }
    }
    return false;
}

static void check_field(const struct pair *p, const cJSON *want)
{
    struct field f;
    size_t n;
    if (!find(p, want->string, &f)) {
        TEST_FAIL("%s: nothing computes %s", p->id, want->string);
        return;
    }
    double *expected = oracle_values(want, &n), scale = 0;
    CHECK_INT(f.count, n);
    double relative = f.relative;
    if (!strncmp(p->id, "w028", 4)) /* ill-conditioned: the difference is 1e-8 of the spread */
        relative = fmax(relative, 1e-7);
    if (strstr(want->string, "_ci9")) /* a limit near 0 inherits the rounding of the wider side */
        for (size_t i = 0; i < n; i++)
            scale = fmax(scale, fabs(expected[i]));
    for (size_t i = 0; i < n; i++)
        oracle_close(p->id, f.name, i, f.got[i], expected[i], relative, scale);
    free(expected);
}

TEST(every_field_of_every_pair_agrees_with_the_oracle)
{
    stats_init();
    cJSON *file = oracle_read("twosample.json");
    const cJSON *item, *want;
    int cases = 0, fields = 0;
    cJSON_ArrayForEach(item, file)
    {
        struct pair p = {.id = oracle_text(item, "id")};
        p.x = oracle_array(item, "x", &p.nx);
        p.y = oracle_array(item, "y", &p.ny);
        compute(&p);
        cJSON_ArrayForEach(want, cJSON_GetObjectItem(item, "expected"))
        {
            check_field(&p, want);
            fields++;
        }
        free(p.x), free(p.y), free(p.sx), free(p.sy);
        cases++;
    }
    CHECK_INT(cases, 36);
    CHECK_INT(fields, 36 * 36 + 33 + 32 + 17);
    cJSON_Delete(file);
}
