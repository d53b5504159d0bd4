#include "tui/command.h"
#include "engine/compare.h"
#include "engine/export.h"
#include "engine/export_report.h"
#include "engine/import.h"
#include "engine/runners/process.h"
#include "engine/session_file.h"
#include "engine/version.h"
#include "presets/catalog.h"
#include "tui/manual.h"
#include "tui/output.h"
#include "tui/prepare.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_session(const char *name, struct session *s)
{
    struct error e = {0}, warning = {0};
    if (prepare_session(name, s, &warning, &e) < 0)
        return output_error(&e);
    if (warning.kind != ERROR_NONE || *warning.text)
        output_say("%s", warning.text);
    return EXIT_DONE;
}

/* What compare takes: a session, or another tool's file. */
static int open_any(const char *name, struct session *s)
{
    struct error e = {0};
    char note[512];
    int result = import_session(name, s, note, sizeof note, &e);
    if (result == IMPORT_NOT_MINE) {
        struct error warning = {0};
        if (prepare_session(name, s, &warning, &e) == 0) {
            if (*warning.text)
                output_say("%s", warning.text);
            return EXIT_DONE;
        }
        struct error said = e;
        if (strchr(name, '.') && access(name, R_OK) == 0)
            error_set(
                &e, said.kind,
                "%s (besides sessions, files of `llama-bench -o json`, vLLM bench, hyperfine and nvbench are "
                "read)",
                said.text);
        return output_error(&e);
    }
    if (result != 0)
        return output_error(&e);
    output_say("%s: %s samples%s%s", name, s->preset.name, note[0] ? ": " : "", note);
    return EXIT_DONE;
}

static int show(const struct request *r)
{
    struct session s = {0};
    struct error e = {0};
    int code = open_session(r->operand[0], &s);
    if (code == EXIT_DONE)
        code = output_result(r->json ? session_print(&s, &e) : table_print(&s, output_width(), &e), &e);
    session_free(&s);
    return code;
}

static int judge_comparison(const struct request *r, const struct compare_result *result)
{
    if (isnan(r->regression_pct))
        return EXIT_DONE;
    if (result->regressions) {
        output_say("%d of %d rows are slower by more than %g %%", result->regressions, result->n,
                   r->regression_pct);
        return EXIT_FAILED_CRITERION;
    }
    if (result->inconclusive) {
        output_say("%d of %d rows are inconclusive: measure more rounds", result->inconclusive, result->n);
        return EXIT_INCONCLUSIVE;
    }
    return EXIT_DONE;
}

static int compare(const struct request *r)
{
    struct session base = {0}, candidate = {0};
    struct compare_result result = {0};
    struct error e = {0};
    int code = open_any(r->operand[0], &base);
    if (code == EXIT_DONE)
        code = open_any(r->operand[1], &candidate);
    if (code != EXIT_DONE)
        goto done;
    double limit = isnan(r->regression_pct) ? 0 : r->regression_pct;
    if (compare_sessions(&base, &candidate, limit, &result, &e) < 0) {
        code = output_error(&e);
        goto done;
    }
    if (result.n == 0) {
        error_set(&e, ERROR_FAILED,
                  "the sessions share no measured cell: compare runs of the same models, workloads, sizes "
                  "and arms");
        code = output_error(&e);
        goto done;
    }
    code = output_result(r->json ? compare_print_json(&base, &candidate, &result, &e)
                                 : compare_print(&base, &candidate, &result, output_width(), &e),
                         &e);
    if (code == EXIT_DONE)
        code = judge_comparison(r, &result);
done:
    compare_free(&result);
    session_free(&base);
    session_free(&candidate);
    return code;
}

static int export(const struct request *r)
{
    struct error e = {0};
    const struct export_format *format = NULL;
    if (!r->format)
        error_set(&e, ERROR_USAGE, "export needs --to FORMAT: `benchtop list formats`");
    else
        format = export_find(r->format, &e);
    if (!format)
        return output_error(&e);
    struct session s = {0};
    int code = open_session(r->operand[0], &s);
    if (code == EXIT_DONE) {
        char *text = format->print(&s, &e);
        if (!text) {
            code = output_error(&e);
        } else if (!r->out) {
            code = output_result(text, &e);
        } else {
            if (output_file(r->out, text, &e) < 0)
                code = output_error(&e);
            free(text);
        }
    }
    session_free(&s);
    return code;
}

