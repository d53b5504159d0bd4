/* The scheduler that admits by memory, against schedules worked out by hand. */
#include "engine/model/admission.h"

#include "tests/test.h"

enum { TOKEN = 2 * 1 * 1 * 8 * 2 }; /* bytes of a token's keys and values: 32 */

static struct admission small(enum kv_cache_kind kind, int capacity, int64_t budget)
{
    return (struct admission){.cache = {.kind = kind,
                                        .dtype = KERNEL_FP16,
                                        .layers = 1,
                                        .kv_heads = 1,
                                        .head_dim = 8,
                                        .block_size = kv_cache_block_size(kind),
                                        .capacity = capacity},
                              .budget = budget,
                              .page_bytes = 256}; /* 16 tokens of one tensor */
}

static struct admission_report report(const struct admission *a, const struct admission_request *r, int n)
{
    struct admission_report out;
    struct error e = {0};
    if (admission_run(a, r, n, &out, &e))
        TEST_FAIL("%s", e.text);
    return out;
}

TEST(a_contiguous_cache_runs_as_many_at_once_as_whole_capacities_fit)
{
    /* Room for two of 64 tokens. Five requests of 4 tokens each: two, two, one: twelve steps. */
    struct admission a = small(KV_CACHE_CONTIGUOUS, 64, 2 * 64 * TOKEN + 100);
    const struct admission_request five[] = {{10, 4}, {10, 4}, {10, 4}, {10, 4}, {10, 4}};
    struct admission_report r = report(&a, five, 5);
    CHECK_INT(r.peak, 2);
    CHECK_INT(r.steps, 12);
    CHECK_INT(r.preemptions, 0);
    CHECK_INT(r.recomputed, 0);
    CHECK_CLOSE(r.mean, 20 / 12.0, 1e-12);
    /* 64 held, 11 to 14 used */
    CHECK_CLOSE(r.wasted_bytes, (64 - 12.5) * TOKEN, 1e-12);
    CHECK_CLOSE(r.used_share, 20 * 12.5 / 12 * TOKEN / (2 * 64 * TOKEN + 100), 1e-12);
}

TEST(blocks_let_in_what_their_tokens_need)
{
    /* The same memory is eight blocks of 16 tokens: all five fit, a block each, in four steps. */
    struct admission a = small(KV_CACHE_PAGED, 64, 2 * 64 * TOKEN + 100);
    const struct admission_request five[] = {{10, 4}, {10, 4}, {10, 4}, {10, 4}, {10, 4}};
    struct admission_report r = report(&a, five, 5);
    CHECK_INT(r.peak, 5);
    CHECK_INT(r.steps, 4);
    CHECK_CLOSE(r.mean, 5, 1e-12);
    CHECK_CLOSE(r.wasted_bytes, (16 - 12.5) * TOKEN, 1e-12);
}

TEST(the_youngest_is_preempted_where_memory_ends_and_computes_its_tokens_again)
{
    /* Three blocks. A and B each begin with 15 tokens, to which come 3.
     * step 1: A 16, B 16: a block each, one is free. step 2: A 17 takes the third; B needs a fourth: B is the
     * youngest, gives up its 16 tokens. step 3: A 18 ends. step 4: B comes back with 17, step 5: 18, ends. */
    struct admission a = small(KV_CACHE_PAGED, 32, 3 * 16 * TOKEN);
    const struct admission_request two[] = {{15, 3}, {15, 3}};
    struct admission_report r = report(&a, two, 2);
    CHECK_INT(r.peak, 2);
    CHECK_INT(r.steps, 5);
    CHECK_INT(r.preemptions, 1);
    CHECK_INT(r.recomputed, 16);
    CHECK_CLOSE(r.mean, (2 + 1 + 1 + 1 + 1) / 5.0, 1e-12);
    /* held less used: 0 + 0, 32 - 17, 32 - 18, 32 - 17, 32 - 18 tokens */
    CHECK_CLOSE(r.wasted_bytes, (15 + 14 + 15 + 14) / 6.0 * TOKEN, 1e-12);
}

