#include "tui/options.h"
#include "presets/catalog.h"
#include "tui/override.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char options_lists[] = "presets|models|implementations|vocabularies|texts|devices|sessions|formats";

const struct command_info options_commands[COMMANDS] = {
    [COMMAND_TUI] =
        {COMMAND_TUI, "", "[PRESET]", 0, 1, COMPLETE_PRESETS, false, "the terminal interface",
         "Starts the terminal interface on PRESET (default: quick), with the options applied to it. "
         "Everything can be changed there before it is run."},
    [COMMAND_RUN] =
        {COMMAND_RUN, "run", "PRESET", 0, 1, COMPLETE_PRESETS, false, "measure without the interface",
         "Measures PRESET (a name, a file, or a saved session: what that was run with): progress on standard "
         "error, the results table on standard output, the "
         "session saved. Cells that do not fit the machine are told beforehand and left out. Ctrl-C "
         "stops and keeps what was measured; a second one leaves at once, with the journal on disk."},
    [COMMAND_CALIBRATE] =
        {COMMAND_CALIBRATE, "calibrate", "[PRESET]", 0, 1, COMPLETE_PRESETS, false,
         "what differences this machine can show",
         "Measures the baseline of PRESET (default: quick) against itself. The noise floor is how far the "
         "interval of that ratio reaches from 1, the smallest difference found is what the same number of "
         "rounds "
         "would show four times in five. Both are kept for this machine and stand beside every later verdict "
         "of "
         "the same cell."},
    [COMMAND_SHOW] =
        {COMMAND_SHOW, "show", "SESSION", 1, 1, COMPLETE_SESSIONS, false,
         "results and verdicts of a saved session",
         "Prints the results table of a session file, of a session of the sessions folder by its "
         "name, or of the journal that a killed run left."},
    [COMMAND_COMPARE] =
        {COMMAND_COMPARE, "compare", "BASE NEW", 2, 2, COMPLETE_SESSIONS, false, "two sessions, cell by cell",
         "Compares the cells and arms that two sessions share, by Welch's test on block means, "
         "Holm-adjusted over all of them. Raw samples of llama-bench, vLLM, hyperfine and nvbench files are "
         "read "
         "under the same definitions."},
    [COMMAND_HISTORY] = {COMMAND_HISTORY, "history", "[WORD...]", 0, REQUEST_OPERANDS, COMPLETE_MODELS, false,
                         "cells over all saved sessions, and where they changed",
                         "Prints every cell and arm of the saved sessions whose name holds all WORDs: how it "
                         "began, what the earlier "
                         "sessions predict, what the newest one took, and where the series changed. Only "
                         "sessions of the newest "
                         "one's machine are held against each other."},
    [COMMAND_EXPORT] = {COMMAND_EXPORT, "export", "SESSION", 1, 1, COMPLETE_SESSIONS, false,
                        "a session in another format",
                        "Prints a session in FORMAT on standard output, or writes it to the file of --out."},
    [COMMAND_LIST] =
        {COMMAND_LIST, "list", "WHAT", 1, 1, COMPLETE_LISTS, false, "what there is to choose from",
         "WHAT is presets, models, implementations, vocabularies, texts, devices, sessions (saved "
         "ones) or formats (of exports)."},
    [COMMAND_PLAN] =
        {COMMAND_PLAN, "plan", "PRESET", 1, 1, COMPLETE_PRESETS, false,
         "cells with predicted memory, time and limits",
         "Prints every cell of PRESET with the memory it needs, whether that fits, the predicted time "
         "and the device's ceiling for it. Runs nothing."},
    [COMMAND_DOCTOR] =
        {COMMAND_DOCTOR, "doctor", "", 0, 0, COMPLETE_NOTHING, false,
         "what was found here and what it enables",
         "Prints the hardware, drivers and libraries that were found, what is missing, and what "
         "that means. --measure also measures the ceilings of the device, about three seconds."},
    [COMMAND_SELFTEST] =
        {COMMAND_SELFTEST, "selftest", "[MODEL]", 0, 1, COMPLETE_NOTHING, false,
         "every implementation against the reference",
         "Runs every implementation of the device on small models of every family and holds the "
         "output against a double-precision reference. MODEL: on one of them alone."},
    [COMMAND_TOKENIZE] = {COMMAND_TOKENIZE, "tokenize", "", 0, 0, COMPLETE_NOTHING, false,
                          "token ids of the text on standard input",
                          "One line of ids per line of text, by the vocabulary of a GGUF file, as "
                          "llama-tokenize gives them: begin and end tokens, and control tokens where the "
                          "text spells them; --no-special leaves both out. Unknown pre-tokenizers are "
                          "refused by name."},
    [COMMAND_MODEL] =
        {COMMAND_MODEL, "model", "show FILE | write MODEL", 1, 2, COMPLETE_MODEL_VERBS, false,
         "look into a GGUF file, or write one",
         "show prints the family, the metadata and the tensors of a GGUF file. write makes one of "
         "a model: of the catalog, with the random weights of its seed, or another file's in "
         "another precision. llama.cpp loads it, and what is read back computes the same bits."},
    [COMMAND_VOCAB] =
        {COMMAND_VOCAB, "vocab", "build|show WHAT", 2, 2, COMPLETE_VOCAB_VERBS, false,
         "adapt a vocabulary to a text",
         "build takes the tokens that a text does not need out of a vocabulary, and puts in what "
         "the text often says (AdaptiVocab). WHAT is a model, a vocabulary of the catalog or a "
         "GGUF file. An arm runs with the result as axis vocabulary; without fine-tuned "
         "embeddings its output is not equivalent. show tells what such a file holds."},
    [COMMAND_CALIBRATE_LAROSA] =
        {COMMAND_CALIBRATE_LAROSA, "calibrate-larosa", "MODEL", 1, 1, COMPLETE_MODELS, false,
         "the rotation that sparse activations need",
         "Runs a text through MODEL, a llama, and keeps the rotation in whose basis few entries of an "
         "activation carry most of it (LaRoSA). Arms with a sparsity above 0 find it by the model and, where "
         "its weights are synthetic, the seed."},
    [COMMAND_HELP] = {COMMAND_HELP, "help", "[COMMAND]", 0, 1, COMPLETE_COMMANDS, false,
                      "this, or one command", "Prints the same as COMMAND --help."},
    [COMMAND_MANUAL] = {COMMAND_MANUAL, "manual", "", 0, 0, COMPLETE_NOTHING, true, "the man page, as roff",
                        "Written by make install to benchtop.1."},
    [COMMAND_COMPLETION] = {COMMAND_COMPLETION, "completion", "", 0, 0, COMPLETE_NOTHING, true,
                            "the bash completion script",
                            "Written by make install; it asks benchtop --complete."},
    [COMMAND_BLOCK] = {COMMAND_BLOCK, "block", "", 0, 0, COMPLETE_NOTHING, true, "the child of a strict run",
                       "Started by run --strict for each block; speaks to its parent through pipes."},
};

