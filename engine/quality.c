#include "engine/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const response_finish_names[RESPONSE_FINISHES] = {"length", "end_of_text"};

struct session_responses *quality_new_responses(int n, int length)
{
    struct session_responses *r = calloc(1, sizeof *r);
    if (!r)
        return NULL;
    r->n = n;
    r->length = length;
    r->response = calloc((size_t)n + 1, sizeof *r->response);
    r->ids = length > 0 ? calloc((size_t)n * (size_t)length + 1, sizeof *r->ids) : NULL;
    if (!r->response || (length > 0 && !r->ids)) {
        quality_free_responses(r);
        return NULL;
    }
    return r;
}

void quality_free_responses(struct session_responses *r)
{
    if (!r)
        return;
    for (int i = 0; r->response && i < r->n; i++) {
        free(r->response[i].prompt);
        free(r->response[i].text);
    }
    free(r->response);
    free(r->ids);
    free(r);
}

struct session_responses *quality_copy_responses(const struct session_responses *r)
{
    struct session_responses *c = quality_new_responses(r->n, r->ids ? r->length : 0);
    bool whole = c != NULL;
    for (int i = 0; whole && i < r->n; i++) {
        c->response[i] = r->response[i];
        c->response[i].prompt = strdup(r->response[i].prompt);
        c->response[i].text = strdup(r->response[i].text);
        whole = c->response[i].prompt && c->response[i].text;
    }
    if (!whole) {
        quality_free_responses(c);
        return NULL;
    }
    c->length = r->length;
    if (r->ids)
        memcpy(c->ids, r->ids, (size_t)r->n * (size_t)r->length * sizeof *r->ids);
    return c;
}

/* Bytes of the well-formed UTF-8 sequence at p (RFC 3629), 0 where there is none. */
static size_t sequence_at(const unsigned char *p, size_t left)
{
    size_t n = p[0] < 0x80                   ? 1
               : p[0] >= 0xc2 && p[0] < 0xe0 ? 2
               : p[0] >= 0xe0 && p[0] < 0xf0 ? 3
               : p[0] >= 0xf0 && p[0] < 0xf5 ? 4
                                             : 0;
    if (n == 0 || n > left)
        return 0;
    for (size_t i = 1; i < n; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xf0 && p[1] < 0x90);
    bool outside = (p[0] == 0xed && p[1] >= 0xa0) || (p[0] == 0xf4 && p[1] >= 0x90);
    return n > 1 && (overlong || outside) ? 0 : n;
}

static bool is_shown(unsigned char c)
{
    return (c >= 0x20 && c != 0x7f) || c == '\n' || c == '\t';
}

char *quality_text(const char *bytes, size_t n)
{
    static const char replacement[] = "\xef\xbf\xbd";
    size_t room = 3 * n < RESPONSE_TEXT ? 3 * n : RESPONSE_TEXT, used = 0;
    char *text = malloc(room + 1);
    if (!text)
        return NULL;
    for (size_t i = 0; i < n;) {
        size_t k = sequence_at((const unsigned char *)bytes + i, n - i);
        bool keep = k > 1 || (k == 1 && is_shown((unsigned char)bytes[i]));
        const char *from = keep ? bytes + i : replacement;
        size_t m = keep ? k : sizeof replacement - 1;
        if (used + m > room)
            break;
        memcpy(text + used, from, m);
        used += m;
        i += k ? k : 1;
    }
    text[used] = '\0';
    return text;
}

bool quality_agreement(const struct session_responses *a, const struct session_responses *b,
                       double *positions, double *prefix)
{
    if (!a || !b || !a->ids || !b->ids || a->n != b->n || a->length != b->length || a->n < 1)
        return false;
    int64_t equal = 0, leading = 0, all = (int64_t)a->n * a->length;
    for (int i = 0; i < a->n; i++) {
        bool still = true;
        for (int t = 0; t < a->length; t++) {
            bool same = a->ids[(int64_t)i * a->length + t] == b->ids[(int64_t)i * b->length + t];
            still = still && same;
            equal += same;
            leading += still;
        }
    }
    *positions = (double)equal / (double)all;
    *prefix = (double)leading / (double)all;
    return true;
}

double quality_figure(const struct arm_quality *q, enum quality_bit bit)
{
    if (!(q->known & bit))
        return (double)NAN;
    switch (bit) {
    case QUALITY_PERPLEXITY:
        return q->perplexity;
    case QUALITY_BITS:
        return q->bits_per_byte;
    case QUALITY_KL:
        return q->kl;
    case QUALITY_TOP1:
        return q->top1_agreement;
    case QUALITY_RESPONSES:
        return q->response_agreement;
    default:
        return (double)NAN;
    }
}

double quality_perplexity_increase(const struct arm_quality *baseline, const struct arm_quality *candidate)
{
    unsigned both = baseline->known & candidate->known;
    bool same_tokens = both & QUALITY_PERPLEXITY && candidate->known & QUALITY_KL;
    if (same_tokens)
        return candidate->perplexity / baseline->perplexity - 1;
    return both & QUALITY_BITS ? candidate->bits_per_byte / baseline->bits_per_byte - 1 : (double)NAN;
}
