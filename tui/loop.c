#include "tui/loop.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

enum {
    FRAME_MS = 50,      /* at most 20 pictures a second */
    TICK_MS = 1000,     /* clocks on the screen go on */
    BUSY_TICK_MS = 250, /* while a run is on: samples inside an open block wake nobody */
    KEYS_AT_ONCE = 256
};

struct loop {
    struct app *app;
    struct screen *screen;
    struct grid grid;
    int signals;
    int64_t drawn_ns, updated_ns;
    bool dirty, now, mouse;
    int result;
};

void loop_block_signals(void)
{
    static const int fatal[] = {SIGSEGV, SIGBUS,  SIGILL,  SIGFPE,  SIGABRT, SIGQUIT,
                                SIGSYS,  SIGTRAP, SIGKILL, SIGSTOP, SIGCONT, SIGPROF};
    sigset_t mask;
    sigfillset(&mask);
    for (size_t i = 0; i < sizeof fatal / sizeof fatal[0]; i++)
        sigdelset(&mask, fatal[i]);
    pthread_sigmask(SIG_BLOCK, &mask, NULL);
}

static int64_t now_ns(const struct loop *l)
{
    return l->app->now_ns();
}

static void interrupt(struct loop *l)
{
    l->result = 130;
    l->app->quit = true;
}

static void suspend(struct loop *l)
{
    struct app *a = l->app;
    a->suspend = false;
    l->now = true;
    if (app_running(a) && !a->paused) {
        app_say(a, true,
                "stopping the program now would spoil the sample in flight: pause the run first (p)");
        return;
    }
    screen_suspend(l->screen);
}

static void read_signals(struct loop *l)
{
    struct signalfd_siginfo info;
    while (read(l->signals, &info, sizeof info) == (ssize_t)sizeof info) {
        switch (info.ssi_signo) {
        case SIGWINCH:
            screen_resized(l->screen);
            l->dirty = true;
            break;
        case SIGTSTP:
            suspend(l);
            break;
        case SIGINT:
        case SIGTERM:
        case SIGHUP:
            interrupt(l);
            break;
        default:
            break;
        }
    }
}

static void read_keys(struct loop *l)
{
    struct app *a = l->app;
    int x = 0, y = 0;
    for (int i = 0; i < KEYS_AT_ONCE && !a->quit; i++) {
        int key = screen_key(l->screen, &x, &y);
        if (key == 0)
            return;
        if (key == KEY_CODE_CLICK)
            app_click(a, x, y);
        else
            app_key(a, key);
        l->now = true;
    }
}

static void draw(struct loop *l)
{
    struct app *a = l->app;
    int width, height;
    screen_size(l->screen, &width, &height);
    if ((width != l->grid.width || height != l->grid.height) && grid_resize(&l->grid, width, height) != 0)
        return;
    l->grid.ascii = a->ascii || screen_ascii(l->screen);
    l->grid.monochrome = screen_monochrome(l->screen);
    if (a->redraw) {
        screen_redraw(l->screen);
        a->redraw = false;
    }
    if (a->mouse != l->mouse) {
        l->mouse = a->mouse;
        screen_set_mouse(l->screen, a->mouse);
    }
    app_draw(a, &l->grid);
    screen_flush(l->screen, &l->grid);
    l->drawn_ns = now_ns(l);
    l->dirty = a->unfinished;
    l->now = a->unfinished = false;
}

static int64_t ms_left(const struct loop *l, int64_t since_ns, int64_t budget_ms)
{
    int64_t left = budget_ms - (now_ns(l) - since_ns) / 1000000;
    return left > 0 ? left : 0;
}

/* How long nothing needs to happen. */
static int timeout_ms(const struct loop *l, bool deaf)
{
    int64_t wait = ms_left(l, l->drawn_ns, app_running(l->app) ? BUSY_TICK_MS : TICK_MS);
    if (l->dirty && ms_left(l, l->drawn_ns, FRAME_MS) < wait)
        wait = ms_left(l, l->drawn_ns, FRAME_MS);
    if (deaf && ms_left(l, l->updated_ns, FRAME_MS) < wait)
        wait = ms_left(l, l->updated_ns, FRAME_MS);
    return (int)wait + (wait > 0);
}

static void turn(struct loop *l)
{
    struct app *a = l->app;
    /* The engine may post thousands of times a second: it is not listened to before the next frame is due. */
    bool deaf = ms_left(l, l->updated_ns, FRAME_MS) > 0;
    struct pollfd fds[3] = {{.fd = screen_fd(l->screen), .events = POLLIN},
                            {.fd = l->signals, .events = POLLIN},
                            {.fd = deaf ? -1 : a->wake_fd, .events = POLLIN}};
    if (poll(fds, 3, timeout_ms(l, deaf)) < 0 && errno != EINTR) {
        interrupt(l);
        return;
    }
    if (fds[1].revents)
        read_signals(l);
    if (fds[0].revents & POLLIN)
        read_keys(l);
    if (fds[0].revents & (POLLHUP | POLLERR | POLLNVAL))
        interrupt(l);
    if (fds[2].revents) {
        /* Cleared before the log's length is read, or a wake-up could be lost. */
        uint64_t count;
        if (read(a->wake_fd, &count, sizeof count) < 0 && errno != EAGAIN)
            interrupt(l);
    }
    if (!deaf && (fds[2].revents || ms_left(l, l->drawn_ns, app_running(a) ? BUSY_TICK_MS : TICK_MS) == 0)) {
        app_update(a);
        l->updated_ns = now_ns(l);
        l->dirty = true;
    }
    if (a->suspend)
        suspend(l);
    if (a->quit)
        return;
    if (l->now || (l->dirty && ms_left(l, l->drawn_ns, FRAME_MS) == 0))
        draw(l);
}

int loop_run(struct app *a, const struct screen_options *o, struct error *e)
{
    struct loop l = {.app = a, .dirty = true, .now = true, .mouse = o->mouse};
    sigset_t mask;
    loop_block_signals();
    sigemptyset(&mask);
    static const int heard[] = {SIGWINCH, SIGINT, SIGTERM, SIGHUP, SIGTSTP, SIGCONT};
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++)
        sigaddset(&mask, heard[i]);
    l.signals = signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC);
    if (l.signals < 0)
        return error_set(e, ERROR_FAILED, "no descriptor for signals (%s): close other programs",
                         strerror(errno));
    /* ASCII by wish is the application's, so that g can take it back; the screen tells what it cannot. */
    struct screen_options asked = *o;
    asked.ascii = false;
    a->ascii = o->ascii;
    l.screen = screen_open(&asked, e);
    if (!l.screen || grid_init(&l.grid, 1, 1) != 0) {
        if (l.screen)
            error_set(e, ERROR_MEMORY, "no memory for the picture: close other programs");
        screen_close(l.screen);
        close(l.signals);
        return -1;
    }
    a->mouse = o->mouse;
    while (!a->quit)
        turn(&l);
    screen_close(l.screen);
    grid_free(&l.grid);
    if (app_running(a)) {
        /* A sample may take minutes: the keyboard's signals work again, and the journal holds every block. */
        fprintf(stderr, "benchtop: stopping the run after the sample in flight; what was measured is saved "
                        "(Ctrl-C leaves at once)\n");
        signal(SIGINT, SIG_DFL);
        sigemptyset(&mask);
        sigaddset(&mask, SIGINT);
        pthread_sigmask(SIG_UNBLOCK, &mask, NULL);
    }
    app_stop_run(a);
    close(l.signals);
    return l.result;
}
