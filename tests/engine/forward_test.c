/* Every implementation of every family against the double-precision reference, and against one another. */
#include "engine/model/native.h"
#include "engine/model/native_judge.h"

#include "tests/test.h"
#include <omp.h>

static struct kernels *open_cpu(void)
{
    char why[256] = "";
    int threads = omp_get_thread_limit() < 2 ? 1 : 2; /* the TSan run has one */
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){threads, "auto", "auto"}, why, sizeof why);
    if (!k) {
        printf("%s\n", why);
        exit(1);
    }
    return k;
}

static int lines;
static double worst[PRECISION_INT8 + 1], worst_int8;

static double tolerance_of(enum precision_kind precision)
{
    return judge_tolerance(&(struct implementation){.precision = precision});
}

static void judge_line(void *who, const struct selftest_line *line)
{
    static const char *const names[] = {" fp32 ", " fp16 ", " bf16 ", " int8 "};
    (void)who;
    lines++;
    if (strstr(line->what, " activations int8"))
        worst_int8 = fmax(worst_int8, line->error);
    for (int p = 0; p <= PRECISION_INT8; p++)
        if (strstr(line->what, names[p]) && !strstr(line->what, " activations int8"))
            worst[p] = fmax(worst[p], line->error);
    if (!line->passed)
        TEST_FAIL("%s: error %g, tolerated %g", line->what, line->error, line->tolerance);
}

TEST(every_implementation_agrees_with_the_reference)
{
    struct error e = {0};
    CHECK_INT(native_selftest("cpu", NULL, judge_line, NULL, &e), 0);
    CHECK(lines > 900);
    /* the tolerances are not wide enough to hide a precision taken for another */
    CHECK(worst[PRECISION_FP32] < tolerance_of(PRECISION_FP32));
    CHECK(worst[PRECISION_FP16] > tolerance_of(PRECISION_FP32));
    CHECK(worst[PRECISION_BF16] > worst[PRECISION_FP16]);
    CHECK(worst_int8 > worst[PRECISION_INT8] && worst_int8 < 5e-2);
    printf("worst of inputs in 8 bits: %.2g\n", worst_int8);
}

TEST(every_simd_level_and_product_library_agrees_with_the_reference)
{
    static const char *const levels[] = {"portable", "avx2", "avx512", "avx512_vnni", "avx512_bf16"};
    static const char *const products[] = {"own", "cblas", "onednn"};
    int ran = 0;
    for (int level = 0; level < 5; level++)
        for (int product = 0; product < 3; product++) {
            char why[256] = "";
            struct kernels *k = kernels_open_cpu(
                &(struct kernels_config){1, products[product], levels[level]}, why, sizeof why);
            if (!k) /* this machine lacks the instructions or the library */
                continue;
            for (int m = 0; m < JUDGE_MODELS; m++)
                for (int p = PRECISION_FP32; p <= PRECISION_Q6_K; p++) {
                    struct judge j;
                    struct implementation i;
                    implementation_default(&i);
                    i.precision = (enum precision_kind)p;
                    bool blocks = p >= PRECISION_Q8_0;
                    if ((p > PRECISION_INT8 && !blocks) || blocks != (m == JUDGE_WIDE))
                        continue;
                    i.attention = ATTENTION_FLASH;
                    i.fusion = FUSION_FULL;
                    CHECK(judge_open(&j, k, &judge_models[m], i.precision, NULL) == 0);
                    int steps = judge_models[m].family == MODEL_BERT ? 0 : 3;
                    for (int a = 0; a < (p >= PRECISION_INT8 ? 2 : 1); a++) {
                        i.activations = (enum activations_kind)a;
                        double error = judge_run(&j, &i, 2, (const int[]){37, 4}, steps, NULL);
                        if (!(error <= judge_tolerance(&i)))
                            TEST_FAIL("%s, %s, %s precision %d activations %d: %g", levels[level],
                                      products[product], judge_models[m].name, p, a, error);
                    }
                    judge_close(&j);
                    ran++;
                }
            k->ops->close(k);
        }
    CHECK(ran >= 24); /* portable code with our own products runs everywhere */
}

