#include "engine/model/model_find.h"

#include "engine/model/gguf_model.h"
#include "engine/model/weights.h"
#include "presets/catalog.h"

#include <string.h>
#include <strings.h>

bool model_is_file(const char *name)
{
    size_t n = strlen(name);
    return n > 5 && strcasecmp(name + n - 5, ".gguf") == 0;
}

static int find_in_file(const char *path, struct model_spec *out, struct error *e)
{
    struct gguf g;
    struct model_spec m;
    if (gguf_open(path, &g, e) != 0)
        return -1;
    int failed = gguf_model_spec(&g, path, &m, e) || weights_measure_stored(&g, &m, e);
    gguf_close(&g);
    if (!failed)
        *out = m;
    return failed ? -1 : 0;
}

int model_find(const char *name, struct model_spec *out, struct error *e)
{
    return model_is_file(name) ? find_in_file(name, out, e) : catalog_model(name, out, e);
}
