/* What prepared arms are worth: their likelihoods on a text and their distance from the baseline, window by
 * window and a few rows at a time, so that logits need no more memory than rows x vocabulary; and what they
 * answer. */
#include "engine/model/score.h"
#include "engine/runners/native_arm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where quality stands beside another workload: one window, half of which is scored. */
enum { WINDOW = 256, WINDOW_LEAST = 8 };

struct scorer { /* one arm */
    struct runner_arm *arm;
    struct forward *f;
    bool own;      /* f was made for this */
    float *logits; /* [rows at once, vocabulary] */
    struct scores scores;
};

struct job {
    struct scorer s[PRESET_ARMS];
    int n;
    int windows_at_once, length;
    int64_t windows;
    int32_t *ids;
    double *share; /* [vocabulary] the baseline's softmax of a row */
    int64_t bytes;
    const struct runner_watch *w;
};

/* ---- the passes ---- */

static struct forward *make_forward(struct runner_arm *a, int length, const int32_t *ids, struct error *e)
{
    struct forward_shape shape = {.model = &a->w->model,
                                  .implementation = &a->implementation,
                                  .sequences = 1,
                                  .length = length,
                                  .all_rows = true};
    struct forward_sizes sizes;
    forward_sizes(a->r->k, &shape, &sizes);
    int64_t need = sizes.activations + sizes.kv_cache + sizes.overhead;
    if (need > native_free_bytes(a->r->device, a->r->k)) {
        error_set(e, ERROR_MEMORY,
                  "no memory to judge quality beside the run: choose a smaller batch or seq");
        return NULL;
    }
    return forward_create(a->r->k, a->w, &shape, ids, e);
}

static void close_job(struct job *j)
{
    for (int i = 0; i < j->n; i++) {
        if (j->s[i].own)
            forward_free(j->s[i].f);
        free(j->s[i].logits);
        score_free(&j->s[i].scores);
    }
    free(j->ids);
    free(j->share);
}

static int open_job(struct job *j, struct runner_arm *const *arm, int n, struct error *e)
{
    struct runner_arm *first = arm[0];
    bool perplexity = first->workload == WORKLOAD_PERPLEXITY;
    j->windows_at_once = perplexity ? first->batch : 1;
    size_t ids = (size_t)j->windows_at_once * (size_t)j->length, width = (size_t)first->w->model.vocab;
    j->ids = malloc(ids * sizeof *j->ids);
    j->share = malloc(width * sizeof *j->share);
    if (!j->ids || !j->share)
        return error_set(e, ERROR_MEMORY, "no memory to judge quality: close other programs");
    if (inputs_windows(first->in, 0, j->windows_at_once, j->length, j->ids, e))
        return -1;
    for (int i = 0; i < n; i++) {
        struct scorer *s = &j->s[j->n++];
        *s = (struct scorer){.arm = arm[i], .own = !perplexity};
        s->f = perplexity ? arm[i]->f : make_forward(arm[i], j->length, j->ids, e);
        if (!s->f)
            return -1;
        s->logits = malloc((size_t)forward_rows_at_once(s->f) * width * sizeof *s->logits);
        if (!s->logits)
            return error_set(e, ERROR_MEMORY, "no memory to judge quality: close other programs");
    }
    return 0;
}

/* n rows from `row` on; what came after row i is next[i]. A text is asked for its likelihood. */
static int score_piece(struct job *j, int row, int n, const int32_t *next, bool text, struct error *e)
{
    int width = j->s[0].arm->w->model.vocab;
    for (int i = 0; i < j->n; i++)
        if (forward_row_logits(j->s[i].f, row, n, j->s[i].logits, e))
            return -1;
    for (int r = 0; r < n; r++) {
        const float *base = j->s[0].logits + (int64_t)r * width;
        struct score_row b = score_read(base, width, j->n > 1 ? j->share : NULL);
        if (text)
            score_likelihood(&j->s[0].scores, &b, (double)base[next[r]]);
        for (int i = 1; i < j->n; i++) {
            const float *mine = j->s[i].logits + (int64_t)r * width;
            struct score_row a = score_read(mine, width, NULL);
            if (text)
                score_likelihood(&j->s[i].scores, &a, (double)mine[next[r]]);
            score_comparison(&j->s[i].scores, score_kl(base, &b, j->share, mine, &a, width), a.top == b.top);
        }
    }
    return 0;
}

static int count_bytes(struct job *j, const int32_t *ids, int n, struct error *e)
{
    const struct vocabulary *v = inputs_vocabulary(j->s[0].arm->in);
    size_t size = 0;
    char *text = vocabulary_decode(v, ids, (size_t)n, &size, e);
    if (!text)
        return -1;
    free(text);
    j->bytes += (int64_t)size;
    return 0;
}

