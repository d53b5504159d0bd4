#include "engine/log.h"

#include "tests/test.h"
#include <poll.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

enum { MANY = 200000 };

static struct log_entry numbered(int i)
{
    struct log_entry e = {.kind = LOG_PHASE, .cell = i, .arm = -1, .time_ns = i, .value = i * 0.5};
    snprintf(e.text, sizeof e.text, "entry %d", i);
    return e;
}

TEST(entries_stay_where_they_were_and_as_they_were)
{
    struct log *l = log_new();
    struct log_entry e = numbered(0);
    log_append(l, &e, 0, -1);
    const struct log_entry *first = log_get(l, 0);
    for (int i = 1; i < 5000; i++) {
        e = numbered(i);
        log_append(l, &e, 0, -1);
    }
    CHECK_INT(log_length(l), 5000);
    CHECK(log_get(l, 0) == first);
    for (size_t i = 0; i < 5000; i++) {
        CHECK_INT(log_get(l, i)->cell, i);
        CHECK_CLOSE(log_get(l, i)->value, 0.5 * (double)i, 0);
    }
    CHECK_STRING(log_get(l, 4999)->text, "entry 4999");
    log_free(l);
}

TEST(a_payload_is_copied)
{
    struct log *l = log_new();
    struct session_cell cell = {.batch = 3, .seq = 64};
    struct log_entry e = {.kind = LOG_CELL_DONE, .payload = &cell};
    CHECK_INT(log_append(l, &e, sizeof cell, -1), 0);
    cell.batch = 99;
    const struct session_cell *kept = log_get(l, 0)->payload;
    CHECK(kept != &cell);
    CHECK_INT(kept->batch, 3);
    log_free(l);
}

TEST(a_payload_without_size_is_passed_as_it_is)
{
    struct log *l = log_new();
    struct block b = {.cell = 1};
    struct log_entry e = {.kind = LOG_BLOCK, .payload = &b};
    log_append(l, &e, 0, -1);
    CHECK(log_get(l, 0)->payload == &b);
    log_free(l);
}

TEST(the_eventfd_is_signalled_once_until_a_reader_looks)
{
    struct log *l = log_new();
    int fd = eventfd(0, EFD_NONBLOCK);
    uint64_t value = 0;
    for (int i = 0; i < 10; i++) {
        struct log_entry e = numbered(i);
        log_append(l, &e, 0, fd);
    }
    CHECK_INT(read(fd, &value, sizeof value), 8);
    CHECK_INT(value, 1);
    CHECK_INT(log_length(l), 10);
    struct log_entry e = numbered(10);
    log_append(l, &e, 0, fd);
    CHECK_INT(read(fd, &value, sizeof value), 8);
    CHECK_INT(value, 1);
    close(fd);
    log_free(l);
}

struct writer {
    struct log *log;
    int wake;
};

static void *write_numbers(void *who)
{
    struct writer *w = who;
    for (int i = 0; i < MANY; i++) {
        struct log_entry e = {.kind = LOG_PHASE, .cell = i, .value = -i, .payload = &i};
        log_append(w->log, &e, i % 64 == 0 ? sizeof i : 0, w->wake);
    }
    return NULL;
}

TEST(a_reader_that_sleeps_on_the_eventfd_sees_every_entry_whole_and_is_never_left_asleep)
{
    struct writer w = {log_new(), eventfd(0, EFD_NONBLOCK)};
    pthread_t t;
    pthread_create(&t, NULL, write_numbers, &w);
    size_t seen = 0;
    int wrong = 0;
    while (seen < MANY) {
        struct pollfd p = {.fd = w.wake, .events = POLLIN};
        if (poll(&p, 1, 5000) != 1) {
            TEST_FAIL("asleep at %zu of %d entries", seen, MANY);
            break;
        }
        uint64_t value;
        wrong += read(w.wake, &value, sizeof value) != 8;
        size_t n = log_length(w.log);
        for (; seen < n; seen++) {
            const struct log_entry *e = log_get(w.log, seen);
            wrong += e->cell != (int)seen || e->value != -(double)seen;
            if (seen % 64 == 0)
                wrong += *(const int *)e->payload != (int)seen;
        }
    }
    CHECK_INT(wrong, 0);
    pthread_join(t, NULL);
    close(w.wake);
    log_free(w.log);
}

