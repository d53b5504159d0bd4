/* The workload tokenize: one sample cuts every text of the file into tokens. The host's work, whatever the
 * device: nothing of it runs there, and both clocks are the host's. */
#include "engine/runners/native_arm.h"

static int encode_all(struct runner_arm *a, struct token_ids *ids, int64_t *tokens, struct error *e)
{
    const struct vocabulary *v = inputs_vocabulary(a->in);
    const struct text_file *t = inputs_text(a->in);
    *tokens = 0;
    for (int i = 0; i < t->n; i++) {
        ids->n = 0;
        if (vocabulary_encode(v, t->bytes + t->span[i].at, t->span[i].n, false, ids, e) != 0)
            return -1;
        *tokens += (int64_t)ids->n;
    }
    return 0;
}

int native_tokenize_block(struct runner_arm *a, int n, struct sample *out, _Atomic int *done,
                          const struct runner_watch *w, struct error *e)
{
    struct token_ids ids = {0};
    int failed = 0;
    for (int i = 0; i < n && !failed; i++) {
        int64_t tokens = 0, start = native_now(NULL);
        if (w && w->cancelled && w->cancelled(w->who))
            failed = error_set(e, ERROR_CANCELLED, "stopped between samples: run again for a whole block");
        else
            failed = encode_all(a, &ids, &tokens, e);
        int64_t ns = native_now(NULL) - start;
        if (!failed && tokens != a->text.tokens)
            failed = error_set(e, ERROR_FAILED, "the same texts gave %lld tokens and then %lld: report it",
                               (long long)a->text.tokens, (long long)tokens);
        if (failed)
            break;
        out[i] = (struct sample){.device_ns = ns, .host_ns = ns};
        atomic_store_explicit(done, i + 1, memory_order_release);
    }
    token_ids_free(&ids);
    native_read_memory(a);
    return failed;
}
