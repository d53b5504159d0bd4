#include "engine/model/kv_pages.h"
#include "engine/clock.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { LEAST_ROWS = 16 }; /* that a region grows by: where pages hold fewer, several are mapped together */

struct kv_pages {
    struct kernels *k;
    struct kv_pages_shape shape;
    size_t page, region, bytes; /* bytes: reserved for keys, and as many for values */
    int regions;                /* of a sequence */
    int region_pages, step;     /* step: pages that a region grows by */
    char *keys, *values;
    int *needed; /* [sequences] rows that its caller needs now: the caller's alone */

    pthread_mutex_t lock; /* guards what follows up to `ready` */
    pthread_cond_t changed;
    int *held; /* [sequences] pages under the start of each of its regions, of keys and of values */
    int64_t pages, map_calls;
    struct kv_growth hidden, exposed;
    bool stop, busy, started;

    _Atomic int *ready;  /* [sequences] rows that have memory in every region; written under the lock */
    _Atomic int *wanted; /* [sequences] rows the thread shall map */
    pthread_t thread;
};

static void count_growth(struct kv_growth *g, int64_t ns)
{
    g->count++;
    g->ns += ns;
    g->max_ns = ns > g->max_ns ? ns : g->max_ns;
}

/* Pages of a region that hold its first `rows` rows, in whole steps. */
static int pages_for(const struct kv_pages *p, int rows)
{
    int64_t page = (int64_t)p->page, pages = (rows * p->shape.row_bytes + page - 1) / page;
    pages = (pages + p->step - 1) / p->step * p->step;
    return (int)(pages < p->region_pages ? pages : p->region_pages);
}

static int rows_in(const struct kv_pages *p, int pages)
{
    int64_t rows = (int64_t)pages * (int64_t)p->page / p->shape.row_bytes;
    return (int)(rows < p->shape.capacity ? rows : p->shape.capacity);
}

static size_t region_at(const struct kv_pages *p, int sequence, int i)
{
    const struct kv_pages_shape *s = &p->shape;
    size_t index = ((size_t)(i / s->inner) * (size_t)s->sequences + (size_t)sequence) * (size_t)s->inner +
                   (size_t)(i % s->inner);
    return index * p->region;
}

/* The functions from here to map_rows: under the lock. */

static void set_held(struct kv_pages *p, int sequence, int pages)
{
    p->pages += 2 * (int64_t)p->regions * (pages - p->held[sequence]);
    p->held[sequence] = pages;
    atomic_store(&p->ready[sequence], rows_in(p, pages));
}

static void unmap(struct kv_pages *p, char *tensor, int sequence, int i, int from, int to)
{
    p->k->ops->unmap(p->k, tensor + region_at(p, sequence, i) + (size_t)from * p->page,
                     (size_t)(to - from) * p->page);
}

static bool map(struct kv_pages *p, char *tensor, int sequence, int i, int from, int to)
{
    p->map_calls++;
    return p->k->ops->map(p->k, tensor + region_at(p, sequence, i) + (size_t)from * p->page,
                          (size_t)(to - from) * p->page);
}

/* Every region of a sequence gets memory for `rows` rows, or nothing changes. */
static bool map_rows(struct kv_pages *p, int sequence, int rows)
{
    int from = p->held[sequence], to = pages_for(p, rows), i = 0;
    if (to <= from)
        return true;
    int64_t more = 2 * (int64_t)p->regions * (to - from);
    if (p->shape.budget && (p->pages + more) * (int64_t)p->page > p->shape.budget)
        return false;
    for (; i < p->regions; i++) {
        if (!map(p, p->keys, sequence, i, from, to))
            break;
        if (!map(p, p->values, sequence, i, from, to)) {
            unmap(p, p->keys, sequence, i, from, to);
            break;
        }
    }
    if (i == p->regions) {
        set_held(p, sequence, to);
        return true;
    }
    while (i-- > 0) {
        unmap(p, p->keys, sequence, i, from, to);
        unmap(p, p->values, sequence, i, from, to);
    }
    return false;
}

