#include "engine/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Segment k holds FIRST << k entries, so that entry i is found by one count-leading-zeros and neither the
 * entries nor the directory ever move. */
enum { FIRST = 256, SEGMENTS = 24 };

struct payload {
    struct payload *next;
    _Alignas(16) unsigned char bytes[];
};

struct log {
    struct log_entry *segment[SEGMENTS]; /* written before the length that covers them */
    _Atomic size_t length;
    /* Set by the writer when it signals, cleared by a reader before it looks at the length. Both sides use
     * sequentially consistent order: either the reader sees the new length, or the writer sees the cleared
     * flag and signals. */
    _Atomic bool signalled;
    struct payload *payloads; /* writer only */
};

struct log *log_new(void)
{
    return calloc(1, sizeof(struct log));
}

void log_free(struct log *l)
{
    if (!l)
        return;
    while (l->payloads) {
        struct payload *next = l->payloads->next;
        free(l->payloads);
        l->payloads = next;
    }
    for (int i = 0; i < SEGMENTS; i++)
        free(l->segment[i]);
    free(l);
}

static int segment_of(size_t i, size_t *offset)
{
    size_t units = i / FIRST + 1;
    int k = (int)(8 * sizeof units) - 1 - __builtin_clzl(units);
    *offset = i - FIRST * (((size_t)1 << k) - 1);
    return k;
}

int log_append(struct log *l, const struct log_entry *entry, size_t payload_size, int wake)
{
    size_t length = atomic_load_explicit(&l->length, memory_order_relaxed), offset;
    int k = segment_of(length, &offset);
    if (k >= SEGMENTS)
        return -1;
    if (!l->segment[k]) {
        l->segment[k] = malloc(((size_t)FIRST << k) * sizeof *l->segment[k]);
        if (!l->segment[k])
            return -1;
    }
    struct log_entry *to = &l->segment[k][offset];
    *to = *entry;
    to->text[sizeof to->text - 1] = '\0';
    if (payload_size) {
        struct payload *p = malloc(sizeof *p + payload_size);
        if (!p)
            return -1;
        memcpy(p->bytes, entry->payload, payload_size);
        p->next = l->payloads;
        l->payloads = p;
        to->payload = p->bytes;
    }
    atomic_store(&l->length, length + 1);
    if (wake >= 0 && !atomic_load(&l->signalled) && !atomic_exchange(&l->signalled, true)) {
        uint64_t one = 1;
        while (write(wake, &one, sizeof one) < 0 && errno == EINTR)
            ;
    }
    return 0;
}

size_t log_length(const struct log *l)
{
    /* The flag is the one part of the log that readers write; every log is made by log_new, none is const. */
    atomic_store(&((struct log *)(uintptr_t)l)->signalled, false);
    return atomic_load(&l->length);
}

const struct log_entry *log_get(const struct log *l, size_t i)
{
    size_t offset;
    int k = segment_of(i, &offset);
    return &l->segment[k][offset];
}

static int no_such(const struct log_entry *entry, struct error *e)
{
    return error_set(e, ERROR_FAILED,
                     "a log entry names cell %d, arm %d, which this session does not have: "
                     "lay the session out from the preset of the run",
                     entry->cell, entry->arm);
}

int session_apply(struct session *s, const struct log_entry *entry, struct error *e)
{
    struct session_cell *cell = entry->cell >= 0 && entry->cell < s->n_cells ? &s->cell[entry->cell] : NULL;
    struct session_arm *arm =
        cell && entry->arm >= 0 && entry->arm < cell->n_arms ? &cell->arm[entry->arm] : NULL;
    switch (entry->kind) {
    case LOG_RUN_STARTED:
        s->status = SESSION_RUNNING;
        return 0;
    case LOG_ENVIRONMENT:
        s->environment = *(const struct session_environment *)entry->payload;
        return 0;
    case LOG_CELL_STARTED:
        if (!cell)
            return no_such(entry, e);
        cell->status = CELL_RUNNING;
        return 0;
    case LOG_ARM: {
        if (!arm)
            return no_such(entry, e);
        struct session_arm facts = *(const struct session_arm *)entry->payload;
        facts.responses = arm->responses;
        facts.blocks = arm->blocks;
        facts.n_blocks = arm->n_blocks;
        facts.blocks_capacity = arm->blocks_capacity;
        *arm = facts;
        return 0;
    }
    case LOG_BLOCK: {
        if (!arm)
            return no_such(entry, e);
        /* The fold reads the block; the worker alone writes it. */
        struct block *b = (struct block *)(uintptr_t)entry->payload;
        return session_add_block(s, b, e);
    }
    case LOG_RESPONSES:
        if (!arm)
            return no_such(entry, e);
        arm->responses = (struct session_responses *)(uintptr_t)entry->payload; /* read only from here on */
        return 0;
    case LOG_CELL_DONE: {
        if (!cell)
            return no_such(entry, e);
        const struct session_cell *facts = entry->payload;
        cell->status = facts->status;
        cell->rounds_planned = facts->rounds_planned;
        cell->calibration = facts->calibration;
        cell->seeded = facts->seeded;
        memcpy(cell->reason, facts->reason, sizeof cell->reason);
        memcpy(cell->stop_rule, facts->stop_rule, sizeof cell->stop_rule);
        return 0;
    }
    case LOG_RUN_FINISHED:
        s->status = (enum session_status)entry->value;
        return 0;
    case LOG_PHASE:
    case LOG_BLOCK_DONE:
    case LOG_PAUSED:
    case LOG_RESUMED:
    case LOG_MESSAGE:
        return 0;
    }
    return error_set(e, ERROR_FAILED, "a log entry is of the unknown kind %d: this is a defect, report it",
                     (int)entry->kind);
}
