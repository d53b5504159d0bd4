#include "engine/export.h"
#include "engine/headline.h"
#include "engine/markup.h"
#include "tests/engine/golden.h"
#include "tests/engine/worth_maker.h"
#include <ctype.h>

enum { DEPTH = 64, TAG = 16 };

static char *page(const struct session *s)
{
    struct error e = {0};
    const struct export_format *f = export_find("html", &e);
    char *text = f ? f->print(s, &e) : NULL;
    if (!text)
        TEST_FAIL("html: %s", e.text);
    return text;
}

static bool is_void(const char *tag)
{
    return strcmp(tag, "meta") == 0 || strcmp(tag, "br") == 0;
}

/* Every tag is closed by its own end in its own order, attributes are quoted, nothing is a bare & or <; NULL,
 * or where it is not so. */
static const char *malformed(const char *text)
{
    static char stack[DEPTH][TAG];
    int depth = 0;
    const char *style = strstr(text, "<style>"), *style_end = strstr(text, "</style>");
    for (const char *p = text; *p;) {
        if (p > style && p < style_end) {
            p = style_end;
        } else if (*p == '&') {
            size_t n = strcspn(p, "; <\n");
            if (p[n] != ';' || n > 7)
                return p;
            p += n;
        } else if (*p == '>') {
            return p;
        } else if (*p != '<') {
            p++;
        } else if (strncmp(p, "<!DOCTYPE html>", 15) == 0) {
            p += 15;
        } else {
            const char *start = p;
            char tag[TAG] = {0};
            bool end = p[1] == '/', own = false;
            p += 1 + end;
            for (int n = 0; isalnum((unsigned char)*p) && n < TAG - 1; n++)
                tag[n] = *p++;
            while (*p && *p != '>') {
                own = *p == '/';
                if (*p == '"') {
                    p += 1 + strcspn(p + 1, "\"<>");
                    if (*p != '"')
                        return start;
                }
                if (*p == '<')
                    return start;
                p++;
            }
            if (!*p || !tag[0])
                return start;
            p++;
            if (end && (depth == 0 || strcmp(stack[--depth], tag) != 0))
                return start;
            if (!end && !own && !is_void(tag)) {
                if (depth == DEPTH)
                    return start;
                strcpy(stack[depth++], tag);
            }
        }
    }
    return depth == 0 ? NULL : "the end: a tag is left open";
}

static void check_page(const char *text)
{
    const char *at = malformed(text);
    if (at)
        TEST_FAIL("not well-formed at: %.80s", at);
    CHECK(!strstr(text, "<script"));
    CHECK(!strstr(text, "src=") && !strstr(text, "href=") && !strstr(text, "url(") &&
          !strstr(text, "@import"));
    CHECK(!strstr(text, "nan") && !strstr(text, "inf "));
}

TEST(the_checker_of_this_test_sees_what_is_wrong)
{
    CHECK(malformed("<p>a<b>c</p></b>") != NULL);
    CHECK(malformed("<p>a & b</p>") != NULL);
    CHECK(malformed("<p class=\"x>a</p>") != NULL);
    CHECK(malformed("<p>") != NULL);
    CHECK(malformed("<p>1 > 0</p>") != NULL);
    CHECK(malformed("<p class=\"x\">a &lt; b<br></p>") == NULL);
}

TEST(the_page_of_a_comparison_is_as_it_was_looked_at)
{
    maker_state = 11;
    struct session s = maker_session(3, 3, 10);
    strcpy(s.preset.title, "Throughput vs batch");
    strcpy(s.preset.device, "fake");
    for (int cell = 0; cell < 2; cell++) {
        maker_fill(&s, cell, 0, 10, 14.2 * (1 + cell), 0.01);
        maker_fill(&s, cell, 1, 10, (10 + 2 * cell) * (1 + cell), 0.01);
        maker_fill(&s, cell, 2, 10, 14.2 * (1 + cell), 0.002);
    }
    s.cell[2].status = s.cell[2].arm[0].status = CELL_OUT_OF_MEMORY;
    strcpy(s.cell[2].reason, "27 GiB are needed, 24 are here: choose a smaller batch");
    char *text = page(&s);
    check_page(text);
    char *end = strstr(text, "<h2>To run it again</h2>"); /* the preset in there has tests of its own */
    CHECK(end != NULL);
    CHECK_CONTAINS(end, "benchtop run maker");
    CHECK_CONTAINS(end, "&quot;confidence&quot;: 0.95");
    *end = '\0';
    golden_check("report.html", text);
    free(text);
    session_free(&s);
}

