/* The judge judged: a case computed by hand, and what must hold for any weights. */
#include "kernels/reference.h"

#include "tests/test.h"

#include <stdint.h>

static uint64_t noise_state;

static double noise(void)
{
    noise_state = noise_state * 6364136223846793005u + 1442695040888963407u;
    return (double)((int64_t)(noise_state >> 11) - ((int64_t)1 << 52)) * 0x1p-52;
}

static double *pool, *pool_next;
enum { POOL = 1 << 16 };

static const double *weights(int n)
{
    double *w = pool_next;
    pool_next += n;
    for (int i = 0; i < n; i++)
        w[i] = noise();
    return w;
}

enum { D = 12, HEADS = 4, KV = 2, HD = 6, FFN = 20, VOCAB = 17, LAYERS = 2, N = 9 };

/* A small random model of the family; kv_heads as asked. Everything lives in the pool until the next call. */
static void small_model(struct reference_model *m, struct reference_layer *layers,
                        enum reference_family family, int kv_heads)
{
    if (!pool)
        pool = malloc(POOL * sizeof *pool);
    pool_next = pool;
    noise_state = 42;
    bool llama = family == REFERENCE_LLAMA, bert = family == REFERENCE_BERT;
    *m = (struct reference_model){.family = family,
                                  .layers = LAYERS,
                                  .d = D,
                                  .heads = HEADS,
                                  .kv_heads = kv_heads,
                                  .head_dim = HD,
                                  .ffn = FFN,
                                  .vocab = VOCAB,
                                  .eps = 1e-5,
                                  .gelu_erf = bert};
    m->embedding = m->head = weights(VOCAB * D);
    if (llama || family == REFERENCE_PHI2) {
        m->rotary_dims = llama ? HD : 4;
        m->rope_frequency = weights(HD);
    } else {
        m->positions = weights(N * D);
    }
    if (bert) {
        m->type_row = weights(D);
        m->embedding_norm = weights(D), m->embedding_norm_bias = weights(D);
        m->mlm = weights(D * D), m->mlm_bias = weights(D);
        m->mlm_norm = weights(D), m->mlm_norm_bias = weights(D);
        m->head_bias = weights(VOCAB);
    } else {
        m->final_norm = weights(D);
        m->final_norm_bias = llama ? NULL : weights(D);
    }
    for (int i = 0; i < LAYERS; i++) {
        struct reference_layer l = {.norm1 = weights(D), .norm2 = weights(D)};
        l.q = weights(HEADS * HD * D), l.o = weights(D * HEADS * HD);
        l.k = weights(kv_heads * HD * D), l.v = weights(kv_heads * HD * D);
        l.up = weights(FFN * D), l.down = weights(D * FFN), l.gate = llama ? weights(FFN * D) : NULL;
        if (!llama) {
            l.norm1_bias = weights(D), l.norm2_bias = weights(D);
            l.q_bias = weights(HEADS * HD), l.k_bias = weights(kv_heads * HD),
            l.v_bias = weights(kv_heads * HD);
            l.o_bias = weights(D), l.up_bias = weights(FFN), l.down_bias = weights(D);
        }
        layers[i] = l;
    }
    m->layer = layers;
}

static const int ids[N] = {3, 16, 0, 7, 7, 2, 11, 5, 9};
static const enum reference_family families[] = {REFERENCE_LLAMA, REFERENCE_GPT2, REFERENCE_PHI2,
                                                 REFERENCE_BERT};

/* d = 2, one head, two tokens, all matrices the identity or zero. Token vectors (1, 0) and (0, 1); RMS norm
 * (eps 0) scales both by sqrt 2. Position 0 sees itself: attention gives (sqrt 2, 0). Position 1: scores q.k
 * / sqrt 2 are 0 and 2 / sqrt 2 = sqrt 2, so with p = e^sqrt2 / (1 + e^sqrt2) attention gives sqrt 2 (1 - p,
 * p). The feed-forward is zero; the residual sums are normalized once more and read out by the identity. */
TEST(two_tokens_through_identity_matrices_equal_the_hand_computation)
{
    static const double one[] = {1, 1}, identity[] = {1, 0, 0, 1}, zero[4] = {0};
    struct reference_layer layer = {.norm1 = one,
                                    .norm2 = one,
                                    .q = identity,
                                    .k = identity,
                                    .v = identity,
                                    .o = identity,
                                    .gate = zero,
                                    .up = zero,
                                    .down = zero};
    struct reference_model m = {.family = REFERENCE_LLAMA,
                                .layers = 1,
                                .d = 2,
                                .heads = 1,
                                .kv_heads = 1,
                                .head_dim = 2,
                                .ffn = 2,
                                .vocab = 2,
                                .embedding = identity,
                                .head = identity,
                                .final_norm = one,
                                .layer = &layer};
    double logits[4];
    CHECK_INT(reference_forward(&m, (const int[]){0, 1}, 2, logits), 0);
    double p = 1 / (1 + exp(-sqrt(2))), a = sqrt(2) * (1 - p), b = 1 + sqrt(2) * p;
    double rms = sqrt((a * a + b * b) / 2);
    CHECK_CLOSE(logits[0], sqrt(2), 1e-14);
    CHECK_CLOSE(logits[1], 0, 1e-14);
    CHECK_CLOSE(logits[2], a / rms, 1e-14);
    CHECK_CLOSE(logits[3], b / rms, 1e-14);
}

