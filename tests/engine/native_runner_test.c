/* The native runner behind the seam: samples, resets, outputs, memory, refusals. */
#include "engine/model/native.h"
#include "engine/model/native_judge.h"
#include "engine/runners/runner.h"

#include "tests/test.h"
#include <math.h>

static struct runner *open_runner(void)
{
    struct error e = {0};
    struct runner *r = runner_open_native("cpu", 0, &e);
    if (!r) {
        printf("%s\n", e.text);
        exit(1);
    }
    return r;
}

static struct implementation baseline(void)
{
    struct implementation i;
    implementation_default(&i);
    return i;
}

static struct runner_request request(const struct model_spec *m, const struct implementation *i,
                                     enum workload w)
{
    return (struct runner_request){.model = m,
                                   .implementation = i,
                                   .workload = w,
                                   .batch = 3,
                                   .seq = 20,
                                   .tokens = 6,
                                   .samples_max = 9,
                                   .arm_name = "arm",
                                   .seed = 11};
}

static struct runner_arm *prepare(struct runner *r, const struct runner_request *q)
{
    struct error e = {0};
    int64_t load_ns;
    struct runner_arm *a = r->ops->prepare(r, q, NULL, &load_ns, &e);
    if (!a)
        TEST_FAIL("%s", e.text);
    return a;
}

TEST(every_workload_yields_positive_samples_on_both_clocks)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    CHECK_STRING(r->ops->name, "native");
    CHECK(r->ops->kernels(r) != NULL);
    for (int w = 0; w <= WORKLOAD_GENERATE; w++) { /* the others need a text */
        struct runner_request q = request(&judge_models[0], &i, (enum workload)w);
        struct runner_arm *a = prepare(r, &q);
        struct sample s[9] = {0};
        _Atomic int done = 0;
        CHECK(r->ops->reset(a, NULL) == 0);
        int64_t start = r->ops->now_ns(r);
        CHECK(r->ops->run_block(a, 9, s, &done, NULL, NULL) == 0);
        int64_t span = r->ops->now_ns(r) - start, host = 0, device = 0;
        CHECK_INT(done, 9);
        for (int k = 0; k < 9; k++) {
            CHECK(s[k].device_ns > 0 && s[k].host_ns > 0);
            CHECK(w == WORKLOAD_GENERATE ? s[k].first_ns > 0 && s[k].first_ns < s[k].device_ns
                                         : s[k].first_ns == 0);
            host += s[k].host_ns;
            device += s[k].device_ns;
        }
        CHECK(host <= span && device <= span);
        struct model_work work;
        r->ops->work(a, &work);
        CHECK_INT(work.tokens, w == WORKLOAD_PREFILL ? 60 : w == WORKLOAD_DECODE ? 3 : 18);
        CHECK(work.bytes > 0 && work.flops > 0);
        r->ops->release(a);
    }
    r->ops->release(NULL);
    r->ops->close(r);
}

/* Steps overwrite a state; the prompt's comes back although the first block came before any reset. */
TEST(a_state_space_model_decodes_again_from_where_its_prompt_ended)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    for (int w = WORKLOAD_PREFILL; w <= WORKLOAD_GENERATE; w++) {
        struct runner_request q = request(&judge_models[JUDGE_MODELS - 1], &i, (enum workload)w);
        struct runner_arm *a = prepare(r, &q);
        struct runner_output before, after;
        struct sample s[9];
        _Atomic int done = 0;
        struct error e = {0};
        CHECK(r->ops->run_block(a, 4, s, &done, NULL, &e) == 0);
        CHECK(r->ops->output(a, &before, &e) == 0);
        CHECK(r->ops->reset(a, &e) == 0 && r->ops->run_block(a, 9, s, &done, NULL, &e) == 0);
        CHECK(r->ops->output(a, &after, &e) == 0);
        CHECK_STRING(e.text, "");
        CHECK(memcmp(before.logits, after.logits, (size_t)(before.rows * before.width) * sizeof(float)) == 0);
        struct memory_use use;
        r->ops->memory(a, &use);
        CHECK_INT(use.kv_used, use.kv_cache); /* constant in context, whole from the first token on */
        CHECK_INT(use.kv_cache, q.batch * 2 * 96 * (16 + 3) * (int64_t)sizeof(float));
        runner_output_free(&before);
        runner_output_free(&after);
        r->ops->release(a);
    }
    r->ops->close(r);
}

