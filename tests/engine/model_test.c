/* Counts against the published ones, costs against the figures derived from the same formulas elsewhere. */
#include "engine/model/model.h"

#include "presets/catalog.h"

#include "tests/test.h"

struct known {
    struct model_spec m;
    int64_t parameters, products, kv_fp16; /* 0: not published */
};

#define LLAMA(n, d, l, h, kv, hd, f, v, ...)                                                                 \
    {                                                                                                        \
        .name = n, .family = MODEL_LLAMA, .layers = l, .d_model = d, .heads = h, .kv_heads = kv,             \
        .head_dim = hd, .ffn = f, .vocab = v, .context = 4096, .norm_eps = 1e-5, __VA_ARGS__                 \
    }
#define GPT2(n, d, l, h)                                                                                     \
    {                                                                                                        \
        .name = n, .family = MODEL_GPT2, .layers = l, .d_model = d, .heads = h, .kv_heads = h,               \
        .head_dim = 64, .ffn = 4 * d, .vocab = 50257, .context = 1024, .tied = true                          \
    }
#define BERT(n, d, l, h, mlm)                                                                                \
    {                                                                                                        \
        .name = n, .family = MODEL_BERT, .layers = l, .d_model = d, .heads = h, .kv_heads = h,               \
        .head_dim = 64, .ffn = 4 * d, .vocab = 30522, .context = 512, .tied = true, .token_types = 2,        \
        .mlm_head = mlm                                                                                      \
    }
#define MAMBA(n, d, l, e, r)                                                                                 \
    {                                                                                                        \
        .name = n, .family = MODEL_MAMBA, .layers = l, .d_model = d, .vocab = 50280, .tied = true,           \
        .mamba = {                                                                                           \
            e,                                                                                               \
            r,                                                                                               \
            16,                                                                                              \
            4                                                                                                \
        }                                                                                                    \
    }

static const struct known known[] = {
    {LLAMA("llama-7b", 4096, 32, 32, 32, 128, 11008, 32000, .window = 0), 6738415616, 6607077376, 524288},
    {LLAMA("llama-13b", 5120, 40, 40, 40, 128, 13824, 32000, .window = 0), 13015864320, 12851609600, 819200},
    {LLAMA("llama-30b", 6656, 60, 52, 52, 128, 17920, 32000, .window = 0), 32528943616, 32315146240, 1597440},
    {LLAMA("mistral-7b", 4096, 32, 32, 8, 128, 14336, 32000, .window = 4096), 7241732096, 7110393856, 131072},
    {LLAMA("mistral-7b-v0.3", 4096, 32, 32, 8, 128, 14336, 32768, .window = 0), 7248023552, 0, 131072},
    {LLAMA("llama3-1b", 2048, 16, 32, 8, 64, 8192, 128256, .tied = true), 1235814400, 1235746816, 32768},
    {LLAMA("llama3-8b", 4096, 32, 32, 8, 128, 14336, 128256, .window = 0), 8030261248, 7504658432, 131072},
    {LLAMA("llama3-70b", 8192, 80, 64, 8, 128, 28672, 128256, .window = 0), 70553706496, 69501714432, 327680},
    {{.name = "phi-2",
      .family = MODEL_PHI2,
      .layers = 32,
      .d_model = 2560,
      .heads = 32,
      .kv_heads = 32,
      .head_dim = 80,
      .ffn = 10240,
      .vocab = 51200,
      .context = 2048,
      .rotary_dims = 32,
      .head_bias = true},
     2779683840,
     2647654400,
     327680},
    {GPT2("gpt2-124m", 768, 12, 12), 124439808, 123532032, 36864},
    {GPT2("gpt2-355m", 1024, 24, 16), 354823168, 353453056, 98304},
    {GPT2("gpt2-774m", 1280, 36, 20), 774030080, 0, 0},
    {GPT2("gpt2-1.5b", 1600, 48, 25), 1557611200, 1554971200, 307200},
    {BERT("bert-base", 768, 12, 12, false), 109482240, 0, 0},
    {BERT("bert-base-mlm", 768, 12, 12, true), 109514298, 0, 0},
    {BERT("bert-large", 1024, 24, 16, false), 335141888, 0, 0},
    {BERT("bert-large-mlm", 1024, 24, 16, true), 335174458, 0, 0},
    {MAMBA("mamba-130m", 768, 24, 1536, 48), 129135360, 128268288, 0},
    {MAMBA("mamba-370m", 1024, 48, 2048, 64), 371516416, 0, 0},
    {MAMBA("mamba-790m", 1536, 48, 3072, 96), 793204224, 0, 0},
    {MAMBA("mamba-1.4b", 2048, 48, 4096, 128), 1372178432, 1367556096, 0},
    {MAMBA("mamba-2.8b", 2560, 64, 5120, 160), 2768345600, 2760642560, 0},
};
enum { N_KNOWN = sizeof known / sizeof known[0] };

