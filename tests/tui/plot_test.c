#include "tests/test.h"
#include "tui/plot.h"
#include "tui/theme.h"

static struct grid canvas(int width, int height, bool ascii)
{
    struct grid g;
    if (grid_init(&g, width, height) != 0)
        abort();
    g.ascii = ascii;
    return g;
}

static int count_of(const struct grid *g, uint32_t code)
{
    int n = 0;
    for (int i = 0; i < g->width * g->height; i++)
        n += g->cell[i].code == code;
    return n;
}

TEST(a_bar_has_eighths_and_marks_what_is_too_long)
{
    struct grid g = canvas(10, 1, false);
    plot_bar(&g, 0, 0, 10, 0.55, STYLE_BAR);
    CHECK_INT(count_of(&g, 0x2588), 5);
    CHECK_INT(g.cell[5].code, glyph_bar(&g, 4, false));
    plot_bar(&g, 0, 0, 10, 1e-6, STYLE_BAR);
    CHECK_INT(g.cell[0].code, glyph_bar(&g, 1, false));
    plot_bar(&g, 0, 0, 10, 1.4, STYLE_BAR);
    CHECK_INT(g.cell[9].code, '>');
    plot_bar(&g, 0, 0, 10, NAN, STYLE_BAR);
    CHECK_INT(count_of(&g, 0x2588), 0);
    grid_free(&g);
}

TEST(a_histogram_shows_single_samples_gaps_and_what_is_outside)
{
    struct grid g = canvas(12, 4, false);
    uint32_t count[10] = {0, 1000, 0, 1, 0, 0, 500, 0, 0, 0};
    struct plot_histogram h = {
        .count = count, .n = 10, .bar_width = 1, .under = 0, .over = 3, .low = 1, .high = 10, .cursor = -1};
    h.tick[0] = (struct plot_tick){2.0, "p50", false};
    plot_histogram(&g, (struct rect){0, 0, 12, 4}, &h);
    CHECK_INT(grid_code(&g, 2, 0), 0x2588); /* the highest fills its column */
    CHECK_INT(grid_code(&g, 4, 2), 0x2581); /* one sample of 1501 is seen */
    CHECK_INT(grid_code(&g, 3, 2), ' ');    /* a gap is a gap */
    CHECK_INT(grid_code(&g, 11, 2), 0x2581);
    CHECK_INT(grid_code(&g, 0, 2), ' ');
    CHECK_INT(grid_code(&g, 7, 1), glyph_bar(&g, 4, true)); /* 500 of 1000 in three rows: one and a half */
    CHECK_INT(grid_code(&g, 4, 3), glyph(&g, GLYPH_TICK));  /* log10 2 = 0.301 */
    CHECK_INT(grid_code(&g, 5, 3), 'p');
    grid_free(&g);
}

TEST(broad_bars_repeat_their_column)
{
    struct grid g = canvas(10, 2, false);
    uint32_t count[4] = {0, 8, 4, 0};
    struct plot_histogram h = {.count = count, .n = 4, .bar_width = 2, .low = 1, .high = 10, .cursor = -1};
    plot_histogram(&g, (struct rect){0, 0, 10, 2}, &h);
    CHECK_INT(grid_code(&g, 3, 0), 0x2588);
    CHECK_INT(grid_code(&g, 4, 0), 0x2588);
    CHECK_INT(grid_code(&g, 5, 0), glyph_bar(&g, 4, true));
    CHECK_INT(grid_code(&g, 7, 0), ' ');
    grid_free(&g);
}

TEST(ticks_that_would_collide_leave_the_less_important_out)
{
    struct grid g = canvas(42, 3, false);
    uint32_t count[40] = {[20] = 5};
    struct plot_histogram h = {.count = count, .n = 40, .bar_width = 1, .low = 1, .high = 10, .cursor = -1};
    for (int i = 0; i < 3; i++)
        h.tick[i] = (struct plot_tick){pow(10, 0.5 + 0.01 * i),
                                       i == 0   ? "p50"
                                       : i == 1 ? "p99"
                                                : "p90",
                                       i == 1};
    plot_histogram(&g, (struct rect){0, 0, 42, 3}, &h);
    char *text = grid_dump(&g, false);
    CHECK_CONTAINS(text, "p50");
    CHECK(strstr(text, "p90") == NULL);
    free(text);
    grid_free(&g);
}

