/* The program's error rates, measured on itself: sessions of the fake device in virtual time through the
 * engine that `benchtop run` drives, judged as every table is. One line per situation with the measured rate,
 * its standard error and the bound; the exit code is 1 where a bound is missed. An argument scales the
 * numbers of sessions (0.1: a tenth). Seeds are fixed: every run prints the same rates. */
#include "stats/stats.h"
#include "tests/engine/situations.h"
#include <math.h>
#include <sys/wait.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

enum { WORKERS_MAX = 64 };

/* The sessions of one worker: every workers-th seed. */
static int work(const struct situation *t, int n, int worker, int workers, struct stats_running *out)
{
    struct preset p;
    struct error e = {0};
    char path[128];
    snprintf(path, sizeof path, "%s/statistics-%ld.json", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (long)getpid());
    if (situation_preset(t, &p, &e) < 0) {
        fprintf(stderr, "%s\n", e.text);
        return -1;
    }
    for (int k = worker; k < n; k += workers) {
        double value = situation_session(t, &p, path, 1000 + k, &e);
        if (isnan(value)) {
            fprintf(stderr, "%s: %s\n", t->name, e.text[0] ? e.text : "a session without figures");
            return -1;
        }
        stats_running_add(out, value);
    }
    preset_free(&p);
    return 0;
}

/* One process per core: sessions have nothing in common but their seeds. */
static int run(const struct situation *t, int n, struct stats_running *out)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int workers = cores < 1 ? 1 : cores > WORKERS_MAX ? WORKERS_MAX : (int)cores, failed = 0;
    int from[WORKERS_MAX];
    pid_t child[WORKERS_MAX];
    fflush(stdout);
    for (int w = 0; w < workers; w++) {
        int ends[2];
        if (pipe(ends) < 0 || (child[w] = fork()) < 0) {
            perror("a worker");
            return -1;
        }
        if (child[w] == 0) {
            struct stats_running mine = {0};
            int bad = work(t, n, w, workers, &mine) < 0 || write(ends[1], &mine, sizeof mine) != sizeof mine;
            _exit(bad);
        }
        close(ends[1]);
        from[w] = ends[0];
    }
    for (int w = 0; w < workers; w++) {
        struct stats_running part;
        int status;
        if (read(from[w], &part, sizeof part) == sizeof part)
            stats_running_merge(out, &part);
        close(from[w]);
        failed |= waitpid(child[w], &status, 0) < 0 || status != 0;
    }
    return failed || out->n != n ? -1 : 0;
}

static void print_bound(const struct situation *t, char *out, size_t size)
{
    if (t->count == COUNT_BIAS)
        snprintf(out, size, "within %.1f %%", 100 * t->high);
    else if (t->low <= 0)
        snprintf(out, size, "<= %.1f %%", 100 * t->high);
    else if (t->high >= 1)
        snprintf(out, size, ">= %.0f %%", 100 * t->low);
    else
        snprintf(out, size, "%.1f-%.1f %%", 100 * t->low, 100 * t->high);
}

int main(int argc, char **argv)
{
    double scale = argc > 1 ? strtod(argv[1], NULL) : 1, begun = now();
    const char *only = argc > 2 ? argv[2] : "";
    int missed = 0, total = 0;
    stats_init();
    setenv("BENCHTOP_CATALOG", "presets", 1);
    printf("%-58s %8s %8s  %-14s %8s\n", "situation", "measured", "s.e.", "bound", "sessions");
    for (int i = 0; i < SITUATIONS; i++) {
        const struct situation *t = &situations[i];
        int n = (int)(t->sessions * scale) > 20 ? (int)(t->sessions * scale) : 20;
        struct stats_running r = {0};
        char bound[32];
        if (!strstr(t->name, only))
            continue;
        if (run(t, n, &r) < 0)
            return 1;
        bool held = r.mean >= t->low && r.mean <= t->high;
        print_bound(t, bound, sizeof bound);
        printf("%-58s %6.2f %% %6.2f %%  %-14s %8d  %s\n", t->name, 100 * r.mean,
               100 * stats_running_std(&r) / sqrt((double)r.n), bound, n, held ? "held" : "MISSED");
        missed += !held;
        total += n;
    }
    printf("%d sessions in %.0f s; %d bounds missed\n", total, now() - begun, missed);
    return missed > 0;
}
