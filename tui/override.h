/* Words of the command line that change a preset, one function per option of tui/options.c. Each adds to e
 * what is wrong with its value (USAGE, with the option's name and what was expected) and then leaves that
 * field alone; whether values make sense together is preset_validate's and the plan's to judge. `first`: the
 * option's first occurrence, where lists are begun afresh. Main thread only. */
#pragma once

#include "presets/preset.h"

int override_device(struct preset *p, const char *value, bool first, struct error *e);
int override_model(struct preset *p, const char *value, bool first, struct error *e);
int override_workload(struct preset *p, const char *value, bool first, struct error *e);
int override_batch(struct preset *p, const char *value, bool first, struct error *e);
int override_seq(struct preset *p, const char *value, bool first, struct error *e);
int override_tokens(struct preset *p, const char *value, bool first, struct error *e);
int override_text(struct preset *p, const char *value, bool first, struct error *e);
int override_temperature(struct preset *p, const char *value, bool first, struct error *e);
int override_top_k(struct preset *p, const char *value, bool first, struct error *e);
int override_top_p(struct preset *p, const char *value, bool first, struct error *e);
int override_arm(struct preset *p, const char *value, bool first, struct error *e);
int override_precision(struct preset *p, const char *value, bool first, struct error *e);
int override_runs(struct preset *p, const char *value, bool first, struct error *e);
int override_max_rounds(struct preset *p, const char *value, bool first, struct error *e);
int override_budget(struct preset *p, const char *value, bool first, struct error *e);
int override_time(struct preset *p, const char *value, bool first, struct error *e);
int override_watch(struct preset *p, const char *value, bool first, struct error *e);
int override_strict(struct preset *p, const char *value, bool first, struct error *e);
int override_threads(struct preset *p, const char *value, bool first, struct error *e);
int override_seed(struct preset *p, const char *value, bool first, struct error *e);
int override_set(struct preset *p, const char *value, bool first, struct error *e);

/* "--batch x: expected whole numbers": adds it to e, returns -1. */
int override_expected(struct error *e, const char *option, const char *value, const char *expected);
