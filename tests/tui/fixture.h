/* An application without a terminal: a frozen clock, a simulated device, the shipped catalog, homes in a
 * temporary folder; and golden screens. BENCHTOP_UPDATE_GOLDEN=1 writes tests/golden instead of comparing. */
#pragma once

#include "stats/stats.h"
#include "tests/engine/worth_maker.h"
#include "tui/app.h"
#include "tui/screen.h"

#include <dirent.h>
#include <unistd.h>

static char fixture_home[64];

static inline void fixture_remove_home(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", fixture_home);
    if (system(command) != 0)
        printf("%s was left behind\n", fixture_home);
}

static inline void fixture_environment(void)
{
    static int done;
    if (done++)
        return;
    strcpy(fixture_home, "/tmp/benchtop-tui-XXXXXX");
    if (!mkdtemp(fixture_home))
        abort();
    setenv("BENCHTOP_CATALOG", "presets", 1);
    setenv("HOME", fixture_home, 1);
    setenv("XDG_CONFIG_HOME", fixture_home, 1);
    setenv("XDG_DATA_HOME", fixture_home, 1);
    setenv("XDG_CACHE_HOME", fixture_home, 1);
    setenv("TZ", "UTC", 1);
    stats_init();
    atexit(fixture_remove_home);
}

static int64_t fixture_clock_ns = 1000000000;
static inline int64_t fixture_now(void)
{
    return fixture_clock_ns;
}

static inline struct device fixture_device(void)
{
    struct device d;
    memset(&d, 0, sizeof d);
    strcpy(d.id, "fake");
    strcpy(d.title, "simulated device \xc2\xb7 virtual time");
    d.memory_bytes = 24LL << 30;
    d.memory_free_bytes = 20LL << 30;
    d.read_bandwidth = 45e9;
    for (int i = 0; i < 4; i++)
        d.product_rate[i] = 400e9;
    d.measured = true;
    d.environment.memory_bytes = d.memory_bytes;
    return d;
}

static inline void fixture_arm(struct preset *p, const char *bundle)
{
    struct error e = {0};
    struct preset_arm *arm = &p->arms[p->n_arms++];
    memset(arm, 0, sizeof *arm);
    strcpy(arm->name, bundle);
    strcpy(arm->bundle, bundle);
    if (catalog_implementation(bundle, &arm->implementation, &e) != 0)
        TEST_FAIL("%s", e.text);
}

/* gpt2-124m, decode, batches 1 2 4 8 at 128, baseline against optimized, 3 rounds. */
static inline struct preset fixture_preset(void)
{
    struct preset p;
    preset_default(&p);
    strcpy(p.name, "fixture");
    strcpy(p.title, "A preset of the tests");
    strcpy(p.device, "fake");
    strcpy(p.models[0], "gpt2-124m");
    p.n_models = p.n_workloads = p.n_seq = 1;
    p.workloads[0] = WORKLOAD_DECODE;
    p.n_batch = 4;
    for (int i = 0; i < 4; i++)
        p.batch[i] = 1 << i;
    p.seq[0] = 128;
    p.n_arms = 0;
    fixture_arm(&p, "baseline");
    fixture_arm(&p, "optimized");
    p.rounds = p.max_rounds = 3;
    p.seed = 42;
    return p;
}

static inline void fixture_open(struct app *a)
{
    fixture_environment();
    struct error e = {0};
    struct preset p = fixture_preset();
    struct device d = fixture_device();
    if (app_init(a, &p, &d, -1, &e) != 0) {
        TEST_FAIL("%s", e.text);
        abort();
    }
    preset_free(&p);
    a->now_ns = fixture_now;
}

/* A finished session of 4 batches x 2 arms, seeded: the second arm takes 70 % of the time. */
static inline struct session *fixture_session(int n_arms)
{
    static const double share[] = {1, 0.7, 0.52};
    struct session *s = malloc(sizeof *s);
    maker_state = 1;
    *s = maker_session(4, n_arms, 6);
    for (int c = 0; c < 4; c++)
        for (int arm = 0; arm < n_arms; arm++)
            maker_fill(s, c, arm, 6, (6.0 + c) * share[arm], 0.01);
    return s;
}

static inline char *fixture_draw(struct app *a, int width, int height, bool ascii);

/* Draws, so that a screen asks for what it shows, and waits for the job that brings it. */
static inline void fixture_settle(struct app *a)
{
    free(fixture_draw(a, 80, 24, false));
    for (int i = 0; i < 5000 && a->job; i++) {
        app_update(a);
        usleep(1000);
    }
    if (a->job)
        TEST_FAIL("a job does not end");
}

static inline char *fixture_draw(struct app *a, int width, int height, bool ascii)
{
    struct grid g;
    if (grid_init(&g, width, height) != 0)
        abort();
    g.ascii = g.monochrome = ascii;
    app_draw(a, &g);
    char *text = grid_dump(&g, false);
    grid_free(&g);
    return text;
}

static inline char *fixture_read(const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return NULL;
    char *text = calloc(1, 1 << 20);
    if (text && fread(text, 1, (1 << 20) - 1, f) == 0)
        text[0] = 0;
    fclose(f);
    return text;
}

/* The picture against tests/golden/NAME.screen, first line that differs told. */
static inline void fixture_golden(const char *name, const char *got)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s.screen", name);
    if (getenv("BENCHTOP_UPDATE_GOLDEN")) {
        FILE *f = fopen(path, "wb");
        if (!f || fputs(got, f) < 0)
            TEST_FAIL("%s cannot be written", path);
        if (f)
            fclose(f);
        return;
    }
    char *want = fixture_read(path);
    if (!want) {
        TEST_FAIL("%s is missing: BENCHTOP_UPDATE_GOLDEN=1 writes it", path);
        return;
    }
    if (strcmp(got, want) != 0) {
        int line = 1;
        const char *g = got, *w = want;
        while (*g && *g == *w) {
            line += *g == '\n';
            g++;
            w++;
        }
        TEST_FAIL("%s differs from line %d on; drawn:\n%s", path, line, got);
    }
    free(want);
}

static inline void fixture_check(struct app *a, const char *name, int width, int height, bool ascii)
{
    char full[128];
    snprintf(full, sizeof full, "%s-%dx%d%s", name, width, height, ascii ? "-ascii" : "");
    char *text = fixture_draw(a, width, height, ascii);
    fixture_golden(full, text);
    if (ascii)
        for (const char *c = text; *c; c++)
            if ((unsigned char)*c >= 0x80) {
                TEST_FAIL("%s holds a character beyond ASCII", full);
                break;
            }
    free(text);
}

static inline void fixture_check_sizes(struct app *a, const char *name)
{
    static const int size[][2] = {{40, 10}, {80, 24}, {100, 30}, {160, 45}};
    for (int i = 0; i < 4; i++)
        fixture_check(a, name, size[i][0], size[i][1], false);
    fixture_check(a, name, 80, 24, true);
}

static inline void fixture_keys(struct app *a, const char *keys)
{
    for (; *keys; keys++)
        app_key(a, *keys == '\n'     ? KEY_CODE_ENTER
                   : *keys == '\t'   ? KEY_CODE_TAB
                   : *keys == '\033' ? KEY_CODE_ESCAPE
                                     : *keys);
}
