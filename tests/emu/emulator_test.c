/* The emulator itself: what a kernel may rely on, and what it is stopped for. */
#include "tests/emu/probe.h"
#include "tests/test.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>
#include <unistd.h>

static void *device(size_t bytes)
{
    void *p = NULL;
    CHECK_INT(cudaMalloc(&p, bytes), cudaSuccess);
    return p;
}

static void upload(void *to, const void *from, size_t bytes)
{
    CHECK_INT(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice), cudaSuccess);
}

static void download(void *to, const void *from, size_t bytes)
{
    CHECK_INT(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost), cudaSuccess);
}

/* What a child that runs `body` says on standard error before it dies of a signal. */
static char *words_of_death(void (*body)(void))
{
    static char text[4000];
    int ends[2];
    size_t n = 0;
    ssize_t got;
    fflush(stdout);
    if (pipe(ends) < 0)
        return text;
    pid_t child = fork();
    if (child == 0) {
        dup2(ends[1], 2);
        close(ends[0]);
        body();
        _exit(0);
    }
    close(ends[1]);
    while (n < sizeof text - 1 && (got = read(ends[0], text + n, sizeof text - 1 - n)) > 0)
        n += (size_t)got;
    text[n] = '\0';
    close(ends[0]);
    int status = 0;
    waitpid(child, &status, 0);
    if (!WIFSIGNALED(status) && WEXITSTATUS(status) == 0)
        TEST_FAIL("the child lived: \"%s\"", text);
    return text;
}

TEST(lanes_of_disjoint_masks_shuffle_apart)
{
    int *out = device(32 * sizeof(int)), got[32];
    probe_shuffles(NULL, out);
    download(got, out, sizeof got);
    for (int lane = 0; lane < 32; lane++)
        CHECK_INT(got[lane], (lane ^ 5) * 10);
    cudaFree(out);
}

TEST(lanes_that_left_are_not_waited_for)
{
    int *out = device(2 * sizeof(int)), got[2];
    probe_leavers(NULL, out);
    download(got, out, sizeof got);
    CHECK_INT(got[0], 240); /* 0 + 2 + ... + 30 */
    CHECK_INT((unsigned)got[1], 0x55555555u);
    cudaFree(out);
}

TEST(votes_matches_and_reductions_see_every_lane)
{
    unsigned *out = device(8 * sizeof(unsigned)), got[8];
    probe_votes(NULL, out);
    download(got, out, sizeof got);
    CHECK_INT(got[0], 0x49249249u);
    CHECK_INT(got[1], 1);
    CHECK_INT(got[2], 0);
    CHECK_INT(got[3], 0x0000ff00u); /* lane 9's octet */
    CHECK_INT(got[4], 496);
    CHECK_INT((int)got[5], -5);
    CHECK_INT(got[6], 26);
    CHECK_INT(got[7], 9); /* 9 % 8 < 3: its own value */
    cudaFree(out);
}

TEST(blocks_exchange_through_static_and_dynamic_shared_memory)
{
    enum { N = 1000 };
    float *in = device(N * sizeof(float)), *out = device(N * sizeof(float)), x[N], got[N];
    for (int i = 0; i < N; i++)
        x[i] = (float)i;
    upload(in, x, sizeof x);
    for (int dynamic = 0; dynamic < 2; dynamic++) {
        probe_reverse(NULL, out, in, N, dynamic);
        download(got, out, sizeof got);
        for (int i = 0; i < N; i++)
            CHECK(got[i] == (float)(N - 1 - i));
    }
    cudaFree(in);
    cudaFree(out);
}

static float *fresh;
static void run_uninitialized(void)
{
    probe_uninitialized(NULL, fresh);
}
TEST(shared_memory_that_nobody_has_written_is_not_a_number_and_its_load_is_told)
{
    float got[128];
    fresh = device(128 * sizeof(float));
    if (probe_is_watched()) {
        CHECK_CONTAINS(words_of_death(run_uninitialized),
                       "shared memory is read that the block has not written");
    } else {
        run_uninitialized();
        download(got, fresh, sizeof got);
        for (int i = 0; i < 128; i++)
            CHECK(isnan(got[i]));
    }
    cudaFree(fresh);
}

