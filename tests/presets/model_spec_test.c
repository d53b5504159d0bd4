#include "presets/model_spec.h"
#include "tests/test.h"

static struct error e, warning;
static struct model_spec m;

static int load(const char *text)
{
    const char *path = "/tmp/benchtop-model-spec-test.json";
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    e = warning = (struct error){0};
    int result = model_spec_load(path, &m, &warning, &e);
    remove(path);
    return result;
}

#define LLAMA                                                                                                \
    "{\"schema\":\"benchtop/model/1\",\"family\":\"llama\",\"layers\":2,\"d_model\":32,\"heads\":4,"         \
    "\"ffn\":48,\"vocab\":97,\"context\":64,\"norm_eps\":1e-5"

TEST(what_follows_from_the_rest_may_be_left_out)
{
    CHECK_INT(load(LLAMA ",\"rope_theta\":10000}"), 0);
    CHECK_STRING(m.name, "benchtop-model-spec-test");
    CHECK_STRING(m.title, m.name);
    CHECK_INT(m.kv_heads, 4);
    CHECK_INT(m.head_dim, 8);
    CHECK_INT(m.rotary_dims, 8);
    CHECK_INT(m.window, 0);
    CHECK(m.rope_scaling.factor == 0);
    CHECK_STRING(warning.text, "");
}

TEST(every_wrong_value_is_told_in_one_message)
{
    CHECK_INT(load("{\"schema\":\"benchtop/model/2\",\"family\":\"lama\",\"layers\":0,\"d_model\":\"x\","
                   "\"rope_scaling\":{\"factor\":2}}"),
              -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "schema: expected \"benchtop/model/1\", found \"benchtop/model/2\"");
    CHECK_CONTAINS(e.text, "family: expected llama, gpt2, phi2, bert or mamba, found \"lama\"");
    CHECK_CONTAINS(e.text, "layers: expected a whole number from 1 to 1000, found 0");
    CHECK_CONTAINS(e.text, "d_model: expected a whole number");
    CHECK_CONTAINS(e.text, "rope_scaling.high: missing");
}

TEST(what_the_family_needs_must_be_there)
{
    CHECK_INT(load("{\"schema\":\"benchtop/model/1\",\"family\":\"llama\"}"), -1);
    CHECK_CONTAINS(e.text, "layers: missing");
    CHECK_CONTAINS(e.text, "context: missing");
    CHECK_INT(load(LLAMA "}"), -1);
    CHECK_CONTAINS(e.text, "rope_theta: missing");
    CHECK_INT(
        load("{\"schema\":\"benchtop/model/1\",\"family\":\"mamba\",\"layers\":2,\"d_model\":8,\"vocab\":9,"
             "\"norm_eps\":1e-5}"),
        -1);
    CHECK_CONTAINS(e.text, "mamba: missing");
}

TEST(values_that_contradict_each_other_are_refused)
{
    CHECK_INT(load(LLAMA ",\"rope_theta\":10000,\"kv_heads\":3}"), -1);
    CHECK_CONTAINS(e.text, "kv_heads: does not divide heads");
    CHECK_INT(load(LLAMA ",\"rope_theta\":10000,\"rotary_dims\":10}"), -1);
    CHECK_CONTAINS(e.text, "rotary_dims");
    CHECK_INT(load(LLAMA ",\"rope_theta\":10000,\"token_types\":2}"), -1);
    CHECK_CONTAINS(e.text, "only the bert family");
    CHECK_INT(
        load(LLAMA
             ",\"rope_theta\":10000,\"rope_scaling\":{\"factor\":8,\"low\":4,\"high\":1,\"original\":32}}"),
        -1);
    CHECK_CONTAINS(e.text, "expected more than rope_scaling.low");
    CHECK_INT(load(LLAMA ",\"rope_theta\":10000,\"heads\":5}"), -1); /* given twice */
    CHECK_CONTAINS(e.text, "heads: given twice");
}

TEST(unknown_keys_are_reported_and_do_not_hinder)
{
    CHECK_INT(load(LLAMA ",\"rope_theta\":10000,\"colour\":\"red\"}"), 0);
    CHECK_CONTAINS(warning.text, "colour: unknown key");
}

TEST(a_failed_load_leaves_the_spec_alone)
{
    m = (struct model_spec){.layers = 77};
    CHECK_INT(load("{}"), -1);
    CHECK_INT(m.layers, 77);
}

TEST(the_small_models_of_the_tests_load)
{
    static const char *const names[] = {
        "tiny-llama",   "tiny-llama-gqa", "tiny-llama-mqa", "tiny-llama-wide-head",
        "tiny-mistral", "tiny-llama3",    "tiny-gpt2",      "tiny-gpt2-odd",
        "tiny-phi2",    "tiny-bert",      "tiny-mamba"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char path[128];
        snprintf(path, sizeof path, "tests/data/models/%s.json", names[i]);
        e = warning = (struct error){0};
        if (model_spec_load(path, &m, &warning, &e) != 0)
            TEST_FAIL("%s", e.text);
        CHECK_STRING(m.name, names[i]);
        CHECK_STRING(warning.text, "");
    }
}
