/* Opening a vocabulary: its tokens, what the file asks for, and which of them are found in a text as they are
 * written. */
#include "engine/model/tokenizer_internal.h"
#include "engine/model/unicode.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for a vocabulary: close other programs");
}

/* ---- the vocabulary ---- */

uint32_t entries_table_size(uint64_t n)
{
    uint32_t size = 16;
    while (size < 2 * n)
        size *= 2;
    return size;
}

/* The first of equal texts wins, as in a map that is filled in order. */
void entry_put(struct tokenizer *t, int32_t id)
{
    const struct token_entry *e = &t->entry[id];
    uint32_t h = entry_hash(e->text, e->n);
    for (; t->slot[h & t->mask] >= 0; h++) {
        const struct token_entry *other = &t->entry[t->slot[h & t->mask]];
        if (other->n == e->n && memcmp(other->text, e->text, e->n) == 0)
            return;
    }
    t->slot[h & t->mask] = id;
}

int entries_index(struct tokenizer *t, size_t room)
{
    uint32_t slots = entries_table_size(room);
    int32_t *slot = realloc(t->slot, slots * sizeof *slot);
    if (!slot)
        return -1;
    memset(slot, 0xff, slots * sizeof *slot);
    t->slot = slot;
    t->mask = slots - 1;
    for (int32_t id = 0; id < t->known; id++)
        entry_put(t, id);
    return 0;
}

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
    t->size = t->known = (int)tokens->count;
    while (gguf_next(tokens, &w, &s))
        bytes += s.n;
    t->entry = calloc((size_t)t->size, sizeof *t->entry);
    t->texts = malloc(bytes + 1);
    if (!t->entry || !t->texts)
        return no_memory(e);
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
    }
    return entries_index(t, (size_t)t->size) != 0 ? no_memory(e) : 0;
}

/* ---- what the file asks for ---- */

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
    } else if (gguf_equal(model, "gpt2") || gguf_equal(model, "gemma4")) {
        t->model = TOKENIZER_BPE;
        t->add_space_prefix = false;
        return tokenizer_choose_pre(t, g, e);
    } else if (gguf_equal(model, "bert")) {
        t->model = TOKENIZER_WPM;
        t->add_bos = t->add_eos = true; /* always: the keys are for the other kinds */
        snprintf(t->kind, sizeof t->kind, "bert");
    } else {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)(model.n < 63 ? model.n : 63), model.bytes);
        error_clean_text(name);
        return error_set(e, ERROR_UNSUPPORTED,
                         "vocabularies of kind %s are not known here: llama, gpt2, gemma4 and bert are",
                         name);
    }
    return 0;
}

/* The token that the key names, else `otherwise`; -1 where the vocabulary is too small for it. */
static int32_t id_of(const struct tokenizer *t, const struct gguf *g, const char *key, int32_t otherwise)
{
    int64_t id;
    if (gguf_int(g, key, &id) && id >= 0 && id < t->size)
        return (int32_t)id;
    return otherwise < t->size ? otherwise : -1;
}

static void read_settings(struct tokenizer *t, const struct gguf *g)
{
    static const struct { /* where the file names none */
        int32_t bos, eos, unknown, separator;
    } ids[] = {[TOKENIZER_SPM] = {1, 2, 0, -1},
               [TOKENIZER_BPE] = {11, -1, -1, -1},
               [TOKENIZER_WPM] = {101, -1, 100, 102}};
    bool bert = t->model == TOKENIZER_WPM;
    t->bos = id_of(t, g, "tokenizer.ggml.bos_token_id", ids[t->model].bos);
    t->eos = id_of(t, g, "tokenizer.ggml.eos_token_id", ids[t->model].eos);
    t->unknown = id_of(t, g, "tokenizer.ggml.unknown_token_id", ids[t->model].unknown);
    /* The key is misspelled in the format itself. */
    t->separator = id_of(t, g, "tokenizer.ggml.seperator_token_id", ids[t->model].separator);
    if (bert) {
        t->eos = t->separator;
        t->lower_case = true;
        gguf_bool(g, "tokenizer.ggml.normalizer.lowercase", &t->lower_case);
        t->no_accents = t->lower_case;
        gguf_bool(g, "tokenizer.ggml.normalizer.strip_accents", &t->no_accents);
    } else {
        gguf_bool(g, "tokenizer.ggml.add_bos_token", &t->add_bos);
        gguf_bool(g, "tokenizer.ggml.add_eos_token", &t->add_eos);
    }
    t->add_bos = t->add_bos || (t->raw && t->pre == PRE_GEMMA4); /* llama.cpp mends files that deny it */
    gguf_bool(g, "tokenizer.ggml.add_space_prefix", &t->add_space_prefix);
}

