/* The backend as a whole: opening, what it says, memory, events, product libraries, measured ceilings. */
#define _GNU_SOURCE /* program_invocation_name */
#include "tests/kernels/fixture.h"
#include <errno.h>
#include <omp.h>

static struct kernels *open_with(int threads, const char *product, const char *simd, char *why)
{
    struct kernels_config config = {threads, product, simd};
    if (threads == 2 && omp_get_thread_limit() < 2) /* the TSan run */
        config.threads = 1;
    why[0] = '\0';
    return kernels_open_cpu(&config, why, 200);
}

TEST(open_says_what_is_wrong_with_an_unknown_or_impossible_choice)
{
    char why[200];
    CHECK(!open_with(1, "nonesuch", "auto", why));
    CHECK_CONTAINS(why, "nonesuch");
    CHECK_CONTAINS(why, "onednn");
    CHECK(!open_with(1, "own", "mmx", why));
    CHECK_CONTAINS(why, "mmx");
    CHECK_CONTAINS(why, "avx2");
    CHECK(!open_with(-1, "own", "auto", why));
    CHECK_CONTAINS(why, "threads");
}

TEST(every_level_opens_or_says_what_the_cpu_lacks)
{
    int opened = 0;
    for (int i = 0; i < LEVELS; i++) {
        char why[200];
        struct kernels *k = open_with(1, "own", levels[i], why);
        struct kernels_info info;
        if (k) {
            k->ops->info(k, &info);
            CHECK_STRING(info.simd, levels[i]);
            k->ops->close(k);
            opened++;
        } else {
            CHECK_CONTAINS(why, levels[i]);
        }
    }
    CHECK(opened >= 1);
}

TEST(a_team_that_openmp_would_cut_short_is_refused)
{
    char why[200] = "", command[300];
    if (omp_get_thread_limit() !=
        2) { /* the limit is read when a process starts: ask this very test in one of its own */
        snprintf(command, sizeof command,
                 "OMP_THREAD_LIMIT=2 %s a_team_that_openmp_would_cut_short | grep -q '^1 passed, 0 failed'",
                 program_invocation_name);
        CHECK_INT(system(command), 0);
        return;
    }
    CHECK(open_with(3, "own", "auto", why) == NULL);
    CHECK_CONTAINS(why, "OMP_THREAD_LIMIT allows 2 threads, not 3");
    struct kernels *k = open_with(0, "own", "auto", why);
    CHECK(k != NULL);
    if (k)
        k->ops->close(k);
}

TEST(info_tells_threads_level_product_and_affinity)
{
    char why[200];
    if (omp_get_thread_limit() < 3)
        SKIP("OMP_THREAD_LIMIT leaves too few threads");
    struct kernels *k = open_with(3, "own", "portable", why);
    struct kernels_info info;
    k->ops->info(k, &info);
    CHECK_STRING(info.backend, "cpu");
    CHECK_STRING(info.simd, "portable");
    CHECK_STRING(info.product, "own loops");
    CHECK_STRING(info.product_why, "");
    CHECK_INT(info.threads, 3);
    CHECK_CONTAINS(info.affinity, "core");
    CHECK_CONTAINS(info.affinity, "pinned");
    k->ops->close(k);
    k = open_with(0, "auto", "auto", why);
    k->ops->info(k, &info);
    CHECK(info.threads >= 1);
    /* Our own loops are chosen only with the reason; a library of the second choice likewise. */
    CHECK(strstr(info.product, "oneDNN") || info.product_why[0] != '\0');
    k->ops->close(k);
}

