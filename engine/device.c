#define _GNU_SOURCE /* sched_getaffinity */
#include "engine/device.h"

#include "engine/device_cuda.h"
#include "engine/device_file.h"
#include "kernels/kernels.h"
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

/* Until a machine was measured: what a core of the last ten years reaches in a read loop, and the memory
 * channels of a desktop. */
#define ESTIMATED_CORE_BANDWIDTH 12e9
#define ESTIMATED_BANDWIDTH      60e9
/* Share of the vector units' peak that a product library reaches. */
#define ESTIMATED_EFFICIENCY 0.7
#define ESTIMATED_HZ         3e9
/* How long ceilings serve that were measured on a busy machine. */
enum { BUSY_LASTS_S = 600 };

static int own_cores(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return (int)sysconf(_SC_NPROCESSORS_ONLN);
    return CPU_COUNT(&set);
}

static void fill_environment(struct session_environment *v)
{
    struct utsname u;
    snprintf(v->gpu_json, sizeof v->gpu_json, "[]");
    if (uname(&u) == 0) {
        snprintf(v->host, sizeof v->host, "%.127s", u.nodename);
        snprintf(v->kernel, sizeof v->kernel, "%.60s %.60s", u.sysname, u.release);
    }
    device_file_field("/etc/os-release", "PRETTY_NAME", '=', v->os, sizeof v->os);
    if (!device_file_field("/proc/cpuinfo", "model name", ':', v->cpu, sizeof v->cpu))
        snprintf(v->cpu, sizeof v->cpu, "%.127s", uname(&u) == 0 ? u.machine : "unknown processor");
    device_file_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", v->governor,
                     sizeof v->governor);
    v->cores = v->threads = own_cores();
    v->memory_bytes = device_file_memory(NULL);
}

/* fp32 operations per cycle and core: two fused multiply-adds per cycle on the widest vectors there are. */
static double flops_per_cycle(bool *has_bf16)
{
    char flags[8192] = " ";
    device_file_field("/proc/cpuinfo", "flags", ':', flags + 1, sizeof flags - 2);
    size_t n = strlen(flags);
    flags[n] = ' ';
    flags[n + 1] = '\0';
    *has_bf16 = strstr(flags, " avx512_bf16 ") != NULL;
    return strstr(flags, " avx512f ") ? 64 : strstr(flags, " avx2 ") ? 32 : 8;
}

static void estimate(struct device *d)
{
    bool has_bf16;
    int cores = d->environment.cores;
    double rate = cores * flops_per_cycle(&has_bf16) * ESTIMATED_HZ * ESTIMATED_EFFICIENCY;
    double bandwidth = cores * ESTIMATED_CORE_BANDWIDTH;
    d->read_bandwidth = bandwidth < ESTIMATED_BANDWIDTH ? bandwidth : ESTIMATED_BANDWIDTH;
    d->product_rate[KERNEL_FP32] = d->product_rate[KERNEL_FP16] = d->product_rate[KERNEL_INT8] = rate;
    d->product_rate[KERNEL_BF16] = has_bf16 ? 2 * rate : rate;
    d->measured = false;
}

/* What was measured counts for the same processor and the same number of cores, or the same GPU, alone. */
static void identity(const struct device *d, char *out, size_t size)
{
    if (d->uuid[0])
        snprintf(out, size, "%s", d->uuid);
    else
        snprintf(out, size, "%s, %d cores", d->environment.cpu, d->environment.cores);
}

/* Ceilings that were taken while others used the machine are too low: they serve for a while, then are taken
 * again. */
static bool is_stale(const char *path, double *others)
{
    char text[64];
    struct stat st;
    *others = device_file_field(path, "others", ' ', text, sizeof text) ? strtod(text, NULL) : 1;
    return *others > DEVICE_BUSY_SHARE && (stat(path, &st) < 0 || time(NULL) - st.st_mtime > BUSY_LASTS_S);
}

static void use_measured(struct device *d)
{
    char path[512], machine[192], mine[192], text[64];
    double others = 0;
    static const char *const keys[] = {"product_fp32", "product_fp16", "product_bf16", "product_int8"};
    identity(d, mine, sizeof mine);
    if (device_file_cache(path, sizeof path, d->uuid, false, NULL) < 0 ||
        !device_file_field(path, "machine", ' ', machine, sizeof machine) || strcmp(machine, mine) != 0 ||
        is_stale(path, &others) || !device_file_field(path, "read_bandwidth", ' ', text, sizeof text))
        return;
    double bandwidth = strtod(text, NULL), rate[4];
    double copy = device_file_field(path, "copy_bandwidth", ' ', text, sizeof text) ? strtod(text, NULL) : 0;
    for (int i = 0; i < 4; i++) {
        rate[i] = device_file_field(path, keys[i], ' ', text, sizeof text) ? strtod(text, NULL) : 0;
        if (!(rate[i] > 0 && rate[i] < 1e18))
            return;
    }
    if (!(bandwidth > 0 && bandwidth < 1e15))
        return;
    d->read_bandwidth = bandwidth;
    d->copy_bandwidth = copy > 0 && copy < 1e15 ? copy : 0;
    memcpy(d->product_rate, rate, sizeof rate);
    d->others = others;
    d->measured = true;
}

