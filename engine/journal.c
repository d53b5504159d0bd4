/* The journal: one JSON object per line, the first being the session as it started (all cells, no figures). A
 * line's last member is the CRC-32 of what stands before it, so that a torn or damaged line is never taken
 * for data. A line counts once it is whole and synced; what follows the first line that is not is left out.
 */
#include "engine/session_file.h"
#include "engine/session_json.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#define CRC_MEMBER ",\"crc\":\""
enum { CRC_BYTES = sizeof CRC_MEMBER - 1 + 8 + 2 }; /* ,"crc":"01234567"} */

struct journal {
    char path[PATH_MAX];
    int fd;
    off_t size; /* bytes that are whole lines */
    bool torn;  /* half a line may stand behind them */
};

static uint32_t crc32_of(const char *bytes, size_t n)
{
    uint32_t crc = 0xFFFFFFFFu; /* CRC-32 (IEEE 802.3), reflected, a nibble at a time */
    static const uint32_t table[16] = {0x00000000, 0x1DB71064, 0x3B6E20C8, 0x26D930AC, 0x76DC4190, 0x6B6B51F4,
                                       0x4DB26158, 0x5005713C, 0xEDB88320, 0xF00F9344, 0xD6D6A3E8, 0xCB61B38C,
                                       0x9B64C2B0, 0x86D3D2D4, 0xA00AE278, 0xBDBDF21C};
    for (size_t i = 0; i < n; i++) {
        crc ^= (unsigned char)bytes[i];
        crc = crc >> 4 ^ table[crc & 15];
        crc = crc >> 4 ^ table[crc & 15];
    }
    return ~crc;
}

/* --- writing */

static int write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t wrote = write(fd, bytes, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return -1;
        bytes += wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

/* The object as a line with its checksum; consumes the object. */
static char *line_of(cJSON *object, size_t *size)
{
    char *text = object ? json_print(object, 0) : NULL;
    cJSON_Delete(object);
    if (!text)
        return NULL;
    size_t n = strlen(text) - 1; /* without the closing brace */
    char *line = realloc(text, n + CRC_BYTES + 2);
    if (!line) {
        free(text);
        return NULL;
    }
    snprintf(line + n, CRC_BYTES + 2, "%s%08x\"}\n", CRC_MEMBER, (unsigned)crc32_of(line, n));
    *size = n + CRC_BYTES + 1;
    return line;
}

/* Half a line must not stand before the next one: what follows it would never be read. */
static int mend(struct journal *j)
{
    if (j->torn && (ftruncate(j->fd, j->size) != 0 || lseek(j->fd, j->size, SEEK_SET) < 0))
        return -1;
    j->torn = false;
    return 0;
}

static int put_line(struct journal *j, cJSON *object, struct error *e)
{
    size_t n = 0;
    char *line = line_of(object, &n);
    if (!line)
        return error_set(e, ERROR_MEMORY, "no memory to write the journal: close other programs");
    int failed = mend(j) != 0 || write_all(j->fd, line, n) != 0 || fdatasync(j->fd) != 0, why = errno;
    free(line);
    if (!failed) {
        j->size += (off_t)n;
        return 0;
    }
    j->torn = true;
    mend(j); /* now if possible; else before the next line */
    return error_set(e, ERROR_FAILED,
                     "%s: cannot write: %s: free space there, or choose another place with --out", j->path,
                     strerror(why));
}

bool journal_in_use(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return false;
    bool busy = flock(fd, LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
    close(fd);
    return busy;
}

static int sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int result = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL) ? 0 : -1;
    if (fd >= 0)
        close(fd);
    return result;
}

static bool is_named(int fd, const char *path)
{
    struct stat file, named;
    return fstat(fd, &file) == 0 && stat(path, &named) == 0 && file.st_ino == named.st_ino &&
           file.st_dev == named.st_dev;
}

/* The head is whole on disk before the journal has its name: a resumed run never loses the journal it came
 * from. */
static int start_file(struct journal *j, const struct session *head, struct error *e)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", j->path) >= (int)sizeof temporary)
        return error_set(e, ERROR_FAILED, "%.80s...: the path is too long: choose another with --out",
                         j->path);
    j->fd = open(temporary, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (j->fd < 0)
        return error_set(e, ERROR_FAILED, "%s: cannot create: %s: choose another place with --out", temporary,
                         strerror(errno));
    /* Opened before another run locked it, or after that one gave it the journal's name: theirs either way.
     */
    if (flock(j->fd, LOCK_EX | LOCK_NB) != 0 || !is_named(j->fd, temporary) || journal_in_use(j->path))
        return error_set(e, ERROR_FAILED,
                         "%s: another run is starting there: choose another place with --out", j->path);
    if (ftruncate(j->fd, 0) != 0)
        return error_set(e, ERROR_FAILED, "%s: cannot create: %s", j->path, strerror(errno));
    if (put_line(j, session_to_json(head, false), e) != 0 ||
        (rename(temporary, j->path) != 0 &&
         error_set(e, ERROR_FAILED, "%s: cannot create: %s", j->path, strerror(errno)) != 0)) {
        unlink(temporary);
        return -1;
    }
    if (sync_folder(j->path) != 0)
        return error_set(e, ERROR_FAILED, "%s: its folder cannot be synced: %s", j->path, strerror(errno));
    return 0;
}

