/* The device, its memory and the errors of the stand-in for the CUDA runtime. */
#include "tests/emu/runtime.h"

#include <map>
#include <mutex>
#include <stdio.h>
#include <string>

namespace
{
std::recursive_mutex lock;
typedef std::lock_guard<std::recursive_mutex> guard;

std::map<const char *, size_t> device_memory, pinned_memory;
std::map<const void *, size_t> allowed_shared;
std::map<std::string, long> calls;
std::string fail_text;
size_t used;
cudaError_t broken; /* what the device failed with, for good */
thread_local cudaError_t last_error;
thread_local int current_device;

size_t read_bytes(const char *name, size_t otherwise)
{
    const char *text = getenv(name);
    char *end;
    if (!text || !*text)
        return otherwise;
    double value = strtod(text, &end);
    int shift = *end == 'K' ? 10 : *end == 'M' ? 20 : *end == 'G' ? 30 : 0;
    return (size_t)(value * (double)(1ull << shift));
}

int read_number(const char *name, int otherwise)
{
    const char *text = getenv(name);
    return text && *text ? atoi(text) : otherwise;
}

bool covers(const std::map<const char *, size_t> &memory, const void *p, size_t bytes)
{
    auto next = memory.upper_bound((const char *)p);
    if (next == memory.begin())
        return false;
    --next;
    return (const char *)p + bytes <= next->first + next->second;
}

cudaError_t check_device(int device)
{
    emulator_shape shape = emulator_device();
    if (shape.driver / 1000 < CUDART_VERSION / 1000) /* 0: none; an older major version does not do */
        return cudaErrorInsufficientDriver;
    if (!shape.devices)
        return cudaErrorNoDevice;
    return device >= 0 && device < shape.devices ? cudaSuccess : cudaErrorInvalidDevice;
}
} // namespace

emulator_shape emulator_device(void)
{
    emulator_shape shape;
    shape.driver = read_number("EMULATED_DRIVER", 13000);
    shape.devices = read_number("EMULATED_DEVICES", 1);
    shape.multiprocessors = read_number("EMULATED_MULTIPROCESSORS", 132);
    shape.memory = read_bytes("EMULATED_MEMORY", (size_t)2 << 30);
    shape.l2 = read_bytes("EMULATED_L2", (size_t)1 << 20);
    return shape;
}

/* ---- errors ---- */

cudaError_t emulator_status(cudaError_t error)
{
    if (error != cudaSuccess && error != cudaErrorNotReady)
        last_error = error;
    return error;
}

bool emulator_fails(const char *call)
{
    const char *text = getenv("EMULATED_FAIL");
    guard g(lock);
    if (!text || fail_text != text) {
        calls.clear();
        fail_text = text ? text : "";
    }
    if (!text)
        return false;
    long n = ++calls[call];
    std::string wanted = "," + fail_text + ",";
    return wanted.find("," + std::string(call) + ":" + std::to_string(n) + ",") != std::string::npos;
}

cudaError_t emulator_enter(const char *call, cudaError_t failure)
{
    if (broken != cudaSuccess)
        return emulator_status(broken);
    cudaError_t device = check_device(0);
    if (device != cudaSuccess)
        return emulator_status(device);
    return emulator_fails(call) ? emulator_status(failure) : cudaSuccess;
}

void emulator_break(cudaError_t error)
{
    broken = error;
    emulator_status(error);
}

cudaError_t cudaGetLastError(void)
{
    cudaError_t error = broken != cudaSuccess ? broken : last_error;
    last_error = cudaSuccess;
    return error;
}

cudaError_t cudaPeekAtLastError(void)
{
    return broken != cudaSuccess ? broken : last_error;
}

