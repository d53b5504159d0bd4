/* The twins of kernels/cuda/ptx.cuh: the same wrappers, fragment layouts and demands on addresses (PTX ISA,
 * sections 9.7.14 for mma and ldmatrix, 9.7.9 for cp.async). */
#pragma once

#include "emulator.h"

#include <cuda_bf16.h>

void emulator_mma_f16(emulator_thread *const lane[32], unsigned present);
void emulator_mma_bf16(emulator_thread *const lane[32], unsigned present);
void emulator_mma_s8(emulator_thread *const lane[32], unsigned present);
void emulator_ldmatrix(emulator_thread *const lane[32], unsigned present);
void emulator_ldmatrix_transposed(emulator_thread *const lane[32], unsigned present);

EMULATED void emulator_mma(emulator_meeting what, const char *name, void *c, const uint32_t a[4],
                           const uint32_t b[2], const char *file, int line)
{
    emulator_thread *self = emulator_self;
    memcpy(self->give, a, 16);
    memcpy(self->give + 16, b, 8);
    memcpy(self->give + 24, c, 16);
    emulator_meet(what, name, 0xffffffffu, file, line);
    memcpy(c, self->take, 16);
}

EMULATED void mma_m16n8k16(float c[4], const uint32_t a[4], const uint32_t b[2], __half, EMULATED_HERE)
{
    emulator_mma(emulator_mma_f16, "mma_m16n8k16 of fp16", c, a, b, file, line);
}
EMULATED void mma_m16n8k16(float c[4], const uint32_t a[4], const uint32_t b[2], __nv_bfloat16, EMULATED_HERE)
{
    emulator_mma(emulator_mma_bf16, "mma_m16n8k16 of bf16", c, a, b, file, line);
}
EMULATED void mma_m16n8k32_s8(int32_t c[4], const uint32_t a[4], const uint32_t b[2], EMULATED_HERE)
{
    emulator_mma(emulator_mma_s8, "mma_m16n8k32_s8", c, a, b, file, line);
}

EMULATED void emulator_load_matrices(emulator_meeting what, const char *name, uint32_t r[4], const void *row,
                                     const char *file, int line)
{
    emulator_thread *self = emulator_self;
    if ((uintptr_t)row % 16)
        emulator_fail("%s at %s:%d reads a row at %p: its address must be a multiple of 16", name, file, line,
                      row);
    memcpy(self->give, row, 16);
    emulator_meet(what, name, 0xffffffffu, file, line);
    memcpy(r, self->take, 16);
}
EMULATED void load_matrices(uint32_t r[4], const void *row, EMULATED_HERE)
{
    emulator_load_matrices(emulator_ldmatrix, "load_matrices", r, row, file, line);
}
EMULATED void load_matrices_transposed(uint32_t r[4], const void *row, EMULATED_HERE)
{
    emulator_load_matrices(emulator_ldmatrix_transposed, "load_matrices_transposed", r, row, file, line);
}

static inline unsigned shared_address(const void *p)
{
    return (unsigned)__cvta_generic_to_shared(p);
}

static inline void copy_async_16(void *shared, const void *global, bool take)
{
    emulator_copy_async(shared, global, take);
}
static inline void copy_async_commit(void)
{
    emulator_copy_commit();
}
template <int LEFT> static inline void copy_async_wait(void)
{
    static_assert(LEFT >= 0, "a number of groups");
    emulator_copy_wait(LEFT);
}

static inline uint4 load_streaming(const void *p, EMULATED_HERE)
{
    if ((uintptr_t)p % 16)
        emulator_fail("load_streaming at %s:%d reads %p: its address must be a multiple of 16", file, line,
                      p);
    return *static_cast<const uint4 *>(p);
}

/* Both ends must be memory that the kernel may read. */
static inline void prefetch_bulk(const void *p, unsigned bytes, EMULATED_HERE)
{
    if ((uintptr_t)p % 16 || bytes % 16 || bytes == 0)
        emulator_fail("prefetch_bulk at %s:%d takes %u bytes at %p: both must be multiples of 16", file, line,
                      bytes, p);
    const volatile char *at = static_cast<const char *>(p);
    (void)at[0], (void)at[bytes - 1];
}

typedef const unsigned char *shared_place;
static inline shared_place shared_place_of(const void *p)
{
    return static_cast<const unsigned char *>(p);
}
static inline uint32_t load_shared_word(shared_place base, unsigned offset, EMULATED_HERE)
{
    if ((uintptr_t)(base + offset) % 4)
        emulator_fail("load_shared_word at %s:%d reads %p: its address must be a multiple of 4", file, line,
                      base + offset);
    return *reinterpret_cast<const uint32_t *>(base + offset);
}

static inline unsigned thread_again(void)
{
    return threadIdx.x;
}

inline float exp2_fast(float x)
{
    return exp2f(x);
}
