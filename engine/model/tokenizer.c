#define _GNU_SOURCE /* memmem */
#include "engine/model/tokenizer_internal.h"
#include "engine/model/unicode.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the vocabulary ---- */

static uint32_t hash_of(const char *text, size_t n)
{
    uint32_t h = 0x811c9dc5u; /* FNV-1a */
    for (size_t i = 0; i < n; i++)
        h = (h ^ (uint8_t)text[i]) * 0x01000193u;
    return h ^ h >> 15;
}

int32_t token_find(const struct tokenizer *t, const char *text, size_t n)
{
    if (n > (size_t)t->longest)
        return -1;
    for (uint32_t h = hash_of(text, n);; h++) {
        int32_t id = t->slot[h & t->mask];
        if (id < 0 || (t->entry[id].n == n && memcmp(t->entry[id].text, text, n) == 0))
            return id;
    }
}

/* The first of equal texts wins, as in a map that is filled in order. */
static void token_put(struct tokenizer *t, int32_t id)
{
    const struct token_entry *e = &t->entry[id];
    uint32_t h = hash_of(e->text, e->n);
    for (; t->slot[h & t->mask] >= 0; h++) {
        const struct token_entry *other = &t->entry[t->slot[h & t->mask]];
        if (other->n == e->n && memcmp(other->text, e->text, e->n) == 0)
            return;
    }
    t->slot[h & t->mask] = id;
}

static uint32_t table_size(uint64_t n)
{
    uint32_t size = 16;
    while (size < 2 * n)
        size *= 2;
    return size;
}

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a vocabulary: close other programs");
}

enum { TOKENS_MAX = 4 << 20 };

static int read_entries(struct tokenizer *t, const struct gguf *g, struct error *e)
{
    const struct gguf_value *tokens = gguf_find(g, "tokenizer.ggml.tokens");
    const struct gguf_value *scores = gguf_find(g, "tokenizer.ggml.scores");
    const struct gguf_value *types = gguf_find(g, "tokenizer.ggml.token_type");
    struct gguf_walk w = {0};
    struct gguf_string s;
    size_t bytes = 0;
    if (!tokens || tokens->kind != GGUF_ARRAY || tokens->element != GGUF_STRING || tokens->count < 1 ||
        tokens->count > TOKENS_MAX)
        return error_set(e, ERROR_UNSUPPORTED,
                         "the file has no list of tokens: use a GGUF file with a vocabulary");
    t->size = (int)tokens->count;
    while (gguf_next(tokens, &w, &s))
        bytes += s.n;
    uint32_t slots = table_size(tokens->count);
    t->mask = slots - 1;
    t->entry = calloc((size_t)t->size, sizeof *t->entry);
    t->texts = malloc(bytes + 1);
    t->slot = malloc(slots * sizeof *t->slot);
    if (!t->entry || !t->texts || !t->slot)
        return no_memory(e);
    memset(t->slot, 0xff, slots * sizeof *t->slot);
    char *at = t->texts;
    w = (struct gguf_walk){0};
    for (int32_t id = 0; gguf_next(tokens, &w, &s); id++) {
        double score = 0;
        int64_t type = TOKEN_NORMAL;
        gguf_double_at(scores, (uint64_t)id, &score);
        gguf_int_at(types, (uint64_t)id, &type);
        memcpy(at, s.bytes, s.n);
        t->entry[id] = (struct token_entry){at, (uint32_t)s.n, (float)score, (uint8_t)type};
        at += s.n;
        t->longest = (int)s.n > t->longest ? (int)s.n : t->longest;
        token_put(t, id);
    }
    return 0;
}

/* ---- merges ---- */

static void merge_put(struct tokenizer *t, struct merge m)
{
    uint32_t h = ((uint32_t)m.left * 0x9e3779b1u) ^ ((uint32_t)m.right * 0x85ebca6bu);
    for (h ^= h >> 15; t->merge[h & t->merge_mask].left >= 0; h++) {
        const struct merge *other = &t->merge[h & t->merge_mask];
        if (other->left == m.left && other->right == m.right)
            return; /* the earlier one has the better rank */
    }
    t->merge[h & t->merge_mask] = m;
}

