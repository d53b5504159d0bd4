#include "engine/engine.h"

#include "engine/session_file.h"
#include "tests/engine/fake_run.h"
#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#define HEAD      "\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\"],"
#define TWO_ARMS  "\"arms\":[\"baseline\",\"fused\"],"
#define LAW(mean) "{\"law\":\"normal\",\"mean_ms\":" mean ",\"within_sd\":0.02,\"between_sd\":0.001}"
#define FAST                                                                                                 \
    "{" HEAD TWO_ARMS                                                                                        \
    "\"workloads\":[\"prefill\"],\"batch\":[1],\"seq\":[64],\"rounds\":10,\"max_rounds\":10,\"seed\":7,"     \
    "\"fake\":{\"arms\":{\"baseline\":" LAW("10") ",\"fused\":" LAW("8") "}}}"

/* Three cells of batch 1, 2, 4; what stands in `more` is added to the preset. */
#define SWEEP(more)                                                                                          \
    "{" HEAD TWO_ARMS                                                                                        \
    "\"workloads\":[\"prefill\"],\"batch\":[1,2,4],\"seq\":[64],\"rounds\":3,\"max_rounds\":3," more "}"

static double arm_mean_ms(const struct session *s, int cell, int arm)
{
    double sum = 0;
    int n = 0;
    const struct session_arm *a = &s->cell[cell].arm[arm];
    for (int b = 0; b < a->n_blocks; b++)
        for (int i = 0; i < a->blocks[b]->n; i++, n++)
            sum += (double)a->blocks[b]->samples[i].device_ns / 1e6;
    return sum / n;
}

/* Minutes of sleeping, so that a command given at the first block meets a run in progress. */
static struct engine *start_long(const char *rounds)
{
    char json[1024];
    snprintf(
        json, sizeof json,
        "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"%s\"]," TWO_ARMS
        "\"workloads\":[\"prefill\"],\"batch\":[1,2],\"seq\":[64],\"rounds\":%s,\"max_rounds\":%s,"
        "\"samples_per_block\":2,\"fake\":{\"arms\":{\"baseline\":" LAW("1") ",\"fused\":" LAW("1") "}}}",
        fake_toy(), rounds, rounds);
    struct preset p = fake_preset(json);
    struct engine *g = fake_start_at(&p, NULL, true);
    preset_free(&p);
    unlink(fake_toy());
    return g;
}

TEST(a_run_takes_the_planned_rounds_of_every_arm)
{
    struct engine *g = fake_run(FAST);
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK_INT(s->status, SESSION_COMPLETE);
    CHECK_INT(s->n_cells, 1);
    CHECK_INT(s->cell[0].status, CELL_OK);
    CHECK_STRING(s->cell[0].stop_rule, "planned rounds");
    for (int a = 0; a < 2; a++) {
        const struct session_arm *arm = &s->cell[0].arm[a];
        CHECK_INT(arm->n_blocks, 10);
        CHECK_INT(arm->status, CELL_OK);
        CHECK(arm->has_measured);
        CHECK_INT(arm->measured.peak, arm->predicted.peak);
        CHECK(arm->work.flops > 0);
        CHECK(arm->cold_start_ns > 0);
        CHECK(arm->time_to_steady_ns >= arm->cold_start_ns);
        CHECK(arm->blocks[0]->n_warmup > 0);
        for (int b = 0; b < arm->n_blocks; b++) {
            CHECK_INT(arm->blocks[b]->round, b);
            CHECK_INT(arm->blocks[b]->n, arm->blocks[b]->capacity);
            CHECK(b == 0 || arm->blocks[b]->n_warmup == 0);
        }
    }
    CHECK(s->cell[0].arm[0].load_ns > 0);
    CHECK_INT(s->cell[0].arm[1].load_ns, 0); /* shared */
    CHECK_CLOSE(arm_mean_ms(s, 0, 0), 10, 0.005);
    CHECK_CLOSE(arm_mean_ms(s, 0, 1), 8, 0.005);
    fake_end(g);
}