static int score_window(struct job *j, int at, bool text, struct error *e)
{
    int most = forward_rows_at_once(j->s[0].f), rows = native_scored_rows(j->length);
    int first = at * j->length + native_first_scored(j->length);
    const int32_t *next = j->ids + first + 1;
    for (int done = 0; done < rows; done += most) {
        int n = rows - done < most ? rows - done : most;
        if (score_piece(j, first + done, n, next + done, text, e))
            return -1;
    }
    return text ? count_bytes(j, next, rows, e) : 0;
}

static void watch_pass(struct job *j, struct forward *f, bool on)
{
    forward_watch(f, NULL, on && j->w ? j->w->cancelled : NULL, on && j->w ? j->w->who : NULL);
}

static int score_all(struct job *j, bool text, struct error *e)
{
    for (int64_t window = 0; window < j->windows; window += j->windows_at_once) {
        if (inputs_windows(j->s[0].arm->in, window, j->windows_at_once, j->length, j->ids, e))
            return -1;
        for (int i = 0; i < j->n; i++) {
            if (forward_load(j->s[i].f, j->ids, e))
                return -1;
            watch_pass(j, j->s[i].f, true);
            int failed = forward_prefill(j->s[i].f, e);
            watch_pass(j, j->s[i].f, false);
            if (failed)
                return -1;
        }
        for (int at = 0; at < j->windows_at_once && window + at < j->windows; at++)
            if (score_window(j, at, text, e))
                return -1;
        if (j->w && j->w->progress)
            j->w->progress(j->w->who, "quality", (double)(window + 1) / (double)j->windows);
    }
    return 0;
}

/* ---- quality ---- */

/* Windows to be judged, and their length. 0: the text is too short. */
static int choose_windows(struct job *j, struct runner_arm *a, struct error *e)
{
    bool perplexity = a->workload == WORKLOAD_PERPLEXITY;
    int64_t tokens = a->quality_tokens > 0 ? a->quality_tokens : perplexity ? INT64_MAX : WINDOW;
    int context = a->w->model.context; /* 0: any, of a state-space model */
    j->length = perplexity ? a->seq : context > 0 && context < WINDOW ? context : WINDOW;
    int64_t have = inputs_tokens(a->in, perplexity ? tokens : j->length, e);
    if (have < 0)
        return -1;
    if (!perplexity && have < j->length)
        j->length = (int)have;
    if (j->length < WINDOW_LEAST && !perplexity)
        return 0;
    int64_t most = tokens / j->length > 0 ? tokens / j->length : 1;
    j->windows = inputs_count(a->in, j->length, most, e);
    return j->windows < 0 ? -1 : 0;
}

/* arm[0] is the baseline or stands alone; all have one vocabulary. */
static int judge_together(struct runner_arm *const *arm, int n, const struct runner_watch *w,
                          struct arm_quality *const *out, struct error *e)
{
    struct job j = {.w = w};
    bool text = inputs_vocabulary(arm[0]->in) != NULL;
    if (choose_windows(&j, arm[0], e))
        return -1;
    if (j.windows < 1) {
        for (int i = 0; i < n; i++)
            snprintf(out[i]->note, sizeof out[i]->note, "%.90s is too short to judge quality on",
                     inputs_source(arm[0]->in));
        return 0;
    }
    int failed = open_job(&j, arm, n, e) || score_all(&j, text, e);
    for (int i = 0; i < n && !failed; i++) {
        out[i]->window = j.length;
        score_finish(&j.s[i].scores, j.bytes, out[i]);
        if (j.s[i].scores.not_finite)
            snprintf(out[i]->note, sizeof out[i]->note,
                     "its logits are not finite: its quality is not known");
    }
    close_job(&j);
    for (int i = 0; i < n; i++) /* perplexity: the windows that are timed again */
        if (arm[i]->workload == WORKLOAD_PERPLEXITY && !failed)
            failed = native_load_prompts(arm[i], e);
    return failed ? -1 : 0;
}

static bool same_vocabulary(const struct runner_arm *a, const struct runner_arm *b)
{
    return strcmp(a->implementation.vocabulary, b->implementation.vocabulary) == 0;
}

/* One that cannot be judged for want of memory stays unjudged, and says so. */
static int judge_or_note(struct runner_arm *const *arm, int n, const struct runner_watch *w,
                         struct arm_quality *const *out, struct error *e)
{
    struct error why = {0};
    if (judge_together(arm, n, w, out, &why) == 0)
        return 0;
    if (why.kind != ERROR_MEMORY)
        return error_set(e, why.kind, "%s", why.text);
    for (int i = 0; i < n; i++)
        snprintf(out[i]->note, sizeof out[i]->note, "%.191s", why.text);
    return 0;
}

