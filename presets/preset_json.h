/* Inside of the preset module: the tables its reader, writer and validator share. Nobody else includes this.
 */
#pragma once

#include "presets/json.h"
#include "presets/preset.h"

enum { PRESET_FILE_BYTES = 1 << 20, PRESET_ROUNDS_MAX = 100000 };

enum { PRESET_HEAD_FIELDS = 4 }; /* written before the lists, the rest after them */
extern const struct json_field preset_fields[];
extern const int preset_n_fields;
extern const struct json_field preset_criteria_fields[];
extern const int preset_n_criteria_fields;
extern const struct json_field preset_sampling_fields[];
extern const int preset_n_sampling_fields;
extern const struct json_field preset_law_fields[];
extern const int preset_n_law_fields;
extern const struct json_field preset_law_warmup_fields[];
extern const int preset_n_law_warmup_fields;
extern const char *const preset_law_names[4];
extern const char *const preset_fault_names[4];
/* Every key at the top of a preset file, NULL at the end. */
extern const char *const preset_keys[];
int preset_n_keys(void);

/* NULL when memory is out. Unknown keys stand where they were found. */
cJSON *preset_to_json(const struct preset *p);
/* Consumes parts of root (the caller still deletes it). On failure *out is untouched. */
int preset_from_json(const char *file, cJSON *root, struct preset *out, struct error *warning,
                     struct error *e);

/* What one reading shares. `unknown` mirrors the file: {"key":..., "criteria":{...}, "arms":{"NAME":{...}}}.
 */
struct preset_reading {
    const char *file;
    cJSON *unknown;
    struct error *warning, *e;
};
/* Puts the leftovers of an inner object under `key` of *parent; takes them over in any case. */
int preset_keep_unknown(struct preset_reading *r, cJSON **parent, const char *key, cJSON *leftovers);
int preset_field_keys(const struct json_field *fields, int n, const char **out); /* returns n */
bool preset_given(const cJSON *root, const char *key);                           /* there, and not null */
/* The items under `key`: those of a list, or the lone value itself (an object is a list of one). Returns how
 * many, or -1 after adding a finding when there are more than `most`. */
int preset_items(const struct json_at *at, cJSON *root, const char *key, int most, cJSON **items);

/* preset_arm.c and preset_fake.c: parts of a file. Read: 0, or -1 after adding every finding. Write: -1 when
 * memory is out. */
int preset_read_arms(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p);
int preset_write_arms(cJSON *root, const struct preset *p);
int preset_read_fake(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p);
int preset_write_fake(cJSON *root, const struct fake_spec *fake);
/* preset_design.c; read after the arms, which it may make. */
int preset_read_design(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p);
int preset_write_design(cJSON *root, const struct preset *p);
bool preset_equal_design(const struct preset_design *a, const struct preset_design *b);
int preset_check_design(const struct json_at *at, const struct preset *p);
