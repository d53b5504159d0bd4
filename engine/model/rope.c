#include "engine/model/rope.h"

#include <math.h>

static const double tau = 6.283185307179586476925286766559;

static double open_frequency(const struct model_spec *m, int pair)
{
    return pow(m->rope_theta, -2.0 * pair / m->rotary_dims);
}

/* Long wavelengths are stretched by the factor, short ones kept, and those between blended. */
static double scaling_of(const struct model_spec *m, double frequency)
{
    double factor = m->rope_scaling.factor, low = m->rope_scaling.low, high = m->rope_scaling.high;
    double original = m->rope_scaling.original;
    if (factor <= 0)
        return 1;
    if (m->rope_scaling.original <= 0)
        return factor;
    double wavelength = tau / frequency;
    if (wavelength < original / high)
        return 1;
    if (wavelength > original / low)
        return factor;
    double blend = (original / wavelength - low) / (high - low);
    return 1 / ((1 - blend) / factor + blend);
}

float rope_factor(const struct model_spec *m, int pair)
{
    return (float)scaling_of(m, open_frequency(m, pair));
}

static double frequency_of(const struct model_spec *m, const float *factors, int pair)
{
    return open_frequency(m, pair) / (double)(factors ? factors[pair] : rope_factor(m, pair));
}

void rope_frequencies(const struct model_spec *m, const float *factors, double *out)
{
    for (int i = 0; i < m->rotary_dims / 2; i++)
        out[i] = frequency_of(m, factors, i);
}

void rope_table(const struct model_spec *m, const float *factors, int positions, float *out)
{
    int pairs = m->rotary_dims / 2;
    for (int i = 0; i < pairs; i++) {
        double frequency = frequency_of(m, factors, i);
        for (int p = 0; p < positions; p++) {
            out[((int64_t)p * pairs + i) * 2] = (float)cos(p * frequency);
            out[((int64_t)p * pairs + i) * 2 + 1] = (float)sin(p * frequency);
        }
    }
}
