/* The command line as data: one table of commands, one table of options. Parsing, --help, the man page and
 * shell completion all read these two tables, so that none of them can forget an option. Knows what may be
 * written on a command line and how it changes a preset; runs nothing, prints nothing. Main thread only. */
#pragma once

#include "presets/preset.h"

enum command_id {
    COMMAND_TUI,
    COMMAND_RUN,
    COMMAND_CALIBRATE,
    COMMAND_SHOW,
    COMMAND_COMPARE,
    COMMAND_HISTORY,
    COMMAND_EXPORT,
    COMMAND_LIST,
    COMMAND_PLAN,
    COMMAND_DOCTOR,
    COMMAND_SELFTEST,
    COMMAND_TOKENIZE,
    COMMAND_MODEL,
    COMMAND_VOCAB,
    COMMAND_CALIBRATE_LAROSA,
    COMMAND_HELP,
    COMMAND_MANUAL,
    COMMAND_COMPLETION,
    COMMAND_BLOCK,
    COMMANDS
};

/* What a word on the command line names: decides what completion offers for it. */
enum complete_kind {
    COMPLETE_NOTHING,
    COMPLETE_FILES,
    COMPLETE_COMMANDS,
    COMPLETE_PRESETS,
    COMPLETE_MODELS,
    COMPLETE_ARMS,
    COMPLETE_DEVICES,
    COMPLETE_SESSIONS,
    COMPLETE_FORMATS,
    COMPLETE_LISTS,
    COMPLETE_WORKLOADS,
    COMPLETE_PRECISIONS,
    COMPLETE_COLORS,
    COMPLETE_MODEL_VERBS,
    COMPLETE_VOCAB_VERBS
};

struct command_info {
    enum command_id id;
    const char *name;     /* "run"; "" for the TUI */
    const char *operands; /* "PRESET", as in the usage line */
    int min, max;         /* operands wanted */
    enum complete_kind complete;
    bool hidden;        /* not in --help: serves the build and the shell */
    const char *help;   /* one line */
    const char *detail; /* a paragraph for COMMAND --help and the man page */
};
extern const struct command_info options_commands[COMMANDS]; /* indexed by id */
extern const char options_lists[];                           /* what `list` lists, "presets|models|..." */

struct request;
struct option_info {
    const char *name;     /* "--device" */
    char letter;          /* 'q' for -q, 0: none */
    const char *argument; /* "NAME", NULL: a flag */
    unsigned commands;    /* bit per command_id */
    enum complete_kind complete;
    bool repeatable; /* every occurrence counts; of other options the last one does */
    const char *help;
    /* Exactly one is set. `set` notes the value in the request; `apply` changes a preset: it is called by
     * options_apply, in table order, `first` at the option's first occurrence. Both add to e what is wrong.
     */
    int (*set)(struct request *r, const char *value, struct error *e);
    int (*apply)(struct preset *p, const char *value, bool first, struct error *e);
};
extern const struct option_info options_table[];
extern const int options_count;

struct exit_code {
    int code;
    const char *help;
};
enum {
    EXIT_DONE = 0,
    EXIT_ERROR = 1,
    EXIT_USAGE = 2,
    EXIT_FAILED_CRITERION = 3,
    EXIT_INCONCLUSIVE = 4,
    EXIT_INTERRUPTED = 130
};
extern const struct exit_code options_exit_codes[];
extern const int options_exit_codes_count;

enum { REQUEST_OPERANDS = 8, REQUEST_USES = 256 };
enum request_color { REQUEST_COLOR_AUTO, REQUEST_COLOR_NEVER, REQUEST_COLOR_ALWAYS };

/* Strings point into argv. */
struct request {
    enum command_id command;
    const char *operand[REQUEST_OPERANDS]; /* without the command's own name */
    int n_operands;
    struct {
        const struct option_info *option;
        const char *value; /* "" for flags */
    } use[REQUEST_USES];   /* every option given, in order */
    int n_uses;

    bool help, version, json, quiet, realtime, measure, whole, no_special, fail_on_criteria, ascii, mouse,
        start;
    enum request_color color;
    const char *out, *resume, *format, *device, *since, *vocabulary; /* NULL: not given */
    const char *text;                                                /* a file, or a text of the catalog */
    int remove, add, max_ngram, min_frequency, split;                /* of vocab build */
    bool within_words;
    int calibration_tokens; /* of random weights, where a command makes some */
    uint64_t seed;          /* of random weights, where a command makes some */
    const char *precision;  /* NULL: not given */
    double regression_pct;  /* NAN: not given */
};

/* Everything that is wrong is told at once, with the nearest names: -1 USAGE. With --help or --version among
 * the words nothing else is checked. */
int options_parse(int argc, char *const *argv, struct request *r, struct error *e);
/* The preset overrides of the request, applied in the order of the table (so that --precision reaches the
 * arms of
 * --arm, and --set has the last word). -1: all impossible values in one message; p may then be partly
 * changed. */
int options_apply(const struct request *r, struct preset *p, struct error *e);
bool options_overrides(const struct request *r); /* some option changes the preset */
/* "--device" or "-q": the row of this command, else any row of that name (all of a name agree on whether they
 * take an argument); NULL: none. */
const struct option_info *options_find(const char *name, size_t length, enum command_id command);
const struct command_info *options_command(const char *name); /* NULL: none of that name */
/* Up to three visible commands nearest to a misspelled word, as catalog_nearest says it; "" if none is near.
 */
void options_nearest_command(const char *word, char *out, size_t size);
