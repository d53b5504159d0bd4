#include "engine/session_calibration.h"

#include "engine/session_json.h"
#include "engine/summary.h"
#include "presets/catalog.h"
#include "presets/implementation_json.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SCHEMA "benchtop/calibration/1"
enum { FILE_BYTES = 16 << 20, PATH_BYTES = 1024 };

int calibration_preset(const struct preset *p, struct preset *out, struct error *e)
{
    struct preset q;
    if (preset_copy(&q, p, e) < 0)
        return -1;
    q.n_arms = 2;
    q.arms[1] = q.arms[0];
    snprintf(q.arms[1].name, sizeof q.arms[1].name, "%.*s again", (int)sizeof q.arms[1].name - 7,
             q.arms[0].name);
    struct fake_law law;
    bool has_law = false;
    for (int i = 0; i < p->fake.n_laws; i++)
        if (strcmp(p->fake.law[i].arm, p->arms[0].name) == 0) {
            law = p->fake.law[i];
            has_law = true;
        }
    q.fake.n_laws = 0;
    for (int a = 0; has_law && a < 2; a++) {
        q.fake.law[a] = law;
        snprintf(q.fake.law[a].arm, sizeof q.fake.law[a].arm, "%s", q.arms[a].name);
        q.fake.n_laws = 2;
    }
    q.design = (struct preset_design){0};
    q.criteria = preset_no_criteria();
    q.max_rounds = q.rounds;
    q.time_budget_s = 0;
    q.watch = false;
    *out = q;
    return 0;
}

bool calibration_of(const struct session *s, int cell, struct session_calibration *out)
{
    struct comparison c;
    *out = (struct session_calibration){0};
    if (summary_compare_arms(s, cell, 0, 1, &c) < 0 || c.decision.n < SUMMARY_MIN_ROUNDS ||
        !isfinite(c.decision.ci.low))
        return false;
    double confidence = summary_confidence(s),
           n = c.decision.correlated ? c.decision.n_eff : (double)c.decision.n;
    double half = (c.decision.ci.high - c.decision.ci.low) / 2;
    double error = half / stats_t_quantile(0.5 + confidence / 2, n - 1);
    double mde = stats_minimum_effect((size_t)n, error * sqrt(floor(n)), 1 - confidence, CALIBRATION_POWER);
    out->noise_floor_pct = 100 * fmax(fabs(expm1(c.decision.ci.low)), fabs(expm1(c.decision.ci.high)));
    out->mde_pct = 100 * expm1(mde);
    out->rounds = (int)c.decision.n;
    snprintf(out->measured_at, sizeof out->measured_at, "%s", s->finished[0] ? s->finished : s->started);
    return isfinite(out->mde_pct) && out->measured_at[0] != '\0';
}

static int file_path(char *out, size_t size, bool create, struct error *e)
{
    char folder[PATH_BYTES], host[128] = "";
    if (catalog_calibration_dir(folder, sizeof folder, create, e) < 0)
        return -1;
    if (gethostname(host, sizeof host - 1) != 0 || !host[0])
        snprintf(host, sizeof host, "localhost");
    for (char *c = host; *c; c++)
        if (!isalnum((unsigned char)*c) && *c != '-' && (*c != '.' || c == host))
            *c = '_';
    int n = snprintf(out, size, "%s/%s.json", folder, host);
    return n > 0 && (size_t)n < size
               ? 0
               : error_set(e, ERROR_FAILED, "%.80s...: the path is too long: choose a shorter XDG_DATA_HOME",
                           out);
}

