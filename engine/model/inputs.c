#include "engine/model/inputs.h"
#include "engine/hash.h"

#include <stdlib.h>
#include <string.h>

enum { BYTES_PER_TOKEN = 8, CUT_TOKENS = 16, LOOK_BYTES = 64 << 10, FIGURES_BYTES = 2 << 20 };

struct inputs {
    struct model_spec model;
    bool adapted;
    uint64_t seed;
    struct vocabulary *vocabulary; /* NULL: seeded */
    struct text_file text;
    struct token_ids stream; /* the text from its start */
    size_t looked;           /* bytes of it */
    bool whole;              /* all of it */
    enum text_unit unit;
    int rows;
};

struct inputs *inputs_open(const struct inputs_request *q, struct error *e)
{
    struct inputs *in = calloc(1, sizeof *in);
    if (!in) {
        error_set(e, ERROR_MEMORY, "no memory for the inputs of %s: close other programs", q->model->name);
        return NULL;
    }
    in->model = *q->model;
    in->seed = q->seed;
    in->unit = q->texts;
    in->rows = q->rows > 0 ? q->rows : q->model->vocab;
    in->adapted = !vocabulary_is_standard(q->vocabulary);
    if (!q->text || !q->text[0])
        return in;
    in->vocabulary = vocabulary_open(q->model, q->vocabulary, e);
    if (!in->vocabulary || text_file_open(q->text, q->texts, &in->text, e) != 0) {
        inputs_free(in);
        return NULL;
    }
    return in;
}

void inputs_free(struct inputs *in)
{
    if (!in)
        return;
    vocabulary_free(in->vocabulary);
    text_file_close(&in->text);
    token_ids_free(&in->stream);
    free(in);
}

const char *inputs_source(const struct inputs *in)
{
    return in->vocabulary ? in->text.name : "seeded random ids";
}

const struct vocabulary *inputs_vocabulary(const struct inputs *in)
{
    return in->vocabulary;
}

const struct text_file *inputs_text(const struct inputs *in)
{
    return in->vocabulary ? &in->text : NULL;
}

/* ---- random ids ---- */

static uint64_t mixed(uint64_t z) /* splitmix64, Steele et al. 2014 */
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void random_ids(uint64_t seed, int64_t first, int64_t n, int rows, int32_t *out)
{
    for (int64_t i = 0; i < n; i++)
        out[i] = (int32_t)(mixed(mixed(seed) + (uint64_t)(first + i)) % (uint64_t)rows);
}

void inputs_random(uint64_t seed, int64_t n, int rows, int32_t *out)
{
    random_ids(seed, 0, n, rows, out);
}

uint64_t inputs_hash(uint64_t hash, const int32_t *ids, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        for (int shift = 0; shift < 32; shift += 8) /* the same on every machine */
            hash = hash_bytes(hash, &(uint8_t){(uint8_t)((uint32_t)ids[i] >> shift)}, 1);
    return hash;
}

/* ---- the text in tokens ---- */

/* At least `need` ids of the text, or all it has. The text is cut for this where the next one would begin,
 * and the ids beside the cut are left out: a longer look gives the same ones. */
static int look(struct inputs *in, int64_t need, struct error *e)
{
    while (!in->whole && (int64_t)in->stream.n < need) {
        size_t least = (size_t)need * BYTES_PER_TOKEN + LOOK_BYTES;
        size_t n = least > 4 * in->looked ? least : 4 * in->looked;
        in->whole = n >= in->text.size;
        in->looked = in->whole ? in->text.size : n;
        in->stream.n = 0;
        if (vocabulary_encode(in->vocabulary, in->text.bytes, in->looked, true, &in->stream, e) != 0)
            return -1;
        if (!in->whole)
            in->stream.n = in->stream.n > CUT_TOKENS ? in->stream.n - CUT_TOKENS : 0;
    }
    return 0;
}

int64_t inputs_tokens(struct inputs *in, int64_t most, struct error *e)
{
    if (!in->vocabulary)
        return most;
    if (look(in, most, e) != 0)
        return -1;
    return (int64_t)in->stream.n < most ? (int64_t)in->stream.n : most;
}