TEST(the_judge_sees_a_wrong_weight)
{
    struct kernels *k = open_cpu();
    struct implementation i;
    implementation_default(&i);
    for (int m = 0; m < JUDGE_MODELS; m++) {
        struct judge j;
        CHECK(judge_open(&j, k, &judge_models[m], PRECISION_FP32, NULL) == 0);
        bool states = judge_models[m].family == MODEL_MAMBA;
        ((float *)(states ? j.weights->layer[1].dt : j.weights->layer[1].down).data)[17] += 1;
        CHECK(judge_run(&j, &i, 1, (const int[]){9}, 0, NULL) > tolerance_of(PRECISION_FP32));
        judge_close(&j);
    }
    k->ops->close(k);
}

/* Longer than a piece: cut, continued, packed beside shorter ones. */
TEST(long_and_ragged_prompts_cut_into_pieces_agree_with_the_reference)
{
    struct kernels *k = open_cpu();
    struct implementation i;
    implementation_default(&i);
    for (int m = 0; m < JUDGE_MODELS; m++) {
        struct model_spec spec = judge_models[m];
        spec.context = JUDGE_MAX_TEXT;
        spec.layers = 1;
        struct judge j;
        CHECK(judge_open(&j, k, &spec, PRECISION_FP32, NULL) == 0);
        for (int variant = 0; variant < 4; variant++) {
            i.attention = variant & 1 ? ATTENTION_FLASH : ATTENTION_NAIVE;
            i.kv_cache = variant & 2 ? KV_CACHE_PAGED : KV_CACHE_CONTIGUOUS;
            i.fusion = variant & 1 ? FUSION_FULL : 0;
            int steps = spec.family == MODEL_BERT ? 0 : 3;
            double error = judge_run(&j, &i, 5, (const int[]){300, 700, 1, 512, 5}, steps, NULL);
            if (!(error <= tolerance_of(PRECISION_FP32)))
                TEST_FAIL("%s variant %d: %g", spec.name, variant, error);
        }
        judge_close(&j);
    }
    k->ops->close(k);
}

/* Runs a prompt of n ids and `steps` decode steps; fills logits. */
static void run_once(struct kernels *k, struct weights *w, const struct implementation *i, int n, int steps,
                     const int32_t *ids, float *logits)
{
    struct forward_shape shape = {
        .model = &w->model, .implementation = i, .sequences = 1, .length = n, .steps = steps};
    struct forward *f = forward_create(k, w, &shape, ids, NULL);
    CHECK(f && forward_prefill(f, NULL) == 0);
    for (int s = 0; s < steps; s++) {
        forward_set_next(f, ids + n + s);
        CHECK(forward_step(f, NULL) == 0);
    }
    CHECK_INT(forward_length(f), n + steps);
    CHECK(forward_logits(f, logits, NULL) == 0);
    forward_free(f);
}

TEST(decode_after_a_short_prompt_equals_the_whole_prompt)
{
    struct kernels *k = open_cpu();
    struct implementation i;
    implementation_default(&i);
    int32_t ids[64];
    float whole[256], stepped[256];
    for (int t = 0; t < 64; t++)
        ids[t] = (11 * t + 3) % 90;
    for (int m = 0; m < JUDGE_MODELS; m++) {
        if (judge_models[m].family == MODEL_BERT)
            continue;
        struct weights *w = weights_create(
            k, &(struct weights_request){.model = &judge_models[m], .precision = PRECISION_FP32, .seed = 1},
            NULL, NULL, NULL, NULL);
        for (int a = ATTENTION_NAIVE; a <= ATTENTION_FLASH; a++) {
            i.attention = (enum attention_kind)a;
            run_once(k, w, &i, 64, 0, ids, whole);
            run_once(k, w, &i, 3, 61, ids, stepped);
            for (int v = 0; v < judge_models[m].vocab; v++)
                CHECK(fabsf(whole[v] - stepped[v]) < 2e-5f);
        }
        weights_release(w);
    }
    k->ops->close(k);
}

