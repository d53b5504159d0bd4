/* Rotated weights and sparse activations: against the reference that leaves out the same entries, and the
 * files that rotations come from. */
#include "engine/model/larosa.h"
#include "engine/model/model.h"
#include "engine/model/native.h"
#include "engine/model/native_judge.h"

#include "tests/test.h"

#include <fcntl.h>
#include <omp.h>
#include <sys/stat.h>
#include <unistd.h>

static struct kernels *open_cpu(int threads)
{
    char why[256] = "";
    int limit = omp_get_thread_limit(); /* the TSan run has one */
    struct kernels_config config = {threads < limit ? threads : limit, "own", "auto"};
    struct kernels *k = kernels_open_cpu(&config, why, sizeof why);
    if (!k) {
        printf("%s\n", why);
        exit(1);
    }
    return k;
}

static const enum precision_kind precisions[] = {PRECISION_FP32, PRECISION_FP16, PRECISION_BF16,
                                                 PRECISION_INT8};
enum { N_PRECISIONS = sizeof precisions / sizeof *precisions };

static void check(struct judge *j, struct implementation *i, double tolerance, int sequences,
                  const int *lengths, int steps)
{
    char name[128];
    struct error e = {0};
    double error = judge_run(j, i, sequences, lengths, steps, &e);
    implementation_describe(i, name, sizeof name);
    if (!(error <= tolerance))
        TEST_FAIL("%s %s: %g, more than %g %s", j->model->name, name, error, tolerance, e.text);
}

static void check_all(struct judge *j, struct implementation *i, double tolerance)
{
    check(j, i, tolerance, 1, (const int[]){1}, 0);
    check(j, i, tolerance, 1, (const int[]){37}, 0);       /* masked */
    check(j, i, tolerance, 1, (const int[]){5}, 14);       /* listed */
    check(j, i, tolerance, 3, (const int[]){3, 12, 5}, 2); /* each sequence its own list */
}

