#include "presets/catalog.h"
#include "presets/preset.h"
#include "tests/test.h"
#include <cjson/cJSON.h>
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

static struct error e, warning;
static struct preset p;

/* What the user has in the own folders must not decide. */
__attribute__((constructor)) static void leave_home(void)
{
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

/* Sets a variable until give_back, and keeps what it was. */
static char *borrow(const char *variable, const char *value)
{
    const char *was = getenv(variable);
    char *copy = was ? strdup(was) : NULL;
    if (value)
        setenv(variable, value, 1);
    else
        unsetenv(variable);
    return copy;
}

static void give_back(const char *variable, char *was)
{
    if (was)
        setenv(variable, was, 1);
    else
        unsetenv(variable);
    free(was);
}

static int parse(const char *json)
{
    e = warning = (struct error){0};
    preset_free(&p);
    return preset_parse(json, strlen(json), "x.json", &p, &warning, &e);
}

static int set(const char *path, const char *value)
{
    e = (struct error){0};
    return preset_set(&p, path, value, &e);
}

static void check_comes_back(const struct preset *original)
{
    struct preset again = {0};
    struct error why = {0};
    char *text = preset_print(original, &why), *second;
    CHECK(text != NULL);
    if (preset_parse(text, strlen(text), "again", &again, NULL, &why) != 0)
        TEST_FAIL("%s\n%s", why.text, text);
    else if (!preset_equal(original, &again))
        TEST_FAIL("not equal: %s", text);
    second = preset_print(&again, &why);
    CHECK_STRING(second, text);
    free(second);
    free(text);
    preset_free(&again);
}

TEST(every_shipped_preset_reads_back_equal)
{
    struct catalog_list l;
    CHECK_INT(catalog_list(CATALOG_PRESETS, &l, &e), 0);
    for (int i = 0; i < l.n; i++) {
        CHECK_INT(preset_load(l.entry[i].path, &p, NULL, &e), 0);
        check_comes_back(&p);
        preset_free(&p);
    }
    CHECK(l.n > 0);
    catalog_list_free(&l);
}

static uint64_t state = 0x9E3779B97F4A7C15ULL;
static int below(int n)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (int)(state % (uint64_t)n);
}

static double any_double(double min, double max)
{
    return min + (max - min) * ((double)below(1 << 30) / (double)(1 << 30));
}

static void random_text(char *out, size_t size)
{
    static const char *const pieces[] = {"a", "Z", "0", " ", "\"", "\\", "/",
                                         "é", "€", "𝄞", "{", "]",  "'",  "%s"};
    size_t n = 0;
    for (int k = below(12); k > 0 && n + 5 < size; k--)
        n += (size_t)snprintf(out + n, size - n, "%s", pieces[below(14)]);
    out[n] = '\0';
}

static void random_arms(struct preset *r)
{
    r->n_arms = 1 + below(PRESET_ARMS);
    for (int i = 0; i < r->n_arms; i++) {
        struct preset_arm *arm = &r->arms[i];
        snprintf(arm->name, sizeof arm->name, "arm %d", i);
        if (below(2))
            snprintf(arm->bundle, sizeof arm->bundle, "bundle-of-another-machine");
        implementation_default(&arm->implementation);
        arm->implementation.attention = (enum attention_kind)below(4);
        arm->implementation.fusion = (unsigned)below(FUSION_FULL + 1);
        arm->implementation.launch = (enum launch_kind)below(3);
        arm->implementation.precision = (enum precision_kind)below(5);
        arm->implementation.kv_cache = (enum kv_cache_kind)below(3);
        arm->implementation.sparsity = any_double(0, 0.9);
    }
}

