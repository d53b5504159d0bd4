#include "tui/dialog.h"
#include "tui/format.h"
#include "tui/view_setup.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum row {
    ROW_WORKLOAD,
    ROW_BATCH,
    ROW_SEQ,
    ROW_ROUNDS,
    ROW_BUDGET,
    ROW_MACHINE,
    ROW_TEXT,
    ROW_SAMPLING,
    ROWS
};
enum kind {
    KIND_COUNT,
    KIND_REAL,
    KIND_FRACTION,
    KIND_SECONDS,
    KIND_SEED,
    KIND_DEVICE,
    KIND_TEXT,
    KIND_UNIT
};

/* Single values, three to a row. `zero` is what 0 means. */
static const struct field {
    enum row row;
    const char *label, *path, *zero, *hint;
    enum kind kind;
    size_t offset;
} fields[] = {
    {ROW_ROUNDS, "rounds", "rounds", NULL,
     "Planned rounds: one block of every arm each. The verdict comes after them.", KIND_COUNT,
     offsetof(struct preset, rounds)},
    {ROW_ROUNDS, "at most", "max_rounds", NULL,
     "More rounds than planned, up to here, while the interval is too wide.", KIND_COUNT,
     offsetof(struct preset, max_rounds)},
    {ROW_ROUNDS, "until \xc2\xb1", "half_width", "-",
     "Stop when the ratio's 95 % interval is this narrow: 1 %, or 0.01.", KIND_FRACTION,
     offsetof(struct preset, half_width)},
    {ROW_BUDGET, "budget", "budget_s", "none", "Time for the whole run: 90, 90 s, 20 min, 2 h; 0: no limit.",
     KIND_SECONDS, offsetof(struct preset, budget_s)},
    {ROW_BUDGET, "margin \xc2\xb1", "margin", "0",
     "Differences below this are called equivalent: 1 %, or 0.01.", KIND_FRACTION,
     offsetof(struct preset, margin)},
    {ROW_BUDGET, "tokens", "tokens", NULL, "Tokens that generate makes after the prompt.", KIND_COUNT,
     offsetof(struct preset, tokens)},
    {ROW_MACHINE, "seed", "seed", NULL, "Makes weights, inputs and the order of blocks the same again.",
     KIND_SEED, offsetof(struct preset, seed)},
    {ROW_MACHINE, "threads", "threads", "all", "Threads of the engine; 0: all this process may use.",
     KIND_COUNT, offsetof(struct preset, threads)},
    {ROW_MACHINE, "device", "device", NULL, "", KIND_DEVICE, 0},
    {ROW_TEXT, "text", "text", "random ids", "", KIND_TEXT, 0},
    {ROW_TEXT, "as", "texts", NULL, "", KIND_UNIT, 0},
    {ROW_TEXT, "scored", "quality_tokens", "auto",
     "Tokens that quality is judged on at most; 0: 256, and for perplexity the whole text.", KIND_COUNT,
     offsetof(struct preset, quality_tokens)},
    {ROW_SAMPLING, "temperature", "sampling.temperature", "greedy",
     "How generate chooses a token: 0 takes the likeliest, 1 draws as the model says.", KIND_REAL,
     offsetof(struct preset, sampling.temperature)},
    {ROW_SAMPLING, "top-k", "sampling.top_k", "all", "Draw from the likeliest so many tokens; 0: all.",
     KIND_COUNT, offsetof(struct preset, sampling.top_k)},
    {ROW_SAMPLING, "top-p", "sampling.top_p", NULL,
     "Draw from the likeliest tokens that hold this share of the probability; 1: all.", KIND_REAL,
     offsetof(struct preset, sampling.top_p)},
};
enum { FIELDS = sizeof fields / sizeof fields[0], IN_ROW = 3 };

static const struct field *field_at(int row, int value)
{
    for (int i = 0; i < FIELDS; i++)
        if ((int)fields[i].row == row && value-- == 0)
            return &fields[i];
    return NULL;
}

