/* Opening the CUDA backend, what it says of itself, its failures, and its table. */
#include "kernels/cuda/host.h"

#include "kernels/cuda/product.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BENCHTOP_EMULATED
static const bool emulated = true;
#else
static const bool emulated = false;
#endif

/* Rows of a prompt that fill every tensor core of a large GPU many times over: more at once gain nothing. */
enum { PIECE_ROWS = 8192, SPARSE_ROWS = 4 };

/* ---- failures ---- */

static void remember(struct cuda *c, const char *text, const char *where)
{
    struct cuda_private *own = c->own;
    pthread_mutex_lock(&own->failing);
    if (!atomic_load(&own->failed)) {
        snprintf(own->why, sizeof own->why, "%s%s%s", text, where ? " in " : "", where ? where : "");
        atomic_store(&own->failed, true);
    }
    pthread_mutex_unlock(&own->failing);
}

void cuda_check(struct cuda *c, cudaError_t status, const char *what)
{
    if (status == cudaSuccess) {
        c->own->last = what;
        return;
    }
    (void)cudaGetLastError(); /* told here; a sticky one comes again */
    remember(c, cudaGetErrorString(status), what);
}

void cuda_fail(struct cuda *c, const char *what)
{
    remember(c, what, NULL);
}

bool cuda_refuse_in_capture(struct cuda *c, const char *what)
{
    if (c->own->capturing)
        remember(c, "a graph is being recorded and cannot hold it", what);
    return c->own->capturing;
}

void cuda_allow_shared(struct cuda *c, const void *kernel, size_t bytes)
{
    struct shared_limit *known = c->own->shared;
    size_t at = ((uintptr_t)kernel >> 4) % SHARED_SLOTS, tried = 0;
    while (tried < SHARED_SLOTS && known[at].kernel && known[at].kernel != kernel) {
        at = (at + 1) % SHARED_SLOTS;
        tried++;
    }
    bool kept = tried < SHARED_SLOTS;
    if (kept && known[at].kernel == kernel && known[at].bytes >= bytes)
        return;
    cudaError_t status =
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)bytes);
    cuda_check(c, status, "shared memory for a kernel");
    if (kept && status == cudaSuccess)
        known[at] = (struct shared_limit){kernel, bytes};
}

static const char *cuda_error(const struct kernels *k)
{
    struct cuda_private *own = cuda_of(k)->own;
    return atomic_load(&own->failed) ? own->why : NULL;
}

/* ---- what it is ---- */

static void cuda_info(const struct kernels *k, struct kernels_info *out)
{
    const struct cuda *c = cuda_of(k);
    *out = (struct kernels_info){.backend = "cuda", .emulated = emulated, .threads = 1};
    snprintf(out->simd, sizeof out->simd, "sm_%d%d, %d SMs", c->major, c->minor, c->multiprocessors);
    snprintf(out->product, sizeof out->product, "%s", c->own->product);
    snprintf(out->product_why, sizeof out->product_why, "%s", c->own->product_why);
    snprintf(out->affinity, sizeof out->affinity, "waits by spinning; modules loaded %s; launches %s",
             c->own->modules_at_once ? "at open" : "when first used", c->overlap ? "overlap" : "in turn");
}

static struct kernels *cuda_view(struct kernels *k, enum kernel_dtype activation)
{
    return activation <= KERNEL_BF16 ? &cuda_of(k)->view[activation].base : NULL;
}

struct cublaslt *cuda_library(const struct cuda *c)
{
    return c->own->library;
}

static void cuda_close(struct kernels *k);

