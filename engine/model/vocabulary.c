#include "engine/model/vocabulary.h"

#include "engine/model/model_find.h"
#include "engine/model/patch.h"
#include "presets/catalog.h"
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

_Static_assert((int)VOCABULARY_PARTS >= (int)VOCABULARY_NGRAM_MAX,
               "an n-gram stands for as many rows as it has tokens");

const char vocabulary_not_equivalent[] = "output not equivalent (embeddings not fine-tuned)";

struct vocabulary {
    struct tokenizer *base;
    struct patch *patch; /* NULL: standard */
    int rows;            /* of the model */
    int32_t *self;       /* [rows] 0, 1, ...; standard alone */
};

bool vocabulary_is_standard(const char *adapted)
{
    return !adapted || !adapted[0] || strcmp(adapted, "standard") == 0;
}

/* ---- opening ---- */

int vocabulary_named(const struct model_spec *m, struct error *e)
{
    if (m->file[0] || m->vocabulary[0])
        return 0;
    return error_set(e, ERROR_USAGE,
                     "%s names no vocabulary, so that no text can be cut into its tokens (the license of "
                     "its own does not let it be shipped): choose a gpt2 model, or a GGUF file",
                     m->name);
}

/* Where the model's own vocabulary stands. */
static int base_path(const struct model_spec *m, char *path, size_t size, struct error *e)
{
    if (m->file[0]) {
        snprintf(path, size, "%s", m->file);
        return 0;
    }
    return vocabulary_named(m, e) != 0 ? -1
                                       : catalog_find(CATALOG_VOCABULARIES, m->vocabulary, path, size, e);
}

static struct tokenizer *tokenizer_of(const char *path, struct error *e)
{
    struct gguf g;
    if (gguf_open(path, &g, e) != 0)
        return NULL;
    struct tokenizer *t = tokenizer_open(&g, e);
    gguf_close(&g);
    return t;
}

static struct tokenizer *open_base(const struct model_spec *m, struct error *e)
{
    char path[PATH_MAX];
    struct tokenizer *t = base_path(m, path, sizeof path, e) == 0 ? tokenizer_of(path, e) : NULL;
    if (t && tokenizer_size(t) > m->vocab) {
        error_set(e, ERROR_FAILED,
                  "%s has %d tokens, but %s has %d rows for them: give the model the vocabulary it was made "
                  "with",
                  path, tokenizer_size(t), m->name, m->vocab);
        tokenizer_free(t);
        return NULL;
    }
    return t;
}

/* "dir/gpt-2.gguf" -> "gpt-2" */
static void name_of(const char *path, char *name, size_t size)
{
    const char *slash = strrchr(path, '/'), *from = slash ? slash + 1 : path, *dot = strrchr(from, '.');
    size_t n = dot && dot > from ? (size_t)(dot - from) : strlen(from);
    snprintf(name, size, "%.*s", (int)(n < size ? n : size - 1), from);
}

static bool ends(const char *word, const char *ending)
{
    size_t n = strlen(word), k = strlen(ending);
    return n > k && strcmp(word + n - k, ending) == 0;
}

/* As a path, a vocabulary of that name or a model of that name, in this order. */
static int tokenizer_path(const char *word, char *path, size_t size, struct error *e)
{
    struct catalog_list l;
    struct model_spec m;
    bool found = ends(word, ".gguf");
    if (found) {
        snprintf(path, size, "%s", word);
        return 0;
    }
    if (catalog_list(CATALOG_VOCABULARIES, &l, e) != 0)
        return -1;
    for (int i = 0; i < l.n && !found; i++) {
        found = strcmp(l.entry[i].name, word) == 0;
        if (found)
            snprintf(path, size, "%s", l.entry[i].path);
    }
    catalog_list_free(&l);
    if (found && !ends(path, ".gguf"))
        return error_set(e, ERROR_USAGE,
                         "%.64s is an adapted vocabulary: name the model or the vocabulary it is for", word);
    return found ? 0 : model_find(word, &m, e) != 0 || base_path(&m, path, size, e) != 0 ? -1 : 0;
}

