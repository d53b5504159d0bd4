#include "tests/test.h"
#include "tui/screen.h"
#include "tui/widget.h"

static void type(struct widget_entry *e, const char *text)
{
    for (; *text; text++)
        CHECK(widget_entry_key(e, *text));
}

TEST(a_panel_carries_its_title_and_note_in_the_frame)
{
    struct grid g;
    CHECK_INT(grid_init(&g, 24, 3), 0);
    struct rect in = widget_panel(&g, (struct rect){0, 0, 24, 3}, "Arms", "first", false);
    char *text = grid_dump(&g, false);
    CHECK(strncmp(text, "\xe2\x94\x8c Arms ", 9) == 0);
    CHECK_CONTAINS(text, " first ");
    CHECK_INT(in.x, 2);
    CHECK_INT(in.width, 20);
    CHECK_INT(in.height, 1);
    free(text);
    grid_free(&g);
}

TEST(a_note_without_room_ends_at_a_comma)
{
    struct grid g;
    CHECK_INT(grid_init(&g, 30, 3), 0);
    widget_panel(&g, (struct rect){0, 0, 30, 3}, "Arms", "where it lies, and what else", false);
    char *text = grid_dump(&g, false);
    CHECK_CONTAINS(text, "\xe2\x94\x80 where it lies \xe2\x94\x90");
    free(text);
    grid_free(&g);
}

TEST(a_panel_without_room_for_a_frame_gives_all_its_room)
{
    struct grid g;
    CHECK_INT(grid_init(&g, 24, 2), 0);
    struct rect in = widget_panel(&g, (struct rect){0, 0, 24, 2}, "Arms", "", true);
    CHECK_INT(in.height, 2);
    CHECK_INT(in.width, 24);
    grid_free(&g);
}

static const struct widget_column columns[] = {{"name", 8, 1, false, true},
                                               {"mean", 7, 1, true, false},
                                               {"std", 7, 3, true, false},
                                               {"p99", 7, 2, true, false}};

TEST(columns_are_dropped_by_priority_and_what_is_left_grows)
{
    struct grid g;
    struct widget_table t;
    CHECK_INT(grid_init(&g, 60, 4), 0);
    widget_table_begin(&t, &g, (struct rect){0, 0, 60, 4}, columns, 4);
    CHECK(widget_table_has(&t, 2) && widget_table_has(&t, 3));
    CHECK_INT(t.width[0], 60 - 3 * 7 - 3 * 2);
    widget_table_begin(&t, &g, (struct rect){0, 0, 28, 4}, columns, 4);
    CHECK(!widget_table_has(&t, 2) && widget_table_has(&t, 3));
    widget_table_begin(&t, &g, (struct rect){0, 0, 18, 4}, columns, 4);
    CHECK(!widget_table_has(&t, 2) && !widget_table_has(&t, 3) && widget_table_has(&t, 1));
    for (int width = 1; width < 60; width++) {
        widget_table_begin(&t, &g, (struct rect){0, 0, width, 4}, columns, 4);
        for (int i = 0; i < 4; i++)
            if (widget_table_has(&t, i))
                CHECK(t.x[i] + t.width[i] <= width);
    }
    grid_free(&g);
}

TEST(numbers_line_up_at_the_right_of_their_column)
{
    struct grid g;
    struct widget_table t;
    CHECK_INT(grid_init(&g, 40, 3), 0);
    widget_table_begin(&t, &g, (struct rect){0, 0, 40, 3}, columns, 4);
    widget_table_cell(&t, 0, 1, STYLE_TEXT, "6.31");
    widget_table_cell(&t, 1, 1, STYLE_TEXT, "12345.67");
    int right = t.x[1] + t.width[1] - 1;
    CHECK_INT(grid_code(&g, right, 1), '1');
    CHECK_INT(grid_code(&g, right, 2), glyph(&g, GLYPH_ELLIPSIS));
    widget_table_cell(&t, 2, 1, STYLE_TEXT, "below"); /* outside: nothing */
    widget_table_cell(&t, -1, 1, STYLE_TEXT, "above");
    grid_free(&g);
}

