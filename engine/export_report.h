/* What `list`, `plan` and `doctor` tell: rows of named fields, printed as an aligned table for a person or as
 * JSON for a program from the same rows, so that both say the same. Knows no files and starts nothing. Any
 * thread, one at a time per report. */
#pragma once

#include "engine/device.h"
#include "engine/plan.h"
#include "presets/error.h"

struct report;

struct report *report_new(void); /* NULL: no memory */
void report_free(struct report *r);
void report_row(struct report *r); /* starts a row; fields follow */
/* A field of the current row. Rows have the same keys in the same order. "" and NAN are absent: null in JSON,
 * a dash in the table. display: what the table shows, NULL: the value itself, "": the field is for JSON only.
 */
void report_text(struct report *r, const char *key, const char *value, const char *display);
void report_number(struct report *r, const char *key, double value, const char *display);
void report_bool(struct report *r, const char *key, bool value, const char *display);
int report_rows(const struct report *r);
/* Headed by the keys (underscores as blanks), at most `width` columns (0: no limit): the last column is
 * wrapped. Caller frees. NULL where memory ran out here or in a call above. */
char *report_print(const struct report *r, int width, struct error *e);
char *report_print_json(const struct report *r, struct error *e);

/* The plan as one object ("benchtop/plan/1"): device, totals, cells[] with arms[], and
 * admissions[]: what each cache is worth to a server (engine/plan_admission). */
char *report_plan_json(const struct preset *p, const struct device *d, const struct plan *plan,
                       struct error *e);
/* Program, device and findings as one object ("benchtop/doctor/1"). */
char *report_doctor_json(const struct device *d, const struct device_finding *finding, int n,
                         struct error *e);
/* The command line as the JSON array text that sessions keep; bytes that are not UTF-8 become U+FFFD. */
char *report_argv_json(int argc, char *const *argv, struct error *e);
