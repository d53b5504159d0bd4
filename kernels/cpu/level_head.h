/* What level.h needs from outside, included before the target is changed so that only our code is compiled
 * for it. */
#pragma once

#include "kernels/cpu/simd.h"
#include "kernels/generator.h"
#include "kernels/quantize.h"

#include <float.h>
#include <math.h>
#include <string.h>
