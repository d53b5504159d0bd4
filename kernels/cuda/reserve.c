/* Address space without memory, and 2 MiB pages put under it as a cache grows: CUDA's virtual memory
 * management, used as vAttention does (Prabhu et al. 2024, sections 5 and 6).
 *
 * Physical pages are made once and kept on unmap, because making them is what costs time; alloc takes them
 * back from the pool when memory runs out. One lock guards everything, so that a second thread may map ahead
 * of the next step. Pages are zeroed on a stream of their own and map returns when they are: whatever is
 * queued after it sees zeros. Pages that a queued operation still reads must not be unmapped: the caller
 * knows. */
#include "kernels/cuda/host.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if !defined(BENCHTOP_EMULATED) && __has_include(<cuda.h>)
#include <cuda.h>
_Static_assert(sizeof(struct driver_property) == sizeof(CUmemAllocationProp) &&
                   offsetof(struct driver_property, location) == offsetof(CUmemAllocationProp, location) &&
                   offsetof(struct driver_property, flags) == offsetof(CUmemAllocationProp, allocFlags) &&
                   sizeof(struct driver_access) == sizeof(CUmemAccessDesc) &&
                   sizeof(driver_address) == sizeof(CUdeviceptr) &&
                   sizeof(driver_memory) == sizeof(CUmemGenericAllocationHandle),
               "driver.h lays out what cuda.h does");
_Static_assert(DRIVER_PINNED == (int)CU_MEM_ALLOCATION_TYPE_PINNED &&
                   DRIVER_ON_DEVICE == (int)CU_MEM_LOCATION_TYPE_DEVICE &&
                   DRIVER_READ_WRITE == (int)CU_MEM_ACCESS_FLAGS_PROT_READWRITE &&
                   DRIVER_GRANULARITY_MIN == (int)CU_MEM_ALLOC_GRANULARITY_MINIMUM,
               "driver.h numbers as cuda.h does");
#endif

enum { DRIVER_OUT_OF_MEMORY = 2, VIRTUAL_MEMORY_SINCE = 10020 };

static bool entry(const char *name, void *function)
{
    enum cudaDriverEntryPointQueryResult found;
    void *p = NULL;
#if defined CUDART_VERSION && CUDART_VERSION < 12050
    cudaError_t status = cudaGetDriverEntryPoint(name, &p, cudaEnableDefault, &found);
#else
    cudaError_t status =
        cudaGetDriverEntryPointByVersion(name, &p, VIRTUAL_MEMORY_SINCE, cudaEnableDefault, &found);
#endif
    if (status != cudaSuccess || found != cudaDriverEntryPointSuccess || !p) {
        (void)cudaGetLastError();
        return false;
    }
    memcpy(function, &p, sizeof p); /* a function from a data pointer: what dlsym leaves to its callers too */
    return true;
}

static bool find_driver(struct driver *d)
{
    return entry("cuMemGetAllocationGranularity", &d->granularity) &&
           entry("cuMemAddressReserve", &d->reserve) && entry("cuMemAddressFree", &d->unreserve) &&
           entry("cuMemCreate", &d->create) && entry("cuMemRelease", &d->release) &&
           entry("cuMemMap", &d->map) && entry("cuMemUnmap", &d->unmap) &&
           entry("cuMemSetAccess", &d->set_access);
}

void cuda_space_open(struct cuda *c)
{
    struct address_space *s = &c->own->space;
    s->property = (struct driver_property){.type = DRIVER_PINNED,
                                           .location = {.type = DRIVER_ON_DEVICE, .id = c->index}};
    if (!find_driver(&s->driver) ||
        s->driver.granularity(&s->page, &s->property, DRIVER_GRANULARITY_MIN) != 0 || s->page == 0)
        return;
    if (cudaStreamCreateWithFlags(&s->zeroing, cudaStreamNonBlocking) != cudaSuccess) {
        (void)cudaGetLastError();
        s->zeroing = NULL;
        return;
    }
    s->there = true;
}

/* With the lock held. */
static bool trim(struct address_space *s)
{
    bool any = s->pooled > 0;
    while (s->pooled > 0)
        s->driver.release(s->pool[--s->pooled]);
    return any;
}

