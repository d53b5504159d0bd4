#include "engine/model/patch.h"

#include <stdlib.h>
#include <string.h>

/* A node of the tree of n-grams: what may follow a prefix. */
struct node {
    int32_t parent, token; /* parent -1: an empty slot */
    int32_t child;         /* number of the node that token leads to */
};

struct patch {
    int base_tokens, kept, size;
    int32_t *offset; /* [size + 1] into part */
    int32_t *part;
    int32_t *fresh;        /* [base_tokens] new id of a kept token; -1: removed */
    int32_t *piece_offset; /* [base_tokens + 1] into piece: what a token is taken apart into */
    int32_t *piece;
    int32_t *first; /* [base_tokens] node of the prefix of one token; -1: none */
    int32_t *rank;  /* [nodes] the n-gram that ends at a node; INT32_MAX: none */
    struct node *slot;
    uint32_t mask;
    int nodes;
};

static int no_memory(struct error *e)
{
    return error_set(e, ERROR_MEMORY, "no memory for an adapted vocabulary: close other programs");
}

void patch_free(struct patch *p)
{
    if (!p)
        return;
    free(p->offset);
    free(p->part);
    free(p->fresh);
    free(p->piece_offset);
    free(p->piece);
    free(p->first);
    free(p->rank);
    free(p->slot);
    free(p);
}

/* ---- kept and removed tokens ---- */

/* Appends what id is taken apart into. Parts are shorter than the whole, so this ends. */
static int take_apart(const struct patch *p, int32_t id, const int32_t *left, const int32_t *right,
                      struct token_ids *out)
{
    if (p->fresh[id] >= 0)
        return token_ids_add(out, id);
    return take_apart(p, left[id], left, right, out) != 0 || take_apart(p, right[id], left, right, out) != 0
               ? -1
               : 0;
}

static int number_tokens(struct patch *p, const struct vocabulary_file *f, const int32_t *left,
                         const char *name, struct error *e)
{
    for (int i = 0; i < f->n_removed; i++) {
        if (left[f->removed[i]] < 0)
            return error_set(e, ERROR_FAILED,
                             "%s removes token %d, which no merge makes of others: build it again", name,
                             f->removed[i]);
        p->fresh[f->removed[i]] = -1;
    }
    for (int32_t id = 0; id < p->base_tokens; id++)
        if (p->fresh[id] >= 0)
            p->fresh[id] = p->kept++;
    return 0;
}

static int take_all_apart(struct patch *p, const int32_t *left, const int32_t *right, struct error *e)
{
    struct token_ids pieces = {0};
    for (int32_t id = 0; id < p->base_tokens; id++) {
        p->piece_offset[id] = (int32_t)pieces.n;
        if (pieces.n > INT32_MAX / 2 || take_apart(p, id, left, right, &pieces) != 0) {
            token_ids_free(&pieces);
            return no_memory(e);
        }
    }
    p->piece_offset[p->base_tokens] = (int32_t)pieces.n;
    p->piece = pieces.id;
    return 0;
}

static int learn_tokens(struct patch *p, const struct vocabulary_file *f, const struct tokenizer *base,
                        const char *name, struct error *e)
{
    size_t n = (size_t)p->base_tokens;
    int32_t *left = malloc(n * sizeof *left), *right = malloc(n * sizeof *right);
    int failed = left && right ? tokenizer_splits(base, left, right, e) : no_memory(e);
    failed = failed || number_tokens(p, f, left, name, e) || take_all_apart(p, left, right, e) ? -1 : 0;
    free(left);
    free(right);
    return failed;
}

/* ---- the tree ---- */

static uint32_t hash_of(int32_t parent, int32_t token)
{
    uint32_t h = ((uint32_t)parent * 0x9e3779b1u) ^ ((uint32_t)token * 0x85ebca6bu);
    return h ^ h >> 15;
}

static int32_t child_of(const struct patch *p, int32_t parent, int32_t token)
{
    for (uint32_t h = hash_of(parent, token);; h++) {
        const struct node *n = &p->slot[h & p->mask];
        if (n->parent < 0)
            return -1;
        if (n->parent == parent && n->token == token)
            return n->child;
    }
}

static int32_t add_child(struct patch *p, int32_t parent, int32_t token)
{
    int32_t child = child_of(p, parent, token);
    if (child >= 0)
        return child;
    uint32_t h = hash_of(parent, token);
    while (p->slot[h & p->mask].parent >= 0)
        h++;
    p->slot[h & p->mask] = (struct node){parent, token, p->nodes};
    p->rank[p->nodes] = INT32_MAX;
    return p->nodes++;
}

static void add_gram(struct patch *p, const int32_t *part, int n, int32_t rank)
{
    int32_t *first = &p->first[part[0]];
    if (*first < 0) {
        p->rank[p->nodes] = INT32_MAX;
        *first = p->nodes++;
    }
    int32_t node = *first;
    for (int i = 1; i < n; i++)
        node = add_child(p, node, part[i]);
    p->rank[node] = rank;
}

/* Kept tokens are their own part; the n-grams' follow. */
static void learn_parts(struct patch *p, const struct vocabulary_file *f)
{
    int32_t at = 0;
    for (int32_t id = 0; id < p->base_tokens; id++)
        if (p->fresh[id] >= 0) {
            p->offset[at] = at;
            p->part[at++] = id;
        }
    const int32_t *part = f->part;
    for (int i = 0; i < f->n_added; i++) {
        p->offset[p->kept + i] = at;
        memcpy(p->part + at, part, (size_t)f->length[i] * sizeof *part);
        add_gram(p, part, f->length[i], i);
        at += f->length[i];
        part += f->length[i];
    }
    p->offset[p->size] = at;
}

