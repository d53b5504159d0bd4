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

static struct kv_cache_shape large(void) /* by head: a page of the cpu holds 64 tokens, a region 4 pages */
{
    return (struct kv_cache_shape){.kind = KV_CACHE_VIRTUAL,
                                   .dtype = KERNEL_FP32,
                                   .layers = 2,
                                   .kv_heads = 3,
                                   .head_dim = 16,
                                   .sequences = 3,
                                   .capacity = 200};
}

static struct kv_cache_figures figures(struct kv_cache *c)
{
    struct kv_cache_figures f;
    kv_cache_figures(c, true, &f);
    return f;
}

TEST(a_virtual_cache_takes_memory_as_sequences_grow_and_keeps_it_for_the_next)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = large();
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK_INT(k->ops->allocated(k), 0);
    struct kv_cache_figures a = figures(c), b;
    int64_t page = a.page_bytes, regions = 2 * 2 * 3; /* of a sequence */
    CHECK_INT(a.page_tokens, page / 64);
    CHECK_INT(a.committed, 0);
    CHECK_INT(a.contiguous, 3 * regions * 200 * 64);
    CHECK_INT(a.reserved, 3 * regions * ((200 * 64 + page - 1) / page * page));
    s.alone = true;
    kv_cache_free(c);
    c = kv_cache_create(k, &s, NULL);
    CHECK(resize(c, 1, 10, NULL) == 0);
    a = figures(c);
    CHECK_INT(a.pages, regions);
    CHECK_INT(a.committed, regions * page);
    CHECK_INT(a.used, regions * 10 * 64);
    CHECK_INT(a.kept, 0);
    CHECK_INT(a.map_calls, regions);
    CHECK_INT(k->ops->allocated(k), a.committed);
    CHECK_INT(a.exposed.count, 1);
    CHECK(a.exposed.ns > 0 && a.exposed.max_ns == a.exposed.ns);
    CHECK(resize(c, 1, 200, NULL) == 0);
    a = figures(c);
    CHECK(resize(c, 1, 0, NULL) == 0);
    b = figures(c);
    CHECK_INT(b.committed, a.committed);
    CHECK_INT(b.kept, a.committed);
    CHECK(resize(c, 1, 200, NULL) == 0);
    b = figures(c);
    CHECK_INT(b.committed, a.committed);
    CHECK_INT(b.kept, 0);
    CHECK_INT(b.exposed.count, a.exposed.count);
    for (int q = 0; q < 3; q++)
        CHECK(resize(c, q, 200, NULL) == 0);
    b = figures(c);
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
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK(resize(c, 0, 1, NULL) == 0);
    struct kv_cache_figures before = figures(c), after = before;
    for (int length = 2; length <= 200; length++) {
        CHECK(resize(c, 0, length, NULL) == 0);
        after = figures(c); /* the thread is never late */
    }
    CHECK_INT(after.exposed.count, 1);
    CHECK_INT(after.exposed.ns, before.exposed.ns);
    CHECK(after.hidden.count > 0 && after.hidden.ns >= after.hidden.max_ns && after.hidden.max_ns > 0);
    CHECK(after.pages > before.pages);
    kv_cache_free(c);
    k->ops->close(k);
}

/* Three layouts of one cache: what differs is what a page holds. */
static const struct {
    const char *name;
    enum kv_cache_layout layout;
    int kv_heads, head_dim, sequences;
} layouts[] = {{"by head", KV_CACHE_BY_HEAD, 3, 16, 3},
               {"by token", KV_CACHE_BY_TOKEN, 1100, 16, 4}, /* more regions than the system maps apart */
               {"across layers", KV_CACHE_ACROSS_LAYERS, 3, 4, 3}};

TEST(every_row_of_a_virtual_cache_that_was_asked_for_can_be_written_and_is_its_own)
{
    struct kernels *k = open_cpu();
    for (int i = 0; i < 3; i++) {
        struct kv_cache_shape s = large();
        s.kv_heads = layouts[i].kv_heads;
        s.head_dim = layouts[i].head_dim;
        s.sequences = layouts[i].sequences;
        CHECK_INT(kv_cache_layout_of(&s, (int64_t)k->ops->page_bytes(k)), layouts[i].layout);
        struct kv_cache *c = kv_cache_create(k, &s, NULL);
        int wrong = 0, step = i == 1 ? 61 : 7;
        for (int pass = 0; pass < 2; pass++) /* all are written, then all are read: no row is another's */
            for (int length = 1; length <= 200; length += step)
                for (int q = s.sequences - 1; q >= 0; q--) {
                    CHECK(pass == 1 || resize(c, q, length, NULL) == 0);
                    for (int layer = 0; layer < 2; layer++) {
                        struct kernel_kv v = kv_cache_layer(c, layer, 1); /* sequences from 1 on */
                        for (int h = 0; h < s.kv_heads; h++) {
                            int64_t at = kernel_kv_at(&v, q - 1, h, length - 1);
                            float *row = (float *)v.k + at, *value = (float *)v.v + at;
                            float mine = (float)(((length * 8 + q) * 2 + layer) * 2000 + h);
                            for (int d = 0; d < s.head_dim; d++) {
                                if (pass == 0)
                                    wrong += row[d] != 0 || value[d] != 0;
                                else
                                    wrong += row[d] != mine + (float)d || value[d] != -mine;
                                row[d] = mine + (float)d, value[d] = -mine;
                            }
                        }
                    }
                }
        if (wrong)
            TEST_FAIL("%s: %d elements", layouts[i].name, wrong);
        kv_cache_free(c);
    }
    k->ops->close(k);
}