bool cuda_space_trim(struct cuda *c)
{
    struct address_space *s = &c->own->space;
    pthread_mutex_lock(&s->lock);
    bool any = trim(s);
    pthread_mutex_unlock(&s->lock);
    return any;
}

size_t cuda_space_pooled(const struct cuda *c)
{
    struct address_space *s = &c->own->space;
    pthread_mutex_lock(&s->lock);
    size_t bytes = s->pooled * s->page;
    pthread_mutex_unlock(&s->lock);
    return bytes;
}

/* A page for the pool; where its list cannot grow the page goes back to the driver. */
static void keep(struct address_space *s, driver_memory page)
{
    if (s->pooled == s->pool_room) {
        size_t room = s->pool_room ? 2 * s->pool_room : 64;
        driver_memory *pool = realloc(s->pool, room * sizeof *pool);
        if (!pool) {
            s->driver.release(page);
            return;
        }
        s->pool = pool;
        s->pool_room = room;
    }
    s->pool[s->pooled++] = page;
}

void cuda_space_close(struct cuda *c)
{
    struct address_space *s = &c->own->space;
    while (s->reservations) {
        struct reservation *r = s->reservations;
        s->reservations = r->next;
        for (size_t i = 0; i < r->pages; i++)
            if (r->under[i]) {
                s->driver.unmap((driver_address)(uintptr_t)(r->at + i * s->page), s->page);
                s->driver.release(r->under[i]);
            }
        s->driver.unreserve((driver_address)(uintptr_t)r->at, r->pages * s->page);
        free(r);
    }
    trim(s);
    free(s->pool);
    if (s->zeroing)
        cudaStreamDestroy(s->zeroing);
}

size_t cuda_page_bytes(const struct kernels *k)
{
    return cuda_of(k)->own->space.page;
}

void *cuda_reserve(struct kernels *k, size_t bytes)
{
    struct address_space *s = &cuda_of(k)->own->space;
    size_t pages = bytes / s->page + (bytes % s->page > 0);
    driver_address at = 0;
    if (pages == 0 || pages > SIZE_MAX / s->page)
        return NULL;
    struct reservation *r = calloc(1, sizeof *r + pages * sizeof r->under[0]);
    if (!r)
        return NULL;
    pthread_mutex_lock(&s->lock);
    if (s->driver.reserve(&at, pages * s->page, 0, 0, 0) == 0) {
        r->at = (char *)(uintptr_t)at;
        r->pages = pages;
        r->next = s->reservations;
        s->reservations = r;
    } else {
        free(r);
        r = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    return r ? r->at : NULL;
}

/* The reservation that holds whole pages [at, at + bytes), all of them mapped or none; its first page. */
static struct reservation *whole_pages(struct address_space *s, const char *at, size_t bytes, bool mapped,
                                       size_t *first)
{
    struct reservation *r = s->reservations;
    while (r && !((uintptr_t)at >= (uintptr_t)r->at && (uintptr_t)at < (uintptr_t)r->at + r->pages * s->page))
        r = r->next;
    if (!r || bytes == 0 || bytes % s->page || (size_t)(at - r->at) % s->page)
        return NULL;
    *first = (size_t)(at - r->at) / s->page;
    if (bytes / s->page > r->pages - *first)
        return NULL;
    for (size_t i = 0; i < bytes / s->page; i++)
        if ((r->under[*first + i] != 0) != mapped)
            return NULL;
    return r;
}

/* Takes the memory from under `count` mapped pages into the pool, each as it was mapped: the driver unmaps
 * "the entire range that was mapped", and says nothing of several at once. The first failure's status; such a
 * page is given up. */
static int take_away(struct address_space *s, struct reservation *r, size_t first, size_t count)
{
    int first_status = 0;
    for (size_t i = first; i < first + count; i++) {
        int status = s->driver.unmap((driver_address)(uintptr_t)(r->at + i * s->page), s->page);
        if (status == 0)
            keep(s, r->under[i]);
        else
            s->driver.release(r->under[i]); /* stays under its address: never mapped elsewhere meanwhile */
        r->under[i] = 0;
        first_status = first_status ? first_status : status;
    }
    return first_status;
}

/* Pages under [first, first + count), not yet accessible; on failure none and the driver's status. */
static int put_under(struct address_space *s, struct reservation *r, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++) {
        driver_memory page = s->pooled > 0 ? s->pool[--s->pooled] : 0;
        int status = page ? 0 : s->driver.create(&page, s->page, &s->property, 0);
        if (status == 0) {
            status = s->driver.map((driver_address)(uintptr_t)(r->at + i * s->page), s->page, 0, page, 0);
            if (status != 0)
                keep(s, page);
        }
        if (status != 0) {
            take_away(s, r, first, i - first);
            return status;
        }
        r->under[i] = page;
    }
    return 0;
}

