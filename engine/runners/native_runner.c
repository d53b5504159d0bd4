/* The native engine behind the seam: weights shared between arms, one forward pass per arm, both clocks. */
#include "engine/figure.h"
#include "engine/model/forward.h"
#include "engine/model/native.h"
#include "engine/model/vocabulary.h"
#include "engine/runners/runner.h"
#include "kernels/kernels.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { WEIGHTS_KEPT = PRESET_ARMS };        /* every arm of a cell may have its own */
static const int64_t publish_ns = 50000000; /* how long decode runs freely before its samples are shown */

struct native {
    struct runner base;
    char device[32];
    int threads, arms; /* prepared and not released */
    bool broken;       /* the device failed: nothing more runs on this opening of it */
    struct kernels *k;
    struct kernels_info info;
    struct weights *cached[WEIGHTS_KEPT]; /* one reference each, of one model and seed; free places: NULL */
};

struct runner_arm {
    struct native *r;
    struct forward *f;
    struct weights *w;
    struct model_spec model;
    struct implementation implementation;
    enum workload workload;
    int batch, seq, tokens, steps;
    int32_t *fixed; /* [batch] tokens fed before logits are judged, the same for every arm */
    uint64_t input_hash;
    struct forward_sizes sizes;
    struct runner_graph graph;
    struct kernel_event **event;
    int events;
    int64_t program_sum, program_peak; /* resident beyond what the backend allocated, over `readings` */
    int readings;
};

