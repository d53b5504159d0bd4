/* Embeddings and heads of adapted vocabularies on the device: the bytes of the CPU's. */
#include "engine/model/vocabulary.h"
#include "engine/model/weights.h"
#include "tests/emu/fixture.h"

static void check_same(struct kernels *cuda, struct kernels *cpu, const struct kernel_matrix *d,
                       const struct kernel_matrix *h, const char *what)
{
    size_t part[3];
    kernel_matrix_parts(d->dtype, d->rows, d->cols, part);
    const void *from[3] = {d->data, d->scales, d->codes}, *want[3] = {h->data, h->scales, h->codes};
    CHECK_INT(d->rows, h->rows);
    for (int i = 0; i < 3; i++) {
        void *got = part[i] ? malloc(part[i]) : NULL;
        if (!part[i])
            continue;
        cuda->ops->download(cuda, got, from[i], part[i]);
        if (memcmp(got, want[i], part[i]) != 0)
            TEST_FAIL("part %d of the %s differs in %s", i, what, kernel_dtype_name(d->dtype));
        free(got);
    }
    (void)cpu;
}

TEST(adapted_weights_are_the_bits_of_the_cpu)
{
    static const enum precision_kind precisions[] = {PRECISION_BF16, PRECISION_INT8, PRECISION_NF4_DQ};
    struct kernels *cuda = open_emulated(), *cpu = open_cpu();
    struct model_spec m = {.name = "small",
                           .family = MODEL_GPT2,
                           .layers = 1,
                           .d_model = 8,
                           .heads = 1,
                           .kv_heads = 1,
                           .head_dim = 8,
                           .ffn = 8,
                           .vocab = 50257,
                           .context = 8,
                           .norm_eps = 1e-5,
                           .tied = true,
                           .vocabulary = "gpt-2"};
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1); /* what the user has in the own folders must not decide */
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++) {
        struct weights_request q = {
            .model = &m, .precision = precisions[i], .seed = 4, .vocabulary = "shakespeare-gpt-2"};
        struct error e = {0};
        struct weights *d = weights_create(cuda, &q, NULL, NULL, NULL, &e);
        struct weights *h = weights_create(cpu, &q, NULL, NULL, NULL, &e);
        if (!d || !h) {
            TEST_FAIL("%s", e.text);
            continue;
        }
        check_same(cuda, cpu, &d->embedding, &h->embedding, "embedding");
        check_same(cuda, cpu, &d->head, &h->head, "head");
        CHECK(memcmp(&d->embedding.data, &d->head.data, sizeof d->head.data) != 0);
        CHECK_INT(d->bytes, weights_bytes(&q));
        weights_release(d);
        weights_release(h);
    }
    close_emulated(cuda);
    cpu->ops->close(cpu);
}
