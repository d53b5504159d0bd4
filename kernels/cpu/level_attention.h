/* Online softmax (Dao 2023, section 3.1) over the keys [first, last) of one key-value head.
 *
 * Two ways. Few rows (decode): dot products along the head, every key and value read once where it stands.
 * Many rows (prefill): the rows are the lanes of the vectors, as in level_gemm.h; scores, maxima and sums are
 * vectors over rows and no horizontal operation remains. Keys and values of a tile are broadcast from fp32
 * rows. */
#pragma once

#include "kernels/cpu/level_elementwise.h"
#include "kernels/cpu/level_gemm.h"
#include "kernels/cpu/level_gemv.h"

enum { TILE = SIMD_ATTENTION_TILE, FEW_QUERIES = 4, FEW_TILE = 256 };
_Static_assert(GEMM_LANES <= 32, "as simd_attention_scratch counts the scores");
_Static_assert(SIMD_ATTENTION_ROWS % GEMM_LANES == 0, "rows fill whole panels");

/* The first element of token t in the cache; *run is cut to the tokens that follow at the same stride. */
INLINE int64_t attention_place(const struct simd_attention *a, int t, int *run)
{
    const struct kernel_kv *kv = a->kv;
    int64_t block = a->block;
    int inside = t;
    if (a->blocks) {
        block = a->blocks[t / kv->block_size];
        inside = t % kv->block_size;
        if (*run > kv->block_size - inside)
            *run = kv->block_size - inside;
    }
    return kernel_kv_at(kv, block, a->kv_head, inside);
}

INLINE const char *attention_at(const struct simd_attention *a, const void *cache, int64_t place)
{
    return (const char *)cache + (size_t)place * kernel_dtype_bytes(a->kv->dtype);
}

/* Tokens that stand at one stride, and how far from their first the next ones of the cache are. */
struct attention_run {
    int64_t place, ahead;
    int tokens;
};

/* A short run (a block of a paged cache) would fetch ahead into blocks that others read: it names the next
 * instead. A long one follows itself. */
enum { SHORT_RUN = 16 * GEMV_AHEAD }; /* bytes */

/* The runs of the tokens [t, t + tokens). */
INLINE int attention_runs(const struct simd_attention *a, int t, int tokens, struct attention_run *run)
{
    int64_t element = (int64_t)kernel_dtype_bytes(a->kv->dtype), row = element * a->kv->token_stride;
    int runs = 0;
    for (int done = 0; done < tokens; done += run[runs++].tokens) {
        run[runs].tokens = tokens - done;
        run[runs].place = attention_place(a, t + done, &run[runs].tokens);
        run[runs].ahead = 0;
        if (runs > 0 && run[runs - 1].tokens * row <= SHORT_RUN)
            run[runs - 1].ahead = (run[runs].place - run[runs - 1].place) * element;
    }
    return runs;
}

/* A tile's scores of row r are in; take them into the row's running softmax and add the values. */
static void attention_take(const struct simd_attention *a, int r, float *score, int from, int tokens,
                           const struct attention_run *run, int runs)
{
    const struct kernel_kv *kv = a->kv;
    int dim = kv->head_dim;
    int low = a->low[r] > from ? a->low[r] - from : 0;
    int high = a->high[r] < from + tokens ? a->high[r] - from : tokens;
    if (low >= high)
        return;
    float *sum = a->sum + (int64_t)r * dim, largest = largest_of(score + low, high - low) * a->scale;
    if (largest > a->max[r]) {
        float shrink = expf(a->max[r] - largest); /* exp(-inf) = 0 the first time */
        for (int i = 0; i < dim; i++)
            sum[i] *= shrink;
        a->total[r] *= shrink;
        a->max[r] = largest;
    }
    a->total[r] += exponentials(score + low, a->scale, a->max[r], high - low);
    for (int i = 0, t = 0; i < runs && t < high; t += run[i++].tokens) {
        int skip = low > t ? low - t : 0, end = high - t < run[i].tokens ? high - t : run[i].tokens;
        if (skip < end)
            weighted_rows(sum, dim, score + t + skip, FEW_TILE,
                          attention_at(a, kv->v, run[i].place + skip * kv->token_stride), kv->token_stride,
                          kv->dtype, end - skip, dim, 1, run[i].ahead);
    }
}