static int64_t now(struct runner *r)
{
    (void)r;
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- inputs ---- */

static uint64_t mixed(uint64_t z) /* splitmix64, Steele et al. 2014 */
{
    z += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* Seeded ids over the whole vocabulary, and their FNV-1a hash. */
static void make_ids(int32_t *ids, int64_t n, uint64_t seed, int vocab, uint64_t *hash)
{
    for (int64_t i = 0; i < n; i++) {
        ids[i] = (int32_t)(mixed(mixed(seed) + (uint64_t)i) % (uint64_t)vocab);
        for (int byte = 0; byte < 4; byte++)
            *hash = (*hash ^ (((uint32_t)ids[i] >> (8 * byte)) & 0xff)) * 0x100000001b3u;
    }
}

/* ---- weights ---- */

static struct weights_request weights_of(const struct runner_request *q)
{
    return weights_request_of(q->model, q->implementation, q->seed);
}

static void give_up(struct weights **slot)
{
    weights_release(*slot);
    *slot = NULL;
}

/* What the next cells of this model may ask for again is kept. */
static void drop_other_models(struct native *r, const struct runner_request *q)
{
    for (int n = 0; n < WEIGHTS_KEPT; n++) {
        struct weights *w = r->cached[n];
        struct weights_request same = weights_of(q);
        if (!w)
            continue;
        same.precision = w->precision;
        same.vocabulary = w->vocabulary;
        same.sparsity = w->sparsity;
        if (!weights_match(w, &same))
            give_up(&r->cached[n]);
    }
}

/* NULL: not there. */
static struct weights *cached_weights(const struct native *r, const struct weights_request *q)
{
    for (int n = 0; n < WEIGHTS_KEPT; n++)
        if (r->cached[n] && weights_match(r->cached[n], q))
            return r->cached[n];
    return NULL;
}

/* Refuses before anything is allocated; gives up cached weights that no arm uses if that makes room. */
static int check_room(struct native *r, const struct runner_request *q, const struct forward_sizes *sizes,
                      struct error *e)
{
    struct weights_request asked = weights_of(q);
    const struct weights *mine = cached_weights(r, &asked);
    int64_t need = sizes->activations + sizes->kv_cache + sizes->overhead;
    if (!mine)
        need += weights_bytes(&asked);
    for (int n = 0; n < WEIGHTS_KEPT && need > native_free_bytes(r->device, r->k); n++)
        if (r->cached[n] && r->cached[n]->references == 1 && r->cached[n] != mine)
            give_up(&r->cached[n]);
    int64_t available = native_free_bytes(r->device, r->k);
    if (need <= available)
        return 0;
    char needs[FIGURE_TEXT], free_text[FIGURE_TEXT], more[FIGURE_TEXT];
    return error_set(e, ERROR_MEMORY,
                     "%s needs %s, %s are free, %s too much: choose a smaller batch, sequence, "
                     "precision or model",
                     q->model->name, figure_bytes((double)need, needs, sizeof needs),
                     figure_bytes((double)available, free_text, sizeof free_text),
                     figure_bytes((double)(need - available), more, sizeof more));
}

static struct weights *find_weights(struct native *r, const struct runner_request *q,
                                    const struct runner_watch *w, int64_t *load_ns, struct error *e)
{
    struct weights_request asked = weights_of(q);
    struct weights *found = cached_weights(r, &asked);
    int place = 0;
    *load_ns = 0;
    if (found)
        return weights_hold(found);
    while (place < WEIGHTS_KEPT && r->cached[place] && r->cached[place]->references > 1)
        place++;
    for (int n = 0; n < WEIGHTS_KEPT; n++)
        if (!r->cached[n])
            place = n;
    found =
        weights_create(r->k, &asked, w ? w->progress : NULL, w ? w->cancelled : NULL, w ? w->who : NULL, e);
    if (!found)
        return NULL;
    *load_ns = found->load_ns;
    if (place == WEIGHTS_KEPT) /* all are in use: these live as long as their arm */
        return found;
    give_up(&r->cached[place]);
    r->cached[place] = found;
    return weights_hold(found);
}

/* ---- arms ---- */

static void release(struct runner_arm *a)
{
    if (!a)
        return;
    for (int i = 0; i < a->events && a->event; i++)
        if (a->event[i])
            a->r->k->ops->event_destroy(a->r->k, a->event[i]);
    forward_free(a->f);
    weights_release(a->w);
    a->r->arms--;
    free(a->event);
    free(a->fixed);
    free(a);
    malloc_trim(0); /* what the C library keeps would count as the next arm's */
}

static void read_memory(struct runner_arm *a)
{
    int64_t program = native_held_bytes(a->r->device, a->r->k);
    a->program_sum += program;
    a->program_peak = program > a->program_peak ? program : a->program_peak;
    a->readings++;
}

static void watch_forward(struct runner_arm *a, const struct runner_watch *w, bool progress)
{
    forward_watch(a->f, w && progress ? w->progress : NULL, w ? w->cancelled : NULL, w ? w->who : NULL);
}

static int make_events(struct runner_arm *a, struct error *e)
{
    a->events = a->workload == WORKLOAD_DECODE ? a->steps + 1 : 3;
    a->event = calloc((size_t)a->events, sizeof(struct kernel_event *));
    for (int i = 0; a->event && i < a->events; i++) {
        a->event[i] = a->r->k->ops->event_create(a->r->k);
        if (!a->event[i])
            return error_set(e, ERROR_MEMORY,
                             "no memory for %d timing events: choose fewer samples per block", a->events);
    }
    return a->event
               ? 0
               : error_set(e, ERROR_MEMORY, "no memory for timing events: choose fewer samples per block");
}

/* To be asked after each synchronization: what the device could not do since the last one. */
static int check_device(struct runner_arm *a, struct error *e)
{
    if (forward_check(a->f, e) == 0)
        return 0;
    a->r->broken = true;
    return -1;
}

static int time_step(struct runner_arm *a, int64_t *out, struct error *e)
{
    const struct kernel_ops *ops = a->r->k->ops;
    if (forward_rewind(a->f, e))
        return -1;
    ops->synchronize(a->r->k);
    int64_t start = now(NULL);
    if (forward_step(a->f, e))
        return -1;
    ops->synchronize(a->r->k);
    *out = now(NULL) - start;
    return check_device(a, e);
}

/* The first launch of a recorded step and the one after it. Whatever the cache holds is good enough. */
static int time_replays(struct runner_arm *a, struct error *e)
{
    struct forward_step_report report;
    forward_report(a->f, &report);
    a->graph = (struct runner_graph){
        .launches = report.graph.nodes,
        .first_eager_ns = report.first_eager_ns,
        .eager_ns = report.eager_ns,
    };
    if (!report.recorded)
        return 0;
    a->graph.nodes = report.graph.nodes;
    a->graph.capture_ns = report.graph.capture_ns;
    a->graph.instantiate_ns = report.graph.instantiate_ns;
    if (time_step(a, &a->graph.first_replay_ns, e) || time_step(a, &a->graph.replay_ns, e))
        return -1;
    return a->workload == WORKLOAD_DECODE ? forward_rewind(a->f, e) : forward_clear(a->f, e);
}

/* Inputs, buffers, events, for decode the filled cache, and the first launches of a recorded step. */
static int fill_arm(struct runner_arm *a, const struct runner_request *q, const struct forward_shape *shape,
                    const struct runner_watch *w, struct error *e)
{
    int64_t tokens = (int64_t)q->batch * q->seq;
    int32_t *ids = malloc((size_t)tokens * sizeof *ids);
    a->fixed = malloc((size_t)q->batch * sizeof *a->fixed);
    a->input_hash = 0xcbf29ce484222325u;
    if (ids && a->fixed) {
        make_ids(ids, tokens, q->seed, a->model.vocab, &a->input_hash);
        make_ids(a->fixed, q->batch, ~q->seed, a->model.vocab, &a->input_hash);
        a->f = forward_create(a->r->k, a->w, shape, ids, e);
    } else {
        error_set(e, ERROR_MEMORY, "no memory for %lld token ids: choose a smaller batch or sequence",
                  (long long)tokens);
    }
    free(ids);
    if (!a->f || make_events(a, e) || forward_count(a->f, e))
        return -1;
    int failed = 0;
    if (a->workload == WORKLOAD_DECODE) {
        watch_forward(a, w, true);
        /* rewound at once: what the prompt left must be kept before the first step, whoever asks for it */
        failed = forward_prefill(a->f, e) || forward_rewind(a->f, e) ? -1 : 0;
        watch_forward(a, NULL, false);
    }
    a->r->k->ops->synchronize(a->r->k);
    return failed || check_device(a, e) || time_replays(a, e) ? -1 : 0;
}

static void drop_weights(struct native *r)
{
    for (int n = 0; n < WEIGHTS_KEPT; n++)
        give_up(&r->cached[n]);
}

/* A device that failed stays so for whoever has it open. With the last arm of its cell gone it is opened
 * anew. */
static int open_again(struct native *r, struct error *e)
{
    if (!r->broken)
        return 0;
    if (r->arms > 0)
        return error_set(e, ERROR_FAILED,
                         "%s failed in another arm of this cell: the next cell opens it anew", r->device);
    drop_weights(r);
    native_forget(); /* it shares the context, which goes with the last close */
    if (r->k)
        r->k->ops->close(r->k);
    r->k = native_open(r->device, r->threads, e);
    r->broken = !r->k;
    return r->k ? 0 : -1;
}

static struct runner_arm *prepare(struct runner *base, const struct runner_request *q,
                                  const struct runner_watch *w, int64_t *load_ns, struct error *e)
{
    struct native *r = (struct native *)base;
    struct forward_shape shape;
    struct forward_sizes sizes;
    struct model_spec runs; /* the model with the arm's vocabulary */
    *load_ns = 0;
    if (native_supports(r->device, q->model, q->implementation, q->workload, e) ||
        vocabulary_model(q->model, q->implementation->vocabulary, &runs, e) ||
        native_shape(&runs, q->implementation, q->workload, q->batch, q->seq, q->tokens, q->samples_max,
                     &shape, e) ||
        open_again(r, e))
        return NULL;
    forward_sizes(r->k, &shape, &sizes);
    drop_other_models(r, q);
    if (check_room(r, q, &sizes, e))
        return NULL;
    struct runner_arm *a = calloc(1, sizeof *a);
    if (!a) {
        error_set(e, ERROR_MEMORY, "no memory to prepare %s: close other programs", q->model->name);
        return NULL;
    }
    a->r = r;
    r->arms++;
    a->model = runs;
    a->implementation = *q->implementation;
    a->workload = q->workload;
    a->batch = q->batch;
    a->seq = q->seq;
    a->tokens = q->tokens;
    a->steps = shape.steps;
    a->sizes = sizes;
    a->w = find_weights(r, q, w, load_ns, e);
    if (!a->w || fill_arm(a, q, &shape, w, e)) {
        r->broken = r->broken || r->k->ops->error(r->k) != NULL;
        release(a);
        return NULL;
    }
    read_memory(a);
    return a;
}

static int reset(struct runner_arm *a, struct error *e)
{
    return a->workload == WORKLOAD_DECODE ? forward_rewind(a->f, e) : forward_clear(a->f, e);
}

/* ---- samples ---- */

static int prefill_or_generate(struct runner_arm *a, struct sample *out, struct error *e)
{
    struct kernels *k = a->r->k;
    if (forward_clear(a->f, e))
        return -1;
    k->ops->synchronize(k);
    int64_t start = now(NULL);
    k->ops->event_record(k, a->event[0]);
    if (forward_prefill(a->f, e))
        return -1;
    k->ops->event_record(k, a->event[1]);
    if (a->workload == WORKLOAD_GENERATE)
        for (int t = 0; t < a->tokens; t++)
            if (forward_step(a->f, e))
                return -1;
    k->ops->event_record(k, a->event[2]);
    k->ops->synchronize(k);
    *out = (struct sample){
        .device_ns = k->ops->event_span_ns(k, a->event[0], a->event[2]),
        .host_ns = now(NULL) - start,
        .first_ns = a->workload == WORKLOAD_GENERATE ? k->ops->event_span_ns(k, a->event[0], a->event[1]) : 0,
    };
    return check_device(a, e);
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
    int64_t before = now(NULL), shown = before;
    k->ops->event_record(k, a->event[0]);
    while (i < n && !failed) {
        failed = w && w->cancelled && w->cancelled(w->who)
                     ? error_set(e, ERROR_CANCELLED, "stopped between samples: run again for a whole block")
                     : forward_step(a->f, e);
        if (failed)
            break;
        k->ops->event_record(k, a->event[i + 1]);
        int64_t after = now(NULL);
        out[i++] = (struct sample){.host_ns = after - before};
        before = after;
        if (i < n && after - shown > publish_ns) {
            k->ops->synchronize(k);
            before = shown = now(NULL);
            failed = check_device(a, e);
            if (failed)
                return -1;
            publish(a, out, published, i, before, after, done);
            published = i;
        }
    }
    k->ops->synchronize(k);
    int64_t synchronized = now(NULL);
    if (check_device(a, failed ? NULL : e))
        return -1; /* times of work that failed are no samples */
    if (i > published)
        publish(a, out, published, i, synchronized, before, done);
    return failed;
}

static int run_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                     const struct runner_watch *w, struct error *e)
{
    int failed = 0;
    watch_forward(a, w, false);
    if (a->workload == WORKLOAD_DECODE) {
        failed = decode(a, n, out, done, w, e);
    } else {
        for (int i = 0; i < n && !failed; i++) {
            failed = prefill_or_generate(a, &out[i], e);
            if (!failed)
                atomic_store_explicit(done, i + 1, memory_order_release);
        }
    }
    watch_forward(a, NULL, false);
    read_memory(a);
    return failed;
}

static int output(struct runner_arm *a, struct runner_output *out, struct error *e)
{
    size_t n = (size_t)a->batch * (size_t)forward_width(a->f);
    *out =
        (struct runner_output){.rows = a->batch, .width = forward_width(a->f), .input_hash = a->input_hash};
    if (reset(a, e) || (a->workload != WORKLOAD_DECODE && forward_prefill(a->f, e)))
        return -1;
    if (a->workload != WORKLOAD_PREFILL && a->steps > 0) {
        forward_set_next(a->f, a->fixed);
        if (forward_step(a->f, e))
            return -1;
    }
    out->logits = malloc(n * sizeof *out->logits);
    if (!out->logits)
        return error_set(e, ERROR_MEMORY, "no memory for %zu logits: choose a smaller batch", n);
    if (forward_logits(a->f, out->logits, e)) {
        a->r->broken = a->r->k->ops->error(a->r->k) != NULL;
        runner_output_free(out);
        return -1;
    }
    return 0;
}

/* How the cache holds its tokens. A virtual one holds what it mapped, not what it may map. */
static void read_pages(struct runner_arm *a, struct memory_use *out)
{
    struct kv_cache_figures p;
    if (a->model.family == MODEL_BERT && a->implementation.kv_cache != KV_CACHE_VIRTUAL)
        return; /* its layers take turns in what counts as activations */
    if (!forward_kv_figures(a->f, true, &p))
        return;
    out->kv_pages = (struct memory_pages){
        .page_bytes = p.page_bytes,
        .pages = p.pages,
        .reserved = p.reserved,
        .committed = p.committed,
        .wasted = (p.committed - p.used) / a->batch,
        .hidden_ns = p.hidden.ns,
        .exposed_ns = p.exposed.ns,
        .kept = p.kept,
        .contiguous = p.contiguous,
        .map_calls = p.map_calls,
        .hidden_growths = p.hidden.count,
        .exposed_growths = p.exposed.count,
        .hidden_max_ns = p.hidden.max_ns,
        .exposed_max_ns = p.exposed.max_ns,
    };
    if (a->implementation.kv_cache == KV_CACHE_VIRTUAL)
        *(a->model.family == MODEL_BERT ? &out->activations : &out->kv_cache) +=
            p.committed - (a->model.family == MODEL_BERT ? p.contiguous : a->sizes.kv_cache);
}

static void graph(struct runner_arm *a, struct runner_graph *out)
{
    *out = a->graph;
}

static void memory(struct runner_arm *a, struct memory_use *out)
{
    int64_t program = a->readings ? a->program_sum / a->readings : 0;
    *out = (struct memory_use){
        .weights = a->w->bytes,
        .activations = a->sizes.activations,
        .kv_cache = a->sizes.kv_cache,
        .overhead = a->sizes.overhead + program,
        .kv_used = a->model.family == MODEL_BERT ? 0 : forward_kv_used(a->f),
    };
    read_pages(a, out);
    int64_t own = out->weights + out->activations + out->kv_cache + a->sizes.overhead;
    out->average = own + program;
    out->peak = own + a->program_peak;
}

static void work(struct runner_arm *a, struct model_work *out)
{
    *out = model_work(&a->model, &a->implementation, a->workload, a->batch, a->seq, a->tokens);
}

static void close_runner(struct runner *base)
{
    struct native *r = (struct native *)base;
    if (!r)
        return;
    drop_weights(r);
    if (r->k)
        r->k->ops->close(r->k);
    free(r);
}

static const struct kernels_info *kernels(struct runner *base)
{
    return &((struct native *)base)->info;
}

static const struct runner_ops native_ops = {
    .name = "native",
    .now_ns = now,
    .prepare = prepare,
    .reset = reset,
    .run_block = run_block,
    .output = output,
    .memory = memory,
    .work = work,
    .graph = graph,
    .release = release,
    .close = close_runner,
    .kernels = kernels,
};

struct runner *runner_open_native(const char *device, int threads, struct error *e)
{
    struct native *r = calloc(1, sizeof *r);
    if (!r) {
        error_set(e, ERROR_MEMORY, "no memory to open %s: close other programs", device);
        return NULL;
    }
    r->base.ops = &native_ops;
    r->threads = threads;
    snprintf(r->device, sizeof r->device, "%s", device);
    r->k = native_open(device, threads, e);
    if (!r->k) {
        free(r);
        return NULL;
    }
    r->k->ops->info(r->k, &r->info);
    return &r->base;
}
