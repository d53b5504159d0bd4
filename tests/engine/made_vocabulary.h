/* Vocabularies written for a test: GGUF files in memory, and the shipped vocabulary under another rule. */
#pragma once

#include "engine/model/tokenizer.h"
#include "tests/test.h"

#include <string.h>

static const char gpt2[] = "presets/vocabularies/gpt-2.gguf";

static inline char *read_file(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    char *text = f ? malloc(1 << 22) : NULL;
    *size = text ? fread(text, 1, 1 << 22, f) : 0;
    if (f)
        fclose(f);
    return text;
}

struct file { /* a GGUF file in the making */
    uint8_t *bytes;
    size_t n;
};

static inline void put(struct file *f, const void *bytes, size_t n)
{
    f->bytes = realloc(f->bytes, f->n + n);
    memcpy(f->bytes + f->n, bytes, n);
    f->n += n;
}

static inline void put_u32(struct file *f, uint32_t v)
{
    put(f, &v, sizeof v);
}

static inline void put_string(struct file *f, const void *text, size_t n)
{
    uint64_t size = n;
    put(f, &size, sizeof size);
    put(f, text, n);
}

static inline void put_text(struct file *f, const char *text)
{
    put_string(f, text, strlen(text));
}

static inline struct tokenizer *parse(const struct file *f, struct error *e)
{
    struct gguf g;
    struct tokenizer *t = NULL;
    if (gguf_parse(f->bytes, f->n, "made here", &g, e) == 0) {
        t = tokenizer_open(&g, e);
        gguf_close(&g);
    }
    return t;
}

/* The shipped vocabulary under another rule. */
static inline struct tokenizer *with_rule(const char *rule, struct error *e)
{
    static const char key[] = "tokenizer.ggml.pre";
    size_t size;
    char *bytes = read_file(gpt2, &size);
    struct file f = {0};
    struct tokenizer *t = NULL;
    const char *at = bytes ? memmem(bytes, size, key, sizeof key - 1) : NULL;
    if (at) {
        size_t value = (size_t)(at - bytes) + sizeof key - 1 + 4; /* its length, after its kind */
        uint64_t length;
        memcpy(&length, bytes + value, sizeof length);
        put(&f, bytes, value);
        put_text(&f, rule);
        put(&f, bytes + value + 8 + length, size - value - 8 - (size_t)length);
        t = parse(&f, e);
    }
    free(f.bytes);
    free(bytes);
    return t;
}

struct made { /* a small vocabulary; lists end with NULL */
    const char *kind, *pre, *name;
    const char *const *tokens, *const *merges;
    const uint8_t *types; /* NULL: all normal */
    const char *flags[3]; /* keys under tokenizer.ggml. that are true, or false where they begin with ! */
    const char *ids[2];   /* keys that name a token */
    uint32_t id[2];
};

static inline void put_list(struct file *f, const char *key, const char *const *words)
{
    uint64_t n = 0;
    while (words[n])
        n++;
    put_text(f, key);
    put_u32(f, GGUF_ARRAY);
    put_u32(f, GGUF_STRING);
    put(f, &n, sizeof n);
    for (uint64_t i = 0; i < n; i++)
        put_text(f, words[i]);
}

static inline void put_named(struct file *f, const char *key, const char *value)
{
    put_text(f, key);
    put_u32(f, GGUF_STRING);
    put_text(f, value);
}

static inline void put_types(struct file *f, const struct made *m)
{
    uint64_t n = 0;
    while (m->tokens[n])
        n++;
    put_text(f, "tokenizer.ggml.token_type");
    put_u32(f, GGUF_ARRAY);
    put_u32(f, GGUF_I32);
    put(f, &n, sizeof n);
    for (uint64_t i = 0; i < n; i++)
        put_u32(f, m->types[i]);
}

static inline struct tokenizer *make(const struct made *m, struct error *e)
{
    struct file f = {0};
    uint64_t counts[] = {0, 2};
    char key[80];
    put(&f, "GGUF", 4);
    put_u32(&f, 3);
    put(&f, counts, sizeof counts);
    put_named(&f, "tokenizer.ggml.model", m->kind);
    put_list(&f, "tokenizer.ggml.tokens", m->tokens);
    if (m->pre)
        put_named(&f, "tokenizer.ggml.pre", m->pre);
    if (m->name)
        put_named(&f, "general.name", m->name);
    if (m->merges)
        put_list(&f, "tokenizer.ggml.merges", m->merges);
    if (m->types)
        put_types(&f, m);
    counts[1] += (uint64_t)(m->pre != NULL) + (m->name != NULL) + (m->merges != NULL) + (m->types != NULL);
    for (int i = 0; i < 3 && m->flags[i]; i++, counts[1]++) {
        bool on = m->flags[i][0] != '!';
        snprintf(key, sizeof key, "tokenizer.ggml.%s", m->flags[i] + !on);
        put_text(&f, key);
        put_u32(&f, GGUF_BOOL);
        put(&f, &(uint8_t){on}, 1);
    }
    for (int i = 0; i < 2 && m->ids[i]; i++, counts[1]++) {
        snprintf(key, sizeof key, "tokenizer.ggml.%s", m->ids[i]);
        put_text(&f, key);
        put_u32(&f, GGUF_U32);
        put_u32(&f, m->id[i]);
    }
    memcpy(f.bytes + 8, counts, sizeof counts);
    struct tokenizer *t = parse(&f, e);
    free(f.bytes);
    return t;
}

enum reading {
    PLAIN,
    SPECIAL,
    MARKED
}; /* tokenizer_encode without and with special, tokenizer_encode_marked */

static inline void check_ids(const struct tokenizer *t, const char *text, enum reading how,
                             const char *wanted)
{
    struct error e = {0};
    struct token_ids ids = {0};
    char got[256] = "";
    size_t n = strlen(text);
    int failed = t == NULL || (how == MARKED ? tokenizer_encode_marked(t, text, n, &ids, &e)
                                             : tokenizer_encode(t, text, n, how == SPECIAL, &ids, &e));
    for (size_t i = 0; i < ids.n; i++)
        snprintf(got + strlen(got), sizeof got - strlen(got), i ? " %d" : "%d", ids.id[i]);
    if (failed || strcmp(got, wanted) != 0)
        TEST_FAIL("\"%s\" is \"%s\", not \"%s\" (%s)", text, got, wanted, e.text);
    token_ids_free(&ids);
}
