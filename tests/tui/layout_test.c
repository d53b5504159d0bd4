#include "tests/test.h"
#include "tui/layout.h"

static bool is_inside(struct rect outer, struct rect r)
{
    return r.x >= outer.x && r.y >= outer.y && r.width > 0 && r.height > 0 &&
           r.x + r.width <= outer.x + outer.width && r.y + r.height <= outer.y + outer.height;
}

static bool overlap(struct rect a, struct rect b)
{
    return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

/* Panels that are shown: inside, disjoint, not empty. Returns how many. */
static int check_panels(struct rect body, const struct rect *panel, int n, const char *what, int width,
                        int height)
{
    int shown = 0;
    for (int i = 0; i < n; i++) {
        if (panel[i].width == 0 || panel[i].height == 0)
            continue;
        shown++;
        if (!is_inside(body, panel[i]))
            TEST_FAIL("%s %dx%d: panel %d is not inside", what, width, height, i);
        for (int k = 0; k < i; k++)
            if (panel[k].width > 0 && panel[k].height > 0 && overlap(panel[i], panel[k]))
                TEST_FAIL("%s %dx%d: panels %d and %d overlap", what, width, height, i, k);
    }
    return shown;
}

TEST(every_size_gives_panels_inside_disjoint_and_not_empty)
{
    for (int width = 20; width <= 300; width++)
        for (int height = 8; height <= 100; height++) {
            struct layout_frame f;
            if (!layout_frame(width, height, &f)) {
                CHECK(width < LAYOUT_MIN_WIDTH || height < LAYOUT_MIN_HEIGHT);
                continue;
            }
            struct rect frame[3] = {f.tabs, f.body, f.status};
            CHECK_INT(check_panels((struct rect){0, 0, width, height}, frame, 3, "frame", width, height), 3);
            for (int arms = 1; arms <= 8; arms += width % 3 + 1)
                for (int focus = 0; focus < LIVE_PANELS; focus++) {
                    struct rect setup[SETUP_PANELS], live[LIVE_PANELS], duel[DUEL_PANELS];
                    layout_setup(f.body, arms, focus % SETUP_PANELS, setup);
                    CHECK(check_panels(f.body, setup, SETUP_PANELS, "setup", width, height) >= 1);
                    CHECK(setup[focus % SETUP_PANELS].width > 0);
                    layout_live(f.body, arms, focus % 2, focus, live);
                    CHECK(check_panels(f.body, live, LIVE_PANELS, "live", width, height) >= 3);
                    layout_duel(f.body, arms, focus, focus % 2, duel);
                    CHECK(check_panels(f.body, duel, DUEL_PANELS, "duel", width, height) >= 3);
                    CHECK(duel[DUEL_RATIO].width > 0 || duel[DUEL_MATRIX].width > 0);
                    CHECK_INT(duel[DUEL_LEFT].width, duel[DUEL_RIGHT].width); /* one scale for both */
                }
        }
}

TEST(nothing_useful_is_dropped_at_80_by_24)
{
    struct layout_frame f;
    struct rect setup[SETUP_PANELS], live[LIVE_PANELS];
    CHECK(layout_frame(80, 24, &f));
    layout_setup(f.body, 2, SETUP_ARMS, setup);
    for (int i = 0; i < SETUP_PANELS; i++)
        CHECK(setup[i].width >= 20 && setup[i].height >= 5);
    layout_live(f.body, 2, true, LIVE_STATISTICS, live);
    CHECK(live[LIVE_LATENCY].width > 0 && live[LIVE_CURVE].width > 0 && live[LIVE_STATISTICS].height >= 6);
}

TEST(the_panel_in_focus_is_shown_however_small_the_terminal)
{
    struct layout_frame f;
    CHECK(layout_frame(40, 10, &f));
    for (int focus = LIVE_LATENCY; focus < LIVE_PANELS; focus++) {
        struct rect live[LIVE_PANELS];
        layout_live(f.body, 2, true, focus, live);
        CHECK(live[focus].height >= 5);
    }
}

TEST(strips_never_take_more_than_there_is)
{
    struct rect rest = {3, 4, 10, 5};
    struct rect top = layout_top(&rest, 9);
    CHECK_INT(top.height, 5);
    CHECK_INT(rest.height, 0);
    rest = (struct rect){3, 4, 10, 5};
    struct rect right = layout_right(&rest, 4);
    CHECK_INT(right.x, 9);
    CHECK_INT(rest.width, 6);
    struct rect center = layout_center((struct rect){0, 1, 40, 8}, 100, 100);
    CHECK_INT(center.width, 40);
    CHECK_INT(center.height, 8);
    CHECK_INT(layout_inset((struct rect){0, 0, 1, 1}, 2, 2).width, 0);
}