static void attention_few(const struct simd_attention *a)
{
    int dim = a->kv->head_dim;
    float score[FEW_QUERIES * FEW_TILE], *q = a->scratch;
    struct attention_run run[FEW_TILE];
    for (int r = 0; r < a->rows; r++) {
        memcpy(q + r * dim, a->q + a->offset[r], (size_t)dim * sizeof(float));
        a->max[r] = -INFINITY;
        a->total[r] = 0;
    }
    memset(a->sum, 0, (size_t)(a->rows * dim) * sizeof(float));
    for (int t = a->first, tokens; t < a->last; t += tokens) {
        tokens = a->last - t < FEW_TILE ? a->last - t : FEW_TILE;
        int runs = attention_runs(a, t, tokens, run);
        for (int i = 0, at = 0; i < runs; at += run[i++].tokens)
            scored_rows(score + at, FEW_TILE, attention_at(a, a->kv->k, run[i].place), a->kv->token_stride,
                        a->kv->dtype, run[i].tokens, dim, q, dim, a->rows, run[i].ahead);
        for (int r = 0; r < a->rows; r++)
            attention_take(a, r, score + r * FEW_TILE, t, tokens, run, runs);
    }
}

/* Tokens [t, t + tokens) of a cache as fp32 rows: where they stand, or converted into `copy`. Rows that stand
 * apart are copied too: a tile of them at a stride of 4 KiB would lie in a single set of the first-level
 * cache. */
static const float *attention_rows(const struct simd_attention *a, const void *cache, int t, int tokens,
                                   float *copy)
{
    int dim = a->kv->head_dim, run = tokens;
    const char *at = attention_at(a, cache, attention_place(a, t, &run));
    bool dense = a->kv->token_stride == dim;
    if (a->kv->dtype == KERNEL_FP32 && run == tokens && dense)
        return (const float *)(const void *)at;
    for (int done = 0; done < tokens; done += run) {
        run = tokens - done;
        at = attention_at(a, cache, attention_place(a, t + done, &run));
        for (int i = 0; i < run; i += dense ? run : 1)
            widen(copy + (done + i) * dim,
                  at + (size_t)(i * a->kv->token_stride) * kernel_dtype_bytes(a->kv->dtype), a->kv->dtype, 1,
                  dense ? (int64_t)run * dim : dim);
    }
    return copy;
}

/* Rows [row, row + lanes) while they pass over the tiles. Rows beyond the last see nothing. */
struct attention_panel {
    int row, lanes;
    int32_t low[GEMM_LANES], high[GEMM_LANES];
    int first, last;      /* keys that any row sees */
    int common, uncommon; /* keys in [common, uncommon) are seen by every row */
    float max[GEMM_LANES], total[GEMM_LANES];
    float *q, *sum; /* [head_dim, lanes] */
};

static void attention_open(const struct simd_attention *a, struct attention_panel *p, int row, float *q,
                           float *sum)
{
    int rows = a->rows - row < GEMM_LANES ? a->rows - row : GEMM_LANES, dim = a->kv->head_dim;
    *p = (struct attention_panel){
        .row = row, .lanes = gemm_lanes(rows), .first = INT32_MAX, .uncommon = INT32_MAX, .q = q, .sum = sum};
    memset(q, 0, (size_t)(dim * p->lanes) * sizeof(float));
    memset(sum, 0, (size_t)(dim * p->lanes) * sizeof(float));
    for (int i = 0; i < p->lanes; i++) {
        p->max[i] = -INFINITY;
        if (i >= rows) {
            p->common = INT32_MAX;
            continue;
        }
        p->low[i] = a->low[row + i];
        p->high[i] = a->high[row + i];
        p->first = p->low[i] < p->first ? p->low[i] : p->first;
        p->last = p->high[i] > p->last ? p->high[i] : p->last;
        p->common = p->low[i] > p->common ? p->low[i] : p->common;
        p->uncommon = p->high[i] < p->uncommon ? p->high[i] : p->uncommon;
        for (int j = 0; j < dim; j++)
            q[j * p->lanes + i] = a->q[a->offset[row + i] + j] * a->scale;
    }
}

