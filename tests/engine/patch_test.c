#include "engine/model/patch.h"
#include "presets/json.h"
#include "tests/engine/gpt2.h"

static int32_t id_of(const struct tokenizer *t, const char *text)
{
    struct token_ids ids = {0};
    struct error e = {0};
    CHECK_INT(tokenizer_encode(t, text, strlen(text), false, &ids, &e), 0);
    CHECK_INT((long long)ids.n, 1);
    int32_t id = ids.n ? ids.id[0] : -1;
    token_ids_free(&ids);
    return id;
}

/* By hand: " the" is gone (it is made of " t" and "he"), and three n-grams are there. */
static struct patch *by_hand(const struct tokenizer *t, struct vocabulary_file *f, int32_t *part,
                             struct error *e)
{
    static int32_t removed[1];
    static int8_t length[] = {2, 3, 2};
    removed[0] = id_of(t, " the");
    part[0] = id_of(t, " t"), part[1] = id_of(t, "he");
    part[2] = id_of(t, " t"), part[3] = id_of(t, "he"), part[4] = id_of(t, " king");
    part[5] = id_of(t, " king"), part[6] = id_of(t, ",");
    *f = (struct vocabulary_file){.fingerprint = tokenizer_fingerprint(t),
                                  .base_tokens = tokenizer_size(t),
                                  .removed = removed,
                                  .n_removed = 1,
                                  .length = length,
                                  .n_added = 3,
                                  .part = part,
                                  .n_parts = 7};
    return patch_open(f, t, "by hand", e);
}

TEST(removed_tokens_are_taken_apart_and_the_first_matching_n_gram_wins)
{
    struct tokenizer *t = gpt2();
    struct vocabulary_file f;
    struct error e = {0};
    struct token_ids ids = {0}, out = {0}, back = {0};
    int32_t part[7];
    struct patch *p = t ? by_hand(t, &f, part, &e) : NULL;
    const int32_t *parts;
    if (!p) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(patch_size(p), tokenizer_size(t) - 1 + 3);
    CHECK_INT(patch_kept(p), tokenizer_size(t) - 1);
    CHECK_INT(tokenizer_encode(t, " the king,", 10, false, &ids, &e), 0);
    CHECK_INT(patch_encode(p, ids.id, ids.n, &out, &e), 0);
    /* " the" is the first n-gram and stands before the longer " the king"; then " king," */
    CHECK_INT((long long)out.n, 2);
    CHECK_INT(out.n > 0 ? out.id[0] : -1, patch_kept(p));
    CHECK_INT(out.n > 1 ? out.id[1] : -1, patch_kept(p) + 2);
    CHECK_INT(patch_parts(p, patch_kept(p) + 1, &parts), 3);
    CHECK_INT(parts[2], id_of(t, " king"));
    CHECK_INT(patch_parts(p, 0, &parts), 1);
    CHECK_INT(patch_decode(p, out.id, out.n, &back, &e), 0);
    size_t n = 0;
    char *text = tokenizer_decode(t, back.id, back.n, &n, &e);
    CHECK(text && n == 10 && strcmp(text, " the king,") == 0);
    free(text);
    token_ids_free(&ids);
    token_ids_free(&out);
    token_ids_free(&back);
    patch_free(p);
    tokenizer_free(t);
}

TEST(ids_outside_leave_nothing_behind)
{
    struct tokenizer *t = gpt2();
    struct vocabulary_file f;
    struct error e = {0};
    struct token_ids out = {0};
    int32_t part[7], ids[] = {5, 50257};
    struct patch *p = t ? by_hand(t, &f, part, &e) : NULL;
    CHECK(p && patch_encode(p, ids, 2, &out, &e) == -1 && out.n == 0);
    CHECK_CONTAINS(e.text, "token 50257 is outside the vocabulary of 50257");
    ids[1] = p ? patch_size(p) : 0;
    CHECK(p && patch_decode(p, ids, 2, &out, &e) == -1 && out.n == 0);
    CHECK_CONTAINS(e.text, "outside the vocabulary of 50259");
    token_ids_free(&out);
    patch_free(p);
    tokenizer_free(t);
}

TEST(a_file_for_another_vocabulary_is_refused)
{
    struct tokenizer *t = gpt2();
    struct vocabulary_file f;
    struct error e = {0};
    int32_t part[7];
    patch_free(t ? by_hand(t, &f, part, &e) : NULL);
    f.fingerprint++;
    CHECK(t && patch_open(&f, t, "v.json", &e) == NULL);
    CHECK_CONTAINS(e.text, "v.json was built for another vocabulary");
    CHECK_CONTAINS(e.text, "benchtop vocab build");
    f.fingerprint--;
    f.removed[0] = 3; /* a letter */
    CHECK(t && patch_open(&f, t, "v.json", &e) == NULL);
    CHECK_CONTAINS(e.text, "removes token 3, which no merge makes");
    tokenizer_free(t);
}

TEST(any_bytes_come_back_through_the_shipped_vocabulary)
{
    struct tokenizer *t = gpt2();
    struct vocabulary_file f = {0};
    struct error e = {0};
    if (!t || vocabulary_file_load("presets/vocabularies/shakespeare-gpt-2.json", &f, NULL, &e) != 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    struct patch *p = patch_open(&f, t, "shakespeare-gpt-2", &e);
    size_t text_size = 0;
    char *text = json_read_file("presets/texts/tinyshakespeare.txt", 1 << 22, &text_size, &e);
    uint32_t state = 11;
    for (int round = 0; p && text && round < 400; round++) {
        char bytes[512];
        size_t n = (size_t)(round * 7 % 512), size = 0;
        struct token_ids ids = {0}, fresh = {0}, back = {0};
        for (size_t i = 0; i < n; i++) { /* noise, sparse noise with NULs, text, text with stray bytes */
            state = state * 1664525u + 1013904223u;
            size_t at = (size_t)round * 2003 + i;
            bytes[i] = round % 4 == 0                  ? (char)(state >> 24)
                       : round % 4 == 1                ? (char)(state >> 29)
                       : round % 4 == 2 || state >> 28 ? text[at % text_size]
                                                       : (char)(state >> 16);
        }
        CHECK_INT(tokenizer_encode(t, bytes, n, false, &ids, &e), 0);
        CHECK_INT(patch_encode(p, ids.id, ids.n, &fresh, &e), 0);
        for (size_t i = 0; i < fresh.n; i++)
            CHECK(fresh.id[i] >= 0 && fresh.id[i] < patch_size(p));
        CHECK_INT(patch_decode(p, fresh.id, fresh.n, &back, &e), 0);
        char *again = tokenizer_decode(t, back.id, back.n, &size, &e);
        CHECK(again && size == n && memcmp(again, bytes, n) == 0);
        free(again);
        token_ids_free(&ids);
        token_ids_free(&fresh);
        token_ids_free(&back);
    }
    CHECK(p && text);
    free(text);
    patch_free(p);
    vocabulary_file_free(&f);
    tokenizer_free(t);
}