const struct exit_code options_exit_codes[] = {
    {EXIT_DONE, "done"},
    {EXIT_ERROR, "error: the machine or a file said no, or what was asked for is unsupported"},
    {EXIT_USAGE, "usage: the request is impossible or misspelled; nothing was started"},
    {EXIT_FAILED_CRITERION, "a regression (compare, history --fail-on-regression) or a failed criterion (run "
                            "--fail-on-criteria)"},
    {EXIT_INCONCLUSIVE, "inconclusive where one of these demanded a verdict"},
    {EXIT_INTERRUPTED, "interrupted: the partial session is saved and valid"},
};
const int options_exit_codes_count = sizeof options_exit_codes / sizeof *options_exit_codes;

#define FLAG(field)                                                                                          \
    static int set_##field(struct request *r, const char *value, struct error *e)                            \
    {                                                                                                        \
        (void)value, (void)e;                                                                                \
        r->field = true;                                                                                     \
        return 0;                                                                                            \
    }
FLAG(help)
FLAG(version)
FLAG(json)
FLAG(quiet)
FLAG(realtime)
FLAG(measure)
FLAG(fail_on_criteria)
FLAG(ascii)
FLAG(mouse)
FLAG(start)
FLAG(whole)
FLAG(within_words)
FLAG(no_special)
#undef FLAG

#define WORD(field, option)                                                                                  \
    static int set_##field(struct request *r, const char *value, struct error *e)                            \
    {                                                                                                        \
        if (!*value)                                                                                         \
            return override_expected(e, option, value, "a name");                                            \
        r->field = value;                                                                                    \
        return 0;                                                                                            \
    }