static int read_merges(struct tokenizer *t, const struct gguf *g, struct error *e)
{
    const struct gguf_value *merges = gguf_find(g, "tokenizer.ggml.merges");
    struct gguf_walk w = {0};
    struct gguf_string s;
    if (!merges || merges->element != GGUF_STRING || merges->count > TOKENS_MAX)
        return error_set(e, ERROR_FAILED, "the file has a gpt2 vocabulary without merges: convert it again");
    uint32_t slots = table_size(merges->count);
    t->merge_mask = slots - 1;
    t->merge = malloc(slots * sizeof *t->merge);
    if (!t->merge)
        return no_memory(e);
    for (uint32_t i = 0; i < slots; i++)
        t->merge[i].left = -1;
    char both[1024];
    for (int32_t rank = 0; gguf_next(merges, &w, &s); rank++) {
        const char *cut = s.n > 2 ? memchr(s.bytes + 1, ' ', s.n - 1) : NULL;
        size_t left = cut ? (size_t)(cut - s.bytes) : 0, right = cut ? s.n - left - 1 : 0;
        if (right == 0 || s.n > sizeof both)
            return error_set(e, ERROR_FAILED, "merge %d of the vocabulary is no pair: the file is damaged",
                             rank);
        memcpy(both, s.bytes, left);
        memcpy(both + left, cut + 1, right);
        struct merge m = {token_find(t, s.bytes, left), token_find(t, cut + 1, right), rank,
                          token_find(t, both, left + right)};
        if (m.left >= 0 && m.right >= 0 && m.id >= 0)
            merge_put(t, m);
    }
    return 0;
}

/* ---- what the file asks for ---- */

static const struct pre_name {
    const char *names; /* between blanks */
    enum tokenizer_pre pre;
    bool add_bos, ignore_merges;
} pre_names[] = {
    {" gpt-2 phi-2 mpt olmo jais jina-es jina-de jina-v1-en jina-v2-es jina-v2-de jina-v2-code roberta-bpe "
     "gigachat ",
     PRE_GPT2, false, false},
    {" starcoder refact command-r smollm codeshell exaone minerva-7b ", PRE_STARCODER, false, false},
    {" llama3 llama-v3 llama-bpe falcon3 ", PRE_LLAMA3, true, true},
    {" dbrx smaug-bpe chatglm-bpe ", PRE_LLAMA3, false, false},
    {" qwen2 deepseek-r1-qwen stablelm2 megrez ", PRE_QWEN2, false, false},
    {" falcon ", PRE_FALCON, false, false},
    {" default ", PRE_DEFAULT, false, false},
    {" deepseek-llm ", PRE_DEEPSEEK_LLM, false, false},
    {" deepseek-coder ", PRE_DEEPSEEK_CODER, false, false},
    {" deepseek-v3 ", PRE_DEEPSEEK3, false, false},
    {" tekken ", PRE_TEKKEN, true, true},
    {" gpt-4o ", PRE_GPT4O, false, false},
    {" bloom poro-chat gpt3-finnish ", PRE_BLOOM, false, false},
    {" viking ", PRE_VIKING, false, false},
};

static int choose_pre(struct tokenizer *t, const struct gguf *g, struct error *e)
{
    struct gguf_string pre = {"", 0};
    char name[64], word[66];
    gguf_text(g, "tokenizer.ggml.pre", &pre);
    snprintf(name, sizeof name, "%.*s", (int)(pre.n < 63 ? pre.n : 63), pre.bytes);
    snprintf(word, sizeof word, " %s ", name);
    error_clean_text(name);
    for (size_t i = 0; i < sizeof pre_names / sizeof pre_names[0]; i++) {
        if (pre.n == 0 || pre.n > 62 || strchr(name, ' ') || !strstr(pre_names[i].names, word))
            continue;
        t->pre = pre_names[i].pre;
        t->add_bos = pre_names[i].add_bos;
        t->ignore_merges = pre_names[i].ignore_merges;
        snprintf(t->kind, sizeof t->kind, "gpt2, %.50s", name);
        return 0;
    }
    if (pre.n == 0)
        return error_set(
            e, ERROR_UNSUPPORTED,
            "the vocabulary names no pre-tokenizer (tokenizer.ggml.pre), and a guess would give wrong "
            "tokens: convert the model again with a newer converter");
    return error_set(
        e, ERROR_UNSUPPORTED,
        "the pre-tokenizer %s is not known here: known are gpt-2, llama-bpe, qwen2, starcoder, falcon, "
        "deepseek-llm, tekken, gpt-4o, bloom and their kin",
        name);
}

