/* Quality, text figures and responses in session files and journals. */
#include "engine/session_json.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_TEXT = 224, RESPONSES_MAX = 4096 };

/* ---- quality: every figure stands or falls with its bit ---- */

static const struct figure {
    const char *key;
    unsigned bit;
    size_t offset;
    double min, max;
} figures[] = {
    {"nll", QUALITY_PERPLEXITY, offsetof(struct arm_quality, nll), 0, 1e6},
    {"nll_se", QUALITY_PERPLEXITY, offsetof(struct arm_quality, nll_se), 0, 1e6},
    {"perplexity", QUALITY_PERPLEXITY, offsetof(struct arm_quality, perplexity), 0, HUGE_VAL},
    {"bits_per_byte", QUALITY_BITS, offsetof(struct arm_quality, bits_per_byte), 0, 1e6},
    {"kl", QUALITY_KL, offsetof(struct arm_quality, kl), -1, HUGE_VAL},
    {"kl_p99", QUALITY_KL, offsetof(struct arm_quality, kl_p99), -1, HUGE_VAL},
    {"kl_max", QUALITY_KL, offsetof(struct arm_quality, kl_max), -1, HUGE_VAL},
    {"top1_agreement", QUALITY_TOP1, offsetof(struct arm_quality, top1_agreement), 0, 1},
    {"response_agreement", QUALITY_RESPONSES, offsetof(struct arm_quality, response_agreement), 0, 1},
    {"response_prefix", QUALITY_RESPONSES, offsetof(struct arm_quality, response_prefix), 0, 1},
};
enum { FIGURES = sizeof figures / sizeof *figures };

static double *figure_of(struct arm_quality *q, const struct figure *f)
{
    return (double *)(void *)((char *)q + f->offset);
}

static int put_quality(cJSON *arm, const struct arm_quality *quality)
{
    struct arm_quality q = *quality;
    if (q.known == 0 && !q.source[0] && !q.note[0] && !q.not_equivalent)
        return 0;
    cJSON *o = cJSON_AddObjectToObject(arm, "quality");
    int bad =
        session_put_text(o, "source", q.source) || session_put_text(o, "note", q.note) ||
        !cJSON_AddBoolToObject(o, "not_equivalent", q.not_equivalent) ||
        !(q.tokens > 0 ? json_add_int64(o, "tokens", q.tokens) : cJSON_AddNullToObject(o, "tokens")) ||
        !(q.window > 0 ? json_add_int64(o, "window", q.window) : cJSON_AddNullToObject(o, "window")) ||
        !(q.known & QUALITY_BITS ? json_add_int64(o, "bytes", q.bytes) : cJSON_AddNullToObject(o, "bytes"));
    for (int i = 0; i < FIGURES; i++)
        bad |= session_put_double(o, figures[i].key,
                                  q.known & figures[i].bit ? *figure_of(&q, &figures[i]) : (double)NAN);
    return bad ? -1 : 0;
}

static int read_quality(const struct json_at *at, const cJSON *arm, struct arm_quality *out)
{
    const cJSON *o = NULL;
    struct arm_quality q = {0};
    unsigned absent = 0;
    char path[PATH_TEXT];
    snprintf(path, sizeof path, "%.150s.quality", at->path);
    struct json_at here = {at->file, path, at->e};
    if (json_object(at, arm, "quality", &o) < 0)
        return -1;
    if (!o) {
        *out = q;
        return 0;
    }
    int bad = json_text(&here, o, "source", q.source, sizeof q.source) < 0;
    bad |= json_text(&here, o, "note", q.note, sizeof q.note) < 0;
    bad |= json_bool(&here, o, "not_equivalent", &q.not_equivalent) < 0;
    bad |= json_int64(&here, o, "tokens", 1, INT64_MAX, &q.tokens) < 0;
    bad |= json_int(&here, o, "window", 1, INT_MAX, &q.window) < 0;
    int bytes = json_int64(&here, o, "bytes", 0, INT64_MAX, &q.bytes);
    bad |= bytes < 0;
    for (int i = 0; i < FIGURES; i++) {
        int found =
            json_double(&here, o, figures[i].key, figures[i].min, figures[i].max, figure_of(&q, &figures[i]));
        bad |= found < 0;
        absent |= found == JSON_FOUND ? 0 : figures[i].bit;
    }
    q.known = QUALITY_ALL & ~absent;
    if (bytes != JSON_FOUND)
        q.known &= ~(unsigned)QUALITY_BITS;
    if (bad)
        return -1;
    *out = q;
    return 0;
}

/* ---- text ---- */

static int put_text_figures(cJSON *arm, const struct text_figures *t)
{
    if (!(t->known & TEXT_TOKENS))
        return 0;
    cJSON *o = cJSON_AddObjectToObject(arm, "text");
    return json_add_int64(o, "texts", t->texts) && json_add_int64(o, "tokens", t->tokens) &&
                   json_add_int64(o, "bytes", t->bytes) &&
                   (t->known & TEXT_STANDARD ? json_add_int64(o, "standard_tokens", t->standard_tokens)
                                             : cJSON_AddNullToObject(o, "standard_tokens"))
               ? 0
               : -1;
}

