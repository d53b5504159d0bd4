#include "engine/model/admission.h"

#include <stdlib.h>
#include <string.h>

/* ---- a backend that counts and holds nothing ---- */

struct counter {
    struct kernels base;
    size_t page, held;
};

static struct counter *counter_of(const struct kernels *k)
{
    return (struct counter *)(uintptr_t)k;
}

/* Any address: nobody reads or writes there. */
static void *nowhere(void)
{
    return (void *)(uintptr_t)4096;
}

static void *count_alloc(struct kernels *k, size_t bytes)
{
    counter_of(k)->held += bytes;
    return nowhere();
}

static void count_free(struct kernels *k, void *p, size_t bytes)
{
    counter_of(k)->held -= p ? bytes : 0;
}

static void count_upload(struct kernels *k, void *to, const void *from, size_t bytes)
{
    (void)k, (void)to, (void)from, (void)bytes;
}

static void count_synchronize(struct kernels *k)
{
    (void)k;
}

static size_t count_page_bytes(const struct kernels *k)
{
    return counter_of(k)->page;
}

static void *count_reserve(struct kernels *k, size_t bytes)
{
    (void)k, (void)bytes;
    return nowhere();
}

static bool count_map(struct kernels *k, void *at, size_t bytes)
{
    (void)at;
    counter_of(k)->held += bytes;
    return true;
}

static void count_unmap(struct kernels *k, void *at, size_t bytes)
{
    (void)at;
    counter_of(k)->held -= bytes;
}

static void count_unreserve(struct kernels *k, void *at, size_t bytes)
{
    (void)k, (void)at, (void)bytes;
}

static const struct kernel_ops counting = {
    .alloc = count_alloc,
    .free = count_free,
    .upload = count_upload,
    .synchronize = count_synchronize,
    .page_bytes = count_page_bytes,
    .reserve = count_reserve,
    .map = count_map,
    .unmap = count_unmap,
    .unreserve = count_unreserve,
};

/* ---- the scheduler ---- */

struct running {
    int request, slot; /* slot: its sequence in the cache */
};

struct scheduler {
    const struct admission_request *request;
    int n;
    struct kv_cache *cache;
    int *done;    /* [n] tokens generated */
    int *waiting; /* [n] a ring: requests in the order they shall be admitted */
    int first_waiting, n_waiting;
    struct running *running; /* [n] the oldest first */
    int n_running;
    bool preempted; /* in this step */
    struct admission_report *report;
};

static int length_of(const struct scheduler *s, int request)
{
    return s->request[request].prompt + s->done[request];
}

static int resize(struct scheduler *s, int slot, int length, struct error *e)
{
    return kv_cache_resize(s->cache, slot, 1, &length, e);
}

static void preempt_youngest(struct scheduler *s)
{
    struct running *r = &s->running[--s->n_running];
    s->report->preemptions++;
    s->report->recomputed += length_of(s, r->request);
    resize(s, r->slot, 0, NULL);
    s->first_waiting = (s->first_waiting + s->n - 1) % s->n;
    s->waiting[s->first_waiting] = r->request;
    s->n_waiting++;
    s->preempted = true;
}

static int grow(struct scheduler *s, struct error *e)
{
    for (int i = 0; i < s->n_running; i++) {
        int request = s->running[i].request, slot = s->running[i].slot;
        while (i < s->n_running && resize(s, slot, length_of(s, request) + 1, e)) {
            if (e->kind != ERROR_MEMORY || s->n_running == 1)
                return -1;
            preempt_youngest(s);
        }
        if (i < s->n_running)
            s->done[request]++;
    }
    return 0;
}

static int admit(struct scheduler *s, struct error *e)
{
    while (s->n_waiting > 0 && !s->preempted) {
        int request = s->waiting[s->first_waiting], length = length_of(s, request) + 1;
        int slot = kv_cache_vacant(s->cache, length);
        if (slot < 0)
            return 0;
        if (resize(s, slot, length, e))
            return e->kind == ERROR_MEMORY && s->n_running > 0 ? 0 : -1;
        s->done[request]++;
        s->running[s->n_running++] = (struct running){request, slot};
        s->first_waiting = (s->first_waiting + 1) % s->n;
        s->n_waiting--;
    }
    return 0;
}

