/* cuBLASLt, opened at run time: a machine without the library starts all the same and multiplies by our own
 * tiles. The few types, values and signatures used stand here in our own words, as the library's reference
 * manual gives them ("cuBLAS Library", section 3, "Using the cuBLASLt API"); they are the same in versions
 * 11, 12 and 13, so that neither header nor library is needed to build (where the header is, they are
 * compared).
 *
 * The library counts columns first. Our row-major out [rows, n] = x [rows, cols] W [n, cols]^T is its
 * column-major D [n, rows] = A^T B with A = W seen as [cols, n] (leading dimension cols) and B = x seen as
 * [cols, rows] (x_stride). A transposed, B not: the form every tensor-core kernel takes.
 *
 * What a shape needs (descriptors, the algorithm its heuristic ranks first) is made at its first call and
 * kept in a table of SLOTS; later calls only fill in pointers. A refusal is kept too. */
#include "kernels/cuda/product.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 15, INVALID_VALUE = 7 };             /* cublasStatus_t */
enum { R_32F = 0, R_16F = 2, R_8I = 3, R_32I = 10, R_16BF = 14 };        /* cudaDataType_t */
enum { COMPUTE_32F = 68, COMPUTE_32I = 72 };                             /* cublasComputeType_t */
enum { OPERATION_T = 1 };                                                /* cublasOperation_t */
enum { DESC_TRANSPOSE_A = 3, DESC_EPILOGUE = 7, DESC_BIAS_POINTER = 8 }; /* ...MatmulDescAttributes_t */
enum { EPILOGUE_DEFAULT = 1, EPILOGUE_BIAS = 4, EPILOGUE_GELU = 32 };    /* cublasLtEpilogue_t, or'ed */
enum { PREFER_WORKSPACE_BYTES = 1, PREFER_ALIGNMENT_A = 5, PREFER_ALIGNMENT_D = 8 }; /* A, B, C, D */

struct algorithm { /* cublasLtMatmulAlgo_t */
    uint64_t data[8];
};
struct heuristic { /* cublasLtMatmulHeuristicResult_t */
    struct algorithm algorithm;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
};
_Static_assert(sizeof(struct heuristic) == 96, "the library writes results of 96 bytes");

#if !defined(BENCHTOP_EMULATED) && __has_include(<cublasLt.h>)
#include <cublasLt.h>
_Static_assert(sizeof(struct heuristic) == sizeof(cublasLtMatmulHeuristicResult_t) &&
                   offsetof(struct heuristic, state) == offsetof(cublasLtMatmulHeuristicResult_t, state) &&
                   sizeof(struct algorithm) == sizeof(cublasLtMatmulAlgo_t),
               "laid out as in cublasLt.h");
_Static_assert((int)SUCCESS == (int)CUBLAS_STATUS_SUCCESS &&
                   (int)NOT_SUPPORTED == (int)CUBLAS_STATUS_NOT_SUPPORTED &&
                   (int)INVALID_VALUE == (int)CUBLAS_STATUS_INVALID_VALUE && (int)R_32F == (int)CUDA_R_32F &&
                   (int)R_16F == (int)CUDA_R_16F && (int)R_8I == (int)CUDA_R_8I &&
                   (int)R_32I == (int)CUDA_R_32I && (int)R_16BF == (int)CUDA_R_16BF &&
                   (int)COMPUTE_32F == (int)CUBLAS_COMPUTE_32F &&
                   (int)COMPUTE_32I == (int)CUBLAS_COMPUTE_32I && (int)OPERATION_T == (int)CUBLAS_OP_T,
               "numbered as in cublasLt.h");
_Static_assert((int)DESC_TRANSPOSE_A == (int)CUBLASLT_MATMUL_DESC_TRANSA &&
                   (int)DESC_EPILOGUE == (int)CUBLASLT_MATMUL_DESC_EPILOGUE &&
                   (int)DESC_BIAS_POINTER == (int)CUBLASLT_MATMUL_DESC_BIAS_POINTER &&
                   (int)EPILOGUE_DEFAULT == (int)CUBLASLT_EPILOGUE_DEFAULT &&
                   (int)EPILOGUE_BIAS == (int)CUBLASLT_EPILOGUE_BIAS &&
                   (int)EPILOGUE_GELU == (int)CUBLASLT_EPILOGUE_GELU &&
                   (int)(EPILOGUE_GELU | EPILOGUE_BIAS) == (int)CUBLASLT_EPILOGUE_GELU_BIAS &&
                   (int)PREFER_WORKSPACE_BYTES == (int)CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES &&
                   (int)PREFER_ALIGNMENT_A == (int)CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES &&
                   (int)PREFER_ALIGNMENT_D == (int)CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
               "numbered as in cublasLt.h");