/* What is left on a state after a prompt that a chunked scan, a recurrence token by token and a decode step
 * by step went through, in pieces and in one. */
TEST(a_state_space_prompt_scanned_equals_its_recurrence)
{
    struct kernels *k = open_cpu();
    enum { N = 700, VOCAB = 157 };
    struct model_spec spec = judge_models[JUDGE_MODELS - 1];
    static int32_t ids[N];
    static float scanned[VOCAB], naive[VOCAB], stepped[VOCAB];
    CHECK_INT(spec.family, MODEL_MAMBA);
    spec.layers = 6;
    spec.context = N;
    for (int t = 0; t < N; t++)
        ids[t] = (11 * t + t * t % 7) % VOCAB;
    struct weights *w =
        weights_create(k, &(struct weights_request){.model = &spec, .precision = PRECISION_FP32, .seed = 1},
                       NULL, NULL, NULL, NULL);
    struct implementation i;
    implementation_default(&i);
    run_once(k, w, &i, N, 0, ids, naive);
    i.attention = ATTENTION_FLASH;
    i.fusion = FUSION_FULL;
    run_once(k, w, &i, N, 0, ids, scanned);
    run_once(k, w, &i, 1, N - 1, ids, stepped);
    float apart = 0, largest = 0;
    for (int v = 0; v < VOCAB; v++) {
        apart = fmaxf(apart, fmaxf(fabsf(scanned[v] - naive[v]), fabsf(scanned[v] - stepped[v])));
        largest = fmaxf(largest, fabsf(scanned[v]));
    }
    printf("scan against recurrence after %d tokens and %d layers: %.1e of the largest logit\n", N,
           spec.layers, (double)(apart / largest));
    CHECK(apart > 0 && apart <= 1e-5f * largest);
    weights_release(w);
    k->ops->close(k);
}

TEST(states_come_back_to_where_the_prompt_ended)
{
    struct kernels *k = open_cpu();
    const struct model_spec *m = &judge_models[JUDGE_MODELS - 1];
    struct implementation i;
    implementation_default(&i);
    i.attention = ATTENTION_FLASH;
    struct weights *w =
        weights_create(k, &(struct weights_request){.model = m, .precision = PRECISION_FP32, .seed = 1}, NULL,
                       NULL, NULL, NULL);
    struct forward_shape shape = {.model = m, .implementation = &i, .sequences = 3, .length = 15, .steps = 9};
    int32_t ids[45];
    static float a[3 * 157], b[3 * 157];
    for (int t = 0; t < 45; t++)
        ids[t] = (13 * t) % 150;
    struct error e = {0};
    struct forward *f = forward_create(k, w, &shape, ids, NULL);
    CHECK(forward_prefill(f, NULL) == 0 && forward_step(f, NULL) == 0);
    CHECK_INT(forward_rewind(f, &e), -1); /* what the step overwrote was not kept */
    CHECK_CONTAINS(e.text, "rewind once before the first step");
    CHECK(forward_clear(f, NULL) == 0 && forward_prefill(f, NULL) == 0);
    for (int round = 0; round < 3; round++) {
        float *logits = round == 0 ? a : b;
        CHECK(forward_rewind(f, NULL) == 0);
        CHECK_INT(forward_length(f), 15);
        for (int s = 0; s < 9; s++)
            CHECK(forward_step(f, NULL) == 0);
        CHECK(forward_logits(f, logits, NULL) == 0);
        CHECK(round == 0 || memcmp(a, b, sizeof a) == 0);
    }
    CHECK(forward_kv_used(f) == 3 * 2 * 96 * (16 + 3) * (int64_t)sizeof(float));
    forward_free(f);
    weights_release(w);
    k->ops->close(k);
}