/* One gpt-2 layer whose attention is zero: logits = LN(x + down gelu(up LN(x))), with d = 2 where a layer
 * norm gives (1, -1) or (-1, 1). x = (3, 1): LN = (1, -1); up = identity: gelu(1), gelu(-1), gelu(1) -
 * gelu(-1) = 1. */
TEST(gpt2_feed_forward_equals_the_hand_computation)
{
    static const double one[] = {1, 1}, identity[] = {1, 0, 0, 1}, zero[4] = {0}, x[] = {3, 1},
                        shift[] = {0.5, 0};
    struct reference_layer layer = {.norm1 = one,
                                    .norm1_bias = zero,
                                    .norm2 = one,
                                    .norm2_bias = zero,
                                    .q = zero,
                                    .k = zero,
                                    .v = zero,
                                    .o = zero,
                                    .q_bias = zero,
                                    .k_bias = zero,
                                    .v_bias = zero,
                                    .o_bias = zero,
                                    .up = identity,
                                    .up_bias = zero,
                                    .down = identity,
                                    .down_bias = zero};
    /* eps 8 makes the final norm show the size of what it normalizes. */
    struct reference_model m = {.family = REFERENCE_GPT2,
                                .layers = 1,
                                .d = 2,
                                .heads = 1,
                                .kv_heads = 1,
                                .head_dim = 2,
                                .ffn = 2,
                                .vocab = 2,
                                .eps = 8,
                                .embedding = x,
                                .positions = zero,
                                .head = identity,
                                .final_norm = one,
                                .final_norm_bias = shift,
                                .layer = &layer};
    double logits[2], n = 1 / 3.0; /* (3, 1): mean 2, variance 1, 1 / sqrt(1 + 8) */
    double plus = 0.5 * n * (1 + tanh(sqrt(2 / M_PI) * (n + 0.044715 * n * n * n)));
    double minus = plus - n; /* gelu(-x) = gelu(x) - x */
    double half = (2 + plus - minus) / 2;
    CHECK_INT(reference_forward(&m, (const int[]){0}, 1, logits), 0);
    CHECK_CLOSE(logits[0], half / sqrt(half * half + 8) + 0.5, 1e-14);
    CHECK_CLOSE(logits[1], -half / sqrt(half * half + 8), 1e-14);
}

TEST(later_tokens_change_no_earlier_logits_except_in_the_encoder)
{
    for (int f = 0; f < 4; f++) {
        struct reference_model m;
        struct reference_layer layers[LAYERS];
        double all[N * VOCAB], part[N * VOCAB];
        small_model(&m, layers, families[f], KV);
        reference_forward(&m, ids, N, all);
        reference_forward(&m, ids, N - 1, part);
        int same = memcmp(all, part, sizeof(double) * (N - 1) * VOCAB) == 0;
        CHECK_INT(same, families[f] != REFERENCE_BERT);
        CHECK(isfinite(all[N * VOCAB - 1]));
    }
}

TEST(a_window_hides_exactly_the_tokens_before_it)
{
    struct reference_model m;
    struct reference_layer layers[LAYERS];
    double one[N * VOCAB], two[N * VOCAB];
    int changed[N];
    small_model(&m, layers, REFERENCE_LLAMA, KV);
    m.layers = 1; /* through one layer, position t depends on (t - window, t] alone */
    m.window = 3;
    memcpy(changed, ids, sizeof ids);
    changed[2] = 14;
    reference_forward(&m, ids, N, one);
    reference_forward(&m, changed, N, two);
    for (int t = 0; t < N; t++) {
        int same = memcmp(one + t * VOCAB, two + t * VOCAB, VOCAB * sizeof(double)) == 0;
        CHECK_INT(same, t < 2 || t > 4);
    }
    m.window = N;
    reference_forward(&m, ids, N, one);
    m.window = 0;
    reference_forward(&m, ids, N, two);
    CHECK(memcmp(one, two, sizeof one) == 0);
}

