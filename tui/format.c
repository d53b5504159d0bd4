#include "tui/format.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#define DASH "\xe2\x80\x93"

static char *dash(char out[FORMAT_TEXT])
{
    snprintf(out, FORMAT_TEXT, DASH);
    return out;
}

static char *infinite(char out[FORMAT_TEXT], double value)
{
    snprintf(out, FORMAT_TEXT, value < 0 ? "-inf" : "inf");
    return out;
}

char *format_si(char out[FORMAT_TEXT], double value, int width)
{
    static const char suffix[] = "pnum kMGTP";
    if (isnan(value))
        return dash(out);
    if (isinf(value))
        return infinite(out, value);
    double size = fabs(value);
    if (size < 1e-12)
        return snprintf(out, FORMAT_TEXT, "0"), out;
    int room = width - (value < 0);
    for (int step = -4; step <= 5; step++) {
        double scaled = size / pow(1000, step);
        bool plain = step == 0;
        /* Rounding may carry into a digit more (999.7 -> 1000): the limit is what rounds to three digits. */
        double limit = plain && room >= 5 ? 9999.5 : 999.5;
        if (scaled >= limit && step < 5)
            continue;
        int digits = room - (plain ? 0 : 1); /* columns for digits and point */
        int whole = scaled >= 999.5 ? 4 : scaled >= 99.95 ? 3 : scaled >= 9.995 ? 2 : 1;
        int decimals = digits - whole - 1;
        int wanted = whole >= 3 ? 0 : 3 - whole;
        decimals = decimals < 0 ? 0 : decimals > wanted ? wanted : decimals;
        if (plain && scaled < 0.9995 && room < 5)
            decimals = room > 2 ? room - 2 : 0;
        int used = snprintf(out, FORMAT_TEXT, "%s%.*f", value < 0 ? "-" : "", decimals, scaled);
        if (!plain && used < FORMAT_TEXT - 1)
            snprintf(out + used, (size_t)(FORMAT_TEXT - used), "%c", suffix[step + 4]);
        break;
    }
    return out;
}

char *format_digits(char out[FORMAT_TEXT], double value, int digits)
{
    if (isnan(value))
        return dash(out);
    if (isinf(value))
        return infinite(out, value);
    double size = fabs(value);
    if (size >= 1e9)
        return format_si(out, value, 6);
    int whole = size < 1 ? 1 : (int)floor(log10(size)) + 1;
    int decimals = digits - whole;
    if (size > 0 && size < 0.1)
        decimals += 1;
    decimals = decimals < 0 ? 0 : decimals > 9 ? 9 : decimals;
    /* 9.9996 to 4 digits is 10.00 and not 10.000. */
    if (decimals > 0 && size + 0.5 * pow(10, -decimals) >= pow(10, whole))
        decimals--;
    snprintf(out, FORMAT_TEXT, "%.*f", decimals, value);
    return out;
}

char *format_rate(char out[FORMAT_TEXT], double per_second)
{
    if (isnan(per_second))
        return dash(out);
    if (fabs(per_second) >= 9999.5)
        return format_si(out, per_second, 5);
    return format_digits(out, per_second, 3);
}

char *format_percent(char out[FORMAT_TEXT], double fraction)
{
    if (isnan(fraction))
        return dash(out);
    if (isinf(fraction))
        return infinite(out, fraction);
    double percent = 100 * fraction;
    snprintf(out, FORMAT_TEXT, fabs(percent) < 9.95 && percent != 0 ? "%.1f %%" : "%.0f %%", percent);
    return out;
}

char *format_bytes(char out[FORMAT_TEXT], double bytes)
{
    static const char *const unit[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
    if (isnan(bytes))
        return dash(out);
    int u = 0;
    while (fabs(bytes) >= 999.5 && u < 5) {
        bytes /= 1024;
        u++;
    }
    char number[FORMAT_TEXT];
    if (u == 0)
        snprintf(out, FORMAT_TEXT, "%.0f B", bytes);
    else
        snprintf(out, FORMAT_TEXT, "%.20s %s", format_digits(number, bytes, 3), unit[u]);
    return out;
}

char *format_gib(char out[FORMAT_TEXT], double bytes)
{
    double gib = bytes / (1024.0 * 1024.0 * 1024.0);
    if (isnan(gib))
        return dash(out);
    if (gib == 0)
        snprintf(out, FORMAT_TEXT, "0");
    else if (gib < 0.005)
        snprintf(out, FORMAT_TEXT, "<0.01");
    else
        snprintf(out, FORMAT_TEXT, gib < 9.995 ? "%.2f" : gib < 999.5 ? "%.1f" : "%.0f", gib);
    return out;
}

char *format_count(char out[FORMAT_TEXT], int64_t n)
{
    static const struct {
        double size;
        char unit;
    } unit[] = {{1e12, 'T'}, {1e9, 'B'}, {1e6, 'M'}};
    for (size_t i = 0; i < 3; i++)
        if ((double)n >= 0.9995 * unit[i].size) {
            char number[FORMAT_TEXT];
            snprintf(out, FORMAT_TEXT, "%.20s %c", format_digits(number, (double)n / unit[i].size, 3),
                     unit[i].unit);
            return out;
        }
    snprintf(out, FORMAT_TEXT, "%lld", (long long)n);
    return out;
}

char *format_duration(char out[FORMAT_TEXT], double seconds)
{
    if (isnan(seconds))
        return dash(out);
    if (isinf(seconds))
        return infinite(out, seconds);
    if (seconds < 0)
        seconds = 0;
    if (seconds < 9.95) {
        snprintf(out, FORMAT_TEXT, "%.1f s", seconds);
    } else if (seconds < 59.5) {
        snprintf(out, FORMAT_TEXT, "%.0f s", seconds);
    } else if (seconds < 359999) {
        long whole = lround(seconds);
        if (whole < 3600)
            snprintf(out, FORMAT_TEXT, "%ld:%02ld", whole / 60, whole % 60);
        else
            snprintf(out, FORMAT_TEXT, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    } else {
        snprintf(out, FORMAT_TEXT, "%.0f days", seconds / 86400);
    }
    return out;
}

char *format_exponent(char out[FORMAT_TEXT], double value, int decimals)
{
    if (isnan(value))
        return dash(out);
    if (isinf(value))
        return infinite(out, value);
    snprintf(out, FORMAT_TEXT, "%.*e", decimals, value);
    /* C writes two digits at least: 3e-06. */
    char *zero = strchr(out, 'e') + 2;
    if (*zero == '0')
        memmove(zero, zero + 1, strlen(zero));
    return out;
}

char *format_p(char out[FORMAT_TEXT], double p)
{
    if (isnan(p))
        return dash(out);
    if (p < 1e-300)
        snprintf(out, FORMAT_TEXT, "< 1e-300");
    else if (p < 0.001)
        format_exponent(out, p, 0);
    else
        snprintf(out, FORMAT_TEXT, p < 0.01 ? "%.4f" : p < 0.1 ? "%.3f" : "%.2f", p);
    return out;
}