/* Everything that a calibration hangs on, as one text. NULL: no memory. */
static char *key_of(const struct session *s, int cell)
{
    const struct session_cell *c = &s->cell[cell];
    cJSON *o = cJSON_CreateObject(), *implementation = NULL;
    const char *gpu = s->environment.device;
    int bad = session_put_text(o, "device", s->preset.device) || session_put_text(o, "gpu", gpu) ||
              !cJSON_AddNumberToObject(o, "threads", s->preset.threads) ||
              !cJSON_AddBoolToObject(o, "strict", s->preset.strict) ||
              session_put_text(o, "model", c->model) ||
              session_put_text(o, "workload", workload_names[c->workload]) ||
              !cJSON_AddNumberToObject(o, "batch", c->batch) || !cJSON_AddNumberToObject(o, "seq", c->seq) ||
              !cJSON_AddNumberToObject(o, "tokens", c->workload == WORKLOAD_GENERATE ? c->tokens : 0);
    bad |= !(implementation = cJSON_AddObjectToObject(o, "implementation")) ||
           implementation_write(implementation, &c->arm[0].implementation);
    char *text = bad ? NULL : json_print(o, 0);
    cJSON_Delete(o);
    return text;
}

static cJSON *load(const char *path, struct error *e)
{
    struct error found = {0};
    struct json_at at = {path, "", &found};
    const cJSON *entries = NULL;
    char schema[64] = "";
    cJSON *root = json_load(path, FILE_BYTES, e);
    if (!root)
        return NULL;
    if (json_text(&at, root, "schema", schema, sizeof schema) != JSON_FOUND || strcmp(schema, SCHEMA) != 0 ||
        json_object(&at, root, "entries", &entries) != JSON_FOUND) {
        error_set(e, ERROR_FAILED, "%s: no calibration of this version: move it away and calibrate again",
                  path);
        cJSON_Delete(root);
        return NULL;
    }
    return root;
}

static cJSON *entry_of(const struct session_calibration *c)
{
    cJSON *o = cJSON_CreateObject();
    if (session_write_calibration(o, c) == 0)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static int put_cell(cJSON *entries, const struct session *s, int cell)
{
    struct session_calibration c;
    if (s->cell[cell].status != CELL_OK || !calibration_of(s, cell, &c))
        return 0;
    char *key = key_of(s, cell);
    cJSON *entry = key ? entry_of(&c) : NULL;
    if (key)
        cJSON_DeleteItemFromObjectCaseSensitive(entries, key);
    int bad = !key || session_put_item(entries, key, entry) != 0;
    free(key);
    return bad ? -1 : 1;
}

int calibration_store(const struct session *s, char *path_out, size_t size, struct error *e)
{
    char path[PATH_BYTES];
    int stored = 0;
    if (file_path(path, sizeof path, true, e) < 0)
        return -1;
    cJSON *root = NULL;
    if (access(path, F_OK) == 0 && !(root = load(path, e)))
        return -1;
    if (!root) {
        root = cJSON_CreateObject();
        if (session_put_text(root, "schema", SCHEMA) != 0 || !cJSON_AddObjectToObject(root, "entries"))
            stored = -1;
    }
    cJSON *entries = cJSON_GetObjectItemCaseSensitive(root, "entries");
    for (int i = 0; i < s->n_cells && stored >= 0; i++) {
        int one = put_cell(entries, s, i);
        stored = one < 0 ? -1 : stored + one;
    }
    char *text = stored >= 0 ? json_print(root, 2) : NULL;
    cJSON_Delete(root);
    if (!text)
        return error_set(e, ERROR_MEMORY, "no memory to store the calibration: close other programs");
    int bad = stored > 0 ? json_write_file(path, text, strlen(text), e) : 0;
    free(text);
    if (path_out)
        snprintf(path_out, size, "%s", path);
    return bad ? -1 : stored;
}

void calibration_attach(struct session *s)
{
    char path[PATH_BYTES];
    struct error ignored = {0};
    if (file_path(path, sizeof path, false, &ignored) < 0 || access(path, R_OK) != 0)
        return;
    cJSON *root = load(path, &ignored);
    const cJSON *entries = cJSON_GetObjectItemCaseSensitive(root, "entries");
    for (int i = 0; entries && i < s->n_cells; i++) {
        char *key = key_of(s, i);
        const cJSON *entry = key ? cJSON_GetObjectItemCaseSensitive(entries, key) : NULL;
        struct json_at at = {path, "entries", &ignored};
        struct session_calibration c = {0};
        if (entry && session_read_calibration(&at, entry, &c) == 0)
            s->cell[i].calibration = c;
        free(key);
    }
    cJSON_Delete(root);
}
