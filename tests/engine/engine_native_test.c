/* Whole runs of the native engine on a model of toy size: seam, plan, gate and session together. */
#include "engine/device_file.h"
#include "engine/engine.h"
#include "engine/summary.h"
#include "tests/engine/fake_run.h"
#include <sys/stat.h>

static char cache[96];

static void write_text(const char *path, const char *text)
{
    struct error e = {0};
    if (device_file_write(path, text, &e) < 0)
        TEST_FAIL("%s", e.text);
}

/* Ceilings in a cache of our own: measuring them is not what these tests are about. */
static void prepare_files(void)
{
    struct device d;
    struct error e = {0};
    char path[600], text[512], *here = getcwd(NULL, 0), absolute[4200];
    snprintf(cache, sizeof cache, "build/native-cache-%ld", (long)getpid());
    snprintf(absolute, sizeof absolute, "%s/%s", here, cache);
    free(here);
    mkdir(cache, 0777);
    setenv("XDG_CACHE_HOME", absolute, 1);
    CHECK_INT(device_find("cpu", &d, &e), 0);
    CHECK_INT(device_file_cache(path, sizeof path, "", true, &e), 0);
    snprintf(text, sizeof text,
             "machine %s, %d cores\nothers 0\nread_bandwidth 4e10\nproduct_fp32 4e11\nproduct_fp16 4e11\n"
             "product_bf16 8e11\nproduct_int8 4e11\n",
             d.environment.cpu, d.environment.cores);
    write_text(path, text);
}

static void drop_files(void)
{
    char path[160];
    unlink(fake_toy());
    snprintf(path, sizeof path, "%s/benchtop/device", cache);
    unlink(path);
    snprintf(path, sizeof path, "%s/benchtop", cache);
    rmdir(path);
    rmdir(cache);
}

static struct engine *run(const char *rest)
{
    char json[2048];
    snprintf(json, sizeof json,
             "{\"schema\":\"benchtop/preset/"
             "1\",\"name\":\"t\",\"device\":\"cpu\",\"models\":[\"%s\"],\"threads\":1,"
             "\"rounds\":3,\"max_rounds\":3,\"samples_per_block\":4,\"seed\":9,%s}",
             fake_toy(), rest);
    return fake_run(json);
}

TEST(arms_of_the_native_engine_are_measured_and_agree)
{
    prepare_files();
    struct engine *g =
        run("\"arms\":[\"baseline\",\"fused\",\"optimized\"],"
            "\"workloads\":[\"prefill\",\"decode\",\"generate\"],\"tokens\":4,\"batch\":[1,3],\"seq\":[17]");
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK_INT(s->status, SESSION_COMPLETE);
    CHECK(s->environment.simd[0] && s->environment.product[0]);
    CHECK_CLOSE(s->environment.read_bandwidth, 4e10, 1e-9);
    for (int c = 0; c < s->n_cells; c++) {
        CHECK_INT(s->cell[c].status, CELL_OK);
        for (int a = 0; a < 3; a++) {
            const struct session_arm *arm = &s->cell[c].arm[a];
            CHECK_INT(arm->status, CELL_OK);
            CHECK_INT(arm->n_blocks, 3);
            for (int b = 0; b < arm->n_blocks; b++) {
                CHECK_INT(arm->blocks[b]->n, 4);
                for (int i = 0; i < arm->blocks[b]->n; i++) {
                    const struct sample *x = &arm->blocks[b]->samples[i];
                    CHECK(x->device_ns > 0 && x->host_ns > 0);
                    if (s->cell[c].workload != WORKLOAD_DECODE) /* free-running: the host sees submission */
                        CHECK(x->host_ns >= x->device_ns);
                    if (s->cell[c].workload == WORKLOAD_GENERATE)
                        CHECK(x->first_ns > 0 && x->first_ns < x->device_ns);
                }
            }
            CHECK_CLOSE((double)arm->measured.weights, (double)arm->predicted.weights, 0.05);
            CHECK_CLOSE((double)arm->measured.kv_cache, (double)arm->predicted.kv_cache, 0.05);
            CHECK_CLOSE((double)arm->measured.activations, (double)arm->predicted.activations, 0.05);
            if (a > 0)
                CHECK(arm->output.checked && arm->output.passed);
        }
    }
    fake_end(g);
    drop_files();
}

TEST(unsupported_and_lossy_arms_stand_beside_others)
{
    prepare_files();
    struct engine *g = run("\"arms\":[\"baseline\",{\"name\":\"graph\",\"launch\":\"graph\"},"
                           "{\"name\":\"int8\",\"precision\":\"int8\"}],"
                           "\"workloads\":[\"decode\"],\"batch\":[2],\"seq\":[9]");
    if (!g)
        return;
    const struct session_cell *c = &engine_session(g)->cell[0];
    CHECK_INT(c->status, CELL_OK);
    CHECK_INT(c->arm[1].status, CELL_UNSUPPORTED);
    CHECK_CONTAINS(c->arm[1].reason, "cuda");
    CHECK_INT(c->arm[1].n_blocks, 0);
    CHECK_INT(c->arm[2].n_blocks, 3);
    CHECK(c->arm[2].output.checked && c->arm[2].output.passed);
    CHECK(isnan(c->arm[2].output.tolerance));
    CHECK(c->arm[2].output.max_relative_error > 1e-6); /* it does round */
    CHECK(c->arm[2].output.kl < 0.1);
    fake_end(g);
    drop_files();
}
