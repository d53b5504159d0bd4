#define _GNU_SOURCE /* memmem */
#include "engine/model/unicode.h"
#include "tests/engine/made_vocabulary.h"

#include <sys/stat.h>

static struct tokenizer *open_file(const char *path)
{
    struct gguf g;
    struct error e = {0};
    if (gguf_open(path, &g, &e) != 0) {
        TEST_FAIL("%s", e.text);
        return NULL;
    }
    struct tokenizer *t = tokenizer_open(&g, &e);
    if (!t)
        TEST_FAIL("%s", e.text);
    gguf_close(&g);
    return t;
}

/* Every case of CASES.inp gives the ids on its line of CASES.out. */
static void check_cases(const char *base, const char *cases_at)
{
    static const char mark[] = "\n__ggml_vocab_test__\n";
    char path[512];
    size_t in_size, out_size;
    struct tokenizer *t = open_file(base);
    snprintf(path, sizeof path, "%s.inp", cases_at);
    char *in = read_file(path, &in_size);
    snprintf(path, sizeof path, "%s.out", cases_at);
    char *out = read_file(path, &out_size);
    if (!t || !in || !out) {
        TEST_FAIL("%s or its cases cannot be read", base);
        return;
    }
    in[in_size] = out[out_size] = '\0';
    char *line = out;
    int cases = 0;
    for (char *at = in; at && line;) {
        char *end = strstr(at, mark), *next = strchr(line, '\n');
        size_t n = end ? (size_t)(end - at) : strlen(at);
        struct token_ids ids = {0};
        struct error e = {0};
        if (!end)
            break; /* what follows the last mark is no case */
        CHECK_INT(tokenizer_encode(t, at, n, false, &ids, &e), 0);
        char *word = line;
        bool same = true;
        size_t i = 0;
        for (; word < (next ? next : line + strlen(line)); i++) {
            char *stop;
            long id = strtol(word, &stop, 10);
            if (stop == word)
                break;
            same = same && i < ids.n && ids.id[i] == id;
            word = stop;
            while (*word == ' ')
                word++;
        }
        if (!same || i != ids.n)
            TEST_FAIL("%s, case %d (%.40s): %zu ids, wanted %zu", base, cases, at, ids.n, i);
        token_ids_free(&ids);
        cases++;
        at = end + strlen(mark);
        line = next ? next + 1 : NULL;
    }
    CHECK(cases >= 40);
    free(in);
    free(out);
    tokenizer_free(t);
}

TEST(every_case_of_the_gpt_2_vocabulary_is_exact)
{
    check_cases(gpt2, "tests/data/vocab/gpt-2");
}

/* Other vocabularies have licenses of their own and are not part of the tree: a folder of them may be named.
 */
TEST(every_case_of_the_vocabularies_named_is_exact)
{
    static const char *const names[] = {"llama-spm", "bert-bge", "phi-3"};
    const char *folder = getenv("BENCHTOP_VOCABULARIES");
    if (!folder) {
        SKIP("BENCHTOP_VOCABULARIES names no folder with ggml-vocab-*.gguf files");
        return;
    }
    for (int i = 0; i < 3; i++) {
        char path[400];
        struct stat s;
        snprintf(path, sizeof path, "%s/ggml-vocab-%s.gguf", folder, names[i]);
        if (stat(path, &s) == 0)
            check_cases(path, path);
    }
}

TEST(any_bytes_come_back_through_the_byte_level_vocabulary)
{
    struct tokenizer *t = open_file(gpt2);
    uint32_t state = 7;
    for (int round = 0; t && round < 200; round++) {
        char bytes[300], *back;
        size_t n = (size_t)(round * 3 % 300), size = 0;
        struct token_ids ids = {0};
        struct error e = {0};
        for (size_t i = 0; i < n; i++)
            bytes[i] = (char)((state = state * 1664525u + 1013904223u) >> (round % 2 ? 24 : 26));
        CHECK_INT(tokenizer_encode(t, bytes, n, false, &ids, &e), 0);
        back = tokenizer_decode(t, ids.id, ids.n, &size, &e);
        CHECK(back && size == n && memcmp(back, bytes, n) == 0);
        free(back);
        token_ids_free(&ids);
    }
    tokenizer_free(t);
}

TEST(an_id_outside_the_vocabulary_is_refused)
{
    struct tokenizer *t = open_file(gpt2);
    struct error e = {0};
    size_t size;
    int32_t id = t ? tokenizer_size(t) : 0;
    CHECK(t && tokenizer_decode(t, &id, 1, &size, &e) == NULL);
    CHECK_CONTAINS(e.text, "outside the vocabulary");
    tokenizer_free(t);
}

