#include "engine/model/model.h"

#include <math.h>

/* Shapes of one layer's products, in elements: what every count below is made of. */
static int64_t attention_products(const struct model_spec *m)
{
    int64_t d = m->d_model, q = (int64_t)m->heads * m->head_dim, kv = (int64_t)m->kv_heads * m->head_dim;
    return d * (q + 2 * kv) + q * d;
}

static int64_t layer_products(const struct model_spec *m)
{
    int64_t d = m->d_model, f = m->ffn;
    if (m->family == MODEL_MAMBA) {
        int64_t e = m->mamba.inner, r = m->mamba.dt_rank, n = m->mamba.state;
        return d * 2 * e + e * (r + 2 * n) + r * e + e * d; /* in, x, dt, out */
    }
    return attention_products(m) + (m->family == MODEL_LLAMA ? 3 : 2) * d * f;
}

/* Output channels of one layer's products: int8 keeps a scale for each. */
static int64_t layer_channels(const struct model_spec *m)
{
    int64_t d = m->d_model, f = m->ffn;
    if (m->family == MODEL_MAMBA) {
        int64_t e = m->mamba.inner;
        return 2 * e + m->mamba.dt_rank + 2 * (int64_t)m->mamba.state + e + d;
    }
    int64_t qkv = (int64_t)(m->heads + 2 * m->kv_heads) * m->head_dim;
    return qkv + d + (m->family == MODEL_LLAMA ? 2 * f : f) + d;
}

/* Biases, norms and the other vectors of one layer. */
static int64_t layer_vectors(const struct model_spec *m)
{
    int64_t d = m->d_model, f = m->ffn;
    int64_t qkv = (int64_t)(m->heads + 2 * m->kv_heads) * m->head_dim;
    switch (m->family) {
    case MODEL_LLAMA:
        return 2 * d;
    case MODEL_GPT2:
    case MODEL_BERT:
        return qkv + d + f + d + 4 * d;
    case MODEL_PHI2: /* one norm serves both branches */
        return qkv + d + f + d + 2 * d;
    case MODEL_MAMBA: { /* convolution and its bias, bias of dt, A, D, norm */
        int64_t e = m->mamba.inner;
        return e * m->mamba.conv + e + e + e * m->mamba.state + e + d;
    }
    }
    return 0;
}

/* Products that run once per sequence rather than once per token of a prefill. */
static int64_t head_products(const struct model_spec *m)
{
    int64_t d = m->d_model, v = m->vocab;
    if (m->family == MODEL_BERT)
        return m->mlm_head   ? d * d + v * d
               : m->headless ? 0
                             : d * d; /* masked-language transform and tied head, or pooler */
    return v * d;
}

static int64_t head_channels(const struct model_spec *m)
{
    if (m->family == MODEL_BERT)
        return m->mlm_head ? (int64_t)m->d_model + m->vocab : m->d_model;
    return m->vocab;
}

int64_t model_parameters(const struct model_spec *m)
{
    int64_t d = m->d_model, v = m->vocab;
    int64_t n = v * d + m->layers * (layer_products(m) + layer_vectors(m));
    switch (m->family) {
    case MODEL_LLAMA:
    case MODEL_MAMBA:
        n += d;
        break;
    case MODEL_GPT2:
        n += m->context * d + 2 * d;
        break;
    case MODEL_PHI2:
        n += 2 * d;
        break;
    case MODEL_BERT: /* positions, types, embedding norm; then the masked-language head or the pooler */
        n += m->context * d + m->token_types * d + 2 * d;
        if (m->headless)
            return n;
        return n + d * d + d + (m->mlm_head ? 2 * d + v : 0);
    }
    if (!m->tied)
        n += v * d;
    return n + (m->head_bias ? v : 0);
}

int64_t model_product_parameters(const struct model_spec *m)
{
    return m->layers * layer_products(m) + head_products(m);
}