static void end_finished(struct scheduler *s)
{
    int kept = 0;
    for (int i = 0; i < s->n_running; i++) {
        struct running r = s->running[i];
        if (s->done[r.request] < s->request[r.request].tokens)
            s->running[kept++] = r;
        else
            resize(s, r.slot, 0, NULL);
    }
    s->n_running = kept;
}

/* Sums over the steps, made means at the end. */
static void count_step(struct scheduler *s, enum kv_cache_kind kind, int64_t budget)
{
    struct kv_cache_figures f;
    struct admission_report *r = s->report;
    kv_cache_figures(s->cache, true, &f);
    int64_t held = kind == KV_CACHE_CONTIGUOUS ? s->n_running * f.page_bytes : f.committed - f.kept;
    r->steps++;
    r->peak = s->n_running > r->peak ? s->n_running : r->peak;
    r->mean += s->n_running;
    r->wasted_bytes += (double)(held - f.used);
    r->used_share += (double)f.used / (double)budget;
}

static int run(struct scheduler *s, enum kv_cache_kind kind, int64_t budget, struct error *e)
{
    struct admission_report *r = s->report;
    for (int i = 0; i < s->n; i++)
        s->waiting[i] = i;
    s->n_waiting = s->n;
    while (s->n_waiting > 0 || s->n_running > 0) {
        s->preempted = false;
        if (grow(s, e) || admit(s, e))
            return -1;
        count_step(s, kind, budget);
        end_finished(s);
    }
    r->wasted_bytes = r->mean > 0 ? r->wasted_bytes / r->mean : 0;
    r->mean = r->steps > 0 ? r->mean / (double)r->steps : 0;
    r->used_share = r->steps > 0 ? r->used_share / (double)r->steps : 0;
    return 0;
}

/* The cache that the budget buys; sequences: no more than there are requests. */
static struct kv_cache *buy(struct counter *k, const struct admission *a, int n, struct error *e)
{
    struct kv_cache_shape shape = a->cache;
    shape.sequences = n;
    shape.budget = a->budget;
    shape.alone = true;
    if (shape.kind == KV_CACHE_CONTIGUOUS) {
        struct kv_cache_shape one = shape;
        int64_t bytes, table;
        one.sequences = 1;
        kv_cache_sizes(&one, &bytes, &table);
        shape.sequences = a->budget / bytes < n ? (int)(a->budget / bytes) : n;
    }
    if (shape.sequences < 1) {
        error_set(e, ERROR_MEMORY, "%lld bytes of cache hold not one sequence of %d tokens: give more memory",
                  (long long)a->budget, shape.capacity);
        return NULL;
    }
    return kv_cache_create(&k->base, &shape, e);
}

int admission_run(const struct admission *a, const struct admission_request *request, int n,
                  struct admission_report *out, struct error *e)
{
    struct counter k = {.base = {.ops = &counting}, .page = (size_t)a->page_bytes};
    struct error why = {0}; /* memory that ends is no failure but what the scheduler lives with */
    struct scheduler s = {.request = request, .n = n, .report = out};
    int rc = -1;
    *out = (struct admission_report){0};
    for (int i = 0; i < n; i++)
        if (request[i].prompt < 0 || request[i].tokens < 1 ||
            request[i].prompt > a->cache.capacity - request[i].tokens)
            return error_set(e, ERROR_FAILED,
                             "request %d of %d and %d tokens does not fit a capacity of %d: raise it", i,
                             request[i].prompt, request[i].tokens, a->cache.capacity);
    if (n < 1)
        return 0;
    s.done = calloc((size_t)n, sizeof *s.done);
    s.waiting = calloc((size_t)n, sizeof *s.waiting);
    s.running = calloc((size_t)n, sizeof *s.running);
    if (!s.done || !s.waiting || !s.running)
        error_set(&why, ERROR_MEMORY, "no memory to schedule %d sequences: close other programs", n);
    else if ((s.cache = buy(&k, a, n, &why)))
        rc = run(&s, a->cache.kind, a->budget, &why);
    if (rc != 0 && e)
        *e = why;
    kv_cache_free(s.cache);
    free(s.done);
    free(s.waiting);
    free(s.running);
    return rc;
}
