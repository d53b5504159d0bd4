#include "engine/device_file.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void trim(char *s)
{
    size_t start = strspn(s, " \t\"");
    memmove(s, s + start, strlen(s + start) + 1);
    size_t n = strlen(s);
    while (n > 0 && strchr(" \t\"\n\r", s[n - 1]))
        s[--n] = '\0';
}

bool device_file_field(const char *path, const char *key, char separator, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    char *line = NULL;
    size_t capacity = 0, length = strlen(key);
    bool found = false;
    while (f && !found && getline(&line, &capacity, f) > 0) {
        if (strncmp(line, key, length) != 0)
            continue;
        char *at = line + length;
        at += separator == ' ' ? 0 : strspn(at, " \t");
        if (*at != separator)
            continue;
        trim(at + 1);
        snprintf(out, size, "%s", at + 1);
        found = true;
    }
    free(line);
    if (f)
        fclose(f);
    return found;
}

bool device_file_line(const char *path, char *out, size_t size)
{
    FILE *f = fopen(path, "re");
    if (!f)
        return false;
    bool read = fgets(out, (int)size, f) != NULL;
    fclose(f);
    if (!read)
        return false;
    trim(out);
    return out[0] != '\0';
}

static bool number(const char *path, int64_t *out)
{
    char text[64], *end;
    if (!device_file_line(path, text, sizeof text))
        return false;
    long long value = strtoll(text, &end, 10); /* "max": no limit */
    if (end == text || value < 0)
        return false;
    *out = value;
    return true;
}

static int64_t kilobytes(const char *key)
{
    char text[64];
    return device_file_field("/proc/meminfo", key, ':', text, sizeof text) ? strtoll(text, NULL, 10) * 1024
                                                                           : 0;
}

/* Folds one control group's limit and use in. Cache that can be given back at once is not in use. */
static void limit_by(const char *folder, const char *limit_file, const char *use_file, const char *cache_key,
                     int64_t *total, int64_t *available)
{
    char path[512], text[64];
    int64_t limit, use;
    snprintf(path, sizeof path, "%s/%s", folder, limit_file);
    if (!number(path, &limit) || limit >= *total)
        return;
    *total = limit;
    snprintf(path, sizeof path, "%s/%s", folder, use_file);
    if (!number(path, &use))
        return;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    if (device_file_field(path, cache_key, ' ', text, sizeof text))
        use -= strtoll(text, NULL, 10);
    int64_t left = limit - (use > 0 ? use : 0);
    left = left > 0 ? left : 0;
    *available = left < *available ? left : *available;
}

int64_t device_file_memory(int64_t *free_bytes)
{
    int64_t total = kilobytes("MemTotal"), available = kilobytes("MemAvailable");
    char group[256], folder[400];
    limit_by("/sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file",
             &total, &available);
    limit_by("/sys/fs/cgroup", "memory.max", "memory.current", "inactive_file", &total, &available);
    if (device_file_field("/proc/self/cgroup", "0:", ':', group, sizeof group) && strcmp(group, "/") != 0) {
        /* a limit may stand at any level above us */
        for (char *end = group + strlen(group); end > group; end = strrchr(group, '/')) {
            *end = '\0';
            snprintf(folder, sizeof folder, "/sys/fs/cgroup%s", group);
            limit_by(folder, "memory.max", "memory.current", "inactive_file", &total, &available);
        }
    }
    if (free_bytes)
        *free_bytes = available;
    return total;
}

bool device_file_cpu_time(double *busy, double *total, double *own)
{
    char text[512];
    double f[8] = {0}; /* user nice system idle iowait irq softirq steal */
    struct timespec t;
    if (!device_file_line("/proc/stat", text, sizeof text) ||
        sscanf(text, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &f[0], &f[1], &f[2], &f[3], &f[4], &f[5], &f[6],
               &f[7]) < 4 ||
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) < 0)
        return false;
    double ticks = (double)sysconf(_SC_CLK_TCK);
    *busy = (f[0] + f[1] + f[2] + f[5] + f[6] + f[7]) / ticks;
    *total = *busy + (f[3] + f[4]) / ticks;
    *own = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    return true;
}

int device_file_cache(char *out, size_t size, const char *gpu, bool create, struct error *e)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    bool own = cache && cache[0] == '/';
    if (!own && !(home && home[0] == '/'))
        return error_set(e, ERROR_FAILED, "there is no cache folder: set HOME or XDG_CACHE_HOME");
    int n = snprintf(out, size, "%s%s/benchtop/device%s%s", own ? cache : home, own ? "" : "/.cache",
                     gpu[0] ? "-" : "", gpu);
    if (n < 0 || (size_t)n >= size)
        return error_set(e, ERROR_FAILED, "%s: too long a path: set XDG_CACHE_HOME to a shorter one",
                         own ? cache : home);
    for (char *slash = strchr(out + 1, '/'); create && slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(out, 0777) < 0 && errno != EEXIST)
            return error_set(e, ERROR_FAILED, "%s cannot be made (%s): set XDG_CACHE_HOME", out,
                             strerror(errno));
        *slash = '/';
    }
    return 0;
}

int device_file_write(const char *path, const char *text, struct error *e)
{
    char temporary[560];
    snprintf(temporary, sizeof temporary, "%s.%ld", path, (long)getpid());
    FILE *f = fopen(temporary, "we");
    if (!f)
        return error_set(e, ERROR_FAILED, "%s cannot be written (%s): free space or set XDG_CACHE_HOME", path,
                         strerror(errno));
    bool good = fputs(text, f) >= 0 && fflush(f) == 0 && fsync(fileno(f)) == 0;
    int why = errno;
    good = fclose(f) == 0 && good;
    if (good && rename(temporary, path) == 0)
        return 0;
    why = good ? errno : why;
    unlink(temporary);
    return error_set(e, ERROR_FAILED, "%s cannot be written (%s): free space or set XDG_CACHE_HOME", path,
                     strerror(why));
}

bool device_file_library(const char *name)
{
    void *h = dlopen(name, RTLD_LAZY | RTLD_LOCAL);
    if (!h)
        return false;
    dlclose(h);
    return true;
}