TEST(files_without_a_vocabulary_say_so)
{
    struct gguf g;
    struct error e = {0};
    CHECK_INT(gguf_open("tests/data/malformed/gguf/v02_valid_kv.gguf", &g, &e), 0);
    CHECK(tokenizer_open(&g, &e) == NULL);
    CHECK_CONTAINS(e.text, "no vocabulary");
    gguf_close(&g);
}

TEST(unicode_knows_letters_digits_blanks_and_bases)
{
    CHECK(unicode_is_letter(0xe9) && unicode_is_letter(0x4e2d) && !unicode_is_letter('1'));
    CHECK(unicode_is_number(0x0663) && unicode_is_number(0xbd) && !unicode_is_number('a'));
    CHECK(unicode_is_space(0x3000) && !unicode_is_space('x'));
    CHECK_INT(unicode_lower(0xc9), 0xe9);
    CHECK_INT(unicode_base(0xe9), 'e');
    CHECK_INT(unicode_base(0xac00), 0x1100);
    size_t length;
    CHECK_INT(unicode_decode("\xc3\xa9", 2, &length), 0xe9);
    CHECK_INT((long long)length, 2);
    CHECK_INT(unicode_decode("\xc3", 1, &length), UNICODE_REPLACEMENT);
    CHECK_INT(unicode_decode("\xed\xa0\x80", 3, &length), UNICODE_REPLACEMENT); /* a surrogate */
    for (uint32_t code = 1; code < 0x110000; code += code < 0x3000 ? 1 : 997) {
        char bytes[4];
        if (code >= 0xd800 && code < 0xe000)
            continue;
        size_t n = unicode_encode(code, bytes);
        CHECK_INT(unicode_decode(bytes, n, &length), code);
        CHECK_INT((long long)length, (long long)n);
    }
}

TEST(every_rule_of_cutting_words_gives_the_ids_of_llama_cpp)
{
    size_t in_size, out_size;
    char *in = read_file("tests/data/vocab/pre-tokenizers.inp", &in_size);
    char *out = read_file("tests/data/vocab/pre-tokenizers.out", &out_size), *save = NULL;
    int rules = 0;
    out[out_size] = '\0';
    for (char *line = strtok_r(out, "\n", &save); line; line = strtok_r(NULL, "\n", &save), rules++) {
        struct error e = {0};
        struct token_ids ids = {0};
        char *space = strchr(line, ' ');
        *space = '\0';
        struct tokenizer *t = with_rule(line, &e);
        size_t i = 0;
        if (!t || tokenizer_encode(t, in, in_size, false, &ids, &e) != 0)
            TEST_FAIL("%s", e.text);
        for (char *word = space + 1, *end; t; word = end, i++) {
            long id = strtol(word, &end, 10);
            if (end == word)
                break;
            if (i >= ids.n || ids.id[i] != id) {
                TEST_FAIL("%s: token %zu is not %ld", line, i, id);
                break;
            }
        }
        CHECK_INT((long long)ids.n, (long long)i);
        token_ids_free(&ids);
        tokenizer_free(t);
    }
    CHECK_INT(rules, 29);
    free(in);
    free(out);
}

TEST(rules_that_are_not_known_are_refused_by_name)
{
    static const char *const names[] = {"whitespace", "gpt", "gpt-2 phi-2", " ", "kimi-k2\x1b[31m"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct error e = {0};
        CHECK(with_rule(names[i], &e) == NULL);
        CHECK_INT(e.kind, ERROR_UNSUPPORTED);
        CHECK_CONTAINS(e.text, "is not known here");
        CHECK(error_text_is_plain(e.text));
    }
}

/* Every rule leaves every byte of a text where it was. */
TEST(any_bytes_come_back_whatever_the_rule)
{
    static const char *const names[] = {"llama-bpe",
                                        "qwen2",
                                        "starcoder",
                                        "falcon",
                                        "default",
                                        "deepseek-llm",
                                        "deepseek-coder",
                                        "deepseek-v3",
                                        "tekken",
                                        "gpt-4o",
                                        "bloom",
                                        "viking",
                                        "jais-2",
                                        "qwen35",
                                        "spark2_5",
                                        "youtu",
                                        "granite-embed-multi-97m",
                                        "tiny_aya",
                                        "superbpe",
                                        "seed-coder",
                                        "afmoe",
                                        "laguna",
                                        "exaone-moe",
                                        "kimi-k2",
                                        "minicpm5",
                                        "chameleon"};
    uint32_t state = 3;
    for (size_t r = 0; r < sizeof names / sizeof *names; r++) {
        struct error e = {0};
        struct tokenizer *t = with_rule(names[r], &e);
        for (int round = 0; t && round < 60; round++) {
            char bytes[256], *back;
            size_t n = (size_t)(round * 5 % 256), size = 0;
            struct token_ids ids = {0};
            for (size_t i = 0; i < n; i++) {
                state = state * 1664525u + 1013904223u;
                bytes[i] = round % 3 ? " aB1'\n~\xe2\x80\xa8\xcc\x81.\xf0\x9f\x99\x82"[state >> 24 & 15]
                                     : (char)(state >> 24);
            }
            CHECK_INT(tokenizer_encode(t, bytes, n, false, &ids, &e), 0);
            back = tokenizer_decode(t, ids.id, ids.n, &size, &e);
            if (!back || size != n || memcmp(back, bytes, n) != 0)
                TEST_FAIL("%s, round %d: other bytes came back", names[r], round);
            free(back);
            token_ids_free(&ids);
        }
        CHECK(t != NULL);
        tokenizer_free(t);
    }
}

