/* Synthetic weights: seeded, counted, shared, and kind to the activations of deep models. */
#include "engine/model/native_judge.h"
#include "engine/model/rope.h"

#include "tests/engine/open_cpu.h"

static float *read_all(struct kernels *k, const struct kernel_matrix *m)
{
    float *out = malloc((size_t)(m->rows * m->cols) * sizeof *out);
    k->ops->read_matrix(k, m, 0, m->rows, out);
    return out;
}

TEST(predicted_bytes_are_the_allocated_ones_and_release_frees_them)
{
    struct kernels *k = open_cpu();
    for (int m = 0; m < JUDGE_MODELS; m++)
        for (int p = PRECISION_FP32; p <= PRECISION_INT8; p++) {
            enum precision_kind precision = (enum precision_kind)p;
            struct weights *w = weights_create(
                k, &(struct weights_request){.model = &judge_models[m], .precision = precision, .seed = 1},
                NULL, NULL, NULL, NULL);
            CHECK_INT(w->bytes, weights_bytes(&(struct weights_request){.model = &judge_models[m],
                                                                        .precision = precision}));
            CHECK_INT(k->ops->allocated(k), w->bytes);
            CHECK(w->load_ns > 0);
            weights_hold(w);
            weights_release(w);
            CHECK_INT(k->ops->allocated(k), w->bytes);
            weights_release(w);
            CHECK_INT(k->ops->allocated(k), 0);
        }
    weights_release(NULL);
    k->ops->close(k);
}

TEST(a_seed_decides_every_weight)
{
    struct kernels *k = open_cpu();
    struct weights *a = weights_create(
        k, &(struct weights_request){.model = &judge_models[0], .precision = PRECISION_FP32, .seed = 1}, NULL,
        NULL, NULL, NULL);
    struct weights *b = weights_create(
        k, &(struct weights_request){.model = &judge_models[0], .precision = PRECISION_FP32, .seed = 1}, NULL,
        NULL, NULL, NULL);
    struct weights *c = weights_create(
        k, &(struct weights_request){.model = &judge_models[0], .precision = PRECISION_FP32, .seed = 2}, NULL,
        NULL, NULL, NULL);
    size_t bytes = (size_t)(a->layer[1].down.rows * a->layer[1].down.cols) * sizeof(float);
    CHECK(memcmp(a->layer[1].down.data, b->layer[1].down.data, bytes) == 0);
    CHECK(memcmp(a->layer[1].down.data, c->layer[1].down.data, bytes) != 0);
    CHECK(memcmp(a->layer[0].down.data, a->layer[1].down.data, bytes) != 0);
    weights_release(a);
    weights_release(b);
    weights_release(c);
    k->ops->close(k);
}

TEST(weights_match_the_model_precision_and_seed_they_were_made_for)
{
    struct kernels *k = open_cpu();
    struct weights *w = weights_create(
        k, &(struct weights_request){.model = &judge_models[2], .precision = PRECISION_FP16, .seed = 9}, NULL,
        NULL, NULL, NULL);
    struct model_spec m = judge_models[2];
    CHECK(weights_match(w, &(struct weights_request){.model = &m, .precision = PRECISION_FP16, .seed = 9}));
    CHECK(!weights_match(w, &(struct weights_request){.model = &m, .precision = PRECISION_BF16, .seed = 9}));
    CHECK(!weights_match(w, &(struct weights_request){.model = &m, .precision = PRECISION_FP16, .seed = 8}));
    m.window = 0;
    CHECK(weights_match(w, &(struct weights_request){.model = &m, .precision = PRECISION_FP16, .seed = 9}));
    m.norm_eps *= 10;
    CHECK(!weights_match(w, &(struct weights_request){.model = &m, .precision = PRECISION_FP16, .seed = 9}));
    m = judge_models[2];
    m.ffn++;
    CHECK(!weights_match(w, &(struct weights_request){.model = &m, .precision = PRECISION_FP16, .seed = 9}));
    weights_release(w);
    k->ops->close(k);
}

