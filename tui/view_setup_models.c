#include "engine/model/model_find.h"
#include "engine/model/native.h"
#include "tui/dialog.h"
#include "tui/format.h"
#include "tui/screen.h"
#include "tui/view_setup.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { FOUND = 64, PATH = 256 };

/* GGUF files where people keep them: ~/models and the current folder, each file under its path. */
static int find_files(char (*path)[PATH])
{
    const char *home = getenv("HOME");
    char folder[2][PATH] = {"", "."};
    int n = 0;
    if (home && home[0] == '/')
        snprintf(folder[0], PATH, "%.240s/models", home);
    for (int i = 0; i < 2; i++) {
        DIR *d = folder[i][0] ? opendir(folder[i]) : NULL;
        for (struct dirent *f = d ? readdir(d) : NULL; f && n < FOUND; f = readdir(d)) {
            size_t length = strlen(f->d_name);
            if (length < 6 || strcmp(f->d_name + length - 5, ".gguf") != 0 || f->d_name[0] == '.')
                continue;
            int wrote = snprintf(path[n], PATH, "%s/%s", folder[i], f->d_name);
            n += wrote > 0 && wrote < PATH;
        }
        if (d)
            closedir(d);
    }
    return n;
}

/* "~/my.gguf" as the shell would have it. */
static void expand(const char *typed, char out[PATH])
{
    const char *home = getenv("HOME");
    if (typed[0] == '~' && typed[1] == '/' && home)
        snprintf(out, PATH, "%.*s%s", 120, home, typed + 1);
    else
        snprintf(out, PATH, "%s", typed);
}

/* A path as people write it; its end where it is too long for `room` columns. */
static void name_text(const char *name, int room, char *out, size_t size)
{
    const char *home = getenv("HOME");
    size_t n = home ? strlen(home) : 0;
    bool below = n > 1 && strncmp(name, home, n) == 0 && name[n] == '/';
    snprintf(out, size, "%s%s", below ? "~" : "", below ? name + n : name);
    const char *slash = strrchr(out, '/');
    if (grid_columns(out) <= room || !slash)
        return;
    char end[PATH];
    snprintf(end, sizeof end, "%s", slash);
    snprintf(out, size, "\xe2\x80\xa6%s", end);
}

static void load_model(const struct app *a, const char *name, struct setup_model *m)
{
    struct error e = {0};
    snprintf(m->name, sizeof m->name, "%s", name);
    if (model_find(name, &m->spec, &e) != 0) {
        snprintf(m->reason, sizeof m->reason, "%.191s", e.text);
        return;
    }
    m->loaded = true;
    m->parameters = model_parameters(&m->spec);
    struct implementation plain;
    implementation_default(&plain);
    if (strcmp(a->device.id, "cpu") == 0 &&
        native_supports(a->device.id, &m->spec, &plain, WORKLOAD_PREFILL, &e) != 0)
        snprintf(m->reason, sizeof m->reason, "%.191s", e.text);
}

static int by_family_and_size(const void *x, const void *y)
{
    const struct setup_model *a = x, *b = y;
    if (a->loaded != b->loaded)
        return a->loaded ? -1 : 1;
    if (a->spec.family != b->spec.family)
        return a->spec.family < b->spec.family ? -1 : 1;
    if (a->parameters != b->parameters)
        return a->parameters < b->parameters ? -1 : 1;
    return strcmp(a->name, b->name);
}

static bool has(const struct setup_model *m, int n, const char *name)
{
    for (int i = 0; i < n; i++)
        if (strcmp(m[i].name, name) == 0)
            return true;
    return false;
}

