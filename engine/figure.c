#include "engine/figure.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* printf writes the locale's decimal point, of one byte or several: exports must not. */
static void plain_point(char *text)
{
    size_t to = 0;
    for (size_t i = 0; text[i]; i++) {
        char c = text[i];
        if ((c >= '0' && c <= '9') || c == '-' || c == '+' || c == 'e')
            text[to++] = c;
        else if (to > 0 && text[to - 1] != '.')
            text[to++] = '.';
    }
    text[to] = '\0';
}

static char *no_number(double value, char *out, size_t size)
{
    snprintf(out, size, "%s", isnan(value) ? "–" : value > 0 ? "∞" : "-∞");
    return out;
}

char *figure_fixed(double value, int decimals, char *out, size_t size)
{
    if (!isfinite(value))
        return no_number(value, out, size);
    snprintf(out, size, "%.*f", decimals, value);
    plain_point(out);
    if (out[0] == '-' && strspn(out + 1, "0.") == strlen(out + 1))
        memmove(out, out + 1, strlen(out)); /* no "-0.0" */
    return out;
}

char *figure_digits(double value, int digits, char *out, size_t size)
{
    if (!isfinite(value))
        return no_number(value, out, size);
    int magnitude = 0;
    if (value != 0) { /* of the rounded value, so that 9.996 is "10.0" */
        char text[40];
        snprintf(text, sizeof text, "%.*e", digits - 1, value);
        sscanf(strchr(text, 'e') + 1, "%d", &magnitude);
    }
    int decimals = digits - 1 - magnitude;
    return figure_fixed(value, decimals < 0 ? 0 : decimals > 12 ? 12 : decimals, out, size);
}

char *figure_against(double value, double limit, int digits, char *out, size_t size)
{
    for (;; digits++) {
        figure_digits(value, digits, out, size);
        double shown = strtod(out, NULL); /* in a locale with a comma it stops early: more digits, no harm */
        if (digits >= 7 || !isfinite(value) ||
            ((value < limit) == (shown < limit) && (value > limit) == (shown > limit)))
            return out;
    }
}

int figure_decimals(double half_width)
{
    if (!isfinite(half_width) || half_width <= 0)
        return 3;
    int place = (int)floor(log10(half_width));
    double first = half_width / pow(10, place);
    int decimals = -place + (first < 2);
    return decimals < 0 ? 0 : decimals > 6 ? 6 : decimals;
}

int figure_scale_decimals(double value, double half_width)
{
    int decimals = figure_decimals(half_width);
    if (!(value > 0) || !isfinite(value))
        return decimals;
    int least = 1 - (int)floor(log10(value));
    return decimals >= least ? decimals : least > 6 ? 6 : least;
}

static char *power(double value, char *out, size_t size)
{
    int exponent = (int)floor(log10(fabs(value)));
    int first = (int)lround(fabs(value) / pow(10, exponent));
    if (first > 9) {
        first = 1;
        exponent++;
    }
    snprintf(out, size, "%s%de%d", value < 0 ? "-" : "", first, exponent);
    return out;
}

char *figure_p(double p, char *out, size_t size)
{
    if (isnan(p))
        return no_number(p, out, size);
    if (p < 1e-300) {
        snprintf(out, size, "<1e-300");
        return out;
    }
    if (p >= 0.095)
        return figure_fixed(p, 2, out, size);
    if (p >= 0.00095)
        return figure_digits(p, 1, out, size);
    return power(p, out, size);
}

/* Ends a factor of a hundred apart say nothing to four digits. */
static char *far_end(double value, int decimals, char *out, size_t size)
{
    if (fabs(value) >= 1e6)
        return power(value, out, size);
    int most = value == 0 ? 0 : 2 - (int)floor(log10(fabs(value)));
    return figure_fixed(value, decimals < most ? decimals : most < 0 ? 0 : most, out, size);
}

char *figure_interval(double low, double high, int decimals, char *out, size_t size)
{
    char a[FIGURE_TEXT * 12], b[FIGURE_TEXT * 12];
    char *(*end)(double, int, char *, size_t) = fabs(high) >= 100 * fabs(low) ? far_end : figure_fixed;
    if (isnan(low) || isnan(high))
        return no_number(NAN, out, size);
    if (isinf(low) || isinf(high))
        snprintf(out, size, "unbounded");
    else
        snprintf(out, size, low < 0 ? "%s to %s" : "%s–%s", end(low, decimals, a, sizeof a),
                 end(high, decimals, b, sizeof b));
    return out;
}

char *figure_bytes(double bytes, char *out, size_t size)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    char number[FIGURE_TEXT * 12];
    if (!isfinite(bytes))
        return no_number(bytes, out, size);
    int unit = 0;
    double value = fabs(bytes);
    while (value >= 1023.5 && unit < 5) {
        value /= 1024;
        unit++;
    }
    figure_fixed(bytes < 0 ? -value : value, unit == 0 || value >= 99.95 ? 0 : 1, number, sizeof number);
    snprintf(out, size, "%s %s", number, units[unit]);
    return out;
}

char *figure_rate(double per_second, int digits, char *out, size_t size)
{
    static const char suffix[] = "kMGTP";
    char number[FIGURE_TEXT * 12];
    if (!isfinite(per_second) || fabs(per_second) < 9999.5)
        return figure_digits(per_second, digits, out, size);
    int step = 0;
    double scaled = per_second / 1000;
    for (; fabs(scaled) >= 999.5 && suffix[step + 1]; step++)
        scaled /= 1000;
    snprintf(out, size, "%s%c", figure_digits(scaled, digits, number, sizeof number), suffix[step]);
    return out;
}

char *figure_percent(double fraction, int decimals, char *out, size_t size)
{
    char number[FIGURE_TEXT * 12];
    if (!isfinite(fraction))
        return no_number(fraction, out, size);
    figure_fixed(100 * fraction, decimals, number, sizeof number);
    size_t n = strlen(number);
    if (strchr(number, '.')) {
        while (number[n - 1] == '0')
            n--;
        if (number[n - 1] == '.')
            n--;
    }
    snprintf(out, size, "%.*s %%", (int)n, number);
    return out;
}
