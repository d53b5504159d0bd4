#include "engine/model/gguf.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

const char *const gguf_kind_names[GGUF_KINDS] = {"u8",   "i8",     "u16",   "i16", "u32", "i32", "f32",
                                                 "bool", "string", "array", "u64", "i64", "f64"};
static const uint8_t kind_bytes[GGUF_KINDS] = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

/* Sizes as in ggml.h and ggml-common.h. */
static const struct gguf_type types[] = {
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
};

const struct gguf_type *gguf_type_of(uint32_t id)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (types[i].id == id)
            return &types[i];
    return NULL;
}

/* ---- reading ---- */

struct reader {
    const uint8_t *at, *end;
    const uint8_t *start;
    const char *name;
    struct error *e;
};

static int damaged(const struct reader *r, const char *what)
{
    return error_set(r->e, ERROR_FAILED, "%s: %s at byte %zu: the file is damaged or was not copied whole",
                     r->name, what, (size_t)(r->at - r->start));
}

static bool has(const struct reader *r, uint64_t n)
{
    return n <= (uint64_t)(r->end - r->at);
}

static int take(struct reader *r, void *out, size_t n, const char *what)
{
    if (!has(r, n))
        return damaged(r, what);
    memcpy(out, r->at, n); /* the machines we run on are little-endian, as the file */
    r->at += n;
    return 0;
}

static int take_string(struct reader *r, struct gguf_string *out, const char *what)
{
    uint64_t n = 0;
    if (take(r, &n, sizeof n, what) != 0)
        return -1;
    if (!has(r, n))
        return damaged(r, what);
    *out = (struct gguf_string){(const char *)r->at, (size_t)n};
    r->at += n;
    return 0;
}

static int skip_elements(struct reader *r, enum gguf_kind kind, uint64_t count)
{
    if (kind == GGUF_STRING) {
        struct gguf_string ignored;
        if (!has(r, count)) /* each takes eight bytes at least: no long loop over a false count */
            return damaged(r, "more strings than bytes");
        for (uint64_t i = 0; i < count; i++)
            if (take_string(r, &ignored, "a string that ends after the file") != 0)
                return -1;
        return 0;
    }
    if (count > (uint64_t)(r->end - r->at) / kind_bytes[kind])
        return damaged(r, "an array that ends after the file");
    r->at += count * kind_bytes[kind];
    return 0;
}

static int take_kind(struct reader *r, enum gguf_kind *out)
{
    uint32_t kind = 0;
    if (take(r, &kind, sizeof kind, "no type of a value") != 0)
        return -1;
    if (kind >= GGUF_KINDS)
        return damaged(r, "a value of unknown type");
    *out = (enum gguf_kind)kind;
    return 0;
}

static int take_value(struct reader *r, struct gguf_value *v)
{
    if (take_string(r, &v->key, "a key that ends after the file") != 0 || take_kind(r, &v->kind) != 0)
        return -1;
    v->element = v->kind;
    v->count = 1;
    if (v->key.n == 0)
        return damaged(r, "an empty key");
    if (v->kind == GGUF_ARRAY) {
        if (take_kind(r, &v->element) != 0 ||
            take(r, &v->count, sizeof v->count, "no length of an array") != 0)
            return -1;
        if (v->element == GGUF_ARRAY)
            return damaged(r, "an array of arrays, which no reader of models needs");
    }
    v->data = r->at;
    return skip_elements(r, v->element, v->count);
}

static int take_tensor(struct reader *r, struct gguf_tensor *t)
{
    uint32_t n_dims = 0, type = 0;
    uint64_t elements = 1;
    if (take_string(r, &t->name, "a tensor's name that ends after the file") != 0)
        return -1;
    if (t->name.n == 0 || t->name.n >= GGUF_NAME)
        return damaged(r, "a tensor's name of 0 or more than 63 bytes");
    if (take(r, &n_dims, sizeof n_dims, "no dimensions of a tensor") != 0)
        return -1;
    if (n_dims < 1 || n_dims > GGUF_DIMS)
        return damaged(r, "a tensor of 0 or more than 4 dimensions");
    t->n_dims = (int)n_dims;
    for (int i = 0; i < GGUF_DIMS; i++) {
        t->dim[i] = 1;
        if (i < t->n_dims && take(r, &t->dim[i], sizeof t->dim[i], "no dimension of a tensor") != 0)
            return -1;
        if (t->dim[i] == 0)
            return damaged(r, "a tensor with a dimension of 0");
        if (__builtin_mul_overflow(elements, t->dim[i], &elements) || elements > INT64_MAX)
            return damaged(r, "a tensor with more elements than can be counted");
    }
    if (take(r, &type, sizeof type, "no type of a tensor") != 0 ||
        take(r, &t->offset, sizeof t->offset, "no offset of a tensor") != 0)
        return -1;
    t->type = gguf_type_of(type);
    if (!t->type)
        return error_set(r->e, ERROR_UNSUPPORTED,
                         "%s: tensor %.*s has type %u, which is not known here: convert the file", r->name,
                         (int)t->name.n, t->name.bytes, type);
    if (t->dim[0] % (uint64_t)t->type->values != 0)
        return damaged(r, "a tensor whose rows are no whole number of blocks");
    if (__builtin_mul_overflow(elements / (uint64_t)t->type->values, (uint64_t)t->type->bytes, &t->bytes))
        return damaged(r, "a tensor with more bytes than can be counted");
    return 0;
}