TEST(the_output_is_the_same_after_any_work_and_for_equal_arms)
{
    struct runner *r = open_runner();
    struct implementation base = baseline(), fused = base;
    fused.attention = ATTENTION_FLASH;
    fused.fusion = FUSION_FULL;
    fused.kv_cache = KV_CACHE_PAGED;
    for (int w = 0; w <= WORKLOAD_GENERATE; w++) {
        struct runner_request q = request(&judge_models[4], &base, (enum workload)w);
        struct runner_arm *a = prepare(r, &q);
        q.implementation = &fused;
        struct runner_arm *b = prepare(r, &q);
        struct runner_output first, again, other;
        struct sample s[9];
        _Atomic int done = 0;
        CHECK(r->ops->output(a, &first, NULL) == 0);
        CHECK(r->ops->reset(a, NULL) == 0 && r->ops->run_block(a, 9, s, &done, NULL, NULL) == 0);
        CHECK(r->ops->output(a, &again, NULL) == 0);
        CHECK(r->ops->output(b, &other, NULL) == 0);
        CHECK_INT(first.rows, 3);
        CHECK_INT(first.width, 128);
        CHECK(first.input_hash == other.input_hash && first.input_hash != 0);
        size_t n = (size_t)first.rows * (size_t)first.width;
        CHECK(memcmp(first.logits, again.logits, n * sizeof(float)) == 0);
        for (size_t k = 0; k < n; k++)
            CHECK(fabsf(first.logits[k] - other.logits[k]) < 5e-5f);
        runner_output_free(&first);
        runner_output_free(&again);
        runner_output_free(&other);
        r->ops->release(a);
        r->ops->release(b);
    }
    r->ops->close(r);
}

TEST(weights_are_loaded_once_per_model_and_precision)
{
    struct runner *r = open_runner();
    struct implementation fp32 = baseline(), int8 = fp32;
    int8.precision = PRECISION_INT8;
    struct runner_request q = request(&judge_models[0], &fp32, WORKLOAD_PREFILL);
    int64_t load_ns;
    r->ops->release(r->ops->prepare(r, &q, NULL, &load_ns, NULL));
    CHECK(load_ns > 0);
    r->ops->release(r->ops->prepare(r, &q, NULL, &load_ns, NULL));
    CHECK_INT(load_ns, 0);
    q.implementation = &int8;
    r->ops->release(r->ops->prepare(r, &q, NULL, &load_ns, NULL));
    CHECK(load_ns > 0);
    q.implementation = &fp32;
    r->ops->release(r->ops->prepare(r, &q, NULL, &load_ns, NULL));
    CHECK_INT(load_ns, 0);
    q.model = &judge_models[1];
    r->ops->release(r->ops->prepare(r, &q, NULL, &load_ns, NULL));
    CHECK(load_ns > 0);
    q.model = &judge_models[0];
    r->ops->release(r->ops->prepare(r, &q, NULL, &load_ns, NULL));
    CHECK(load_ns > 0);
    r->ops->close(r);
}

struct watcher {
    int calls, stop_at;
};
static bool cancelled(void *who)
{
    struct watcher *w = who;
    return ++w->calls >= w->stop_at;
}

TEST(preparing_and_running_stop_when_asked_and_the_arm_lives_on)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    for (int w = 0; w <= WORKLOAD_GENERATE; w++) {
        struct runner_request q = request(&judge_models[0], &i, (enum workload)w);
        struct error e = {0};
        int64_t load_ns;
        struct watcher who = {.stop_at = 1};
        struct runner_watch watch = {.who = &who, .cancelled = cancelled};
        if (w == 0) {
            CHECK(!r->ops->prepare(r, &q, &watch, &load_ns, &e));
            CHECK_INT(e.kind, ERROR_CANCELLED);
        }
        struct runner_arm *a = prepare(r, &q);
        struct sample s[9];
        _Atomic int done = 0;
        who = (struct watcher){.stop_at = w == WORKLOAD_GENERATE ? 40 : 12};
        e = (struct error){0};
        CHECK(r->ops->reset(a, NULL) == 0);
        CHECK_INT(r->ops->run_block(a, 9, s, &done, &watch, &e), -1);
        CHECK_INT(e.kind, ERROR_CANCELLED);
        CHECK(done > 0 && done < 9);
        for (int k = 0; k < done; k++)
            CHECK(s[k].device_ns > 0);
        CHECK(r->ops->reset(a, NULL) == 0);
        CHECK(r->ops->run_block(a, 9, s, &done, NULL, NULL) == 0);
        r->ops->release(a);
    }
    r->ops->close(r);
}

