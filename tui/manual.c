#include "tui/manual.h"
#include "engine/export.h"
#include "engine/session_file.h"
#include "engine/version.h"
#include "presets/catalog.h"
#include "tui/action.h"
#include <stdlib.h>
#include <string.h>

enum { WIDTH = 79, COLUMN = 28 };

/* Words of text from `column` on, broken before WIDTH. */
static void print_wrapped(FILE *out, const char *text, int column)
{
    int at = column;
    bool fresh = true;
    while (*text) {
        int length = (int)strcspn(text, " ");
        if (!fresh && at + 1 + length > WIDTH) {
            fprintf(out, "\n%*s", column, "");
            at = column;
            fresh = true;
        }
        fprintf(out, "%s%.*s", fresh ? "" : " ", length, text);
        at += length + !fresh;
        fresh = false;
        text += length;
        text += strspn(text, " ");
    }
    fputc('\n', out);
}

static void print_entry(FILE *out, const char *left, const char *text)
{
    int used = fprintf(out, "  %s", left);
    if (used > COLUMN - 2)
        fprintf(out, "\n%*s", COLUMN, "");
    else
        fprintf(out, "%*s", COLUMN - used, "");
    print_wrapped(out, text, COLUMN);
}

static void option_words(const struct option_info *o, char *out, size_t size)
{
    char letter[8] = "";
    if (o->letter)
        snprintf(letter, sizeof letter, "-%c, ", o->letter);
    snprintf(out, size, "%s%s%s%s%s", letter, o->name, o->argument ? " " : "", o->argument ? o->argument : "",
             o->repeatable ? " ..." : "");
}

/* Names with a row for each of several commands are told once. */
static bool told_before(int option, unsigned commands)
{
    for (int i = 0; i < option; i++)
        if ((options_table[i].commands & commands) &&
            !strcmp(options_table[i].name, options_table[option].name))
            return true;
    return false;
}

static void help_options(FILE *out, unsigned commands)
{
    for (int i = 0; i < options_count; i++) {
        const struct option_info *o = &options_table[i];
        char left[96];
        if (!(o->commands & commands) || told_before(i, commands))
            continue;
        option_words(o, left, sizeof left);
        print_entry(out, left, o->help);
    }
}

static void help_program(FILE *out)
{
    print_wrapped(
        out, "benchtop measures whether one way of running a language model beats another on this machine.",
        0);
    fputc('\n', out);
    fprintf(out, "Usage:\n");
    for (int i = 0; i < COMMANDS; i++) {
        const struct command_info *c = &options_commands[i];
        char left[128];
        if (c->hidden)
            continue;
        snprintf(left, sizeof left, "benchtop%s%s%s%s", *c->name ? " " : "", c->name, *c->operands ? " " : "",
                 c->operands);
        print_entry(out, left, c->help);
    }
    fprintf(out, "\nOptions (`benchtop COMMAND --help` tells those of a command):\n");
    help_options(out, ~0u);
    fprintf(out, "\nExit codes:\n");
    for (int i = 0; i < options_exit_codes_count; i++) {
        char left[16];
        snprintf(left, sizeof left, "%d", options_exit_codes[i].code);
        print_entry(out, left, options_exit_codes[i].help);
    }
    fputc('\n', out);
    print_wrapped(
        out,
        "Presets are in $XDG_CONFIG_HOME/benchtop/presets, sessions in $XDG_DATA_HOME/benchtop/sessions, "
        "besides the shipped catalog. Keys of the interface: press ?.",
        0);
}

void manual_help(FILE *out, enum command_id command)
{
    const struct command_info *c = &options_commands[command];
    if (command == COMMAND_TUI) {
        help_program(out);
        return;
    }
    char usage[128];
    snprintf(usage, sizeof usage, "benchtop %s%s%s [options]", c->name, *c->operands ? " " : "", c->operands);
    fputs("Usage: ", out);
    print_wrapped(out, usage, 7);
    fputc('\n', out);
    print_wrapped(out, c->detail, 0);
    fprintf(out, "\nOptions:\n");
    help_options(out, 1u << command);
}

