/* The terminal given back, whatever happens. Standard error goes to a memory file while the interface is up,
 * so that libraries cannot print over it, and is replayed after. A fatal signal of any thread restores the
 * terminal with write() of saved sequences and tcsetattr() only, on a stack of its own, then goes on to the
 * handler that was there before, so that sanitizers and core dumps still work. Knows no curses. UI thread
 * only. */
#pragma once

#include "presets/error.h"
#include <termios.h>

/* -1: standard error is as it was. */
int terminal_redirect_stderr(struct error *e);
void terminal_replay_stderr(void); /* standard error back, and what was said meanwhile; idempotent */

/* restore: the escape sequences that end the interface (cursor, attributes, alternate screen). saved: the
 * line settings of before. Both are copied. */
void terminal_guard(int fd, const char *restore, const struct termios *saved);
void terminal_unguard(void); /* the old handlers again; idempotent */