TEST(a_block_beyond_what_was_prepared_is_an_error)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    struct runner_request q = request(&judge_models[3], &i, WORKLOAD_DECODE);
    struct error e = {0};
    struct sample s[64];
    _Atomic int done = 0;
    struct runner_arm *a = prepare(r, &q);
    CHECK_INT(r->ops->run_block(a, 10, s, &done, NULL, &e), -1);
    CHECK_CONTAINS(e.text, "9 prepared");
    CHECK(r->ops->run_block(a, 9, s, &done, NULL, NULL) == 0);
    CHECK_INT(r->ops->run_block(a, 1, s, &done, NULL, &e), -1); /* without a reset there is no room left */
    CHECK(r->ops->reset(a, NULL) == 0 && r->ops->run_block(a, 9, s, &done, NULL, NULL) == 0);
    r->ops->release(a);
    q.seq = 126; /* of 128: two steps are left, whatever was asked */
    a = prepare(r, &q);
    CHECK(r->ops->run_block(a, 2, s, &done, NULL, NULL) == 0);
    CHECK(r->ops->reset(a, NULL) == 0);
    CHECK_INT(r->ops->run_block(a, 3, s, &done, NULL, &e), -1);
    r->ops->release(a);
    r->ops->close(r);
}

TEST(sequences_beyond_the_context_are_refused_in_words)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    static const struct {
        enum workload w;
        int fits, too_long;
    } limits[] = {{WORKLOAD_PREFILL, 128, 129}, {WORKLOAD_DECODE, 127, 128}, {WORKLOAD_GENERATE, 122, 123}};
    for (int k = 0; k < 3; k++) {
        struct runner_request q = request(&judge_models[3], &i, limits[k].w);
        struct error e = {0};
        int64_t load_ns;
        q.seq = limits[k].fits;
        r->ops->release(prepare(r, &q));
        q.seq = limits[k].too_long;
        CHECK(!r->ops->prepare(r, &q, NULL, &load_ns, &e));
        CHECK_INT(e.kind, ERROR_UNSUPPORTED);
        CHECK_CONTAINS(e.text, "128 tokens");
        struct memory_use use;
        CHECK_INT(native_predict_memory("cpu", q.model, &i, q.workload, 3, q.seq, 6, 9, 0, &use, &e), -1);
    }
    r->ops->close(r);
}

