#include "engine/runners/runner.h"

#include <stdlib.h>
#include <string.h>

void runner_output_free(struct runner_output *o)
{
    free(o->logits);
    memset(o, 0, sizeof *o);
}
