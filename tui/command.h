/* One function per command of tui/options.h: from a request to an exit code. Main thread only. */
#pragma once

#include "tui/options.h"

/* argc and argv as main got them. Each command blocks the signals it
 * handles before it starts a thread. */
int command_main(int argc, char **argv);

/* Those with a file of their own. */
int command_tokenize(const struct request *r);                         /* tui/command_tokenize.c */
int command_vocab(const struct request *r);                            /* tui/command_vocab.c */
int command_model_show(const char *path);                              /* tui/command_model.c */
int command_model_write(const struct request *r);                      /* tui/command_model_write.c */
int command_calibrate(const struct request *r, const char *argv_json); /* tui/command_calibrate.c */
int command_calibrate_larosa(const struct request *r);                 /* tui/command_larosa.c */
int command_history(const struct request *r);                          /* tui/command_history.c */
int command_list(const struct request *r);                             /* tui/command_list.c */
int command_plan(const struct request *r);                             /* tui/command_list.c */
int command_doctor(const struct request *r);                           /* tui/command_list.c */
int command_selftest(const struct request *r);                         /* tui/command_list.c */
int command_run(const struct request *r, const char *argv_json);       /* tui/command_run.c */
int command_interface(const struct request *r, const char *argv_json); /* tui/command_interface.c */
