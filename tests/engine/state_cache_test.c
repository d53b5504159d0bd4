/* States of constant size: what they take, that none overlaps another, and their way back to after the
 * prompt. */
#include "engine/model/state_cache.h"

#include "tests/engine/open_cpu.h"

static const struct state_cache_shape shape = {
    .window = KERNEL_FP16, .layers = 3, .sequences = 2, .inner = 10, .states = 4, .taps = 4, .keeps = true};
enum { STATES = 4 * 10, WINDOW = 3 * 10 };

TEST(sizes_are_what_is_allocated_and_freed)
{
    struct kernels *k = open_cpu();
    for (int keeps = 0; keeps < 2; keeps++) {
        struct state_cache_shape s = shape;
        int64_t bytes, copy;
        s.keeps = keeps;
        state_cache_sizes(&s, &bytes, &copy);
        CHECK_INT(bytes, 3 * 2 * (STATES * 4 + WINDOW * 2));
        CHECK_INT(copy, keeps ? bytes : 0);
        struct state_cache *c = state_cache_create(k, &s, NULL);
        CHECK_INT(k->ops->allocated(k), bytes + copy);
        state_cache_free(c);
        CHECK_INT(k->ops->allocated(k), 0);
    }
    state_cache_free(NULL);
    k->ops->close(k);
}

/* Every state and window filled with a value of its own; all are found again. */
TEST(no_layer_or_sequence_overlaps_another)
{
    struct kernels *k = open_cpu();
    struct state_cache *c = state_cache_create(k, &shape, NULL);
    for (int pass = 0; pass < 2; pass++)
        for (int l = 0; l < 3; l++)
            for (int s = 0; s < 2; s++) {
                struct kernel_ssm one = state_cache_layer(c, l, s);
                uint16_t *window = one.window, mark = (uint16_t)(l * 2 + s + 1);
                CHECK(one.inner == 10 && one.states == 4 && one.taps == 4);
                for (int i = 0; i < STATES; i++) {
                    CHECK(pass == 0 || one.h[i] == (float)mark);
                    one.h[i] = (float)mark;
                }
                for (int i = 0; i < WINDOW; i++) {
                    CHECK(pass == 0 || window[i] == mark);
                    window[i] = mark;
                }
            }
    state_cache_free(c);
    k->ops->close(k);
}

TEST(a_kept_state_comes_back_as_often_as_asked)
{
    struct kernels *k = open_cpu();
    struct state_cache *c = state_cache_create(k, &shape, NULL);
    struct kernel_ssm last = state_cache_layer(c, 2, 1);
    uint16_t *window = last.window;
    last.h[STATES - 1] = 7;
    window[WINDOW - 1] = 9;
    state_cache_keep(c);
    for (int round = 0; round < 2; round++) {
        last.h[STATES - 1] = 1;
        window[WINDOW - 1] = 2;
        state_cache_restore(c);
        CHECK(last.h[STATES - 1] == 7 && window[WINDOW - 1] == 9);
    }
    state_cache_free(c);
    k->ops->close(k);
}

TEST(a_sequence_uses_its_whole_state_from_its_first_token_on)
{
    struct kernels *k = open_cpu();
    struct state_cache *c = state_cache_create(k, &shape, NULL);
    int64_t bytes, copy;
    state_cache_sizes(&shape, &bytes, &copy);
    CHECK_INT(state_cache_used_bytes(c), 0);
    state_cache_note(c, 1, 1, (const int[]){1});
    CHECK_INT(state_cache_used_bytes(c), bytes / 2);
    state_cache_note(c, 0, 2, (const int[]){900, 1 << 20});
    CHECK_INT(state_cache_used_bytes(c), bytes);
    CHECK_INT(state_cache_length(c, 0), 900);
    CHECK_INT(state_cache_length(c, 1), 1 << 20);
    state_cache_free(c);
    k->ops->close(k);
}

static int allocations, failing;
static void *(*real_alloc)(struct kernels *, size_t);
static void *alloc_or_fail(struct kernels *k, size_t bytes)
{
    return ++allocations == failing ? NULL : real_alloc(k, bytes);
}

TEST(either_allocation_may_fail_and_nothing_leaks)
{
    struct kernels *k = open_cpu();
    const struct kernel_ops *ops = k->ops;
    struct kernel_ops some = *ops;
    real_alloc = ops->alloc;
    some.alloc = alloc_or_fail;
    k->ops = &some;
    for (failing = 1; failing <= 2; failing++) {
        struct error e = {0};
        allocations = 0;
        CHECK(!state_cache_create(k, &shape, &e));
        CHECK_INT(e.kind, ERROR_MEMORY);
        CHECK_CONTAINS(e.text, "choose a smaller batch");
        CHECK_INT(k->ops->allocated(k), 0);
    }
    k->ops = ops;
    k->ops->close(k);
}
