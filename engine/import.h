/* Raw samples of neighboring tools as a session, so that compare holds them to our definitions: llama-bench
 * (JSON or JSON lines), vLLM's `bench latency` and `bench serve --save-detailed`, hyperfine, nvbench
 * (--jsonbin). Fields are read by name, unknown ones passed over, and no statistic of theirs is believed:
 * everything is computed again from the samples. A file without samples is refused with what to do.
 *
 * A repetition, a request or a run is a block (the unit of replication); nvbench's thousands of launches
 * become blocks of consecutive ones, for neighbors depend on each other. Decode repetitions are divided by
 * their tokens, so that a latency is that of one step as in our own sessions. Any thread. */
#pragma once

#include "engine/session.h"

enum { IMPORT_NOT_MINE = 1 };

/* 0: *out is a session with status complete, one arm per cell or setting; what was assumed is added to note.
 * IMPORT_NOT_MINE: a session of our own, or nothing known; *out untouched. -1: one of theirs that cannot be
 * read. */
int import_session(const char *path, struct session *out, char *note, size_t note_size, struct error *e);
