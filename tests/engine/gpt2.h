/* The shipped vocabulary's own tokenizer, for tests of what is built on it. */
#pragma once

#include "engine/model/tokenizer.h"
#include "tests/test.h"

static inline struct tokenizer *gpt2(void)
{
    struct gguf g;
    struct error e = {0};
    struct tokenizer *t = NULL;
    if (gguf_open("presets/vocabularies/gpt-2.gguf", &g, &e) == 0) {
        t = tokenizer_open(&g, &e);
        gguf_close(&g);
    }
    if (!t)
        TEST_FAIL("%s", e.text);
    return t;
}
