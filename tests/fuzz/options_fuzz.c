/* Any words as a command line: lines of the input are the arguments. What is refused is refused with a plain
 * message; what is accepted has no more operands than its command takes, and its overrides leave a preset
 * that can be printed or is refused by validation. Completion is asked for every line. Run from the
 * repository root. */
#include "tui/manual.h"
#include "tui/options.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS = 64 };

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("BENCHTOP_CATALOG", "presets", 0);
    setenv("XDG_CONFIG_HOME", "/dev/null/none", 1);
    setenv("XDG_DATA_HOME", "/dev/null/none", 1);
    return 0;
}

static void must(int condition, const char *what, const struct error *e)
{
    if (condition)
        return;
    fprintf(stderr, "%s: %s\n", what, e->text);
    abort();
}

static void check_overrides(const struct request *r)
{
    struct preset p = {0};
    struct error e = {0};
    preset_default(&p);
    if (options_apply(r, &p, &e) != 0) {
        must(e.kind == ERROR_USAGE && e.text[0] && error_text_is_plain(e.text), "an unfit message", &e);
    } else if (preset_validate(&p, &e) == 0) {
        char *text = preset_print(&p, &e);
        must(text != NULL, "not printed", &e);
        free(text);
    }
    preset_free(&p);
}

static void check_completion(int n, char *const *words)
{
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    if (!out)
        return;
    manual_complete(out, n, words);
    fclose(out);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char program[] = "benchtop";
    char *argv[WORDS + 2] = {program}, *text = malloc(size + 1);
    int argc = 1;
    struct request r;
    struct error e = {0};
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    for (char *word = text; word && argc <= WORDS;) {
        char *end = strchr(word, '\n');
        if (end)
            *end++ = '\0';
        argv[argc++] = word;
        word = end;
    }
    if (options_parse(argc, argv, &r, &e) != 0) {
        must(e.kind == ERROR_USAGE && e.text[0] && error_text_is_plain(e.text), "an unfit message", &e);
    } else if (!r.help && !r.version) {
        must(r.n_operands <= options_commands[r.command].max, "too many operands", &e);
        check_overrides(&r);
    }
    check_completion(argc - 1, argv + 1);
    free(text);
    return 0;
}
