#include "presets/implementation.h"
#include "presets/preset_json.h"
#include <stdio.h>
#include <string.h>

static const struct json_field factor_fields[] = {
    {"name", JSON_TEXT, offsetof(struct preset_factor, name), sizeof((struct preset_factor *)0)->name, 0, 0},
    {"axis", JSON_TEXT, offsetof(struct preset_factor, axis), sizeof((struct preset_factor *)0)->axis, 0, 0},
    {"low", JSON_TEXT, offsetof(struct preset_factor, low), sizeof((struct preset_factor *)0)->low, 0, 0},
    {"high", JSON_TEXT, offsetof(struct preset_factor, high), sizeof((struct preset_factor *)0)->high, 0, 0},
};
enum { FACTOR_FIELDS = 4 };

int preset_design_runs(const struct preset_design *d)
{
    return d->n_factors > 0 ? 1 << (d->n_factors - d->n_generators) : 0;
}

/* The setting of run i: bits of the base factors count up, generated ones follow as sums modulo 2 of their
 * word. */
unsigned preset_design_setting(const struct preset_design *d, int run)
{
    unsigned generated = 0, setting = 0;
    for (int g = 0; g < d->n_generators; g++)
        generated |= 1u << d->generator[g].factor;
    int bit = 0;
    for (int f = 0; f < d->n_factors; f++)
        if (!(generated >> f & 1) && ((unsigned)run >> bit++ & 1))
            setting |= 1u << f;
    for (int g = 0; g < d->n_generators; g++)
        if (__builtin_popcount(setting & d->generator[g].word) % 2)
            setting |= 1u << d->generator[g].factor;
    return setting;
}

/* Sets every factor of the design to its level in `setting`. */
static int apply(const struct preset_design *d, unsigned setting, struct implementation *i, struct error *e)
{
    for (int f = 0; f < d->n_factors; f++) {
        const struct preset_factor *x = &d->factor[f];
        if (implementation_set(i, x->axis, setting >> f & 1 ? x->high : x->low, e) != 0)
            return -1;
    }
    return 0;
}

int preset_design_arm(const struct preset *p, unsigned setting)
{
    int found = -1;
    for (int a = 0; a < p->n_arms; a++) {
        struct implementation want = p->arms[a].implementation;
        if (apply(&p->design, setting, &want, NULL) != 0 ||
            !implementation_equal(&want, &p->arms[a].implementation))
            continue;
        if (found >= 0)
            return -1;
        found = a;
    }
    return found;
}

static void name_arm(const struct preset_design *d, unsigned setting, const char *base, char *out,
                     size_t size)
{
    size_t n = 0;
    if (setting == 0)
        snprintf(out, size, "%s", base);
    for (int f = 0; f < d->n_factors && n < size; f++)
        if (setting >> f & 1)
            n += (size_t)snprintf(out + n, size - n, "%s%s", n ? "+" : "", d->factor[f].name);
}

/* The arms of the design, from the point of the first arm (else the default). */
static int make_arms(struct preset *p, struct error *e)
{
    const struct preset_design *d = &p->design;
    struct preset_arm base = {0};
    if (p->n_arms > 0) {
        base = p->arms[0];
    } else {
        snprintf(base.name, sizeof base.name, "baseline");
        implementation_default(&base.implementation);
    }
    int n = preset_design_runs(d);
    for (int r = 0; r < n; r++) {
        struct preset_arm arm = base;
        unsigned setting = preset_design_setting(d, r);
        if (setting)
            arm.bundle[0] = '\0';
        name_arm(d, setting, base.name, arm.name, sizeof arm.name);
        if (apply(d, setting, &arm.implementation, e) != 0)
            return -1;
        p->arms[r] = arm;
    }
    p->n_arms = n;
    return 0;
}

/* "D=ABC": the fourth factor is the sum modulo 2 of the first three, so that the run of all low levels, the
 * baseline, is always among them. */
static int read_generator(const struct json_at *at, const cJSON *item, struct preset_design *d)
{
    const char *text = cJSON_IsString(item) ? item->valuestring : "";
    int factor = text[0] - 'A';
    unsigned word = 0;
    bool good = factor >= 0 && factor < d->n_factors && text[1] == '=' && text[2];
    for (const char *c = good ? text + 2 : ""; *c; c++) {
        int f = *c - 'A';
        good = good && f >= 0 && f < d->n_factors && f != factor && !(word >> f & 1);
        if (good)
            word |= 1u << f;
    }
    for (int g = 0; good && g < d->n_generators; g++) /* generated factors stand on base factors alone */
        good = d->generator[g].factor != factor && !(d->generator[g].word >> factor & 1) &&
               !(word >> d->generator[g].factor & 1);
    if (!good)
        return json_unexpected(at, "generators",
                               "words as D=ABC: a factor, and the others it is the product of", item);
    d->generator[d->n_generators].factor = factor;
    d->generator[d->n_generators++].word = word;
    return 0;
}

static int read_factor(struct preset_reading *r, const struct json_at *at, cJSON *item,
                       struct preset_factor *x)
{
    const char *known[FACTOR_FIELDS];
    struct implementation probe;
    struct error why = {0};
    preset_field_keys(factor_fields, FACTOR_FIELDS, known);
    if (!cJSON_IsObject(item))
        return json_unexpected(at, NULL, "an object with axis, low and high", item);
    if (json_keys(at, item, known, FACTOR_FIELDS, NULL, r->warning) != 0 ||
        json_read_fields(at, item, factor_fields, FACTOR_FIELDS, x) != 0)
        return -1;
    implementation_default(&probe);
    struct implementation low = probe, high = probe;
    if (implementation_set(&low, x->axis, x->low, &why) != 0 ||
        implementation_set(&high, x->axis, x->high, &why) != 0)
        return error_add(at->e, why.kind, "%s: %s: %s", at->file, at->path, why.text);
    if (implementation_equal(&low, &high))
        return error_add(at->e, ERROR_USAGE, "%s: %s: low and high are the same: give two levels", at->file,
                         at->path);
    if (!x->name[0])
        snprintf(x->name, sizeof x->name, "%s", x->high);
    if (strpbrk(x->name, "=,:/+"))
        return json_unexpected(at, "name", "a name without '=', ',', ':', '/' and '+'", NULL);
    return 0;
}

