/* The n-th allocation fails, once and for good: nothing crashes, nothing leaks, what was asked for is refused
 * with a reason or is the same as ever. Sanitizers bring their own allocator, so those builds skip this. */
#include "engine/compare.h"
#include "engine/export.h"
#include "engine/session_file.h"
#include "tests/engine/session_maker.h"
#include <sys/stat.h>
#include <unistd.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ || !defined __GLIBC__
#define OWN_ALLOCATOR 0
#else
#define OWN_ALLOCATOR 1
#endif

static long countdown = -1, live; /* fails when it reaches 0; < 0: never */
static bool for_good, failed;

#if OWN_ALLOCATOR
extern void *__libc_malloc(size_t n);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *p, size_t n);
extern void __libc_free(void *p);

static bool fails(void)
{
    if (countdown < 0)
        return false;
    if (countdown > 0) {
        countdown--;
        return false;
    }
    failed = true;
    countdown = for_good ? 0 : -1;
    return true;
}

void *malloc(size_t n)
{
    void *p = fails() ? NULL : __libc_malloc(n);
    live += p != NULL;
    return p;
}
void *calloc(size_t n, size_t size)
{
    void *p = fails() ? NULL : __libc_calloc(n, size);
    live += p != NULL;
    return p;
}
void *realloc(void *old, size_t n)
{
    void *p = fails() ? NULL : __libc_realloc(old, n);
    live += !old && p;
    return p;
}
void free(void *p)
{
    live -= p != NULL;
    __libc_free(p);
}
#endif

struct work {
    struct session *a, *b;
    const struct export_format *format;
    const char *path;
};

static char *do_table(const struct work *w, struct error *e)
{
    return table_print(w->a, 100, e);
}
static char *do_export(const struct work *w, struct error *e)
{
    return w->format->print(w->a, e);
}
static char *do_compare(const struct work *w, struct error *e)
{
    struct compare_result r;
    if (compare_sessions(w->a, w->b, 5, &r, e) != 0)
        return NULL;
    char *text = compare_print(w->a, w->b, &r, 100, e);
    compare_free(&r);
    return text;
}
static char *do_compare_json(const struct work *w, struct error *e)
{
    struct compare_result r;
    if (compare_sessions(w->a, w->b, 5, &r, e) != 0)
        return NULL;
    char *text = compare_print_json(w->a, w->b, &r, e);
    compare_free(&r);
    return text;
}
static char *do_load(const struct work *w, struct error *e)
{
    struct session s;
    if (session_load(w->path, &s, NULL, e) != 0)
        return NULL;
    countdown = -1;
    bool same = s.n_cells == w->a->n_cells && maker_equal_arms(&w->a->cell[0].arm[1], &s.cell[0].arm[1]);
    session_free(&s);
    return strdup(same ? "equal" : "not equal");
}
static char *do_journal(const struct work *w, struct error *e)
{
    struct journal *j = journal_open("/tmp/benchtop-allocation-test.json", w->a, e);
    if (!j)
        return NULL;
    struct log_entry entry = {.kind = LOG_BLOCK_DONE, .payload = w->a->cell[0].arm[0].blocks[0]};
    int result = journal_append(j, &entry, e);
    countdown = -1;
    journal_close(j, true, e);
    return result == 0 ? strdup("appended") : NULL;
}

static const char *first_difference(const char *got, const char *want)
{
    static char line[128];
    size_t at = 0, start = 0;
    for (; got[at] && got[at] == want[at]; at++)
        start = got[at] == '\n' ? at + 1 : start;
    snprintf(line, sizeof line, "\"%.*s\"", (int)strcspn(got + start, "\n"), got + start);
    return line;
}

/* Runs it with every allocation failing in turn, until it is through. */
static void sweep(const char *name, char *(*run)(const struct work *, struct error *), const struct work *w)
{
    /* Their texts leave out what cannot be had: a model's file, a bandwidth that was to be averaged. */
    bool lenient =
        w->format && (strcmp(w->format->name, "md") == 0 || strcmp(w->format->name, "llama-bench") == 0);
    struct error e = {0};
    char *want = run(w, &e);
    CHECK(want != NULL);
    for (int mode = 0; mode < 2; mode++) {
        bool done = false;
        for (long n = 0; !done; n++) {
            long before = live;
            e = (struct error){0};
            for_good = mode == 1;
            failed = false;
            countdown = n;
            char *got = run(w, &e);
            countdown = -1;
            done = !failed;
            if (!got && e.text[0] == '\0')
                TEST_FAIL("%s: allocation %ld failed without a word", name, n);
            if (got && strcmp(got, want) != 0 && !lenient)
                TEST_FAIL("%s: allocation %ld failed and the result is wrong, not refused: %s", name, n,
                          first_difference(got, want));
            free(got);
            if (live != before && test_failures == 0) /* printing a failure allocates, too */
                TEST_FAIL("%s: allocation %ld failed and %ld blocks leaked", name, n, live - before);
            if (test_failures > 3)
                break;
        }
    }
    free(want);
}

static struct session small(uint64_t noise)
{
    maker_state = noise;
    struct session s = maker_session(1, 2, 5);
    for (int arm = 0; arm < 2; arm++) {
        for (int r = 0; r < 5; r++)
            maker_block(&s, 0, arm, r, 3, 10 + arm, 0.01);
        s.cell[0].arm[arm].status = CELL_OK;
        s.cell[0].arm[arm].work = (struct model_work){1e6, 2e6, 1};
    }
    s.cell[0].status = CELL_OK;
    s.preset.criteria.min_speedup = 1.2;
    free(s.argv); /* texts that are JSON already become null where they cannot be read, by design */
    s.argv = NULL;
    s.environment.gpu_json[0] = '\0';
    return s;
}

TEST(every_failed_allocation_is_survived_and_told)
{
    if (!OWN_ALLOCATOR)
        SKIP("a sanitizer owns the allocator");
    const char *folder = maker_folder();
    char path[128];
    struct error e = {0};
    struct session a = small(3), b = small(4);
    snprintf(path, sizeof path, "%s/s.json", folder);
    CHECK_INT(session_save(&a, path, &e), 0);
    struct work w = {&a, &b, NULL, path};
    sweep("table", do_table, &w);
    for (int i = 0; i < export_n_formats; i++) {
        w.format = &export_formats[i];
        sweep(w.format->name, do_export, &w);
    }
    sweep("compare", do_compare, &w);
    sweep("compare json", do_compare_json, &w);
    sweep("load", do_load, &w);
    sweep("journal", do_journal, &w);
    unlink("/tmp/benchtop-allocation-test.json.journal.tmp");
    session_free(&a);
    session_free(&b);
    maker_remove_folder(folder);
}
