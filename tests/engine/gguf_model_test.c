/* What a file says of a model, believed only where its tensors agree. */
#define _GNU_SOURCE /* memmem */
#include "engine/model/gguf_model.h"
#include "engine/model/gguf_write.h"
#include "engine/model/native_judge.h"
#include "engine/model/weights.h"

#include "tests/test.h"

#include <unistd.h>

static const char path[] = "build/tests/gguf_model_test.gguf";

struct bytes {
    uint8_t *at;
    size_t n;
};

/* A small model's file in memory, to be spoiled. */
static struct bytes file_of(const struct model_spec *m)
{
    char why[256] = "";
    struct error e = {0};
    struct gguf_written written;
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){1, "own", "auto"}, why, sizeof why);
    struct weights_request q = {.model = m, .precision = PRECISION_FP32, .seed = 3};
    if (!k || gguf_write(k, &q, path, NULL, NULL, NULL, &written, &e))
        TEST_FAIL("%s%s", why, e.text);
    k->ops->close(k);
    FILE *f = fopen(path, "rb");
    struct bytes b = {malloc((size_t)written.bytes), (size_t)written.bytes};
    CHECK(f && fread(b.at, 1, b.n, f) == b.n);
    fclose(f);
    unlink(path);
    return b;
}

/* The first string of the file that begins so: the high byte of its length is 0. */
static uint8_t *find(struct bytes b, const char *what)
{
    for (uint8_t *at = b.at; (at = memmem(at, b.n - (size_t)(at - b.at), what, strlen(what))); at++)
        if (at > b.at && at[-1] == 0)
            return at;
    TEST_FAIL("%s is not in the file", what);
    return NULL;
}

static int spec_of(struct bytes b, struct model_spec *out, struct error *e)
{
    struct gguf g;
    *e = (struct error){0};
    if (gguf_parse(b.at, b.n, "x.gguf", &g, e) != 0)
        TEST_FAIL("the reader: %s", e->text);
    int result = gguf_model_spec(&g, "x.gguf", out, e);
    if (result == 0)
        CHECK_INT(weights_measure_stored(&g, out, e), 0);
    gguf_close(&g);
    return result;
}

/* The file with `n` bytes after the word replaced is refused with those words, and changes nothing. */
static void refuses(struct bytes b, const char *word, size_t skip, const void *with, size_t n,
                    const char *words)
{
    struct error e;
    struct model_spec m = {.layers = 77};
    uint8_t before[64], *at = find(b, word) + skip;
    memcpy(before, at, n);
    memcpy(at, with, n);
    if (spec_of(b, &m, &e) != -1)
        TEST_FAIL("%s with other bytes was accepted", word);
    CHECK_CONTAINS(e.text, words);
    CHECK_CONTAINS(e.text, "x.gguf: ");
    CHECK_INT(m.layers, 77);
    memcpy(at, before, n);
}

static void refuses_name(struct bytes b, const char *name, const char *instead, const char *words)
{
    refuses(b, name, 0, instead, strlen(instead), words);
}

TEST(dimensions_come_back_as_they_were_written)
{
    for (int m = 0; m < JUDGE_MODELS; m++) {
        struct model_spec want = judge_models[m], got = {0};
        struct error e;
        want.mlm_head = false;
        snprintf(want.title, sizeof want.title, "%s", want.name);
        struct bytes b = file_of(&want);
        CHECK_INT(spec_of(b, &got, &e), 0);
        CHECK_INT(got.family, want.family);
        CHECK_INT(got.layers, want.layers);
        CHECK_INT(got.d_model, want.d_model);
        CHECK_INT(got.vocab, want.vocab);
        CHECK_INT(got.rotary_dims, want.rotary_dims);
        CHECK_INT(got.window, want.window);
        CHECK_INT(got.head_dim, want.head_dim);
        CHECK_INT(got.kv_heads, want.kv_heads);
        CHECK_INT(got.ffn, want.ffn);
        CHECK_INT(got.head_bias, want.head_bias);
        CHECK_INT(got.mamba.state, want.mamba.state);
        CHECK((float)got.norm_eps == (float)want.norm_eps);
        CHECK_STRING(got.file, "x.gguf");
        CHECK_INT(got.stored.like, PRECISION_FP32);
        CHECK_INT(got.stored.types, 1);
        CHECK(got.stored.bytes > 0 && got.stored.product_bytes < got.stored.bytes);
        free(b.at);
    }
}