/* The session keeps ceilings that were measured undisturbed, and no others: an estimate is no fact about this
 * machine, and a share of a ceiling that others had pressed down would exceed it. */
static void record(struct device *d)
{
    if (!d->measured || d->others > DEVICE_BUSY_SHARE)
        return;
    d->environment.read_bandwidth = d->read_bandwidth;
    d->environment.copy_bandwidth = d->copy_bandwidth;
    memcpy(d->environment.product_rate, d->product_rate, sizeof d->product_rate);
}

static int find_cpu(struct device *d)
{
    d->memory_bytes = device_file_memory(&d->memory_free_bytes);
    snprintf(d->title, sizeof d->title, "%.80s · %d core%s · %.1f GiB", d->environment.cpu,
             d->environment.cores, d->environment.cores == 1 ? "" : "s", (double)d->memory_bytes / 0x1p30);
    estimate(d);
    use_measured(d);
    record(d);
    return 0;
}

int device_find(const char *id, struct device *out, struct error *e)
{
    struct device d = {0};
    bool fake = strcmp(id, "fake") == 0, cpu = strcmp(id, "cpu") == 0;
    bool gpu = strncmp(id, "cuda", 4) == 0 && (id[4] == '\0' || id[4] == ':');
    if (!fake && !cpu && !gpu)
        return error_set(e, ERROR_USAGE, "there is no device \"%.32s\": choose cpu, cuda or fake", id);
    snprintf(d.id, sizeof d.id, "%s", id);
    fill_environment(&d.environment);
    if (gpu) {
        if (device_cuda_find(id, &d, e) < 0)
            return -1;
        if (!d.emulated)
            use_measured(&d);
        record(&d);
    } else if (cpu)
        find_cpu(&d);
    else
        snprintf(d.title, sizeof d.title, "simulated device · virtual time");
    *out = d;
    return 0;
}

static int measure_cpu(struct device *d, struct error *e)
{
    enum { ROWS = 512, WIDTH = 2048 };
    char why[256];
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){0, "auto", "auto"}, why, sizeof why);
    if (!k)
        return error_set(e, ERROR_FAILED, "the cpu backend cannot be opened (%s): run benchtop doctor", why);
    double busy[2], total[2], own[2];
    bool timed = device_file_cpu_time(&busy[0], &total[0], &own[0]);
    double bandwidth = k->ops->measure_read(k, 0.3), rate[4];
    for (int i = 0; i < 4; i++)
        rate[i] =
            kernels_measure_product_rate(k, (enum kernel_dtype)i, i == KERNEL_INT8, ROWS, WIDTH, WIDTH, 0.15);
    k->ops->close(k);
    timed = timed && device_file_cpu_time(&busy[1], &total[1], &own[1]) && total[1] > total[0];
    double others = timed ? ((busy[1] - busy[0]) - (own[1] - own[0])) / (total[1] - total[0]) : 0;
    if (!(bandwidth > 0) || !(rate[0] > 0))
        return error_set(e, ERROR_FAILED,
                         "the machine's ceilings could not be measured: free memory and try again");
    d->read_bandwidth = bandwidth;
    for (int i = 0; i < 4; i++)
        d->product_rate[i] = rate[i] > 0 ? rate[i] : rate[0];
    d->others = others > 0 ? others : 0;
    return 0;
}

int device_measure(struct device *d, struct error *e)
{
    char path[512], mine[192], text[1024];
    bool cpu = strcmp(d->id, "cpu") == 0;
    if (!cpu && strncmp(d->id, "cuda", 4) != 0)
        return error_set(e, ERROR_UNSUPPORTED, "device %s has no ceilings to measure: choose cpu or cuda",
                         d->id);
    if ((cpu ? measure_cpu(d, e) : device_cuda_measure(d, e)) < 0)
        return -1;
    d->measured = true;
    record(d);
    identity(d, mine, sizeof mine);
    snprintf(text, sizeof text,
             "machine %s\nothers %.3f\nread_bandwidth %.6g\ncopy_bandwidth %.6g\nproduct_fp32 %.6g\n"
             "product_fp16 %.6g\nproduct_bf16 %.6g\nproduct_int8 %.6g\n",
             mine, d->others, d->read_bandwidth, d->copy_bandwidth, d->product_rate[0], d->product_rate[1],
             d->product_rate[2], d->product_rate[3]);
    if (device_file_cache(path, sizeof path, d->uuid, true, e) < 0)
        return -1;
    return device_file_write(path, text, e);
}

int device_gpus(char (*id)[16], int max, char *why, size_t why_size)
{
    return device_cuda_list(id, max, why, why_size);
}
