#include "tui/saving.h"
#include "engine/export.h"
#include "presets/json.h"
#include "tui/dialog.h"
#include "tui/format.h"
#include "tui/job.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* presets */

/* What is being saved while its name is asked for: Setup's preset, or that of the session shown in Results.
 */
static struct preset draft;
static bool draft_is_setup;

static void write_preset(struct app *a)
{
    char path[512];
    struct error e = {0};
    if (draft_is_setup)
        snprintf(a->preset.name, sizeof a->preset.name, "%s", draft.name);
    if (catalog_save_preset(&draft, path, sizeof path, &e) != 0)
        app_say(a, true, "%s", e.text);
    else
        app_say(a, false, "saved as %s", path);
}

static void overwrite(struct app *a, void *data)
{
    (void)data;
    write_preset(a);
}

static bool is_in_catalog(const char *name)
{
    struct catalog_list list = {0};
    struct error e = {0};
    bool found = false;
    if (catalog_list(CATALOG_PRESETS, &list, &e) != 0)
        return false;
    for (int i = 0; i < list.n; i++)
        found |= list.entry[i].user && strcmp(list.entry[i].name, name) == 0;
    catalog_list_free(&list);
    return found;
}

static bool name_preset(struct app *a, const char *text, void *data, struct error *e)
{
    (void)data;
    size_t length = strlen(text);
    if (length == 0 || length >= PRESET_NAME ||
        strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                     "0123456789-_.") != length ||
        text[0] == '.') {
        error_set(e, ERROR_USAGE, "a preset's name is 1 to %d letters, digits, - _ or .: type another",
                  PRESET_NAME - 1);
        return false;
    }
    snprintf(draft.name, sizeof draft.name, "%s", text);
    if (is_in_catalog(text)) {
        char question[PRESET_NAME + 48];
        snprintf(question, sizeof question, "Replace your preset %s?", text);
        dialog_confirm(a, question, "replace", overwrite, NULL);
    } else {
        write_preset(a);
    }
    return true;
}

