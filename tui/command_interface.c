#include "engine/export.h"
#include "tui/app.h"
#include "tui/command.h"
#include "tui/loop.h"
#include "tui/output.h"
#include "tui/prepare.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Pipes and dumb terminals get a sentence, and the way to the same results without a picture. */
static int check_terminal(const char *preset, struct error *e)
{
    const char *term = getenv("TERM");
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
        return error_set(e, ERROR_USAGE,
                         "standard %s is no terminal, which the interface needs: `benchtop run %s` "
                         "measures without it",
                         isatty(STDIN_FILENO) ? "output" : "input", preset);
    if (!term || !*term || !strcmp(term, "dumb"))
        return error_set(e, ERROR_USAGE,
                         "the terminal cannot place characters (TERM=%s): `benchtop run %s` measures "
                         "without the interface, or set TERM to what the terminal is",
                         term ? term : "", preset);
    return 0;
}

/* After the terminal was given back: what was measured, as `run` prints it. */
static int print_measured(struct engine *g)
{
    struct error e = {0};
    if (!g)
        return EXIT_DONE;
    engine_command(g, ENGINE_STOP);
    engine_join(g);
    const struct session *s = engine_session(g);
    if (!s || session_samples(s) == 0)
        return EXIT_DONE;
    int code = output_result(table_print(s, output_width(), &e), &e);
    if (code == EXIT_DONE) {
        char line[640];
        snprintf(line, sizeof line, "\nsession %s\n", engine_session_path(g));
        code = output_text(line);
    }
    return code;
}

static int run_app(const struct request *r, const struct prepared *p, int wake_fd, const char *argv_json)
{
    struct app app;
    struct error e = {0};
    if (app_init(&app, &p->preset, &p->device, wake_fd, &e) < 0)
        return output_error(&e);
    app.argv_json = argv_json;
    app.realtime = r->realtime;
    app.ascii = r->ascii;
    char gpu[1][16], why[128];
    if (device_gpus(gpu, 1, why, sizeof why) == 0)
        snprintf(app.no_gpu, sizeof app.no_gpu, "cuda: %.*s", (int)strcspn(why, ":("), why);
    app.mouse = r->mouse;
    struct screen_options screen = {.ascii = r->ascii, .mouse = r->mouse};
    app.session_path = r->out;
    if (r->start)
        app_start_run(&app, NULL);
    screen.color = r->color == REQUEST_COLOR_NEVER    ? COLOR_NEVER
                   : r->color == REQUEST_COLOR_ALWAYS ? COLOR_ALWAYS
                                                      : COLOR_AUTO;
    int code = loop_run(&app, &screen, &e);
    if (code < 0)
        code = output_error(&e);
    int printed = print_measured(app.engine);
    app_free(&app);
    return code == EXIT_DONE ? printed : code;
}

int command_interface(const struct request *r, const char *argv_json)
{
    struct prepared p;
    struct error e = {0}, warning = {0};
    const char *name = r->n_operands ? r->operand[0] : "quick";
    if (prepare(r, name, NULL, &p, &warning, &e) < 0)
        return output_error(&e);
    int code, wake_fd = -1;
    if (check_terminal(name, &e) < 0) {
        code = output_error(&e);
        goto done;
    }
    if (*warning.text)
        output_say("%s", warning.text);
    loop_block_signals();
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (wake_fd < 0) {
        error_set(&e, ERROR_FAILED, "no descriptors left (%s): raise ulimit -n", strerror(errno));
        code = output_error(&e);
        goto done;
    }
    code = run_app(r, &p, wake_fd, argv_json);
done:
    if (wake_fd >= 0)
        close(wake_fd);
    prepare_free(&p);
    return code;
}
