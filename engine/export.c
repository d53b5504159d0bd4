#include "engine/export.h"
#include "engine/export_formats.h"
#include "engine/session_file.h"
#include "presets/catalog.h"
#include <string.h>

const struct export_format export_formats[] = {
    {"json", "the session file: every raw sample, the preset, the environment", "json", session_print},
    {"jsonl", "one line per block, with its samples", "jsonl", export_jsonl},
    {"csv", "one row per arm and cell, for spreadsheets", "csv", export_csv},
    {"md", "a report with tables, criteria and questions answered", "md", export_markdown},
    {"html", "one page with pictures, that needs nothing else", "html", export_html},
    {"llama-bench", "as llama-bench -o json writes it; pairs differ in build_commit", "json",
     export_llama_bench},
    {"vllm-latency", "as vllm bench latency --output-json writes it", "json", export_vllm_latency},
};
const int export_n_formats = sizeof export_formats / sizeof export_formats[0];

const struct export_format *export_find(const char *name, struct error *e)
{
    const char *names[sizeof export_formats / sizeof export_formats[0]];
    char near[256];
    for (int i = 0; i < export_n_formats; i++) {
        if (strcmp(name, export_formats[i].name) == 0)
            return &export_formats[i];
        names[i] = export_formats[i].name;
    }
    catalog_nearest(name, names, export_n_formats, near, sizeof near);
    error_set(e, ERROR_USAGE,
              "no format \"%.60s\": %s%s%schoose json, jsonl, csv, md, html, llama-bench or vllm-latency",
              name, near[0] ? "did you mean " : "", near, near[0] ? "? " : "");
    return NULL;
}
