/* Streams, events and graphs of the stand-in: work runs at once, unless its stream captures. */
#include "tests/emu/runtime.h"

#include <memory>
#include <mutex>
#include <set>
#include <time.h>
#include <vector>

/* One piece of queued work; released when no stream and no graph can run it again. */
struct CUgraphNode_st {
    enum cudaGraphNodeType type;
    emulator_kernel kernel; /* of a kernel; else */
    void (*run)(void *);
    void *data;
    void (*drop)(void *);
    ~CUgraphNode_st()
    {
        if (drop)
            drop(data);
    }
};
typedef std::shared_ptr<CUgraphNode_st> node;

struct CUgraph_st {
    std::vector<node> nodes;
};
struct CUgraphExec_st {
    std::vector<node> nodes;
};

struct capture {
    enum cudaStreamCaptureMode mode;
    pthread_t thread;
    cudaStream_t origin;
    bool spoiled;
    std::vector<node> nodes;
};

struct CUstream_st {
    std::shared_ptr<capture> recording;
};

struct CUevent_st {
    unsigned flags;
    int64_t at_ns;                      /* 0: never recorded */
    std::shared_ptr<capture> recording; /* recorded while capturing: a point of the graph, not of time */
};

namespace
{
std::recursive_mutex lock; /* also: one OS thread at a time runs kernels */
typedef std::lock_guard<std::recursive_mutex> guard;
CUstream_st default_stream;
std::set<cudaStream_t> streams;
std::set<cudaEvent_t> events;
std::set<cudaGraph_t> graphs;
std::set<cudaGraphExec_t> execs;

int64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

cudaStream_t find(cudaStream_t stream)
{
    if (!stream || stream == cudaStreamLegacy || stream == cudaStreamPerThread)
        return &default_stream;
    return streams.count(stream) ? stream : nullptr;
}

bool forbids(const capture &c)
{
    return c.mode == cudaStreamCaptureModeGlobal ||
           (c.mode == cudaStreamCaptureModeThreadLocal && pthread_equal(c.thread, pthread_self()));
}

/* An illegal address leaves the device failed. */
void perform(const node &n)
{
    if (n->type != cudaGraphNodeTypeKernel)
        n->run(n->data);
    else if (emulator_fails("kernel"))
        emulator_break(cudaErrorIllegalAddress);
    else
        emulator_run(n->kernel);
}

cudaError_t queue(cudaStream_t handle, const node &n)
{
    guard g(lock);
    cudaStream_t stream = find(handle);
    if (!stream)
        return emulator_status(cudaErrorInvalidResourceHandle);
    if (!stream->recording) {
        perform(n);
        return cudaSuccess;
    }
    if (stream->recording->spoiled)
        return emulator_status(cudaErrorStreamCaptureInvalidated);
    stream->recording->nodes.push_back(n);
    return cudaSuccess;
}

node new_node(enum cudaGraphNodeType type, void (*run)(void *), void *data, void (*drop)(void *))
{
    node n = std::make_shared<CUgraphNode_st>();
    n->type = type;
    n->run = run;
    n->data = data;
    n->drop = drop;
    return n;
}

cudaError_t check_launch(const emulator_kernel &k)
{
    dim3 g = k.grid, b = k.block;
    if (!g.x || !g.y || !g.z || g.x > 0x7fffffffu || g.y > 65535 || g.z > 65535)
        return cudaErrorInvalidConfiguration;
    if (!b.x || !b.y || !b.z || b.x > 1024 || b.y > 1024 || b.z > 64 || (uint64_t)b.x * b.y * b.z > 1024)
        return cudaErrorInvalidConfiguration;
    if (k.shared > emulator_allowed_shared(k.function))
        return cudaErrorInvalidValue;
    if (k.cooperative) {
        int blocks = 0;
        cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, k.function, (int)(b.x * b.y * b.z), k.shared);
        if ((uint64_t)g.x * g.y * g.z > (uint64_t)blocks * (uint64_t)emulator_device().multiprocessors)
            return cudaErrorCooperativeLaunchTooLarge;
    }
    return cudaSuccess;
}
} // namespace

void emulator_queue(const emulator_kernel &kernel, cudaStream_t stream)
{
    node n = new_node(cudaGraphNodeTypeKernel, nullptr, kernel.arguments, kernel.drop);
    n->kernel = kernel;
    cudaError_t error = emulator_enter("launch", cudaErrorLaunchFailure);
    if (error == cudaSuccess)
        error = check_launch(kernel);
    if (error == cudaSuccess)
        queue(stream, n);
    else
        emulator_status(error);
}

cudaError_t emulator_enqueue(cudaStream_t stream, const char *name, void (*run)(void *), void *data,
                             void (*drop)(void *))
{
    node n = new_node(cudaGraphNodeTypeHost, run, data, drop);
    cudaError_t error = emulator_enter(name, cudaErrorLaunchFailure);
    return error == cudaSuccess ? queue(stream, n) : error;
}

