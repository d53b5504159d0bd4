/* Every write, sync, rename and truncation of a run's record fails in turn, or is the last thing the process
 * does: before it, half-way through it, after it. What was acknowledged is always found again. */
#include "engine/session_file.h"
#include "tests/engine/session_maker.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum fault { FAIL, FAIL_HALF_WRITTEN, DIE_BEFORE, DIE_HALF_WRITTEN, DIE_AFTER, FAULTS };
static int countdown = -1, again = 1; /* calls until the fault, < 0: none; how many calls in a row fail */
static bool reached;
static enum fault fault;
static int fault_errno;

/* Whether the fault strikes now. */
static bool strikes(void)
{
    if (countdown < 0 || countdown-- > 0)
        return false;
    reached = true;
    countdown = --again > 0 ? 0 : -1;
    return true;
}

/* bytes: what half a write would write; NULL for other calls. Returns true when the call is to be skipped,
 * with -1. */
static bool before(int fd, const void *bytes, size_t n)
{
    if (bytes && (fault == FAIL_HALF_WRITTEN || fault == DIE_HALF_WRITTEN))
        syscall(SYS_write, fd, bytes, n / 2);
    if (fault == DIE_BEFORE || fault == DIE_HALF_WRITTEN)
        _exit(9);
    errno = fault_errno;
    return fault != DIE_AFTER;
}

#define GUARDED(call, fd, bytes, n)                                                                          \
    bool struck = strikes();                                                                                 \
    if (struck && before(fd, bytes, n))                                                                      \
        return -1;                                                                                           \
    long result = (call);                                                                                    \
    if (struck)                                                                                              \
    _exit(9)

ssize_t write(int fd, const void *bytes, size_t n)
{
    if (fd <= 2)
        return syscall(SYS_write, fd, bytes, n);
    GUARDED(syscall(SYS_write, fd, bytes, n), fd, bytes, n);
    return result;
}
int fsync(int fd)
{
    GUARDED(syscall(SYS_fsync, fd), fd, NULL, 0);
    return (int)result;
}
int fdatasync(int fd)
{
    GUARDED(syscall(SYS_fdatasync, fd), fd, NULL, 0);
    return (int)result;
}
int rename(const char *from, const char *to)
{
    GUARDED(syscall(SYS_renameat, AT_FDCWD, from, AT_FDCWD, to), -1, NULL, 0);
    return (int)result;
}
int ftruncate(int fd, off_t n)
{
    GUARDED(syscall(SYS_ftruncate, fd, n), fd, NULL, 0);
    return (int)result;
}

struct outcome { /* shared with the child that dies */
    int begun, acknowledged, saved;
};

/* A run of four blocks as the engine tells it. */
static void record(const struct session *s, const char *path, struct outcome *o, int report)
{
    struct error e = {0};
    struct journal *j = journal_open(path, s, &e);
    *o = (struct outcome){.begun = j != NULL};
#define REPORT() (report >= 0 ? (void)syscall(SYS_write, report, o, sizeof *o) : (void)0)
    REPORT();
    if (!j) {
        CHECK(e.text[0] != '\0');
        return;
    }
    for (int i = 0; i < 4; i++) {
        struct error why = {0};
        struct log_entry entry = {.kind = LOG_BLOCK_DONE, .payload = s->cell[0].arm[0].blocks[0]};
        int result = journal_append(j, &entry, &why);
        o->acknowledged += result == 0;
        CHECK(result == 0 || why.text[0] != '\0');
        REPORT();
    }
    e = (struct error){0};
    o->saved = session_save(s, path, &e) == 0;
    CHECK(o->saved || e.text[0] != '\0');
    REPORT();
    journal_close(j, false, &e);
}

