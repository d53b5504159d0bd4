/* The native runner on a text: quality against plain sums over the double-precision reference, responses,
 * tokenizing, and texts that cannot be used. */
#include "engine/model/inputs.h"
#include "engine/model/native_judge.h"
#include "engine/runners/process.h"
#include "engine/runners/runner.h"

#include "tests/test.h"
#include <unistd.h>

static const struct model_spec tiny = {.name = "tiny",
                                       .family = MODEL_GPT2,
                                       .layers = 2,
                                       .d_model = 32,
                                       .heads = 2,
                                       .kv_heads = 2,
                                       .head_dim = 16,
                                       .ffn = 64,
                                       .vocab = 50257,
                                       .context = 64,
                                       .norm_eps = 1e-5,
                                       .tied = true,
                                       .vocabulary = "gpt-2"};
static const uint64_t seed = 42; /* that of the judge's weights */

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

static struct implementation of_precision(enum precision_kind precision)
{
    struct implementation i;
    implementation_default(&i);
    i.precision = precision;
    i.attention = ATTENTION_FLASH;
    i.fusion = FUSION_FULL;
    return i;
}

static struct runner_request request(const struct implementation *i, enum workload w, const char *text)
{
    return (struct runner_request){.model = &tiny,
                                   .implementation = i,
                                   .workload = w,
                                   .batch = 2,
                                   .seq = 24,
                                   .tokens = 8,
                                   .samples_max = 4,
                                   .arm_name = "arm",
                                   .seed = seed,
                                   .text = text};
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

static char path[64];

static const char *text_of(const char *bytes, size_t n)
{
    strcpy(path, "/tmp/benchtop-text-XXXXXX");
    int fd = mkstemp(path);
    if (fd < 0 || write(fd, bytes, n) != (ssize_t)n)
        TEST_FAIL("no temporary file");
    close(fd);
    return path;
}

static const char words[] =
    "First Citizen:\nBefore we proceed any further, hear me speak.\n\nAll:\nSpeak, speak.\n\nFirst Citizen:\n"
    "You are all resolved rather to die than to famish?\n\nAll:\nResolved. resolved.\n\nFirst "
    "Citizen:\nFirst, "
    "you know Caius Marcius is chief enemy to the people.\n\nAll:\nWe know't, we know't.\n";

/* ---- the same figures by plain sums over the reference's logits ---- */

struct plain {
    double nll, nll2, kl, worst, kl_row[64];
    int rows, same;
};

static double log_sum(const double *x, int n)
{
    double max = x[0], sum = 0;
    for (int i = 1; i < n; i++)
        max = fmax(max, x[i]);
    for (int i = 0; i < n; i++)
        sum += exp(x[i] - max);
    return max + log(sum);
}

static int top_of(const double *x, int n)
{
    int top = 0;
    for (int i = 1; i < n; i++)
        top = x[i] > x[top] ? i : top;
    return top;
}

/* ids [windows, length]; base NULL: likelihood alone. */
static struct plain by_reference(const struct reference_model *m, const struct reference_model *base,
                                 const int32_t *ids, int windows, int length)
{
    struct plain p = {0};
    size_t n = (size_t)length * (size_t)tiny.vocab;
    double *mine = malloc(n * sizeof *mine), *theirs = malloc(n * sizeof *theirs);
    for (int w = 0; w < windows; w++) {
        CHECK(reference_forward(m, ids + w * length, length, mine) == 0);
        if (base)
            CHECK(reference_forward(base, ids + w * length, length, theirs) == 0);
        for (int t = length / 2; t < length - 1; t++) {
            const double *a = mine + (size_t)t * (size_t)tiny.vocab,
                         *b = theirs + (size_t)t * (size_t)tiny.vocab;
            double norm = log_sum(a, tiny.vocab), nll = norm - a[ids[w * length + t + 1]], kl = 0;
            p.nll += nll;
            p.nll2 += nll * nll;
            if (base) {
                double base_norm = log_sum(b, tiny.vocab);
                for (int i = 0; i < tiny.vocab; i++)
                    kl += exp(b[i] - base_norm) * ((b[i] - base_norm) - (a[i] - norm));
                p.same += top_of(a, tiny.vocab) == top_of(b, tiny.vocab);
                p.kl += kl;
                p.worst = fmax(p.worst, kl);
            }
            p.rows++;
        }
    }
    free(mine);
    free(theirs);
    return p;
}

static void open_judge(struct judge *j, struct kernels **k, enum precision_kind precision)
{
    char why[256] = "";
    struct error e = {0};
    *k = kernels_open_cpu(&(struct kernels_config){1, "auto", "auto"}, why, sizeof why);
    if (!*k || judge_open(j, *k, &tiny, precision, &e) != 0)
        TEST_FAIL("%s%s", why, e.text);
}

/* The first `windows` windows of `length` of the words, which gpt-2's vocabulary puts nothing before. */
static void ids_of(int32_t *ids, int windows, int length)
{
    struct error e = {0};
    struct vocabulary *v = vocabulary_open(&tiny, "standard", &e);
    struct token_ids all = {0};
    CHECK_INT(vocabulary_encode(v, words, sizeof words - 1, false, &all, &e), 0);
    CHECK((int)all.n >= windows * length);
    memcpy(ids, all.id, (size_t)(windows * length) * sizeof *ids);
    token_ids_free(&all);
    vocabulary_free(v);
}

/* An fp32 and another arm on windows of the words, against the reference of the weights that each holds. */
static void check_quality(enum precision_kind other, enum workload w, int batch, int windows, int length,
                          double nll_error, double kl_error)
{
    struct runner *r = open_runner();
    struct implementation i[2] = {of_precision(PRECISION_FP32), of_precision(other)};
    struct runner_arm *arm[2];
    struct kernels *k[2];
    static struct judge judge[2];
    struct arm_quality q[2];
    struct error e = {0};
    int32_t ids[3 * 64];
    const char *text = text_of(words, sizeof words - 1);
    for (int a = 0; a < 2; a++) {
        struct runner_request asked = request(&i[a], w, text);
        asked.batch = batch;
        asked.quality_tokens = windows * length;
        arm[a] = prepare(r, &asked);
        open_judge(&judge[a], &k[a], i[a].precision);
    }
    CHECK_INT(r->ops->quality(arm, 2, NULL, q, &e), 0);
    ids_of(ids, windows, length);
    struct plain base = by_reference(&judge[0].reference, NULL, ids, windows, length);
    struct plain mine = by_reference(&judge[1].reference, &judge[0].reference, ids, windows, length);
    for (int a = 0; a < 2; a++) {
        const struct plain *p = a ? &mine : &base;
        double n = p->rows, mean = p->nll / n;
        CHECK_INT(q[a].known, a ? QUALITY_ALL & ~QUALITY_RESPONSES : QUALITY_PERPLEXITY | QUALITY_BITS);
        CHECK_INT(q[a].tokens, windows * (length - length / 2 - 1));
        CHECK_INT(q[a].tokens, p->rows);
        CHECK_INT(q[a].window, length);
        CHECK_CLOSE(q[a].nll, mean, nll_error);
        CHECK_CLOSE(q[a].perplexity, exp(mean), 12 * nll_error);
        CHECK_CLOSE(q[a].nll_se, sqrt((p->nll2 / n - mean * mean) / (n - 1)), 100 * nll_error);
        CHECK(q[a].bytes > q[a].tokens && q[a].bytes < 8 * q[a].tokens);
        CHECK_CLOSE(q[a].bits_per_byte, p->nll / log(2) / (double)q[a].bytes, nll_error);
    }
    CHECK_CLOSE(q[1].kl, mine.kl / mine.rows, kl_error);
    CHECK_CLOSE(q[1].kl_max, mine.worst, kl_error);
    CHECK(q[1].kl_p99 <= q[1].kl_max && q[1].kl_p99 >= q[1].kl);
    CHECK(fabs(q[1].top1_agreement * mine.rows - mine.same) <= 1.001); /* a near tie may fall otherwise */
    for (int a = 0; a < 2; a++) {
        r->ops->release(arm[a]);
        judge_close(&judge[a]);
        k[a]->ops->close(k[a]);
    }
    r->ops->close(r);
    unlink(path);
}

TEST(perplexity_divergence_and_agreement_are_those_of_the_reference)
{
    check_quality(PRECISION_INT8, WORKLOAD_PERPLEXITY, 1, 3, 24, 2e-4, 0.05);
}

TEST(windows_of_a_batch_are_scored_alike_and_a_half_filled_batch_counts_once)
{
    check_quality(PRECISION_NF4, WORKLOAD_PERPLEXITY, 2, 3, 24, 5e-4, 0.05);
}

TEST(other_workloads_judge_a_window_of_their_own)
{
    check_quality(PRECISION_NF4, WORKLOAD_DECODE, 2, 1, 64, 5e-4, 0.05);
}

TEST(random_ids_have_a_divergence_and_no_perplexity)
{
    struct runner *r = open_runner();
    struct implementation i[2] = {of_precision(PRECISION_FP32), of_precision(PRECISION_NF4)};
    struct runner_arm *arm[2];
    struct arm_quality q[2];
    struct error e = {0};
    for (int a = 0; a < 2; a++) {
        struct runner_request asked = request(&i[a], WORKLOAD_PREFILL, NULL);
        arm[a] = prepare(r, &asked);
    }
    CHECK_INT(r->ops->quality(arm, 2, NULL, q, &e), 0);
    CHECK_INT(q[0].known, 0);
    CHECK_INT(q[1].known, QUALITY_KL | QUALITY_TOP1);
    CHECK_STRING(q[1].source, "seeded random ids");
    CHECK(q[1].kl > 1e-4);
    struct arm_quality same[2];
    CHECK_INT(r->ops->quality((struct runner_arm *[]){arm[0], arm[0]}, 2, NULL, same, &e), 0);
    CHECK(fabs(same[1].kl) < 1e-9 && same[1].top1_agreement == 1); /* an arm against itself */
    for (int a = 0; a < 2; a++)
        r->ops->release(arm[a]);
    r->ops->close(r);
}

TEST(samples_of_perplexity_go_on_after_quality_was_judged)
{
    struct runner *r = open_runner();
    struct implementation i = of_precision(PRECISION_FP32);
    struct runner_request asked = request(&i, WORKLOAD_PERPLEXITY, text_of(words, sizeof words - 1));
    struct runner_arm *a = prepare(r, &asked);
    struct runner_output before = {0}, after = {0};
    struct arm_quality q;
    struct error e = {0};
    struct sample s[4];
    _Atomic int done = 0;
    CHECK_INT(r->ops->output(a, &before, &e), 0);
    CHECK_INT(r->ops->quality(&a, 1, NULL, &q, &e), 0);
    CHECK_INT(r->ops->output(a, &after, &e), 0);
    CHECK(memcmp(before.logits, after.logits, (size_t)before.rows * (size_t)before.width * sizeof(float)) ==
          0);
    CHECK_INT(r->ops->reset(a, &e), 0);
    CHECK_INT(r->ops->run_block(a, 4, s, &done, NULL, &e), 0);
    CHECK_INT(done, 4);
    struct model_work work;
    r->ops->work(a, &work);
    CHECK_INT(work.tokens, 48);
    runner_output_free(&before);
    runner_output_free(&after);
    r->ops->release(a);
    r->ops->close(r);
    unlink(path);
}

TEST(responses_are_what_greedy_decoding_by_the_reference_gives)
{
    struct runner *r = open_runner();
    struct implementation i = of_precision(PRECISION_FP32);
    struct runner_request asked =
        request(&i, WORKLOAD_GENERATE, text_of("Speak, speak.\n\nWe know't\r\n", 26));
    asked.texts = TEXTS_LINES;
    struct runner_arm *a = prepare(r, &asked);
    struct session_responses *got = NULL;
    struct error e = {0};
    static struct judge judge;
    struct kernels *k;
    CHECK_INT(r->ops->responses(a, NULL, &got, &e), 0);
    CHECK(got != NULL && got->n == 2 && got->length == 8);
    CHECK_STRING(got->response[0].prompt, "Speak, speak.");
    CHECK_STRING(got->response[1].prompt, "We know't");
    CHECK_INT(got->response[0].prompt_tokens, 5);
    CHECK(got->response[1].prompt_tokens < 5); /* ragged */
    open_judge(&judge, &k, PRECISION_FP32);
    struct vocabulary *v = vocabulary_open(&tiny, NULL, &e);
    double *logits = malloc(16 * (size_t)tiny.vocab * sizeof *logits);
    for (int s = 0; s < 2; s++) {
        struct token_ids ids = {0};
        const char *prompt = got->response[s].prompt;
        CHECK_INT(vocabulary_encode(v, prompt, strlen(prompt), false, &ids, &e), 0);
        int known[16], n = (int)ids.n;
        memcpy(known, ids.id, ids.n * sizeof *known);
        for (int t = 0; t < 8; t++) {
            CHECK(reference_forward(&judge.reference, known, n, logits) == 0);
            known[n] = top_of(logits + (size_t)(n - 1) * (size_t)tiny.vocab, tiny.vocab);
            CHECK_INT(got->ids[s * 8 + t], known[n]);
            n++;
        }
        size_t size;
        char *text = vocabulary_decode(v, got->ids + s * 8, (size_t)got->response[s].tokens, &size, &e);
        char *plain = quality_text(text, size);
        CHECK_STRING(got->response[s].text, plain);
        CHECK(got->response[s].finish ==
              (got->response[s].tokens < 8 ? RESPONSE_END_OF_TEXT : RESPONSE_LENGTH));
        free(text);
        free(plain);
        token_ids_free(&ids);
    }
    free(logits);
    vocabulary_free(v);
    quality_free_responses(got);
    judge_close(&judge);
    k->ops->close(k);
    r->ops->release(a);
    r->ops->close(r);
    unlink(path);
}

TEST(sampled_responses_depend_on_the_seed_alone)
{
    struct runner *r = open_runner();
    struct implementation i[2] = {of_precision(PRECISION_FP32), of_precision(PRECISION_FP32)};
    i[1].fusion = 0;
    i[1].attention = ATTENTION_NAIVE;
    struct session_responses *got[3] = {0};
    struct error e = {0};
    struct sample s[2];
    _Atomic int done = 0;
    double positions, prefix;
    text_of(words, sizeof words - 1);
    for (int n = 0; n < 3; n++) { /* two implementations with one seed, and another seed */
        struct runner_request asked = request(&i[n % 2], WORKLOAD_GENERATE, path);
        asked.sampling = (struct preset_sampling){1.0, 40, 0.95};
        asked.seed = n == 2 ? seed + 1 : seed;
        struct runner_arm *a = prepare(r, &asked);
        CHECK_INT(r->ops->run_block(a, 2, s, &done, NULL, &e), 0);
        CHECK(s[0].first_ns > 0 && s[0].first_ns < s[0].device_ns);
        CHECK_INT(r->ops->responses(a, NULL, &got[n], &e), 0);
        r->ops->release(a);
    }
    CHECK(quality_agreement(got[0], got[1], &positions, &prefix));
    CHECK(positions == 1);
    CHECK(quality_agreement(got[0], got[2], &positions, &prefix));
    CHECK(positions < 0.5);
    for (int n = 0; n < 3; n++)
        quality_free_responses(got[n]);
    r->ops->close(r);
    unlink(path);
}

/* What a process of its own judges and answers is what this one does. */
TEST(quality_and_responses_come_through_a_process_of_their_own)
{
    const char *program = getenv("BENCHTOP");
    if (!program)
        SKIP("BENCHTOP names no program");
    static struct preset p;
    struct error e = {0};
    preset_default(&p);
    p.seed = seed;
    snprintf(p.text, sizeof p.text, "%s", text_of("Speak, speak.\n\nWe know't\r\n", 26));
    p.texts = TEXTS_LINES;
    p.n_arms = 2;
    struct arm_quality q[2][2];
    struct session_responses *got[2] = {0};
    struct text_figures t[2];
    for (int a = 0; a < 2; a++) {
        snprintf(p.arms[a].name, sizeof p.arms[a].name, "arm %d", a);
        p.arms[a].implementation = of_precision(a ? PRECISION_NF4 : PRECISION_FP32);
    }
    struct runner *r[2] = {open_runner(), runner_open_process(&p, false, program, &e)};
    CHECK(r[1] != NULL);
    for (int n = 0; n < 2; n++) {
        struct runner_arm *arm[2];
        for (int a = 0; a < 2; a++) {
            struct runner_request asked = request(&p.arms[a].implementation, WORKLOAD_GENERATE, p.text);
            asked.texts = TEXTS_LINES;
            asked.arm = a;
            arm[a] = prepare(r[n], &asked);
        }
        if (r[n]->ops->quality(arm, 2, NULL, q[n], &e) != 0 ||
            r[n]->ops->responses(arm[1], NULL, &got[n], &e) != 0)
            TEST_FAIL("%s", e.text);
        r[n]->ops->text(arm[1], &t[n]);
        for (int a = 0; a < 2; a++)
            r[n]->ops->release(arm[a]);
        r[n]->ops->close(r[n]);
    }
    for (int a = 0; a < 2; a++) {
        CHECK_INT(q[1][a].known, q[0][a].known);
        CHECK(q[1][a].known & QUALITY_PERPLEXITY);
        CHECK_CLOSE(q[1][a].nll, q[0][a].nll, 1e-6); /* another process may have another number of threads */
    }
    CHECK_CLOSE(q[1][1].kl, q[0][1].kl, 1e-4);
    double positions, prefix;
    CHECK(quality_agreement(got[0], got[1], &positions, &prefix) && positions == 1);
    for (int s = 0; s < 2; s++) {
        CHECK_STRING(got[1]->response[s].prompt, got[0]->response[s].prompt);
        CHECK_STRING(got[1]->response[s].text, got[0]->response[s].text);
        CHECK_INT(got[1]->response[s].prompt_tokens, got[0]->response[s].prompt_tokens);
    }
    CHECK(memcmp(&t[0], &t[1], sizeof t[0]) == 0 && t[0].tokens == 8);
    quality_free_responses(got[0]);
    quality_free_responses(got[1]);
    unlink(path);
}

TEST(tokenize_counts_the_texts_and_needs_no_model)
{
    struct runner *r = open_runner();
    struct model_spec mamba = tiny;
    mamba.family = MODEL_MAMBA; /* whatever it is */
    struct implementation i = of_precision(PRECISION_FP32);
    struct runner_request asked =
        request(&i, WORKLOAD_TOKENIZE, text_of("Speak, speak.\n\n \nWe know't\r\n", 28));
    asked.model = &mamba;
    asked.texts = TEXTS_LINES;
    asked.batch = asked.seq = 1;
    struct runner_arm *a = prepare(r, &asked);
    struct text_figures t;
    struct sample s[4];
    struct error e = {0};
    _Atomic int done = 0;
    r->ops->text(a, &t);
    CHECK_INT(t.known, TEXT_TOKENS);
    CHECK_INT(t.texts, 2);
    CHECK_INT(t.bytes, 13 + 9);
    CHECK_INT(t.tokens, 5 + 3);
    CHECK_INT(r->ops->reset(a, &e), 0);
    CHECK_INT(r->ops->run_block(a, 4, s, &done, NULL, &e), 0);
    CHECK(done == 4 && s[3].device_ns > 0 && s[3].host_ns == s[3].device_ns);
    struct model_work work;
    struct memory_use memory;
    r->ops->work(a, &work);
    r->ops->memory(a, &memory);
    CHECK(work.tokens == 8 && work.bytes == 0 && memory.weights == 0);
    r->ops->release(a);
    r->ops->close(r);
    unlink(path);
}

static void refused(const struct model_spec *m, const char *text, enum text_unit unit, const char *why)
{
    struct runner *r = open_runner();
    struct implementation i = of_precision(PRECISION_FP32);
    struct runner_request asked = request(&i, WORKLOAD_PERPLEXITY, text);
    struct error e = {0};
    int64_t load_ns;
    asked.model = m;
    asked.texts = unit;
    CHECK(r->ops->prepare(r, &asked, NULL, &load_ns, &e) == NULL);
    CHECK_CONTAINS(e.text, why);
    CHECK_CONTAINS(e.text, ": ");
    r->ops->close(r);
}

TEST(texts_that_cannot_be_used_are_refused_in_words)
{
    struct model_spec dumb = tiny;
    dumb.vocabulary[0] = '\0';
    refused(&tiny, "", TEXTS_DOCUMENT, "perplexity needs a text");
    refused(&tiny, "/nowhere/at/all.txt", TEXTS_DOCUMENT, "/nowhere/at/all.txt");
    refused(&tiny, "tinyshakespear", TEXTS_DOCUMENT, "tinyshakespeare");
    refused(&tiny, "/tmp/", TEXTS_DOCUMENT, "/tmp/");
    refused(&tiny, text_of("", 0), TEXTS_DOCUMENT, "holds no text");
    unlink(path);
    refused(&tiny, text_of("\n \n\t\r\n", 6), TEXTS_LINES, "holds no text");
    unlink(path);
    refused(&tiny, text_of("ELF\0\1\2words", 12), TEXTS_DOCUMENT, "it is no text");
    unlink(path);
    refused(&tiny, text_of("Too short for a window.", 23), TEXTS_DOCUMENT, "a window takes 24");
    unlink(path);
    refused(&dumb, text_of(words, sizeof words - 1), TEXTS_DOCUMENT, "names no vocabulary");
    unlink(path);
}

TEST(a_look_at_a_text_gives_the_ids_of_all_of_it)
{
    struct error e = {0};
    struct inputs_request q = {.model = &tiny, .text = "tinyshakespeare"};
    struct inputs *a = inputs_open(&q, &e), *b = inputs_open(&q, &e);
    static int32_t few[40 * 100], many[40 * 100];
    CHECK(a && b);
    CHECK_INT(inputs_windows(a, 0, 40, 100, few, &e), 0); /* a look at the beginning */
    CHECK_INT(inputs_tokens(b, INT64_MAX, &e), 338025);   /* all, as published for this text */
    CHECK_INT(inputs_windows(b, 0, 40, 100, many, &e), 0);
    CHECK(memcmp(few, many, sizeof few) == 0);
    CHECK_INT(inputs_windows(b, 3, 1, 100, few, &e), 0);
    CHECK(memcmp(few, many + 300, 100 * sizeof *few) == 0);
    CHECK_INT(inputs_count(b, 1000, INT64_MAX, &e), 338);
    CHECK_INT(inputs_count(a, 1000, 7, &e), 7);
    CHECK_INT(inputs_windows(b, 338, 1, 1000, many, &e), 0); /* past the end: from the start again */
    CHECK(memcmp(few + 0, few, 4) == 0 && memcmp(many + 300, few, 100 * sizeof *few) == 0);
    inputs_free(a);
    inputs_free(b);
}
