/* The stand-in for the runtime: it refuses what a device refuses, counts memory, replays graphs, and faults
 * where nothing is mapped. */
#include "tests/emu/fixture.h"
#include "tests/emu/probe.h"

#include <cuda.h>
#include <sys/wait.h>
#include <unistd.h>

static float first_of(const float *p)
{
    float x = 0;
    CHECK_INT(cudaMemcpy(&x, p, sizeof x, cudaMemcpyDeviceToHost), cudaSuccess);
    return x;
}

static float *zeros(size_t n)
{
    void *p = NULL;
    CHECK_INT(cudaMalloc(&p, n * sizeof(float)), cudaSuccess);
    CHECK_INT(cudaMemset(p, 0, n * sizeof(float)), cudaSuccess);
    return p;
}

TEST(fresh_memory_is_not_zero)
{
    float *p;
    CHECK_INT(cudaMalloc((void **)&p, 64), cudaSuccess);
    CHECK(isnan(first_of(p)));
    cudaFree(p);
}

TEST(memory_ends_where_the_device_ends)
{
    void *a = NULL, *b = NULL;
    size_t before, after, total;
    setenv("EMULATED_MEMORY", "64M", 1);
    cudaMemGetInfo(&before, &total);
    CHECK_INT(total, 64 << 20);
    CHECK_INT(cudaMalloc(&a, 40 << 20), cudaSuccess);
    CHECK_INT(cudaMalloc(&b, 40 << 20), cudaErrorMemoryAllocation);
    CHECK(b == NULL);
    CHECK_INT(cudaGetLastError(), cudaErrorMemoryAllocation);
    CHECK_INT(cudaGetLastError(), cudaSuccess);
    cudaMemGetInfo(&after, &total);
    CHECK_INT(before - after, 40 << 20);
    cudaFree(a);
    cudaMemGetInfo(&after, &total);
    CHECK_INT(after, before);
    unsetenv("EMULATED_MEMORY");
}

TEST(freeing_what_was_never_given_is_an_error)
{
    char c;
    CHECK_INT(cudaFree(&c), cudaErrorInvalidValue);
    CHECK_INT(cudaFree(NULL), cudaSuccess);
    cudaGetLastError();
}

