/* Where presets, models, implementation bundles, vocabularies and texts are found, by name. The shipped
 * catalog stands beside the binary: BENCHTOP_CATALOG alone if it is set; else EXE/presets, EXE/../presets,
 * EXE/../share/benchtop/presets, and for the folders of a build tree up to EXE/../../../../presets; a catalog
 * is known by its folders models/ and implementations/. The user's own presets and models in
 * $XDG_CONFIG_HOME/benchtop/{presets,models,implementations,vocabularies,texts} come first. Sessions are in
 * $XDG_DATA_HOME/benchtop/sessions. */
#pragma once

#include "presets/error.h"
#include "presets/implementation.h"
#include "presets/model_spec.h"
#include "presets/preset.h"

enum catalog_kind {
    CATALOG_PRESETS,
    CATALOG_MODELS,
    CATALOG_IMPLEMENTATIONS,
    CATALOG_VOCABULARIES, /* NAME.gguf: a model's own; NAME.json: one adapted to a text */
    CATALOG_TEXTS         /* NAME.txt */
};

struct catalog_entry {
    char name[64];
    char path[512];
    bool user; /* from the user's folder, not shipped */
};
struct catalog_list {
    struct catalog_entry *entry; /* sorted by name; user entries hide shipped ones of the same name */
    int n;
};

int catalog_list(enum catalog_kind kind, struct catalog_list *out, struct error *e);
void catalog_list_free(struct catalog_list *l);
/* The file of a name: a catalog name, or a path (contains '/' or ends as the files of this kind do), which is
 * not looked at. Unknown: USAGE error with the nearest names. */
int catalog_find(enum catalog_kind kind, const char *name, char *path, size_t size, struct error *e);
/* name: a catalog name, or a path (contains '/' or ends in .json). Unknown: USAGE error with the nearest
 * names. */
int catalog_model(const char *name, struct model_spec *out, struct error *e);
int catalog_preset(const char *name, struct preset *out, struct error *warning, struct error *e);
int catalog_implementation(const char *name, struct implementation *out, struct error *e);
/* Writes into the user's folder, creating it; returns the path written. */
int catalog_save_preset(const struct preset *p, char *path, size_t size, struct error *e);
const char *catalog_shipped_dir(void);                             /* NULL: not found */
int catalog_sessions_dir(char *out, size_t size, struct error *e); /* created if missing */
/* Where calibrations of machines are kept; create: made if missing. */
int catalog_calibration_dir(char *out, size_t size, bool create, struct error *e);
/* Where rotations of models are kept, $XDG_DATA_HOME/benchtop/rotations. */
int catalog_rotations_dir(char *out, size_t size, bool create, struct error *e);
/* Up to three names of `names` nearest to `word` (edit distance), as "a, b, c" into out; "" if none is near.
 */
void catalog_nearest(const char *word, const char *const *names, int n, char *out, size_t size);