/* The bound is loose, for machines under load and sanitizers; an allocation or a system call per entry breaks
 * it. */
TEST(appending_costs_well_under_a_microsecond)
{
#ifdef __SANITIZE_THREAD__
    SKIP("the thread sanitizer itself costs more");
#endif
    struct log *l = log_new();
    struct log_entry e = numbered(1);
    struct timespec from, to;
    double best = 1e9;
    for (int round = 0; round < 5; round++) {
        clock_gettime(CLOCK_MONOTONIC, &from);
        for (int i = 0; i < 20000; i++)
            log_append(l, &e, 0, -1);
        clock_gettime(CLOCK_MONOTONIC, &to);
        double ns = (double)(to.tv_sec - from.tv_sec) * 1e9 + (double)(to.tv_nsec - from.tv_nsec);
        best = fmin(best, ns / 20000);
    }
    CHECK(best < 1000);
    log_free(l);
}

static struct preset small_preset(void)
{
    struct preset p = {0};
    preset_default(&p);
    p.n_models = p.n_workloads = p.n_batch = p.n_seq = 1;
    snprintf(p.models[0], sizeof p.models[0], "gpt2-124m");
    p.batch[0] = 1;
    p.seq[0] = 64;
    p.n_arms = 2;
    snprintf(p.arms[0].name, sizeof p.arms[0].name, "baseline");
    snprintf(p.arms[1].name, sizeof p.arms[1].name, "other");
    return p;
}

TEST(an_arm_keeps_its_blocks_when_its_facts_change)
{
    struct preset p = small_preset();
    struct session s = {0};
    struct error e = {0};
    CHECK_INT(session_layout(&s, &p, &e), 0);
    s.owns_blocks = true;
    struct block *b = session_new_block(0, 1, 0, 0, 4, &e);
    struct log_entry entry = {.kind = LOG_BLOCK, .cell = 0, .arm = 1, .payload = b};
    CHECK_INT(session_apply(&s, &entry, &e), 0);
    struct session_arm facts = s.cell[0].arm[1];
    facts.blocks = NULL;
    facts.n_blocks = 0;
    facts.load_ns = 42;
    entry = (struct log_entry){.kind = LOG_ARM, .cell = 0, .arm = 1, .payload = &facts};
    CHECK_INT(session_apply(&s, &entry, &e), 0);
    CHECK_INT(s.cell[0].arm[1].load_ns, 42);
    CHECK_INT(s.cell[0].arm[1].n_blocks, 1);
    CHECK(s.cell[0].arm[1].blocks[0] == b);
    atomic_store(&b->n, 3);
    CHECK_INT(session_samples(&s), 3);
    session_free(&s);
    preset_free(&p);
}

TEST(an_entry_of_another_preset_is_refused_and_changes_nothing)
{
    struct preset p = small_preset();
    struct session s = {0};
    struct error e = {0};
    CHECK_INT(session_layout(&s, &p, &e), 0);
    struct log_entry entry = {.kind = LOG_CELL_STARTED, .cell = 7, .arm = -1};
    CHECK_INT(session_apply(&s, &entry, &e), -1);
    CHECK_CONTAINS(e.text, "cell 7");
    CHECK_INT(s.cell[0].status, CELL_PENDING);
    session_free(&s);
    preset_free(&p);
}

TEST(cells_lie_in_the_order_of_the_plan)
{
    struct preset p = small_preset();
    struct session s = {0};
    struct error e = {0};
    p.n_batch = p.n_seq = p.n_workloads = 2;
    p.batch[1] = 8;
    p.seq[1] = 128;
    p.workloads[0] = WORKLOAD_PREFILL;
    p.workloads[1] = WORKLOAD_GENERATE;
    p.tokens = 16;
    CHECK_INT(session_layout(&s, &p, &e), 0);
    CHECK_INT(s.n_cells, 8);
    CHECK_INT(s.cell[1].batch, 8); /* batch runs fastest, then seq, then workload */
    CHECK_INT(s.cell[1].seq, 64);
    CHECK_INT(s.cell[2].seq, 128);
    CHECK_INT(s.cell[3].tokens, 0);
    CHECK_INT(s.cell[4].workload, WORKLOAD_GENERATE);
    CHECK_INT(s.cell[4].tokens, 16);
    CHECK_STRING(s.cell[7].arm[1].name, "other");
    session_free(&s);
    preset_free(&p);
}