/* ---- checking what belongs together ---- */

static int compare_strings(struct gguf_string a, struct gguf_string b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = memcmp(a.bytes, b.bytes, n);
    return order ? order : (a.n > b.n) - (a.n < b.n);
}

struct named { /* for sorting: qsort has no context */
    struct gguf_string name;
    uint32_t index;
};

static int by_string(const void *x, const void *y)
{
    return compare_strings(((const struct named *)x)->name, ((const struct named *)y)->name);
}

/* Sorted indices of n names; NULL with an error: no memory, or one given twice. */
static uint32_t *sort_names(const struct reader *r, struct named *names, size_t n, const char *what)
{
    uint32_t *index = malloc((n + 1) * sizeof *index);
    if (!index) {
        error_set(r->e, ERROR_MEMORY, "%s: no memory for %zu names: close other programs", r->name, n);
        return NULL;
    }
    if (n > 1)
        qsort(names, n, sizeof *names, by_string);
    for (size_t i = 0; i < n; i++) {
        index[i] = names[i].index;
        if (i > 0 && compare_strings(names[i].name, names[i - 1].name) == 0) {
            error_set(r->e, ERROR_FAILED, "%s: %s %.*s stands there twice: the file is damaged", r->name,
                      what, names[i].name.n < 64 ? (int)names[i].name.n : 64, names[i].name.bytes);
            free(index);
            return NULL;
        }
    }
    return index;
}

static int index_names(const struct reader *r, struct gguf *g)
{
    size_t most = g->n_values > g->n_tensors ? g->n_values : g->n_tensors;
    struct named *names = malloc((most + 1) * sizeof *names);
    if (!names)
        return error_set(r->e, ERROR_MEMORY, "%s: no memory for %zu names: close other programs", r->name,
                         most);
    for (size_t i = 0; i < g->n_values; i++)
        names[i] = (struct named){g->value[i].key, (uint32_t)i};
    g->by_key = sort_names(r, names, g->n_values, "key");
    for (size_t i = 0; i < g->n_tensors; i++)
        names[i] = (struct named){g->tensor[i].name, (uint32_t)i};
    g->by_name = g->by_key ? sort_names(r, names, g->n_tensors, "tensor") : NULL;
    free(names);
    return g->by_name ? 0 : -1;
}

static int find_alignment(const struct reader *r, struct gguf *g)
{
    int64_t alignment;
    const struct gguf_value *v = gguf_find(g, "general.alignment");
    g->alignment = 32;
    if (!v)
        return 0;
    if (v->kind != GGUF_U32 || !gguf_int(g, "general.alignment", &alignment) || alignment < 8 ||
        alignment % 8 != 0 || (alignment & (alignment - 1)) != 0 || alignment > 1 << 20)
        return error_set(
            r->e, ERROR_FAILED,
            "%s: general.alignment is no 32-bit power of two from 8 to 1 MiB: the file is damaged", r->name);
    g->alignment = (uint32_t)alignment;
    return 0;
}

static int by_offset(const void *x, const void *y)
{
    const struct gguf_tensor *a = *(const struct gguf_tensor *const *)x,
                             *b = *(const struct gguf_tensor *const *)y;
    return (a->offset > b->offset) - (a->offset < b->offset);
}

