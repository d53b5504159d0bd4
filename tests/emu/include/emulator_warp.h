/* The warp's and the block's intrinsics: each lane publishes what it gives, the last lane of the mask
 * computes what each takes. Every intrinsic remembers the line it was called from, for the report of a
 * deadlock. */
#pragma once

typedef void (*emulator_meeting)(emulator_thread *const lane[32], unsigned present);
void emulator_meet(emulator_meeting what, const char *name, unsigned mask, const char *file, int line);
int emulator_barrier(int predicate, const char *file, int line);

/* take = give of lane `source`; a lane that is not there gives NaNs, as nothing may rely on it. */
void emulator_shuffle(emulator_thread *const lane[32], unsigned present);
void emulator_vote(emulator_thread *const lane[32], unsigned present);    /* take: ballot of give != 0 */
void emulator_nothing(emulator_thread *const lane[32], unsigned present); /* __syncwarp */
void emulator_match(emulator_thread *const lane[32], unsigned present);   /* take: lanes with my give */

#define EMULATED_HERE const char *file = __builtin_FILE(), int line = __builtin_LINE()

template <typename T>
static inline T emulator_exchange(const char *name, unsigned mask, T value, unsigned source, const char *file,
                                  int line)
{
    static_assert(sizeof(T) <= 8, "a shuffle moves at most 8 bytes");
    emulator_thread *self = emulator_self;
    memcpy(self->give, &value, sizeof value);
    self->source = source;
    emulator_meet(emulator_shuffle, name, mask, file, line);
    memcpy(&value, self->take, sizeof value);
    return value;
}

/* Lanes outside the segment of `width` lanes read themselves (PTX ISA, shfl.sync). */
template <typename T>
static inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMULATED_HERE)
{
    unsigned lane = emulator_self->lane, w = (unsigned)width;
    return emulator_exchange("__shfl_sync", mask, value, (lane & ~(w - 1)) | ((unsigned)source & (w - 1)),
                             file, line);
}
template <typename T>
static inline T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = 32, EMULATED_HERE)
{
    unsigned lane = emulator_self->lane, w = (unsigned)width, source = lane ^ (unsigned)lanes;
    return emulator_exchange("__shfl_xor_sync", mask, value, source > (lane | (w - 1)) ? lane : source, file,
                             line);
}
template <typename T>
static inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, EMULATED_HERE)
{
    unsigned lane = emulator_self->lane, w = (unsigned)width;
    return emulator_exchange("__shfl_up_sync", mask, value, (lane & (w - 1)) < by ? lane : lane - by, file,
                             line);
}
template <typename T>
static inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, EMULATED_HERE)
{
    unsigned lane = emulator_self->lane, w = (unsigned)width;
    return emulator_exchange("__shfl_down_sync", mask, value, (lane & (w - 1)) + by >= w ? lane : lane + by,
                             file, line);
}

static inline unsigned emulator_ballot(const char *name, unsigned mask, int predicate, const char *file,
                                       int line)
{
    emulator_thread *self = emulator_self;
    unsigned votes;
    memcpy(self->give, &predicate, sizeof predicate);
    emulator_meet(emulator_vote, name, mask, file, line);
    memcpy(&votes, self->take, sizeof votes);
    return votes;
}
static inline unsigned __ballot_sync(unsigned mask, int predicate, EMULATED_HERE)
{
    return emulator_ballot("__ballot_sync", mask, predicate, file, line);
}
static inline int __any_sync(unsigned mask, int predicate, EMULATED_HERE)
{
    return emulator_ballot("__any_sync", mask, predicate, file, line) != 0;
}
static inline int __all_sync(unsigned mask, int predicate, EMULATED_HERE)
{
    return emulator_ballot("__all_sync", mask, !predicate, file, line) == 0;
}
static inline void __syncwarp(unsigned mask = 0xffffffffu, EMULATED_HERE)
{
    emulator_meet(emulator_nothing, "__syncwarp", mask, file, line);
}
template <typename T> static inline unsigned __match_any_sync(unsigned mask, T value, EMULATED_HERE)
{
    emulator_thread *self = emulator_self;
    unsigned same;
    memset(self->give, 0, 8);
    memcpy(self->give, &value, sizeof value);
    emulator_meet(emulator_match, "__match_any_sync", mask, file, line);
    memcpy(&same, self->take, sizeof same);
    return same;
}
/* The lanes that could be asked for now: with one fiber per thread, this one alone is known to be here. */
static inline unsigned __activemask(void)
{
    return 1u << emulator_self->lane;
}

/* __reduce_*_sync: 32-bit integers (sm_80). */
template <typename T, T (*JOIN)(T, T)>
static void emulator_reduce(emulator_thread *const lane[32], unsigned present)
{
    T all = T(), one;
    bool first = true;
    for (int i = 0; i < 32; i++)
        if (present >> i & 1u) {
            memcpy(&one, lane[i]->give, sizeof one);
            all = first ? one : JOIN(all, one);
            first = false;
        }
    for (int i = 0; i < 32; i++)
        if (present >> i & 1u)
            memcpy(lane[i]->take, &all, sizeof all);
}
#define EMULATED_REDUCE(name, type, value)                                                                   \
    static inline type emulator##name##type(type a, type b)                                                  \
    {                                                                                                        \
        return value;                                                                                        \
    }                                                                                                        \
    static inline type name(unsigned mask, type x, EMULATED_HERE)                                            \
    {                                                                                                        \
        emulator_thread *self = emulator_self;                                                               \
        memcpy(self->give, &x, sizeof x);                                                                    \
        emulator_meet(emulator_reduce<type, emulator##name##type>, #name, mask, file, line);                 \
        memcpy(&x, self->take, sizeof x);                                                                    \
        return x;                                                                                            \
    }
EMULATED_REDUCE(__reduce_add_sync, int, (int)((unsigned)a + (unsigned)b))
EMULATED_REDUCE(__reduce_add_sync, unsigned, a + b)
EMULATED_REDUCE(__reduce_min_sync, int, b < a ? b : a)
EMULATED_REDUCE(__reduce_min_sync, unsigned, b < a ? b : a)
EMULATED_REDUCE(__reduce_max_sync, int, a < b ? b : a)
EMULATED_REDUCE(__reduce_max_sync, unsigned, a < b ? b : a)
EMULATED_REDUCE(__reduce_and_sync, unsigned, a &b)
EMULATED_REDUCE(__reduce_or_sync, unsigned, a | b)
EMULATED_REDUCE(__reduce_xor_sync, unsigned, a ^ b)
#undef EMULATED_REDUCE

static inline void __syncthreads(EMULATED_HERE)
{
    emulator_barrier(0, file, line);
}
static inline int __syncthreads_count(int predicate, EMULATED_HERE)
{
    return emulator_barrier(predicate != 0, file, line);
}
static inline int __syncthreads_or(int predicate, EMULATED_HERE)
{
    return emulator_barrier(predicate != 0, file, line) > 0;
}
static inline int __syncthreads_and(int predicate, EMULATED_HERE)
{
    return emulator_barrier(predicate == 0, file, line) == 0;
}