static const struct kernel_ops cuda_ops = {
    .close = cuda_close,
    .info = cuda_info,
    .view = cuda_view,
    .error = cuda_error,
    .alloc = cuda_alloc,
    .free = cuda_free,
    .allocated = cuda_allocated,
    .memory = cuda_memory,
    .upload = cuda_upload,
    .download = cuda_download,
    .synchronize = cuda_synchronize,
    .event_create = cuda_event_create,
    .event_destroy = cuda_event_destroy,
    .event_record = cuda_event_record,
    .event_span_ns = cuda_event_span_ns,
    .page_bytes = cuda_page_bytes,
    .reserve = cuda_reserve,
    .map = cuda_map,
    .unmap = cuda_unmap,
    .unreserve = cuda_unreserve,
    .graph_begin = cuda_graph_begin,
    .graph_end = cuda_graph_end,
    .graph_launch = cuda_graph_launch,
    .graph_destroy = cuda_graph_destroy,
    .generate = cuda_generate,
    .read_matrix = cuda_read_matrix,
    .write_matrix = cuda_write_matrix,
    .embed = cuda_embed,
    .norm = cuda_norm,
    .add_norm = cuda_add_norm,
    .product = cuda_product,
    .product_workspace = cuda_product_workspace,
    .gate_up = cuda_gate_up,
    .gate_up_workspace = cuda_gate_up_workspace,
    .head_argmax = cuda_head_argmax,
    .head_argmax_workspace = cuda_head_argmax_workspace,
    .top_k = cuda_top_k,
    .mask_top_k = cuda_mask_top_k,
    .sparse_product = cuda_sparse_product,
    .sparse_product_workspace = cuda_sparse_product_workspace,
    .sparse_gate_up = cuda_sparse_gate_up,
    .add = cuda_add,
    .add_bias = cuda_add_bias,
    .activate = cuda_activate,
    .multiply_silu = cuda_multiply_silu,
    .argmax = cuda_argmax,
    .gather_rows = cuda_gather_rows,
    .rope = cuda_rope,
    .cache_write = cuda_cache_write,
    .rope_cache = cuda_rope_cache,
    .attention_naive = cuda_attention_naive,
    .attention_naive_workspace = cuda_attention_naive_workspace,
    .attention_flash = cuda_attention_flash,
    .attention_flash_workspace = cuda_attention_flash_workspace,
    .ssm_conv = cuda_ssm_conv,
    .ssm_softplus = cuda_ssm_softplus,
    .ssm_gate = cuda_ssm_gate,
    .ssm_naive = cuda_ssm_naive,
    .ssm_naive_workspace = cuda_ssm_naive_workspace,
    .ssm_scan = cuda_ssm_scan,
    .ssm_scan_workspace = cuda_ssm_scan_workspace,
    .copy = cuda_copy,
    .advance = cuda_advance,
    .measure_read = cuda_measure_read,
    .measure_copy = cuda_measure_copy,
};

/* ---- open and close ---- */

/* Tolerates a half-opened backend. A context that a fault broke refuses everything: nothing is reported here.
 */
static void destroy(struct cuda *c)
{
    cudaError_t state = cudaSuccess;
    if (c->stream) {
        cudaSetDevice(c->index);
        state = cudaStreamSynchronize(c->stream);
    }
    cublaslt_close(c->own->library);
    cuda_space_close(c);
    cuda_memory_close(c);
    if (c->stream)
        cudaStreamDestroy(c->stream);
    if (state != cudaSuccess) /* a fault stays with its context: the next open gets a new one */
        cudaDeviceReset();
    (void)cudaGetLastError();
    pthread_mutex_destroy(&c->own->failing);
    pthread_mutex_destroy(&c->own->space.lock);
    free(c->own);
    free(c);
}

static void cuda_close(struct kernels *k)
{
    if (k)
        destroy(cuda_of(k));
}

static int open_library(struct cuda *c, const char *wanted, char *why, size_t why_size)
{
    struct cuda_private *own = c->own;
    char version[40] = "";
    bool any = !wanted || strcmp(wanted, "auto") == 0, named = wanted && strcmp(wanted, "cublaslt") == 0;
    if (!any && !named && strcmp(wanted, "own") != 0) {
        snprintf(why, why_size, "the cuda backend has no product library %s: choose auto, cublaslt or own",
                 wanted);
        return -1;
    }
    if (any || named)
        own->library = cublaslt_open(version, sizeof version, own->product_why, sizeof own->product_why);
    if (named && !own->library) {
        snprintf(why, why_size, "%s", own->product_why);
        return -1;
    }
    if (own->library)
        snprintf(own->product, sizeof own->product, "cuBLASLt %s; few rows: own GEMV", version);
    else
        snprintf(own->product, sizeof own->product, "own GEMV and tensor-core GEMM");
    return 0;
}

/* Overlapping launches need sm_90, and CUDA 12.3 to be recorded in a graph (its programmatic edges).
 * BENCHTOP_OVERLAP=0 turns them off: to see what they are worth, and to rule them out. */