TEST(tensors_that_are_missing_misshapen_or_too_many_are_refused_by_name)
{
    struct bytes b = file_of(&judge_models[0]);
    const uint64_t fewer = 8;
    const uint32_t i32 = 26;
    size_t dims = strlen("blk.1.attn_k.weight") + 4;
    refuses_name(b, "blk.1.ffn_up.weight", "blk.1.ffn_ux.weight", "tensor blk.1.ffn_up.weight is missing");
    refuses_name(b, "token_embd.weight", "token_embx.weight", "tensor token_embd.weight is missing");
    refuses_name(b, "output.weight", "outpux.weight", "tensor outpux.weight is none that a llama model has");
    refuses(b, "blk.1.attn_k.weight", dims + 8, &fewer, sizeof fewer,
            "tensor blk.1.attn_k.weight is 64 x 8, its file's dimensions need 64 x 32");
    refuses(b, "blk.1.attn_k.weight", dims + 16, &i32, sizeof i32,
            "tensor blk.1.attn_k.weight is of type I32, which is not computed here");
    free(b.at);
}

/* "output.weight" becomes "output.bias", what follows moves up: the data stay where they are aligned to. */
TEST(a_bias_of_the_head_is_refused_where_the_family_has_none)
{
    struct bytes b = file_of(&judge_models[0]);
    struct error e = {0};
    struct gguf g;
    struct model_spec m;
    uint8_t *name = find(b, "output.weight");
    CHECK_INT(gguf_parse(b.at, b.n, "x.gguf", &g, &e), 0);
    const uint8_t *data = g.tensor[0].data;
    for (size_t i = 1; i < g.n_tensors; i++)
        data = g.tensor[i].data < data ? g.tensor[i].data : data;
    gguf_close(&g);
    name[-8] = 11;
    memcpy(name, "output.bias", 11);
    memmove(name + 11, name + 13, (size_t)(data - (name + 13)));
    CHECK_INT(spec_of(b, &m, &e), -1);
    CHECK_CONTAINS(e.text, "tensor output.bias is none that a llama model has");
    free(b.at);
}

TEST(keys_that_are_missing_absurd_or_ask_for_what_is_not_here_are_refused)
{
    struct bytes b = file_of(&judge_models[0]);
    const uint32_t none = 0, many = UINT32_MAX, three = 3;
    const uint32_t nan = 0x7fc00000;
    refuses_name(b, "llama.block_count", "llama.block_counx", "key llama.block_count is missing");
    refuses(b, "llama.block_count", 17 + 4, &none, 4, "llama.block_count is no whole number from 1 to 1000");
    refuses(b, "llama.embedding_length", 22 + 4, &many, 4, "llama.embedding_length is no whole number");
    refuses(b, "llama.attention.head_count_kv", 29 + 4, &three, 4, "4 heads of 16 with 3 key heads");
    refuses(b, "llama.rope.dimension_count", 26 + 4, &three, 4, "rope.dimension_count is odd");
    refuses(b, "llama.attention.layer_norm_rms_epsilon", 38 + 4, &nan, 4, "is no number from");
    refuses_name(b, "llama.context_length", "llama.expert_countxx", "llama.context_length is missing");
    struct error e;
    struct model_spec m;
    uint8_t *at = find(b, "general.architecture") + 20 + 4 + 8; /* key, kind, length */
    memcpy(at, "gizmo", 5);
    CHECK_INT(spec_of(b, &m, &e), -1);
    CHECK_CONTAINS(e.text, "architecture \"gizmo\" is not computed here");
    free(b.at);
}

static size_t put(uint8_t *at, const void *bytes, size_t n)
{
    memcpy(at, bytes, n);
    return n;
}

