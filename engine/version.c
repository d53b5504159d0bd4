#include "engine/version.h"

#ifndef BENCHTOP_VERSION
#define BENCHTOP_VERSION "0.1.0"
#endif
#ifndef BENCHTOP_COMMIT
#define BENCHTOP_COMMIT "unknown"
#endif
#ifndef BENCHTOP_BUILD
#if defined(__clang__)
#define BENCHTOP_BUILD "clang " __clang_version__
#elif defined(__GNUC__)
#define BENCHTOP_BUILD "gcc " __VERSION__
#else
#define BENCHTOP_BUILD "unknown compiler"
#endif
#endif

const struct version *version_get(void)
{
    static const struct version v = {BENCHTOP_VERSION, BENCHTOP_COMMIT, BENCHTOP_BUILD};
    return &v;
}