struct journal *journal_open(const char *session_path, const struct session *head, struct error *e)
{
    struct journal *j = calloc(1, sizeof *j);
    if (!j) {
        error_set(e, ERROR_MEMORY, "no memory for the journal: close other programs");
        return NULL;
    }
    j->fd = -1;
    int n = snprintf(j->path, sizeof j->path, "%s.journal", session_path);
    if (n < 0 || (size_t)n >= sizeof j->path) {
        error_set(e, ERROR_FAILED, "%.80s...: the path is too long: choose another with --out", session_path);
        goto fail;
    }
    if (journal_in_use(j->path)) {
        error_set(e, ERROR_FAILED, "%s: another run is writing it: choose another place with --out", j->path);
        goto fail;
    }
    if (start_file(j, head, e) != 0)
        goto fail;
    return j;
fail:
    if (j->fd >= 0)
        close(j->fd);
    free(j);
    return NULL;
}

/* {"cell": c, "arm": a, key: object}; consumes the object. */
static cJSON *fact(const struct log_entry *entry, const char *key, cJSON *object)
{
    cJSON *line = cJSON_CreateObject();
    int bad = session_put_item(line, key, object);
    if (entry->arm >= 0)
        bad |= !cJSON_AddNumberToObject(line, "arm", entry->arm);
    if (entry->cell >= 0)
        bad |= !cJSON_AddNumberToObject(line, "cell", entry->cell);
    if (!bad)
        return line;
    cJSON_Delete(line);
    return NULL;
}

