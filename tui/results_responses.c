#include "tui/results_responses.h"

#include "engine/worth.h"
#include "tui/format.h"
#include "tui/theme.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DOT  " \xc2\xb7 "
#define MARK "\xc2\xbb" /* where a response parts from the baseline's */

enum { NARROWEST = 34, GAP = 2 }; /* columns that a response needs beside another one */

/* Lines go to the grid as they are made; those above `top` and below the rect are only counted. */
struct sheet {
    struct grid *g;
    struct rect r;
    int top, n;
};

static void put(const struct sheet *s, int line, int x, int width, enum style style, const char *text)
{
    int y = line - s->top;
    if (y >= 0 && y < s->r.height)
        grid_text(s->g, s->r.x + x, s->r.y + y, width, style, text);
}

static size_t step(const char *text)
{
    size_t n = 1;
    while (((unsigned char)text[n] & 0xc0) == 0x80)
        n++;
    return n;
}

/* Bytes of `text` that one line of `width` columns holds, broken at a blank or a line end; *skip: what lies
 * between it and the next line. */
static size_t line_of(const char *text, int width, size_t *skip)
{
    size_t n = 0, blank = 0;
    int columns = 0;
    *skip = 0;
    while (text[n] && text[n] != '\n') {
        size_t bytes = step(text + n);
        char one[8];
        snprintf(one, sizeof one, "%.*s", (int)(bytes < 7 ? bytes : 7), text + n);
        int wide = text[n] == '\t' ? 1 : grid_columns(one);
        if (columns + wide > width)
            break;
        if (text[n] == ' ')
            blank = n;
        columns += wide;
        n += bytes;
    }
    if (!text[n])
        return n;
    if (text[n] != '\n' && text[n] != ' ' && blank > 0)
        n = blank;
    *skip = text[n] == '\n' || text[n] == ' ';
    return n > 0 || *skip ? n : step(text);
}

/* The text from `line` on; `part`: the byte from which on it is drawn bold, behind a mark. Returns the lines
 * it took. */
static int put_text(const struct sheet *s, int line, int x, int width, enum style style, const char *text,
                    size_t part)
{
    size_t at = 0, skip;
    int lines = 0;
    do {
        size_t n = line_of(text + at, width, &skip);
        char piece[1024];
        bool parted = at > part, parts = part >= at && part < at + n;
        size_t before = parts ? part - at : parted ? 0 : n;
        snprintf(piece, sizeof piece, "%.*s", (int)(before < 1000 ? before : 1000), text + at);
        for (char *c = piece; *c; c++)
            *c = *c == '\t' ? ' ' : *c;
        put(s, line + lines, x, width, style, piece);
        int used = grid_columns(piece);
        snprintf(piece, sizeof piece, "%.*s", (int)(n - before < 1000 ? n - before : 1000),
                 text + at + before);
        for (char *c = piece; *c; c++)
            *c = *c == '\t' ? ' ' : *c;
        put(s, line + lines, x + used, width - used, STYLE_BOLD, piece);
        at += n + skip;
        lines++;
    } while (text[at]);
    return lines;
}

/* Where b parts from a: the first byte of the first character that differs; SIZE_MAX: nowhere. */
static size_t parting(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    if (a[n] == b[n])
        return SIZE_MAX;
    while (n > 0 && ((unsigned char)b[n] & 0xc0) == 0x80)
        n--;
    return n;
}

static int characters(const char *text, size_t bytes)
{
    int n = 0;
    for (size_t i = 0; i < bytes && text[i]; i++)
        n += ((unsigned char)text[i] & 0xc0) != 0x80;
    return n;
}

/* "B int8 · 32 tokens, 140 characters · parts after 57" */
static void head_of(const struct session_arm *arm, int index, const struct session_response *x, size_t part,
                    char *out, size_t size)
{
    int n = snprintf(out, size, "%c %.40s%s%s" DOT "%d tokens, %d characters%s", theme_arm_letter(index),
                     arm->name, worth_not_equivalent(arm) ? DOT : "",
                     worth_not_equivalent(arm) ? worth_not_equivalent_words : "", x->tokens,
                     characters(x->text, SIZE_MAX), x->finish == RESPONSE_END_OF_TEXT ? ", ended" : "");
    if (index == 0 || n < 0 || (size_t)n >= size)
        return;
    if (part == SIZE_MAX)
        snprintf(out + n, size - (size_t)n, DOT "the same");
    else
        snprintf(out + n, size - (size_t)n, DOT "parts after %d", characters(x->text, part));
}

