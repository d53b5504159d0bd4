#include "presets/replacement.h"
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A rename is durable only when the folder that holds the name is. Some file systems refuse to sync a folder
 * (EINVAL): the rename itself stands there too. */
static int sync_folder(const char *path)
{
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = fsync(fd) == 0 || errno == EINVAL ? 0 : -1;
    close(fd);
    return result;
}

/* The process's umask decides the permissions, as for any file a user creates. */
static int create_beside(const char *path, char *temporary, size_t size)
{
    for (int i = 0; i < 100; i++) {
        if (snprintf(temporary, size, "%s.%ld-%d.tmp", path, (long)getpid(), i) >= (int)size) {
            errno = ENAMETOOLONG;
            return -1;
        }
        int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static int cannot_write(struct replacement *r, int why, struct error *e)
{
    const char *advice = why == ENOSPC || why == EDQUOT || why == EFBIG ? "free some space and save again"
                         : why == ENOENT || why == ENOTDIR ? "create the folder or choose another"
                                                           : "choose another place";
    replacement_abandon(r);
    return error_set(e, ERROR_FAILED, "%s: cannot write: %s: %s", r->path, strerror(why), advice);
}

int replacement_begin(struct replacement *r, const char *path, struct error *e)
{
    struct stat s;
    *r = (struct replacement){.path = path, .fd = -1};
    bool there = stat(path, &s) == 0;
    if (there && S_ISDIR(s.st_mode))
        return error_set(e, ERROR_FAILED, "%s: cannot write: it is a directory: give the path of a file",
                         path);
    r->fd = there && !S_ISREG(s.st_mode) ? open(path, O_WRONLY | O_CLOEXEC)
                                         : create_beside(path, r->temporary, sizeof r->temporary);
    if (r->fd >= 0)
        return 0;
    int why = errno;
    r->temporary[0] = '\0'; /* what stands under that name is not ours */
    return cannot_write(r, why, e);
}

int replacement_put(struct replacement *r, const void *bytes, size_t n, struct error *e)
{
    const char *from = bytes;
    while (n > 0) {
        ssize_t wrote = write(r->fd, from, n);
        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return cannot_write(r, errno, e);
        from += wrote;
        n -= (size_t)wrote;
    }
    return 0;
}

int replacement_finish(struct replacement *r, struct error *e)
{
    if (r->temporary[0] && fsync(r->fd) != 0)
        return cannot_write(r, errno, e);
    int fd = r->fd;
    r->fd = -1;
    if (close(fd) != 0 || (r->temporary[0] && rename(r->temporary, r->path) != 0))
        return cannot_write(r, errno, e);
    if (r->temporary[0] && sync_folder(r->path) != 0)
        return error_set(e, ERROR_FAILED,
                         "%s: written, but its folder could not be synced: %s: a power cut may undo it",
                         r->path, strerror(errno));
    return 0;
}

void replacement_abandon(struct replacement *r)
{
    if (r->fd >= 0)
        close(r->fd);
    r->fd = -1;
    if (r->temporary[0])
        unlink(r->temporary);
    r->temporary[0] = '\0';
}
