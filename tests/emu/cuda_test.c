/* The host's half of the CUDA backend on the stand-in: memory, uploads, events, graphs, growing address
 * space, and what it says when something goes wrong. */
#define _GNU_SOURCE
#include "kernels/cuda/host.h"
#include "tests/test.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

/* A small device, so that using all its memory takes no time. With TELL_REASON this program only says what a
 * program on that device is told (the runtime asks the driver once per process). */
__attribute__((constructor)) static void shape_the_device(void)
{
    setenv("EMULATED_MEMORY", "256M", 0);
    if (getenv("TELL_REASON")) {
        char why[256] = "";
        printf("%d %s\n", kernels_devices(NULL, 0, why, sizeof why), why);
        fflush(stdout);
        _exit(0);
    }
}

static const struct kernels_config own = {0, "own", "auto"};

static struct kernels *opened(void)
{
    char why[256] = "";
    struct kernels *k = kernels_open("cuda", &own, why, sizeof why);
    if (!k) {
        printf("the stand-in does not open: %s\n", why);
        exit(1);
    }
    return k;
}

/* Closes, after making sure that nothing failed and nothing was left. */
static void closed_clean(struct kernels *k)
{
    k->ops->synchronize(k);
    CHECK_STRING(k->ops->error(k) ? k->ops->error(k) : "fine", "fine");
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

static int32_t number_at(struct kernels *k, const int32_t *p)
{
    int32_t x = -1;
    k->ops->download(k, &x, p, sizeof x);
    return x;
}

static bool all_zero(struct kernels *k, const void *p, size_t bytes)
{
    unsigned char *copy = malloc(bytes), any = 0;
    memset(copy, 1, bytes);
    k->ops->download(k, copy, p, bytes);
    for (size_t i = 0; i < bytes; i++)
        any |= copy[i];
    free(copy);
    return any == 0;
}

/* ---- devices, open, info ---- */

TEST(the_listed_device_is_described_whole_and_marked_as_emulated)
{
    struct kernel_device d[2];
    char why[128] = "left from before";
    memset(d, 0x55, sizeof d);
    CHECK(kernels_devices(d, 1, why, sizeof why) >= 1);
    CHECK_STRING(why, "");
    CHECK_STRING(d[0].id, "cuda:0");
    CHECK(d[0].name[0] != '\0');
    CHECK(strncmp(d[0].uuid, "GPU-", 4) == 0);
    CHECK_INT(strlen(d[0].uuid), 40);
    CHECK(d[0].major >= 8);
    CHECK(d[0].multiprocessors > 0);
    CHECK(d[0].memory_bytes > 0);
    CHECK(d[0].l2_bytes > 0);
    CHECK(d[0].driver >= 12000);
    CHECK(d[0].runtime >= 12000);
    CHECK(d[0].emulated);
    CHECK_INT((unsigned char)d[1].id[0], 0x55); /* max was 1 */
}

static void told(const char *environment, char *out, int size)
{
    char self[512] = "", line[700];
    CHECK(readlink("/proc/self/exe", self, sizeof self - 1) > 0);
    snprintf(line, sizeof line, "TELL_REASON=1 %s '%s'", environment, self);
    out[0] = '\0';
    FILE *f = popen(line, "r");
    CHECK(f && fgets(out, size, f));
    if (f)
        pclose(f);
}

TEST(each_reason_for_no_gpu_is_told_apart)
{
    char line[300];
    told("EMULATED_DRIVER=0", line, sizeof line);
    CHECK(strncmp(line, "0 no driver: install NVIDIA's driver", 36) == 0);
    told("EMULATED_DRIVER=11040", line, sizeof line);
    CHECK_CONTAINS(line, "0 the driver is too old (CUDA 11.4, this build needs 13.0): install a newer one");
    told("EMULATED_DEVICES=0", line, sizeof line);
    CHECK_CONTAINS(line, "0 no device: the driver sees no GPU");
    CHECK(!strstr(line, "CUDA_VISIBLE_DEVICES"));
    told("EMULATED_DEVICES=0 CUDA_VISIBLE_DEVICES=", line, sizeof line);
    CHECK_CONTAINS(line, "unset it");
    told("EMULATED_DEVICES=3", line, sizeof line);
    CHECK_STRING(line, "3 \n");
}

TEST(a_device_beyond_the_last_and_an_unknown_library_are_refused_with_words)
{
    char why[256] = "";
    CHECK(!kernels_open("cuda:900", &own, why, sizeof why));
    CHECK_CONTAINS(why, "no cuda:900");
    CHECK_CONTAINS(why, "has 1 GPU");
    CHECK(!kernels_open("cuda", &(struct kernels_config){0, "onednn", "auto"}, why, sizeof why));
    CHECK_CONTAINS(why, "choose auto, cublaslt or own");
}

TEST(the_backend_says_what_it_is)
{
    struct kernels *k = opened();
    struct kernels_info info;
    char simd[32];
    k->ops->info(k, &info);
    CHECK_STRING(info.backend, "cuda");
    CHECK(info.emulated);
    snprintf(simd, sizeof simd, "sm_%d%d, %d SMs", cuda_of(k)->major, cuda_of(k)->minor,
             cuda_of(k)->multiprocessors);
    CHECK_STRING(info.simd, simd);
    CHECK_CONTAINS(info.product, "own");
    CHECK_CONTAINS(info.affinity, "spinning");
    CHECK(getenv("CUDA_MODULE_LOADING") == NULL); /* child processes keep their own default */
    closed_clean(k);
}

TEST(views_share_memory_and_failure_and_there_is_none_for_weights_alone)
{
    struct kernels *k = opened();
    CHECK_INT(k->activation, KERNEL_FP32);
    struct kernels *half = k->ops->view(k, KERNEL_FP16), *bf16 = k->ops->view(half, KERNEL_BF16);
    CHECK_INT(half->activation, KERNEL_FP16);
    CHECK_INT(bf16->activation, KERNEL_BF16);
    CHECK(k->ops->view(bf16, KERNEL_FP32) == k);
    CHECK(!k->ops->view(k, KERNEL_INT8));
    CHECK(!k->ops->view(k, KERNEL_NF4));
    CHECK(k->piece_rows > 0 && half->piece_rows == k->piece_rows);
    void *p = half->ops->alloc(half, 1000);
    CHECK_INT(k->ops->allocated(bf16), 1000);
    k->ops->free(k, p, 1000);
    cuda_fail(cuda_of(half), "something");
    CHECK_STRING(bf16->ops->error(bf16), "something");
    k->ops->close(bf16); /* any view closes the backend */
}

/* ---- memory ---- */

TEST(memory_is_aligned_zeroed_and_counted)
{
    struct kernels *k = opened();
    static const size_t sizes[] = {0, 1, 63, 4096, 1000003};
    void *p[5];
    size_t sum = 0;
    for (int i = 0; i < 5; i++) {
        p[i] = k->ops->alloc(k, sizes[i]);
        CHECK(p[i] && (uintptr_t)p[i] % 64 == 0);
        CHECK(sizes[i] == 0 || all_zero(k, p[i], sizes[i]));
        sum += sizes[i];
        CHECK_INT(k->ops->allocated(k), sum);
    }
    for (int i = 0; i < 5; i++)
        k->ops->free(k, p[i], sizes[i]);
    k->ops->free(k, NULL, 0);
    closed_clean(k);
}

TEST(what_is_allocated_is_missing_from_what_is_available)
{
    struct kernels *k = opened();
    struct kernel_memory before, after;
    k->ops->memory(k, &before);
    CHECK_INT(before.allocated, 0);
    CHECK(before.total > 0 && before.available <= before.total && before.context >= 0);
    CHECK_INT(before.total - before.available, before.context);
    size_t bytes = (size_t)16 << 20;
    void *p = k->ops->alloc(k, bytes);
    k->ops->memory(k, &after);
    CHECK_INT(after.allocated, bytes);
    CHECK(before.available - after.available >= (int64_t)bytes);
    CHECK_INT(after.context, before.context);
    k->ops->free(k, p, bytes);
    k->ops->memory(k, &after);
    CHECK_INT(after.available, before.available);
    closed_clean(k);
}

TEST(too_much_memory_is_refused_and_leaves_nothing)
{
    struct kernels *k = opened();
    struct kernel_memory before, after;
    k->ops->memory(k, &before);
    CHECK(!k->ops->alloc(k, (size_t)before.total + 1));
    CHECK(!k->ops->alloc(k, SIZE_MAX));
    CHECK(!k->ops->error(k));
    k->ops->memory(k, &after);
    CHECK_INT(after.available, before.available);
    CHECK_INT(after.allocated, 0);
    void *p = k->ops->alloc(k, 64);
    CHECK(p);
    k->ops->free(k, p, 64);
    closed_clean(k);
}

/* ---- copies ---- */

TEST(an_upload_larger_than_the_pinned_ring_arrives_whole)
{
    struct kernels *k = opened();
    size_t n = ((size_t)STAGING_SLOTS * STAGING_SLOT_BYTES * 5 / 4 + 12) / sizeof(uint32_t);
    uint32_t *from = malloc(n * sizeof *from), *back = malloc(n * sizeof *back);
    for (size_t i = 0; i < n; i++)
        from[i] = (uint32_t)i * 2654435761u;
    uint32_t *p = k->ops->alloc(k, n * sizeof *p);
    k->ops->upload(k, p, from, n * sizeof *p);
    memset(from, 0, n * sizeof *from); /* the caller's at once */
    k->ops->download(k, back, p, n * sizeof *p);
    size_t wrong = 0;
    for (size_t i = 0; i < n; i++)
        wrong += back[i] != (uint32_t)i * 2654435761u;
    CHECK_INT(wrong, 0);
    k->ops->free(k, p, n * sizeof *p);
    free(from);
    free(back);
    closed_clean(k);
}

TEST(many_small_uploads_keep_their_order_among_operations)
{
    struct kernels *k = opened();
    int32_t *p = k->ops->alloc(k, 4 * sizeof *p), value = 0;
    for (int i = 0; i < 3 * STAGING_SLOTS + 1; i++) { /* each slot several times */
        value = 10 * i;
        k->ops->upload(k, p + i % 4, &value, sizeof value);
        k->ops->advance(k, p + i % 4, 1, 1);
        value = -1;
    }
    for (int i = 3 * STAGING_SLOTS - 3; i < 3 * STAGING_SLOTS + 1; i++)
        CHECK_INT(number_at(k, p + i % 4), 10 * i + 1);
    k->ops->upload(k, p, &value, 0); /* nothing is nothing */
    k->ops->free(k, p, 4 * sizeof *p);
    closed_clean(k);
}

/* ---- events ---- */

TEST(spans_between_events_are_positive_and_add_up)
{
    struct kernels *k = opened();
    struct kernel_event *e[3];
    int32_t *p = k->ops->alloc(k, sizeof *p);
    for (int i = 0; i < 3; i++) {
        e[i] = k->ops->event_create(k);
        CHECK(e[i]);
        k->ops->event_record(k, e[i]);
        for (int j = 0; j < 50; j++)
            k->ops->advance(k, p, 1, 1);
    }
    k->ops->synchronize(k);
    int64_t first = k->ops->event_span_ns(k, e[0], e[1]), second = k->ops->event_span_ns(k, e[1], e[2]);
    CHECK(first > 0 && second > 0);
    CHECK(llabs(k->ops->event_span_ns(k, e[0], e[2]) - first - second) < 2000); /* two ticks of each event */
    CHECK_INT(k->ops->event_span_ns(k, e[0], e[0]), 0);
    for (int i = 0; i < 3; i++)
        k->ops->event_destroy(k, e[i]);
    k->ops->event_destroy(k, NULL);
    k->ops->free(k, p, sizeof *p);
    closed_clean(k);
}

/* ---- graphs ---- */

TEST(a_graph_runs_when_launched_and_reads_what_is_on_the_device_then)
{
    struct kernels *k = opened();
    struct kernel_graph_report report = {0};
    int32_t *p = k->ops->alloc(k, sizeof *p), value = 100;
    CHECK(k->ops->graph_begin(k));
    for (int i = 0; i < 3; i++)
        k->ops->advance(k, p, 1, 2);
    struct kernel_graph *g = k->ops->graph_end(k, &report);
    CHECK(g);
    CHECK_INT(report.nodes, 3);
    CHECK(report.capture_ns > 0 && report.instantiate_ns > 0);
    CHECK_INT(number_at(k, p), 0); /* recorded, not run */
    k->ops->graph_launch(k, g);
    k->ops->graph_launch(k, g);
    CHECK_INT(number_at(k, p), 12);
    k->ops->upload(k, p, &value, sizeof value);
    k->ops->graph_launch(k, g);
    CHECK_INT(number_at(k, p), 106);
    k->ops->graph_destroy(k, g);
    k->ops->graph_destroy(k, NULL);
    k->ops->free(k, p, sizeof *p);
    closed_clean(k);
}

static void upload_something(struct kernels *k, int32_t *p)
{
    int32_t value = 1;
    k->ops->upload(k, p, &value, sizeof value);
}
static void download_something(struct kernels *k, int32_t *p)
{
    int32_t value;
    k->ops->download(k, &value, p, sizeof value);
}
static void synchronize(struct kernels *k, int32_t *p)
{
    (void)p;
    k->ops->synchronize(k);
}
static void allocate(struct kernels *k, int32_t *p)
{
    (void)p;
    CHECK(!k->ops->alloc(k, 64));
}
static void release(struct kernels *k, int32_t *p)
{
    k->ops->free(k, p, sizeof *p);
}
static void begin_again(struct kernels *k, int32_t *p)
{
    (void)p;
    CHECK(!k->ops->graph_begin(k));
}

TEST(what_a_graph_cannot_hold_gives_no_graph_and_says_why)
{
    static const struct {
        const char *what;
        void (*forbidden)(struct kernels *k, int32_t *p);
    } all[] = {{"upload", upload_something},
               {"download", download_something},
               {"synchronize", synchronize},
               {"alloc", allocate},
               {"free", release},
               {"graph_begin", begin_again}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct kernels *k = opened();
        struct kernel_graph_report report = {.nodes = -7};
        int32_t *p = k->ops->alloc(k, sizeof *p);
        CHECK(k->ops->graph_begin(k));
        k->ops->advance(k, p, 1, 1);
        all[i].forbidden(k, p);
        k->ops->advance(k, p, 1, 1);
        CHECK(!k->ops->graph_end(k, &report));
        CHECK_INT(report.nodes, -7); /* on failure nothing has changed */
        CHECK_CONTAINS(k->ops->error(k), all[i].what);
        CHECK_CONTAINS(k->ops->error(k), "graph");
        CHECK_INT(k->ops->allocated(k), sizeof *p);
        k->ops->free(k, p, sizeof *p);
        k->ops->close(k);
    }
}

TEST(an_end_without_a_begin_is_a_failure)
{
    struct kernels *k = opened();
    CHECK(!k->ops->graph_end(k, NULL));
    CHECK_CONTAINS(k->ops->error(k), "graph_end without graph_begin");
    k->ops->close(k);
}

/* ---- failures ---- */

TEST(the_first_failure_stays_and_names_what_failed)
{
    struct kernels *k = opened();
    CHECK(!k->ops->error(k));
    cuda_allow_shared(cuda_of(k), (const void *)(uintptr_t)opened, (size_t)64 << 20);
    CHECK_CONTAINS(k->ops->error(k), "shared memory for a kernel");
    char first[256];
    snprintf(first, sizeof first, "%s", k->ops->error(k));
    cuda_check(cuda_of(k), cudaErrorIllegalAddress, "later");
    CHECK_STRING(k->ops->error(k), first);
    k->ops->close(k);
    k = opened(); /* close and open: well again */
    CHECK(!k->ops->error(k));
    cuda_check(cuda_of(k), cudaErrorIllegalAddress, "rms_norm");
    CHECK_CONTAINS(k->ops->error(k), " in rms_norm");
    CHECK_CONTAINS(k->ops->error(k), "illegal");
    k->ops->close(k);
}

TEST(a_kernel_that_faults_is_told_at_synchronize_with_the_last_launch)
{
    struct kernels *k = opened();
    int32_t *p = k->ops->alloc(k, sizeof *p);
    k->ops->synchronize(k);
    setenv("EMULATED_FAIL", "kernel:1", 1);
    k->ops->advance(k, p, 1, 1);
    unsetenv("EMULATED_FAIL");
    k->ops->synchronize(k);
    CHECK_CONTAINS(k->ops->error(k), "illegal memory access");
    CHECK_CONTAINS(k->ops->error(k), "advance");
    k->ops->free(k, p, sizeof *p);
    k->ops->close(k);
}

TEST(a_launch_that_is_refused_names_the_kernel)
{
    struct kernels *k = opened();
    int32_t *p = k->ops->alloc(k, sizeof *p);
    setenv("EMULATED_FAIL", "launch:1", 1);
    k->ops->advance(k, p, 1, 1);
    unsetenv("EMULATED_FAIL");
    CHECK_CONTAINS(k->ops->error(k), " in advance");
    k->ops->free(k, p, sizeof *p);
    k->ops->close(k);
}

TEST(a_failure_at_any_step_of_opening_gives_words_and_leaves_nothing)
{
    static const struct {
        const char *call, *part;
        int most;
    } steps[] = {{"cudaStreamCreate", "cuda:0 cannot be used", 1},
                 {"cudaMallocHost", "pinned", 1},
                 {"cudaEventCreate", "pinned", STAGING_SLOTS}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        for (int n = 1; n <= steps[i].most; n += 1 + steps[i].most / 4) {
            char why[256] = "", fail[64];
            snprintf(fail, sizeof fail, "%s:%d", steps[i].call, n);
            setenv("EMULATED_FAIL", fail, 1);
            struct kernels *k = kernels_open("cuda", &own, why, sizeof why);
            unsetenv("EMULATED_FAIL");
            CHECK(!k);
            CHECK_CONTAINS(why, steps[i].part);
        }
    closed_clean(opened());
}

TEST(a_map_that_fails_on_the_way_changes_nothing)
{
    static const char *const calls[] = {"cuMemCreate:3", "cuMemMap:3", "cuMemSetAccess:1"};
    for (int i = 0; i < 3; i++) {
        struct kernels *k = opened();
        size_t page = k->ops->page_bytes(k);
        char *at = k->ops->reserve(k, 4 * page);
        setenv("EMULATED_FAIL", calls[i], 1);
        CHECK(!k->ops->map(k, at, 4 * page));
        unsetenv("EMULATED_FAIL");
        CHECK_INT(k->ops->allocated(k), 0);
        CHECK(k->ops->map(k, at, 4 * page)); /* nothing is in the way */
        CHECK(all_zero(k, at, 4 * page));
        k->ops->unmap(k, at, 4 * page);
        k->ops->unreserve(k, at, 4 * page);
        k->ops->close(k);
    }
}

TEST(a_graph_that_cannot_be_instantiated_is_null_with_a_reason)
{
    struct kernels *k = opened();
    int32_t *p = k->ops->alloc(k, sizeof *p);
    CHECK(k->ops->graph_begin(k));
    k->ops->advance(k, p, 1, 1);
    setenv("EMULATED_FAIL", "cudaGraphInstantiate:1", 1);
    CHECK(!k->ops->graph_end(k, NULL));
    unsetenv("EMULATED_FAIL");
    CHECK_CONTAINS(k->ops->error(k), "graph_end");
    k->ops->free(k, p, sizeof *p);
    k->ops->close(k);
}

TEST(events_of_nothing_recorded_are_a_failure_not_a_number)
{
    struct kernels *k = opened();
    struct kernel_event *a = k->ops->event_create(k), *b = k->ops->event_create(k);
    CHECK_INT(k->ops->event_span_ns(k, a, b), 0);
    CHECK_CONTAINS(k->ops->error(k), "event_span_ns");
    k->ops->event_destroy(k, a);
    k->ops->event_destroy(k, b);
    k->ops->close(k);
}

/* ---- address space ---- */

TEST(mapped_pages_are_zero_counted_and_zero_again_after_reuse)
{
    struct kernels *k = opened();
    size_t page = k->ops->page_bytes(k);
    CHECK(page >= 4096 && (page & (page - 1)) == 0);
    char *at = k->ops->reserve(k, 8 * page);
    CHECK(at && (uintptr_t)at % page == 0);
    CHECK_INT(k->ops->allocated(k), 0); /* addresses only */
    CHECK(k->ops->map(k, at + 2 * page, 3 * page));
    CHECK_INT(k->ops->allocated(k), 3 * page);
    CHECK(all_zero(k, at + 2 * page, 3 * page));
    int32_t *last = (int32_t *)(void *)(at + 5 * page) - 1;
    k->ops->advance(k, last, 1, 77);
    CHECK_INT(number_at(k, last), 77);
    CHECK(k->ops->map(k, at + 5 * page, page)); /* grows without moving */
    CHECK_INT(number_at(k, last), 77);
    k->ops->unmap(k, at + 2 * page, 4 * page);
    CHECK_INT(k->ops->allocated(k), 0);
    CHECK(k->ops->map(k, at + 2 * page, 3 * page)); /* the same memory, from the pool */
    CHECK(all_zero(k, at + 2 * page, 3 * page));
    k->ops->unmap(k, at + 2 * page, 3 * page);
    k->ops->unreserve(k, at, 8 * page);
    k->ops->unreserve(k, NULL, page);
    closed_clean(k);
}

TEST(an_access_to_a_page_without_memory_faults)
{
    struct kernels *k = opened();
    size_t page = k->ops->page_bytes(k);
    char *at = k->ops->reserve(k, 2 * page);
    CHECK(k->ops->map(k, at, page));
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        fclose(stderr);
        k->ops->advance(k, (int32_t *)(void *)(at + page), 1, 1);
        k->ops->synchronize(k);
        _exit(0);
    }
    int status = 0;
    CHECK(waitpid(child, &status, 0) == child);
    CHECK(!WIFEXITED(status) || WEXITSTATUS(status) != 0);
    k->ops->unmap(k, at, page);
    k->ops->unreserve(k, at, 2 * page);
    closed_clean(k);
}

TEST(a_map_beyond_the_memory_is_refused_and_maps_nothing)
{
    struct kernels *k = opened();
    struct kernel_memory m;
    k->ops->memory(k, &m);
    size_t page = k->ops->page_bytes(k), fits = (size_t)m.available / page, most = 16;
    char *rest = k->ops->alloc(k, (fits - most) * page); /* leaves 16 pages and a part */
    char *at = k->ops->reserve(k, 4 * most * page);
    CHECK(rest && at);
    CHECK(!k->ops->map(k, at, 2 * most * page));
    CHECK(!k->ops->error(k));
    CHECK_INT(k->ops->allocated(k), (fits - most) * page);
    CHECK(k->ops->map(k, at, most / 2 * page));
    k->ops->unmap(k, at, most / 2 * page);
    /* The pages of the pool count as available, and alloc gets them. */
    k->ops->memory(k, &m);
    CHECK(m.available >= (int64_t)(most / 2 * page));
    char *more = k->ops->alloc(k, most * 7 / 8 * page);
    CHECK(more);
    k->ops->free(k, more, most * 7 / 8 * page);
    k->ops->free(k, rest, (fits - most) * page);
    k->ops->unreserve(k, at, 4 * most * page);
    closed_clean(k);
}

TEST(a_misuse_of_pages_is_a_failure_in_words)
{
    enum { OUTSIDE, TWICE, HALF, UNMAPPED, STILL_MAPPED, CASES };
    for (int i = 0; i < CASES; i++) {
        struct kernels *k = opened();
        size_t page = k->ops->page_bytes(k);
        char *at = k->ops->reserve(k, 2 * page);
        CHECK(k->ops->map(k, at, page));
        if (i == OUTSIDE)
            CHECK(!k->ops->map(k, at + page, 2 * page));
        else if (i == TWICE)
            CHECK(!k->ops->map(k, at, 2 * page));
        else if (i == HALF)
            CHECK(!k->ops->map(k, at + page, page / 2));
        else if (i == UNMAPPED)
            k->ops->unmap(k, at + page, page);
        else
            k->ops->unreserve(k, at, 2 * page);
        CHECK(k->ops->error(k));
        CHECK_INT(k->ops->allocated(k), page);
        k->ops->close(k); /* gives back what is still mapped */
    }
}

struct mapper {
    struct kernels *k;
    char *at;
    size_t page;
    int pages, mapped;
};

static void *map_ahead(void *data)
{
    struct mapper *m = data;
    for (int i = 1; i < m->pages; i++)
        m->mapped += m->k->ops->map(m->k, m->at + (size_t)i * m->page, m->page);
    return NULL;
}

TEST(a_second_thread_maps_pages_while_operations_run_and_a_graph_is_recorded)
{
    struct kernels *k = opened();
    enum { PAGES = 24, STEPS = 300 };
    struct mapper m = {k, NULL, k->ops->page_bytes(k), PAGES, 0};
    m.at = k->ops->reserve(k, PAGES * m.page);
    CHECK(m.at && k->ops->map(k, m.at, m.page));
    int32_t *counter = (int32_t *)(void *)m.at;
    pthread_t thread;
    CHECK_INT(pthread_create(&thread, NULL, map_ahead, &m), 0);
    for (int i = 0; i < STEPS; i++)
        k->ops->advance(k, counter, 1, 1);
    CHECK(k->ops->graph_begin(k));
    for (int i = 0; i < STEPS; i++)
        k->ops->advance(k, counter, 1, 1);
    struct kernel_graph_report report;
    struct kernel_graph *g = k->ops->graph_end(k, &report);
    CHECK(g);
    CHECK_INT(report.nodes, STEPS); /* the other thread's zeroing is not in it */
    pthread_join(thread, NULL);
    CHECK_INT(m.mapped, PAGES - 1);
    k->ops->graph_launch(k, g);
    CHECK_INT(number_at(k, counter), 2 * STEPS);
    CHECK(all_zero(k, m.at + m.page, (PAGES - 1) * m.page));
    CHECK_INT(k->ops->allocated(k), PAGES * m.page);
    k->ops->graph_destroy(k, g);
    k->ops->unmap(k, m.at, PAGES * m.page);
    k->ops->unreserve(k, m.at, PAGES * m.page);
    closed_clean(k);
}

/* ---- ceilings ---- */

TEST(ceilings_are_measured_and_leave_nothing)
{
    struct kernels *k = opened();
    CHECK(k->ops->measure_read(k, 0.001) > 0);
    CHECK(k->ops->measure_copy(k, 0.001) > 0);
    closed_clean(k);
}

TEST(ceilings_without_memory_are_zero)
{
    struct kernels *k = opened();
    struct kernel_memory m;
    k->ops->memory(k, &m);
    size_t most = (size_t)m.available - 32768;
    void *p = k->ops->alloc(k, most);
    CHECK(p);
    CHECK(k->ops->measure_read(k, 0.001) == 0);
    CHECK(k->ops->measure_copy(k, 0.001) == 0);
    k->ops->free(k, p, most);
    closed_clean(k);
}
