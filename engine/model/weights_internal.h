/* What weights_walk.c, weights.c and weights_file.c share: the walk over a model's arrays. For
 * engine/model/weights*.c alone. */
#pragma once

#include "engine/model/gguf_model.h"
#include "engine/model/weights.h"

enum { WEIGHTS_PARTS = 3 };

/* One array on the walk through a model: a matrix, or a vector of fp32 when `vector` is set. It is one array
 * of a file, or up to three one under another. */
struct weights_array {
    struct kernel_matrix *matrix;
    const float **vector;
    enum kernel_dtype dtype;
    int64_t rows, cols;
    uint64_t id; /* of the generator's stream: stays the same for every precision */
    enum kernel_weight_law law;
    float amplitude;
    void (*fill)(float *values, int64_t rows, int64_t cols, uint64_t key); /* instead of a law: by the host */
    int layer, parts;
    enum model_array part[WEIGHTS_PARTS];
    bool product; /* read by every decoded token */
};

struct weights_file {
    struct gguf own;
    const struct gguf *g; /* its own, or one that somebody else has open */
    const struct model_spec *m;
    int fd, threads;
    bool stored;
    int64_t page_in_ns; /* spent on reading the file's bytes so far */
};

struct weights_walk {
    int (*visit)(struct weights_walk *, const struct weights_array *);
    struct weights *w;
    struct weights_file *file; /* types are its own; NULL: all of the precision's */
    uint64_t id;
    int64_t bytes, product_bytes, total;
    int64_t rows; /* of an adapted vocabulary, while counting */
    void (*progress)(void *, const char *, double);
    bool (*cancelled)(void *);
    void *who;
    void *data; /* the visitor's */
    struct error *e;
};

/* Every array of the weights asked for, one after another: made in memory of k, handed to each(), given back.
 * With k NULL nothing is made and each() gets a NULL matrix. -1: each() said so, MEMORY, CANCELLED or what is
 * wrong with the model's file. */
struct weights_stream {
    struct kernels *k;
    const struct weights_request *request;
    int (*each)(void *who, const struct weights_array *t, const struct kernel_matrix *m, struct error *e);
    void *who;
    void (*progress)(void *, const char *, double); /* may be NULL, as cancelled */
    bool (*cancelled)(void *);
    void *watcher;
};
int weights_stream(const struct weights_stream *s, struct error *e);
/* Every array in a fixed order. one_layer: a scratch w whose layers are all one serves for sizes. */
int weights_walk_all(struct weights_walk *k, bool one_layer);
/* Data, scales and codes follow one another, each on a cache line of its own; parts that are not there: 0. */
struct weights_layout {
    size_t scales, codes, bytes;
    bool has_scales, has_codes;
};
struct weights_layout weights_layout_of(const struct weights_array *t);
struct kernel_matrix weights_matrix_at(const struct weights_array *t, void *data);

/* ---- weights_file.c ---- */

/* Opens the file of m, which must be the one that m was read from. threads pack rows; stored: each array
 * keeps its type. -1: what is wrong with the file; *out is then closed. */
int weights_file_open(const struct model_spec *m, bool stored, int threads, struct weights_file *out,
                      struct error *e);
void weights_file_close(struct weights_file *f);
/* The type of an array as it will be loaded: `otherwise`, or its own. */
enum kernel_dtype weights_file_dtype(const struct weights_file *f, const struct weights_array *t,
                                     enum kernel_dtype otherwise);
/* Whether the parts of an array keep different types and so cannot be one matrix. */
bool weights_file_apart(const struct weights_file *f, const struct weights_array *t);
/* Fills `to` (in backend memory, of the array's shape and type) from the file. -1: the file cannot be read,
 * or memory. */
int weights_file_read(struct weights_file *f, struct kernels *k, const struct weights_array *t,
                      struct kernel_matrix *to, struct error *e);
/* What frequencies are divided by, [rotary_dims / 2], owned by the caller; NULL with *failed 0: the file has
 * none. */
float *weights_file_rope_factors(struct weights_file *f, int *failed, struct error *e);