static void random_fake(struct preset *r)
{
    r->fake.n_laws = below(r->n_arms + 1);
    for (int i = 0; i < r->fake.n_laws; i++) {
        struct fake_law *law = &r->fake.law[i];
        snprintf(law->arm, sizeof law->arm, "%s", r->arms[i].name);
        law->kind = (enum fake_law_kind)below(4);
        law->mean_ms = any_double(0.001, 1000);
        law->within_sd = any_double(0, 1);
        law->between_sd = any_double(0, 1);
        law->rho = any_double(-0.9, 0.9);
        law->sigma = any_double(0, 2);
        law->drift_per_round = any_double(-0.1, 0.1);
        law->throttled = any_double(0, 1);
        law->n_modes = law->kind == FAKE_BIMODAL ? 2 : 0;
        for (int m = 0; m < law->n_modes; m++) {
            law->mode[m].share = 0.5;
            law->mode[m].mean_ms = any_double(1, 50);
        }
        law->warmup.size = any_double(0, 2);
        law->warmup.tau = any_double(0, 20);
    }
    r->fake.n_faults = below(4);
    for (int i = 0; i < r->fake.n_faults; i++) {
        r->fake.fault[i].cell = i * 3 + below(3);
        r->fake.fault[i].fault = (enum fake_fault)below(4);
    }
}

static void random_preset(struct preset *r)
{
    preset_default(r);
    random_text(r->name, sizeof r->name);
    random_text(r->title, sizeof r->title);
    random_text(r->answers, sizeof r->answers);
    r->n_models = 1 + below(PRESET_MODELS);
    for (int i = 0; i < r->n_models; i++)
        snprintf(r->models[i], sizeof r->models[i], "model-%d", i);
    r->n_workloads = 1 + below(WORKLOADS);
    for (int i = 0; i < r->n_workloads; i++)
        r->workloads[i] = (enum workload)i;
    r->n_batch = 1 + below(PRESET_SWEEP);
    r->n_seq = 1 + below(PRESET_SWEEP);
    for (int i = 0; i < PRESET_SWEEP; i++) {
        r->batch[i] = 1 + i * 3;
        r->seq[i] = 1 + i * 1000;
    }
    random_arms(r);
    r->rounds = 1 + below(1000);
    r->max_rounds = r->rounds + below(1000);
    r->half_width = any_double(0, 1);
    r->budget_s = any_double(0, 1e6);
    r->margin = any_double(0, 0.9);
    r->confidence = any_double(0.5, 0.9999);
    r->seed = state;
    snprintf(r->text, sizeof r->text, "texts/%d.txt", below(9));
    r->texts = (enum text_unit)below(TEXT_UNITS);
    r->quality_tokens = below(9999);
    r->sampling = (struct preset_sampling){any_double(0, 2), below(100), any_double(0.1, 1)};
    if (below(2))
        r->criteria.max_kl = any_double(0, 3);
    double *criteria[] = {&r->criteria.min_speedup, &r->criteria.max_cv, &r->criteria.max_memory_increase};
    for (int i = 0; i < 3; i++)
        if (below(2))
            *criteria[i] = any_double(0, 3);
    random_fake(r);
}

TEST(random_presets_read_back_equal_and_are_valid)
{
    for (int i = 0; i < 300; i++) {
        static struct preset r;
        random_preset(&r);
        e = (struct error){0};
        if (preset_validate(&r, &e) != 0)
            TEST_FAIL("%s", e.text);
        check_comes_back(&r);
    }
}

TEST(unknown_keys_are_reported_kept_and_written_back)
{
    CHECK_INT(
        parse(
            "{\"schema\":\"benchtop/preset/1\",\"note\":{\"by\":\"me\",\"n\":[1,0.1,null]},\"models\":\"a\","
            "\"arms\":[\"baseline\",{\"name\":\"mine\",\"of\":\"optimized\",\"why\":\"test\"}],"
            "\"criteria\":{\"min_speedup\":1.2,\"max_joy\":3},\"zz\":true,"
            "\"fake\":{\"arms\":{\"mine\":{\"mean_ms\":5,\"colour\":7}},\"speed\":1}}"),
        0);
    CHECK_CONTAINS(warning.text, "x.json: note: unknown key");
    CHECK_CONTAINS(warning.text, "criteria.max_joy: unknown key");
    CHECK_CONTAINS(warning.text, "arms.1.why");
    CHECK_CONTAINS(warning.text, "fake.arms.mine.colour");
    CHECK_STRING(p.unknown, "{\"arms\":{\"mine\":{\"why\":\"test\"}},\"criteria\":{\"max_joy\":3},"
                            "\"fake\":{\"speed\":1,\"arms\":{\"mine\":{\"colour\":7}}},\"note\":{\"by\":"
                            "\"me\",\"n\":[1,0.1,null]},"
                            "\"zz\":true}");
    check_comes_back(&p);
    char *text = preset_print(&p, &e);
    CHECK_CONTAINS(text, "\"why\": \"test\"");
    CHECK_CONTAINS(text, "\"max_joy\": 3");
    CHECK_CONTAINS(text, "\"colour\": 7");
    free(text);
    struct preset copy;
    CHECK_INT(preset_copy(&copy, &p, &e), 0);
    CHECK(preset_equal(&copy, &p) && copy.unknown != p.unknown);
    preset_free(&copy);
}

