/* Other formats of a session, and two sessions held against each other. Text in memory; the caller writes it.
 */
#pragma once

#include "engine/session.h"
#include "engine/summary.h"
#include "presets/error.h"

/* One table of formats drives the command line, its help, completion and the TUI's export menu. */
struct export_format {
    const char *name, *help, *extension;
    char *(*print)(const struct session *s, struct error *e); /* caller frees */
};
extern const struct export_format export_formats[];
extern const int export_n_formats;
const struct export_format *export_find(const char *name, struct error *e); /* USAGE: nearest names */

/* The results table of `run` and `show`: aligned UTF-8 text, at most `width` columns (0: no limit). Caller
 * frees. */
char *table_print(const struct session *s, int width, struct error *e);
