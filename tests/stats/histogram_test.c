#include "stats/stats.h"
#include "tests/test.h"

TEST(every_edge_opens_its_own_bin)
{
    for (int bin = 0; bin < STATS_HISTOGRAM_BINS; bin++) {
        double edge = stats_histogram_edge(bin), next = stats_histogram_edge(bin + 1);
        CHECK(next > edge);
        CHECK_INT(stats_histogram_bin(edge), bin);
        CHECK_INT(stats_histogram_bin(nextafter(next, 0)), bin);
        CHECK_INT(stats_histogram_bin(sqrt(edge * next)), bin);
    }
    for (int decade = 0; decade <= STATS_HISTOGRAM_DECADES; decade++)
        CHECK_CLOSE(stats_histogram_edge(decade * STATS_BINS_PER_DECADE), pow(10, decade), 1e-15);
}

TEST(what_lies_outside_is_counted_at_the_ends)
{
    struct stats_histogram h = {0};
    const double x[] = {0.5, -3, 0, -INFINITY, 1, 5e6, 9.9e13, 1e14, INFINITY, NAN};
    for (int i = 0; i < 10; i++)
        stats_histogram_add(&h, x[i]);
    CHECK_INT(h.total, 10);
    CHECK_INT(h.under, 4);
    CHECK_INT(h.over, 3);
    CHECK_INT(h.count[0], 1);
    CHECK_INT(h.count[STATS_HISTOGRAM_BINS - 1], 1);
    CHECK_INT(h.count[stats_histogram_bin(5e6)], 1);
    CHECK_INT(stats_histogram_bin(NAN), STATS_HISTOGRAM_BINS);
    CHECK_INT(stats_histogram_bin(0.999), -1);
}
