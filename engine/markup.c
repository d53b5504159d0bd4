#include "engine/markup.h"
#include "engine/figure.h"
#include <math.h>
#include <string.h>

/* Pictures are measured in tenths of a pixel: whole numbers read the same in every locale. */
enum {
    INTERVAL_WIDTH = 2200,
    INTERVAL_HEIGHT = 160,
    SCALE_HEIGHT = 180,
    BAR_WIDTH = 2200,
    BAR_HEIGHT = 100,
    WIDTH = 7200,
    LABEL = 1750,    /* names at the left of histograms */
    ROW = 620,       /* one arm's histogram, ticks included */
    BINS = 136,      /* 4 pixels each */
    TICK_ROOM = 330, /* a percentile's name needs as much */
    CURVE = 2700,    /* height of a curve's picture */
    LEFT = 620,      /* room for numbers of the y axis */
    RIGHT = 1500,    /* and for names at the lines' ends */
    LINE_ROOM = 170, /* between two of those */
    AXIS_TICKS = 9
};

static int at(double v)
{
    return (int)lround(v);
}

void markup_text(struct text *out, const char *text)
{
    static const char *const special[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};
    while (*text) {
        size_t n = text_character(text);
        const char *which = strchr("&<>\"'", *text);
        unsigned char c = (unsigned char)*text;
        bool control = (c < 0x20 && c != '\n' && c != '\t') || c == 0x7F ||
                       (n == 2 && c == 0xC2 && (unsigned char)text[1] < 0xA0);
        if (which)
            text_add(out, special[which - "&<>\"'"]);
        else if (n == 0 || control)
            text_add(out, "\xEF\xBF\xBD");
        else
            text_put(out, text, n);
        text += n ? n : 1;
    }
}

static void open_svg(struct text *out, const char *class, int width, int height)
{
    text_format(out,
                "<svg class=\"%s\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" aria-hidden=\"true\">",
                class, width, height, width / 10, height / 10);
}

static void put_line(struct text *out, const char *class, int x1, int y1, int x2, int y2)
{
    text_format(out, "<path class=\"%s\" d=\"M%d %dL%d %d\"/>", class, x1, y1, x2, y2);
}

static void put_rect(struct text *out, const char *class, int x, int y, int width, int height)
{
    text_format(out, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"/>", class, x, y, width,
                height);
}

static void put_words(struct text *out, const char *class, int x, int y, const char *words)
{
    text_format(out, "<text class=\"%s\" x=\"%d\" y=\"%d\">", class, x, y);
    markup_text(out, words);
    text_add(out, "</text>");
}

/* --- intervals against the band of equivalence */

static int interval_x(const struct markup_scale *s, double ratio)
{
    double x = INTERVAL_WIDTH * log(ratio / s->low) / log(s->high / s->low);
    return at(fmin(fmax(x, 0), INTERVAL_WIDTH));
}

static void put_band(struct text *out, const struct markup_scale *s, int height)
{
    int low = interval_x(s, 1 / (1 + s->margin)), high = interval_x(s, 1 + s->margin);
    if (s->margin > 0)
        put_rect(out, "band", low, 0, high - low, height);
    put_line(out, "one", interval_x(s, 1), 0, interval_x(s, 1), height);
}

void markup_interval(struct text *out, const struct markup_scale *scale, double value,
                     struct stats_interval interval)
{
    int middle = INTERVAL_HEIGHT / 2;
    open_svg(out, "interval", INTERVAL_WIDTH, INTERVAL_HEIGHT);
    put_band(out, scale, INTERVAL_HEIGHT);
    if (interval.low <= interval.high) { /* false for NAN */
        double low = fmax(interval.low, scale->low / 2);
        int x1 = interval_x(scale, low), x2 = interval_x(scale, interval.high);
        put_line(out, "ci", x1, middle, x2, middle);
        if (interval.low < scale->low)
            text_format(out, "<path class=\"arrow\" d=\"M0 %dl70 -45v90z\"/>", middle);
        else
            put_line(out, "ci", x1, middle - 35, x1, middle + 35);
        if (interval.high > scale->high)
            text_format(out, "<path class=\"arrow\" d=\"M%d %dl-70 -45v90z\"/>", INTERVAL_WIDTH, middle);
        else
            put_line(out, "ci", x2, middle - 35, x2, middle + 35);
    }
    if (value >= scale->low && value <= scale->high)
        text_format(out, "<circle class=\"dot\" cx=\"%d\" cy=\"%d\" r=\"38\"/>", interval_x(scale, value),
                    middle);
    text_add(out, "</svg>");
}

