/* What a style looks like: one row per role, with a column for 256 colors, one for 8 and one without any. No
 * distinction rests on red against green; the terminal's own background is kept. Data only; tui/screen turns
 * it into the terminal's attributes. */
#pragma once

#include "tui/grid.h"

enum theme_attribute { THEME_BOLD = 1, THEME_DIM = 2, THEME_REVERSE = 4, THEME_UNDERLINE = 8 };

struct theme_role {
    const char *name;
    short color256, color8; /* -1: the terminal's own foreground */
    unsigned attributes;    /* theme_attribute mask, with colors */
    unsigned monochrome;    /* theme_attribute mask, without */
};
extern const struct theme_role theme_roles[STYLES];

/* The style of the n-th arm (0: the baseline) and its letter. */
enum style theme_arm(int arm);
char theme_arm_letter(int arm);
/* A ratio on the diverging scale: below 1 slower, above 1 faster, full color at `span` times (2.0). */
enum style theme_heat(double ratio, double span);
