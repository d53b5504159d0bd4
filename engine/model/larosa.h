/* Rotations for sparse activations (Liu et al. 2025, "La RoSA", section 3.2): one orthogonal matrix per
 * model, in whose basis few entries of a normalized activation carry most of its length, so that the others
 * can be left out of products.
 *
 * One basis for all layers: the residual stream is kept in it from the embedding to the head, so that a step
 * multiplies by no rotation at all. With one per layer every layer would carry the residual over by a d x d
 * product, read densely: at 40 % sparsity a ninth more of a 1 B llama's weights. RMSNorm commutes with
 * rotations once its weight is folded into the products that follow it.
 *
 * A rotation file is 128 bytes of header, then d x d floats, row i the basis vector i, little-endian: magic
 * "BTROTATE", version (u32) 1, d (u32), identity of the model (u64), hash of the text (u64), tokens (u64),
 * FNV-1a of the floats (u64), name of the model (64 bytes, zero-padded), 16 zeros. It is read as any
 * stranger's file. */
#pragma once

#include "engine/model/weights.h"

enum { LAROSA_D_MAX = 32768 };

struct larosa {
    int d;
    float *basis; /* [d, d], row i is basis vector i: rotated x [i] = x . basis [i] */
    uint64_t model, text;
    int64_t tokens; /* that it was made of */
    char name[64];  /* of the model */
};

/* What weights a rotation was made for: dimensions and seed of synthetic ones, size and 64 samples of a file.
 * Adapted vocabularies and precisions of one model share a rotation. -1 where the file cannot be read. */
int larosa_identity(const struct model_spec *m, uint64_t seed, uint64_t *out, struct error *e);
/* The file of a model's rotation, $XDG_DATA_HOME/benchtop/rotations/NAME-IDENTITY.rotation; create: makes the
 * folders. */
int larosa_path(const struct model_spec *m, uint64_t seed, bool create, char *out, size_t size,
                struct error *e);

/* Bytes of a file, checked: sizes, sums, finite, orthogonal. NULL with the reason, `what` names the file. */
struct larosa *larosa_parse(const unsigned char *bytes, size_t n, const char *what, struct error *e);
struct larosa *larosa_read(const char *path, struct error *e);
/* Replaces the file when all of it is written. */
int larosa_write(const struct larosa *l, const char *path, struct error *e);
/* Whether there is a file, without reading it: -1 UNSUPPORTED naming the command that makes it. */
int larosa_known(const struct model_spec *m, uint64_t seed, struct error *e);
/* The rotation of a model's weights; fails as larosa_known and larosa_read do, and on one of others'. */
struct larosa *larosa_find(const struct model_spec *m, uint64_t seed, struct error *e);
void larosa_free(struct larosa *l); /* NULL is fine */

/* Turns dense weights of a llama into rotated ones with the products of layers by input channel, in place:
 * beside them it holds one matrix. On failure (MEMORY, CANCELLED) w is to be released. */
int larosa_turn(struct weights *w, const struct larosa *l, void (*progress)(void *, const char *, double),
                bool (*cancelled)(void *), void *who, struct error *e);

void larosa_free_head(struct weights *w); /* own_head's */

/* Makes a model's rotation from token ids: runs windows of at most `window` tokens through the dense weights,
 * adds up the second moments of the normalized inputs of every layer's two blocks in double, adds a hundredth
 * of their mean to the diagonal, and takes the eigenvectors. NULL: MEMORY, CANCELLED, FAILED. */
struct larosa_report {
    double run_s, moments_s, eigen_s;
    char solver[64]; /* "LAPACK of libopenblas.so.0" */
    /* Share of an activation's squared length in what 40 % sparsity keeps of it, in the new basis and in the
     * old one, over some hundred of the activations. */
    double kept, unrotated;
};
struct larosa *larosa_calibrate(struct kernels *k, struct weights *w, const int32_t *id, int64_t n,
                                int window, void (*progress)(void *, const char *, double),
                                bool (*cancelled)(void *), void *who, struct larosa_report *report,
                                struct error *e);

/* The same from names, written to `out` or, NULL, where larosa_find looks. */
struct larosa_request {
    const char *device; /* "cpu", "cuda[:N]" */
    const struct model_spec *model;
    enum precision_kind precision;
    uint64_t seed;
    const char *text; /* a file, or a text of the catalog */
    int tokens;       /* at most */
    const char *out;
};
struct larosa_made {
    struct larosa_report report;
    int64_t tokens;
    double load_s;
    /* Whose ids the text became: the model's own vocabulary, or for synthetic weights of a model whose
     * vocabulary may not be shipped another one (any row of random weights is as good): borrowed. */
    char vocabulary[64], path[640];
    bool borrowed;
};
int larosa_make(const struct larosa_request *q, void (*progress)(void *, const char *, double), void *who,
                struct larosa_made *out, struct error *e);
