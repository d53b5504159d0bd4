/* benchtop model write MODEL --out FILE: a model as a GGUF file. */
#include "engine/figure.h"
#include "engine/model/gguf_write.h"
#include "engine/model/model_find.h"
#include "engine/model/native.h"
#include "tui/command.h"
#include "tui/output.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
    (void)number;
    stopped = 1;
}

static bool cancelled(void *who)
{
    (void)who;
    return stopped != 0;
}

static void progress(void *who, const char *what, double fraction)
{
    (void)who;
    (void)what;
    if (isatty(STDERR_FILENO))
        fprintf(stderr, "\r%3.0f %% written", 100 * fraction);
}

static int read_precision(const struct request *r, const struct model_spec *m, enum precision_kind *out,
                          struct error *e)
{
    struct implementation i;
    implementation_default(&i);
    *out = m->file[0] ? PRECISION_STORED : PRECISION_FP16;
    if (!r->precision)
        return 0;
    if (implementation_set(&i, "precision", r->precision, e))
        return -1;
    *out = i.precision;
    return 0;
}

static void say_written(const struct request *r, const struct gguf_written *written)
{
    char bytes[FIGURE_TEXT];
    output_say("%s: %d tensors, %s%s", r->out, written->tensors,
               figure_bytes((double)written->bytes, bytes, sizeof bytes),
               written->vocabulary ? "" : "; no vocabulary (token ids are all it takes)");
    if (written->left_out)
        output_say(
            "without the masked-language head, which GGUF has no names for: the file ends in hidden states");
}

int command_model_write(const struct request *r)
{
    struct model_spec m;
    struct error e = {0};
    struct weights_request q = {.model = &m, .seed = r->seed};
    struct gguf_written written = {0};
    const struct sigaction action = {.sa_handler = on_signal};
    if (!r->out) {
        error_set(&e, ERROR_USAGE, "benchtop model write needs --out FILE.gguf");
        return output_error(&e);
    }
    if (model_find(r->operand[1], &m, &e) || read_precision(r, &m, &q.precision, &e))
        return output_error(&e);
    struct kernels *k = native_open("cpu", 0, &e);
    if (!k)
        return output_error(&e);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
    int failed = gguf_write(k, &q, r->out, r->quiet ? NULL : progress, cancelled, NULL, &written, &e);
    k->ops->close(k);
    if (!r->quiet && isatty(STDERR_FILENO))
        fputc('\r', stderr);
    if (failed) {
        int code = output_error(&e);
        return e.kind == ERROR_CANCELLED ? EXIT_INTERRUPTED : code;
    }
    if (!r->quiet)
        say_written(r, &written);
    return EXIT_DONE;
}