static int choose_model(struct tokenizer *t, const struct gguf *g, struct error *e)
{
    struct gguf_string model;
    if (!gguf_text(g, "tokenizer.ggml.model", &model))
        return error_set(e, ERROR_UNSUPPORTED,
                         "the file has no vocabulary (tokenizer.ggml.model): use a GGUF file that has one");
    t->add_space_prefix = true;
    if (gguf_equal(model, "llama")) {
        t->model = TOKENIZER_SPM;
        t->add_bos = true;
        snprintf(t->kind, sizeof t->kind, "llama");
    } else if (gguf_equal(model, "gpt2")) {
        t->model = TOKENIZER_BPE;
        return choose_pre(t, g, e);
    } else if (gguf_equal(model, "bert")) {
        t->model = TOKENIZER_WPM;
        t->add_bos = t->add_eos = true;
        snprintf(t->kind, sizeof t->kind, "bert");
    } else {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(model.n < 63 ? model.n : 63), model.bytes);
        error_clean_text(name);
        return error_set(e, ERROR_UNSUPPORTED,
                         "vocabularies of kind %s are not known here: llama, gpt2 and bert are", name);
    }
    return 0;
}

static int32_t id_of(const struct tokenizer *t, const struct gguf *g, const char *key, int32_t otherwise)
{
    int64_t id;
    return gguf_int(g, key, &id) && id >= 0 && id < t->size ? (int32_t)id : otherwise;
}

static void read_settings(struct tokenizer *t, const struct gguf *g)
{
    bool bert = t->model == TOKENIZER_WPM;
    t->bos = id_of(t, g, "tokenizer.ggml.bos_token_id", t->model == TOKENIZER_SPM ? 1 : -1);
    t->eos = id_of(t, g, "tokenizer.ggml.eos_token_id", t->model == TOKENIZER_SPM ? 2 : -1);
    t->unknown = id_of(t, g, "tokenizer.ggml.unknown_token_id",
                       bert                        ? 100
                       : t->model == TOKENIZER_SPM ? 0
                                                   : -1);
    /* The key is misspelled in the format itself. */
    t->separator = id_of(t, g, "tokenizer.ggml.seperator_token_id", bert ? 102 : -1);
    t->class_token = id_of(t, g, "tokenizer.ggml.cls_token_id", bert ? 101 : -1);
    if (bert) {
        t->bos = t->class_token;
        t->eos = t->separator;
    }
    gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
    gguf_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos);
    gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix);
}

static void find_bytes(struct tokenizer *t)
{
    for (int b = 0; b < 256; b++) {
        char text[8];
        size_t n = t->model == TOKENIZER_BPE ? unicode_encode(bpe_letter_of((uint8_t)b), text)
                                             : (size_t)snprintf(text, sizeof text, "<0x%02X>", b);
        t->byte_id[b] = token_find(t, text, n);
        if (t->model == TOKENIZER_SPM &&
            t->byte_id[b] < 0) { /* some vocabularies hold the bytes as they are */
            char raw = (char)b;
            t->byte_id[b] = token_find(t, &raw, 1);
        }
    }
}

static int find_special(struct tokenizer *t, struct error *e)
{
    int n = 0;
    for (int32_t id = 0; id < t->size; id++)
        n += t->entry[id].type == TOKEN_USER_DEFINED && t->entry[id].n > 0;
    t->special = malloc(((size_t)n + 1) * sizeof *t->special);
    if (!t->special)
        return no_memory(e);
    for (int32_t id = 0; id < t->size; id++) {
        if (t->entry[id].type != TOKEN_USER_DEFINED || t->entry[id].n == 0)
            continue;
        int at = t->n_special++; /* longest first, else in the order of ids */
        for (; at > 0 && t->entry[t->special[at - 1]].n < t->entry[id].n; at--)
            t->special[at] = t->special[at - 1];
        t->special[at] = id;
    }
    return 0;
}

/* llama.cpp tells by the model's name that blanks behind phi-3's special tokens belong to them. */
static bool strips(const struct gguf *g)
{
    struct gguf_string name;
    char lower[128];
    if (!gguf_text(g, "general.name", &name))
        return false;
    size_t n = name.n < sizeof lower - 1 ? name.n : sizeof lower - 1;
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)(name.bytes[i] >= 'A' && name.bytes[i] <= 'Z' ? name.bytes[i] + 32 : name.bytes[i]);
    lower[n] = '\0';
    return strstr(lower, "phi-3") || strstr(lower, "phi3");
}

