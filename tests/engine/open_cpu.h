/* The CPU backend with one thread and our own loops, for tests of engine/model that need no more. */
#pragma once

#include "kernels/kernels.h"
#include "tests/test.h"

static inline struct kernels *open_cpu(void)
{
    char why[256] = "";
    struct kernels *k = kernels_open_cpu(&(struct kernels_config){1, "own", "auto"}, why, sizeof why);
    if (!k) {
        printf("%s\n", why);
        exit(1);
    }
    return k;
}