/* Round numbers in [low, high], at most `most` of them; a linear ladder, as scales of latency rarely span a
 * decade. */
static int round_ticks(double low, double high, int most, double *tick, int *decimals)
{
    static const double ladder[] = {1, 2, 5, 10};
    double raw = (high - low) / most, power = pow(10, floor(log10(raw)));
    double step = 10 * power;
    for (int i = 0; i < 4; i++)
        if (ladder[i] * power >= raw) {
            step = ladder[i] * power;
            break;
        }
    int n = 0;
    for (double k = ceil(low / step - 1e-9); k * step <= high * (1 + 1e-12) && n < AXIS_TICKS; k++)
        tick[n++] = k * step;
    int digits = -(int)floor(log10(step) + 1e-9);
    *decimals = digits > 0 ? digits : 0;
    return n;
}

void markup_scale(struct text *out, const struct markup_scale *scale)
{
    double tick[AXIS_TICKS];
    char number[FIGURE_TEXT * 12];
    int decimals, n = round_ticks(scale->low, scale->high, 6, tick, &decimals);
    open_svg(out, "interval", INTERVAL_WIDTH, SCALE_HEIGHT);
    for (int i = 0; i < n; i++) {
        int x = interval_x(scale, tick[i]);
        put_line(out, "tick", x, SCALE_HEIGHT - 40, x, SCALE_HEIGHT);
        put_words(out,
                  x < 150                    ? "small"
                  : x > INTERVAL_WIDTH - 150 ? "small end"
                                             : "small middle",
                  x, SCALE_HEIGHT - 60, figure_fixed(tick[i], decimals, number, sizeof number));
    }
    text_add(out, "</svg>");
}

void markup_bar(struct text *out, const double *part, int parts, double whole)
{
    double before = 0;
    open_svg(out, "bar", BAR_WIDTH, BAR_HEIGHT);
    put_rect(out, "empty", 0, BAR_HEIGHT - 14, BAR_WIDTH, 14);
    for (int i = 0; i < parts; i++) {
        char class[16];
        struct text name = text_in(class, sizeof class);
        if (!(part[i] > 0) || !(whole > 0))
            continue;
        text_format(&name, "p%d", i);
        int from = at(fmin(before / whole, 1) * BAR_WIDTH);
        before += part[i];
        put_rect(out, class, from, 0, at(fmin(before / whole, 1) * BAR_WIDTH) - from, BAR_HEIGHT);
    }
    text_add(out, "</svg>");
}

/* --- histograms */

struct log_axis {
    double low, high;
};

static int axis_x(const struct log_axis *a, double value)
{
    return LABEL + at((WIDTH - LABEL) * log(value / a->low) / log(a->high / a->low));
}

