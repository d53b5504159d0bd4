#include "tui/prepare.h"
#include "engine/session_file.h"
#include "presets/catalog.h"
#include "tui/output.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { TOLD_CELLS = 20 };

static int merge(struct error *e, const struct error *found)
{
    return error_add(e, found->kind, "%s", found->text);
}

void prepare_free(struct prepared *p)
{
    plan_free(&p->plan);
    preset_free(&p->preset);
    memset(p, 0, sizeof *p);
}

/* The preset that a session was run with, so that what was run can be run again. -1: no session, and e stays.
 */
static int of_session(const char *name, struct preset *p, struct error *e)
{
    struct session s = {0};
    struct error other = {0};
    if (session_load(name, &s, NULL, &other) != 0)
        return -1;
    *e = (struct error){0};
    int result = preset_copy(p, &s.preset, e);
    session_free(&s);
    return result;
}

static int load(const struct request *r, const char *name, const struct session *resume, struct preset *p,
                struct error *warning, struct error *e)
{
    if (!resume) {
        if (catalog_preset(name, p, warning, e) == 0 || of_session(name, p, e) == 0)
            return 0;
        /* a misspelled command looks like a preset's name */
        if (r->command == COMMAND_TUI && e->kind == ERROR_USAGE && access(name, F_OK) < 0) {
            char near[128];
            options_nearest_command(name, near, sizeof near);
            if (*near)
                error_add(e, ERROR_USAGE, "or did you mean the command %s?", near);
        }
        return -1;
    }
    if (name && strcmp(name, resume->preset.name))
        return error_set(e, ERROR_USAGE,
                         "the session was run with the preset %s, not %s: leave out the preset",
                         resume->preset.name, name);
    if (options_overrides(r))
        return error_set(e, ERROR_USAGE,
                         "--resume goes on with the session's own preset: leave out what changes it, or "
                         "run the preset afresh");
    return preset_copy(p, &resume->preset, e);
}

/* A file's model in a preset's precision is not what the file holds: said where nobody chose it. */
static void tell_precision(const struct request *r, const struct prepared *p, struct error *warning)
{
    bool stored = false;
    for (int i = 0; i < r->n_uses; i++)
        if (!strcmp(r->use[i].option->name, "--precision") || !strcmp(r->use[i].option->name, "--arm") ||
            !strcmp(r->use[i].option->name, "--set"))
            return;
    for (int a = 0; a < p->preset.n_arms; a++)
        stored |= p->preset.arms[a].implementation.precision == PRECISION_STORED;
    for (int m = 0; m < p->plan.n_models && !stored; m++)
        if (p->plan.model[m].file[0]) {
            error_add(warning, ERROR_USAGE,
                      "%s holds %s, the arms compute in the precision of the preset, made from it at load: "
                      "--precision stored computes in the file's own types",
                      p->plan.model[m].name, p->plan.model[m].stored.summary);
            return;
        }
}

int prepare(const struct request *r, const char *name, const struct session *resume, struct prepared *p,
            struct error *warning, struct error *e)
{
    struct error found = {0}, one = {0};
    memset(p, 0, sizeof *p);
    if (load(r, name, resume, &p->preset, warning, &one) < 0)
        merge(&found, &one);
    if (found.kind == ERROR_NONE)
        options_apply(r, &p->preset, &found);
    else { /* the values of the options can still be judged, on a preset that is none */
        struct preset any = {0};
        preset_default(&any);
        options_apply(r, &any, &found);
        preset_free(&any);
        goto fail;
    }
    memset(&one, 0, sizeof one);
    if (device_find(p->preset.device, &p->device, &one) < 0) {
        merge(&found, &one);
        /* another device shows what else is wrong */
        if (device_find("cpu", &p->device, NULL) < 0)
            goto fail;
    }
    memset(&one, 0, sizeof one);
    if (plan_build(&p->preset, &p->device, &p->plan, &one) < 0)
        merge(&found, &one);
    if (found.kind == ERROR_NONE) {
        if (warning && !resume)
            tell_precision(r, p, warning);
        return 0;
    }
fail:
    prepare_free(p);
    return error_set(e, found.kind, "%s", found.text);
}

