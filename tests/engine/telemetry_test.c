#include "engine/telemetry.h"

#include "tests/test.h"
#include <time.h>

static int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void sleep_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, (long)(ms % 1000) * 1000000}, NULL);
}

TEST(readings_come_in_order_with_what_this_machine_tells)
{
    struct error e = {0};
    int64_t from = now_ns();
    struct telemetry *t = telemetry_start("", &e);
    if (!t) {
        TEST_FAIL("%s", e.text);
        return;
    }
    struct telemetry_reading r[TELEMETRY_READINGS];
    int n = 0;
    for (int i = 0; i < 500 && n < 2; i++) {
        sleep_ms(10);
        n = telemetry_recent(t, r, TELEMETRY_READINGS);
    }
    CHECK(n >= 2);
    CHECK(r[0].time_ns >= from && r[1].time_ns > r[0].time_ns);
    CHECK_CLOSE((double)(r[1].time_ns - r[0].time_ns) / 1e6, TELEMETRY_PERIOD_MS, 0.5);
    CHECK(r[1].values.valid & TELEMETRY_MEMORY);
    CHECK(r[1].values.memory_bytes > 100000);
    CHECK(r[1].values.valid & TELEMETRY_LOAD); /* needs two readings */
    CHECK(r[1].values.load >= 0 && r[1].values.load <= 1);
    CHECK(!(r[0].values.valid & TELEMETRY_LOAD));
    if (r[1].values.valid & TELEMETRY_CLOCK)
        CHECK(r[1].values.clock_mhz > 100 && r[1].values.clock_mhz < 10000);
    if (r[1].values.valid & TELEMETRY_TEMPERATURE)
        CHECK(r[1].values.temperature_c > -50 && r[1].values.temperature_c < 150);

    struct telemetry_reading last;
    CHECK_INT(telemetry_recent(t, &last, 1), 1);
    CHECK(last.time_ns >= r[1].time_ns);
    CHECK_INT(telemetry_recent(t, &last, 0), 0);

    struct block_telemetry one = telemetry_between(t, r[0].time_ns, r[0].time_ns);
    CHECK_INT(one.memory_bytes, r[0].values.memory_bytes);
    struct block_telemetry both = telemetry_between(t, r[0].time_ns, r[1].time_ns);
    CHECK_CLOSE((double)both.memory_bytes,
                ((double)r[0].values.memory_bytes + (double)r[1].values.memory_bytes) / 2, 1e-6);
    CHECK_CLOSE(both.load, r[1].values.load, 1e-12); /* the mean of those that have it */
    CHECK_INT(telemetry_between(t, 1, 2).valid, 0);
    telemetry_stop(t);
}

TEST(stopping_does_not_wait_for_the_next_reading)
{
    struct error e = {0};
    int64_t from = now_ns();
    for (int i = 0; i < 5; i++) {
        struct telemetry *t = telemetry_start("", &e);
        CHECK(t != NULL);
        telemetry_stop(t);
    }
    CHECK(now_ns() - from < 1500000000); /* five periods would be 2.5 s */
    telemetry_stop(NULL);
}
