#include "presets/implementation.h"
#include "presets/implementation_json.h"
#include "tests/test.h"

static struct error e;

static int set(struct implementation *i, const char *key, const char *value)
{
    e = (struct error){0};
    return implementation_set(i, key, value, &e);
}

TEST(the_default_is_the_baseline_point)
{
    struct implementation i;
    char text[200];
    implementation_default(&i);
    implementation_describe(&i, text, sizeof text);
    CHECK_STRING(text, "naive none eager fp32 contiguous");
}

TEST(every_value_of_every_axis_is_set_and_printed_back)
{
    for (int a = 0; a < implementation_n_axes; a++)
        for (int v = 0; v < implementation_axes[a].n_values; v++) {
            struct implementation i;
            char text[200];
            implementation_default(&i);
            CHECK_INT(set(&i, implementation_axes[a].name, implementation_axes[a].values[v].name), 0);
            implementation_get(&i, a, text, sizeof text);
            CHECK_STRING(text, implementation_axes[a].values[v].name);
            CHECK(implementation_axes[a].values[v].help[0]);
        }
}

TEST(activations_are_described_where_they_are_not_full)
{
    struct implementation i;
    char text[200];
    implementation_default(&i);
    CHECK_INT(set(&i, "precision", "int8"), 0);
    CHECK_INT(set(&i, "activations", "int8"), 0);
    implementation_describe(&i, text, sizeof text);
    CHECK_STRING(text, "naive none eager int8 activations int8 contiguous");
    CHECK_INT(set(&i, "precision", "w8a8"), -1);
    CHECK_INT(set(&i, "activations", "int4"), -1);
    CHECK_CONTAINS(e.text, "use one of full, int8");
}

TEST(every_set_of_fusions_is_printed_and_read_back)
{
    for (unsigned mask = 0; mask <= FUSION_FULL; mask++) {
        struct implementation i, j;
        char text[200];
        implementation_default(&i);
        implementation_default(&j);
        i.fusion = mask;
        implementation_get(&i, IMPLEMENTATION_FUSION, text, sizeof text);
        CHECK_INT(set(&j, "fusion", text), 0);
        CHECK_INT(j.fusion, mask);
    }
    struct implementation i;
    implementation_default(&i);
    CHECK_INT(set(&i, "fusion", "qkv+gate_up"), 0);
    CHECK_INT(i.fusion, FUSION_QKV | FUSION_GATE_UP);
}

TEST(misspelled_keys_and_values_name_the_nearest)
{
    struct implementation i, before;
    implementation_default(&i);
    before = i;
    CHECK_INT(set(&i, "atention", "flash"), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "did you mean attention?");
    CHECK_INT(set(&i, "attention", "flahs"), -1);
    CHECK_CONTAINS(e.text, "did you mean flash");
    CHECK_INT(set(&i, "fusion", "qkv+gateup"), -1);
    CHECK_CONTAINS(e.text, "did you mean gate_up");
    CHECK_INT(set(&i, "fusion", "none+qkv"), -1);
    CHECK_INT(set(&i, "fusion", "qkv+"), -1);
    CHECK_INT(set(&i, "fusion", ""), -1);
    CHECK_INT(set(&i, "precision", "zzzzzz"), -1);
    CHECK_CONTAINS(e.text, "use one of fp32, fp16, bf16, int8, nf4");
    CHECK(implementation_equal(&i, &before));
}

TEST(sparsity_is_a_plain_number_up_to_0_9)
{
    struct implementation i;
    char text[64];
    implementation_default(&i);
    static const char *const bad[] = {"",    ".",   "-0.1", "0.91", "1",   "nan",
                                      "inf", "0x1", "0.5x", "1e-1", "0,5", "99999"};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        CHECK_INT(set(&i, "sparsity", bad[k]), -1);
        CHECK(i.sparsity == 0);
    }
    CHECK_INT(set(&i, "sparsity", "0.4"), 0);
    CHECK(i.sparsity == 0.4);
    implementation_get(&i, IMPLEMENTATION_SPARSITY, text, sizeof text);
    CHECK_STRING(text, "0.4");
    CHECK_INT(set(&i, "sparsity", "0.9"), 0);
    CHECK_INT(set(&i, "sparsity", ".5"), 0);
    char all[200];
    implementation_describe(&i, all, sizeof all);
    CHECK_STRING(all, "naive none eager fp32 contiguous sparsity 0.5");
}

TEST(a_vocabulary_is_a_name)
{
    struct implementation i;
    implementation_default(&i);
    CHECK_INT(set(&i, "vocabulary", "medical-8k"), 0);
    CHECK_STRING(i.vocabulary, "medical-8k");
    CHECK_INT(set(&i, "vocabulary", "../etc"), -1);
    CHECK_INT(set(&i, "vocabulary", ""), -1);
    CHECK_STRING(i.vocabulary, "medical-8k");
}

TEST(quality_is_the_same_until_precision_activations_sparsity_or_vocabulary_differ)
{
    struct implementation a, b;
    implementation_default(&a);
    implementation_default(&b);
    set(&b, "attention", "flash");
    set(&b, "fusion", "full");
    set(&b, "kv_cache", "paged");
    CHECK(!implementation_equal(&a, &b));
    CHECK(implementation_same_quality(&a, &b));
    set(&b, "activations", "int8");
    CHECK(!implementation_same_quality(&a, &b));
    set(&b, "activations", "full");
    CHECK(implementation_same_quality(&a, &b));
    set(&b, "precision", "bf16");
    CHECK(!implementation_same_quality(&a, &b));
}

TEST(a_description_never_overruns_a_short_buffer)
{
    struct implementation i;
    char text[16];
    implementation_default(&i);
    for (size_t n = 1; n <= sizeof text; n++) {
        memset(text, 'x', sizeof text);
        implementation_describe(&i, text, n);
        CHECK(strlen(text) < n);
    }
}

static int load(const char *text)
{
    struct implementation i;
    const char *path = "/tmp/benchtop-implementation-test.json";
    FILE *f = fopen(path, "w");
    CHECK(f && fputs(text, f) >= 0 && fclose(f) == 0);
    e = (struct error){0};
    int result = implementation_load(path, &i, NULL, 0, NULL, &e);
    remove(path);
    return result;
}

TEST(a_bundle_file_takes_fusion_as_a_list_and_complains_of_all_at_once)
{
    CHECK_INT(
        load("{\"schema\":\"benchtop/implementation/1\",\"fusion\":[\"qkv\",\"gate_up\"],\"sparsity\":0.4}"),
        0);
    CHECK_INT(load("{\"schema\":\"benchtop/implementation/1\",\"fusion\":[]}"), 0);
    CHECK_INT(load("{\"attention\":\"flesh\",\"sparsity\":2,\"fusion\":[1],\"launch\":7}"), -1);
    CHECK_CONTAINS(e.text, "schema: expected \"benchtop/implementation/1\", found nothing");
    CHECK_CONTAINS(e.text, "flesh");
    CHECK_CONTAINS(e.text, "sparsity: expected a number from 0 to 0.9, found 2");
    CHECK_CONTAINS(e.text, "launch: expected a name, found 7");
    CHECK_INT(load("[]"), -1);
    CHECK_CONTAINS(e.text, "expected an object, found a list");
}
