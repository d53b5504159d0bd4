#include "tui/action.h"
#include "tui/screen.h"

#include <stddef.h>

#define SETUP    (1u << VIEW_SETUP)
#define LIVE     (1u << VIEW_LIVE)
#define RESULTS  (1u << VIEW_RESULTS)
#define SESSIONS (1u << VIEW_SESSIONS)
#define ALL      (~0u)
#define CTRL(c)  ((c) - '@')

const struct action_info action_table[] = {
    {ACTION_RUN, "run", "r", {'r'}, SETUP, 1, "run", "Start the run that the plan describes."},
    {ACTION_PAUSE, "pause", "p", {'p'}, ALL, 1, "pause", "Pause the run after the block in flight, or go on."},
    {ACTION_STOP, "stop", "s", {'s'}, SETUP | LIVE, 2, "stop, keep", "Stop the run; what was measured is kept and saved."},
    {ACTION_FREEZE, "freeze", "f", {'f'}, LIVE, 3, "freeze", "Hold the picture and read values under a cursor."},
    {ACTION_MORE_ROUNDS, "more rounds", "+", {'+', '='}, LIVE, 4, "10 rounds", "Measure ten more rounds of this cell."},
    {ACTION_SKIP_CELL, "skip cell", "x", {'x'}, LIVE, 5, "skip cell", "Leave this cell and go on with the next."},
    {ACTION_TOGGLE, "toggle", "Space", {' '}, ALL, 0, "choose", "Choose, or take the next value."},
    {ACTION_CHOOSE, "choose", "Enter", {KEY_CODE_ENTER}, ALL, 2, "choose", "Open or edit what the cursor is on."},
    {ACTION_ADD, "add", "a", {'a'}, SETUP, 3, "add", "Add an arm from the catalog of implementations, or a value to a sweep."},
    {ACTION_REMOVE, "remove", "d", {'d', KEY_CODE_DELETE}, SETUP, 4, "remove", "Remove the arm or value under the cursor."},
    {ACTION_SAVE_PRESET, "save preset", "w", {'w'}, SETUP, 5, "save", "Save this setup as a preset of your own."},
    {ACTION_LOAD_PRESET, "load preset", "o", {'o'}, SETUP, 6, "open preset", "Take the setup from a preset."},
    {ACTION_MEASURE_DEVICE, "measure device", "M", {'M'}, SETUP, 8, "measure device",
     "Measure what this device reaches (about 3 s), so that limits are facts and not estimates."},
    {ACTION_SORT, "sort", "s", {'s'}, RESULTS | SESSIONS, 3, "sort", "Sort by the next column."},
    {ACTION_SORT_REVERSE, "reverse sort", "S", {'S'}, RESULTS | SESSIONS, 0, "reverse", "Turn the order round."},
    {ACTION_CYCLE, "next picture", "v", {'v'}, LIVE | RESULTS | SESSIONS, 6, "view", "Show the next quantity or picture."},
    {ACTION_OPEN, "open session", "o", {'o'}, SESSIONS, 1, "open", "Show the session under the cursor in Results."},
    {ACTION_COMPARE, "compare", "c", {'c'}, SESSIONS, 2, "compare",
     "Mark a session as the base, then compare another one with it."},
    {ACTION_RERUN, "run again", "R", {'R'}, RESULTS | SESSIONS, 4, "run again", "Take the session's preset back to Setup."},
    {ACTION_RESUME, "resume", "u", {'u'}, SESSIONS, 5, "resume", "Go on with a stopped run; complete cells are kept."},
    {ACTION_DELETE, "delete", "d", {'d', KEY_CODE_DELETE}, SESSIONS, 6, "delete", "Delete the session's file, after asking."},
    {ACTION_EXPORT, "export", "e", {'e'}, LIVE | RESULTS | SESSIONS, 5, "export", "Write the session in another format."},
    {ACTION_FILTER, "filter", "/", {'/'}, SETUP | RESULTS | SESSIONS, 7, "filter", "Show only what contains the words typed."},
    {ACTION_FOCUS_NEXT, "next panel", "Tab", {KEY_CODE_TAB}, ALL, 9, "panel", "Go to the next panel."},
    {ACTION_FOCUS_PREVIOUS, "previous panel", "S-Tab", {KEY_CODE_BACKTAB}, ALL, 0, "", "Go to the previous panel."},
    {ACTION_PALETTE, "commands", ":", {':'}, ALL, 10, "command", "Find a command by name."},
    {ACTION_VIEW_SETUP, "setup", "1", {'1'}, ALL, 0, "", "Choose models, arms and sweeps; see what they will cost."},
    {ACTION_VIEW_LIVE, "live", "2", {'2'}, ALL, 0, "", "Watch the measurement."},
    {ACTION_VIEW_RESULTS, "results", "3", {'3'}, ALL, 0, "", "All cells of the session, and their verdicts."},
    {ACTION_VIEW_SESSIONS, "sessions", "4", {'4'}, ALL, 0, "", "Saved sessions: open, compare, resume, delete."},
    {ACTION_NEXT_VIEW, "next screen", "]", {']'}, ALL, 0, "", "Go to the next screen."},
    {ACTION_PREVIOUS_VIEW, "previous screen", "[", {'['}, ALL, 0, "", "Go to the previous screen."},
    {ACTION_UP, "up", "Up k", {KEY_CODE_UP, 'k', KEY_CODE_WHEEL_UP}, ALL, 0, "", "Move up."},
    {ACTION_DOWN, "down", "Down j", {KEY_CODE_DOWN, 'j', KEY_CODE_WHEEL_DOWN}, ALL, 0, "", "Move down."},
    {ACTION_LEFT, "left", "Left h", {KEY_CODE_LEFT, 'h'}, ALL, 0, "", "Move left, or take the previous value."},
    {ACTION_RIGHT, "right", "Right l", {KEY_CODE_RIGHT, 'l'}, ALL, 0, "", "Move right, or take the next value."},
    {ACTION_PAGE_UP, "page up", "PgUp C-u", {KEY_CODE_PAGE_UP, CTRL('U'), CTRL('B')}, ALL, 0, "", "Move a page up."},
    {ACTION_PAGE_DOWN, "page down", "PgDn C-d", {KEY_CODE_PAGE_DOWN, CTRL('D'), CTRL('F')}, ALL, 0, "", "Move a page down."},
    {ACTION_HOME, "first", "Home <", {KEY_CODE_HOME, '<'}, ALL, 0, "", "Go to the first."},
    {ACTION_END, "last", "End >", {KEY_CODE_END, '>', 'G'}, ALL, 0, "", "Go to the last."},
    {ACTION_BACK, "back", "Esc", {KEY_CODE_ESCAPE}, ALL, 0, "", "One level up: close, unfreeze, clear the filter, cancel a job."},
    {ACTION_GLYPHS, "glyphs", "g", {'g'}, ALL, 0, "", "Draw with ASCII characters only, or with Unicode again."},
    {ACTION_MOUSE, "mouse", "m", {'m'}, ALL, 0, "", "Let the wheel scroll (the terminal's own selection then needs Shift)."},
    {ACTION_REDRAW, "redraw", "C-l", {CTRL('L')}, ALL, 0, "", "Draw everything again."},
    {ACTION_SUSPEND, "suspend", "C-z", {CTRL('Z')}, ALL, 0, "", "Give the terminal back to the shell; fg comes back. A run goes on."},
    {ACTION_QUIT, "quit", "q", {'q'}, ALL, 11, "quit", "Quit; a run is stopped, saved and its table printed."},
    {ACTION_HELP, "help", "?", {'?'}, ALL, 1, "help", "This list."},
};
const int action_count = (int)(sizeof action_table / sizeof action_table[0]);

enum action action_of_key(int key, enum view_id view)
{
    if (key == 0)
        return ACTION_NONE;
    for (int i = 0; i < action_count; i++) {
        if (!(action_table[i].views >> view & 1u))
            continue;
        for (int k = 0; k < 3; k++)
            if (action_table[i].key[k] == key)
                return action_table[i].action;
    }
    return ACTION_NONE;
}