TEST(the_axis_under_a_histogram_names_values_in_order)
{
    struct grid g = canvas(62, 1, false);
    plot_log_axis(&g, (struct rect){0, 0, 62, 1}, 3.2, 10.5);
    char *text = grid_dump(&g, false), *at = text;
    double last = 0;
    int n = 0;
    for (char *end; *at; at = *end ? end : at + 1) {
        double v = strtod(at, &end);
        if (end == at) {
            end = at + 1;
            continue;
        }
        CHECK(v > last);
        CHECK(v >= 3.2 && v <= 10.5);
        last = v;
        n++;
    }
    CHECK(n >= 2);
    free(text);
    grid_free(&g);
}

static void lines(struct grid *g, const double *a, const double *b, int n)
{
    static const char *const labels[] = {"1", "2", "4", "8", "16"};
    struct plot_series s[2] = {{a, NULL, NULL, 'A', STYLE_ARM_A}, {b, NULL, NULL, 'B', STYLE_ARM_B}};
    struct plot_lines p = {
        .x_label = labels, .n_x = n, .series = s, .n_series = 2, .from_zero = true, .cursor = -1};
    plot_lines(g, (struct rect){0, 0, g->width, g->height}, &p);
}

TEST(every_line_has_its_letter_at_the_points_and_at_the_right_edge)
{
    struct grid g = canvas(40, 12, false);
    const double a[] = {1, 2, 3, 4, 5}, b[] = {2, 4, 6, 8, 10};
    lines(&g, a, b, 5);
    CHECK_INT(count_of(&g, 'A'), 6);
    CHECK_INT(count_of(&g, 'B'), 6);
    int last = 0;
    for (int y = 0; y < 12; y++)
        last += grid_code(&g, 39, y) == 'A' || grid_code(&g, 39, y) == 'B';
    CHECK_INT(last, 2);
    grid_free(&g);
}

TEST(an_undefined_point_breaks_the_line)
{
    struct grid whole = canvas(60, 12, false), broken = canvas(60, 12, false);
    const double a[] = {5, 5, 5, 5, 5}, b[] = {5, 5, NAN, 5, 5}, none[] = {NAN, NAN, NAN, NAN, NAN};
    lines(&whole, a, none, 5);
    lines(&broken, b, none, 5);
    int dots_whole = 0, dots_broken = 0;
    for (int i = 0; i < 60 * 12; i++) {
        dots_whole += whole.cell[i].code >= 0x2800 && whole.cell[i].code < 0x2900;
        dots_broken += broken.cell[i].code >= 0x2800 && broken.cell[i].code < 0x2900;
    }
    CHECK(dots_broken < dots_whole * 3 / 4);
    CHECK_INT(count_of(&broken, 'A'), 5);
    CHECK_INT(count_of(&broken, 'B'), 0);
    grid_free(&whole);
    grid_free(&broken);
}

TEST(error_bars_reach_as_far_as_the_interval)
{
    struct grid g = canvas(30, 20, true);
    static const char *const labels[] = {"1"};
    const double y[] = {10}, low[] = {5}, high[] = {15};
    struct plot_series s = {y, low, high, 'A', STYLE_ARM_A};
    struct plot_lines p = {
        .x_label = labels, .n_x = 1, .series = &s, .n_series = 1, .from_zero = true, .cursor = -1};
    plot_lines(&g, (struct rect){0, 0, 30, 20}, &p);
    int bar = 0;
    for (int y0 = 0; y0 < 19; y0++)
        for (int x = 7; x < 30; x++)
            bar += grid_code(&g, x, y0) == '|';
    CHECK(bar >= 9 && bar <= 15);
    grid_free(&g);
}

TEST(a_flat_or_empty_curve_has_an_axis_and_no_division_by_zero)
{
    struct grid g = canvas(40, 8, false);
    const double flat[] = {0, 0, 0}, none[] = {NAN, NAN, NAN};
    lines(&g, flat, none, 3);
    lines(&g, none, none, 3);
    lines(&g, none, none, 1);
    CHECK_INT(grid_code(&g, 5, 7), glyph(&g, GLYPH_BOTTOM_LEFT));
    grid_free(&g);
}

