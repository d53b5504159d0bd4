/* What a million samples cost: bytes in memory while live, file size, seconds to save and to open again. */
#include "engine/session_file.h"
#include "engine/summary.h"
#include "presets/catalog.h"
#include "stats/stats.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { MILLION = 1000000, BLOCK = 1000 };

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double resident_mb(void)
{
    long pages = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (f) {
        if (fscanf(f, "%*d %ld", &pages) != 1)
            pages = 0;
        fclose(f);
    }
    return (double)pages * (double)sysconf(_SC_PAGESIZE) / 1e6;
}

int main(void)
{
    struct error e = {0};
    struct preset p;
    struct session s = {0}, back = {0};
    char path[] = "/tmp/benchtop-scale-XXXXXX.json";
    stats_init();
    if (catalog_preset("quick", &p, NULL, &e) || session_layout(&s, &p, &e) || mkstemps(path, 5) < 0) {
        printf("%s\n", e.text);
        return 1;
    }
    double before = resident_mb();
    s.owns_blocks = true;
    for (int i = 0; i < MILLION / BLOCK; i++) {
        struct block *b = session_new_block(0, i % s.cell[0].n_arms, i / s.cell[0].n_arms, 0, BLOCK, &e);
        if (!b || session_add_block(&s, b, &e)) {
            printf("%s\n", e.text);
            return 1;
        }
        for (int j = 0; j < BLOCK; j++)
            b->samples[j] =
                (struct sample){10000000 + (i * 7919 + j * 104729) % 500000, 10010000 + j % 1000, 0};
        b->n = BLOCK;
    }
    double live = resident_mb() - before, t = now();
    struct arm_summary sum;
    summary_arm(&s, 0, 0, &sum);
    printf("summary of %d samples           %8.1f ms\n", sum.n, 1e3 * (now() - t));
    t = now();
    if (session_save(&s, path, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    double saved = now() - t;
    FILE *f = fopen(path, "r");
    fseek(f, 0, SEEK_END);
    printf("a million samples in memory     %8.1f MB (goal 64)\n", live);
    printf("saved in                        %8.2f s, %.1f MB\n", saved, (double)ftell(f) / 1e6);
    fclose(f);
    t = now();
    if (session_load(path, &back, NULL, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    double opened = now() - t;
    printf("opened in                       %8.2f s (goal 2)\n", opened);
    unlink(path);
    session_free(&s);
    session_free(&back);
    preset_free(&p);
    return getenv("BENCH_STRICT") && (live > 64 || opened > 2);
}
