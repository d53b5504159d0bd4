/* Presets from anywhere: a text that is accepted must be printed, read back and be equal; --set and --arm are
 * given the same bytes. Run from the repository root (the catalog is presets/). */
#include "presets/preset.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    setenv("BENCHTOP_CATALOG", "presets", 0);
    setenv("XDG_CONFIG_HOME", "/nonexistent", 1);
    return 0;
}

static void must(int condition, const char *what, const struct error *e)
{
    if (condition)
        return;
    fprintf(stderr, "%s: %s\n", what, e->text);
    abort();
}

static void check_round_trip(const struct preset *p)
{
    struct preset again = {0};
    struct error e = {0};
    char *text = preset_print(p, &e);
    must(text != NULL, "not printed", &e);
    must(preset_parse(text, strlen(text), "again", &again, NULL, &e) == 0, "not read back", &e);
    must(preset_equal(p, &again), "not equal", &e);
    free(text);
    preset_free(&again);
}

/* "path=value" on a preset, and the whole as an arm. */
static void check_words(struct preset *p, const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1), *equals;
    struct error e = {0};
    struct preset_arm arm;
    if (!text)
        return;
    memcpy(text, data, size);
    text[size] = '\0';
    if (preset_arm_parse(text, &arm, &e) != 0)
        must(e.kind != ERROR_NONE && error_text_is_plain(e.text), "an unfit message", &e);
    equals = strchr(text, '=');
    if (equals) {
        *equals = '\0';
        if (preset_set(p, text, equals + 1, &e) == 0)
            check_round_trip(p);
        else
            must(e.kind != ERROR_NONE && error_text_is_plain(e.text), "an unfit message", &e);
    }
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct preset p = {0};
    struct error e = {0}, warning = {0};
    if (size > 0 && data[0] != '{') {
        preset_default(&p);
        check_words(&p, data, size);
    } else if (preset_parse((const char *)data, size, "fuzz", &p, &warning, &e) == 0) {
        preset_validate(&p, &warning);
        check_round_trip(&p);
    } else {
        must(e.kind != ERROR_NONE && e.text[0] && error_text_is_plain(e.text), "an unfit message", &e);
    }
    preset_free(&p);
    return 0;
}
