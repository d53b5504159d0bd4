/* What one frame costs the UI thread: drawing every screen of a measured session into the grid and sending
 * the difference to a pseudo-terminal, at 200x60. Goal: under 2 ms of CPU. A change forces real differences:
 * the cursor moves. */
#include "stats/stats.h"
#include "tui/app.h"
#include "tui/screen.h"
#include <fcntl.h>
#include <locale.h>
#include <pthread.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { FRAMES = 300, COLUMNS = 200, ROWS = 60 };

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void *drain(void *fd) /* the terminal's side: reads and forgets */
{
    char buffer[65536];
    while (read(*(int *)fd, buffer, sizeof buffer) > 0)
        continue;
    return NULL;
}

int main(void)
{
    struct error e = {0};
    struct preset preset;
    struct device device;
    struct app app;
    struct grid grid;
    struct winsize size = {.ws_row = ROWS, .ws_col = COLUMNS};
    char home[] = "/tmp/benchtop-frame-XXXXXX", command[64];
    int master, slave, report = dup(STDOUT_FILENO), missed = 0;
    pthread_t thread;

    setlocale(LC_ALL, "C.UTF-8");
    setenv("TERM", "xterm-256color", 1);
    if (!mkdtemp(home))
        return 1;
    setenv("XDG_DATA_HOME", home, 1);
    stats_init();
    if (openpty(&master, &slave, NULL, NULL, &size) || dup2(slave, STDIN_FILENO) < 0 ||
        dup2(slave, STDOUT_FILENO) < 0 || pthread_create(&thread, NULL, drain, &master))
        return 1;
    if (catalog_preset("batch-scaling", &preset, NULL, &e) || preset_set(&preset, "device", "fake", &e) ||
        device_find("fake", &device, &e) || app_init(&app, &preset, &device, eventfd(0, EFD_NONBLOCK), &e) ||
        grid_init(&grid, COLUMNS, ROWS)) {
        dprintf(report, "%s\n", e.text);
        return 1;
    }
    struct screen *screen = screen_open(&(struct screen_options){0}, &e);
    if (!screen) {
        dprintf(report, "%s\n", e.text);
        return 1;
    }
    app_start_run(&app, NULL);
    for (int i = 0; i < 2000 && app_running(&app); i++) {
        app_update(&app);
        usleep(1000);
    }
    app_update(&app);
    dprintf(report, "session of %lld samples\n", app.session ? (long long)session_samples(app.session) : 0LL);
    for (int v = 0; v < VIEWS; v++) {
        app_go(&app, (enum view_id)v);
        app_draw(&app, &grid);
        screen_flush(screen, &grid);
        double draw = 0, flush = 0;
        for (int i = 0; i < FRAMES; i++) {
            app_key(&app, i % 2 ? 'k' : 'j');
            app_update(&app);
            double t = cpu_ms();
            app_draw(&app, &grid);
            double d = cpu_ms();
            screen_flush(screen, &grid);
            draw += d - t;
            flush += cpu_ms() - d;
        }
        double total = (draw + flush) / FRAMES;
        dprintf(report, "%-9s draw %6.3f ms  flush %6.3f ms  frame %6.3f ms of CPU (goal 2)  %s\n",
                app_views[v]->name, draw / FRAMES, flush / FRAMES, total, total < 2 ? "reached" : "missed");
        missed += total >= 2;
    }
    screen_close(screen);
    app_free(&app);
    grid_free(&grid);
    preset_free(&preset);
    snprintf(command, sizeof command, "rm -rf %s", home);
    return (system(command) != 0 || missed) && getenv("BENCH_STRICT");
}
