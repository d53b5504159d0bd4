#include "engine/compare.h"
#include "engine/import.h"
#include "stats/stats.h"
#include "tests/test.h"

#include <unistd.h>

static char path[64];

static const char *file(const char *name, const void *bytes, size_t size)
{
    snprintf(path, sizeof path, "/tmp/benchtop-import-%d-%s", (int)getpid(), name);
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(bytes, 1, size, f) != size)
        TEST_FAIL("%s cannot be written", path);
    if (f)
        fclose(f);
    return path;
}

static int import(const char *text, struct session *s, char note[256], struct error *e)
{
    memset(s, 0, sizeof *s);
    int result = import_session(file("x.json", text, strlen(text)), s, note, 256, e);
    unlink(path);
    return result;
}

static const char llama_bench[] =
    "[{\"build_commit\":\"abc\",\"cpu_info\":\"EPYC\",\"gpu_info\":\"\",\"backends\":\"CPU\","
    "\"model_filename\":\"/models/tiny.gguf\",\"model_type\":\"llama 1B\",\"n_threads\":4,\"type_k\":\"f16\","
    "\"type_v\":\"f16\",\"n_gpu_layers\":99,\"flash_attn\":true,\"n_prompt\":512,\"n_gen\":0,\"n_depth\":0,"
    "\"avg_ns\":1,\"stddev_ns\":99999999,\"samples_ns\":[1000000,1100000,1200000,1000000,1000000]},"
    "{\"build_commit\":\"abc\",\"model_filename\":\"/models/tiny.gguf\",\"n_threads\":4,\"n_gpu_layers\":99,"
    "\"flash_attn\":1,\"n_prompt\":0,\"n_gen\":128,\"n_depth\":4096,\"avg_ns\":1,"
    "\"samples_ns\":[128000000,256000000]}]";

TEST(llama_bench_repetitions_are_blocks_and_decode_is_told_per_token)
{
    struct session s;
    struct error e = {0};
    char note[256];
    CHECK_INT(import(llama_bench, &s, note, &e), 0);
    CHECK_INT(s.n_cells, 2);
    CHECK_STRING(s.cell[0].model, "tiny.gguf");
    CHECK_INT(s.cell[0].workload, WORKLOAD_PREFILL);
    CHECK_INT(s.cell[0].seq, 512);
    CHECK_STRING(s.cell[0].arm[0].name, "llama.cpp ngl 99 fa 1 t 4 f16 f16");
    CHECK_INT(s.cell[0].arm[0].n_blocks, 5);
    CHECK_INT(s.cell[1].workload, WORKLOAD_DECODE);
    CHECK_INT(s.cell[1].seq, 4096);
    CHECK_INT(s.cell[1].arm[0].blocks[1]->samples[0].device_ns, 2000000);
    CHECK_STRING(s.environment.cpu, "");
    CHECK_STRING(s.git_commit, "abc");
    CHECK_CONTAINS(note, "each repetition is a block");
    session_free(&s);
}

TEST(json_lines_are_read_too)
{
    struct session s;
    struct error e = {0};
    char note[256];
    CHECK_INT(import("{\"n_prompt\":8,\"n_gen\":0,\"avg_ns\":1,\"samples_ns\":[5,6]}\n\n"
                     "{\"n_prompt\":8,\"n_gen\":4,\"avg_ns\":1,\"samples_ns\":[7]}\n",
                     &s, note, &e),
              0);
    CHECK_INT(s.n_cells, 2);
    CHECK_INT(s.cell[1].workload, WORKLOAD_GENERATE);
    CHECK_INT(s.cell[1].tokens, 4);
    session_free(&s);
}

TEST(vllm_latencies_and_requests_are_read)
{
    struct session s;
    struct error e = {0};
    char note[256];
    CHECK_INT(import("{\"avg_latency\":1,\"latencies\":[0.5,0.25],\"percentiles\":{\"50\":1}}", &s, note, &e),
              0);
    CHECK_INT(s.cell[0].arm[0].blocks[1]->samples[0].device_ns, 250000000);
    CHECK_CONTAINS(note, "names no model");
    session_free(&s);
    CHECK_INT(
        import("{\"model_id\":\"m\",\"backend\":\"vllm\",\"request_throughput\":1,\"total_output_tokens\":5,"
               "\"max_concurrency\":2,\"ttfts\":[0.1,0,0.2],\"itls\":[[0.01,0.02],[],[0.03]]}",
               &s, note, &e),
        0);
    CHECK_INT(s.n_cells, 2);
    CHECK_INT(s.cell[0].arm[0].n_blocks, 2); /* the failed request has none */
    CHECK_INT(s.cell[1].arm[0].n_blocks, 2);
    CHECK_INT(s.cell[1].arm[0].blocks[0]->n, 2);
    CHECK_CONTAINS(note, "not independent");
    session_free(&s);
}