static int place_tensors(const struct reader *r, struct gguf *g)
{
    size_t begin = ((size_t)(r->at - r->start) + g->alignment - 1) / g->alignment * g->alignment;
    g->data_offset = begin;
    if (g->n_tensors == 0)
        return 0;
    if (begin > g->size)
        return damaged(r, "no data behind the tensors' descriptions");
    const struct gguf_tensor **order = malloc(g->n_tensors * sizeof *order);
    if (!order)
        return error_set(r->e, ERROR_MEMORY, "%s: no memory for %zu tensors: close other programs", r->name,
                         g->n_tensors);
    uint64_t room = g->size - begin, end = 0;
    const char *wrong = NULL;
    for (size_t i = 0; i < g->n_tensors; i++) {
        struct gguf_tensor *t = &g->tensor[i];
        order[i] = t;
        if (t->offset % g->alignment != 0)
            wrong = "does not begin at the file's alignment";
        else if (t->offset > room || t->bytes > room - t->offset)
            wrong = "ends after the file";
        if (wrong) {
            free(order);
            return error_set(r->e, ERROR_FAILED,
                             "%s: tensor %.*s %s: the file is damaged or was not copied whole", r->name,
                             (int)t->name.n, t->name.bytes, wrong);
        }
        t->data = g->bytes + begin + t->offset;
    }
    qsort(order, g->n_tensors, sizeof(const struct gguf_tensor *), by_offset);
    const struct gguf_tensor *overlapping = NULL;
    for (size_t i = 0; i < g->n_tensors && !overlapping; i++) {
        if (order[i]->offset < end)
            overlapping = order[i];
        end = order[i]->offset + order[i]->bytes;
    }
    free(order);
    if (overlapping)
        return error_set(r->e, ERROR_FAILED, "%s: tensor %.*s overlaps another one: the file is damaged",
                         r->name, (int)overlapping->name.n, overlapping->name.bytes);
    return 0;
}

/* ---- opening ---- */

enum { VALUE_BYTES_MIN = 8 + 1 + 4 + 1, TENSOR_BYTES_MIN = 8 + 1 + 4 + 8 + 4 + 8 };

static int take_header(struct reader *r, struct gguf *g)
{
    uint32_t magic = 0;
    uint64_t n_tensors = 0, n_values = 0;
    if (take(r, &magic, sizeof magic, "too short for GGUF") != 0)
        return -1;
    if (magic != 0x46554747)
        return error_set(r->e, ERROR_FAILED, "%s is no GGUF file: it does not begin with the letters GGUF",
                         r->name);
    if (take(r, &g->version, sizeof g->version, "no version") != 0)
        return -1;
    if (g->version != 2 && g->version != 3)
        return error_set(r->e, ERROR_UNSUPPORTED,
                         g->version & 0xffff
                             ? "%s has GGUF version %u: only 2 and 3 are read: convert the file"
                             : "%s is a big-endian GGUF file (version %u): convert it",
                         r->name, g->version);
    if (take(r, &n_tensors, sizeof n_tensors, "no number of tensors") != 0 ||
        take(r, &n_values, sizeof n_values, "no number of keys") != 0)
        return -1;
    uint64_t left = (uint64_t)(r->end - r->at);
    if (n_values > left / VALUE_BYTES_MIN || n_tensors > left / TENSOR_BYTES_MIN || n_values > UINT32_MAX ||
        n_tensors > UINT32_MAX)
        return damaged(r, "more keys or tensors than the file has room for");
    g->n_values = (size_t)n_values;
    g->n_tensors = (size_t)n_tensors;
    g->value = calloc(g->n_values + 1, sizeof *g->value);
    g->tensor = calloc(g->n_tensors + 1, sizeof *g->tensor);
    if (!g->value || !g->tensor)
        return error_set(r->e, ERROR_MEMORY,
                         "%s: no memory for %zu keys and %zu tensors: close other programs", r->name,
                         g->n_values, g->n_tensors);
    return 0;
}

static int parse(struct reader *r, struct gguf *g)
{
    if (take_header(r, g) != 0)
        return -1;
    for (size_t i = 0; i < g->n_values; i++)
        if (take_value(r, &g->value[i]) != 0)
            return -1;
    for (size_t i = 0; i < g->n_tensors; i++)
        if (take_tensor(r, &g->tensor[i]) != 0)
            return -1;
    if (index_names(r, g) != 0 || find_alignment(r, g) != 0)
        return -1;
    return place_tensors(r, g);
}

int gguf_parse(const uint8_t *bytes, size_t size, const char *name, struct gguf *out, struct error *e)
{
    struct reader r = {.at = bytes, .end = bytes + size, .start = bytes, .name = name, .e = e};
    *out = (struct gguf){.bytes = bytes, .size = size};
    if (parse(&r, out) == 0)
        return 0;
    gguf_close(out);
    return -1;
}

