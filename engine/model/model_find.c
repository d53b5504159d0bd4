#include "engine/model/model_find.h"

#include "presets/catalog.h"

int model_find(const char *name, struct model_spec *out, struct error *e)
{
    return catalog_model(name, out, e);
}
