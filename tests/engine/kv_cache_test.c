/* Growth, shrinking and the views of the key-value cache. */
#include "engine/model/kv_cache.h"

#include "tests/test.h"

static struct kernels *open_cpu(void)
{
    char why[256] = "";
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){1, "own", "portable"}, why, sizeof why);
    if (!k) {
        printf("%s\n", why);
        exit(1);
    }
    return k;
}

static int resize(struct kv_cache *c, int sequence, int length, struct error *e)
{
    return kv_cache_resize(c, sequence, 1, &length, e);
}

static struct kv_cache_shape shape(enum kv_cache_kind kind)
{
    return (struct kv_cache_shape){.kind = kind,
                                   .dtype = KERNEL_FP16,
                                   .layers = 3,
                                   .kv_heads = 2,
                                   .head_dim = 8,
                                   .block_size = KV_CACHE_BLOCK,
                                   .sequences = 4,
                                   .capacity = 40};
}

TEST(sizes_say_what_is_allocated_and_free_gives_all_back)
{
    struct kernels *k = open_cpu();
    for (int kind = KV_CACHE_CONTIGUOUS; kind <= KV_CACHE_PAGED; kind++) {
        struct kv_cache_shape s = shape((enum kv_cache_kind)kind);
        int64_t pool, table;
        kv_cache_sizes(&s, &pool, &table);
        int tokens = kind == KV_CACHE_PAGED ? 48 : 40; /* pages round up */
        CHECK_INT(pool, 2 * 3 * 2 * 8 * 2 * 4 * tokens);
        CHECK_INT(table, kind == KV_CACHE_PAGED ? 4 * 3 * 4 : 0);
        struct kv_cache *c = kv_cache_create(k, &s, NULL);
        CHECK_INT(k->ops->allocated(k), pool + table);
        kv_cache_free(c);
        CHECK_INT(k->ops->allocated(k), 0);
    }
    k->ops->close(k);
}

TEST(blocks_are_taken_as_a_sequence_grows_and_given_back_as_it_shrinks)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = shape(KV_CACHE_PAGED);
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK_INT(kv_cache_free_blocks(c), 12);
    CHECK(resize(c, 0, 16, NULL) == 0);
    CHECK_INT(kv_cache_free_blocks(c), 11);
    CHECK(resize(c, 1, 1, NULL) == 0);
    CHECK(resize(c, 0, 17, NULL) == 0);
    CHECK_INT(kv_cache_free_blocks(c), 9);
    CHECK_INT(kv_cache_length(c, 0), 17);
    CHECK_INT(kv_cache_used_bytes(c), 2 * 18 * 3 * 2 * 8 * 2);
    struct kernel_kv view = kv_cache_layer(c, 0, 0);
    CHECK(view.table[0] != view.table[1] && view.table[1] != view.table[view.table_stride]);
    CHECK(resize(c, 0, 0, NULL) == 0 && resize(c, 1, 0, NULL) == 0);
    CHECK_INT(kv_cache_free_blocks(c), 12);
    CHECK_INT(kv_cache_used_bytes(c), 0);
    kv_cache_free(c);
    k->ops->close(k);
}

TEST(every_sequence_at_capacity_holds_blocks_of_its_own)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = shape(KV_CACHE_PAGED);
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    for (int length = 1; length <= 40; length++) /* interleaved growth scatters the blocks */
        for (int q = 0; q < 4; q++)
            CHECK(resize(c, q, length, NULL) == 0);
    CHECK_INT(kv_cache_free_blocks(c), 0);
    int seen[12] = {0};
    struct kernel_kv view = kv_cache_layer(c, 0, 0);
    for (int i = 0; i < 12; i++) {
        CHECK(view.table[i] >= 0 && view.table[i] < 12);
        CHECK_INT(seen[view.table[i]]++, 0);
    }
    kv_cache_free(c);
    k->ops->close(k);
}

TEST(growth_beyond_capacity_is_refused_and_changes_nothing)
{
    struct kernels *k = open_cpu();
    for (int kind = KV_CACHE_CONTIGUOUS; kind <= KV_CACHE_PAGED; kind++) {
        struct kv_cache_shape s = shape((enum kv_cache_kind)kind);
        struct kv_cache *c = kv_cache_create(k, &s, NULL);
        struct error e = {0};
        CHECK(resize(c, 2, 33, NULL) == 0);
        int free_blocks = kv_cache_free_blocks(c);
        CHECK_INT(resize(c, 2, 41, &e), -1);
        CHECK_INT(e.kind, ERROR_FAILED);
        CHECK_CONTAINS(e.text, "40");
        CHECK_INT(kv_cache_length(c, 2), 33);
        CHECK_INT(kv_cache_free_blocks(c), free_blocks);
        CHECK_INT(resize(c, 2, -1, &e), -1);
        kv_cache_free(c);
    }
    k->ops->close(k);
}