TEST(who_was_preempted_comes_before_those_who_never_ran)
{
    /* As before with C waiting, which would fit at once: B goes first and C ends last.
     * 1: A 16, B 16 (C would need a block: the third) C 2. 2: A 17 needs a block: C, the youngest, gives its
     * own, and A takes it; B 17 needs one: B goes. 3: A 18 ends (nobody comes in a step after its block is
     * still held: B needs two, one is free). 4: B 17 (two blocks), C 3 (one). 5: B 18 ends, C 4 ends. */
    struct admission a = small(KV_CACHE_PAGED, 32, 3 * 16 * TOKEN);
    const struct admission_request three[] = {{15, 3}, {15, 3}, {1, 3}};
    struct admission_report r = report(&a, three, 3);
    CHECK_INT(r.peak, 3);
    CHECK_INT(r.steps, 5);
    CHECK_INT(r.preemptions, 2);
    CHECK_INT(r.recomputed, 16 + 2);
    CHECK_CLOSE(r.mean, (3 + 1 + 1 + 2 + 2) / 5.0, 1e-12);
}

TEST(pages_of_ended_sequences_serve_the_next_without_being_mapped_again)
{
    /* Pages of 256 bytes hold 16 tokens of keys, as many of values: four pages are two sequences' first. */
    struct admission a = small(KV_CACHE_VIRTUAL, 64, 4 * 256);
    const struct admission_request four[] = {{10, 2}, {10, 2}, {10, 2}, {10, 2}};
    struct admission_report r = report(&a, four, 4);
    CHECK_INT(r.peak, 2);
    CHECK_INT(r.steps, 4);
    CHECK_INT(r.preemptions, 0);
    CHECK_CLOSE(r.wasted_bytes, (16 - 11.5) * TOKEN, 1e-12);
    /* What one kept goes to another that needs more: alone it has them all. */
    const struct admission_request grown[] = {{10, 2}, {10, 2}, {10, 20}};
    r = report(&a, grown, 3);
    CHECK_INT(r.steps, 22);
    CHECK_INT(r.preemptions, 0);
}

TEST(what_does_not_fit_at_all_is_refused_in_words)
{
    struct admission_report out;
    struct error e = {0};
    const struct admission_request one = {40, 8}, large = {60, 8};
    for (int kind = KV_CACHE_CONTIGUOUS; kind <= KV_CACHE_VIRTUAL; kind++) {
        struct admission a = small((enum kv_cache_kind)kind, 64, 40 * TOKEN);
        e = (struct error){0};
        CHECK_INT(admission_run(&a, &one, 1, &out, &e), -1);
        CHECK_INT(e.kind, ERROR_MEMORY);
        CHECK_INT(admission_run(&a, &large, 1, &out, &e), -1);
        CHECK_INT(e.kind, ERROR_FAILED);
        CHECK_CONTAINS(e.text, "capacity of 64");
    }
}

TEST(an_eight_billion_parameter_model_is_counted_in_the_pages_of_a_gpu)
{
    struct admission a = {.cache = {.kind = KV_CACHE_VIRTUAL,
                                    .dtype = KERNEL_FP16,
                                    .layers = 32,
                                    .kv_heads = 8,
                                    .head_dim = 128,
                                    .capacity = 8192},
                          .budget = 64LL << 30,
                          .page_bytes = 2 << 20};
    struct admission_request request[256];
    for (int i = 0; i < 256; i++)
        request[i] = (struct admission_request){31, 1}; /* 32 tokens: a page of keys, one of values */
    struct admission_report r = report(&a, request, 256);
    CHECK_INT(r.peak, 256);
    CHECK_CLOSE(r.wasted_bytes + 1, 1, 1e-12);
    a.cache.kind = KV_CACHE_CONTIGUOUS; /* a GiB each */
    r = report(&a, request, 256);
    CHECK_INT(r.peak, 64);
    CHECK_INT(r.steps, 4);
}