static void find_bytes(struct tokenizer *t)
{
    bool letters = t->model == TOKENIZER_BPE && !t->raw;
    for (int b = 0; b < 256; b++) {
        char text[8];
        size_t n = letters ? unicode_encode(bpe_letter_of((uint8_t)b), text)
                           : (size_t)snprintf(text, sizeof text, "<0x%02X>", b);
        t->byte_id[b] = letters ? entry_find(t, text, n) : token_find(t, text, n);
        if (t->model == TOKENIZER_SPM &&
            t->byte_id[b] < 0) { /* some vocabularies hold the bytes as they are */
            char raw = (char)b;
            t->byte_id[b] = token_find(t, &raw, 1);
        }
    }
}

/* ---- tokens that are found in a text as they are written ---- */

static void set_type(struct tokenizer *t, const char *text, enum token_type type)
{
    int32_t id = token_find(t, text, strlen(text));
    if (id >= 0)
        t->entry[id].type = (uint8_t)type;
}

static bool has(const struct tokenizer *t, const char *text)
{
    return token_find(t, text, strlen(text)) >= 0;
}

/* Some converters mark tokens wrongly: llama.cpp goes by how they are written. */
static void mend_types(struct tokenizer *t, const struct gguf *g)
{
    static const char *const ends[] = {"<|eot_id|>",
                                       "<|im_end|>",
                                       "<|end|>",
                                       "<|return|>",
                                       "<|call|>",
                                       "<|flush|>",
                                       "<|calls|>",
                                       "<end_of_turn>",
                                       "<|endoftext|>",
                                       "</s>",
                                       "<|eom_id|>",
                                       "<EOT>",
                                       "_<EOT>",
                                       "[EOT]",
                                       "[EOS]",
                                       "<|end_of_text|>",
                                       "<end_of_utterance>",
                                       "<eos>",
                                       "<turn|>",
                                       "<|tool_response>",
                                       "<\xef\xbd\x9c"
                                       "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>",
                                       "[e~["};
    static const char *const shown[] = {"<|channel|>", "<|message|>", "<|start|>", "<|constrain|>"};
    /* Tokens for filling gaps in code, where the file names none itself: the first of a list that is there.
     * (llama.cpp takes the one its hash table gives first, should there be several.) */
    static const struct {
        const char *key, *old_key, *names[9];
    } gaps[] = {
        {"fim_pre",
         "prefix",
         {"<|fim_prefix|>", "<fim-prefix>", "<fim_prefix>",
          "<\xef\xbd\x9c"
          "fim\xe2\x96\x81"
          "begin\xef\xbd\x9c>",
          "<PRE>", "\xe2\x96\x81<PRE>", "<|code_prefix|>", "<|prefix|>"}},
        {"fim_suf",
         "suffix",
         {"<|fim_suffix|>", "<fim-suffix>", "<fim_suffix>",
          "<\xef\xbd\x9c"
          "fim\xe2\x96\x81hole\xef\xbd\x9c>",
          "<SUF>", "\xe2\x96\x81<SUF>", "<|code_suffix|>", "<|suffix|>"}},
        {"fim_mid",
         "middle",
         {"<|fim_middle|>", "<fim-middle>", "<fim_middle>",
          "<\xef\xbd\x9c"
          "fim\xe2\x96\x81"
          "end\xef\xbd\x9c>",
          "<MID>", "\xe2\x96\x81<MID>", "<|code_middle|>", "<|middle|>"}},
        {"fim_pad", NULL, {"<|fim_pad|>", "<fim-pad>", "<fim_pad>", "<PAD>", "[PAD]"}},
        {"fim_rep", NULL, {"<|fim_repo|>", "<|repo_name|>", "<fim-repo>", "<REPO>", "<reponame>"}},
        {"fim_sep", NULL, {"<|file_sep|>"}},
    };
    for (size_t i = 0; i < sizeof gaps / sizeof gaps[0]; i++) {
        char key[64], old_key[64];
        snprintf(key, sizeof key, "tokenizer.ggml.%s_token_id", gaps[i].key);
        snprintf(old_key, sizeof old_key, "tokenizer.ggml.%s_token_id",
                 gaps[i].old_key ? gaps[i].old_key : "");
        bool named = id_of(t, g, key, -1) >= 0 || (gaps[i].old_key && id_of(t, g, old_key, -1) >= 0);
        for (const char *const *name = gaps[i].names; *name && !named; name++) {
            named = has(t, *name);
            set_type(t, *name, TOKEN_CONTROL);
        }
    }
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        set_type(t, ends[i], TOKEN_CONTROL);
    for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++)
        set_type(t, shown[i], TOKEN_USER_DEFINED);
    if ((has(t, "<|call|>") || has(t, "<|calls|>")) && (has(t, "<|return|>") || has(t, "<|flush|>")))
        set_type(t, "<|end|>", TOKEN_USER_DEFINED);
    if (has(t, "<|tool_response>"))
        set_type(t, "</s>", TOKEN_NORMAL);
}

