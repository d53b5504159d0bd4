#include "presets/vocabulary_file.h"
#include "tests/test.h"
#include <unistd.h>

#define HEAD                                                                                                 \
    "{\"schema\":\"benchtop/vocabulary/"                                                                     \
    "1\",\"name\":\"v\",\"base\":\"b\",\"base_fingerprint\":\"12345678901234567890\","                       \
    "\"base_tokens\":10,\"text\":\"t\",\"text_bytes\":9,\"standard_tokens\":4,\"adapted_tokens\":3,"         \
    "\"min_frequency\":2,\"within_words\":false,"
#define WHOLE HEAD "\"removed\":[2,5],\"lengths\":[2,3],\"parts\":[0,1,3,4,6]}"

static int parse(const char *text, struct vocabulary_file *f, struct error *e)
{
    *e = (struct error){0};
    return vocabulary_file_parse(text, strlen(text), "v.json", f, NULL, e);
}

TEST(a_file_is_read_as_it_was_written)
{
    struct vocabulary_file f = {0}, g = {0};
    struct error e, warning = {0};
    char path[] = "/tmp/vocabulary_file_test.XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0 && close(fd) == 0);
    if (parse(WHOLE, &f, &e) != 0)
        TEST_FAIL("%s", e.text);
    CHECK(f.fingerprint == 12345678901234567890u);
    CHECK_INT(f.n_removed, 2);
    CHECK_INT(f.n_added, 2);
    CHECK_INT(f.length[1], 3);
    CHECK_INT(f.part[4], 6);
    CHECK_INT(vocabulary_file_save(&f, path, &e), 0);
    CHECK_INT(vocabulary_file_load(path, &g, &warning, &e), 0);
    CHECK_STRING(warning.text, "");
    CHECK(g.fingerprint == f.fingerprint && g.base_tokens == 10 && g.text_bytes == 9 && g.min_frequency == 2);
    CHECK(g.n_removed == 2 && memcmp(g.removed, f.removed, 2 * sizeof *f.removed) == 0);
    CHECK(g.n_parts == 5 && memcmp(g.part, f.part, 5 * sizeof *f.part) == 0);
    unlink(path);
    vocabulary_file_free(&f);
    vocabulary_file_free(&g);
}

TEST(nothing_removed_and_nothing_added_is_a_vocabulary_too)
{
    struct vocabulary_file f = {0};
    struct error e;
    if (parse(HEAD "\"removed\":[],\"lengths\":[],\"parts\":[]}", &f, &e) != 0)
        TEST_FAIL("%s", e.text);
    CHECK_INT(f.n_removed + f.n_added + f.n_parts, 0);
    vocabulary_file_free(&f);
}

TEST(every_damage_is_told_and_leaves_nothing_behind)
{
    static const struct {
        const char *text, *says;
    } cases[] = {
        {"[]", "expected an object"},
        {"{\"schema\":\"benchtop/vocabulary/2\"}", "schema: expected \"benchtop/vocabulary/1\""},
        {"{\"schema\":\"benchtop/vocabulary/1\"}", "base_tokens: missing"},
        {HEAD "\"removed\":[2],\"lengths\":[2]}", "parts: missing"},
        {HEAD "\"removed\":[5,2],\"lengths\":[],\"parts\":[]}", "removed.1: expected ascending ids"},
        {HEAD "\"removed\":[2,2],\"lengths\":[],\"parts\":[]}", "removed.1: expected ascending ids"},
        {HEAD "\"removed\":[10],\"lengths\":[],\"parts\":[]}", "removed.0: expected 0 to 9, found 10"},
        {HEAD "\"removed\":[-1],\"lengths\":[],\"parts\":[]}", "removed.0"},
        {HEAD "\"removed\":[1.5],\"lengths\":[],\"parts\":[]}", "removed.0"},
        {HEAD "\"removed\":[0,1,2,3,4,5,6,7,8,9],\"lengths\":[],\"parts\":[]}", "10 entries, at most 9"},
        {HEAD "\"removed\":[],\"lengths\":[1],\"parts\":[0]}", "lengths.0: expected 2 to 8, found 1"},
        {HEAD "\"removed\":[],\"lengths\":[9],\"parts\":[0,0,0,0,0,0,0,0,0]}", "lengths.0"},
        {HEAD "\"removed\":[],\"lengths\":[3],\"parts\":[0,1]}",
         "lengths sum up to 3, but there are 2 parts"},
        {HEAD "\"removed\":[],\"lengths\":[2],\"parts\":[0,10]}", "parts.1: expected 0 to 9"},
        {HEAD "\"removed\":[1],\"lengths\":[2],\"parts\":[0,1]}", "parts.1: token 1 is removed"},
        {HEAD "\"removed\":[],\"lengths\":[2,2,2],\"parts\":[0,1,1,0,0,1]}", "n-grams 0 and 2 are the same"},
        {HEAD "\"removed\":\"all\",\"lengths\":[],\"parts\":[]}", "removed"},
        {WHOLE "x", "v.json"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct vocabulary_file f = {.n_added = 77};
        struct error e;
        CHECK_INT(parse(cases[i].text, &f, &e), -1);
        CHECK_CONTAINS(e.text, cases[i].says);
        CHECK_INT(f.n_added, 77);
    }
}

TEST(a_file_cut_anywhere_is_refused)
{
    size_t n = strlen(WHOLE);
    for (size_t cut = 0; cut < n; cut++) {
        struct vocabulary_file f = {0};
        struct error e = {0};
        CHECK_INT(vocabulary_file_parse(WHOLE, cut, "v.json", &f, NULL, &e), -1);
        CHECK(e.text[0] != '\0');
    }
}
