#include "presets/catalog.h"
#include "presets/preset_json.h"
#include <math.h>
#include <stdio.h>
#include <string.h>

static int finding(const struct json_at *at, const char *key, const char *text)
{
    char where[512];
    json_where(at, key, where, sizeof where);
    return error_add(at->e, ERROR_USAGE, "%s: %s", where, text);
}

static int check_ints(const struct json_at *at, const char *key, const int *values, int n, int max)
{
    int result = 0;
    char text[160];
    if (n <= 0 || n > PRESET_SWEEP)
        return finding(at, key, n <= 0 ? "none given: give at least one" : "more than 32 values: give fewer");
    for (int i = 0; i < n; i++) {
        if (values[i] < 1 || values[i] > max) {
            snprintf(text, sizeof text, "expected whole numbers from 1 to %d, found %d", max, values[i]);
            result = finding(at, key, text);
        }
        for (int j = 0; j < i; j++)
            if (values[j] == values[i]) {
                snprintf(text, sizeof text, "%d is given twice: remove one", values[i]);
                result = finding(at, key, text);
                break;
            }
    }
    return result;
}

static int check_models(const struct json_at *at, const struct preset *p)
{
    int result = 0;
    if (p->n_models <= 0)
        return finding(at, "models", "none given: name at least one, as `benchtop list models` shows them");
    for (int i = 0; i < p->n_models; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(p->models[i], p->models[j]) == 0) {
                char text[400];
                snprintf(text, sizeof text, "%s is given twice: remove one", p->models[i]);
                result = finding(at, "models", text);
                break;
            }
    return result;
}

static int check_workloads(const struct json_at *at, const struct preset *p)
{
    int result = 0;
    if (p->n_workloads <= 0)
        return finding(at, "workloads", "none given: name prefill, decode, generate, tokenize or perplexity");
    for (int i = 0; i < p->n_workloads; i++)
        for (int j = 0; j < i; j++)
            if (p->workloads[i] == p->workloads[j])
                result = finding(at, "workloads", "one is given twice: remove it");
    return result;
}

/* What asks for words cannot run on random ids. */
static int check_text(const struct json_at *at, const struct preset *p)
{
    for (int i = 0; i < p->n_workloads; i++)
        if (!p->text[0] && (p->workloads[i] == WORKLOAD_TOKENIZE || p->workloads[i] == WORKLOAD_PERPLEXITY)) {
            char text[160];
            snprintf(text, sizeof text, "the workload %s needs one: name a file, or tinyshakespeare",
                     workload_names[p->workloads[i]]);
            return finding(at, "text", text);
        }
    return 0;
}

static int check_arms(const struct json_at *at, const struct preset *p)
{
    int result = 0;
    if (p->n_arms <= 0)
        return finding(at, "arms",
                       "none given: name at least one, as `benchtop list implementations` shows them");
    for (int i = 0; i < p->n_arms; i++) {
        const struct preset_arm *arm = &p->arms[i];
        char text[256];
        if (!arm->name[0])
            result = finding(at, "arms", "one has no name: give each a name of its own");
        for (int j = 0; j < i; j++)
            if (strcmp(arm->name, p->arms[j].name) == 0) {
                snprintf(text, sizeof text,
                         "two are named \"%s\": give each a name of its own, as in --arm again=of:%s",
                         arm->name, arm->name);
                result = finding(at, "arms", text);
                break;
            }
        if (!(arm->implementation.sparsity >= 0 && arm->implementation.sparsity <= 0.9)) {
            snprintf(text, sizeof text, "%s: sparsity: expected a number from 0 to 0.9", arm->name);
            result = finding(at, "arms", text);
        }
    }
    return result;
}

static int check_device(const struct json_at *at, const char *device)
{
    static const char *const names[] = {"cpu", "cuda", "fake"};
    for (int i = 0; i < 3; i++)
        if (strcmp(device, names[i]) == 0)
            return 0;
    size_t digits = strncmp(device, "cuda:", 5) == 0 ? strspn(device + 5, "0123456789") : 0;
    if (digits > 0 && digits <= 4 && device[5 + digits] == '\0')
        return 0;
    char text[160];
    snprintf(text, sizeof text, "expected cpu, cuda, cuda:N or fake, found \"%.31s\"", device);
    return finding(at, "device", text);
}