TEST(hyperfine_commands_are_cells)
{
    struct session s;
    struct error e = {0};
    char note[256];
    CHECK_INT(import("{\"results\":[{\"command\":\"sleep 1\",\"mean\":1,\"times\":[1.01,1.02,1.0]},"
                     "{\"command\":\"sleep 2\",\"times\":[2.0]}]}",
                     &s, note, &e),
              0);
    CHECK_INT(s.n_cells, 2);
    CHECK_STRING(s.cell[0].model, "sleep 1");
    CHECK_INT(s.cell[0].workload, WORKLOAD_COMMAND);
    CHECK_INT(s.cell[0].arm[0].n_blocks, 3);
    session_free(&s);
}

TEST(nvbench_samples_stand_in_a_file_beside_and_become_blocks)
{
    struct session s;
    struct error e = {0};
    char note[256], text[1024], bin[64];
    float samples[105];
    for (int i = 0; i < 105; i++)
        samples[i] = 1e-3f;
    strcpy(bin, file("0.bin", samples, sizeof samples));
    snprintf(text, sizeof text,
             "{\"meta\":{},\"devices\":[{\"name\":\"H200\"}],\"benchmarks\":[{\"name\":\"copy\",\"states\":[{"
             "\"name\":\"n=1\","
             "\"summaries\":[{\"tag\":\"nv/json/bin:nv/cold/"
             "sample_times\",\"data\":[{\"name\":\"filename\",\"type\":"
             "\"string\",\"value\":\"%s\"}]}]}]}]}",
             strrchr(bin, '/') + 1);
    CHECK_INT(import(text, &s, note, &e), 0);
    CHECK_STRING(s.cell[0].model, "copy n=1");
    CHECK_INT(s.cell[0].arm[0].n_blocks, 21);
    CHECK_INT(s.cell[0].arm[0].blocks[0]->n, 5);
    session_free(&s);
    unlink(bin);
    CHECK_INT(import(text, &s, note, &e), -1);
    CHECK_CONTAINS(e.text, "keep the .bin files beside it");
}

TEST(files_without_samples_say_what_to_do)
{
    struct session s;
    struct error e = {0};
    char note[256];
    CHECK_INT(import("[{\"n_prompt\":512,\"n_gen\":0,\"avg_ns\":5,\"stddev_ns\":1}]", &s, note, &e), -1);
    CHECK_CONTAINS(e.text, "llama-bench -o json");
    e = (struct error){0};
    CHECK_INT(import("{\"meta\":{},\"benchmarks\":[{\"states\":[{\"summaries\":[]}]}]}", &s, note, &e), -1);
    CHECK_CONTAINS(e.text, "--jsonbin");
    e = (struct error){0};
    CHECK_INT(import("{\"results\":[{\"command\":\"x\",\"times\":[1,\"y\"]}]}", &s, note, &e), -1);
    CHECK_CONTAINS(e.text, "numbers alone");
    e = (struct error){0};
    CHECK_INT(import("{\"results\":[{\"command\":\"x\",\"times\":[1,-1]}]}", &s, note, &e), -1);
    CHECK_CONTAINS(e.text, "no latency");
}

TEST(what_is_not_theirs_is_left_alone)
{
    struct session s;
    struct error e = {0};
    char note[256];
    CHECK_INT(import("{\"schema\":\"benchtop/session/1\",\"results\":[{\"command\":1}]}", &s, note, &e),
              IMPORT_NOT_MINE);
    CHECK_INT(import("{}", &s, note, &e), IMPORT_NOT_MINE);
    CHECK_INT(import("[]", &s, note, &e), IMPORT_NOT_MINE);
    CHECK_INT(import("not json", &s, note, &e), IMPORT_NOT_MINE);
    CHECK_INT(import_session("/nonexistent", &s, note, sizeof note, &e), IMPORT_NOT_MINE);
}

TEST(two_files_of_another_tool_compare_by_our_definitions)
{
    struct session base, candidate;
    struct compare_result r = {0};
    struct error e = {0};
    char note[256];
    stats_init();
    CHECK_INT(import("{\"results\":[{\"command\":\"x\",\"times\":[1.00,1.01,0.99,1.00,1.01,0.99]}]}", &base,
                     note, &e),
              0);
    CHECK_INT(import("{\"results\":[{\"command\":\"x\",\"times\":[1.20,1.21,1.19,1.20,1.21,1.19]}]}",
                     &candidate, note, &e),
              0);
    CHECK_INT(compare_sessions(&base, &candidate, 5, &r, &e), 0);
    CHECK_INT(r.n, 1);
    CHECK_INT(r.row[0].comparison.verdict, VERDICT_SLOWER);
    CHECK_INT(r.regressions, 1);
    CHECK_CLOSE(r.row[0].change_pct, 20, 0.1);
    compare_free(&r);
    session_free(&base);
    session_free(&candidate);
}
