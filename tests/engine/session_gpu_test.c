/* What a session keeps of a GPU: recorded steps, pages, clock reasons, data sheets, and that it was none. */
#include "engine/export.h"
#include "engine/session_file.h"
#include "engine/summary.h"
#include "tests/engine/session_maker.h"

#include <unistd.h>

static struct session maker_gpu(void)
{
    struct session s = maker_session(1, 2, 6);
    struct session_environment *v = &s.environment;
    strcpy(s.preset.device, "cuda");
    strcpy(v->device, "Test GPU · emulated · 8.0 GiB");
    strcpy(v->gpu_json, "[{\"name\":\"Test GPU (emulated)\",\"uuid\":\"GPU-1\",\"emulated\":true}]");
    strcpy(v->sheet_source, "a test's data sheet");
    v->emulated = true;
    v->copy_bandwidth = 4.4e12;
    v->sheet_bandwidth = 4.8e12;
    for (int i = 0; i < 4; i++) {
        v->sheet_rate[i] = (1 + i) * 1e14;
        v->product_rate[i] = (1 + i) * 0.7e14;
    }
    for (int a = 0; a < 2; a++) {
        struct session_arm *arm = &s.cell[0].arm[a];
        struct block *b = session_new_block(0, a, 0, 0, 2, NULL);
        arm->status = CELL_OK;
        arm->work = (struct model_work){.bytes = 1.6e10, .flops = 2e10, .tokens = 1};
        arm->has_measured = true;
        arm->measured.kv_cache = 123;
        b->samples[0] = b->samples[1] = (struct sample){.device_ns = 4000000, .host_ns = 4100000};
        b->telemetry = (struct block_telemetry){.valid = 511,
                                                .clock_mhz = 1980,
                                                .memory_clock_mhz = 3201,
                                                .utilization = 0.5,
                                                .reasons = 4,
                                                .others = 1.5};
        atomic_store(&b->n, 2);
        CHECK_INT(session_add_block(&s, b, NULL), 0);
    }
    s.cell[0].status = CELL_OK;
    s.cell[0].arm[0].graph.launches = 801;
    s.cell[0].arm[1].graph = (struct runner_graph){357, 8, 9, 357, 1234567890123, 2, 3, 4};
    s.cell[0].arm[1].measured.kv_pages = (struct memory_pages){
        2097152, 7, 1LL << 40, 7 * 2097152, 99, 5, 6, 2097152, 1LL << 33, 28, 3, 4, 2, 3};
    return s;
}

static struct session saved_and_loaded(struct session *s)
{
    struct session back = {0};
    struct error e = {0}, warning = {0};
    char path[64];
    snprintf(path, sizeof path, "/tmp/benchtop-session-gpu-%ld.json", (long)getpid());
    CHECK_INT(session_save(s, path, &e), 0);
    if (session_load(path, &back, &warning, &e) != 0)
        TEST_FAIL("%s", e.text);
    CHECK_STRING(warning.text, "");
    unlink(path);
    return back;
}

TEST(recorded_steps_pages_and_clock_reasons_come_back)
{
    struct session s = maker_gpu(), back = saved_and_loaded(&s);
    const struct session_arm *a = &back.cell[0].arm[1], *was = &s.cell[0].arm[1];
    CHECK(memcmp(&a->graph, &was->graph, sizeof a->graph) == 0);
    CHECK(memcmp(&a->measured, &was->measured, sizeof a->measured) == 0);
    CHECK_INT(back.cell[0].arm[0].graph.nodes, 0);
    CHECK_INT(back.cell[0].arm[0].graph.launches, 801);
    CHECK_INT(back.cell[0].arm[0].measured.kv_pages.page_bytes, 0);
    const struct block_telemetry *t = &a->blocks[0]->telemetry, *then = &was->blocks[0]->telemetry;
    CHECK_INT(t->valid, then->valid);
    CHECK_INT(t->reasons, 4);
    CHECK_CLOSE(t->others, 1.5, 0);
    CHECK_CLOSE(t->memory_clock_mhz, 3201, 0);
    CHECK_CLOSE(t->utilization, 0.5, 0);
    const struct session_environment *v = &back.environment;
    CHECK(v->emulated);
    CHECK_STRING(v->device, s.environment.device);
    CHECK_STRING(v->sheet_source, s.environment.sheet_source);
    CHECK_CLOSE(v->sheet_bandwidth, 4.8e12, 0);
    CHECK(memcmp(v->sheet_rate, s.environment.sheet_rate, sizeof v->sheet_rate) == 0);
    CHECK_CLOSE(v->copy_bandwidth, 4.4e12, 0);
    session_free(&s);
    session_free(&back);
}

TEST(shares_are_of_what_was_measured_and_of_the_data_sheet)
{
    struct session s = maker_gpu();
    struct arm_summary a;
    s.environment.read_bandwidth = 4.4e12;
    CHECK_INT(summary_arm(&s, 0, 0, &a), 0);
    CHECK_CLOSE(a.bandwidth_share, 4e12 / 4.4e12, 1e-12);
    CHECK_CLOSE(a.bandwidth_sheet_share, 4e12 / 4.8e12, 1e-12);
    CHECK_CLOSE(a.flop_sheet_share, 5e12 / 1e14, 1e-12);
    /* weights of 8 bits are multiplied as bf16 on a GPU, as fp32 on a cpu, and as integers where activations
     * have 8 bits too */
    struct implementation i = {.precision = PRECISION_INT8};
    CHECK_INT(session_rate_index("cuda:1", &i), 2);
    CHECK_INT(session_rate_index("cpu", &i), 0);
    i.activations = ACTIVATIONS_INT8;
    CHECK_INT(session_rate_index("cuda", &i), 3);
    i = (struct implementation){.precision = PRECISION_NF4_DQ};
    CHECK_INT(session_rate_index("cuda", &i), 2);
    session_free(&s);
}

TEST(everything_that_is_printed_of_an_emulated_session_says_so)
{
    struct session s = maker_gpu();
    struct error e = {0};
    char *table = table_print(&s, 100, &e);
    CHECK_CONTAINS(table, "emulated");
    free(table);
    for (int i = 0; i < export_n_formats; i++) {
        char *text = export_formats[i].print(&s, &e);
        if (!text || !strstr(text, "emulated"))
            TEST_FAIL("%s does not say that it was emulated", export_formats[i].name);
        free(text);
    }
    session_free(&s);
}
