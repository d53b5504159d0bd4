#include "engine/headline.h"
#include "tests/engine/session_maker.h"

/* What the headline says of these sessions' candidates. */
static void headline(struct session *s, char *out, size_t size)
{
    struct error e = {0};
    struct summary_cache *cache = summary_cache_new();
    const struct comparison *c = summary_cache_comparisons(cache, s, &e);
    CHECK(c != NULL);
    headline_print(s, cache, c, out, size);
    summary_cache_free(cache);
}

TEST(a_headline_without_room_for_all_candidates_counts_those_it_leaves_out)
{
    struct session s = maker_session(1, 3, 10);
    maker_fill(&s, 0, 0, 10, 14.0, 0.005);
    maker_fill(&s, 0, 1, 10, 10.0, 0.005);
    maker_fill(&s, 0, 2, 10, 7.0, 0.005);
    char text[640], narrow[220];
    headline(&s, text, sizeof text);
    CHECK_CONTAINS(text, "fused is 1.4");
    CHECK_CONTAINS(text, "; int8 is 2.0");
    CHECK(!strstr(text, "more arm"));
    headline(&s, narrow, sizeof narrow);
    CHECK_CONTAINS(narrow, "fused is 1.4");
    CHECK_CONTAINS(narrow, "; 1 more arm in the table");
    CHECK(!strstr(narrow, "int8"));
    session_free(&s);
}
