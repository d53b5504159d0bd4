/* How cells fared over the saved sessions: mean and interval of every arm of every cell, session by session,
 * where it changed, and whether the newest session is slower than what came before it. The figures of many
 * sessions are gathered one session in memory at a time; then any cell is looked at without reading again.
 * Any thread. */
#pragma once

#include "engine/session_file.h"
#include "stats/stats.h"

/* What is read at most, newest first: the rest is told, not waited for. */
enum { HISTORY_SESSIONS = 100 };
#define HISTORY_BYTES (512LL << 20)

struct history_key { /* sessions are compared where all of this is the same */
    char model[256], arm[PRESET_NAME];
    enum workload workload;
    int batch, seq, tokens;
    struct implementation implementation;
};
struct history_point {
    int key, session;
    double mean, low, high; /* ms; low and high NAN: no interval */
};
struct history {
    struct {
        char id[96], started[32];
        char machine[512];       /* what a time hangs on: host, processor, device, threads, strict or not */
    } session[HISTORY_SESSIONS]; /* oldest first */
    int n_sessions, left_out, unreadable;
    struct history_key *key;
    struct history_point *point;
    int n_keys, n_points, keys_room, points_room;
};

/* Reads the newest of `entry` (newest first). watch, which may be NULL, is told the fraction done before each
 * session and stops the work by returning true. Sessions that cannot be read are counted. -1: no memory, or
 * stopped (CANCELLED); out is then empty. */
int history_gather(const struct session_entry *entry, int n, bool (*watch)(void *who, double fraction),
                   void *who, struct history *out, struct error *e);
void history_free(struct history *t); /* t may be zeroed */
/* Adds one session's figures, as the newest; history_gather does it for files. -1: no memory. */
int history_add(struct history *t, const struct session *s, struct error *e);
/* The key of a session's cell and arm; -1: no such. */
int history_find(const struct history *t, const struct session *s, int cell, int arm);
/* The key with the most sessions, the first of equals; -1: none. */
int history_richest(const struct history *t);
/* "fused · decode gpt2-124m · batch 1 · seq 128", and where another key reads the same what tells them apart:
 * "fused (bf16) · decode ..." */
void history_name(const struct history *t, int key, char *out, size_t size);
/* What tells a key from those of the same model, workload, batch, sequence and arm: "bf16 paged", "64
 * tokens";
 * "" where there are none. */
void history_axes(const struct history *t, int key, char *out, size_t size);
/* The points of a key, oldest first; returns how many (at most HISTORY_SESSIONS). */
int history_points(const struct history *t, int key, const struct history_point *out[HISTORY_SESSIONS]);

enum { HISTORY_CHANGES = 16, HISTORY_MIN_EARLIER = 3 };
enum history_verdict { HISTORY_TOO_SHORT, HISTORY_STEADY, HISTORY_FASTER, HISTORY_SLOWER, HISTORY_UNDECIDED };
extern const char *const history_verdict_names[]; /* "too short", "steady", ... */

/* What a key's series says. The unit of replication is the session, so the spread between sessions counts:
 * the newest mean is held against the prediction interval (t, on logarithms) of the sessions before it, back
 * to the last change; p is two-sided. Sessions of other machines than the newest one's are left out. */
struct history_judgement {
    int n;                                            /* sessions on the newest one's machine */
    struct stats_change change[HISTORY_CHANGES];      /* `at` counts these sessions; E-divisive, alpha 0.05 */
    const struct history_point *at[HISTORY_SESSIONS]; /* these sessions */
    int n_changes;
    int earlier;              /* sessions the newest one is held against; < HISTORY_MIN_EARLIER: too short */
    double ratio;             /* newest / earlier: > 1 is slower */
    struct stats_interval ci; /* of the ratio, at 95 % */
    double p, p_holm;         /* p_holm: over all keys of history_judge_all */
    enum history_verdict verdict;
    bool regression; /* slower by more than the threshold: the newest session, or since the last change */
    bool harmless;   /* cannot be slower by more than the threshold */
    char reason[192];
};
/* threshold_pct: 0 where nobody asked. -1: no memory. */
int history_judge(const struct history *t, int key, double threshold_pct, struct history_judgement *out,
                  struct error *e);
/* All keys with their Holm-adjusted verdicts; (*out)[n_keys], caller frees. -1: no memory. */
int history_judge_all(const struct history *t, double threshold_pct, struct history_judgement **out,
                      struct error *e);
