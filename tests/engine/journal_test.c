#include "engine/session_file.h"
#include "tests/engine/session_maker.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char session_path[256], journal_path[280];

static const char *begin(void)
{
    const char *folder = maker_folder();
    snprintf(session_path, sizeof session_path, "%s/s.json", folder);
    snprintf(journal_path, sizeof journal_path, "%s.journal", session_path);
    return folder;
}

static int append(struct journal *j, enum log_kind kind, int cell, int arm, const void *payload,
                  struct error *e)
{
    struct log_entry entry = {
        .kind = kind, .cell = cell, .arm = arm, .value = SESSION_COMPLETE, .payload = payload};
    return journal_append(j, &entry, e);
}

/* A whole run as the engine tells it; returns the journal's size after each acknowledged entry in sizes. */
static void tell(struct session *head, const struct session *s, off_t *sizes, int *n)
{
    struct error e = {0};
    struct stat st;
    head->status = SESSION_RUNNING;
    head->finished[0] = '\0';
    struct journal *j = journal_open(session_path, head, &e);
    CHECK(j != NULL);
    *n = 0;
    stat(journal_path, &st);
    sizes[(*n)++] = st.st_size;
#define TELL(kind, cell, arm, payload)                                                                       \
    do {                                                                                                     \
        CHECK_INT(append(j, kind, cell, arm, payload, &e), 0);                                               \
        stat(journal_path, &st);                                                                             \
        sizes[(*n)++] = st.st_size;                                                                          \
    } while (0)
    TELL(LOG_ENVIRONMENT, -1, -1, &s->environment);
    for (int c = 0; c < s->n_cells; c++) {
        for (int a = 0; a < s->cell[c].n_arms; a++)
            TELL(LOG_ARM, c, a, &s->cell[c].arm[a]);
        for (int b = 0; b < s->cell[c].arm[0].n_blocks; b++)
            for (int a = 0; a < s->cell[c].n_arms; a++)
                TELL(LOG_BLOCK_DONE, c, a, s->cell[c].arm[a].blocks[b]);
        TELL(LOG_CELL_DONE, c, -1, &s->cell[c]);
    }
    TELL(LOG_RUN_FINISHED, -1, -1, NULL);
    CHECK_INT(journal_close(j, false, &e), 0);
    CHECK_STRING(e.text, "");
}

static struct session small(int rounds)
{
    struct session s = maker_session(1, 2, rounds);
    for (int a = 0; a < 2; a++) {
        for (int r = 0; r < rounds; r++)
            maker_block(&s, 0, a, r, 3, 10 + a, 0.01);
        s.cell[0].arm[a].status = CELL_OK;
        s.cell[0].arm[a].work = (struct model_work){1e6, 2e6, 1};
    }
    s.cell[0].status = CELL_OK;
    strcpy(s.cell[0].stop_rule, "planned rounds");
    return s;
}

TEST(a_finished_journal_loads_equal_to_the_session)
{
    const char *folder = begin();
    struct session head = maker_session(1, 2, 4), s = small(4), t;
    struct error e = {0}, warning = {0};
    off_t sizes[64];
    int n;
    tell(&head, &s, sizes, &n);
    CHECK_INT(session_load(session_path, &t, &warning, &e), 0);
    CHECK_INT(t.status, SESSION_COMPLETE);
    CHECK_CONTAINS(warning.text, "session file is missing");
    s.finished[0] = '\0'; /* known to the session file alone */
    CHECK(maker_equal(&s, &t));
    CHECK_STRING(t.path, session_path);
    session_free(&head);
    session_free(&s);
    session_free(&t);
    maker_remove_folder(folder);
}

