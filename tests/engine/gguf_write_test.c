/* Models to GGUF files and back: what is read computes the bits of what was written. */
#include "engine/model/gguf_write.h"
#include "engine/model/model_find.h"
#include "engine/model/native_judge.h"

#include "tests/engine/open_cpu.h"

#include <glob.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static const char path[] = "build/tests/gguf_write_test.gguf";

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
    CHECK(read.seeded); /* the file says that nothing was ever trained into it */
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

/* Widths that blocks of 256 divide, one model of each family that has them. */
static struct model_spec wide(enum model_family family)
{
    bool rotates = family == MODEL_LLAMA || family == MODEL_PHI2;
    struct model_spec m = {.name = "wide",
                           .family = family,
                           .layers = 2,
                           .d_model = 256,
                           .heads = 4,
                           .kv_heads = family == MODEL_LLAMA ? 2 : 4,
                           .head_dim = 64,
                           .ffn = 512,
                           .vocab = 300,
                           .context = 64,
                           .norm_eps = 1e-5,
                           .rope_theta = rotates ? 10000 : 0,
                           .rotary_dims = rotates ? 64 : 0,
                           .tied = !rotates,
                           .head_bias = family == MODEL_PHI2};
    return m;
}

TEST(block_types_come_back_with_the_bits_they_were_written_with)
{
    struct kernels *k = open_cpu();
    for (int family = MODEL_LLAMA; family <= MODEL_PHI2; family++)
        for (int p = PRECISION_Q8_0; p <= PRECISION_Q6_K; p++) {
            struct model_spec m = wide((enum model_family)family);
            round_trip(k, &m, (enum precision_kind)p);
        }
    unlink(path);
    k->ops->close(k);
}

TEST(other_precisions_of_a_file_are_made_of_its_values_as_of_synthetic_ones)
{
    struct kernels *k = open_cpu();
    struct model_spec m = wide(MODEL_LLAMA), read;
    struct error e = {0};
    CHECK_INT(write_to(k, &m, PRECISION_FP32, path, &e), 0);
    CHECK_INT(model_find(path, &read, &e), 0);
    for (int p = PRECISION_FP32; p < PRECISION_STORED; p++) {
        float before[300], after[300];
        logits_of(k, &m, (enum precision_kind)p, 0, before);
        logits_of(k, &read, (enum precision_kind)p, 0, after);
        if (memcmp(before, after, sizeof before) != 0)
            TEST_FAIL("precision %d: other logits", p);
    }
    unlink(path);
    k->ops->close(k);
}

TEST(a_written_file_agrees_with_the_double_reference_and_may_be_requantized)
{
    static const char again[] = "build/tests/gguf_write_test_again.gguf";
    struct kernels *k = open_cpu();
    struct model_spec m = wide(MODEL_LLAMA), read;
    struct error e = {0};
    CHECK_INT(write_to(k, &m, PRECISION_FP16, path, &e), 0);
    CHECK_INT(model_find(path, &read, &e), 0);
    CHECK_INT(write_to(k, &read, PRECISION_Q4_K, again, &e), 0);
    CHECK_INT(write_to(k, &read, PRECISION_Q4_K, path, &e), -1);
    CHECK_CONTAINS(e.text, "the model's own file");
    CHECK_INT(model_find(again, &read, &e), 0);
    CHECK(read.seeded); /* still, once written from a file */
    CHECK_CONTAINS(read.stored.summary, "Q4_K");
    CHECK_INT(read.stored.like, PRECISION_Q4_K);
    struct judge j;
    struct implementation i;
    implementation_default(&i);
    i.precision = PRECISION_STORED;
    i.attention = ATTENTION_FLASH;
    i.fusion = FUSION_FULL;
    CHECK_INT(judge_open(&j, k, &read, PRECISION_STORED, &e), 0);
    CHECK(judge_run(&j, &i, 2, (const int[]){9, 5}, 3, &e) < judge_tolerance(&i));
    judge_close(&j);
    unlink(path);
    unlink(again);
    k->ops->close(k);
}