TEST(unsupported_choices_say_what_to_choose_instead)
{
    static const struct {
        const char *key, *value, *words;
    } choices[] = {
        {"attention", "flash3", "choose attention flash"},
        {"attention", "ring", "choose attention flash"},
        {"launch", "graph", "graph launch needs cuda: choose launch eager"},
        {"launch", "persistent", "choose launch eager"},
        {"activations", "int8", "choose precision"},
        {"precision", "q8_0", "llama has feed-forward rows of 172 weights, which blocks of 32 do not divide"},
        {"precision", "q4_k", "llama has hidden rows of 64 weights, which blocks of 256 do not divide"},
        {"precision", "q6_k", "choose precision int8"},
        {"precision", "q4_0", "choose precision nf4"},
        {"precision", "stored", "choose bf16, q8_0 or q4_k"},
        {"vocabulary", "medical", "names no vocabulary"},
    };
    struct error e;
    for (size_t k = 0; k < sizeof choices / sizeof choices[0]; k++) {
        struct implementation i = baseline();
        CHECK(native_supports("cpu", &judge_models[0], &i, WORKLOAD_DECODE, NULL) == 0);
        CHECK(implementation_set(&i, choices[k].key, choices[k].value, &e) == 0);
        e = (struct error){0};
        CHECK_INT(native_supports("cpu", &judge_models[0], &i, WORKLOAD_DECODE, &e), -1);
        CHECK_INT(e.kind, ERROR_UNSUPPORTED);
        CHECK_CONTAINS(e.text, choices[k].words);
    }
    struct implementation i = baseline();
    i.precision = PRECISION_Q4_K; /* blocks of 32 would fit */
    CHECK_INT(native_supports("cpu", &judge_models[2], &i, WORKLOAD_DECODE, &e), -1);
    CHECK_CONTAINS(e.text, "choose precision q4_0");
    CHECK_INT(native_supports("cpu", &judge_models[JUDGE_WIDE], &i, WORKLOAD_DECODE, &e), 0);
    i = baseline();
    struct model_spec mamba = judge_models[JUDGE_MODELS - 1];
    CHECK_INT(native_supports("cpu", &mamba, &i, WORKLOAD_GENERATE, &e), 0);
    i.kv_cache = KV_CACHE_PAGED;
    CHECK_INT(native_supports("cpu", &mamba, &i, WORKLOAD_GENERATE, &e), -1);
    CHECK_CONTAINS(e.text, "choose kv_cache contiguous");
    i.kv_cache = KV_CACHE_CONTIGUOUS;
    mamba.mamba.state = 129;
    CHECK_INT(native_supports("cpu", &mamba, &i, WORKLOAD_PREFILL, &e), -1);
    CHECK_CONTAINS(e.text, "holds at most 128");
    mamba.mamba = judge_models[JUDGE_MODELS - 1].mamba;
    mamba.mamba.conv = 1;
    CHECK_INT(native_supports("cpu", &mamba, &i, WORKLOAD_PREFILL, &e), -1);
    CHECK_CONTAINS(e.text, "2 to 64");
    mamba.mamba.conv = 4;
    mamba.context = 0; /* a state holds any length */
    struct forward_shape shape;
    CHECK_INT(native_shape(&mamba, &i, WORKLOAD_DECODE, 1, 1 << 20, 0, 7, &shape, &e), 0);
    CHECK_INT(shape.steps, 7);
    CHECK(native_supports("cpu", &judge_models[5], &i, WORKLOAD_PREFILL, &e) == 0);
    CHECK_INT(native_supports("cpu", &judge_models[5], &i, WORKLOAD_GENERATE, &e), -1);
    CHECK_CONTAINS(e.text, "encoder");
    CHECK_INT(native_supports("tpu:1", &judge_models[0], &i, WORKLOAD_PREFILL, &e), -1);
    CHECK_CONTAINS(e.text, "tpu:1");
    CHECK(!runner_open_native("tpu:1", 0, &e));
    CHECK_INT(implementation_set(&i, "launch", "graph", &e), 0);
    CHECK_INT(implementation_set(&i, "precision", "int8", &e), 0);
    CHECK_INT(implementation_set(&i, "activations", "int8", &e), 0);
    CHECK_INT(native_supports("cuda:1", &judge_models[0], &i, WORKLOAD_DECODE, &e), 0);
    CHECK_INT(native_supports("cuda1", &judge_models[0], &i, WORKLOAD_DECODE, &e), -1);
}

static const struct model_spec gpt2_124m = {.name = "gpt2-124m",
                                            .family = MODEL_GPT2,
                                            .layers = 12,
                                            .d_model = 768,
                                            .heads = 12,
                                            .kv_heads = 12,
                                            .head_dim = 64,
                                            .ffn = 3072,
                                            .vocab = 50257,
                                            .context = 1024,
                                            .norm_eps = 1e-5,
                                            .tied = true};

TEST(what_does_not_fit_is_refused_before_anything_is_allocated)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    struct model_spec huge = gpt2_124m;
    huge.layers = 100000;
    struct runner_request q = request(&huge, &i, WORKLOAD_PREFILL);
    struct error e = {0};
    int64_t load_ns, before = native_program_bytes(0);
    CHECK(!r->ops->prepare(r, &q, NULL, &load_ns, &e));
    CHECK_INT(e.kind, ERROR_MEMORY);
    CHECK_CONTAINS(e.text, "too much");
    CHECK(native_program_bytes(0) - before < 8 << 20);
    r->ops->close(r);
}

TEST(predicted_memory_is_within_five_percent_of_what_a_run_takes)
{
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    SKIP("a sanitizer's own memory is not predicted");
#endif
    struct kernels *k = native_open("cpu", 1, NULL);
    int64_t available = native_free_bytes("cpu", k);
    k->ops->close(k);
    if (available < (int64_t)2 << 30)
        SKIP("less than 2 GiB are free");
    struct memory_use predicted, measured;
    struct implementation i = baseline();
    CHECK(native_predict_memory("cpu", &gpt2_124m, &i, WORKLOAD_DECODE, 2, 200, 0, 9, 0, &predicted, NULL) ==
          0);
    struct runner *r = open_runner();
    struct runner_request q = request(&gpt2_124m, &i, WORKLOAD_DECODE);
    q.batch = 2;
    q.seq = 200;
    struct runner_arm *a = prepare(r, &q);
    struct sample s[9];
    _Atomic int done = 0;
    CHECK(r->ops->run_block(a, 3, s, &done, NULL, NULL) == 0);
    r->ops->memory(a, &measured);
    int64_t resident = native_program_bytes(0);
    CHECK_INT(predicted.weights, measured.weights);
    CHECK_INT(predicted.activations, measured.activations);
    CHECK_INT(predicted.kv_cache, measured.kv_cache);
    CHECK_INT(measured.kv_used, 2 * 203 * model_kv_bytes_per_token(&gpt2_124m, PRECISION_FP32));
    CHECK_CLOSE((double)predicted.peak, (double)measured.peak, 0.05);
    CHECK_CLOSE((double)predicted.peak, (double)resident, 0.05);
    CHECK(measured.peak >= measured.average);
    CHECK(measured.weights >= 4 * model_parameters(&gpt2_124m));
    r->ops->release(a);
    r->ops->close(r);
}

