/* --strict: every block in a fresh process. A runner that starts this program once more for each block and
 * reads the samples through a pipe; in the child stands the runner that would else have run here (native or
 * fake). What differs between two processes and not within one (where memory came to lie, what the allocator
 * and the libraries found, clocks after a pause) becomes part of the spread between blocks, where the
 * interval sees it.
 *
 * The price: each block pays the program's start, the weights and its own warm-up; on a model that loads for
 * 5 s a session of 10 rounds and 2 arms takes some two minutes longer. Only one child lives at a time, so
 * arms share nothing and need no more memory than the largest of them. Telemetry of this process says nothing
 * of the child: the load of other processes and the memory are left out. */
#pragma once

#include "engine/runners/runner.h"

/* program: what is started, NULL: this executable itself. realtime: of the fake. */
struct runner *runner_open_process(const struct preset *preset, bool realtime, const char *program,
                                   struct error *e);
/* The child: `benchtop block`, until the parent closes the pipe. The exit code. */
int process_serve(int in, int out);
