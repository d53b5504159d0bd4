/* The program's error rates, measured on itself: sessions of the fake device in virtual time through the
 * engine that `benchtop run` drives, judged as every table is. One line per situation with the measured rate,
 * its standard error and the bound; the exit code is 1 where a bound is missed. An argument scales the
 * numbers of sessions (0.1: a tenth). Seeds are fixed: every run prints the same rates. */
#include "stats/stats.h"
#include "tests/engine/situations.h"
#include <math.h>
#include <time.h>

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    double scale = argc > 1 ? strtod(argv[1], NULL) : 1, begun = now();
    const char *only = argc > 2 ? argv[2] : "";
    int missed = 0, total = 0;
    char path[128];
    struct error e = {0};
    stats_init();
    setenv("BENCHTOP_CATALOG", "presets", 1);
    snprintf(path, sizeof path, "%s/statistics-%ld.json", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp",
             (long)getpid());
    printf("%-58s %8s %8s  %-14s %8s  %s\n", "situation", "measured", "s.e.", "bound", "sessions", "");
    for (int i = 0; i < SITUATIONS; i++) {
        const struct situation *t = &situations[i];
        int n = (int)(t->sessions * scale) > 20 ? (int)(t->sessions * scale) : 20;
        struct stats_running r = {0};
        double from = now();
        if (!strstr(t->name, only))
            continue;
        struct preset p;
        if (situation_preset(t, &p, &e) < 0) {
            printf("%s\n", e.text);
            return 1;
        }
        for (int k = 0; k < n; k++) {
            double value = situation_session(t, &p, path, 1000 + k, &e);
            if (isnan(value)) {
                printf("%s: %s\n", t->name, e.text[0] ? e.text : "a session without figures");
                return 1;
            }
            stats_running_add(&r, value);
        }
        preset_free(&p);
        bool held = r.mean >= t->low && r.mean <= t->high;
        char bound[32];
        if (t->count == COUNT_BIAS)
            snprintf(bound, sizeof bound, "within %.1f %%", 100 * t->high);
        else if (t->low <= 0)
            snprintf(bound, sizeof bound, "<= %.1f %%", 100 * t->high);
        else if (t->high >= 1)
            snprintf(bound, sizeof bound, ">= %.0f %%", 100 * t->low);
        else
            snprintf(bound, sizeof bound, "%.1f-%.1f %%", 100 * t->low, 100 * t->high);
        printf("%-58s %6.2f %% %6.2f %%  %-14s %8d  %s", t->name, 100 * r.mean,
               100 * stats_running_std(&r) / sqrt((double)r.n), bound, n, held ? "held" : "MISSED");
        printf("  (%.1f s)\n", now() - from);
        fflush(stdout);
        missed += !held;
        total += n;
    }
    printf("%d sessions in %.0f s; %d bounds missed\n", total, now() - begun, missed);
    return missed > 0;
}