struct tokenizer *vocabulary_tokenizer(const char *word, char *name, size_t size, struct error *e)
{
    char path[PATH_MAX];
    struct tokenizer *t = tokenizer_path(word, path, sizeof path, e) == 0 ? tokenizer_of(path, e) : NULL;
    if (t)
        name_of(path, name, size);
    return t;
}

static int adapted_path(const char *adapted, char *path, size_t size, struct error *e)
{
    struct error why = {0};
    if (catalog_find(CATALOG_VOCABULARIES, adapted, path, size, &why) != 0)
        return error_set(e, why.kind,
                         "%s; `benchtop vocab build MODEL --text FILE --out %.64s.json` builds one", why.text,
                         adapted);
    if (ends(path, ".gguf"))
        return error_set(
            e, ERROR_USAGE,
            "%.64s is a model's own vocabulary, not an adapted one: choose standard, or build one "
            "with `benchtop vocab build`",
            adapted);
    return 0;
}

static struct patch *open_patch(const struct tokenizer *base, const char *adapted, struct error *e)
{
    char path[PATH_MAX];
    struct vocabulary_file f;
    if (adapted_path(adapted, path, sizeof path, e) != 0 || vocabulary_file_load(path, &f, NULL, e) != 0)
        return NULL;
    struct patch *p = patch_open(&f, base, path, e);
    vocabulary_file_free(&f);
    return p;
}

struct vocabulary *vocabulary_open(const struct model_spec *m, const char *adapted, struct error *e)
{
    bool standard = vocabulary_is_standard(adapted);
    struct vocabulary *v = calloc(1, sizeof *v);
    if (!v) {
        error_set(e, ERROR_MEMORY, "no memory for the vocabulary of %s: close other programs", m->name);
        return NULL;
    }
    v->base = open_base(m, e);
    v->patch = v->base && !standard ? open_patch(v->base, adapted, e) : NULL;
    if (!v->base || (!standard && !v->patch)) {
        vocabulary_free(v);
        return NULL;
    }
    v->rows = standard ? m->vocab : patch_size(v->patch);
    v->self = standard ? malloc((size_t)v->rows * sizeof *v->self) : NULL;
    if (standard && !v->self) {
        error_set(e, ERROR_MEMORY, "no memory for the vocabulary of %s: close other programs", m->name);
        vocabulary_free(v);
        return NULL;
    }
    for (int32_t id = 0; standard && id < v->rows; id++)
        v->self[id] = id;
    return v;
}

void vocabulary_free(struct vocabulary *v)
{
    if (!v)
        return;
    tokenizer_free(v->base);
    patch_free(v->patch);
    free(v->self);
    free(v);
}

/* ---- text and ids ---- */

int vocabulary_encode(const struct vocabulary *v, const char *text, size_t n, bool special,
                      struct token_ids *out, struct error *e)
{
    struct token_ids base = {0};
    if (!v->patch)
        return tokenizer_encode(v->base, text, n, special, out, e);
    int failed = tokenizer_encode(v->base, text, n, special, &base, e) ||
                         patch_encode(v->patch, base.id, base.n, out, e)
                     ? -1
                     : 0;
    token_ids_free(&base);
    return failed;
}

/* Without the rows that pad the model: they have no text. */
static int real_ids(const struct vocabulary *v, const int32_t *id, size_t n, struct token_ids *out,
                    struct error *e)
{
    for (size_t i = 0; i < n; i++) {
        if (id[i] < 0 || id[i] >= v->rows)
            return error_set(e, ERROR_FAILED, "token %d is outside the vocabulary of %d tokens", id[i],
                             v->rows);
        if (id[i] < tokenizer_size(v->base) && token_ids_add(out, id[i]) != 0)
            return error_set(e, ERROR_MEMORY, "no memory for %zu tokens: close other programs", n);
    }
    return 0;
}

char *vocabulary_decode(const struct vocabulary *v, const int32_t *id, size_t n, size_t *size,
                        struct error *e)
{
    struct token_ids base = {0};
    int failed = v->patch ? patch_decode(v->patch, id, n, &base, e) : real_ids(v, id, n, &base, e);
    char *text = failed ? NULL : tokenizer_decode(v->base, base.id, base.n, size, e);
    token_ids_free(&base);
    return text;
}

