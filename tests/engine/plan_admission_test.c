/* What the caches of a preset are worth to a server. */
#include "engine/plan_admission.h"

#include "presets/catalog.h"
#include "tests/test.h"

static struct plan_admission out[PRESET_MODELS];

/* One decoding cell per batch of gpt2's shape; arms: contiguous, paged, again paged, virtual. */
static int admissions(double shortest, int arms, const int *batch, int n_batch, enum workload w)
{
    static const enum kv_cache_kind kinds[] = {KV_CACHE_CONTIGUOUS, KV_CACHE_PAGED, KV_CACHE_PAGED,
                                               KV_CACHE_VIRTUAL};
    static struct plan_cell cell[4];
    static struct model_spec model;
    struct preset p;
    struct error e = {0};
    preset_default(&p);
    if (catalog_model("gpt2-124m", &model, &e) != 0)
        TEST_FAIL("%s", e.text);
    p.shortest = shortest;
    p.tokens = 16;
    p.n_arms = arms;
    for (int a = 0; a < arms; a++) {
        implementation_default(&p.arms[a].implementation);
        p.arms[a].implementation.kv_cache = kinds[a];
    }
    for (int i = 0; i < n_batch; i++) {
        cell[i] = (struct plan_cell){.workload = w, .batch = batch[i], .seq = 240, .supported = true};
        for (int a = 0; a < arms; a++)
            cell[i].arm[a].supported = true;
    }
    struct plan plan = {.model = &model, .n_models = 1, .cell = cell, .n_cells = n_batch};
    int n = plan_admissions(&p, &plan, 4096, out, PRESET_MODELS, &e);
    if (n < 0)
        TEST_FAIL("%s", e.text);
    preset_free(&p);
    return n;
}

TEST(the_largest_batch_of_each_length_is_the_memory_and_each_kind_of_cache_is_told_once)
{
    const int batch[] = {1, 4, 2};
    CHECK_INT(admissions(0.25, 4, batch, 3, WORKLOAD_DECODE), 1);
    const struct plan_admission *a = &out[0];
    CHECK_INT(a->batch, 4);
    CHECK_INT(a->requests, 32);
    CHECK_INT(a->shortest, 60);
    CHECK_INT(a->tokens, 16);
    CHECK_INT(a->budget, 4LL * 256 * 2 * 12 * 768 * 4);
    CHECK_INT(a->n, 3);
    CHECK_INT(a->cache[2].arm, 3);
    /* four slots, eight rounds of sixteen steps */
    CHECK_INT(a->cache[0].report.peak, 4);
    CHECK_INT(a->cache[0].report.steps, 128);
    CHECK_CLOSE(a->cache[0].report.mean, 4, 1e-12);
    /* 64 blocks, of which a request takes 10.3 in the mean when it ends: six at once at most, fewer as the
     * last ones end. All 512 tokens come; pages of 4 KiB hold as many of a head's tokens as a block. */
    const struct admission_report *paged = &a->cache[1].report;
    CHECK(paged->mean > 4.8 && paged->mean < 6.2);
    CHECK_CLOSE(paged->mean * (double)paged->steps, 32 * 16, 1e-12);
    CHECK(paged->used_share > 0.8 && paged->used_share < 1);
    CHECK(paged->wasted_bytes < 16.0 * 2 * 12 * 768 * 4);
    CHECK_INT(a->cache[2].report.steps, paged->steps);
    CHECK_CLOSE(a->cache[2].report.wasted_bytes, paged->wasted_bytes, 1e-12);
}

TEST(equal_lengths_gain_nothing)
{
    const int batch[] = {4};
    CHECK_INT(admissions(1, 4, batch, 1, WORKLOAD_GENERATE), 1);
    CHECK_INT(out[0].shortest, 240);
    CHECK_INT(out[0].cache[1].report.peak, 4);
}

TEST(there_is_nothing_to_tell_where_caches_are_alike_or_nothing_decodes)
{
    const int batch[] = {4};
    CHECK_INT(admissions(0.5, 1, batch, 1, WORKLOAD_DECODE), 0);
    CHECK_INT(admissions(0.5, 4, batch, 1, WORKLOAD_PREFILL), 0);
}
