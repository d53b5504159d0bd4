/* Greedy merging of neighbors through a binary heap: n log n in the length of the text. */
#include "engine/model/tokenizer_internal.h"

#include <stdlib.h>

static void *grown(void *list, int *room, size_t size)
{
    int wanted = *room ? 2 * *room : 64;
    void *larger = realloc(list, (size_t)wanted * size);
    if (larger)
        *room = wanted;
    return larger;
}

int symbols_add(struct symbols *s, uint32_t start, uint32_t n, int32_t id)
{
    if (s->n == s->room) {
        struct symbol *larger = grown(s->symbol, &s->room, sizeof *larger);
        if (!larger)
            return -1;
        s->symbol = larger;
    }
    s->symbol[s->n] = (struct symbol){s->n - 1, -1, start, n, id};
    if (s->n > 0)
        s->symbol[s->n - 1].next = s->n;
    s->n++;
    return 0;
}

void symbols_free(struct symbols *s)
{
    free(s->symbol);
    free(s->heap);
    *s = (struct symbols){0};
}

static bool before(const struct bigram *a, const struct bigram *b)
{
    return a->value > b->value || (a->value >= b->value && a->left < b->left);
}

static int push(struct symbols *s, const struct bigram *b)
{
    if (s->n_heap == s->heap_room) {
        struct bigram *larger = grown(s->heap, &s->heap_room, sizeof *larger);
        if (!larger)
            return -1;
        s->heap = larger;
    }
    int i = s->n_heap++;
    for (int up; i > 0 && before(b, &s->heap[up = (i - 1) / 2]); i = up)
        s->heap[i] = s->heap[up];
    s->heap[i] = *b;
    return 0;
}

static struct bigram pop(struct symbols *s)
{
    struct bigram top = s->heap[0], last = s->heap[--s->n_heap];
    int i = 0;
    for (;;) {
        int child = 2 * i + 1;
        if (child >= s->n_heap)
            break;
        if (child + 1 < s->n_heap && before(&s->heap[child + 1], &s->heap[child]))
            child++;
        if (!before(&s->heap[child], &last))
            break;
        s->heap[i] = s->heap[child];
        i = child;
    }
    if (s->n_heap > 0)
        s->heap[i] = last;
    return top;
}

static int offer(struct symbols *s, const struct tokenizer *t, const char *text, symbols_pair *pair, int left,
                 int right)
{
    struct bigram b = {.left = left, .right = right};
    if (left < 0 || right < 0 || !pair(t, text, &s->symbol[left], &s->symbol[right], &b.id, &b.value))
        return 0;
    b.size = s->symbol[left].n + s->symbol[right].n;
    return push(s, &b);
}

int symbols_merge(struct symbols *s, const struct tokenizer *t, const char *text, symbols_pair *pair)
{
    s->n_heap = 0;
    for (int i = 1; i < s->n; i++)
        if (offer(s, t, text, pair, i - 1, i) != 0)
            return -1;
    while (s->n_heap > 0) {
        struct bigram b = pop(s);
        struct symbol *left = &s->symbol[b.left], *right = &s->symbol[b.right];
        if (left->n == 0 || right->n == 0 || left->n + right->n != b.size)
            continue; /* one of the two has been merged since */
        left->n += right->n;
        left->id = b.id;
        left->next = right->next;
        right->n = 0;
        if (right->next >= 0)
            s->symbol[right->next].previous = b.left;
        if (offer(s, t, text, pair, left->previous, b.left) != 0 ||
            offer(s, t, text, pair, b.left, left->next) != 0)
            return -1;
    }
    return 0;
}