TEST(blocks_hold_about_a_third_of_a_second_of_samples)
{
    struct engine *g = fake_run(FAST);
    if (!g)
        return;
    int n = engine_session(g)->cell[0].arm[0].blocks[0]->capacity;
    CHECK(n >= 25 && n <= 45); /* 0.3 s / sqrt(10 ms x 8 ms) = 33 */
    fake_end(g);
}

TEST(both_arms_pass_the_gate_with_equal_outputs)
{
    struct engine *g = fake_run(FAST);
    if (!g)
        return;
    const struct output_check *c = &engine_session(g)->cell[0].arm[1].output;
    CHECK(c->checked && c->passed);
    CHECK_CLOSE(c->top1_agreement, 1, 0);
    CHECK_CLOSE(c->max_relative_error, 0, 0);
    CHECK_CLOSE(c->tolerance, 1e-3, 1e-12);
    CHECK(c->input_hash == engine_session(g)->cell[0].arm[0].output.input_hash);
    fake_end(g);
}

TEST(the_log_folds_into_the_same_session)
{
    struct engine *g = fake_run(SWEEP("\"seed\":3"));
    if (!g)
        return;
    struct session mine = {0};
    struct error e = {0};
    const struct session *s = engine_session(g);
    CHECK_INT(session_layout(&mine, engine_preset(g), &e), 0);
    size_t n = log_length(engine_log(g));
    for (size_t i = 0; i < n; i++)
        if (session_apply(&mine, log_get(engine_log(g), i), &e) < 0)
            TEST_FAIL("entry %zu: %s", i, e.text);
    CHECK_INT(mine.status, s->status);
    CHECK_INT(session_samples(&mine), session_samples(s));
    CHECK_STRING(mine.environment.cpu, s->environment.cpu);
    for (int c = 0; c < s->n_cells; c++) {
        CHECK_INT(mine.cell[c].status, s->cell[c].status);
        CHECK_STRING(mine.cell[c].stop_rule, s->cell[c].stop_rule);
        for (int a = 0; a < 2; a++) {
            CHECK_INT(mine.cell[c].arm[a].n_blocks, s->cell[c].arm[a].n_blocks);
            CHECK(mine.cell[c].arm[a].blocks[0] == s->cell[c].arm[a].blocks[0]);
            CHECK_INT(mine.cell[c].arm[a].measured.peak, s->cell[c].arm[a].measured.peak);
        }
    }
    CHECK_INT(log_get(engine_log(g), n - 1)->kind, LOG_RUN_FINISHED);
    CHECK_STRING(log_get(engine_log(g), n - 1)->text, fake_path());
    session_free(&mine);
    fake_end(g);
}

