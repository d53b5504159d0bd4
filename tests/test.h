/* The whole test framework: TEST(name) defines a test, CHECK* judge, main() runs all in file order.
 * Each program prints one line per failure and a last line "N passed, N failed, N skipped"; exit 1 on
 * failure. Tests run from the repository root. An argument selects the tests whose name contains it. */
#pragma once

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct test {
    const char *name;
    void (*run)(void);
    struct test *next;
};
static struct test *test_first, **test_end = &test_first;
static int test_failures, test_skipped; /* of the current test */

#define TEST(name)                                                                                           \
    static void test_##name(void);                                                                           \
    __attribute__((constructor)) static void test_register_##name(void)                                      \
    {                                                                                                        \
        static struct test t = {#name, test_##name, NULL};                                                   \
        *test_end = &t;                                                                                      \
        test_end = &t.next;                                                                                  \
    }                                                                                                        \
    static void test_##name(void)

#define TEST_FAIL(...)                                                                                       \
    do {                                                                                                     \
        test_failures++;                                                                                     \
        printf("%s:%d: ", __FILE__, __LINE__);                                                               \
        printf(__VA_ARGS__);                                                                                 \
        printf("\n");                                                                                        \
    } while (0)
#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition))                                                                                    \
            TEST_FAIL("%s", #condition);                                                                     \
    } while (0)
#define CHECK_INT(got, want)                                                                                 \
    do {                                                                                                     \
        long long test_g = (long long)(got), test_w = (long long)(want);                                     \
        if (test_g != test_w)                                                                                \
            TEST_FAIL("%s is %lld, not %lld", #got, test_g, test_w);                                         \
    } while (0)
#define CHECK_STRING(got, want)                                                                              \
    do {                                                                                                     \
        const char *test_g = (got), *test_w = (want);                                                        \
        if (!test_g || strcmp(test_g, test_w) != 0)                                                          \
            TEST_FAIL("%s is \"%s\", not \"%s\"", #got, test_g ? test_g : "(null)", test_w);                 \
    } while (0)
#define CHECK_CONTAINS(text, part)                                                                           \
    do {                                                                                                     \
        const char *test_t = (text), *test_p = (part);                                                       \
        if (!test_t || !strstr(test_t, test_p))                                                              \
            TEST_FAIL("\"%s\" does not contain \"%s\"", test_t ? test_t : "(null)", test_p);                 \
    } while (0)
/* Relative to the larger magnitude; equal infinities and two NaNs agree. */
#define CHECK_CLOSE(got, want, relative)                                                                     \
    do {                                                                                                     \
        double test_g = (got), test_w = (want), test_m = fmax(fabs(test_g), fabs(test_w));                   \
        if (!(test_g == test_w || (isnan(test_g) && isnan(test_w)) ||                                        \
              fabs(test_g - test_w) <= (relative)*test_m))                                                   \
            TEST_FAIL("%s is %.17g, not %.17g", #got, test_g, test_w);                                       \
    } while (0)
#define SKIP(why)                                                                                            \
    do {                                                                                                     \
        printf("skipped: %s\n", why);                                                                        \
        test_skipped = 1;                                                                                    \
        return;                                                                                              \
    } while (0)

int main(int argc, char **argv)
{
    int passed = 0, failed = 0, skipped = 0;
    for (struct test *t = test_first; t; t = t->next) {
        if (argc > 1 && !strstr(t->name, argv[1]))
            continue;
        test_failures = test_skipped = 0;
        t->run();
        if (test_failures) {
            failed++;
            printf("FAILED %s\n", t->name);
        } else if (test_skipped) {
            skipped++;
        } else {
            passed++;
        }
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed > 0;
}
