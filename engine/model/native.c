#include "engine/model/native.h"

#include "engine/device_file.h"
#include "engine/model/forward.h"
#include "engine/model/gguf_model.h"
#include "engine/model/vocabulary.h"
#include "engine/nvml.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PERPLEXITY_LEAST = 4 }; /* tokens of a window */

bool native_is_cuda(const char *device)
{
    return strncmp(device, "cuda", 4) == 0 && (device[4] == '\0' || device[4] == ':');
}

/* What the backends have no kernels for. */
static int axis_known(const struct model_spec *m, const struct implementation *i, struct error *e)
{
    if (i->attention == ATTENTION_FLASH3)
        return error_set(e, ERROR_UNSUPPORTED,
                         "flash3 attention has no kernels here: choose attention flash");
    if (i->attention == ATTENTION_RING)
        return error_set(e, ERROR_UNSUPPORTED, "ring attention needs several GPUs: choose attention flash");
    if (i->launch == LAUNCH_PERSISTENT)
        return error_set(e, ERROR_UNSUPPORTED,
                         "persistent launch has no kernels here: choose launch eager, or graph on cuda");
    if (i->precision == PRECISION_STORED && !m->file[0])
        return error_set(
            e, ERROR_UNSUPPORTED,
            "precision stored takes the types of a model's file, and a catalog's model has none: "
            "choose bf16, q8_0 or q4_k");
    return 0;
}

/* Weights that integers can be multiplied with: of the precision, or of any product of the model's file. */
static bool has_integers(const struct model_spec *m, enum precision_kind precision)
{
    if (precision != PRECISION_STORED)
        return kernel_is_integers(weights_dtype(precision));
    for (int t = 0; t < KERNEL_DTYPES; t++) {
        const struct gguf_type *type = gguf_model_type((enum kernel_dtype)t);
        if (type && m->stored.types & UINT32_C(1) << type->id && kernel_is_integers((enum kernel_dtype)t))
            return true;
    }
    return false;
}

/* Whether any product can read inputs of 8 bits. */
static int activations_known(const struct model_spec *m, const struct implementation *i, bool cpu,
                             struct error *e)
{
    if (i->activations != ACTIVATIONS_INT8)
        return 0;
    if (i->sparsity > 0)
        return error_set(
            e, ERROR_UNSUPPORTED,
            "sparse products multiply the listed inputs as they are: choose activations full, or "
            "sparsity 0");
    if (!cpu && i->precision != PRECISION_INT8)
        return error_set(e, ERROR_UNSUPPORTED,
                         "this GPU's products multiply 8-bit inputs with int8 weights alone: choose "
                         "precision int8, or activations full");
    if (!has_integers(m, i->precision))
        return error_set(
            e, ERROR_UNSUPPORTED,
            "activations int8 multiplies integers, and no product here has weights of any: choose "
            "precision int8, q8_0, q4_0, q4_k or q6_k, or activations full");
    return 0;
}

/* Weights by input channel, rotated: which models and types there are. */
static int sparsity_known(const struct model_spec *m, const struct implementation *i, struct error *e)
{
    if (i->sparsity <= 0)
        return 0;
    if (m->family != MODEL_LLAMA)
        return error_set(e, ERROR_UNSUPPORTED,
                         "%s is no llama, whose layers alone are rotated for sparse activations: choose "
                         "sparsity 0",
                         m->name);
    if (i->precision != PRECISION_FP32 && i->precision != PRECISION_FP16 && i->precision != PRECISION_BF16 &&
        i->precision != PRECISION_INT8)
        return error_set(e, ERROR_UNSUPPORTED,
                         "sparse activations read weights by input channel, which blocks of several have "
                         "not: choose precision fp32, fp16, bf16 or int8");
    return 0;
}

