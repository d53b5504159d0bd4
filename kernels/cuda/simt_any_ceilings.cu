/* What this card's memory reaches: the ceilings that every row's bandwidth is held against.
 *
 * read: s = XOR of all 16-byte words, kept only where it cannot be dropped. copy: to[i] = from[i].
 * Operands: 16-byte words, dense. Bytes: n (read), 2 n (copy); no arithmetic worth counting. Each thread has
 * UNROLL loads of 16 bytes under way: 256 threads x 8 blocks x 4 x 16 = 128 KiB per SM, where 4.8 TB/s x 700
 * ns / 132 SMs = 25 KiB would do (Little's law). Consecutive threads read consecutive words; a block's loads
 * lie THREADS words apart. */
#include "kernels/cuda/ptx.cuh"

enum { THREADS = 256, BLOCKS_PER_SM = 8, UNROLL = 4 };

static __global__ void __launch_bounds__(THREADS)
    read_ceiling(const uint4 *__restrict__ from, int64_t words, uint32_t *sink)
{
    kernel_begin();
    uint32_t seen = 0;
    int64_t step = (int64_t)gridDim.x * THREADS * UNROLL;
    for (int64_t i = (int64_t)blockIdx.x * THREADS * UNROLL + threadIdx.x; i < words; i += step) {
        uint4 v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            v[u] = i + u * THREADS < words ? load_streaming(from + i + u * THREADS) : make_uint4(0, 0, 0, 0);
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            seen ^= v[u].x ^ v[u].y ^ v[u].z ^ v[u].w;
    }
    if (seen == 0x5eedu) /* the memory is zeros: never true, and the compiler cannot know */
        *sink = seen;
}

static __global__ void __launch_bounds__(THREADS)
    copy_ceiling(uint4 *__restrict__ to, const uint4 *__restrict__ from, int64_t words)
{
    kernel_begin();
    int64_t step = (int64_t)gridDim.x * THREADS * UNROLL;
    for (int64_t i = (int64_t)blockIdx.x * THREADS * UNROLL + threadIdx.x; i < words; i += step) {
        uint4 v[UNROLL];
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            if (i + u * THREADS < words)
                v[u] = load_streaming(from + i + u * THREADS);
#pragma unroll
        for (int u = 0; u < UNROLL; u++)
            if (i + u * THREADS < words)
                to[i + u * THREADS] = v[u];
    }
}

/* Far larger than the L2 cache (H200: 50 MiB): what a pass leaves there is lost in the next one. The stand-in
 * of the tests measures nothing, a few words are enough to run every line. */
static size_t wanted_bytes(const struct cuda *c)
{
#ifdef BENCHTOP_EMULATED
    (void)c;
    return 1 << 20;
#else
    size_t cache = 64 * (size_t)(c->l2_bytes > 0 ? c->l2_bytes : 64 << 20);
    return cache > (size_t)2 << 30 ? cache / 16 * 16 : (size_t)2 << 30;
#endif
}

static double measure(struct kernels *k, double seconds, bool copy)
{
    struct cuda *c = cuda_of(k);
    const struct kernel_ops *ops = k->ops;
    size_t bytes = wanted_bytes(c), least = bytes / 16;
    char *memory = NULL;
    while (bytes >= least && !(memory = (char *)ops->alloc(k, bytes)))
        bytes /= 2;
    struct kernel_event *begin = ops->event_create(k), *end = ops->event_create(k);
    int64_t spent = 0, budget = (int64_t)(seconds * 1e9);
    double best = 0;
    unsigned blocks = (unsigned)(c->multiprocessors * BLOCKS_PER_SM);
    int64_t words = (int64_t)(bytes / sizeof(uint4)) / (copy ? 2 : 1);
    uint4 *from = (uint4 *)memory;
    for (int pass = 0; memory && begin && end && !ops->error(k) && (pass < 3 || spent < budget); pass++) {
        ops->event_record(k, begin);
        if (copy)
            CUDA_LAUNCH(c, copy_ceiling, blocks, THREADS, 0, from + words, from, words);
        else
            CUDA_LAUNCH(c, read_ceiling, blocks, THREADS, 0, from, words, (uint32_t *)memory);
        ops->event_record(k, end);
        ops->synchronize(k);
        int64_t took = ops->event_span_ns(k, begin, end);
        double moved = (double)words * sizeof(uint4) * (copy ? 2 : 1);
        spent += took > 0 ? took : 1000;
        if (pass > 0 && took > 0 && moved / (double)took * 1e9 > best) /* the first pass fills the TLBs */
            best = moved / (double)took * 1e9;
    }
    ops->event_destroy(k, begin);
    ops->event_destroy(k, end);
    ops->free(k, memory, bytes);
    return ops->error(k) ? 0 : best;
}

double cuda_measure_read(struct kernels *k, double seconds)
{
    return measure(k, seconds, false);
}

double cuda_measure_copy(struct kernels *k, double seconds)
{
    return measure(k, seconds, true);
}