static void show(const struct preset *p, const struct field *f, char *out, size_t size)
{
    const char *at = (const char *)p + f->offset;
    char text[FORMAT_TEXT];
    double real;
    int whole;
    uint64_t seed;
    switch (f->kind) {
    case KIND_COUNT:
        memcpy(&whole, at, sizeof whole);
        if (whole == 0 && f->zero)
            snprintf(out, size, "%s", f->zero);
        else
            snprintf(out, size, "%d", whole);
        return;
    case KIND_REAL:
        memcpy(&real, at, sizeof real);
        if (real == 0 && f->zero)
            snprintf(out, size, "%s", f->zero);
        else
            snprintf(out, size, "%.3g", real);
        return;
    case KIND_FRACTION:
        memcpy(&real, at, sizeof real);
        snprintf(out, size, "%.4g %%", 100 * real);
        return;
    case KIND_SECONDS:
        memcpy(&real, at, sizeof real);
        snprintf(out, size, "%s", real > 0 ? format_duration(text, real) : f->zero);
        return;
    case KIND_SEED:
        memcpy(&seed, at, sizeof seed);
        snprintf(out, size, "%llu", (unsigned long long)seed);
        return;
    case KIND_DEVICE:
        snprintf(out, size, "%s", p->device);
        return;
    case KIND_TEXT:
        at = strrchr(p->text, '/');
        snprintf(out, size, "%s", !p->text[0] ? f->zero : at ? at + 1 : p->text);
        return;
    case KIND_UNIT:
        snprintf(out, size, "%s", text_unit_names[p->texts]);
        return;
    }
}

/* "1 %" is 0.01, "20 min" is 1200: what preset_set does not know. */
static void to_json(const struct field *f, const char *text, char *out, size_t size)
{
    char *end;
    double value = strtod(text, &end);
    if (f->zero && strcmp(text, f->zero) == 0) {
        snprintf(out, size, "0");
        return;
    }
    while (*end == ' ')
        end++;
    if (f->kind == KIND_FRACTION && end != text && *end == '%')
        snprintf(out, size, "%.12g", value / 100);
    else if (f->kind == KIND_SECONDS && end != text && strncmp(end, "min", 3) == 0)
        snprintf(out, size, "%.12g", value * 60);
    else if (f->kind == KIND_SECONDS && end != text && *end == 'h')
        snprintf(out, size, "%.12g", value * 3600);
    else if (f->kind == KIND_SECONDS && end != text && *end == 's')
        snprintf(out, size, "%.12g", value);
    else
        snprintf(out, size, "%s", text);
}

bool setup_take(struct app *a, const char *path, const char *value, struct error *e)
{
    struct preset changed = {0};
    if (preset_copy(&changed, &a->preset, e) != 0)
        return false;
    if (preset_set(&changed, path, value, e) != 0 || preset_validate(&changed, e) != 0) {
        preset_free(&changed);
        return false;
    }
    preset_free(&a->preset);
    a->preset = changed;
    a->preset_changed = true;
    return true;
}

static bool field_typed(struct app *a, const char *text, void *data, struct error *e)
{
    const struct field *f = field_at(a->setup->field, a->setup->value);
    char value[WIDGET_ENTRY];
    (void)data;
    if (!f)
        return true;
    to_json(f, text, value, sizeof value);
    /* Fewer rounds at most than planned are meant as: not more than planned. */
    if (strcmp(f->path, "rounds") == 0 && atol(value) > a->preset.max_rounds) {
        struct error ignored = {0};
        setup_take(a, "max_rounds", value, &ignored);
    }
    return setup_take(a, f->path, value, e);
}

static void list_text(const int *list, int n, char *out, size_t size)
{
    size_t used = 0;
    out[0] = 0;
    for (int i = 0; i < n && used < size; i++)
        used += (size_t)snprintf(out + used, size - used, "%s%d", i ? ", " : "", list[i]);
}

static int by_value(const void *x, const void *y)
{
    return *(const int *)x - *(const int *)y;
}

/* Numbers separated by commas or spaces; the list that stands in the preset is sorted. */
static bool list_typed(struct app *a, const char *text, void *data, struct error *e)
{
    struct setup_state *s = a->setup;
    bool is_batch = s->field == ROW_BATCH;
    char words[1024] = "";
    size_t used = 0;
    int n = 0;
    (void)data;
    for (const char *c = text; *c;) {
        size_t length = strcspn(c, ", ");
        if (length > 0 && used < sizeof words)
            used +=
                (size_t)snprintf(words + used, sizeof words - used, "%s%.*s", n++ ? "," : "", (int)length, c);
        c += length;
        c += strspn(c, ", ");
    }
    if (used >= sizeof words) {
        error_set(e, ERROR_USAGE, "more values than a sweep holds: give at most %d", PRESET_SWEEP);
        return false;
    }
    if (!setup_take(a, is_batch ? "batch" : "seq", words, e))
        return false;
    qsort(is_batch ? a->preset.batch : a->preset.seq,
          (size_t)(is_batch ? a->preset.n_batch : a->preset.n_seq), sizeof(int), by_value);
    s->value = 0;
    return true;
}

