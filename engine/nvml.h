/* NVIDIA's management library, opened at run time with prototypes of our own (NVML API Reference Guide): what
 * a GPU does now, who else uses it, and what it may do. Only reads: clocks, power limits and modes are never
 * changed. Needs no CUDA and creates no context. Any thread; one handle is used by one thread at a time. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The library's functions, named without their prefix. Those that older drivers lack may be NULL. */
struct nvml_calls {
    int (*init)(void);
    int (*shutdown)(void);
    const char *(*error_string)(int);
    int (*driver_version)(char *, unsigned);
    int (*by_uuid)(const char *, void **);
    int (*clock)(void *, int kind, unsigned *mhz);
    int (*max_clock)(void *, int kind, unsigned *mhz);
    int (*power)(void *, unsigned *milliwatts);
    int (*power_limit)(void *, unsigned *milliwatts);
    int (*temperature)(void *, int sensor, unsigned *celsius);
    int (*reasons)(void *, unsigned long long *);
    int (*memory)(void *, void *info);
    int (*utilization)(void *, void *rates);
    int (*processes)(void *, unsigned *count, void *infos);
    int (*persistence)(void *, int *);
    int (*ecc)(void *, int *current, int *pending);
};

struct nvml;

/* uuid: "GPU-...", of struct kernel_device. NULL with the reason in why: no library, no such GPU. */
struct nvml *nvml_open(const char *uuid, char *why, size_t why_size);
/* The same on functions that the caller has: tests. calls is copied. */
struct nvml *nvml_open_on(const struct nvml_calls *calls, const char *uuid, char *why, size_t why_size);
void nvml_close(struct nvml *n); /* NULL is fine */

/* Why clocks are below what was asked for (nvmlClocksEventReasons). */
enum nvml_reason {
    NVML_IDLE = 0x1,
    NVML_CLOCKS_SETTING = 0x2, /* application or locked clocks: by order, not by need */
    NVML_POWER_CAP = 0x4,
    NVML_HW_SLOWDOWN = 0x8,
    NVML_SYNC_BOOST = 0x10,
    NVML_SW_THERMAL = 0x20,
    NVML_HW_THERMAL = 0x40,
    NVML_POWER_BRAKE = 0x80,
    NVML_DISPLAY_CLOCK = 0x100
};
/* Those that take speed away from a run: all but idle and the settings. */
#define NVML_THROTTLES                                                                                       \
    (NVML_POWER_CAP | NVML_HW_SLOWDOWN | NVML_SYNC_BOOST | NVML_SW_THERMAL | NVML_HW_THERMAL |               \
     NVML_POWER_BRAKE)
/* "power cap, hot (software)"; "" for none. */
void nvml_reasons_text(unsigned reasons, char *out, size_t size);

/* A reading; `valid` says which the driver gave, one bit per member in this order. */
enum nvml_field {
    NVML_SM_CLOCK = 1,
    NVML_MEMORY_CLOCK = 2,
    NVML_POWER = 4,
    NVML_TEMPERATURE = 8,
    NVML_REASONS = 16,
    NVML_MEMORY = 32,
    NVML_UTILIZATION = 64,
    NVML_PROCESSES = 128
};
struct nvml_reading {
    unsigned valid;
    double sm_mhz, memory_mhz, power_w, temperature_c;
    unsigned reasons; /* nvml_reason mask */
    int64_t memory_used, memory_free, memory_total;
    double utilization;   /* share of the last interval in which any kernel ran, 0..1 */
    int others;           /* processes beside this one that compute on it */
    int64_t others_bytes; /* their memory, as far as the driver tells */
};
void nvml_read(struct nvml *n, struct nvml_reading *out);

/* What does not change during a run; -1 or 0 and "" where the driver does not say. */
struct nvml_facts {
    char driver[32];
    double max_sm_mhz, max_memory_mhz, power_limit_w;
    int persistence, ecc; /* 0 off, 1 on, -1 not known */
};
void nvml_facts(struct nvml *n, struct nvml_facts *out);
