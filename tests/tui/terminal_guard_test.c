#include "tests/test.h"
#include "tui/terminal.h"
#include <stdint.h>

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* Runs `child` with standard error and the guarded terminal on one pipe; what came out of it, and how it
 * ended. */
static int run_child(void (*child)(int fd), char *out, size_t size)
{
    int fds[2], status = 0;
    size_t used = 0;
    fflush(stdout);
    if (pipe(fds) != 0)
        abort();
    pid_t pid = fork();
    if (pid == 0) {
        close(fds[0]);
        dup2(fds[1], STDERR_FILENO);
        child(fds[1]);
        _exit(0);
    }
    close(fds[1]);
    for (ssize_t n; (n = read(fds[0], out + used, size - 1 - used)) > 0;)
        used += (size_t)n;
    out[used] = 0;
    close(fds[0]);
    waitpid(pid, &status, 0);
    return status;
}

static void say_while_redirected(int fd)
{
    struct error e = {0};
    if (terminal_redirect_stderr(&e) != 0 || terminal_redirect_stderr(&e) != 0) /* twice is once */
        _exit(9);
    fprintf(stderr, "from a library\n");
    if (write(fd, "picture\n", 8) != 8)
        _exit(9);
    terminal_replay_stderr();
    terminal_replay_stderr();
    fprintf(stderr, "after\n");
}

TEST(what_is_said_to_standard_error_comes_after_the_picture)
{
    char out[4096];
    int status = run_child(say_while_redirected, out, sizeof out);
    CHECK_INT(status, 0);
    CHECK_STRING(out, "picture\nfrom a library\nafter\n");
}

static void guard(int fd)
{
    struct termios t;
    struct error e = {0};
    memset(&t, 0, sizeof t);
    if (terminal_redirect_stderr(&e) != 0)
        _exit(9);
    terminal_guard(fd, "<restored>", &t);
    fprintf(stderr, "last words\n");
}

static void crash(int fd)
{
    guard(fd);
    volatile int *nowhere =
        (volatile int *)(uintptr_t)4096; /* not NULL, which UBSan would judge before the processor */
    *nowhere = 1;                        /* a true fault, not only its signal */
}

static void stop_by_abort(int fd)
{
    guard(fd);
    abort();
}

static void stop_by_quit(int fd)
{
    guard(fd);
    kill(getpid(), SIGQUIT);
}

static void check_restored(void (*child)(int), const char *name)
{
    char out[65536];
    int status = run_child(child, out, sizeof out);
    if (!strstr(out, "<restored>") || !strstr(out, "last words"))
        TEST_FAIL("%s: the terminal got \"%.200s\"", name, out);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        TEST_FAIL("%s: the signal was lost", name);
}

TEST(a_fatal_signal_gives_the_terminal_back_and_still_kills)
{
    check_restored(crash, "SIGSEGV");
    check_restored(stop_by_abort, "SIGABRT");
    check_restored(stop_by_quit, "SIGQUIT");
}

static void leave_first(int fd)
{
    guard(fd);
    terminal_unguard();
    terminal_replay_stderr();
    signal(SIGABRT, SIG_DFL);
    abort();
}

TEST(after_the_guard_is_gone_nothing_is_written)
{
    char out[65536];
    run_child(leave_first, out, sizeof out);
    CHECK(strstr(out, "<restored>") == NULL);
    CHECK_CONTAINS(out, "last words");
}
