#include "engine/device.h"

#include "engine/device_cuda.h"
#include "engine/device_file.h"
#include "engine/version.h"
#include "kernels/kernels.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct findings {
    struct device_finding *out;
    int n, max;
};

__attribute__((format(printf, 5, 6))) static void find(struct findings *f, const char *what, bool ok,
                                                       const char *means, const char *format, ...)
{
    if (f->n >= f->max)
        return;
    struct device_finding *d = &f->out[f->n++];
    va_list args;
    va_start(args, format);
    snprintf(d->what, sizeof d->what, "%s", what);
    snprintf(d->means, sizeof d->means, "%s", means);
    vsnprintf(d->found, sizeof d->found, format, args);
    va_end(args);
    d->ok = ok;
}

static void find_machine(struct findings *f, const struct device *d)
{
    const struct session_environment *v = &d->environment;
    find(f, "build", true, "the compiler of the CPU engine", "%s", version_get()->build);
    find(f, "processor", true, "the device cpu", "%s, %d core%s this process may use", v->cpu, v->cores,
         v->cores == 1 ? "" : "s");
    find(f, "system", true, "", "%s, %s", v->os[0] ? v->os : "unknown system", v->kernel);
    bool room = d->memory_free_bytes > ((int64_t)1 << 30);
    find(f, "memory", room, room ? "plans are held against what is free" : "only the smallest models fit",
         "%.1f GiB, %.1f GiB free", (double)d->memory_bytes / 0x1p30, (double)d->memory_free_bytes / 0x1p30);
    bool busy = d->others > DEVICE_BUSY_SHARE;
    if (d->measured)
        find(f, "ceilings", !busy,
             busy ? "taken while others used the machine: too low, and soon taken again"
                  : "shares of the ceiling are shares of these",
             "read %.1f GB/s, products %.0f GFLOP/s fp32, %.0f bf16", d->read_bandwidth / 1e9,
             d->product_rate[KERNEL_FP32] / 1e9, d->product_rate[KERNEL_BF16] / 1e9);
    else
        find(f, "ceilings", false, "predicted times are rough, and shares of the ceiling are not shown",
             "not measured yet; estimated: read %.0f GB/s, products %.0f GFLOP/s fp32",
             d->read_bandwidth / 1e9, d->product_rate[KERNEL_FP32] / 1e9);
}

static void find_kernels(struct findings *f)
{
    char why[256] = "";
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){0, "auto", "auto"}, why, sizeof why);
    if (!k) {
        find(f, "cpu engine", false, "nothing can be measured on the cpu", "%s", why);
        return;
    }
    struct kernels_info info;
    k->ops->info(k, &info);
    k->ops->close(k);
    bool portable = strcmp(info.simd, "portable") == 0;
    find(f, "vector units", !portable, portable ? "plain C loops: slow, but right" : "chosen at run time",
         "%s", info.simd);
    find(f, "products", info.product_why[0] == '\0',
         info.product_why[0] ? info.product_why : "large products go to this library", "%s", info.product);
    find(f, "threads", true, "a preset's `threads` chooses fewer", "%d, %s", info.threads, info.affinity);
}

static void find_clock(struct findings *f)
{
    char governor[64], level[160];
    if (!device_file_line("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor", governor, sizeof governor))
        find(f, "clock control", false, "clocks cannot be held: a virtual machine, or no cpufreq driver",
             "none");
    else
        find(f, "clock control", strcmp(governor, "performance") == 0,
             strcmp(governor, "performance") == 0 ? "clocks rise at once"
                                                  : "clocks follow the load: set the governor performance",
             "governor %s", governor);
    if (device_file_line("/sys/kernel/mm/transparent_hugepage/enabled", level, sizeof level))
        find(f, "huge pages", !strstr(level, "[never]"),
             strstr(level, "[never]") ? "weights use small pages, reading them is slower"
                                      : "large buffers may use huge pages",
             "%s", level);
    else
        find(f, "huge pages", false, "weights use small pages", "not offered by this kernel");
}

static bool on_path(const char *program, char *out, size_t size)
{
    const char *path = getenv("PATH");
    while (path && *path) {
        size_t n = strcspn(path, ":");
        snprintf(out, size, "%.*s/%s", (int)n, path, program);
        if (n > 0 && access(out, X_OK) == 0)
            return true;
        path += n + (path[n] == ':');
    }
    snprintf(out, size, "/usr/local/cuda/bin/%s", program);
    return access(out, X_OK) == 0;
}

static void find_line(void *who, const struct device_finding *line)
{
    struct findings *f = who;
    if (f->n < f->max)
        f->out[f->n++] = *line;
}

static void find_cuda(struct findings *f)
{
    char nvcc[512];
    device_cuda_findings(f, find_line);
    bool has_nvcc = on_path("nvcc", nvcc, sizeof nvcc);
    find(f, "nvcc", has_nvcc, has_nvcc ? "make builds the cuda backend" : "make builds the cpu backend alone",
         "%s", has_nvcc ? nvcc : "none");
}

int device_findings(struct device_finding *out, int max)
{
    struct findings f = {out, 0, max};
    struct device d;
    struct error e = {0};
    if (device_find("cpu", &d, &e) == 0)
        find_machine(&f, &d);
    else
        find(&f, "processor", false, "nothing can be measured", "%.200s", e.text);
    find_kernels(&f);
    find_clock(&f);
    find_cuda(&f);
    return f.n;
}
