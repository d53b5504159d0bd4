#include "engine/model/vocabulary.h"
#include "presets/catalog.h"
#include "tests/test.h"

/* What the user has in the own folders must not decide. */
__attribute__((constructor)) static void leave_home(void)
{
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

static struct vocabulary *open_of(const char *model, const char *adapted)
{
    struct model_spec m;
    struct error e = {0};
    struct vocabulary *v = NULL;
    if (catalog_model(model, &m, &e) != 0 || !(v = vocabulary_open(&m, adapted, &e)))
        TEST_FAIL("%s", e.text);
    return v;
}

TEST(a_catalog_model_cuts_text_by_the_vocabulary_it_names)
{
    static const int32_t wanted[] = {15496, 995};
    struct vocabulary *v = open_of("gpt2-124m", "standard");
    struct token_ids ids = {0};
    struct error e = {0};
    size_t size = 0;
    if (!v)
        return;
    CHECK_INT(vocabulary_size(v), 50257);
    CHECK_STRING(vocabulary_kind(v), "gpt2, gpt-2");
    CHECK_INT(vocabulary_encode(v, "Hello world", 11, false, &ids, &e), 0);
    CHECK(ids.n == 2 && memcmp(ids.id, wanted, sizeof wanted) == 0);
    char *back = vocabulary_decode(v, ids.id, ids.n, &size, &e);
    CHECK(back && size == 11 && strcmp(back, "Hello world") == 0);
    free(back);
    token_ids_free(&ids);
    vocabulary_free(v);
}

TEST(every_gpt2_of_the_catalog_names_the_shipped_vocabulary)
{
    struct catalog_list l;
    struct error e = {0};
    int named = 0;
    CHECK_INT(catalog_list(CATALOG_MODELS, &l, &e), 0);
    for (int i = 0; i < l.n; i++) {
        struct model_spec m;
        CHECK_INT(catalog_model(l.entry[i].name, &m, &e), 0);
        CHECK_INT(m.vocabulary[0] != '\0', m.family == MODEL_GPT2);
        named += m.vocabulary[0] != '\0';
    }
    CHECK(named >= 4);
    catalog_list_free(&l);
}

TEST(a_model_without_a_vocabulary_says_why_and_what_to_choose)
{
    struct model_spec m;
    struct error e = {0};
    CHECK_INT(catalog_model("llama3-8b", &m, &e), 0);
    CHECK(vocabulary_open(&m, "standard", &e) == NULL);
    CHECK_CONTAINS(e.text, "llama3-8b names no vocabulary");
    CHECK_CONTAINS(e.text, "GGUF file");
}

TEST(rows_that_pad_a_model_decode_to_nothing_and_fewer_rows_are_refused)
{
    struct model_spec m;
    struct error e = {0};
    size_t size = 1;
    int32_t ids[] = {15496, 50300, 995};
    CHECK_INT(catalog_model("gpt2-124m", &m, &e), 0);
    m.vocab = 50304;
    struct vocabulary *v = vocabulary_open(&m, NULL, &e);
    CHECK(v && vocabulary_size(v) == 50304);
    char *back = v ? vocabulary_decode(v, ids, 3, &size, &e) : NULL;
    CHECK(back && strcmp(back, "Hello world") == 0);
    free(back);
    ids[1] = 50304;
    CHECK(v && vocabulary_decode(v, ids, 3, &size, &e) == NULL);
    CHECK_CONTAINS(e.text, "outside the vocabulary of 50304 tokens");
    vocabulary_free(v);
    m.vocab = 50256;
    CHECK(vocabulary_open(&m, NULL, &e) == NULL);
    CHECK_CONTAINS(e.text, "50257 tokens");
}

TEST(vocabularies_and_texts_are_found_by_name_and_by_path)
{
    char path[1024];
    struct error e = {0};
    CHECK_INT(catalog_find(CATALOG_VOCABULARIES, "gpt-2", path, sizeof path, &e), 0);
    CHECK_CONTAINS(path, "presets/vocabularies/gpt-2.gguf");
    CHECK_INT(catalog_find(CATALOG_TEXTS, "tinyshakespeare", path, sizeof path, &e), 0);
    CHECK_CONTAINS(path, "presets/texts/tinyshakespeare.txt");
    CHECK_INT(catalog_find(CATALOG_TEXTS, "notes.txt", path, sizeof path, &e), 0);
    CHECK_STRING(path, "notes.txt");
    CHECK_INT(catalog_find(CATALOG_TEXTS, "tinyshakespear", path, sizeof path, &e), -1);
    CHECK_CONTAINS(e.text, "did you mean tinyshakespeare?");
    CHECK_INT(catalog_find(CATALOG_VOCABULARIES, "gpt2", path, sizeof path, &e), -1);
    CHECK_CONTAINS(e.text, "did you mean gpt-2?");
}

TEST(an_adapted_vocabulary_has_rows_of_its_own_and_says_that_output_differs)
{
    static const char text[] = "KING RICHARD III:\nNow is the winter of our discontent,\n";
    struct model_spec m, adapted;
    struct error e = {0};
    struct token_ids ids = {0}, standard = {0};
    struct vocabulary *v = open_of("gpt2-124m", "shakespeare-gpt-2"), *s = open_of("gpt2-124m", NULL);
    size_t size = 0;
    if (!v || !s)
        return;
    CHECK_STRING(vocabulary_label(v), "output not equivalent (embeddings not fine-tuned)");
    CHECK(vocabulary_label(s) == NULL);
    CHECK_INT(catalog_model("gpt2-124m", &m, &e), 0);
    for (int again = 0; again < 2; again++) {
        CHECK_INT(vocabulary_model(&m, "shakespeare-gpt-2", &adapted, &e), 0);
        CHECK_INT(adapted.vocab, vocabulary_size(v));
        CHECK(m.tied && !adapted.tied);
    }
    CHECK_INT(vocabulary_encode(v, text, strlen(text), false, &ids, &e), 0);
    CHECK_INT(vocabulary_encode(s, text, strlen(text), false, &standard, &e), 0);
    CHECK(ids.n < standard.n);
    char *back = vocabulary_decode(v, ids.id, ids.n, &size, &e);
    CHECK(back && strcmp(back, text) == 0);
    const int32_t *part;
    CHECK_INT(vocabulary_parts(v, vocabulary_end(v), &part), 1);
    CHECK_INT(*part, vocabulary_end(s)); /* the same token under its new number */
    CHECK(vocabulary_parts(v, vocabulary_size(v) - 1, &part) >= 2);
    CHECK_INT(vocabulary_parts(s, 17, &part), 1);
    CHECK_INT(*part, 17);
    double mine = 0, theirs = 0;
    CHECK_INT(vocabulary_bytes_per_token(v, text, strlen(text), &mine, &e), 0);
    CHECK_INT(vocabulary_bytes_per_token(s, text, strlen(text), &theirs, &e), 0);
    CHECK_CLOSE(mine, (double)strlen(text) / (double)ids.n, 1e-12);
    CHECK(mine > theirs);
    free(back);
    token_ids_free(&ids);
    token_ids_free(&standard);
    vocabulary_free(v);
    vocabulary_free(s);
}

TEST(an_unknown_or_unfitting_vocabulary_is_refused_with_what_to_do)
{
    struct model_spec m;
    struct error e = {0};
    CHECK_INT(catalog_model("gpt2-124m", &m, &e), 0);
    CHECK(vocabulary_open(&m, "shakespear-gpt-2", &e) == NULL);
    CHECK_CONTAINS(e.text, "did you mean shakespeare-gpt-2");
    CHECK_CONTAINS(e.text, "benchtop vocab build MODEL --text FILE --out shakespear-gpt-2.json");
    CHECK_INT(vocabulary_model(&m, "shakespear-gpt-2", &m, &e), -1);
    CHECK_INT(m.vocab, 50257);
    CHECK(vocabulary_open(&m, "gpt-2", &e) == NULL);
    CHECK_CONTAINS(e.text, "not an adapted one");
    CHECK_INT(catalog_model("llama-7b", &m, &e), 0);
    CHECK_INT(vocabulary_model(&m, "shakespeare-gpt-2", &m, &e), -1);
    CHECK_CONTAINS(e.text, "llama-7b names no vocabulary");
}