WORD(out, "--out")
WORD(resume, "--resume")
WORD(format, "--to")
WORD(device, "--device")
WORD(since, "--since")
WORD(text, "--text")
WORD(precision, "--precision")
WORD(vocabulary, "--model")
#undef WORD

static int set_color(struct request *r, const char *value, struct error *e)
{
    static const char *const words[] = {"auto", "never", "always"};
    for (int i = 0; i < 3; i++)
        if (!strcmp(value, words[i])) {
            r->color = (enum request_color)i;
            return 0;
        }
    return override_expected(e, "--color", value, "auto, never or always");
}

static int set_regression(struct request *r, const char *value, struct error *e)
{
    char *end;
    double v = strtod(value, &end);
    if (end == value || (*end && strcmp(end, "%")) || !isfinite(v) || v < 0)
        return override_expected(e, "--fail-on-regression", value, "a percentage from 0, as in 5");
    r->regression_pct = v;
    return 0;
}

/* What is too small is the builder's to tell. */
#define COUNT(field, option, most)                                                                           \
    static int set_##field(struct request *r, const char *value, struct error *e)                            \
    {                                                                                                        \
        char *end;                                                                                           \
        long v = strtol(value, &end, 10);                                                                    \
        if (end == value || *end || v < 0 || v > (most))                                                     \
            return override_expected(e, option, value, "a whole number from 0 to " #most);                   \
        r->field = (int)v;                                                                                   \
        return 0;                                                                                            \
    }
COUNT(remove, "--remove", 1000000)
COUNT(add, "--add", 1000000)
COUNT(max_ngram, "--max-ngram", 8)
COUNT(min_frequency, "--min-frequency", 1000000)
COUNT(split, "--split", 100)
COUNT(calibration_tokens, "--tokens", 10000000)
#undef COUNT

static int set_seed(struct request *r, const char *value, struct error *e)
{
    char *end;
    unsigned long long v = strtoull(value, &end, 10);
    if (*value < '0' || *value > '9' || *end)
        return override_expected(e, "--seed", value, "a whole number from 0");
    r->seed = v;
    return 0;
}

enum {
    ANY = (1 << COMMANDS) - 1,
    SWEEP = 1 << COMMAND_TUI | 1 << COMMAND_RUN | 1 << COMMAND_PLAN | 1 << COMMAND_CALIBRATE,
    RUNS = 1 << COMMAND_TUI | 1 << COMMAND_RUN | 1 << COMMAND_CALIBRATE,
    RUN = 1 << COMMAND_RUN,
    HEADLESS = RUN | 1 << COMMAND_CALIBRATE,
    TUI = 1 << COMMAND_TUI
};

const struct option_info options_table[] = {
    {"--device", 0, "cpu|cuda[:N]|fake", SWEEP, COMPLETE_DEVICES, false, "where to run", NULL,
     override_device},
    {"--model", 0, "NAME|FILE", SWEEP, COMPLETE_MODELS, true,
     "a model of the catalog, or a model file; the first replaces the preset's models, more add to it", NULL,
     override_model},
    {"--workload", 0, "NAME,...", SWEEP, COMPLETE_WORKLOADS, true,
     "prefill, decode, generate, tokenize, perplexity", NULL, override_workload},
    {"--batch", 0, "N,...", SWEEP, COMPLETE_NOTHING, false, "batch sizes, 1 to 1024", NULL, override_batch},
    {"--seq", 0, "N,...", SWEEP, COMPLETE_NOTHING, false, "sequence lengths, 1 to 32768", NULL, override_seq},
    {"--tokens", 0, "N", SWEEP, COMPLETE_NOTHING, false, "generate: tokens after the prompt", NULL,
     override_tokens},
    {"--text", 0, "FILE", SWEEP, COMPLETE_FILES, false,
     "prompts and what quality is judged on: a file, or the name of a shipped text", NULL, override_text},
    {"--temperature", 0, "T", SWEEP, COMPLETE_NOTHING, false,
     "generate: sample instead of taking the likeliest token; 0: greedy", NULL, override_temperature},
    {"--top-k", 0, "N", SWEEP, COMPLETE_NOTHING, false, "sample from the N likeliest tokens; 0: all", NULL,
     override_top_k},
    {"--top-p", 0, "P", SWEEP, COMPLETE_NOTHING, false,
     "sample from the likeliest tokens that hold P of the probability", NULL, override_top_p},
    {"--arm", 0, "NAME[=KEY:VALUE,...]", SWEEP, COMPLETE_ARMS, true,
     "an implementation to compare, its axes changed by KEY:VALUE; the first is the baseline and replaces "
     "the "
     "preset's arms, more add to it",
     NULL, override_arm},
    {"--precision", 0, "NAME", SWEEP, COMPLETE_PRECISIONS, false, "the precision of all arms", NULL,
     override_precision},
    {"--runs", 0, "N", SWEEP, COMPLETE_NOTHING, false, "planned rounds: the verdict comes after these", NULL,
     override_runs},
    {"--max-rounds", 0, "N", SWEEP, COMPLETE_NOTHING, false, "cap where the interval is still too wide", NULL,
     override_max_rounds},
    {"--time", 0, "TIME", SWEEP, COMPLETE_NOTHING, false,
     "time to spend: after every cell's rounds, what is left goes to the cells still open; 0: none", NULL,
     override_time},
    {"--budget", 0, "TIME", SWEEP, COMPLETE_NOTHING, false,
     "time for the whole run (90, 5m, 1h); 0: no limit", NULL, override_budget},
    {"--watch", 0, NULL, SWEEP, COMPLETE_NOTHING, false,
     "decide by an always-valid interval: look as often as you like, stop at the first decision", NULL,
     override_watch},
    {"--strict", 0, NULL, SWEEP, COMPLETE_NOTHING, false,
     "every block in a process of its own: slower, and what differs between processes is in the interval",
     NULL, override_strict},
    {"--threads", 0, "N", SWEEP, COMPLETE_NOTHING, false, "threads of the cpu; 0: all", NULL,
     override_threads},
    {"--seed", 0, "N", SWEEP, COMPLETE_NOTHING, false, "weights, inputs and the order of rounds", NULL,
     override_seed},
    {"--set", 0, "PATH=VALUE", SWEEP, COMPLETE_NOTHING, true,
     "any field of the preset, a JSON value or a bare word, as in criteria.min_speedup=1.2", NULL,
     override_set},
    {"--out", 'o', "FILE",
     RUNS | 1 << COMMAND_EXPORT | 1 << COMMAND_VOCAB | 1 << COMMAND_CALIBRATE_LAROSA | 1 << COMMAND_MODEL,
     COMPLETE_FILES, false, "where the session, the export, the vocabulary or the model is written", set_out,
     NULL},
    {"--resume", 0, "SESSION", RUN, COMPLETE_SESSIONS, false,
     "go on with a stopped or killed session; its complete cells are kept", set_resume, NULL},
    {"--fail-on-criteria", 0, NULL, RUN, COMPLETE_NOTHING, false,
     "exit 3 where a criterion of the preset fails, 4 where it cannot be judged", set_fail_on_criteria, NULL},
    {"--quiet", 'q', NULL,
     HEADLESS | 1 << COMMAND_SELFTEST | 1 << COMMAND_CALIBRATE_LAROSA | 1 << COMMAND_MODEL, COMPLETE_NOTHING,
     false, "no progress", set_quiet, NULL},
    {"--realtime", 0, NULL, RUNS, COMPLETE_NOTHING, false,
     "the fake device sleeps instead of simulating time", set_realtime, NULL},
    {"--to", 0, "FORMAT", 1 << COMMAND_EXPORT, COMPLETE_FORMATS, false,
     "json, jsonl, csv, md, llama-bench, ...", set_format, NULL},
    {"--since", 0, "SESSION", 1 << COMMAND_HISTORY, COMPLETE_SESSIONS, false,
     "begin with this session: changes before it are accepted", set_since, NULL},
    {"--fail-on-regression", 0, "PCT", 1 << COMMAND_HISTORY, COMPLETE_NOTHING, false,
     "exit 3 where the newest session, or the last change, is slower by more than PCT percent, 4 where that "
     "cannot "
     "be judged",
     set_regression, NULL},
    {"--fail-on-regression", 0, "PCT", 1 << COMMAND_COMPARE, COMPLETE_NOTHING, false,
     "exit 3 where NEW is slower by more than PCT percent, 4 where that cannot be judged", set_regression,
     NULL},
    {"--json", 0, NULL,
     HEADLESS | 1 << COMMAND_SHOW | 1 << COMMAND_COMPARE | 1 << COMMAND_HISTORY | 1 << COMMAND_LIST |
         1 << COMMAND_PLAN | 1 << COMMAND_DOCTOR,
     COMPLETE_NOTHING, false, "JSON on standard output (run, show: the whole session)", set_json, NULL},
    {"--measure", 0, NULL, 1 << COMMAND_DOCTOR, COMPLETE_NOTHING, false,
     "measure the ceilings of the device and keep them", set_measure, NULL},
    {"--device", 0, "cpu|cuda[:N]",
     1 << COMMAND_DOCTOR | 1 << COMMAND_SELFTEST | 1 << COMMAND_CALIBRATE_LAROSA, COMPLETE_DEVICES, false,
     "which device", set_device, NULL},
    {"--ascii", 0, NULL, TUI, COMPLETE_NOTHING, false, "draw with ASCII only", set_ascii, NULL},
    {"--color", 0, "auto|never|always", TUI, COMPLETE_COLORS, false, "auto obeys NO_COLOR and the terminal",
     set_color, NULL},
    {"--mouse", 0, NULL, TUI, COMPLETE_NOTHING, false, "the wheel scrolls, a click focuses; m switches it",
     set_mouse, NULL},
    {"--start", 0, NULL, TUI, COMPLETE_NOTHING, false, "start the run at once", set_start, NULL},
    {"--model", 0, "NAME|FILE", 1 << COMMAND_TOKENIZE, COMPLETE_MODELS, false,
     "whose vocabulary: a model, a vocabulary of the catalog or a GGUF file", set_vocabulary, NULL},
    {"--precision", 0, "NAME", 1 << COMMAND_MODEL, COMPLETE_PRECISIONS, false,
     "in which the model is written: fp32, fp16, bf16, q8_0, q4_0, q4_k, q6_k (default: fp16, a file's own)",
     set_precision, NULL},
    {"--seed", 0, "N", 1 << COMMAND_MODEL, COMPLETE_NOTHING, false,
     "of the random weights that are written (default: that of runs)", set_seed, NULL},
    {"--whole", 0, NULL, 1 << COMMAND_TOKENIZE, COMPLETE_NOTHING, false, "standard input is one text",
     set_whole, NULL},
    {"--no-special", 0, NULL, 1 << COMMAND_TOKENIZE, COMPLETE_NOTHING, false,
     "no begin or end tokens, no control tokens in the text", set_no_special, NULL},
    {"--text", 0, "FILE", 1 << COMMAND_VOCAB | 1 << COMMAND_CALIBRATE_LAROSA, COMPLETE_FILES, false,
     "the text: a file, or a name of `benchtop list texts`", set_text, NULL},
    {"--tokens", 0, "N", 1 << COMMAND_CALIBRATE_LAROSA, COMPLETE_NOTHING, false,
     "of the text that are run, at most (default 4096)", set_calibration_tokens, NULL},
    {"--seed", 0, "N", 1 << COMMAND_CALIBRATE_LAROSA, COMPLETE_NOTHING, false,
     "of synthetic weights, as the arms' (default 1)", set_seed, NULL},
    {"--precision", 0, "NAME", 1 << COMMAND_CALIBRATE_LAROSA, COMPLETE_PRECISIONS, false,
     "of the weights while the text runs (default bf16); the rotation serves all", set_precision, NULL},
    {"--split", 0, "PCT", 1 << COMMAND_VOCAB, COMPLETE_NOTHING, false,
     "build from the first PCT percent of the text and judge by the rest (default 100: all of it)", set_split,
     NULL},
    {"--remove", 0, "N", 1 << COMMAND_VOCAB, COMPLETE_NOTHING, false,
     "tokens to take out, at most (default 10000)", set_remove, NULL},
    {"--add", 0, "N", 1 << COMMAND_VOCAB, COMPLETE_NOTHING, false,
     "n-grams to put in, at most (default 10000)", set_add, NULL},
    {"--max-ngram", 0, "N", 1 << COMMAND_VOCAB, COMPLETE_NOTHING, false,
     "tokens of the longest n-gram, 2 to 8 (default 3)", set_max_ngram, NULL},
    {"--min-frequency", 0, "N", 1 << COMMAND_VOCAB, COMPLETE_NOTHING, false,
     "how often an n-gram must stand in the text (default 2)", set_min_frequency, NULL},
    {"--within-words", 0, NULL, 1 << COMMAND_VOCAB, COMPLETE_NOTHING, false,
     "no n-gram crosses the beginning of a word", set_within_words, NULL},
    {"--help", 'h', NULL, ANY, COMPLETE_NOTHING, false, "the options of a command", set_help, NULL},
    {"--version", 'V', NULL, ANY, COMPLETE_NOTHING, false, "version, commit and build", set_version, NULL},
};
const int options_count = sizeof options_table / sizeof *options_table;

const struct option_info *options_find(const char *name, size_t length, enum command_id command)
{
    const struct option_info *any = NULL;
    for (int i = 0; i < options_count; i++) {
        const struct option_info *o = &options_table[i];
        bool is_long = strlen(o->name) == length && !strncmp(o->name, name, length);
        bool is_short = length == 2 && name[0] == '-' && o->letter && name[1] == o->letter;
        if (!is_long && !is_short)
            continue;
        if (o->commands >> command & 1)
            return o;
        any = any ? any : o;
    }
    return any;
}

const struct command_info *options_command(const char *name)
{
    for (int i = 0; i < COMMANDS; i++)
        if (*options_commands[i].name && !strcmp(options_commands[i].name, name))
            return &options_commands[i];
    return NULL;
}

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] && strcmp(word, "--");
}

