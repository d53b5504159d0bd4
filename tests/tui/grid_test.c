#include "tests/test.h"
#include "tui/grid.h"

static struct grid small(int width, int height)
{
    struct grid g;
    if (grid_init(&g, width, height) != 0)
        abort();
    return g;
}

static void check_dump(const struct grid *g, const char *want)
{
    char *text = grid_dump(g, false);
    CHECK_STRING(text, want);
    free(text);
}

TEST(text_is_cut_with_an_ellipsis_at_its_width)
{
    struct grid g = small(8, 1);
    CHECK_INT(grid_text(&g, 0, 0, 5, STYLE_TEXT, "abcdefgh"), 5);
    check_dump(&g, "abcd\xe2\x80\xa6\n");
    grid_clear(&g);
    CHECK_INT(grid_text(&g, 0, 0, 8, STYLE_TEXT, "abcdefgh"), 8);
    check_dump(&g, "abcdefgh\n");
    grid_free(&g);
}

TEST(drawing_outside_is_clipped_on_every_side)
{
    struct grid g = small(3, 2);
    grid_text(&g, -2, 0, 10, STYLE_TEXT, "abcdefgh");
    grid_text(&g, 0, 5, 10, STYLE_TEXT, "x");
    grid_put(&g, 3, 0, 'x', STYLE_TEXT);
    grid_put(&g, 0, -1, 'x', STYLE_TEXT);
    grid_fill(&g, (struct rect){-5, 1, 7, 9}, '#', STYLE_TEXT);
    check_dump(&g, "cde\n##\n");
    CHECK_INT(grid_code(&g, 99, 0), ' ');
    grid_free(&g);
}

TEST(a_wide_character_takes_two_cells_and_never_half_a_place)
{
    struct grid g = small(5, 1);
    CHECK_INT(grid_columns("\xe6\xbc\xa2"), 2);
    CHECK_INT(grid_text(&g, 0, 0, 5, STYLE_TEXT, "\xe6\xbc\xa2\xe5\xad\x97"), 4);
    CHECK_INT(g.cell[1].code, 0);
    grid_put(&g, 1, 0, 'x', STYLE_TEXT); /* over a right half: the left half goes */
    check_dump(&g, " x\xe5\xad\x97\n");
    grid_put(&g, 2, 0, 'y', STYLE_TEXT); /* over a left half: the right half goes */
    check_dump(&g, " xy\n");
    grid_put(&g, 4, 0, 0x6f22, STYLE_TEXT); /* no room for the right half */
    check_dump(&g, " xy\n");
    grid_clear(&g);
    CHECK_INT(grid_text(&g, 0, 0, 4, STYLE_TEXT, "\xe6\xbc\xa2\xe5\xad\x97\xe6\xbc\xa2"), 3);
    check_dump(&g, "\xe6\xbc\xa2\xe2\x80\xa6\n");
    grid_free(&g);
}

TEST(control_and_malformed_bytes_become_question_marks)
{
    struct grid g = small(12, 1);
    grid_text(&g, 0, 0, 12, STYLE_TEXT, "a\033[\x01\xff\xc3(\xe2\x82\xed\xa0\x80");
    char *text = grid_dump(&g, false);
    CHECK(strchr(text, 033) == NULL);
    CHECK(strncmp(text,
                  "a?[?"
                  "?"
                  "?(",
                  7) == 0);
    free(text);
    grid_free(&g);
}

TEST(combining_marks_take_no_column)
{
    struct grid g = small(4, 1);
    CHECK_INT(grid_columns("e\xcc\x81x"), 2);
    CHECK_INT(grid_text(&g, 0, 0, 4, STYLE_TEXT, "e\xcc\x81x"), 2);
    check_dump(&g, "ex\n");
    grid_free(&g);
}

TEST(ascii_keeps_every_column_of_the_layout)
{
    struct grid u = small(40, 1), a = small(40, 1);
    a.ascii = true;
    const char *text = "1.84\xc3\x97 \xc2\xb1 0.2 \xc2\xb7 \xe2\x89\xa4 6:12 \xe2\x80\x93 64 \xc2\xb0\x43";
    CHECK_INT(grid_text(&u, 0, 0, 40, STYLE_TEXT, text), grid_text(&a, 0, 0, 40, STYLE_TEXT, text));
    check_dump(&a, "1.84x ~ 0.2 | < 6:12 - 64  C\n");
    for (int i = 0; i < GLYPHS; i++)
        CHECK(glyph(&a, (enum glyph)i) < 0x7f);
    for (int i = 0; i <= 8; i++)
        CHECK(glyph_bar(&a, i, true) < 0x7f && glyph_bar(&a, i, false) < 0x7f);
    grid_free(&u);
    grid_free(&a);
}

TEST(bars_have_nine_steps_in_both_directions)
{
    struct grid g = small(1, 1);
    CHECK_INT(glyph_bar(&g, 0, true), ' ');
    CHECK_INT(glyph_bar(&g, 1, true), 0x2581);
    CHECK_INT(glyph_bar(&g, 7, true), 0x2587);
    CHECK_INT(glyph_bar(&g, 8, true), 0x2588);
    CHECK_INT(glyph_bar(&g, 1, false), 0x258f);
    CHECK_INT(glyph_bar(&g, 7, false), 0x2589);
    CHECK_INT(glyph_bar(&g, 12, false), 0x2588);
    grid_free(&g);
}

TEST(right_aligned_text_ends_before_its_column)
{
    struct grid g = small(8, 1);
    grid_text_right(&g, 6, 0, 6, STYLE_TEXT, "42");
    check_dump(&g, "    42\n");
    grid_free(&g);
}

TEST(styles_are_dumped_as_letters_under_the_text)
{
    struct grid g = small(3, 1);
    grid_text(&g, 0, 0, 3, STYLE_BOLD, "ab");
    grid_put_on(&g, 2, 0, 'c', STYLE_TEXT, STYLE_HEAT_0);
    char *text = grid_dump(&g, true);
    CHECK(strncmp(text, "abc\n\ncc", 7) == 0);
    CHECK(text[7] != ' ' && text[7] != 'c');
    free(text);
    grid_free(&g);
}

TEST(resizing_starts_with_blanks)
{
    struct grid g = small(2, 1);
    grid_put(&g, 0, 0, 'x', STYLE_TEXT);
    CHECK_INT(grid_resize(&g, 3, 2), 0);
    check_dump(&g, "\n\n");
    CHECK_INT(grid_resize(&g, 0, -1), 0);
    CHECK_INT(g.width * g.height, 1);
    grid_free(&g);
}