TEST(pages_hold_the_tokens_that_the_reference_counts)
{
    enum { MIB2 = 2 << 20 };
    struct kv_cache_shape s = {.kind = KV_CACHE_VIRTUAL,
                               .dtype = KERNEL_FP16,
                               .layers = 32,
                               .kv_heads = 8,
                               .head_dim = 128,
                               .sequences = 4,
                               .capacity = 8192};
    /* llama 3 8B: 1024 tokens of a layer to a page, 32 of all layers */
    CHECK_INT(kv_cache_layout_of(&s, MIB2), KV_CACHE_ACROSS_LAYERS);
    CHECK_INT(kv_cache_layout_of(&s, 4096), KV_CACHE_BY_HEAD);
    s.sequences = 33; /* 8448 stretches of memory */
    CHECK_INT(kv_cache_layout_of(&s, 4096), KV_CACHE_BY_TOKEN);
    s.layers = 1; /* an encoder's */
    CHECK_INT(kv_cache_layout_of(&s, MIB2), KV_CACHE_BY_TOKEN);
    s.kind = KV_CACHE_PAGED;
    CHECK_INT(kv_cache_layout_of(&s, MIB2), KV_CACHE_BY_HEAD);
}

TEST(a_budget_of_blocks_is_never_exceeded_and_refusal_changes_nothing)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = shape(KV_CACHE_PAGED);
    int64_t pool, table, block = 2 * 3 * 16 * 2 * 8 * 2;
    struct error e = {0};
    s.budget = 5 * block + 7;
    kv_cache_sizes(&s, &pool, &table);
    CHECK_INT(pool, 5 * block);
    CHECK_INT(table, 4 * 3 * 4);
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK(resize(c, 0, 33, NULL) == 0 && resize(c, 3, 16, NULL) == 0);
    CHECK_INT(resize(c, 1, 17, &e), -1);
    CHECK_INT(e.kind, ERROR_MEMORY);
    CHECK_CONTAINS(e.text, "1 of 5 are free");
    CHECK_INT(kv_cache_length(c, 1), 0);
    CHECK_INT(kv_cache_free_blocks(c), 1);
    int both[2] = {16, 17}; /* what one gives the other takes */
    CHECK(kv_cache_resize(c, 0, 2, both, &e) == 0);
    struct kv_cache_figures f = figures(c);
    CHECK_INT(f.page_bytes, block);
    CHECK_INT(f.pages, 4);
    CHECK_INT(f.committed, 4 * block);
    CHECK_INT(f.reserved, 5 * block);
    CHECK_INT(f.used, (16 + 17 + 16) * block / 16);
    CHECK_INT(f.contiguous, 2 * 3 * 4 * 40 * 2 * 8 * 2);
    kv_cache_free(c);
    k->ops->close(k);
}

TEST(a_budget_of_pages_takes_back_what_ended_sequences_kept_before_it_refuses)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = large();
    struct error e = {0};
    int64_t page = (int64_t)k->ops->page_bytes(k), step = 12 * page; /* a page of every region */
    if (page != 4096)
        SKIP("pages of another size");
    s.alone = true;
    s.budget = 5 * step;
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK(resize(c, 0, 64, NULL) == 0 && resize(c, 1, 129, NULL) == 0);
    CHECK_INT(figures(c).committed, 4 * step);
    CHECK_INT(resize(c, 2, 65, &e), -1); /* two pages are missing, one is left */
    CHECK_INT(e.kind, ERROR_MEMORY);
    CHECK_INT(kv_cache_length(c, 2), 0);
    CHECK_INT(figures(c).committed, 4 * step);
    CHECK(resize(c, 1, 1, NULL) == 0); /* its other two are kept, and now may go */
    CHECK_INT(figures(c).kept, 2 * step);
    CHECK(resize(c, 2, 65, NULL) == 0);
    CHECK_INT(figures(c).committed, 4 * step);
    CHECK_INT(figures(c).kept, 0);
    int all[3] = {64, 64, 200};
    CHECK_INT(kv_cache_resize(c, 0, 3, all, &e), -1);
    CHECK_INT(kv_cache_length(c, 1), 1);
    CHECK_INT(figures(c).kept, 0);
    CHECK_INT(k->ops->allocated(k), 4 * step);
    kv_cache_free(c);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(a_sequence_starts_where_what_is_mapped_fits_it_best)
{
    struct kernels *k = open_cpu();
    struct kv_cache_shape s = large();
    if (k->ops->page_bytes(k) != 4096)
        SKIP("pages of another size");
    s.alone = true;
    s.sequences = 4;
    struct kv_cache *c = kv_cache_create(k, &s, NULL);
    CHECK_INT(kv_cache_vacant(c, 10), 0);
    CHECK(resize(c, 0, 200, NULL) == 0 && resize(c, 1, 100, NULL) == 0 && resize(c, 2, 1, NULL) == 0);
    CHECK_INT(kv_cache_vacant(c, 10), 3);
    CHECK(resize(c, 0, 0, NULL) == 0 && resize(c, 1, 0, NULL) == 0 && resize(c, 2, 0, NULL) == 0);
    CHECK_INT(kv_cache_vacant(c, 10), 2);  /* 64 mapped */
    CHECK_INT(kv_cache_vacant(c, 100), 1); /* 128 */
    CHECK_INT(kv_cache_vacant(c, 129), 0); /* all 200 */
    CHECK(resize(c, 0, 5, NULL) == 0);
    CHECK_INT(kv_cache_vacant(c, 129), 1); /* none is enough: the one that has most */
    for (int q = 0; q < 4; q++)
        CHECK(resize(c, q, 1, NULL) == 0);
    CHECK_INT(kv_cache_vacant(c, 1), -1);
    kv_cache_free(c);
    k->ops->close(k);
}
