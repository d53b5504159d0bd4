#define _GNU_SOURCE /* sched_getaffinity */
#include "engine/telemetry.h"

#include "engine/device_file.h"
#include "engine/nvml.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Reading a core's clock may interrupt that core: of very many, the first ones are enough. */
enum { CLOCK_CORES = 64, PATH_SIZE = 320, TEXT_SIZE = 16384, TELEMETRY_MEANS = 8 };

struct telemetry {
    pthread_t thread;
    pthread_mutex_t lock; /* ring, count, stop */
    pthread_cond_t changed;
    bool stop;
    struct telemetry_reading ring[TELEMETRY_READINGS];
    uint64_t count; /* readings ever written */

    /* the thread's own */
    bool gpu;
    struct nvml *nvml; /* NULL: no GPU, or no library for it */
    char clock_path[CLOCK_CORES][PATH_SIZE];
    int n_clocks;
    char temperature_path[PATH_SIZE], energy_path[PATH_SIZE];
    double energy_range_uj;
    bool has_last;
    double last_busy, last_total, last_own_s, last_energy_uj;
    int64_t last_ns;
};

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* The beginning of a small file of /proc or /sys as text; false: it cannot be read. */
static bool read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t n = read(fd, out, size - 1);
    close(fd);
    if (n <= 0)
        return false;
    out[n] = '\0';
    return true;
}

static bool read_number(const char *path, double *out)
{
    char text[64], *end;
    if (!path[0] || !read_text(path, text, sizeof text))
        return false;
    *out = strtod(text, &end);
    return end != text;
}

static void find_clocks(struct telemetry *t)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return;
    for (size_t c = 0; c < CPU_SETSIZE && t->n_clocks < CLOCK_CORES; c++) {
        double khz;
        char *path = t->clock_path[t->n_clocks];
        if (!CPU_ISSET(c, &set))
            continue;
        snprintf(path, PATH_SIZE, "/sys/devices/system/cpu/cpu%zu/cpufreq/scaling_cur_freq", c);
        if (read_number(path, &khz))
            t->n_clocks++;
    }
}

/* The processor's own sensor: a hwmon of its driver, else a thermal zone of its name. */
static void find_temperature(struct telemetry *t)
{
    static const struct {
        const char *folder, *kind_file, *value_file, *kinds[4];
    } places[] = {
        {"/sys/class/hwmon", "name", "temp1_input", {"k10temp", "coretemp", "zenpower", NULL}},
        {"/sys/class/thermal", "type", "temp", {"x86_pkg_temp", "cpu-thermal", "cpu_thermal", NULL}}};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        DIR *d = opendir(places[i].folder);
        for (struct dirent *f; d && (f = readdir(d));) {
            char path[PATH_SIZE], kind[64];
            double value;
            snprintf(path, sizeof path, "%s/%.200s/%s", places[i].folder, f->d_name, places[i].kind_file);
            if (!read_text(path, kind, sizeof kind))
                continue;
            kind[strcspn(kind, "\n")] = '\0';
            for (int k = 0; places[i].kinds[k]; k++) {
                snprintf(path, sizeof path, "%s/%.200s/%s", places[i].folder, f->d_name,
                         places[i].value_file);
                if (strcmp(kind, places[i].kinds[k]) == 0 && read_number(path, &value))
                    memcpy(t->temperature_path, path, sizeof path);
            }
        }
        if (d)
            closedir(d);
        if (t->temperature_path[0])
            return;
    }
}

static void find_energy(struct telemetry *t)
{
    double uj;
    snprintf(t->energy_path, sizeof t->energy_path, "/sys/class/powercap/intel-rapl:0/energy_uj");
    if (!read_number(t->energy_path, &uj) ||
        !read_number("/sys/class/powercap/intel-rapl:0/max_energy_range_uj", &t->energy_range_uj))
        t->energy_path[0] = '\0'; /* usually readable by root alone */
}

/* The highest of the cores: idle ones step down, and the question is whether the working ones may not. */
static void read_clock(struct telemetry *t, struct block_telemetry *v)
{
    double highest = 0, khz;
    for (int i = 0; i < t->n_clocks; i++)
        if (read_number(t->clock_path[i], &khz) && khz / 1e3 > highest)
            highest = khz / 1e3;
    char text[TEXT_SIZE]; /* virtual machines have no cpufreq, but often this */
    if (t->n_clocks == 0 && read_text("/proc/cpuinfo", text, sizeof text))
        for (const char *at = text; (at = strstr(at, "cpu MHz")); at++) {
            const char *colon = strchr(at, ':');
            double mhz = colon ? strtod(colon + 1, NULL) : 0;
            highest = mhz > highest ? mhz : highest;
        }
    if (highest > 0) {
        v->clock_mhz = highest;
        v->valid |= TELEMETRY_CLOCK;
    }
}

