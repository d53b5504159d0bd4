/* benchtop calibrate-larosa MODEL --text FILE: the rotation that sparse activations need. */
#include "engine/model/larosa.h"
#include "engine/model/model_find.h"
#include "engine/text.h"
#include "tui/command.h"
#include "tui/output.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

struct shown {
    bool quiet;
    char what[32];
    int percent;
};

/* One line that counts up on a terminal; elsewhere each stage once. */
static void show(void *who, const char *what, double part)
{
    struct shown *s = who;
    int percent = (int)(100 * part);
    bool fresh = strcmp(s->what, what) != 0, terminal = isatty(STDERR_FILENO);
    if (s->quiet || (!fresh && (percent == s->percent || !terminal)))
        return;
    if (terminal)
        fprintf(stderr, "\r%s %d %%\033[K", what, percent);
    else
        fprintf(stderr, "%s\n", what);
    snprintf(s->what, sizeof s->what, "%s", what);
    s->percent = percent;
}

static int report(const struct request *r, const struct larosa_request *q, const struct larosa_made *made,
                  struct error *e)
{
    struct text out = {0};
    const struct larosa_report *p = &made->report;
    text_format(&out, "model       %s\n", q->model->name);
    text_format(
        &out, "text        %s, %lld tokens of %s%s\n", q->text, (long long)made->tokens, made->vocabulary,
        made->borrowed ? " (the model's vocabulary is not shipped; to random weights all ids are alike)"
                       : "");
    text_format(&out, "time        weights %.1f s, text %.1f s, moments %.1f s, eigenvectors %.1f s (%s)\n",
                made->load_s, p->run_s, p->moments_s, p->eigen_s, p->solver);
    text_format(&out, "40 %% sparse keeps %.1f %% of an activation's energy, %.1f %% without rotation%s\n",
                100 * p->kept, 100 * p->unrotated,
                q->model->file[0] ? "" : " (random weights have no structure to find)");
    text_format(&out, "rotation    %s%s\n", made->path,
                r->out ? " (arms look for it elsewhere: without --out it is put there)" : "");
    return output_result(text_take(&out, e), e);
}

int command_calibrate_larosa(const struct request *r)
{
    struct error e = {0};
    struct model_spec m;
    struct implementation i;
    struct larosa_made made;
    struct shown shown = {.quiet = r->quiet};
    implementation_default(&i);
    if (!r->text) {
        error_set(&e, ERROR_USAGE,
                  "calibrate-larosa needs a text: `benchtop calibrate-larosa %.64s --text tinyshakespeare`",
                  r->operand[0]);
        return output_error(&e);
    }
    if (implementation_set(&i, "precision", r->precision ? r->precision : "bf16", &e) != 0 ||
        model_find(r->operand[0], &m, &e) != 0)
        return output_error(&e);
    struct larosa_request q = {.device = r->device ? r->device : "cpu",
                               .model = &m,
                               .precision = i.precision,
                               .seed = r->seed,
                               .text = r->text,
                               .tokens = r->calibration_tokens,
                               .out = r->out};
    int failed = larosa_make(&q, show, &shown, &made, &e);
    if (shown.what[0] && isatty(STDERR_FILENO))
        fprintf(stderr, "\r\033[K");
    return failed ? output_error(&e) : report(r, &q, &made, &e);
}
