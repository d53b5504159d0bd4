#include "tests/emu/watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace
{
enum : unsigned { SEVERAL = 0xffffu }; /* warps */

} // namespace

extern "C" const char __executable_start;

/* Asked for the first time when a kernel is launched. */
static bool on()
{
    static const bool yes = !getenv("EMULATED_WATCH") || strcmp(getenv("EMULATED_WATCH"), "0") != 0;
    return yes;
}

static uint32_t epochs; /* enough: a barrier takes longer than a second's 2^-32 */

static std::vector<std::vector<watch_word>> &spare = *new std::vector<std::vector<watch_word>>();

void watch_end(watch *w)
{
    if (!on())
        return;
    spare.emplace_back();
    spare.back().swap(w->words);
}

void watch_begin(watch *w, unsigned threads, void *statics, size_t static_bytes, void *dynamic,
                 size_t dynamic_bytes)
{
    if (!on())
        return;
    w->statics = (uintptr_t)statics;
    w->static_bytes = static_bytes;
    w->dynamic = (uintptr_t)dynamic;
    w->dynamic_bytes = dynamic_bytes;
    w->began = w->epoch = ++epochs;
    w->static_words = (static_bytes + 3) / 4;
    size_t words = w->static_words + (dynamic_bytes + 3) / 4;
    if (w->words.empty() && !spare.empty()) {
        w->words.swap(spare.back());
        spare.pop_back();
    }
    if (w->words.size() < words)
        w->words.resize(words); /* what stands there is of earlier epochs */
    w->warps.resize((threads + 31) / 32);
    memset((void *)w->warps.data(), 0, w->warps.size() * sizeof w->warps[0]);
}

void watch_barrier(watch *w)
{
    w->epoch = ++epochs;
}

void watch_warp(watch *w, unsigned warp, unsigned present)
{
    if (!on())
        return;
    watch::lanes &l = w->warps[warp];
    unsigned all[32] = {0};
    for (unsigned b = 0; b < 32; b++)
        if (present >> b & 1u) {
            l.clock[b]++;
            for (unsigned a = 0; a < 32; a++)
                all[a] = l.known[b][a] > all[a] ? l.known[b][a] : all[a];
        }
    for (unsigned a = 0; a < 32; a++)
        if (present >> a & 1u)
            all[a] = l.clock[a];
    for (unsigned b = 0; b < 32; b++)
        if (present >> b & 1u)
            memcpy(l.known[b], all, sizeof all);
}

namespace
{
/* Of an instruction, from where the program is loaded. */
uint32_t place(const void *code)
{
    return (uint32_t)((const char *)code - &__executable_start);
}

/* "kernels/cuda/gemv.cuh:120", as far as the symbols say. */
void print_code(uint32_t code)
{
    char path[1000], command[1200], line[600] = "";
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n > 0) {
        path[n] = '\0';
        snprintf(command, sizeof command, "addr2line -ipe '%s' %#x 2>/dev/null | tr '\\n' ' '", path,
                 code - 1);
        FILE *pipe = popen(command, "r");
        if (pipe && !fgets(line, sizeof line, pipe))
            line[0] = '\0';
        if (pipe)
            pclose(pipe);
    }
    fprintf(stderr, "%s", line[0] ? line : "(no line: addr2line is not here)");
}

/* "byte 12 of the dynamic shared memory" */
struct where {
    const watch *w;
    size_t at; /* as in offset() */
    void name(char out[64]) const
    {
        bool dynamic = at >= 4 * w->static_words;
        snprintf(out, 64, "byte %zu of the %s shared memory", dynamic ? at - 4 * w->static_words : at,
                 dynamic ? "dynamic" : "static");
    }
};

[[noreturn]] void tell(const where &place, const char *now, uint32_t code, const char *then,
                       const watch_access &a)
{
    char name[64];
    place.name(name);
    fprintf(stderr, "emulator: the %s at ", now);
    print_code(code);
    fprintf(stderr, "\n  and the %s at ", then);
    print_code(a.code);
    if (a.warp == SEVERAL)
        fprintf(stderr, "\n  by several warps are not ordered by a barrier\n");
    else
        fprintf(stderr, "\n  by another thread, of warp %u, are not ordered by a barrier\n", a.warp);
    emulator_fail("a race in shared memory, at %s", name);
}

/* Whether thread (warp, lane), now, sees all that `a` stands for. */
bool ordered(const watch *w, const watch_access &a, unsigned warp, unsigned lane)
{
    if (a.epoch != w->epoch)
        return true; /* before the last barrier, or never */
    if (a.warp != warp)
        return false;
    for (unsigned rest = a.lanes & ~(1u << lane); rest; rest &= rest - 1)
        if (a.clock >= w->warps[warp].known[lane][__builtin_ctz(rest)])
            return false;
    return true;
}

enum kind { LOAD, STORE, ATOMIC };