/* Whether the model can run with it: refused here, so that a plan tells it before anything is made. */
static int vocabulary_known(const struct model_spec *m, const struct implementation *i, struct error *e)
{
    struct model_spec runs;
    struct error why = {0};
    return vocabulary_model(m, i->vocabulary, &runs, &why) == 0
               ? 0
               : error_set(e, why.kind == ERROR_MEMORY ? ERROR_MEMORY : ERROR_UNSUPPORTED, "%s", why.text);
}

static int axis_on_cpu(const struct implementation *i, struct error *e)
{
    if (i->launch == LAUNCH_GRAPH)
        return error_set(e, ERROR_UNSUPPORTED, "graph launch needs cuda: choose launch eager");
    return 0;
}

static int mamba_supports(const struct model_spec *m, const struct implementation *i, struct error *e)
{
    if (m->mamba.state > KERNEL_SSM_STATES)
        return error_set(e, ERROR_UNSUPPORTED,
                         "%s has %d states per channel, the scan holds at most %d: choose another model",
                         m->name, m->mamba.state, KERNEL_SSM_STATES);
    if (m->mamba.conv < 2 || m->mamba.conv > KERNEL_SSM_TAPS)
        return error_set(e, ERROR_UNSUPPORTED, "%s convolves %d tokens, 2 to %d can be: choose another model",
                         m->name, m->mamba.conv, KERNEL_SSM_TAPS);
    if (i->kv_cache != KV_CACHE_CONTIGUOUS)
        return error_set(e, ERROR_UNSUPPORTED,
                         "%s keeps states of constant size, no keys and values that pages could hold: choose "
                         "kv_cache contiguous",
                         m->name);
    return 0;
}

int native_supports(const char *device, const struct model_spec *m, const struct implementation *i,
                    enum workload w, struct error *e)
{
    bool cpu = strcmp(device, "cpu") == 0;
    if (!cpu && !native_is_cuda(device))
        return error_set(e, ERROR_UNSUPPORTED, "the engine has no backend for device %s: choose cpu or cuda",
                         device);
    if (w == WORKLOAD_TOKENIZE) /* runs no model: what a model cannot do is no matter */
        return vocabulary_known(m, i, e);
    if (m->family == MODEL_MAMBA && mamba_supports(m, i, e))
        return -1;
    if (m->family == MODEL_BERT && w != WORKLOAD_PREFILL)
        return error_set(e, ERROR_UNSUPPORTED,
                         "%s is an encoder and generates no tokens: choose workload prefill", m->name);
    return axis_known(m, i, e) || vocabulary_known(m, i, e) || sparsity_known(m, i, e) ||
                   model_holds(m, i->precision, e) || (cpu && axis_on_cpu(i, e)) ||
                   activations_known(m, i, cpu, e)
               ? -1
               : 0;
}

void native_note(const struct model_spec *m, const struct implementation *i, char *out, size_t size)
{
    bool stored = i->precision == PRECISION_STORED;
    int qkv = stored && i->fusion & FUSION_QKV ? m->stored.split_qkv : 0;
    int gate_up = stored && i->fusion & FUSION_GATE_UP ? m->stored.split_gate_up : 0;
    int used = 0;
    out[0] = '\0';
    if (qkv > 0)
        used = snprintf(out, size,
                        "fusion qkv is left out in %d of %d layers, whose q, k and v the file keeps in "
                        "different types",
                        qkv, m->layers);
    if (gate_up > 0 && used >= 0 && (size_t)used < size)
        snprintf(out + used, size - (size_t)used,
                 "%sfusion gate_up is left out in %d of %d layers, whose gate and up have different types",
                 used ? "; " : "", gate_up, m->layers);
}

