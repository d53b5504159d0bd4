/* Writes a model as a GGUF file (version 3) that llama.cpp loads: a synthetic one, or another file's model in
 * another precision. What is read back computes the same bits as the weights written (engine/model/gguf_model
 * has the names and puts the llama family's rows into the order of files).
 *
 * Metadata: the dimensions of the family; of a file, its own keys are taken over as they are. Tokenizer: the
 * file's, or the vocabulary that the catalog's model names where it has as many tokens as the model has rows;
 * else "no_vocab", which llama.cpp accepts. Token ids are then all there is.
 *
 * Learned positions and token types stand in fp32 and gpt-2's head beside its embedding, as llama.cpp's own
 * converter writes them and its readers want them.
 *
 * Arrays go through memory one after another. The file appears under its name when it is whole: written
 * beside it, synced, renamed. Left out, because GGUF has no names for it: bert's masked-language head. */
#pragma once

#include "engine/model/weights.h"
#include "presets/error.h"

struct gguf_written {
    int64_t bytes;
    int tensors;
    bool vocabulary; /* tokens are in it */
    bool left_out;   /* bert's masked-language head is not */
};

/* precision: fp32, fp16, bf16, q8_0, q4_0, q4_k, q6_k, or stored for a file's own types; path: not the
 * model's own file. -1: UNSUPPORTED (GGUF has no such type, rows are no whole blocks), FAILED (disk), MEMORY,
 * CANCELLED; nothing is left behind. */
int gguf_write(struct kernels *k, const struct weights_request *q, const char *path,
               void (*progress)(void *, const char *, double), bool (*cancelled)(void *), void *who,
               struct gguf_written *out, struct error *e);