/* One arm's answer in its column, from `line` on; returns the lines it took. */
static int put_answer(const struct sheet *s, int line, int x, int width, const struct session_cell *cell,
                      int arm, int prompt)
{
    const struct session_responses *r = cell->arm[arm].responses, *base = cell->arm[0].responses;
    if (!r || prompt >= r->n) {
        char text[160];
        snprintf(text, sizeof text, "%c %.40s" DOT "no response", theme_arm_letter(arm), cell->arm[arm].name);
        put(s, line, x, width, theme_arm(arm), text);
        return 1;
    }
    const struct session_response *answer = &r->response[prompt];
    size_t part =
        arm > 0 && base && prompt < base->n ? parting(base->response[prompt].text, answer->text) : SIZE_MAX;
    char head[256];
    head_of(&cell->arm[arm], arm, answer, part, head, sizeof head);
    int lines = put_text(s, line, x, width, theme_arm(arm), head, SIZE_MAX);
    size_t n = strlen(answer->text), at = part < n ? part : n;
    char *marked = part == SIZE_MAX ? NULL : malloc(n + sizeof MARK);
    if (marked) {
        memcpy(marked, answer->text, at);
        memcpy(marked + at, MARK, sizeof MARK - 1);
        memcpy(marked + at + sizeof MARK - 1, answer->text + at, n - at + 1);
    }
    lines += put_text(s, line + lines, x, width, STYLE_TEXT, marked ? marked : answer->text, part);
    free(marked);
    return lines;
}

bool results_responses_has(const struct session *s, int cell)
{
    for (int arm = 0; cell >= 0 && cell < s->n_cells && arm < s->cell[cell].n_arms; arm++)
        if (s->cell[cell].arm[arm].responses && s->cell[cell].arm[arm].responses->n > 0)
            return true;
    return false;
}

static void put_prompt(struct sheet *s, const struct session_cell *cell, int prompt, int of)
{
    char head[96];
    for (int arm = 0; arm < cell->n_arms; arm++) {
        const struct session_responses *r = cell->arm[arm].responses;
        if (!r || prompt >= r->n)
            continue;
        snprintf(head, sizeof head, "prompt %d of %d" DOT "%d tokens", prompt + 1, of,
                 r->response[prompt].prompt_tokens);
        put(s, s->n++, 0, s->r.width, STYLE_TITLE, head);
        s->n += put_text(s, s->n, 2, s->r.width - 2, STYLE_DIM, r->response[prompt].prompt, SIZE_MAX);
        return;
    }
}

int results_responses_draw(struct grid *g, struct rect r, int top, const struct session *s, int cell)
{
    struct sheet o = {.g = g, .r = r, .top = top};
    const struct session_cell *c = &s->cell[cell];
    int of = session_most_responses(c), arms = c->n_arms;
    int width = arms > 0 ? (r.width - GAP * (arms - 1)) / arms : r.width;
    bool beside = width >= NARROWEST;
    if (of == 0) {
        put(&o, o.n++, 0, r.width, STYLE_DIM, "No responses: generate from a text keeps them.");
        return o.n;
    }
    for (int prompt = 0; prompt < of; prompt++) {
        if (prompt > 0)
            o.n++;
        put_prompt(&o, c, prompt, of);
        int most = 0;
        for (int arm = 0; arm < arms; arm++) {
            int lines = beside ? put_answer(&o, o.n, arm * (width + GAP), width, c, arm, prompt)
                               : put_answer(&o, o.n, 0, r.width, c, arm, prompt);
            most = lines > most ? lines : most;
            if (!beside)
                o.n += lines;
        }
        if (beside)
            o.n += most;
    }
    return o.n;
}