/* Text for roff: a backslash and a leading dot or quote would be commands, a hyphen would become a dash. */
static void roff_text(FILE *out, const char *text)
{
    if (*text == '.' || *text == '\'')
        fputs("\\&", out);
    for (; *text; text++) {
        if (*text == '\\')
            fputs("\\e", out);
        else if (*text == '-')
            fputs("\\-", out);
        else
            fputc(*text, out);
    }
}

static void roff_entry(FILE *out, const char *bold, const char *italic, const char *text)
{
    fputs(".TP\n\\fB", out);
    roff_text(out, bold);
    fputs("\\fR", out);
    if (italic && *italic) {
        fputs(" \\fI", out);
        roff_text(out, italic);
        fputs("\\fR", out);
    }
    fputc('\n', out);
    roff_text(out, text);
    fputc('\n', out);
}

static void roff_commands(FILE *out)
{
    fputs(".SH COMMANDS\n", out);
    for (int i = 0; i < COMMANDS; i++) {
        const struct command_info *c = &options_commands[i];
        char words[64];
        if (c->hidden)
            continue;
        snprintf(words, sizeof words, "benchtop%s%s", *c->name ? " " : "", c->name);
        roff_entry(out, words, c->operands, c->detail);
    }
}

static void roff_options(FILE *out)
{
    fputs(".SH OPTIONS\n", out);
    for (int i = 0; i < options_count; i++) {
        const struct option_info *o = &options_table[i];
        char words[64], where[256];
        size_t used = 0;
        snprintf(words, sizeof words, "%s%s", o->name, "");
        if (o->letter)
            snprintf(words, sizeof words, "-%c, %s", o->letter, o->name);
        roff_entry(out, words, o->argument, o->help);
        if (o->commands == (1u << COMMANDS) - 1)
            continue;
        for (int c = 0; c < COMMANDS && used < sizeof where; c++)
            if (o->commands >> c & 1)
                used += (size_t)snprintf(where + used, sizeof where - used, "%s%s", used ? ", " : "",
                                         *options_commands[c].name ? options_commands[c].name : "interface");
        fputs("(", out);
        roff_text(out, where);
        fputs(")\n", out);
    }
}

static void roff_axes(FILE *out)
{
    fputs(".SH IMPLEMENTATIONS\nAn arm is a point in this space; the first value is the default. A list "
          "joined by + "
          "combines fusions.\n",
          out);
    for (int i = 0; i < implementation_n_axes; i++) {
        const struct implementation_axis *a = &implementation_axes[i];
        char values[256] = "";
        size_t used = 0;
        for (int v = 0; v < a->n_values && used < sizeof values; v++)
            used += (size_t)snprintf(values + used, sizeof values - used, "%s%s", v ? ", " : "",
                                     a->values[v].name);
        roff_entry(out, a->name, values, a->help);
    }
}

static void roff_keys(FILE *out)
{
    fputs(".SH KEYS\n", out);
    for (int i = 0; i < action_count; i++)
        if (action_table[i].keys && *action_table[i].keys)
            roff_entry(out, action_table[i].keys, NULL, action_table[i].help);
}

static void roff_examples(FILE *out)
{
    static const struct {
        const char *line, *what;
    } examples[] = {
        {"benchtop", "the interface, on the preset quick"},
        {"benchtop run quick --json --out s.json", "thirty seconds on any machine, the session as JSON"},
        {"benchtop run quick --model gpt2-124m --arm baseline --arm fused --batch 1,8",
         "two arms, two batches"},
        {"benchtop run --resume 2026-11-21T06-30-12-quick", "go on after a kill"},
        {"benchtop compare old.json new.json --fail-on-regression 5",
         "a gate: exit 3 where slower by over 5 %"},
        {"benchtop export s.json --to md --out report.md", "the tables of a report"},
    };
    fputs(".SH EXAMPLES\n", out);
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++)
        roff_entry(out, examples[i].line, NULL, examples[i].what);
}