struct tokenizer *tokenizer_open(const struct gguf *g, struct error *e)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        no_memory(e);
        return NULL;
    }
    if (choose_model(t, g, e) != 0 || read_entries(t, g, e) != 0 ||
        (t->model == TOKENIZER_BPE && read_merges(t, g, e) != 0) || find_special(t, e) != 0) {
        tokenizer_free(t);
        return NULL;
    }
    read_settings(t, g);
    t->strips = strips(g);
    find_bytes(t);
    return t;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    free(t->entry);
    free(t->texts);
    free(t->slot);
    free(t->special);
    free(t->merge);
    free(t);
}

int32_t tokenizer_begin(const struct tokenizer *t)
{
    return t->add_bos ? t->bos : -1;
}

int32_t tokenizer_end(const struct tokenizer *t)
{
    return t->eos;
}

int tokenizer_size(const struct tokenizer *t)
{
    return t->size;
}

const char *tokenizer_kind(const struct tokenizer *t)
{
    return t->kind;
}

/* ---- text to ids ---- */

void token_ids_free(struct token_ids *ids)
{
    free(ids->id);
    *ids = (struct token_ids){0};
}

int token_ids_add(struct token_ids *ids, int32_t id)
{
    if (ids->n == ids->room) {
        size_t room = ids->room ? 2 * ids->room : 256;
        int32_t *larger = realloc(ids->id, room * sizeof *larger);
        if (!larger)
            return -1;
        ids->id = larger;
        ids->room = room;
    }
    ids->id[ids->n++] = id;
    return 0;
}

struct encoder {
    const struct tokenizer *t;
    struct token_ids *out;
    bool after_special; /* the next piece of an SPM text begins with a blank */
};

static int encode_plain(struct encoder *k, const char *text, size_t n)
{
    const struct tokenizer *t = k->t;
    bool prefix = k->after_special && t->add_space_prefix;
    if (n == 0)
        return 0;
    k->after_special = false;
    switch (t->model) {
    case TOKENIZER_SPM:
        return tokenizer_encode_spm(t, text, n, prefix, k->out);
    case TOKENIZER_BPE:
        return tokenizer_encode_bpe(t, text, n, k->out);
    default:
        return tokenizer_encode_wpm(t, text, n, k->out);
    }
}

static bool strips_after(const struct tokenizer *t, const struct token_entry *token)
{
    static const char *const others[] = {"<unk>", "<s>", "<|endoftext|>"};
    bool strip = t->strips;
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        strip = strip && !(strlen(others[i]) == token->n && memcmp(others[i], token->text, token->n) == 0);
    return strip;
}

/* Cuts the text at every user-defined token, the longest ones first. */
static int encode_pieces(struct encoder *k, const char *text, size_t n, int special)
{
    const struct tokenizer *t = k->t;
    for (; special < t->n_special && n > 0; special++) {
        int32_t id = t->special[special];
        const struct token_entry *token = &t->entry[id];
        const char *found;
        while (n > 0 && (found = memmem(text, n, token->text, token->n))) {
            size_t before = (size_t)(found - text);
            if (encode_pieces(k, text, before, special + 1) != 0 || token_ids_add(k->out, id) != 0)
                return -1;
            k->after_special = true;
            text = found + token->n;
            n -= before + token->n;
            for (; n > 0 && strips_after(t, token) && isspace((unsigned char)*text); n--)
                text++;
        }
    }
    return encode_plain(k, text, n);
}

int tokenizer_encode(const struct tokenizer *t, const char *text, size_t n, bool special,
                     struct token_ids *out, struct error *e)
{
    struct encoder k = {t, out, true};
    if (n > UINT32_MAX / 4)
        return error_set(e, ERROR_UNSUPPORTED,
                         "a text of %zu bytes is too long: cut it into pieces below 1 GiB", n);
    int failed = special && t->add_bos && t->bos >= 0 ? token_ids_add(out, t->bos) : 0;
    if (!failed)
        failed = encode_pieces(&k, text, n, 0);
    if (!failed && special && t->add_eos && t->eos >= 0)
        failed = token_ids_add(out, t->eos);
    return failed
               ? error_set(e, ERROR_MEMORY, "no memory for the tokens of %zu bytes: close other programs", n)
               : 0;
}
