#define _XOPEN_SOURCE_EXTENDED 1
#include "tui/screen.h"
#include "tui/terminal.h"
#include "tui/theme.h"

#include <curses.h>
#include <langinfo.h>
#include <locale.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <term.h>
#include <unistd.h>
#include <wchar.h>

struct screen {
    SCREEN *terminal;
    int fd;
    bool real;                    /* a terminal with settings to give back */
    bool ascii, monochrome, rich; /* rich: 256 colors */
    struct grid shown;
    bool everything; /* the next flush sends all cells */
};

static bool is_utf8(void)
{
    return strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
}

static bool wants_color(const struct screen_options *o)
{
    const char *no_color = getenv("NO_COLOR");
    if (o->color == COLOR_AUTO && no_color && *no_color)
        return false;
    return o->color != COLOR_NEVER && tigetnum("colors") >= 8;
}

/* Line settings that every full-screen program wants, and 25 ms to tell Esc from an escape sequence. */
static void prepare(struct screen *s, const struct screen_options *o)
{
    cbreak();
    noecho();
    nonl();
    intrflush(stdscr, FALSE);
    keypad(stdscr, TRUE);
    meta(stdscr, TRUE);
    nodelay(stdscr, TRUE);
    set_escdelay(25);
    curs_set(0);
    leaveok(stdscr, TRUE);
    /* start_color() alone would paint white on black: it is called only where colors are wanted. */
    s->monochrome = !wants_color(o) || start_color() != OK;
    if (!s->monochrome) {
        use_default_colors();
        s->rich = COLORS >= 256 && COLOR_PAIRS >= 1024;
    }
    screen_set_mouse(s, o->mouse);
}

struct screen *screen_open_on(const char *type, FILE *out, FILE *in, const struct screen_options *o,
                              struct error *e)
{
    struct screen *s = calloc(1, sizeof *s);
    if (!s) {
        error_set(e, ERROR_MEMORY, "no memory for the screen: close other programs");
        return NULL;
    }
    s->fd = fileno(in);
    s->terminal = newterm(type, out, in);
    if (!s->terminal) {
        error_set(e, ERROR_USAGE,
                  "the terminal %s is not known here: set TERM to one that is, xterm for example",
                  type ? type : "");
        free(s);
        return NULL;
    }
    set_term(s->terminal);
    s->ascii = o->ascii || !is_utf8() || (type && strcmp(type, "linux") == 0);
    prepare(s, o);
    s->everything = true;
    if (grid_init(&s->shown, COLS, LINES) != 0) {
        error_set(e, ERROR_MEMORY, "no memory for the screen: close other programs");
        screen_close(s);
        return NULL;
    }
    return s;
}

/* A sentence for terminals that cannot, before curses would exit the process over them. */
static int check_terminal(struct error *e)
{
    const char *type = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return error_set(
            e, ERROR_USAGE,
            "standard %s is no terminal, which the interface needs: benchtop run PRESET works without",
            isatty(STDIN_FILENO) ? "output" : "input");
    if (!type || !*type || strcmp(type, "dumb") == 0)
        return error_set(
            e, ERROR_USAGE,
            "a terminal of type %s cannot show the interface: set TERM, or use benchtop run PRESET",
            type && *type ? type : "(none)");
    int found = 0;
    if (setupterm(type, STDOUT_FILENO, &found) != OK || found != 1)
        return error_set(e, ERROR_USAGE,
                         "the terminal type %s is not known here: set TERM to one that is, xterm for example",
                         type);
    if (!tigetstr("cup") || tigetstr("cup") == (char *)-1)
        return error_set(
            e, ERROR_USAGE,
            "a terminal of type %s cannot place its cursor: set TERM, or use benchtop run PRESET", type);
    return 0;
}

