/* Strict reading and exact writing of JSON files, over cJSON: shared by presets, models, sessions, journals,
 * exports.
 *
 * What cJSON lets through is refused here: bytes after the value, NUL bytes and \u0000 (they would cut a text
 * short), depth beyond JSON_DEPTH, a key given twice, numbers that are no longer exact. What cJSON's printer
 * loses is kept: json_print writes every double so that it reads back bit for bit, whatever the locale.
 *
 * Getters return JSON_FOUND, JSON_ABSENT (no such key, or null; *out untouched) or -1 after error_add of
 * "FILE: key: expected X, found Y", so that one pass over a file reports everything wrong in it.
 * No function keeps state; any thread may call. */
#pragma once

#include "presets/error.h"
#include <cjson/cJSON.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JSON_FOUND = 0, JSON_ABSENT = 1 };
enum { JSON_DEPTH = 128 };
#define JSON_EXACT_MAX 9007199254740991LL /* 2^53 - 1: larger integers travel as strings */

/* Where we are, for messages. */
struct json_at {
    const char *file; /* name of the file as the user knows it */
    const char *path; /* keys down to the object, "cells.3", or "" */
    struct error *e;  /* findings are added here */
};

/* Reads a regular file of at most `limit` bytes; NUL-terminated, *size without the NUL. Caller frees.
 * Directories, pipes and devices are refused without waiting for them. */
char *json_read_file(const char *path, size_t limit, size_t *size, struct error *e);
/* One JSON value and nothing after it (a byte order mark before it is skipped). Caller cJSON_Delete()s. */
cJSON *json_parse(const char *text, size_t size, const char *name, struct error *e);
cJSON *json_load(const char *path, size_t limit, struct error *e);
/* As json_load, but lists of integers under keys that end in "_ns" are kept packed, at the size of their
 * text: a session of a million samples would else cost 100 MB while it is read. Only json_int64_array reads a
 * packed list. */
cJSON *json_load_samples(const char *path, size_t limit, struct error *e);

/* object may be NULL (everything absent). Bounds are inclusive. */
int json_text(const struct json_at *at, const cJSON *object, const char *key, char *out, size_t size);
int json_double(const struct json_at *at, const cJSON *object, const char *key, double min, double max,
                double *out);
int json_int(const struct json_at *at, const cJSON *object, const char *key, int min, int max, int *out);
/* Integers up to JSON_EXACT_MAX as numbers or strings of digits, larger ones as strings. */
int json_int64(const struct json_at *at, const cJSON *object, const char *key, int64_t min, int64_t max,
               int64_t *out);
int json_uint64(const struct json_at *at, const cJSON *object, const char *key, uint64_t *out);
int json_bool(const struct json_at *at, const cJSON *object, const char *key, bool *out);
int json_object(const struct json_at *at, const cJSON *object, const char *key, const cJSON **out);
int json_array(const struct json_at *at, const cJSON *object, const char *key, const cJSON **out);
/* *out is allocated (NULL for an empty array), caller frees. Linear in the length. */
int json_int64_array(const struct json_at *at, const cJSON *object, const char *key, int64_t **out,
                     int64_t *n);
/* Adds "FILE: key: missing: expected WHAT"; returns -1. */
int json_missing(const struct json_at *at, const char *key, const char *expected);
/* Adds "FILE: key: expected WHAT, found ..."; returns -1. item may be NULL. */
int json_unexpected(const struct json_at *at, const char *key, const char *expected, const cJSON *item);
/* "a number from 0 to 1", "a whole number of at least 1": what stands outside [-1e15, 1e15] is no bound. */
void json_describe_range(const char *what, double min, double max, char *out, size_t size);
/* "FILE: path.key" without the leading parts that are empty. */
void json_where(const struct json_at *at, const char *key, char *out, size_t size);
/* Refuses keys given twice (known keys and up to 256 others). Keys not in `known` are moved from `object`
 * into *unknown (created when needed, order kept) if unknown is not NULL, and named in `warning` (may be
 * NULL). */
int json_keys(const struct json_at *at, cJSON *object, const char *const *known, int n_known, cJSON **unknown,
              struct error *warning);

/* A table of scalar members of a struct: read, written, checked and compared alike. */
enum json_type { JSON_TEXT, JSON_INT, JSON_INT64, JSON_UINT64, JSON_DOUBLE, JSON_BOOL };
struct json_field {
    const char *key;
    enum json_type type;
    size_t offset; /* of the member */
    size_t size;   /* JSON_TEXT: bytes of the array */
    double min, max;
};
/* 0, or -1 after adding every finding. Absent keys leave the member as it is; an absent JSON_DOUBLE stays
 * too. */
int json_read_fields(const struct json_at *at, const cJSON *object, const struct json_field *fields, int n,
                     void *base);
/* 0, or -1 when memory is out. A NaN is written as null. */
int json_write_fields(cJSON *object, const struct json_field *fields, int n, const void *base);
/* Adds a finding per member out of its bounds (a NaN passes: not asked for). */
int json_check_fields(const struct json_at *at, const struct json_field *fields, int n, const void *base);
bool json_equal_fields(const struct json_field *fields, int n, const void *a,
                       const void *b); /* NaN equals NaN */

/* Shortest text that reads back as the same double; integers without a point; NaN and infinities "null".
 * size >= 32. Returns the length. */
int json_number_text(double value, char *out, size_t size);
cJSON *json_add_int64(cJSON *object, const char *key, int64_t value); /* as a string beyond JSON_EXACT_MAX */
cJSON *json_add_uint64(cJSON *object, const char *key, uint64_t value); /* likewise */
/* An array of integers as one raw text: a million in milliseconds. NULL values with n = 0 is an empty array.
 */
cJSON *json_add_int64_array(cJSON *object, const char *key, const int64_t *values, int64_t n);
/* The whole value as text, caller frees. indent 0: on one line without spaces (journal lines); else that many
 * spaces per level, arrays of scalars on one line, and a line end at the end. NULL when memory is out. */
char *json_print(const cJSON *item, int indent);
/* Writes path whole or not at all: a temporary file in the same folder, fsync, rename, fsync of the folder.
 */
int json_write_file(const char *path, const char *text, size_t size, struct error *e);
