/* The stand-in for libcublasLt.so: products in reference arithmetic (sums in double, one rounding), queued on
 * the stream through the program's emulator_enqueue, so that they are captured and replayed like kernels.
 * Numbers and meanings: cuBLAS Library, section 3, "Using the cuBLASLt API".
 *
 *   EMULATED_CUBLASLT=absent  cublasLtCreate fails, as on a device the library does not know
 *   EMULATED_CUBLASLT=refuse  the heuristic finds no algorithm for any shape
 *
 * Stricter than it need be, to find a caller's mistakes: an algorithm is good for the layouts it was chosen
 * for, the workspace asked for is overwritten, integer products need dimensions and strides that are
 * multiples of 4. */
#include <cuda_bf16.h>

#include <initializer_list>
#include <stdlib.h>

#define EXPORTED extern "C" __attribute__((visibility("default")))

enum { SUCCESS = 0, NOT_INITIALIZED = 1, INVALID_VALUE = 7, NOT_SUPPORTED = 15 };
enum { R_32F = 0, R_16F = 2, R_8I = 3, R_32I = 10, R_16BF = 14 };
enum { COMPUTE_32F = 68, COMPUTE_32I = 72 };
enum { TRANSPOSE_A = 3, TRANSPOSE_B = 4, EPILOGUE = 7, BIAS_POINTER = 8, BIAS_TYPE = 26 };
enum { DEFAULT = 1, RELU = 2, BIAS = 4, GELU = 32 };
enum { WORKSPACE_BYTES = 1 };

struct descriptor {
    int compute, scale, transpose[2], bias_type;
    unsigned epilogue;
    const void *bias;
};

struct layout {
    int type;
    uint64_t rows, cols;
    int64_t leading;
};

struct preference {
    size_t workspace_bytes;
};

struct algorithm {
    uint64_t shape, spare[7];
};

struct heuristic_result {
    algorithm algo;
    size_t workspace_bytes;
    int state;
    float waves;
    int reserved[4];
};

struct job {
    descriptor desc;
    layout a, b, c, d;
    double alpha, beta;
    const void *a_data, *b_data, *c_data;
    void *d_data, *workspace;
    size_t workspace_bytes;
};

static const char *mode(void)
{
    const char *text = getenv("EMULATED_CUBLASLT");
    return text ? text : "";
}

static size_t bytes_of(int type)
{
    return type == R_8I ? 1 : type == R_16F || type == R_16BF ? 2 : 4;
}

static double load(int type, const void *p, size_t i)
{
    switch (type) {
    case R_16F:
        return (float)((const __half *)p)[i];
    case R_16BF:
        return (float)((const __nv_bfloat16 *)p)[i];
    case R_8I:
        return ((const signed char *)p)[i];
    case R_32I:
        return ((const int *)p)[i];
    default:
        return ((const float *)p)[i];
    }
}

static void store(int type, void *p, size_t i, double x)
{
    switch (type) {
    case R_16F:
        ((__half *)p)[i] = __half((float)x);
        break;
    case R_16BF:
        ((__nv_bfloat16 *)p)[i] = __nv_bfloat16((float)x);
        break;
    case R_32I:
        ((int *)p)[i] = (int)x;
        break;
    default:
        ((float *)p)[i] = (float)x;
    }
}

static double gelu(double x)
{
    return 0.5 * x * (1 + tanh(0.79788456080286536 * (x + 0.044715 * x * x * x)));
}

