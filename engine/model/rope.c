#include "engine/model/rope.h"

#include <math.h>

static const double tau = 6.283185307179586476925286766559;

/* Long wavelengths are stretched by the factor, short ones kept, and those between blended. */
static double scaled(const struct model_spec *m, double frequency)
{
    double factor = m->rope_scaling.factor, low = m->rope_scaling.low, high = m->rope_scaling.high;
    double original = m->rope_scaling.original;
    if (factor <= 0)
        return frequency;
    double wavelength = tau / frequency;
    if (wavelength < original / high)
        return frequency;
    if (wavelength > original / low)
        return frequency / factor;
    double blend = (original / wavelength - low) / (high - low);
    return frequency * ((1 - blend) / factor + blend);
}

void rope_frequencies(const struct model_spec *m, double *out)
{
    for (int i = 0; i < m->rotary_dims / 2; i++)
        out[i] = scaled(m, pow(m->rope_theta, -2.0 * i / m->rotary_dims));
}

void rope_table(const struct model_spec *m, int positions, float *out)
{
    int pairs = m->rotary_dims / 2;
    for (int i = 0; i < pairs; i++) {
        double frequency = scaled(m, pow(m->rope_theta, -2.0 * i / m->rotary_dims));
        for (int p = 0; p < positions; p++) {
            out[((int64_t)p * pairs + i) * 2] = (float)cos(p * frequency);
            out[((int64_t)p * pairs + i) * 2 + 1] = (float)sin(p * frequency);
        }
    }
}
