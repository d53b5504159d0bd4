#include "engine/model/vocabulary.h"

#include "presets/catalog.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

struct vocabulary {
    struct tokenizer *base;
    int size; /* rows of the model */
};

/* Where the model's own vocabulary stands. */
static int base_path(const struct model_spec *m, char *path, size_t size, struct error *e)
{
    if (!m->vocabulary[0])
        return error_set(e, ERROR_USAGE,
                         "%s names no vocabulary, so that no text can be cut into its tokens (the license of "
                         "its own does not let it be shipped): choose a gpt2 model, or a GGUF file",
                         m->name);
    return catalog_find(CATALOG_VOCABULARIES, m->vocabulary, path, size, e);
}

static struct tokenizer *open_base(const struct model_spec *m, struct error *e)
{
    char path[PATH_MAX];
    struct gguf g;
    if (base_path(m, path, sizeof path, e) != 0 || gguf_open(path, &g, e) != 0)
        return NULL;
    struct tokenizer *t = tokenizer_open(&g, e);
    gguf_close(&g);
    if (t && tokenizer_size(t) > m->vocab) {
        error_set(e, ERROR_FAILED,
                  "%s has %d tokens, but %s has %d rows for them: give the model the vocabulary it was made "
                  "with",
                  path, tokenizer_size(t), m->name, m->vocab);
        tokenizer_free(t);
        return NULL;
    }
    return t;
}

struct vocabulary *vocabulary_open(const struct model_spec *m, const char *adapted, struct error *e)
{
    if (adapted && adapted[0] && strcmp(adapted, "standard") != 0) {
        error_set(e, ERROR_UNSUPPORTED, "vocabulary %.64s: only standard is known: choose it", adapted);
        return NULL;
    }
    struct vocabulary *v = calloc(1, sizeof *v);
    if (!v) {
        error_set(e, ERROR_MEMORY, "no memory for the vocabulary of %s: close other programs", m->name);
        return NULL;
    }
    v->size = m->vocab;
    v->base = open_base(m, e);
    if (!v->base) {
        vocabulary_free(v);
        return NULL;
    }
    return v;
}

void vocabulary_free(struct vocabulary *v)
{
    if (!v)
        return;
    tokenizer_free(v->base);
    free(v);
}

int vocabulary_encode(const struct vocabulary *v, const char *text, size_t n, bool special,
                      struct token_ids *out, struct error *e)
{
    return tokenizer_encode(v->base, text, n, special, out, e);
}

/* Without the rows that pad the model: they have no text. Caller frees. */
static int32_t *real_ids(const struct vocabulary *v, const int32_t *id, size_t n, size_t *kept,
                         struct error *e)
{
    int32_t *real = malloc((n + 1) * sizeof *real);
    *kept = 0;
    if (!real)
        error_set(e, ERROR_MEMORY, "no memory for %zu tokens: close other programs", n);
    for (size_t i = 0; real && i < n; i++) {
        if (id[i] < 0 || id[i] >= v->size) {
            error_set(e, ERROR_FAILED, "token %d is outside the vocabulary of %d tokens", id[i], v->size);
            free(real);
            return NULL;
        }
        if (id[i] < tokenizer_size(v->base))
            real[(*kept)++] = id[i];
    }
    return real;
}

char *vocabulary_decode(const struct vocabulary *v, const int32_t *id, size_t n, size_t *size,
                        struct error *e)
{
    size_t kept;
    int32_t *real = real_ids(v, id, n, &kept, e);
    char *text = real ? tokenizer_decode(v->base, real, kept, size, e) : NULL;
    free(real);
    return text;
}

int32_t vocabulary_begin(const struct vocabulary *v)
{
    return tokenizer_begin(v->base);
}

int32_t vocabulary_end(const struct vocabulary *v)
{
    return tokenizer_end(v->base);
}

int vocabulary_size(const struct vocabulary *v)
{
    return v->size;
}

const char *vocabulary_kind(const struct vocabulary *v)
{
    return tokenizer_kind(v->base);
}