int prepare_session(const char *name, struct session *s, struct error *warning, struct error *e)
{
    struct error why = {0};
    if (session_load(name, s, warning, &why) == 0)
        return 0;
    struct session_entry *entry = NULL;
    int n = 0;
    char journal[1024];
    snprintf(journal, sizeof journal, "%s.journal", name);
    bool there = access(name, F_OK) == 0 || access(journal, F_OK) == 0;
    if (session_list(&entry, &n, NULL) < 0)
        n = 0;
    const char **names = calloc((size_t)n + 1, sizeof *names);
    for (int i = 0; i < n; i++) {
        there |= !strcmp(entry[i].id, name);
        if (names)
            names[i] = entry[i].id;
    }
    char near[320] = "";
    if (names && !there)
        catalog_nearest(name, names, n, near, sizeof near);
    free(names);
    free(entry);
    if (there)
        return error_set(e, why.kind, "%s", why.text);
    return error_set(
        e, ERROR_USAGE, "there is no session %s: %s%s", name,
        *near ? "did you mean " : "`benchtop list sessions` tells which there are, or name a file", near);
}

void prepare_cell_words(const struct plan *plan, int cell, char *out, size_t size)
{
    const struct plan_cell *c = &plan->cell[cell];
    int n = snprintf(out, size, "%s %s batch %d seq %d", plan->model[c->model].name,
                     workload_names[c->workload], c->batch, c->seq);
    if (c->workload == WORKLOAD_GENERATE && n > 0 && (size_t)n < size)
        snprintf(out + n, size - (size_t)n, " + %d tokens", c->tokens);
}

int prepare_tell_unfit(const struct prepared *p, struct error *e)
{
    int told = 0, left_out = 0;
    char words[384];
    const char *first = "it has no cells";
    for (int i = 0; i < p->plan.n_cells; i++) {
        const struct plan_cell *c = &p->plan.cell[i];
        if (c->fits && c->supported)
            continue;
        if (left_out++ == 0)
            first = c->reason;
        if (told == TOLD_CELLS)
            continue;
        told++;
        prepare_cell_words(&p->plan, i, words, sizeof words);
        output_say("%s: %s%s", words,
                   c->supported                            ? ""
                   : strncmp(c->reason, "unsupported", 11) ? "unsupported: "
                                                           : "",
                   c->reason);
    }
    if (left_out > told)
        output_say("and %d more cells: `benchtop plan %s` tells all", left_out - told, p->preset.name);
    if (left_out < p->plan.n_cells)
        return 0;
    return error_set(
        e, ERROR_FAILED, "no cell of %s can run on %s: %s%s", p->preset.name, p->device.id, first,
        p->plan.n_unfit > 0 ? ": choose smaller models, batches or sequences, or another precision" : "");
}

int prepare_check_out(const char *path, struct error *e)
{
    struct stat st;
    char folder[4096];
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return error_add(e, ERROR_USAGE, "--out %s is %s: name a file%s", path,
                         S_ISDIR(st.st_mode) ? "a folder" : "not a regular file",
                         S_ISDIR(st.st_mode) ? "" : ", or use --json for standard output");
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else if ((size_t)(slash - path) < sizeof folder)
        snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    else
        return error_add(e, ERROR_USAGE, "--out: the file name is too long: choose a shorter one");
    if (stat(folder, &st) < 0 || !S_ISDIR(st.st_mode))
        return error_add(e, ERROR_USAGE, "--out %s: there is no folder %s: create it first", path, folder);
    if (access(folder, W_OK) < 0)
        return error_add(e, ERROR_FAILED, "--out %s: %s may not be written (%s): choose another place", path,
                         folder, strerror(errno));
    return 0;
}
