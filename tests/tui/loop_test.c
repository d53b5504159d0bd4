#include "tests/tui/fixture.h"
#include "tui/loop.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>

/* The loop in a child on a pseudo-terminal of 80 x 24; what it sends is gathered in `seen`. */
static struct {
    pid_t pid;
    int fd;
    char seen[1 << 20];
    size_t length;
} child;

static int patience(void)
{
    return getenv("SANITIZER") ? 20 : 5;
}

static void child_main(void)
{
    struct app a;
    struct error e = {0};
    struct screen_options o = {0};
    struct device d = fixture_device();
    setenv("TERM", "xterm-256color", 1);
    setlocale(LC_ALL, "C.UTF-8");
    loop_block_signals();
    fixture_environment();
    struct preset p = fixture_preset();
    if (app_init(&a, &p, &d, eventfd(0, EFD_NONBLOCK), &e) != 0)
        _exit(9);
    a.realtime = true;
    int code = loop_run(&a, &o, &e);
    fixture_remove_home();
    if (code < 0) {
        printf("refused: %s\n", e.text);
        fflush(stdout);
        _exit(8);
    }
    _exit(code);
}

static void begin(void)
{
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    child.length = 0;
    child.seen[0] = 0;
    fflush(stdout);
    child.pid = forkpty(&child.fd, NULL, NULL, &size);
    if (child.pid == 0)
        child_main();
}

/* Reads until the text came, or patience ends. */
static bool comes(const char *text)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    time_t end = now.tv_sec + patience();
    for (;;) {
        if (strstr(child.seen, text))
            return true;
        struct pollfd p = {.fd = child.fd, .events = POLLIN};
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec > end)
            return false;
        if (poll(&p, 1, 200) <= 0)
            continue;
        ssize_t n = read(child.fd, child.seen + child.length, sizeof child.seen - 1 - child.length);
        if (n <= 0)
            return strstr(child.seen, text) != NULL;
        child.length += (size_t)n;
        child.seen[child.length] = 0;
        if (child.length > sizeof child.seen / 2)
            child.length = 0;
    }
}

static void type(const char *keys)
{
    child.length = 0; /* what comes from now on */
    child.seen[0] = 0;
    if (write(child.fd, keys, strlen(keys)) < 0)
        TEST_FAIL("the pseudo-terminal is gone");
}

/* Waits for the end; its status, -1 if it does not come. */
static int ends(void)
{
    int status = -1;
    for (int i = 0; i < patience() * 100; i++) {
        if (waitpid(child.pid, &status, WNOHANG) == child.pid)
            return status;
        struct pollfd p = {.fd = child.fd, .events = POLLIN};
        char sink[65536];
        if (child.fd >= 0 && poll(&p, 1, 10) > 0 && read(child.fd, sink, sizeof sink) <= 0)
            nanosleep(&(struct timespec){0, 10000000}, NULL);
        if (child.fd < 0)
            nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    kill(child.pid, SIGKILL);
    waitpid(child.pid, &status, 0);
    return -1;
}

static void finish(void)
{
    if (child.fd >= 0)
        close(child.fd);
    child.fd = -1;
}

#define LEFT_ALTERNATE_SCREEN "\033[?1049l"

TEST(q_leaves_with_zero_and_the_screen_of_before)
{
    begin();
    CHECK(comes("Setup"));
    type("q");
    CHECK(comes(LEFT_ALTERNATE_SCREEN));
    CHECK_INT(ends(), 0);
    finish();
}

TEST(keys_change_the_picture_and_a_run_can_be_interrupted)
{
    begin();
    CHECK(comes("Setup"));
    type("?");
    CHECK(comes("On Setup"));
    type("\033");
    CHECK(comes("Arms"));
    type("r");
    CHECK(comes("Statistics"));
    type("\003"); /* Ctrl-C */
    CHECK(comes(LEFT_ALTERNATE_SCREEN));
    int status = ends();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 130);
    finish();
}

TEST(termination_and_hang_up_give_the_terminal_back)
{
    static const int signals[] = {SIGTERM, SIGHUP};
    for (int i = 0; i < 2; i++) {
        begin();
        CHECK(comes("Setup"));
        kill(child.pid, signals[i]);
        CHECK(comes(LEFT_ALTERNATE_SCREEN));
        int status = ends();
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 130);
        finish();
    }
}

TEST(a_lost_terminal_ends_the_program)
{
    begin();
    CHECK(comes("Setup"));
    type("r");
    CHECK(comes("Statistics"));
    close(child.fd);
    child.fd = -1;
    int status = ends();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 130);
}

TEST(a_storm_of_resizes_ends_in_a_whole_picture)
{
    begin();
    CHECK(comes("Setup"));
    for (unsigned i = 0; i < 60; i++) {
        struct winsize size = {.ws_row = (unsigned short)(5 + i * 37 % 90),
                               .ws_col = (unsigned short)(20 + i * 53 % 280)};
        ioctl(child.fd, TIOCSWINSZ, &size);
        char sink[65536];
        struct pollfd p = {.fd = child.fd, .events = POLLIN};
        if (poll(&p, 1, 5) > 0 && read(child.fd, sink, sizeof sink) < 0)
            break;
    }
    struct winsize size = {.ws_row = 24, .ws_col = 80};
    ioctl(child.fd, TIOCSWINSZ, &size);
    type("?");
    CHECK(comes("On Setup"));
    type("\033q");
    type("q");
    int status = ends();
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    finish();
}

TEST(idle_costs_next_to_nothing)
{
    begin();
    CHECK(comes("Setup"));
    char path[64], line[256];
    unsigned long before = 0, after = 0;
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)child.pid);
    for (int i = 0; i < 2; i++) {
        FILE *f = fopen(path, "r");
        if (!f || !fgets(line, sizeof line, f)) {
            if (f)
                fclose(f);
            kill(child.pid, SIGKILL);
            ends();
            finish();
            SKIP("this kernel does not tell a process's cpu time");
        }
        fclose(f);
        *(i ? &after : &before) = strtoul(line, NULL, 10);
        if (i == 0) {
            comes("this text never comes, the wait is what is wanted"); /* a few seconds, reading */
        }
    }
    double share = (double)(after - before) / 1e9 / (patience() + 1);
    if (share > (getenv("SANITIZER") ? 0.2 : 0.01))
        TEST_FAIL("an idle screen takes %.2f %% of a core", 100 * share);
    type("q");
    CHECK_INT(ends(), 0);
    finish();
}