TEST(a_paged_cache_gives_what_a_contiguous_one_gives)
{
    struct kernels *k = open_cpu();
    struct implementation paged, contiguous;
    implementation_default(&paged);
    contiguous = paged;
    paged.kv_cache = KV_CACHE_PAGED;
    int32_t ids[100];
    float a[256], b[256];
    for (int t = 0; t < 100; t++)
        ids[t] = (37 * t + 8) % 90;
    for (int p = PRECISION_FP32; p <= PRECISION_INT8; p++) {
        paged.precision = contiguous.precision = (enum precision_kind)p;
        struct weights *w =
            weights_create(k,
                           &(struct weights_request){
                               .model = &judge_models[0], .precision = (enum precision_kind)p, .seed = 1},
                           NULL, NULL, NULL, NULL);
        run_once(k, w, &paged, 50, 50, ids, a);
        run_once(k, w, &contiguous, 50, 50, ids, b);
        double largest = 0;
        for (int v = 0; v < judge_models[0].vocab; v++)
            largest = fmax(largest, fabs((double)a[v] - (double)b[v]));
        /* blocks change the order of sums; in low precision a sum near a tie may round the other way */
        CHECK(largest <= (p == PRECISION_FP32 ? 1e-5 : tolerance_of((enum precision_kind)p)));
        weights_release(w);
    }
    k->ops->close(k);
}

TEST(rewinding_repeats_a_decode_bit_for_bit)
{
    struct kernels *k = open_cpu();
    struct implementation i;
    implementation_default(&i);
    i.kv_cache = KV_CACHE_PAGED;
    i.precision = PRECISION_FP16;
    struct weights *w = weights_create(
        k, &(struct weights_request){.model = &judge_models[3], .precision = PRECISION_FP16, .seed = 1}, NULL,
        NULL, NULL, NULL);
    struct forward_shape shape = {
        .model = &judge_models[3], .implementation = &i, .sequences = 3, .length = 15, .steps = 20};
    int32_t ids[45], first[3], second[3];
    static float a[3 * 256], b[3 * 256];
    for (int t = 0; t < 45; t++)
        ids[t] = (13 * t) % 190;
    struct forward *f = forward_create(k, w, &shape, ids, NULL);
    CHECK(forward_prefill(f, NULL) == 0);
    for (int s = 0; s < 20; s++)
        CHECK(forward_step(f, NULL) == 0);
    forward_next(f, first);
    CHECK(forward_logits(f, a, NULL) == 0);
    struct error e = {0};
    CHECK_INT(forward_step(f, &e), -1);
    CHECK_CONTAINS(e.text, "20 decode steps");
    CHECK(forward_rewind(f, NULL) == 0);
    CHECK_INT(forward_length(f), 15);
    for (int s = 0; s < 20; s++)
        CHECK(forward_step(f, NULL) == 0);
    forward_next(f, second);
    CHECK(forward_logits(f, b, NULL) == 0);
    CHECK(memcmp(first, second, sizeof first) == 0);
    CHECK(memcmp(a, b, 3 * 193 * sizeof(float)) == 0);
    forward_free(f);
    weights_release(w);
    k->ops->close(k);
}

