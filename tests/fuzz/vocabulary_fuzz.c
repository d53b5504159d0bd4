/* Adapted vocabularies: whatever the bytes, they are refused in words or written and read back the same, and
 * text goes through them and comes back. */
#include "engine/model/patch.h"
#include "presets/catalog.h"
#include "presets/vocabulary_file.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct tokenizer *base(void)
{
    static struct tokenizer *t;
    struct gguf g;
    if (!t && gguf_open("presets/vocabularies/gpt-2.gguf", &g, NULL) == 0) {
        t = tokenizer_open(&g, NULL);
        gguf_close(&g);
    }
    return t;
}

static void through(const struct vocabulary_file *f, const uint8_t *data, size_t size)
{
    struct token_ids ids = {0}, fresh = {0}, back = {0};
    struct patch *p = patch_open(f, base(), "fuzzed", NULL);
    size_t n = 0;
    if (p && tokenizer_encode(base(), (const char *)data, size, false, &ids, NULL) == 0) {
        if (patch_encode(p, ids.id, ids.n, &fresh, NULL) != 0 ||
            patch_decode(p, fresh.id, fresh.n, &back, NULL) != 0)
            abort();
        char *text = tokenizer_decode(base(), back.id, back.n, &n, NULL);
        if (!text || n != size || memcmp(text, data, size) != 0)
            abort();
        free(text);
    }
    token_ids_free(&ids);
    token_ids_free(&fresh);
    token_ids_free(&back);
    patch_free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct vocabulary_file f = {0};
    struct error e = {0};
    if (vocabulary_file_parse((const char *)data, size, "fuzzed", &f, NULL, &e) != 0) {
        if (e.kind == ERROR_NONE || !e.text[0])
            abort();
        return 0;
    }
    if (base()) { /* the fuzzer need not find the fingerprint */
        f.fingerprint = tokenizer_fingerprint(base());
        through(&f, data, size);
    }
    vocabulary_file_free(&f);
    return 0;
}