static double cache_element_bytes(const struct model_spec *m, enum precision_kind precision)
{
    if (precision == PRECISION_STORED)
        precision = m->stored.like;
    return precision == PRECISION_FP32 ? 4 : 2; /* 8- and 4-bit weights keep their cache in fp16 */
}

int64_t model_kv_bytes_per_token(const struct model_spec *m, enum precision_kind precision)
{
    if (m->family == MODEL_BERT || m->family == MODEL_MAMBA)
        return 0; /* an encoder sees each text once; a state-space model's state does not grow */
    return 2 * (int64_t)m->layers * m->kv_heads * m->head_dim * (int64_t)cache_element_bytes(m, precision);
}

double model_weight_bytes_per_element(enum precision_kind precision)
{
    switch (precision) {
    case PRECISION_FP32:
        return 4;
    case PRECISION_FP16:
    case PRECISION_BF16:
        return 2;
    case PRECISION_INT8:
        return 1;
    case PRECISION_NF4:
        return 4.5 / 8;    /* four bits and one fp32 scale per 64 elements */
    case PRECISION_NF4_DQ: /* four bits, one 8-bit code per 64 elements, one fp32 scale per 256 codes */
        return (4 + 8.0 / 64 + 32.0 / (64 * 256)) / 8;
    case PRECISION_Q8_0:
        return 34.0 / 32;
    case PRECISION_Q4_0:
        return 18.0 / 32;
    case PRECISION_Q4_K:
        return 144.0 / 256;
    case PRECISION_Q6_K:
        return 210.0 / 256;
    case PRECISION_STORED: /* the file's own bytes are counted, not these */
    case PRECISIONS:
        break;
    }
    return 4;
}

/* What is multiplied in rows of blocks, with its length: the first that is no multiple of `block`. */
static int64_t ragged_row(const struct model_spec *m, int block, const char **what)
{
    int64_t q = (int64_t)m->heads * m->head_dim;
    const struct {
        const char *what;
        int64_t cols;
    } row[] = {
        {"hidden", m->d_model},
        {m->family == MODEL_MAMBA ? "inner" : "feed-forward",
         m->family == MODEL_MAMBA ? m->mamba.inner : m->ffn},
        {"attention", q}, /* mamba: none; its step sizes stay in 16 bits (weights_small_dtype) */
    };
    for (size_t i = 0; i < sizeof row / sizeof *row; i++)
        if (row[i].cols % block != 0) {
            *what = row[i].what;
            return row[i].cols;
        }
    return 0;
}

int model_holds(const struct model_spec *m, enum precision_kind precision, struct error *e)
{
    int block = precision == PRECISION_Q8_0 || precision == PRECISION_Q4_0   ? 32
                : precision == PRECISION_Q4_K || precision == PRECISION_Q6_K ? 256
                                                                             : 1;
    const char *what, *unused;
    int64_t cols = ragged_row(m, block, &what);
    if (cols == 0)
        return 0;
    bool eight = precision == PRECISION_Q8_0 || precision == PRECISION_Q6_K;
    return error_set(e, ERROR_UNSUPPORTED,
                     "%s has %s rows of %lld weights, which blocks of %d do not divide: choose precision %s",
                     m->name, what, (long long)cols, block,
                     ragged_row(m, 32, &unused) ? eight ? "int8" : "nf4"
                     : eight                    ? "q8_0"
                                                : "q4_0");
}

int model_kept(int width, double sparsity, bool rotated)
{
    double lost = rotated ? 0.8 * sparsity : fmin(1.2 * sparsity, (1 + sparsity) / 2);
    int keep = (int)floor((1 - lost) * width + 1e-6);
    return keep < 1 ? 1 : keep;
}

int model_widest_kept(const struct model_spec *m, double sparsity)
{
    int d = model_kept(m->d_model, sparsity, true), q = model_kept(m->heads * m->head_dim, sparsity, false),
        f = model_kept(m->ffn, sparsity, false);
    return d > q ? (d > f ? d : f) : q > f ? q : f;
}

