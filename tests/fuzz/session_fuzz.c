/* Any bytes as a session file or (first byte 'J') as a journal: never a crash. What is accepted is summed up,
 * printed in every format, compared with itself, written and read again to the same text. */
#define _GNU_SOURCE /* memfd_create */
#include "engine/compare.h"
#include "engine/export.h"
#include "engine/session_file.h"
#include "engine/session_json.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static int load_journal(const char *bytes, size_t size, struct session *s)
{
    struct error warning = {0}, e = {0};
    char path[64];
    int fd = memfd_create("journal", 0);
    if (fd < 0 || write(fd, bytes, size) != (ssize_t)size)
        abort();
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    int result = journal_load(path, s, &warning, &e);
    close(fd);
    return result;
}

static int load_text(const char *bytes, size_t size, struct session *s)
{
    struct error warning = {0}, e = {0};
    cJSON *root = json_parse(bytes, size, "fuzz", &e);
    int result = root ? session_from_json("fuzz", root, s, &warning, &e) : -1;
    must(result == 0 || e.text[0] != '\0', "refused without a word");
    cJSON_Delete(root);
    return result;
}

static void use(const struct session *s)
{
    struct error e = {0};
    struct compare_result r;
    free(table_print(s, 60, &e));
    for (int i = 0; i < export_n_formats; i++)
        free(export_formats[i].print(s, &e));
    if (compare_sessions(s, s, 5, &r, &e) == 0) {
        free(compare_print(s, s, &r, 80, &e));
        free(compare_print_json(s, s, &r, &e));
        compare_free(&r);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct session s, again;
    struct error e = {0};
    bool journal = size > 0 && data[0] == 'J';
    if (size > 1 << 16)
        return 0;
    if ((journal ? load_journal((const char *)data + 1, size - 1, &s)
                 : load_text((const char *)data, size, &s)) != 0)
        return 0;
    use(&s);
    char *text = session_print(&s, &e);
    must(text != NULL, "cannot be written");
    must(load_text(text, strlen(text), &again) == 0, "its own text is refused");
    char *second = session_print(&again, &e);
    must(second && strcmp(text, second) == 0, "written twice it is not the same");
    free(text);
    free(second);
    session_free(&s);
    session_free(&again);
    return 0;
}
