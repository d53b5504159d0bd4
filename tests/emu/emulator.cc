#define EMULATOR_CHANGES_THREADS
#include "emulator.h"
#include "tests/emu/fiber.h"
#include "tests/emu/runtime.h"
#include "tests/emu/watch.h"

#include <stdarg.h>
#include <stdio.h>
#include <vector>

extern "C" unsigned char emulated_shared_begin[], emulated_shared_end[];

emulator_thread *emulator_self;
uint3 emulator_thread_index, emulator_block_index;
dim3 emulator_block_dim, emulator_grid_dim;

namespace
{
enum wait { READY, AT_MEETING, AT_BARRIER, AT_GRID_BARRIER, GONE };

struct copy {
    void *to;
    const void *from;
    int group;
    bool take;
    const void *code;
};

struct warp;
struct block;

struct thread : emulator_thread {
    fiber stack;
    block *home;
    warp *lanes;
    unsigned number; /* in its block */
    wait state;
    const char *what, *file; /* where it waits */
    int line;
    unsigned mask;
    std::vector<copy> copies;
    int group; /* of copies not yet committed */
};

struct meeting { /* of the lanes of one mask; masks that are open at once share no lane, hence no lowest lane
                  */
    unsigned mask, arrived;
    emulator_meeting operation;
    const char *name;
};

struct warp {
    emulator_thread *lane[32];
    unsigned live, open; /* open: meetings with someone waiting, by lowest lane */
    meeting meetings[32];
};

struct block {
    uint3 index;
    unsigned threads, live, arrived;
    int votes, verdict;
    const char *file; /* of the barrier they arrive at */
    int line;
    std::vector<warp> warps;
    unsigned char *shared;
    std::vector<unsigned char> statics; /* its static shared memory while another block's threads run */
    watch watched;
};

/* Blocks whose threads take turns: one, or all of a cooperative launch. */
struct crew {
    const emulator_kernel *kernel;
    std::vector<block> blocks;
    size_t live, at_grid_barrier;
    std::vector<thread *> ready; /* a ring */
    size_t first, count;
    fiber origin;    /* the OS thread's own stack */
    block *standing; /* whose static shared memory is in place */
    const char *file;
    int line;
};

std::vector<thread *> &pool = *new std::vector<thread *>(); /* stays reachable to the end */
crew *now;

thread *self(void)
{
    return static_cast<thread *>(emulator_self);
}

/* ---- the order in which threads go on ---- */

struct order {
    enum { FORWARD, REVERSE, RANDOM } kind;
    uint64_t state;
};

order read_order(void)
{
    const char *text = getenv("EMULATED_ORDER");
    if (text && strcmp(text, "reverse") == 0)
        return {order::REVERSE, 0};
    if (text && strncmp(text, "random", 6) == 0)
        return {order::RANDOM, text[6] == ':' ? strtoull(text + 7, nullptr, 10) : 1};
    return {order::FORWARD, 0};
}
order how = {order::FORWARD, 0};

void make_ready(thread *t)
{
    t->state = READY;
    size_t at = now->first + now->count++;
    now->ready[at < now->ready.size() ? at : at - now->ready.size()] = t;
}

thread *next_ready(void)
{
    size_t n = now->ready.size(), pick = 0;
    if (!now->count)
        return nullptr;
    now->count--;
    if (how.kind == order::FORWARD) {
        thread *t = now->ready[now->first];
        now->first = now->first + 1 == n ? 0 : now->first + 1;
        return t;
    }
    if (how.kind == order::RANDOM) {
        how.state = how.state * 6364136223846793005u + 1442695040888963407u;
        pick = (size_t)(how.state >> 33) % (now->count + 1);
    } else {
        pick = now->count;
    }
    size_t at = (now->first + pick) % n;
    thread *t = now->ready[at];
    now->ready[at] = now->ready[(now->first + now->count) % n];
    return t;
}

/* ---- reports ---- */

void print_place(const thread *t)
{
    if (t->state == GONE)
        fprintf(stderr, "have left the kernel\n");
    else if (t->state == AT_MEETING)
        fprintf(stderr, "wait at %s of lanes %08x, %s:%d\n", t->what, t->mask, t->file, t->line);
    else
        fprintf(stderr, "wait at %s, %s:%d\n",
                t->state == AT_BARRIER ? "__syncthreads" : "the grid's barrier", t->file, t->line);
}

bool same_place(const thread *a, const thread *b)
{
    return a->home == b->home && a->state == b->state &&
           (a->state == GONE ||
            (a->file == b->file && a->line == b->line && (a->state != AT_MEETING || a->mask == b->mask)));
}

[[noreturn]] void report_deadlock(void)
{
    fprintf(stderr, "emulator: deadlock in kernel %s: every thread waits for another\n", now->kernel->name);
    size_t n = 0;
    for (block &b : now->blocks)
        n += b.threads;
    for (size_t i = 0; i < n;) {
        size_t end = i + 1;
        while (end < n && same_place(pool[i], pool[end]))
            end++;
        const thread *t = pool[i];
        fprintf(stderr, "  block (%u, %u, %u), threads %u to %u ", t->block_index.x, t->block_index.y,
                t->block_index.z, t->number, pool[end - 1]->number);
        print_place(t);
        i = end;
    }
    fflush(stdout);
    abort();
}

/* ---- turns ---- */

/* Exchanges the static shared memory; copied byte by byte because of the sanitizer's gaps between variables.
 */
__attribute__((no_sanitize("address"), noinline)) void copy_shared(unsigned char *to,
                                                                   const unsigned char *from, size_t n)
{
    volatile unsigned char *out = to;
    for (size_t i = 0; i < n; i++)
        out[i] = from[i];
}

__attribute__((no_sanitize("address"), noinline)) void poison_shared(unsigned char *p, size_t n)
{
    size_t i = 0;
#ifndef __SANITIZE_ADDRESS__
    i = n;
    if (n)
        memset(p, 0xff, n);
#endif
    for (; i < n; i++)
        *(volatile unsigned char *)(p + i) = 0xff;
}

void stand_in(block *b)
{
    size_t n = (size_t)(emulated_shared_end - emulated_shared_begin);
    if (b == now->standing)
        return;
    watch_stand(&b->watched);
    copy_shared(now->standing->statics.data(), emulated_shared_begin, n);
    copy_shared(emulated_shared_begin, b->statics.data(), n);
    now->standing = b;
}

void become(thread *t)
{
    emulator_self = t;
    emulator_thread_index = t->thread_index;
    emulator_block_index = t->block_index;
}

void give_way(bool last)
{
    thread *from = self(), *to = next_ready();
    if (to == from)
        return;
    if (!to && last && now->live == 0) {
        fiber_switch(&from->stack, &now->origin, true);
        abort();
    }
    if (!to)
        report_deadlock();
    if (now->blocks.size() > 1)
        stand_in(to->home);
    become(to);
    fiber_switch(&from->stack, &to->stack, last);
}

void wait_at(wait state, const char *what, unsigned mask, const char *file, int line)
{
    thread *t = self();
    t->state = state;
    t->what = what;
    t->mask = mask;
    t->file = file;
    t->line = line;
    give_way(false);
}

/* ---- the warp ---- */

/* Runs the operation if everyone of its mask who is still here has arrived; wakes all but the caller. */
bool conclude(warp *w, unsigned leader)
{
    meeting *m = &w->meetings[leader];
    if (m->arrived != (m->mask & w->live))
        return false;
    unsigned present = m->arrived;
    m->arrived = 0;
    w->open &= ~(1u << leader);
    m->operation(w->lane, present);
    if (m->operation == emulator_nothing)
        watch_warp(&self()->home->watched, self()->number / 32, present);
    for (unsigned rest = present; rest; rest &= rest - 1) {
        thread *t = static_cast<thread *>(w->lane[__builtin_ctz(rest)]);
        if (t != self() && t->state == AT_MEETING)
            make_ready(t);
    }
    return true;
}

/* ---- the block ---- */

void conclude_barrier(block *b)
{
    b->arrived = 0;
    b->verdict = b->votes;
    b->votes = 0;
    watch_barrier(&b->watched);
    for (warp &w : b->warps)
        for (unsigned rest = w.live; rest; rest &= rest - 1) {
            thread *t = static_cast<thread *>(w.lane[__builtin_ctz(rest)]);
            if (t->state == AT_BARRIER)
                make_ready(t);
        }
}

void conclude_grid_barrier(void)
{
    now->at_grid_barrier = 0;
    for (block &b : now->blocks) {
        watch_barrier(&b.watched);
        for (warp &w : b.warps)
            for (unsigned rest = w.live; rest; rest &= rest - 1) {
                thread *t = static_cast<thread *>(w.lane[__builtin_ctz(rest)]);
                if (t->state == AT_GRID_BARRIER)
                    make_ready(t);
            }
    }
}

/* A thread's whole life. Those that wait for it go on without it. */
void live(void)
{
    now->kernel->run(now->kernel->arguments);
    thread *t = self();
    block *b = t->home;
    if (!t->copies.empty())
        emulator_fail("the thread leaves with copies from copy_async_16 that nobody waited for");
    t->state = GONE;
    t->lanes->live &= ~(1u << t->lane);
    b->live--;
    now->live--;
    for (unsigned rest = t->lanes->open; rest; rest &= rest - 1)
        conclude(t->lanes, (unsigned)__builtin_ctz(rest));
    if (b->live && b->arrived == b->live)
        conclude_barrier(b);
    if (now->live && now->at_grid_barrier == now->live)
        conclude_grid_barrier();
    give_way(true);
}

uint3 index_of(size_t i, dim3 in)
{
    return {(unsigned)(i % in.x), (unsigned)(i / in.x % in.y), (unsigned)(i / in.x / in.y)};
}

/* Places the threads of block b, whose fibers are pool[from ...]. */
void place(block *b, size_t number, size_t from, unsigned char *shared)
{
    const emulator_kernel *k = now->kernel;
    b->index = index_of(number, k->grid);
    b->threads = b->live = k->block.x * k->block.y * k->block.z;
    b->arrived = 0;
    b->votes = 0;
    b->shared = shared;
    b->warps.resize((b->threads + 31) / 32);
    memset((void *)b->warps.data(), 0, b->warps.size() * sizeof(warp));
    for (unsigned i = 0; i < b->threads; i++) {
        if (from + i == pool.size())
            pool.push_back(new thread());
        thread *t = pool[from + i];
        warp *w = &b->warps[i / 32];
        t->thread_index = index_of(i, k->block);
        t->block_index = b->index;
        t->shared = shared;
        t->lane = i % 32;
        t->home = b;
        t->lanes = w;
        t->number = i;
        t->group = 0;
        w->lane[t->lane] = t;
        w->live |= 1u << t->lane;
        fiber_start(&t->stack, live);
        make_ready(t);
    }
    now->live += b->threads;
    watch_begin(&b->watched, b->threads, emulated_shared_begin,
                (size_t)(emulated_shared_end - emulated_shared_begin), shared, k->shared);
}

void go(void)
{
    thread *t = next_ready();
    become(t);
    watch_stand(&now->blocks[0].watched);
    if (now->blocks.size() > 1)
        stand_in(t->home);
    fiber_switch(&now->origin, &t->stack, false);
    emulator_self = nullptr;
    watch_stand(nullptr);
}

unsigned char *new_shared(size_t bytes)
{
    void *p = nullptr;
    if (bytes && posix_memalign(&p, 128, bytes))
        abort();
    return (unsigned char *)p;
}

void run_in_turn(const emulator_kernel &k, size_t blocks, size_t threads, size_t statics)
{
    now->blocks.resize(1);
    now->ready.resize(threads);
    unsigned char *shared = new_shared(k.shared);
    for (size_t i = 0; i < blocks; i++) {
        poison_shared(emulated_shared_begin, statics);
        poison_shared(shared, k.shared);
        now->first = now->count = 0;
        place(&now->blocks[0], how.kind == order::FORWARD ? i : blocks - 1 - i, 0, shared);
        go();
    }
    free(shared);
}

void run_together(const emulator_kernel &k, size_t blocks, size_t threads, size_t statics)
{
    now->blocks.resize(blocks);
    now->ready.resize(threads * blocks);
    for (size_t i = 0; i < blocks; i++) {
        unsigned char *shared = new_shared(k.shared);
        poison_shared(shared, k.shared);
        now->blocks[i].statics.assign(statics, 0xff);
        place(&now->blocks[i], i, i * threads, shared);
    }
    poison_shared(emulated_shared_begin, statics);
    now->standing = &now->blocks[0];
    go();
    for (block &b : now->blocks)
        free(b.shared);
}
} // namespace

