/* How many sequences a key-value cache serves at once in given memory: a scheduler of continuous batching
 * (Kwon et al. 2023, section 4.5) that admits by memory. Everything is counted by the cache that serves
 * tokens (engine/model/kv_cache with its blocks and pages) on a backend that only counts, so that models of
 * any size are told in milliseconds. Deterministic; no device, no clock. Any thread.
 *
 * The rule, step by step, until all are done:
 *  1. Every running sequence takes a token more, the oldest first. Where memory ends, the youngest running
 *     one is preempted (it may be the one that asked): it gives up its cache and waits before all others.
 *  2. In a step that preempted none, the waiting are admitted in order while there is memory for all their
 *     tokens so far (a preempted one computes them again) and one more, which they take in this step.
 *  3. Who has all its tokens ends and gives up its memory.
 * Contiguous: each sequence owns room for the capacity. Paged: blocks. Virtual: pages; those of ended
 * sequences stay mapped for the next and go to whoever lacks some. */
#pragma once

#include "engine/model/admission_report.h"
#include "engine/model/kv_cache.h"

struct admission_request {
    int prompt, tokens; /* tokens: generated after the prompt, at least 1 */
};

struct admission {
    struct kv_cache_shape cache; /* kind ... capacity; sequences, budget and alone are not looked at */
    int64_t budget;              /* bytes for keys and values */
    int64_t page_bytes;          /* of a virtual cache's memory */
};

/* -1 MEMORY where one of the requests alone does not fit the budget, FAILED where one does not fit the
 * capacity. */
int admission_run(const struct admission *a, const struct admission_request *request, int n,
                  struct admission_report *out, struct error *e);
