#include "presets/model_spec.h"
#include "presets/catalog.h"
#include "presets/json.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(a)   ((int)(sizeof(a) / sizeof *(a)))
#define AT(member) offsetof(struct model_spec, member)
enum { MODEL_FILE_BYTES = 1 << 16, BIG = 1 << 24 };

static const char *const families[] = {"llama", "gpt2", "phi2", "bert", "mamba"};

static const struct json_field fields[] = {
    {"name", JSON_TEXT, AT(name), sizeof((struct model_spec *)0)->name, 0, 0},
    {"title", JSON_TEXT, AT(title), sizeof((struct model_spec *)0)->title, 0, 0},
    {"layers", JSON_INT, AT(layers), 0, 1, 1000},
    {"d_model", JSON_INT, AT(d_model), 0, 1, 1 << 17},
    {"heads", JSON_INT, AT(heads), 0, 1, 1024},
    {"kv_heads", JSON_INT, AT(kv_heads), 0, 1, 1024},
    {"head_dim", JSON_INT, AT(head_dim), 0, 1, 1024},
    {"ffn", JSON_INT, AT(ffn), 0, 1, 1 << 20},
    {"vocab", JSON_INT, AT(vocab), 0, 2, BIG},
    {"vocabulary", JSON_TEXT, AT(vocabulary), sizeof((struct model_spec *)0)->vocabulary, 0, 0},
    {"context", JSON_INT, AT(context), 0, 0, BIG},
    {"norm_eps", JSON_DOUBLE, AT(norm_eps), 0, 1e-15, 0.1},
    {"rope_theta", JSON_DOUBLE, AT(rope_theta), 0, 0, 1e12},
    {"rotary_dims", JSON_INT, AT(rotary_dims), 0, 0, 1024},
    {"window", JSON_INT, AT(window), 0, 0, BIG},
    {"tied", JSON_BOOL, AT(tied), 0, 0, 0},
    {"head_bias", JSON_BOOL, AT(head_bias), 0, 0, 0},
    {"token_types", JSON_INT, AT(token_types), 0, 0, 1024},
    {"mlm_head", JSON_BOOL, AT(mlm_head), 0, 0, 0},
    {"published_parameters", JSON_INT64, AT(published_parameters), 0, 0, 1e15},
    {"source", JSON_TEXT, AT(source), sizeof((struct model_spec *)0)->source, 0, 0},
};
static const struct json_field scaling_fields[] = {
    {"factor", JSON_DOUBLE, AT(rope_scaling.factor), 0, 1, 1e6},
    {"low", JSON_DOUBLE, AT(rope_scaling.low), 0, 1e-6, 1e6},
    {"high", JSON_DOUBLE, AT(rope_scaling.high), 0, 1e-6, 1e6},
    {"original", JSON_INT, AT(rope_scaling.original), 0, 1, BIG},
};
static const struct json_field mamba_fields[] = {
    {"inner", JSON_INT, AT(mamba.inner), 0, 1, 1 << 18},
    {"dt_rank", JSON_INT, AT(mamba.dt_rank), 0, 1, 1 << 16},
    {"state", JSON_INT, AT(mamba.state), 0, 1, 1024},
    {"conv", JSON_INT, AT(mamba.conv), 0, 1, 64},
};

const char *model_family_name(enum model_family family)
{
    return family >= 0 && (int)family < COUNT(families) ? families[family] : "?";
}

static int read_family(const struct json_at *at, const cJSON *root, enum model_family *out)
{
    char word[32] = "";
    int found = json_text(at, root, "family", word, sizeof word);
    if (found != JSON_FOUND)
        return found < 0 ? -1 : json_missing(at, "family", "llama, gpt2, phi2, bert or mamba");
    for (int f = 0; f < COUNT(families); f++)
        if (strcmp(word, families[f]) == 0) {
            *out = (enum model_family)f;
            return 0;
        }
    return json_unexpected(at, "family", "llama, gpt2, phi2, bert or mamba",
                           cJSON_GetObjectItemCaseSensitive(root, "family"));
}

/* A sub-object whose every member must be given; absent altogether is fine. */
static int read_group(const struct json_at *at, cJSON *root, const char *key, const struct json_field *group,
                      int n, struct model_spec *m, struct error *warning)
{
    const cJSON *object;
    int found = json_object(at, root, key, &object);
    if (found != JSON_FOUND)
        return found < 0 ? -1 : 0;
    const char *known[8];
    struct json_at in = {at->file, key, at->e};
    int result = 0;
    for (int i = 0; i < n; i++) {
        known[i] = group[i].key;
        if (!cJSON_GetObjectItemCaseSensitive(object, group[i].key))
            result = json_missing(&in, group[i].key, "a number");
    }
    if (json_keys(&in, cJSON_GetObjectItemCaseSensitive(root, key), known, n, NULL, warning) != 0)
        result = -1;
    return json_read_fields(&in, object, group, n, m) != 0 ? -1 : result;
}

static int want(const struct json_at *at, const char *key, bool given, const char *expected)
{
    return given ? 0 : json_missing(at, key, expected);
}