TEST(scrolling_keeps_the_cursor_in_sight)
{
    struct widget_scroll s = {0, 0};
    for (int rows = 1; rows < 9; rows++)
        for (int items = 0; items < 20; items++)
            for (int move = -30; move <= 30; move += 7) {
                widget_scroll_move(&s, items, move);
                widget_scroll_fit(&s, items, rows);
                CHECK(s.cursor >= 0 && (items == 0 || s.cursor < items));
                CHECK(s.top >= 0 && s.cursor >= s.top && s.cursor < s.top + rows);
                CHECK(items <= rows ? s.top == 0 : s.top + rows <= items);
            }
}

TEST(text_entry_moves_and_cuts_by_whole_characters)
{
    struct widget_entry e = {0};
    type(&e, "ab");
    CHECK(widget_entry_key(&e, 0xe9)); /* é */
    CHECK(widget_entry_key(&e, 0x6f22));
    CHECK_STRING(e.text, "ab\xc3\xa9\xe6\xbc\xa2");
    widget_entry_key(&e, KEY_CODE_LEFT);
    widget_entry_key(&e, KEY_CODE_BACKSPACE);
    CHECK_STRING(e.text, "ab\xe6\xbc\xa2");
    widget_entry_key(&e, KEY_CODE_DELETE);
    CHECK_STRING(e.text, "ab");
    widget_entry_key(&e, KEY_CODE_DELETE);
    widget_entry_key(&e, KEY_CODE_HOME);
    widget_entry_key(&e, KEY_CODE_BACKSPACE);
    type(&e, "x");
    CHECK_STRING(e.text, "xab");
    widget_entry_key(&e, KEY_CODE_END);
    widget_entry_key(&e, 'W' - '@');
    CHECK_STRING(e.text, "");
}

TEST(text_entry_stops_at_its_size_and_ignores_other_keys)
{
    struct widget_entry e = {0};
    for (int i = 0; i < 1000; i++)
        widget_entry_key(&e, 0x1f600);
    CHECK(strlen(e.text) < WIDGET_ENTRY && strlen(e.text) % 4 == 0);
    CHECK(!widget_entry_key(&e, KEY_CODE_UP));
    CHECK(!widget_entry_key(&e, 7));
    widget_entry_set(&e, NULL);
    CHECK_STRING(e.text, "");
}

TEST(a_long_entry_shows_its_cursor)
{
    struct grid g;
    struct widget_entry e = {0};
    CHECK_INT(grid_init(&g, 10, 1), 0);
    type(&e, "0123456789abcdef");
    widget_entry_draw(&g, 0, 0, 10, &e);
    CHECK_INT(grid_code(&g, 8, 0), 'f');
    CHECK_INT(g.cell[9].style, STYLE_CURSOR);
    grid_free(&g);
}

TEST(paragraphs_break_between_words)
{
    struct grid g;
    CHECK_INT(grid_init(&g, 10, 3), 0);
    CHECK_INT(widget_paragraph(&g, (struct rect){0, 0, 10, 3}, STYLE_TEXT, "one two three four"), 2);
    char *text = grid_dump(&g, false);
    CHECK_STRING(text, "one two\nthree four\n\n");
    free(text);
    grid_fill(&g, (struct rect){0, 0, 10, 3}, ' ', STYLE_TEXT);
    widget_paragraph(&g, (struct rect){0, 0, 10, 2}, STYLE_TEXT, "one two three four five");
    text = grid_dump(&g, false); /* words are left, and the last line says so */
    CHECK_STRING(text, "one two\nthree fou\xe2\x80\xa6\n\n");
    free(text);
    grid_free(&g);
}

TEST(a_filter_wants_every_word_in_any_case)
{
    CHECK(widget_matches("Llama 3 8B", "8b llama"));
    CHECK(!widget_matches("Llama 3 8B", "llama 70b"));
    CHECK(widget_matches("anything", ""));
    CHECK(widget_matches("anything", "   "));
}