static bool is_special(const struct token_entry *e)
{
    return e->n > 0 &&
           (e->type == TOKEN_USER_DEFINED || e->type == TOKEN_CONTROL || e->type == TOKEN_UNKNOWN);
}

static int by_number(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* Longest first, else in the order of ids. */
static int find_special(struct tokenizer *t, struct error *e)
{
    size_t n = 0;
    for (int32_t id = 0; id < t->size; id++)
        n += is_special(&t->entry[id]);
    uint64_t *order = malloc((n + 1) * sizeof *order);
    t->special = malloc((n + 1) * sizeof *t->special);
    if (!order || !t->special) {
        free(order);
        return no_memory(e);
    }
    for (int32_t id = 0; id < t->size; id++)
        if (is_special(&t->entry[id]))
            order[t->n_special++] = (uint64_t)(UINT32_MAX - t->entry[id].n) << 32 | (uint32_t)id;
    qsort(order, n, sizeof *order, by_number);
    for (size_t i = 0; i < n; i++)
        t->special[i] = (int32_t)(uint32_t)order[i];
    free(order);
    return 0;
}

static bool contains(const struct gguf *g, const char *key, const char *const *words)
{
    struct gguf_string value;
    char lower[128];
    bool found = false;
    if (!gguf_text(g, key, &value))
        return false;
    size_t n = value.n < sizeof lower - 1 ? value.n : sizeof lower - 1;
    for (size_t i = 0; i < n; i++)
        lower[i] =
            (char)(value.bytes[i] >= 'A' && value.bytes[i] <= 'Z' ? value.bytes[i] + 32 : value.bytes[i]);
    lower[n] = '\0';
    for (; *words; words++)
        found = found || strstr(lower, *words);
    return found;
}

/* llama.cpp tells by names which special tokens have the blanks beside them. */
static void find_stripping(struct tokenizer *t, const struct gguf *g)
{
    static const char *const jina[] = {"jina-v2-de", "jina-v2-es", "jina-v2-code", NULL};
    static const char *const phi[] = {"phi-3", "phi3", NULL}, *const modern[] = {"modern-bert", NULL};
    t->strips_before = -1;
    if (contains(g, "tokenizer.ggml.pre", jina))
        t->strips_before = token_find(t, "<mask>", 6);
    else if (contains(g, "general.name", phi))
        t->strips = true;
    else if (contains(g, "general.name", modern))
        t->strips_before = token_find(t, "[MASK]", 6);
}

struct tokenizer *tokenizer_open(const struct gguf *g, struct error *e)
{
    struct tokenizer *t = calloc(1, sizeof *t);
    if (!t) {
        no_memory(e);
        return NULL;
    }
    if (choose_model(t, g, e) != 0 || read_entries(t, g, e) != 0 ||
        (t->model == TOKENIZER_BPE && tokenizer_read_merges(t, g, e) != 0)) {
        tokenizer_free(t);
        return NULL;
    }
    read_settings(t, g);
    mend_types(t, g);
    find_stripping(t, g);
    find_bytes(t);
    if (find_special(t, e) != 0) {
        tokenizer_free(t);
        return NULL;
    }
    return t;
}

void tokenizer_free(struct tokenizer *t)
{
    if (!t)
        return;
    free(t->entry);
    free(t->texts);
    free(t->more_texts);
    free(t->slot);
    free(t->special);
    free(t->merge);
    free(t);
}
