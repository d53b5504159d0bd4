/* How a cell fared over the saved sessions: mean and interval of one arm in one cell, session by session. The
 * figures of many sessions are gathered by a job, one session in memory at a time; then any cell is shown
 * without reading again. Gathering may run in any thread; drawing is the UI thread's. */
#pragma once

#include "engine/session_file.h"
#include "tui/grid.h"

/* What is read at most, newest first: the rest is told, not waited for. */
enum { TREND_SESSIONS = 100 };
#define TREND_BYTES (512LL << 20)

struct trend_key { /* sessions are compared where all of this is the same */
    char model[256], arm[PRESET_NAME];
    enum workload workload;
    int batch, seq, tokens;
    struct implementation implementation;
};
struct trend_point {
    int key, session;
    double mean, low, high; /* ms; low and high NAN: no interval */
};
struct trend {
    struct {
        char id[96], started[32], machine[260]; /* host and processor */
    } session[TREND_SESSIONS];                  /* oldest first */
    int n_sessions, left_out, unreadable;
    struct trend_key *key;
    struct trend_point *point;
    int n_keys, n_points, keys_room, points_room;
};

/* Reads the newest of `entry` (newest first). watch, which may be NULL, is told the fraction done before each
 * session and stops the work by returning true. Sessions that cannot be read are counted. -1: no memory, or
 * stopped (CANCELLED); out is then empty. */
int trend_gather(const struct session_entry *entry, int n, bool (*watch)(void *who, double fraction),
                 void *who, struct trend *out, struct error *e);
void trend_free(struct trend *t); /* t may be zeroed */
/* Adds one session's figures, as the newest; trend_gather does it for files. -1: no memory. */
int trend_add(struct trend *t, const struct session *s, struct error *e);
/* The key of a session's cell and arm; -1: no such. */
int trend_find(const struct trend *t, const struct session *s, int cell, int arm);
/* The key with the most sessions, the first of equals; -1: none. */
int trend_richest(const struct trend *t);
void trend_name(const struct trend *t, int key, char *out, size_t size);
/* session_id: the one to mark ("" none). */
void trend_draw(struct grid *g, struct rect r, const struct trend *t, int key, const char *session_id);
