/* Whole runs on the fake device, for the tests of engine, measure and runner. */
#pragma once

#include "engine/engine.h"
#include "tests/test.h"
#include <time.h>
#include <unistd.h>

static inline struct preset fake_preset(const char *json)
{
    struct preset p = {0};
    struct error warning = {0}, e = {0};
    setenv("BENCHTOP_CATALOG", "presets", 1);
    if (preset_parse(json, strlen(json), "test", &p, &warning, &e) < 0)
        TEST_FAIL("preset: %s", e.text);
    if (warning.text[0])
        TEST_FAIL("preset warns: %s", warning.text);
    return p;
}

static inline const char *fake_path(void)
{
    static char path[128];
    snprintf(path, sizeof path, "build/fake-run-%ld.json", (long)getpid());
    return path;
}

static inline const char *fake_journal(void)
{
    static char path[160];
    snprintf(path, sizeof path, "%s.journal", fake_path());
    return path;
}

static inline struct engine *fake_start_at(const struct preset *p, const struct session *resume,
                                           bool realtime)
{
    struct error e = {0};
    struct engine_options o = {
        .preset = p, .resume = resume, .session_path = fake_path(), .wake_fd = -1, .realtime = realtime};
    struct engine *g = engine_start(&o, &e);
    if (!g)
        TEST_FAIL("engine_start: %s", e.text);
    return g;
}

static inline struct engine *fake_start(const struct preset *p, const struct session *resume)
{
    return fake_start_at(p, resume, false);
}

/* Starts and waits for the end; NULL after a failure. */
static inline struct engine *fake_run(const char *json)
{
    struct preset p = fake_preset(json);
    struct engine *g = fake_start(&p, NULL);
    preset_free(&p);
    if (g)
        engine_join(g);
    return g;
}

static inline void fake_end(struct engine *g)
{
    engine_free(g);
    unlink(fake_path());
    unlink(fake_journal());
}

static inline void fake_sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

/* Waits (at most about 5 s) until the log holds an entry of this kind; its index + 1, or 0. */
static inline size_t fake_await(struct engine *g, enum log_kind kind)
{
    for (int i = 0; i < 5000; i++) {
        size_t n = log_length(engine_log(g));
        for (size_t k = 0; k < n; k++)
            if (log_get(engine_log(g), k)->kind == kind)
                return k + 1;
        fake_sleep_ms(1);
    }
    return 0;
}

static inline int fake_count(struct engine *g, enum log_kind kind)
{
    int count = 0;
    size_t n = log_length(engine_log(g));
    for (size_t k = 0; k < n; k++)
        count += log_get(engine_log(g), k)->kind == kind;
    return count;
}
