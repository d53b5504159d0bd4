/* What engine/import.c and the readers of single formats share. For engine/import*.c alone. */
#pragma once

#include "engine/import.h"
#include "presets/json.h"

struct importer {
    struct session *session;
    const char *file;
    char *note;
    size_t note_size;
    struct error *e;
};

struct import_format {
    const char *name, *remedy; /* what to do where there are no samples */
    bool (*knows)(const cJSON *root);
    int (*read)(struct importer *m, const cJSON *root); /* -1 with an error */
};
extern const struct import_format import_llama_bench, import_vllm_latency, import_vllm_serve,
    import_hyperfine, import_nvbench;

struct import_place {
    const char *model;
    enum workload workload;
    int batch, seq, tokens; /* 0: means nothing here */
};
/* Index of the cell, of the arm; made where it is not there. -1: no memory. */
int import_cell(struct importer *m, const struct import_place *p);
int import_arm(struct importer *m, int cell, const char *name);
/* One block of n samples; n blocks of one sample. -1: a value that is no latency, no memory. */
int import_block(struct importer *m, int cell, int arm, const double *seconds, int n);
int import_each(struct importer *m, int cell, int arm, const double *seconds, int n);
void import_note(struct importer *m, const char *text); /* said once */

/* An array of numbers times scale; *out is allocated. JSON_FOUND, JSON_ABSENT or -1. */
int import_numbers(struct importer *m, const cJSON *object, const char *key, double scale, double **out,
                   int *n);
const char *import_text(const cJSON *object, const char *key, const char *otherwise);
int import_int(const cJSON *object, const char *key, int otherwise); /* booleans as 0 and 1 */
const char *import_base_name(const char *path);