int64_t inputs_count(struct inputs *in, int length, int64_t most, struct error *e)
{
    int64_t limit = most > INT64_MAX / length ? INT64_MAX : most * length;
    int64_t tokens = inputs_tokens(in, limit, e);
    return tokens < 0 ? -1 : tokens / length;
}

int inputs_windows(struct inputs *in, int64_t first, int sequences, int length, int32_t *out, struct error *e)
{
    if (!in->vocabulary) {
        random_ids(in->seed, first * length, (int64_t)sequences * length, in->rows, out);
        return 0;
    }
    if (look(in, (first + sequences) * length, e) != 0)
        return -1;
    int64_t have = (int64_t)in->stream.n, windows = have / length;
    int32_t begin = vocabulary_begin(in->vocabulary);
    for (int s = 0; s < sequences; s++) {
        int64_t at = windows > 0 ? (first + s) % windows * length : 0;
        for (int t = 0; t < length; t++)
            out[(int64_t)s * length + t] = in->stream.id[(at + t) % have];
        if (begin >= 0)
            out[(int64_t)s * length] = begin;
    }
    return 0;
}

static int read_line(struct inputs *in, int line, int length, int32_t *out, int *n, struct error *e)
{
    struct token_ids ids = {0};
    int32_t begin = vocabulary_begin(in->vocabulary);
    struct text_span span = in->text.span[line % in->text.n];
    if (vocabulary_encode(in->vocabulary, in->text.bytes + span.at, span.n, false, &ids, e) != 0) {
        token_ids_free(&ids);
        return -1;
    }
    *n = 0;
    if (begin >= 0)
        out[(*n)++] = begin;
    for (size_t i = 0; i < ids.n && *n < length; i++)
        out[(*n)++] = ids.id[i];
    token_ids_free(&ids);
    return 0;
}

int inputs_prompts(struct inputs *in, int sequences, int length, int32_t *out, int *lengths, struct error *e)
{
    bool lines = in->vocabulary && in->unit == TEXTS_LINES;
    int64_t at = 0;
    for (int s = 0; s < sequences; s++) {
        lengths[s] = length;
        if (lines && read_line(in, s, length, out + at, &lengths[s], e) != 0)
            return -1;
        at += lengths[s];
    }
    return lines ? 0 : inputs_windows(in, 0, sequences, length, out, e);
}

static int count(const struct vocabulary *v, const struct text_file *t, bool whole, struct text_figures *f,
                 int64_t *tokens, struct error *e)
{
    struct token_ids ids = {0};
    f->texts = f->bytes = *tokens = 0;
    for (int i = 0; i < t->n && (whole || f->bytes < FIGURES_BYTES); i++) {
        size_t n = t->span[i].n;
        if (!whole && n > FIGURES_BYTES)
            n = FIGURES_BYTES;
        ids.n = 0;
        if (vocabulary_encode(v, t->bytes + t->span[i].at, n, false, &ids, e) != 0) {
            token_ids_free(&ids);
            return -1;
        }
        *tokens += (int64_t)ids.n;
        f->bytes += (int64_t)n;
        f->texts++;
    }
    token_ids_free(&ids);
    return 0;
}

int inputs_figures(struct inputs *in, bool whole, struct text_figures *out, struct error *e)
{
    struct text_figures f = {0};
    *out = f;
    if (!in->vocabulary)
        return 0;
    if (count(in->vocabulary, &in->text, whole, &f, &f.tokens, e) != 0)
        return -1;
    f.known = TEXT_TOKENS;
    if (in->adapted) {
        struct vocabulary *own = vocabulary_open(&in->model, "standard", e);
        int failed = own ? count(own, &in->text, whole, &f, &f.standard_tokens, e) : -1;
        vocabulary_free(own);
        if (failed)
            return -1;
        f.known |= TEXT_STANDARD;
    }
    *out = f;
    return 0;
}