/* ---- races in shared memory ---- */

static int *race_in, *race_out;
static enum probe_race race_missing;
static void run_race(void)
{
    probe_race(NULL, race_missing, race_out, race_in);
}
TEST(what_barriers_order_is_no_race_and_what_they_do_not_is)
{
    static const struct {
        enum probe_race missing;
        const char *said;
    } cases[] = {
        {PROBE_ORDERED, NULL},
        {PROBE_NO_BARRIER, "are not ordered by a barrier"},
        {PROBE_NO_BARRIER_BACK, "are not ordered by a barrier"},
        {PROBE_WARP_ORDERED, NULL},
        {PROBE_NO_SYNCWARP, "are not ordered by a barrier"},
        {PROBE_HALF_SYNCWARP, "are not ordered by a barrier"},
        {PROBE_COPY_UNSHARED, "are not ordered by a barrier"},
        {PROBE_ATOMIC, NULL},
        {PROBE_ATOMIC_AND_LOAD, "the atomic operation at "},
    };
    int x[64];
    if (!probe_is_watched())
        SKIP("a sanitizer's own build does not watch shared memory");
    race_in = device(sizeof x);
    race_out = device(sizeof x);
    for (int i = 0; i < 64; i++)
        x[i] = i;
    upload(race_in, x, sizeof x);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        race_missing = cases[i].missing;
        if (cases[i].said) {
            const char *said = words_of_death(run_race);
            CHECK_CONTAINS(said, cases[i].said);
            CHECK_CONTAINS(said, "a race in shared memory");
            CHECK_CONTAINS(said, "kernel race, block (0, 0, 0)");
        } else {
            run_race();
        }
    }
    cudaFree(race_in);
    cudaFree(race_out);
}

TEST(barriers_count_their_threads)
{
    int *out = device(3 * sizeof(int)), got[3];
    probe_counted_barrier(NULL, out);
    download(got, out, sizeof got);
    CHECK_INT(got[0], 100);
    CHECK_INT(got[1], 1);
    CHECK_INT(got[2], 0);
    cudaFree(out);
}

static void run_divergent_barrier(void)
{
    probe_divergent_barrier(NULL);
}
TEST(a_deadlock_says_which_threads_wait_where)
{
    const char *said = words_of_death(run_divergent_barrier);
    CHECK_CONTAINS(said, "deadlock in kernel divergent_barrier");
    CHECK_CONTAINS(said, "threads 40 to 40 wait at __shfl_sync of lanes 00000300");
}

static void run_two_barriers(void)
{
    probe_two_barriers(NULL);
}
TEST(threads_of_a_block_must_meet_at_one_barrier)
{
    const char *said = words_of_death(run_two_barriers);
    CHECK_CONTAINS(said, "kernel two_barriers, block (0, 0, 0), thread (32, 0, 0): __syncthreads at ");
    CHECK_CONTAINS(said, "while other threads of the block wait at ");
}

static void run_outside_mask(void)
{
    probe_outside_mask(NULL);
}
TEST(a_lane_must_be_in_its_own_mask)
{
    CHECK_CONTAINS(words_of_death(run_outside_mask), "lane 8 is not in its own mask 000000ff");
}

/* ---- tensor cores ---- */

static float from_half(uint16_t h)
{
    _Static_assert(sizeof h == 2, "");
    int exponent = h >> 10 & 31, mantissa = h & 1023;
    double x = exponent ? ldexp(1024 + mantissa, exponent - 25) : ldexp(mantissa, -24);
    return (float)(h & 0x8000 ? -x : x);
}

