/* The native engine behind the seam: weights shared between arms, one forward pass per arm, both clocks. */
#include "engine/clock.h"
#include "engine/figure.h"
#include "engine/hash.h"
#include "engine/runners/native_arm.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int64_t native_now(struct runner *r)
{
    (void)r;
    return clock_ns();
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
    for (int n = 0; n < NATIVE_WEIGHTS_KEPT; n++) {
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
    for (int n = 0; n < NATIVE_WEIGHTS_KEPT; n++)
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
    for (int n = 0; n < NATIVE_WEIGHTS_KEPT && need > native_free_bytes(r->device, r->k); n++)
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
    while (place < NATIVE_WEIGHTS_KEPT && r->cached[place] && r->cached[place]->references > 1)
        place++;
    for (int n = 0; n < NATIVE_WEIGHTS_KEPT; n++)
        if (!r->cached[n])
            place = n;
    found =
        weights_create(r->k, &asked, w ? w->progress : NULL, w ? w->cancelled : NULL, w ? w->who : NULL, e);
    if (!found)
        return NULL;
    *load_ns = found->load_ns;
    if (place == NATIVE_WEIGHTS_KEPT) /* all are in use: these live as long as their arm */
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
    inputs_free(a->in);
    sampler_free(a->sampler);
    free(a->lengths);
    free(a->logits);
    free(a->chosen);
    a->r->arms--;
    free(a->event);
    free(a->fixed);
    free(a);
    malloc_trim(0); /* what the C library keeps would count as the next arm's */
}

void native_read_memory(struct runner_arm *a)
{
    int64_t program = native_held_bytes(a->r->device, a->r->k);
    a->program_sum += program;
    a->program_peak = program > a->program_peak ? program : a->program_peak;
    a->readings++;
}

void native_watch(struct runner_arm *a, const struct runner_watch *w, bool progress)
{
    forward_watch(a->f, w && progress ? w->progress : NULL, w ? w->cancelled : NULL, w ? w->who : NULL);
}

/* To be asked after each synchronization: what the device could not do since the last one. */
int native_check(struct runner_arm *a, struct error *e)
{
    if (forward_check(a->f, e) == 0)
        return 0;
    a->r->broken = true;
    return -1;
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

static int time_step(struct runner_arm *a, int64_t *out, struct error *e)
{
    const struct kernel_ops *ops = a->r->k->ops;
    if (forward_rewind(a->f, e))
        return -1;
    ops->synchronize(a->r->k);
    int64_t start = native_now(NULL);
    if (forward_step(a->f, e))
        return -1;
    ops->synchronize(a->r->k);
    *out = native_now(NULL) - start;
    return native_check(a, e);
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

/* Cuts the prompts to the preset's spread of lengths; how many tokens are left. */
static int64_t spread_lengths(struct runner_arm *a, int32_t *ids)
{
    int64_t from = 0, to = 0;
    for (int s = 0; s < a->batch; s++) {
        int n = a->workload == WORKLOAD_PERPLEXITY ? a->seq
                                                   : model_prompt_tokens(a->seq, a->shortest, a->batch, s);
        n = n < a->lengths[s] ? n : a->lengths[s];
        memmove(ids + to, ids + from, (size_t)n * sizeof *ids);
        from += a->lengths[s];
        to += n;
        a->lengths[s] = n;
    }
    return to;
}

/* The ids of the prompts, packed; their lengths and their hash. Caller frees. */
static int32_t *read_prompts(struct runner_arm *a, struct error *e)
{
    int64_t most = (int64_t)a->batch * a->seq, tokens = 0;
    int32_t *ids = malloc((size_t)most * sizeof *ids);
    a->lengths = malloc((size_t)a->batch * sizeof *a->lengths);
    a->fixed = malloc((size_t)a->batch * sizeof *a->fixed);
    if (!ids || !a->lengths || !a->fixed) {
        error_set(e, ERROR_MEMORY, "no memory for %lld token ids: choose a smaller batch or sequence",
                  (long long)most);
        free(ids);
        return NULL;
    }
    bool ragged = a->workload == WORKLOAD_GENERATE;
    int failed = ragged ? inputs_prompts(a->in, a->batch, a->seq, ids, a->lengths, e)
                        : inputs_windows(a->in, 0, a->batch, a->seq, ids, e);
    if (failed) {
        free(ids);
        return NULL;
    }
    for (int s = 0; s < a->batch && !ragged; s++)
        a->lengths[s] = a->seq;
    tokens = spread_lengths(a, ids);
    inputs_random(~a->seed, a->batch, a->model.vocab, a->fixed);
    a->input_hash = inputs_hash(inputs_hash(HASH_START, ids, tokens), a->fixed, a->batch);
    return ids;
}

int native_load_prompts(struct runner_arm *a, struct error *e)
{
    int32_t *ids = malloc((size_t)a->batch * (size_t)a->seq * sizeof *ids);
    int failed = ids ? inputs_windows(a->in, 0, a->batch, a->seq, ids, e) || forward_load(a->f, ids, e)
                     : error_set(e, ERROR_MEMORY, "no memory for token ids: close other programs");
    free(ids);
    return failed ? -1 : 0;
}

static int make_sampler(struct runner_arm *a, struct error *e)
{
    if (a->workload != WORKLOAD_GENERATE || sampler_is_greedy(&a->sampling))
        return 0;
    a->sampler = sampler_new(&a->sampling, a->model.vocab, e);
    a->logits = malloc((size_t)a->batch * (size_t)a->model.vocab * sizeof *a->logits);
    a->chosen = malloc((size_t)a->batch * sizeof *a->chosen);
    if (a->sampler && (!a->logits || !a->chosen))
        return error_set(e, ERROR_MEMORY, "no memory to sample for a batch of %d: choose a smaller one",
                         a->batch);
    return a->sampler ? 0 : -1;
}

/* Buffers, events, for decode the filled cache, and the first launches of a recorded step. */
static int fill_arm(struct runner_arm *a, struct forward_shape *shape, const struct runner_watch *w,
                    struct error *e)
{
    int32_t *ids = read_prompts(a, e);
    if (!ids)
        return -1;
    shape->lengths = a->lengths;
    shape->length = 0;
    for (int s = 0; s < a->batch; s++)
        shape->length = a->lengths[s] > shape->length ? a->lengths[s] : shape->length;
    a->f = forward_create(a->r->k, a->w, shape, ids, e);
    free(ids);
    if (!a->f || make_sampler(a, e) || make_events(a, e) || forward_count(a->f, e))
        return -1;
    int failed = 0;
    if (a->workload == WORKLOAD_DECODE) {
        native_watch(a, w, true);
        /* rewound at once: what the prompt left must be kept before the first step, whoever asks for it */
        failed = forward_prefill(a->f, e) || forward_rewind(a->f, e) ? -1 : 0;
        native_watch(a, NULL, false);
    }
    a->r->k->ops->synchronize(a->r->k);
    return failed || native_check(a, e) || time_replays(a, e) ? -1 : 0;
}

/* A text must have a window to be judged on. */
static int check_window(struct runner_arm *a, struct error *e)
{
    int64_t windows = a->workload == WORKLOAD_PERPLEXITY ? inputs_count(a->in, a->seq, 1, e) : 1;
    if (windows < 0)
        return -1;
    if (windows > 0)
        return 0;
    return error_set(e, ERROR_FAILED,
                     "%s has %lld tokens, a window takes %d: choose a smaller seq or a longer text",
                     inputs_source(a->in), (long long)inputs_tokens(a->in, a->seq, e), a->seq);
}

static int open_inputs(struct runner_arm *a, const struct runner_request *q, struct error *e)
{
    struct inputs_request asked = {.model = q->model,
                                   .vocabulary = q->implementation->vocabulary,
                                   .text = q->text,
                                   .texts = q->texts,
                                   .seed = q->seed,
                                   .rows = a->model.vocab};
    bool words = q->workload == WORKLOAD_TOKENIZE || q->workload == WORKLOAD_PERPLEXITY;
    if (words && !(q->text && q->text[0]))
        return error_set(e, ERROR_USAGE, "%s needs a text: name one with --text",
                         workload_names[q->workload]);
    a->in = inputs_open(&asked, e);
    bool whole = q->workload == WORKLOAD_TOKENIZE;
    return !a->in || check_window(a, e) || inputs_figures(a->in, whole, &a->text, e) ? -1 : 0;
}

static void drop_weights(struct native *r)
{
    for (int n = 0; n < NATIVE_WEIGHTS_KEPT; n++)
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

static struct runner_arm *new_arm(struct native *r, const struct runner_request *q,
                                  const struct model_spec *runs, struct error *e)
{
    struct runner_arm *a = calloc(1, sizeof *a);
    if (!a) {
        error_set(e, ERROR_MEMORY, "no memory to prepare %s: close other programs", q->model->name);
        return NULL;
    }
    a->r = r;
    r->arms++;
    a->model = *runs;
    a->implementation = *q->implementation;
    a->workload = q->workload;
    a->batch = q->batch;
    a->seq = q->seq;
    a->tokens = q->tokens;
    a->shortest = q->shortest;
    a->seed = q->seed;
    a->sampling = q->sampling;
    a->quality_tokens = q->quality_tokens;
    return a;
}

/* The host's work: neither weights nor device. */
static struct runner_arm *prepare_tokenize(struct native *r, const struct runner_request *q, struct error *e)
{
    struct runner_arm *a = new_arm(r, q, q->model, e);
    if (a && open_inputs(a, q, e)) {
        release(a);
        return NULL;
    }
    if (a)
        native_read_memory(a);
    return a;
}

static struct runner_arm *prepare(struct runner *base, const struct runner_request *q,
                                  const struct runner_watch *w, int64_t *load_ns, struct error *e)
{
    struct native *r = (struct native *)base;
    struct forward_shape shape;
    struct forward_sizes sizes;
    struct model_spec runs; /* the model with the arm's vocabulary */
    *load_ns = 0;
    if (native_supports(r->device, q->model, q->implementation, q->workload, e))
        return NULL;
    if (q->workload == WORKLOAD_TOKENIZE)
        return prepare_tokenize(r, q, e);
    if (vocabulary_model(q->model, q->implementation->vocabulary, &runs, e) ||
        native_shape(&runs, q->implementation, q->workload, q->batch, q->seq, q->tokens, q->samples_max,
                     &shape, e) ||
        open_again(r, e))
        return NULL;
    shape.keep_logits = q->workload == WORKLOAD_GENERATE && !sampler_is_greedy(&q->sampling);
    forward_sizes(r->k, &shape, &sizes);
    drop_other_models(r, q);
    if (check_room(r, q, &sizes, e))
        return NULL;
    struct runner_arm *a = new_arm(r, q, &runs, e);
    if (!a)
        return NULL;
    a->steps = shape.steps;
    a->sizes = sizes;
    if (open_inputs(a, q, e) == 0)
        a->w = find_weights(r, q, w, load_ns, e);
    if (!a->w || fill_arm(a, &shape, w, e)) {
        r->broken = r->broken || r->k->ops->error(r->k) != NULL;
        release(a);
        return NULL;
    }
    native_read_memory(a);
    return a;
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
    if (!a->f) {
        *out = (struct memory_use){.overhead = program, .average = program, .peak = a->program_peak};
        return;
    }
    *out = (struct memory_use){
        .weights = a->w->bytes,
        .page_in_ns = a->w->page_in_ns,
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

static void text(struct runner_arm *a, struct text_figures *out)
{
    *out = a->text;
}

/* Each prompt counts by its own length. */
static void work(struct runner_arm *a, struct model_work *out)
{
    if (!a->f)
        *out = (struct model_work){.tokens = a->text.tokens};
    else
        *out = model_work_lengths(&a->model, &a->implementation, a->workload, a->batch, a->seq, a->tokens,
                                  a->lengths);
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
    .now_ns = native_now,
    .prepare = prepare,
    .reset = native_reset,
    .run_block = native_run_block,
    .output = native_output,
    .quality = native_quality,
    .responses = native_responses,
    .text = text,
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
