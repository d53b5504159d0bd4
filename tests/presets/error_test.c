#include "presets/error.h"
#include "tests/test.h"

TEST(a_message_is_set_and_returns_minus_one)
{
    struct error e = {0};
    CHECK_INT(error_set(&e, ERROR_USAGE, "%s: %d", "batch", 3), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_STRING(e.text, "batch: 3");
    CHECK_INT(error_set(NULL, ERROR_USAGE, "nobody listens"), -1);
}

TEST(findings_are_joined_and_the_first_kind_stays)
{
    struct error e = {0};
    CHECK_INT(error_add(&e, ERROR_FAILED, "one"), -1);
    CHECK_INT(error_add(&e, ERROR_USAGE, "two"), -1);
    CHECK_INT(e.kind, ERROR_FAILED);
    CHECK_STRING(e.text, "one; two");
    error_add(&e, ERROR_USAGE, "again: %s", e.text);
    CHECK_STRING(e.text, "one; two; again: one; two");
}

TEST(what_could_steer_a_terminal_is_replaced)
{
    struct error e = {0};
    error_set(&e, ERROR_FAILED,
              "a\033[31mb\nc\x7f"
              "d\xC2\x9B"
              "e\xFF\xFE"
              "f\xE2\x80\xAE"
              "g\xED\xA0\x80h\xC0\x80i");
    CHECK_STRING(e.text, "a?[31mb c?d?e\?\?f?g\?\?\?h\?\?i");
    CHECK(error_text_is_plain(e.text));
    error_set(&e, ERROR_FAILED, "ü € 𝄞");
    CHECK_STRING(e.text, "ü € 𝄞");
}

TEST(a_message_too_long_ends_in_dots_on_a_whole_character)
{
    struct error e = {0};
    char text[4096];
    for (int start = 0; start < 3; start++) {
        size_t n = (size_t)start;
        memset(text, 'x', n);
        for (; n + 3 < sizeof text; n += 3)
            memcpy(text + n, "€", 3);
        text[n] = '\0';
        error_set(&e, ERROR_FAILED, "%s", text);
        CHECK(strlen(e.text) >= ERROR_TEXT - 8 && strlen(e.text) < ERROR_TEXT);
        CHECK(error_text_is_plain(e.text));
        CHECK_STRING(e.text + strlen(e.text) - 3, "...");
    }
}

TEST(a_finding_made_again_is_told_once)
{
    struct error e = {0};
    for (int i = 0; i < 3; i++) {
        error_add(&e, ERROR_USAGE, "found 12");
        error_add(&e, ERROR_USAGE, "found 1");
        error_add(&e, ERROR_USAGE, "1");
    }
    CHECK_STRING(e.text, "found 12; found 1; 1");
}

TEST(many_findings_never_overrun_the_text)
{
    struct error e = {0};
    for (int i = 0; i < 500; i++) {
        error_add(&e, ERROR_USAGE, "finding %d", i);
        CHECK(strlen(e.text) < ERROR_TEXT);
    }
    CHECK_STRING(e.text + strlen(e.text) - 3, "...");
    CHECK_CONTAINS(e.text, "finding 0; finding 1;");
}