TEST(a_copy_whose_ends_are_not_where_it_says_is_refused)
{
    float *p = zeros(4), x[4] = {0};
    CHECK_INT(cudaMemcpy(p, x, sizeof x, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    CHECK_INT(cudaMemcpy(x, p, sizeof x + 4, cudaMemcpyDeviceToHost), cudaErrorInvalidValue);
    CHECK_INT(cudaMemset(x, 0, sizeof x), cudaErrorInvalidValue);
    CHECK_INT(cudaMemcpy(x, p, sizeof x, cudaMemcpyDefault), cudaSuccess);
    cudaGetLastError();
    cudaFree(p);
}

TEST(launches_beyond_the_limits_are_refused)
{
    static const struct {
        unsigned grid, block;
        size_t shared;
        int allow;
        cudaError_t want;
    } cases[] = {
        {1, 1024, 0, 0, cudaSuccess},
        {1, 1025, 0, 0, cudaErrorInvalidConfiguration},
        {0, 32, 0, 0, cudaErrorInvalidConfiguration},
        {1, 0, 0, 0, cudaErrorInvalidConfiguration},
        {1, 32, 48 << 10, 0, cudaSuccess},
        {1, 32, (48 << 10) + 1, 0, cudaErrorInvalidValue},
        {1, 32, 227 << 10, 1, cudaSuccess},
        {1, 32, (227 << 10) + 1, 1, cudaErrorInvalidValue},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        probe_shape(NULL, cases[i].grid, cases[i].block, cases[i].shared, cases[i].allow);
        CHECK_INT(cudaGetLastError(), cases[i].want);
    }
}

TEST(a_graph_records_and_replays)
{
    enum { N = 300 };
    cudaStream_t stream;
    cudaGraph_t graph;
    cudaGraphExec_t exec;
    size_t nodes = 0;
    float *x = zeros(N), *y = zeros(N);
    CHECK_INT(cudaStreamCreate(&stream), cudaSuccess);
    CHECK_INT(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
    probe_add(stream, x, 1.0f, N);
    cudaMemcpyAsync(y, x, N * sizeof *x, cudaMemcpyDeviceToDevice, stream);
    probe_add(stream, y, 0.5f, N);
    CHECK_INT(cudaStreamEndCapture(stream, &graph), cudaSuccess);
    CHECK(first_of(x) == 0); /* nothing ran */
    cudaGraphGetNodes(graph, NULL, &nodes);
    CHECK_INT(nodes, 3);
    CHECK_INT(cudaGraphInstantiate(&exec, graph, 0), cudaSuccess);
    CHECK_INT(cudaGraphDestroy(graph), cudaSuccess); /* the executable one lives on */
    for (int i = 1; i <= 3; i++) {
        CHECK_INT(cudaGraphLaunch(exec, stream), cudaSuccess);
        cudaStreamSynchronize(stream);
        CHECK(first_of(x) == (float)i);
        CHECK(first_of(y) == (float)i + 0.5f);
    }
    CHECK_INT(cudaGraphExecDestroy(exec), cudaSuccess);
    CHECK_INT(cudaGraphLaunch(exec, stream), cudaErrorInvalidValue);
    cudaGetLastError();
    cudaStreamDestroy(stream);
    cudaFree(x);
    cudaFree(y);
}

TEST(what_cannot_be_recorded_spoils_the_capture)
{
    for (int call = 0; call < 4; call++) {
        cudaStream_t stream;
        cudaGraph_t graph;
        float *x = zeros(8);
        void *p = NULL;
        cudaStreamCreate(&stream);
        CHECK_INT(cudaStreamBeginCapture(stream, cudaStreamCaptureModeGlobal), cudaSuccess);
        probe_add(stream, x, 1.0f, 8);
        cudaError_t got = call == 0   ? cudaMalloc(&p, 64)
                          : call == 1 ? cudaStreamSynchronize(stream)
                          : call == 2 ? cudaDeviceSynchronize()
                                      : cudaMemset(x, 0, 4);
        CHECK_INT(got, call == 3 ? cudaErrorStreamCaptureImplicit : cudaErrorStreamCaptureUnsupported);
        CHECK_INT(cudaStreamEndCapture(stream, &graph), cudaErrorStreamCaptureInvalidated);
        CHECK(graph == NULL);
        cudaGetLastError();
        CHECK_INT(cudaStreamSynchronize(stream), cudaSuccess); /* the stream goes on */
        CHECK(first_of(x) == 0);
        cudaStreamDestroy(stream);
        cudaFree(x);
    }
}

TEST(events_take_the_time_in_order_and_only_when_recorded)
{
    cudaEvent_t a, b;
    float span = -1;
    cudaEventCreate(&a);
    cudaEventCreate(&b);
    CHECK_INT(cudaEventElapsedTime(&span, a, b), cudaErrorInvalidResourceHandle);
    cudaEventRecord(a, NULL);
    usleep(2000);
    cudaEventRecord(b, NULL);
    CHECK_INT(cudaEventElapsedTime(&span, a, b), cudaSuccess);
    CHECK(span >= 2.0f);
    cudaGetLastError();
    cudaEventDestroy(a);
    cudaEventDestroy(b);
}

TEST(the_nth_call_fails_on_demand)
{
    void *p[3] = {NULL};
    setenv("EMULATED_FAIL", "cudaMalloc:2,cudaStreamCreate:1", 1);
    cudaStream_t stream;
    CHECK_INT(cudaMalloc(&p[0], 8), cudaSuccess);
    CHECK_INT(cudaMalloc(&p[1], 8), cudaErrorMemoryAllocation);
    CHECK_INT(cudaMalloc(&p[2], 8), cudaSuccess);
    CHECK_INT(cudaStreamCreate(&stream), cudaErrorMemoryAllocation);
    unsetenv("EMULATED_FAIL");
    cudaGetLastError();
    cudaFree(p[0]);
    cudaFree(p[2]);
}

TEST(an_illegal_address_leaves_the_device_failed)
{
    float *x = zeros(8);
    setenv("EMULATED_FAIL", "kernel:1", 1);
    probe_add(NULL, x, 1, 8);
    unsetenv("EMULATED_FAIL");
    CHECK_INT(cudaDeviceSynchronize(), cudaErrorIllegalAddress);
    CHECK_INT(cudaGetLastError(), cudaErrorIllegalAddress);
    CHECK_INT(cudaGetLastError(), cudaErrorIllegalAddress);
    cudaDeviceReset();
    CHECK_INT(cudaDeviceSynchronize(), cudaSuccess);
    cudaFree(x);
}

TEST(a_machine_may_have_no_driver_or_no_device)
{
    int n = -1;
    setenv("EMULATED_DRIVER", "0", 1);
    CHECK_INT(cudaGetDeviceCount(&n), cudaErrorInsufficientDriver);
    CHECK_INT(n, 0);
    unsetenv("EMULATED_DRIVER");
    setenv("EMULATED_DEVICES", "0", 1);
    CHECK_INT(cudaGetDeviceCount(&n), cudaErrorNoDevice);
    unsetenv("EMULATED_DEVICES");
    CHECK_INT(cudaGetDeviceCount(&n), cudaSuccess);
    CHECK_INT(n, 1);
    cudaGetLastError();
}

/* ---- virtual memory ---- */

static const CUmemAllocationProp on_device = {.type = CU_MEM_ALLOCATION_TYPE_PINNED,
                                              .location = {CU_MEM_LOCATION_TYPE_DEVICE, 0}};
enum { PAGE = 2 << 20 };

static bool touch_faults(void *p)
{
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        freopen("/dev/null", "w", stderr);
        probe_touch(NULL, p);
        _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return WIFSIGNALED(status) || WEXITSTATUS(status) != 0;
}

TEST(reserved_addresses_fault_until_they_are_mapped_and_made_accessible)
{
    CUdeviceptr at = 0;
    CUmemGenericAllocationHandle handle;
    CUmemAccessDesc access = {{CU_MEM_LOCATION_TYPE_DEVICE, 0}, CU_MEM_ACCESS_FLAGS_PROT_READWRITE};
    size_t page = 0, before, now, total;
    CHECK_INT(cuMemGetAllocationGranularity(&page, &on_device, CU_MEM_ALLOC_GRANULARITY_MINIMUM),
              CUDA_SUCCESS);
    CHECK_INT(page, PAGE);
    cudaMemGetInfo(&before, &total);
    CHECK_INT(cuMemAddressReserve(&at, (size_t)4 * PAGE, 0, 0, 0), CUDA_SUCCESS);
    char *p = (char *)(uintptr_t)at;
    cudaMemGetInfo(&now, &total);
    CHECK_INT(now, before); /* addresses are not memory */
    CHECK(touch_faults(p));
    CHECK_INT(cuMemCreate(&handle, PAGE, &on_device, 0), CUDA_SUCCESS);
    cudaMemGetInfo(&now, &total);
    CHECK_INT(before - now, PAGE);
    CHECK_INT(cuMemMap(at + PAGE, PAGE, 0, handle, 0), CUDA_SUCCESS);
    CHECK(touch_faults(p + PAGE));
    CHECK_INT(cuMemSetAccess(at + PAGE, PAGE, &access, 1), CUDA_SUCCESS);
    CHECK(!touch_faults(p + PAGE));
    CHECK(touch_faults(p + PAGE - 1));
    CHECK(touch_faults(p + 2 * PAGE));
    CHECK_INT(cuMemMap(at + PAGE, PAGE, 0, handle, 0), CUDA_ERROR_INVALID_VALUE); /* taken */
    CHECK_INT(cuMemRelease(handle), CUDA_SUCCESS);                                /* kept by its mapping */
    CHECK(!touch_faults(p + PAGE));
    CHECK_INT(cuMemAddressFree(at, (size_t)4 * PAGE), CUDA_ERROR_INVALID_VALUE); /* still mapped */
    CHECK_INT(cuMemUnmap(at + PAGE, PAGE), CUDA_SUCCESS);
    CHECK(touch_faults(p + PAGE));
    cudaMemGetInfo(&now, &total);
    CHECK_INT(now, before);
    CHECK_INT(cuMemAddressFree(at, (size_t)4 * PAGE), CUDA_SUCCESS);
}

TEST(virtual_memory_is_found_by_name_and_counted_against_the_device)
{
    void *function = NULL;
    CUmemGenericAllocationHandle handle[2] = {0};
    CHECK_INT(cudaGetDriverEntryPointByVersion("cuMemCreate", &function, 12000, 0, NULL), cudaSuccess);
    CHECK(function != NULL);
    setenv("EMULATED_MEMORY", "19M", 1); /* the context takes 16 */
    CHECK_INT(cuMemCreate(&handle[0], PAGE, &on_device, 0), CUDA_SUCCESS);
    CHECK_INT(cuMemCreate(&handle[1], PAGE, &on_device, 0), CUDA_ERROR_OUT_OF_MEMORY);
    CHECK_INT(cuMemRelease(handle[0]), CUDA_SUCCESS);
    CHECK_INT(cuMemRelease(handle[0]), CUDA_ERROR_INVALID_VALUE);
    unsetenv("EMULATED_MEMORY");
}
