#include "engine/device_cuda.h"

#include "engine/device_datasheet.h"
#include "engine/nvml.h"
#include "kernels/kernels.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEVICES_MAX = 32 };

/* Until a card was measured: the shares of its data sheet that kernels and libraries reach, or without a
 * sheet what a multiprocessor of the last generations reaches at least. */
#define SHARE_OF_BANDWIDTH 0.9
#define SHARE_OF_RATE      0.6
#define BANDWIDTH_PER_SM   8e9
#define RATE_PER_SM        0.5e12
#define RATE_PER_SM_FP32   0.1e12
/* A stand-in computes on a cpu, thread by thread: only so that plans ask for few samples. */
#define EMULATED_BANDWIDTH 20e6
#define EMULATED_RATE      20e6

static int index_of(const char *id)
{
    if (strcmp(id, "cuda") == 0)
        return 0;
    char *end;
    long index = strtol(id + 5, &end, 10);
    return end == id + 5 || *end || index < 0 || index > 1023 ? -1 : (int)index;
}

static void estimate(struct device *d, const struct kernel_device *gpu)
{
    const struct session_environment *v = &d->environment;
    for (int i = 0; i < 4; i++)
        d->product_rate[i] = gpu->emulated ? EMULATED_RATE
                             : v->sheet_rate[i] > 0
                                 ? SHARE_OF_RATE * v->sheet_rate[i]
                                 : gpu->multiprocessors * (i == 0 ? RATE_PER_SM_FP32 : RATE_PER_SM);
    d->read_bandwidth = gpu->emulated            ? EMULATED_BANDWIDTH
                        : v->sheet_bandwidth > 0 ? SHARE_OF_BANDWIDTH * v->sheet_bandwidth
                                                 : gpu->multiprocessors * BANDWIDTH_PER_SM;
}

/* A driver's text inside a JSON text. */
static void quoted(const char *text, char *out, size_t size)
{
    size_t n = 0;
    for (const char *c = text; *c && n + 2 < size; c++)
        out[n++] = (unsigned char)*c < 0x20 || *c == '"' || *c == '\\' ? ' ' : *c;
    out[n] = '\0';
}

static void number_or_null(double value, char *out, size_t size)
{
    snprintf(out, size, value > 0 ? "%.0f" : "null", value);
}

/* The name; that of a stand-in says so, wherever it is shown. */
static void mark(const struct kernel_device *gpu, const char *word, char *out, size_t size)
{
    snprintf(out, size, "%.90s%s", gpu->name, gpu->emulated && !strstr(gpu->name, "emulated") ? word : "");
}

/* environment.gpu: what identifies the card and holds through a run, so that two sessions on one card have
 * the same text. */
static void describe(struct device *d, const struct kernel_device *gpu, const struct nvml_facts *facts)
{
    static const char *const switches[] = {"null", "false", "true"};
    char name[128], uuid[48], driver[48], sm[32], memory[32], power[32], marked[112];
    mark(gpu, " (emulated)", marked, sizeof marked);
    quoted(marked, name, sizeof name);
    quoted(gpu->uuid, uuid, sizeof uuid);
    if (facts->driver[0])
        quoted(facts->driver, driver, sizeof driver);
    else
        snprintf(driver, sizeof driver, "CUDA %d.%d", gpu->driver / 1000, gpu->driver % 1000 / 10);
    number_or_null(facts->max_sm_mhz, sm, sizeof sm);
    number_or_null(facts->max_memory_mhz, memory, sizeof memory);
    number_or_null(facts->power_limit_w, power, sizeof power);
    snprintf(d->environment.gpu_json, sizeof d->environment.gpu_json,
             "[{\"name\":\"%s\",\"uuid\":\"%s\",\"memory_bytes\":%lld,\"driver\":\"%s\",\"cuda\":\"%d.%d\","
             "\"clocks\":{\"sm_max_mhz\":%s,\"memory_max_mhz\":%s},\"power_limit\":%s,"
             "\"compute_capability\":\"%d.%d\",\"multiprocessors\":%d,\"l2_bytes\":%lld,\"persistence\":%s,"
             "\"ecc\":%s,\"emulated\":%s}]",
             name, uuid, (long long)gpu->memory_bytes, driver, gpu->runtime / 1000, gpu->runtime % 1000 / 10,
             sm, memory, power, gpu->major, gpu->minor, gpu->multiprocessors, (long long)gpu->l2_bytes,
             switches[facts->persistence + 1], switches[facts->ecc + 1], gpu->emulated ? "true" : "false");
}

