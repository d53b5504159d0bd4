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
    CHECK(kv_cache_resize(c, 0, 16, NULL) == 0);
    CHECK_INT(kv_cache_free_blocks(c), 11);
    CHECK(kv_cache_resize(c, 1, 1, NULL) == 0);
    CHECK(kv_cache_resize(c, 0, 17, NULL) == 0);
    CHECK_INT(kv_cache_free_blocks(c), 9);
    CHECK_INT(kv_cache_length(c, 0), 17);
    CHECK_INT(kv_cache_used_bytes(c), 2 * 18 * 3 * 2 * 8 * 2);
    struct kernel_kv view = kv_cache_layer(c, 0, 0);
    CHECK(view.table[0] != view.table[1] && view.table[1] != view.table[view.table_stride]);
    CHECK(kv_cache_resize(c, 0, 0, NULL) == 0 && kv_cache_resize(c, 1, 0, NULL) == 0);
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
            CHECK(kv_cache_resize(c, q, length, NULL) == 0);
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
        CHECK(kv_cache_resize(c, 2, 33, NULL) == 0);
        int free_blocks = kv_cache_free_blocks(c);
        CHECK_INT(kv_cache_resize(c, 2, 41, &e), -1);
        CHECK_INT(e.kind, ERROR_FAILED);
        CHECK_CONTAINS(e.text, "40");
        CHECK_INT(kv_cache_length(c, 2), 33);
        CHECK_INT(kv_cache_free_blocks(c), free_blocks);
        CHECK_INT(kv_cache_resize(c, 2, -1, &e), -1);
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