TEST(a_file_that_changed_since_it_was_looked_at_is_refused_and_nothing_is_kept)
{
    struct kernels *k = open_cpu();
    struct model_spec read;
    struct error e = {0};
    CHECK_INT(write_to(k, &judge_models[0], PRECISION_FP16, path, &e), 0);
    CHECK_INT(model_find(path, &read, &e), 0);
    CHECK_INT(truncate(path, read.stored.file_bytes / 2), 0);
    struct weights_request q = {.model = &read, .precision = PRECISION_STORED};
    CHECK(!weights_create(k, &q, NULL, NULL, NULL, &e));
    CHECK_CONTAINS(e.text, "has changed since it was looked at");
    struct stat s;
    CHECK_INT(stat(path, &s), 0); /* the same size and time, but cut short: as if while it was read */
    read.stored.file_bytes = s.st_size;
    read.stored.changed_ns = (int64_t)s.st_mtim.tv_sec * 1000000000 + s.st_mtim.tv_nsec;
    CHECK(!weights_create(k, &q, NULL, NULL, NULL, &e));
    CHECK_CONTAINS(e.text, "ends after the file");
    unlink(path);
    CHECK(!weights_create(k, &q, NULL, NULL, NULL, &e));
    CHECK_CONTAINS(e.text, "cannot be opened");
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(what_cannot_be_written_leaves_nothing_behind)
{
    struct kernels *k = open_cpu();
    struct error e = {0};
    CHECK_INT(write_to(k, &judge_models[0], PRECISION_FP16, "build/tests/no/such/folder.gguf", &e), -1);
    CHECK_CONTAINS(e.text, "create the folder");
    CHECK_INT(write_to(k, &judge_models[0], PRECISION_Q4_K, path, &e), -1);
    CHECK_INT(e.kind, ERROR_UNSUPPORTED);
    CHECK_INT(write_to(k, &judge_models[0], PRECISION_INT8, path, &e), -1);
    CHECK_CONTAINS(e.text, "GGUF has no such type");
    CHECK_INT(write_to(k, &judge_models[0], PRECISION_STORED, path, &e), -1);
    CHECK_CONTAINS(e.text, "no file whose types");
    CHECK_INT(write_to(k, &judge_models[0], PRECISION_FP16, "/dev/null", &e), -1);
    CHECK_CONTAINS(e.text, "is no file");
    CHECK(access(path, F_OK) != 0);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(a_disk_that_fills_up_on_the_way_is_told_and_leaves_nothing_behind)
{
    struct kernels *k = open_cpu();
    struct error e = {0};
    struct rlimit old, tight;
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = 40000; /* the head and some tensors */
    setrlimit(RLIMIT_FSIZE, &tight);
    CHECK_INT(write_to(k, &judge_models[0], PRECISION_FP32, path, &e), -1);
    setrlimit(RLIMIT_FSIZE, &old);
    CHECK_CONTAINS(e.text, "cannot write");
    CHECK_CONTAINS(e.text, "free some space");
    CHECK(access(path, F_OK) != 0);
    glob_t left;
    CHECK_INT(glob("build/tests/gguf_write_test.gguf*", 0, NULL, &left), GLOB_NOMATCH);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

static int allocations, failing; /* of all, the one that fails */
static void *(*real_alloc)(struct kernels *, size_t);

static void *alloc_or_fail(struct kernels *k, size_t bytes)
{
    return ++allocations == failing ? NULL : real_alloc(k, bytes);
}

TEST(any_allocation_of_the_backend_may_fail_and_nothing_leaks)
{
    struct kernels *k = open_cpu();
    const struct kernel_ops *ops = k->ops;
    struct kernel_ops failing_ops = *ops;
    struct model_spec read;
    struct error e = {0};
    CHECK_INT(write_to(k, &judge_models[3], PRECISION_FP16, path, &e), 0);
    CHECK_INT(model_find(path, &read, &e), 0);
    struct weights_request q = {.model = &read, .precision = PRECISION_STORED};
    real_alloc = ops->alloc;
    failing_ops.alloc = alloc_or_fail;
    k->ops = &failing_ops;
    weights_release(weights_create(k, &q, NULL, NULL, NULL, &e));
    int all = allocations;
    CHECK(all >= 20);
    for (failing = 1; failing <= all; failing++) {
        allocations = 0;
        CHECK(!weights_create(k, &q, NULL, NULL, NULL, &e));
        CHECK_INT(e.kind, ERROR_MEMORY);
        CHECK_INT(k->ops->allocated(k), 0);
    }
    k->ops = ops;
    unlink(path);
    k->ops->close(k);
}