/* D [m, n] = epilogue(alpha op(A) op(B) + beta C), columns first. */
static void multiply(void *data)
{
    const job *j = (const job *)data;
    const layout &a = j->a, &b = j->b;
    size_t depth = j->desc.transpose[0] ? a.rows : a.cols;
    size_t a_row = j->desc.transpose[0] ? (size_t)a.leading : 1,
           a_k = j->desc.transpose[0] ? 1 : (size_t)a.leading;
    size_t b_col = j->desc.transpose[1] ? 1 : (size_t)b.leading,
           b_k = j->desc.transpose[1] ? (size_t)b.leading : 1;
    if (j->workspace_bytes)
        memset(j->workspace, 0xff, j->workspace_bytes);
    for (size_t col = 0; col < j->d.cols; col++)
        for (size_t row = 0; row < j->d.rows; row++) {
            double sum = 0;
            for (size_t k = 0; k < depth; k++)
                sum += load(a.type, j->a_data, row * a_row + k * a_k) *
                       load(b.type, j->b_data, col * b_col + k * b_k);
            sum *= j->alpha;
            if (j->beta != 0)
                sum += j->beta * load(j->c.type, j->c_data, row + col * (size_t)j->c.leading);
            if (j->desc.epilogue & BIAS)
                sum += load(j->desc.bias_type, j->desc.bias, row);
            if (j->desc.epilogue & GELU)
                sum = gelu(sum);
            else if (j->desc.epilogue & RELU)
                sum = sum > 0 ? sum : 0;
            store(j->d.type, j->d_data, row + col * (size_t)j->d.leading, sum);
        }
}

static void release_job(void *data)
{
    delete (job *)data;
}

EXPORTED int cublasLtGetProperty(int property, int *value)
{
    static const int version[3] = {13, 0, 0};
    if (property < 0 || property > 2)
        return INVALID_VALUE;
    *value = version[property];
    return SUCCESS;
}

EXPORTED size_t cublasLtGetVersion(void)
{
    return 130000;
}

EXPORTED int cublasLtCreate(void **handle)
{
    if (strcmp(mode(), "absent") == 0)
        return NOT_INITIALIZED;
    *handle = malloc(1);
    return SUCCESS;
}

EXPORTED int cublasLtDestroy(void *handle)
{
    free(handle);
    return SUCCESS;
}

EXPORTED int cublasLtMatmulDescCreate(void **desc, int compute, int scale)
{
    if (compute != COMPUTE_32F && compute != COMPUTE_32I)
        return NOT_SUPPORTED;
    *desc = new descriptor{compute, scale, {0, 0}, -1, DEFAULT, nullptr};
    return SUCCESS;
}

EXPORTED int cublasLtMatmulDescDestroy(void *desc)
{
    delete (descriptor *)desc;
    return SUCCESS;
}

EXPORTED int cublasLtMatmulDescSetAttribute(void *desc, int attribute, const void *value, size_t bytes)
{
    descriptor *d = (descriptor *)desc;
    void *to = attribute == TRANSPOSE_A    ? &d->transpose[0]
               : attribute == TRANSPOSE_B  ? &d->transpose[1]
               : attribute == EPILOGUE     ? (void *)&d->epilogue
               : attribute == BIAS_POINTER ? (void *)&d->bias
               : attribute == BIAS_TYPE    ? &d->bias_type
                                           : nullptr;
    if (!to || bytes != (attribute == BIAS_POINTER ? sizeof(void *) : sizeof(int)))
        return INVALID_VALUE;
    memcpy(to, value, bytes);
    return SUCCESS;
}

EXPORTED int cublasLtMatrixLayoutCreate(void **out, int type, uint64_t rows, uint64_t cols, int64_t leading)
{
    if (!rows || !cols || leading < (int64_t)rows)
        return INVALID_VALUE;
    *out = new layout{type, rows, cols, leading};
    return SUCCESS;
}

EXPORTED int cublasLtMatrixLayoutDestroy(void *l)
{
    delete (layout *)l;
    return SUCCESS;
}

EXPORTED int cublasLtMatmulPreferenceCreate(void **out)
{
    *out = new preference{0};
    return SUCCESS;
}

EXPORTED int cublasLtMatmulPreferenceDestroy(void *p)
{
    delete (preference *)p;
    return SUCCESS;
}