int native_quality(struct runner_arm *const *arm, int n, const struct runner_watch *w,
                   struct arm_quality *out, struct error *e)
{
    struct runner_arm *alike[PRESET_ARMS];
    struct arm_quality *theirs[PRESET_ARMS];
    int n_alike = 0;
    for (int i = 0; i < n; i++)
        out[i] = (struct arm_quality){0};
    if (n < 1 || !arm[0]->f || arm[0]->model.family == MODEL_BERT)
        return 0;
    for (int i = 0; i < n; i++) {
        const struct vocabulary *v = inputs_vocabulary(arm[i]->in);
        snprintf(out[i].source, sizeof out[i].source, "%s", inputs_source(arm[i]->in));
        out[i].not_equivalent = !vocabulary_is_standard(arm[i]->implementation.vocabulary);
        snprintf(out[i].note, sizeof out[i].note, "%s",
                 out[i].not_equivalent ? vocabulary_not_equivalent : "");
        if (same_vocabulary(arm[0], arm[i])) {
            theirs[n_alike] = &out[i];
            alike[n_alike++] = arm[i];
        } else if (v && judge_or_note(&arm[i], 1, w, (struct arm_quality *[]){&out[i]}, e)) {
            return -1;
        }
    }
    return judge_or_note(alike, n_alike, w, theirs, e);
}

/* ---- responses ---- */

static char *decoded(struct runner_arm *a, const int32_t *ids, int n, struct error *e)
{
    size_t size = 0;
    char *bytes = vocabulary_decode(inputs_vocabulary(a->in), ids, (size_t)n, &size, e);
    char *text = bytes ? quality_text(bytes, size) : NULL;
    free(bytes);
    if (bytes && !text)
        error_set(e, ERROR_MEMORY, "no memory for a response: close other programs");
    return text;
}

/* Where the end-of-text token stands, or the length. What comes after it was generated and timed, but is no
 * response. */
static int response_length(const struct runner_arm *a, const int32_t *ids, int length)
{
    int32_t end = vocabulary_end(inputs_vocabulary(a->in));
    int n = 0;
    while (n < length && ids[n] != end)
        n++;
    return n;
}

static int fill_response(struct runner_arm *a, int s, const int32_t *prompt, struct session_responses *r,
                         struct error *e)
{
    struct session_response *x = &r->response[s];
    const int32_t *ids = r->ids + (int64_t)s * r->length;
    x->prompt_tokens = a->lengths[s];
    x->tokens = response_length(a, ids, r->length);
    x->finish = x->tokens < r->length ? RESPONSE_END_OF_TEXT : RESPONSE_LENGTH;
    x->prompt = decoded(a, prompt, x->prompt_tokens, e);
    x->text = x->prompt ? decoded(a, ids, x->tokens, e) : NULL;
    return x->text ? 0 : -1;
}

static int generate(struct runner_arm *a, struct session_responses *r, int32_t *column, struct error *e)
{
    if (forward_clear(a->f, e) || forward_prefill(a->f, e))
        return -1;
    for (int t = 0; t < a->tokens; t++) {
        if (native_choose(a, t, column, e) || forward_step(a->f, e))
            return -1;
        for (int s = 0; s < a->batch; s++)
            r->ids[(int64_t)s * r->length + t] = column[s];
    }
    a->r->k->ops->synchronize(a->r->k);
    return native_check(a, e);
}

int native_responses(struct runner_arm *a, const struct runner_watch *w, struct session_responses **out,
                     struct error *e)
{
    *out = NULL;
    if (a->workload != WORKLOAD_GENERATE || !inputs_vocabulary(a->in))
        return 0;
    struct session_responses *r = quality_new_responses(a->batch, a->tokens);
    int32_t *column = malloc((size_t)a->batch * sizeof *column);
    int32_t *ids = malloc((size_t)a->batch * (size_t)a->seq * sizeof *ids);
    int *lengths = malloc((size_t)a->batch * sizeof *lengths);
    int failed = r && column && ids && lengths
                     ? 0
                     : error_set(e, ERROR_MEMORY, "no memory for responses: choose a smaller batch");
    native_watch(a, w, false);
    failed = failed || inputs_prompts(a->in, a->batch, a->seq, ids, lengths, e) || generate(a, r, column, e);
    native_watch(a, NULL, false);
    int64_t at = 0;
    for (int s = 0; s < a->batch && !failed; s++) {
        failed = fill_response(a, s, ids + at, r, e);
        at += lengths[s];
    }
    free(column);
    free(ids);
    free(lengths);
    if (failed) {
        quality_free_responses(r);
        return -1;
    }
    *out = r;
    return 0;
}