/* Weights of a layer's products that `tokens` tokens touch, of all: each keeps its own channels, which are
 * counted as independent of one another. Only llamas are run so. */
static double touched(const struct model_spec *m, const struct implementation *i, double tokens)
{
    if (i->sparsity <= 0 || m->family != MODEL_LLAMA)
        return 1;
    int64_t d = m->d_model, f = m->ffn, q = (int64_t)m->heads * m->head_dim;
    int64_t qkv = q + 2 * (int64_t)m->kv_heads * m->head_dim;
    const struct {
        int width;
        bool rotated;
        double weights;
    } input[] = {{m->d_model, true, (double)(d * (qkv + 2 * f))},
                 {(int)q, false, (double)(q * d)},
                 {m->ffn, false, (double)(f * d)}};
    double some = 0;
    for (size_t n = 0; n < sizeof input / sizeof *input; n++) {
        double kept = (double)model_kept(input[n].width, i->sparsity, input[n].rotated) / input[n].width;
        some += input[n].weights * (1 - pow(1 - kept, tokens));
    }
    return some / (double)layer_products(m);
}

/* Bytes of all product weights: read once per pass of `tokens` tokens. Sparse activations skip channels of
 * the blocks, not of the head; scales are read whole. */
static double product_bytes(const struct model_spec *m, const struct implementation *i, double tokens)
{
    if (i->precision == PRECISION_STORED)
        return (double)m->stored.product_bytes;
    double b = model_weight_bytes_per_element(i->precision);
    double scale = i->precision == PRECISION_INT8 ? 4 : 0;
    double small = 0; /* what stays in 16 bits beside blocks */
    if (m->family == MODEL_MAMBA && i->precision >= PRECISION_Q8_0 && i->precision <= PRECISION_Q6_K)
        small = (double)m->mamba.inner * (2.0 * m->mamba.dt_rank + 2.0 * m->mamba.state) * (2 - b);
    double blocks = (double)m->layers * ((double)layer_products(m) * b * touched(m, i, tokens) + small +
                                         (double)layer_channels(m) * scale);
    return blocks + (double)head_products(m) * b + (double)head_channels(m) * scale;
}

/* State of a state-space model, per sequence: fp32 state and the convolution's window in fp16. */
static double state_bytes(const struct model_spec *m)
{
    if (m->family != MODEL_MAMBA)
        return 0;
    return (double)m->layers * m->mamba.inner * (4.0 * m->mamba.state + 2.0 * m->mamba.conv);
}

/* Query-key pairs of `rows` tokens that follow `context` cached ones. */
static double attention_pairs(const struct model_spec *m, double context, double rows)
{
    if (m->family == MODEL_MAMBA)
        return 0;
    if (m->family == MODEL_BERT)
        return rows * rows;
    double w = m->window > 0 ? (double)m->window : INFINITY;
    double growing = fmax(0, fmin(rows, w - context)); /* rows that still see everything before them */
    double pairs = growing * context + growing * (growing + 1) / 2;
    return growing < rows ? pairs + (rows - growing) * w : pairs;
}

/* Arithmetic of `rows` tokens of one sequence after `context` cached ones, its head computed `heads` times.
 */
static double sequence_flops(const struct model_spec *m, const struct implementation *i, double context,
                             double rows, double heads)
{
    double blocks = 2 * (double)m->layers * (double)layer_products(m) * touched(m, i, 1) * rows;
    double attention = 4.0 * m->layers * (double)m->heads * m->head_dim * attention_pairs(m, context, rows);
    if (m->family == MODEL_MAMBA) /* convolution; state update (five operations) and read-out (two) */
        attention = (double)m->layers * m->mamba.inner * (2.0 * m->mamba.conv + 7.0 * m->mamba.state) * rows;
    return blocks + attention + 2 * (double)head_products(m) * heads;
}

