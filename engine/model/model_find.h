/* Which model a word means: the one place where names, JSON files and GGUF files become a struct model_spec.
 * Presets name models as the user typed them; whoever needs dimensions asks here. */
#pragma once

#include "presets/error.h"
#include "presets/model_spec.h"
#include <stdbool.h>

bool model_is_file(const char *name); /* the path of a GGUF file, by its ending */
/* name: of the catalog, or the path of a JSON file ("benchtop/model/1") or a GGUF file (.gguf), whose head is
 * read and checked whole in milliseconds: its weights are read when they are asked for. Unknown names: USAGE
 * with the nearest ones. On failure nothing is changed. Any thread. */
int model_find(const char *name, struct model_spec *out, struct error *e);
