/* Every inline instruction of the kernels, one wrapper each; tests/emu has a twin for each of them
 * (emulator_ptx.h) with the same fragment layouts (PTX ISA, section 9.7.14).
 *
 * Fragments of mma m16n8k16, lane = 4 g + t: A (row, k): a[i] holds rows g + 8 (i % 2), k pairs 2 t + 8 (i /
 * 2); B (k, col): b[i] holds col g, k pairs 2 t + 8 i; C (row, col): c[0..1] row g, c[2..3] row g + 8, cols 2
 * t, 2 t + 1. m16n8k32 of s8: as above with quads of k: a[i] k quads 4 t + 16 (i / 2), b[i] k quads 4 t + 16
 * i. */
#pragma once

#include "kernels/cuda/device.cuh"

#ifndef __CUDACC__
#include "emulator_ptx.h"
#else

static __device__ __forceinline__ unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

static __device__ __forceinline__ void mma_m16n8k16(float c[4], const uint32_t a[4], const uint32_t b[2],
                                                    __half)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ void mma_m16n8k16(float c[4], const uint32_t a[4], const uint32_t b[2],
                                                    __nv_bfloat16)
{
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};\n"
                 : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

static __device__ __forceinline__ void mma_m16n8k32_s8(int32_t c[4], const uint32_t a[4], const uint32_t b[2])
{
    asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
                 "{%0,%1,%2,%3};\n"
                 : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

/* Four 8 x 8 matrices of 16-bit elements: lane i gives the address of row i % 8 of matrix i / 8 (16 bytes).
 */
static __device__ __forceinline__ void load_matrices(uint32_t r[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}
static __device__ __forceinline__ void load_matrices_transposed(uint32_t r[4], const void *row)
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row)));
}

/* 16 bytes from global to shared memory behind the thread's back; take = false writes zeros and reads
 * nothing. */
static __device__ __forceinline__ void copy_async_16(void *shared, const void *global, bool take)
{
    asm volatile("cp.async.cg.shared.global.L2::128B [%0], [%1], 16, %2;\n" ::"r"(shared_address(shared)),
                 "l"(global), "r"(take ? 16 : 0));
}
static __device__ __forceinline__ void copy_async_commit(void)
{
    asm volatile("cp.async.commit_group;\n");
}
template <int LEFT> static __device__ __forceinline__ void copy_async_wait(void)
{
    asm volatile("cp.async.wait_group %0;\n" ::"n"(LEFT));
}

/* 16 bytes read once: not kept in L1, first out of L2. For weights. */
static __device__ __forceinline__ uint4 load_streaming(const void *p)
{
    uint4 v;
    asm volatile("ld.global.nc.L1::no_allocate.L2::256B.v4.u32 {%0,%1,%2,%3}, [%4];\n"
                 : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
                 : "l"(p));
    return v;
}

/* Asks L2 for `bytes` at p, both multiples of 16; nothing waits for it and nothing is read. Before sm_90:
 * nothing. */
static __device__ __forceinline__ void prefetch_bulk(const void *p, unsigned bytes)
{
#if __CUDA_ARCH__ >= 900
    asm volatile("cp.async.bulk.prefetch.L2.global [%0], %1;\n" ::"l"(p), "r"(bytes));
#endif
}

/* Shared memory by its own 32-bit addresses: for look-ups, whose place is then one multiply-add away. The
 * compiler keeps pointers to dynamic shared memory apart from what is added to them, which costs one more
 * addition each. */
typedef unsigned shared_place;
static __device__ __forceinline__ shared_place shared_place_of(const void *p)
{
    return shared_address(p);
}
static __device__ __forceinline__ uint32_t load_shared_word(shared_place base, unsigned offset)
{
    uint32_t word;
    asm volatile("ld.shared.u32 %0, [%1];\n" : "=r"(word) : "r"(base + offset));
    return word;
}

/* threadIdx.x, asked for here: what a loop computes from it is computed in the loop, where registers are too
 * short to keep it from pass to pass. */
static __device__ __forceinline__ unsigned thread_again(void)
{
    unsigned x;
    asm volatile("mov.u32 %0, %%tid.x;\n" : "=r"(x));
    return x;
}

/* 2^x, approximate (relative error 2^-22). */
static __device__ __forceinline__ float exp2_fast(float x)
{
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;\n" : "=f"(y) : "f"(x));
    return y;
}
#endif