static const struct model_spec *find(const char *name)
{
    for (int i = 0; i < N_KNOWN; i++)
        if (strcmp(known[i].m.name, name) == 0)
            return &known[i].m;
    abort();
}

static struct implementation with_precision(enum precision_kind p)
{
    return (struct implementation){.precision = p, .vocabulary = "standard"};
}

TEST(parameter_counts_equal_the_published_ones)
{
    for (int i = 0; i < N_KNOWN; i++)
        if (model_parameters(&known[i].m) != known[i].parameters)
            TEST_FAIL("%s: %lld, not %lld", known[i].m.name, (long long)model_parameters(&known[i].m),
                      (long long)known[i].parameters);
}

TEST(every_model_of_the_catalog_has_its_published_count)
{
    struct catalog_list models;
    struct error e = {0};
    setenv("BENCHTOP_CATALOG", "presets", 1);
    CHECK(catalog_list(CATALOG_MODELS, &models, &e) == 0);
    int counted = 0;
    for (int i = 0; i < models.n; i++) {
        struct model_spec m;
        if (models.entry[i].user)
            continue;
        CHECK(model_spec_load(models.entry[i].path, &m, NULL, &e) == 0);
        if (m.published_parameters > 0 && model_parameters(&m) != m.published_parameters)
            TEST_FAIL("%s: %lld, not %lld", m.name, (long long)model_parameters(&m),
                      (long long)m.published_parameters);
        counted += m.published_parameters > 0;
    }
    CHECK(counted >= 20);
    catalog_list_free(&models);
}

TEST(product_parameters_equal_the_derived_ones)
{
    for (int i = 0; i < N_KNOWN; i++)
        if (known[i].products && model_product_parameters(&known[i].m) != known[i].products)
            TEST_FAIL("%s: %lld, not %lld", known[i].m.name, (long long)model_product_parameters(&known[i].m),
                      (long long)known[i].products);
}

TEST(cache_bytes_per_token_equal_the_derived_ones_and_double_in_fp32)
{
    for (int i = 0; i < N_KNOWN; i++)
        if (known[i].kv_fp16) {
            CHECK_INT(model_kv_bytes_per_token(&known[i].m, PRECISION_FP16), known[i].kv_fp16);
            CHECK_INT(model_kv_bytes_per_token(&known[i].m, PRECISION_BF16), known[i].kv_fp16);
            CHECK_INT(model_kv_bytes_per_token(&known[i].m, PRECISION_INT8), known[i].kv_fp16);
            CHECK_INT(model_kv_bytes_per_token(&known[i].m, PRECISION_FP32), 2 * known[i].kv_fp16);
        }
    CHECK_INT(model_kv_bytes_per_token(find("bert-base"), PRECISION_FP32), 0);
    CHECK_INT(model_kv_bytes_per_token(find("mamba-130m"), PRECISION_FP32), 0);
}

/* Tokens per second that 4.8 TB/s allow, from the table of batch-1 decode ceilings. */
TEST(decode_bytes_give_the_known_ceilings)
{
    static const struct {
        const char *name;
        int context;
        double ceiling;
    } rows[] = {
        {"llama-7b", 0, 363.2},      {"llama-7b", 2048, 335.9},   {"llama-30b", 2048, 70.7},
        {"mistral-7b", 2048, 331.3}, {"llama3-1b", 8192, 1751.9}, {"llama3-8b", 2048, 314.2},
        {"llama3-70b", 8192, 33.9},  {"phi-2", 2048, 804.5},      {"gpt2-124m", 1024, 16853.2},
        {"gpt2-1.5b", 1024, 1401.7},
    };
    struct implementation i = with_precision(PRECISION_BF16);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct model_work w = model_work(find(rows[r].name), &i, WORKLOAD_DECODE, 1, rows[r].context, 0);
        CHECK_INT(w.tokens, 1);
        CHECK_CLOSE(4.8e12 / w.bytes, rows[r].ceiling, 2e-3);
    }
}