TEST(a_lone_value_is_a_list_of_one_and_common_names_are_understood)
{
    CHECK_INT(
        parse("{\"schema\":\"benchtop/preset/1\",\"model\":\"gpt2-124m\",\"workload\":\"decode\",\"batch\":4,"
              "\"seq\":64,\"arms\":\"baseline\",\"runs\":50,\"warmup\":3}"),
        0);
    CHECK_STRING(warning.text, "");
    CHECK_STRING(p.models[0], "gpt2-124m");
    CHECK_INT(p.workloads[0], WORKLOAD_DECODE);
    CHECK_INT(p.batch[0], 4);
    CHECK_INT(p.rounds, 50);
    CHECK(p.max_rounds >= 50);
    CHECK_INT(p.warmup_min, 3);
    CHECK_INT(p.warmup_max, 3);
    CHECK_INT(preset_validate(&p, &e), 0);
    CHECK_INT(parse("{\"runs\":5,\"rounds\":6}"), -1);
    CHECK_CONTAINS(e.text, "runs and rounds say the same");
}

TEST(text_and_sampling_are_read_set_and_checked)
{
    CHECK_INT(
        parse("{\"schema\":\"benchtop/preset/1\",\"model\":\"a\",\"workload\":\"generate\","
              "\"arms\":\"baseline\",\"text\":\"my prompts.txt\",\"texts\":\"lines\","
              "\"sampling\":{\"temperature\":0.7,\"top_k\":40},"
              "\"criteria\":{\"max_kl\":0.1,\"max_perplexity_increase\":0.05,\"min_top1_agreement\":0.9}}"),
        0);
    CHECK_STRING(warning.text, "");
    CHECK_STRING(p.text, "my prompts.txt");
    CHECK_INT(p.texts, TEXTS_LINES);
    CHECK_CLOSE(p.sampling.temperature, 0.7, 0);
    CHECK_INT(p.sampling.top_k, 40);
    CHECK_CLOSE(p.sampling.top_p, 1, 0);
    CHECK_CLOSE(p.criteria.min_top1_agreement, 0.9, 1e-15);
    CHECK_INT(preset_validate(&p, &e), 0);
    check_comes_back(&p);
    CHECK_INT(preset_set(&p, "texts", "document", &e), 0);
    CHECK_INT(p.texts, TEXTS_DOCUMENT);
    CHECK_INT(preset_set(&p, "text", "2026", &e), 0);
    CHECK_STRING(p.text, "2026");
    CHECK_INT(preset_set(&p, "sampling.top_p", "0.9", &e), 0);
    CHECK_CLOSE(p.sampling.top_p, 0.9, 0);
    CHECK_INT(preset_set(&p, "sampling.top_q", "0.9", &e), -1);
    CHECK_CONTAINS(e.text, "did you mean top_");
    struct preset other = p;
    other.sampling.top_p = 0.8;
    CHECK(!preset_equal(&p, &other));
    other = p;
    other.texts = TEXTS_LINES;
    CHECK(!preset_equal(&p, &other));
    e = (struct error){0};
    CHECK_INT(parse("{\"texts\":\"pages\",\"sampling\":{\"top_p\":0,\"temperature\":-1}}"), -1);
    CHECK_CONTAINS(e.text, "texts: expected document or lines");
    CHECK_CONTAINS(e.text, "sampling.top_p: expected a number");
    CHECK_CONTAINS(e.text, "sampling.temperature: expected a number");
}