int native_shape(const struct model_spec *m, const struct implementation *i, enum workload w, int batch,
                 int seq, int tokens, int samples, struct forward_shape *out, struct error *e)
{
    int steps = w == WORKLOAD_DECODE ? samples : w == WORKLOAD_GENERATE ? tokens : 0;
    int least = w == WORKLOAD_PREFILL || w == WORKLOAD_PERPLEXITY ? 0 : w == WORKLOAD_GENERATE ? tokens : 1;
    if (w == WORKLOAD_PERPLEXITY && seq < PERPLEXITY_LEAST)
        return error_set(e, ERROR_UNSUPPORTED,
                         "a window of %d tokens leaves none to score: choose a seq of at least %d", seq,
                         PERPLEXITY_LEAST);
    if (batch < 1 || seq < 1 || least < 0)
        return error_set(e, ERROR_UNSUPPORTED,
                         "batch %d with sequences of %d cannot run: choose at least 1 of each", batch, seq);
    /* a state-space model is told no context: its state holds any */
    int context = m->context > 0 || m->family != MODEL_MAMBA ? m->context : INT32_MAX / 2;
    if ((int64_t)seq + least > context)
        return error_set(e, ERROR_UNSUPPORTED,
                         "%s holds %d tokens, %s of %d needs %lld: choose a sequence of at most %d", m->name,
                         context, workload_names[w], seq, (long long)seq + least,
                         context - least > 0 ? context - least : 0);
    if (steps > context - seq)
        steps = context - seq;
    *out = (struct forward_shape){
        .model = m,
        .implementation = i,
        .sequences = batch,
        .length = seq,
        .steps = steps < least ? least : steps,
        .all_rows = w == WORKLOAD_PERPLEXITY,
    };
    return 0;
}

int64_t native_program_bytes(int64_t allocated)
{
    long long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    if (fscanf(f, "%lld %lld", &size, &resident) != 2)
        resident = 0;
    fclose(f);
    int64_t bytes = resident * sysconf(_SC_PAGESIZE) - allocated;
    return bytes > 0 ? bytes : 0;
}

/* ---- opening ---- */

enum { GPUS_MAX = 32 };
static struct {
    pthread_mutex_t lock;
    bool known[GPUS_MAX];
    int64_t others[GPUS_MAX]; /* bytes in use before this process made a context */
} before = {.lock = PTHREAD_MUTEX_INITIALIZER};

static int gpu_index(const char *device)
{
    long index = device[4] == ':' ? strtol(device + 5, NULL, 10) : 0;
    return index >= 0 && index < GPUS_MAX ? (int)index : 0;
}

/* Without NVML what others hold counts as ours: the driver alone does not tell them apart. */
static void remember_others(const char *device)
{
    struct kernel_device gpu[GPUS_MAX];
    char why[192];
    int index = gpu_index(device);
    pthread_mutex_lock(&before.lock);
    if (!before.known[index] && kernels_devices(gpu, GPUS_MAX, why, sizeof why) > index) {
        struct nvml_reading r;
        struct nvml *n = nvml_open(gpu[index].uuid, why, sizeof why);
        if (n) {
            nvml_read(n, &r);
            before.others[index] = r.valid & NVML_MEMORY ? r.memory_used : 0;
            nvml_close(n);
        }
    }
    before.known[index] = true;
    pthread_mutex_unlock(&before.lock);
}

struct kernels *native_open(const char *device, int threads, struct error *e)
{
    char why[256] = "";
    struct kernels_config config = {threads, "auto", "auto"};
    bool gpu = native_is_cuda(device);
    if (!gpu && strcmp(device, "cpu") != 0) {
        error_set(e, ERROR_UNSUPPORTED, "the engine has no backend for device %s: choose cpu or cuda",
                  device);
        return NULL;
    }
    if (gpu)
        remember_others(device);
    struct kernels *k = kernels_open(device, &config, why, sizeof why);
    if (!k)
        error_set(e, ERROR_FAILED, "%s does not open (%s): see `benchtop doctor`", device, why);
    return k;
}

