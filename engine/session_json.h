/* Inside of session files: the parts that the session file, its journal and compare's JSON share. Nobody else
 * includes this. Every writer returns NULL or -1 when memory is out. Every reader adds what it refuses to
 * at->e and what it tolerates to warning (may be NULL). */
#pragma once

#include "engine/session.h"
#include "engine/summary.h"
#include "presets/json.h"

enum { SESSION_FILE_BYTES = 1 << 30 };
#define SESSION_SCHEMA "benchtop/session/1"

/* session_numbers.c: a tree node per sample would cost 64 bytes each. Long arrays of plain integers under the
 * keys of samples are therefore parsed as one text each. */
/* Parses the text of a session or a journal's line; text is changed. */
cJSON *session_parse(char *text, size_t size, const char *name, struct error *e);
/* json_int64_array for members that session_parse may have folded. */
int session_read_numbers(const struct json_at *at, const cJSON *object, const char *key, int64_t **out,
                         int64_t *n);

/* session_write.c */
/* figures: with summaries, comparisons and criteria (a journal's head has none: they are computed from
 * samples). */
cJSON *session_to_json(const struct session *s, bool figures);
int session_write_head(cJSON *root, const struct session *s); /* schema to preset */
cJSON *session_write_environment(const struct session_environment *v);
cJSON *session_write_block(const struct block *b);
int session_write_arm(cJSON *object, const struct session_arm *a); /* all but blocks and summary */
/* session_quality.c: members quality and text of an arm; a list of responses, for responses. */
int session_write_quality(cJSON *object, const struct session_arm *a);
int session_read_quality(const struct json_at *at, const cJSON *object, struct session_arm *a);
cJSON *session_write_responses(const struct session_responses *r);
int session_read_responses(const struct json_at *at, const cJSON *list, struct session_responses **out);
int session_write_calibration(cJSON *object, const struct session_calibration *c);
int session_write_cell(cJSON *object, const struct session_cell *c); /* all but arms and comparisons */
/* at95: the same comparison at 95 %, for the keys that say so. */
int session_write_comparison(cJSON *object, const struct comparison *c, const struct comparison *at95,
                             double confidence);
int session_write_ablation(cJSON *root, const struct session *s); /* nothing where the preset has no design */
cJSON *session_write_summary(const struct session *s, int cell, int arm);
/* Both own the item: what cannot be added is deleted. */
int session_put_item(cJSON *object, const char *key, cJSON *item);
int session_push_item(cJSON *array, cJSON *item);
/* null where absent: an empty text, a NaN or an infinity. */
int session_put_text(cJSON *object, const char *key, const char *text);
int session_put_double(cJSON *object, const char *key, double value);
int session_put_interval(cJSON *object, const char *key, struct stats_interval ci);

extern const char *const session_flag_names[]; /* in the order of the bits of enum block_flag */
enum { SESSION_FLAGS = 4 };

/* session_read.c */
/* Consumes nothing of root. On failure *out is untouched. */
int session_from_json(const char *file, cJSON *root, struct session *out, struct error *warning,
                      struct error *e);
int session_read_environment(const struct json_at *at, const cJSON *object, struct session_environment *v);
/* NULL after adding a finding. */
struct block *session_read_block(const struct json_at *at, cJSON *object, int cell, int arm,
                                 struct error *warning);
int session_read_arm(const struct json_at *at, const cJSON *object, struct session_arm *a);
int session_read_calibration(const struct json_at *at, const cJSON *object, struct session_calibration *c);
int session_read_cell(const struct json_at *at, const cJSON *object, struct session_cell *c);

/* journal.c: what can be recovered; the warning says what was left out. */
int journal_load(const char *path, struct session *out, struct error *warning, struct error *e);
bool journal_in_use(const char *path);
