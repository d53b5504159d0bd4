/* Inside of export: one printer per format, listed in export.c's table. Callers free. */
#pragma once

#include "engine/export.h"

struct text;

char *export_jsonl(const struct session *s, struct error *e);
char *export_csv(const struct session *s, struct error *e);
char *export_markdown(const struct session *s, struct error *e);
char *export_html(const struct session *s, struct error *e);
char *export_llama_bench(const struct session *s, struct error *e);
char *export_vllm_latency(const struct session *s, struct error *e);

/* What ran it, row by row; absent: the words for a value that is empty. */
typedef void export_hardware_row(struct text *out, const char *key, const char *value, const char *absent);
void export_hardware(struct text *out, const struct session *s, export_hardware_row *row);

/* Inside of the Markdown report (export_md.c has its tables): criteria and questions, in words computed from
 * the data. comparisons is what summary_comparisons gave. */
void export_metrics(struct text *out, const struct session *s, const struct comparison *comparisons);
void export_questions(struct text *out, const struct session *s, const struct comparison *comparisons);
/* The tables of what was bought with speed (export_worth.c): tokens, cache, time, memory and quality of a
 * session on a text; quality per cell and arm where arms differ in it; the responses. Nothing where there is
 * none. -1: no memory. */
int export_dashboard(struct text *out, const struct session *s, const struct comparison *comparisons,
                     struct error *e);
void export_quality(struct text *out, const struct session *s);
void export_responses(struct text *out, const struct session *s);
/* Text that may stand in a cell of a Markdown table: bars and line ends are taken care of. */
void export_markdown_text(struct text *out, const char *text);