void touch(const watch *w, watch_byte &b, size_t at, unsigned warp, unsigned lane, kind what, uint32_t code)
{
    const char *now = what == LOAD ? "load" : what == STORE ? "store" : "atomic operation";
    unsigned clock = w->warps[warp].clock[lane];
    watch_access mine = {w->epoch, code, clock, 1u << lane, (uint16_t)warp, what == ATOMIC};
    bool alone = ordered(w, b.store, warp, lane);
    if (!alone && !(what == ATOMIC && b.store.atomic))
        tell({w, at}, now, code, b.store.atomic ? "atomic operation" : "store", b.store);
    if (what == LOAD) {
        if (b.store.epoch < w->began) {
            char name[64];
            where{w, at}.name(name);
            fprintf(stderr, "emulator: the load at ");
            print_code(code);
            fprintf(stderr, "\n");
            emulator_fail("shared memory is read that the block has not written, at %s", name);
        }
        if (b.load.epoch == w->epoch && !ordered(w, b.load, warp, lane)) {
            if (b.load.warp != warp)
                b.load.warp = SEVERAL;
            b.load.lanes |= 1u << lane;
            b.load.clock = clock < b.load.clock ? clock : b.load.clock;
            return;
        }
        b.load = mine;
        return;
    }
    if (!ordered(w, b.load, warp, lane))
        tell({w, at}, now, code, "load", b.load);
    if (!alone) /* several atomic operations: none is the last */
        mine.warp = SEVERAL;
    b.store = mine;
}

/* Bytes [at, at + bytes) of shared memory, at counted as in offset(). */
void touch_all(watch *w, unsigned thread, size_t at, size_t bytes, kind what, const void *from)
{
    unsigned warp = thread / 32, lane = thread % 32;
    uint32_t code = place(from);
    size_t end = at + bytes < 4 * w->words.size() ? at + bytes : 4 * w->words.size();
    while (at < end) {
        watch_word &word = w->words[at / 4];
        bool whole = at % 4 == 0 && at + 4 <= end;
        if (whole && word.apart < w->began) {
            touch(w, word.byte[0], at, warp, lane, what, code);
            at += 4;
            continue;
        }
        if (word.apart < w->began) {
            word.byte[1] = word.byte[2] = word.byte[3] = word.byte[0];
            word.apart = w->epoch;
        }
        size_t next = whole || end > (at | 3) + 1 ? (at | 3) + 1 : end;
        for (; at < next; at++)
            touch(w, word.byte[at % 4], at, warp, lane, what, code);
        if (whole && what == STORE) { /* one store is the last of all four again; their loads are before it */
            word.byte[0].load.epoch = 0;
            word.apart = 0;
        }
    }
}

/* Where p lies in the block's shared memory, static before dynamic, each from a multiple of 4 on; NOWHERE: it
 * does not. */
enum : size_t { NOWHERE = SIZE_MAX };
inline size_t offset(const watch *w, const void *p)
{
    if ((uintptr_t)p - w->statics < w->static_bytes)
        return (uintptr_t)p - w->statics;
    if ((uintptr_t)p - w->dynamic < w->dynamic_bytes)
        return 4 * w->static_words + (uintptr_t)p - w->dynamic;
    return NOWHERE;
}

watch nobody;              /* of no memory */
watch *standing = &nobody; /* of the block whose threads run */

__attribute__((noinline)) void see_shared(size_t at, size_t bytes, kind what, const void *code)
{
    touch_all(standing, emulator_number(), at, bytes, what, code);
}

/* Nearly every access is to global memory and ends here. */
inline __attribute__((always_inline)) void see(const void *p, size_t bytes, kind what, const void *code)
{
    size_t at = offset(standing, p);
    if (__builtin_expect(at != NOWHERE, 0))
        see_shared(at, bytes, what, code);
}
} // namespace

void watch_stand(watch *w)
{
    standing = w && on() ? w : &nobody;
}

void watch_store(watch *w, unsigned thread, const void *p, size_t bytes, const void *code)
{
    size_t at = offset(w, p);
    if (at != NOWHERE)
        touch_all(w, thread, at, bytes, STORE, code);
}

/* ---- what the compiler's instrumentation calls ---- */

/* Under a sanitizer kernels make no such calls, and the compiler has declarations of its own. */
#ifndef EMULATED_UNWATCHED
#define WATCH_SIZE(n)                                                                                        \
    void __tsan_read##n(void *p)                                                                             \
    {                                                                                                        \
        see(p, n, LOAD, __builtin_return_address(0));                                                        \
    }                                                                                                        \
    void __tsan_write##n(void *p)                                                                            \
    {                                                                                                        \
        see(p, n, STORE, __builtin_return_address(0));                                                       \
    }                                                                                                        \
    void __tsan_unaligned_read##n(void *p)                                                                   \
    {                                                                                                        \
        see(p, n, LOAD, __builtin_return_address(0));                                                        \
    }                                                                                                        \
    void __tsan_unaligned_write##n(void *p)                                                                  \
    {                                                                                                        \
        see(p, n, STORE, __builtin_return_address(0));                                                       \
    }
extern "C" {
WATCH_SIZE(1)
WATCH_SIZE(2)
WATCH_SIZE(4)
WATCH_SIZE(8)
WATCH_SIZE(16)
void __tsan_read_range(void *p, size_t bytes)
{
    see(p, bytes, LOAD, __builtin_return_address(0));
}
void __tsan_write_range(void *p, size_t bytes)
{
    see(p, bytes, STORE, __builtin_return_address(0));
}
void __tsan_init(void) {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit(void) {}
void __tsan_vptr_update(void *, void *) {}
void __tsan_vptr_read(void *) {}
}
#endif

void emulator_atomic(const void *p, size_t bytes)
{
    see(p, bytes, ATOMIC, __builtin_return_address(0));
}
