/* Models to GGUF files and back: what is read computes the bits of what was written. */
#include "engine/model/gguf_write.h"
#include "engine/model/model_find.h"
#include "engine/model/native_judge.h"

#include "tests/test.h"

#include <sys/stat.h>
#include <unistd.h>

static const char path[] = "build/tests/gguf_write_test.gguf";

static struct kernels *open_cpu(void)
{
    char why[256] = "";
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){1, "own", "auto"}, why, sizeof why);
    if (!k) {
        printf("%s\n", why);
        exit(1);
    }
    return k;
}

/* Logits after a prompt and some steps; steps 0 for an encoder. */
static void logits_of(struct kernels *k, const struct model_spec *m, enum precision_kind precision,
                      unsigned fusion, float *out)
{
    struct error e = {0};
    struct implementation i;
    implementation_default(&i);
    i.precision = precision;
    i.attention = ATTENTION_FLASH;
    i.fusion = fusion;
    struct weights_request q = {.model = m, .precision = precision, .seed = 7};
    struct weights *w = weights_create(k, &q, NULL, NULL, NULL, &e);
    if (!w)
        TEST_FAIL("%s: %s", m->name, e.text);
    CHECK_INT(w->bytes, weights_bytes(&q));
    CHECK(!m->file[0] || (w->page_in_ns > 0 && w->page_in_ns < w->load_ns));
    bool encoder = m->family == MODEL_BERT;
    struct forward_shape shape = {
        .model = m, .implementation = &i, .sequences = 1, .length = 9, .steps = encoder ? 0 : 3};
    int32_t ids[9];
    for (int t = 0; t < 9; t++)
        ids[t] = (t * 37 + 5) % m->vocab;
    struct forward *f = forward_create(k, w, &shape, ids, &e);
    CHECK(f && forward_prefill(f, &e) == 0);
    for (int s = 0; s < shape.steps; s++)
        CHECK(forward_step(f, &e) == 0);
    CHECK(forward_logits(f, out, &e) == 0);
    forward_free(f);
    weights_release(w);
    CHECK_INT(k->ops->allocated(k), 0);
}

static int write_to(struct kernels *k, const struct model_spec *m, enum precision_kind precision,
                    const char *to, struct error *e)
{
    struct gguf_written written;
    return gguf_write(k, &(struct weights_request){.model = m, .precision = precision, .seed = 7}, to, NULL,
                      NULL, NULL, &written, e);
}

static void round_trip(struct kernels *k, const struct model_spec *m, enum precision_kind precision)
{
    struct error e = {0};
    struct model_spec read;
    float *before = calloc(2 * 4096, sizeof *before), *after = before + 4096;
    if (write_to(k, m, precision, path, &e) || model_find(path, &read, &e))
        TEST_FAIL("%s: %s", m->name, e.text);
    int width = m->family == MODEL_BERT ? m->d_model : m->vocab;
    logits_of(k, m, precision, FUSION_FULL, before);
    logits_of(k, &read, PRECISION_STORED, FUSION_FULL, after);
    if (memcmp(before, after, (size_t)width * sizeof *before) != 0)
        TEST_FAIL("%s in precision %d: other logits", m->name, precision);
    CHECK(before[0] != 0 && before[1] != before[2]);
    CHECK_INT(read.layers, m->layers);
    CHECK_INT(read.context, m->family == MODEL_MAMBA ? 0 : m->context);
    CHECK_INT(read.tied, m->tied && m->family != MODEL_GPT2);
    CHECK_INT(read.window, m->window);
    free(before);
}

/* Bert as a file has it: with a pooler. */
static struct model_spec small(int m)
{
    struct model_spec spec = judge_models[m];
    spec.mlm_head = false;
    return spec;
}

TEST(every_family_comes_back_with_the_bits_it_was_written_with)
{
    static const enum precision_kind precisions[] = {PRECISION_FP32, PRECISION_FP16, PRECISION_BF16};
    struct kernels *k = open_cpu();
    for (int m = 0; m < JUDGE_MODELS; m++)
        for (size_t p = 0; p < sizeof precisions / sizeof *precisions; p++) {
            struct model_spec spec = small(m);
            round_trip(k, &spec, precisions[p]);
        }
    unlink(path);
    k->ops->close(k);
}
