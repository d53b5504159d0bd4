#define _GNU_SOURCE
#include "tui/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Process state by nature: a signal handler has no argument to find it by. */
static struct {
    int saved_stderr, log; /* -1: not redirected */
    int fd;
    char restore[512];
    size_t length;
    struct termios settings;
    bool armed;
    void *stack;
} guard = {.saved_stderr = -1, .log = -1, .fd = -1};

static const int fatal[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGQUIT, SIGSYS};
enum { FATAL = sizeof fatal / sizeof fatal[0] };
static struct sigaction old_action[FATAL];

int terminal_redirect_stderr(struct error *e)
{
    if (guard.log >= 0)
        return 0;
    int log = memfd_create("benchtop-stderr", MFD_CLOEXEC);
    int saved = log < 0 ? -1 : dup(STDERR_FILENO);
    if (saved < 0 || dup2(log, STDERR_FILENO) < 0) {
        error_set(e, ERROR_FAILED, "standard error cannot be kept off the screen (%s): close other programs",
                  strerror(errno));
        if (log >= 0)
            close(log);
        if (saved >= 0)
            close(saved);
        return -1;
    }
    guard.log = log;
    guard.saved_stderr = saved;
    return 0;
}

/* Async-signal-safe. */
static void replay(void)
{
    if (guard.log < 0)
        return;
    dup2(guard.saved_stderr, STDERR_FILENO);
    char buffer[4096];
    off_t at = 0;
    for (ssize_t n; (n = pread(guard.log, buffer, sizeof buffer, at)) > 0; at += n)
        if (write(STDERR_FILENO, buffer, (size_t)n) < 0)
            break;
}

void terminal_replay_stderr(void)
{
    if (guard.log < 0)
        return;
    fflush(stderr);
    replay();
    close(guard.log);
    close(guard.saved_stderr);
    guard.log = guard.saved_stderr = -1;
}

static void on_fatal(int signal_number, siginfo_t *info, void *context)
{
    (void)context;
    static atomic_flag entered = ATOMIC_FLAG_INIT;
    if (!atomic_flag_test_and_set(&entered) && guard.armed) {
        const char *at = guard.restore;
        size_t left = guard.length;
        while (left > 0) {
            ssize_t n = write(guard.fd, at, left);
            if (n <= 0)
                break;
            at += n;
            left -= (size_t)n;
        }
        tcsetattr(guard.fd, TCSANOW, &guard.settings);
        replay();
    }
    for (int i = 0; i < FATAL; i++)
        if (fatal[i] == signal_number)
            sigaction(signal_number, &old_action[i], NULL);
    /* A fault happens again on return and reaches the old handler with its true address. What was sent by
     * kill() or abort() would not: it is sent once more. */
    if (!info || info->si_code <= 0)
        raise(signal_number);
}

void terminal_guard(int fd, const char *restore, const struct termios *saved)
{
    if (guard.armed)
        return;
    guard.fd = fd;
    guard.settings = *saved;
    snprintf(guard.restore, sizeof guard.restore, "%s", restore);
    guard.length = strlen(guard.restore);
    size_t size = 64 * 1024;
    guard.stack = malloc(size);
    if (guard.stack) {
        stack_t stack = {.ss_sp = guard.stack, .ss_size = size};
        sigaltstack(&stack, NULL);
    }
    guard.armed = true;
    struct sigaction action = {.sa_sigaction = on_fatal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < FATAL; i++)
        sigaction(fatal[i], &action, &old_action[i]);
}

void terminal_unguard(void)
{
    if (!guard.armed)
        return;
    for (int i = 0; i < FATAL; i++)
        sigaction(fatal[i], &old_action[i], NULL);
    guard.armed = false;
    if (guard.stack) {
        stack_t none = {.ss_flags = SS_DISABLE};
        sigaltstack(&none, NULL);
        free(guard.stack);
        guard.stack = NULL;
    }
}