/* What ends the interface, as bytes a signal handler can write. */
static void restore_sequence(char *out, size_t size)
{
    static const char *const names[] = {"rmkx", "sgr0", "cnorm", "rmcup"};
    size_t used = (size_t)snprintf(out, size, "\033[?1000l");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *sequence = tigetstr(names[i]);
        if (!sequence || sequence == (const char *)-1)
            continue;
        /* Without padding marks such as $<5>. */
        for (const char *c = sequence; *c && used + 1 < size; c++) {
            if (c[0] == '$' && c[1] == '<') {
                const char *end = strchr(c, '>');
                if (!end)
                    break;
                c = end;
                continue;
            }
            out[used++] = *c;
        }
        out[used] = 0;
    }
}

struct screen *screen_open(const struct screen_options *o, struct error *e)
{
    struct termios before;
    if (check_terminal(e) != 0)
        return NULL;
    if (tcgetattr(STDIN_FILENO, &before) != 0) {
        error_set(e, ERROR_FAILED, "the terminal does not tell its settings: try another one");
        return NULL;
    }
    char restore[256];
    restore_sequence(restore, sizeof restore);
    if (terminal_redirect_stderr(e) != 0)
        return NULL;
    /* Armed first: from the next line on there is something to give back. */
    terminal_guard(STDOUT_FILENO, restore, &before);
    struct screen *s = screen_open_on(getenv("TERM"), stdout, stdin, o, e);
    if (!s) {
        terminal_unguard();
        terminal_replay_stderr();
        return NULL;
    }
    s->real = true;
    return s;
}

void screen_close(struct screen *s)
{
    if (!s)
        return;
    set_term(s->terminal);
    screen_set_mouse(s, false);
    endwin();
    delscreen(s->terminal);
    grid_free(&s->shown);
    if (s->real) {
        terminal_unguard();
        terminal_replay_stderr();
    }
    free(s);
}

void screen_size(const struct screen *s, int *width, int *height)
{
    (void)s;
    *width = COLS;
    *height = LINES;
}

bool screen_ascii(const struct screen *s)
{
    return s->ascii;
}

bool screen_monochrome(const struct screen *s)
{
    return s->monochrome;
}

static attr_t attributes(unsigned mask)
{
    return (attr_t)((mask & THEME_BOLD ? A_BOLD : 0) | (mask & THEME_DIM ? A_DIM : 0) |
                    (mask & THEME_REVERSE ? A_REVERSE : 0) | (mask & THEME_UNDERLINE ? A_UNDERLINE : 0));
}

static void put(struct screen *s, const struct grid *g, int x, int y)
{
    const struct cell *c = &g->cell[y * g->width + x];
    const struct theme_role *role = &theme_roles[c->style < STYLES ? c->style : STYLE_TEXT];
    bool wide = x + 1 < g->width && c[1].code == 0;
    wchar_t text[2] = {(wchar_t)c->code, 0};
    /* The terminal's own opinion of the width decides what it can show in this place. */
    if (c->code >= 0x7f && wcwidth(text[0]) != (wide ? 2 : 1))
        text[0] = '?';
    attr_t look = attributes(s->monochrome ? role->monochrome : role->attributes);
    int pair = 0;
    if (!s->monochrome) {
        int fore = s->rich ? role->color256 : role->color8, back = -1;
        if (c->back != STYLE_TEXT && c->back < STYLES) {
            back = s->rich ? theme_roles[c->back].color256 : theme_roles[c->back].color8;
            if (fore < 0)
                fore = s->rich ? 16 : COLOR_BLACK;
        }
        pair = fore < 0 && back < 0 ? 0 : alloc_pair(fore, back);
        if (pair < 0)
            pair = 0;
    }
    cchar_t cell;
    if (setcchar(&cell, text, look, (short)pair, &pair) == OK)
        mvadd_wch(y, x, &cell);
}

void screen_flush(struct screen *s, const struct grid *g)
{
    if (s->shown.width != COLS || s->shown.height != LINES) {
        if (grid_resize(&s->shown, COLS, LINES) != 0)
            return;
        s->everything = true;
    }
    int width = g->width < COLS ? g->width : COLS, height = g->height < LINES ? g->height : LINES;
    if (s->everything)
        erase();
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const struct cell *c = &g->cell[y * g->width + x];
            struct cell *old = &s->shown.cell[y * s->shown.width + x];
            bool same = c->code == old->code && c->style == old->style && c->back == old->back;
            *old = *c;
            if (c->code != 0 && (!same || s->everything))
                put(s, g, x, y);
        }
    s->everything = false;
    refresh();
}

