/* NVML through functions of the test's own: what is read, what is missing, and what is never called. */
#include "engine/nvml.h"

#include "engine/device_datasheet.h"
#include "tests/test.h"

#include <unistd.h>

static int opened, fail_uuid, fail_fields;
static unsigned long long reasons_now;

static int fake_init(void)
{
    opened++;
    return 0;
}

static int fake_shutdown(void)
{
    opened--;
    return 0;
}

static const char *fake_words(int status)
{
    return status == 6 ? "Not Found" : "Not Supported";
}

static int fake_driver(char *out, unsigned size)
{
    snprintf(out, size, "580.65.06");
    return 0;
}

static int fake_by_uuid(const char *uuid, void **device)
{
    *device = (void *)(uintptr_t)uuid;
    return fail_uuid ? 6 : 0;
}

static int fake_clock(void *device, int kind, unsigned *mhz)
{
    (void)device;
    *mhz = kind == 1 ? 1980 : 3201;
    return fail_fields ? 3 : 0;
}

static int fake_max_clock(void *device, int kind, unsigned *mhz)
{
    return fake_clock(device, kind, mhz);
}

static int fake_power(void *device, unsigned *milliwatts)
{
    (void)device;
    *milliwatts = 612500;
    return fail_fields ? 3 : 0;
}

static int fake_temperature(void *device, int sensor, unsigned *celsius)
{
    (void)device;
    *celsius = sensor == 0 ? 54 : 0;
    return fail_fields ? 3 : 0;
}

static int fake_reasons(void *device, unsigned long long *out)
{
    (void)device;
    *out = reasons_now;
    return fail_fields ? 3 : 0;
}

static int fake_memory(void *device, void *info)
{
    unsigned long long *m = info;
    (void)device;
    m[0] = 150;
    m[1] = 100;
    m[2] = 50;
    return fail_fields ? 3 : 0;
}

static int fake_utilization(void *device, void *rates)
{
    unsigned *r = rates;
    (void)device;
    r[0] = 87;
    r[1] = 12;
    return fail_fields ? 3 : 0;
}

struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

static int fake_processes(void *device, unsigned *count, void *infos)
{
    struct process *p = infos;
    (void)device;
    p[0] = (struct process){.pid = (unsigned)getpid(), .used = 1000};
    p[1] = (struct process){.pid = 1, .used = 30};
    p[2] = (struct process){.pid = 2, .used = ~0ull}; /* a container does not tell */
    *count = 3;
    return fail_fields ? 3 : 0;
}

static int fake_switch(void *device, int *on)
{
    (void)device;
    *on = 1;
    return 0;
}

static const struct nvml_calls calls = {
    .init = fake_init,
    .shutdown = fake_shutdown,
    .error_string = fake_words,
    .driver_version = fake_driver,
    .by_uuid = fake_by_uuid,
    .clock = fake_clock,
    .max_clock = fake_max_clock,
    .power = fake_power,
    .power_limit = fake_power,
    .temperature = fake_temperature,
    .reasons = fake_reasons,
    .memory = fake_memory,
    .utilization = fake_utilization,
    .processes = fake_processes,
    .persistence = fake_switch,
};

TEST(a_reading_has_every_field_in_its_unit)
{
    char why[200] = "";
    struct nvml_reading r;
    struct nvml *n = nvml_open_on(&calls, "GPU-1", why, sizeof why);
    CHECK(n && opened == 1);
    fail_fields = 0;
    reasons_now = NVML_POWER_CAP;
    nvml_read(n, &r);
    CHECK_INT(r.valid, 255);
    CHECK_CLOSE(r.sm_mhz, 1980, 0);
    CHECK_CLOSE(r.memory_mhz, 3201, 0);
    CHECK_CLOSE(r.power_w, 612.5, 1e-12);
    CHECK_CLOSE(r.temperature_c, 54, 0);
    CHECK_CLOSE(r.utilization, 0.87, 1e-12);
    CHECK_INT(r.memory_total, 150);
    CHECK_INT(r.memory_free, 100);
    CHECK_INT(r.memory_used, 50);
    CHECK_INT(r.reasons, NVML_POWER_CAP);
    CHECK_INT(r.others, 2);
    CHECK_INT(r.others_bytes, 30);
    nvml_close(n);
    CHECK_INT(opened, 0);
}

TEST(what_a_driver_does_not_tell_stays_invalid_and_not_zero)
{
    char why[200] = "";
    struct nvml_reading r;
    struct nvml_facts f;
    struct nvml *n = nvml_open_on(&calls, "GPU-1", why, sizeof why);
    fail_fields = 1;
    nvml_read(n, &r);
    CHECK_INT(r.valid, 0);
    fail_fields = 0;
    nvml_facts(n, &f);
    CHECK_STRING(f.driver, "580.65.06");
    CHECK_CLOSE(f.power_limit_w, 612.5, 1e-12);
    CHECK_INT(f.persistence, 1);
    CHECK_INT(f.ecc, -1); /* no such function in this library */
    nvml_close(n);
}

TEST(an_unknown_gpu_is_refused_in_words_and_nothing_stays_open)
{
    char why[200] = "";
    fail_uuid = 1;
    CHECK(!nvml_open_on(&calls, "GPU-2", why, sizeof why));
    CHECK_CONTAINS(why, "GPU-2");
    CHECK_CONTAINS(why, "Not Found");
    CHECK_INT(opened, 0);
    fail_uuid = 0;
}

TEST(reasons_are_told_in_words_and_settings_are_no_throttling)
{
    char text[200], small[8];
    nvml_reasons_text(NVML_POWER_CAP | NVML_HW_THERMAL, text, sizeof text);
    CHECK_STRING(text, "power cap, hot: clocks lowered by the hardware");
    nvml_reasons_text(0, text, sizeof text);
    CHECK_STRING(text, "");
    nvml_reasons_text(~0u, small, sizeof small);
    CHECK(strlen(small) == 7);
    CHECK(!((NVML_IDLE | NVML_CLOCKS_SETTING | NVML_DISPLAY_CLOCK) & NVML_THROTTLES));
}

TEST(a_data_sheet_belongs_to_one_card_alone)
{
    const struct device_datasheet *h200 = device_datasheet_find("NVIDIA H200");
    CHECK(h200 && h200->read_bandwidth > 4.7e12 && h200->rate[2] > 9e14);
    CHECK(!device_datasheet_find("NVIDIA GeForce RTX 4090 Laptop GPU"));
    CHECK(!device_datasheet_find(""));
    static const char *const cards[] = {
        "NVIDIA H100 80GB HBM3",   "NVIDIA A100-SXM4-80GB",  "NVIDIA L4", "NVIDIA L40S", "NVIDIA B200",
        "NVIDIA GeForce RTX 4090", "NVIDIA GeForce RTX 5090"};
    for (size_t i = 0; i < sizeof cards / sizeof *cards; i++) {
        const struct device_datasheet *s = device_datasheet_find(cards[i]);
        CHECK(s && s->source[0]);
        /* an integer tensor core does at least twice the work of a 16-bit one, and that more than fp32 */
        CHECK(s && s->rate[3] >= 1.99 * s->rate[2] && s->rate[2] >= s->rate[0]);
    }
}
