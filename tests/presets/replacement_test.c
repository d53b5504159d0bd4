/* Files that take their place whole or not at all. */
#include "presets/replacement.h"

#include "tests/test.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char folder[] = "build/tests/replacement", path[] = "build/tests/replacement/file";

static void is(const char *wanted)
{
    char text[64] = "";
    FILE *f = fopen(path, "r");
    CHECK(f != NULL);
    if (f) {
        text[fread(text, 1, sizeof text - 1, f)] = '\0';
        fclose(f);
    }
    CHECK_STRING(text, wanted);
}

static int files(void)
{
    int n = 0;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d)) != NULL;)
        n += e->d_name[0] != '.';
    if (d)
        closedir(d);
    return n;
}

static void put_old(void)
{
    struct replacement r;
    struct error e = {0};
    CHECK_INT(mkdir(folder, 0777) == 0 || errno == EEXIST, 1);
    CHECK_INT(replacement_begin(&r, path, &e), 0);
    CHECK_INT(replacement_put(&r, "old", 3, &e), 0);
    CHECK_INT(replacement_finish(&r, &e), 0);
}

TEST(pieces_become_one_file_and_nothing_stands_beside_it)
{
    struct replacement r;
    struct error e = {0};
    put_old();
    CHECK_INT(replacement_begin(&r, path, &e), 0);
    CHECK_INT(replacement_put(&r, "ne", 2, &e), 0);
    is("old");
    CHECK_INT(replacement_put(&r, "w", 1, &e), 0);
    CHECK_INT(replacement_finish(&r, &e), 0);
    is("new");
    CHECK_INT(files(), 1);
}

TEST(what_is_abandoned_or_fails_leaves_what_stood_there)
{
    struct replacement r;
    struct error e = {0};
    put_old();
    CHECK_INT(replacement_begin(&r, path, &e), 0);
    CHECK_INT(replacement_put(&r, "half", 4, &e), 0);
    replacement_abandon(&r);
    is("old");
    CHECK_INT(files(), 1);
    CHECK_INT(replacement_begin(&r, path, &e), 0);
    int closed = open("/dev/null", O_RDONLY); /* a descriptor that takes nothing */
    close(r.fd);
    r.fd = closed;
    CHECK_INT(replacement_put(&r, "half", 4, &e), -1);
    CHECK_CONTAINS(e.text, "cannot write");
    replacement_abandon(&r); /* twice is fine */
    is("old");
    CHECK_INT(files(), 1);
}

TEST(a_device_is_written_through_and_a_full_one_or_a_folder_is_told)
{
    struct replacement r;
    struct error e = {0};
    CHECK_INT(replacement_begin(&r, "/dev/null", &e), 0);
    CHECK_INT(replacement_put(&r, "x", 1, &e), 0);
    CHECK_INT(replacement_finish(&r, &e), 0);
    CHECK_INT(replacement_begin(&r, "/dev/full", &e), 0);
    CHECK_INT(replacement_put(&r, "x", 1, &e), -1);
    CHECK_CONTAINS(e.text, "free some space");
    CHECK_INT(access("/dev/full", F_OK), 0);
    CHECK_INT(replacement_begin(&r, "build/tests", &e), -1);
    CHECK_CONTAINS(e.text, "it is a directory");
}
