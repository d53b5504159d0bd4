#include "tests/test.h"
#include "tui/format.h"
#include "tui/grid.h"

static char out[FORMAT_TEXT];

TEST(si_numbers_stay_within_their_width_from_nano_to_tera)
{
    for (int width = 5; width <= 7; width++)
        for (double x = 1e-9; x < 2e12; x *= 1.0173)
            for (int sign = -1; sign <= 1; sign += 2) {
                if (sign < 0 && width == 5)
                    continue;
                format_si(out, sign * x, width);
                if (grid_columns(out) > width)
                    TEST_FAIL("%g in %d columns is \"%s\"", sign * x, width, out);
            }
}

TEST(si_numbers_read_back_within_their_digits)
{
    static const char suffix[] = "pnum kMGT";
    for (double x = 1e-9; x < 2e12; x *= 1.0173) {
        char *end;
        double v = strtod(format_si(out, x, 6), &end);
        const char *s = *end ? strchr(suffix, *end) : strchr(suffix, ' ');
        CHECK(s != NULL);
        if (s)
            CHECK_CLOSE(v * pow(1000, (double)(s - suffix) - 4), x, 0.006);
    }
}

TEST(si_numbers_carry_into_the_next_suffix)
{
    CHECK_STRING(format_si(out, 0, 5), "0");
    CHECK_STRING(format_si(out, 0.0123, 6), "12.3m");
    CHECK_STRING(format_si(out, 12345, 5), "12.3k");
    CHECK_STRING(format_si(out, 999999, 5), "1.00M");
    CHECK_STRING(format_si(out, 1e12, 6), "1.00T");
    CHECK_STRING(format_si(out, NAN, 5), "\xe2\x80\x93");
    CHECK_STRING(format_si(out, -INFINITY, 5), "-inf");
}

TEST(digits_keep_their_number_over_magnitudes)
{
    CHECK_STRING(format_digits(out, 6.3123, 4), "6.312");
    CHECK_STRING(format_digits(out, 63.123, 4), "63.12");
    CHECK_STRING(format_digits(out, 631.23, 4), "631.2");
    CHECK_STRING(format_digits(out, 6312.3, 4), "6312");
    CHECK_STRING(format_digits(out, 9.99961, 4), "10.00");
    CHECK_STRING(format_digits(out, 0, 4), "0.000");
    CHECK_STRING(format_digits(out, NAN, 4), "\xe2\x80\x93");
}

TEST(rates_and_shares_read_as_people_say_them)
{
    CHECK_STRING(format_rate(out, 0.84), "0.84");
    CHECK_STRING(format_rate(out, 634.2), "634");
    CHECK_STRING(format_rate(out, 1166.1), "1166");
    CHECK_STRING(format_rate(out, 17812), "17.8k");
    CHECK_STRING(format_percent(out, 0.113), "11 %");
    CHECK_STRING(format_percent(out, 0.0042), "0.4 %");
    CHECK_STRING(format_percent(out, 0), "0 %");
}

TEST(bytes_and_counts_have_their_units)
{
    CHECK_STRING(format_bytes(out, 27.1 * 1073741824.0), "27.1 GiB");
    CHECK_STRING(format_bytes(out, 512), "512 B");
    CHECK_STRING(format_bytes(out, 1023.9 * 1048576.0), "1.00 GiB");
    CHECK_STRING(format_gib(out, 15.0 * 1073741824.0), "15.0");
    CHECK_STRING(format_gib(out, 1), "<0.01");
    CHECK_STRING(format_gib(out, 0), "0");
    CHECK_STRING(format_count(out, 6738415616), "6.74 B");
    CHECK_STRING(format_count(out, 124439808), "124 M");
    CHECK_STRING(format_count(out, 512), "512");
}

TEST(durations_grow_from_tenths_to_days)
{
    CHECK_STRING(format_duration(out, 0.44), "0.4 s");
    CHECK_STRING(format_duration(out, 9.4), "9.4 s");
    CHECK_STRING(format_duration(out, 42.3), "42 s");
    CHECK_STRING(format_duration(out, 59.7), "1:00");
    CHECK_STRING(format_duration(out, 372), "6:12");
    CHECK_STRING(format_duration(out, 3723), "1:02:03");
    CHECK_STRING(format_duration(out, 1e6), "12 days");
    CHECK_STRING(format_duration(out, -5), "0.0 s");
    CHECK_STRING(format_duration(out, NAN), "\xe2\x80\x93");
}

TEST(p_values_keep_what_matters_of_them)
{
    CHECK_STRING(format_p(out, 3.2e-12), "3e-12");
    CHECK_STRING(format_p(out, 3.2e-6), "3e-6");
    CHECK_STRING(format_exponent(out, 3.46e-6, 1), "3.5e-6");
    CHECK_STRING(format_exponent(out, 4e123, 0), "4e+123");
    CHECK_STRING(format_p(out, 0.0042), "0.0042");
    CHECK_STRING(format_p(out, 0.031), "0.031");
    CHECK_STRING(format_p(out, 0.54), "0.54");
    CHECK_STRING(format_p(out, 0), "< 1e-300");
}
