#include "tui/output.h"
#include "tui/options.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

void output_init(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF)
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY); /* the wrong way round: using it is an error */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
}

void output_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("benchtop: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int output_error(const struct error *e)
{
    output_say("%s%s",
               e->kind == ERROR_UNSUPPORTED && strncmp(e->text, "unsupported", 11) ? "unsupported: " : "",
               *e->text ? e->text : "something failed and did not say why: please report how you came here");
    return e->kind == ERROR_USAGE ? EXIT_USAGE : e->kind == ERROR_CANCELLED ? EXIT_INTERRUPTED : EXIT_ERROR;
}

int output_text(const char *text)
{
    size_t length = strlen(text);
    errno = 0;
    bool written = fwrite(text, 1, length, stdout) == length;
    if (written && length && text[length - 1] != '\n')
        written = fputc('\n', stdout) != EOF;
    if (written && !fflush(stdout))
        return EXIT_DONE;
    if (errno == EPIPE) /* the reader has seen enough: `benchtop show | head` */
        return EXIT_ERROR;
    output_say(
        "standard output could not be written (%s): nothing after this point was printed; give it a place "
        "with room",
        strerror(errno));
    return EXIT_ERROR;
}

int output_result(char *text, const struct error *why)
{
    if (!text)
        return output_error(why);
    int code = output_text(text);
    free(text);
    return code;
}

static int write_all(int fd, const char *text)
{
    for (size_t left = strlen(text); left;) {
        ssize_t n = write(fd, text, left);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        text += n;
        left -= (size_t)n;
    }
    return 0;
}

static int write_special(const char *path, const char *text, struct error *e)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool failed = fd < 0 || write_all(fd, text) < 0;
    int why = errno;
    if (fd >= 0 && close(fd) < 0 && !failed) {
        failed = true;
        why = errno;
    }
    return failed ? error_set(e, ERROR_FAILED, "%s could not be written (%s): choose another file", path,
                              strerror(why))
                  : 0;
}

int output_file(const char *path, const char *text, struct error *e)
{
    struct stat st;
    char temp[4096];
    mode_t mode = 0666;
    if (stat(path, &st) == 0) {
        if (S_ISDIR(st.st_mode))
            return error_set(e, ERROR_USAGE, "%s is a folder: name a file", path);
        if (!S_ISREG(st.st_mode))
            return write_special(path, text, e);
        mode = st.st_mode & 0777;
    }
    int length = snprintf(temp, sizeof temp, "%s.%ld.tmp", path, (long)getpid());
    if (length < 0 || (size_t)length >= sizeof temp)
        return error_set(e, ERROR_USAGE, "the file name is too long: choose a shorter one");
    int fd = open(temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    bool failed = fd < 0 || write_all(fd, text) < 0 || fsync(fd) < 0;
    int why = errno;
    if (fd >= 0 && close(fd) < 0 && !failed) {
        failed = true;
        why = errno;
    }
    if (!failed && rename(temp, path) < 0) {
        failed = true;
        why = errno;
    }
    if (!failed)
        return 0;
    if (fd >= 0)
        unlink(temp);
    return error_set(e, ERROR_FAILED, "%s could not be written (%s): choose another place or make room", path,
                     strerror(why));
}

int output_width(void)
{
    struct winsize size;
    if (!isatty(STDOUT_FILENO) || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0)
        return 0;
    return size.ws_col;
}
