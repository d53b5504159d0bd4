#include "tests/test.h"
#include "tui/action.h"
#include "tui/screen.h"
#include <unistd.h>

TEST(no_key_means_two_things_on_one_screen)
{
    for (int view = 0; view < VIEWS; view++)
        for (int i = 0; i < action_count; i++)
            for (int k = 0; k < 3; k++) {
                int key = action_table[i].key[k];
                if (key && (action_table[i].views >> view & 1u) &&
                    action_of_key(key, (enum view_id)view) != action_table[i].action)
                    TEST_FAIL("on screen %d, %s shares key %s", view, action_table[i].name,
                              action_table[i].keys);
            }
}

TEST(every_action_stands_in_the_table_once_with_a_name_and_a_sentence)
{
    int seen[ACTIONS] = {0};
    for (int i = 0; i < action_count; i++) {
        const struct action_info *a = &action_table[i];
        seen[a->action]++;
        CHECK(a->name[0] && a->keys[0]);
        CHECK(strlen(a->help) > 5 && a->help[strlen(a->help) - 1] == '.');
        CHECK(a->priority == 0 || a->hint[0]);
        CHECK(a->key[0] != 0);
    }
    for (int action = ACTION_NONE + 1; action < ACTIONS; action++)
        if (seen[action] != 1)
            TEST_FAIL("action %d stands in the table %d times", action, seen[action]);
}

TEST(motion_works_with_arrows_and_letters_on_every_screen)
{
    for (int view = 0; view < VIEWS; view++) {
        CHECK_INT(action_of_key('h', (enum view_id)view), ACTION_LEFT);
        CHECK_INT(action_of_key('j', (enum view_id)view), ACTION_DOWN);
        CHECK_INT(action_of_key('k', (enum view_id)view), ACTION_UP);
        CHECK_INT(action_of_key('l', (enum view_id)view), ACTION_RIGHT);
        CHECK_INT(action_of_key(KEY_CODE_UP, (enum view_id)view), ACTION_UP);
        CHECK_INT(action_of_key('?', (enum view_id)view), ACTION_HELP);
        CHECK_INT(action_of_key('q', (enum view_id)view), ACTION_QUIT);
        CHECK_INT(action_of_key(':', (enum view_id)view), ACTION_PALETTE);
    }
    CHECK_INT(action_of_key(0, VIEW_SETUP), ACTION_NONE);
}

/* The README's list of keys is this table. BENCHTOP_UPDATE_GOLDEN=1 writes it anew. */
TEST(the_list_of_keys_in_the_readme_is_this_table)
{
    static const char from[] = "<!-- keys -->\n", to[] = "<!-- end of keys -->";
    static char readme[1 << 16], keys[1 << 15];
    size_t used = (size_t)snprintf(keys, sizeof keys, "| key | does | |\n|---|---|---|\n");
    for (int i = 0; i < action_count; i++)
        used += (size_t)snprintf(keys + used, sizeof keys - used, "| `%s` | %s | %s |\n",
                                 action_table[i].keys, action_table[i].name, action_table[i].help);
    FILE *f = fopen("README.md", getenv("BENCHTOP_UPDATE_GOLDEN") ? "r+" : "r");
    CHECK(f != NULL);
    readme[f ? fread(readme, 1, sizeof readme - 1, f) : 0] = 0;
    char *start = strstr(readme, from), *end = strstr(readme, to);
    CHECK(start && end && start < end);
    if (f && start && end) {
        start += sizeof from - 1;
        if (getenv("BENCHTOP_UPDATE_GOLDEN")) {
            rewind(f);
            fprintf(f, "%.*s%s%s", (int)(start - readme), readme, keys, end);
            CHECK(fflush(f) == 0 && ftruncate(fileno(f), ftell(f)) == 0);
        } else {
            CHECK((size_t)(end - start) == used && strncmp(start, keys, used) == 0);
        }
    }
    if (f)
        fclose(f);
}