static size_t put_key(uint8_t *at, const char *key, uint32_t kind)
{
    uint64_t length = strlen(key);
    size_t n = put(at, &length, sizeof length);
    n += put(at + n, key, length);
    return n + put(at + n, &kind, sizeof kind);
}

/* A copy with two keys more: a number (`number` NULL: the text), and one that keeps the tensors aligned. */
static struct bytes with_key(struct bytes b, const char *key, const double *number, const char *text)
{
    enum { KEYS_AT = 16, FIRST = 24, ALIGNMENT = 32 };
    struct bytes out = {calloc(1, b.n + 512), 0};
    uint64_t keys, n = text ? strlen(text) : 0;
    size_t at = put(out.at, b.at, FIRST);
    memcpy(&keys, b.at + KEYS_AT, sizeof keys);
    keys += 2;
    memcpy(out.at + KEYS_AT, &keys, sizeof keys);
    at += put_key(out.at + at, key, number ? GGUF_F64 : GGUF_STRING);
    at += number ? put(out.at + at, number, sizeof *number) : put(out.at + at, &n, sizeof n);
    at += put(out.at + at, text ? text : "", n);
    at += put_key(out.at + at, "pad", GGUF_STRING);
    n = (ALIGNMENT - (at + 8 - FIRST) % ALIGNMENT) % ALIGNMENT;
    at += put(out.at + at, &n, sizeof n) + n;
    out.n = at + put(out.at + at, b.at + FIRST, b.n - FIRST);
    return out;
}

TEST(rope_scaling_is_read_as_llama_cpp_reads_it)
{
    static const struct {
        const char *key;
        double number;
        const char *text, *words; /* words: refused with them */
        double factor;
    } cases[] = {
        {"llama.rope.scaling.factor", 4, NULL, NULL, 4}, /* without a type: linear */
        {"llama.rope.scale_linear", 2, NULL, NULL, 2},
        {"llama.rope.scaling.factor", 1, NULL, NULL, 0},
        {"llama.rope.scaling.factor", 0, NULL, NULL, 0},
        {"llama.rope.scaling.factor", 0.5, NULL, "factor of 0.5 is not computed", 0},
        {"llama.rope.scaling.type", 0, "linear", NULL, 0}, /* without a factor: none */
        {"llama.rope.scaling.type", 0, "yarn", "\"yarn\" is not computed", 0},
        {"llama.rope.scaling.attn_factor", 1, NULL, NULL, 0},
        {"llama.rope.scaling.attn_factor", 1.2, NULL, "attn_factor, which is not computed", 0},
    };
    struct bytes b = file_of(&judge_models[0]);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct model_spec m = {0};
        struct error e;
        struct bytes more = with_key(b, cases[i].key, cases[i].text ? NULL : &cases[i].number, cases[i].text);
        CHECK_INT(spec_of(more, &m, &e), cases[i].words ? -1 : 0);
        if (cases[i].words)
            CHECK_CONTAINS(e.text, cases[i].words);
        else if (!(m.rope_scaling.factor >= cases[i].factor && m.rope_scaling.factor <= cases[i].factor))
            TEST_FAIL("%s: a factor of %g", cases[i].key, m.rope_scaling.factor);
        free(more.at);
    }
    free(b.at);
}

TEST(rows_of_queries_and_keys_find_their_place_in_the_file_and_back)
{
    struct gguf_slice s = {.rows = 32, .cols = 1, .head_dim = 16, .rotated = 12};
    bool taken[32] = {false};
    for (int64_t r = 0; r < 32; r++) {
        int64_t f = gguf_model_file_row(&s, r);
        CHECK(f >= 0 && f < 32 && !taken[f]);
        CHECK(f / 16 == r / 16);
        taken[f] = true;
    }
    CHECK_INT(gguf_model_file_row(&s, 0), 0);
    CHECK_INT(gguf_model_file_row(&s, 1), 2);
    CHECK_INT(gguf_model_file_row(&s, 6), 1);
    CHECK_INT(gguf_model_file_row(&s, 13), 13);
    CHECK_INT(gguf_model_file_row(&s, 16 + 7), 16 + 3);
}