/* What needs two readings: the share of the machine that others use, and power. */
static void read_rates(struct telemetry *t, int64_t now, struct block_telemetry *v)
{
    double busy = 0, total = 0, energy = 0;
    double own = 0;
    bool has_time = device_file_cpu_time(&busy, &total, &own);
    bool has_energy = read_number(t->energy_path, &energy);
    if (t->has_last && has_time && total > t->last_total) {
        double others = (busy - t->last_busy) - (own - t->last_own_s);
        double share = others / (total - t->last_total);
        v->load = share < 0 ? 0 : share > 1 ? 1 : share;
        v->valid |= TELEMETRY_LOAD;
    }
    if (t->has_last && has_energy && now > t->last_ns) {
        double used = energy - t->last_energy_uj;
        used += used < 0 ? t->energy_range_uj : 0;
        v->power_w = used / 1e6 / ((double)(now - t->last_ns) / 1e9);
        v->valid |= TELEMETRY_POWER;
    }
    t->has_last = true;
    t->last_busy = busy;
    t->last_total = total;
    t->last_own_s = own;
    t->last_energy_uj = energy;
    t->last_ns = now;
}

static void read_gpu(struct telemetry *t, struct block_telemetry *v)
{
    static const struct {
        unsigned from, to;
    } fields[] = {{NVML_SM_CLOCK, TELEMETRY_CLOCK},
                  {NVML_MEMORY_CLOCK, TELEMETRY_MEMORY_CLOCK},
                  {NVML_POWER, TELEMETRY_POWER},
                  {NVML_TEMPERATURE, TELEMETRY_TEMPERATURE},
                  {NVML_REASONS, TELEMETRY_REASONS},
                  {NVML_MEMORY, TELEMETRY_MEMORY},
                  {NVML_UTILIZATION, TELEMETRY_UTILIZATION},
                  {NVML_PROCESSES, TELEMETRY_OTHERS}};
    struct nvml_reading r = {0};
    if (!t->nvml)
        return;
    nvml_read(t->nvml, &r);
    v->clock_mhz = r.sm_mhz;
    v->memory_clock_mhz = r.memory_mhz;
    v->power_w = r.power_w;
    v->temperature_c = r.temperature_c;
    v->reasons = r.reasons;
    v->memory_bytes = r.memory_used;
    v->utilization = r.utilization;
    v->others = r.others;
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        v->valid |= r.valid & fields[i].from ? fields[i].to : 0u;
}

static struct telemetry_reading take_reading(struct telemetry *t)
{
    struct telemetry_reading r = {.time_ns = now_ns(CLOCK_MONOTONIC)};
    struct block_telemetry *v = &r.values;
    double milli;
    char text[128];
    if (t->gpu) { /* of the cpu, its power would be taken for the GPU's */
        read_rates(t, r.time_ns, v);
        v->valid &= (unsigned)TELEMETRY_LOAD;
        read_gpu(t, v);
        return r;
    }
    read_clock(t, v);
    if (read_number(t->temperature_path, &milli)) {
        v->temperature_c = milli / 1e3;
        v->valid |= TELEMETRY_TEMPERATURE;
    }
    read_rates(t, r.time_ns, v);
    if (read_text("/proc/self/statm", text, sizeof text)) {
        long long size, resident;
        if (sscanf(text, "%lld %lld", &size, &resident) == 2) {
            v->memory_bytes = (int64_t)resident * sysconf(_SC_PAGESIZE);
            v->valid |= TELEMETRY_MEMORY;
        }
    }
    return r;
}

