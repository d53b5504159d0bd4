/* Implementations as JSON: bundles in the catalog ("benchtop/implementation/1"), arms in presets and
 * sessions. */
#pragma once

#include "presets/implementation.h"
#include "presets/json.h"

/* Sets the axes that stand in object; fusion may be a text ("qkv+gate_up") or a list, sparsity a number or a
 * text. *given (may be NULL) counts the axes found. 0, or -1 after adding every finding. */
int implementation_read(const struct json_at *at, const cJSON *object, struct implementation *i, int *given);
/* Adds every axis to object. 0, or -1 when memory is out. */
int implementation_write(cJSON *object, const struct implementation *i);