/* 2.65, 14.16 and 23.59 MB of state per sequence, read and written by each step, at any context. */
TEST(a_state_space_models_decode_moves_its_state_and_no_cache)
{
    static const struct {
        const char *name;
        double state;
    } rows[] = {{"mamba-130m", 2654208}, {"mamba-1.4b", 14155776}, {"mamba-2.8b", 23592960}};
    struct implementation i = with_precision(PRECISION_BF16);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        const struct model_spec *m = find(rows[r].name);
        double weights = 2 * (double)model_product_parameters(m);
        for (int batch = 1; batch <= 8; batch += 7)
            for (int context = 1; context < 1 << 20; context *= 1000)
                CHECK_CLOSE(model_work(m, &i, WORKLOAD_DECODE, batch, context, 0).bytes,
                            weights + batch * 2 * rows[r].state, 1e-12);
        /* blocks of GGUF files leave the small projections in 16 bits */
        struct implementation blocks = with_precision(PRECISION_Q8_0);
        double small = (double)m->layers * m->mamba.inner * (2.0 * m->mamba.dt_rank + 2.0 * m->mamba.state);
        CHECK_CLOSE(model_work(m, &blocks, WORKLOAD_DECODE, 1, 9, 0).bytes,
                    (weights / 2 - small) * 34 / 32 + small * 2 + 2 * rows[r].state, 1e-12);
    }
}

TEST(prefill_flops_equal_the_known_totals)
{
    static const struct {
        const char *name;
        int seq;
        double tflop;
    } rows[] = {
        {"llama-7b", 512, 6.70},     {"llama-7b", 2048, 27.63},  {"llama-13b", 2048, 53.69},
        {"llama3-8b", 8192, 131.94}, {"llama3-70b", 512, 70.44}, {"gpt2-1.5b", 1024, 3.18},
    };
    struct implementation i = with_precision(PRECISION_BF16);
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++) {
        struct model_work w = model_work(find(rows[r].name), &i, WORKLOAD_PREFILL, 1, rows[r].seq, 0);
        CHECK_CLOSE(w.flops, rows[r].tflop * 1e12, 4e-3);
        CHECK_INT(w.tokens, rows[r].seq);
        struct model_work two = model_work(find(rows[r].name), &i, WORKLOAD_PREFILL, 2, rows[r].seq, 0);
        CHECK_CLOSE(two.flops, 2 * w.flops, 1e-12);
    }
}

TEST(a_window_caps_attention_and_the_cache_that_is_read)
{
    struct model_spec m = *find("mistral-7b"), open = m;
    open.window = 0;
    struct implementation i = with_precision(PRECISION_FP16);
    CHECK(model_work(&m, &i, WORKLOAD_DECODE, 1, 4095, 0).bytes ==
          model_work(&open, &i, WORKLOAD_DECODE, 1, 4095, 0).bytes);
    CHECK(model_work(&m, &i, WORKLOAD_DECODE, 1, 9000, 0).bytes ==
          model_work(&m, &i, WORKLOAD_DECODE, 1, 5000, 0).bytes);
    CHECK(model_work(&m, &i, WORKLOAD_PREFILL, 1, 4096, 0).flops ==
          model_work(&open, &i, WORKLOAD_PREFILL, 1, 4096, 0).flops);
    /* 4096 growing rows, then 904 rows of 4096 pairs: against 5000 growing rows */
    double pairs = 4096.0 * 4097 / 2 + 904.0 * 4096, all = 5000.0 * 5001 / 2;
    double saved = model_work(&open, &i, WORKLOAD_PREFILL, 1, 5000, 0).flops -
                   model_work(&m, &i, WORKLOAD_PREFILL, 1, 5000, 0).flops;
    CHECK_CLOSE(saved, 4.0 * 32 * 4096 * (all - pairs), 1e-9);
}

TEST(generate_is_a_prefill_and_its_decode_steps)
{
    const struct model_spec *m = find("gpt2-124m");
    struct implementation i = with_precision(PRECISION_FP32);
    struct model_work sum = model_work(m, &i, WORKLOAD_PREFILL, 3, 100, 0);
    for (int t = 0; t < 5; t++) {
        struct model_work step = model_work(m, &i, WORKLOAD_DECODE, 3, 100 + t, 0);
        sum.bytes += step.bytes;
        sum.flops += step.flops;
    }
    struct model_work w = model_work(m, &i, WORKLOAD_GENERATE, 3, 100, 5);
    CHECK_CLOSE(w.bytes, sum.bytes, 1e-12);
    CHECK_CLOSE(w.flops, sum.flops, 1e-12);
    CHECK_INT(w.tokens, 15);
}

TEST(int8_weights_cost_a_byte_each_and_a_scale_per_channel)
{
    const struct model_spec *m = find("llama3-8b");
    struct implementation i = with_precision(PRECISION_INT8);
    double channels = 32.0 * (4096 + 2 * 1024 + 4096 + 2 * 14336 + 4096) + 128256;
    CHECK_CLOSE(model_work(m, &i, WORKLOAD_DECODE, 1, 0, 0).bytes, 7504658432.0 + 4 * channels + 131072,
                1e-12);
    i.sparsity = 0.5;
    CHECK(model_work(m, &i, WORKLOAD_DECODE, 1, 0, 0).bytes < 0.6 * 7504658432.0);
}

