/* What statistics cost: a million samples summed up (goal 50 ms), and the figures of a view of 200 cells x 2
 * arms made again when one block arrives (goal 5 ms), in processor time; then the same as the Results screen
 * makes it, with its criteria, sentence and order of rows. */
#include "engine/summary_cache.h"
#include "presets/catalog.h"
#include "stats/stats.h"
#include "tui/results.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { MILLION = 1000000, ROUNDS = 30, SAMPLES = 30, REPEATS = 50 };

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return 1e3 * (double)t.tv_sec + (double)t.tv_nsec / 1e6;
}

static int add_block(struct session *s, int cell, int arm, int round, unsigned *state)
{
    struct error e = {0};
    struct block *b = session_new_block(cell, arm, round, arm, SAMPLES, &e);
    if (!b || session_add_block(s, b, &e))
        return -1;
    for (int i = 0; i < SAMPLES; i++) {
        *state = *state * 1664525u + 1013904223u;
        b->samples[i].device_ns = b->samples[i].host_ns = 10000000 + *state % 400000;
    }
    b->started_ns = 600000000LL * round;
    b->n = SAMPLES;
    return 0;
}

static double describe_ms(void)
{
    double *x = malloc(2 * MILLION * sizeof *x), best = INFINITY;
    unsigned state = 1;
    for (int i = 0; x && i < MILLION; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = 10 + state / 4294967296.0;
    }
    for (int k = 0; x && k < 5; k++) {
        struct stats_summary out;
        double from = cpu_ms();
        stats_describe(x, MILLION, 0.95, x + MILLION, &out);
        best = fmin(best, cpu_ms() - from);
    }
    free(x);
    return best;
}

/* The Results screen's table when one block arrives; NAN: no memory. */
static double results_ms(struct session *s, unsigned *state)
{
    struct results r = {.sort = RESULTS_SPEEDUP};
    struct error e = {0};
    double sum = 0;
    bool bad = results_build(&r, s, &e) != 0;
    for (int i = 0; i < REPEATS && !bad; i++) {
        bad = add_block(s, i, i % 2, ROUNDS + 1, state) != 0;
        double from = cpu_ms();
        bad = bad || results_build(&r, s, &e) != 0;
        sum += cpu_ms() - from;
    }
    results_free(&r);
    return bad ? NAN : sum / REPEATS;
}

int main(void)
{
    struct error e = {0};
    struct preset p;
    struct session s = {0};
    unsigned state = 7;
    stats_init();
    double million = describe_ms();
    if (catalog_preset("quick", &p, NULL, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    p.n_arms = 2;
    p.n_models = p.n_workloads = 1;
    p.n_batch = 20;
    p.n_seq = 10;
    for (int i = 0; i < 20; i++)
        p.batch[i] = p.seq[i] = i + 1;
    if (session_layout(&s, &p, &e)) {
        printf("%s\n", e.text);
        return 1;
    }
    s.owns_blocks = true;
    for (int r = 0; r < ROUNDS; r++)
        for (int cell = 0; cell < s.n_cells; cell++)
            for (int arm = 0; arm < 2; arm++)
                if (add_block(&s, cell, arm, r, &state))
                    return 1;
    struct summary_cache *cache = summary_cache_new();
    double from = cpu_ms();
    if (!cache || !summary_cache_comparisons(cache, &s, &e))
        return 1;
    double whole = cpu_ms() - from;
    from = cpu_ms();
    for (int i = 0; i < REPEATS; i++) {
        if (add_block(&s, i, i % 2, ROUNDS, &state) || !summary_cache_comparisons(cache, &s, &e))
            return 1;
        for (int cell = 0; cell < s.n_cells; cell++)
            for (int arm = 0; arm < 2; arm++)
                summary_cache_arm(cache, &s, cell, arm);
        if (i == 0) /* the arms' first summaries are no part of what one block costs */
            from = cpu_ms();
    }
    double one = (cpu_ms() - from) / (REPEATS - 1);
    printf("a million samples summed up                        %8.1f ms of CPU (goal 50)  %s\n", million,
           million < 50 ? "reached" : "missed");
    printf("%d cells x 2 arms x %d blocks, everything          %8.1f ms of CPU\n", s.n_cells, ROUNDS, whole);
    printf("the same view when one block arrives               %8.2f ms of CPU (goal 5)  %s\n", one,
           one < 5 ? "reached" : "missed");
    s.preset.criteria.min_speedup = 1.1;
    s.preset.criteria.max_cv = 0.1;
    double screen = results_ms(&s, &state);
    printf("the Results screen's table when one block arrives  %8.2f ms of CPU (goal 5)  %s\n", screen,
           screen < 5 ? "reached" : "missed");
    summary_cache_free(cache);
    session_free(&s);
    preset_free(&p);
    return (million >= 50 || one >= 5 || !(screen < 5)) && getenv("BENCH_STRICT");
}
