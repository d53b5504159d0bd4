#include "engine/resume.h"

#include <stdlib.h>
#include <string.h>

bool resume_same_row(const struct session_cell *a, const struct session_cell *b)
{
    return strcmp(a->model, b->model) == 0 && a->workload == b->workload && a->tokens == b->tokens;
}

static bool same_arms(const struct session_cell *a, const struct session_cell *b)
{
    if (a->n_arms != b->n_arms)
        return false;
    for (int i = 0; i < a->n_arms; i++)
        if (strcmp(a->arm[i].name, b->arm[i].name) != 0 ||
            !implementation_equal(&a->arm[i].implementation, &b->arm[i].implementation))
            return false;
    return true;
}

struct block *resume_copy_block(const struct block *b, int cell, struct error *e)
{
    int n = atomic_load_explicit(&b->n, memory_order_acquire);
    struct block *c = session_new_block(cell, b->arm, b->round, b->position, n, e);
    if (!c)
        return NULL;
    if (b->n_warmup > 0) {
        c->warmup = malloc((size_t)b->n_warmup * sizeof *c->warmup);
        if (!c->warmup) {
            session_free_block(c);
            error_set(e, ERROR_MEMORY,
                      "no memory for the samples of the resumed session: close other programs");
            return NULL;
        }
        memcpy(c->warmup, b->warmup, (size_t)b->n_warmup * sizeof *c->warmup);
        c->n_warmup = b->n_warmup;
    }
    memcpy(c->samples, b->samples, (size_t)n * sizeof *c->samples);
    c->flags = b->flags;
    c->started_ns = b->started_ns;
    c->telemetry = b->telemetry;
    atomic_store_explicit(&c->n, n, memory_order_release);
    return c;
}

const struct session_cell *resume_find(const struct session *old, const struct session_cell *cell)
{
    for (int i = 0; i < old->n_cells; i++) {
        const struct session_cell *o = &old->cell[i];
        if (o->status == CELL_OK && resume_same_row(cell, o) && cell->batch == o->batch &&
            cell->seq == o->seq && same_arms(cell, o))
            return o;
    }
    return NULL;
}
