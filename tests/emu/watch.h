/* Who touched which byte of a block's shared memory, and what orders it: hazards that a GPU's scheduling may
 * or may not show (what compute-sanitizer's racecheck looks for), found in every emulated run.
 *
 * The kernels are compiled with the compiler's instrumentation of loads and stores (-fsanitize=thread) and
 * this file stands in for its library. Two threads' accesses to one byte, one of them a store, are ordered by
 * a barrier of the block between them or, within a warp, by __syncwarp of a mask with both; shuffles, votes
 * and matrix instructions order no memory (CUDA C++ Programming Guide, "Warp Vote", "Warp Shuffle"). A read
 * of shared memory that nobody in the block has written is told too. EMULATED_WATCH=0 in the environment
 * turns it off: whole models take several times as long with it. */
#pragma once

#include "emulator.h"

#include <vector>

/* The last access of one kind to a byte, or the loads of several lanes since what orders them. */
struct watch_access {
    uint32_t epoch; /* 0: none */
    uint32_t code;  /* where in the program */
    uint32_t clock, lanes;
    uint16_t warp;
    bool atomic;
};
struct watch_byte {
    watch_access store, load;
};
/* Four bytes; the first stands for all until one is touched apart from the others. */
struct watch_word {
    uint32_t apart; /* the epoch when that was; of an earlier block: not yet */
    watch_byte byte[4];
};

/* Of one block. Threads are numbered in the block. */
struct watch {
    uintptr_t statics, dynamic;
    size_t static_bytes, dynamic_bytes;
    uint32_t began, epoch;         /* epochs count barriers, over all blocks */
    std::vector<watch_word> words; /* of the static memory, then of the dynamic */
    size_t static_words;
    struct lanes {
        unsigned known[32][32]; /* [b][a]: b sees what lane a did before its known[b][a]-th __syncwarp */
        unsigned clock[32];
    };
    std::vector<lanes> warps;
};

void watch_begin(watch *w, unsigned threads, void *statics, size_t static_bytes, void *dynamic,
                 size_t dynamic_bytes);
void watch_end(watch *w);                                   /* the block is done: its words serve the next */
void watch_barrier(watch *w);                               /* all threads of the block met */
void watch_warp(watch *w, unsigned warp, unsigned present); /* __syncwarp of these lanes */
/* A store of thread `thread` that no instrumented code makes: an asynchronous copy. */
void watch_store(watch *w, unsigned thread, const void *p, size_t bytes, const void *code);

/* The block whose threads run from now on; NULL: none does. */
void watch_stand(watch *w);
/* The number in its block of the thread that runs. Of emulator.cc. */
unsigned emulator_number(void);
