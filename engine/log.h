/* The append-only log between the worker (only writer) and any reader: the way of one sample from launch to
 * pixel.
 *
 * An entry never moves and never changes once log_length() covers it (length published with release, read
 * with acquire). Samples themselves are published inside their block (block->n). session_apply folds entries
 * into a session. */
#pragma once

#include "engine/session.h"

enum log_kind {
    LOG_RUN_STARTED,
    LOG_ENVIRONMENT, /* payload: struct session_environment */
    LOG_CELL_STARTED,
    LOG_PHASE,      /* text: "weights", "warm-up", "verify", "measure"; value: fraction 0..1 or NAN */
    LOG_ARM,        /* payload: struct session_arm with the facts known so far (its blocks are ignored) */
    LOG_BLOCK,      /* payload: struct block, being filled from now on */
    LOG_BLOCK_DONE, /* payload: the same block, closed */
    LOG_RESPONSES,  /* payload: struct session_responses of the arm, final */
    LOG_CELL_DONE,  /* payload: struct session_cell with status, reason, stop_rule (its arms are ignored) */
    LOG_PAUSED,
    LOG_RESUMED,
    LOG_MESSAGE,     /* text for the user */
    LOG_RUN_FINISHED /* value: enum session_status; text: the path written, or why not */
};

struct log_entry {
    enum log_kind kind;
    int cell, arm;   /* -1 where they do not apply */
    int64_t time_ns; /* runner clock */
    double value;
    char text[192];
    const void *payload; /* immutable but for a block's counters; copies are owned by the log */
};

struct log;
struct log *log_new(void);
void log_free(struct log *l); /* and the payload copies; blocks are freed by their session */
/* Worker only. payload_size > 0: the payload is copied into the log. wake: eventfd to signal, coalesced; -1:
 * none. */
int log_append(struct log *l, const struct log_entry *entry, size_t payload_size, int wake);
size_t log_length(const struct log *l);                         /* acquire */
const struct log_entry *log_get(const struct log *l, size_t i); /* i < log_length() */

/* Folds one entry into a session laid out from the same preset. */
int session_apply(struct session *s, const struct log_entry *entry, struct error *e);