void manual_roff(FILE *out)
{
    fprintf(out, ".TH BENCHTOP 1 \"\" \"benchtop %s\"\n", version_get()->version);
    fputs(".SH NAME\nbenchtop \\- measure whether one way of running a language model beats another\n"
          ".SH SYNOPSIS\n",
          out);
    for (int i = 0; i < COMMANDS; i++) {
        const struct command_info *c = &options_commands[i];
        if (c->hidden)
            continue;
        fprintf(out, "%s\\fBbenchtop%s%s\\fR \\fI", i ? ".br\n" : "", *c->name ? " " : "", c->name);
        roff_text(out, c->operands);
        fputs("\\fR [options]\n", out);
    }
    fputs(".SH DESCRIPTION\nAn instrument for inference on one machine: pick models, implementations and "
          "sweeps of batch "
          "and sequence, watch the measurement, and leave with a file that others can trust, compare and "
          "gate on. "
          "Arms are measured in blocks, in balanced random order; the verdict comes at the planned number of "
          "rounds, from the paired ratio and its interval.\n",
          out);
    roff_commands(out);
    roff_options(out);
    roff_axes(out);
    roff_keys(out);
    roff_examples(out);
    fputs(".SH FILES\n", out);
    roff_entry(out, "$XDG_CONFIG_HOME/benchtop/presets", NULL,
               "your presets; models and implementations beside it");
    roff_entry(out, "$XDG_DATA_HOME/benchtop/sessions", NULL,
               "sessions, and the journals of runs in progress");
    roff_entry(out, "$XDG_CACHE_HOME/benchtop", NULL, "the measured ceilings of this machine");
    fputs(".SH ENVIRONMENT\n", out);
    roff_entry(out, "BENCHTOP_CATALOG", NULL, "the folder of the shipped catalog");
    roff_entry(out, "NO_COLOR", NULL, "set to anything: no colors");
    fputs(".SH EXIT STATUS\n", out);
    for (int i = 0; i < options_exit_codes_count; i++) {
        char code[16];
        snprintf(code, sizeof code, "%d", options_exit_codes[i].code);
        roff_entry(out, code, NULL, options_exit_codes[i].help);
    }
}

void manual_bash(FILE *out)
{
    fputs(
        "# bash completion of benchtop: the program itself knows what may follow.\n"
        "_benchtop()\n"
        "{\n"
        "    local line=${COMP_LINE:0:COMP_POINT} words last prefix\n"
        "    read -ra words <<< \"$line\"\n"
        "    [[ $line == *[[:space:]] ]] && words+=('')\n"
        "    last=${words[${#words[@]} - 1]}\n"
        "    mapfile -t COMPREPLY < <(\"${words[0]/#\\~/$HOME}\" --complete \"${words[@]:1}\" 2>/dev/null)\n"
        "    # readline breaks words at = and : and replaces only what follows the break\n"
        "    prefix=${last%\"${last##*[=:]}\"}\n"
        "    [[ $prefix ]] && COMPREPLY=(\"${COMPREPLY[@]#\"$prefix\"}\")\n"
        "    [[ ${#COMPREPLY[@]} -eq 1 && ${COMPREPLY[0]} == *[=:,] ]] && compopt -o nospace\n"
        "    return 0\n"
        "}\n"
        "complete -o default -F _benchtop benchtop\n",
        out);
}

struct offer {
    FILE *out;
    const char *prefix; /* of the word being completed */
};

static void offer(const struct offer *o, const char *lead, const char *word, const char *tail)
{
    char text[640];
    snprintf(text, sizeof text, "%s%s%s", lead, word, tail);
    if (!strncmp(text, o->prefix, strlen(o->prefix)))
        fprintf(o->out, "%s\n", text);
}

static void offer_catalog(const struct offer *o, enum catalog_kind kind)
{
    struct catalog_list list = {0};
    if (catalog_list(kind, &list, NULL) < 0)
        return;
    for (int i = 0; i < list.n; i++)
        offer(o, "", list.entry[i].name, "");
    catalog_list_free(&list);
}

static void offer_sessions(const struct offer *o)
{
    struct session_entry *entry = NULL;
    int n = 0;
    if (session_list(&entry, &n, NULL) < 0)
        return;
    for (int i = 0; i < n; i++)
        offer(o, "", entry[i].id, "");
    free(entry);
}

static void offer_axis_values(const struct offer *o, const char *lead, const char *axis)
{
    for (int i = 0; i < implementation_n_axes; i++)
        if (!strcmp(implementation_axes[i].name, axis))
            for (int v = 0; v < implementation_axes[i].n_values; v++)
                offer(o, lead, implementation_axes[i].values[v].name, "");
}