#endif

struct functions {
    int (*property)(int property, int *value); /* 0, 1, 2: major, minor, patch */
    int (*create)(void **handle);
    int (*destroy)(void *handle);
    int (*desc_create)(void **desc, int compute, int scale_type);
    int (*desc_destroy)(void *desc);
    int (*desc_set)(void *desc, int attribute, const void *value, size_t bytes);
    int (*layout_create)(void **layout, int type, uint64_t rows, uint64_t cols, int64_t leading);
    int (*layout_destroy)(void *layout);
    int (*preference_create)(void **preference);
    int (*preference_destroy)(void *preference);
    int (*preference_set)(void *preference, int attribute, const void *value, size_t bytes);
    int (*heuristic)(void *handle, void *desc, void *a, void *b, void *c, void *d, void *preference,
                     int wanted, struct heuristic *results, int *found);
    int (*matmul)(void *handle, void *desc, const void *alpha, const void *a, void *a_layout, const void *b,
                  void *b_layout, const void *beta, const void *c, void *c_layout, void *d, void *d_layout,
                  const struct algorithm *algorithm, void *workspace, size_t workspace_bytes,
                  cudaStream_t stream);
};

struct shape { /* no padding: compared and hashed as bytes */
    int64_t n, cols, x_stride, out_stride;
    int32_t rows, in, out;                                                 /* cudaDataType_t */
    uint8_t bias, gelu, accumulate, w_align, x_align, out_align, spare[2]; /* alignments: log2 of bytes */
};
_Static_assert(sizeof(struct shape) == 4 * 8 + 3 * 4 + 8 + 4, "padding would spoil the comparison");

struct slot {
    struct shape shape;
    bool used, refused;
    void *desc, *a, *b, *d;
    struct algorithm algorithm;
    size_t workspace_bytes;
};

/* A model has about ten matrix shapes, a sweep a few dozen row counts. A shape that finds its place taken
 * replaces the older one, which is then chosen anew. */
enum { SLOTS = 1024, PROBES = 8 };
/* What NVIDIA's manual recommends for Hopper; split-K algorithms use it. */
static const size_t workspace_bytes = (size_t)32 << 20;

struct cublaslt {
    void *library, *handle, *preference;
    struct functions call;
    unsigned turn;
    struct slot slots[SLOTS];
};

static bool load_functions(void *library, struct functions *f)
{
    const struct {
        const char *name;
        void *to;
    } table[] = {
        {"cublasLtGetProperty", &f->property},
        {"cublasLtCreate", &f->create},
        {"cublasLtDestroy", &f->destroy},
        {"cublasLtMatmulDescCreate", &f->desc_create},
        {"cublasLtMatmulDescDestroy", &f->desc_destroy},
        {"cublasLtMatmulDescSetAttribute", &f->desc_set},
        {"cublasLtMatrixLayoutCreate", &f->layout_create},
        {"cublasLtMatrixLayoutDestroy", &f->layout_destroy},
        {"cublasLtMatmulPreferenceCreate", &f->preference_create},
        {"cublasLtMatmulPreferenceDestroy", &f->preference_destroy},
        {"cublasLtMatmulPreferenceSetAttribute", &f->preference_set},
        {"cublasLtMatmulAlgoGetHeuristic", &f->heuristic},
        {"cublasLtMatmul", &f->matmul},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
        void *function = dlsym(library, table[i].name);
        if (!function)
            return false;
        memcpy(table[i].to, &function, sizeof function);
    }
    return true;
}

/* The variable names one file and nothing else is tried: for a library in an unusual place, and for tests. */
static void *open_library(char *why, size_t why_size)
{
    static const char *const files[] = {
        "libcublasLt.so.13",
        "libcublasLt.so.12",
        "libcublasLt.so.11",
        "/usr/local/cuda/lib64/libcublasLt.so.13",
        "/usr/local/cuda/lib64/libcublasLt.so.12",
        "/usr/local/cuda/lib64/libcublasLt.so.11",
    };
    const char *named = getenv("BENCHTOP_CUBLASLT");
    void *library = NULL;
    if (named && *named) {
        library = dlopen(named, RTLD_NOW | RTLD_LOCAL);
        if (!library)
            snprintf(why, why_size,
                     "BENCHTOP_CUBLASLT=%s cannot be opened: unset it or name libcublasLt.so.13", named);
        return library;
    }
    for (size_t i = 0; i < sizeof files / sizeof *files && !library; i++)
        library = dlopen(files[i], RTLD_NOW | RTLD_LOCAL);
    if (!library)
        snprintf(why, why_size,
                 "cuBLASLt not found: install the CUDA toolkit's libcublas or set LD_LIBRARY_PATH to it");
    return library;
}

