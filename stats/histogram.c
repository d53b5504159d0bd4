#include "stats/stats.h"

#include <math.h>

double stats_histogram_edge(int bin)
{
    return pow(10, (double)bin / STATS_BINS_PER_DECADE);
}

int stats_histogram_bin(double x)
{
    if (x < 1)
        return -1;
    if (!(x < stats_histogram_edge(STATS_HISTOGRAM_BINS)))
        return STATS_HISTOGRAM_BINS;
    int bin = (int)(log10(x) * STATS_BINS_PER_DECADE);
    /* The logarithm may land one bin off at an edge; the edges decide. */
    if (bin > 0 && x < stats_histogram_edge(bin))
        bin--;
    else if (x >= stats_histogram_edge(bin + 1))
        bin++;
    return bin;
}

void stats_histogram_add(struct stats_histogram *h, double x)
{
    int bin = stats_histogram_bin(x);
    h->total++;
    if (bin < 0)
        h->under++;
    else if (bin >= STATS_HISTOGRAM_BINS)
        h->over++;
    else
        h->count[bin]++;
}