/* Calls note() for every option and operand. What is an option's argument does not depend on the command, so
 * the command can be found wherever it stands among the words. */
struct scan {
    struct request *r;
    struct error *e;
    bool command_known; /* second pass: options are judged */
    bool have_command;
};

static int unknown_option(const struct scan *s, const char *word, size_t length)
{
    const char *names[sizeof options_table / sizeof *options_table];
    int n = 0;
    for (int i = 0; i < options_count; i++)
        if (options_table[i].commands >> s->r->command & 1)
            names[n++] = options_table[i].name;
    char near[192], name[128];
    snprintf(name, sizeof name, "%.*s", (int)length, word);
    catalog_nearest(name, names, n, near, sizeof near);
    if (*near)
        return error_add(s->e, ERROR_USAGE, "unknown option %s: did you mean %s?", name, near);
    const char *command = options_commands[s->r->command].name;
    return error_add(s->e, ERROR_USAGE, "unknown option %s: see `benchtop%s%s --help`", name,
                     *command ? " " : "", command);
}

static int misplaced_option(const struct scan *s, const struct option_info *o)
{
    char commands[160] = "";
    size_t used = 0;
    for (int c = 0; c < COMMANDS; c++)
        if (o->commands >> c & 1 && used < sizeof commands)
            used += (size_t)snprintf(commands + used, sizeof commands - used, "%s`benchtop%s%s`",
                                     used ? ", " : "", *options_commands[c].name ? " " : "",
                                     options_commands[c].name);
    const char *command = options_commands[s->r->command].name;
    return error_add(s->e, ERROR_USAGE, "%s is not an option of `benchtop%s%s`: it belongs to %s", o->name,
                     *command ? " " : "", command, commands);
}

