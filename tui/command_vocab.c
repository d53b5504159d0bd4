/* benchtop vocab build: a vocabulary adapted to a text. benchtop vocab show: what such a file holds. */
#include "engine/model/adapt.h"
#include "engine/model/patch.h"
#include "engine/model/vocabulary.h"
#include "engine/text.h"
#include "presets/catalog.h"
#include "presets/json.h"
#include "tui/command.h"
#include "tui/format.h"
#include "tui/output.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_BYTES = 1 << 30, SHOWN = 24 };

static char *read_text(const char *word, char *path, size_t size, size_t *n, struct error *e)
{
    struct error why = {0};
    FILE *there = fopen(word, "rb"); /* a file beside us needs no ending to be taken for one */
    if (there) {
        fclose(there);
        snprintf(path, size, "%s", word);
    } else if (catalog_find(CATALOG_TEXTS, word, path, size, &why) != 0) {
        error_set(e, why.kind, "%s", why.text);
        return NULL;
    }
    return json_read_file(path, TEXT_BYTES, n, e);
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* "338025 -> 245000 tokens (27.5 % fewer), 3.30 -> 4.55 bytes per token" */
static void add_figures(struct text *out, const char *what, int64_t bytes, int64_t standard, int64_t adapted)
{
    if (standard == 0 || adapted == 0)
        return;
    text_format(out, "%-14s %lld -> %lld tokens (%.1f %% fewer), %.2f -> %.2f bytes per token\n", what,
                (long long)standard, (long long)adapted, 100 * (1 - (double)adapted / (double)standard),
                (double)bytes / (double)standard, (double)bytes / (double)adapted);
}

static void add_sizes(struct text *out, const struct vocabulary_file *f)
{
    text_format(out, "%-14s %d of %s: %d removed, %d kept, %d n-grams added%s\n", "tokens",
                f->base_tokens - f->n_removed + f->n_added, f->base, f->n_removed,
                f->base_tokens - f->n_removed, f->n_added,
                f->within_words ? " (none crosses the beginning of a word)" : "");
}

/* The part of the text that the vocabulary did not see. */
static int add_held_out(struct text *out, const struct vocabulary_file *f, const struct tokenizer *t,
                        const char *text, size_t n, const char *what, struct error *e)
{
    struct token_ids ids = {0}, fresh = {0};
    struct patch *p = patch_open(f, t, f->name, e);
    int failed = p ? tokenizer_encode(t, text, n, false, &ids, e) : -1;
    if (!failed)
        failed = patch_encode(p, ids.id, ids.n, &fresh, e);
    if (!failed)
        add_figures(out, what, (int64_t)n, (int64_t)ids.n, (int64_t)fresh.n);
    token_ids_free(&ids);
    token_ids_free(&fresh);
    patch_free(p);
    return failed;
}

/* The first n-grams as text: quoted, with what is no text made visible. */
static int add_grams(struct text *out, const struct vocabulary_file *f, const struct tokenizer *t,
                     struct error *e)
{
    const int32_t *part = f->part;
    char *piece = malloc((size_t)tokenizer_longest(t) + 1);
    if (!piece)
        return error_set(e, ERROR_MEMORY, "no memory to print a vocabulary: close other programs");
    text_add(out, "first n-grams ");
    for (int i = 0; i < f->n_added && i < SHOWN; part += f->length[i++]) {
        char word[64];
        size_t used = 0;
        for (int k = 0; k < f->length[i]; k++) {
            size_t n = tokenizer_piece(t, part[k], piece);
            for (size_t b = 0; b < n && used + 3 < sizeof word; b++) {
                if (piece[b] == '\n')
                    word[used++] = '\\';
                word[used++] = (char)(piece[b] == '\n' ? 'n' : piece[b]);
            }
        }
        word[used] = '\0';
        error_clean_text(word);
        text_format(out, " \"%s\"", word);
    }
    text_format(out, "%s\n", f->n_added > SHOWN ? " ..." : "");
    free(piece);
    return 0;
}

static int write_vocabulary(const struct request *r, struct vocabulary_file *f, const struct tokenizer *t,
                            const char *rest, size_t n, struct error *e)
{
    struct text out = {0};
    const char *name = last_part(r->out), *dot = strrchr(name, '.');
    snprintf(f->name, sizeof f->name, "%.*s", dot && dot > name ? (int)(dot - name) : 63, name);
    add_sizes(&out, f);
    add_figures(&out, "built from", f->text_bytes, f->standard_tokens, f->adapted_tokens);
    int failed = n > 0 ? add_held_out(&out, f, t, rest, n, "held out", e) : 0;
    if (!failed)
        failed = add_grams(&out, f, t, e);
    text_format(&out, "%-14s %s\n", "runs with it", vocabulary_not_equivalent);
    if (!failed)
        failed = vocabulary_file_save(f, r->out, e);
    if (failed) {
        text_free(&out);
        return output_error(e);
    }
    return output_result(text_take(&out, e), e);
}

static int build(const struct request *r)
{
    struct error e = {0};
    struct vocabulary_file f;
    struct adapt_options o = {r->remove, r->add, r->max_ngram, r->min_frequency, r->within_words};
    char path[PATH_MAX], base[sizeof f.base];
    size_t n = 0;
    if (!r->text || !r->out) {
        error_set(&e, ERROR_USAGE,
                  "vocab build needs a text and a file to write: `benchtop vocab build gpt2-124m --text "
                  "tinyshakespeare --out NAME.json`");
        return output_error(&e);
    }
    struct tokenizer *t = vocabulary_tokenizer(r->operand[1], base, sizeof base, &e);
    char *text = t ? read_text(r->text, path, sizeof path, &n, &e) : NULL;
    size_t part = n / 100 * (size_t)r->split + n % 100 * (size_t)r->split / 100;
    int code;
    if (!text || adapt_build(t, text, part, &o, &f, &e) != 0) {
        code = output_error(&e);
    } else {
        snprintf(f.base, sizeof f.base, "%s", base);
        if (r->split < 100)
            snprintf(f.text, sizeof f.text, "the first %d %% of %.90s", r->split, last_part(path));
        else
            snprintf(f.text, sizeof f.text, "%.90s", last_part(path));
        code = write_vocabulary(r, &f, t, text + part, n - part, &e);
        vocabulary_file_free(&f);
    }
    free(text);
    tokenizer_free(t);
    return code;
}

static int show(const struct request *r)
{
    struct error e = {0}, no_base = {0}, warning = {0};
    struct vocabulary_file f;
    struct text out = {0};
    char path[PATH_MAX], name[64];
    size_t n = 0;
    if (catalog_find(CATALOG_VOCABULARIES, r->operand[1], path, sizeof path, &e) != 0 ||
        vocabulary_file_load(path, &f, &warning, &e) != 0)
        return output_error(&e);
    if (warning.text[0])
        output_say("%s", warning.text);
    struct tokenizer *t = vocabulary_tokenizer(f.base, name, sizeof name, &no_base);
    add_sizes(&out, &f);
    text_format(&out, "%-14s %s, n-grams that stand there at least %d times\n", "text", f.text,
                f.min_frequency);
    add_figures(&out, "built from", f.text_bytes, f.standard_tokens, f.adapted_tokens);
    int failed = t && tokenizer_fingerprint(t) == f.fingerprint ? add_grams(&out, &f, t, &e) : 0;
    char *text = !failed && r->text ? read_text(r->text, path, sizeof path, &n, &e) : NULL;
    if (!failed && r->text)
        failed = !text ? -1
                 : t   ? add_held_out(&out, &f, t, text, n, "text given", &e)
                       : error_set(&e, no_base.kind, "%s", no_base.text);
    text_format(&out, "%-14s %s\n", "runs with it", vocabulary_not_equivalent);
    free(text);
    tokenizer_free(t);
    vocabulary_file_free(&f);
    if (failed) {
        text_free(&out);
        return output_error(&e);
    }
    return output_result(text_take(&out, &e), &e);
}

int command_vocab(const struct request *r)
{
    static const char *const verbs[] = {"build", "show"};
    struct error e = {0};
    char near[64];
    if (strcmp(r->operand[0], "build") == 0)
        return build(r);
    if (strcmp(r->operand[0], "show") == 0)
        return show(r);
    catalog_nearest(r->operand[0], verbs, 2, near, sizeof near);
    error_set(&e, ERROR_USAGE, "benchtop vocab %s is unknown: %s", r->operand[0],
              *near ? near : "choose build or show");
    return output_error(&e);
}