TEST(views_of_layers_and_later_sequences_do_not_overlap)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = shape(KV_CACHE_CONTIGUOUS);
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    struct kernel_kv a = kv_cache_layer(c, 0, 0), b = kv_cache_layer(c, 0, 1), d = kv_cache_layer(c, 1, 0);
    CHECK(!a.table);
    CHECK_INT(a.block_size, 40);
    CHECK_INT((char *)b.k - (char *)a.k, 40 * 2 * 8 * 2);
    CHECK_INT((char *)d.v - (char *)a.v, 4 * 40 * 2 * 8 * 2);
    kv_cache_free(c);
    s = shape(KV_CACHE_PAGED);
    c = kv_cache_create(k, &s, NULL);
    a = kv_cache_layer(c, 0, 0);
    b = kv_cache_layer(c, 0, 1);
    d = kv_cache_layer(c, 1, 0);
    CHECK_INT(a.block_size, KV_CACHE_BLOCK);
    CHECK_INT(b.table - a.table, a.table_stride);
    CHECK(b.k == a.k && d.table == a.table);
    CHECK_INT((char *)d.k - (char *)a.k, 12 * 16 * 2 * 8 * 2);
    kv_cache_free(c);
    k->ops->close(k);
}

static struct kv_cache_shape large(void) /* a head's region is 3 pages and a bit */
{
    return (struct kv_cache_shape){.kind = KV_CACHE_VIRTUAL,
                                   .dtype = KERNEL_FP32,
                                   .layers = 2,
                                   .kv_heads = 3,
                                   .head_dim = 16,
                                   .sequences = 3,
                                   .capacity = 200};
}

TEST(a_virtual_cache_takes_memory_as_sequences_grow_and_keeps_it_for_the_next)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = large();
    struct kv_pages_figures a, b;
    int64_t pool, table;
    kv_cache_sizes(&s, &pool, &table);
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK_INT(k->ops->allocated(k), 0);
    CHECK(kv_cache_pages(c, true, &a));
    CHECK_INT(a.committed, 0);
    CHECK(a.reserved >= pool && a.reserved < pool + 2 * a.page_bytes);
    CHECK(resize(c, 1, 10, NULL) == 0);
    CHECK(kv_cache_pages(c, true, &a));
    CHECK(a.committed >= kv_cache_used_bytes(c) && a.committed < pool / 2);
    CHECK_INT(a.committed, a.pages * a.page_bytes);
    CHECK_INT(k->ops->allocated(k), a.committed);
    CHECK(a.exposed_ns > 0);
    CHECK(resize(c, 1, 200, NULL) == 0 && kv_cache_pages(c, true, &a));
    CHECK(resize(c, 1, 0, NULL) == 0 && kv_cache_pages(c, true, &b));
    CHECK_INT(b.committed, a.committed);
    CHECK(resize(c, 1, 200, NULL) == 0 && kv_cache_pages(c, true, &b));
    CHECK_INT(b.committed, a.committed);
    CHECK_INT(b.exposed_ns, a.exposed_ns);
    for (int q = 0; q < 3; q++)
        CHECK(resize(c, q, 200, NULL) == 0);
    CHECK(kv_cache_pages(c, true, &b));
    CHECK_INT(b.committed, b.reserved);
    CHECK_INT(resize(c, 0, 201, NULL), -1);
    kv_cache_free(c);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(what_the_next_steps_need_is_mapped_beside_the_work)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = large();
    struct kv_pages_figures before, after;
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK(resize(c, 0, 1, NULL) == 0 && kv_cache_pages(c, true, &before));
    for (int length = 2; length <= 200; length++) {
        CHECK(resize(c, 0, length, NULL) == 0);
        CHECK(kv_cache_pages(c, true, &after)); /* the thread is never late */
    }
    CHECK_INT(after.exposed_ns, before.exposed_ns);
    CHECK(after.hidden_ns > 0 && after.pages > before.pages);
    kv_cache_free(c);
    k->ops->close(k);
}

TEST(every_row_of_a_virtual_cache_that_was_asked_for_can_be_written)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = large();
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    int same = 0;
    for (int length = 1; length <= 200; length += 7)
        for (int q = 2; q >= 0; q--) {
            CHECK(resize(c, q, length, NULL) == 0);
            for (int layer = 0; layer < 2; layer++) {
                struct kernel_kv v = kv_cache_layer(c, layer, q);
                CHECK(!v.table && v.block_size == 200);
                for (int h = 0; h < 3; h++) {
                    float *row = (float *)v.k + ((int64_t)h * 200 + length - 1) * 16;
                    row[15] = 1;
                    ((float *)v.v)[((int64_t)h * 200 + length - 1) * 16] = 1;
                    same += row[0] == 0;
                }
            }
        }
    CHECK_INT(same, 29 * 3 * 2 * 3);
    kv_cache_free(c);
    k->ops->close(k);
}
