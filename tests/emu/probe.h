/* Small kernels that show one property of the emulator each; probe.cu, for emulator_test.c. All take device
 * memory. */
#pragma once

#include <cuda_runtime_api.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* out[lane] of one warp: the value lane `lane ^ 5` gave, in halves of 16 lanes with masks of their own. */
void probe_shuffles(cudaStream_t stream, int *out);
/* out[0]: sum over 32 lanes of which the odd ones have left; out[1]: ballot of the even ones. */
void probe_leavers(cudaStream_t stream, int *out);
void probe_votes(cudaStream_t stream, unsigned *out); /* ballot, any, all, match, reduce add, min, max */
/* out[i] = in[n - 1 - i] through shared memory of blocks of 256, static or dynamic. */
void probe_reverse(cudaStream_t stream, float *out, const float *in, int n, bool dynamic);
void probe_uninitialized(cudaStream_t stream, float *out); /* what fresh shared memory holds, twice */
void probe_counted_barrier(cudaStream_t stream, int *out); /* count, or, and of threadIdx.x < 100 among 128 */
void probe_divergent_barrier(cudaStream_t stream); /* thread 40 waits for a lane that waits for thread 40 */
void probe_two_barriers(cudaStream_t stream);      /* the halves wait at different lines */
void probe_outside_mask(cudaStream_t stream);
/* c[16, 8] += a[16, k] b[8, k]^T of 16-bit bits or bytes, one instruction. */
enum probe_type { PROBE_F16, PROBE_BF16, PROBE_S8 };
void probe_mma(cudaStream_t stream, enum probe_type type, void *c, const void *a, const void *b);
/* out[lane][4]: what each lane takes from a [32, 8] tile of 16-bit elements. */
void probe_ldmatrix(cudaStream_t stream, unsigned *out, const unsigned short *tile, bool transposed);
/* out[128]: 32 lanes copy 16 bytes each; odd ones take nothing; read before and after the wait. */
void probe_copy_async(cudaStream_t stream, float *early, float *out, const float *in);
void probe_unwaited_copy(cudaStream_t stream, const float *in);
void probe_add(cudaStream_t stream, float *x, float y, int n);
void probe_grid_barrier(cudaStream_t stream, int *turns, int blocks, int rounds); /* 0: every block saw all */
void probe_shape(cudaStream_t stream, unsigned grid, unsigned block, size_t shared, bool allow);
void probe_touch(cudaStream_t stream, char *p);
void probe_half(cudaStream_t stream, unsigned short *fp16, unsigned short *bf16, const float *in, int n);

/* 64 threads turn 64 numbers around in shared memory; what is missing makes it a race. */
enum probe_race {
    PROBE_ORDERED,         /* nothing */
    PROBE_NO_BARRIER,      /* between the store and the other warp's load */
    PROBE_NO_BARRIER_BACK, /* between that load and the next store */
    PROBE_WARP_ORDERED,    /* within a warp, __syncwarp on both sides: nothing */
    PROBE_NO_SYNCWARP,     /* a shuffle alone stands between the lanes */
    PROBE_HALF_SYNCWARP,   /* of half the warp, while the other half is read */
    PROBE_COPY_UNSHARED,   /* the barrier stands before the wait for an asynchronous copy */
    PROBE_ATOMIC,          /* all add up with atomics: nothing */
    PROBE_ATOMIC_AND_LOAD  /* the sum is read without a barrier */
};
void probe_race(cudaStream_t stream, enum probe_race missing, int *out, const int *in);
bool probe_is_watched(void); /* this build watches shared memory (watch.h) */

#ifdef __cplusplus
}
#endif