int64_t native_held_bytes(const char *device, const struct kernels *k)
{
    struct kernel_memory m;
    if (!native_is_cuda(device))
        return native_program_bytes((int64_t)k->ops->allocated(k));
    k->ops->memory(k, &m);
    if (m.available == INT64_MAX || m.total == INT64_MAX)
        return 0;
    pthread_mutex_lock(&before.lock);
    int64_t others = before.others[gpu_index(device)];
    pthread_mutex_unlock(&before.lock);
    int64_t held = m.total - m.available - others - m.allocated;
    return held > 0 ? held : 0;
}

int64_t native_free_bytes(const char *device, const struct kernels *k)
{
    struct kernel_memory m;
    if (native_is_cuda(device)) {
        k->ops->memory(k, &m);
        return m.available;
    }
    int64_t available = 0;
    return device_file_memory(&available) > 0 ? available : INT64_MAX;
}

/* ---- predictions ---- */

/* An opened backend to ask for workspace sizes, kept because the Setup screen asks at every key press. */
static struct {
    pthread_mutex_t lock;
    struct kernels *k;
    char device[32];
    int threads;
    int64_t program;
} adviser = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void close_adviser(void)
{
    if (adviser.k)
        adviser.k->ops->close(adviser.k);
    adviser.k = NULL;
}

static int open_adviser(const char *device, int threads, struct error *e)
{
    bool same_device = strcmp(adviser.device, device) == 0;
    if (adviser.k && same_device && adviser.threads == threads)
        return 0;
    if (!same_device)
        close_adviser();
    struct kernels *k = native_open(device, threads, e);
    if (!k)
        return -1;
    if (!adviser.k || native_is_cuda(device))
        adviser.program = native_held_bytes(device, k);
    close_adviser();
    adviser.k = k;
    adviser.threads = threads;
    snprintf(adviser.device, sizeof adviser.device, "%s", device);
    return 0;
}

void native_forget(void)
{
    pthread_mutex_lock(&adviser.lock);
    close_adviser();
    pthread_mutex_unlock(&adviser.lock);
}

int native_memory(const char *device, int threads, int64_t *available, int64_t *program, struct error *e)
{
    pthread_mutex_lock(&adviser.lock);
    int failed = open_adviser(device, threads, e);
    if (!failed) {
        *available = native_free_bytes(device, adviser.k);
        *program = adviser.program;
    }
    pthread_mutex_unlock(&adviser.lock);
    return failed;
}

int native_predict_memory(const char *device, const struct model_spec *m, const struct implementation *i,
                          enum workload w, int batch, int seq, int tokens, int samples, int threads,
                          struct memory_use *out, struct error *e)
{
    struct forward_shape shape;
    struct forward_sizes sizes;
    struct model_spec runs;
    if (w == WORKLOAD_TOKENIZE) { /* the program alone */
        int64_t unused;
        *out = (struct memory_use){0};
        if (native_supports(device, m, i, w, e) || native_memory(device, threads, &unused, &out->overhead, e))
            return -1;
        out->peak = out->average = out->overhead;
        return 0;
    }
    struct weights_request request = weights_request_of(m, i, 0);
    if (native_supports(device, m, i, w, e) || vocabulary_model(m, i->vocabulary, &runs, e) ||
        native_shape(&runs, i, w, batch, seq, tokens, samples, &shape, e))
        return -1;
    pthread_mutex_lock(&adviser.lock);
    int failed = open_adviser(device, threads, e);
    int64_t program = adviser.program;
    if (!failed)
        forward_sizes(adviser.k, &shape, &sizes);
    pthread_mutex_unlock(&adviser.lock);
    if (failed)
        return -1;
    *out = (struct memory_use){
        .weights = weights_bytes(&request),
        .activations = sizes.activations,
        .kv_cache = sizes.kv_cache,
        .overhead = sizes.overhead + program,
        .kv_used = m->family == MODEL_MAMBA /* a state is whole from the first token on */
                       ? sizes.kv_cache
                       : (int64_t)batch * (seq + shape.steps) * model_kv_bytes_per_token(m, i->precision),
    };
    out->peak = out->average = out->weights + out->activations + out->kv_cache + out->overhead;
    return 0;
}