static float from_bf16(uint16_t h)
{
    uint32_t bits = (uint32_t)h << 16;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

TEST(mma_of_16_bit_types_is_the_plain_product)
{
    for (int type = PROBE_F16; type <= PROBE_BF16; type++) {
        uint16_t a[16 * 16], b[8 * 16];
        float c[16 * 8], got[16 * 8];
        for (int i = 0; i < 256; i++) /* distinct, of mixed sign, exact in both types */
            a[i] = (uint16_t)((type == PROBE_F16 ? 0x3c00 : 0x3f80) + (i % 64) * (type == PROBE_F16 ? 8 : 1) +
                              (i % 3 ? 0 : 0x8000));
        for (int i = 0; i < 128; i++)
            b[i] = (uint16_t)((type == PROBE_F16 ? 0x3800 : 0x3f00) +
                              (i * 7 % 64) * (type == PROBE_F16 ? 8 : 1) + (i % 5 ? 0 : 0x8000));
        for (int i = 0; i < 128; i++)
            c[i] = (float)i;
        void *da = device(sizeof a), *db = device(sizeof b), *dc = device(sizeof c);
        upload(da, a, sizeof a);
        upload(db, b, sizeof b);
        upload(dc, c, sizeof c);
        probe_mma(NULL, (enum probe_type)type, dc, da, db);
        download(got, dc, sizeof got);
        for (int row = 0; row < 16; row++)
            for (int col = 0; col < 8; col++) {
                double want = c[row * 8 + col];
                for (int k = 0; k < 16; k++)
                    want += type == PROBE_F16
                                ? (double)from_half(a[row * 16 + k]) * from_half(b[col * 16 + k])
                                : (double)from_bf16(a[row * 16 + k]) * from_bf16(b[col * 16 + k]);
                CHECK_CLOSE((double)got[row * 8 + col], want, 1e-5);
            }
        cudaFree(da);
        cudaFree(db);
        cudaFree(dc);
    }
}

TEST(mma_of_bytes_is_the_plain_product_bit_for_bit)
{
    int8_t a[16 * 32], b[8 * 32];
    int c[16 * 8], got[16 * 8];
    for (int i = 0; i < 512; i++)
        a[i] = (int8_t)(i * 37 % 255 - 127);
    for (int i = 0; i < 256; i++)
        b[i] = (int8_t)(i * 91 % 255 - 127);
    for (int i = 0; i < 128; i++)
        c[i] = i - 64;
    void *da = device(sizeof a), *db = device(sizeof b), *dc = device(sizeof c);
    upload(da, a, sizeof a);
    upload(db, b, sizeof b);
    upload(dc, c, sizeof c);
    probe_mma(NULL, PROBE_S8, dc, da, db);
    download(got, dc, sizeof got);
    for (int row = 0; row < 16; row++)
        for (int col = 0; col < 8; col++) {
            int want = c[row * 8 + col];
            for (int k = 0; k < 32; k++)
                want += a[row * 32 + k] * b[col * 32 + k];
            CHECK_INT(got[row * 8 + col], want);
        }
    cudaFree(da);
    cudaFree(db);
    cudaFree(dc);
}

TEST(ldmatrix_hands_out_rows_and_columns)
{
    uint16_t tile[256], got[256];
    for (int i = 0; i < 256; i++)
        tile[i] = (uint16_t)i;
    void *in = device(sizeof tile), *out = device(sizeof got);
    upload(in, tile, sizeof tile);
    for (int transposed = 0; transposed < 2; transposed++) {
        probe_ldmatrix(NULL, out, in, transposed);
        download(got, out, sizeof got);
        for (int lane = 0; lane < 32; lane++)
            for (int matrix = 0; matrix < 4; matrix++)
                for (int e = 0; e < 2; e++) {
                    int row = transposed ? 2 * (lane % 4) + e : lane / 4,
                        col = transposed ? lane / 4 : 2 * (lane % 4) + e;
                    CHECK_INT(got[8 * lane + 2 * matrix + e], tile[64 * matrix + 8 * row + col]);
                }
    }
    cudaFree(in);
    cudaFree(out);
}

TEST(an_asynchronous_copy_shows_at_the_wait_and_not_before)
{
    float in[128], early[128], out[128];
    for (int i = 0; i < 128; i++)
        in[i] = (float)(i + 1);
    float *din = device(sizeof in), *dearly = device(sizeof in), *dout = device(sizeof in);
    upload(din, in, sizeof in);
    probe_copy_async(NULL, dearly, dout, din);
    download(early, dearly, sizeof early);
    download(out, dout, sizeof out);
    for (int i = 0; i < 128; i++) {
        CHECK(isnan(early[i]));
        int from = 127 - i;
        CHECK(out[i] == (from / 4 % 2 ? 0 : in[from])); /* odd lanes took nothing: zeros */
    }
    cudaFree(din);
    cudaFree(dearly);
    cudaFree(dout);
}

static float *unwaited_in;
static void run_unwaited_copy(void)
{
    probe_unwaited_copy(NULL, unwaited_in);
}
TEST(a_copy_that_nobody_waits_for_is_a_fault)
{
    unwaited_in = device(16);
    CHECK_CONTAINS(words_of_death(run_unwaited_copy), "nobody waited for");
    cudaFree(unwaited_in);
}

TEST(a_cooperative_grid_meets_and_keeps_each_blocks_shared_memory)
{
    int *turns = device(2 * sizeof(int)), got[2] = {0, 0};
    upload(turns, got, sizeof got);
    probe_grid_barrier(NULL, turns, 4, 3);
    download(got, turns, sizeof got);
    CHECK_INT(got[0], 12);
    CHECK_INT(got[1], 0);
    cudaFree(turns);
}

TEST(narrow_floats_are_rounded_to_nearest_even)
{
    static const struct {
        float x;
        uint16_t half, bf16;
    } cases[] = {
        {1.0f, 0x3c00, 0x3f80},         {-2.0f, 0xc000, 0xc000},
        {0x1.002p0f, 0x3c00, 0x3f80}, /* a tie down to even */
        {0x1.006p0f, 0x3c02, 0x3f80}, /* a tie up to even */
        {0x1.01p0f, 0x3c04, 0x3f80},  /* bf16's tie */
        {0x1.03p0f, 0x3c0c, 0x3f82},    {65504.0f, 0x7bff, 0x4780},
        {65519.0f, 0x7bff, 0x4780},     {65520.0f, 0x7c00, 0x4780},
        {0x1p-24f, 0x0001, 0x3380},     {0x1p-25f, 0x0000, 0x3300}, /* a tie down to zero */
        {0x1.8p-24f, 0x0002, 0x33c0},   {0x1.ff8p-15f, 0x03ff, 0x3880},
        {0x1.ffep-15f, 0x0400, 0x3880}, {-0.0f, 0x8000, 0x8000},
        {INFINITY, 0x7c00, 0x7f80},     {0x1.ffp127f, 0x7c00, 0x7f80},
    };
    enum { N = sizeof cases / sizeof *cases };
    float in[N], *din = device(sizeof in);
    uint16_t half[N], bf16[N], *dhalf = device(sizeof half), *dbf16 = device(sizeof bf16);
    for (int i = 0; i < N; i++)
        in[i] = cases[i].x;
    upload(din, in, sizeof in);
    probe_half(NULL, dhalf, dbf16, din, N);
    download(half, dhalf, sizeof half);
    download(bf16, dbf16, sizeof bf16);
    for (int i = 0; i < N; i++)
        if (half[i] != cases[i].half || bf16[i] != cases[i].bf16)
            TEST_FAIL("%a is %04x and %04x, not %04x and %04x", (double)cases[i].x, half[i], bf16[i],
                      cases[i].half, cases[i].bf16);
    cudaFree(din);
    cudaFree(dhalf);
    cudaFree(dbf16);
}

TEST(any_order_of_threads_gives_the_same_result)
{
    static const char *const orders[] = {"forward", "reverse", "random:7", "random:8"};
    for (int i = 0; i < 4; i++) {
        int *turns = device(2 * sizeof(int)), got[2] = {0, 0}, *sums = device(2 * sizeof(int)), sum[2];
        setenv("EMULATED_ORDER", orders[i], 1);
        upload(turns, got, sizeof got);
        probe_grid_barrier(NULL, turns, 3, 2);
        download(got, turns, sizeof got);
        probe_leavers(NULL, sums);
        download(sum, sums, sizeof sum);
        CHECK_INT(got[0], 6);
        CHECK_INT(got[1], 0);
        CHECK_INT(sum[0], 240);
        cudaFree(turns);
        cudaFree(sums);
    }
    unsetenv("EMULATED_ORDER");
}