static int allocate(struct patch *p, const struct vocabulary_file *f, struct error *e)
{
    size_t base = (size_t)p->base_tokens, size = base - (size_t)f->n_removed + (size_t)f->n_added;
    size_t slots = 16, nodes = (size_t)f->n_parts + 1;
    while (slots < 2 * nodes)
        slots *= 2;
    p->mask = (uint32_t)slots - 1;
    p->offset = malloc((size + 1) * sizeof *p->offset);
    p->part = malloc((base + (size_t)f->n_parts) * sizeof *p->part);
    p->fresh = calloc(base, sizeof *p->fresh);
    p->piece_offset = malloc((base + 1) * sizeof *p->piece_offset);
    p->first = malloc(base * sizeof *p->first);
    p->rank = malloc(nodes * sizeof *p->rank);
    p->slot = malloc(slots * sizeof *p->slot);
    if (!p->offset || !p->part || !p->fresh || !p->piece_offset || !p->first || !p->rank || !p->slot)
        return no_memory(e);
    memset(p->first, 0xff, base * sizeof *p->first);
    for (size_t i = 0; i < slots; i++)
        p->slot[i].parent = -1;
    return 0;
}

struct patch *patch_open(const struct vocabulary_file *f, const struct tokenizer *base, const char *name,
                         struct error *e)
{
    if (f->base_tokens != tokenizer_size(base) || f->fingerprint != tokenizer_fingerprint(base)) {
        error_set(
            e, ERROR_FAILED,
            "%s was built for another vocabulary (%s, %d tokens) than this one (%s, %d tokens): build one "
            "for it with `benchtop vocab build`",
            name, f->base, f->base_tokens, tokenizer_kind(base), tokenizer_size(base));
        return NULL;
    }
    struct patch *p = calloc(1, sizeof *p);
    if (!p) {
        no_memory(e);
        return NULL;
    }
    p->base_tokens = f->base_tokens;
    p->size = f->base_tokens - f->n_removed + f->n_added;
    if (allocate(p, f, e) != 0 || learn_tokens(p, f, base, name, e) != 0) {
        patch_free(p);
        return NULL;
    }
    learn_parts(p, f);
    return p;
}

/* ---- ids to ids ---- */

static int outside(int32_t id, int size, struct error *e)
{
    return error_set(e, ERROR_FAILED, "token %d is outside the vocabulary of %d tokens", id, size);
}

/* Removed tokens as the kept ones they are made of. */
static int expand(const struct patch *p, const int32_t *base, size_t n, struct token_ids *out,
                  struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        if (base[i] < 0 || base[i] >= p->base_tokens)
            return outside(base[i], p->base_tokens, e);
        for (int32_t k = p->piece_offset[base[i]]; k < p->piece_offset[base[i] + 1]; k++)
            if (token_ids_add(out, p->piece[k]) != 0)
                return no_memory(e);
    }
    return 0;
}

/* The n-gram of the best rank that begins at id[0], of n tokens to the end; its length, 1: none does. */
static size_t match(const struct patch *p, const int32_t *id, size_t n, int32_t *rank)
{
    size_t length = 1;
    int32_t node = p->first[id[0]];
    *rank = INT32_MAX;
    for (size_t i = 1; node >= 0 && i < n; i++) {
        node = child_of(p, node, id[i]);
        if (node >= 0 && p->rank[node] < *rank) {
            *rank = p->rank[node];
            length = i + 1;
        }
    }
    return length;
}

int patch_encode(const struct patch *p, const int32_t *base, size_t n, struct token_ids *out, struct error *e)
{
    struct token_ids kept = {0};
    size_t before = out->n;
    int failed = expand(p, base, n, &kept, e);
    for (size_t i = 0; !failed && i < kept.n;) {
        int32_t rank;
        size_t length = match(p, kept.id + i, kept.n - i, &rank);
        if (token_ids_add(out, length > 1 ? p->kept + rank : p->fresh[kept.id[i]]) != 0)
            failed = no_memory(e);
        i += length;
    }
    token_ids_free(&kept);
    if (failed)
        out->n = before;
    return failed;
}

int patch_decode(const struct patch *p, const int32_t *id, size_t n, struct token_ids *base, struct error *e)
{
    size_t before = base->n;
    int failed = 0;
    for (size_t i = 0; !failed && i < n; i++) {
        if (id[i] < 0 || id[i] >= p->size)
            failed = outside(id[i], p->size, e);
        for (int32_t k = failed ? 0 : p->offset[id[i]]; !failed && k < p->offset[id[i] + 1]; k++)
            if (token_ids_add(base, p->part[k]) != 0)
                failed = no_memory(e);
    }
    if (failed)
        base->n = before;
    return failed;
}

int patch_size(const struct patch *p)
{
    return p->size;
}

int32_t patch_token(const struct patch *p, int32_t base)
{
    return base >= 0 && base < p->base_tokens ? p->fresh[base] : -1;
}

int patch_kept(const struct patch *p)
{
    return p->kept;
}

int patch_parts(const struct patch *p, int32_t id, const int32_t **part)
{
    *part = p->part + p->offset[id];
    return p->offset[id + 1] - p->offset[id];
}
