/* benchtop history: cells over all saved sessions, and a gate for continuous integration. */
#include "engine/history_print.h"
#include "presets/catalog.h"
#include "tui/command.h"
#include "tui/output.h"
#include "tui/widget.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Drops what is older than the session named, newest first: it stays the oldest. -1: there is none. */
static int start_at(const struct session_entry *entry, int *n, const char *id, struct error *e)
{
    for (int i = 0; i < *n; i++)
        if (strcmp(entry[i].id, id) == 0) {
            *n = i + 1;
            return 0;
        }
    const char *names[64];
    char near[192];
    int known = *n < 64 ? *n : 64;
    for (int i = 0; i < known; i++)
        names[i] = entry[i].id;
    catalog_nearest(id, names, known, near, sizeof near);
    return error_set(e, ERROR_USAGE, "no saved session is called %s: %s%s", id,
                     *near ? "did you mean " : "see `benchtop list sessions`", near);
}

static int choose_keys(const struct history *h, const struct request *r, int *key)
{
    int n = 0;
    for (int k = 0; k < h->n_keys; k++) {
        char name[400];
        bool all = true;
        history_name(h, k, name, sizeof name);
        for (int i = 0; i < r->n_operands; i++)
            all = all && widget_matches(name, r->operand[i]);
        if (all)
            key[n++] = k;
    }
    return n;
}

static int gate(const struct request *r, const struct history *h, const struct history_judgement *j,
                const int *key, int n)
{
    int regressions = 0, open = 0;
    if (isnan(r->regression_pct))
        return EXIT_DONE;
    for (int i = 0; i < n; i++) {
        regressions += j[key[i]].regression;
        open += !j[key[i]].regression && !j[key[i]].harmless;
        if (j[key[i]].regression) {
            char name[400];
            history_name(h, key[i], name, sizeof name);
            output_say("%s: %s", name, j[key[i]].reason);
        }
    }
    if (regressions) {
        output_say(
            "%d of %d cells are slower by more than %g %%: --since SESSION accepts what changed before it",
            regressions, n, r->regression_pct);
        return EXIT_FAILED_CRITERION;
    }
    if (open) {
        output_say("%d of %d cells cannot be judged at %g %%: run more sessions", open, n, r->regression_pct);
        return EXIT_INCONCLUSIVE;
    }
    return EXIT_DONE;
}

static int report(const struct request *r, const struct history *h, struct error *e)
{
    struct history_judgement *j = NULL;
    int code = EXIT_DONE, n = 0;
    int *key = malloc(((size_t)h->n_keys + 1) * sizeof *key);
    double threshold = isnan(r->regression_pct) ? 0 : r->regression_pct;
    if (!key)
        error_set(e, ERROR_MEMORY, "no memory for %d cells: close other programs", h->n_keys);
    if (!key || history_judge_all(h, threshold, &j, e) != 0) {
        free(key);
        return output_error(e);
    }
    n = choose_keys(h, r, key);
    if (n == 0) {
        error_set(e, ERROR_FAILED,
                  h->n_keys ? "no cell of %d sessions matches: `benchtop history` shows all of them"
                            : "%d saved sessions hold a measured cell: benchtop run makes one",
                  h->n_sessions);
        code = output_error(e);
    } else {
        code = output_result(r->json ? history_print_json(h, j, key, n, e)
                                     : history_print(h, j, key, n, output_width(), e),
                             e);
        if (code == EXIT_DONE)
            code = gate(r, h, j, key, n);
    }
    free(j);
    free(key);
    return code;
}

int command_history(const struct request *r)
{
    struct session_entry *entry = NULL;
    struct history h = {0};
    struct error e = {0};
    int n = 0, code;
    if (session_list(&entry, &n, &e) != 0 || (r->since && start_at(entry, &n, r->since, &e) != 0) ||
        history_gather(entry, n, NULL, NULL, &h, &e) != 0)
        code = output_error(&e);
    else
        code = report(r, &h, &e);
    history_free(&h);
    free(entry);
    return code;
}