static void judge(const char *path, const struct outcome *o, int n)
{
    struct session t;
    struct error e = {0};
    countdown = -1;
    if (!o->begun)
        return;
    if (session_load(path, &t, NULL, &e) != 0) {
        TEST_FAIL("fault %d at call %d: nothing can be read: %s", fault, n, e.text);
        return;
    }
    int kept = t.cell[0].arm[0].n_blocks - 1; /* the head has one */
    if (kept < o->acknowledged)
        TEST_FAIL("fault %d at call %d: %d blocks of %d acknowledged ones", fault, n, kept, o->acknowledged);
    session_free(&t);
}

TEST(every_failing_call_is_told_and_loses_nothing_acknowledged)
{
    const char *folder = maker_folder();
    char path[128];
    static const int errors[] = {ENOSPC, EIO, EDQUOT};
    struct session s = maker_session(1, 2, 5);
    maker_block(&s, 0, 0, 0, 3, 10, 0.01);
    for (int f = 0; f < 6; f++) { /* one, two or three calls in a row, whole or half-written */
        int last = 1000;
        for (int n = 0; n < last; n++) {
            struct outcome o;
            snprintf(path, sizeof path, "%s/%d-%d.json", folder, f, n);
            fault = f % 2 ? FAIL_HALF_WRITTEN : FAIL;
            again = 1 + f / 2;
            reached = false;
            fault_errno = errors[n % 3];
            countdown = n;
            record(&s, path, &o, -1);
            if (!reached) { /* ran through without reaching the fault */
                last = 0;
                CHECK(n >= 15); /* head, folder, blocks, session: nothing is written behind our back */
            }
            judge(path, &o, n);
        }
    }
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_process_that_dies_at_any_call_loses_nothing_acknowledged)
{
    const char *folder = maker_folder();
    char path[128];
    struct session s = maker_session(1, 2, 5);
    maker_block(&s, 0, 0, 0, 3, 10, 0.01);
    for (int f = DIE_BEFORE; f < FAULTS; f++) {
        bool through = false;
        for (int n = 0; n < 1000 && !through; n++) {
            int pipes[2], status;
            struct outcome o = {0}, next;
            snprintf(path, sizeof path, "%s/%d-%d.json", folder, f, n);
            CHECK_INT(pipe(pipes), 0);
            pid_t child = fork();
            if (child == 0) {
                fault = (enum fault)f;
                again = 1;
                countdown = n;
                record(&s, path, &o, pipes[1]);
                _exit(0);
            }
            close(pipes[1]);
            while (read(pipes[0], &next, sizeof next) == (ssize_t)sizeof next)
                o = next;
            close(pipes[0]);
            waitpid(child, &status, 0);
            through = WIFEXITED(status) && WEXITSTATUS(status) == 0;
            CHECK(!through || n >= 15);
            fault = (enum fault)f;
            judge(path, &o, n);
        }
        CHECK(through);
    }
    session_free(&s);
    maker_remove_folder(folder);
}

TEST(a_failed_save_leaves_the_old_session_as_it_was)
{
    const char *folder = maker_folder();
    char path[128];
    struct error e = {0};
    struct session old = maker_session(1, 2, 5), s = maker_session(2, 2, 5), t;
    maker_fill(&old, 0, 0, 2, 10, 0.01);
    maker_fill(&old, 0, 1, 2, 10, 0.01);
    maker_fill(&s, 0, 0, 3, 10, 0.01);
    snprintf(path, sizeof path, "%s/s.json", folder);
    CHECK_INT(session_save(&old, path, &e), 0);
    fault = FAIL_HALF_WRITTEN;
    fault_errno = ENOSPC;
    for (int n = 0; n < 3; n++) { /* write, fsync, rename */
        e = (struct error){0};
        countdown = n;
        again = 1;
        CHECK_INT(session_save(&s, path, &e), -1);
        CHECK_CONTAINS(e.text, "No space left");
        countdown = -1;
        CHECK_INT(session_load(path, &t, NULL, &e), 0);
        CHECK(maker_equal(&old, &t));
        session_free(&t);
    }
    session_free(&old);
    session_free(&s);
    maker_remove_folder(folder);
}