EXPORTED int cublasLtMatmulPreferenceSetAttribute(void *p, int attribute, const void *value, size_t bytes)
{
    if (attribute == WORKSPACE_BYTES && bytes == sizeof(size_t))
        memcpy(&((preference *)p)->workspace_bytes, value, bytes);
    return SUCCESS;
}

/* A number that names the shapes an algorithm was chosen for. */
static uint64_t name_of(const layout &a, const layout &b, const layout &d)
{
    uint64_t hash = 14695981039346656037u;
    for (const layout *l : {&a, &b, &d})
        for (uint64_t part : {(uint64_t)l->type, l->rows, l->cols, (uint64_t)l->leading})
            hash = (hash ^ part) * 1099511628211u;
    return hash;
}

static bool fits(const descriptor &x, const layout &a, const layout &b, const layout &c, const layout &d)
{
    uint64_t m = x.transpose[0] ? a.cols : a.rows, k = x.transpose[0] ? a.rows : a.cols;
    uint64_t n = x.transpose[1] ? b.rows : b.cols, k2 = x.transpose[1] ? b.cols : b.rows;
    if (m != d.rows || n != d.cols || k != k2 || c.rows != d.rows || c.cols != d.cols || a.type != b.type)
        return false;
    if (a.type == R_8I)
        return x.compute == COMPUTE_32I && d.type == R_32I && x.epilogue == DEFAULT && m % 4 == 0 &&
               k % 4 == 0 && a.leading % 4 == 0 && b.leading % 4 == 0 && d.leading % 4 == 0;
    return x.compute == COMPUTE_32F && (d.type == a.type || d.type == R_32F);
}

EXPORTED int cublasLtMatmulAlgoGetHeuristic(void *handle, void *desc, void *a, void *b, void *c, void *d,
                                            void *p, int wanted, heuristic_result *results, int *found)
{
    const layout &la = *(layout *)a, &lb = *(layout *)b, &lc = *(layout *)c, &ld = *(layout *)d;
    *found = 0;
    if (!handle || wanted < 1)
        return INVALID_VALUE;
    if (strcmp(mode(), "refuse") == 0 || !fits(*(descriptor *)desc, la, lb, lc, ld))
        return NOT_SUPPORTED;
    size_t wish = ld.rows * ld.cols * 4, limit = ((preference *)p)->workspace_bytes;
    *results = heuristic_result();
    results->algo.shape = name_of(la, lb, ld);
    results->workspace_bytes = wish < limit ? wish : limit;
    *found = 1;
    return SUCCESS;
}

EXPORTED int cublasLtMatmul(void *handle, void *desc, const void *alpha, const void *a, void *la,
                            const void *b, void *lb, const void *beta, const void *c, void *lc, void *d,
                            void *ld, const algorithm *algo, void *workspace, size_t workspace_bytes,
                            cudaStream_t stream)
{
    job j = {
        *(descriptor *)desc, *(layout *)la,  *(layout *)lb, *(layout *)lc, *(layout *)ld, 0, 0, a, b, c, d,
        workspace,           workspace_bytes};
    if (!handle || !algo || algo->shape != name_of(j.a, j.b, j.d) || !fits(j.desc, j.a, j.b, j.c, j.d))
        return INVALID_VALUE;
    if ((workspace_bytes && (!workspace || (uintptr_t)workspace % 16)) ||
        ((j.desc.epilogue & BIAS) && !j.desc.bias))
        return INVALID_VALUE;
    if ((uintptr_t)a % bytes_of(j.a.type) || (uintptr_t)b % bytes_of(j.b.type) ||
        (uintptr_t)d % bytes_of(j.d.type))
        return INVALID_VALUE;
    j.alpha = load(j.desc.scale, alpha, 0);
    j.beta = load(j.desc.scale, beta, 0);
    if (j.desc.bias_type < 0)
        j.desc.bias_type = j.d.type;
    return emulator_enqueue(stream, "cublasLtMatmul", multiply, new job(j), release_job) == cudaSuccess
               ? SUCCESS
               : 13; /* CUBLAS_STATUS_EXECUTION_FAILED */
}