static int read_text_figures(const struct json_at *at, const cJSON *arm, struct text_figures *out)
{
    const cJSON *o = NULL;
    struct text_figures t = {0};
    char path[PATH_TEXT];
    snprintf(path, sizeof path, "%.150s.text", at->path);
    struct json_at here = {at->file, path, at->e};
    if (json_object(at, arm, "text", &o) < 0)
        return -1;
    if (o) {
        const struct {
            const char *key;
            int64_t *to;
        } part[] = {{"texts", &t.texts}, {"tokens", &t.tokens}, {"bytes", &t.bytes}};
        int bad = 0;
        for (int i = 0; i < 3; i++) {
            int found = json_int64(&here, o, part[i].key, 0, INT64_MAX, part[i].to);
            bad |= found == JSON_ABSENT ? json_missing(&here, part[i].key, "a whole number") : found;
        }
        int standard = json_int64(&here, o, "standard_tokens", 0, INT64_MAX, &t.standard_tokens);
        if (bad || standard < 0)
            return -1;
        t.known = TEXT_TOKENS | (standard == JSON_FOUND ? TEXT_STANDARD : 0);
    }
    *out = t;
    return 0;
}

int session_write_quality(cJSON *o, const struct session_arm *a)
{
    return put_quality(o, &a->quality) || put_text_figures(o, &a->text) ? -1 : 0;
}

int session_read_quality(const struct json_at *at, const cJSON *o, struct session_arm *a)
{
    int bad = read_quality(at, o, &a->quality);
    return read_text_figures(at, o, &a->text) | bad ? -1 : 0;
}

/* ---- responses ---- */

cJSON *session_write_responses(const struct session_responses *r)
{
    cJSON *list = cJSON_CreateArray();
    for (int i = 0; list && i < r->n; i++) {
        const struct session_response *x = &r->response[i];
        cJSON *o = cJSON_CreateObject();
        if (session_push_item(list, o) != 0 || !cJSON_AddStringToObject(o, "prompt", x->prompt) ||
            !json_add_int64(o, "prompt_tokens", x->prompt_tokens) ||
            !cJSON_AddStringToObject(o, "text", x->text) || !json_add_int64(o, "tokens", x->tokens) ||
            !cJSON_AddStringToObject(o, "finish", response_finish_names[x->finish])) {
            cJSON_Delete(list);
            return NULL;
        }
    }
    return list;
}

/* A text with line ends. What cannot be shown on a terminal is replaced, whoever wrote the file. */
static char *long_text(const struct json_at *at, const cJSON *o, const char *key)
{
    const cJSON *item = cJSON_GetObjectItemCaseSensitive(o, key);
    if (!cJSON_IsString(item) || strlen(item->valuestring) > RESPONSE_TEXT) {
        json_unexpected(at, key, "a text of at most 65536 bytes", item);
        return NULL;
    }
    char *text = quality_text(item->valuestring, strlen(item->valuestring));
    if (!text)
        error_add(at->e, ERROR_MEMORY, "%s: no memory to read it", at->file);
    return text;
}

static int read_response(const struct json_at *at, const cJSON *o, struct session_response *x)
{
    char finish[32] = "";
    int bad = 0, known = 0;
    if (!cJSON_IsObject(o))
        return json_unexpected(at, NULL, "an object", o);
    x->prompt = long_text(at, o, "prompt");
    x->text = long_text(at, o, "text");
    bad |= json_int(at, o, "prompt_tokens", 0, INT_MAX, &x->prompt_tokens) < 0;
    bad |= json_int(at, o, "tokens", 0, INT_MAX, &x->tokens) < 0;
    bad |= json_text(at, o, "finish", finish, sizeof finish) < 0;
    while (known < RESPONSE_FINISHES && strcmp(finish, response_finish_names[known]) != 0)
        known++;
    if (known == RESPONSE_FINISHES)
        bad |= json_unexpected(at, "finish", "length or end_of_text",
                               cJSON_GetObjectItemCaseSensitive(o, "finish"));
    x->finish = (enum response_finish)known;
    return bad || !x->prompt || !x->text ? -1 : 0;
}

int session_read_responses(const struct json_at *at, const cJSON *list, struct session_responses **out)
{
    int n = cJSON_GetArraySize(list), i = 0, bad = 0;
    if (n > RESPONSES_MAX)
        return json_unexpected(at, "responses", "at most 4096 responses", list);
    struct session_responses *r = quality_new_responses(n, 0);
    if (!r)
        return error_add(at->e, ERROR_MEMORY, "%s: no memory to read it", at->file);
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        char path[PATH_TEXT];
        snprintf(path, sizeof path, "%.150s.responses.%d", at->path, i);
        struct json_at here = {at->file, path, at->e};
        bad |= read_response(&here, item, &r->response[i++]);
    }
    if (bad) {
        quality_free_responses(r);
        return -1;
    }
    *out = r;
    return 0;
}
