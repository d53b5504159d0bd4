/* One table of what a user can do: key handling, the status line, the help screen, the palette, the README's
 * key list and the man page all come from it. Nothing stands only on a function key; hjkl are motion
 * everywhere. */
#pragma once

#include <stdbool.h>

enum view_id { VIEW_SETUP, VIEW_LIVE, VIEW_DUEL, VIEW_RESULTS, VIEW_SESSIONS, VIEWS };

enum action {
    ACTION_NONE,
    ACTION_QUIT,
    ACTION_BACK,
    ACTION_HELP,
    ACTION_PALETTE,
    ACTION_FILTER,
    ACTION_NEXT_VIEW,
    ACTION_PREVIOUS_VIEW,
    ACTION_VIEW_SETUP,
    ACTION_VIEW_LIVE,
    ACTION_VIEW_DUEL,
    ACTION_VIEW_RESULTS,
    ACTION_VIEW_SESSIONS,
    ACTION_FOCUS_NEXT,
    ACTION_FOCUS_PREVIOUS,
    ACTION_UP,
    ACTION_DOWN,
    ACTION_LEFT,
    ACTION_RIGHT,
    ACTION_PAGE_UP,
    ACTION_PAGE_DOWN,
    ACTION_HOME,
    ACTION_END,
    ACTION_CHOOSE,
    ACTION_TOGGLE,
    ACTION_RUN,
    ACTION_PAUSE,
    ACTION_STOP,
    ACTION_SKIP_CELL,
    ACTION_MORE_ROUNDS,
    ACTION_DUEL,
    ACTION_SWAP,
    ACTION_DROP_ARM,
    ACTION_CALIBRATE,
    ACTION_TIGHTER,
    ACTION_WIDER,
    ACTION_FREEZE,
    ACTION_EXPORT,
    ACTION_SAVE_PRESET,
    ACTION_LOAD_PRESET,
    ACTION_SET_FIELD,
    ACTION_ADD,
    ACTION_REMOVE,
    ACTION_SORT,
    ACTION_SORT_REVERSE,
    ACTION_MEASURE_DEVICE,
    ACTION_OPEN,
    ACTION_COMPARE,
    ACTION_DELETE,
    ACTION_RERUN,
    ACTION_RESUME,
    ACTION_CYCLE,
    ACTION_GLYPHS,
    ACTION_MOUSE,
    ACTION_REDRAW,
    ACTION_SUSPEND,
    ACTIONS
};

struct action_info {
    enum action action;
    const char *name; /* palette: "run", "save preset" */
    const char *keys; /* help: "r", "Enter" */
    int key[3];       /* codes of tui/screen.h, 0: none */
    unsigned views;   /* bit per view_id where it means something; ~0u: everywhere */
    int priority;     /* on the status line: 1 first, 0 not shown there */
    const char *hint; /* status line: "run" */
    const char *help; /* one sentence */
};
extern const struct action_info action_table[];
extern const int action_count;
enum action action_of_key(int key, enum view_id view);