/* Takes the pages that one sequence no longer needs, of the one that has most of them. false: none has. */
static bool reclaim(struct kv_pages *p)
{
    int most = 0, victim = -1;
    for (int s = 0; s < p->shape.sequences; s++) {
        int spare = p->held[s] - pages_for(p, p->needed[s]);
        if (spare > most)
            most = spare, victim = s;
    }
    if (victim < 0)
        return false;
    p->k->ops->synchronize(p->k); /* what is queued may still read them */
    int to = p->held[victim], from = to - most;
    for (int i = 0; i < p->regions; i++) {
        unmap(p, p->keys, victim, i, from, to);
        unmap(p, p->values, victim, i, from, to);
    }
    atomic_store(&p->wanted[victim], 0);
    set_held(p, victim, from);
    return true;
}

/* The first sequence that lacks what it was promised, -1: none. */
static int lacking(struct kv_pages *p)
{
    for (int s = 0; s < p->shape.sequences; s++)
        if (atomic_load(&p->wanted[s]) > atomic_load(&p->ready[s]))
            return s;
    return -1;
}

static void *map_ahead(void *who)
{
    struct kv_pages *p = who;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        int s = lacking(p);
        p->busy = s >= 0;
        if (s < 0) {
            pthread_cond_broadcast(&p->changed); /* whoever waits for it to settle */
            pthread_cond_wait(&p->changed, &p->lock);
            continue;
        }
        int64_t start = clock_ns();
        if (map_rows(p, s, atomic_load(&p->wanted[s])))
            count_growth(&p->hidden, clock_ns() - start);
        else
            atomic_store(&p->wanted[s], 0); /* no memory: kv_pages_need will say so, if it comes to that */
        /* One sequence at a time: a caller in need comes in between. */
        pthread_mutex_unlock(&p->lock);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int start_thread(struct kv_pages *p, struct error *e)
{
    sigset_t all, old; /* signals are for the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&p->thread, NULL, map_ahead, p);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc)
        return error_set(
            e, ERROR_FAILED,
            "the thread that maps the cache cannot be started (%s): raise the limit of processes",
            strerror(rc));
    p->started = true;
    return 0;
}

static void measure(struct kv_pages *p, const struct kv_pages_shape *s)
{
    size_t least = (size_t)(LEAST_ROWS * s->row_bytes);
    p->shape = *s;
    p->page = p->k->ops->page_bytes(p->k);
    p->region_pages = (int)(((size_t)(s->capacity * s->row_bytes) + p->page - 1) / p->page);
    p->step = (int)((least + p->page - 1) / p->page);
    p->region = (size_t)p->region_pages * p->page;
    p->regions = s->outer * s->inner;
    p->bytes = p->region * (size_t)p->regions * (size_t)s->sequences;
}

struct kv_pages *kv_pages_create(struct kernels *k, const struct kv_pages_shape *shape, struct error *e)
{
    struct kv_pages *p = calloc(1, sizeof *p);
    if (!p) {
        error_set(e, ERROR_MEMORY, "no memory for a virtual cache: close other programs");
        return NULL;
    }
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->changed, NULL);
    p->k = k;
    measure(p, shape);
    p->needed = calloc((size_t)shape->sequences, sizeof *p->needed);
    p->held = calloc((size_t)shape->sequences, sizeof *p->held);
    p->ready = calloc((size_t)shape->sequences, sizeof *p->ready);
    p->wanted = calloc((size_t)shape->sequences, sizeof *p->wanted);
    p->keys = k->ops->reserve(k, p->bytes);
    p->values = k->ops->reserve(k, p->bytes);
    if (!p->needed || !p->held || !p->ready || !p->wanted || !p->keys || !p->values) {
        error_set(e, ERROR_MEMORY,
                  "no address space of %.1f GiB for a virtual cache: choose a smaller batch or sequence",
                  2 * (double)p->bytes / 0x1p30);
        kv_pages_free(p);
        return NULL;
    }
    if (!shape->alone && start_thread(p, e)) {
        kv_pages_free(p);
        return NULL;
    }
    return p;
}

static void unmap_all(struct kv_pages *p)
{
    for (int s = 0; s < p->shape.sequences; s++)
        for (int i = 0; i < p->regions && p->held[s] > 0; i++) {
            unmap(p, p->keys, s, i, 0, p->held[s]);
            unmap(p, p->values, s, i, 0, p->held[s]);
        }
}

void kv_pages_free(struct kv_pages *p)
{
    if (!p)
        return;
    if (p->started) {
        pthread_mutex_lock(&p->lock);
        p->stop = true;
        pthread_cond_broadcast(&p->changed);
        pthread_mutex_unlock(&p->lock);
        pthread_join(p->thread, NULL);
    }
    if (p->held)
        unmap_all(p);
    if (p->keys)
        p->k->ops->unreserve(p->k, p->keys, p->bytes);
    if (p->values)
        p->k->ops->unreserve(p->k, p->values, p->bytes);
    free(p->needed);
    free(p->held);
    free(p->ready);
    free(p->wanted);
    pthread_cond_destroy(&p->changed);
    pthread_mutex_destroy(&p->lock);
    free(p);
}

void *kv_pages_keys(const struct kv_pages *p)
{
    return p->keys;
}

void *kv_pages_values(const struct kv_pages *p)
{
    return p->values;
}

int64_t kv_pages_region_bytes(const struct kv_pages *p)
{
    return (int64_t)p->region;
}

int kv_pages_ready(const struct kv_pages *p, int sequence)
{
    return atomic_load(&p->ready[sequence]);
}

int kv_pages_need(struct kv_pages *p, int sequence, int rows, struct error *e)
{
    int before = p->needed[sequence];
    p->needed[sequence] = rows;
    if (rows <= atomic_load(&p->ready[sequence]))
        return 0;
    int64_t start = clock_ns();
    pthread_mutex_lock(&p->lock);
    bool good = map_rows(p, sequence, rows);
    while (!good && reclaim(p))
        good = map_rows(p, sequence, rows);
    if (good)
        count_growth(&p->exposed, clock_ns() - start);
    int64_t committed = p->pages * (int64_t)p->page;
    pthread_mutex_unlock(&p->lock);
    if (good)
        return 0;
    p->needed[sequence] = before;
    return error_set(
        e, ERROR_MEMORY,
        "no memory for token %d of sequence %d after %.2f GiB of cache: choose a smaller batch or "
        "sequence",
        rows, sequence, (double)committed / 0x1p30);
}

void kv_pages_ahead(struct kv_pages *p, int sequence, int rows)
{
    if (rows > p->shape.capacity)
        rows = p->shape.capacity;
    if (!p->started || rows <= atomic_load(&p->ready[sequence]) || rows <= atomic_load(&p->wanted[sequence]))
        return;
    atomic_store(&p->wanted[sequence], rows);
    /* Without the lock, which the thread holds while it maps: then it looks again before it sleeps. Where it
     * is just going to sleep the signal may be lost, and the next token's wish wakes it. */
    pthread_cond_broadcast(&p->changed);
}

void kv_pages_settle(struct kv_pages *p)
{
    pthread_mutex_lock(&p->lock);
    pthread_cond_broadcast(&p->changed);
    while (p->started && (lacking(p) >= 0 || p->busy))
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void kv_pages_figures(struct kv_pages *p, struct kv_pages_figures *out)
{
    int64_t needed = 0;
    for (int s = 0; s < p->shape.sequences; s++)
        needed += 2 * (int64_t)p->regions * pages_for(p, p->needed[s]);
    pthread_mutex_lock(&p->lock);
    *out = (struct kv_pages_figures){
        .page_bytes = (int64_t)p->page,
        .reserved = 2 * (int64_t)p->bytes,
        .committed = p->pages * (int64_t)p->page,
        .pages = p->pages,
        .kept = (p->pages - needed) * (int64_t)p->page,
        .map_calls = p->map_calls,
        .hidden = p->hidden,
        .exposed = p->exposed,
    };
    pthread_mutex_unlock(&p->lock);
}
