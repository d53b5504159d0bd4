/* Tokenizers on one core: MB of text per second, by the shipped vocabulary and text, the same vocabulary
 * adapted to that text, and the vocabularies of a folder (BENCHTOP_VOCABULARIES). Goal: 5 MB/s for byte pair
 * encoding.
 *
 * Against llama.cpp's tokenizer where its library is found (BENCHTOP_LIBLLAMA names the file, else the
 * loader's own search), on the same bytes in the same run: their turns alternate, the medians are told, and
 * whether the ids agree. It runs in a child: a library with another interface may crash it, which is then
 * said. */
#include "engine/model/vocabulary.h"
#include "presets/json.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 9 };
static const double goal = 5;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* what others do on this machine does not count */
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int by_value(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static double median(double *v, int n)
{
    qsort(v, (size_t)n, sizeof *v, by_value);
    return v[n / 2];
}

/* ---- the other side ---- */

/* llama.h's model parameters, whose fields and size differ between versions: passed by value as a block of
 * memory that is large enough, in which `vocab_only` is the first of the flags. */
struct parameters {
    unsigned char bytes[512];
};

struct llama {
    const void *vocabulary;
    int32_t (*tokenize)(const void *, const char *, int32_t, int32_t *, int32_t, bool, bool);
};

static void silent(int level, const char *text, void *who)
{
    (void)level, (void)text, (void)who;
}

static void *symbol(void *library, const char *name, const char *older)
{
    void *p = dlsym(library, name);
    return p || !older ? p : dlsym(library, older);
}

static bool llama_open(void *library, const char *path, struct llama *l)
{
    void (*set_log)(void (*)(int, const char *, void *), void *);
    void (*start)(void);
    struct parameters (*defaults)(void);
    void *(*load)(const char *, struct parameters);
    const void *(*vocabulary)(const void *);
    *(void **)&set_log = symbol(library, "llama_log_set", NULL);
    *(void **)&start = symbol(library, "llama_backend_init", NULL);
    *(void **)&defaults = symbol(library, "llama_model_default_params", NULL);
    *(void **)&load = symbol(library, "llama_model_load_from_file", "llama_load_model_from_file");
    *(void **)&vocabulary = symbol(library, "llama_model_get_vocab", NULL);
    *(void **)&l->tokenize = symbol(library, "llama_tokenize", NULL);
    if (!start || !defaults || !load || !l->tokenize)
        return false;
    if (set_log)
        set_log(silent, NULL);
    start();
    struct parameters p = defaults();
    size_t at = 40; /* vocab_only false, use_mmap true, use_mlock false */
    while (at < 256 && !(p.bytes[at] == 0 && p.bytes[at + 1] == 1 && p.bytes[at + 2] == 0))
        at += 8;
    if (at == 256)
        return false;
    p.bytes[at] = 1;
    void *model = load(path, p);
    l->vocabulary = model && vocabulary ? vocabulary(model) : model;
    return model != NULL;
}

/* ---- the comparison ---- */

static int once(const struct tokenizer *t, const char *text, size_t n, struct token_ids *ids, double *seconds)
{
    struct error e = {0};
    double start = now_s();
    ids->n = 0;
    int failed = tokenizer_encode(t, text, n, false, ids, &e);
    *seconds = now_s() - start;
    if (failed)
        printf("%s\n", e.text);
    return failed;
}

/* In the child: alternating turns of both. */
static int against(void *library, const char *path, const struct tokenizer *t, const char *text, size_t n)
{
    struct llama l;
    struct token_ids ids = {0};
    double ours[TURNS], theirs[TURNS], ratio[TURNS];
    int32_t *other = malloc((n + 1) * sizeof *other), count = 0;
    if (!other || !llama_open(library, path, &l)) {
        printf("  llama.cpp: this libllama has another interface, no comparison\n");
        return 0;
    }
    for (int i = 0; i < TURNS; i++) {
        if (once(t, text, n, &ids, &ours[i]) != 0)
            return 1;
        double start = now_s();
        count = l.tokenize(l.vocabulary, text, (int32_t)n, other, (int32_t)n, false, false);
        theirs[i] = now_s() - start;
        ratio[i] = theirs[i] / ours[i];
    }
    bool same = count == (int32_t)ids.n && memcmp(other, ids.id, ids.n * sizeof *other) == 0;
    printf("  llama.cpp: %.1f MB/s, ours in the same run %.1f MB/s, %.2f x; %s\n",
           1e-6 * (double)n / median(theirs, TURNS), 1e-6 * (double)n / median(ours, TURNS),
           median(ratio, TURNS), same ? "the same ids" : "OTHER IDS");
    return same ? 0 : 1;
}

static int compare(const char *path, const struct tokenizer *t, const char *text, size_t n)
{
    const char *named = getenv("BENCHTOP_LIBLLAMA");
    int status = 0;
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        void *library = dlopen(named ? named : "libllama.so", RTLD_LAZY | RTLD_GLOBAL);
        if (!library)
            printf("  llama.cpp: no libllama here (%s), no comparison\n",
                   named ? dlerror() : "BENCHTOP_LIBLLAMA names one");
        int code = library ? against(library, path, t, text, n) : 0;
        fflush(stdout);
        _exit(code);
    }
    if (child < 0 || waitpid(child, &status, 0) < 0)
        return 0;
    if (WIFSIGNALED(status))
        printf("  llama.cpp: this libllama crashed (signal %d), no comparison\n", WTERMSIG(status));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
}