int setup_models_load(struct app *a, struct error *e)
{
    struct setup_state *s = a->setup;
    struct catalog_list list = {0};
    bool missing = s->n_models == 0;
    for (int i = 0; i < a->preset.n_models; i++)
        missing |= !has(s->model, s->n_models, a->preset.models[i]);
    if (!missing)
        return 0;
    if (catalog_list(CATALOG_MODELS, &list, e) != 0)
        return -1;
    char found[FOUND][PATH];
    int n_found = find_files(found);
    size_t most = (size_t)(list.n + n_found + a->preset.n_models + 1);
    struct setup_model *model = calloc(most, sizeof *model);
    int *shown = calloc(most, sizeof *shown), n = 0;
    if (!model || !shown) {
        free(model);
        free(shown);
        catalog_list_free(&list);
        return error_set(e, ERROR_MEMORY, "no memory for the list of models: close other programs");
    }
    for (int i = 0; i < list.n; i++)
        load_model(a, list.entry[i].name, &model[n++]);
    for (int i = 0; i < n_found; i++)
        load_model(a, found[i], &model[n++]);
    for (int i = 0; i < a->preset.n_models; i++)
        if (!has(model, n, a->preset.models[i]))
            load_model(a, a->preset.models[i], &model[n++]);
    qsort(model, (size_t)n, sizeof *model, by_family_and_size);
    catalog_list_free(&list);
    free(s->model);
    free(s->shown);
    s->model = model;
    s->shown = shown;
    s->n_models = n;
    setup_models_filter(a);
    for (int i = 0; i < n && a->preset.n_models > 0; i++)
        if (strcmp(model[i].name, a->preset.models[0]) == 0)
            s->models.cursor = i;
    return 0;
}

void setup_models_filter(struct app *a)
{
    struct setup_state *s = a->setup;
    s->n_shown = 0;
    for (int i = 0; i < s->n_models; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s %s %s", s->model[i].name, s->model[i].spec.title,
                 s->model[i].loaded ? model_family_name(s->model[i].spec.family) : "");
        if (widget_matches(text, s->filter.text))
            s->shown[s->n_shown++] = i;
    }
}

const struct setup_model *setup_model_of(const struct app *a, const char *name)
{
    for (int i = 0; i < a->setup->n_models; i++)
        if (strcmp(a->setup->model[i].name, name) == 0)
            return &a->setup->model[i];
    return NULL;
}

static int position(const struct preset *p, const char *name)
{
    for (int i = 0; i < p->n_models; i++)
        if (strcmp(p->models[i], name) == 0)
            return i;
    return -1;
}

static void toggle(struct app *a, const struct setup_model *m)
{
    struct preset *p = &a->preset;
    int at = position(p, m->name);
    if (at < 0 && p->n_models >= PRESET_MODELS) {
        app_say(a, true, "a preset holds at most %d models: take one out first", PRESET_MODELS);
        return;
    }
    if (at < 0) {
        snprintf(p->models[p->n_models++], sizeof p->models[0], "%s", m->name);
        if (m->reason[0])
            app_say(a, false, "%s", m->reason);
    } else {
        memmove(p->models[at], p->models[at + 1], (size_t)(p->n_models - at - 1) * sizeof p->models[0]);
        p->n_models--;
    }
    a->preset_changed = true;
}

static bool add_file(struct app *a, const char *typed, void *data, struct error *e)
{
    struct model_spec spec;
    char path[PATH];
    (void)data;
    expand(typed, path);
    if (model_find(path, &spec, e) != 0)
        return false;
    if (a->preset.n_models >= PRESET_MODELS) {
        error_set(e, ERROR_USAGE, "a preset holds at most %d models: take one out first", PRESET_MODELS);
        return false;
    }
    if (position(&a->preset, path) < 0)
        snprintf(a->preset.models[a->preset.n_models++], sizeof a->preset.models[0], "%s", path);
    a->preset_changed = true;
    return setup_models_load(a, e) == 0;
}

