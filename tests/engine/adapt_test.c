#include "engine/model/adapt.h"
#include "engine/model/patch.h"
#include "presets/json.h"
#include "tests/engine/gpt2.h"

static const struct adapt_options usual = {10000, 10000, 3, 2, false};

TEST(the_held_out_half_of_the_shipped_text_needs_a_quarter_fewer_tokens)
{
    struct tokenizer *t = gpt2();
    struct vocabulary_file f = {0}, shipped = {0};
    struct error e = {0};
    size_t n = 0;
    char *text = json_read_file("presets/texts/tinyshakespeare.txt", 1 << 22, &n, &e);
    if (!t || !text || adapt_build(t, text, n / 2, &usual, &f, &e) != 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    struct token_ids ids = {0}, fresh = {0};
    struct patch *p = patch_open(&f, t, "built", &e);
    CHECK_INT(tokenizer_encode(t, text + n / 2, n - n / 2, false, &ids, &e), 0);
    CHECK(p && patch_encode(p, ids.id, ids.n, &fresh, &e) == 0);
    CHECK((double)fresh.n <= 0.75 * (double)ids.n);
    CHECK((double)f.adapted_tokens <= 0.65 * (double)f.standard_tokens);
    CHECK_INT(f.n_removed, 10000);
    /* The file that is shipped is what this program builds. */
    if (vocabulary_file_load("presets/vocabularies/shakespeare-gpt-2.json", &shipped, NULL, &e) != 0)
        TEST_FAIL("%s", e.text);
    CHECK(shipped.fingerprint == f.fingerprint && shipped.standard_tokens == f.standard_tokens &&
          shipped.adapted_tokens == f.adapted_tokens && shipped.text_bytes == f.text_bytes);
    CHECK(shipped.n_removed == f.n_removed &&
          memcmp(shipped.removed, f.removed, (size_t)f.n_removed * sizeof *f.removed) == 0);
    CHECK(shipped.n_added == f.n_added && memcmp(shipped.length, f.length, (size_t)f.n_added) == 0);
    CHECK(shipped.n_parts == f.n_parts &&
          memcmp(shipped.part, f.part, (size_t)f.n_parts * sizeof *f.part) == 0);
    token_ids_free(&ids);
    token_ids_free(&fresh);
    patch_free(p);
    free(text);
    vocabulary_file_free(&f);
    vocabulary_file_free(&shipped);
    tokenizer_free(t);
}

static void word_of(const struct tokenizer *t, const struct vocabulary_file *f, int gram, char *out)
{
    const int32_t *part = f->part;
    size_t used = 0;
    for (int i = 0; i < gram; i++)
        part += f->length[i];
    for (int k = 0; k < f->length[gram]; k++)
        used += tokenizer_piece(t, part[k], out + used);
    out[used] = '\0';
}

TEST(the_most_frequent_by_length_comes_first_and_takes_its_places)
{
    static const char text[] = " one two three one two three one two three one two";
    struct tokenizer *t = gpt2();
    struct vocabulary_file f = {0};
    struct error e = {0};
    const struct adapt_options o = {0, 10, 3, 2, false};
    char word[256];
    if (!t || adapt_build(t, text, strlen(text), &o, &f, &e) != 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    /* one two: 4 x 2 = 8; one two three: 3 x 3 = 9 comes first and leaves one two a single place, two three
     * none, two three one and three one two none. */
    CHECK_INT(f.n_added, 1);
    word_of(t, &f, 0, word);
    CHECK_STRING(word, " one two three");
    CHECK_INT(f.standard_tokens, 11);
    CHECK_INT(f.adapted_tokens, 5);
    vocabulary_file_free(&f);
    tokenizer_free(t);
}

TEST(digits_alone_parts_of_characters_and_no_break_spaces_make_no_n_gram)
{
    static const char text[] = "1 2 1 2 1 2 1 2 \xc2\xa0\xc2\xa0 x\xc2\xa0y x\xc2\xa0y "
                               "\xe2\x82\xbf\xe2\x82\xbf \xe2\x82\xbf\xe2\x82\xbf";
    struct tokenizer *t = gpt2();
    struct vocabulary_file f = {0};
    struct error e = {0};
    const struct adapt_options o = {0, 1000, 3, 1, false};
    if (!t || adapt_build(t, text, strlen(text), &o, &f, &e) != 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    for (int i = 0; i < f.n_added; i++) {
        char word[256];
        word_of(t, &f, i, word);
        CHECK(strspn(word, "0123456789 ") < strlen(word));
        CHECK(!strstr(word, "\xa0") && !strstr(word, "\x82"));
    }
    vocabulary_file_free(&f);
    tokenizer_free(t);
}

TEST(within_words_no_n_gram_crosses_the_beginning_of_one)
{
    struct tokenizer *t = gpt2();
    struct vocabulary_file f = {0};
    struct error e = {0};
    const struct adapt_options o = {10000, 500, 4, 2, true};
    size_t n = 0;
    char *text = json_read_file("presets/texts/tinyshakespeare.txt", 1 << 22, &n, &e);
    if (!t || !text || adapt_build(t, text, 100000, &o, &f, &e) != 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(f.n_added, 500);
    CHECK(f.within_words);
    for (int i = 0; i < f.n_added; i++) {
        char word[256];
        word_of(t, &f, i, word);
        CHECK(!strchr(word + 1, ' '));
    }
    free(text);
    vocabulary_file_free(&f);
    tokenizer_free(t);
}

TEST(impossible_requests_are_refused_in_words)
{
    static const struct {
        struct adapt_options o;
        const char *says;
    } cases[] = {
        {{1, 1, 1, 2, false}, "choose 2 to 8"},
        {{1, 1, 9, 2, false}, "choose 2 to 8"},
        {{-1, 1, 3, 2, false}, "-1 tokens to remove"},
        {{1, 1, 3, 0, false}, "frequency at least 0"},
    };
    struct tokenizer *t = gpt2();
    struct vocabulary_file f = {.n_added = 7};
    struct error e = {0};
    for (size_t i = 0; t && i < sizeof cases / sizeof *cases; i++) {
        CHECK_INT(adapt_build(t, "some text", 9, &cases[i].o, &f, &e), -1);
        CHECK_CONTAINS(e.text, cases[i].says);
    }
    CHECK(t && adapt_build(t, "", 0, &usual, &f, &e) == -1);
    CHECK_CONTAINS(e.text, "a text of 0 tokens");
    CHECK_INT(f.n_added, 7);
    tokenizer_free(t);
}
