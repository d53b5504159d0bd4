/* Session files ("benchtop/session/1") and the journal that survives a kill: the same content as one JSON
 * document and as JSON lines (FILE.journal, one fsync'd line per closed block or fact). Nanoseconds are
 * integers, bit for bit. */
#pragma once

#include "engine/log.h"
#include "engine/session.h"
#include "presets/error.h"

char *session_print(const struct session *s,
                    struct error *e); /* the whole session as JSON text, caller frees */
int session_save(const struct session *s, const char *path, struct error *e); /* temp + fsync + rename */
/* A session file, or the journal of a killed run (recovered up to the last whole line: status stopped, said
 * in `warning`). path: a file, or an id in the sessions folder. */
int session_load(const char *path, struct session *out, struct error *warning, struct error *e);

struct session_entry { /* what the Sessions screen lists */
    char id[96], path[512], preset[PRESET_NAME], started[32], models[128];
    enum session_status status;
    bool damaged; /* cut short, or no JSON: session_load says where. Only what its head tells is filled in */
    int cells, cells_ok;
    int64_t bytes;
    int64_t written_ns; /* when the file was last written: orders sessions that started in the same second */
};
int session_list(struct session_entry **out, int *n, struct error *e); /* newest first; caller frees *out */
const char *session_entry_status(const struct session_entry *e);       /* "complete", ..., or "damaged" */
int session_delete(const char *path, struct error *e);                 /* the file and its journal */

struct journal;
struct journal *journal_open(const char *session_path, const struct session *head, struct error *e);
int journal_append(struct journal *j, const struct log_entry *entry,
                   struct error *e); /* facts and closed blocks; fsync */
int journal_close(struct journal *j, bool remove_file, struct error *e);