/* Bytes, letters and some merges, as SentencePiece writes them. */
static struct tokenizer *sentencepiece(bool prefix, struct error *e)
{
    static const char *const words[] = {"\xe2\x96\x81",
                                        "a",
                                        "b",
                                        "\xc3\xa9",
                                        "ab",
                                        "\xe2\x96\x81"
                                        "a",
                                        "\xe2\x96\x81"
                                        "ab",
                                        "\xe2\x96\x81\xe2\x96\x81"};
    enum { WORDS = 8, TOKENS = 3 + 256 + WORDS };
    struct file f = {0};
    uint64_t counts[] = {0, 5}, n = TOKENS;
    put(&f, "GGUF", 4);
    put_u32(&f, 3);
    put(&f, counts, sizeof counts);
    put_text(&f, "tokenizer.ggml.model");
    put_u32(&f, GGUF_STRING);
    put_text(&f, "llama");
    put_text(&f, "tokenizer.ggml.add_space_prefix");
    put_u32(&f, GGUF_BOOL);
    put(&f, &prefix, 1);
    put_text(&f, "tokenizer.ggml.tokens");
    put_u32(&f, GGUF_ARRAY);
    put_u32(&f, GGUF_STRING);
    put(&f, &n, sizeof n);
    for (int i = 0; i < TOKENS; i++) {
        char byte[8];
        snprintf(byte, sizeof byte, "<0x%02X>", (unsigned)(i - 3) & 255);
        put_text(&f, i == 0 ? "<unk>" : i == 1 ? "<s>" : i == 2 ? "</s>" : i < 259 ? byte : words[i - 259]);
    }
    put_text(&f, "tokenizer.ggml.scores");
    put_u32(&f, GGUF_ARRAY);
    put_u32(&f, GGUF_F32);
    put(&f, &n, sizeof n);
    for (int i = 0; i < TOKENS; i++)
        put(&f, &(float){(float)-i}, sizeof(float));
    put_text(&f, "tokenizer.ggml.token_type");
    put_u32(&f, GGUF_ARRAY);
    put_u32(&f, GGUF_I32);
    put(&f, &n, sizeof n);
    for (int i = 0; i < TOKENS; i++)
        put_u32(&f, i == 0 ? 2 : i < 3 ? 3 : i < 259 ? 6 : 1);
    struct tokenizer *t = parse(&f, e);
    free(f.bytes);
    return t;
}

TEST(any_bytes_come_back_through_byte_tokens)
{
    for (int prefix = 0; prefix < 2; prefix++) {
        struct error e = {0};
        struct tokenizer *t = sentencepiece(prefix == 1, &e);
        uint32_t state = 5;
        if (!t)
            TEST_FAIL("%s", e.text);
        for (int round = 0; t && round < 300; round++) {
            char bytes[128], *back;
            size_t n = (size_t)(round * 7 % 128), size = 0;
            struct token_ids ids = {0};
            for (size_t i = 0; i < n; i++) {
                state = state * 1664525u + 1013904223u;
                bytes[i] = round % 2 ? " ab\xc3\xa9\0\n\xff"[state >> 24 & 7] : (char)(state >> 24);
            }
            /* U+2581 itself stands for a blank: SentencePiece cannot tell them apart */
            for (size_t i = 0; i + 2 < n; i++)
                if (memcmp(bytes + i, "\xe2\x96\x81", 3) == 0)
                    bytes[i] = 'x';
            CHECK_INT(tokenizer_encode(t, bytes, n, false, &ids, &e), 0);
            back = tokenizer_decode(t, ids.id, ids.n, &size, &e);
            if (!back || size != n || memcmp(back, bytes, n) != 0)
                TEST_FAIL("round %d: other bytes came back", round);
            free(back);
            token_ids_free(&ids);
        }
        tokenizer_free(t);
    }
}