TEST(weights_are_random_centered_and_within_their_amplitude)
{
    struct kernels *k = open_cpu();
    struct weights *w = weights_create(
        k, &(struct weights_request){.model = &judge_models[3], .precision = PRECISION_FP32, .seed = 7}, NULL,
        NULL, NULL, NULL);
    const struct kernel_matrix *m = &w->layer[0].qkv;
    float *v = read_all(k, m);
    double sum = 0, square = 0, limit = sqrt(3.0 / (double)m->cols);
    int64_t n = m->rows * m->cols;
    for (int64_t i = 0; i < n; i++) {
        CHECK(fabs((double)v[i]) <= limit * (1 + 1e-6) && v[i] != 0);
        sum += (double)v[i];
        square += (double)v[i] * (double)v[i];
    }
    CHECK(fabs(sum / (double)n) < 4 * limit / sqrt(3.0 * (double)n));
    CHECK_CLOSE(square / (double)n, 1.0 / (double)m->cols, 0.05);
    free(v);
    for (int i = 0; i < judge_models[3].d_model; i++)
        CHECK(w->layer[1].norm2.weight[i] == 1.0f);
    CHECK(w->layer[0].qkv_bias[0] != 0 && fabsf(w->layer[0].qkv_bias[0]) <= 0.02f);
    weights_release(w);
    k->ops->close(k);
}

TEST(other_precisions_round_the_same_values)
{
    static const double tolerance[] = {0, 0x1p-11, 0x1p-8, 0.5 / 127};
    struct kernels *k = open_cpu();
    struct weights *full = weights_create(
        k, &(struct weights_request){.model = &judge_models[0], .precision = PRECISION_FP32, .seed = 3}, NULL,
        NULL, NULL, NULL);
    float *want = read_all(k, &full->layer[1].out);
    for (int p = PRECISION_FP16; p <= PRECISION_INT8; p++) {
        struct weights *w =
            weights_create(k,
                           &(struct weights_request){
                               .model = &judge_models[0], .precision = (enum precision_kind)p, .seed = 3},
                           NULL, NULL, NULL, NULL);
        float *got = read_all(k, &w->layer[1].out);
        double limit = sqrt(3.0 / 64) / sqrt(4), worst = 0;
        for (int i = 0; i < 64 * 64; i++)
            worst = fmax(worst, fabs((double)got[i] - (double)want[i]) / limit);
        CHECK(worst > 0 && worst <= tolerance[p]);
        free(got);
        weights_release(w);
    }
    free(want);
    weights_release(full);
    k->ops->close(k);
}

TEST(a_tied_head_is_the_embedding_itself)
{
    struct kernels *k = open_cpu();
    struct weights *tied = weights_create(
        k, &(struct weights_request){.model = &judge_models[3], .precision = PRECISION_INT8, .seed = 1}, NULL,
        NULL, NULL, NULL);
    struct weights *apart = weights_create(
        k, &(struct weights_request){.model = &judge_models[0], .precision = PRECISION_INT8, .seed = 1}, NULL,
        NULL, NULL, NULL);
    CHECK(tied->head.data == tied->embedding.data && tied->head.scales == tied->embedding.scales);
    CHECK(apart->head.data != apart->embedding.data);
    weights_release(tied);
    weights_release(apart);
    k->ops->close(k);
}

struct watcher {
    int calls, stop_at;
    double fraction;
};
static void progress(void *who, const char *what, double fraction)
{
    struct watcher *w = who;
    CHECK_STRING(what, "weights");
    CHECK(fraction > w->fraction && fraction <= 1);
    w->fraction = fraction;
}
static bool cancelled(void *who)
{
    struct watcher *w = who;
    return ++w->calls == w->stop_at;
}

