#include "engine/model/native.h"
#include "tui/dialog.h"
#include "tui/theme.h"
#include "tui/view_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { AXES = 8, VALUE_TEXT = 64 };

static bool on_add_row(const struct app *a)
{
    return a->setup->arms.cursor >= a->preset.n_arms;
}

/* Why this implementation does not run here with the models and workloads chosen; false: it does. */
static bool unsupported(const struct app *a, const struct implementation *i, struct error *e)
{
    if (strcmp(a->device.id, "fake") == 0)
        return false;
    for (int m = 0; m < a->preset.n_models; m++) {
        const struct setup_model *model = setup_model_of(a, a->preset.models[m]);
        if (!model || !model->loaded || model->reason[0])
            continue;
        for (int w = 0; w < a->preset.n_workloads; w++)
            if (native_supports(a->device.id, &model->spec, i, a->preset.workloads[w], e) != 0)
                return true;
    }
    return false;
}

/* The same, of one value of an axis: does this value make the difference? */
static bool value_unsupported(const struct app *a, const struct implementation *i, int axis, struct error *e)
{
    struct implementation plain;
    struct error ignored = {0};
    char value[VALUE_TEXT];
    implementation_default(&plain);
    if (axis == IMPLEMENTATION_ACTIVATIONS) /* of 8 bits: beside weights of integers */
        plain.precision = i->precision;
    const struct implementation base = plain;
    implementation_get(i, axis, value, sizeof value);
    if (implementation_set(&plain, implementation_axes[axis].name, value, &ignored) != 0)
        return false;
    return unsupported(a, &plain, e) && !unsupported(a, &base, &ignored);
}