TEST(memory_is_aligned_zeroed_counted_and_refused_when_there_is_none)
{
    struct kernels *k = open_level("auto", "own", 2);
    static const size_t sizes[] = {1, 63, 64, 4097, (2 << 20) - 1, 2 << 20, (5 << 20) + 3};
    char *p[7];
    size_t total = 0;
    for (int i = 0; i < 7; i++) {
        p[i] = k->ops->alloc(k, sizes[i]);
        CHECK(p[i] && (uintptr_t)p[i] % 64 == 0);
        for (size_t j = 0; j < sizes[i]; j++)
            if (p[i][j]) {
                TEST_FAIL("byte %zu of %zu is not zero", j, sizes[i]);
                break;
            }
        memset(p[i], 0xff, sizes[i]);
        total += sizes[i];
        CHECK_INT(k->ops->allocated(k), total);
    }
    CHECK(!k->ops->alloc(k, (size_t)1 << 60));
    CHECK(!k->ops->alloc(k, SIZE_MAX - 10));
    CHECK_INT(k->ops->allocated(k), total);
    for (int i = 0; i < 7; i++)
        k->ops->free(k, p[i], sizes[i]);
    k->ops->free(k, NULL, 100);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(what_is_uploaded_comes_back_and_events_measure_forward)
{
    struct kernels *k = open_level("auto", "own", 2);
    char to[100], from[100], *device = k->ops->alloc(k, 100);
    for (int i = 0; i < 100; i++)
        from[i] = (char)i;
    struct kernel_event *a = k->ops->event_create(k), *b = k->ops->event_create(k);
    k->ops->event_record(k, a);
    k->ops->upload(k, device, from, 100);
    k->ops->download(k, to, device, 100);
    k->ops->event_record(k, b);
    k->ops->synchronize(k);
    CHECK(memcmp(to, from, 100) == 0);
    CHECK(k->ops->event_span_ns(k, a, b) >= 0 && k->ops->event_span_ns(k, a, b) < 10000000000);
    CHECK_INT(k->ops->event_span_ns(k, a, b), -k->ops->event_span_ns(k, b, a));
    k->ops->event_destroy(k, a), k->ops->event_destroy(k, b);
    k->ops->free(k, device, 100);
    k->ops->close(k);
}

TEST(every_product_library_found_agrees_with_our_own_loops)
{
    static const char *const names[] = {"onednn", "cblas"};
    enum { ROWS = 130, N = 333, COLS = 264 };
    struct kernels *own = open_level("auto", "own", 2);
    float *plain, *x = noise_array(ROWS * COLS), *bias = noise_array(N),
                  *out = malloc(ROWS * N * sizeof *out);
    double *want = malloc(ROWS * N * sizeof *want);
    int found = 0;
    struct kernel_matrix m = new_matrix(own, KERNEL_FP32, N, COLS, 8, &plain);
    for (int i = 0; i < 2; i++)
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            char why[200];
            struct kernels *k = open_with(2, names[i], "auto", why);
            if (!k) {
                CHECK_CONTAINS(why, "install");
                continue;
            }
            found++;
            struct kernel_epilogue epilogue = {bias, KERNEL_GELU_TANH, accumulate};
            struct kernels *both[] = {own, k};
            for (int j = 0; j < 2; j++) {
                size_t bytes = both[j]->ops->product_workspace(both[j], &m, ROWS);
                void *workspace = both[j]->ops->alloc(both[j], bytes);
                for (int e = 0; e < ROWS * N; e++)
                    out[e] = (float)(e % 7);
                both[j]->ops->product(both[j], out, N, x, COLS, &m, &epilogue, ROWS, workspace);
                both[j]->ops->free(both[j], workspace, bytes);
                for (int e = 0; e < ROWS * N && j == 0; e++)
                    want[e] = (double)out[e];
            }
            check_near(names[i], "auto", out, want, ROWS * N, 4e-6, sqrt(COLS));
            k->ops->close(k);
        }
    free_matrix(own, &m, plain);
    own->ops->close(own);
    free(x), free(bias), free(out), free(want);
    if (!found)
        SKIP("neither oneDNN nor a CBLAS is installed");
}

TEST(measured_ceilings_are_plausible_rates)
{
    struct kernels *k = open_level("auto", "auto", 0);
    double bandwidth = k->ops->measure_read(k, 0.05);
    double rate = kernels_measure_product_rate(k, KERNEL_FP32, false, 64, 256, 256, 0.02);
    CHECK(bandwidth > 1e8 && bandwidth < 1e14);
    CHECK(rate > 1e7 && rate < 1e16);
    CHECK_INT(k->ops->allocated(k), 0);
    k->ops->close(k);
}

TEST(a_view_of_rows_shares_data_and_scales)
{
    int8_t data[12];
    float scales[4];
    struct kernel_matrix m = {KERNEL_INT8, 4, 3, data, scales}, v = kernel_matrix_rows(&m, 2, 2);
    CHECK(v.data == data + 6 && v.scales == scales + 2 && v.rows == 2 && v.cols == 3);
    CHECK_INT(kernel_matrix_bytes(KERNEL_INT8, 4, 3), 12 + 16);
    CHECK_INT(kernel_matrix_bytes(KERNEL_BF16, 4, 3), 24);
    CHECK_STRING(kernel_dtype_name(KERNEL_BF16), "bf16");
}

TEST(workspaces_never_shrink_as_rows_or_context_grow)
{
    for (int threads = 1; threads < 20; threads += 6)
        for (int library = 0; library < 2; library++) {
            struct kernels *k = open_level("auto", library ? "auto" : "own", threads);
            size_t product[KERNEL_DTYPES] = {0}, gate_up[KERNEL_DTYPES] = {0}, head[KERNEL_DTYPES] = {0},
                   flash[2] = {0};
            for (int n = 1; n < 1100; n += n < 150 ? 1 : 13) {
                for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++) {
                    struct kernel_matrix m = {(enum kernel_dtype)dtype, 5000,
                                              whole_cols((enum kernel_dtype)dtype, 96), NULL, NULL};
                    size_t now[] = {k->ops->product_workspace(k, &m, n), k->ops->gate_up_workspace(k, &m, n),
                                    k->ops->head_argmax_workspace(k, &m, n)};
                    CHECK(now[0] >= product[dtype] && now[1] >= gate_up[dtype] && now[2] >= head[dtype]);
                    product[dtype] = now[0], gate_up[dtype] = now[1], head[dtype] = now[2];
                }
                struct kernel_attention a = {3, 1, 64, 1, 0, true};
                struct kernel_batch longer = {1, 1, 1, n, NULL, NULL}, more = {1, n, n, 2000, NULL, NULL};
                size_t now[] = {k->ops->attention_flash_workspace(k, &a, &longer),
                                k->ops->attention_flash_workspace(k, &a, &more)};
                CHECK(now[0] >= flash[0] && now[1] >= flash[1]);
                flash[0] = now[0], flash[1] = now[1];
            }
            k->ops->close(k);
        }
}
