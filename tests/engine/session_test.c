#include "engine/session.h"

#include "engine/resume.h"
#include "tests/test.h"
#include <sys/stat.h>
#include <unistd.h>

static struct preset small_preset(void)
{
    struct preset p = {0};
    preset_default(&p);
    snprintf(p.name, sizeof p.name, "my preset/1.0");
    p.n_models = p.n_workloads = p.n_batch = p.n_seq = 1;
    snprintf(p.models[0], sizeof p.models[0], "gpt2-124m");
    p.batch[0] = 1;
    p.seq[0] = 64;
    p.n_arms = 1;
    snprintf(p.arms[0].name, sizeof p.arms[0].name, "baseline");
    implementation_default(&p.arms[0].implementation);
    return p;
}

static struct session laid_out(void)
{
    struct preset p = small_preset();
    struct session s = {0};
    struct error e = {0};
    if (session_layout(&s, &p, &e) < 0)
        TEST_FAIL("%s", e.text);
    s.owns_blocks = true;
    preset_free(&p);
    return s;
}

TEST(a_new_session_claims_nothing_that_was_not_measured)
{
    struct session s = laid_out();
    const struct session_arm *a = &s.cell[0].arm[0];
    CHECK_INT(s.cell[0].status, CELL_PENDING);
    CHECK_INT(a->cold_start_ns, -1);
    CHECK_INT(a->time_to_steady_ns, -1);
    CHECK(isnan(a->output.kl) && isnan(a->output.tolerance));
    CHECK(!a->output.checked && !a->has_measured);
    CHECK_INT(session_samples(&s), 0);
    session_free(&s);
    CHECK(!s.cell);
}

TEST(a_block_of_another_session_is_refused)
{
    struct session s = laid_out();
    struct error e = {0};
    struct block *b = session_new_block(0, 1, 0, 0, 4, &e);
    CHECK_INT(session_add_block(&s, b, &e), -1);
    CHECK_CONTAINS(e.text, "arm 1");
    CHECK_INT(s.cell[0].arm[0].n_blocks, 0);
    session_free_block(b);
    session_free(&s);
}

TEST(many_blocks_stay_in_order)
{
    struct session s = laid_out();
    struct error e = {0};
    for (int r = 0; r < 100; r++) {
        struct block *b = session_new_block(0, 0, r, 0, 2, &e);
        atomic_store(&b->n, 2);
        CHECK_INT(session_add_block(&s, b, &e), 0);
    }
    for (int r = 0; r < 100; r++)
        CHECK_INT(s.cell[0].arm[0].blocks[r]->round, r);
    CHECK_INT(session_samples(&s), 200);
    session_free(&s);
}

TEST(a_given_path_names_the_session_by_its_file)
{
    struct session s = laid_out();
    struct error e = {0};
    CHECK_INT(session_name(&s, "some/folder/night.run.json", &e), 0);
    CHECK_STRING(s.id, "night.run");
    CHECK_STRING(s.path, "some/folder/night.run.json");
    CHECK_INT(session_name(&s, "plain", &e), 0);
    CHECK_STRING(s.id, "plain");
    char longest[600];
    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    CHECK_INT(session_name(&s, longest, &e), -1);
    CHECK_INT(e.kind, ERROR_USAGE);
    session_free(&s);
}

TEST(sessions_of_one_second_have_names_of_their_own)
{
    char data[64], path[4300], *here = getcwd(NULL, 0);
    snprintf(data, sizeof data, "build/session-data-%ld", (long)getpid());
    snprintf(path, sizeof path, "%s/%s", here, data);
    free(here);
    mkdir(data, 0777);
    setenv("XDG_DATA_HOME", path, 1);
    struct session s[4];
    char file[4][600];
    struct error e = {0};
    for (int i = 0; i < 4; i++) {
        static const char *const ends[] = {"", ".journal", ".journal.tmp",
                                           ""}; /* as a run would, by its age */
        s[i] = laid_out();
        CHECK_INT(session_name(&s[i], NULL, &e), 0);
        snprintf(file[i], sizeof file[i], "%s%s", s[i].path, ends[i]);
        FILE *f = fopen(file[i], "w");
        if (f)
            fclose(f);
        CHECK(f != NULL);
        CHECK_CONTAINS(s[i].id, "-my-preset-1-0");
        for (int k = 0; k < i; k++)
            CHECK(strcmp(s[i].path, s[k].path) != 0);
    }
    for (int i = 0; i < 4; i++) {
        unlink(file[i]);
        session_free(&s[i]);
    }
    snprintf(path, sizeof path, "%s/benchtop/sessions", data);
    rmdir(path);
    snprintf(path, sizeof path, "%s/benchtop", data);
    rmdir(path);
    CHECK_INT(rmdir(data), 0);
}

TEST(only_a_whole_cell_of_equal_arms_is_resumed)
{
    struct session old = laid_out(), now = laid_out();
    CHECK(!resume_find(&old, &now.cell[0])); /* pending */
    old.cell[0].status = CELL_OK;
    CHECK(resume_find(&old, &now.cell[0]) == &old.cell[0]);
    now.cell[0].batch = 2;
    CHECK(!resume_find(&old, &now.cell[0]));
    now.cell[0].batch = 1;
    now.cell[0].arm[0].implementation.attention = ATTENTION_FLASH;
    CHECK(!resume_find(&old, &now.cell[0]));
    session_free(&old);
    session_free(&now);
}

TEST(a_resumed_block_is_a_copy_with_its_warm_up)
{
    struct error e = {0};
    struct block *b = session_new_block(0, 1, 2, 1, 4, &e);
    b->warmup = calloc(2, sizeof *b->warmup);
    b->n_warmup = 2;
    b->warmup[1].device_ns = 7;
    b->samples[2] = (struct sample){1, 2, 3};
    b->flags = BLOCK_THROTTLED;
    atomic_store(&b->n, 3);
    struct block *c = resume_copy_block(b, 5, &e);
    session_free_block(b);
    CHECK_INT(c->cell, 5);
    CHECK_INT(c->arm, 1);
    CHECK_INT(c->round, 2);
    CHECK_INT(c->n, 3);
    CHECK_INT(c->n_warmup, 2);
    CHECK_INT(c->warmup[1].device_ns, 7);
    CHECK_INT(c->samples[2].first_ns, 3);
    CHECK_INT(c->flags, BLOCK_THROTTLED);
    session_free_block(c);
}