static cJSON *facts_of_arm(const struct session_arm *a)
{
    cJSON *o = cJSON_CreateObject();
    if (session_write_arm(o, a) == 0)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *facts_of_cell(const struct session_cell *c)
{
    cJSON *o = cJSON_CreateObject();
    if (session_write_cell(o, c) == 0)
        return o;
    cJSON_Delete(o);
    return NULL;
}

static cJSON *end_of_run(const struct log_entry *entry)
{
    cJSON *o = cJSON_CreateObject();
    int status = (int)entry->value;
    if (status >= 0 && status <= SESSION_FAILED &&
        session_put_text(o, "status", session_status_names[status]) == 0)
        return o;
    cJSON_Delete(o);
    return NULL;
}

int journal_append(struct journal *j, const struct log_entry *entry, struct error *e)
{
    switch (entry->kind) {
    case LOG_ENVIRONMENT:
        return put_line(j, fact(entry, "environment", session_write_environment(entry->payload)), e);
    case LOG_ARM:
        return put_line(j, fact(entry, "facts", facts_of_arm(entry->payload)), e);
    case LOG_RESPONSES:
        return put_line(j, fact(entry, "responses", session_write_responses(entry->payload)), e);
    case LOG_BLOCK_DONE:
        return put_line(j, fact(entry, "block", session_write_block(entry->payload)), e);
    case LOG_CELL_DONE:
        return put_line(j, fact(entry, "done", facts_of_cell(entry->payload)), e);
    case LOG_RUN_FINISHED:
        return put_line(j, fact(entry, "finished", end_of_run(entry)), e);
    case LOG_RUN_STARTED:
    case LOG_CELL_STARTED:
    case LOG_PHASE:
    case LOG_BLOCK:
    case LOG_PAUSED:
    case LOG_RESUMED:
    case LOG_MESSAGE:
        return 0; /* nothing that the session file keeps */
    }
    return error_set(e, ERROR_FAILED, "a log entry is of the unknown kind %d: this is a defect, report it",
                     (int)entry->kind);
}

int journal_close(struct journal *j, bool remove_file, struct error *e)
{
    if (!j)
        return 0;
    int result = 0;
    if (remove_file && unlink(j->path) != 0 && errno != ENOENT)
        result =
            error_set(e, ERROR_FAILED, "%s: cannot remove: %s: delete it by hand", j->path, strerror(errno));
    if (close(j->fd) != 0 && result == 0)
        result = error_set(e, ERROR_FAILED, "%s: cannot close: %s", j->path, strerror(errno));
    free(j);
    return result;
}

/* --- reading */

/* The object of a whole line [text, text + n), NULL where the line is torn or damaged. */
static cJSON *line_object(char *text, size_t n, const char *path)
{
    struct error ignored = {0};
    char expected[CRC_BYTES + 1];
    if (n < CRC_BYTES)
        return NULL;
    snprintf(expected, sizeof expected, "%s%08x\"}", CRC_MEMBER, (unsigned)crc32_of(text, n - CRC_BYTES));
    if (memcmp(text + n - CRC_BYTES, expected, CRC_BYTES) != 0)
        return NULL;
    return session_parse(text, n, path, &ignored);
}

static struct session_cell *cell_at(const struct json_at *at, const cJSON *o, struct session *s, int *cell)
{
    *cell = -1;
    return json_int(at, o, "cell", 0, s->n_cells - 1, cell) == JSON_FOUND ? &s->cell[*cell] : NULL;
}

static int apply_responses(const struct json_at *at, const cJSON *o, struct session_arm *a)
{
    struct session_responses *r = NULL;
    if (session_read_responses(at, cJSON_GetObjectItemCaseSensitive(o, "responses"), &r) != 0)
        return -1;
    quality_free_responses(a->responses);
    a->responses = r;
    return 0;
}

/* Facts of an arm, a block of it, or what it answered. */
static int apply_arm(const struct json_at *at, cJSON *o, struct session *s, const cJSON *facts, cJSON *block,
                     struct error *warning)
{
    int cell, arm = -1;
    struct session_cell *c = cell_at(at, o, s, &cell);
    if (!c || json_int(at, o, "arm", 0, c->n_arms - 1, &arm) != JSON_FOUND)
        return -1;
    if (block) {
        struct block *b = session_read_block(at, block, cell, arm, warning);
        if (!b || session_add_block(s, b, at->e) != 0) {
            session_free_block(b);
            return -1;
        }
        return 0;
    }
    if (!facts)
        return apply_responses(at, o, &c->arm[arm]);
    struct session_arm *a = &c->arm[arm], next = *a;
    if (session_read_arm(at, facts, &next) != 0)
        return -1;
    *a = next; /* its blocks are the same */
    return 0;
}

static int apply_line(const struct json_at *at, cJSON *o, struct session *s, bool *finished,
                      struct error *warning)
{
    const cJSON *environment = NULL, *facts = NULL, *block = NULL, *done = NULL, *end = NULL,
                *responses = NULL;
    if (json_object(at, o, "environment", &environment) < 0 || json_object(at, o, "facts", &facts) < 0 ||
        json_object(at, o, "block", &block) < 0 || json_object(at, o, "done", &done) < 0 ||
        json_object(at, o, "finished", &end) < 0 || json_array(at, o, "responses", &responses) < 0)
        return -1;
    if (environment) {
        struct session_environment v = {0};
        if (session_read_environment(at, environment, &v) != 0)
            return -1;
        s->environment = v;
    } else if (facts || block || responses) {
        return apply_arm(at, o, s, facts, cJSON_GetObjectItemCaseSensitive(o, "block"), warning);
    } else if (done) {
        int cell;
        struct session_cell *c = cell_at(at, o, s, &cell), next;
        if (!c)
            return -1;
        next = *c;
        if (session_read_cell(at, done, &next) != 0)
            return -1;
        *c = next; /* its arms are the same */
    } else if (end) {
        char word[32] = "";
        json_text(at, end, "status", word, sizeof word);
        for (int i = 0; i <= SESSION_FAILED; i++) {
            if (strcmp(word, session_status_names[i]) == 0) {
                s->status = (enum session_status)i;
                *finished = true;
            }
        }
    }
    return 0; /* a fact of a later version: nothing we need */
}

int journal_load(const char *path, struct session *out, struct error *warning, struct error *e)
{
    size_t size = 0;
    bool finished = false, damaged = false;
    int lines = 0;
    char *text = json_read_file(path, SESSION_FILE_BYTES, &size, e);
    if (!text)
        return -1;
    struct session s = {0};
    for (size_t at = 0; at < size && !damaged;) {
        char *line = text + at, *end = memchr(line, '\n', size - at);
        cJSON *o = end ? line_object(line, (size_t)(end - line), path) : NULL;
        struct error found = {0};
        struct json_at where = {path, "", &found};
        int result = -1;
        if (o && lines == 0) {
            cJSON_DeleteItemFromObjectCaseSensitive(o, "crc");
            result = session_from_json(path, o, &s, warning, &found);
            if (result != 0)
                error_set(e, found.kind, "%s", found.text);
        } else if (o) {
            result = apply_line(&where, o, &s, &finished, warning);
        }
        cJSON_Delete(o);
        damaged = result != 0;
        lines += !damaged;
        at = end ? (size_t)(end - text) + 1 : size;
    }
    free(text);
    if (lines == 0) {
        if (!e || e->kind == ERROR_NONE)
            error_set(e, ERROR_FAILED,
                      "%s: nothing whole in it: the run was killed before it began; delete it", path);
        return -1;
    }
    bool live = journal_in_use(path);
    if (!finished)
        s.status = live ? SESSION_RUNNING : SESSION_STOPPED;
    if (live)
        error_add(warning, ERROR_FAILED, "%s: the run is still going: this is what it has measured so far",
                  path);
    else if (finished)
        error_add(warning, ERROR_FAILED,
                  "%s: the run ended but its session file is missing: read from the journal", path);
    else
        error_add(warning, ERROR_FAILED, "%s: recovered from a run that was killed%s; --resume continues it",
                  path, damaged ? ": its last line is not whole and was left out" : "");
    *out = s;
    return 0;
}
