/* Graphs: one step recorded once, then launched as a whole.
 *
 * Capture is thread-local: another thread may meanwhile map pages of a growing cache. */
#include "kernels/cuda/host.h"

#include <stdlib.h>

struct kernel_graph {
    cudaGraphExec_t runs;
};

bool cuda_graph_begin(struct kernels *k)
{
    struct cuda *c = cuda_of(k);
    if (cuda_refuse_in_capture(c, "graph_begin"))
        return false;
    c->own->capture_began_ns = cuda_now_ns();
    cudaError_t status = cudaStreamBeginCapture(c->stream, cudaStreamCaptureModeThreadLocal);
    cuda_verify(c, status, "graph_begin");
    c->own->capturing = status == cudaSuccess;
    return c->own->capturing;
}

/* NULL where anything in between failed: a graph that lacks a step must never be timed. */
struct kernel_graph *cuda_graph_end(struct kernels *k, struct kernel_graph_report *report)
{
    struct cuda *c = cuda_of(k);
    cudaGraph_t recorded = NULL;
    size_t nodes = 0;
    struct kernel_graph_report found = {0};
    if (!c->own->capturing) {
        cuda_fail(c, "graph_end without graph_begin");
        return NULL;
    }
    struct kernel_graph *g = calloc(1, sizeof *g);
    c->own->capturing = false;
    cuda_verify(c, cudaStreamEndCapture(c->stream, &recorded), "graph_end");
    int64_t captured = cuda_now_ns();
    found.capture_ns = captured - c->own->capture_began_ns;
    if (!g)
        cuda_fail(c, "no host memory in graph_end");
    if (!g || !recorded || atomic_load(&c->own->failed))
        goto fail;
    cuda_verify(c, cudaGraphGetNodes(recorded, NULL, &nodes), "graph_end");
    cudaError_t status = cudaGraphInstantiate(&g->runs, recorded, 0);
    cuda_verify(c, status, "graph_end");
    if (status != cudaSuccess)
        goto fail;
    found.instantiate_ns = cuda_now_ns() - captured;
    found.nodes = (int)nodes;
    cudaGraphDestroy(recorded);
    if (report)
        *report = found;
    return g;
fail:
    if (recorded)
        cudaGraphDestroy(recorded);
    free(g);
    return NULL;
}

void cuda_graph_launch(struct kernels *k, struct kernel_graph *g)
{
    struct cuda *c = cuda_of(k);
    cuda_verify(c, cudaGraphLaunch(g->runs, c->stream), "graph_launch");
}

void cuda_graph_destroy(struct kernels *k, struct kernel_graph *g)
{
    if (!g)
        return;
    cuda_verify(cuda_of(k), cudaGraphExecDestroy(g->runs), "graph_destroy");
    free(g);
}