static int note_option(const struct scan *s, const struct option_info *o, const char *value)
{
    struct request *r = s->r;
    if (!(o->commands >> r->command & 1))
        return misplaced_option(s, o);
    if (r->n_uses == REQUEST_USES)
        return error_add(s->e, ERROR_USAGE, "more than %d options: put them into a preset", REQUEST_USES);
    r->use[r->n_uses].option = o;
    r->use[r->n_uses++].value = value;
    return o->set ? o->set(r, value, s->e) : 0;
}

static int scan_option(const struct scan *s, int argc, char *const *argv, int *i)
{
    const char *word = argv[*i];
    size_t length = word[1] == '-' ? strcspn(word, "=") : strlen(word);
    const struct option_info *o = options_find(word, length, s->r->command);
    if (!o)
        return s->command_known ? unknown_option(s, word, length) : 0;
    const char *value = "";
    if (!o->argument) {
        if (word[length] == '=')
            return s->command_known ? error_add(s->e, ERROR_USAGE, "%s takes no value: leave out %s", o->name,
                                                word + length)
                                    : 0;
    } else if (word[length] == '=') {
        value = word + length + 1;
    } else {
        const char *next = *i + 1 < argc ? argv[*i + 1] : NULL;
        if (!next || (is_option(next) && options_find(next, strcspn(next, "="), s->r->command)))
            return s->command_known ? error_add(s->e, ERROR_USAGE, "%s needs a value: %s %s", o->name,
                                                o->name, o->argument)
                                    : 0;
        value = next;
        ++*i;
    }
    return s->command_known ? note_option(s, o, value) : 0;
}

