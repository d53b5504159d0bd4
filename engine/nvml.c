#include "engine/nvml.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CLOCK_SM = 1, CLOCK_MEMORY = 2, SENSOR_GPU = 0, PROCESSES_MAX = 64, BUFFER_TOO_SMALL = 7 };

struct nvml {
    struct nvml_calls call;
    void *library; /* NULL: the caller's own functions */
    void *device;
};

/* The library's structures, as its header lays them out. */
struct memory_info {
    unsigned long long total, free, used;
};
struct rates {
    unsigned gpu, memory;
};
struct process_info {
    unsigned pid;
    unsigned long long used;
    unsigned gpu_instance, compute_instance;
};

static bool find(void *library, const char *name, void *function)
{
    void *p = dlsym(library, name);
    if (p)
        memcpy(function, &p, sizeof p); /* a function from a data pointer: what dlsym leaves to its callers */
    return p != NULL;
}

/* False: what every driver has is missing. */
static bool find_all(void *l, struct nvml_calls *c)
{
    if (!find(l, "nvmlDeviceGetCurrentClocksEventReasons", &c->reasons))
        find(l, "nvmlDeviceGetCurrentClocksThrottleReasons", &c->reasons);
    if (!find(l, "nvmlDeviceGetComputeRunningProcesses_v3", &c->processes))
        c->processes = NULL; /* older versions have another structure */
    find(l, "nvmlErrorString", &c->error_string);
    find(l, "nvmlSystemGetDriverVersion", &c->driver_version);
    find(l, "nvmlDeviceGetClockInfo", &c->clock);
    find(l, "nvmlDeviceGetMaxClockInfo", &c->max_clock);
    find(l, "nvmlDeviceGetPowerUsage", &c->power);
    find(l, "nvmlDeviceGetEnforcedPowerLimit", &c->power_limit);
    find(l, "nvmlDeviceGetTemperature", &c->temperature);
    find(l, "nvmlDeviceGetMemoryInfo", &c->memory);
    find(l, "nvmlDeviceGetUtilizationRates", &c->utilization);
    find(l, "nvmlDeviceGetPersistenceMode", &c->persistence);
    find(l, "nvmlDeviceGetEccMode", &c->ecc);
    return find(l, "nvmlInit_v2", &c->init) && find(l, "nvmlShutdown", &c->shutdown) &&
           find(l, "nvmlDeviceGetHandleByUUID", &c->by_uuid);
}

static const char *words(const struct nvml_calls *c, int status)
{
    const char *text = c->error_string ? c->error_string(status) : NULL;
    return text ? text : "no words for it";
}

struct nvml *nvml_open_on(const struct nvml_calls *calls, const char *uuid, char *why, size_t why_size)
{
    struct nvml *n = calloc(1, sizeof *n);
    if (!n) {
        snprintf(why, why_size, "no memory: close other programs");
        return NULL;
    }
    n->call = *calls;
    int status = n->call.init();
    if (status != 0) {
        snprintf(why, why_size, "NVML does not start (%s): nvidia-smi may say more", words(calls, status));
        free(n);
        return NULL;
    }
    status = n->call.by_uuid(uuid, &n->device);
    if (status != 0) {
        snprintf(why, why_size, "NVML does not know %s (%s): nvidia-smi -L lists what it knows", uuid,
                 words(calls, status));
        nvml_close(n);
        return NULL;
    }
    return n;
}

struct nvml *nvml_open(const char *uuid, char *why, size_t why_size)
{
    struct nvml_calls calls = {0};
    void *library = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library) {
        snprintf(
            why, why_size,
            "libnvidia-ml.so.1 was not found: it comes with NVIDIA's driver; runs work without it, clocks "
            "and throttling are not seen");
        return NULL;
    }
    struct nvml *n = NULL;
    if (find_all(library, &calls))
        n = nvml_open_on(&calls, uuid, why, why_size);
    else
        snprintf(why, why_size, "libnvidia-ml.so.1 is too old: install a newer driver");
    if (n)
        n->library = library;
    else
        dlclose(library);
    return n;
}

void nvml_close(struct nvml *n)
{
    if (!n)
        return;
    n->call.shutdown();
    if (n->library)
        dlclose(n->library);
    free(n);
}