cudaError_t emulator_not_while_capturing(cudaError_t failure)
{
    guard g(lock);
    bool found = false;
    for (cudaStream_t s : streams)
        if (s->recording && forbids(*s->recording)) {
            s->recording->spoiled = true;
            found = true;
        }
    return found ? emulator_status(failure) : cudaSuccess;
}

/* ---- copies ---- */

namespace
{
struct transfer {
    void *to;
    const void *from;
    size_t bytes, to_pitch, from_pitch, rows;
    int value; /* of a fill; from == NULL */
};

void transfer_run(void *data)
{
    const transfer *t = (const transfer *)data;
    for (size_t i = 0; i < t->rows; i++) {
        char *to = (char *)t->to + i * t->to_pitch;
        if (t->from)
            memmove(to, (const char *)t->from + i * t->from_pitch, t->bytes);
        else
            memset(to, t->value, t->bytes);
    }
}

void transfer_drop(void *data)
{
    delete (transfer *)data;
}

/* What a copy's direction claims about its ends must be so. */
bool plausible(const transfer &t, enum cudaMemcpyKind kind)
{
    size_t to = t.to_pitch * (t.rows - 1) + t.bytes, from = t.from_pitch * (t.rows - 1) + t.bytes;
    bool to_device = emulator_is_device(t.to, to), from_device = emulator_is_device(t.from, from);
    switch (kind) {
    case cudaMemcpyHostToDevice:
        return to_device && !from_device;
    case cudaMemcpyDeviceToHost:
        return from_device && !to_device;
    case cudaMemcpyDeviceToDevice:
        return to_device && from_device;
    case cudaMemcpyHostToHost:
        return !to_device && !from_device;
    default:
        return true;
    }
}

cudaError_t copy(const char *call, transfer t, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    cudaError_t error = emulator_enter(call, cudaErrorUnknown);
    if (error != cudaSuccess || !t.bytes || !t.rows)
        return error;
    if (!t.to || !t.from || !plausible(t, kind))
        return emulator_status(cudaErrorInvalidValue);
    return queue(stream, new_node(cudaGraphNodeTypeMemcpy, transfer_run, new transfer(t), transfer_drop));
}

cudaError_t fill(const char *call, void *p, int value, size_t bytes, cudaStream_t stream)
{
    cudaError_t error = emulator_enter(call, cudaErrorUnknown);
    if (error != cudaSuccess || !bytes)
        return error;
    if (!emulator_is_device(p, bytes))
        return emulator_status(cudaErrorInvalidValue);
    return queue(stream, new_node(cudaGraphNodeTypeMemset, transfer_run,
                                  new transfer{p, nullptr, bytes, 0, 0, 1, value}, transfer_drop));
}
} // namespace

cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind)
{
    cudaError_t error = emulator_not_while_capturing(cudaErrorStreamCaptureImplicit);
    return error != cudaSuccess ? error : copy("cudaMemcpy", {to, from, bytes, 0, 0, 1, 0}, kind, nullptr);
}

cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes, enum cudaMemcpyKind kind,
                            cudaStream_t stream)
{
    return copy("cudaMemcpyAsync", {to, from, bytes, 0, 0, 1, 0}, kind, stream);
}

cudaError_t cudaMemcpy2DAsync(void *to, size_t to_pitch, const void *from, size_t from_pitch, size_t width,
                              size_t height, enum cudaMemcpyKind kind, cudaStream_t stream)
{
    if (width > to_pitch || width > from_pitch)
        return emulator_status(cudaErrorInvalidValue);
    return copy("cudaMemcpy2DAsync", {to, from, width, to_pitch, from_pitch, height, 0}, kind, stream);
}

cudaError_t cudaMemset(void *p, int value, size_t bytes)
{
    cudaError_t error = emulator_not_while_capturing(cudaErrorStreamCaptureImplicit);
    return error != cudaSuccess ? error : fill("cudaMemset", p, value, bytes, nullptr);
}

cudaError_t cudaMemsetAsync(void *p, int value, size_t bytes, cudaStream_t stream)
{
    return fill("cudaMemsetAsync", p, value, bytes, stream);
}

/* ---- streams ---- */

cudaError_t cudaStreamCreateWithFlags(cudaStream_t *stream, unsigned flags)
{
    (void)flags;
    cudaError_t error = emulator_enter("cudaStreamCreate", cudaErrorMemoryAllocation);
    guard g(lock);
    *stream = nullptr;
    if (error == cudaSuccess)
        streams.insert(*stream = new CUstream_st());
    return error;
}

cudaError_t cudaStreamCreate(cudaStream_t *stream)
{
    return cudaStreamCreateWithFlags(stream, cudaStreamDefault);
}

