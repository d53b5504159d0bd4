/* One fiber per CUDA thread: how the kernels' own source runs on the host (reference: PTX ISA and the CUDA
 * C++ Programming Guide for what each operation promises).
 *
 * A block's threads run on one OS thread and change places only where they wait for each other: at a warp's
 * rendezvous (shuffles, votes, mma), at a block's barrier, at a cooperative grid's barrier. Blocks run one
 * after another. What no GPU tells is told here and ends the program: a deadlock (who waits where), a lane
 * outside its own mask, lanes of one mask at different operations, threads of one barrier at different lines,
 * an address that an instruction does not accept.
 *
 * Shared memory is filled with 0xff before each block (NaN in every type); dynamic shared memory has its
 * exact size. EMULATED_ORDER=reverse or random[:SEED] changes the order in which threads go on, and runs the
 * blocks from the last to the first. Races in shared memory: watch.h. Memory order between blocks is not
 * modelled. */
#pragma once

#include <cuda_runtime.h>

#include <stdlib.h>
#include <tuple>
#include <type_traits>
#include <utility>

/* A warp operation, done once by the lane that comes last for all lanes in `present`: it reads each lane's
 * give and source and writes its take. */
typedef void (*emulator_meeting)(emulator_thread *const lane[32], unsigned present);

/* Waits until all lanes of `mask` that have not left the kernel stand at the same operation. */
void emulator_meet(emulator_meeting what, const char *name, unsigned mask, const char *file, int line);
/* The block's barrier: 0 plain; how many threads came with a predicate that is not 0. */
int emulator_barrier(int predicate, const char *file, int line);
void emulator_grid_barrier(const char *file, int line); /* cooperative launches alone */
/* Copies that become visible at copy_async_wait: the latest moment the instruction allows. */
void emulator_copy_async(void *shared, const void *global, bool take);
void emulator_copy_commit(void);
void emulator_copy_wait(int left);
/* What happened, in which kernel, block and thread; then abort. */
[[noreturn]] void emulator_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

static inline unsigned char *emulator_shared(void)
{
    return emulator_self->shared;
}

struct emulator_kernel {
    const char *name;
    const void *function; /* whose attributes cudaFuncSetAttribute set */
    dim3 grid, block;
    size_t shared;
    bool cooperative;
    void (*run)(void *arguments); /* one thread */
    void *arguments;
    void (*drop)(void *arguments);
};
/* Checks the configuration as a device does and queues the kernel; the outcome is cudaGetLastError's. */
void emulator_queue(const emulator_kernel &kernel, cudaStream_t stream);

template <typename... P> struct emulator_call {
    void (*kernel)(P...);
    std::tuple<std::decay_t<P>...> arguments;

    static void run(void *data)
    {
        auto *call = static_cast<emulator_call *>(data);
        std::apply(call->kernel, call->arguments);
    }
    static void drop(void *data)
    {
        delete static_cast<emulator_call *>(data);
    }
};

template <typename... P, typename... A>
void emulator_launch_as(bool cooperative, const char *name, dim3 grid, dim3 block, size_t shared,
                        cudaStream_t stream, void (*kernel)(P...), A &&...arguments)
{
    static_assert(sizeof...(P) == sizeof...(A), "a kernel is launched with all its arguments");
    auto *call = new emulator_call<P...>{
        kernel, std::tuple<std::decay_t<P>...>(static_cast<std::decay_t<P>>(std::forward<A>(arguments))...)};
    emulator_queue({name, reinterpret_cast<const void *>(kernel), grid, block, shared, cooperative,
                    emulator_call<P...>::run, call, emulator_call<P...>::drop},
                   stream);
}

template <typename... P, typename... A>
void emulator_launch(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                     void (*kernel)(P...), A &&...arguments)
{
    emulator_launch_as(false, name, grid, block, shared, stream, kernel, std::forward<A>(arguments)...);
}

/* All blocks alive at once; emulator_grid_barrier holds them together. */
template <typename... P, typename... A>
void emulator_launch_cooperative(const char *name, dim3 grid, dim3 block, size_t shared, cudaStream_t stream,
                                 void (*kernel)(P...), A &&...arguments)
{
    emulator_launch_as(true, name, grid, block, shared, stream, kernel, std::forward<A>(arguments)...);
}
