/* The Setup screen's panels share this state and nothing else; only view_setup*.c include it. Everything they
 * change is a->preset; the plan beside it is made again after each change. UI thread only. */
#pragma once

#include "presets/catalog.h"
#include "tui/app.h"
#include "tui/layout.h"
#include "tui/widget.h"

struct setup_model {
    char name[256]; /* catalog name, or a path that a preset named */
    int64_t parameters;
    bool loaded;
    char reason[192]; /* why it does not run here; "" if it does */
    struct model_spec spec;
};

struct setup_state {
    int focus;                       /* enum layout_setup_panel */
    struct rect panel[SETUP_PANELS]; /* where they were drawn */

    struct setup_model *model;
    int n_models;
    int *shown; /* indices of the models that match the filter */
    int n_shown;
    struct widget_scroll models;
    struct widget_entry filter;
    bool filtering;

    struct widget_scroll arms;
    int axis;                          /* column of the arms table: 0 the name, then the axes */
    int menu_value[16], n_menu_values; /* what the open menu of values stands for */

    int field; /* of the sweep panel */
    int value; /* within a list of values */

    struct widget_scroll plan;
    int plan_rows;
};

int setup_models_load(struct app *a, struct error *e);
void setup_models_filter(struct app *a);
bool setup_models_action(struct app *a, enum action what);
bool setup_models_text(struct app *a, int key);
void setup_models_draw(struct app *a, struct grid *g, struct rect r);
const struct setup_model *setup_model_of(const struct app *a, const char *name); /* NULL: not listed */

bool setup_arms_action(struct app *a, enum action what);
void setup_arms_draw(struct app *a, struct grid *g, struct rect r);

void setup_set_field(struct app *a);
/* Sets a field of the preset as --set does; false: it would be impossible, nothing is changed. */
bool setup_take(struct app *a, const char *path, const char *value, struct error *e);
void setup_choose_text(struct app *a);
bool setup_sweep_action(struct app *a, enum action what);
void setup_sweep_draw(struct app *a, struct grid *g, struct rect r);

bool setup_plan_action(struct app *a, enum action what);
/* Where an arm is first left out of a cell that runs (no kernel, no room, no rotation), its reason in it;
 * NULL: nowhere. *cells: in how many. */
const struct plan_arm *setup_left_out(const struct app *a, int arm, int *cells);
void setup_plan_draw(struct app *a, struct grid *g, struct rect r);
