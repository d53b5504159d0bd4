#include "engine/model/kv_pages.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct kv_pages {
    struct kernels *k;
    struct kv_pages_shape shape;
    size_t page, bytes; /* bytes: reserved for keys, and as many for values */
    char *keys, *values;

    pthread_mutex_t lock; /* guards what follows up to `ready` */
    pthread_cond_t changed;
    uint8_t *mapped; /* [bytes / page], keys and values alike */
    int64_t pages, hidden_ns, exposed_ns;
    bool stop, busy, started;

    _Atomic int *ready;  /* [sequences] rows that have memory in every region; written under the lock */
    _Atomic int *wanted; /* [sequences] rows the thread shall map */
    pthread_t thread;
};

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Maps pages [first, last) that have no memory, neighbors in one call. On failure the pages mapped so far
 * stay: they are counted, and serve later. */
static bool map_pages(struct kv_pages *p, size_t first, size_t last)
{
    const struct kernel_ops *ops = p->k->ops;
    for (size_t i = first; i < last;) {
        size_t end = i;
        while (end < last && !p->mapped[end])
            end++;
        if (end == i) {
            i++;
            continue;
        }
        size_t at = i * p->page, bytes = (end - i) * p->page;
        if (!ops->map(p->k, p->keys + at, bytes))
            return false;
        if (!ops->map(p->k, p->values + at, bytes)) {
            ops->unmap(p->k, p->keys + at, bytes);
            return false;
        }
        memset(p->mapped + i, 1, end - i);
        p->pages += 2 * (int64_t)(end - i);
        i = end;
    }
    return true;
}

/* Under the lock: every region of a sequence gets memory for `rows` rows. How many rows that serves is found
 * on the way: the least that lie before the end of a region's last page. */
static bool map_rows(struct kv_pages *p, int sequence, int rows)
{
    const struct kv_pages_shape *s = &p->shape;
    int64_t region = s->capacity * s->row_bytes, ready = s->capacity;
    for (int layer = 0; layer < s->layers; layer++)
        for (int head = 0; head < s->heads; head++) {
            int64_t index = ((int64_t)layer * s->sequences + sequence) * s->heads + head;
            size_t from = (size_t)(index * region), to = from + (size_t)(rows * s->row_bytes);
            size_t last = (to + p->page - 1) / p->page;
            if (!map_pages(p, from / p->page, last))
                return false;
            int64_t serves = (int64_t)(last * p->page - from) / s->row_bytes;
            ready = serves < ready ? serves : ready;
        }
    if (ready > atomic_load(&p->ready[sequence]))
        atomic_store(&p->ready[sequence], (int)ready);
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
        int64_t start = now_ns();
        if (!map_rows(p, s, atomic_load(&p->wanted[s])))
            atomic_store(&p->wanted[s], 0); /* no memory: kv_pages_need will say so, if it comes to that */
        p->hidden_ns += now_ns() - start;
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
    p->shape = *shape;
    p->page = k->ops->page_bytes(k);
    size_t rows =
        (size_t)shape->layers * (size_t)shape->sequences * (size_t)shape->heads * (size_t)shape->capacity;
    p->bytes = (rows * (size_t)shape->row_bytes + p->page - 1) / p->page * p->page;
    p->mapped = calloc(p->bytes / p->page, 1);
    p->ready = calloc((size_t)shape->sequences, sizeof *p->ready);
    p->wanted = calloc((size_t)shape->sequences, sizeof *p->wanted);
    p->keys = k->ops->reserve(k, p->bytes);
    p->values = k->ops->reserve(k, p->bytes);
    if (!p->mapped || !p->ready || !p->wanted || !p->keys || !p->values) {
        error_set(e, ERROR_MEMORY,
                  "no address space of %.1f GiB for a virtual cache: choose a smaller batch or sequence",
                  2 * (double)p->bytes / 0x1p30);
        kv_pages_free(p);
        return NULL;
    }
    if (start_thread(p, e)) {
        kv_pages_free(p);
        return NULL;
    }
    return p;
}

static void unmap_all(struct kv_pages *p)
{
    size_t n = p->bytes / p->page;
    for (size_t i = 0; p->mapped && i < n;) {
        size_t end = i;
        while (end < n && p->mapped[end])
            end++;
        if (end > i) {
            p->k->ops->unmap(p->k, p->keys + i * p->page, (end - i) * p->page);
            p->k->ops->unmap(p->k, p->values + i * p->page, (end - i) * p->page);
        }
        i = end + 1;
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
    unmap_all(p);
    if (p->keys)
        p->k->ops->unreserve(p->k, p->keys, p->bytes);
    if (p->values)
        p->k->ops->unreserve(p->k, p->values, p->bytes);
    free(p->mapped);
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

int kv_pages_need(struct kv_pages *p, int sequence, int rows, struct error *e)
{
    if (rows <= atomic_load(&p->ready[sequence]))
        return 0;
    int64_t start = now_ns();
    pthread_mutex_lock(&p->lock);
    bool good = rows <= atomic_load(&p->ready[sequence]) || map_rows(p, sequence, rows);
    p->exposed_ns += now_ns() - start;
    int64_t committed = p->pages * (int64_t)p->page;
    pthread_mutex_unlock(&p->lock);
    if (good)
        return 0;
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
    if (rows <= atomic_load(&p->ready[sequence]) || rows <= atomic_load(&p->wanted[sequence]))
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
    while (lacking(p) >= 0 || p->busy)
        pthread_cond_wait(&p->changed, &p->lock);
    pthread_mutex_unlock(&p->lock);
}

void kv_pages_figures(struct kv_pages *p, struct kv_pages_figures *out)
{
    pthread_mutex_lock(&p->lock);
    *out = (struct kv_pages_figures){
        .page_bytes = (int64_t)p->page,
        .reserved = 2 * (int64_t)p->bytes,
        .committed = p->pages * (int64_t)p->page,
        .pages = p->pages,
        .hidden_ns = p->hidden_ns,
        .exposed_ns = p->exposed_ns,
    };
    pthread_mutex_unlock(&p->lock);
}
