/* What each cache holds per sequence, beside its speed. */
#include "engine/cache_table.h"

#include "engine/export.h"
#include "tests/engine/session_maker.h"

/* Two cells of batch 1 and 2; contiguous, paged, virtual; all as fast but the last. */
static struct session three_caches(void)
{
    static const enum kv_cache_kind kinds[] = {KV_CACHE_CONTIGUOUS, KV_CACHE_PAGED, KV_CACHE_VIRTUAL};
    static const int64_t committed[] = {1000 << 10, 640 << 10, 1008 << 10};
    struct session s = maker_session(2, 3, 6);
    for (int i = 0; i < 2; i++) {
        for (int j = 0; j < 3; j++) {
            struct session_arm *arm = &s.cell[i].arm[j];
            maker_fill(&s, i, j, 6, j == 2 ? 5 : 4, 0.001);
            implementation_default(&arm->implementation);
            arm->implementation.kv_cache = s.preset.arms[j].implementation.kv_cache = kinds[j];
            arm->has_measured = true;
            arm->measured = (struct memory_use){.peak = 1 << 20, .kv_used = (600 << 10) * (i + 1)};
            arm->measured.kv_pages = (struct memory_pages){.page_bytes = 4096,
                                                           .pages = 3,
                                                           .reserved = (2000 << 10) * (i + 1),
                                                           .committed = committed[j] * (i + 1),
                                                           .contiguous = (1000 << 10) * (i + 1),
                                                           .hidden_growths = j == 2 ? 7 : 0,
                                                           .exposed_growths = j == 2 ? 2 : 0,
                                                           .exposed_ns = j == 2 ? 1250000 : 0,
                                                           .hidden_max_ns = 400000};
        }
        s.cell[i].status = CELL_OK;
    }
    return s;
}

static char *print(const struct session *s, bool markdown)
{
    struct comparison *c;
    struct text out = {0};
    CHECK_INT(summary_comparisons(s, &c, NULL), 0);
    cache_table_print(s, c, markdown, 0, &out);
    free(c);
    return text_take(&out, NULL);
}

TEST(bytes_are_told_per_sequence)
{
    struct session s = three_caches();
    struct cache_bytes b;
    CHECK(cache_bytes_of(&s.cell[1], &s.cell[1].arm[1], &b));
    CHECK_INT(b.used, 600 << 10);
    CHECK_INT(b.held, 640 << 10);
    CHECK_INT(b.reserved, 2000 << 10);
    CHECK_INT(b.contiguous, 1000 << 10);
    s.cell[1].arm[1].measured.kv_pages.page_bytes = 0; /* a session of older programs */
    CHECK(!cache_bytes_of(&s.cell[1], &s.cell[1].arm[1], &b));
    session_free(&s);
}

TEST(a_row_says_what_is_used_held_and_saved_and_what_it_costs)
{
    struct session s = three_caches();
    char *text = print(&s, false);
    char *paged = strstr(text, "fused"), *mapped = strstr(text, "int8");
    CHECK(paged && mapped);
    CHECK_CONTAINS(text, "saved against a contiguous cache at capacity");
    CHECK_CONTAINS(paged, "600 KiB");
    CHECK_CONTAINS(paged, "640 KiB");
    CHECK_CONTAINS(paged, "360 KiB (36 %)");
    CHECK_CONTAINS(mapped, "-8.0 KiB"); /* pages round up */
    CHECK_CONTAINS(mapped, "1.25");
    CHECK_CONTAINS(mapped, "slower");
    free(text);
    text = print(&s, true);
    CHECK_CONTAINS(text, "\n## Key-value cache\n");
    CHECK_CONTAINS(text, "360 KiB (36 %)");
    CHECK_CONTAINS(text, "| cache |");
    free(text);
    session_free(&s);
}

TEST(the_table_stands_in_the_results_and_in_the_report_where_caches_differ_and_nowhere_else)
{
    struct session s = three_caches();
    for (int same = 0; same < 2; same++) {
        for (int i = 0; same && i < 2; i++)
            for (int j = 0; j < 3; j++)
                s.cell[i].arm[j].implementation.kv_cache = KV_CACHE_PAGED;
        char *table = table_print(&s, 0, NULL), *report = export_find("md", NULL)->print(&s, NULL);
        CHECK((strstr(table, "Key-value cache, bytes per sequence") != NULL) == !same);
        CHECK((strstr(report, "## Key-value cache") != NULL) == !same);
        free(table);
        free(report);
    }
    session_free(&s);
}
