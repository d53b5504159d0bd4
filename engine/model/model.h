/* What a model costs: parameters, bytes and FLOPs from its dimensions. Pure functions of struct model_spec;
 * no memory, no weights, no device. Counts equal the published ones exactly; FLOPs as in Pope et al. 2022,
 * section 2. */
#pragma once

#include "presets/implementation.h"
#include "presets/model_spec.h"
#include "presets/preset.h"
#include <stdint.h>

int64_t model_parameters(const struct model_spec *m);
/* Weights read by every decoded token: all product weights and the head once, without the embedding look-up.
 */
int64_t model_product_parameters(const struct model_spec *m);
/* Cache bytes per token of one sequence: 2 x layers x kv_heads x head_dim x element size. */
/* Channels kept of an input of `width` (Liu et al. 2025, "La RoSA", and its code): rotated inputs (of q, k,
 * v, gate and up) lose 0.8 of the sparsity, the others (of the output and down products) 1.2, at most half of
 * what it leaves; at least one stays. */
int model_kept(int width, double sparsity, bool rotated);
int model_widest_kept(const struct model_spec *m, double sparsity); /* the most of any product of a llama */
int64_t model_kv_bytes_per_token(const struct model_spec *m, enum precision_kind precision);
double
model_weight_bytes_per_element(enum precision_kind precision); /* int8: 1, its scales are counted apart */

/* Whether products of this model can be stored so: the GGUF block types take rows of whole blocks of 32 or
 * 256 weights. -1 UNSUPPORTED names the row that does not divide and the precision that fits. */
int model_holds(const struct model_spec *m, enum precision_kind precision, struct error *e);

/* The work of one sample (prefill pass, decode step, whole generation): the least any implementation must do.
 */
struct model_work {
    double bytes; /* read and written: weights once per pass, cache, by the cost model */
    double flops;
    int64_t tokens; /* what throughput counts: prefill batch x seq, decode batch, generate batch x tokens */
};
struct model_work model_work(const struct model_spec *m, const struct implementation *i, enum workload w,
                             int batch, int seq, int tokens);
/* Tokens of a batch's prompt: spread evenly from shortest * seq (the first) up to seq (the last), rounded; at
 * least 1. shortest 1, or 0 for not said: all are seq. */
int model_prompt_tokens(int seq, double shortest, int batch, int sequence);
/* The same work over such prompts, where the workload has prompts. */
struct model_work model_work_ragged(const struct model_spec *m, const struct implementation *i,
                                    enum workload w, int batch, int seq, int tokens, double shortest);
/* The same over prompts of these lengths ([batch]). */
struct model_work model_work_lengths(const struct model_spec *m, const struct implementation *i,
                                     enum workload w, int batch, int seq, int tokens, const int *lengths);

/* Memory in bytes. The plan predicts it, the runner measures it, with the same words. */
struct memory_use {
    int64_t weights, activations, kv_cache, overhead; /* overhead: tables, workspaces of libraries, program */
    int64_t peak, average;             /* of the sum while the arm ran; predicted: peak == average */
    int64_t kv_used;                   /* bytes of kv_cache that hold tokens; the rest is reserved */
    struct memory_pages {              /* how the cache holds them, measured; page_bytes 0: not told */
        int64_t page_bytes, pages;     /* what memory comes in: a sequence's room, a block, a page; held */
        int64_t reserved, committed;   /* bytes of the pool or of address space; bytes in pages */
        int64_t wasted;                /* committed bytes per sequence that hold no token */
        int64_t hidden_ns, exposed_ns; /* spent mapping beside the work, and while the work waited */
        int64_t kept;                  /* committed bytes that no token needs now, for whoever comes next */
        int64_t contiguous;            /* what a contiguous cache holds: every sequence at capacity */
        int64_t map_calls;             /* of the backend */
        int64_t hidden_growths, exposed_growths; /* times a sequence was given pages */
        int64_t hidden_max_ns, exposed_max_ns;   /* the longest of them */
    } kv_pages;
    int64_t page_in_ns; /* measured, of a model's file: reading its bytes; 0: none were read */
};