cudaError_t cudaStreamCreateWithPriority(cudaStream_t *stream, unsigned flags, int priority)
{
    (void)priority;
    return cudaStreamCreateWithFlags(stream, flags);
}

cudaError_t cudaStreamDestroy(cudaStream_t stream)
{
    guard g(lock);
    if (!streams.erase(stream))
        return emulator_status(cudaErrorInvalidResourceHandle);
    delete stream;
    return cudaSuccess;
}

cudaError_t cudaStreamSynchronize(cudaStream_t handle)
{
    cudaError_t error = emulator_enter("cudaStreamSynchronize", cudaErrorUnknown);
    guard g(lock);
    cudaStream_t stream = find(handle);
    if (error != cudaSuccess)
        return error;
    if (!stream)
        return emulator_status(cudaErrorInvalidResourceHandle);
    if (!stream->recording)
        return cudaSuccess;
    stream->recording->spoiled = true;
    return emulator_status(cudaErrorStreamCaptureUnsupported);
}

cudaError_t cudaStreamQuery(cudaStream_t stream)
{
    return cudaStreamSynchronize(stream);
}

cudaError_t cudaDeviceSynchronize(void)
{
    cudaError_t error = emulator_enter("cudaDeviceSynchronize", cudaErrorUnknown);
    guard g(lock);
    for (cudaStream_t s : streams)
        if (s->recording) {
            s->recording->spoiled = true;
            error = emulator_status(cudaErrorStreamCaptureUnsupported);
        }
    return error;
}

/* A stream that waits for an event of a capture joins that capture. */
cudaError_t cudaStreamWaitEvent(cudaStream_t handle, cudaEvent_t event, unsigned flags)
{
    (void)flags;
    guard g(lock);
    cudaStream_t stream = find(handle);
    if (!stream || !events.count(event))
        return emulator_status(cudaErrorInvalidResourceHandle);
    if (event->recording && !stream->recording)
        stream->recording = event->recording;
    return cudaSuccess;
}

/* ---- events ---- */

cudaError_t cudaEventCreateWithFlags(cudaEvent_t *event, unsigned flags)
{
    cudaError_t error = emulator_enter("cudaEventCreate", cudaErrorMemoryAllocation);
    guard g(lock);
    *event = nullptr;
    if (error == cudaSuccess)
        events.insert(*event = new CUevent_st{flags, 0, nullptr});
    return error;
}

cudaError_t cudaEventCreate(cudaEvent_t *event)
{
    return cudaEventCreateWithFlags(event, cudaEventDefault);
}

cudaError_t cudaEventDestroy(cudaEvent_t event)
{
    guard g(lock);
    if (!events.erase(event))
        return emulator_status(cudaErrorInvalidResourceHandle);
    delete event;
    return cudaSuccess;
}

static void record_run(void *data)
{
    cudaEvent_t event = (cudaEvent_t)data;
    if (events.count(event))
        event->at_ns = now_ns();
}

/* In a capture an event is a point of the graph; recorded as external, a node that takes the time at each
 * launch. */
cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t handle, unsigned flags)
{
    cudaError_t error = emulator_enter("cudaEventRecord", cudaErrorUnknown);
    guard g(lock);
    cudaStream_t stream = find(handle);
    if (error != cudaSuccess)
        return error;
    if (!stream || !events.count(event))
        return emulator_status(cudaErrorInvalidResourceHandle);
    if (stream->recording && flags != cudaEventRecordExternal) {
        event->recording = stream->recording;
        return cudaSuccess;
    }
    event->recording = nullptr;
    return queue(handle, new_node(cudaGraphNodeTypeHost, record_run, event, nullptr));
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream)
{
    return cudaEventRecordWithFlags(event, stream, cudaEventRecordDefault);
}

cudaError_t cudaEventSynchronize(cudaEvent_t event)
{
    cudaError_t error = emulator_enter("cudaEventSynchronize", cudaErrorUnknown);
    guard g(lock);
    if (error != cudaSuccess)
        return error;
    if (!events.count(event))
        return emulator_status(cudaErrorInvalidResourceHandle);
    return event->recording ? emulator_status(cudaErrorCapturedEvent) : cudaSuccess;
}

cudaError_t cudaEventQuery(cudaEvent_t event)
{
    return cudaEventSynchronize(event);
}

cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to)
{
    cudaError_t error = emulator_enter("cudaEventElapsedTime", cudaErrorUnknown);
    guard g(lock);
    if (error != cudaSuccess)
        return error;
    if (events.count(from) && events.count(to) && (from->recording || to->recording)) /* points of a graph */
        return emulator_status(cudaErrorCapturedEvent);
    if (!events.count(from) || !events.count(to) || !from->at_ns || !to->at_ns ||
        ((from->flags | to->flags) & cudaEventDisableTiming))
        return emulator_status(cudaErrorInvalidResourceHandle);
    *milliseconds = (float)((double)(to->at_ns - from->at_ns) * 1e-6);
    return cudaSuccess;
}

