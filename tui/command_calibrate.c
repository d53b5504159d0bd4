/* benchtop calibrate: the baseline against itself, and what that says of this machine. */
#include "engine/columns.h"
#include "engine/figure.h"
#include "engine/session_calibration.h"
#include "engine/session_file.h"
#include "engine/summary.h"
#include "tui/command.h"
#include "tui/headless.h"
#include "tui/output.h"
#include "tui/prepare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The plan is made again: there are two arms now, whatever there was. */
static int make_equal(struct prepared *p, struct error *e)
{
    struct preset aa;
    if (calibration_preset(&p->preset, &aa, e) < 0)
        return -1;
    preset_free(&p->preset);
    p->preset = aa;
    plan_free(&p->plan);
    p->plan = (struct plan){0};
    return plan_build(&p->preset, &p->device, &p->plan, e);
}

static char *percent(double value, char *out, size_t size)
{
    char digits[FIGURE_TEXT];
    snprintf(out, size, "%s %%", figure_digits(value, 2, digits, sizeof digits));
    return out;
}

static char *print(const struct session *s, const struct prepared *p, int *claimed, struct error *e)
{
    static const struct column head[] = {{"cell", true, 0},
                                         {"rounds", false, 0},
                                         {"noise floor", false, 0},
                                         {"smallest difference found", false, 0},
                                         {"A/A verdict", true, 0}};
    struct text out = {0};
    struct columns *t = columns_new(head, 5);
    for (int i = 0; t && i < s->n_cells; i++) {
        struct session_calibration c;
        struct comparison x;
        char words[384], figure[FIGURE_TEXT * 2];
        bool known = calibration_of(s, i, &c), compared = summary_compare_arms(s, i, 0, 1, &x) == 0;
        prepare_cell_words(&p->plan, i, words, sizeof words);
        columns_cell(t, words);
        snprintf(figure, sizeof figure, "%d", c.rounds);
        columns_cell(t, known ? figure : "");
        columns_cell(t, known ? percent(c.noise_floor_pct, figure, sizeof figure) : "");
        columns_cell(t, known ? percent(c.mde_pct, figure, sizeof figure) : "");
        columns_cell(t, known      ? verdict_names[x.verdict]
                        : compared ? x.reason
                                   : cell_status_names[s->cell[i].status]);
        *claimed += compared && (x.verdict == VERDICT_FASTER || x.verdict == VERDICT_SLOWER);
    }
    columns_print(t, output_width(), &out);
    columns_free(t);
    return text_take(&out, e);
}

static int conclude(const struct request *r, const struct prepared *p, const struct headless_result *result)
{
    const struct session *s = engine_session(result->engine);
    struct error e = {0};
    char path[1024];
    int claimed = 0;
    int code = output_result(r->json ? session_print(s, &e) : print(s, p, &claimed, &e), &e);
    if (code != EXIT_DONE)
        return code;
    if (result->interrupted)
        return EXIT_INTERRUPTED; /* half a calibration is none */
    int stored = calibration_store(s, path, sizeof path, &e);
    if (stored < 0)
        return output_error(&e);
    if (claimed)
        output_say("%d of %d cells called the baseline different from itself: on a quiet machine that is "
                   "rare; close "
                   "other programs, fix the clocks, calibrate again",
                   claimed, s->n_cells);
    if (stored == 0) {
        output_say("nothing was calibrated: at least %d rounds of a cell are needed", SUMMARY_MIN_ROUNDS);
        return EXIT_ERROR;
    }
    if (!r->quiet)
        output_say("%d of %d cells are calibrated in %s", stored, s->n_cells, path);
    return EXIT_DONE;
}

int command_calibrate(const struct request *r, const char *argv_json)
{
    struct prepared p = {0};
    struct headless_result result = {0};
    struct error e = {0}, warning = {0};
    int code = EXIT_ERROR;
    headless_block_signals();
    if (prepare(r, r->n_operands ? r->operand[0] : NULL, NULL, &p, &warning, &e) < 0)
        return output_error(&e);
    if (*warning.text)
        output_say("%s", warning.text);
    if (make_equal(&p, &e) < 0 || prepare_tell_unfit(&p, &e) < 0) {
        code = output_error(&e);
    } else {
        struct headless_options o = {.prepared = &p,
                                     .path = r->out,
                                     .argv_json = argv_json,
                                     .quiet = r->quiet,
                                     .realtime = r->realtime};
        code = headless_run(&o, &result, &e) < 0 ? output_error(&e) : conclude(r, &p, &result);
        engine_free(result.engine);
    }
    prepare_free(&p);
    return code;
}