static bool has_arm(const struct preset *p, const char *name)
{
    for (int i = 0; i < p->n_arms; i++)
        if (strcmp(p->arms[i].name, name) == 0)
            return true;
    return false;
}

static bool has_law(const struct preset *p, const char *arm)
{
    for (int i = 0; i < p->fake.n_laws; i++)
        if (strcmp(p->fake.law[i].arm, arm) == 0)
            return true;
    return false;
}

/* A law for an arm that is not here waits for it (--arm may have chosen others); one that nearly names an arm
 * without a law is a slip of the pen, and that arm would run by the default law unnoticed. */
static bool misspelled_law(const struct preset *p, const char *arm, char *near, size_t size)
{
    const char *lawless[PRESET_ARMS];
    int n = 0;
    for (int i = 0; i < p->n_arms; i++)
        if (!has_law(p, p->arms[i].name))
            lawless[n++] = p->arms[i].name;
    near[0] = '\0';
    if (!has_arm(p, arm))
        catalog_nearest(arm, lawless, n, near, size);
    return near[0] != '\0';
}

static int check_fake(const struct json_at *at, const struct preset *p)
{
    int result = 0;
    for (int i = 0; i < p->fake.n_laws; i++) {
        const struct fake_law *law = &p->fake.law[i];
        char path[PRESET_NAME + 16], near[160], text[320];
        double shares = 0;
        snprintf(path, sizeof path, "fake.arms.%s", law->arm);
        struct json_at in = {at->file, path, at->e};
        if (misspelled_law(p, law->arm, near, sizeof near)) {
            snprintf(text, sizeof text, "no arm has this name, did you mean %s: correct or remove it", near);
            result = finding(&in, "", text);
        }
        result |= json_check_fields(&in, preset_law_fields, preset_n_law_fields, law);
        result |= json_check_fields(&in, preset_law_warmup_fields, preset_n_law_warmup_fields, law);
        for (int m = 0; m < law->n_modes; m++)
            shares += law->mode[m].share;
        if (law->kind == FAKE_BIMODAL && fabs(shares - 1) > 1e-6)
            result = finding(&in, "modes", "expected shares that add up to 1");
        if (law->kind != FAKE_BIMODAL && law->n_modes > 0)
            result =
                finding(&in, "modes", "only the bimodal law has modes: remove them or set law to bimodal");
    }
    return result;
}

int preset_validate(const struct preset *p, struct error *e)
{
    struct error found = {0};
    struct json_at at = {p->name[0] ? p->name : "preset", "", &found};
    struct json_at criteria = {at.file, "criteria", &found}, sampling = {at.file, "sampling", &found};
    json_check_fields(&at, preset_fields, preset_n_fields, p);
    check_device(&at, p->device);
    check_models(&at, p);
    check_workloads(&at, p);
    check_ints(&at, "batch", p->batch, p->n_batch, PRESET_BATCH_MAX);
    check_ints(&at, "seq", p->seq, p->n_seq, PRESET_SEQ_MAX);
    check_arms(&at, p);
    if (p->max_rounds < p->rounds)
        finding(&at, "max_rounds", "less than rounds: raise it or lower rounds");
    if (p->warmup_max < p->warmup_min)
        finding(&at, "warmup_max", "less than warmup_min: raise it or lower warmup_min");
    json_check_fields(&sampling, preset_sampling_fields, preset_n_sampling_fields, &p->sampling);
    check_text(&at, p);
    json_check_fields(&criteria, preset_criteria_fields, preset_n_criteria_fields, &p->criteria);
    check_fake(&at, p);
    preset_check_design(&at, p);
    return found.kind == ERROR_NONE ? 0 : error_set(e, found.kind, "%s", found.text);
}