TEST(the_session_file_has_what_the_worker_saw)
{
    struct engine *g = fake_run(SWEEP("\"seed\":3"));
    if (!g)
        return;
    struct session read = {0};
    struct error warning = {0}, e = {0};
    const struct session *s = engine_session(g);
    if (session_load(fake_path(), &read, &warning, &e) < 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK_INT(read.status, SESSION_COMPLETE);
    CHECK_INT(session_samples(&read), session_samples(s));
    CHECK_STRING(read.version, s->version);
    for (int c = 0; c < 3; c++)
        for (int b = 0; b < 3; b++) {
            const struct block *x = s->cell[c].arm[1].blocks[b], *y = read.cell[c].arm[1].blocks[b];
            CHECK_INT(x->n, y->n);
            CHECK_INT(x->samples[0].device_ns, y->samples[0].device_ns);
        }
    CHECK(access(fake_journal(), F_OK) != 0);
    session_free(&read);
    fake_end(g);
}

TEST(a_journal_without_its_session_has_the_closed_blocks)
{
    struct engine *g = start_long("10000");
    if (!g)
        return;
    struct session read = {0};
    struct error warning = {0}, e = {0};
    CHECK(fake_await(g, LOG_BLOCK_DONE));
    engine_command(g, ENGINE_PAUSE);
    CHECK(fake_await(g, LOG_PAUSED));
    if (session_load(fake_journal(), &read, &warning, &e) < 0)
        TEST_FAIL("%s", e.text);
    else
        CHECK_INT(read.cell[0].arm[0].n_blocks + read.cell[0].arm[1].n_blocks, fake_count(g, LOG_BLOCK_DONE));
    session_free(&read);
    fake_end(g);
}

TEST(a_disk_that_refuses_the_session_costs_the_file_and_not_the_run)
{
    struct preset p = fake_preset(FAST);
    struct error e = {0};
    char folder[64], away[80], path[96], journal[128];
    snprintf(folder, sizeof folder, "%s/fake-folder-%ld", fake_folder(), (long)getpid());
    snprintf(away, sizeof away, "%s-away", folder);
    snprintf(path, sizeof path, "%s/s.json", folder);
    snprintf(journal, sizeof journal, "%s/s.json.journal", away);
    mkdir(folder, 0777);
    struct engine_options o = {.preset = &p, .session_path = path, .wake_fd = -1, .realtime = true};
    struct engine *g = engine_start(&o, &e);
    preset_free(&p);
    if (!g) {
        TEST_FAIL("%s", e.text);
        return;
    }
    CHECK(fake_await(g, LOG_BLOCK));
    rename(folder, away); /* the session's place is gone before the run ends */
    engine_command(g, ENGINE_STOP);
    engine_join(g);
    CHECK_INT(engine_session(g)->status, SESSION_STOPPED);
    CHECK(engine_session(g)->cell[0].arm[0].n_blocks + engine_session(g)->cell[0].arm[1].n_blocks > 0);
    const struct log_entry *last = log_get(engine_log(g), log_length(engine_log(g)) - 1);
    CHECK_INT(last->kind, LOG_RUN_FINISHED);
    CHECK(strcmp(last->text, path) != 0);
    CHECK_CONTAINS(last->text, folder);
    CHECK(access(journal, F_OK) == 0); /* what was written stays, where no session could be */
    engine_free(g);
    unlink(journal);
    rmdir(away);
}

TEST(a_place_that_cannot_be_written_is_refused_at_the_start)
{
    struct preset p = fake_preset(FAST);
    struct error e = {0};
    struct engine_options o = {.preset = &p, .session_path = "build/no/such/folder/s.json", .wake_fd = -1};
    CHECK(!engine_start(&o, &e));
    CHECK_CONTAINS(e.text, "build/no/such/folder");
    preset_free(&p);
}

/* As the interface does it: woken by the eventfd, folding what is new, reading samples that the worker is
 * still publishing. The thread sanitizer watches this one. */
TEST(a_reader_folds_while_the_worker_writes)
{
    struct preset p = fake_preset(SWEEP("\"samples_per_block\":20,\"seed\":3"));
    struct error e = {0};
    struct session mine = {0};
    p.rounds = p.max_rounds = 60;
    int wake = eventfd(0, EFD_NONBLOCK);
    struct engine_options o = {.preset = &p, .session_path = fake_path(), .wake_fd = wake};
    struct engine *g = engine_start(&o, &e);
    if (!g || session_layout(&mine, &p, &e) < 0) {
        TEST_FAIL("%s", e.text);
        return;
    }
    size_t seen = 0;
    int64_t sum = 0;
    while (mine.status == SESSION_RUNNING) {
        struct pollfd poll_fd = {.fd = wake, .events = POLLIN};
        if (poll(&poll_fd, 1, 5000) != 1) {
            TEST_FAIL("nothing new for 5 s after %zu entries", seen);
            break;
        }
        uint64_t count;
        CHECK_INT(read(wake, &count, sizeof count), 8);
        for (size_t n = log_length(engine_log(g)); seen < n; seen++)
            CHECK_INT(session_apply(&mine, log_get(engine_log(g), seen), &e), 0);
        sum = 0;
        for (int c = 0; c < mine.n_cells; c++)
            for (int a = 0; a < 2; a++)
                for (int b = 0; b < mine.cell[c].arm[a].n_blocks; b++) {
                    const struct block *k = mine.cell[c].arm[a].blocks[b];
                    int ready = atomic_load_explicit(&k->n, memory_order_acquire);
                    for (int i = 0; i < ready; i++)
                        sum += k->samples[i].device_ns;
                }
        (void)engine_eta_s(g);
    }
    CHECK_INT(mine.status, SESSION_COMPLETE);
    engine_join(g);
    CHECK_INT(session_samples(&mine), session_samples(engine_session(g)));
    CHECK_INT(session_samples(&mine), 3 * 2 * 60 * 20);
    CHECK(sum > 0);
    session_free(&mine);
    preset_free(&p);
    close(wake);
    fake_end(g);
}

TEST(the_same_seed_gives_the_same_samples)
{
    struct engine *a = fake_run(FAST), *b = fake_run(FAST);
    if (!a || !b)
        return;
    const struct session_arm *x = &engine_session(a)->cell[0].arm[1], *y = &engine_session(b)->cell[0].arm[1];
    CHECK_INT(x->n_blocks, y->n_blocks);
    for (int i = 0; i < x->n_blocks; i++)
        CHECK(memcmp(x->blocks[i]->samples, y->blocks[i]->samples,
                     (size_t)x->blocks[i]->n * sizeof(struct sample)) == 0);
    fake_end(a);
    fake_end(b);
}

TEST(precision_ends_a_cell_after_the_planned_rounds)
{
    struct engine *g =
        fake_run("{" HEAD TWO_ARMS
                 "\"workloads\":[\"prefill\"],\"batch\":[1],\"seq\":[64],\"rounds\":5,\"max_rounds\":200,"
                 "\"half_width\":0.01,\"fake\":{\"arms\":{"
                 "\"baseline\":{\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0.01,\"between_sd\":0.02},"
                 "\"fused\":{\"law\":\"normal\",\"mean_ms\":9,\"within_sd\":0.01,\"between_sd\":0.02}}}}");
    if (!g)
        return;
    const struct session_cell *c = &engine_session(g)->cell[0];
    int n = c->arm[0].n_blocks;
    CHECK_STRING(c->stop_rule, "precision");
    CHECK_INT(c->status, CELL_OK);
    CHECK(n > 10 && n < 100); /* t x 0.028 / sqrt(n) = 0.01: about 33 */
    fake_end(g);
}

TEST(the_cap_ends_a_cell_that_stays_imprecise)
{
    struct engine *g =
        fake_run("{" HEAD TWO_ARMS
                 "\"workloads\":[\"prefill\"],\"batch\":[1],\"seq\":[64],\"rounds\":4,\"max_rounds\":12,"
                 "\"half_width\":0.001,\"fake\":{\"arms\":{"
                 "\"baseline\":{\"law\":\"normal\",\"mean_ms\":10,\"within_sd\":0.01,\"between_sd\":0.2},"
                 "\"fused\":{\"law\":\"normal\",\"mean_ms\":9,\"within_sd\":0.01,\"between_sd\":0.2}}}}");
    if (!g)
        return;
    CHECK_STRING(engine_session(g)->cell[0].stop_rule, "cap");
    CHECK_INT(engine_session(g)->cell[0].arm[1].n_blocks, 12);
    fake_end(g);
}

TEST(the_time_budget_is_shared_by_the_cells_and_ends_the_run)
{
    struct engine *g = fake_run(SWEEP("\"half_width\":0.0001,\"budget_s\":20,\"fake\":{\"arms\":{"
                                      "\"baseline\":" LAW("10") ",\"fused\":" LAW("8") "}}"));
    if (!g)
        return;
    const struct session *s = engine_session(g);
    for (int c = 0; c < 3; c++)
        CHECK_INT(s->cell[c].status, CELL_OK);
    CHECK(engine_now_ns(g) < 21000000000);
    fake_end(g);
    g = fake_run(SWEEP("\"budget_s\":0.05,\"fake\":{\"arms\":{\"baseline\":" LAW("10") "}}"));
    if (!g)
        return;
    s = engine_session(g);
    CHECK_INT(s->status, SESSION_STOPPED);
    CHECK_INT(s->cell[2].status, CELL_STOPPED);
    CHECK_STRING(s->cell[2].stop_rule, "budget");
    CHECK_CONTAINS(s->cell[2].reason, "time budget");
    fake_end(g);
}

TEST(a_larger_cell_is_not_tried_after_one_ran_out_of_memory)
{
    struct engine *g =
        fake_run("{" HEAD TWO_ARMS
                 "\"workloads\":[\"prefill\"],\"batch\":[1,2],\"seq\":[64,128],\"rounds\":2,\"max_rounds\":2,"
                 "\"fake\":{\"faults\":{\"1\":\"out_of_memory\"}}}");
    if (!g)
        return;
    const struct session *s = engine_session(g); /* cells: seq 64 b 1, b 2; seq 128 b 1, b 2 */
    CHECK_INT(s->cell[0].status, CELL_OK);
    CHECK_INT(s->cell[1].status, CELL_OUT_OF_MEMORY);
    CHECK_CONTAINS(s->cell[1].reason, "GiB");
    CHECK_INT(s->cell[2].status, CELL_OK);
    CHECK_INT(s->cell[3].status, CELL_SKIPPED);
    CHECK_CONTAINS(s->cell[3].reason, "batch 2, seq 64 ran out of memory");
    CHECK_INT(s->status, SESSION_COMPLETE);
    fake_end(g);
}

TEST(a_failing_cell_says_why_and_the_sweep_goes_on)
{
    struct engine *g = fake_run(SWEEP("\"fake\":{\"faults\":{\"1\":\"failed\"}}"));
    if (!g)
        return;
    const struct session *s = engine_session(g);
    CHECK_INT(s->cell[0].status, CELL_OK);
    CHECK_INT(s->cell[1].status, CELL_FAILED);
    CHECK_CONTAINS(s->cell[1].reason, "failed in cell 1");
    CHECK_INT(s->cell[2].status, CELL_OK);
    fake_end(g);
}

TEST(stop_ends_a_hang_and_keeps_what_was_measured)
{
    struct preset p = fake_preset(SWEEP("\"fake\":{\"faults\":{\"1\":\"hang\"}}"));
    struct engine *g = fake_start(&p, NULL);
    preset_free(&p);
    if (!g)
        return;
    CHECK(fake_await(g, LOG_CELL_DONE));
    fake_sleep_ms(20);
    CHECK(engine_running(g));
    engine_command(g, ENGINE_STOP);
    engine_join(g);
    CHECK(!engine_running(g));
    const struct session *s = engine_session(g);
    CHECK_INT(s->status, SESSION_STOPPED);
    CHECK_INT(s->cell[0].status, CELL_OK);
    CHECK_INT(s->cell[1].status, CELL_STOPPED);
    CHECK_STRING(s->cell[1].stop_rule, "user");
    CHECK_INT(s->cell[2].status, CELL_STOPPED);
    fake_end(g);
}

/* Beside a cell that takes nearly all of the predicted time, one that wants more than it was predicted to
 * take gets half of an equal part all the same. */
TEST(no_cell_gets_less_than_half_of_an_equal_part_of_the_budget)
{
    struct engine *g = fake_run(
        "{\"schema\":\"benchtop/preset/1\",\"name\":\"t\",\"device\":\"fake\",\"models\":[\"gpt2-124m\","
        "\"llama3-70b\"],\"arms\":[\"baseline\"],\"workloads\":[\"decode\"],\"batch\":[1],\"seq\":[128],"
        "\"rounds\":5,\"max_rounds\":1000,\"half_width\":0.0001,\"samples_per_block\":20,\"budget_s\":40}");
    const struct session *s = engine_session(g);
    double spent = 0;
    for (int i = 0; i < s->cell[0].arm[0].n_blocks; i++) {
        const struct block *b = s->cell[0].arm[0].blocks[i];
        for (int k = 0; k < b->n; k++)
            spent += (double)b->samples[k].device_ns / 1e9;
    }
    CHECK(spent > 8 && spent < 10.5); /* of 40 s: by prediction it would get 0.1 s */
    fake_end(g);
}

TEST(the_time_budget_ends_a_hang)
{
    struct engine *g = fake_run(SWEEP("\"budget_s\":10,\"fake\":{\"faults\":{\"1\":\"hang\"}}"));
    if (!g)
        return;
    CHECK_INT(engine_session(g)->cell[0].status, CELL_OK);
    CHECK_INT(engine_session(g)->cell[1].status, CELL_STOPPED);
    CHECK_STRING(engine_session(g)->cell[1].stop_rule, "budget");
    fake_end(g);
}

TEST(a_pause_holds_until_continue)
{
    struct engine *g = start_long("10000");
    if (!g)
        return;
    CHECK(fake_await(g, LOG_BLOCK_DONE));
    engine_command(g, ENGINE_PAUSE);
    CHECK(fake_await(g, LOG_PAUSED));
    size_t n = log_length(engine_log(g));
    fake_sleep_ms(30);
    CHECK_INT(log_length(engine_log(g)), n);
    engine_command(g, ENGINE_CONTINUE);
    CHECK(fake_await(g, LOG_RESUMED));
    engine_command(g, ENGINE_PAUSE);
    engine_command(g, ENGINE_STOP); /* ends a pause too */
    engine_join(g);
    CHECK_INT(engine_session(g)->status, SESSION_STOPPED);
    fake_end(g);
}

TEST(skip_leaves_the_cell_and_measures_the_next)
{
    struct engine *g = start_long("10000");
    if (!g)
        return;
    CHECK(fake_await(g, LOG_BLOCK_DONE));
    engine_command(g, ENGINE_SKIP_CELL);
    CHECK(fake_await(g, LOG_CELL_DONE));
    for (int i = 0; i < 1000 && fake_count(g, LOG_CELL_STARTED) < 2; i++)
        fake_sleep_ms(1);
    int64_t done = fake_count(g, LOG_BLOCK_DONE);
    for (int i = 0; i < 1000 && fake_count(g, LOG_BLOCK_DONE) < done + 2; i++)
        fake_sleep_ms(1);
    engine_command(g, ENGINE_STOP);
    engine_join(g);
    const struct session *s = engine_session(g);
    CHECK_INT(s->cell[0].status, CELL_SKIPPED);
    CHECK_CONTAINS(s->cell[0].reason, "skipped by the user");
    CHECK(s->cell[0].arm[0].n_blocks + s->cell[0].arm[1].n_blocks > 0);
    CHECK(s->cell[1].arm[0].n_blocks + s->cell[1].arm[1].n_blocks > 0);
    fake_end(g);
}

TEST(more_rounds_extend_the_current_cell_by_ten)
{
    struct engine *g = start_long("20");
    if (!g)
        return;
    CHECK(fake_await(g, LOG_CELL_STARTED));
    engine_command(g, ENGINE_MORE_ROUNDS);
    engine_join(g);
    CHECK_INT(engine_session(g)->cell[0].rounds_planned, 30);
    CHECK_INT(engine_session(g)->cell[0].arm[0].n_blocks, 30);
    fake_end(g);
}

TEST(a_resumed_run_keeps_whole_cells_and_measures_the_others)
{
    struct engine *g = fake_run(SWEEP("\"seed\":5,\"fake\":{\"faults\":{\"1\":\"failed\"}}"));
    if (!g)
        return;
    struct preset p = fake_preset(SWEEP("\"seed\":6"));
    struct engine *h = fake_start(&p, engine_session(g));
    preset_free(&p);
    if (!h)
        return;
    engine_join(h);
    const struct session *old = engine_session(g), *s = engine_session(h);
    for (int c = 0; c < 3; c++)
        CHECK_INT(s->cell[c].status, CELL_OK);
    for (int c = 0; c < 3; c += 2)
        for (int b = 0; b < 3; b++) {
            const struct block *x = s->cell[c].arm[1].blocks[b], *y = old->cell[c].arm[1].blocks[b];
            CHECK(x != y);
            CHECK_INT(x->n, y->n);
            CHECK(memcmp(x->samples, y->samples, (size_t)x->n * sizeof(struct sample)) == 0);
        }
    CHECK_STRING(s->cell[0].stop_rule, "planned rounds");
    fake_end(h);
    fake_end(g);
}

TEST(what_is_left_is_bounded_and_shrinks)
{
    struct engine *g = start_long("10000");
    if (!g)
        return;
    CHECK(fake_await(g, LOG_BLOCK_DONE));
    fake_sleep_ms(5);
    engine_command(g, ENGINE_PAUSE);
    CHECK(fake_await(g, LOG_PAUSED));
    double left = engine_eta_s(g);
    CHECK(left > 60 && left < 600); /* 2 cells x 10000 rounds x 4 ms, and what sleeping adds */
    engine_command(g, ENGINE_STOP);
    engine_join(g);
    CHECK_CLOSE(engine_eta_s(g), 0, 0);
    fake_end(g);
}

TEST(commands_in_any_order_end_in_a_whole_session)
{
    struct preset p = fake_preset(SWEEP("\"samples_per_block\":8,\"fake\":{\"faults\":{\"1\":\"hang\"}}"));
    p.rounds = 60;
    p.max_rounds = 90;
    uint64_t random = 7;
    for (int k = 0; k < 40; k++) {
        struct engine *g = fake_start(&p, NULL);
        if (!g)
            break;
        for (int i = 0; i < k % 12; i++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            engine_command(g, (enum engine_command)((random >> 40) % 5));
            nanosleep(&(struct timespec){0, (long)((random >> 33) % 2000000)}, NULL);
            (void)engine_eta_s(g);
        }
        engine_command(g, ENGINE_STOP);
        engine_join(g);
        size_t n = log_length(engine_log(g));
        CHECK_INT(log_get(engine_log(g), n - 1)->kind, LOG_RUN_FINISHED);
        for (int c = 0; c < 3; c++) {
            enum cell_status status = engine_session(g)->cell[c].status;
            CHECK(status != CELL_PENDING && status != CELL_RUNNING);
        }
        fake_end(g);
    }
    preset_free(&p);
}

TEST(impossible_requests_start_nothing)
{
    struct preset p =
        fake_preset("{" HEAD TWO_ARMS "\"workloads\":[\"prefill\"],\"batch\":[1],\"seq\":[4096]}");
    struct error e = {0};
    struct engine_options o = {.preset = &p, .session_path = fake_path(), .wake_fd = -1};
    CHECK(!engine_start(&o, &e));
    CHECK_INT(e.kind, ERROR_USAGE);
    CHECK_CONTAINS(e.text, "4096");
    CHECK_CONTAINS(e.text, "1024");
    snprintf(p.device, sizeof p.device, "tpu");
    CHECK(!engine_start(&o, &e));
    CHECK_CONTAINS(e.text, "cpu, cuda or fake");
    preset_free(&p);
}

TEST(the_worker_leaves_signals_to_the_main_thread)
{
    struct engine *g = start_long("10000");
    if (!g)
        return;
    sigset_t now;
    pthread_sigmask(SIG_SETMASK, NULL, &now);
    CHECK(!sigismember(&now, SIGINT)); /* the starting thread's own mask is as it was */
    CHECK(fake_await(g, LOG_BLOCK_DONE));
    DIR *d = opendir("/proc/self/task");
    int others = 0;
    for (struct dirent *f; d && (f = readdir(d));) {
        char path[300], line[128];
        unsigned long long blocked = 0;
        if (f->d_name[0] == '.' || atoi(f->d_name) == getpid())
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", f->d_name);
        FILE *status = fopen(path, "r");
        while (status && fgets(line, sizeof line, status))
            sscanf(line, "SigBlk: %llx", &blocked);
        if (status)
            fclose(status);
        CHECK(blocked >> (SIGINT - 1) & 1);
        CHECK(blocked >> (SIGWINCH - 1) & 1);
        others++;
    }
    if (d)
        closedir(d);
    CHECK(others >= 2); /* worker and telemetry */
    fake_end(g);        /* stops and joins a running one */
}