static void *read_on(void *who)
{
    struct telemetry *t = who;
    int64_t next = now_ns(CLOCK_MONOTONIC);
    pthread_mutex_lock(&t->lock);
    while (!t->stop) {
        pthread_mutex_unlock(&t->lock);
        struct telemetry_reading r = take_reading(t);
        pthread_mutex_lock(&t->lock);
        t->ring[t->count % TELEMETRY_READINGS] = r;
        t->count++;
        next += (int64_t)TELEMETRY_PERIOD_MS * 1000000;
        struct timespec until = {next / 1000000000, next % 1000000000};
        while (!t->stop && pthread_cond_timedwait(&t->changed, &t->lock, &until) != ETIMEDOUT)
            ;
    }
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

struct telemetry *telemetry_start(const char *gpu, struct error *e)
{
    char why[192];
    struct telemetry *t = calloc(1, sizeof *t);
    if (!t) {
        error_set(e, ERROR_MEMORY, "no memory for telemetry: close other programs");
        return NULL;
    }
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&t->changed, &attributes);
    pthread_condattr_destroy(&attributes);
    pthread_mutex_init(&t->lock, NULL);
    t->gpu = gpu[0] != '\0';
    if (t->gpu) {
        t->nvml = nvml_open(gpu, why, sizeof why);
    } else {
        find_clocks(t);
        find_temperature(t);
        find_energy(t);
    }

    sigset_t all, old; /* signals are for the main thread */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(&t->thread, NULL, read_on, t);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc) {
        error_set(e, ERROR_FAILED,
                  "the telemetry thread cannot be started (%s): the run goes on without readings",
                  strerror(rc));
        nvml_close(t->nvml);
        pthread_cond_destroy(&t->changed);
        pthread_mutex_destroy(&t->lock);
        free(t);
        return NULL;
    }
    return t;
}

void telemetry_stop(struct telemetry *t)
{
    if (!t)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    pthread_join(t->thread, NULL);
    nvml_close(t->nvml);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

int telemetry_recent(const struct telemetry *ct, struct telemetry_reading *out, int max)
{
    struct telemetry *t = (struct telemetry *)(uintptr_t)ct; /* the lock changes, what it guards does not */
    pthread_mutex_lock(&t->lock);
    uint64_t n = t->count < TELEMETRY_READINGS ? t->count : TELEMETRY_READINGS;
    n = max < 0 ? 0 : n < (uint64_t)max ? n : (uint64_t)max;
    for (uint64_t i = 0; i < n; i++)
        out[i] = t->ring[(t->count - n + i) % TELEMETRY_READINGS];
    pthread_mutex_unlock(&t->lock);
    return (int)n;
}

static void add(struct block_telemetry *sum, int count[TELEMETRY_MEANS], const struct block_telemetry *v)
{
    const struct {
        unsigned bit;
        double from, *to;
    } means[TELEMETRY_MEANS] = {{TELEMETRY_CLOCK, v->clock_mhz, &sum->clock_mhz},
                                {TELEMETRY_TEMPERATURE, v->temperature_c, &sum->temperature_c},
                                {TELEMETRY_POWER, v->power_w, &sum->power_w},
                                {TELEMETRY_LOAD, v->load, &sum->load},
                                {TELEMETRY_MEMORY_CLOCK, v->memory_clock_mhz, &sum->memory_clock_mhz},
                                {TELEMETRY_UTILIZATION, v->utilization, &sum->utilization},
                                {TELEMETRY_OTHERS, v->others, &sum->others},
                                {TELEMETRY_MEMORY, (double)v->memory_bytes, NULL}};
    for (int k = 0; k < TELEMETRY_MEANS; k++) {
        if (!(v->valid & means[k].bit))
            continue;
        count[k]++;
        if (means[k].to)
            *means[k].to += (means[k].from - *means[k].to) / count[k];
        else
            sum->memory_bytes += (int64_t)((means[k].from - (double)sum->memory_bytes) / count[k]);
    }
    sum->reasons |= v->reasons;
    sum->valid |= v->valid;
}

struct block_telemetry telemetry_between(const struct telemetry *ct, int64_t from_ns, int64_t to_ns)
{
    struct telemetry *t = (struct telemetry *)(uintptr_t)ct;
    struct block_telemetry sum = {0};
    int count[TELEMETRY_MEANS] = {0};
    pthread_mutex_lock(&t->lock);
    uint64_t n = t->count < TELEMETRY_READINGS ? t->count : TELEMETRY_READINGS;
    for (uint64_t i = 0; i < n; i++) { /* newest first, until before the window */
        const struct telemetry_reading *r = &t->ring[(t->count - 1 - i) % TELEMETRY_READINGS];
        if (r->time_ns < from_ns)
            break;
        if (r->time_ns <= to_ns)
            add(&sum, count, &r->values);
    }
    pthread_mutex_unlock(&t->lock);
    return sum;
}