TEST(grouped_queries_equal_full_heads_with_repeated_keys_and_values)
{
    struct reference_model m;
    struct reference_layer layers[LAYERS];
    double grouped[N * VOCAB], full[N * VOCAB], *repeated[2 * LAYERS];
    small_model(&m, layers, REFERENCE_LLAMA, KV);
    reference_forward(&m, ids, N, grouped);
    for (int l = 0; l < LAYERS; l++)
        for (int which = 0; which < 2; which++) {
            const double *from = which ? layers[l].v : layers[l].k;
            double *to = repeated[2 * l + which] = malloc(HEADS * HD * D * sizeof *to);
            for (int h = 0; h < HEADS; h++)
                memcpy(to + h * HD * D, from + h / (HEADS / KV) * HD * D, HD * D * sizeof *to);
            *(which ? &layers[l].v : &layers[l].k) = to;
        }
    m.kv_heads = HEADS;
    reference_forward(&m, ids, N, full);
    for (int i = 0; i < N * VOCAB; i++)
        CHECK_CLOSE(grouped[i], full[i], 1e-12);
    for (int i = 0; i < 2 * LAYERS; i++)
        free(repeated[i]);
}

TEST(rotary_scores_depend_on_distance_alone)
{
    struct reference_model m;
    struct reference_layer layers[LAYERS];
    double logits[N * VOCAB];
    small_model(&m, layers, REFERENCE_LLAMA, KV);
    /* The same token at every position: keys and queries differ by rotation only, values not at all, so that
     * the attention output and with it the logits are the same everywhere, whatever the scores. */
    int same[N] = {5, 5, 5, 5, 5, 5, 5, 5, 5};
    reference_forward(&m, same, N, logits);
    for (int t = 1; t < N; t++)
        for (int i = 0; i < VOCAB; i++)
            CHECK_CLOSE(logits[t * VOCAB + i] + 100, logits[i] + 100, 1e-12);
    /* With a window of two, position t sees tokens t - 1 and t: equal pairs anywhere give equal logits. */
    int pairs[N] = {1, 4, 1, 4, 1, 4, 1, 4, 1};
    m.window = 2;
    m.layers = 1;
    reference_forward(&m, pairs, N, logits);
    for (int t = 3; t < N; t++)
        for (int i = 0; i < VOCAB; i++)
            CHECK_CLOSE(logits[t * VOCAB + i] + 100, logits[(t - 2) * VOCAB + i] + 100, 1e-12);
}

TEST(phi2_adds_attention_and_feed_forward_of_the_same_norm)
{
    struct reference_model m;
    struct reference_layer layers[LAYERS], without[LAYERS];
    static const double zero[HEADS * HD * D + FFN * D];
    double both[VOCAB], attention[VOCAB], ffn[VOCAB], none[VOCAB];
    small_model(&m, layers, REFERENCE_PHI2, KV);
    /* Without the final norm the read-out is linear: the two branches of one layer must add up. */
    m.layers = 1;
    m.final_norm = NULL;
    reference_forward(&m, ids, 1, both);
    memcpy(without, layers, sizeof layers);
    m.layer = without;
    without[0].down = without[0].down_bias = zero;
    reference_forward(&m, ids, 1, attention);
    without[0].o = without[0].o_bias = zero;
    reference_forward(&m, ids, 1, none);
    without[0].down = layers[0].down, without[0].down_bias = layers[0].down_bias;
    reference_forward(&m, ids, 1, ffn);
    for (int i = 0; i < VOCAB; i++)
        CHECK_CLOSE(both[i] + 100, attention[i] + ffn[i] - none[i] + 100, 1e-12);
    CHECK(both[0] != attention[0] && both[0] != ffn[0]);
}

TEST(bert_ends_each_layer_with_its_norm)
{
    struct reference_model m;
    struct reference_layer layers[LAYERS];
    double logits[N * VOCAB];
    static const double ones[D] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, zeros[D];
    double unit[VOCAB * D] = {0};
    small_model(&m, layers, REFERENCE_BERT, HEADS);
    layers[LAYERS - 1].norm2 = ones, layers[LAYERS - 1].norm2_bias = zeros;
    for (int i = 0; i < D; i++)
        unit[i * D + i] = 1; /* logits 0 .. D - 1 are the hidden state */
    m.mlm = NULL;
    m.head = unit, m.head_bias = NULL;
    reference_forward(&m, ids, N, logits);
    for (int t = 0; t < N; t++) {
        double mean = 0, square = 0;
        for (int i = 0; i < D; i++)
            mean += logits[t * VOCAB + i] / D, square += logits[t * VOCAB + i] * logits[t * VOCAB + i] / D;
        CHECK_CLOSE(mean + 1, 1, 1e-12);
        CHECK_CLOSE(square, 1, 1e-4);
    }
}
