/* Setup's choice of a text: random ids, one of the catalog, or a file. */
#include "tui/dialog.h"
#include "tui/view_setup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXTS = 30 };

/* The texts of the catalog, by name. */
static int list_texts(char (*name)[PRESET_NAME])
{
    struct catalog_list list = {0};
    struct error ignored = {0};
    int n = 0;
    if (catalog_list(CATALOG_TEXTS, &list, &ignored) == 0)
        for (; n < list.n && n < TEXTS; n++)
            snprintf(name[n], PRESET_NAME, "%.63s", list.entry[n].name);
    catalog_list_free(&list);
    return n;
}

static bool text_typed(struct app *a, const char *typed, void *data, struct error *e)
{
    char path[WIDGET_ENTRY * 2];
    const char *home = getenv("HOME");
    (void)data;
    bool below = typed[0] == '~' && typed[1] == '/' && home;
    snprintf(path, sizeof path, "%s%s", below ? home : "", below ? typed + 1 : typed);
    FILE *f = strchr(path, '/') || !typed[0] ? fopen(path, "rb") : NULL;
    if (f)
        fclose(f);
    char found[512];
    if (!f && (strchr(path, '/') || catalog_find(CATALOG_TEXTS, path, found, sizeof found, e) != 0)) {
        if (strchr(path, '/'))
            error_set(e, ERROR_USAGE, "%.200s cannot be read: type another path", path);
        return false;
    }
    return setup_take(a, "text", path, e);
}

static void text_chosen(struct app *a, int index, void *data)
{
    char name[TEXTS][PRESET_NAME];
    struct error e = {0};
    int n = list_texts(name);
    (void)data;
    if (index == 0)
        a->preset.text[0] = '\0';
    else if (index <= n)
        snprintf(a->preset.text, sizeof a->preset.text, "%s", name[index - 1]);
    else
        dialog_entry(a, "Text", a->preset.text,
                     "A file of text (a path), or the name of a text of the catalog: prompts, and what "
                     "quality is judged on.",
                     text_typed, NULL);
    a->preset_changed = true;
    if (preset_validate(&a->preset, &e) != 0)
        app_say(a, true, "%s", e.text);
}

void setup_choose_text(struct app *a)
{
    char name[TEXTS][PRESET_NAME];
    struct dialog_item item[TEXTS + 2] = {0};
    int n = list_texts(name), cursor = a->preset.text[0] ? n + 1 : 0;
    snprintf(item[0].text, sizeof item[0].text, "random ids");
    snprintf(item[0].note, sizeof item[0].note, "seeded: no text, no responses");
    for (int i = 0; i < n; i++) {
        snprintf(item[i + 1].text, sizeof item[i + 1].text, "%s", name[i]);
        snprintf(item[i + 1].note, sizeof item[i + 1].note, "a text of the catalog");
        if (strcmp(name[i], a->preset.text) == 0)
            cursor = i + 1;
    }
    snprintf(item[n + 1].text, sizeof item[n + 1].text, "a file");
    snprintf(item[n + 1].note, sizeof item[n + 1].note, "type its path");
    dialog_menu(a, "Text", item, n + 2, cursor, text_chosen, NULL);
}
