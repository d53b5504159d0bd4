/* GGUF files, versions 2 and 3: metadata and where the tensors lie (ggml's docs/gguf.md). Reads bytes and
 * knows nothing of models; what it returns points into the file, which stays mapped and is paged in as it is
 * touched.
 *
 * Nothing in the file is believed before it was checked: every count and length is bounded by the bytes that
 * are left, every product is checked for overflow, keys and tensors are unique, tensors lie inside the file
 * and do not overlap. Any thread may read an opened file. */
#pragma once

#include "presets/error.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum gguf_kind { /* of a value; the numbers of the file */
                 GGUF_U8,
                 GGUF_I8,
                 GGUF_U16,
                 GGUF_I16,
                 GGUF_U32,
                 GGUF_I32,
                 GGUF_F32,
                 GGUF_BOOL,
                 GGUF_STRING,
                 GGUF_ARRAY,
                 GGUF_U64,
                 GGUF_I64,
                 GGUF_F64,
                 GGUF_KINDS
};
extern const char *const gguf_kind_names[GGUF_KINDS];

struct gguf_string {
    const char *bytes; /* in the file, no terminator; may be any bytes */
    size_t n;
};

struct gguf_value {
    struct gguf_string key;
    enum gguf_kind kind, element; /* element: of an array */
    uint64_t count;               /* of an array; else 1 */
    const uint8_t *data;          /* first element, unaligned; strings carry their lengths */
};

enum { GGUF_DIMS = 4, GGUF_NAME = 64 };

/* ggml's tensor types that have a size here: all that occur in files. */
struct gguf_type {
    uint32_t id;
    const char *name;  /* "Q4_K" */
    int values, bytes; /* of a block */
};
const struct gguf_type *gguf_type_of(uint32_t id); /* NULL: unknown */

struct gguf_tensor {
    struct gguf_string name;
    int n_dims;
    uint64_t dim[GGUF_DIMS]; /* dim[0] is the contiguous one; unused ones are 1 */
    const struct gguf_type *type;
    const uint8_t *data; /* bytes of it */
    uint64_t offset, bytes;
};

struct gguf {
    const uint8_t *bytes;
    size_t size;
    uint32_t version, alignment;
    struct gguf_value *value; /* file order */
    size_t n_values;
    struct gguf_tensor *tensor; /* file order */
    size_t n_tensors;
    size_t data_offset;
    uint32_t *by_key, *by_name; /* sorted indices */
    bool mapped;
};

/* Maps the file and checks it. -1: what is wrong and where; *out is then zeroed. */
int gguf_open(const char *path, struct gguf *out, struct error *e);
/* The same on bytes the caller keeps; name is for messages. For tests and fuzzing. */
int gguf_parse(const uint8_t *bytes, size_t size, const char *name, struct gguf *out, struct error *e);
void gguf_close(struct gguf *g); /* zeroed is fine */

const struct gguf_value *gguf_find(const struct gguf *g, const char *key); /* NULL: absent */
const struct gguf_tensor *gguf_tensor(const struct gguf *g, const char *name);

/* Scalars by key. false: absent, or of another kind (any integer kind that holds the value serves gguf_int,
 * any number gguf_double). */
bool gguf_int(const struct gguf *g, const char *key, int64_t *out);
bool gguf_double(const struct gguf *g, const char *key, double *out);
bool gguf_bool(const struct gguf *g, const char *key, bool *out);
bool gguf_text(const struct gguf *g, const char *key, struct gguf_string *out);
/* Element i of an array, or the scalar itself (i = 0). false: out of range or another kind. Linear for
 * strings: use gguf_next for all of them. */
bool gguf_int_at(const struct gguf_value *v, uint64_t i, int64_t *out);
bool gguf_double_at(const struct gguf_value *v, uint64_t i, double *out);
/* Walks an array of strings: *at is 0 before the first. false: the end, or no such array. */
struct gguf_walk {
    uint64_t i;
    const uint8_t *at;
};
bool gguf_next(const struct gguf_value *v, struct gguf_walk *w, struct gguf_string *out);
bool gguf_equal(struct gguf_string s, const char *text);