static const struct {
    cudaError_t error;
    const char *name, *text;
} error_texts[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol", "invalid device symbol"},
    {cudaErrorInvalidDevicePointer, "cudaErrorInvalidDevicePointer", "invalid device pointer"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorSymbolNotFound, "cudaErrorSymbolNotFound", "named symbol not found"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources",
     "too many resources requested for launch"},
    {cudaErrorLaunchTimeout, "cudaErrorLaunchTimeout", "the launch timed out and was terminated"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorCooperativeLaunchTooLarge, "cudaErrorCooperativeLaunchTooLarge",
     "too many blocks in cooperative launch"},
    {cudaErrorNotPermitted, "cudaErrorNotPermitted", "operation not permitted"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureImplicit, "cudaErrorStreamCaptureImplicit",
     "operation would make the legacy stream depend on a capturing blocking stream"},
    {cudaErrorCapturedEvent, "cudaErrorCapturedEvent",
     "operation not permitted on an event last recorded in a capturing stream"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};

const char *cudaGetErrorString(cudaError_t error)
{
    for (const auto &e : error_texts)
        if (e.error == error)
            return e.text;
    return "unrecognized error code";
}

const char *cudaGetErrorName(cudaError_t error)
{
    for (const auto &e : error_texts)
        if (e.error == error)
            return e.name;
    return "unrecognized error code";
}

/* ---- the device ---- */

cudaError_t cudaGetDeviceCount(int *count)
{
    cudaError_t error = check_device(0);
    *count = error == cudaSuccess ? emulator_device().devices : 0;
    return emulator_status(error);
}

cudaError_t cudaGetDevice(int *device)
{
    *device = current_device;
    return emulator_status(check_device(0));
}

cudaError_t cudaSetDevice(int device)
{
    cudaError_t error = check_device(device);
    if (error == cudaSuccess && (error = emulator_enter("cudaSetDevice", cudaErrorUnknown)) == cudaSuccess)
        current_device = device;
    return emulator_status(error);
}

cudaError_t cudaInitDevice(int device, unsigned device_flags, unsigned flags)
{
    (void)device_flags;
    (void)flags;
    return emulator_status(check_device(device));
}

cudaError_t cudaSetDeviceFlags(unsigned flags)
{
    (void)flags;
    return emulator_status(check_device(0));
}

/* Only what failed is forgotten: memory that is still held is the caller's mistake and stays counted. */
cudaError_t cudaDeviceReset(void)
{
    broken = last_error = cudaSuccess;
    return cudaSuccess;
}

static const struct {
    enum cudaDeviceAttr attribute;
    int value;
} attributes[] = {
    {cudaDevAttrMaxThreadsPerBlock, 1024},
    {cudaDevAttrMaxSharedMemoryPerBlock, EMULATOR_SHARED},
    {cudaDevAttrWarpSize, 32},
    {cudaDevAttrMaxRegistersPerBlock, 65536},
    {cudaDevAttrClockRate, 0},
    {cudaDevAttrIntegrated, 0},
    {cudaDevAttrMemoryClockRate, 0},
    {cudaDevAttrGlobalMemoryBusWidth, 0},
    {cudaDevAttrMaxThreadsPerMultiProcessor, 2048},
    {cudaDevAttrComputeCapabilityMajor, 9},
    {cudaDevAttrComputeCapabilityMinor, 0},
    {cudaDevAttrMaxSharedMemoryPerMultiprocessor, 228 << 10},
    {cudaDevAttrMaxRegistersPerMultiprocessor, 65536},
    {cudaDevAttrCooperativeLaunch, 1},
    {cudaDevAttrMaxSharedMemoryPerBlockOptin, EMULATOR_SHARED_OPT_IN},
    {cudaDevAttrMaxBlocksPerMultiprocessor, 32},
};

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int device)
{
    cudaError_t error = check_device(device);
    if (error != cudaSuccess)
        return emulator_status(error);
    if (attribute == cudaDevAttrMultiProcessorCount) {
        *value = emulator_device().multiprocessors;
        return cudaSuccess;
    }
    if (attribute == cudaDevAttrL2CacheSize) {
        *value = (int)emulator_device().l2;
        return cudaSuccess;
    }
    for (const auto &a : attributes)
        if (a.attribute == attribute) {
            *value = a.value;
            return cudaSuccess;
        }
    return emulator_status(cudaErrorInvalidValue);
}

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *out, int device)
{
    cudaError_t error = check_device(device);
    emulator_shape shape = emulator_device();
    if (error != cudaSuccess)
        return emulator_status(error);
    *out = cudaDeviceProp();
    snprintf(out->name, sizeof out->name, "Emulated GPU (sm_90)");
    memcpy(out->uuid.bytes,
           "\xe0\x0e\xe0\x0e"
           "emulated-gp",
           15);
    out->uuid.bytes[15] = (char)device;
    out->totalGlobalMem = shape.memory;
    out->sharedMemPerBlock = EMULATOR_SHARED;
    out->sharedMemPerBlockOptin = EMULATOR_SHARED_OPT_IN;
    out->sharedMemPerMultiprocessor = 228 << 10;
    out->reservedSharedMemPerBlock = 1 << 10;
    out->totalConstMem = 64 << 10;
    out->regsPerBlock = out->regsPerMultiprocessor = 65536;
    out->warpSize = 32;
    out->maxThreadsPerBlock = out->maxThreadsDim[0] = out->maxThreadsDim[1] = 1024;
    out->maxThreadsDim[2] = 64;
    out->maxGridSize[0] = 0x7fffffff;
    out->maxGridSize[1] = out->maxGridSize[2] = 65535;
    out->major = 9;
    out->multiProcessorCount = shape.multiprocessors;
    out->maxThreadsPerMultiProcessor = 2048;
    out->maxBlocksPerMultiProcessor = 32;
    out->l2CacheSize = (int)shape.l2;
    out->concurrentKernels = out->cooperativeLaunch = out->unifiedAddressing = 1;
    out->pciBusID = device;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int device)
{
    cudaError_t error = check_device(device);
    if (error == cudaSuccess)
        snprintf(text, (size_t)size, "0000:%02x:00.0", device);
    return emulator_status(error);
}