TEST(rotated_weights_that_keep_every_channel_are_the_original_model)
{
    struct kernels *k = open_cpu(2);
    for (int m = 0; m < 3; m++)
        for (int p = 0; p < N_PRECISIONS; p++) {
            struct judge j;
            struct implementation i;
            implementation_default(&i);
            i.precision = precisions[p];
            i.sparsity = 1e-9;
            CHECK_INT(model_kept(judge_models[m].d_model, i.sparsity, true), judge_models[m].d_model);
            CHECK_INT(judge_open_rotated(&j, k, &judge_models[m], i.precision, NULL), 0);
            /* rounded once more, to the weights' own type; int8 to a 127th of each row's largest */
            double tolerance = judge_tolerance_on(k, &i);
            check_all(&j, &i, i.precision == PRECISION_INT8 ? 5e-2 : 2 * tolerance);
            judge_close(&j);
        }
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(every_fusion_leaves_out_what_the_reference_leaves_out)
{
    struct kernels *k = open_cpu(2);
    for (int m = 0; m < 3; m++) {
        struct judge j;
        struct implementation i;
        implementation_default(&i);
        i.sparsity = 0.4;
        CHECK_INT(judge_open_sparse(&j, k, &judge_models[m], i.precision, i.sparsity, NULL), 0);
        for (unsigned fusion = 0; fusion <= FUSION_FULL; fusion += m == 0 ? 1 : 9) {
            i.fusion = fusion;
            i.attention = fusion % 2 ? ATTENTION_FLASH : ATTENTION_NAIVE;
            check(&j, &i, judge_sparse_tolerance(k, &i), 1, (const int[]){5}, 6);
            if (fusion % 9 == 0)
                check_all(&j, &i, judge_sparse_tolerance(k, &i));
        }
        judge_close(&j);
    }
    k->ops->close(k);
}

TEST(every_sparsity_leaves_out_what_the_reference_leaves_out)
{
    static const double sparsities[] = {0.1, 0.25, 0.5, 0.9};
    struct kernels *k = open_cpu(2);
    for (int m = 0; m < 3; m++)
        for (int s = 0; s < 4; s++) {
            struct judge j;
            struct implementation i;
            implementation_default(&i);
            i.sparsity = sparsities[s];
            i.fusion = s % 2 ? FUSION_FULL : 0;
            CHECK_INT(judge_open_sparse(&j, k, &judge_models[m], i.precision, i.sparsity, NULL), 0);
            check_all(&j, &i, judge_sparse_tolerance(k, &i));
            judge_close(&j);
        }
    k->ops->close(k);
}

TEST(small_weights_leave_out_about_what_the_reference_leaves_out)
{
    struct kernels *k = open_cpu(2);
    for (int p = 1; p < N_PRECISIONS; p++) {
        struct judge j;
        struct implementation i;
        implementation_default(&i);
        i.precision = precisions[p];
        i.sparsity = 0.25;
        i.fusion = FUSION_FULL;
        CHECK_INT(judge_open_sparse(&j, k, &judge_models[0], i.precision, i.sparsity, NULL), 0);
        check_all(&j, &i, judge_sparse_tolerance(k, &i));
        judge_close(&j);
    }
    k->ops->close(k);
}

/* ---- weights ---- */

TEST(rotated_weights_are_as_large_as_predicted_and_shared_by_all_sparsities)
{
    struct kernels *k = open_cpu(1);
    float basis[64 * 64] = {0};
    for (int i = 0; i < 64; i++)
        basis[i * 64 + (i * 7 + 3) % 64] = i % 2 ? -1 : 1;
    struct larosa l = {.d = 64, .basis = basis};
    struct weights_request q = {
        .model = &judge_models[0], .precision = PRECISION_BF16, .seed = 1, .sparsity = 0.4, .rotation = &l};
    struct weights *w = weights_create(k, &q, NULL, NULL, NULL, NULL);
    CHECK_INT(w->bytes, weights_bytes(&q));
    CHECK_INT(k->ops->allocated(k), w->bytes);
    CHECK(w->layer[1].qkv.channel_stride == w->layer[1].qkv.rows);
    q.sparsity = 0.25;
    CHECK(weights_match(w, &q));
    q.sparsity = 0;
    CHECK(!weights_match(w, &q));
    weights_release(w);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

static bool refuse_now(void *who)
{
    return --*(int *)who < 0;
}

TEST(a_rotation_that_is_stopped_or_has_no_memory_leaves_nothing)
{
    struct kernels *k = open_cpu(1);
    float basis[64 * 64] = {0};
    for (int i = 0; i < 64; i++)
        basis[i * 64 + i] = 1;
    struct larosa l = {.d = 64, .basis = basis};
    struct weights_request q = {
        .model = &judge_models[0], .precision = PRECISION_FP32, .seed = 1, .sparsity = 0.4, .rotation = &l};
    for (int after = 0; after < 30; after += 3) {
        int left = after;
        struct error e = {0};
        struct weights *w = weights_create(k, &q, NULL, refuse_now, &left, &e);
        if (!w)
            CHECK_INT(e.kind, ERROR_CANCELLED);
        weights_release(w);
        CHECK_INT(k->ops->allocated(k), 0);
    }
    k->ops->close(k);
}

TEST(a_file_is_known_by_what_it_holds_when_asked_again_and_when_it_changed)
{
    struct model_spec m = judge_models[0];
    uint64_t first = 0, again = 1, changed = 0, back = 0;
    struct error e = {0};
    const char *const text[] = {"0123456789", "0123x56789", "0123456789"};
    uint64_t *const out[] = {&first, &changed, &back};
    snprintf(m.file, sizeof m.file, "/tmp/larosa_identity.%ld", (long)getpid());
    for (int i = 0; i < 3; i++) {
        FILE *f = fopen(m.file, "w");
        CHECK(f && fputs(text[i], f) >= 0 && fclose(f) == 0);
        struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000 + i}};
        CHECK_INT(utimensat(AT_FDCWD, m.file, times, 0), 0);
        CHECK_INT(larosa_identity(&m, 1, out[i], &e), 0);
        CHECK_INT(larosa_identity(&m, 1, &again, &e), 0);
        CHECK(again == *out[i]);
    }
    CHECK(first != changed && first == back);
    unlink(m.file);
    CHECK_INT(larosa_identity(&m, 1, &again, &e), -1);
    CHECK(again == first);
}

/* ---- files ---- */

static char folder[64];

static void enter_folder(void)
{
    snprintf(folder, sizeof folder, "/tmp/larosa_test.XXXXXX");
    CHECK(mkdtemp(folder) != NULL);
    setenv("XDG_DATA_HOME", folder, 1);
}

static void leave_folder(void)
{
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    CHECK_INT(system(command), 0);
}

static struct larosa *reflection(int d)
{
    struct larosa *l = calloc(1, sizeof *l);
    l->d = d;
    l->tokens = 77;
    l->text = 5;
    snprintf(l->name, sizeof l->name, "a model");
    l->basis = calloc((size_t)d * (size_t)d, sizeof *l->basis);
    for (int r = 0; r < d; r++)
        for (int c = 0; c < d; c++)
            l->basis[r * d + c] = (float)(r == c) - 2.0f / (float)d;
    return l;
}

