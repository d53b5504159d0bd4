/* Stacks that take turns on one OS thread: a hand-written switch on x86-64 (reference: System V ABI,
 * section 3.2.1: rbx, rbp, r12 to r15 survive a call), swapcontext elsewhere. Stacks are pooled, with a page
 * without access below each. AddressSanitizer is told of every switch. */
#pragma once

#include <stddef.h>

struct fiber {
    void *stack_pointer; /* x86-64 */
    void *context;       /* elsewhere: ucontext_t */
    void *stack;         /* lowest byte; NULL: the OS thread's own */
    size_t stack_bytes;
    void *fake_stack; /* AddressSanitizer's */
    void (*run)(void);
};

/* Makes f start in run() when it is switched to for the first time; run() never returns. f may be used again
 * once its run has switched away for good. */
void fiber_start(fiber *f, void (*run)(void));
/* Leaves `from` where it stands and goes on with `to`. last: from will not go on again. */
void fiber_switch(fiber *from, fiber *to, bool last);
