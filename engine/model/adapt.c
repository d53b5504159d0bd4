#include "engine/model/adapt.h"

#include "engine/model/patch.h"
#include "engine/model/unicode.h"
#include <stdlib.h>
#include <string.h>

enum { FLAG_BANNED = 1, FLAG_DIGITS = 2, FLAG_START = 4 }; /* of a token in n-grams */
enum { LOOKED_AT = 5 };                                    /* n-grams per token of the vocabulary */

struct gram {
    uint32_t at;   /* where it stands first in the stream */
    uint32_t n;    /* tokens; 0: an empty slot */
    int64_t count; /* while adding: occurrences that are left */
};

struct builder {
    const struct tokenizer *t;
    const struct adapt_options *o;
    struct token_ids stream; /* the text in kept tokens */
    uint8_t *flags;          /* [tokens] */
    struct gram *slot;       /* every n-gram of the text by its tokens */
    uint64_t mask, used;
    struct gram *gram; /* the most frequent ones, best first */
    int grams;
    int32_t *
        *at; /* [max_ngram - 1][stream.n] the n-gram of n = row + 2 that begins there; -1: none looked at */
    uint32_t *occurrence; /* [..] where each n-gram stands, those of gram i from first[i] */
    size_t *first;        /* [grams + 1] */
    uint8_t *taken;       /* [stream.n] places that an added n-gram covers */
    int *heap;            /* n-grams, the best first */
    int64_t *value;       /* [grams] what it was worth when it was put there */
    int n_heap;
    int *chosen;
    int n_chosen;
};

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory to adapt a vocabulary to this text: give a shorter text");
}

/* ---- 1: what goes ---- */

struct candidate {
    int64_t count;
    int32_t id, length;
};

static int by_need(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    if (x->count != y->count)
        return x->count < y->count ? -1 : 1;
    if (x->count == 0 && x->length != y->length)
        return x->length > y->length ? -1 : 1;
    return x->id < y->id ? -1 : 1;
}

