/* Whole runs in which the n-th allocation fails, once or from then on: nothing crashes, waits for ever or is
 * lost without a word. Every malloc of the process counts, the libraries' too. */
#include "tests/engine/fake_run.h"
#include <errno.h>

#if defined(__GLIBC__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define CAN_FAIL 1
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t size);

static _Atomic long countdown; /* the allocation that fails is the one that takes it to 0; negative: none */
static _Atomic bool for_ever;

static bool fails(void)
{
    long left = atomic_load(&countdown);
    if (left == 0)
        return atomic_load(&for_ever);
    return left > 0 && atomic_fetch_sub(&countdown, 1) == 1;
}

void *malloc(size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_calloc(n, size);
}

void *realloc(void *p, size_t size)
{
    if (fails()) {
        errno = ENOMEM;
        return NULL;
    }
    return __libc_realloc(p, size);
}
#else
#define CAN_FAIL 0
static _Atomic long countdown;
static _Atomic bool for_ever;
#endif

#define RUN                                                                                                  \
    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\"],"       \
    "\"arms\":[\"baseline\",\"fused\"],\"workloads\":[\"prefill\"],\"batch\":[1,2],\"seq\":[64],\"rounds\":" \
    "2,"                                                                                                     \
    "\"max_rounds\":2,\"samples_per_block\":2}"

#define UNLIMITED (1L << 40)

/* One run; how many allocations it took. */
static long run_failing_at(const struct preset *p, long at, bool from_then_on)
{
    struct engine_options o = {.preset = p, .session_path = fake_path(), .wake_fd = -1};
    struct error e = {0};
    atomic_store(&for_ever, from_then_on);
    atomic_store(&countdown, at);
    struct engine *g = engine_start(&o, &e);
    if (g)
        engine_join(g);
    long took = at - atomic_load(&countdown);
    atomic_store(&countdown, -1);
    if (!g) {
        CHECK(e.text[0]);
    } else {
        size_t n = log_length(engine_log(g));
        bool said = n > 0 && log_get(engine_log(g), n - 1)->kind == LOG_RUN_FINISHED;
        CHECK(!engine_running(g));
        if (!said && !from_then_on)
            TEST_FAIL("allocation %ld failed, and the run's end was not told", at);
        if (engine_session(g)->status == SESSION_COMPLETE && !from_then_on)
            for (int c = 0; c < 2; c++)
                CHECK(engine_session(g)->cell[c].status != CELL_PENDING &&
                      engine_session(g)->cell[c].status != CELL_RUNNING);
    }
    fake_end(g);
    return took;
}

static void fail_everywhere(bool from_then_on)
{
    struct preset p = fake_preset(RUN);
    long all = run_failing_at(&p, UNLIMITED, false), step = all / 400 + 1;
    CHECK(all > 100);
    for (long at = 1; at <= all; at += step)
        run_failing_at(&p, at, from_then_on);
    preset_free(&p);
}

TEST(any_allocation_may_fail_once)
{
    if (!CAN_FAIL)
        SKIP("this build has an allocator of its own");
    fail_everywhere(false);
}

TEST(memory_may_end_anywhere_in_a_run)
{
    if (!CAN_FAIL)
        SKIP("this build has an allocator of its own");
    fail_everywhere(true);
}