static int measure(const char *path, const char *text, size_t n)
{
    struct error e = {0};
    struct token_ids ids = {0};
    char name[64];
    double seconds[TURNS];
    struct tokenizer *t = vocabulary_tokenizer(path, name, sizeof name, &e);
    if (!t) {
        printf("%s\n", e.text);
        return 1;
    }
    for (int i = 0; i < TURNS; i++)
        if (once(t, text, n, &ids, &seconds[i]) != 0)
            return 1;
    double rate = 1e-6 * (double)n / median(seconds, TURNS);
    bool bpe = strncmp(tokenizer_kind(t), "gpt2", 4) == 0;
    printf("%-24s %6.1f MB/s on one core, %.2f bytes per token%s\n", name, rate, (double)n / (double)ids.n,
           !bpe           ? ""
           : rate >= goal ? " (goal 5: reached)"
                          : " (goal 5: MISSED)");
    int failed = (bpe && rate < goal) + compare(path, t, text, n);
    token_ids_free(&ids);
    tokenizer_free(t);
    return failed;
}

static int measure_adapted(const char *text, size_t n)
{
    struct model_spec m = {.name = "gpt2", .vocab = 50257, .vocabulary = "gpt-2"};
    struct error e = {0};
    struct vocabulary *v = vocabulary_open(&m, "shakespeare-gpt-2", &e);
    struct token_ids ids = {0};
    double seconds[TURNS];
    for (int i = 0; v && i < TURNS; i++) {
        double start = now_s();
        ids.n = 0;
        if (vocabulary_encode(v, text, n, false, &ids, &e) != 0)
            break;
        seconds[i] = now_s() - start;
    }
    if (e.text[0]) {
        printf("%s\n", e.text);
        return 1;
    }
    printf("%-24s %6.1f MB/s on one core, %.2f bytes per token\n", "shakespeare-gpt-2",
           1e-6 * (double)n / median(seconds, TURNS), (double)n / (double)ids.n);
    token_ids_free(&ids);
    vocabulary_free(v);
    return 0;
}

int main(void)
{
    static const char *const others[] = {"llama-spm", "phi-3", "bert-bge"};
    const char *folder = getenv("BENCHTOP_VOCABULARIES");
    struct error e = {0};
    size_t n;
    char *text = json_read_file("presets/texts/tinyshakespeare.txt", 1 << 24, &n, &e);
    if (!text) {
        printf("%s\n", e.text);
        return 1;
    }
    int failed = measure("presets/vocabularies/gpt-2.gguf", text, n) + measure_adapted(text, n);
    for (int i = 0; folder && i < 3; i++) {
        char path[512];
        struct stat s;
        snprintf(path, sizeof path, "%s/ggml-vocab-%s.gguf", folder, others[i]);
        if (stat(path, &s) == 0)
            failed += measure(path, text, n);
    }
    free(text);
    return failed ? 1 : 0;
}