TEST(loading_tells_its_progress_and_can_be_cancelled_at_any_matrix)
{
    struct kernels *k = open_cpu();
    struct watcher all = {0};
    weights_release(weights_create(
        k, &(struct weights_request){.model = &judge_models[4], .precision = PRECISION_FP16, .seed = 1},
        progress, cancelled, &all, NULL));
    CHECK(all.fraction == 1);
    CHECK(all.calls > 20);
    for (int stop = 1; stop <= all.calls; stop++) {
        struct watcher w = {.stop_at = stop};
        struct error e = {0};
        CHECK(!weights_create(
            k, &(struct weights_request){.model = &judge_models[4], .precision = PRECISION_FP16, .seed = 1},
            progress, cancelled, &w, &e));
        CHECK_INT(e.kind, ERROR_CANCELLED);
        CHECK_INT(k->ops->allocated(k), 0);
    }
    k->ops->close(k);
}

/* Logits of unit order after two layers and after sixty say that no depth blows up or dies out. */
TEST(activations_stay_in_range_at_every_depth)
{
    struct kernels *k = open_cpu();
    struct implementation i;
    implementation_default(&i);
    i.attention = ATTENTION_FLASH;
    for (int m = 0; m < JUDGE_MODELS; m++)
        for (int layers = 2; layers <= 60; layers += 58) {
            struct model_spec spec = judge_models[m];
            spec.layers = layers;
            struct weights *w = weights_create(
                k, &(struct weights_request){.model = &spec, .precision = PRECISION_FP32, .seed = 5}, NULL,
                NULL, NULL, NULL);
            struct forward_shape shape = {.model = &spec, .implementation = &i, .sequences = 1, .length = 20};
            int32_t ids[20];
            float logits[256];
            double square = 0;
            for (int t = 0; t < 20; t++)
                ids[t] = 5 * t;
            struct forward *f = forward_create(k, w, &shape, ids, NULL);
            CHECK(forward_prefill(f, NULL) == 0 && forward_logits(f, logits, NULL) == 0);
            for (int v = 0; v < spec.vocab; v++)
                square += (double)logits[v] * (double)logits[v] / spec.vocab;
            if (!(square > 0.2 && square < 5))
                TEST_FAIL("%s of %d layers: mean square of logits %g", spec.name, layers, square);
            forward_free(f);
            weights_release(w);
        }
    k->ops->close(k);
}

TEST(rotary_frequencies_follow_the_scaling_rule)
{
    struct model_spec m = {.rope_theta = 500000, .rotary_dims = 64, .rope_scaling = {32, 1, 4, 8192}};
    struct model_spec plain = {.rope_theta = 500000, .rotary_dims = 64};
    double scaled[32], open[32];
    rope_frequencies(&m, NULL, scaled);
    rope_frequencies(&plain, NULL, open);
    CHECK_CLOSE(open[0], 1, 1e-15);
    CHECK_CLOSE(open[16], 1 / sqrt(500000.0), 1e-12);
    int kept = 0, blended = 0, stretched = 0;
    for (int i = 0; i < 32; i++) {
        double wavelength = 2 * acos(-1) / open[i];
        if (wavelength < 8192.0 / 4) {
            kept++;
            CHECK(scaled[i] == open[i]);
        } else if (wavelength > 8192.0) {
            stretched++;
            CHECK_CLOSE(scaled[i], open[i] / 32, 1e-15);
        } else {
            blended++;
            CHECK(scaled[i] < open[i] && scaled[i] > open[i] / 32);
        }
    }
    CHECK(kept > 0 && blended > 0 && stretched > 0);
    float table[3 * 64];
    rope_table(&m, NULL, 3, table);
    CHECK_CLOSE((double)table[2 * 64 + 2], cos(2 * scaled[1]), 1e-6);
    CHECK_CLOSE((double)table[2 * 64 + 3], sin(2 * scaled[1]), 1e-6);
}
