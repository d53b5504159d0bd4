/* What the hardware does now: a thread that reads cheap fields at a low rate (cpu: /proc/stat, /proc/meminfo,
 * cpufreq, thermal zones; a GPU: NVML, and of the cpu the load by others alone), never inside anything it
 * could disturb. Only writer of its ring. */
#pragma once

#include "engine/session.h"

struct telemetry_reading {
    int64_t time_ns; /* CLOCK_MONOTONIC */
    struct block_telemetry values;
};
enum { TELEMETRY_READINGS = 512, TELEMETRY_PERIOD_MS = 500 };

struct telemetry;
/* gpu: the uuid of the GPU that is measured, "" for the cpu. Without NVML a GPU's fields stay invalid. */
struct telemetry *telemetry_start(const char *gpu, struct error *e);
void telemetry_stop(struct telemetry *t); /* NULL is fine */
/* Any thread: the newest readings, oldest first, at most max; returns how many. A torn slot is never
 * returned. */
int telemetry_recent(const struct telemetry *t, struct telemetry_reading *out, int max);
/* Mean of the readings between two monotonic times; valid = 0 when there are none. */
struct block_telemetry telemetry_between(const struct telemetry *t, int64_t from_ns, int64_t to_ns);