int32_t vocabulary_begin(const struct vocabulary *v)
{
    return v->patch ? patch_token(v->patch, tokenizer_begin(v->base)) : tokenizer_begin(v->base);
}

int32_t vocabulary_end(const struct vocabulary *v)
{
    return v->patch ? patch_token(v->patch, tokenizer_end(v->base)) : tokenizer_end(v->base);
}

int vocabulary_size(const struct vocabulary *v)
{
    return v->rows;
}

const char *vocabulary_kind(const struct vocabulary *v)
{
    return tokenizer_kind(v->base);
}

const char *vocabulary_label(const struct vocabulary *v)
{
    return v->patch ? vocabulary_not_equivalent : NULL;
}

int vocabulary_parts(const struct vocabulary *v, int32_t id, const int32_t **part)
{
    if (v->patch)
        return patch_parts(v->patch, id, part);
    *part = v->self + id;
    return 1;
}

int vocabulary_bytes_per_token(const struct vocabulary *v, const char *text, size_t n, double *out,
                               struct error *e)
{
    struct token_ids ids = {0};
    int failed = vocabulary_encode(v, text, n, false, &ids, e);
    if (!failed)
        *out = ids.n > 0 ? (double)n / (double)ids.n : 0;
    token_ids_free(&ids);
    return failed;
}

/* ---- the model that runs with it ---- */

/* Files that were opened, so that asking again costs two looks at the file system. */
struct seen {
    char base[PATH_MAX], adapted[PATH_MAX];
    struct stamp {
        int64_t bytes, seconds, nanoseconds;
    } base_stamp, adapted_stamp;
    int vocab, rows;
};
enum { SEEN = 8 };
static struct {
    pthread_mutex_t lock;
    struct seen entry[SEEN];
    unsigned next;
} remembered = {.lock = PTHREAD_MUTEX_INITIALIZER};

static struct stamp stamp_of(const char *path)
{
    struct stat s;
    if (stat(path, &s) != 0)
        return (struct stamp){-1, 0, 0};
    return (struct stamp){s.st_size, s.st_mtim.tv_sec, s.st_mtim.tv_nsec};
}

static bool same_stamp(const struct stamp *a, const struct stamp *b)
{
    return a->bytes >= 0 && a->bytes == b->bytes && a->seconds == b->seconds &&
           a->nanoseconds == b->nanoseconds;
}

static int recall(const struct seen *wanted)
{
    int rows = 0;
    pthread_mutex_lock(&remembered.lock);
    for (int i = 0; i < SEEN && rows == 0; i++) {
        const struct seen *s = &remembered.entry[i];
        if (s->vocab == wanted->vocab && strcmp(s->base, wanted->base) == 0 &&
            strcmp(s->adapted, wanted->adapted) == 0 && same_stamp(&s->base_stamp, &wanted->base_stamp) &&
            same_stamp(&s->adapted_stamp, &wanted->adapted_stamp))
            rows = s->rows;
    }
    pthread_mutex_unlock(&remembered.lock);
    return rows;
}

static void remember(const struct seen *s)
{
    pthread_mutex_lock(&remembered.lock);
    remembered.entry[remembered.next++ % SEEN] = *s;
    pthread_mutex_unlock(&remembered.lock);
}

int vocabulary_model(const struct model_spec *m, const char *adapted, struct model_spec *out, struct error *e)
{
    struct seen s = {.vocab = m->vocab};
    if (vocabulary_is_standard(adapted)) {
        *out = *m;
        return 0;
    }
    if (base_path(m, s.base, sizeof s.base, e) != 0 ||
        adapted_path(adapted, s.adapted, sizeof s.adapted, e) != 0)
        return -1;
    s.base_stamp = stamp_of(s.base);
    s.adapted_stamp = stamp_of(s.adapted);
    s.rows = recall(&s);
    if (s.rows == 0) {
        struct vocabulary *v = vocabulary_open(m, adapted, e);
        if (!v)
            return -1;
        s.rows = vocabulary_size(v);
        vocabulary_free(v);
        remember(&s);
    }
    *out = *m;
    out->vocab = s.rows;
    out->tied = false; /* an n-gram's row in the head is weighted the other way round */
    return 0;
}