static void set_axis(struct app *a, int arm, int axis, const char *value)
{
    struct error e = {0};
    struct implementation i = a->preset.arms[arm].implementation;
    if (implementation_set(&i, implementation_axes[axis].name, value, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    a->preset.arms[arm].implementation = i;
    a->preset_changed = true;
    struct error why = {0};
    if (value_unsupported(a, &i, axis, &why))
        app_say(a, true, "%s", why.text);
}

/* The next value of the axis that this device has. */
static void cycle(struct app *a, int arm, int axis, int by)
{
    const struct implementation_axis *x = &implementation_axes[axis];
    char now[VALUE_TEXT];
    if (!x->values) {
        app_say(a, false, "Enter types a value: %s", x->help);
        return;
    }
    implementation_get(&a->preset.arms[arm].implementation, axis, now, sizeof now);
    int at = 0;
    for (int i = 0; i < x->n_values; i++)
        if (strcmp(x->values[i].name, now) == 0)
            at = i;
    for (int step = 1; step <= x->n_values; step++) {
        int next = ((at + by * step) % x->n_values + x->n_values) % x->n_values;
        struct implementation i = a->preset.arms[arm].implementation;
        struct error e = {0};
        if (implementation_set(&i, x->name, x->values[next].name, &e) != 0 ||
            value_unsupported(a, &i, axis, &e))
            continue;
        set_axis(a, arm, axis, x->values[next].name);
        return;
    }
}

static bool typed_value(struct app *a, const char *text, void *data, struct error *e)
{
    struct implementation i = a->preset.arms[a->setup->arms.cursor].implementation;
    int axis = a->setup->axis - 1;
    (void)data;
    if (implementation_set(&i, implementation_axes[axis].name, text, e) != 0)
        return false;
    set_axis(a, a->setup->arms.cursor, axis, text);
    return true;
}

static void ask_value(struct app *a)
{
    int axis = a->setup->axis - 1;
    char now[VALUE_TEXT];
    implementation_get(&a->preset.arms[a->setup->arms.cursor].implementation, axis, now, sizeof now);
    dialog_entry(a, implementation_axes[axis].name, now, implementation_axes[axis].help, typed_value, NULL);
}

static void value_chosen(struct app *a, int index, void *data)
{
    int axis = a->setup->axis - 1;
    const struct implementation_axis *x = &implementation_axes[axis];
    (void)data;
    if (index < x->n_values)
        set_axis(a, a->setup->arms.cursor, axis, x->values[index].name);
    else
        ask_value(a);
}

enum { VOCABULARIES = 32 };

/* "standard", and what was adapted to a text and lies in the catalog. */
static int list_vocabularies(char (*name)[VALUE_TEXT])
{
    struct catalog_list list = {0};
    struct error ignored = {0};
    int n = 0;
    snprintf(name[n++], VALUE_TEXT, "standard");
    if (catalog_list(CATALOG_VOCABULARIES, &list, &ignored) != 0)
        return n;
    for (int i = 0; i < list.n && n < VOCABULARIES; i++) {
        size_t length = strlen(list.entry[i].path);
        if (length > 5 && strcmp(list.entry[i].path + length - 5, ".json") == 0)
            snprintf(name[n++], VALUE_TEXT, "%.63s", list.entry[i].name);
    }
    catalog_list_free(&list);
    return n;
}

static void vocabulary_chosen(struct app *a, int index, void *data)
{
    char name[VOCABULARIES][VALUE_TEXT];
    (void)data;
    if (index < list_vocabularies(name))
        set_axis(a, a->setup->arms.cursor, a->setup->axis - 1, name[index]);
    else
        ask_value(a);
}

static void choose_vocabulary(struct app *a)
{
    char name[VOCABULARIES][VALUE_TEXT];
    struct dialog_item item[VOCABULARIES + 1] = {0};
    const struct implementation *now = &a->preset.arms[a->setup->arms.cursor].implementation;
    int n = list_vocabularies(name), cursor = 0;
    for (int i = 0; i < n; i++) {
        snprintf(item[i].text, sizeof item[i].text, "%.63s", name[i]);
        snprintf(item[i].note, sizeof item[i].note, "%s",
                 i == 0 ? "the model's own" : "adapted to a text: output not equivalent");
        if (strcmp(now->vocabulary, name[i]) == 0)
            cursor = i;
    }
    snprintf(item[n].text, sizeof item[n].text, "another");
    snprintf(item[n].note, sizeof item[n].note, "type its name");
    dialog_menu(a, "vocabulary", item, n + 1, cursor, vocabulary_chosen, NULL);
}

/* All values of an axis; what this device has not is dim, with the reason. */
static void choose_value(struct app *a)
{
    int arm = a->setup->arms.cursor, axis = a->setup->axis - 1, cursor = 0;
    const struct implementation_axis *x = &implementation_axes[axis];
    struct dialog_item item[17] = {0};
    char now[VALUE_TEXT], title[128];
    if (strcmp(x->name, "vocabulary") == 0) {
        choose_vocabulary(a);
        return;
    }
    if (!x->values) {
        ask_value(a);
        return;
    }
    implementation_get(&a->preset.arms[arm].implementation, axis, now, sizeof now);
    int n = x->n_values < 16 ? x->n_values : 16;
    for (int i = 0; i < n; i++) {
        struct implementation with = a->preset.arms[arm].implementation;
        struct error e = {0};
        snprintf(item[i].text, sizeof item[i].text, "%s", x->values[i].name);
        snprintf(item[i].note, sizeof item[i].note, "%.120s", x->values[i].help);
        if (implementation_set(&with, x->name, x->values[i].name, &e) == 0 &&
            value_unsupported(a, &with, axis, &e)) {
            item[i].disabled = true;
            snprintf(item[i].note, sizeof item[i].note, "not here: %.110s", e.text);
        }
        if (strcmp(now, x->values[i].name) == 0)
            cursor = i;
    }
    if (x->is_mask) {
        snprintf(item[n].text, sizeof item[n].text, "several");
        snprintf(item[n].note, sizeof item[n].note, "type them, joined with +");
        n++;
    }
    snprintf(title, sizeof title, "%s of %s", x->name, a->preset.arms[arm].name);
    dialog_menu(a, title, item, n, cursor, value_chosen, NULL);
}

static bool name_taken(const struct preset *p, const char *name, int but)
{
    for (int i = 0; i < p->n_arms; i++)
        if (i != but && strcmp(p->arms[i].name, name) == 0)
            return true;
    return false;
}

static bool rename_arm(struct app *a, const char *text, void *data, struct error *e)
{
    int arm = a->setup->arms.cursor;
    (void)data;
    if (!*text || strlen(text) >= PRESET_NAME || strpbrk(text, " ,=:")) {
        error_set(e, ERROR_USAGE, "an arm's name is 1 to %d characters without spaces , = or : type another",
                  PRESET_NAME - 1);
        return false;
    }
    if (name_taken(&a->preset, text, arm)) {
        error_set(e, ERROR_USAGE, "another arm is called %s: type another name", text);
        return false;
    }
    snprintf(a->preset.arms[arm].name, sizeof a->preset.arms[arm].name, "%s", text);
    a->preset_changed = true;
    return true;
}

static void append_arm(struct app *a, const char *bundle, const struct implementation *i)
{
    struct preset *p = &a->preset;
    struct preset_arm *arm = &p->arms[p->n_arms];
    memset(arm, 0, sizeof *arm);
    snprintf(arm->name, sizeof arm->name, "%s", bundle);
    for (int n = 2; name_taken(p, arm->name, p->n_arms) && n < 100; n++)
        snprintf(arm->name, sizeof arm->name, "%.50s-%d", bundle, n);
    snprintf(arm->bundle, sizeof arm->bundle, "%s", bundle);
    arm->implementation = *i;
    a->setup->arms.cursor = p->n_arms++;
    a->preset_changed = true;
    struct error e = {0};
    if (unsupported(a, i, &e))
        app_say(a, true, "%s", e.text);
}

static void bundle_chosen(struct app *a, int index, void *data)
{
    struct catalog_list list = {0};
    struct implementation i;
    struct error e = {0};
    (void)data;
    if (catalog_list(CATALOG_IMPLEMENTATIONS, &list, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    if (index < list.n && catalog_implementation(list.entry[index].name, &i, &e) == 0)
        append_arm(a, list.entry[index].name, &i);
    else
        app_say(a, true, "%s", e.text[0] ? e.text : "the catalog changed meanwhile: open it again");
    catalog_list_free(&list);
}

static void add_arm(struct app *a)
{
    struct catalog_list list = {0};
    struct error e = {0};
    if (a->preset.n_arms >= PRESET_ARMS) {
        app_say(a, true, "a comparison holds at most %d arms: remove one first (d)", PRESET_ARMS);
        return;
    }
    if (catalog_list(CATALOG_IMPLEMENTATIONS, &list, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    struct dialog_item *item = calloc((size_t)(list.n > 0 ? list.n : 1), sizeof *item);
    for (int i = 0; item && i < list.n; i++) {
        struct implementation it;
        struct error why = {0};
        snprintf(item[i].text, sizeof item[i].text, "%s", list.entry[i].name);
        if (catalog_implementation(list.entry[i].name, &it, &why) != 0) {
            item[i].disabled = true;
            snprintf(item[i].note, sizeof item[i].note, "%.120s", why.text);
        } else if (unsupported(a, &it, &why)) {
            item[i].disabled = true;
            snprintf(item[i].note, sizeof item[i].note, "not here: %.110s", why.text);
        } else {
            implementation_describe(&it, item[i].note, sizeof item[i].note);
        }
    }
    if (item)
        dialog_menu(a, "Add an arm", item, list.n, 0, bundle_chosen, NULL);
    free(item);
    catalog_list_free(&list);
}

static void remove_arm(struct app *a)
{
    struct preset *p = &a->preset;
    int arm = a->setup->arms.cursor;
    if (on_add_row(a))
        return;
    if (p->n_arms == 1) {
        app_say(a, true, "a run needs an arm: add another before removing the last");
        return;
    }
    memmove(&p->arms[arm], &p->arms[arm + 1], (size_t)(p->n_arms - arm - 1) * sizeof p->arms[0]);
    p->n_arms--;
    a->preset_changed = true;
    app_say(a, false, "removed");
}

static void make_baseline(struct app *a)
{
    struct preset *p = &a->preset;
    int arm = a->setup->arms.cursor;
    if (arm == 0) {
        app_say(a, false, "%s is the baseline already", p->arms[0].name);
        return;
    }
    struct preset_arm chosen = p->arms[arm];
    memmove(&p->arms[1], &p->arms[0], (size_t)arm * sizeof p->arms[0]);
    p->arms[0] = chosen;
    a->setup->arms.cursor = 0;
    a->preset_changed = true;
    app_say(a, false, "%s is the baseline now", chosen.name);
}

bool setup_arms_action(struct app *a, enum action what)
{
    struct setup_state *s = a->setup;
    int rows = a->preset.n_arms + 1;
    widget_scroll_fit(&s->arms, rows, rows);
    switch (what) {
    case ACTION_UP:
        widget_scroll_move(&s->arms, rows, -1);
        return true;
    case ACTION_DOWN:
        widget_scroll_move(&s->arms, rows, 1);
        return true;
    case ACTION_LEFT:
        s->axis -= s->axis > 0;
        return true;
    case ACTION_RIGHT:
        s->axis += s->axis < implementation_n_axes;
        return true;
    case ACTION_HOME:
        s->arms.cursor = 0;
        return true;
    case ACTION_END:
        s->arms.cursor = rows - 1;
        return true;
    case ACTION_TOGGLE:
        if (on_add_row(a))
            add_arm(a);
        else if (s->axis == 0)
            make_baseline(a);
        else
            cycle(a, s->arms.cursor, s->axis - 1, 1);
        return true;
    case ACTION_CHOOSE:
        if (on_add_row(a))
            add_arm(a);
        else if (s->axis == 0)
            dialog_entry(a, "Name of the arm", a->preset.arms[s->arms.cursor].name,
                         "The name in tables and files. Space on a name makes that arm the baseline.",
                         rename_arm, NULL);
        else
            choose_value(a);
        return true;
    case ACTION_ADD:
        add_arm(a);
        return true;
    case ACTION_REMOVE:
        remove_arm(a);
        return true;
    default:
        return false;
    }
}

/* The last line: what the axis under the cursor is, or why the value under it does not run here. */
static void draw_hint(struct app *a, struct grid *g, struct rect r)
{
    struct setup_state *s = a->setup;
    struct error e = {0};
    int cells;
    const struct plan_arm *out = setup_left_out(a, s->arms.cursor, &cells);
    if (s->focus != SETUP_ARMS || r.height < 1)
        return;
    if (on_add_row(a))
        grid_text(g, r.x, r.y, r.width, STYLE_DIM, "Enter chooses from the catalog of implementations");
    else if (s->axis == 0 && out)
        grid_text(g, r.x, r.y, r.width, STYLE_WARNING, out->reason);
    else if (s->axis == 0)
        grid_text(g, r.x, r.y, r.width, STYLE_DIM, "Enter renames, Space makes it the baseline");
    else if (value_unsupported(a, &a->preset.arms[s->arms.cursor].implementation, s->axis - 1, &e))
        grid_text(g, r.x, r.y, r.width, STYLE_WARNING, e.text);
    else
        grid_format(g, r.x, r.y, r.width, STYLE_DIM, "%s: %s", implementation_axes[s->axis - 1].name,
                    implementation_axes[s->axis - 1].help);
}

void setup_arms_draw(struct app *a, struct grid *g, struct rect r)
{
    static const struct widget_column columns[1 + AXES] = {
        {"name", 11, 1, false, false},      {"attention", 9, 2, false, false},
        {"fusion", 6, 3, false, false},     {"launch", 6, 6, false, false},
        {"precision", 9, 2, false, false},  {"activations", 11, 7, false, false},
        {"kv cache", 10, 4, false, false},  {"sparsity", 8, 8, true, false},
        {"vocabulary", 10, 9, false, true},
    };
    struct setup_state *s = a->setup;
    struct preset *p = &a->preset;
    struct widget_column shown[1 + AXES];
    bool focus = s->focus == SETUP_ARMS;
    struct rect in = widget_panel(g, r, "Arms", "the first is the baseline", focus);
    memcpy(shown, columns, sizeof shown);
    for (int i = 0; i < p->n_arms; i++) {
        int width = grid_columns(p->arms[i].name);
        shown[0].width = width > shown[0].width ? (width < 20 ? width : 20) : shown[0].width;
    }
    for (int i = 0; i <= AXES; i++) /* the column under the cursor is never dropped */
        if (i == s->axis && focus)
            shown[i].priority = 1;
    int rows = p->n_arms + 1;
    if (in.height > rows + 1)
        draw_hint(a, g, layout_bottom(&in, 1));
    struct rect names = in;
    names.x += 4;
    names.width -= 4;
    struct widget_table t;
    widget_table_begin(&t, g, names, shown, 1 + AXES);
    widget_scroll_fit(&s->arms, rows, t.area.height);
    for (int row = 0; row < t.area.height && s->arms.top + row < rows; row++) {
        int arm = s->arms.top + row, y = t.area.y + row;
        bool here = arm == s->arms.cursor && focus;
        if (here)
            grid_put(g, in.x, y, glyph(g, GLYPH_POINTER), STYLE_KEY);
        if (arm == p->n_arms) {
            grid_put(g, in.x + 2, y, '+', STYLE_KEY);
            widget_table_cell(&t, row, 0, STYLE_DIM, "add an arm");
            if (here)
                grid_restyle(g, (struct rect){in.x + 4, y, 10, 1}, STYLE_SELECTED);
            continue;
        }
        grid_put(g, in.x + 2, y, (uint32_t)theme_arm_letter(arm), theme_arm(arm));
        int cells;
        bool left_out = setup_left_out(a, arm, &cells) != NULL;
        if (left_out) /* why stands below the plan */
            grid_put(g, in.x + 3, y, '!', STYLE_WARNING);
        widget_table_cell(&t, row, 0,
                          left_out   ? STYLE_DIM
                          : arm == 0 ? STYLE_BOLD
                                     : STYLE_TEXT,
                          p->arms[arm].name);
        for (int axis = 0; axis < AXES; axis++) {
            char value[VALUE_TEXT];
            struct error e = {0};
            implementation_get(&p->arms[arm].implementation, axis, value, sizeof value);
            bool bad = value_unsupported(a, &p->arms[arm].implementation, axis, &e);
            widget_table_cell(&t, row, axis + 1, bad ? STYLE_DIM : STYLE_TEXT, value);
        }
        if (here && widget_table_has(&t, s->axis))
            grid_restyle(g, (struct rect){t.x[s->axis], y, t.width[s->axis], 1}, STYLE_SELECTED);
    }
    widget_scrollbar(g, r, &s->arms, rows, t.area.height);
}
