/* benchtop model show FILE: what is in a GGUF file. */
#include "engine/columns.h"
#include "engine/figure.h"
#include "engine/model/gguf_model.h"
#include "engine/model/weights.h"
#include "tui/command.h"
#include "tui/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN = 6, PIECE = 48 };

/* A string of the file as text: any bytes become something a terminal can show. */
static void clean(struct gguf_string s, char *out, size_t size)
{
    snprintf(out, size, "%.*s", (int)(s.n < size ? s.n : size - 1), s.bytes);
    error_clean_text(out);
    if (s.n >= size && size > 4)
        snprintf(out + size - 4, 4, "...");
}

static void element_text(const struct gguf_value *v, uint64_t i, char *out, size_t size)
{
    int64_t whole;
    double number;
    if (v->element == GGUF_BOOL)
        snprintf(out, size, "%s", v->data[i] ? "true" : "false");
    else if (gguf_int_at(v, i, &whole))
        snprintf(out, size, "%lld", (long long)whole);
    else if (gguf_double_at(v, i, &number))
        snprintf(out, size, "%.9g", number);
    else
        snprintf(out, size, "more than 2^63");
}

/* "[32000] "<unk>", "<s>", ..." */
static void value_text(const struct gguf_value *v, struct text *out)
{
    char piece[PIECE * 2];
    struct gguf_walk w = {0};
    struct gguf_string s;
    bool is_array = v->kind == GGUF_ARRAY;
    if (is_array)
        text_format(out, "[%llu]", (unsigned long long)v->count);
    for (uint64_t i = 0; i < v->count && i < SHOWN; i++) {
        if (v->element == GGUF_STRING) {
            gguf_next(v, &w, &s);
            clean(s, piece, is_array ? PIECE / 2 : sizeof piece);
        } else {
            element_text(v, i, piece, sizeof piece);
        }
        text_format(out, "%s%s", i > 0 ? ", " : is_array ? " " : "", piece);
    }
    if (v->count > SHOWN)
        text_add(out, ", ...");
}

static void print_values(const struct gguf *g, struct text *out)
{
    static const struct column columns[] = {{"key", true, 0}, {"kind", true, 0}, {"value", true, 0}};
    struct columns *t = columns_new(columns, 3);
    for (size_t i = 0; t && i < g->n_values; i++) {
        const struct gguf_value *v = &g->value[i];
        char key[160], kind[32];
        struct text value = {0};
        clean(v->key, key, sizeof key);
        snprintf(kind, sizeof kind, "%s%s", gguf_kind_names[v->element], v->kind == GGUF_ARRAY ? "[]" : "");
        value_text(v, &value);
        columns_cell(t, key);
        columns_cell(t, kind);
        columns_cell(t, value.failed ? NULL : value.bytes ? value.bytes : "");
        out->failed = out->failed || value.failed;
        text_free(&value);
    }
    if (t)
        columns_print(t, 0, out);
    else
        out->failed = true;
    columns_free(t);
}

static void print_tensors(const struct gguf *g, struct text *out)
{
    static const struct column columns[] = {{"tensor", true, 0},
                                            {"type", true, 0},
                                            {"shape", false, 0},
                                            {"bytes", false, 0},
                                            {"offset", false, 0}};
    struct columns *t = columns_new(columns, 5);
    for (size_t i = 0; t && i < g->n_tensors; i++) {
        const struct gguf_tensor *k = &g->tensor[i];
        char name[GGUF_NAME], shape[96], number[24];
        struct text s = text_in(shape, sizeof shape);
        clean(k->name, name, sizeof name);
        for (int d = 0; d < k->n_dims; d++)
            text_format(&s, "%s%llu", d ? " x " : "", (unsigned long long)k->dim[d]);
        columns_cell(t, name);
        columns_cell(t, k->type->name);
        columns_cell(t, shape);
        snprintf(number, sizeof number, "%llu", (unsigned long long)k->bytes);
        columns_cell(t, number);
        snprintf(number, sizeof number, "%llu", (unsigned long long)k->offset);
        columns_cell(t, number);
    }
    if (t)
        columns_print(t, 0, out);
    else
        out->failed = true;
    columns_free(t);
}

/* Tensors and bytes by type, in the order of the file. */
static void print_totals(const struct gguf *g, struct text *out)
{
    char bytes[FIGURE_TEXT];
    for (size_t i = 0; i < g->n_tensors; i++) {
        uint64_t total = 0, n = 0;
        bool seen = false;
        for (size_t j = 0; j < i && !seen; j++)
            seen = g->tensor[j].type == g->tensor[i].type;
        if (seen)
            continue;
        for (size_t j = i; j < g->n_tensors; j++)
            if (g->tensor[j].type == g->tensor[i].type) {
                total += g->tensor[j].bytes;
                n++;
            }
        text_format(out, "%llu %s tensors, %s\n", (unsigned long long)n, g->tensor[i].type->name,
                    figure_bytes((double)total, bytes, sizeof bytes));
    }
}

/* What benchtop makes of it: the family and its size, or why it computes nothing with the file. */
static void print_model(const struct gguf *g, const char *path, struct text *out)
{
    struct model_spec m;
    struct error e = {0};
    char bytes[FIGURE_TEXT];
    if (gguf_model_spec(g, path, &m, &e) != 0 || weights_measure_stored(g, &m, &e) != 0) {
        text_format(out, "no model that runs here: %s\n\n", e.text);
        return;
    }
    text_format(out, "%s, %.4g million parameters, %d layers of %d, %d tokens, ", model_family_name(m.family),
                (double)m.stored.parameters / 1e6, m.layers, m.d_model, m.vocab);
    if (m.context > 0)
        text_format(out, "context %d\n", m.context);
    else
        text_add(out, "any context\n");
    text_format(out, "precision stored: %s; %s of weights\n", m.stored.summary,
                figure_bytes((double)m.stored.bytes, bytes, sizeof bytes));
    if (m.stored.split_qkv > 0 || m.stored.split_gate_up > 0)
        text_format(out,
                    "q, k and v have different types in %d layers, gate and up in %d: products apart there\n",
                    m.stored.split_qkv, m.stored.split_gate_up);
    if (m.headless)
        text_add(out, "no head: its output is the first token's hidden state\n");
    text_add(out, "\n");
}

int command_model_show(const char *path)
{
    struct gguf g;
    struct error e = {0};
    struct text out = {0};
    char bytes[FIGURE_TEXT];
    if (gguf_open(path, &g, &e) != 0)
        return output_error(&e);
    text_format(&out, "GGUF version %u, %zu keys, %zu tensors, alignment %u, %s\n\n", g.version, g.n_values,
                g.n_tensors, g.alignment, figure_bytes((double)g.size, bytes, sizeof bytes));
    print_model(&g, path, &out);
    print_values(&g, &out);
    if (g.n_tensors > 0) {
        text_add(&out, "\n");
        print_tensors(&g, &out);
        text_add(&out, "\n");
        print_totals(&g, &out);
    }
    gguf_close(&g);
    return output_result(text_take(&out, &e), &e);
}