static void edit_list(struct app *a, bool add)
{
    bool is_batch = a->setup->field == ROW_BATCH;
    char text[WIDGET_ENTRY];
    list_text(is_batch ? a->preset.batch : a->preset.seq, is_batch ? a->preset.n_batch : a->preset.n_seq,
              text, sizeof text - 8);
    if (add)
        snprintf(text + strlen(text), sizeof text - strlen(text), ", ");
    dialog_entry(a, is_batch ? "Batches" : "Sequence lengths", text,
                 is_batch ? "Sequences that run together, 1 to 1024: 1, 2, 4, 8"
                          : "Tokens of the prompt or of the cached context, 1 to 32768: 128, 512, 2048",
                 list_typed, NULL);
}

static void remove_value(struct app *a)
{
    bool is_batch = a->setup->field == ROW_BATCH;
    int *list = is_batch ? a->preset.batch : a->preset.seq,
        *n = is_batch ? &a->preset.n_batch : &a->preset.n_seq;
    int at = a->setup->value;
    if (*n < 2) {
        app_say(a, true, "a sweep needs a value: add another before removing the last");
        return;
    }
    if (at >= *n)
        at = *n - 1;
    memmove(&list[at], &list[at + 1], (size_t)(*n - at - 1) * sizeof *list);
    *n -= 1;
    if (a->setup->value >= *n)
        a->setup->value = *n - 1;
    a->preset_changed = true;
}

static void toggle_workload(struct app *a)
{
    struct preset *p = &a->preset;
    enum workload w = (enum workload)(a->setup->value % WORKLOADS);
    bool on[WORKLOADS] = {false};
    for (int i = 0; i < p->n_workloads; i++)
        on[p->workloads[i]] = true;
    if (on[w] && p->n_workloads == 1) {
        app_say(a, true, "a run needs a workload: choose another before taking the last out");
        return;
    }
    on[w] = !on[w];
    p->n_workloads = 0;
    for (int i = 0; i < WORKLOADS; i++)
        if (on[i])
            p->workloads[p->n_workloads++] = (enum workload)i;
    a->preset_changed = true;
}

enum { DEVICES = 10, DEVICE_ID = 16 };

/* cpu, every GPU (or cuda, which then says why there is none), the simulator. */
static int list_devices(char id[DEVICES][DEVICE_ID])
{
    char why[128];
    int n = 0;
    snprintf(id[n++], DEVICE_ID, "cpu");
    int gpus = device_gpus(&id[n], DEVICES - 2, why, sizeof why);
    if (gpus < 2)
        snprintf(id[n], DEVICE_ID, "cuda");
    n += gpus < 1 ? 1 : gpus < DEVICES - 2 ? gpus : DEVICES - 2;
    snprintf(id[n++], DEVICE_ID, "fake");
    return n;
}

static void device_chosen(struct app *a, int index, void *data)
{
    char id[DEVICES][DEVICE_ID];
    struct device d;
    struct error e = {0};
    (void)data;
    memset(&d, 0, sizeof d);
    if (index >= list_devices(id))
        return; /* a GPU went away while the menu was open */
    if (device_find(id[index], &d, &e) != 0) {
        app_say(a, true, "%s", e.text);
        return;
    }
    a->device = d;
    snprintf(a->preset.device, sizeof a->preset.device, "%s", id[index]);
    a->setup->n_models = 0; /* what runs here has changed */
    if (setup_models_load(a, &e) != 0)
        app_say(a, true, "%s", e.text);
    a->preset_changed = true;
}

static void choose_device(struct app *a)
{
    char id[DEVICES][DEVICE_ID];
    struct dialog_item item[DEVICES] = {0};
    int cursor = 0, n = list_devices(id);
    for (int i = 0; i < n; i++) {
        struct device d;
        struct error e = {0};
        memset(&d, 0, sizeof d);
        snprintf(item[i].text, sizeof item[i].text, "%.15s", id[i]);
        item[i].disabled = device_find(id[i], &d, &e) != 0;
        snprintf(item[i].note, sizeof item[i].note, "%.127s", item[i].disabled ? e.text : d.title);
        if (strcmp(id[i], a->preset.device) == 0)
            cursor = i;
    }
    dialog_menu(a, "Device", item, n, cursor, device_chosen, NULL);
}

