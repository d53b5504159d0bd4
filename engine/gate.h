/* The correctness gate: does an arm compute what the baseline computes? Logits in, a judgment out; runs
 * nothing and knows no runner. */
#pragma once

#include "engine/session.h"

/* What max |a - b| / rms(b) may reach between two implementations of the same precision, which differ in the
 * order of their sums and in where they round. NAN: a precision without a rule. gate.c gives the reasons. */
double gate_tolerance(enum precision_kind precision);
/* Judges `arm` against `base`. same_quality (implementation_same_quality): held against the tolerance; else
 * the differences are shown, and only values that are not finite fail. -1: no judgment could be made (shapes
 * or inputs differ, no memory); out is then checked and not passed. */
int gate_check(const struct runner_output *base, const struct runner_output *arm, bool same_quality,
               enum precision_kind precision, struct output_check *out, struct error *e);