/* ---- graphs ---- */

cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode)
{
    cudaError_t error = emulator_enter("cudaStreamBeginCapture", cudaErrorUnknown);
    guard g(lock);
    if (error != cudaSuccess)
        return error;
    if (!streams.count(handle)) /* the legacy stream cannot be captured */
        return emulator_status(handle ? cudaErrorInvalidResourceHandle : cudaErrorStreamCaptureUnsupported);
    if (handle->recording)
        return emulator_status(cudaErrorInvalidValue);
    handle->recording = std::make_shared<capture>(capture{mode, pthread_self(), handle, false, {}});
    return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t *graph)
{
    guard g(lock);
    *graph = nullptr;
    if (!streams.count(handle))
        return emulator_status(cudaErrorInvalidResourceHandle);
    std::shared_ptr<capture> c = handle->recording;
    if (!c)
        return emulator_status(cudaErrorInvalidValue);
    if (c->origin != handle)
        return emulator_status(cudaErrorStreamCaptureUnmatched);
    for (cudaStream_t s : streams)
        if (s->recording == c)
            s->recording = nullptr;
    if (c->spoiled)
        return emulator_status(cudaErrorStreamCaptureInvalidated);
    cudaError_t error = emulator_enter("cudaStreamEndCapture", cudaErrorUnknown);
    if (error == cudaSuccess)
        graphs.insert(*graph = new CUgraph_st{c->nodes});
    return error;
}

cudaError_t cudaStreamIsCapturing(cudaStream_t handle, enum cudaStreamCaptureStatus *status)
{
    guard g(lock);
    cudaStream_t stream = find(handle);
    if (!stream)
        return emulator_status(cudaErrorInvalidResourceHandle);
    *status = !stream->recording           ? cudaStreamCaptureStatusNone
              : stream->recording->spoiled ? cudaStreamCaptureStatusInvalidated
                                           : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode *mode)
{
    static thread_local enum cudaStreamCaptureMode mine = cudaStreamCaptureModeGlobal;
    std::swap(mine, *mode);
    return cudaSuccess;
}

cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count)
{
    guard g(lock);
    if (!graphs.count(graph))
        return emulator_status(cudaErrorInvalidValue);
    if (nodes)
        for (size_t i = 0; i < *count; i++)
            nodes[i] = i < graph->nodes.size() ? graph->nodes[i].get() : nullptr;
    *count = nodes && *count < graph->nodes.size() ? *count : graph->nodes.size();
    return cudaSuccess;
}

cudaError_t cudaGraphNodeGetType(cudaGraphNode_t node, enum cudaGraphNodeType *type)
{
    *type = node->type;
    return cudaSuccess;
}

cudaError_t cudaGraphInstantiate(cudaGraphExec_t *exec, cudaGraph_t graph, unsigned long long flags)
{
    (void)flags;
    cudaError_t error = emulator_enter("cudaGraphInstantiate", cudaErrorMemoryAllocation);
    guard g(lock);
    *exec = nullptr;
    if (error != cudaSuccess)
        return error;
    if (!graphs.count(graph))
        return emulator_status(cudaErrorInvalidValue);
    execs.insert(*exec = new CUgraphExec_st{graph->nodes});
    return cudaSuccess;
}

cudaError_t cudaGraphUpload(cudaGraphExec_t exec, cudaStream_t stream)
{
    (void)stream;
    guard g(lock);
    return emulator_status(execs.count(exec) ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaGraphLaunch(cudaGraphExec_t exec, cudaStream_t handle)
{
    cudaError_t error = emulator_enter("cudaGraphLaunch", cudaErrorLaunchFailure);
    guard g(lock);
    cudaStream_t stream = find(handle);
    if (error != cudaSuccess)
        return error;
    if (!execs.count(exec))
        return emulator_status(cudaErrorInvalidValue);
    if (!stream)
        return emulator_status(cudaErrorInvalidResourceHandle);
    for (const node &n : std::vector<node>(exec->nodes))
        if ((error = queue(handle, n)) != cudaSuccess)
            return error;
    return cudaSuccess;
}

cudaError_t cudaGraphExecDestroy(cudaGraphExec_t exec)
{
    guard g(lock);
    if (!execs.erase(exec))
        return emulator_status(cudaErrorInvalidValue);
    delete exec;
    return cudaSuccess;
}

cudaError_t cudaGraphDestroy(cudaGraph_t graph)
{
    guard g(lock);
    if (!graphs.erase(graph))
        return emulator_status(cudaErrorInvalidValue);
    delete graph;
    return cudaSuccess;
}