bool setup_models_action(struct app *a, enum action what)
{
    struct setup_state *s = a->setup;
    int page = s->models.cursor - s->models.top + 8;
    switch (what) {
    case ACTION_UP:
        widget_scroll_move(&s->models, s->n_shown, -1);
        return true;
    case ACTION_DOWN:
        widget_scroll_move(&s->models, s->n_shown, 1);
        return true;
    case ACTION_PAGE_UP:
        widget_scroll_move(&s->models, s->n_shown, -page);
        return true;
    case ACTION_PAGE_DOWN:
        widget_scroll_move(&s->models, s->n_shown, page);
        return true;
    case ACTION_HOME:
        s->models.cursor = 0;
        return true;
    case ACTION_END:
        widget_scroll_move(&s->models, s->n_shown, s->n_shown);
        return true;
    case ACTION_TOGGLE:
    case ACTION_CHOOSE:
        if (s->models.cursor < s->n_shown)
            toggle(a, &s->model[s->shown[s->models.cursor]]);
        return true;
    case ACTION_ADD:
        dialog_entry(a, "Add a model", "",
                     "The path of a GGUF file (~/models/my.gguf), or of a model's JSON file.", add_file,
                     NULL);
        return true;
    case ACTION_REMOVE:
        if (s->models.cursor < s->n_shown &&
            position(&a->preset, s->model[s->shown[s->models.cursor]].name) >= 0)
            toggle(a, &s->model[s->shown[s->models.cursor]]);
        return true;
    default:
        return false;
    }
}

bool setup_models_text(struct app *a, int key)
{
    struct setup_state *s = a->setup;
    if (key == KEY_CODE_ESCAPE) {
        widget_entry_set(&s->filter, "");
        s->filtering = false;
    } else if (key == KEY_CODE_ENTER || key == KEY_CODE_TAB) {
        s->filtering = false;
    } else if (key == KEY_CODE_UP || key == KEY_CODE_DOWN) {
        widget_scroll_move(&s->models, s->n_shown, key == KEY_CODE_UP ? -1 : 1);
        return true;
    } else if (!widget_entry_key(&s->filter, key)) {
        return true;
    }
    s->models.cursor = 0;
    setup_models_filter(a);
    return true;
}

void setup_models_draw(struct app *a, struct grid *g, struct rect r)
{
    struct setup_state *s = a->setup;
    bool focus = s->focus == SETUP_MODELS;
    char note[48], size[FORMAT_TEXT];
    snprintf(note, sizeof note, "%d of %d", a->preset.n_models, s->n_models);
    struct rect in = widget_panel(g, r, "Models", note, focus);
    if (s->filtering || s->filter.text[0]) {
        struct rect top = layout_top(&in, 1);
        grid_put(g, top.x, top.y, '/', STYLE_KEY);
        if (s->filtering)
            widget_entry_draw(g, top.x + 2, top.y, top.width - 2, &s->filter);
        else
            grid_text(g, top.x + 2, top.y, top.width - 2, STYLE_KEY, s->filter.text);
    }
    if (s->n_shown == 0) {
        widget_paragraph(g, in, STYLE_DIM,
                         s->n_models ? "No model matches: Esc clears the filter."
                                     : "The catalog holds no models.");
        return;
    }
    widget_scroll_fit(&s->models, s->n_shown, in.height);
    for (int row = 0; row < in.height && s->models.top + row < s->n_shown; row++) {
        int at = s->models.top + row, y = in.y + row;
        const struct setup_model *m = &s->model[s->shown[at]];
        bool on = position(&a->preset, m->name) >= 0;
        enum style style = m->reason[0] ? STYLE_DIM : on ? STYLE_BOLD : STYLE_TEXT;
        if (at == s->models.cursor && focus)
            grid_put(g, in.x, y, glyph(g, GLYPH_POINTER), STYLE_KEY);
        grid_put(g, in.x + 2, y, glyph(g, on ? GLYPH_ON : GLYPH_OFF), on ? STYLE_KEY : STYLE_DIM);
        int right = in.x + in.width;
        if (m->loaded) {
            grid_text_right(g, right, y, 6, style, format_count(size, m->parameters));
            right -= 7;
        }
        char name[PATH + 8];
        name_text(m->name, right - in.x - 4, name, sizeof name);
        grid_text(g, in.x + 4, y, right - in.x - 4, style, name);
        if (at == s->models.cursor && focus)
            grid_restyle(g, (struct rect){in.x, y, in.width, 1}, STYLE_SELECTED);
    }
    widget_scrollbar(g, r, &s->models, s->n_shown, in.height);
}