static int values_in(const struct app *a, int row)
{
    return row == ROW_WORKLOAD ? WORKLOADS
           : row == ROW_BATCH  ? a->preset.n_batch
           : row == ROW_SEQ    ? a->preset.n_seq
                               : IN_ROW;
}

static void edit(struct app *a)
{
    struct setup_state *s = a->setup;
    char text[WIDGET_ENTRY];
    if (s->field == ROW_WORKLOAD) {
        toggle_workload(a);
        return;
    }
    if (s->field == ROW_BATCH || s->field == ROW_SEQ) {
        edit_list(a, false);
        return;
    }
    const struct field *f = field_at(s->field, s->value);
    if (!f)
        return;
    if (f->kind == KIND_DEVICE) {
        choose_device(a);
        return;
    }
    if (f->kind == KIND_TEXT) {
        setup_choose_text(a);
        return;
    }
    if (f->kind == KIND_UNIT) {
        a->preset.texts = (enum text_unit)((a->preset.texts + 1) % TEXT_UNITS);
        a->preset_changed = true;
        return;
    }
    show(&a->preset, f, text, sizeof text);
    dialog_entry(a, f->path, f->zero && strcmp(text, f->zero) == 0 ? "0" : text, f->hint, field_typed, NULL);
}

/* "path=value", for what has no place on the screen. */
static bool any_typed(struct app *a, const char *text, void *data, struct error *e)
{
    char path[WIDGET_ENTRY];
    const char *equals = strchr(text, '=');
    (void)data;
    if (!equals) {
        error_set(e, ERROR_USAGE,
                  "expected path=value: criteria.min_speedup=1.3, warmup_max=50, margin=0.02");
        return false;
    }
    const char *value = equals + 1 + strspn(equals + 1, " "), *end = equals;
    while (end > text && end[-1] == ' ')
        end--;
    text += strspn(text, " ");
    snprintf(path, sizeof path, "%.*s", end > text ? (int)(end - text) : 0, text);
    if (!setup_take(a, path, value, e))
        return false;
    app_say(a, false, "%s is %s now", path, value); /* most of these fields stand nowhere on the screen */
    return true;
}

void setup_set_field(struct app *a)
{
    dialog_entry(a, "Set a field of the preset", "",
                 "path=value, as --set takes it: criteria.min_speedup=1.3", any_typed, NULL);
}

bool setup_sweep_action(struct app *a, enum action what)
{
    struct setup_state *s = a->setup;
    bool is_list = s->field == ROW_BATCH || s->field == ROW_SEQ;
    switch (what) {
    case ACTION_UP:
        s->field -= s->field > 0;
        break;
    case ACTION_DOWN:
        s->field += s->field < ROWS - 1;
        break;
    case ACTION_LEFT:
        s->value -= s->value > 0;
        break;
    case ACTION_RIGHT:
        s->value++;
        break;
    case ACTION_HOME:
        s->field = 0;
        break;
    case ACTION_END:
        s->field = ROWS - 1;
        break;
    case ACTION_TOGGLE:
    case ACTION_CHOOSE:
        edit(a);
        return true;
    case ACTION_ADD:
        if (is_list)
            edit_list(a, true);
        return true;
    case ACTION_REMOVE:
        if (is_list)
            remove_value(a);
        return true;
    default:
        return false;
    }
    if (s->value >= values_in(a, s->field))
        s->value = values_in(a, s->field) - 1;
    return true;
}

static int put_value(struct grid *g, int x, int y, int end, bool here, enum style style, const char *text)
{
    if (x >= end)
        return 0;
    return grid_text(g, x, y, end - x, here ? STYLE_SELECTED : style, text);
}

static int workloads_width(int from, int to)
{
    int width = 0;
    for (int w = from; w <= to; w++)
        width += 4 + grid_columns(workload_names[w]);
    return width - 2;
}