void nvml_reasons_text(unsigned reasons, char *out, size_t size)
{
    static const struct {
        unsigned bit;
        const char *words;
    } names[] = {
        {NVML_POWER_CAP, "power cap"},
        {NVML_HW_SLOWDOWN, "hardware slowdown"},
        {NVML_SYNC_BOOST, "sync boost with another GPU"},
        {NVML_SW_THERMAL, "hot: clocks lowered by the driver"},
        {NVML_HW_THERMAL, "hot: clocks lowered by the hardware"},
        {NVML_POWER_BRAKE, "power brake from outside"},
        {NVML_CLOCKS_SETTING, "clocks set by hand"},
        {NVML_DISPLAY_CLOCK, "clocks of a display"},
        {NVML_IDLE, "idle"},
    };
    size_t used = 0;
    if (size > 0)
        out[0] = '\0';
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (!(reasons & names[i].bit) || used >= size)
            continue;
        int n = snprintf(out + used, size - used, "%s%s", used ? ", " : "", names[i].words);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* A number that the driver may not have for this card. */
static void read_number(int (*call)(void *, unsigned *), void *device, double scale, double *out,
                        unsigned *valid, unsigned bit)
{
    unsigned value;
    if (call && call(device, &value) == 0) {
        *out = value * scale;
        *valid |= bit;
    }
}

static void read_clock(const struct nvml *n, int kind, double *out, unsigned *valid, unsigned bit)
{
    unsigned mhz;
    if (n->call.clock && n->call.clock(n->device, kind, &mhz) == 0) {
        *out = mhz;
        *valid |= bit;
    }
}

/* Memory that a process uses is unknown (all bits set) inside containers. */
static void read_processes(const struct nvml *n, struct nvml_reading *out)
{
    struct process_info info[PROCESSES_MAX];
    unsigned count = PROCESSES_MAX;
    if (!n->call.processes)
        return;
    int status = n->call.processes(n->device, &count, info);
    if (status != 0 && status != BUFFER_TOO_SMALL)
        return;
    out->valid |= NVML_PROCESSES;
    unsigned told = status == 0 ? count : 0;
    out->others = status == 0 ? 0 : (int)count;
    for (unsigned i = 0; i < told && i < PROCESSES_MAX; i++) {
        if (info[i].pid == (unsigned)getpid())
            continue;
        out->others++;
        if (info[i].used != ~0ull)
            out->others_bytes += (int64_t)info[i].used;
    }
}

void nvml_read(struct nvml *n, struct nvml_reading *out)
{
    struct memory_info memory;
    struct rates rates;
    unsigned long long reasons;
    unsigned celsius;
    *out = (struct nvml_reading){0};
    read_clock(n, CLOCK_SM, &out->sm_mhz, &out->valid, NVML_SM_CLOCK);
    read_clock(n, CLOCK_MEMORY, &out->memory_mhz, &out->valid, NVML_MEMORY_CLOCK);
    read_number(n->call.power, n->device, 1e-3, &out->power_w, &out->valid, NVML_POWER);
    if (n->call.temperature && n->call.temperature(n->device, SENSOR_GPU, &celsius) == 0) {
        out->temperature_c = celsius;
        out->valid |= NVML_TEMPERATURE;
    }
    if (n->call.reasons && n->call.reasons(n->device, &reasons) == 0) {
        out->reasons = (unsigned)reasons;
        out->valid |= NVML_REASONS;
    }
    if (n->call.memory && n->call.memory(n->device, &memory) == 0) {
        out->memory_used = (int64_t)memory.used;
        out->memory_free = (int64_t)memory.free;
        out->memory_total = (int64_t)memory.total;
        out->valid |= NVML_MEMORY;
    }
    if (n->call.utilization && n->call.utilization(n->device, &rates) == 0) {
        out->utilization = rates.gpu / 100.0;
        out->valid |= NVML_UTILIZATION;
    }
    read_processes(n, out);
}

void nvml_facts(struct nvml *n, struct nvml_facts *out)
{
    const struct nvml_calls *c = &n->call;
    unsigned value, unused = 0;
    int on, pending;
    *out = (struct nvml_facts){.persistence = -1, .ecc = -1};
    if (!c->driver_version || c->driver_version(out->driver, sizeof out->driver) != 0)
        out->driver[0] = '\0';
    if (c->max_clock && c->max_clock(n->device, CLOCK_SM, &value) == 0)
        out->max_sm_mhz = value;
    if (c->max_clock && c->max_clock(n->device, CLOCK_MEMORY, &value) == 0)
        out->max_memory_mhz = value;
    read_number(c->power_limit, n->device, 1e-3, &out->power_limit_w, &unused, 1);
    if (c->persistence && c->persistence(n->device, &on) == 0)
        out->persistence = on != 0;
    if (c->ecc && c->ecc(n->device, &on, &pending) == 0)
        out->ecc = on != 0;
}