int gguf_open(const char *path, struct gguf *out, struct error *e)
{
    struct stat s;
    *out = (struct gguf){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return error_set(e, ERROR_FAILED, "%s cannot be opened: %s", path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        close(fd);
        return error_set(e, ERROR_FAILED, "%s is no file: give the path of a GGUF file", path);
    }
    if (s.st_size == 0) {
        close(fd);
        return error_set(e, ERROR_FAILED, "%s is empty: give the path of a GGUF file", path);
    }
    void *bytes = mmap(NULL, (size_t)s.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    close(fd);
    if (bytes == MAP_FAILED)
        return error_set(e, ERROR_MEMORY, "%s cannot be mapped: %s", path, strerror(errno));
    if (gguf_parse(bytes, (size_t)s.st_size, path, out, e) != 0) {
        munmap(bytes, (size_t)s.st_size);
        return -1;
    }
    out->mapped = true;
    return 0;
}

void gguf_close(struct gguf *g)
{
    if (g->mapped)
        munmap((void *)(uintptr_t)g->bytes, g->size);
    free(g->value);
    free(g->tensor);
    free(g->by_key);
    free(g->by_name);
    *g = (struct gguf){0};
}

/* ---- looking up ---- */

bool gguf_equal(struct gguf_string s, const char *text)
{
    return strlen(text) == s.n && memcmp(s.bytes, text, s.n) == 0;
}

const struct gguf_value *gguf_find(const struct gguf *g, const char *key)
{
    struct gguf_string wanted = {key, strlen(key)};
    size_t low = 0, high = g->n_values;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct gguf_value *v = &g->value[g->by_key[middle]];
        int order = compare_strings(v->key, wanted);
        if (order == 0)
            return v;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name)
{
    struct gguf_string wanted = {name, strlen(name)};
    size_t low = 0, high = g->n_tensors;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct gguf_tensor *t = &g->tensor[g->by_name[middle]];
        int order = compare_strings(t->name, wanted);
        if (order == 0)
            return t;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

#define ELEMENT(type)                                                                                        \
    type x;                                                                                                  \
    memcpy(&x, v->data + i * sizeof x, sizeof x)

bool gguf_int_at(const struct gguf_value *v, uint64_t i, int64_t *out)
{
    if (!v || i >= v->count)
        return false;
    switch (v->element) {
    case GGUF_U8: {
        *out = v->data[i];
        return true;
    }
    case GGUF_I8: {
        ELEMENT(int8_t);
        *out = x;
        return true;
    }
    case GGUF_U16: {
        ELEMENT(uint16_t);
        *out = x;
        return true;
    }
    case GGUF_I16: {
        ELEMENT(int16_t);
        *out = x;
        return true;
    }
    case GGUF_U32: {
        ELEMENT(uint32_t);
        *out = x;
        return true;
    }
    case GGUF_I32: {
        ELEMENT(int32_t);
        *out = x;
        return true;
    }
    case GGUF_I64: {
        ELEMENT(int64_t);
        *out = x;
        return true;
    }
    case GGUF_U64: {
        ELEMENT(uint64_t);
        *out = (int64_t)x;
        return x <= INT64_MAX;
    }
    default:
        return false;
    }
}

bool gguf_double_at(const struct gguf_value *v, uint64_t i, double *out)
{
    int64_t whole;
    if (!v || i >= v->count)
        return false;
    if (v->element == GGUF_F32) {
        ELEMENT(float);
        *out = (double)x;
        return true;
    }
    if (v->element == GGUF_F64) {
        ELEMENT(double);
        *out = x;
        return true;
    }
    if (!gguf_int_at(v, i, &whole))
        return false;
    *out = (double)whole;
    return true;
}
#undef ELEMENT

static const struct gguf_value *scalar(const struct gguf *g, const char *key)
{
    const struct gguf_value *v = gguf_find(g, key);
    return v && v->kind != GGUF_ARRAY ? v : NULL;
}

bool gguf_int(const struct gguf *g, const char *key, int64_t *out)
{
    return gguf_int_at(scalar(g, key), 0, out);
}

bool gguf_double(const struct gguf *g, const char *key, double *out)
{
    return gguf_double_at(scalar(g, key), 0, out) && isfinite(*out);
}

bool gguf_bool(const struct gguf *g, const char *key, bool *out)
{
    const struct gguf_value *v = scalar(g, key);
    if (!v || v->kind != GGUF_BOOL)
        return false;
    *out = v->data[0] != 0;
    return true;
}

bool gguf_next(const struct gguf_value *v, struct gguf_walk *w, struct gguf_string *out)
{
    uint64_t n = 0;
    if (!v || v->element != GGUF_STRING || w->i >= v->count)
        return false;
    if (w->i == 0)
        w->at = v->data;
    memcpy(&n, w->at, sizeof n); /* was checked when the file was opened */
    *out = (struct gguf_string){(const char *)w->at + sizeof n, (size_t)n};
    w->at += sizeof n + n;
    w->i++;
    return true;
}

bool gguf_text(const struct gguf *g, const char *key, struct gguf_string *out)
{
    struct gguf_walk w = {0};
    return gguf_next(scalar(g, key), &w, out);
}