TEST(a_heat_map_holds_numbers_and_half_blocks_where_it_is_narrow)
{
    const double v[] = {0.5, 1, 2, NAN};
    static const char *const rows[] = {"128", "512"}, *const columns[] = {"1", "8"};
    struct plot_heat p = {v, 2, 2, rows, columns, 2.0, -1, -1};
    struct grid g = canvas(30, 4, false);
    plot_heat(&g, (struct rect){0, 0, 30, 4}, &p);
    char *text = grid_dump(&g, false);
    CHECK_CONTAINS(text, "0.50");
    CHECK_CONTAINS(text, "2.00");
    CHECK_CONTAINS(text, "512");
    free(text);
    grid_clear(&g);
    plot_heat(&g, (struct rect){0, 0, 9, 3}, &p);
    CHECK(count_of(&g, 0x2580) > 0);
    grid_free(&g);
    g = canvas(9, 3, true);
    plot_heat(&g, (struct rect){0, 0, 9, 3}, &p);
    CHECK_INT(count_of(&g, 'v'), 1);
    CHECK_INT(count_of(&g, '^'), 1);
    grid_free(&g);
}

TEST(heat_is_symmetric_about_one)
{
    CHECK_INT(theme_heat(0.5, 2), STYLE_HEAT_0);
    CHECK_INT(theme_heat(2, 2), STYLE_HEAT_LAST);
    CHECK_INT(theme_heat(1000, 2), STYLE_HEAT_LAST);
    CHECK(theme_heat(0.999, 2) <= STYLE_HEAT_0 + 8 && theme_heat(1.001, 2) >= STYLE_HEAT_0 + 7);
    CHECK_INT(theme_heat(NAN, 2), STYLE_TEXT);
}

TEST(no_picture_writes_outside_its_rectangle_at_any_size)
{
    const double a[] = {1, 2, 3, 4, 5}, v[25] = {1};
    static const char *const labels[] = {"1", "2", "4", "8", "16"};
    uint32_t count[64] = {1, 2, 3};
    for (int width = 0; width < 40; width++)
        for (int height = 0; height < 14; height++) {
            struct grid g = canvas(60, 20, false);
            struct rect r = {10, 3, width, height};
            struct plot_series s = {a, NULL, NULL, 'A', STYLE_ARM_A};
            struct plot_lines p = {
                .x_label = labels, .n_x = 5, .series = &s, .n_series = 1, .from_zero = true, .cursor = 2};
            struct plot_histogram h = {.count = count,
                                       .n = width > 2 ? width - 2 : 0,
                                       .bar_width = 1,
                                       .low = 1,
                                       .high = 9,
                                       .cursor = 1};
            struct plot_heat heat = {v, 5, 5, labels, labels, 2, 1, 1};
            h.tick[0] = (struct plot_tick){8.9, "p50", true};
            plot_lines(&g, r, &p);
            plot_histogram(&g, r, &h);
            plot_heat(&g, r, &heat);
            if (height > 0)
                plot_log_axis(&g, (struct rect){r.x, r.y, r.width, 1}, 1, 9);
            for (int y = 0; y < 20; y++)
                for (int x = 0; x < 60; x++) {
                    bool inside = x >= r.x && x < r.x + r.width && y >= r.y && y < r.y + r.height;
                    if (!inside && grid_code(&g, x, y) != ' ')
                        TEST_FAIL("%dx%d writes at %d %d", width, height, x - r.x, y - r.y);
                }
            grid_free(&g);
        }
}

TEST(a_ratio_that_is_not_told_from_one_has_no_color_and_a_question_mark)
{
    static const char *const names[] = {"1", "2"};
    const double v[] = {1.5, 1.02};
    const bool weak[] = {false, true};
    struct plot_heat p = {v, 1, 2, names, names, 2.0, -1, -1, weak};
    struct grid g;
    CHECK_INT(grid_init(&g, 30, 3), 0);
    plot_heat(&g, (struct rect){0, 0, 30, 3}, &p);
    char *text = grid_dump(&g, false);
    CHECK_CONTAINS(text, "1.02?");
    CHECK(!strstr(text, "1.50?"));
    free(text);
    for (int x = 11; x < 20; x++)
        CHECK_INT(g.cell[30 + x].back, STYLE_TEXT);
    grid_free(&g);
}