TEST(workloads_of_words_need_a_text_and_tokenize_has_one_cell)
{
    CHECK_INT(
        parse("{\"schema\":\"benchtop/preset/1\",\"model\":\"a\",\"workload\":[\"tokenize\",\"perplexity\"],"
              "\"arms\":\"baseline\",\"batch\":[1,2],\"seq\":[64,128,256]}"),
        0);
    CHECK_INT(preset_validate(&p, &e), -1);
    CHECK_CONTAINS(e.text, "text: the workload tokenize needs one");
    snprintf(p.text, sizeof p.text, "tinyshakespeare");
    e = (struct error){0};
    CHECK_INT(preset_validate(&p, &e), 0);
    CHECK_INT(preset_seqs(&p, WORKLOAD_TOKENIZE) * preset_batches(&p, WORKLOAD_TOKENIZE), 1);
    CHECK_INT(preset_seqs(&p, WORKLOAD_PERPLEXITY) * preset_batches(&p, WORKLOAD_PERPLEXITY), 6);
    CHECK_INT(preset_seq(&p, WORKLOAD_PERPLEXITY, 2), 256);
}

TEST(every_wrong_value_of_a_file_is_told_in_one_message)
{
    CHECK_INT(
        parse("{\"schema\":\"benchtop/preset/9\",\"batch\":[0],\"seq\":[1.5],\"rounds\":-3,\"models\":[7],"
              "\"workloads\":[\"train\"],\"confidence\":2,\"seed\":18446744073709551615,\"arms\":["
              "\"optimised\"],"
              "\"criteria\":[],\"rounds\":4}"),
        -1);
    static const char *const parts[] = {
        "schema: expected \"benchtop/preset/1\"",
        "x.json: batch: expected whole numbers from 1 to 1024, found 0",
        "seq: expected whole numbers",
        "rounds: expected a whole number from 1 to 100000, found -3",
        "models: expected names",
        "workloads: expected prefill, decode, generate, tokenize or perplexity",
        "confidence: expected a number",
        "seed: expected a whole number",
        "did you mean optimized?",
        "criteria: expected an object, found a list"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CHECK_CONTAINS(e.text, parts[i]);
}

TEST(a_failed_read_leaves_the_preset_alone)
{
    struct preset before;
    CHECK_INT(parse("{\"models\":\"a\",\"arms\":\"baseline\",\"extra\":1}"), 0);
    CHECK_INT(preset_copy(&before, &p, &e), 0);
    CHECK_INT(preset_parse("{\"batch\":0}", 11, "y", &p, NULL, &e), -1);
    CHECK(preset_equal(&before, &p));
    preset_free(&before);
}

TEST(validation_tells_all_impossible_values_at_once)
{
    static struct preset r;
    preset_default(&r);
    snprintf(r.device, sizeof r.device, "gpu");
    r.batch[0] = 0;
    r.rounds = -5;
    r.warmup_min = 30;
    r.half_width = INFINITY;
    e = (struct error){0};
    CHECK_INT(preset_validate(&r, &e), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    static const char *const parts[] = {"rounds: expected a whole number from 1 to 100000, found -5",
                                        "device: expected cpu, cuda, cuda:N or fake, found \"gpu\"",
                                        "models: none given",
                                        "batch: expected whole numbers from 1 to 1024, found 0",
                                        "arms: none given",
                                        "warmup_max: less than warmup_min",
                                        "half_width: expected a number from 0 to 1, found infinity"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        CHECK_CONTAINS(e.text, parts[i]);
}

TEST(duplicates_are_refused)
{
    CHECK_INT(parse("{\"models\":[\"a\",\"a\"],\"batch\":[1,2,1],\"arms\":[\"baseline\",\"flash\"],"
                    "\"workloads\":[\"prefill\"]}"),
              0);
    p.arms[1] = p.arms[0];
    CHECK_INT(preset_validate(&p, &e), -1);
    CHECK_CONTAINS(e.text, "models: a is given twice");
    CHECK_CONTAINS(e.text, "batch: 1 is given twice");
    CHECK_CONTAINS(e.text, "two are named \"baseline\"");
    CHECK_INT(parse("{\"workloads\":[\"decode\",\"decode\"]}"), -1);
    CHECK_CONTAINS(e.text, "each once");
    CHECK_INT(parse("{\"arms\":[\"baseline\",{\"name\":\"baseline\",\"of\":\"flash\"}]}"), -1);
    CHECK_CONTAINS(e.text, "another arm is named \"baseline\" too");
    CHECK_INT(parse("{\"fake\":{\"faults\":{\"3\":\"hang\",\"03\":\"failed\"}}}"), -1);
    CHECK_CONTAINS(e.text, "each cell once");
}

TEST(the_fake_object_is_read_as_the_design_gives_it)
{
    CHECK_INT(
        parse(
            "{\"models\":\"a\",\"arms\":[\"baseline\"],\"fake\":{\"arms\":{\"baseline\":{\"law\":\"bimodal\","
            "\"mean_ms\":10,\"within_sd\":0.02,\"between_sd\":0.01,\"rho\":0.5,\"sigma\":0.5,"
            "\"modes\":[{\"share\":0.9,\"mean_ms\":10},{\"share\":0.1,\"mean_ms\":14}],"
            "\"drift_per_round\":0.001,\"warmup\":{\"size\":0.5,\"tau\":5},\"throttled\":0.1}},"
            "\"faults\":{\"3\":\"out_of_memory\",\"5\":\"hang\"}}}"),
        0);
    const struct fake_law *law = &p.fake.law[0];
    CHECK_INT(p.fake.n_laws, 1);
    CHECK_INT(law->kind, FAKE_BIMODAL);
    CHECK_INT(law->n_modes, 2);
    CHECK(law->mode[1].share == 0.1 && law->mode[1].mean_ms == 14 && law->warmup.tau == 5 &&
          law->throttled == 0.1);
    CHECK_INT(p.fake.n_faults, 2);
    CHECK_INT(p.fake.fault[0].cell, 3);
    CHECK_INT(p.fake.fault[0].fault, FAKE_OUT_OF_MEMORY);
    CHECK_INT(p.fake.fault[1].fault, FAKE_HANG);
    CHECK_INT(preset_validate(&p, &e), 0);
    check_comes_back(&p);
}

TEST(wrong_laws_are_refused)
{
    CHECK_INT(parse("{\"fake\":{\"arms\":{\"a\":{\"law\":\"gauss\",\"mean_ms\":0}},\"faults\":{\"x\":"
                    "\"hang\",\"1\":\"no\"}}}"),
              -1);
    CHECK_CONTAINS(e.text, "fake.arms.a.law: expected normal, lognormal, bimodal or ar1, found \"gauss\"");
    CHECK_CONTAINS(e.text, "fake.arms.a.mean_ms: expected a number");
    CHECK_CONTAINS(e.text, "the number of a cell as key");
    CHECK_CONTAINS(e.text, "expected ok, out_of_memory, failed or hang, found \"no\"");
    CHECK_INT(parse("{\"models\":\"m\",\"arms\":\"baseline\",\"fake\":{\"arms\":{\"basline\":{\"law\":"
                    "\"bimodal\"}}}}"),
              0);
    CHECK_INT(preset_validate(&p, &e), -1);
    CHECK_CONTAINS(e.text, "did you mean baseline");
    CHECK_CONTAINS(e.text, "shares that add up to 1");
    CHECK_INT(
        parse("{\"models\":\"m\",\"arms\":\"baseline\",\"fake\":{\"arms\":{\"baseline\":{},\"paged\":{}}}}"),
        0);
    CHECK_INT(preset_validate(&p, &e), 0);
}

TEST(an_arm_on_the_command_line_is_a_bundle_or_a_point)
{
    struct preset_arm a;
    CHECK_INT(preset_arm_parse("optimized", &a, &e), 0);
    CHECK_STRING(a.bundle, "optimized");
    CHECK_INT(a.implementation.attention, ATTENTION_FLASH);
    CHECK_INT(a.implementation.fusion, FUSION_FULL);
    CHECK_INT(preset_arm_parse("again=of:optimized,precision:bf16", &a, &e), 0);
    CHECK_STRING(a.name, "again");
    CHECK_STRING(a.bundle, "optimized");
    CHECK_INT(a.implementation.precision, PRECISION_BF16);
    CHECK_INT(a.implementation.attention, ATTENTION_FLASH);
    CHECK_INT(preset_arm_parse("late=precision:bf16,of:optimized", &a, &e), 0);
    CHECK_INT(a.implementation.precision, PRECISION_BF16);
    CHECK_INT(preset_arm_parse("mine=attention:flash,fusion:qkv+gate_up", &a, &e), 0);
    CHECK_STRING(a.bundle, "");
    CHECK_INT(a.implementation.fusion, FUSION_QKV | FUSION_GATE_UP);
    CHECK_INT(preset_arm_parse("flash=precision:bf16", &a, &e), 0);
    CHECK_STRING(a.bundle, "flash");
    CHECK_INT(a.implementation.attention, ATTENTION_FLASH);
}

TEST(an_impossible_arm_is_refused_with_the_nearest_name)
{
    static const char *const bad[] = {
        "",   "=",   "optimised", "a=of:nothing", "a=precision", "a=precision:bf17", "a=colour:red",
        "a=", "a/b", "mine=of:"};
    struct preset_arm a = {.name = "kept"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        e = (struct error){0};
        if (preset_arm_parse(bad[i], &a, &e) == 0)
            TEST_FAIL("\"%s\" was accepted", bad[i]);
        CHECK_INT(e.kind, ERROR_USAGE);
        CHECK_STRING(a.name, "kept");
    }
    preset_arm_parse("a=precision:bf17", &a, &e);
    CHECK_CONTAINS(e.text, "did you mean bf16");
    preset_arm_parse("optimised", &a, &e);
    CHECK_CONTAINS(e.text, "did you mean optimized?");
}

static void start(void)
{
    CHECK_INT(parse("{\"schema\":\"benchtop/preset/1\",\"name\":\"n\",\"models\":[\"gpt2-124m\"],"
                    "\"arms\":[\"baseline\",\"optimized\"],\"kept\":1}"),
              0);
}

TEST(set_reaches_every_kind_of_field)
{
    start();
    CHECK_INT(set("rounds", "7"), 0);
    CHECK_INT(p.rounds, 7);
    CHECK_INT(set("runs", "70"), 0);
    CHECK_INT(p.rounds, 70);
    CHECK(p.max_rounds >= 70);
    CHECK_INT(set("title", "2026"), 0);
    CHECK_STRING(p.title, "2026");
    CHECK_INT(set("device", "cuda:1"), 0);
    CHECK_STRING(p.device, "cuda:1");
    CHECK_INT(set("batch", "1,8"), 0);
    CHECK_INT(p.n_batch, 2);
    CHECK_INT(set("seq", "[64]"), 0);
    CHECK_INT(p.seq[0], 64);
    CHECK_INT(set("seq", "256"), 0);
    CHECK_INT(p.seq[0], 256);
    CHECK_INT(set("models", "llama-7b,gpt2-124m"), 0);
    CHECK_INT(p.n_models, 2);
    CHECK_INT(set("criteria.min_speedup", "1.5"), 0);
    CHECK(p.criteria.min_speedup == 1.5);
    CHECK_INT(set("criteria.min_speedup", "null"), 0);
    CHECK(isnan(p.criteria.min_speedup));
    CHECK_INT(set("seed", "18446744073709551615"), 0);
    CHECK(p.seed == UINT64_MAX);
    CHECK_INT(set("arms.1.precision", "bf16"), 0);
    CHECK_INT(p.arms[1].implementation.precision, PRECISION_BF16);
    CHECK_INT(p.arms[1].implementation.attention, ATTENTION_FLASH);
    CHECK_INT(set("arms.optimized.sparsity", "0.4"), 0);
    CHECK(p.arms[1].implementation.sparsity == 0.4);
    CHECK_INT(set("arms.optimized.of", "flash"), 0);
    CHECK_INT(p.arms[1].implementation.fusion, 0);
    CHECK_INT(set("arms.2", "paged"), 0);
    CHECK_INT(p.n_arms, 3);
    CHECK_INT(set("arms", "baseline,flash"), 0);
    CHECK_INT(p.n_arms, 2);
    CHECK_INT(set("fake.arms.flash.mean_ms", "3.5"), 0);
    CHECK(p.fake.law[0].mean_ms == 3.5);
    CHECK_INT(set("fake.faults.2", "hang"), 0);
    CHECK_INT(p.fake.fault[0].cell, 2);
    CHECK_INT(set("warmup", "5"), 0);
    CHECK_INT(p.warmup_max, 5);
    CHECK_INT(set("kept", "2"), 0);
    CHECK_STRING(p.unknown, "{\"kept\":2}");
    CHECK_INT(preset_validate(&p, &e), 0);
}

TEST(set_refuses_what_is_not_there_and_changes_nothing)
{
    static const char *const bad[][3] = {
        {"round", "7", "did you mean rounds"},
        {"criteria.min_speedupp", "1", "did you mean min_speedup"},
        {"arms.1.precison", "bf16", "did you mean precision"},
        {"arms.7.precision", "bf16", "arms"},
        {"arms.9", "flash", "count from 0"},
        {"rounds", "many", "expected a whole number"},
        {"rounds", "-1", "from 1 to 100000"},
        {"rounds.x", "1", "has nothing inside"},
        {"arms", "baseline,flahs", "arms.1: arm \"flahs\""},
        {"batch", "1,x", "batch: expected whole numbers from 1 to 1024, found \"x\""},
        {"", "1", "no path"},
        {"a..b", "1", "\"a..b\" is no path"},
        {"fake.arms.optimized.mean", "1", "did you mean mean_ms"},
        {"arms.1.of", "flahs", "did you mean flash"}};
    struct preset before;
    start();
    CHECK_INT(preset_copy(&before, &p, &e), 0);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        if (set(bad[i][0], bad[i][1]) != -1)
            TEST_FAIL("--set %s=%s was accepted", bad[i][0], bad[i][1]);
        CHECK_CONTAINS(e.text, bad[i][2]);
        CHECK(preset_equal(&before, &p));
    }
    preset_free(&before);
}

TEST(a_preset_is_saved_to_the_users_folder_and_found_there_first)
{
    char home[] = "/tmp/benchtop-preset-XXXXXX", path[512] = "", command[64];
    struct preset back;
    CHECK(mkdtemp(home) != NULL);
    char *was = borrow("XDG_CONFIG_HOME", home);
    start();
    snprintf(p.name, sizeof p.name, "quick");
    CHECK_INT(catalog_save_preset(&p, path, sizeof path, &e), 0);
    CHECK_CONTAINS(path, "/benchtop/presets/quick.json");
    CHECK_INT(catalog_preset("quick", &back, NULL, &e), 0);
    CHECK(preset_equal(&p, &back));
    preset_free(&back);
    struct catalog_list l;
    CHECK_INT(catalog_list(CATALOG_PRESETS, &l, &e), 0);
    int user = 0, named = 0;
    for (int i = 0; i < l.n; i++) {
        user += l.entry[i].user;
        named += strcmp(l.entry[i].name, "quick") == 0;
    }
    CHECK_INT(user, 1);
    CHECK_INT(named, 1);
    catalog_list_free(&l);
    snprintf(p.name, sizeof p.name, "../evil");
    CHECK_INT(catalog_save_preset(&p, path, sizeof path, &e), -1);
    snprintf(command, sizeof command, "rm -r %s", home);
    CHECK_INT(system(command), 0);
    give_back("XDG_CONFIG_HOME", was);
}

TEST(the_sessions_folder_is_created_and_without_a_home_the_error_says_so)
{
    char home[] = "/tmp/benchtop-data-XXXXXX", dir[512] = "", command[64];
    struct stat s;
    CHECK(mkdtemp(home) != NULL);
    char *was = borrow("XDG_DATA_HOME", home);
    CHECK_INT(catalog_sessions_dir(dir, sizeof dir, &e), 0);
    CHECK(stat(dir, &s) == 0 && S_ISDIR(s.st_mode));
    CHECK_CONTAINS(dir, "/benchtop/sessions");
    snprintf(command, sizeof command, "rm -r %s", home);
    CHECK_INT(system(command), 0);
    setenv("XDG_DATA_HOME", "relative", 1);
    char *old = borrow("HOME", NULL);
    CHECK_INT(catalog_sessions_dir(dir, sizeof dir, &e), -1);
    CHECK_CONTAINS(e.text, "set HOME or XDG_DATA_HOME");
    give_back("HOME", old);
    give_back("XDG_DATA_HOME", was);
}

TEST(without_a_catalog_the_error_says_where_to_point)
{
    start();
    char *was = borrow("BENCHTOP_CATALOG", "/nonexistent");
    CHECK(catalog_shipped_dir() == NULL);
    struct model_spec m;
    CHECK_INT(catalog_model("gpt2-124m", &m, &e), -1);
    CHECK_CONTAINS(e.text, "set BENCHTOP_CATALOG");
    struct preset none;
    char home[] = "/tmp/benchtop-own-XXXXXX", command[64], path[512];
    CHECK(mkdtemp(home) != NULL);
    char *config = borrow("XDG_CONFIG_HOME", home);
    /* A preset of one's own does not hide that the rest is missing. */
    CHECK_INT(catalog_save_preset(&p, path, sizeof path, &e), 0);
    CHECK_INT(catalog_preset("quick", &none, NULL, &e), -1);
    CHECK_CONTAINS(e.text, "set BENCHTOP_CATALOG");
    preset_free(&p);
    give_back("XDG_CONFIG_HOME", config);
    give_back("BENCHTOP_CATALOG", was);
    snprintf(command, sizeof command, "rm -rf %s", home);
    CHECK_INT(system(command), 0);
}

static int allocations_left;
static bool out_for_good;

static void *scarce(size_t size)
{
    if (allocations_left > 0 && --allocations_left == 0) {
        allocations_left = out_for_good ? 1 : 0;
        errno = ENOMEM;
        return NULL;
    }
    return malloc(size);
}

/* Runs `step` with the 1st, 2nd, ... allocation of the JSON library failing, once and for good, until it
 * succeeds. */
static void starve(int (*step)(void))
{
    cJSON_Hooks hooks = {scarce, free};
    cJSON_InitHooks(&hooks);
    for (int for_good = 0; for_good < 2; for_good++) {
        int n = 1, result = -1;
        out_for_good = for_good;
        for (; n < 5000 && result != 0; n++) {
            e = (struct error){0};
            allocations_left = n;
            result = step();
            bool reached = allocations_left == 0 || (for_good && allocations_left == 1);
            allocations_left = 0;
            if (result != 0)
                CHECK(reached && e.kind != ERROR_NONE && e.text[0]);
        }
        CHECK(result == 0 && n > 5);
    }
    cJSON_InitHooks(NULL);
}

static struct preset scarce_preset;

static int step_parse(void)
{
    static const char text[] =
        "{\"schema\":\"benchtop/preset/1\",\"models\":[\"m\"],\"arms\":[\"baseline\",{\"name\":\"x\","
        "\"of\":\"flash\",\"why\":1}],\"note\":[1],\"fake\":{\"arms\":{\"x\":{\"odd\":1}}}}";
    struct preset got;
    int result = preset_parse(text, sizeof text - 1, "scarce", &got, NULL, &e);
    if (result == 0) {
        preset_free(&scarce_preset);
        scarce_preset = got;
    }
    return result;
}

static int step_print(void)
{
    char *text = preset_print(&scarce_preset, &e);
    free(text);
    return text ? 0 : -1;
}

static int step_set(void)
{
    struct preset before;
    struct error ignored = {0};
    CHECK_INT(preset_copy(&before, &scarce_preset, &ignored), 0);
    int result = preset_set(&scarce_preset, "arms.1.precision", "bf16", &e);
    if (result != 0)
        CHECK(preset_equal(&before, &scarce_preset));
    preset_free(&before);
    return result;
}

TEST(want_of_memory_is_an_error_and_changes_nothing)
{
    starve(step_parse);
    starve(step_print);
    starve(step_set);
    CHECK_INT(scarce_preset.arms[1].implementation.precision, PRECISION_BF16);
    preset_free(&scarce_preset);
}

TEST(a_session_preset_reads_without_any_catalog)
{
    start();
    char *text = preset_print(&p, &e);
    char *was = borrow("BENCHTOP_CATALOG", "/nonexistent");
    struct preset back;
    CHECK_INT(preset_parse(text, strlen(text), "session", &back, NULL, &e), 0);
    CHECK(preset_equal(&p, &back));
    give_back("BENCHTOP_CATALOG", was);
    free(text);
    preset_free(&back);
    preset_free(&p);
}
