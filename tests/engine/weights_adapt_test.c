/* Embeddings and heads of adapted vocabularies: as published, in every precision, counted and given back. */
#include "engine/model/forward.h"
#include "engine/model/native.h"
#include "engine/model/vocabulary.h"
#include "engine/model/weights_adapt.h"
#include "presets/catalog.h"

#include "tests/engine/open_cpu.h"

static const char name[] = "shakespeare-gpt-2";

/* What the user has in the own folders must not decide. */
__attribute__((constructor)) static void leave_home(void)
{
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

/* A small model whose ids are the shipped vocabulary's, and some rows of padding. */
static struct model_spec small(bool tied, bool biased)
{
    return (struct model_spec){.name = "small",
                               .title = "small",
                               .family = biased ? MODEL_PHI2 : MODEL_GPT2,
                               .layers = 1,
                               .d_model = 32,
                               .heads = 2,
                               .kv_heads = 2,
                               .head_dim = 16,
                               .ffn = 64,
                               .vocab = 50304,
                               .context = 64,
                               .norm_eps = 1e-5,
                               .rope_theta = biased ? 10000 : 0,
                               .rotary_dims = biased ? 8 : 0,
                               .tied = tied,
                               .head_bias = biased,
                               .vocabulary = "gpt-2"};
}

static struct weights *make(struct kernels *k, const struct model_spec *m, enum precision_kind precision,
                            const char *vocabulary)
{
    struct error e = {0};
    struct weights *w = weights_create(
        k, &(struct weights_request){.model = m, .precision = precision, .seed = 3, .vocabulary = vocabulary},
        NULL, NULL, NULL, &e);
    if (!w)
        TEST_FAIL("%s", e.text);
    return w;
}

TEST(predicted_bytes_are_the_allocated_ones_and_release_frees_them)
{
    struct kernels *k = open_cpu();
    for (int form = 0; form < 3; form++)
        for (int p = form; p <= PRECISION_NF4_DQ; p += 1 + 2 * form) {
            struct model_spec m = small(form == 0, form == 2);
            struct weights_request q = {.model = &m, .precision = (enum precision_kind)p, .seed = 3};
            int64_t standard = weights_bytes(&q);
            q.vocabulary = name;
            struct weights *w = make(k, &m, q.precision, name);
            if (!w)
                continue;
            CHECK_INT(w->bytes, weights_bytes(&q));
            CHECK_INT(k->ops->allocated(k), w->bytes);
            CHECK(form == 0 ? w->bytes > standard
                            : w->bytes < standard); /* a head of its own, or fewer rows */
            CHECK(weights_match(w, &q));
            q.vocabulary = NULL;
            CHECK(!weights_match(w, &q));
            weights_release(w);
            CHECK_INT(k->ops->allocated(k), 0);
        }
    k->ops->close(k);
}

static void read_row(struct kernels *k, const struct kernel_matrix *m, int row, float *out)
{
    k->ops->read_matrix(k, m, row, 1, out);
}

/* Blocks of 32 columns are as wide as the model's rows; predicted, made, counted and given back alike. */
TEST(block_formats_keep_the_rows_of_kept_tokens)
{
    struct kernels *k = open_cpu();
    struct model_spec m = small(true, false);
    struct error e = {0};
    struct vocabulary *v = vocabulary_open(&m, name, &e);
    for (int p = PRECISION_Q8_0; v && p <= PRECISION_Q4_0; p++) {
        struct weights *own = make(k, &m, (enum precision_kind)p, NULL);
        struct weights *w = make(k, &m, (enum precision_kind)p, name);
        struct weights_request q = {
            .model = &m, .precision = (enum precision_kind)p, .seed = 3, .vocabulary = name};
        CHECK_INT(w->bytes, weights_bytes(&q));
        for (int row = 0; row < 40000; row += 211) {
            float got[32], want[32];
            const int32_t *id;
            double worst = 0, largest = 0;
            CHECK_INT(vocabulary_parts(v, row, &id), 1);
            k->ops->read_matrix(k, &w->embedding, row, 1, got);
            k->ops->read_matrix(k, &own->embedding, *id, 1, want);
            for (int c = 0; c < 32; c++) {
                worst = fmax(worst, fabs((double)got[c] - (double)want[c]));
                largest = fmax(largest, fabs((double)want[c]));
            }
            CHECK(worst <= (p == PRECISION_Q8_0 ? 0.01 : 0.15) * largest);
        }
        weights_release(own);
        weights_release(w);
    }
    CHECK(v != NULL);
    CHECK_INT(k->ops->allocated(k), 0);
    vocabulary_free(v);
    k->ops->close(k);
}

/* Every 97th row in fp32 against the published sums, and in other types within their rounding. */
TEST(rows_are_weighted_sums_with_the_last_token_heaviest_below_and_the_first_above)
{
    static const double allowed[] = {
        [PRECISION_FP32] = 1e-6, [PRECISION_FP16] = 1e-3, [PRECISION_BF16] = 8e-3,
        [PRECISION_INT8] = 8e-3, [PRECISION_NF4] = 0.2,   [PRECISION_NF4_DQ] = 0.2};
    enum { D = 32 };
    struct kernels *k = open_cpu();
    struct model_spec m = small(false, true);
    struct error e = {0};
    struct vocabulary *v = vocabulary_open(&m, name, &e);
    for (int p = PRECISION_FP32; v && p <= PRECISION_NF4_DQ; p++) {
        struct weights *own = make(k, &m, (enum precision_kind)p, NULL);
        struct weights *w = make(k, &m, (enum precision_kind)p, name);
        float got[D], part[D], old_bias[50304], bias[50304];
        double worst = 0;
        int grams = 0;
        CHECK_INT(w->embedding.rows, vocabulary_size(v));
        CHECK_INT(w->head.rows, vocabulary_size(v));
        CHECK(w->embedding.data != w->head.data);
        k->ops->download(k, old_bias, own->head_bias, sizeof old_bias);
        k->ops->download(k, bias, w->head_bias, (size_t)vocabulary_size(v) * sizeof *bias);
        for (int row = 0; row < vocabulary_size(v); row += 97) {
            const int32_t *id;
            int n = vocabulary_parts(v, row, &id);
            double sum = 0, wanted_bias = 0;
            for (int i = 0; i < n; i++)
                sum += pow(0.5, i);
            for (int head = 0; head < 2; head++) {
                double wanted[D] = {0};
                for (int i = 0; i < n; i++) {
                    double weight = pow(0.5, head ? i : n - 1 - i) / sum;
                    read_row(k, head ? &own->head : &own->embedding, id[i], part);
                    for (int c = 0; c < D; c++)
                        wanted[c] += weight * (double)part[c];
                    if (head)
                        wanted_bias += weight * (double)old_bias[id[i]];
                }
                read_row(k, head ? &w->head : &w->embedding, row, got);
                double largest = 0, off = 0;
                for (int c = 0; c < D; c++) {
                    largest = fmax(largest, fabs(wanted[c]));
                    off = fmax(off, fabs(wanted[c] - (double)got[c]));
                }
                worst = fmax(worst, off / largest);
            }
            CHECK_CLOSE(bias[row], wanted_bias, 1e-5);
            grams += n > 1;
        }
        if (!(worst <= allowed[p]))
            TEST_FAIL("precision %d: off by %g of the row's largest", p, worst);
        CHECK(grams > 30);
        weights_release(own);
        weights_release(w);
    }
    CHECK(v != NULL);
    vocabulary_free(v);
    k->ops->close(k);
}

static float *logits_of(struct kernels *k, const struct model_spec *m, const char *vocabulary,
                        const int32_t *ids, int n)
{
    struct error e = {0};
    struct implementation i;
    struct model_spec runs;
    struct forward_shape shape;
    implementation_default(&i);
    snprintf(i.vocabulary, sizeof i.vocabulary, "%s", vocabulary);
    struct weights *w = make(k, m, PRECISION_FP32, vocabulary);
    CHECK_INT(vocabulary_model(m, vocabulary, &runs, &e), 0);
    CHECK_INT(native_shape(&runs, &i, WORKLOAD_PREFILL, 1, n, 0, 1, &shape, &e), 0);
    struct forward *f = w ? forward_create(k, w, &shape, ids, &e) : NULL;
    float *out = malloc((size_t)runs.vocab * sizeof *out);
    if (!f || forward_prefill(f, &e) || forward_logits(f, out, &e))
        TEST_FAIL("%s", e.text);
    forward_free(f);
    weights_release(w);
    return out;
}

TEST(kept_tokens_alone_give_the_logits_of_the_model_itself)
{
    static const char text[] = "xyz qrs";
    struct kernels *k = open_cpu();
    struct model_spec m = small(true, false);
    struct error e = {0};
    struct vocabulary *own = vocabulary_open(&m, NULL, &e), *v = vocabulary_open(&m, name, &e);
    struct token_ids ids = {0}, base = {0};
    CHECK_INT(vocabulary_encode(v, text, strlen(text), false, &ids, &e), 0);
    for (size_t i = 0; i < ids.n; i++) {
        const int32_t *part;
        CHECK_INT(vocabulary_parts(v, ids.id[i], &part), 1); /* else the text must be another one */
        CHECK_INT(token_ids_add(&base, *part), 0);
    }
    float *adapted = logits_of(k, &m, name, ids.id, (int)ids.n);
    float *standard = logits_of(k, &m, "standard", base.id, (int)base.n);
    double worst = 0, grams = 0;
    for (int row = 0; row < vocabulary_size(v); row++) {
        const int32_t *part;
        int n = vocabulary_parts(v, row, &part);
        double wanted = 0, sum = 0;
        for (int i = 0; i < n; i++) { /* the head is linear: an n-gram's logit is the same sum */
            wanted += pow(0.5, i) * (double)standard[part[i]];
            sum += pow(0.5, i);
        }
        worst = fmax(worst, fabs((double)adapted[row] - wanted / sum));
        grams += n > 1;
    }
    CHECK(worst < 1e-5);
    CHECK(grams > 6000);
    free(adapted);
    free(standard);
    token_ids_free(&ids);
    token_ids_free(&base);
    vocabulary_free(own);
    vocabulary_free(v);
    k->ops->close(k);
}

static bool at_once(void *who)
{
    (void)who;
    return true;
}

TEST(what_cannot_be_made_leaves_nothing_behind)
{
    struct kernels *k = open_cpu();
    struct model_spec m = small(true, false);
    struct error e = {0};
    struct weights_request q = {.model = &m, .precision = PRECISION_BF16, .vocabulary = "no-such"};
    CHECK(weights_create(k, &q, NULL, NULL, NULL, &e) == NULL);
    CHECK_CONTAINS(e.text, "benchtop vocab build");
    CHECK_INT(k->ops->allocated(k), 0);
    struct weights *w = make(k, &m, PRECISION_BF16, NULL);
    int64_t bytes = w->bytes;
    void *data = w->embedding.data;
    q.vocabulary = name;
    CHECK_INT(weights_adapt(w, &q, at_once, NULL, &e), -1);
    CHECK_INT(e.kind, ERROR_CANCELLED);
    CHECK(w->bytes == bytes && w->embedding.data == data && w->head.data == data);
    CHECK_INT(k->ops->allocated(k), bytes);
    weights_release(w);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(an_arm_with_an_adapted_vocabulary_is_supported_and_an_unknown_one_refused)
{
    struct model_spec m;
    struct implementation i;
    struct error e = {0};
    struct memory_use standard, adapted;
    implementation_default(&i);
    CHECK_INT(catalog_model("gpt2-124m", &m, &e), 0);
    CHECK_INT(native_predict_memory("cpu", &m, &i, WORKLOAD_DECODE, 1, 16, 0, 4, 1, &standard, &e), 0);
    CHECK_INT(implementation_set(&i, "vocabulary", name, &e), 0);
    CHECK_INT(native_supports("cpu", &m, &i, WORKLOAD_DECODE, &e), 0);
    CHECK_INT(native_predict_memory("cpu", &m, &i, WORKLOAD_DECODE, 1, 16, 0, 4, 1, &adapted, &e), 0);
    CHECK_INT(adapted.weights - standard.weights, (2LL * 46504 - 50257) * 768 * 4);
    CHECK_INT(implementation_set(&i, "vocabulary", "shakespeare-gpt-3", &e), 0);
    CHECK_INT(native_supports("cpu", &m, &i, WORKLOAD_DECODE, &e), -1);
    CHECK_INT(e.kind, ERROR_UNSUPPORTED);
    CHECK_CONTAINS(e.text, "did you mean shakespeare-gpt-2");
    native_forget();
}
