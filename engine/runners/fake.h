/* The simulator behind the seam: latency laws with known truths in virtual time, faults by cell. Opened with
 * runner_open_fake (engine/runners/runner.h); this header states what the laws mean, so that tests can hold
 * the whole program against them.
 *
 * Device time of sample j of a block, with z standard normal:
 *   mean x drift x block x throttle x warm-up x noise
 *   mean      law.mean_ms; bimodal: the drawn mode's; without a law: the cost model on FAKE_BANDWIDTH,
 *             FAKE_FLOP_RATE
 *   drift     1 + drift_per_round x t, t = time in rounds since the arms' first blocks, by position, not by
 * arm block     1 + between_sd x z, drawn at reset (the first reset-and-run of an arm, its warm-up, included)
 *   throttle  with probability `throttled` a block runs at FAKE_THROTTLED_CLOCK of its speed and says so
 *   warm-up   1 + warmup.size x exp(-i / warmup.tau), i = samples since the arm was prepared
 *   noise     normal, bimodal: 1 + within_sd x z; lognormal: exp(sigma z - sigma^2 / 2), mean 1;
 *             ar1: 1 + within_sd x u, u stationary with lag-1 correlation rho
 * never below a hundredth of the mean. Host time is FAKE_HOST_NS longer. All draws come from the preset's
 * seed, the cell, the arm and how often it was prepared. Outputs are a function of seed, batch and vocabulary
 * alone: arms agree exactly.
 */
#pragma once

#include "engine/runners/runner.h"

#define FAKE_BANDWIDTH       50e9  /* bytes/s */
#define FAKE_FLOP_RATE       500e9 /* FLOP/s */
#define FAKE_LOAD_RATE       2e9   /* bytes of weights made per second */
#define FAKE_THROTTLED_CLOCK 0.75
enum { FAKE_HOST_NS = 20000, FAKE_LOGITS_WIDTH = 256 };

/* Bytes an arm would hold, by the cost model: what its memory() will say. */
struct memory_use fake_memory_of(const struct runner_request *q);
/* The law an arm has without one in the preset, and the arm's own otherwise. */
struct fake_law fake_law_of(const struct preset *p, const struct runner_request *q);
/* Mean of the steady state without drift and throttling, in milliseconds. */
double fake_law_mean_ms(const struct fake_law *law);
