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

/* A folder for sessions where a sync costs nothing, else the build's. */
static inline const char *fake_folder(void)
{
    return access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "build";
}

static inline const char *fake_path(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/fake-run-%ld.json", fake_folder(), (long)getpid());
    return path;
}

/* A llama of toy size as a model file, so that weights take no time; its path. */
static inline const char *fake_toy(void)
{
    static char path[128];
    snprintf(path, sizeof path, "%s/fake-toy-%ld.json", fake_folder(), (long)getpid());
    FILE *f = fopen(path, "w");
    if (!f) {
        TEST_FAIL("%s cannot be written", path);
        return path;
    }
    fputs(
        "{\"schema\":\"benchtop/model/"
        "1\",\"name\":\"toy\",\"title\":\"Toy\",\"family\":\"llama\",\"layers\":2,"
        "\"d_model\":64,\"heads\":4,\"kv_heads\":2,\"head_dim\":16,\"ffn\":160,\"vocab\":500,\"context\":128,"
        "\"norm_eps\":1e-5,\"rope_theta\":10000,\"rotary_dims\":16,\"tied\":false,\"source\":\"a test\"}",
        f);
    fclose(f);
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