int device_cuda_find(const char *id, struct device *d, struct error *e)
{
    struct kernel_device gpu[DEVICES_MAX];
    char why[192] = "";
    int index = index_of(id), n = kernels_devices(gpu, DEVICES_MAX, why, sizeof why);
    if (n == 0)
        return error_set(e, ERROR_USAGE, "%.32s: %s, or choose cpu", id, why);
    if (index < 0 || index >= n || index >= DEVICES_MAX)
        return error_set(e, ERROR_USAGE, "device %.32s is not there: choose %s%s%.16s", id, gpu[0].id,
                         n > 1 ? " to " : "", n > 1 ? gpu[n < DEVICES_MAX ? n - 1 : DEVICES_MAX - 1].id : "");
    const struct kernel_device *g = &gpu[index];
    struct nvml_facts facts = {.persistence = -1, .ecc = -1};
    struct nvml_reading now = {0};
    struct nvml *nvml = nvml_open(g->uuid, why, sizeof why);
    if (nvml) {
        nvml_facts(nvml, &facts);
        nvml_read(nvml, &now);
        nvml_close(nvml);
    }
    snprintf(d->id, sizeof d->id, "%s", g->id);
    snprintf(d->uuid, sizeof d->uuid, "%s", g->uuid);
    char name[112];
    mark(g, " · emulated", name, sizeof name);
    snprintf(d->title, sizeof d->title, "%s · %.1f GiB", name, (double)g->memory_bytes / 0x1p30);
    d->emulated = g->emulated;
    d->memory_bytes = g->memory_bytes;
    d->memory_free_bytes = now.valid & NVML_MEMORY ? now.memory_free : g->memory_bytes;
    struct session_environment *v = &d->environment;
    v->emulated = g->emulated;
    snprintf(v->device, sizeof v->device, "%s", d->title);
    const struct device_datasheet *sheet = device_datasheet_find(g->name);
    if (sheet) {
        v->sheet_bandwidth = sheet->read_bandwidth;
        memcpy(v->sheet_rate, sheet->rate, sizeof v->sheet_rate);
        snprintf(v->sheet_source, sizeof v->sheet_source, "%s", sheet->source);
    }
    describe(d, g, &facts);
    estimate(d, g);
    return 0;
}

/* The largest square product that memory has room for: small ones do not fill a large GPU. */
static double product_rate(struct kernels *k, enum kernel_dtype dtype)
{
    double rate = 0;
    for (int n = 8192; n >= 1024 && !(rate > 0); n /= 2)
        rate = kernels_measure_product_rate(k, dtype, dtype == KERNEL_INT8, n, n, n, 0.2);
    return rate;
}

int device_cuda_measure(struct device *d, struct error *e)
{
    char why[256] = "";
    if (d->emulated)
        return error_set(e, ERROR_UNSUPPORTED, "an emulated device has no ceilings: measure on a GPU");
    struct kernels *k =
        kernels_open(d->id, &(struct kernels_config){.product = "auto", .simd = "auto"}, why, sizeof why);
    if (!k)
        return error_set(e, ERROR_FAILED, "%s cannot be opened (%s): run benchtop doctor", d->id, why);
    double read = k->ops->measure_read(k, 0.5), copy = k->ops->measure_copy(k, 0.5), rate[4];
    for (int i = 0; i < 4; i++)
        rate[i] = product_rate(k, (enum kernel_dtype)i);
    k->ops->synchronize(k);
    const char *failed = k->ops->error(k);
    char text[200];
    snprintf(text, sizeof text, "%s", failed ? failed : "");
    k->ops->close(k);
    if (failed)
        return error_set(e, ERROR_FAILED,
                         "%s failed while its ceilings were measured (%s): nvidia-smi may say more", d->id,
                         text);
    if (!(read > 0) || !(rate[0] > 0) || !(rate[2] > 0))
        return error_set(e, ERROR_FAILED,
                         "the ceilings of %s could not be measured: free its memory and try again", d->id);
    d->read_bandwidth = read;
    d->copy_bandwidth = copy;
    memcpy(d->product_rate, rate, sizeof rate);
    d->others = 0;
    return 0;
}

int device_cuda_list(char (*id)[16], int max, char *why, size_t why_size)
{
    struct kernel_device gpu[DEVICES_MAX];
    int n = kernels_devices(gpu, DEVICES_MAX, why, why_size);
    for (int i = 0; i < n && i < max && i < DEVICES_MAX; i++)
        memcpy(id[i], gpu[i].id, sizeof *id);
    return n;
}

/* ---- doctor ---- */

struct lines {
    void *who;
    device_cuda_find_line *line;
    bool emulated; /* of what is said now */
};