/* Those around the cursor; without it as many of the chosen ones as there is room for. */
static void draw_workloads(const struct app *a, struct grid *g, int x, int y, int end, bool focus)
{
    int last = focus ? a->setup->value % WORKLOADS : (int)a->preset.workloads[a->preset.n_workloads - 1];
    int least = focus ? last : (int)a->preset.workloads[0], first = 0;
    while (first < least && workloads_width(first, last) + (first > 0 ? 2 : 0) > end - x - 2)
        first++;
    if (first > 0) {
        grid_put(g, x, y, glyph(g, GLYPH_ELLIPSIS), STYLE_DIM);
        x += 2;
    }
    for (int w = first; w < WORKLOADS; w++) {
        bool on = false;
        for (int i = 0; i < a->preset.n_workloads; i++)
            on |= (int)a->preset.workloads[i] == w;
        if (x + workloads_width(w, w) > end - (w + 1 < WORKLOADS ? 2 : 0)) {
            grid_put(g, end - 1, y, glyph(g, GLYPH_ELLIPSIS), STYLE_DIM);
            return;
        }
        grid_put(g, x, y, glyph(g, on ? GLYPH_ON : GLYPH_OFF), on ? STYLE_KEY : STYLE_DIM);
        x += 2 + put_value(g, x + 2, y, end, focus && a->setup->value == w, on ? STYLE_BOLD : STYLE_TEXT,
                           workload_names[w]);
        x += 2;
    }
}

/* The values; where they do not all fit, those around the cursor. */
static void draw_list(const struct app *a, struct grid *g, int x, int y, int end, const int *list, int n,
                      bool focus)
{
    int first = 0, at = focus ? a->setup->value : 0;
    char text[FORMAT_TEXT];
    for (;;) {
        int width = 0;
        for (int i = first; i <= at && i < n; i++)
            width += snprintf(text, sizeof text, "%d", list[i]) + 2;
        if (width <= end - x || first >= at)
            break;
        first++;
    }
    for (int i = first; i < n; i++) {
        snprintf(text, sizeof text, "%d", list[i]);
        if (x + grid_columns(text) > end - (i + 1 < n ? 2 : 0)) {
            grid_put(g, end - 1, y, glyph(g, GLYPH_ELLIPSIS), STYLE_DIM);
            return;
        }
        x += put_value(g, x, y, end, focus && i == at, STYLE_TEXT, text) + 2;
    }
}

void setup_sweep_draw(struct app *a, struct grid *g, struct rect r)
{
    static const char *const labels[ROWS] = {"workload", "batch", "sequence", "rounds",
                                             "budget",   "seed",  "text",     "sampling"};
    struct setup_state *s = a->setup;
    bool focus = s->focus == SETUP_SWEEP;
    struct rect in =
        widget_panel(g, r, "Sweep", a->preset.title[0] ? a->preset.title : a->preset.name, focus);
    struct widget_scroll scroll = {.cursor = s->field};
    int first = in.height < ROWS ? s->field - in.height / 2 : 0;
    if (first > ROWS - in.height)
        first = ROWS - in.height;
    if (first < 0)
        first = 0;
    for (int row = first; row < ROWS && row - first < in.height; row++) {
        int x = in.x, y = in.y + row - first, end = in.x + in.width;
        bool here = focus && s->field == row;
        grid_text(g, x, y, 10, STYLE_DIM, labels[row]);
        x += 11;
        if (row == ROW_WORKLOAD) {
            draw_workloads(a, g, x, y, end, here);
        } else if (row == ROW_BATCH || row == ROW_SEQ) {
            draw_list(a, g, x, y, end, row == ROW_BATCH ? a->preset.batch : a->preset.seq,
                      row == ROW_BATCH ? a->preset.n_batch : a->preset.n_seq, here);
        } else {
            bool roomy = in.width >= 61; /* then every row has the text's columns */
            int column = in.width >= 56 ? 18 : 14, wide = roomy             ? 5
                                                          : row != ROW_TEXT ? 0
                                                          : in.width >= 56  ? 5
                                                                            : 8;
            for (int i = 0; i < IN_ROW; i++) {
                const struct field *f = field_at(row, i);
                char text[WIDGET_ENTRY];
                int at = i == 0 ? x : x + wide + (i == 1 ? column - 6 : 2 * column - 6);
                if (!f || at >= end)
                    break;
                if (i > 0) {
                    grid_text(g, at, y, end - at, STYLE_DIM, f->label);
                    at += grid_columns(f->label) + 1;
                }
                show(&a->preset, f, text, sizeof text);
                int room = row == ROW_TEXT && i == 0 ? x + wide + column - 7 : end; /* a path may be long */
                put_value(g, at, y, room, here && s->value == i, STYLE_TEXT, text);
            }
        }
    }
    scroll.top = first;
    widget_scrollbar(g, r, &scroll, ROWS, in.height);
}