static int click(int *x, int *y)
{
    MEVENT event;
    if (getmouse(&event) != OK)
        return 0;
    *x = event.x;
    *y = event.y;
    if (event.bstate & BUTTON4_PRESSED)
        return KEY_CODE_WHEEL_UP;
    if (event.bstate & BUTTON5_PRESSED)
        return KEY_CODE_WHEEL_DOWN;
    return event.bstate & (BUTTON1_PRESSED | BUTTON1_CLICKED) ? KEY_CODE_CLICK : 0;
}

static int special(wint_t code, int *x, int *y)
{
    static const struct {
        int curses, key;
    } map[] = {
        {KEY_UP, KEY_CODE_UP},         {KEY_DOWN, KEY_CODE_DOWN},           {KEY_LEFT, KEY_CODE_LEFT},
        {KEY_RIGHT, KEY_CODE_RIGHT},   {KEY_HOME, KEY_CODE_HOME},           {KEY_END, KEY_CODE_END},
        {KEY_PPAGE, KEY_CODE_PAGE_UP}, {KEY_NPAGE, KEY_CODE_PAGE_DOWN},     {KEY_ENTER, KEY_CODE_ENTER},
        {KEY_BTAB, KEY_CODE_BACKTAB},  {KEY_BACKSPACE, KEY_CODE_BACKSPACE}, {KEY_DC, KEY_CODE_DELETE},
        {KEY_RESIZE, KEY_CODE_RESIZE},
    };
    if (code == KEY_MOUSE)
        return click(x, y);
    for (size_t i = 0; i < sizeof map / sizeof map[0]; i++)
        if ((wint_t)map[i].curses == code)
            return map[i].key;
    return 0;
}

int screen_key(struct screen *s, int *x, int *y)
{
    (void)s;
    wint_t code;
    for (;;) {
        int kind = get_wch(&code);
        if (kind == ERR)
            return 0;
        if (kind == KEY_CODE_YES) {
            int key = special(code, x, y);
            if (key)
                return key;
            continue; /* a key without a meaning here */
        }
        switch (code) {
        case 0:
            continue;
        case '\r':
        case '\n':
            return KEY_CODE_ENTER;
        case '\t':
            return KEY_CODE_TAB;
        case 8:
        case 127:
            return KEY_CODE_BACKSPACE;
        case 27:
            return KEY_CODE_ESCAPE;
        default:
            return (int)code;
        }
    }
}

int screen_fd(const struct screen *s)
{
    return s->fd;
}

void screen_resized(struct screen *s)
{
    struct winsize size;
    if (ioctl(s->fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0)
        resizeterm(size.ws_row, size.ws_col);
    s->everything = true;
}

void screen_redraw(struct screen *s)
{
    s->everything = true;
    clearok(stdscr, TRUE);
}

void screen_set_mouse(struct screen *s, bool on)
{
    (void)s;
    mouseinterval(0);
    mousemask(on ? BUTTON1_PRESSED | BUTTON4_PRESSED | BUTTON5_PRESSED : 0, NULL);
}

void screen_suspend(struct screen *s)
{
    def_prog_mode();
    endwin();
    raise(SIGSTOP);
    reset_prog_mode();
    screen_resized(s);
    screen_redraw(s);
}

uint32_t screen_shown(const struct screen *s, int x, int y, int *foreground, int *background, bool *bold)
{
    (void)s;
    cchar_t cell;
    wchar_t text[CCHARW_MAX + 1] = {0};
    attr_t look = 0;
    short pair = 0, fore = -1, back = -1;
    if (mvin_wch(y, x, &cell) != OK || getcchar(&cell, text, &look, &pair, NULL) != OK)
        return 0;
    if (pair > 0)
        pair_content(pair, &fore, &back);
    *foreground = fore;
    *background = back;
    *bold = (look & A_BOLD) != 0;
    return (uint32_t)text[0];
}
