#include "engine/engine.h"
#include "engine/export.h"
#include "engine/session_file.h"
#include "engine/summary.h"
#include "presets/catalog.h"
#include "tui/command.h"
#include "tui/headless.h"
#include "tui/output.h"
#include "tui/prepare.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Criteria were asked for: 3 where one fails, 4 where the data cannot say. */
static int judge_criteria(const struct session *s)
{
    struct criterion_result c[SUMMARY_CRITERIA];
    int n = summary_criteria(s, c), failed = 0, unknown = 0;
    if (n < 0) {
        output_say(
            "the criteria could not be judged, out of memory: close other programs and judge the saved "
            "session with `benchtop show`");
        return EXIT_ERROR;
    }
    for (int i = 0; i < n; i++) {
        if (!c[i].known)
            output_say("criterion %s %g: nothing was measured that could tell", c[i].metric, c[i].target);
        else if (!c[i].passed)
            output_say("criterion %s %g failed: %g was achieved", c[i].metric, c[i].target, c[i].achieved);
        unknown += !c[i].known;
        failed += c[i].known && !c[i].passed;
    }
    return failed ? EXIT_FAILED_CRITERION : unknown ? EXIT_INCONCLUSIVE : EXIT_DONE;
}

static int cells_ok(const struct session *s)
{
    int n = 0;
    for (int i = 0; i < s->n_cells; i++)
        n += s->cell[i].status == CELL_OK;
    return n;
}

/* The session's file was refused: another place is tried, and what the journal holds is counted, not
 * believed. */
static void rescue(const struct session *s, const char *path, const char *why)
{
    char folder[512], other[1024], journal[1024];
    const char *temp = getenv("TMPDIR");
    struct session recovered = {0};
    struct error ignored = {0};
    output_say("the session could not be written (%s)", *why ? why : "the engine gave no reason");
    for (int place = 0; place < 2; place++) {
        if (place == 0 && catalog_sessions_dir(folder, sizeof folder, &ignored) < 0)
            continue;
        snprintf(other, sizeof other, "%s/%s.json",
                 place == 0      ? folder
                 : temp && *temp ? temp
                                 : "/tmp",
                 s->id);
        if (!strcmp(other, path) || access(other, F_OK) == 0 || session_save(s, other, &ignored) < 0)
            continue;
        output_say("it was written to %s instead: move it where you want it", other);
        return;
    }
    snprintf(journal, sizeof journal, "%s.journal", path);
    int64_t held = session_load(journal, &recovered, NULL, &ignored) == 0 ? session_samples(&recovered) : 0;
    session_free(&recovered);
    output_say("%s holds %lld of its %lld samples: make room, then `benchtop %s %s` %s", journal,
               (long long)held, (long long)session_samples(s),
               held < session_samples(s) ? "run --resume" : "export --to json --out FILE",
               held < session_samples(s) ? path : journal,
               held < session_samples(s) ? "measures the rest" : "saves it");
}

/* Results first, then everything that went wrong: the figures are there even where the file is not. */
static int conclude(const struct request *r, const struct headless_result *result)
{
    const struct session *s = engine_session(result->engine);
    const char *path = engine_session_path(result->engine);
    struct error e = {0};
    int code = output_result(r->json ? session_print(s, &e) : table_print(s, output_width(), &e), &e);
    if (!result->saved) {
        rescue(s, path, result->why);
        return EXIT_ERROR;
    }
    if (!r->json && code == EXIT_DONE) {
        char line[640];
        snprintf(line, sizeof line, "\nsession %s\n", path);
        code = output_text(line);
    } else if (!r->quiet || code != EXIT_DONE) {
        output_say("the session is in %s", path);
    }
    if (code != EXIT_DONE)
        return code;
    if (result->interrupted)
        return EXIT_INTERRUPTED;
    if (s->status == SESSION_FAILED) {
        output_say("the run failed: %s", *s->message ? s->message : "see the reasons in the table");
        return EXIT_ERROR;
    }
    if (cells_ok(s) == 0 && s->status != SESSION_STOPPED) {
        output_say("no cell was measured: the table gives each reason");
        return EXIT_ERROR;
    }
    return r->fail_on_criteria ? judge_criteria(s) : EXIT_DONE;
}

static bool has_criteria(const struct preset *p)
{
    const double all[] = {p->criteria.min_speedup,
                          p->criteria.max_memory_increase,
                          p->criteria.max_numeric_difference,
                          p->criteria.min_latency_reduction,
                          p->criteria.min_bandwidth_gain,
                          p->criteria.max_cv,
                          p->criteria.max_perplexity_increase,
                          p->criteria.max_kl,
                          p->criteria.min_top1_agreement};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (!isnan(all[i]))
            return true;
    return false;
}

static int check(const struct request *r, const struct session *resume, struct prepared *p, struct error *e)
{
    struct error found = {0}, warning = {0}, one = {0};
    if (r->out)
        prepare_check_out(r->out, &found);
    if (prepare(r, r->n_operands ? r->operand[0] : NULL, resume, p, &warning, &one) < 0)
        error_add(&found, one.kind, "%s", one.text);
    else if (r->fail_on_criteria && !has_criteria(&p->preset))
        error_add(&found, ERROR_USAGE,
                  "--fail-on-criteria: the preset %s has none: add one, as in --set criteria.min_speedup=1.2",
                  p->preset.name);
    if (*warning.text)
        output_say("%s", warning.text);
    if (found.kind == ERROR_NONE)
        return 0;
    prepare_free(p);
    *e = found;
    return -1;
}

/* The new run's journal takes the place of the one that was recovered: what that held is saved first, so that
 * another kill loses nothing of it. */
static int keep_recovered(const struct session *s, struct error *e)
{
    char journal[sizeof s->path + 16];
    snprintf(journal, sizeof journal, "%s.journal", s->path);
    return access(journal, F_OK) == 0 ? session_save(s, s->path, e) : 0;
}

int command_run(const struct request *r, const char *argv_json)
{
    struct session resume = {0};
    struct prepared p = {0};
    struct headless_result result = {0};
    struct error e = {0}, warning = {0};
    int code = EXIT_ERROR;
    headless_block_signals();
    if (r->resume && prepare_session(r->resume, &resume, &warning, &e) < 0)
        return output_error(&e);
    if (*warning.text && !r->quiet)
        output_say("%s", warning.text);
    if (check(r, r->resume ? &resume : NULL, &p, &e) < 0 || prepare_tell_unfit(&p, &e) < 0) {
        code = output_error(&e);
        goto done;
    }
    if (r->resume && resume.n_cells > 0 && cells_ok(&resume) == resume.n_cells) {
        output_say("every cell of %s is measured: nothing is left to resume", resume.path);
        code = output_result(r->json ? session_print(&resume, &e) : table_print(&resume, output_width(), &e),
                             &e);
        goto done;
    }
    if (r->resume && !r->out && keep_recovered(&resume, &e) < 0) {
        code = output_error(&e);
        goto done;
    }
    struct headless_options o = {.prepared = &p,
                                 .resume = r->resume ? &resume : NULL,
                                 .path = r->out      ? r->out
                                         : r->resume ? resume.path
                                                     : NULL,
                                 .argv_json = argv_json,
                                 .quiet = r->quiet,
                                 .realtime = r->realtime};
    code = headless_run(&o, &result, &e) < 0 ? output_error(&e) : conclude(r, &result);
    engine_free(result.engine);
done:
    prepare_free(&p);
    session_free(&resume);
    return code;
}