static int check_names(const struct json_at *at, const struct preset_design *d)
{
    for (int i = 0; i < d->n_factors; i++)
        for (int j = 0; j < i; j++) {
            if (strcmp(d->factor[i].name, d->factor[j].name) == 0)
                return error_add(at->e, ERROR_USAGE,
                                 "%s: design: two factors are named \"%s\": name one otherwise", at->file,
                                 d->factor[i].name);
            if (strcmp(d->factor[i].axis, d->factor[j].axis) == 0)
                return error_add(at->e, ERROR_USAGE,
                                 "%s: design: two factors change the axis %s: an axis has one factor",
                                 at->file, d->factor[i].axis);
        }
    return 0;
}

int preset_read_design(struct preset_reading *r, const struct json_at *at, cJSON *root, struct preset *p)
{
    static const char *const known[] = {"factors", "generators"};
    struct json_at in = {at->file, "design", at->e};
    cJSON *items[PRESET_FACTORS], *words[PRESET_FACTORS];
    const cJSON *object;
    struct preset_design d = {0};
    struct error why = {0};
    int found = json_object(at, root, "design", &object), result = 0;
    if (found != JSON_FOUND)
        return found < 0 ? -1 : 0;
    cJSON *design = cJSON_GetObjectItemCaseSensitive(root, "design");
    if (json_keys(&in, design, known, 2, NULL, r->warning) != 0)
        return -1;
    int n = preset_items(&in, design, "factors", PRESET_FACTORS, items),
        n_words = preset_items(&in, design, "generators", PRESET_FACTORS, words);
    if (n < 0 || n_words < 0)
        return -1;
    if (n < 2)
        return json_missing(&in, "factors", "a list of at least two factors");
    for (int f = 0; f < n; f++) {
        char path[40];
        snprintf(path, sizeof path, "design.factors.%d", f);
        struct json_at there = {at->file, path, at->e};
        result |= read_factor(r, &there, items[f], &d.factor[f]);
    }
    d.n_factors = n;
    for (int g = 0; g < n_words && result == 0; g++)
        result = read_generator(&in, words[g], &d);
    if (result != 0 || check_names(&in, &d) != 0)
        return -1;
    if (preset_design_runs(&d) > PRESET_ARMS)
        return error_add(
            at->e, ERROR_USAGE,
            "%s: design: %d factors make %d arms, more than %d: leave one out or add a generator, as "
            "in \"D=ABC\"",
            at->file, n, preset_design_runs(&d), PRESET_ARMS);
    p->design = d;
    if (p->n_arms <= 1 && make_arms(p, &why) != 0)
        return error_add(at->e, why.kind, "%s: design: %s", at->file, why.text);
    return 0;
}

int preset_write_design(cJSON *root, const struct preset *p)
{
    const struct preset_design *d = &p->design;
    if (d->n_factors == 0)
        return 0;
    cJSON *o = cJSON_AddObjectToObject(root, "design"), *list = cJSON_AddArrayToObject(o, "factors"), *item;
    for (int f = 0; f < d->n_factors; f++)
        if (!cJSON_AddItemToArray(list, item = cJSON_CreateObject()) ||
            json_write_fields(item, factor_fields, FACTOR_FIELDS, &d->factor[f]) != 0)
            return -1;
    if (d->n_generators > 0)
        list = cJSON_AddArrayToObject(o, "generators");
    for (int g = 0; g < d->n_generators; g++) {
        char word[PRESET_FACTORS + 3] = {(char)('A' + d->generator[g].factor), '='};
        size_t n = 2;
        for (int f = 0; f < d->n_factors; f++)
            if (d->generator[g].word >> f & 1)
                word[n++] = (char)('A' + f);
        if (!cJSON_AddItemToArray(list, cJSON_CreateString(word)))
            return -1;
    }
    return list ? 0 : -1;
}

bool preset_equal_design(const struct preset_design *a, const struct preset_design *b)
{
    bool equal = a->n_factors == b->n_factors && a->n_generators == b->n_generators;
    for (int f = 0; equal && f < a->n_factors; f++)
        equal = json_equal_fields(factor_fields, FACTOR_FIELDS, &a->factor[f], &b->factor[f]);
    for (int g = 0; equal && g < a->n_generators; g++)
        equal =
            a->generator[g].factor == b->generator[g].factor && a->generator[g].word == b->generator[g].word;
    return equal;
}

int preset_check_design(const struct json_at *at, const struct preset *p)
{
    const struct preset_design *d = &p->design;
    for (int r = 0; r < preset_design_runs(d); r++) {
        unsigned setting = preset_design_setting(d, r);
        char name[PRESET_NAME * 2];
        if (preset_design_arm(p, setting) >= 0)
            continue;
        name_arm(d, setting, "baseline", name, sizeof name);
        return error_add(
            at->e, ERROR_USAGE,
            "%s: design: no arm, or more than one, stands for the run \"%s\": leave arms out, the "
            "design makes them, or take the design out with --set design=null",
            at->file, name);
    }
    return 0;
}