static int model(const struct request *r)
{
    struct error e = {0};
    static const char *const verbs[] = {"show", "write"};
    char near[64];
    if (strcmp(r->operand[0], "show") && strcmp(r->operand[0], "write")) {
        catalog_nearest(r->operand[0], verbs, 2, near, sizeof near);
        error_set(&e, ERROR_USAGE, "benchtop model %s is unknown: %s", r->operand[0],
                  *near ? near : "choose show or write");
    } else if (strcmp(r->operand[0], "show") == 0) {
        if (r->n_operands == 2)
            return command_model_show(r->operand[1]);
        error_set(&e, ERROR_USAGE, "benchtop model show needs a FILE: `benchtop model show FILE.gguf`");
    } else {
        if (r->n_operands == 2)
            return command_model_write(r);
        error_set(&e, ERROR_USAGE,
                  "benchtop model write needs a MODEL: `benchtop model write gpt2-124m --out FILE.gguf`");
    }
    return output_error(&e);
}

static int print_manual(void (*print)(FILE *out))
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return output_result(NULL, &(struct error){ERROR_MEMORY, "out of memory: close other programs"});
    print(out);
    fclose(out);
    return output_result(text, &(struct error){ERROR_MEMORY, "out of memory: close other programs"});
}

static enum command_id help_topic;
static void print_topic(FILE *out)
{
    manual_help(out, help_topic);
}

static int help(const struct request *r)
{
    help_topic = r->command;
    if (r->command == COMMAND_HELP && r->n_operands) {
        const struct command_info *c = options_command(r->operand[0]);
        if (!c) {
            struct error e = {0};
            error_set(&e, ERROR_USAGE, "there is no command %s: `benchtop --help` lists them", r->operand[0]);
            return output_error(&e);
        }
        help_topic = c->id;
    } else if (r->command == COMMAND_HELP && !r->help) {
        help_topic = COMMAND_TUI;
    }
    return print_manual(print_topic);
}

static void print_version(FILE *out)
{
    const struct version *v = version_get();
    fprintf(out, "benchtop %s (%s, %s)\n", v->version, v->commit, v->build);
}

static int complete_argc;
static char **complete_argv;
static void print_completions(FILE *out)
{
    manual_complete(out, complete_argc, complete_argv);
}

static int dispatch(const struct request *r, const char *argv_json)
{
    switch (r->command) {
    case COMMAND_TUI:
        return command_interface(r, argv_json);
    case COMMAND_RUN:
        return command_run(r, argv_json);
    case COMMAND_CALIBRATE:
        return command_calibrate(r, argv_json);
    case COMMAND_SHOW:
        return show(r);
    case COMMAND_COMPARE:
        return compare(r);
    case COMMAND_HISTORY:
        return command_history(r);
    case COMMAND_EXPORT:
        return export(r);
    case COMMAND_LIST:
        return command_list(r);
    case COMMAND_PLAN:
        return command_plan(r);
    case COMMAND_DOCTOR:
        return command_doctor(r);
    case COMMAND_SELFTEST:
        return command_selftest(r);
    case COMMAND_TOKENIZE:
        return command_tokenize(r);
    case COMMAND_MODEL:
        return model(r);
    case COMMAND_VOCAB:
        return command_vocab(r);
    case COMMAND_CALIBRATE_LAROSA:
        return command_calibrate_larosa(r);
    case COMMAND_HELP:
        return help(r);
    case COMMAND_MANUAL:
        return print_manual(manual_roff);
    case COMMAND_COMPLETION:
        return print_manual(manual_bash);
    case COMMAND_BLOCK:
        return process_serve(STDIN_FILENO, STDOUT_FILENO);
    case COMMANDS:
        break;
    }
    return EXIT_USAGE;
}

int command_main(int argc, char **argv)
{
    struct request r;
    struct error e = {0};
    if (argc > 1 && !strcmp(argv[1], "--complete")) {
        complete_argc = argc - 2;
        complete_argv = argv + 2;
        return print_manual(print_completions);
    }
    if (options_parse(argc, argv, &r, &e) < 0)
        return output_error(&e);
    if (r.version)
        return print_manual(print_version);
    if (r.help)
        return help(&r);
    char *argv_json = report_argv_json(argc, argv, &e);
    int code = argv_json ? dispatch(&r, argv_json) : output_error(&e);
    free(argv_json);
    return code;
}