static int by_id(const void *a, const void *b)
{
    const int32_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int choose_removed(const struct tokenizer *t, const struct token_ids *ids, int most,
                          struct vocabulary_file *f, struct error *e)
{
    size_t size = (size_t)tokenizer_size(t), n = 0;
    int32_t *left = malloc(size * sizeof *left), *right = malloc(size * sizeof *right);
    int64_t *count = calloc(size, sizeof *count);
    struct candidate *c = malloc(size * sizeof *c);
    char *piece = malloc((size_t)tokenizer_longest(t) + 1);
    int failed = left && right && count && c && piece ? tokenizer_splits(t, left, right, e) : no_memory(e);
    for (size_t i = 0; !failed && i < ids->n; i++)
        count[ids->id[i]]++;
    for (int32_t id = 0; !failed && id < (int32_t)size; id++)
        if (left[id] >= 0)
            c[n++] = (struct candidate){count[id], id, (int32_t)tokenizer_piece(t, id, piece)};
    if (!failed) {
        qsort(c, n, sizeof *c, by_need);
        f->n_removed = n < (size_t)most ? (int)n : most;
        f->removed = malloc(((size_t)f->n_removed + 1) * sizeof *f->removed);
        failed = f->removed ? 0 : no_memory(e);
    }
    for (int i = 0; !failed && i < f->n_removed; i++)
        f->removed[i] = c[i].id;
    if (!failed)
        qsort(f->removed, (size_t)f->n_removed, sizeof *f->removed, by_id);
    free(left);
    free(right);
    free(count);
    free(c);
    free(piece);
    return failed;
}

/* ---- 2: n-grams ---- */

static uint8_t flags_of(const struct tokenizer *t, int32_t id, char *piece)
{
    size_t n = tokenizer_piece(t, id, piece), length;
    uint8_t flags = tokenizer_starts_word(t, id) ? FLAG_START : 0;
    bool digits = false, other = false;
    if (n == 0 || !tokenizer_is_text(t, id))
        return FLAG_BANNED;
    for (size_t at = 0; at < n; at += length) {
        uint32_t code = unicode_decode(piece + at, n - at, &length);
        if (code == 0xa0 || (code == UNICODE_REPLACEMENT && length == 1))
            return FLAG_BANNED;
        digits |= unicode_is_number(code);
        other |= !unicode_is_number(code) && !(at == 0 && code == ' ');
    }
    return digits && !other ? flags | FLAG_DIGITS : flags;
}

static int flag_tokens(struct builder *b, struct error *e)
{
    int size = tokenizer_size(b->t);
    char *piece = malloc((size_t)tokenizer_longest(b->t) + 1);
    b->flags = malloc((size_t)size);
    for (int32_t id = 0; piece && b->flags && id < size; id++)
        b->flags[id] = flags_of(b->t, id, piece);
    free(piece);
    return piece && b->flags ? 0 : no_memory(e);
}

/* How long the n-grams that begin at `at` may be, and whether such of n may be looked at. */
static bool allowed(const struct builder *b, size_t at, int n)
{
    bool digits = true;
    for (int i = 0; i < n; i++) {
        uint8_t flags = b->flags[b->stream.id[at + (size_t)i]];
        if (flags & FLAG_BANNED || (i > 0 && b->o->within_words && flags & FLAG_START))
            return false;
        digits = digits && flags & FLAG_DIGITS;
    }
    return !digits;
}

static uint64_t hash_of(const int32_t *id, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u * n;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ (uint32_t)id[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static struct gram *find(const struct builder *b, size_t at, size_t n)
{
    const int32_t *id = b->stream.id;
    for (uint64_t h = hash_of(id + at, n);; h++) {
        struct gram *g = &b->slot[h & b->mask];
        if (g->n == 0 || (g->n == n && memcmp(id + g->at, id + at, n * sizeof *id) == 0))
            return g;
    }
}

static int grow(struct builder *b, struct error *e)
{
    struct builder old = *b;
    b->mask = old.slot ? 2 * old.mask + 1 : (1 << 16) - 1;
    b->slot = calloc(b->mask + 1, sizeof *b->slot);
    if (!b->slot) {
        *b = old;
        return no_memory(e);
    }
    for (uint64_t i = 0; old.slot && i <= old.mask; i++)
        if (old.slot[i].n > 0)
            *find(b, old.slot[i].at, old.slot[i].n) = old.slot[i];
    free(old.slot);
    return 0;
}

static int count_grams(struct builder *b, struct error *e)
{
    if (grow(b, e) != 0)
        return -1;
    for (size_t at = 0; at < b->stream.n; at++)
        for (int n = 2; n <= b->o->max_ngram && at + (size_t)n <= b->stream.n; n++) {
            if (!allowed(b, at, n))
                continue;
            struct gram *g = find(b, at, (size_t)n);
            if (g->n == 0) {
                *g = (struct gram){(uint32_t)at, (uint32_t)n, 0};
                b->used++;
            }
            g->count++;
            if (3 * b->used > 2 * b->mask && grow(b, e) != 0)
                return -1;
        }
    return 0;
}

static int by_count(const void *a, const void *b)
{
    const struct gram *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    if (x->at != y->at)
        return x->at < y->at ? -1 : 1;
    return x->n < y->n ? -1 : x->n > y->n;
}

/* The most frequent ones; in the table a count becomes minus the place in that list, less one. */
static int select_grams(struct builder *b, struct error *e)
{
    size_t most = (size_t)LOOKED_AT * (size_t)tokenizer_size(b->t), n = 0;
    for (uint64_t i = 0; i <= b->mask; i++)
        n += b->slot[i].n > 0 && b->slot[i].count >= b->o->min_frequency;
    b->gram = malloc((n + 1) * sizeof *b->gram);
    if (!b->gram)
        return no_memory(e);
    n = 0;
    for (uint64_t i = 0; i <= b->mask; i++)
        if (b->slot[i].n > 0 && b->slot[i].count >= b->o->min_frequency)
            b->gram[n++] = b->slot[i];
    qsort(b->gram, n, sizeof *b->gram, by_count);
    b->grams = (int)(n < most ? n : most);
    for (int i = 0; i < b->grams; i++)
        find(b, b->gram[i].at, b->gram[i].n)->count = -1 - i;
    return 0;
}

/* Which n-gram begins where, and where each one stands. */
static int place_grams(struct builder *b, struct error *e)
{
    size_t rows = (size_t)b->o->max_ngram - 1, total = 0;
    b->at = calloc(rows, sizeof *b->at);
    b->first = malloc(((size_t)b->grams + 1) * sizeof *b->first);
    if (!b->at || !b->first)
        return no_memory(e);
    for (int i = 0; i < b->grams; i++) {
        b->first[i] = total;
        total += (size_t)b->gram[i].count;
    }
    b->first[b->grams] = total;
    b->occurrence = malloc((total + 1) * sizeof *b->occurrence);
    size_t *next = malloc(((size_t)b->grams + 1) * sizeof *next);
    int failed = b->occurrence && next ? 0 : no_memory(e);
    if (!failed)
        memcpy(next, b->first, (size_t)b->grams * sizeof *next);
    for (size_t r = 0; !failed && r < rows; r++) {
        b->at[r] = malloc((b->stream.n + 1) * sizeof *b->at[r]);
        if (!b->at[r]) {
            failed = no_memory(e);
            break;
        }
        for (size_t at = 0; at < b->stream.n; at++) {
            bool there = at + r + 2 <= b->stream.n && allowed(b, at, (int)r + 2);
            const struct gram *g = there ? find(b, at, r + 2) : NULL;
            b->at[r][at] = g && g->count < 0 ? (int32_t)(-1 - g->count) : -1;
            if (b->at[r][at] >= 0)
                b->occurrence[next[b->at[r][at]]++] = (uint32_t)at;
        }
    }
    free(next);
    return failed;
}

/* ---- 3: adding ---- */

static bool better(const struct builder *b, int x, int y)
{
    return b->value[x] != b->value[y] ? b->value[x] > b->value[y] : x < y;
}

static void sink(struct builder *b, int at)
{
    int x = b->heap[at];
    for (int child; (child = 2 * at + 1) < b->n_heap; at = child) {
        if (child + 1 < b->n_heap && better(b, b->heap[child + 1], b->heap[child]))
            child++;
        if (!better(b, b->heap[child], x))
            break;
        b->heap[at] = b->heap[child];
    }
    b->heap[at] = x;
}

static bool is_free(const struct builder *b, size_t at, size_t n)
{
    for (size_t i = at; i < at + n; i++)
        if (b->taken[i])
            return false;
    return true;
}

/* Takes the places [at, at + n): every n-gram that needed one of them loses an occurrence. */
static void take(struct builder *b, size_t at, size_t n)
{
    for (size_t r = 0; r + 2 <= (size_t)b->o->max_ngram; r++) {
        size_t length = r + 2, from = at + 1 > length ? at + 1 - length : 0;
        for (size_t i = from; i < at + n && i + length <= b->stream.n; i++)
            if (b->at[r][i] >= 0 && is_free(b, i, length))
                b->gram[b->at[r][i]].count--;
    }
    memset(b->taken + at, 1, n);
}

static int add_grams(struct builder *b, struct error *e)
{
    size_t n = (size_t)b->grams + 1;
    b->taken = calloc(b->stream.n + 1, 1);
    b->heap = malloc(n * sizeof *b->heap);
    b->value = malloc(n * sizeof *b->value);
    b->chosen = malloc(n * sizeof *b->chosen);
    if (!b->taken || !b->heap || !b->value || !b->chosen)
        return no_memory(e);
    for (int i = 0; i < b->grams; i++) {
        b->heap[i] = i;
        b->value[i] = b->gram[i].count * b->gram[i].n;
    }
    b->n_heap = b->grams;
    for (int i = b->n_heap / 2 - 1; i >= 0; i--)
        sink(b, i);
    while (b->n_heap > 0 && b->n_chosen < b->o->add) {
        int i = b->heap[0];
        const struct gram *g = &b->gram[i];
        bool stale = g->count * g->n != b->value[i], rare = g->count < b->o->min_frequency;
        if (stale && !rare) { /* values only fall: it goes to where it belongs now */
            b->value[i] = g->count * g->n;
            sink(b, 0);
            continue;
        }
        b->heap[0] = b->heap[--b->n_heap];
        sink(b, 0);
        if (rare)
            continue;
        b->chosen[b->n_chosen++] = i;
        for (size_t k = b->first[i]; k < b->first[i + 1]; k++)
            if (is_free(b, b->occurrence[k], g->n))
                take(b, b->occurrence[k], g->n);
    }
    return 0;
}

static int write_grams(const struct builder *b, struct vocabulary_file *f, struct error *e)
{
    for (int i = 0; i < b->n_chosen; i++)
        f->n_parts += (int)b->gram[b->chosen[i]].n;
    f->length = malloc((size_t)b->n_chosen + 1);
    f->part = malloc(((size_t)f->n_parts + 1) * sizeof *f->part);
    if (!f->length || !f->part)
        return no_memory(e);
    int32_t *part = f->part;
    for (int i = 0; i < b->n_chosen; i++) {
        const struct gram *g = &b->gram[b->chosen[i]];
        f->length[i] = (int8_t)g->n;
        memcpy(part, b->stream.id + g->at, g->n * sizeof *part);
        part += g->n;
    }
    f->n_added = b->n_chosen;
    return 0;
}

static void builder_free(struct builder *b)
{
    for (int r = 0; b->at && r < b->o->max_ngram - 1; r++)
        free(b->at[r]);
    free(b->at);
    token_ids_free(&b->stream);
    free(b->flags);
    free(b->slot);
    free(b->gram);
    free(b->occurrence);
    free(b->first);
    free(b->taken);
    free(b->heap);
    free(b->value);
    free(b->chosen);
}

/* ---- the whole ---- */

static int check(const struct tokenizer *t, const struct adapt_options *o, struct error *e)
{
    if (strcmp(tokenizer_kind(t), "bert") == 0)
        return error_set(e, ERROR_UNSUPPORTED,
                         "WordPiece vocabularies belong to encoders, which generate no text: choose a llama "
                         "or gpt2 vocabulary");
    if (o->max_ngram < 2 || o->max_ngram > VOCABULARY_NGRAM_MAX)
        return error_set(e, ERROR_USAGE, "n-grams of up to %d tokens: choose 2 to %d", o->max_ngram,
                         VOCABULARY_NGRAM_MAX);
    if (o->remove < 0 || o->add < 0 || o->min_frequency < 1)
        return error_set(
            e, ERROR_USAGE,
            "%d tokens to remove, %d to add, frequency at least %d: choose whole numbers from 0, "
            "and a frequency from 1",
            o->remove, o->add, o->min_frequency);
    return 0;
}

/* ids by the vocabulary as f is by now. */
static int adapted(const struct tokenizer *t, const struct vocabulary_file *f, const struct token_ids *ids,
                   struct token_ids *out, bool as_base, struct error *e)
{
    struct patch *p = patch_open(f, t, "the new vocabulary", e);
    struct token_ids fresh = {0};
    int failed = p ? patch_encode(p, ids->id, ids->n, as_base ? &fresh : out, e) : -1;
    if (!failed && as_base)
        failed = patch_decode(p, fresh.id, fresh.n, out, e);
    token_ids_free(&fresh);
    patch_free(p);
    return failed;
}

int adapt_build(const struct tokenizer *t, const char *text, size_t n, const struct adapt_options *o,
                struct vocabulary_file *out, struct error *e)
{
    struct vocabulary_file f = {
        .base_tokens = tokenizer_size(t),
        .text_bytes = (int64_t)n,
        .min_frequency = o->min_frequency,
        .within_words = o->within_words,
    };
    struct builder b = {.t = t, .o = o};
    struct token_ids ids = {0}, fresh = {0};
    if (check(t, o, e) != 0)
        return -1;
    f.fingerprint = tokenizer_fingerprint(t);
    int failed = tokenizer_encode(t, text, n, false, &ids, e);
    if (!failed && (ids.n < 2 || ids.n > UINT32_MAX / 8))
        failed = error_set(e, ERROR_USAGE,
                           "a text of %zu tokens is no text to adapt a vocabulary to: give one "
                           "of at least some pages and at most some gigabytes",
                           ids.n);
    f.length = calloc(1, 1); /* for the vocabulary without n-grams, which counts the text's kept tokens */
    f.part = calloc(1, sizeof *f.part);
    failed = failed || choose_removed(t, &ids, o->remove, &f, e) ||
                     adapted(t, &f, &ids, &b.stream, true, e) || flag_tokens(&b, e) || count_grams(&b, e) ||
                     select_grams(&b, e) || place_grams(&b, e) || add_grams(&b, e)
                 ? -1
                 : 0;
    free(f.length);
    free(f.part);
    f.length = NULL;
    f.part = NULL;
    if (!failed)
        failed = write_grams(&b, &f, e) || adapted(t, &f, &ids, &fresh, false, e) ? -1 : 0;
    f.standard_tokens = (int64_t)ids.n;
    f.adapted_tokens = (int64_t)fresh.n;
    token_ids_free(&ids);
    token_ids_free(&fresh);
    builder_free(&b);
    if (failed) {
        vocabulary_file_free(&f);
        return -1;
    }
    *out = f;
    return 0;
}
