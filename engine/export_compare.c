/* The comparison of two sessions as JSON, in the session's own shape: cells[] with comparisons[]. */
#include "engine/compare.h"
#include "engine/session_json.h"
#include <math.h>

static int put_identity(cJSON *root, const char *key, const struct session *s)
{
    cJSON *o = cJSON_AddObjectToObject(root, key);
    return session_put_text(o, "id", s->id) || session_put_text(o, "path", s->path) ||
           session_put_text(o, "started", s->started) || session_put_text(o, "version", s->version) ||
           session_put_text(o, "git_commit", s->git_commit) || session_put_text(o, "build", s->build) ||
           session_put_item(o, "environment", session_write_environment(&s->environment)) != 0;
}

static int put_side(cJSON *o, const char *key, const struct session *s, int cell, int arm)
{
    cJSON *side = cJSON_AddObjectToObject(o, key);
    struct arm_summary a;
    summary_arm(s, cell, arm, &a);
    return a.incomplete || session_put_text(side, "session", s->id) ||
           session_put_text(side, "arm", s->cell[cell].arm[arm].name) ||
           !json_add_int64(side, "cell", cell) || !json_add_int64(side, "n", a.n) ||
           !json_add_int64(side, "blocks", a.blocks) || session_put_double(side, "mean_ms", a.latency.mean);
}

static int put_row(cJSON *list, const struct session *base, const struct session *candidate,
                   const struct compare_row *row)
{
    cJSON *o = cJSON_CreateObject();
    if (session_push_item(list, o) != 0)
        return -1;
    struct comparison at95;
    struct summary_case unused = {0};
    int failed =
        summary_compare_unpaired(&base->cell[row->base_cell].arm[row->base_arm],
                                 &candidate->cell[row->new_cell].arm[row->new_arm], 0.95, &at95, &unused);
    const char *arm = base->cell[row->base_cell].arm[row->base_arm].name;
    return failed || session_put_text(o, "baseline", arm) || session_put_text(o, "candidate", arm) ||
           put_side(o, "base", base, row->base_cell, row->base_arm) ||
           put_side(o, "new", candidate, row->new_cell, row->new_arm) ||
           session_write_comparison(o, &row->comparison, &at95, summary_confidence(candidate)) ||
           session_put_double(o, "change_pct", row->change_pct) ||
           !cJSON_AddBoolToObject(o, "regression", row->regression);
}

static int put_cells(cJSON *root, const struct session *base, const struct session *candidate,
                     const struct compare_result *r)
{
    cJSON *cells = cJSON_AddArrayToObject(root, "cells"), *list = NULL;
    for (int i = 0; i < r->n; i++) {
        if (i == 0 || r->row[i].base_cell != r->row[i - 1].base_cell) {
            cJSON *cell = cJSON_CreateObject();
            if (session_push_item(cells, cell) != 0 ||
                session_write_cell(cell, &candidate->cell[r->row[i].new_cell]) != 0)
                return -1;
            list = cJSON_AddArrayToObject(cell, "comparisons");
        }
        if (put_row(list, base, candidate, &r->row[i]) != 0)
            return -1;
    }
    return cells ? 0 : -1;
}

char *compare_print_json(const struct session *base, const struct session *candidate,
                         const struct compare_result *r, struct error *e)
{
    cJSON *root = cJSON_CreateObject();
    bool bad = session_put_text(root, "schema", "benchtop/comparison/1") ||
               put_identity(root, "base", base) || put_identity(root, "new", candidate) ||
               session_put_text(root, "differences", r->differences) ||
               !json_add_int64(root, "regressions", r->regressions) ||
               !json_add_int64(root, "inconclusive", r->inconclusive) ||
               !json_add_int64(root, "only_base", r->only_base) ||
               !json_add_int64(root, "only_new", r->only_new) || put_cells(root, base, candidate, r);
    char *text = bad ? NULL : json_print(root, 2);
    cJSON_Delete(root);
    if (!text)
        error_set(e, ERROR_MEMORY, "no memory to write the comparison: close other programs and try again");
    return text;
}