TEST(a_rotation_reads_back_as_it_was_written_and_is_found_by_its_model)
{
    enter_folder();
    struct error e = {0};
    char path[640];
    const struct model_spec *m = &judge_models[0];
    CHECK_INT(larosa_known(m, 1, &e), -1);
    CHECK(larosa_find(m, 1, &e) == NULL);
    CHECK_INT(e.kind, ERROR_UNSUPPORTED);
    CHECK_CONTAINS(e.text, "run `benchtop calibrate-larosa llama --text tinyshakespeare` first");
    struct larosa *l = reflection(m->d_model), *back;
    CHECK_INT(larosa_identity(m, 1, &l->model, NULL), 0);
    CHECK_INT(larosa_path(m, 1, true, path, sizeof path, NULL), 0);
    CHECK_INT(larosa_write(l, path, NULL), 0);
    back = larosa_find(m, 1, &e);
    CHECK(back && back->d == l->d && back->tokens == 77 && back->text == 5);
    CHECK_STRING(back->name, "a model");
    CHECK(memcmp(back->basis, l->basis, (size_t)(l->d * l->d) * sizeof(float)) == 0);
    CHECK_INT(larosa_known(m, 1, &e), 0);
    CHECK_INT(larosa_known(m, 2, &e), -1); /* other weights */
    CHECK_CONTAINS(e.text, "--seed 2");
    larosa_free(back);
    l->model++;
    CHECK_INT(larosa_write(l, path, NULL), 0);
    CHECK(larosa_find(m, 1, &e) == NULL);
    CHECK_CONTAINS(e.text, "other weights (a model)");
    larosa_free(l);
    leave_folder();
}

TEST(damaged_rotations_are_refused_in_words)
{
    enter_folder();
    char path[128];
    snprintf(path, sizeof path, "%s/r", folder);
    struct larosa *l = reflection(24);
    CHECK_INT(larosa_write(l, path, NULL), 0);
    static unsigned char bytes[128 + 24 * 24 * 4 + 1], copy[sizeof bytes];
    FILE *f = fopen(path, "rb");
    size_t n = fread(bytes, 1, sizeof bytes, f);
    fclose(f);
    CHECK_INT(n, sizeof bytes - 1);
    for (size_t cut = 0; cut <= n + 1; cut += cut < 130 ? 1 : 97) { /* shorter, and one longer */
        struct error e = {0};
        struct larosa *back = larosa_parse(bytes, cut, "r", &e);
        CHECK((back != NULL) == (cut == n) && (back || e.text[0]));
        larosa_free(back);
    }
    for (size_t at = 0; at < n; at += at < 16 ? 1 : 61) { /* every field but names, and the matrix */
        struct error e = {0};
        memcpy(copy, bytes, n);
        copy[at] ^= 0x55;
        struct larosa *back = larosa_parse(copy, n, "r", &e);
        CHECK((back == NULL) == (at < 16 || (at >= 40 && at < 48) || at >= 128));
        larosa_free(back);
    }
    l->basis[7] *= 3; /* whole, but no rotation */
    CHECK_INT(larosa_write(l, path, NULL), 0);
    struct error e = {0};
    CHECK(larosa_read(path, &e) == NULL);
    CHECK_CONTAINS(e.text, "damaged");
    l->basis[7] = NAN;
    CHECK_INT(larosa_write(l, path, NULL), 0);
    CHECK(larosa_read(path, &e) == NULL);
    CHECK(larosa_read(folder, &e) == NULL);
    CHECK(larosa_read("/dev/null/none", &e) == NULL);
    CHECK_INT(larosa_write(l, "/dev/null/none/r", &e), -1);
    larosa_free(l);
    leave_folder();
}

TEST(what_cannot_be_sparse_is_refused_in_words)
{
    struct implementation i;
    struct error e = {0};
    implementation_default(&i);
    i.sparsity = 0.4;
    CHECK_INT(native_supports("cpu", &judge_models[0], &i, WORKLOAD_DECODE, &e), 0);
    CHECK_INT(native_supports("cpu", &judge_models[3], &i, WORKLOAD_DECODE, &e), -1);
    CHECK_CONTAINS(e.text, "gpt2 is no llama");
    i.precision = PRECISION_NF4;
    CHECK_INT(native_supports("cpu", &judge_models[0], &i, WORKLOAD_DECODE, &e), -1);
    CHECK_CONTAINS(e.text, "choose precision fp32, fp16, bf16 or int8");
}
