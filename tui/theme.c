#include "tui/theme.h"

#include <math.h>

#define B THEME_BOLD
#define D THEME_DIM
#define R THEME_REVERSE
#define U THEME_UNDERLINE

/* Series in blue, orange, teal, grey first: apart for every common kind of color blindness. Heat runs from
 * orange (slower) over white (equal) to blue (faster), all light enough for black text on top. */
const struct theme_role theme_roles[STYLES] = {
    [STYLE_TEXT] = {"text", -1, -1, 0, 0},
    [STYLE_DIM] = {"dim", 245, -1, 0, D},
    [STYLE_BOLD] = {"bold", -1, -1, B, B},
    [STYLE_FRAME] = {"frame", 241, -1, 0, D},
    [STYLE_FRAME_FOCUS] = {"focused frame", 31, 6, 0, B},
    [STYLE_TITLE] = {"title", -1, -1, B, B},
    [STYLE_TAB] = {"tab", 245, -1, 0, 0},
    [STYLE_TAB_CURRENT] = {"current tab", -1, -1, R | B, R | B},
    [STYLE_KEY] = {"key", 31, 6, B, B},
    [STYLE_SELECTED] = {"selected", -1, -1, R, R},
    [STYLE_CURSOR] = {"cursor", -1, -1, R | B, R | B},
    [STYLE_SENTENCE] = {"sentence", -1, -1, B, B},
    [STYLE_WARNING] = {"warning", 172, 3, 0, B},
    [STYLE_ERROR] = {"error", 167, 1, B, B | R},
    [STYLE_GOOD] = {"good", 31, 6, B, B},
    [STYLE_ARM_A] = {"arm A", 68, 4, 0, 0},
    [STYLE_ARM_B] = {"arm B", 172, 3, 0, B},
    [STYLE_ARM_C] = {"arm C", 37, 6, 0, 0},
    [STYLE_ARM_D] = {"arm D", 246, 7, 0, B},
    [STYLE_ARM_E] = {"arm E", 133, 5, 0, 0},
    [STYLE_ARM_F] = {"arm F", 143, 2, 0, B},
    [STYLE_ARM_G] = {"arm G", 109, 6, B, 0},
    [STYLE_ARM_H] = {"arm H", 180, 3, B, B},
    [STYLE_BAR] = {"bar", 68, 4, 0, 0},
    [STYLE_BAR_EMPTY] = {"empty bar", 239, -1, 0, D},
    [STYLE_LIMIT] = {"limit", 133, 5, 0, U},
    [STYLE_PERCENTILE] = {"percentile", 245, -1, 0, 0},
    [STYLE_HEAT_0] = {"heat 0", 166, 3, 0, 0},
    [STYLE_HEAT_0 + 1] = {"heat 1", 172, 3, 0, 0},
    [STYLE_HEAT_0 + 2] = {"heat 2", 208, 3, 0, 0},
    [STYLE_HEAT_0 + 3] = {"heat 3", 214, 3, 0, 0},
    [STYLE_HEAT_0 + 4] = {"heat 4", 215, 3, 0, 0},
    [STYLE_HEAT_0 + 5] = {"heat 5", 222, 7, 0, 0},
    [STYLE_HEAT_0 + 6] = {"heat 6", 223, 7, 0, 0},
    [STYLE_HEAT_0 + 7] = {"heat 7", 230, 7, 0, 0},
    [STYLE_HEAT_0 + 8] = {"heat 8", 195, 7, 0, 0},
    [STYLE_HEAT_0 + 9] = {"heat 9", 159, 7, 0, 0},
    [STYLE_HEAT_0 + 10] = {"heat 10", 153, 7, 0, 0},
    [STYLE_HEAT_0 + 11] = {"heat 11", 117, 6, 0, 0},
    [STYLE_HEAT_0 + 12] = {"heat 12", 111, 6, 0, 0},
    [STYLE_HEAT_0 + 13] = {"heat 13", 75, 6, 0, 0},
    [STYLE_HEAT_0 + 14] = {"heat 14", 69, 6, 0, 0},
    [STYLE_HEAT_0 + 15] = {"heat 15", 68, 6, 0, 0},
};

enum style theme_arm(int arm)
{
    return (enum style)(STYLE_ARM_A + (arm < 0 ? 0 : arm % 8));
}

char theme_arm_letter(int arm)
{
    return (char)('A' + (arm < 0 ? 0 : arm % 26));
}

enum style theme_heat(double ratio, double span)
{
    if (!(ratio > 0) || !(span > 1))
        return STYLE_TEXT;
    double t = 0.5 + 0.5 * log(ratio) / log(span);
    int level = (int)(fmin(fmax(t, 0), 1) * 15 + 0.5);
    return (enum style)(STYLE_HEAT_0 + level);
}