/* What the family needs, and what follows from the rest. */
static int complete(const struct json_at *at, struct model_spec *m)
{
    int result = 0;
    result |= want(at, "layers", m->layers > 0, "how many blocks");
    result |= want(at, "d_model", m->d_model > 0, "the width of the hidden state");
    result |= want(at, "vocab", m->vocab > 0, "the size of the vocabulary");
    result |= want(at, "norm_eps", m->norm_eps > 0, "the epsilon of the norms, such as 1e-5");
    if (m->family == MODEL_MAMBA)
        return result | want(at, "mamba", m->mamba.inner > 0, "an object with inner, dt_rank, state, conv");
    result |= want(at, "heads", m->heads > 0, "the number of attention heads");
    result |= want(at, "ffn", m->ffn > 0, "the width of the feed-forward layer");
    result |= want(at, "context", m->context > 0, "the longest sequence");
    if (result != 0)
        return -1;
    if (m->kv_heads == 0)
        m->kv_heads = m->heads;
    if (m->head_dim == 0) {
        if (m->d_model % m->heads != 0)
            return json_missing(at, "head_dim", "it, because d_model is no multiple of heads");
        m->head_dim = m->d_model / m->heads;
    }
    if (m->rotary_dims == 0 && m->rope_theta > 0)
        m->rotary_dims = m->head_dim;
    return 0;
}

static int finding(const struct json_at *at, const char *key, const char *text)
{
    char where[512];
    json_where(at, key, where, sizeof where);
    return error_add(at->e, ERROR_USAGE, "%s: %s", where, text);
}

/* What one value alone cannot show. */
static int check_together(const struct json_at *at, const struct model_spec *m)
{
    int result = 0;
    if (m->family == MODEL_MAMBA)
        return 0;
    if (m->heads % m->kv_heads != 0)
        result = finding(at, "kv_heads", "does not divide heads: give a divisor of it");
    if (m->rotary_dims > m->head_dim || m->rotary_dims % 2 != 0)
        result = finding(at, "rotary_dims", "expected an even number up to head_dim");
    if (m->rotary_dims > 0 && m->rope_theta < 1)
        result = finding(at, "rope_theta", "expected a base such as 10000, because rotary_dims are given");
    bool rotates = m->family == MODEL_LLAMA || m->family == MODEL_PHI2;
    if (rotates && m->rope_theta == 0)
        result = finding(at, "rope_theta",
                         "missing: this family rotates queries and keys: give a base such as 10000");
    if (!rotates && m->rope_theta > 0)
        result = finding(at, "rope_theta", "this family has learned positions: remove it");
    if (m->rope_scaling.factor > 0 && !(m->rope_scaling.high > m->rope_scaling.low))
        result = finding(at, "rope_scaling.high", "expected more than rope_scaling.low");
    if (m->family != MODEL_LLAMA && m->kv_heads != m->heads)
        result = finding(at, "kv_heads", "only the llama family shares key heads: leave it out");
    if (m->family == MODEL_BERT && m->token_types == 0)
        result = finding(at, "token_types", "missing: expected the number of segment types, 2");
    if (m->family != MODEL_BERT && (m->token_types > 0 || m->mlm_head))
        result = finding(at, "token_types", "only the bert family has token_types and mlm_head: remove them");
    return result;
}

/* "dir/llama-7b.json" -> "llama-7b" */
static void name_of_path(const char *path, char *out, size_t size)
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');
    int n = dot && dot > name ? (int)(dot - name) : (int)strlen(name);
    snprintf(out, size, "%.*s", n < (int)size ? n : (int)size - 1, name);
}

static int read_root(const struct json_at *at, cJSON *root, struct model_spec *m, struct error *warning)
{
    const char *known[COUNT(fields) + 4] = {"schema", "family", "rope_scaling", "mamba"};
    char schema[64] = "";
    int result = 0;
    for (int i = 0; i < COUNT(fields); i++)
        known[4 + i] = fields[i].key;
    if (json_keys(at, root, known, COUNT(known), NULL, warning) != 0)
        result = -1;
    if (json_text(at, root, "schema", schema, sizeof schema) != JSON_FOUND ||
        strcmp(schema, "benchtop/model/1") != 0)
        result = json_unexpected(at, "schema", "\"benchtop/model/1\"",
                                 cJSON_GetObjectItemCaseSensitive(root, "schema"));
    if (read_family(at, root, &m->family) != 0)
        result = -1;
    if (json_read_fields(at, root, fields, COUNT(fields), m) != 0)
        result = -1;
    if (read_group(at, root, "rope_scaling", scaling_fields, COUNT(scaling_fields), m, warning) != 0)
        result = -1;
    if (read_group(at, root, "mamba", mamba_fields, COUNT(mamba_fields), m, warning) != 0)
        result = -1;
    if (result == 0 && complete(at, m) != 0)
        result = -1;
    return result == 0 ? check_together(at, m) : -1;
}

int model_spec_load(const char *path, struct model_spec *out, struct error *warning, struct error *e)
{
    struct error found = {0};
    struct json_at at = {path, "", &found};
    struct model_spec m = {0};
    cJSON *root = json_load(path, MODEL_FILE_BYTES, &found);
    int result = -1;
    if (root && !cJSON_IsObject(root))
        json_unexpected(&at, "", "an object", root);
    else if (root)
        result = read_root(&at, root, &m, warning);
    cJSON_Delete(root);
    if (result != 0)
        return error_set(e, found.kind, "%s", found.text);
    if (!m.name[0])
        name_of_path(path, m.name, sizeof m.name);
    if (!m.title[0])
        snprintf(m.title, sizeof m.title, "%s", m.name);
    *out = m;
    return 0;
}
