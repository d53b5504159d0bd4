/* From names to a rotation file. */
#include "engine/hash.h"
#include "engine/model/larosa.h"
#include "engine/model/native.h"
#include "engine/model/text_file.h"
#include "engine/model/vocabulary.h"

#include <stdio.h>
#include <string.h>

enum { WINDOW = 2048, LEAST = 64, BORROWED_ROWS = 1 << 16 };

/* The model's vocabulary; for random weights without one another's, folded where it has more ids than rows.
 */
static int cut(const struct larosa_request *q, const struct text_file *t, struct token_ids *ids,
               struct larosa_made *out, struct error *e)
{
    struct model_spec m = *q->model;
    out->borrowed = !m.file[0] && !m.vocabulary[0];
    if (out->borrowed) {
        snprintf(m.vocabulary, sizeof m.vocabulary, "gpt-2");
        m.vocab = BORROWED_ROWS;
    }
    struct vocabulary *v = vocabulary_open(&m, NULL, e);
    if (!v)
        return -1;
    snprintf(out->vocabulary, sizeof out->vocabulary, "%s", m.vocabulary[0] ? m.vocabulary : "its own");
    /* Eight bytes per token and more are rare: no more of the text is cut than may be run. */
    size_t most = (size_t)q->tokens * 16, n = t->size < most ? t->size : most;
    while (n < t->size && ((unsigned char)t->bytes[n] & 0xc0) == 0x80)
        n++;
    int failed = vocabulary_encode(v, t->bytes, n, true, ids, e);
    vocabulary_free(v);
    if (failed)
        return -1;
    for (size_t i = 0; i < ids->n; i++)
        ids->id[i] %= q->model->vocab;
    out->tokens = (int64_t)ids->n < q->tokens ? (int64_t)ids->n : q->tokens;
    return out->tokens >= LEAST ? 0
                                : error_set(e, ERROR_USAGE,
                                            "%s gives %lld tokens, too few to know activations by: choose a "
                                            "longer text, or more --tokens",
                                            t->name, (long long)out->tokens);
}

static double seconds(int64_t ns)
{
    return (double)ns * 1e-9;
}

static int calibrate(const struct larosa_request *q, const struct text_file *t, const struct token_ids *ids,
                     void (*progress)(void *, const char *, double), void *who, struct larosa_made *out,
                     struct error *e)
{
    struct weights_request request = {.model = q->model, .precision = q->precision, .seed = q->seed};
    struct kernels *k = native_open(q->device, 0, e);
    struct weights *w = k ? weights_create(k, &request, progress, NULL, who, e) : NULL;
    int window = q->model->context < WINDOW ? q->model->context : WINDOW;
    struct larosa *l = NULL;
    if (w) {
        out->load_s = seconds(w->load_ns);
        l = larosa_calibrate(k, w, ids->id, out->tokens, window, progress, NULL, who, &out->report, e);
    }
    weights_release(w);
    if (k)
        k->ops->close(k);
    int failed = l ? larosa_identity(q->model, q->seed, &l->model, e) : -1;
    if (!failed) {
        l->text = hash_bytes(HASH_START, t->bytes, t->size);
        failed = larosa_write(l, out->path, e);
    }
    larosa_free(l);
    return failed;
}

int larosa_make(const struct larosa_request *q, void (*progress)(void *, const char *, double), void *who,
                struct larosa_made *out, struct error *e)
{
    struct text_file t = {0};
    struct token_ids ids = {0};
    *out = (struct larosa_made){0};
    if (q->model->family != MODEL_LLAMA)
        return error_set(
            e, ERROR_UNSUPPORTED,
            "%s is no llama, whose layers alone are rotated for sparse activations: choose a llama",
            q->model->name);
    if (q->out)
        snprintf(out->path, sizeof out->path, "%s", q->out);
    else if (larosa_path(q->model, q->seed, true, out->path, sizeof out->path, e))
        return -1;
    if (text_file_open(q->text, TEXTS_DOCUMENT, &t, e))
        return -1;
    int failed = cut(q, &t, &ids, out, e);
    if (!failed)
        failed = calibrate(q, &t, &ids, progress, who, out, e);
    token_ids_free(&ids);
    text_file_close(&t);
    return failed;
}