struct cublaslt *cublaslt_open(char *version, size_t version_size, char *why, size_t why_size)
{
    void *library = open_library(why, why_size);
    if (!library)
        return NULL;
    struct cublaslt *l = calloc(1, sizeof *l);
    if (!l) {
        snprintf(why, why_size, "no memory for cuBLASLt's table: free some and start again");
        dlclose(library);
        return NULL;
    }
    l->library = library;
    if (!load_functions(library, &l->call)) {
        snprintf(why, why_size, "the cuBLASLt found lacks functions of version 11: install a newer one");
        goto fail;
    }
    int status = l->call.create(&l->handle);
    if (status != SUCCESS) {
        l->handle = NULL;
        snprintf(why, why_size,
                 "cublasLtCreate failed with status %d: the library does not fit this driver or device",
                 status);
        goto fail;
    }
    if (l->call.preference_create(&l->preference) != SUCCESS) {
        l->preference = NULL;
        snprintf(why, why_size, "cublasLtMatmulPreferenceCreate failed: free host memory and start again");
        goto fail;
    }
    l->call.preference_set(l->preference, PREFER_WORKSPACE_BYTES, &workspace_bytes, sizeof workspace_bytes);
    int part[3] = {0, 0, 0};
    for (int i = 0; i < 3; i++)
        l->call.property(i, &part[i]);
    snprintf(version, version_size, "%d.%d.%d", part[0], part[1], part[2]);
    return l;
fail:
    cublaslt_close(l);
    return NULL;
}

static void release_slot(struct cublaslt *l, struct slot *s)
{
    if (s->desc)
        l->call.desc_destroy(s->desc);
    void *layouts[] = {s->a, s->b, s->d};
    for (int i = 0; i < 3; i++)
        if (layouts[i])
            l->call.layout_destroy(layouts[i]);
    memset(s, 0, sizeof *s);
}

void cublaslt_close(struct cublaslt *l)
{
    if (!l)
        return;
    for (int i = 0; i < SLOTS; i++)
        release_slot(l, &l->slots[i]);
    if (l->preference)
        l->call.preference_destroy(l->preference);
    if (l->handle)
        l->call.destroy(l->handle);
    dlclose(l->library);
    free(l);
}

size_t cublaslt_workspace(const struct cublaslt *l)
{
    return l ? workspace_bytes : 0;
}

/* Descriptors and the algorithm of the slot's shape. False: refused. The heuristic is shown the bias as well:
 * it may refuse an epilogue that lacks it. */
static bool choose(struct cublaslt *l, struct slot *s, const void *bias)
{
    const struct shape *p = &s->shape;
    bool integer = p->in == R_8I;
    if (l->call.desc_create(&s->desc, integer ? COMPUTE_32I : COMPUTE_32F, integer ? R_32I : R_32F) !=
        SUCCESS) {
        s->desc = NULL;
        return false;
    }
    int32_t transpose = OPERATION_T;
    uint32_t epilogue = p->bias || p->gelu ? 0 : EPILOGUE_DEFAULT;
    epilogue |= (p->bias ? EPILOGUE_BIAS : 0u) | (p->gelu ? EPILOGUE_GELU : 0u);
    if (l->call.desc_set(s->desc, DESC_TRANSPOSE_A, &transpose, sizeof transpose) != SUCCESS ||
        l->call.desc_set(s->desc, DESC_EPILOGUE, &epilogue, sizeof epilogue) != SUCCESS ||
        (bias && l->call.desc_set(s->desc, DESC_BIAS_POINTER, &bias, sizeof bias) != SUCCESS))
        return false;
    uint64_t n = (uint64_t)p->n, cols = (uint64_t)p->cols, rows = (uint64_t)p->rows;
    if (l->call.layout_create(&s->a, p->in, cols, n, p->cols) != SUCCESS ||
        l->call.layout_create(&s->b, p->in, cols, rows, p->x_stride) != SUCCESS ||
        l->call.layout_create(&s->d, p->out, n, rows, p->out_stride) != SUCCESS)
        return false;
    uint32_t alignment[] = {1u << p->w_align, 1u << p->x_align, 1u << p->out_align, 1u << p->out_align};
    for (int i = 0; i <= PREFER_ALIGNMENT_D - PREFER_ALIGNMENT_A; i++)
        l->call.preference_set(l->preference, PREFER_ALIGNMENT_A + i, &alignment[i], sizeof alignment[i]);
    struct heuristic best;
    int found = 0;
    memset(&best, 0, sizeof best);
    int status =
        l->call.heuristic(l->handle, s->desc, s->a, s->b, s->d, s->d, l->preference, 1, &best, &found);
    if (status != SUCCESS || found < 1 || best.state != SUCCESS || best.workspace_bytes > workspace_bytes)
        return false;
    s->algorithm = best.algorithm;
    s->workspace_bytes = best.workspace_bytes;
    return true;
}

