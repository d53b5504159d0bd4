/* The head of a GGUF file to be: its keys, collected and counted before they are written, because their
 * number stands in front of them. For gguf_write alone. */
#pragma once

#include "engine/model/gguf.h"
#include "engine/model/weights.h"

#include <stdio.h>

struct gguf_keys {
    FILE *f; /* of memory */
    char *bytes;
    size_t size;
    uint64_t n;
};

int gguf_keys_begin(struct gguf_keys *k, struct error *e);
/* All keys of a model: of `source` as they are where it is given; else its dimensions and its vocabulary.
 * *vocabulary: whether tokens are among them. */
int gguf_keys_write(struct gguf_keys *k, const struct model_spec *m, const struct weights_request *q,
                    const struct gguf *source, bool *vocabulary, struct error *e);
/* Magic, version, counts and the keys. */
void gguf_keys_head(const struct gguf_keys *k, FILE *out, int tensors);
void gguf_keys_tensor(FILE *out, const char *name, int n_dims, int64_t cols, int64_t rows, uint32_t type,
                      uint64_t offset);
void gguf_keys_end(struct gguf_keys *k);