void saving_save_preset(struct app *a)
{
    struct error e = {0};
    draft_is_setup = a->view != VIEW_RESULTS || !a->session;
    preset_free(&draft);
    memset(&draft, 0, sizeof draft);
    if (preset_copy(&draft, draft_is_setup ? &a->preset : &a->session->preset, &e) != 0 ||
        preset_validate(&draft, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    dialog_entry(a, "Save preset as", draft.name, "A name: the preset is then found by `benchtop NAME`.",
                 name_preset, NULL);
}

static void take_preset(struct app *a, int index, void *data)
{
    (void)data;
    struct catalog_list list = {0};
    struct error e = {0}, warning = {0};
    struct preset p = {0};
    if (catalog_list(CATALOG_PRESETS, &list, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    if (index < list.n && catalog_preset(list.entry[index].path, &p, &warning, &e) == 0) {
        snprintf(p.device, sizeof p.device, "%s", a->device.id);
        app_set_preset(a, &p);
        app_say(a, false, "%s%s%s", a->preset.answers[0] ? a->preset.answers : a->preset.title,
                warning.text[0] ? "; " : "", warning.text);
    } else {
        app_say(a, true, "%s", e.text[0] ? e.text : "the catalog changed meanwhile: open it again");
    }
    catalog_list_free(&list);
}

void saving_load_preset(struct app *a)
{
    struct catalog_list list = {0};
    struct error e = {0};
    if (catalog_list(CATALOG_PRESETS, &list, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    struct dialog_item *item = calloc((size_t)(list.n > 0 ? list.n : 1), sizeof *item);
    for (int i = 0; item && i < list.n; i++) {
        struct preset p = {0};
        struct error ignored = {0};
        snprintf(item[i].text, sizeof item[i].text, "%s", list.entry[i].name);
        if (catalog_preset(list.entry[i].path, &p, NULL, &ignored) == 0)
            snprintf(item[i].note, sizeof item[i].note, "%s%.110s", list.entry[i].user ? "yours: " : "",
                     p.title);
        else
            snprintf(item[i].note, sizeof item[i].note, "%.120s", ignored.text);
        preset_free(&p);
    }
    if (item)
        dialog_menu(a, "Open preset", item, list.n, 0, take_preset, NULL);
    free(item);
    catalog_list_free(&list);
}

/* exports: a job that reads the session's file again, so that it shares nothing with the screen */

struct export_work {
    char session[512], path[512], title[64];
    const struct export_format *format;
};

static int export_in_thread(struct job *j, void *data, struct error *e)
{
    struct export_work *w = data;
    struct session s = {0};
    struct error warning = {0};
    job_report(j, "reading the session", NAN);
    if (session_load(w->session, &s, &warning, e) != 0)
        return -1;
    int result = -1;
    char *text = NULL;
    if (!job_cancelled(j)) {
        job_report(j, "printing", NAN);
        text = w->format->print(&s, e);
    }
    if (job_cancelled(j)) {
        error_set(e, ERROR_CANCELLED, "export cancelled: nothing was written");
    } else if (text) {
        job_report(j, "writing", NAN);
        result = json_write_file(w->path, text, strlen(text), e);
    }
    free(text);
    session_free(&s);
    return result;
}

static void export_done(struct app *a, void *data, int result, const struct error *e)
{
    const struct export_work *w = data;
    if (result != 0)
        app_say(a, true, "%s", e->text);
    else
        app_say(a, false, "written: %s", w->path);
}

struct export_choice { /* what the export dialogs have agreed on so far; one export is asked for at a time */
    char session[512], id[96];
    const struct export_format *format;
};
static struct export_choice choice;

static void start_export(struct app *a, const char *path)
{
    struct export_work *w = calloc(1, sizeof *w);
    struct error e = {0};
    if (!w) {
        app_say(a, true, "no memory to export: close other programs");
        return;
    }
    snprintf(w->session, sizeof w->session, "%s", choice.session);
    snprintf(w->path, sizeof w->path, "%s", path);
    w->format = choice.format;
    const struct job_spec spec = {"exporting", export_in_thread, export_done, free, w};
    if (job_start(a, &spec, &e) != 0)
        app_say(a, true, "%s", e.text);
}

static char chosen_path[512];

static void replace_file(struct app *a, void *data)
{
    (void)data;
    start_export(a, chosen_path);
}

static bool export_path(struct app *a, const char *text, void *data, struct error *e)
{
    (void)data;
    if (!*text) {
        error_set(e, ERROR_USAGE, "a file's name is needed: type one");
        return false;
    }
    snprintf(chosen_path, sizeof chosen_path, "%s", text);
    if (access(text, F_OK) == 0) {
        char question[600];
        snprintf(question, sizeof question, "Replace %s?", text);
        dialog_confirm(a, question, "replace", replace_file, NULL);
    } else {
        start_export(a, text);
    }
    return true;
}

static void export_format_chosen(struct app *a, int index, void *data)
{
    (void)data;
    choice.format = &export_formats[index];
    char path[256];
    const char *extension = choice.format->extension;
    snprintf(path, sizeof path, "%s%s%s", choice.id, extension[0] == '.' ? "" : ".", extension);
    dialog_entry(a, "Export to", path, "A file; relative to the folder benchtop was started in.", export_path,
                 NULL);
}

void saving_export(struct app *a, const char *session_path, const char *id)
{
    struct dialog_item item[16] = {0};
    int n = export_n_formats < 16 ? export_n_formats : 16;
    if (!session_path || !*session_path) {
        app_say(a, true, "nothing to export yet: run something, or open a session");
        return;
    }
    snprintf(choice.session, sizeof choice.session, "%s", session_path);
    snprintf(choice.id, sizeof choice.id, "%s", id && *id ? id : "session");
    for (int i = 0; i < n; i++) {
        snprintf(item[i].text, sizeof item[i].text, "%s", export_formats[i].name);
        snprintf(item[i].note, sizeof item[i].note, "%.120s", export_formats[i].help);
    }
    dialog_menu(a, "Export as", item, n, 0, export_format_chosen, NULL);
}

/* the device */

static int measure_in_thread(struct job *j, void *data, struct error *e)
{
    job_report(j, "reading memory and multiplying matrices", NAN);
    return device_measure(data, e);
}

static void measure_done(struct app *a, void *data, int result, const struct error *e)
{
    if (result != 0) {
        app_say(a, true, "%s", e->text);
        return;
    }
    a->device = *(struct device *)data;
    a->preset_changed = true;
    char bandwidth[FORMAT_TEXT], fp32[FORMAT_TEXT];
    app_say(a, false, "measured: reads %sB/s, multiplies at %sFLOP/s in fp32",
            format_si(bandwidth, a->device.read_bandwidth, 6), format_si(fp32, a->device.product_rate[0], 6));
}

void saving_measure_device(struct app *a)
{
    struct error e = {0};
    if (app_running(a)) {
        app_say(a, true, "measuring the device would disturb the run: wait for its end, or stop it (s)");
        return;
    }
    struct device *d = malloc(sizeof *d);
    if (!d) {
        app_say(a, true, "no memory to measure the device: close other programs");
        return;
    }
    *d = a->device;
    const struct job_spec spec = {"measuring the device", measure_in_thread, measure_done, free, d};
    if (job_start(a, &spec, &e) != 0)
        app_say(a, true, "%s", e.text);
}
