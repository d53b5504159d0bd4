#include "presets/preset.h"
#include "tests/test.h"

#include <stdlib.h>

#define HEAD                    "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"models\":[\"gpt2-124m\"],"
#define FACTOR(axis, low, high) "{\"axis\":\"" axis "\",\"low\":\"" low "\",\"high\":\"" high "\"}"
#define A                       FACTOR("attention", "naive", "flash")
#define B                       FACTOR("launch", "eager", "graph")
#define C                       FACTOR("kv_cache", "contiguous", "paged")
#define D                       FACTOR("precision", "fp32", "bf16")

static int parse(const char *json, struct preset *p, struct error *e)
{
    setenv("BENCHTOP_CATALOG", "presets", 1);
    *e = (struct error){0};
    return preset_parse(json, strlen(json), "test", p, NULL, e);
}

TEST(a_design_makes_its_arms_with_the_baseline_first)
{
    struct preset p;
    struct error e;
    CHECK_INT(parse(HEAD "\"design\":{\"factors\":[" A "," B "," C "]}}", &p, &e), 0);
    CHECK_INT(p.n_arms, 8);
    CHECK_STRING(p.arms[0].name, "baseline");
    CHECK_STRING(p.arms[3].name, "flash+graph");
    CHECK_STRING(p.arms[7].name, "flash+graph+paged");
    CHECK_INT(p.arms[7].implementation.attention, ATTENTION_FLASH);
    CHECK_INT(p.arms[0].implementation.attention, ATTENTION_NAIVE);
    for (int r = 0; r < 8; r++)
        CHECK_INT(preset_design_arm(&p, preset_design_setting(&p.design, r)), r);
    CHECK_INT(preset_validate(&p, &e), 0);
    preset_free(&p);
}

TEST(a_single_arm_is_the_point_the_levels_are_set_on)
{
    struct preset p;
    struct error e;
    CHECK_INT(parse(HEAD "\"arms\":[{\"name\":\"plain\",\"precision\":\"bf16\"}],\"design\":{\"factors\":[" A
                         "," B "]}}",
                    &p, &e),
              0);
    CHECK_INT(p.n_arms, 4);
    CHECK_STRING(p.arms[0].name, "plain");
    for (int a = 0; a < 4; a++)
        CHECK_INT(p.arms[a].implementation.precision, PRECISION_BF16);
    preset_free(&p);
}

TEST(a_half_fraction_keeps_the_baseline_and_halves_the_arms)
{
    struct preset p;
    struct error e;
    CHECK_INT(
        parse(HEAD "\"design\":{\"factors\":[" A "," B "," C "," D "],\"generators\":[\"D=ABC\"]}}", &p, &e),
        0);
    CHECK_INT(p.n_arms, 8);
    CHECK_INT((int)preset_design_setting(&p.design, 0), 0);
    for (int r = 0; r < 8; r++) {
        unsigned s = preset_design_setting(&p.design, r);
        CHECK_INT((int)(s >> 3 & 1), __builtin_popcount(s & 7) % 2);
    }
    preset_free(&p);
}

TEST(a_design_that_was_written_reads_back_equal)
{
    struct preset p, back;
    struct error e = {0};
    CHECK_INT(
        parse(HEAD "\"design\":{\"factors\":[" A "," B "," C "," D "],\"generators\":[\"D=ABC\"]}}", &p, &e),
        0);
    char *text = preset_print(&p, &e);
    CHECK_INT(parse(text, &back, &e), 0);
    CHECK(preset_equal(&p, &back));
    back.design.factor[0].high[0] = 'x';
    CHECK(!preset_equal(&p, &back));
    free(text);
    preset_free(&p);
    preset_free(&back);
}

static void refuse(const char *design, const char *part)
{
    struct preset p;
    struct error e;
    char json[2048];
    snprintf(json, sizeof json, "%s\"design\":%s}", HEAD, design);
    CHECK_INT(parse(json, &p, &e), -1);
    CHECK_CONTAINS(e.text, part);
}

TEST(impossible_designs_are_refused_with_what_to_do)
{
    refuse("{\"factors\":[" A "," B "," C "," D "]}", "make 16 arms, more than 8");
    refuse("{\"factors\":[" A "]}", "at least two factors");
    refuse("{}", "at least two factors");
    refuse("{\"factors\":[" A "," A "]}", "two factors");
    refuse("{\"factors\":[" A "," FACTOR("launch", "eager", "eager") "]}", "low and high are the same");
    refuse("{\"factors\":[" A "," FACTOR("launch", "eager", "sideways") "]}", "sideways");
    refuse("{\"factors\":[" A "," FACTOR("wheels", "a", "b") "]}", "wheels");
    refuse("{\"factors\":[" A "," B "],\"generators\":[\"C=AB\"]}", "generators");
    refuse("{\"factors\":[" A "," B "," C "],\"generators\":[\"C=AC\"]}", "generators");
    refuse("{\"factors\":[" A "," B "," C "," D "],\"generators\":[\"D=AB\",\"C=AD\"]}", "generators");
    refuse("3", "design");
}

TEST(arms_that_do_not_fill_the_design_are_told)
{
    struct preset p;
    struct error e;
    CHECK_INT(parse(HEAD "\"arms\":[\"baseline\",\"flash\"],\"design\":{\"factors\":[" A "," B "]}}", &p, &e),
              0);
    CHECK_INT(preset_validate(&p, &e), -1);
    CHECK_CONTAINS(e.text, "stands for the run");
    preset_free(&p);
}