static void put_histogram(struct text *out, const struct markup_sample *s, const struct log_axis *a, int arm,
                          int top)
{
    int count[BINS] = {0}, most = 1, floor_y = top + ROW - 170, height = ROW - 230;
    for (size_t i = 0; i < s->n; i++) {
        int bin = (int)(BINS * log(s->x[i] / a->low) / log(a->high / a->low));
        bin = bin < 0 ? 0 : bin >= BINS ? BINS - 1 : bin;
        count[bin]++;
        most = count[bin] > most ? count[bin] : most;
    }
    text_format(out, "<path class=\"fill a%d\" d=\"M%d %d", arm, LABEL, floor_y);
    for (int i = 0, last = 0; i < BINS; i++) {
        int y = (int)lround((double)count[i] / most * height);
        y = count[i] > 0 && y < 15 ? 15 : y; /* a single sample far out is seen */
        if (y != last)
            text_format(out, "H%dV%d", LABEL + i * (WIDTH - LABEL) / BINS, floor_y - y);
        last = y;
    }
    text_format(out, "H%dV%dZ\"/>", WIDTH, floor_y);
    int free_from = 0;
    for (int t = 0; t < MARKUP_TICKS; t++) {
        if (!isfinite(s->tick[t].value))
            continue;
        int x = axis_x(a, s->tick[t].value);
        put_line(out, s->tick[t].weak ? "tick weak" : "tick", x, floor_y, x, floor_y + 45);
        if (x < free_from)
            continue;
        put_words(out,
                  s->tick[t].weak   ? x > WIDTH - 150 ? "small weak end" : "small weak middle"
                  : x > WIDTH - 150 ? "small end"
                                    : "small middle",
                  x, floor_y + 145, s->tick[t].name);
        free_from = x + TICK_ROOM;
    }
}

void markup_histograms(struct text *out, const struct markup_sample *arm, int arms, const char *unit)
{
    struct log_axis a = {INFINITY, 0};
    for (int i = 0; i < arms; i++)
        if (arm[i].n > 0) {
            a.low = fmin(a.low, arm[i].x[0]);
            a.high = fmax(a.high, arm[i].x[arm[i].n - 1]);
        }
    if (!(a.high > 0) || !(a.low > 0))
        return;
    a.low *= 0.995;
    a.high *= 1.005;
    int height = arms * ROW + 190;
    double tick[AXIS_TICKS];
    char number[FIGURE_TEXT * 12];
    int decimals, n = round_ticks(a.low, a.high, 7, tick, &decimals);
    open_svg(out, "picture", WIDTH, height);
    for (int i = 0; i < n; i++)
        put_line(out, "grid", axis_x(&a, tick[i]), 40, axis_x(&a, tick[i]), arms * ROW);
    for (int i = 0; i < arms; i++) {
        char letter[] = {(char)('A' + i % 26), '\0'};
        put_words(out, "letter", 0, i * ROW + 190, letter);
        put_words(out, "name", 160, i * ROW + 190, arm[i].name);
        put_words(out, "small", 160, i * ROW + 350, arm[i].figure);
        if (arm[i].n > 0)
            put_histogram(out, &arm[i], &a, i % MARKUP_ARMS, i * ROW);
    }
    for (int i = 0; i < n; i++) {
        int x = axis_x(&a, tick[i]);
        put_words(out, x > WIDTH - 200 ? "small end" : "small middle", x, height - 30,
                  figure_fixed(tick[i], decimals, number, sizeof number));
    }
    put_words(out, "small", 160, height - 30, unit);
    text_add(out, "</svg>\n");
}

/* --- curves */

struct curve_axes {
    double x_low, x_high, y_high;
};

static int curve_x(const struct curve_axes *a, double x)
{
    double span = log(a->x_high / a->x_low);
    return LEFT + at(span > 0 ? (WIDTH - LEFT - RIGHT) * log(x / a->x_low) / span : 0);
}

static int curve_y(const struct curve_axes *a, double y)
{
    return at(CURVE - 450 - (CURVE - 650) * fmin(fmax(y / a->y_high, 0), 1));
}

