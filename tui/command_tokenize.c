/* benchtop tokenize: ids of the text on standard input, one line per line of text. */
#include "engine/model/vocabulary.h"
#include "engine/text.h"
#include "tui/command.h"
#include "tui/output.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* All of standard input. NULL: no memory, or it cannot be read. */
static char *read_input(size_t *size, struct error *e)
{
    struct text in = {0};
    char piece[65536];
    for (;;) {
        ssize_t n = read(STDIN_FILENO, piece, sizeof piece);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            error_set(e, ERROR_FAILED, "standard input cannot be read (%s): give a text with < FILE",
                      strerror(errno));
            text_free(&in);
            return NULL;
        }
        if (n == 0)
            break;
        text_put(&in, piece, (size_t)n);
    }
    *size = in.n;
    return text_take(&in, e);
}

static int add_line(const struct tokenizer *t, const char *line, size_t n, bool special, struct text *out,
                    struct error *e)
{
    struct token_ids ids = {0};
    int failed =
        special ? tokenizer_encode_marked(t, line, n, &ids, e) : tokenizer_encode(t, line, n, false, &ids, e);
    for (size_t i = 0; i < ids.n && !failed; i++)
        text_format(out, i ? " %d" : "%d", ids.id[i]);
    text_add(out, "\n");
    token_ids_free(&ids);
    return failed;
}

static int tokenize(const struct tokenizer *t, const struct request *r, struct error *e)
{
    size_t size;
    char *in = read_input(&size, e);
    struct text out = {0};
    int failed = in ? 0 : -1;
    if (!failed && r->whole) {
        failed = add_line(t, in, size, !r->no_special, &out, e);
    } else {
        for (size_t at = 0; !failed && at < size;) {
            const char *end = memchr(in + at, '\n', size - at);
            size_t n = end ? (size_t)(end - in) - at : size - at;
            failed = add_line(t, in + at, n, !r->no_special, &out, e);
            at += n + 1;
        }
    }
    free(in);
    if (failed) {
        text_free(&out);
        return output_error(e);
    }
    return out.n ? output_result(text_take(&out, e), e) : EXIT_DONE;
}

int command_tokenize(const struct request *r)
{
    struct error e = {0};
    char name[64];
    if (!r->vocabulary) {
        error_set(&e, ERROR_USAGE,
                  "tokenize needs a vocabulary: `benchtop tokenize --model gpt2-124m < TEXT`");
        return output_error(&e);
    }
    struct tokenizer *t = vocabulary_tokenizer(r->vocabulary, name, sizeof name, &e);
    int code = t ? tokenize(t, r, &e) : output_error(&e);
    tokenizer_free(t);
    return code;
}