TEST(sparse_activations_cost_the_channels_they_keep)
{
    const struct model_spec *m = find("llama3-1b");
    struct implementation i = with_precision(PRECISION_BF16), dense = i;
    i.sparsity = 0.4;
    CHECK_INT(model_kept(2048, 0.4, true), 1392);
    CHECK_INT(model_kept(2048, 0.4, false), 1064);
    CHECK_INT(model_kept(2048, 0, true), 2048);
    CHECK_INT(model_kept(100, 0.9, false), 5); /* half of what 0.9 leaves, not 1 - 1.08 */
    CHECK_INT(model_kept(2, 0.9, true), 1);
    double layer = 1392.0 * (3072 + 16384) + 1064.0 * 2048 + 4259.0 * 2048, head = 128256.0 * 2048;
    double kv = (double)model_kv_bytes_per_token(m, PRECISION_BF16);
    CHECK_CLOSE(model_work(m, &i, WORKLOAD_DECODE, 1, 0, 0).bytes, 2 * (16 * layer + head) + kv, 1e-12);
    /* Tokens that each keep their own channels touch nearly all of them together. */
    double prompt = model_work(m, &i, WORKLOAD_PREFILL, 1, 100, 0).bytes,
           whole = model_work(m, &dense, WORKLOAD_PREFILL, 1, 100, 0).bytes;
    CHECK_CLOSE(prompt, whole, 1e-9);
    CHECK(model_work(m, &i, WORKLOAD_PREFILL, 1, 100, 0).flops <
          0.7 * model_work(m, &dense, WORKLOAD_PREFILL, 1, 100, 0).flops);
}

TEST(an_encoder_attends_in_both_directions_and_caches_nothing)
{
    const struct model_spec *m = find("bert-base-mlm");
    struct implementation i = with_precision(PRECISION_FP32);
    struct model_work w = model_work(m, &i, WORKLOAD_PREFILL, 1, 100, 0);
    double layers = 12.0 * 12 * 768 * 768, head = 768.0 * 768 + 30522.0 * 768;
    CHECK_CLOSE(w.flops, 2 * layers * 100 + 4.0 * 12 * 768 * 100 * 100 + 2 * head, 1e-12);
    CHECK_CLOSE(w.bytes, 4 * (layers + head), 1e-12);
}

TEST(prompts_of_a_batch_spread_evenly_from_the_shortest_to_seq)
{
    static const int four[] = {64, 213, 363, 512};
    for (int s = 0; s < 4; s++) {
        CHECK_INT(model_prompt_tokens(512, 0.125, 4, s), four[s]);
        CHECK_INT(model_prompt_tokens(512, 1, 4, s), 512);
        CHECK_INT(model_prompt_tokens(512, 0, 4, s), 512);
    }
    CHECK_INT(model_prompt_tokens(512, 0.125, 1, 0), 512);
    CHECK_INT(model_prompt_tokens(3, 0.001, 2, 0), 1);
}

TEST(work_over_prompts_of_different_lengths_is_the_sum_of_their_own)
{
    struct implementation i;
    struct model_spec m;
    CHECK_INT(catalog_model("gpt2-124m", &m, NULL), 0);
    implementation_default(&i);
    struct model_work equal = model_work(&m, &i, WORKLOAD_DECODE, 3, 300, 0),
                      ragged = model_work_ragged(&m, &i, WORKLOAD_DECODE, 3, 300, 0, 1.0 / 3);
    /* 100, 200 and 300 tokens cached instead of 300 each: 300 entries less are read */
    CHECK_CLOSE(equal.bytes - ragged.bytes, 300.0 * (double)model_kv_bytes_per_token(&m, i.precision), 1e-9);
    CHECK_CLOSE(equal.flops - ragged.flops, 4.0 * 12 * 768 * 300, 1e-9);
    CHECK_INT(ragged.tokens, 3);
    ragged = model_work_ragged(&m, &i, WORKLOAD_PREFILL, 3, 300, 0, 1.0 / 3);
    CHECK_INT(ragged.tokens, 600);
    struct model_work apart = {0};
    for (int tokens = 100; tokens <= 300; tokens += 100)
        apart.flops += model_work(&m, &i, WORKLOAD_PREFILL, 1, tokens, 0).flops;
    CHECK_CLOSE(ragged.flops, apart.flops, 1e-12);
}
