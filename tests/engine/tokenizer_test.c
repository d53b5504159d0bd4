#include "engine/model/tokenizer.h"
#include "engine/model/unicode.h"
#include "tests/test.h"

#include <sys/stat.h>

static char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *text = f ? malloc(1 << 22) : NULL;
    *size = text ? fread(text, 1, 1 << 22, f) : 0;
    if (f)
        fclose(f);
    return text;
}

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

static const char gpt2[] = "presets/vocabularies/gpt-2.gguf";

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