static struct model_work prefill_work(const struct model_spec *m, const struct implementation *i, int batch,
                                      int seq)
{
    double tokens = (double)batch * seq;
    return (struct model_work){
        .bytes = product_bytes(m, i, tokens) + tokens * (double)model_kv_bytes_per_token(m, i->precision) +
                 batch * state_bytes(m),
        .flops = batch * sequence_flops(m, i, 0, seq, 1),
        .tokens = (int64_t)batch * seq,
    };
}

/* One step of `batch` tokens, each after `context` cached ones: reads the cache, writes one entry. */
static struct model_work decode_work(const struct model_spec *m, const struct implementation *i, int batch,
                                     double context)
{
    double seen = m->window > 0 ? fmin(context, m->window) : context;
    return (struct model_work){
        .bytes =
            product_bytes(m, i, batch) +
            batch * ((seen + 1) * (double)model_kv_bytes_per_token(m, i->precision) + 2 * state_bytes(m)),
        .flops = batch * sequence_flops(m, i, context, 1, 1),
        .tokens = batch,
    };
}

struct model_work model_work(const struct model_spec *m, const struct implementation *i, enum workload w,
                             int batch, int seq, int tokens)
{
    if (w == WORKLOAD_TOKENIZE) /* the host's work, counted by whoever has the text */
        return (struct model_work){0};
    if (w == WORKLOAD_DECODE)
        return decode_work(m, i, batch, seq);
    struct model_work work = prefill_work(m, i, batch, seq);
    if (w == WORKLOAD_PERPLEXITY) { /* the head runs for every scored row, not for the last alone */
        int scored = seq - seq / 2 - 1;
        work.flops += 2.0 * m->d_model * m->vocab * batch * (scored - 1);
    }
    if (w == WORKLOAD_GENERATE) {
        for (int t = 0; t < tokens; t++) {
            struct model_work step = decode_work(m, i, batch, (double)seq + t);
            work.bytes += step.bytes;
            work.flops += step.flops;
        }
        work.tokens = (int64_t)batch * tokens;
    }
    return work;
}

int model_prompt_tokens(int seq, double shortest, int batch, int sequence)
{
    if (batch < 2 || !(shortest > 0 && shortest < 1))
        return seq;
    double share = shortest + (1 - shortest) * sequence / (batch - 1);
    int tokens = (int)lround(seq * share);
    return tokens < 1 ? 1 : tokens;
}

/* A sequence's own part in place of that of one of seq tokens. */
static void replace_one(struct model_work *work, const struct model_spec *m, const struct implementation *i,
                        enum workload w, int seq, int tokens, int mine)
{
    bool has_prompts = w == WORKLOAD_PREFILL || w == WORKLOAD_DECODE || w == WORKLOAD_GENERATE;
    if (!has_prompts || mine == seq)
        return;
    struct model_work equal = model_work(m, i, w, 1, seq, tokens), own = model_work(m, i, w, 1, mine, tokens);
    work->bytes += own.bytes - equal.bytes;
    work->flops += own.flops - equal.flops;
    work->tokens += own.tokens - equal.tokens;
}

struct model_work model_work_ragged(const struct model_spec *m, const struct implementation *i,
                                    enum workload w, int batch, int seq, int tokens, double shortest)
{
    struct model_work work = model_work(m, i, w, batch, seq, tokens);
    for (int s = 0; s < batch; s++)
        replace_one(&work, m, i, w, seq, tokens, model_prompt_tokens(seq, shortest, batch, s));
    return work;
}

struct model_work model_work_lengths(const struct model_spec *m, const struct implementation *i,
                                     enum workload w, int batch, int seq, int tokens, const int *lengths)
{
    struct model_work work = model_work(m, i, w, batch, seq, tokens);
    for (int s = 0; s < batch; s++)
        replace_one(&work, m, i, w, seq, tokens, lengths[s]);
    return work;
}
