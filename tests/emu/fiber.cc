#include "tests/emu/fiber.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif
#ifdef FIBER_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
enum : size_t { STACK_BYTES = 256 << 10 };
#else
enum : size_t { STACK_BYTES = 64 << 10 };
#endif

static fiber *arriving; /* who the last switch left and where it went: AddressSanitizer is told on arrival */
static fiber *leaving;

static void arrived(void)
{
#ifdef FIBER_ASAN
    const void *bottom;
    size_t bytes;
    __sanitizer_finish_switch_fiber(arriving->fake_stack, &bottom, &bytes);
    if (!leaving->stack_bytes) { /* the OS thread's own stack, to come back to */
        leaving->stack = const_cast<void *>(bottom);
        leaving->stack_bytes = bytes;
    }
#endif
}

static void first_arrival(void)
{
    arrived();
    arriving->run();
    abort();
}

#ifdef __x86_64__
extern "C" void fiber_exchange(void **save, void *load);
__asm__(".text\n"
        ".type fiber_exchange, @function\n"
        "fiber_exchange:\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    popq %rcx\n" /* a ret would be predicted to go to the caller of the one who left */
        "    jmp *%rcx\n"
        ".size fiber_exchange, .-fiber_exchange\n");

/* Six registers, the address that is jumped to, and the gap that leaves rsp as after a call. */
static void prepare(fiber *f)
{
    uintptr_t top = ((uintptr_t)f->stack + f->stack_bytes) & ~(uintptr_t)15;
    void **frame = (void **)(top - 64);
    for (int i = 0; i < 8; i++)
        frame[i] = nullptr;
    frame[6] = (void *)first_arrival;
    f->stack_pointer = frame;
}

static void exchange(fiber *from, fiber *to)
{
    fiber_exchange(&from->stack_pointer, to->stack_pointer);
}
#else
#include <ucontext.h>

static ucontext_t *context_of(fiber *f)
{
    if (!f->context)
        f->context = calloc(1, sizeof(ucontext_t));
    return (ucontext_t *)f->context;
}

static void prepare(fiber *f)
{
    ucontext_t *context = context_of(f);
    getcontext(context);
    context->uc_stack.ss_sp = f->stack;
    context->uc_stack.ss_size = f->stack_bytes;
    context->uc_link = nullptr;
    makecontext(context, first_arrival, 0);
}

static void exchange(fiber *from, fiber *to)
{
    swapcontext(context_of(from), context_of(to));
}
#endif

void fiber_start(fiber *f, void (*run)(void))
{
    if (!f->stack) {
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        char *p = (char *)mmap(nullptr, STACK_BYTES + page, PROT_READ | PROT_WRITE,
                               MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (p == MAP_FAILED) {
            perror("emulator: no memory for a thread's stack");
            abort();
        }
        mprotect(p, page, PROT_NONE);
        f->stack = p + page;
        f->stack_bytes = STACK_BYTES;
    }
#ifdef FIBER_ASAN
    /* The last run left by a switch: the gaps around its outermost frames still count as forbidden. */
    enum : size_t { OUTERMOST = 16 << 10 };
    __asan_unpoison_memory_region((char *)f->stack + f->stack_bytes - OUTERMOST, OUTERMOST);
#endif
    f->run = run;
    f->fake_stack = nullptr;
    prepare(f);
}

void fiber_switch(fiber *from, fiber *to, bool last)
{
    leaving = from;
    arriving = to;
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(last ? nullptr : &from->fake_stack, to->stack, to->stack_bytes);
#else
    (void)last;
#endif
    exchange(from, to);
    arrived();
}
