/* Figures as people should read them: no more digits than their interval supports, the same in every locale,
 * a dash where there is no figure. Every function writes at most `size` bytes into out and returns out. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { FIGURE_TEXT = 32 };

/* "12.50"; NAN: "–"; infinities "∞" and "-∞". */
char *figure_fixed(double value, int decimals, char *out, size_t size);
/* At least `digits` significant digits without an exponent: 3 gives "0.0123", "1.23", "12.3", "123", "12345".
 */
char *figure_digits(double value, int digits, char *out, size_t size);
/* The same, with as many digits more as it takes to see on which side of `limit` the value lies: 1.1999 is
 * not above 1.2. */
char *figure_against(double value, double limit, int digits, char *out, size_t size);
/* Decimals at which a value whose interval has this half width should be shown: the place of the half width's
 * first digit, one more when that digit is a 1. */
int figure_decimals(double half_width);
/* The same for a time or a ratio, which 0 would misstate: at least two significant digits of the value stay.
 */
int figure_scale_decimals(double value, double half_width);
/* "0.03", "3e-12", "<1e-300"; NAN: "–". */
char *figure_p(double p, char *out, size_t size);
/* "1.39–1.45", "-0.9 to 1.1", "0.25–1e17" where the ends have little in common; "unbounded" where a side is
 * infinite; "–" where undefined. */
char *figure_interval(double low, double high, int decimals, char *out, size_t size);
/* "3.7 GiB", "812 MiB", "0 B". */
char *figure_bytes(double bytes, char *out, size_t size);
/* "0.84", "634", "1166", "17.8k": a rate per second to `digits` digits. */
char *figure_rate(double per_second, int digits, char *out, size_t size);
/* "95 %", "99.9 %": a fraction as percent, trailing zeros dropped. */
char *figure_percent(double fraction, int decimals, char *out, size_t size);
