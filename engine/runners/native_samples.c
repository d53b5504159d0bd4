/* What is timed: prompt passes, generations, decode steps; and the output by which an arm is judged. */
#include "engine/runners/native_arm.h"

#include <stdlib.h>

static const int64_t publish_ns = 50000000; /* how long decode runs freely before its samples are shown */

int native_reset(struct runner_arm *a, struct error *e)
{
    if (!a->f)
        return 0;
    return a->workload == WORKLOAD_DECODE ? forward_rewind(a->f, e) : forward_clear(a->f, e);
}

/* ---- choosing tokens ---- */

int native_choose(struct runner_arm *a, int t, int32_t *out, struct error *e)
{
    if (a->sampler) {
        int width = forward_width(a->f);
        if (forward_logits(a->f, a->logits, e))
            return -1;
        for (int s = 0; s < a->batch; s++) {
            struct random g = random_of(a->seed, s, t); /* the same draw in every sample of every arm */
            a->chosen[s] = sampler_choose(a->sampler, a->logits + (int64_t)s * width, &g);
        }
        forward_set_next(a->f, a->chosen);
    }
    if (out)
        forward_next(a->f, out);
    return 0;
}

/* ---- scored rows ---- */

/* llama.cpp's perplexity: a window's first half is context, and its last row has no token to predict. */
int native_first_scored(int length)
{
    return length / 2;
}

int native_scored_rows(int length)
{
    return length - native_first_scored(length) - 1;
}

void native_queue_scores(struct forward *f, int sequences, int length)
{
    int most = forward_rows_at_once(f), rows = native_scored_rows(length);
    for (int s = 0; s < sequences; s++)
        for (int done = 0; done < rows; done += most)
            forward_queue_rows(f, s * length + native_first_scored(length) + done,
                               rows - done < most ? rows - done : most);
}

/* ---- samples ---- */

static int prefill_or_generate(struct runner_arm *a, struct sample *out, struct error *e)
{
    struct kernels *k = a->r->k;
    if (forward_clear(a->f, e))
        return -1;
    k->ops->synchronize(k);
    int64_t start = native_now(NULL);
    k->ops->event_record(k, a->event[0]);
    if (forward_prefill(a->f, e))
        return -1;
    if (a->workload == WORKLOAD_PERPLEXITY)
        native_queue_scores(a->f, a->batch, a->seq);
    bool generates = a->workload == WORKLOAD_GENERATE;
    if (generates && native_choose(a, 0, NULL, e))
        return -1;
    k->ops->event_record(k, a->event[1]);
    for (int t = 0; generates && t < a->tokens; t++)
        if ((t > 0 && native_choose(a, t, NULL, e)) || forward_step(a->f, e))
            return -1;
    k->ops->event_record(k, a->event[2]);
    k->ops->synchronize(k);
    *out = (struct sample){
        .device_ns = k->ops->event_span_ns(k, a->event[0], a->event[2]),
        .host_ns = native_now(NULL) - start,
        .first_ns = generates ? k->ops->event_span_ns(k, a->event[0], a->event[1]) : 0,
    };
    return native_check(a, e);
}

/* Samples [from, to) are complete: their device spans, and the host's time spread by when each was submitted.
 */
static void publish(struct runner_arm *a, struct sample *out, int from, int to, int64_t synchronized,
                    int64_t submitted, _Atomic int *done)
{
    struct kernels *k = a->r->k;
    for (int i = from; i < to; i++)
        out[i].device_ns = k->ops->event_span_ns(k, a->event[i], a->event[i + 1]);
    out[to - 1].host_ns += synchronized - submitted;
    atomic_store_explicit(done, to, memory_order_release);
}

/* Free-running: events between the steps, one synchronization each time there is something worth showing. */
static int decode(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                  const struct runner_watch *w, struct error *e)
{
    struct kernels *k = a->r->k;
    int failed = 0, i = 0, published = 0;
    if (n > a->steps)
        return error_set(e, ERROR_FAILED,
                         "%d decode steps asked, %d prepared: ask for fewer samples per block", n, a->steps);
    k->ops->synchronize(k);
    int64_t before = native_now(NULL), shown = before;
    k->ops->event_record(k, a->event[0]);
    while (i < n && !failed) {
        failed = w && w->cancelled && w->cancelled(w->who)
                     ? error_set(e, ERROR_CANCELLED, "stopped between samples: run again for a whole block")
                     : forward_step(a->f, e);
        if (failed)
            break;
        k->ops->event_record(k, a->event[i + 1]);
        int64_t after = native_now(NULL);
        out[i++] = (struct sample){.host_ns = after - before};
        before = after;
        if (i < n && after - shown > publish_ns) {
            k->ops->synchronize(k);
            before = shown = native_now(NULL);
            failed = native_check(a, e);
            if (failed)
                return -1;
            publish(a, out, published, i, before, after, done);
            published = i;
        }
    }
    k->ops->synchronize(k);
    int64_t synchronized = native_now(NULL);
    if (native_check(a, failed ? NULL : e))
        return -1; /* times of work that failed are no samples */
    if (i > published)
        publish(a, out, published, i, synchronized, before, done);
    return failed;
}

int native_run_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                     const struct runner_watch *w, struct error *e)
{
    int failed = 0;
    if (a->workload == WORKLOAD_TOKENIZE)
        return native_tokenize_block(a, n, out, done, w, e);
    native_watch(a, w, false);
    if (a->workload == WORKLOAD_DECODE) {
        failed = decode(a, n, out, done, w, e);
    } else {
        for (int i = 0; i < n && !failed; i++) {
            failed = prefill_or_generate(a, &out[i], e);
            if (!failed)
                atomic_store_explicit(done, i + 1, memory_order_release);
        }
    }
    native_watch(a, NULL, false);
    native_read_memory(a);
    return failed;
}

/* The last row of each window. */
static int last_rows(struct runner_arm *a, float *out, struct error *e)
{
    for (int s = 0; s < a->batch; s++)
        if (forward_row_logits(a->f, s * a->seq + a->seq - 1, 1, out + (int64_t)s * forward_width(a->f), e))
            return -1;
    return 0;
}

int native_output(struct runner_arm *a, struct runner_output *out, struct error *e)
{
    if (!a->f)
        return error_set(e, ERROR_UNSUPPORTED, "tokenize runs no model: choose another workload for outputs");
    size_t n = (size_t)a->batch * (size_t)forward_width(a->f);
    *out =
        (struct runner_output){.rows = a->batch, .width = forward_width(a->f), .input_hash = a->input_hash};
    if (native_reset(a, e) || (a->workload != WORKLOAD_DECODE && forward_prefill(a->f, e)))
        return -1;
    if (a->workload != WORKLOAD_PREFILL && a->workload != WORKLOAD_PERPLEXITY && a->steps > 0) {
        forward_set_next(a->f, a->fixed);
        if (forward_step(a->f, e))
            return -1;
    }
    out->logits = malloc(n * sizeof *out->logits);
    if (!out->logits)
        return error_set(e, ERROR_MEMORY, "no memory for %zu logits: choose a smaller batch", n);
    if (a->workload == WORKLOAD_PERPLEXITY ? last_rows(a, out->logits, e)
                                           : forward_logits(a->f, out->logits, e)) {
        a->r->broken = a->r->k->ops->error(a->r->k) != NULL;
        runner_output_free(out);
        return -1;
    }
    return 0;
}