void emulator_run(const emulator_kernel &k)
{
    how = read_order();
    crew crew = {};
    size_t blocks = (size_t)k.grid.x * k.grid.y * k.grid.z,
           threads = (size_t)k.block.x * k.block.y * k.block.z;
    size_t statics = (size_t)(emulated_shared_end - emulated_shared_begin);
    crew.kernel = &k;
    now = &crew;
    emulator_grid_dim = k.grid;
    emulator_block_dim = k.block;
    if (k.cooperative)
        run_together(k, blocks, threads, statics);
    else
        run_in_turn(k, blocks, threads, statics);
    for (block &b : crew.blocks)
        watch_end(&b.watched);
    now = nullptr;
}

void emulator_meet(emulator_meeting what, const char *name, unsigned mask, const char *file, int line)
{
    thread *t = self();
    warp *w = t->lanes;
    unsigned leader = (unsigned)__builtin_ctz(mask | 0x80000000u);
    if (!(mask >> t->lane & 1u))
        emulator_fail("%s at %s:%d: lane %u is not in its own mask %08x", name, file, line, t->lane, mask);
    meeting *m = &w->meetings[leader];
    if (!m->arrived) {
        m->mask = mask;
        m->operation = what;
        m->name = name;
        w->open |= 1u << leader;
    } else if (m->mask != mask || m->operation != what) {
        emulator_fail("%s of lanes %08x at %s:%d, while other lanes of the warp wait at %s of lanes %08x",
                      name, mask, file, line, m->name, m->mask);
    }
    m->arrived |= 1u << t->lane;
    if (!conclude(w, leader))
        wait_at(AT_MEETING, name, mask, file, line);
}