static void put_curve(struct text *out, const struct curve_axes *a, const double *x, int points,
                      const struct markup_line *l, int arm)
{
    bool down = false;
    text_format(out, "<path class=\"line a%d\" d=\"", arm);
    for (int i = 0; i < points; i++) {
        bool here = isfinite(l->y[i]);
        if (here)
            text_format(out, "%c%d %d", down ? 'L' : 'M', curve_x(a, x[i]), curve_y(a, l->y[i]));
        down = here; /* a missing point breaks the line */
    }
    text_add(out, "\"/>");
    for (int i = 0; i < points; i++) {
        if (!isfinite(l->y[i]))
            continue;
        int at_x = curve_x(a, x[i]);
        if (isfinite(l->low[i]) && isfinite(l->high[i])) {
            int y1 = curve_y(a, l->low[i]), y2 = curve_y(a, l->high[i]);
            text_format(out, "<path class=\"error a%d\" d=\"M%d %dV%dM%d %dh60M%d %dh60\"/>", arm, at_x, y1,
                        y2, at_x - 30, y1, at_x - 30, y2);
        }
        text_format(out, "<circle class=\"fill a%d\" cx=\"%d\" cy=\"%d\" r=\"28\"/>", arm, at_x,
                    curve_y(a, l->y[i]));
    }
}

/* Names stand at the ends of their lines, from the top down, apart from each other. */
static void put_names(struct text *out, const struct curve_axes *a, const double *x, int points,
                      const struct markup_line *line, int lines)
{
    bool done[MARKUP_ARMS] = {false};
    int free_from = 0;
    for (int k = 0; k < lines; k++) {
        int best = -1, best_y = 0, best_x = 0;
        for (int i = 0; i < lines; i++) {
            int last = points - 1;
            while (last >= 0 && !isfinite(line[i].y[last]))
                last--;
            if (done[i] || last < 0)
                continue;
            int y = curve_y(a, line[i].y[last]);
            if (best < 0 || y < best_y)
                best = i, best_y = y, best_x = curve_x(a, x[last]);
        }
        if (best < 0)
            return;
        done[best] = true;
        int y = best_y + 40 > free_from ? best_y + 40 : free_from;
        char letter[] = {(char)('A' + best % 26), '\0'};
        put_words(out, "letter", best_x + 80, y, letter);
        put_words(out, "name", best_x + 220, y, line[best].name);
        free_from = y + LINE_ROOM;
    }
}

void markup_curves(struct text *out, const double *x, int points, const struct markup_line *line, int lines,
                   const char *x_title, const char *y_title)
{
    struct curve_axes a = {x[0], x[points - 1], 0};
    double tick[AXIS_TICKS];
    char number[FIGURE_TEXT * 12];
    lines = lines < MARKUP_ARMS ? lines : MARKUP_ARMS;
    for (int k = 0; k < lines; k++)
        for (int i = 0; i < points; i++)
            if (isfinite(line[k].y[i]))
                a.y_high = fmax(a.y_high, isfinite(line[k].high[i]) ? line[k].high[i] : line[k].y[i]);
    if (!(a.y_high > 0))
        return;
    int decimals, n = round_ticks(0, a.y_high * 1.02, 5, tick, &decimals);
    a.y_high *= 1.02;
    open_svg(out, "picture", WIDTH, CURVE);
    put_words(out, "small", 0, 120, y_title);
    for (int i = 0; i < n; i++) {
        int y = curve_y(&a, tick[i]);
        put_line(out, "grid", LEFT, y, WIDTH - RIGHT, y);
        put_words(out, "small end", LEFT - 80, y + 40,
                  decimals > 0 || tick[i] < 9999.5 ? figure_fixed(tick[i], decimals, number, sizeof number)
                                                   : figure_rate(tick[i], 3, number, sizeof number));
    }
    for (int i = 0, free_from = 0; i < points; i++) {
        int at_x = curve_x(&a, x[i]);
        put_line(out, "tick", at_x, CURVE - 450, at_x, CURVE - 405);
        if (at_x < free_from)
            continue;
        put_words(out, "small middle", at_x, CURVE - 290, figure_fixed(x[i], 0, number, sizeof number));
        free_from = at_x + TICK_ROOM;
    }
    put_words(out, "small middle", (LEFT + WIDTH - RIGHT) / 2, CURVE - 100, x_title);
    for (int k = 0; k < lines; k++)
        put_curve(out, &a, x, points, &line[k], k);
    put_names(out, &a, x, points, line, lines);
    text_add(out, "</svg>\n");
}