/* NAME[=KEY:VALUE,...]: the part that is being written decides. */
static void offer_arm(const struct offer *o)
{
    const char *equals = strchr(o->prefix, '=');
    if (!equals) {
        offer_catalog(o, CATALOG_IMPLEMENTATIONS);
        return;
    }
    const char *comma = strrchr(equals, ',');
    const char *part = comma ? comma + 1 : equals + 1;
    const char *colon = strchr(part, ':');
    char lead[512], axis[64];
    snprintf(lead, sizeof lead, "%.*s", (int)((colon ? colon + 1 : part) - o->prefix), o->prefix);
    if (!colon) {
        for (int i = 0; i < implementation_n_axes; i++)
            offer(o, lead, implementation_axes[i].name, ":");
        return;
    }
    snprintf(axis, sizeof axis, "%.*s", (int)(colon - part), part);
    offer_axis_values(o, lead, axis);
}

static void offer_words(const struct offer *o, const char *words)
{
    while (*words) {
        char word[64];
        size_t length = strcspn(words, "|");
        snprintf(word, sizeof word, "%.*s", (int)length, words);
        offer(o, "", word, "");
        words += length + (words[length] == '|');
    }
}

static void offer_commands(const struct offer *o)
{
    for (int i = 0; i < COMMANDS; i++)
        if (*options_commands[i].name && !options_commands[i].hidden)
            offer(o, "", options_commands[i].name, "");
}

static void offer_kind(const struct offer *o, enum complete_kind kind)
{
    switch (kind) {
    case COMPLETE_NOTHING:
    case COMPLETE_FILES: /* the shell's own completion takes over where nothing is offered */
        break;
    case COMPLETE_COMMANDS:
        offer_commands(o);
        break;
    case COMPLETE_PRESETS:
        offer_catalog(o, CATALOG_PRESETS);
        break;
    case COMPLETE_MODELS:
        offer_catalog(o, CATALOG_MODELS);
        break;
    case COMPLETE_ARMS:
        offer_arm(o);
        break;
    case COMPLETE_DEVICES:
        offer_words(o, "cpu|cuda|fake");
        break;
    case COMPLETE_SESSIONS:
        offer_sessions(o);
        break;
    case COMPLETE_FORMATS:
        for (int i = 0; i < export_n_formats; i++)
            offer(o, "", export_formats[i].name, "");
        break;
    case COMPLETE_LISTS:
        offer_words(o, options_lists);
        break;
    case COMPLETE_WORKLOADS:
        for (int i = 0; i < WORKLOADS; i++)
            offer(o, "", workload_names[i], "");
        break;
    case COMPLETE_PRECISIONS:
        offer_axis_values(o, "", "precision");
        break;
    case COMPLETE_COLORS:
        offer_words(o, "auto|never|always");
        break;
    case COMPLETE_MODEL_VERBS:
        offer_words(o, "show|write");
        break;
    case COMPLETE_VOCAB_VERBS:
        offer_words(o, "build|show");
        break;
    }
}

void manual_complete(FILE *out, int n, char *const *words)
{
    enum command_id command = COMMAND_TUI;
    int operands = 0;
    const struct option_info *open = NULL; /* an option that waits for its argument */
    for (int i = 0; i < n - 1; i++) {
        if (open) {
            open = NULL;
        } else if (words[i][0] == '-') {
            const struct option_info *o = options_find(words[i], strcspn(words[i], "="), command);
            open = o && o->argument && !strchr(words[i], '=') ? o : NULL;
        } else if (operands++ == 0 && options_command(words[i])) {
            command = options_command(words[i])->id;
            operands = 0;
        }
    }
    struct offer o = {out, n ? words[n - 1] : ""};
    if (open) {
        offer_kind(&o, open->complete);
    } else if (o.prefix[0] == '-') {
        for (int i = 0; i < options_count; i++)
            if (options_table[i].commands >> command & 1)
                offer(&o, "", options_table[i].name, "");
    } else if (operands < options_commands[command].max) {
        if (command == COMMAND_TUI)
            offer_commands(&o);
        offer_kind(&o, options_commands[command].complete);
    }
}