static int scan_operand(struct scan *s, const char *word)
{
    struct request *r = s->r;
    const struct command_info *command = s->have_command ? NULL : options_command(word);
    bool first = !s->have_command;
    s->have_command = true; /* only the first operand can be the command */
    if (first && command) {
        r->command = command->id;
        return 0;
    }
    if (s->command_known && r->n_operands < REQUEST_OPERANDS)
        r->operand[r->n_operands++] = word;
    return 0;
}

static int scan(struct scan *s, int argc, char *const *argv)
{
    int result = 0;
    bool only_operands = false;
    for (int i = 1; i < argc; i++) {
        if (!only_operands && !strcmp(argv[i], "--"))
            only_operands = true;
        else if (!only_operands && is_option(argv[i]))
            result |= scan_option(s, argc, argv, &i);
        else
            result |= scan_operand(s, argv[i]);
    }
    return result;
}

void options_nearest_command(const char *word, char *out, size_t size)
{
    const char *names[COMMANDS];
    int n = 0;
    for (int i = 0; i < COMMANDS; i++)
        if (*options_commands[i].name && !options_commands[i].hidden)
            names[n++] = options_commands[i].name;
    catalog_nearest(word, names, n, out, size);
}

static int check_operands(const struct request *r, struct error *e)
{
    const struct command_info *c = &options_commands[r->command];
    const char *space = *c->name ? " " : "";
    if (r->n_operands < c->min)
        return error_add(e, ERROR_USAGE, "benchtop%s%s needs %s: `benchtop%s%s %s`", space, c->name,
                         c->operands, space, c->name, c->operands);
    if (r->command == COMMAND_TUI && r->n_operands > 1) { /* `benchtop rnu quick`: a misspelled command */
        char near[128];
        options_nearest_command(r->operand[0], near, sizeof near);
        return error_add(e, ERROR_USAGE, "unknown command %s: %s%s", r->operand[0],
                         *near ? "did you mean " : "see `benchtop --help`", near);
    }
    if (r->n_operands > c->max)
        return error_add(e, ERROR_USAGE, "\"%s\" is one word too many: `benchtop%s%s%s%s`",
                         r->operand[c->max], space, c->name, *c->operands ? " " : "", c->operands);
    return 0;
}