static int make_zero(struct address_space *s, void *at, size_t bytes, cudaError_t *status)
{
    *status = cudaMemsetAsync(at, 0, bytes, s->zeroing);
    if (*status == cudaSuccess)
        *status = cudaStreamSynchronize(s->zeroing);
    return *status == cudaSuccess ? 0 : -1;
}

bool cuda_map(struct kernels *k, void *at, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    struct address_space *s = &c->own->space;
    size_t first = 0;
    cudaError_t zeroed = cudaSuccess;
    cudaSetDevice(c->index); /* may be another thread than open's */
    pthread_mutex_lock(&s->lock);
    struct reservation *r = whole_pages(s, at, bytes, false, &first);
    if (!r) {
        pthread_mutex_unlock(&s->lock);
        cuda_fail(c, "map of what is not whole reserved pages without memory");
        return false;
    }
    struct driver_access access = {s->property.location, DRIVER_READ_WRITE};
    size_t count = bytes / s->page;
    int status = put_under(s, r, first, count);
    if (status == 0) {
        status = s->driver.set_access((driver_address)(uintptr_t)at, bytes, &access, 1);
        if (status == 0)
            status = make_zero(s, at, bytes, &zeroed);
        if (status != 0)
            take_away(s, r, first, count);
    }
    if (status == 0)
        atomic_fetch_add(&c->own->allocated, bytes);
    pthread_mutex_unlock(&s->lock);
    if (zeroed != cudaSuccess)
        cuda_verify(c, zeroed, "map");
    else if (status != 0 && status != DRIVER_OUT_OF_MEMORY) {
        char what[64];
        snprintf(what, sizeof what, "the driver's error %d in map", status);
        cuda_fail(c, what);
    }
    return status == 0;
}

void cuda_unmap(struct kernels *k, void *at, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    struct address_space *s = &c->own->space;
    size_t first = 0;
    cudaSetDevice(c->index);
    pthread_mutex_lock(&s->lock);
    struct reservation *r = whole_pages(s, at, bytes, true, &first);
    int status = r ? take_away(s, r, first, bytes / s->page) : -1;
    if (r)
        atomic_fetch_sub(&c->own->allocated, bytes);
    pthread_mutex_unlock(&s->lock);
    if (!r)
        cuda_fail(c, "unmap of what is not whole mapped pages");
    else if (status != 0)
        cuda_fail(c, "the driver refused unmap");
}

void cuda_unreserve(struct kernels *k, void *at, size_t bytes)
{
    struct cuda *c = cuda_of(k);
    struct address_space *s = &c->own->space;
    size_t pages = bytes / s->page + (bytes % s->page > 0), mapped = 0;
    struct reservation **place = &s->reservations;
    if (!at)
        return;
    pthread_mutex_lock(&s->lock);
    while (*place && (*place)->at != (char *)at)
        place = &(*place)->next;
    struct reservation *r = *place;
    for (size_t i = 0; r && i < r->pages; i++)
        mapped += r->under[i] != 0;
    bool fine = r && r->pages == pages && mapped == 0;
    if (fine) {
        *place = r->next;
        fine = s->driver.unreserve((driver_address)(uintptr_t)r->at, r->pages * s->page) == 0;
        free(r);
    }
    pthread_mutex_unlock(&s->lock);
    if (!fine)
        cuda_fail(c, "unreserve of what is not reserved or still mapped");
}
