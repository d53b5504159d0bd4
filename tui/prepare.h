/* From a request to something that can be run: the preset with its overrides, the device, the plan. All that
 * is impossible is found here, before anything starts, and told in one message. Main thread only. */
#pragma once

#include "engine/device.h"
#include "engine/plan.h"
#include "engine/session.h"
#include "tui/options.h"

struct prepared {
    struct preset preset;
    struct device device;
    struct plan plan;
};

/* name: the preset's; resume: the session to go on with, whose preset is taken (name may then be NULL;
 * overrides are refused). Unknown keys go to `warning`. On error p holds nothing. */
int prepare(const struct request *r, const char *name, const struct session *resume, struct prepared *p,
            struct error *warning, struct error *e);
void prepare_free(struct prepared *p); /* may be zeroed */
/* A session by file or by id; a name that is not there is a usage error with the nearest ids. */
int prepare_session(const char *name, struct session *s, struct error *warning, struct error *e);
/* Cells that will not run are told on standard error, each with the reason. -1: none is left. */
int prepare_tell_unfit(const struct prepared *p, struct error *e);
/* "gpt2-124m decode batch 1 seq 128" */
void prepare_cell_words(const struct plan *plan, int cell, char *out, size_t size);
/* What can be known of --out before an hour is spent: its folder is there, it is no folder or device itself.
 */
int prepare_check_out(const char *path, struct error *e);