TEST(sizes_say_what_a_forward_pass_allocates)
{
    struct kernels *k = open_cpu();
    struct implementation i;
    implementation_default(&i);
    int32_t *ids = calloc(2400, sizeof *ids);
    for (int m = 0; m < JUDGE_MODELS; m++)
        for (int variant = 0; variant < 8; variant++) {
            struct model_spec spec = judge_models[m];
            spec.context = JUDGE_MAX_TEXT;
            i.attention = variant & 1 ? ATTENTION_FLASH : ATTENTION_NAIVE;
            i.kv_cache = variant & 2 ? KV_CACHE_PAGED : KV_CACHE_CONTIGUOUS;
            i.fusion = variant & 4 ? FUSION_FULL : 0;
            struct forward_shape shape = {.model = &spec,
                                          .implementation = &i,
                                          .sequences = 4,
                                          .length = 600,
                                          .steps = spec.family == MODEL_BERT ? 0 : 9};
            struct forward_sizes sizes;
            forward_sizes(k, &shape, &sizes);
            struct weights *w = weights_create(
                k, &(struct weights_request){.model = &spec, .precision = PRECISION_FP32, .seed = 1}, NULL,
                NULL, NULL, NULL);
            struct forward *f = forward_create(k, w, &shape, ids, NULL);
            CHECK(spec.family == MODEL_BERT ? sizes.kv_cache == 0 : sizes.kv_cache > 0);
            CHECK_INT((int64_t)k->ops->allocated(k) - w->bytes,
                      sizes.activations + sizes.kv_cache + sizes.overhead);
            forward_free(f);
            CHECK_INT(k->ops->allocated(k), w->bytes);
            weights_release(w);
        }
    free(ids);
    k->ops->close(k);
}

static int allocations, failing; /* of all, the one that fails */
static void *(*real_alloc)(struct kernels *, size_t);

static void *alloc_or_fail(struct kernels *k, size_t bytes)
{
    return ++allocations == failing ? NULL : real_alloc(k, bytes);
}

/* Weights, then a forward pass; whichever allocation fails, everything is given back and said. */
static int make_both(struct kernels *k, const struct implementation *i, struct error *e)
{
    struct forward_shape shape = {
        .model = &judge_models[4], .implementation = i, .sequences = 2, .length = 6, .steps = 3};
    int32_t ids[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    allocations = 0;
    struct weights *w = weights_create(
        k, &(struct weights_request){.model = shape.model, .precision = i->precision, .seed = 1}, NULL, NULL,
        NULL, e);
    struct forward *f = w ? forward_create(k, w, &shape, ids, e) : NULL;
    int made = f != NULL;
    forward_free(f);
    weights_release(w);
    CHECK_INT(k->ops->allocated(k), 0);
    return made ? 0 : -1;
}

TEST(any_allocation_may_fail_and_nothing_leaks)
{
    struct kernels *k = open_cpu();
    const struct kernel_ops *ops = k->ops;
    struct kernel_ops failing_ops = *ops;
    struct implementation i;
    implementation_default(&i);
    i.kv_cache = KV_CACHE_PAGED;
    real_alloc = ops->alloc;
    failing_ops.alloc = alloc_or_fail;
    k->ops = &failing_ops;
    failing = 0;
    CHECK(make_both(k, &i, NULL) == 0);
    int all = allocations;
    CHECK(all >= 30);
    for (failing = 1; failing <= all; failing++) {
        struct error e = {0};
        CHECK_INT(make_both(k, &i, &e), -1);
        CHECK_INT(e.kind, ERROR_MEMORY);
    }
    k->ops = ops;
    k->ops->close(k);
}

TEST(a_pooler_gives_values_of_its_width)
{
    struct kernels *k = open_cpu();
    struct implementation i;
    implementation_default(&i);
    struct model_spec spec = judge_models[5];
    spec.mlm_head = false;
    struct weights *w =
        weights_create(k, &(struct weights_request){.model = &spec, .precision = PRECISION_FP32, .seed = 1},
                       NULL, NULL, NULL, NULL);
    struct forward_shape shape = {.model = &spec, .implementation = &i, .sequences = 2, .length = 6};
    int32_t ids[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    float out[2 * 48];
    struct forward *f = forward_create(k, w, &shape, ids, NULL);
    CHECK_INT(forward_width(f), 48);
    CHECK(forward_prefill(f, NULL) == 0 && forward_logits(f, out, NULL) == 0);
    for (int v = 0; v < 2 * 48; v++)
        CHECK(fabsf(out[v]) < 1 && out[v] != 0);
    CHECK(out[0] != out[48]);
    forward_free(f);
    weights_release(w);
    k->ops->close(k);
}