static bool launches_overlap(const struct cuda *c)
{
    enum { PROGRAMMATIC_EDGES_SINCE = 12030 };
    const char *wanted = getenv("BENCHTOP_OVERLAP");
    int driver = 0, runtime = 0;
    cudaDriverGetVersion(&driver);
    cudaRuntimeGetVersion(&runtime);
    return c->major >= 9 && driver >= PROGRAMMATIC_EDGES_SINCE && runtime >= PROGRAMMATIC_EDGES_SINCE &&
           !(wanted && strcmp(wanted, "0") == 0);
}

/* The device's numbers; that this build has kernels for it shows in the first memset and launch. */
static int describe(struct cuda *c, char *why, size_t why_size)
{
    struct cudaDeviceProp p;
    cudaError_t status = cudaGetDeviceProperties(&p, c->index);
    if (status != cudaSuccess) {
        snprintf(why, why_size, "cuda:%d does not answer (%s): nvidia-smi may say more", c->index,
                 cudaGetErrorString(status));
        return -1;
    }
    c->major = p.major;
    c->minor = p.minor;
    c->multiprocessors = p.multiProcessorCount;
    c->shared_limit = p.sharedMemPerBlockOptin;
    c->l2_bytes = p.l2CacheSize;
    c->overlap = launches_overlap(c);
    if (p.major < 8) {
        snprintf(why, why_size,
                 "cuda:%d (%.60s) is sm_%d%d: bf16 and asynchronous copies need sm_80 or newer", c->index,
                 p.name, p.major, p.minor);
        return -1;
    }
    return 0;
}

/* Spinning, because the host clock stops at the end of synchronize: a blocked thread wakes tens of
 * microseconds late, as long as a small kernel. A run uses one core anyway. */
static int start(struct cuda *c, char *why, size_t why_size)
{
    cudaError_t status = cudaInitDevice(c->index, cudaDeviceScheduleSpin, cudaInitDeviceFlagsAreValid);
    if (status == cudaSuccess)
        status = cudaSetDevice(c->index);
    if (status == cudaSuccess)
        status = cudaStreamCreateWithFlags(&c->stream, cudaStreamNonBlocking);
    if (status != cudaSuccess) {
        (void)cudaGetLastError();
        snprintf(why, why_size, "cuda:%d cannot be used (%s): %s", c->index, cudaGetErrorString(status),
                 status == cudaErrorMemoryAllocation
                     ? "another process holds its memory, nvidia-smi lists them"
                     : "nvidia-smi may say more");
        return -1;
    }
    return 0;
}

/* One stream, so that nothing but order says what sees what; `context` is taken last, when everything that
 * comes with the context is there. */
struct kernels *kernels_open_cuda(int index, const struct kernels_config *config, char *why, size_t why_size)
{
    int count = cuda_count_devices(why, why_size);
    if (count == 0)
        return NULL;
    if (index < 0 || index >= count) {
        snprintf(why, why_size, "there is no cuda:%d: this machine has %d GPU%s, cuda:0%s", index, count,
                 count == 1 ? "" : "s", count == 1 ? "" : " and up");
        return NULL;
    }
    struct cuda *c = calloc(1, sizeof *c);
    struct cuda_private *own = calloc(1, sizeof *own);
    if (!c || !own) {
        free(c);
        free(own);
        snprintf(why, why_size, "no memory for the cuda backend: close other programs");
        return NULL;
    }
    c->own = own;
    c->index = index;
    pthread_mutex_init(&own->failing, NULL);
    pthread_mutex_init(&own->space.lock, NULL);
    own->ops = cuda_ops;
    own->modules_at_once = cuda_modules_at_once();
    for (int i = 0; i <= KERNEL_BF16; i++)
        c->view[i] = (struct cuda_view){{.ops = &own->ops,
                                         .activation = (enum kernel_dtype)i,
                                         .piece_rows = PIECE_ROWS,
                                         .sparse_rows = SPARSE_ROWS},
                                        c};
    if (describe(c, why, why_size) != 0 || start(c, why, why_size) != 0 ||
        cuda_memory_open(c, why, why_size) != 0 || open_library(c, config->product, why, why_size) != 0) {
        destroy(c);
        return NULL;
    }
    cuda_space_open(c);
    size_t available = 0, total = 0;
    cuda_verify(c, cudaMemGetInfo(&available, &total), "open");
    own->context = (int64_t)(total - available);
    if (!own->space.there) {
        own->ops.page_bytes = NULL;
        own->ops.reserve = NULL;
        own->ops.map = NULL;
        own->ops.unmap = NULL;
        own->ops.unreserve = NULL;
    }
    return &c->view[KERNEL_FP32].base;
}