TEST(cut_at_every_byte_a_journal_never_loses_an_acknowledged_block)
{
    const char *folder = begin();
    struct session head = maker_session(1, 2, 3), s = small(3);
    off_t sizes[64];
    int n;
    tell(&head, &s, sizes, &n);
    char *text = malloc((size_t)sizes[n - 1]);
    int fd = open(journal_path, O_RDWR);
    CHECK_INT(read(fd, text, (size_t)sizes[n - 1]), sizes[n - 1]);
    /* Entries: head, environment, 2 arms, then blocks 3 x 2, the cell, the end. */
    for (off_t cut = sizes[n - 1] - 1; cut >= 0; cut -= cut > sizes[0] + 8 ? 1 : 13) {
        struct session t;
        struct error e = {0}, warning = {0};
        CHECK_INT(ftruncate(fd, cut), 0);
        int whole = 0;
        while (whole < n && sizes[whole] <= cut)
            whole++;
        int result = session_load(session_path, &t, &warning, &e);
        if (result != (whole > 0 ? 0 : -1))
            TEST_FAIL("cut at %lld: load says %d (%s)", (long long)cut, result, e.text);
        if (result != 0)
            continue;
        int blocks = t.cell[0].arm[0].n_blocks + t.cell[0].arm[1].n_blocks;
        int want = whole <= 4 ? 0 : whole - 4 < 6 ? whole - 4 : 6;
        if (blocks != want)
            TEST_FAIL("cut at %lld: %d blocks, not %d", (long long)cut, blocks, want);
        for (int a = 0; a < 2; a++)
            for (int b = 0; b < t.cell[0].arm[a].n_blocks; b++)
                CHECK(maker_equal_blocks(t.cell[0].arm[a].blocks[b], s.cell[0].arm[a].blocks[b]));
        CHECK_INT(t.status, SESSION_STOPPED);
        CHECK_CONTAINS(warning.text, "recovered from a run that was killed");
        if (sizes[whole - 1] != cut)
            CHECK_CONTAINS(warning.text, "last line is not whole");
        session_free(&t);
    }
    close(fd);
    free(text);
    session_free(&head);
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_damaged_line_ends_what_is_believed)
{
    const char *folder = begin();
    struct session head = maker_session(1, 2, 3), s = small(3), t;
    struct error e = {0}, warning = {0};
    off_t sizes[64];
    int n;
    tell(&head, &s, sizes, &n);
    int fd = open(journal_path, O_RDWR);
    char byte;
    off_t at = sizes[5] + 90; /* inside the third block */
    CHECK_INT(pread(fd, &byte, 1, at), 1);
    byte = byte == '7' ? '8' : '7';
    CHECK_INT(pwrite(fd, &byte, 1, at), 1);
    close(fd);
    CHECK_INT(session_load(session_path, &t, &warning, &e), 0);
    CHECK_INT(t.cell[0].arm[0].n_blocks + t.cell[0].arm[1].n_blocks, 2);
    session_free(&t);
    session_free(&head);
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_session_file_wins_over_its_journal_unless_the_journal_holds_more)
{
    const char *folder = begin();
    struct session head = maker_session(1, 2, 3), s = small(3), less = small(2), t;
    struct error e = {0}, warning = {0};
    off_t sizes[64];
    int n;
    tell(&head, &s, sizes, &n);
    s.status = SESSION_STOPPED;
    CHECK_INT(session_save(&s, session_path, &e), 0);
    CHECK_INT(session_load(session_path, &t, &warning, &e), 0);
    CHECK_INT(t.status, SESSION_STOPPED);
    CHECK_STRING(warning.text, "");
    session_free(&t);
    CHECK_INT(session_save(&less, session_path, &e), 0);
    CHECK_INT(session_load(session_path, &t, &warning, &e), 0);
    CHECK_INT(t.cell[0].arm[0].n_blocks, 3);
    session_free(&t);
    session_free(&head);
    session_free(&less);
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_resumed_run_starts_its_journal_from_what_it_keeps)
{
    const char *folder = begin();
    struct session s = small(3), t;
    struct error e = {0};
    struct journal *j = journal_open(session_path, &s, &e);
    struct block *b = session_new_block(0, 1, 3, 0, 2, &e);
    b->samples[0] = b->samples[1] = (struct sample){5, 6, 0};
    b->n = 2;
    CHECK_INT(append(j, LOG_BLOCK_DONE, 0, 1, b, &e), 0);
    CHECK_INT(journal_close(j, false, &e), 0);
    CHECK_INT(session_load(session_path, &t, NULL, &e), 0);
    CHECK_INT(t.cell[0].arm[0].n_blocks, 3);
    CHECK_INT(t.cell[0].arm[1].n_blocks, 4);
    CHECK(maker_equal_blocks(t.cell[0].arm[1].blocks[3], b));
    session_free_block(b);
    session_free(&t);
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(two_runs_cannot_write_one_journal)
{
    const char *folder = begin();
    struct session s = small(2), t;
    struct error e = {0}, warning = {0};
    struct journal *j = journal_open(session_path, &s, &e);
    CHECK(j != NULL);
    CHECK(journal_open(session_path, &s, &e) == NULL);
    CHECK_CONTAINS(e.text, "another run is writing it");
    CHECK_INT(session_load(session_path, &t, &warning, &e), 0);
    CHECK_INT(t.status, SESSION_RUNNING);
    CHECK_CONTAINS(warning.text, "still going");
    session_free(&t);
    CHECK_INT(session_delete(session_path, &e), -1);
    CHECK_INT(journal_close(j, true, &e), 0);
    CHECK(access(journal_path, F_OK) != 0);
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_full_disk_is_told_and_leaves_whole_lines)
{
    const char *folder = begin();
    struct session s = small(2), t;
    struct error e = {0};
    struct stat st;
    signal(SIGXFSZ, SIG_IGN);
    struct journal *j = journal_open(session_path, &s, &e);
    stat(journal_path, &st);
    struct rlimit old, tight;
    getrlimit(RLIMIT_FSIZE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)st.st_size + 40;
    setrlimit(RLIMIT_FSIZE, &tight);
    CHECK_INT(append(j, LOG_BLOCK_DONE, 0, 0, s.cell[0].arm[0].blocks[0], &e), -1);
    CHECK_CONTAINS(e.text, "cannot write");
    setrlimit(RLIMIT_FSIZE, &old);
    e = (struct error){0};
    CHECK_INT(append(j, LOG_BLOCK_DONE, 0, 0, s.cell[0].arm[0].blocks[1], &e), 0); /* space came back */
    CHECK_INT(journal_close(j, false, &e), 0);
    CHECK_INT(session_load(session_path, &t, NULL, &e), 0);
    CHECK_INT(t.cell[0].arm[0].n_blocks, 3);
    session_free(&t);
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(killed_at_any_moment_a_run_keeps_every_block_it_acknowledged)
{
    const char *folder = begin();
    struct session s = small(2);
    for (int round = 0; round < 20; round++) {
        int pipes[2];
        CHECK_INT(pipe(pipes), 0);
        pid_t child = fork();
        if (child == 0) {
            struct error e = {0};
            struct journal *j = journal_open(session_path, &s, &e);
            for (;;) {
                if (!j || append(j, LOG_BLOCK_DONE, 0, 0, s.cell[0].arm[0].blocks[0], &e) != 0 ||
                    write(pipes[1], "a", 1) != 1)
                    _exit(1);
            }
        }
        close(pipes[1]);
        int acknowledged = 0;
        char a;
        for (; acknowledged < 3 + round && read(pipes[0], &a, 1) == 1; acknowledged++)
            ;
        kill(child, SIGKILL);
        while (read(pipes[0], &a, 1) == 1)
            acknowledged++;
        close(pipes[0]);
        waitpid(child, NULL, 0);
        struct session t;
        struct error e = {0};
        CHECK_INT(session_load(session_path, &t, NULL, &e), 0);
        int kept = t.cell[0].arm[0].n_blocks - 2;
        if (kept < acknowledged || kept > acknowledged + 1)
            TEST_FAIL("%d blocks kept of %d acknowledged", kept, acknowledged);
        session_free(&t);
        unlink(journal_path);
    }
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_journal_in_a_missing_folder_says_so)
{
    struct session s = small(1);
    struct error e = {0};
    CHECK(journal_open("/dev/null/none/s.json", &s, &e) == NULL);
    CHECK_CONTAINS(e.text, "cannot create");
    CHECK_CONTAINS(e.text, "--out");
    session_free(&s);
}

TEST(a_killed_run_without_a_session_file_is_listed)
{
    const char *folder = begin();
    char path[256];
    struct session s = small(2);
    struct session_entry *list;
    struct error e = {0};
    int n;
    CHECK_INT(session_list(&list, &n, &e), 0);
    free(list);
    snprintf(path, sizeof path, "%s/benchtop/sessions/%s.json", folder, s.id);
    s.status = SESSION_RUNNING;
    CHECK_INT(journal_close(journal_open(path, &s, &e), false, &e), 0);
    CHECK_INT(session_list(&list, &n, &e), 0);
    CHECK_INT(n, 1);
    if (n == 1) {
        struct session t;
        CHECK_STRING(list[0].id, s.id);
        CHECK_INT(list[0].status, SESSION_STOPPED);
        CHECK_INT(session_load(list[0].path, &t, NULL, &e), 0);
        session_free(&t);
        CHECK_INT(session_delete(list[0].id, &e), 0);
    }
    free(list);
    session_free(&s);
    maker_remove_folder(folder);
}
