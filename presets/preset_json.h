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
/* A bundle with overrides: the rule of --arm and of arms in files. */
int preset_bundle(const char *name, struct implementation *out, struct error *e);