static struct slot *slot_of(struct cublaslt *l, const struct shape *shape, const void *bias)
{
    uint64_t hash = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < sizeof *shape; i++)
        hash = (hash ^ ((const unsigned char *)shape)[i]) * 0x100000001b3u;
    struct slot *s = NULL;
    for (unsigned i = 0; i < PROBES; i++) {
        s = &l->slots[(hash + i) % SLOTS];
        if (!s->used)
            break;
        if (memcmp(&s->shape, shape, sizeof *shape) == 0)
            return s;
    }
    if (s->used) {
        s = &l->slots[(hash + l->turn++ % PROBES) % SLOTS];
        release_slot(l, s);
    }
    s->shape = *shape;
    s->used = true;
    s->refused = !choose(l, s, bias);
    return s;
}

static uint8_t alignment_of(const void *p)
{
    uint8_t bits = 0;
    while (bits < 8 && ((uintptr_t)p >> bits & 1) == 0) /* 256 bytes are as good as any more */
        bits++;
    return bits;
}

static int type_of(enum kernel_dtype dtype)
{
    switch (dtype) {
    case KERNEL_FP32:
        return R_32F;
    case KERNEL_FP16:
        return R_16F;
    case KERNEL_BF16:
        return R_16BF;
    case KERNEL_INT8:
        return R_8I;
    default:
        return -1;
    }
}

bool cublaslt_product(struct cublaslt *l, struct kernels *k, void *out, int out_stride, const void *x,
                      int x_stride, const struct kernel_matrix *m, const struct cublaslt_epilogue *epilogue,
                      int rows, void *workspace)
{
    int in = type_of(m->dtype), to = in == R_8I ? R_32I : epilogue->fp32 ? R_32F : in;
    if (in < 0 || rows <= 0 || m->rows <= 0 || m->cols <= 0)
        return false;
    struct shape shape = {
        .n = m->rows,
        .cols = m->cols,
        .x_stride = x_stride,
        .out_stride = out_stride,
        .rows = rows,
        .in = in,
        .out = to,
        .bias = epilogue->bias != NULL,
        .gelu = epilogue->gelu_tanh,
        .accumulate = epilogue->accumulate,
        .w_align = alignment_of(m->data),
        .x_align = alignment_of(x),
        .out_align = alignment_of(out),
    };
    struct slot *s = slot_of(l, &shape, epilogue->bias);
    if (s->refused)
        return false;
    if (epilogue->bias &&
        l->call.desc_set(s->desc, DESC_BIAS_POINTER, &epilogue->bias, sizeof epilogue->bias) != SUCCESS)
        return false;
    static const float real[2] = {0, 1};
    static const int32_t whole[2] = {0, 1};
    bool integer = in == R_8I;
    const void *one = integer ? (const void *)&whole[1] : &real[1];
    const void *beta = integer ? (const void *)&whole[epilogue->accumulate] : &real[epilogue->accumulate];
    struct cuda *c = cuda_of(k);
    int status = l->call.matmul(l->handle, s->desc, one, m->data, s->a, x, s->b, beta, out, s->d, out, s->d,
                                &s->algorithm, workspace, s->workspace_bytes, c->stream);
    if (status == NOT_SUPPORTED || status == INVALID_VALUE) {
        s->refused = true;
        return false;
    }
    if (status != SUCCESS)
        cuda_check(c, cudaErrorUnknown, "the product of cuBLASLt");
    return true;
}
