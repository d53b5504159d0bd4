/* What the program tells of itself: --help, the man page, bash completion. Everything is made from the tables
 * (commands and options of tui/options.h, keys of tui/action.h, axes of presets/implementation.h), so that it
 * cannot be out of date. Texts go to a stream the caller opened; write errors are the caller's to find there.
 * Main thread only. */
#pragma once

#include "tui/options.h"
#include <stdio.h>

void manual_help(FILE *out, enum command_id command); /* COMMAND_TUI: the whole program */
void manual_roff(FILE *out);
void manual_bash(FILE *out); /* the script asks `benchtop --complete WORDS` at every Tab */
/* words: what stands on the line after "benchtop", the last one being completed (may be ""). One candidate
 * per line. Never fails: what cannot be read offers nothing. */
void manual_complete(FILE *out, int n, char *const *words);