/* Scores [tokens, lanes] of keys from `from` on: those a row does not see become -inf. */
INLINE void attention_mask(const struct attention_panel *p, float *score, int from, int tokens)
{
    for (int lane = 0; lane < p->lanes; lane += W) {
        vi low, high;
        memcpy(&low, p->low + lane, sizeof low);
        memcpy(&high, p->high + lane, sizeof high);
        for (int t = 0; t < tokens; t++) {
            vi seen = (low <= from + t) & (high > from + t);
            float *s = score + t * p->lanes + lane;
            v_store(s, v_select(seen, v_load(s), v_set(-INFINITY)));
        }
    }
}

/* The scores become exponentials; the panel's maxima, totals and sums follow (W lanes of them). */
INLINE void attention_soften(struct attention_panel *p, float *score, int tokens, int dim, int lane)
{
    vf before = v_load(p->max + lane), most[2] = {before, before};
    int t = 0;
    for (; t + 2 <= tokens; t += 2) {
        most[0] = v_max(v_load(score + t * p->lanes + lane), most[0]);
        most[1] = v_max(v_load(score + (t + 1) * p->lanes + lane), most[1]);
    }
    if (t < tokens)
        most[0] = v_max(v_load(score + t * p->lanes + lane), most[0]);
    vf max = v_max(most[0], most[1]);
    v_store(p->max + lane, max);
    /* A row that has seen nothing yet: -inf - -inf is no number, so its maximum counts as 0. */
    max = v_select(max == -INFINITY, (vf){0}, max);
    vf shrink = v_exp(before - max), total = v_load(p->total + lane) * shrink;
    for (t = 0; t < tokens; t++) {
        vf e = v_exp(v_load(score + t * p->lanes + lane) - max);
        v_store(score + t * p->lanes + lane, e);
        total += e;
    }
    v_store(p->total + lane, total);
    for (int i = 0; i < dim; i++)
        v_store(p->sum + i * p->lanes + lane, v_load(p->sum + i * p->lanes + lane) * shrink);
}

INLINE void attention_tile(struct attention_panel *p, const float *keys, const float *values, float *score,
                           int from, int tokens, int dim, const int V)
{
    outer_rows(score, V * W, keys, dim, 1, p->q, dim, false, tokens, V);
    if (from < p->common || from + tokens > p->uncommon)
        attention_mask(p, score, from, tokens);
    for (int v = 0; v < V; v++)
        attention_soften(p, score, tokens, dim, v * W);
    outer_rows(p->sum, V * W, values, 1, dim, score, tokens, true, dim, V);
}

static void attention_many(const struct simd_attention *a)
{
    int dim = a->kv->head_dim, panels = 0;
    float *q = a->scratch, *sum = q + SIMD_ATTENTION_ROWS * dim, *keys = sum + SIMD_ATTENTION_ROWS * dim;
    float *values = keys + TILE * dim, *score = values + TILE * dim;
    struct attention_panel panel[SIMD_ATTENTION_ROWS / GEMM_LANES];
    for (int row = 0; row < a->rows; row += GEMM_LANES)
        attention_open(a, &panel[panels++], row, q + row * dim, sum + row * dim);
    for (int t = a->first; t < a->last; t += TILE) {
        int tokens = a->last - t < TILE ? a->last - t : TILE;
        const float *k = attention_rows(a, a->kv->k, t, tokens, keys);
        const float *v = attention_rows(a, a->kv->v, t, tokens, values);
        for (int i = 0; i < panels; i++) {
            struct attention_panel *p = &panel[i];
            int seen = p->last - t < tokens
                           ? p->last - t
                           : tokens; /* keys beyond the panel's last row are not worth scoring */
            if (seen <= 0 || p->first >= t + tokens)
                continue;
            if (p->lanes == W)
                attention_tile(p, k, v, score, t, seen, dim, 1);
            else
                attention_tile(p, k, v, score, t, seen, dim, 2);
        }
    }
    for (int i = 0; i < panels; i++) {
        struct attention_panel *p = &panel[i];
        int rows = a->rows - p->row < p->lanes ? a->rows - p->row : p->lanes;
        transpose_all(a->sum + (int64_t)p->row * dim, dim, p->sum, p->lanes, dim, rows);
        memcpy(a->max + p->row, p->max, (size_t)rows * sizeof(float));
        memcpy(a->total + p->row, p->total, (size_t)rows * sizeof(float));
    }
}

static void attention(const struct simd_attention *a)
{
    if (a->rows <= FEW_QUERIES)
        attention_few(a);
    else
        attention_many(a);
}