cudaError_t cudaDriverGetVersion(int *version)
{
    *version = emulator_device().driver;
    return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t *available, size_t *total)
{
    cudaError_t error = emulator_enter("cudaMemGetInfo", cudaErrorUnknown);
    guard g(lock);
    size_t all = emulator_device().memory, gone = used + EMULATOR_CONTEXT;
    *total = all;
    *available = all > gone ? all - gone : 0;
    return error;
}

cudaError_t cudaGetDriverEntryPointByVersion(const char *symbol, void **function, unsigned version,
                                             unsigned long long flags,
                                             enum cudaDriverEntryPointQueryResult *result)
{
    (void)version;
    (void)flags;
    cudaError_t error = check_device(0);
    *function = error == cudaSuccess ? emulator_driver_function(symbol) : nullptr;
    if (result)
        *result = *function ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
    return emulator_status(error != cudaSuccess  ? error
                           : *function || result ? cudaSuccess
                                                 : cudaErrorSymbolNotFound);
}

cudaError_t cudaGetDriverEntryPoint(const char *symbol, void **function, unsigned long long flags,
                                    enum cudaDriverEntryPointQueryResult *result)
{
    return cudaGetDriverEntryPointByVersion(symbol, function, 13000, flags, result);
}

/* ---- memory ---- */

bool emulator_take_memory(size_t bytes)
{
    guard g(lock);
    size_t all = emulator_device().memory;
    if (bytes > all || used + EMULATOR_CONTEXT > all - bytes)
        return false;
    used += bytes;
    return true;
}

void emulator_give_memory(size_t bytes)
{
    guard g(lock);
    used -= bytes;
}

bool emulator_is_device(const void *p, size_t bytes)
{
    {
        guard g(lock);
        if (covers(device_memory, p, bytes))
            return true;
    }
    return emulator_is_reserved(p, bytes); /* under its own lock, which is taken first elsewhere */
}

/* Fresh memory is NaN in every type, -1 as an index: nothing may rely on zeros. */
cudaError_t cudaMalloc(void **p, size_t bytes)
{
    cudaError_t error = emulator_enter("cudaMalloc", cudaErrorMemoryAllocation);
    void *memory = nullptr;
    size_t counted = bytes > SIZE_MAX - 511 ? bytes : (bytes + 511) / 512 * 512;
    *p = nullptr;
    if (error == cudaSuccess)
        error = emulator_not_while_capturing(cudaErrorStreamCaptureUnsupported);
    if (error != cudaSuccess || !bytes)
        return emulator_status(error);
    if (!emulator_take_memory(counted))
        return emulator_status(cudaErrorMemoryAllocation);
    if (posix_memalign(&memory, 512, bytes)) {
        emulator_give_memory(counted);
        return emulator_status(cudaErrorMemoryAllocation);
    }
    memset(memory, 0xff, bytes);
    guard g(lock);
    device_memory[(char *)memory] = bytes;
    *p = memory;
    return cudaSuccess;
}

