/* Which benchtop this is: told by --version, written into every session, so that two sessions can be told
 * apart by the program that made them. The build defines the three words for version.c alone. */
#pragma once

struct version {
    const char *version; /* "0.1.0" */
    const char *commit;  /* git commit, "unknown" outside a clone */
    const char *build;   /* compiler and language; no date, so that equal sources give equal binaries */
};

const struct version *version_get(void); /* any thread; static storage */