int options_parse(int argc, char *const *argv, struct request *r, struct error *e)
{
    memset(r, 0, sizeof *r);
    r->regression_pct = NAN;
    r->remove = r->add = 10000;
    r->max_ngram = 3;
    r->min_frequency = 2;
    r->split = 100;
    r->calibration_tokens = 4096;
    r->seed = 1;
    struct scan find = {.r = r, .e = e}, judge = {.r = r, .e = e, .command_known = true};
    scan(&find, argc, argv);
    struct error found = {0};
    judge.e = &found;
    int result = scan(&judge, argc, argv);
    if (r->help || r->version)
        return 0;
    result |= check_operands(r, &found);
    if (r->command == COMMAND_RUN && !r->n_operands && !r->resume)
        result |= error_add(&found, ERROR_USAGE,
                            "benchtop run needs a PRESET or --resume SESSION: `benchtop list presets`");
    if (result < 0)
        return error_add(e, ERROR_USAGE, "%s", found.text);
    return 0;
}

int options_apply(const struct request *r, struct preset *p, struct error *e)
{
    int result = 0;
    for (int i = 0; i < options_count; i++) {
        bool first = true;
        for (int u = 0; u < r->n_uses; u++) {
            if (r->use[u].option != &options_table[i] || !options_table[i].apply)
                continue;
            result |= options_table[i].apply(p, r->use[u].value, first, e);
            first = false;
        }
    }
    return result;
}

bool options_overrides(const struct request *r)
{
    for (int u = 0; u < r->n_uses; u++)
        if (r->use[u].option->apply)
            return true;
    return false;
}
