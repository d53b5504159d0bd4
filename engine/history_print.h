/* A history as text for people and as JSON for programs. Any thread. */
#pragma once

#include "engine/history.h"

/* key[n]: which, in this order; j as history_judge_all gave it. Caller frees; NULL: no memory. width 0: no
 * limit. */
char *history_print(const struct history *t, const struct history_judgement *j, const int *key, int n,
                    int width, struct error *e);
char *history_print_json(const struct history *t, const struct history_judgement *j, const int *key, int n,
                         struct error *e);
