#include "tests/test.h"
#include "tui/action.h"
#include "tui/screen.h"

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
