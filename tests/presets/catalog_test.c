#include "presets/catalog.h"
#include "tests/test.h"
#include <sys/stat.h>
#include <unistd.h>

static const char *const scenarios[] = {"latency-vs-sequence",
                                        "throughput-vs-batch",
                                        "memory-efficiency",
                                        "multi-model",
                                        "quick",
                                        "batch-scaling",
                                        "sequence-scaling",
                                        "model-scaling",
                                        "quantization",
                                        "activations",
                                        "kv-cache",
                                        "attention",
                                        "ablation",
                                        "larosa",
                                        "perplexity",
                                        "generate-text"};

/* What the user has in the own folders must not decide. */
__attribute__((constructor)) static void leave_home(void)
{
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
}

TEST(every_shipped_model_loads_under_its_own_name)
{
    struct catalog_list l;
    struct error e = {0};
    CHECK_INT(catalog_list(CATALOG_MODELS, &l, &e), 0);
    CHECK(l.n >= 25);
    for (int i = 0; i < l.n; i++) {
        struct model_spec m;
        struct error warning = {0};
        if (model_spec_load(l.entry[i].path, &m, &warning, &e) != 0)
            TEST_FAIL("%s", e.text);
        else
            CHECK_STRING(m.name, l.entry[i].name);
        CHECK_STRING(warning.text, "");
        CHECK(m.published_parameters > 1000000);
        CHECK(m.source[0] && m.title[0]);
    }
    catalog_list_free(&l);
}

TEST(every_shipped_implementation_loads_and_says_what_it_is)
{
    struct catalog_list l;
    struct error e = {0};
    CHECK_INT(catalog_list(CATALOG_IMPLEMENTATIONS, &l, &e), 0);
    CHECK(l.n >= 9);
    for (int i = 0; i < l.n; i++) {
        struct implementation im;
        if (catalog_implementation(l.entry[i].name, &im, &e) != 0)
            TEST_FAIL("%s", e.text);
    }
    catalog_list_free(&l);
}

TEST(every_shipped_preset_loads_validates_and_names_known_models)
{
    struct catalog_list l;
    struct error e = {0};
    CHECK_INT(catalog_list(CATALOG_PRESETS, &l, &e), 0);
    CHECK(l.n >= 12);
    for (int i = 0; i < l.n; i++) {
        struct preset p;
        struct model_spec m;
        struct error warning = {0};
        if (catalog_preset(l.entry[i].name, &p, &warning, &e) != 0) {
            TEST_FAIL("%s", e.text);
            continue;
        }
        CHECK_STRING(warning.text, "");
        CHECK_STRING(p.name, l.entry[i].name);
        CHECK(p.title[0] && strchr(p.answers, '?'));
        if (preset_validate(&p, &e) != 0)
            TEST_FAIL("%s", e.text);
        for (int k = 0; k < p.n_models; k++) {
            if (catalog_model(p.models[k], &m, &e) != 0)
                TEST_FAIL("%s", e.text);
            for (int s = 0; s < p.n_seq; s++)
                CHECK(p.seq[s] <= m.context);
        }
        preset_free(&p);
    }
    catalog_list_free(&l);
    for (size_t i = 0; i < sizeof scenarios / sizeof *scenarios; i++) {
        struct preset p;
        CHECK_INT(catalog_preset(scenarios[i], &p, NULL, &e), 0);
        preset_free(&p);
    }
}

TEST(an_unknown_name_is_refused_with_the_nearest_ones)
{
    struct error e = {0};
    struct model_spec m;
    struct preset p;
    struct implementation im;
    CHECK_INT(catalog_model("lama-7b", &m, &e), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "llama-7b");
    CHECK_INT(catalog_preset("quikc", &p, NULL, &e), -1);
    CHECK_CONTAINS(e.text, "quick");
    CHECK_INT(catalog_implementation("optimised", &im, &e), -1);
    CHECK_CONTAINS(e.text, "did you mean optimized?");
}