TEST(memory_of_every_implementation_is_predicted_to_the_byte_but_for_the_program)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    for (int variant = 0; variant < 8; variant++)
        for (int w = 0; w <= WORKLOAD_GENERATE; w++) {
            struct memory_use predicted, measured;
            i.attention = variant & 1 ? ATTENTION_FLASH : ATTENTION_NAIVE;
            i.fusion = variant & 1 ? FUSION_FULL : 0;
            i.kv_cache = variant & 2 ? KV_CACHE_PAGED : KV_CACHE_CONTIGUOUS;
            i.precision = variant & 4 ? PRECISION_INT8 : PRECISION_FP32;
            struct runner_request q = request(&judge_models[2], &i, (enum workload)w);
            CHECK(native_predict_memory("cpu", q.model, &i, q.workload, 3, 20, 6, 9, 0, &predicted, NULL) ==
                  0);
            struct runner_arm *a = prepare(r, &q);
            r->ops->memory(a, &measured);
            CHECK_INT(predicted.weights, measured.weights);
            CHECK_INT(predicted.activations, measured.activations);
            CHECK_INT(predicted.kv_cache, measured.kv_cache);
            r->ops->release(a);
        }
    r->ops->close(r);
}

TEST(prompts_of_different_lengths_hold_what_their_tokens_need_in_every_cache)
{
    struct runner *r = open_runner();
    struct implementation i = baseline();
    float *first = NULL;
    for (int kind = KV_CACHE_CONTIGUOUS; kind <= KV_CACHE_VIRTUAL; kind++) {
        i.kv_cache = (enum kv_cache_kind)kind;
        struct runner_request q = request(&judge_models[0], &i, WORKLOAD_DECODE);
        q.seq = 40;
        q.shortest = 0.25; /* 10, 25 and 40 tokens */
        struct runner_arm *a = prepare(r, &q);
        struct runner_output out;
        struct memory_use m;
        struct model_work work;
        struct sample s[9];
        _Atomic int done = 0;
        struct error e = {0};
        CHECK_INT(r->ops->output(a, &out, &e), 0);
        if (first) /* every cache, the same logits */
            for (int n = 0; n < out.rows * out.width; n++)
                CHECK(fabsf(out.logits[n] - first[n]) <= 1e-4f * (1 + fabsf(first[n])));
        first = first ? first : out.logits;
        if (first != out.logits)
            runner_output_free(&out);
        CHECK_INT(r->ops->reset(a, &e), 0);
        CHECK_INT(r->ops->run_block(a, 5, s, &done, NULL, &e), 0);
        r->ops->memory(a, &m);
        int64_t token = model_kv_bytes_per_token(&judge_models[0], PRECISION_FP32);
        CHECK_INT(m.kv_used, (15 + 30 + 45) * token);
        CHECK_INT(m.kv_pages.contiguous, 3 * 49 * token);
        CHECK_INT(m.kv_pages.wasted, (m.kv_pages.committed - m.kv_used) / 3);
        if (kind == KV_CACHE_CONTIGUOUS)
            CHECK_INT(m.kv_pages.committed, 3 * 49 * token);
        if (kind == KV_CACHE_PAGED) /* blocks of 16: 1, 2 and 3 */
            CHECK_INT(m.kv_pages.committed, 6 * 16 * token);
        CHECK((m.kv_pages.map_calls > 0) == (kind == KV_CACHE_VIRTUAL));
        r->ops->work(a, &work);
        struct model_work equal = model_work(q.model, &i, WORKLOAD_DECODE, 3, 40, 0);
        CHECK_CLOSE(equal.bytes - work.bytes, (double)(45 * token), 1e-9);
        r->ops->release(a);
    }
    free(first);
    r->ops->close(r);
}
