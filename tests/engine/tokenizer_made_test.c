/* What a file may ask of a tokenizer, on vocabularies small enough to be read. */
#define _GNU_SOURCE /* memmem */
#include "tests/engine/made_vocabulary.h"

TEST(merges_longer_than_a_page_and_merges_that_are_none_are_read_past)
{
    static char longest[2001];
    memset(longest, 'a', 1000);
    longest[1000] = ' ';
    memset(longest + 1001, 'a', 999);
    const struct made m = {"gpt2",
                           "gpt-2",
                           NULL,
                           (const char *const[]){"a", "b", "ab", NULL},
                           (const char *const[]){longest, "ab", "b ", " ", "", "a b", NULL},
                           .types = NULL};
    struct error e = {0};
    struct tokenizer *t = make(&m, &e);
    check_ids(t, "abba", PLAIN, "2 1 0");
    tokenizer_free(t);
}

/* llama.cpp merges texts, not tokens: a merge may lead over what is no token. */
TEST(merges_may_lead_over_texts_that_are_no_tokens)
{
    const struct made m = {"gpt2",
                           "gpt-2",
                           NULL,
                           (const char *const[]){"a", "b", "c", "abc", NULL},
                           (const char *const[]){"a b", "ab c", NULL},
                           .types = NULL};
    struct error e = {0};
    struct tokenizer *t = make(&m, &e);
    check_ids(t, "abc", PLAIN, "3");
    check_ids(t, "ab", PLAIN, "0 1");     /* merged, but no token: its bytes */
    check_ids(t, "axbc", PLAIN, "0 1 2"); /* x is nothing, and keeps a and b apart */
    int32_t left[4], right[4];
    CHECK(t && tokenizer_splits(t, left, right, &e) == 0);
    CHECK_INT(left[3], -1); /* its left part is no token */
    tokenizer_free(t);
}

/* SentencePiece-style BPE: on the text itself, blanks as U+2581, bytes where a character is missing. */
TEST(gemma4_merges_the_text_itself)
{
    const struct made m = {"gemma4",
                           NULL,
                           NULL,
                           (const char *const[]){"<bos>", "a", "b", "ab", "\xe2\x96\x81",
                                                 "\xe2\x96\x81"
                                                 "ab",
                                                 "\n", "\n\n\n", "<0xC3>", "<0xA9>", NULL},
                           (const char *const[]){"a b", "\xe2\x96\x81 ab", NULL},
                           (const uint8_t[]){3, 1, 1, 1, 1, 1, 1, 1, 6, 6},
                           {"!add_bos_token"},
                           {"bos_token_id"},
                           {0}};
    struct error e = {0};
    struct tokenizer *t = make(&m, &e);
    check_ids(t, "ab ab  a\n\nb\n\n\n\xc3\xa9", PLAIN, "3 5 4 4 1 6 6 2 7 8 9");
    check_ids(t, "a", SPECIAL, "0 1"); /* whatever the file says of the begin token */
    CHECK(t && strcmp(tokenizer_kind(t), "gpt2, gemma4") == 0);
    if (t) {
        size_t size = 0;
        char *back = tokenizer_decode(t, (int32_t[]){0, 3, 5, 8, 9, 7}, 6, &size, &e);
        CHECK(back && strcmp(back, "ab ab\xc3\xa9\n\n\n") == 0);
        free(back);
    }
    tokenizer_free(t);
}

TEST(a_file_that_names_no_rule_is_cut_by_the_default_one_and_says_so)
{
    const struct made m = {"gpt2",
                           NULL,
                           NULL,
                           (const char *const[]){"a", "1", "11", "111", NULL},
                           (const char *const[]){"1 1", "11 1", NULL},
                           .types = NULL};
    struct error e = {0};
    struct tokenizer *t = make(&m, &e);
    check_ids(t, "a1111", PLAIN, "0 3 1"); /* three digits are a word */
    CHECK(t && strstr(tokenizer_kind(t), "names no pre-tokenizer"));
    tokenizer_free(t);
}

TEST(control_tokens_are_found_in_a_text_only_where_it_is_read_as_marked)
{
    static const char *const tokens[] = {"<|endoftext|>",
                                         "<s>",
                                         "<u>",
                                         "<",
                                         "|",
                                         "endoftext",
                                         ">",
                                         "s",
                                         "u",
                                         "e",
                                         "n",
                                         "d",
                                         "o",
                                         "f",
                                         "t",
                                         "x",
                                         NULL};
    const struct made m = {"gpt2",
                           "gpt-2",
                           NULL,
                           tokens,
                           (const char *const[]){"e n", NULL},
                           (const uint8_t[]){1, 3, 4, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1},
                           {"add_bos_token"},
                           {"bos_token_id"},
                           {1}};
    struct error e = {0};
    struct tokenizer *t = make(&m, &e);
    check_ids(t, "<s><u>", PLAIN, "3 7 6 2"); /* what the user defined is found in any text */
    check_ids(t, "<s><u>", MARKED, "1 1 2");
    /* marked by its text, whatever type the file gives it */
    check_ids(t, "s<|endoftext|>s", MARKED, "1 7 0 7");
    check_ids(t, "<|e", SPECIAL, "1 3 4 9");
    tokenizer_free(t);
}

