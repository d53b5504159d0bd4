#include "tests/test.h"
#include "tui/screen.h"
#include "tui/theme.h"

#include <locale.h>

/* A screen on /dev/null: curses works in memory, and what it holds is read back. */
static struct screen *open_null(const char *type, const struct screen_options *o)
{
    struct error e = {0};
    if (!setlocale(LC_ALL, "C.UTF-8"))
        setlocale(LC_ALL, "");
    setenv("LINES", "12", 1);
    setenv("COLUMNS", "40", 1);
    unsetenv("NO_COLOR");
    FILE *out = fopen("/dev/null", "w"), *in = fopen("/dev/null", "r");
    struct screen *s = out && in ? screen_open_on(type, out, in, o, &e) : NULL;
    if (!s)
        printf("no screen: %s\n", e.text);
    return s;
}

static struct grid picture(int width, int height)
{
    struct grid g;
    if (grid_init(&g, width, height) != 0)
        abort();
    return g;
}

TEST(glyphs_and_colors_of_the_grid_arrive_on_the_terminal)
{
    struct screen *s = open_null("xterm-256color", &(struct screen_options){0});
    if (!s)
        SKIP("no terminfo entry for xterm-256color");
    int width, height, fore, back;
    bool bold;
    screen_size(s, &width, &height);
    CHECK_INT(width, 40);
    CHECK_INT(height, 12);
    struct grid g = picture(width, height);
    grid_put(&g, 1, 2, 0x2588, STYLE_ARM_B);
    grid_put(&g, 2, 2, 0x28ff, STYLE_TEXT);
    grid_put_on(&g, 3, 2, '7', STYLE_TEXT, STYLE_HEAT_LAST);
    grid_text(&g, 4, 2, 10, STYLE_TITLE, "T\xe6\xbc\xa2x");
    screen_flush(s, &g);
    CHECK_INT(screen_shown(s, 1, 2, &fore, &back, &bold), 0x2588);
    CHECK_INT(fore, theme_roles[STYLE_ARM_B].color256);
    CHECK_INT(back, -1);
    CHECK_INT(screen_shown(s, 2, 2, &fore, &back, &bold), 0x28ff);
    CHECK_INT(fore, -1);
    CHECK_INT(screen_shown(s, 3, 2, &fore, &back, &bold), '7');
    CHECK_INT(back, theme_roles[STYLE_HEAT_LAST].color256);
    CHECK_INT(screen_shown(s, 4, 2, &fore, &back, &bold), 'T');
    CHECK(bold);
    CHECK_INT(screen_shown(s, 5, 2, &fore, &back, &bold), 0x6f22);
    CHECK_INT(screen_shown(s, 7, 2, &fore, &back, &bold), 'x');
    grid_put(&g, 1, 2, ' ', STYLE_TEXT);
    screen_flush(s, &g);
    CHECK_INT(screen_shown(s, 1, 2, &fore, &back, &bold), ' ');
    grid_free(&g);
    screen_close(s);
}

TEST(without_color_styles_are_attributes)
{
    struct screen *s = open_null("xterm-256color", &(struct screen_options){.color = COLOR_NEVER});
    if (!s)
        SKIP("no terminfo entry for xterm-256color");
    CHECK(screen_monochrome(s));
    int fore, back;
    bool bold;
    struct grid g = picture(40, 12);
    grid_put(&g, 0, 0, 'B', STYLE_ARM_B);
    grid_put(&g, 1, 0, 'A', STYLE_ARM_A);
    screen_flush(s, &g);
    screen_shown(s, 0, 0, &fore, &back, &bold);
    CHECK_INT(fore, -1);
    CHECK(bold);
    screen_shown(s, 1, 0, &fore, &back, &bold);
    CHECK(!bold);
    grid_free(&g);
    screen_close(s);
}

TEST(no_color_is_obeyed_unless_colors_are_asked_for)
{
    struct screen *s = open_null("xterm-256color", &(struct screen_options){0});
    if (!s)
        SKIP("no terminfo entry for xterm-256color");
    CHECK(!screen_monochrome(s));
    screen_close(s);
    struct error e = {0};
    struct screen_options always = {.color = COLOR_ALWAYS}, automatic = {0};
    setenv("NO_COLOR", "1", 1);
    FILE *out = fopen("/dev/null", "w"), *in = fopen("/dev/null", "r");
    s = screen_open_on("xterm-256color", out, in, &automatic, &e);
    CHECK(s && screen_monochrome(s));
    screen_close(s);
    s = screen_open_on("xterm-256color", out, in, &always, &e);
    CHECK(s && !screen_monochrome(s));
    screen_close(s);
    setenv("NO_COLOR", "", 1); /* set but empty does not count */
    s = screen_open_on("xterm-256color", out, in, &automatic, &e);
    CHECK(s && !screen_monochrome(s));
    screen_close(s);
    unsetenv("NO_COLOR");
}

TEST(the_linux_console_gets_ascii)
{
    struct screen *s = open_null("linux", &(struct screen_options){0});
    if (!s)
        SKIP("no terminfo entry for linux");
    CHECK(screen_ascii(s));
    screen_close(s);
}

TEST(a_grid_of_another_size_is_cut_and_never_written_outside)
{
    struct screen *s = open_null("xterm-256color", &(struct screen_options){0});
    if (!s)
        SKIP("no terminfo entry for xterm-256color");
    int fore, back;
    bool bold;
    struct grid g = picture(100, 50);
    grid_fill(&g, (struct rect){0, 0, 100, 50}, '#', STYLE_TEXT);
    screen_flush(s, &g);
    CHECK_INT(screen_shown(s, 39, 11, &fore, &back, &bold), '#');
    CHECK_INT(grid_resize(&g, 3, 3), 0);
    screen_flush(s, &g);
    CHECK_INT(screen_shown(s, 2, 2, &fore, &back, &bold), ' ');
    grid_free(&g);
    screen_close(s);
}

TEST(terminals_that_cannot_get_a_sentence)
{
    struct error e = {0};
    /* Under test, standard output may be a terminal or not: either way the answer is words. */
    setenv("TERM", "dumb", 1);
    CHECK(screen_open(&(struct screen_options){0}, &e) == NULL);
    CHECK_CONTAINS(e.text, "terminal");
    CHECK(e.kind == ERROR_USAGE);
}
