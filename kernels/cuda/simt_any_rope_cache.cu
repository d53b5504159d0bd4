/* Rotary positions and the key-value cache.
 *
 * rope: for each pair (i, i + dims / 2) of a head, with (c, s) = table[position][i]:
 *   x[i] = x[i] c - x[i + dims / 2] s, x[i + dims / 2] = x[i + dims / 2] c + x[i] s     (Su et al. 2021)
 * cache_write: keys and values to their places (struct kernel_kv), rounded to the cache's type.
 * rope_cache: both for rows [q | k | v], one launch: q is rotated in place, k on its way to the cache (the
 *   row keeps the k it had); the values of the steps apart.
 *
 * A row's work is cut into units of V elements (one 16-byte pack, or 1 where a head is not whole packs): a
 * unit of a rotated head is V pairs, a unit behind dims or of v is V elements copied. Grid (rows, groups of
 * 128 units): several heads of one row per block. Positions come from device memory. Reads the row and the
 * row's V-pair slices of the table once, writes q and the cache once. */
#include "kernels/cuda/matrix.cuh"

namespace
{

enum { THREADS = 128 };

template <typename T, int V> struct alignas(V * sizeof(T) < 16 ? V * sizeof(T) : 16) unit {
    T at[V];
};

template <int V, typename T> __device__ __forceinline__ void load(float v[V], const T *p)
{
    unit<T, V> u = *reinterpret_cast<const unit<T, V> *>(p);
    for (int i = 0; i < V; i++)
        v[i] = to_float(u.at[i]);
}

template <int V, typename T> __device__ __forceinline__ void store(T *p, const float v[V])
{
    unit<T, V> u;
    for (int i = 0; i < V; i++)
        u.at[i] = from_float<T>(v[i]);
    *reinterpret_cast<unit<T, V> *>(p) = u;
}

struct head_shape {
    int head_dim, half; /* half: dims / 2 */
};

/* Units per head where halves are rotated (q, k), V elements each. */
template <int V> __host__ __device__ __forceinline__ int rotated_units(head_shape h)
{
    return (h.head_dim - h.half) / V;
}

/* Unit u of the head at x: its elements stand at first and second in the head, rotated; second is -1 where
 * they are only copied. */
template <typename T, int V>
__device__ __forceinline__ void rotated(float a[V], float b[V], int *first, int *second, const T *x, int u,
                                        head_shape h, const float *table_row)
{
    int col = u * V;
    *first = col < h.half ? col : col + h.half;
    *second = col < h.half ? col + h.half : -1;
    load<V>(a, x + *first);
    if (*second < 0)
        return;
    load<V>(b, x + *second);
    float angle[2 * V]; /* cosines and sines alternate */
    load<2 * V>(angle, table_row + 2 * col);
    for (int i = 0; i < V; i++) {
        float cosine = angle[2 * i], sine = angle[2 * i + 1], low = a[i], high = b[i];
        a[i] = to_float(from_float<T>(low * cosine - high * sine));
        b[i] = to_float(from_float<T>(high * cosine + low * sine));
    }
}

/* The first element of a token's place for head h of a cache. */
__device__ __forceinline__ int64_t place(const struct kernel_kv &kv, int sequence, int position, int h)
{
    int64_t block = sequence, inside = position;
    if (kv.table) {
        block = kv.table[(int64_t)sequence * kv.table_stride + position / kv.block_size];
        inside = position % kv.block_size;
    }
    return block * kv.block_stride + (int64_t)h * kv.head_stride + inside * kv.token_stride;
}

template <typename T, int V>
__global__ void __launch_bounds__(THREADS)
    rotate_rows(T *x, int64_t stride, int heads, head_shape h, const float *table, struct kernel_batch batch)
{
    kernel_begin();
    int row = blockIdx.x, per_head = h.half / V, u = blockIdx.y * THREADS + threadIdx.x;
    if (u >= heads * per_head)
        return;
    int position = batch_position(batch, row, batch_sequence(batch, row)), first, second;
    T *head = x + row * stride + u / per_head * (int64_t)h.head_dim;
    float a[V], b[V] = {};
    rotated<T, V>(a, b, &first, &second, head, u % per_head, h, table + (int64_t)position * h.half * 2);
    store<V>(head + first, a);
    store<V>(head + second, b);
}

template <typename T, typename K, int V>
__global__ void __launch_bounds__(THREADS)
    write_rows(struct kernel_kv kv, const T *keys, const T *values, int64_t stride, struct kernel_batch batch)
{
    kernel_begin();
    int row = blockIdx.x, per_head = kv.head_dim / V, units = kv.kv_heads * per_head;
    int u = blockIdx.y * THREADS + threadIdx.x;
    if (u >= 2 * units)
        return;
    bool is_value = u >= units;
    u -= is_value ? units : 0;
    float v[V];
    load<V>(v, (is_value ? values : keys) + row * stride + u * V);
    int sequence = batch_sequence(batch, row), position = batch_position(batch, row, sequence);
    K *to = (K *)(is_value ? kv.v : kv.k) + place(kv, sequence, position, u / per_head);
    store<V>(to + u % per_head * V, v);
}

template <typename T, typename K, int V>
__global__ void __launch_bounds__(THREADS)
    rotate_and_write_rows(T *qkv, int64_t stride, int heads, head_shape h, const float *table,
                          struct kernel_kv kv, struct kernel_batch batch)
{
    kernel_begin();
    int row = blockIdx.x, q_per_head = h.half / V, k_per_head = rotated_units<V>(h),
        v_per_head = h.head_dim / V;
    int q_units = heads * q_per_head, k_units = kv.kv_heads * k_per_head, v_units = kv.kv_heads * v_per_head;
    int u = blockIdx.y * THREADS + threadIdx.x;
    if (u >= q_units + k_units + v_units)
        return;
    T *q = qkv + row * stride;
    const T *keys = q + (int64_t)heads * h.head_dim, *values = keys + (int64_t)kv.kv_heads * h.head_dim;
    int sequence = batch_sequence(batch, row), position = batch_position(batch, row, sequence), first, second;
    const float *table_row = table + (int64_t)position * h.half * 2;
    float a[V], b[V] = {};
    if (u < q_units) { /* what stands behind dims stays */
        T *head = q + u / q_per_head * (int64_t)h.head_dim;
        rotated<T, V>(a, b, &first, &second, head, u % q_per_head, h, table_row);
        store<V>(head + first, a);
        store<V>(head + second, b);
        return;
    }
    u -= q_units;
    if (u < k_units) {
        int head = u / k_per_head;
        rotated<T, V>(a, b, &first, &second, keys + (int64_t)head * h.head_dim, u % k_per_head, h, table_row);
        K *to = (K *)kv.k + place(kv, sequence, position, head);
        store<V>(to + first, a);
        if (second >= 0)
            store<V>(to + second, b);
        return;
    }
    u -= k_units;
    int head = u / v_per_head, col = u % v_per_head * V;
    load<V>(a, values + (int64_t)head * h.head_dim + col);
    store<V>((K *)kv.v + place(kv, sequence, position, head) + col, a);
}

dim3 grid_of(int rows, int units)
{
    return dim3((unsigned)rows, (unsigned)((units + THREADS - 1) / THREADS));
}

/* Whether heads are whole units of V, wherever a row or a half begins. */
bool whole(int v, int head_dim, int half, int stride)
{
    return head_dim % v == 0 && half % v == 0 && stride % v == 0;
}

template <typename T, typename K>
void launch_write(struct kernels *k, const struct kernel_kv *kv, const T *keys, const T *values, int stride,
                  const struct kernel_batch *batch)
{
    struct cuda *c = cuda_of(k);
    constexpr int COUNT = pack<T>::COUNT;
    int elements = 2 * kv->kv_heads * kv->head_dim;
    if (whole(COUNT, kv->head_dim, 0, stride) && aligned_16(keys) && aligned_16(values) &&
        aligned_16(kv->k) && aligned_16(kv->v))
        CUDA_LAUNCH(c, (write_rows<T, K, COUNT>), grid_of(batch->rows, elements / COUNT), THREADS, 0, *kv,
                    keys, values, (int64_t)stride, *batch);
    else
        CUDA_LAUNCH(c, (write_rows<T, K, 1>), grid_of(batch->rows, elements), THREADS, 0, *kv, keys, values,
                    (int64_t)stride, *batch);
}

template <typename T, typename K>
void launch_both(struct kernels *k, T *qkv, int stride, const struct kernel_attention *a,
                 const struct kernel_rope *rope, const struct kernel_kv *kv, const struct kernel_batch *batch)
{
    struct cuda *c = cuda_of(k);
    constexpr int COUNT = pack<T>::COUNT;
    head_shape h = {a->head_dim, rope ? rope->dims / 2 : 0};
    const float *table = rope ? rope->table : NULL;
    int elements = a->heads * h.half + a->kv_heads * (2 * h.head_dim - h.half);
    if (whole(COUNT, h.head_dim, h.half, stride) && aligned_16(qkv) && aligned_16(table) &&
        aligned_16(kv->k) && aligned_16(kv->v))
        CUDA_LAUNCH(c, (rotate_and_write_rows<T, K, COUNT>), grid_of(batch->rows, elements / COUNT), THREADS,
                    0, qkv, (int64_t)stride, a->heads, h, table, *kv, *batch);
    else
        CUDA_LAUNCH(c, (rotate_and_write_rows<T, K, 1>), grid_of(batch->rows, elements), THREADS, 0, qkv,
                    (int64_t)stride, a->heads, h, table, *kv, *batch);
}

template <typename T>
void launch_rope(struct kernels *k, T *x, int stride, int heads, int head_dim, const struct kernel_rope *rope,
                 const struct kernel_batch *batch)
{
    struct cuda *c = cuda_of(k);
    constexpr int COUNT = pack<T>::COUNT;
    head_shape h = {head_dim, rope->dims / 2};
    int pairs = heads * h.half;
    if (whole(COUNT, head_dim, h.half, stride) && aligned_16(x) && aligned_16(rope->table))
        CUDA_LAUNCH(c, (rotate_rows<T, COUNT>), grid_of(batch->rows, pairs / COUNT), THREADS, 0, x,
                    (int64_t)stride, heads, h, rope->table, *batch);
    else
        CUDA_LAUNCH(c, (rotate_rows<T, 1>), grid_of(batch->rows, pairs), THREADS, 0, x, (int64_t)stride,
                    heads, h, rope->table, *batch);
}

/* K is the cache's type. */
#define FOR_CACHE(kv, ...)                                                                                   \
    switch ((kv)->dtype) {                                                                                   \
    case KERNEL_FP16: {                                                                                      \
        using K = __half;                                                                                    \
        __VA_ARGS__;                                                                                         \
    } break;                                                                                                 \
    case KERNEL_BF16: {                                                                                      \
        using K = __nv_bfloat16;                                                                             \
        __VA_ARGS__;                                                                                         \
    } break;                                                                                                 \
    default: {                                                                                               \
        using K = float;                                                                                     \
        __VA_ARGS__;                                                                                         \
    }                                                                                                        \
    }

} // namespace

extern "C" void cuda_rope(struct kernels *k, void *x, int stride, int heads, int head_dim,
                          const struct kernel_rope *rope, const struct kernel_batch *batch)
{
    if (!rope || rope->dims == 0 || batch->rows == 0)
        return;
    CUDA_FOR_ACTIVATION(k, launch_rope(k, (T *)x, stride, heads, head_dim, rope, batch));
}

extern "C" void cuda_cache_write(struct kernels *k, const struct kernel_kv *kv, const void *keys,
                                 const void *values, int stride, const struct kernel_batch *batch)
{
    if (batch->rows == 0)
        return;
    CUDA_FOR_ACTIVATION(
        k, FOR_CACHE(kv, (launch_write<T, K>(k, kv, (const T *)keys, (const T *)values, stride, batch))));
}

extern "C" void cuda_rope_cache(struct kernels *k, void *qkv, int stride, const struct kernel_attention *a,
                                const struct kernel_rope *rope, const struct kernel_kv *kv,
                                const struct kernel_batch *batch)
{
    if (batch->rows == 0)
        return;
    CUDA_FOR_ACTIVATION(k, FOR_CACHE(kv, (launch_both<T, K>(k, (T *)qkv, stride, a, rope, kv, batch))));
}