TEST(blanks_belong_to_special_tokens_where_llama_cpp_says_so)
{
    static const char *const tokens[] = {"<unk>", "<s>", "</s>", "<|end|>", "\xe2\x96\x81", "a", NULL};
    static const uint8_t types[] = {2, 3, 3, 3, 1, 1};
    struct made m = {"llama", NULL, "Phi-3 mini", tokens, NULL, types, {"!add_space_prefix"}};
    struct error e = {0};
    struct tokenizer *t = make(&m, &e);
    check_ids(t, "a <|end|>  a<s> a", MARKED, "1 5 4 3 5 1 4 5");
    tokenizer_free(t);
    m.name = "another";
    t = make(&m, &e);
    check_ids(t, "a <|end|> a", MARKED, "1 5 4 3 4 5");
    tokenizer_free(t);
    static const char *const masked[] = {"<mask>", "a", "\xc4\xa0", NULL};
    m = (struct made){
        "gpt2", "jina-v2-de", NULL, masked, (const char *const[]){"a a", NULL}, (const uint8_t[]){3, 1, 1}};
    t = make(&m, &e);
    check_ids(t, "a  <mask> a", MARKED, "1 0 2 1");
    tokenizer_free(t);
}

TEST(a_wordpiece_vocabulary_says_what_it_does_to_letters)
{
    static const char *const tokens[] = {"[UNK]",
                                         "[CLS]",
                                         "[SEP]",
                                         "\xe2\x96\x81"
                                         "e",
                                         "\xe2\x96\x81\xc3\xa9",
                                         "\xe2\x96\x81"
                                         "E",
                                         "\xe2\x96\x81\xc3\x89",
                                         "\xcc\x81",
                                         NULL};
    struct made m = {"bert", NULL,
                     NULL,   tokens,
                     NULL,   (const uint8_t[]){2, 3, 3, 1, 1, 1, 1, 1},
                     {NULL}, {"bos_token_id", "seperator_token_id"},
                     {1, 2}};
    static const struct {
        const char *flags[3], *wanted;
    } cases[] = {{{NULL}, "1 3 3 2"}, /* \xc3\x89, and E with an accent of its own: the accents go */
                 {{"normalizer.lowercase", "!normalizer.strip_accents"}, "1 4 3 7 2"},
                 {{"!normalizer.lowercase"}, "1 6 5 7 2"},
                 {{"!add_bos_token", "!add_eos_token"}, "1 3 3 2"}}; /* no say in this kind */
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error e = {0};
        memcpy(m.flags, cases[i].flags, sizeof m.flags);
        struct tokenizer *t = make(&m, &e);
        check_ids(t, "\xc3\x89 E\xcc\x81", SPECIAL, cases[i].wanted);
        tokenizer_free(t);
    }
}

TEST(a_vocabulary_too_small_for_the_usual_special_tokens_has_none)
{
    static const char *const kinds[] = {"llama", "bert", "gpt2"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct made m = {kinds[i],
                               i == 2 ? "llama-bpe" : NULL,
                               NULL,
                               (const char *const[]){"a",
                                                     "\xe2\x96\x81"
                                                     "a",
                                                     NULL},
                               (const char *const[]){"a a", NULL},
                               .flags = {"!add_space_prefix", "add_eos_token"},
                               .ids = {"bos_token_id", "seperator_token_id"},
                               .id = {70, 70}};
        struct error e = {0};
        struct tokenizer *t = make(&m, &e);
        check_ids(t, "x", PLAIN, i == 0 ? "0" : "");                     /* and what is unknown */
        check_ids(t, "a", SPECIAL, i == 0 ? "1 0" : i == 1 ? "1" : "0"); /* of llama 1 is there, 2 is not */
        tokenizer_free(t);
    }
}

TEST(vocabularies_of_other_kinds_are_refused_by_name)
{
    static const char *const kinds[] = {"t5", "rwkv", "plamo2", "whitespace", "hybriddna", "none"};
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct made m = {kinds[i], NULL, NULL, (const char *const[]){"a", NULL}, NULL, .types = NULL};
        struct error e = {0};
        CHECK(make(&m, &e) == NULL);
        CHECK_INT(e.kind, ERROR_UNSUPPORTED);
        CHECK_CONTAINS(e.text, kinds[i]);
    }
}

/* A run of numbers is counted once, not once for every three of them. */
TEST(a_million_digits_are_cut_in_no_time)
{
    static const char *const rules[] = {"afmoe", "superbpe"};
    enum { DIGITS = 1000000 };
    char *digits = malloc(DIGITS);
    memset(digits, '7', DIGITS);
    for (int i = 0; i < 2; i++) {
        struct error e = {0};
        struct token_ids ids = {0};
        struct tokenizer *t = with_rule(rules[i], &e);
        CHECK(t && tokenizer_encode(t, digits, DIGITS, false, &ids, &e) == 0);
        CHECK_INT((long long)ids.n, DIGITS / 3 + 1);
        token_ids_free(&ids);
        tokenizer_free(t);
    }
    free(digits);
}
