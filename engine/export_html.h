/* Inside of the HTML report: its pictures of a session (export_html_pictures.c). Nobody else includes this.
 */
#pragma once

#include "engine/session.h"
#include "engine/summary_cache.h"
#include "engine/text.h"

/* Throughput over the sweep: one picture per line of cells that differ in their batch (else their sequence)
 * alone. Nothing where no line has two points. */
void html_curves(struct text *out, const struct session *s, struct summary_cache *cache);
/* Latencies of every cell, arm below arm. */
void html_histograms(struct text *out, const struct session *s, struct summary_cache *cache);
