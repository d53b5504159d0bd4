/* What leaves the program outside the interface: results on standard output, messages on standard error as
 * "benchtop: what happened: what to do", files. A result that could not be written is an error, never
 * silence. Main thread only. */
#pragma once

#include "presets/error.h"

/* Descriptors 0 to 2 that the parent closed are opened so that no session file can become standard output;
 * writing to them still fails. SIGPIPE and SIGXFSZ are ignored: a closed pipe and a size limit come back as
 * errors. */
void output_init(void);
/* text to standard output, flushed (and a line end, where it has none). Returns an exit code: 0, or 1 with
 * the message written. text NULL: why is told and 1 returned, so that a printer's result may be handed over
 * as it is. Frees text. */
int output_result(char *text, const struct error *why);
int output_text(const char *text); /* the same without taking it over */
/* The message, and the exit code of its kind. */
int output_error(const struct error *e);
void output_say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A whole file: temp + fsync + rename; what is not a regular file (a pipe, /dev/full) is written as it is. */
int output_file(const char *path, const char *text, struct error *e);
int output_width(void); /* columns of the terminal on standard output, 0: it is no terminal */
