/* Large products behind one seam: a library made for them, or our own loops. */
#pragma once

#include "kernels/cpu/cpu.h"
