#include "tui/view_setup.h"

#include <stdlib.h>

static int init(struct app *a, struct error *e)
{
    a->setup = calloc(1, sizeof *a->setup);
    if (!a->setup)
        return error_set(e, ERROR_MEMORY, "no memory for a screen: close other programs");
    if (setup_models_load(a, e) != 0) {
        free(a->setup);
        a->setup = NULL;
        return -1;
    }
    a->setup->focus = SETUP_ARMS;
    return 0;
}

static void release(struct app *a)
{
    if (!a->setup)
        return;
    free(a->setup->model);
    free(a->setup->shown);
    free(a->setup);
    a->setup = NULL;
}

static void enter(struct app *a)
{
    /* A preset may have brought models of its own. */
    struct error e = {0};
    if (setup_models_load(a, &e) != 0)
        app_say(a, true, "%s", e.text);
}

static bool action(struct app *a, enum action what)
{
    struct setup_state *s = a->setup;
    if (what == ACTION_FOCUS_NEXT || what == ACTION_FOCUS_PREVIOUS) {
        s->focus = (s->focus + (what == ACTION_FOCUS_NEXT ? 1 : SETUP_PANELS - 1)) % SETUP_PANELS;
        return true;
    }
    if (what == ACTION_SET_FIELD) {
        setup_set_field(a);
        return true;
    }
    if (what == ACTION_FILTER) {
        s->focus = SETUP_MODELS;
        s->filtering = true;
        return true;
    }
    if (what == ACTION_BACK && s->filter.text[0]) {
        widget_entry_set(&s->filter, "");
        setup_models_filter(a);
        return true;
    }
    bool (*const panel[SETUP_PANELS])(struct app *, enum action) = {setup_models_action, setup_arms_action,
                                                                    setup_sweep_action, setup_plan_action};
    return panel[s->focus](a, what);
}

static bool text(struct app *a, int key)
{
    return a->setup->filtering && setup_models_text(a, key);
}

static void draw(struct app *a, struct grid *g, struct rect r)
{
    struct rect *panel = a->setup->panel;
    void (*const drawer[SETUP_PANELS])(struct app *, struct grid *, struct rect) = {
        setup_models_draw, setup_arms_draw, setup_sweep_draw, setup_plan_draw};
    layout_setup(r, a->preset.n_arms, a->setup->focus, panel);
    for (int i = 0; i < SETUP_PANELS; i++)
        if (panel[i].width > 0 && panel[i].height > 0)
            drawer[i](a, g, panel[i]);
}

/* Focuses the panel, and in lists puts the cursor on the row. */
static void click(struct app *a, int x, int y)
{
    struct setup_state *s = a->setup;
    for (int i = 0; i < SETUP_PANELS; i++) {
        if (!widget_hit(s->panel[i], x, y))
            continue;
        s->focus = i;
        int row = y - s->panel[i].y - 1;
        if (i == SETUP_MODELS)
            row -= s->filtering || s->filter.text[0];
        else if (i != SETUP_SWEEP)
            row -= 1; /* the header */
        if (row < 0)
            return;
        if (i == SETUP_MODELS && s->models.top + row < s->n_shown)
            s->models.cursor = s->models.top + row;
        if (i == SETUP_ARMS && s->arms.top + row <= a->preset.n_arms)
            s->arms.cursor = s->arms.top + row;
        if (i == SETUP_PLAN && s->plan.top + row < a->plan.n_cells)
            s->plan.cursor = s->plan.top + row;
        return;
    }
}

const struct view view_setup = {.name = "Setup",
                                .init = init,
                                .free = release,
                                .enter = enter,
                                .action = action,
                                .text = text,
                                .click = click,
                                .draw = draw};