cudaError_t cudaFree(void *p)
{
    if (!p)
        return cudaSuccess;
    cudaError_t error = emulator_not_while_capturing(cudaErrorStreamCaptureUnsupported);
    if (error != cudaSuccess)
        return emulator_status(error);
    guard g(lock);
    auto at = device_memory.find((char *)p);
    if (at == device_memory.end())
        return emulator_status(cudaErrorInvalidValue);
    emulator_give_memory((at->second + 511) / 512 * 512);
    device_memory.erase(at);
    free(p);
    return emulator_status(broken);
}

cudaError_t cudaMallocAsync(void **p, size_t bytes, cudaStream_t stream)
{
    (void)stream;
    return cudaMalloc(p, bytes);
}

cudaError_t cudaFreeAsync(void *p, cudaStream_t stream)
{
    (void)stream;
    return cudaFree(p);
}

cudaError_t cudaHostAlloc(void **p, size_t bytes, unsigned flags)
{
    (void)flags;
    cudaError_t error = emulator_enter("cudaMallocHost", cudaErrorMemoryAllocation);
    *p = nullptr;
    if (error != cudaSuccess || !bytes)
        return error;
    if (posix_memalign(p, 4096, bytes))
        return emulator_status(cudaErrorMemoryAllocation);
    memset(*p, 0xff, bytes);
    guard g(lock);
    pinned_memory[(char *)*p] = bytes;
    return cudaSuccess;
}

cudaError_t cudaMallocHost(void **p, size_t bytes)
{
    return cudaHostAlloc(p, bytes, cudaHostAllocDefault);
}

cudaError_t cudaFreeHost(void *p)
{
    guard g(lock);
    if (p && !pinned_memory.erase((char *)p))
        return emulator_status(cudaErrorInvalidValue);
    free(p);
    return emulator_status(broken);
}

cudaError_t cudaHostRegister(void *p, size_t bytes, unsigned flags)
{
    (void)bytes;
    (void)flags;
    return emulator_status(p ? cudaSuccess : cudaErrorInvalidValue);
}

cudaError_t cudaHostUnregister(void *p)
{
    return emulator_status(p ? cudaSuccess : cudaErrorInvalidValue);
}

/* ---- kernels ---- */

size_t emulator_allowed_shared(const void *kernel)
{
    guard g(lock);
    auto at = allowed_shared.find(kernel);
    return at == allowed_shared.end() ? (size_t)EMULATOR_SHARED : at->second;
}

cudaError_t cudaFuncSetAttribute(const void *kernel, enum cudaFuncAttribute attribute, int value)
{
    cudaError_t error = emulator_enter("cudaFuncSetAttribute", cudaErrorUnknown);
    if (error != cudaSuccess)
        return error;
    if (!kernel)
        return emulator_status(cudaErrorInvalidDeviceFunction);
    if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize)
        return cudaSuccess;
    if (value < 0 || (size_t)value > EMULATOR_SHARED_OPT_IN)
        return emulator_status(cudaErrorInvalidValue);
    guard g(lock);
    allowed_shared[kernel] = (size_t)value;
    return cudaSuccess;
}

cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes *out, const void *kernel)
{
    *out = cudaFuncAttributes();
    out->maxThreadsPerBlock = 1024;
    out->ptxVersion = out->binaryVersion = 90;
    out->maxDynamicSharedSizeBytes = (int)emulator_allowed_shared(kernel);
    return emulator_status(kernel ? cudaSuccess : cudaErrorInvalidDeviceFunction);
}

cudaError_t cudaFuncSetCacheConfig(const void *kernel, enum cudaFuncCache config)
{
    (void)config;
    return emulator_status(kernel ? cudaSuccess : cudaErrorInvalidDeviceFunction);
}

/* By threads, shared memory (1 KiB of each block is the system's) and the limit of blocks; registers are
 * unknown. */
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, const void *kernel, int threads,
                                                          size_t shared)
{
    (void)kernel;
    if (threads < 1 || threads > 1024)
        return emulator_status(cudaErrorInvalidValue);
    int by_threads = 2048 / ((threads + 31) / 32 * 32), by_shared = (int)((228u << 10) / (shared + 1024));
    *blocks = min(min(by_threads, by_shared), 32);
    return cudaSuccess;
}
