/* Any bytes as a GGUF file: never a crash, a hang or a read outside; what is accepted keeps every promise of
 * the header: names are found, tensors lie inside and apart, strings can be walked to their end. What passes
 * for a model has dimensions whose every array lies in the file. */
#include "engine/model/gguf_model.h"
#include "engine/model/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(int condition, const char *what)
{
    if (condition)
        return;
    fprintf(stderr, "%s\n", what);
    abort();
}

static void look_at_values(const struct gguf *g)
{
    for (size_t i = 0; i < g->n_values; i++) {
        const struct gguf_value *v = &g->value[i];
        struct gguf_walk w = {0};
        struct gguf_string s;
        int64_t whole;
        double number;
        uint64_t words = 0;
        while (gguf_next(v, &w, &s)) {
            must((const uint8_t *)s.bytes + s.n <= g->bytes + g->size, "a string ends after the file");
            words++;
        }
        must(v->element != GGUF_STRING || words == v->count, "strings are missing");
        if (v->count > 0) {
            gguf_int_at(v, v->count - 1, &whole);
            gguf_double_at(v, v->count - 1, &number);
        }
        must(!gguf_int_at(v, v->count, &whole), "an element behind the last");
        if (memchr(v->key.bytes, 0, v->key.n) || v->key.n > 1000)
            continue;
        char key[1001];
        memcpy(key, v->key.bytes, v->key.n);
        key[v->key.n] = '\0';
        must(gguf_find(g, key) == v, "a key is not found");
    }
}

static void look_at_tensors(const struct gguf *g)
{
    for (size_t i = 0; i < g->n_tensors; i++) {
        const struct gguf_tensor *t = &g->tensor[i];
        must(t->data >= g->bytes && t->data + t->bytes <= g->bytes + g->size, "a tensor lies outside");
        must((size_t)(t->data - g->bytes) % g->alignment == 0, "a tensor is not aligned");
        uint8_t touch = t->data[0];
        touch ^= t->data[t->bytes - 1];
        volatile uint8_t sink = touch;
        (void)sink;
    }
}

static void look_at_model(const struct gguf *g)
{
    struct model_spec m;
    struct error e = {0};
    if (gguf_model_spec(g, "fuzz", &m, &e) != 0) {
        must(e.text[0] != 0, "a model refused without a word");
        return;
    }
    must(m.layers > 0 && m.d_model > 0 && m.vocab > 1, "a model without dimensions");
    must(weights_measure_stored(g, &m, &e) == 0, "a model that cannot be measured");
    must(m.stored.bytes > 0 && m.stored.product_bytes <= m.stored.bytes, "a model without bytes");
    for (int a = 0; a < MODEL_ARRAYS; a++)
        for (int l = 0; gguf_model_has(&m, (enum model_array)a) && l < (a < MODEL_NORM1 ? 1 : m.layers);
             l++) {
            struct gguf_slice s;
            must(gguf_model_slice(g, &m, (enum model_array)a, l, &s, &e) == 0,
                 "an array that was there is not");
            must(gguf_model_file_row(&s, s.rows - 1) < s.rows, "a row outside its array");
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct gguf g;
    struct error e = {0};
    if (gguf_parse(data, size, "fuzz", &g, &e) != 0) {
        must(e.text[0] != 0, "refused without a word");
        return 0;
    }
    look_at_values(&g);
    look_at_tensors(&g);
    look_at_model(&g);
    gguf_close(&g);
    return 0;
}
