/* The stand-in for libnvidia-ml.so.1 (NVML API Reference): a calm device whose readings the environment may
 * change.
 *
 *   EMULATED_NVML=absent            nvmlInit fails as without a driver
 *   EMULATED_NVML=NAME=VALUE,...    reasons (a bit mask), sm, memory (MHz), power (mW), temperature (C),
 *                                   utilization (%), others (processes of others); or
 *   EMULATED_NVML=@FILE             the same from a file, read at every call, so that it can change during a
 * run
 *
 * Memory is what the program's own device says. */
#include <cuda_runtime_api.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

enum { SUCCESS = 0, INVALID_ARGUMENT = 2, NOT_FOUND = 6, DRIVER_NOT_LOADED = 9 };

static char device;

static void read_settings(char *out, size_t size)
{
    const char *text = getenv("EMULATED_NVML");
    out[0] = '\0';
    if (text && text[0] == '@') {
        FILE *f = fopen(text + 1, "r");
        if (f) {
            out[fread(out, 1, size - 1, f)] = '\0';
            fclose(f);
        }
    } else if (text) {
        snprintf(out, size, "%s", text);
    }
}

static unsigned long long setting(const char *name, unsigned long long otherwise)
{
    char text[400], *save = NULL;
    read_settings(text, sizeof text);
    for (char *part = strtok_r(text, ",\n", &save); part; part = strtok_r(NULL, ",\n", &save)) {
        char *equals = strchr(part, '=');
        if (equals && (size_t)(equals - part) == strlen(name) && strncmp(part, name, strlen(name)) == 0)
            return strtoull(equals + 1, NULL, 0);
    }
    return otherwise;
}

EXPORTED int nvmlInit_v2(void)
{
    char text[400];
    read_settings(text, sizeof text);
    return strcmp(text, "absent") == 0 ? DRIVER_NOT_LOADED : SUCCESS;
}

EXPORTED int nvmlShutdown(void)
{
    return SUCCESS;
}

EXPORTED const char *nvmlErrorString(int error)
{
    return error == SUCCESS             ? "Success"
           : error == INVALID_ARGUMENT  ? "Invalid Argument"
           : error == NOT_FOUND         ? "Not Found"
           : error == DRIVER_NOT_LOADED ? "Driver Not Loaded"
                                        : "Unknown Error";
}

EXPORTED int nvmlSystemGetDriverVersion(char *out, unsigned size)
{
    snprintf(out, size, "emulated");
    return SUCCESS;
}

EXPORTED int nvmlDeviceGetHandleByUUID(const char *uuid, void **out)
{
    *out = &device;
    return uuid && strncmp(uuid, "GPU-", 4) == 0 ? SUCCESS : NOT_FOUND;
}

EXPORTED int nvmlDeviceGetClockInfo(void *d, int kind, unsigned *mhz)
{
    (void)d;
    *mhz = (unsigned)(kind == 1 ? setting("sm", 1980) : setting("memory", 3201));
    return kind == 1 || kind == 2 ? SUCCESS : INVALID_ARGUMENT;
}

EXPORTED int nvmlDeviceGetMaxClockInfo(void *d, int kind, unsigned *mhz)
{
    (void)d;
    *mhz = kind == 1 ? 1980 : 3201;
    return kind == 1 || kind == 2 ? SUCCESS : INVALID_ARGUMENT;
}

EXPORTED int nvmlDeviceGetPowerUsage(void *d, unsigned *milliwatts)
{
    (void)d;
    *milliwatts = (unsigned)setting("power", 120000);
    return SUCCESS;
}

EXPORTED int nvmlDeviceGetEnforcedPowerLimit(void *d, unsigned *milliwatts)
{
    (void)d;
    *milliwatts = 700000;
    return SUCCESS;
}

EXPORTED int nvmlDeviceGetTemperature(void *d, int sensor, unsigned *celsius)
{
    (void)d;
    *celsius = (unsigned)setting("temperature", 41);
    return sensor == 0 ? SUCCESS : INVALID_ARGUMENT;
}

EXPORTED int nvmlDeviceGetCurrentClocksEventReasons(void *d, unsigned long long *reasons)
{
    (void)d;
    *reasons = setting("reasons", 0);
    return SUCCESS;
}

struct memory {
    unsigned long long total, free, used;
};

EXPORTED int nvmlDeviceGetMemoryInfo(void *d, struct memory *out)
{
    size_t available = 0, total = 0;
    (void)d;
    cudaMemGetInfo(&available, &total);
    *out = (struct memory){total, available, total - available};
    return SUCCESS;
}

struct utilization {
    unsigned gpu, memory;
};

EXPORTED int nvmlDeviceGetUtilizationRates(void *d, struct utilization *out)
{
    (void)d;
    *out = (struct utilization){(unsigned)setting("utilization", 7), 3};
    return SUCCESS;
}

struct process {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

/* This program, then the others. */
EXPORTED int nvmlDeviceGetComputeRunningProcesses_v3(void *d, unsigned *count, struct process *out)
{
    unsigned wanted = 1 + (unsigned)setting("others", 0), room = *count;
    (void)d;
    *count = wanted;
    if (room < wanted)
        return 7; /* NVML_ERROR_INSUFFICIENT_SIZE */
    for (unsigned i = 0; i < wanted; i++)
        out[i] = (struct process){(unsigned)getpid() + i, 64ull << 20, ~0u, ~0u};
    return SUCCESS;
}

EXPORTED int nvmlDeviceGetPersistenceMode(void *d, int *on)
{
    (void)d;
    *on = 1;
    return SUCCESS;
}

EXPORTED int nvmlDeviceGetEccMode(void *d, int *on, int *pending)
{
    (void)d;
    *on = *pending = 1;
    return SUCCESS;
}
