/* Inside of the HTML report: its pictures of a session (export_html_pictures.c). Nobody else includes this.
 */
#pragma once

#include "engine/session.h"
#include "engine/summary_cache.h"
#include "engine/text.h"

/* Markup, then text as markup_text takes it, then markup. */
void html_element(struct text *out, const char *open, const char *words, const char *close);

/* export_html_worth.c: nothing where there is none. -1: no memory. */
void html_quality(struct text *out, const struct session *s);
void html_responses(struct text *out, const struct session *s);
int html_dashboard(struct text *out, const struct session *s, const struct comparison *comparisons,
                   struct error *e);

/* export_html_pictures.c */
/* Throughput over the sweep: one picture per line of cells that differ in their batch (else their sequence)
 * alone. Nothing where no line has two points. */
void html_curves(struct text *out, const struct session *s, struct summary_cache *cache);
/* Latencies of every cell, arm below arm. */
void html_histograms(struct text *out, const struct session *s, struct summary_cache *cache);