__attribute__((format(printf, 5, 6))) static void say(const struct lines *l, const char *what, bool ok,
                                                      const char *means, const char *format, ...)
{
    struct device_finding f = {.ok = ok, .emulated = l->emulated};
    va_list args;
    va_start(args, format);
    snprintf(f.what, sizeof f.what, "%s", what);
    snprintf(f.means, sizeof f.means, "%s", means);
    vsnprintf(f.found, sizeof f.found, format, args);
    va_end(args);
    l->line(l->who, &f);
}

static void say_nvml(const struct lines *l, const struct kernel_device *g)
{
    char why[192] = "", words[160];
    struct nvml *n = nvml_open(g->uuid, why, sizeof why);
    struct nvml_facts f;
    struct nvml_reading r;
    if (!n) {
        say(l, "NVML", false, "clocks, power, throttling and other processes are not seen", "%s", why);
        return;
    }
    nvml_facts(n, &f);
    nvml_read(n, &r);
    nvml_close(n);
    say(l, "NVML", true, "clocks and throttling are watched, never changed", "driver %s", f.driver);
    say(l, "clocks", !(r.reasons & NVML_THROTTLES),
        r.reasons & NVML_THROTTLES ? "lowered right now: blocks measured so are flagged" : "",
        "SM %.0f of %.0f MHz, memory %.0f of %.0f MHz", r.sm_mhz, f.max_sm_mhz, r.memory_mhz,
        f.max_memory_mhz);
    nvml_reasons_text(r.reasons, words, sizeof words);
    say(l, "clock reasons", !(r.reasons & NVML_THROTTLES), "", "%s", words[0] ? words : "none");
    say(l, "power", true, "", "%.0f W now, limit %.0f W, %.0f °C", r.power_w, f.power_limit_w,
        r.temperature_c);
    say(l, "persistence", f.persistence != 0,
        f.persistence == 0 ? "the driver starts anew with every run, which takes seconds: nvidia-smi -pm 1"
                           : "",
        "%s",
        f.persistence < 0 ? "not known"
        : f.persistence   ? "on"
                          : "off");
    say(l, "ECC", true, f.ecc == 1 ? "a few percent of bandwidth on cards without HBM" : "", "%s",
        f.ecc < 0 ? "not offered"
        : f.ecc   ? "on"
                  : "off");
    if (r.valid & NVML_PROCESSES)
        say(l, "other processes", r.others == 0,
            r.others ? "they share the card: times scatter, and less fits"
                     : "the card is this program's alone",
            "%d, %.1f GiB", r.others, (double)r.others_bytes / 0x1p30);
}

static void say_engine(const struct lines *l, const struct kernel_device *g)
{
    char why[192] = "";
    struct kernels_info info;
    struct kernels *k =
        kernels_open(g->id, &(struct kernels_config){.product = "auto", .simd = "auto"}, why, sizeof why);
    if (!k) {
        say(l, "cuda engine", false, "nothing can be measured on it", "%s", why);
        return;
    }
    k->ops->info(k, &info);
    k->ops->close(k);
    say(l, "cuda engine", true, info.affinity, "%s", info.simd);
    say(l, "cuda products", info.product_why[0] == '\0',
        info.product_why[0] ? info.product_why : "large products go to this library", "%s", info.product);
}

void device_cuda_findings(void *who, device_cuda_find_line *line)
{
    struct lines l = {who, line, false};
    struct kernel_device gpu[DEVICES_MAX];
    char why[192] = "";
    int n = kernels_devices(gpu, DEVICES_MAX, why, sizeof why);
    if (n == 0)
        say(&l, "cuda", false, "runs go to the cpu", "%s", why);
    for (int i = 0; i < n && i < DEVICES_MAX; i++) {
        const struct kernel_device *g = &gpu[i];
        l.emulated = g->emulated;
        say(&l, g->id, !g->emulated,
            g->emulated ? "a stand-in for a GPU: kernels run on the cpu, their times mean nothing"
            : device_datasheet_find(g->name) ? "its data sheet is known: shares of it are shown"
                                             : "no data sheet is known: shares of what was measured alone",
            "%s%s, sm_%d%d, %d SMs, %.1f GiB, driver for CUDA %d.%d, runtime %d.%d", g->name,
            g->emulated ? " (emulated)" : "", g->major, g->minor, g->multiprocessors,
            (double)g->memory_bytes / 0x1p30, g->driver / 1000, g->driver % 1000 / 10, g->runtime / 1000,
            g->runtime % 1000 / 10);
        l.emulated = false;
        say_nvml(&l, g);
        say_engine(&l, g);
    }
}
