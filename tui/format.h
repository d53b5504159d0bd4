/* Numbers as people read them: one rule per kind of figure, each within a known width, so that columns line
 * up and nothing is ever cut to an unreadable stump. Undefined values (NAN) are a dash. Text is UTF-8; each
 * function writes into `out` and returns it. Any thread. */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { FORMAT_TEXT = 32 };

/* At most `width` (5 or more) columns, SI suffix: 0.0123 -> "12.3m", 12345 -> "12.3k", 1e12 -> "1.00T". */
char *format_si(char out[FORMAT_TEXT], double value, int width);
/* `digits` significant digits without an exponent: 6.312, 63.12, 631.2, 6312. */
char *format_digits(char out[FORMAT_TEXT], double value, int digits);
/* A rate, as throughput is read: 0.84, 8.40, 634, 1166, 17.8k. */
char *format_rate(char out[FORMAT_TEXT], double per_second);
char *format_percent(char out[FORMAT_TEXT], double fraction); /* 0.113 -> "11 %", 0.0042 -> "0.4 %" */
char *format_bytes(char out[FORMAT_TEXT], double bytes);      /* "27.1 GiB", "512 MiB" */
char *format_gib(char out[FORMAT_TEXT], double bytes);        /* the number alone: "15.0", "0.07" */
char *format_count(char out[FORMAT_TEXT], int64_t n);         /* "6.74 B", "124 M", "512" */
char *format_duration(char out[FORMAT_TEXT], double seconds); /* "0.4 s", "9 s", "6:12", "1:02:03" */
char *format_p(char out[FORMAT_TEXT], double p);              /* "0.031", "3e-12", "< 1e-300" */
char *format_exponent(char out[FORMAT_TEXT], double value, int decimals); /* 1 decimal: "3.5e-6" */
