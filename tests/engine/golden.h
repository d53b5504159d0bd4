/* Texts that are compared with a file in tests/golden; GOLDEN=write makes the files anew. */
#pragma once

#include "tests/test.h"

static inline void golden_check(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "tests/golden/%s", name);
    const char *write = getenv("GOLDEN");
    FILE *f = fopen(path, write ? "wb" : "rb");
    if (!f || !text) {
        TEST_FAIL("%s cannot be opened", path);
        return;
    }
    if (write) {
        fputs(text, f);
        fclose(f);
        return;
    }
    size_t room = strlen(text) + 2;
    char *want = malloc(room);
    size_t n = fread(want, 1, room - 1, f);
    want[n] = '\0';
    fclose(f);
    if (strcmp(want, text) != 0) {
        size_t at = 0;
        while (want[at] && want[at] == text[at])
            at++;
        while (at > 0 && text[at - 1] != '\n')
            at--;
        TEST_FAIL("%s: differs from\n%.*s\nit is\n%.*s", path, (int)strcspn(want + at, "\n"), want + at,
                  (int)strcspn(text + at, "\n"), text + at);
    }
    free(want);
}