int emulator_barrier(int predicate, const char *file, int line)
{
    block *b = self()->home;
    if (!b->arrived) {
        b->file = file;
        b->line = line;
    } else if (b->line != line || (b->file != file && strcmp(b->file, file) != 0)) {
        emulator_fail("__syncthreads at %s:%d, while other threads of the block wait at %s:%d", file, line,
                      b->file, b->line);
    }
    b->arrived++;
    b->votes += predicate != 0;
    if (b->arrived == b->live)
        conclude_barrier(b);
    else
        wait_at(AT_BARRIER, "__syncthreads", 0, file, line);
    return b->verdict;
}

unsigned emulator_number(void)
{
    return self()->number;
}

void emulator_grid_barrier(const char *file, int line)
{
    if (!now->kernel->cooperative)
        emulator_fail("the grid's barrier at %s:%d in a kernel that was not launched cooperatively", file,
                      line);
    if (++now->at_grid_barrier == now->live)
        conclude_grid_barrier();
    else
        wait_at(AT_GRID_BARRIER, "grid barrier", 0, file, line);
}

void emulator_fail(const char *format, ...)
{
    va_list arguments;
    const thread *t = self();
    fprintf(stderr, "emulator: ");
    if (t)
        fprintf(stderr, "kernel %s, block (%u, %u, %u), thread (%u, %u, %u): ", now->kernel->name,
                t->block_index.x, t->block_index.y, t->block_index.z, t->thread_index.x, t->thread_index.y,
                t->thread_index.z);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    fflush(stdout);
    abort();
}

/* ---- asynchronous copies ---- */

void emulator_copy_async(void *shared, const void *global, bool take)
{
    thread *t = self();
    if ((uintptr_t)shared % 16 || (take && (uintptr_t)global % 16))
        emulator_fail("copy_async_16 from %p to %p: both addresses must be multiples of 16", global, shared);
    memset(shared, 0xff, 16); /* whoever reads before the wait sees it */
    watch_store(&t->home->watched, t->number, shared, 16, __builtin_return_address(0));
    t->copies.push_back({shared, global, t->group, take, __builtin_return_address(0)});
}

void emulator_copy_commit(void)
{
    self()->group++;
}

void emulator_copy_wait(int left)
{
    thread *t = self();
    size_t done = 0;
    for (; done < t->copies.size() && t->copies[done].group < t->group - left; done++) {
        const copy &c = t->copies[done];
        if (c.take)
            memcpy(c.to, c.from, 16);
        else
            memset(c.to, 0, 16);
        watch_store(&t->home->watched, t->number, c.to, 16, c.code);
    }
    t->copies.erase(t->copies.begin(), t->copies.begin() + (ptrdiff_t)done);
}