TEST(the_sentence_at_the_top_is_the_screens)
{
    struct error e = {0};
    struct session *s = maker_quality_session();
    struct summary_cache *cache = summary_cache_new();
    char sentence[640];
    headline_print(s, cache, summary_cache_comparisons(cache, s, &e), sentence, sizeof sentence);
    char *text = page(s);
    check_page(text);
    const char *top = strstr(text, "<p class=\"headline\">");
    CHECK(top && strncmp(top + 20, sentence, strlen(sentence)) == 0);
    CHECK_CONTAINS(text, "adapted: output not equivalent");
    CHECK_CONTAINS(text, "slower, not equivalent");
    CHECK_CONTAINS(text, "97.4 %");
    CHECK_CONTAINS(text, "<td class=\"weak\">"); /* 240 samples support no p99 */
    CHECK_CONTAINS(text, "<summary>prompt 2 of 2</summary>");
    free(text);
    summary_cache_free(cache);
    session_free(s);
    free(s);
}

TEST(the_combined_comparison_is_a_page_as_well)
{
    struct session *s = maker_fused_session();
    char *text = page(s);
    check_page(text);
    CHECK_CONTAINS(text, "What it takes and what it gives");
    CHECK_CONTAINS(text, "Key-value caches");
    free(text);
    session_free(s);
    free(s);
}

/* Names, messages, prompts and answers come from files that others wrote. */
TEST(no_text_of_a_session_becomes_markup)
{
    static const char evil[] = "</td><script>alert(\"1\")</script>&'\x01\xff\xed\xa0\x80";
    struct session *s = maker_quality_session();
    struct session_cell *c = &s->cell[0];
    snprintf(s->preset.title, sizeof s->preset.title, "%s", evil);
    snprintf(s->preset.answers, sizeof s->preset.answers, "%s", evil);
    snprintf(s->message, sizeof s->message, "%s", evil);
    snprintf(s->id, sizeof s->id, "%s", evil);
    snprintf(s->environment.host, sizeof s->environment.host, "%s", evil);
    snprintf(s->environment.cpu, sizeof s->environment.cpu, "%s", evil);
    snprintf(c->model, sizeof c->model, "%s", evil);
    snprintf(c->reason, sizeof c->reason, "%s", evil);
    for (int arm = 0; arm < 3; arm++) {
        snprintf(c->arm[arm].name, sizeof c->arm[arm].name, "%d%s", arm, evil);
        snprintf(s->preset.arms[arm].name, sizeof s->preset.arms[arm].name, "%d%s", arm, evil);
        snprintf(c->arm[arm].reason, sizeof c->arm[arm].reason, "%s", evil);
        snprintf(c->arm[arm].quality.note, sizeof c->arm[arm].quality.note, "%s", evil);
        snprintf(c->arm[arm].quality.source, sizeof c->arm[arm].quality.source, "%s", evil);
        free(c->arm[arm].responses->response[0].text);
        free(c->arm[arm].responses->response[0].prompt);
        c->arm[arm].responses->response[0].text = strdup(evil);
        c->arm[arm].responses->response[0].prompt = strdup(evil);
    }
    s->status = SESSION_FAILED;
    free(s->argv);
    s->argv = strdup("[\"benchtop\",\"run\",\"it's <b>\",\"plain\"]");
    char *text = page(s);
    check_page(text);
    CHECK_CONTAINS(text, "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;&#39;");
    CHECK_CONTAINS(text, "benchtop run &#39;it&#39;\\&#39;&#39;s &lt;b&gt;&#39; plain");
    for (const char *p = text; *p;) {
        size_t n = text_character(p);
        if (n == 0 || (n == 1 && (unsigned char)*p < 0x20 && *p != '\n' && *p != '\t'))
            TEST_FAIL("byte %02x is no text", (unsigned char)*p);
        p += n ? n : 1;
    }
    free(text);
    session_free(s);
    free(s);
}

TEST(intervals_that_are_unknown_or_beyond_the_scale_are_drawn_as_what_they_are)
{
    const struct markup_scale scale = {0.5, 2, 0.01};
    struct text out = {0};
    markup_interval(&out, &scale, 1.2, (struct stats_interval){0.1, INFINITY});
    CHECK_CONTAINS(out.bytes, "<path class=\"arrow\" d=\"M0 80");
    CHECK_CONTAINS(out.bytes, "<path class=\"arrow\" d=\"M2200 80");
    text_free(&out);
    markup_interval(&out, &scale, 1.2, (struct stats_interval){NAN, NAN});
    CHECK(!strstr(out.bytes, "\"ci\"") && strstr(out.bytes, "<circle"));
    text_free(&out);
    markup_interval(&out, &scale, NAN, (struct stats_interval){NAN, NAN});
    CHECK(malformed(out.bytes) == NULL && !strstr(out.bytes, "<circle"));
    text_free(&out);
    markup_curves(&out, (double[]){1, 2}, 2, &(struct markup_line){"a", (double[]){NAN, NAN}, NULL, NULL}, 1,
                  "x", "y");
    CHECK_INT((int)out.n, 0);
    text_free(&out);
}
