/* The driver's virtual memory: addresses by mmap, memory by a memfd. What is not mapped and not made
 * accessible faults when it is touched. */
#include "cuda.h"
#include "tests/emu/runtime.h"

#include <map>
#include <mutex>
#include <sys/mman.h>
#include <unistd.h>

namespace
{
enum : size_t { PAGE = 2u << 20 };

struct memory {
    int file;
    size_t bytes;
    int users; /* the handle and its mappings */
    bool released;
};

struct mapping {
    size_t bytes;
    CUmemGenericAllocationHandle handle;
};

std::recursive_mutex lock;
typedef std::lock_guard<std::recursive_mutex> guard;
std::map<CUmemGenericAllocationHandle, memory> memories;
std::map<char *, size_t> reservations;
std::map<char *, mapping> mappings;
CUmemGenericAllocationHandle last_handle;

bool whole_pages(size_t bytes)
{
    return bytes && bytes % PAGE == 0;
}

bool is_reserved(const char *p, size_t bytes)
{
    auto next = reservations.upper_bound(const_cast<char *>(p));
    if (next == reservations.begin())
        return false;
    --next;
    return p + bytes <= next->first + next->second;
}

void leave(CUmemGenericAllocationHandle handle)
{
    memory &m = memories.at(handle);
    if (--m.users)
        return;
    close(m.file);
    emulator_give_memory(m.bytes);
    memories.erase(handle);
}

/* The mappings that exactly tile [at, at + bytes), or none: what access may be given to at once. */
bool tiles(char *at, size_t bytes)
{
    char *end = at + bytes;
    while (at < end) {
        auto m = mappings.find(at);
        if (m == mappings.end())
            return false;
        at += m->second.bytes;
    }
    return at == end;
}
} // namespace

bool emulator_is_reserved(const void *p, size_t bytes)
{
    guard g(lock);
    return is_reserved((const char *)p, bytes);
}

CUresult cuMemGetAllocationGranularity(size_t *bytes, const CUmemAllocationProp *prop,
                                       CUmemAllocationGranularity_flags option)
{
    (void)option;
    if (!prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED)
        return CUDA_ERROR_INVALID_VALUE;
    *bytes = PAGE;
    return CUDA_SUCCESS;
}

CUresult cuMemAddressReserve(CUdeviceptr *at, size_t bytes, size_t alignment, CUdeviceptr wish,
                             unsigned long long flags)
{
    (void)wish;
    guard g(lock);
    if (!whole_pages(bytes) || flags || (alignment & (alignment - 1)))
        return CUDA_ERROR_INVALID_VALUE;
    if (emulator_fails("cuMemAddressReserve"))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (alignment < PAGE)
        alignment = PAGE;
    char *p = (char *)mmap(nullptr, bytes + alignment, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                           -1, 0);
    if (p == MAP_FAILED)
        return CUDA_ERROR_OUT_OF_MEMORY;
    char *aligned = (char *)(((uintptr_t)p + alignment - 1) & ~(uintptr_t)(alignment - 1));
    if (aligned > p)
        munmap(p, (size_t)(aligned - p));
    if (aligned + bytes < p + bytes + alignment)
        munmap(aligned + bytes, (size_t)(p + alignment - aligned));
    reservations[aligned] = bytes;
    *at = (CUdeviceptr)(uintptr_t)aligned;
    return CUDA_SUCCESS;
}

CUresult cuMemAddressFree(CUdeviceptr at, size_t bytes)
{
    guard g(lock);
    char *p = (char *)(uintptr_t)at;
    auto r = reservations.find(p);
    auto m = mappings.lower_bound(p);
    if (r == reservations.end() || r->second != bytes || (m != mappings.end() && m->first < p + bytes))
        return CUDA_ERROR_INVALID_VALUE;
    munmap(p, bytes);
    reservations.erase(r);
    return CUDA_SUCCESS;
}

CUresult cuMemCreate(CUmemGenericAllocationHandle *handle, size_t bytes, const CUmemAllocationProp *prop,
                     unsigned long long flags)
{
    guard g(lock);
    if (!whole_pages(bytes) || !prop || prop->type != CU_MEM_ALLOCATION_TYPE_PINNED ||
        prop->location.type != CU_MEM_LOCATION_TYPE_DEVICE || flags)
        return CUDA_ERROR_INVALID_VALUE;
    if (emulator_fails("cuMemCreate") || !emulator_take_memory(bytes))
        return CUDA_ERROR_OUT_OF_MEMORY;
    int file = memfd_create("emulated device memory", MFD_CLOEXEC);
    if (file < 0 || ftruncate(file, (off_t)bytes)) {
        if (file >= 0)
            close(file);
        emulator_give_memory(bytes);
        return CUDA_ERROR_OUT_OF_MEMORY;
    }
    /* Fresh memory is not zeros, as cudaMalloc's. */
    void *p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (p != MAP_FAILED) {
        memset(p, 0xff, bytes);
        munmap(p, bytes);
    }
    *handle = ++last_handle;
    memories[*handle] = {file, bytes, 1, false};
    return CUDA_SUCCESS;
}

CUresult cuMemRelease(CUmemGenericAllocationHandle handle)
{
    guard g(lock);
    auto m = memories.find(handle);
    if (m == memories.end() || m->second.released)
        return CUDA_ERROR_INVALID_VALUE;
    m->second.released = true;
    leave(handle);
    return CUDA_SUCCESS;
}

/* Mapped memory stays without access until cuMemSetAccess. */
CUresult cuMemMap(CUdeviceptr at, size_t bytes, size_t offset, CUmemGenericAllocationHandle handle,
                  unsigned long long flags)
{
    guard g(lock);
    char *p = (char *)(uintptr_t)at;
    auto m = memories.find(handle);
    auto next = mappings.lower_bound(p);
    if (m == memories.end() || m->second.released || flags || offset || bytes != m->second.bytes ||
        at % PAGE || !is_reserved(p, bytes) || (next != mappings.end() && next->first < p + bytes))
        return CUDA_ERROR_INVALID_VALUE;
    if (next != mappings.begin()) {
        --next;
        if (next->first + next->second.bytes > p)
            return CUDA_ERROR_INVALID_VALUE;
    }
    if (emulator_fails("cuMemMap"))
        return CUDA_ERROR_OUT_OF_MEMORY;
    if (mmap(p, bytes, PROT_NONE, MAP_SHARED | MAP_FIXED, m->second.file, 0) == MAP_FAILED)
        return CUDA_ERROR_UNKNOWN;
    m->second.users++;
    mappings[p] = {bytes, handle};
    return CUDA_SUCCESS;
}

CUresult cuMemSetAccess(CUdeviceptr at, size_t bytes, const CUmemAccessDesc *access, size_t count)
{
    guard g(lock);
    char *p = (char *)(uintptr_t)at;
    if (count != 1 || !access || !tiles(p, bytes))
        return CUDA_ERROR_INVALID_VALUE;
    if (emulator_fails("cuMemSetAccess"))
        return CUDA_ERROR_UNKNOWN;
    int protection = access->flags == CU_MEM_ACCESS_FLAGS_PROT_READWRITE ? PROT_READ | PROT_WRITE
                     : access->flags == CU_MEM_ACCESS_FLAGS_PROT_READ    ? PROT_READ
                                                                         : PROT_NONE;
    return mprotect(p, bytes, protection) ? CUDA_ERROR_UNKNOWN : CUDA_SUCCESS;
}

CUresult cuMemUnmap(CUdeviceptr at, size_t bytes)
{
    guard g(lock);
    char *p = (char *)(uintptr_t)at;
    auto whole = mappings.find(p); /* of one cuMemMap, as the manual has it */
    if (whole == mappings.end() || whole->second.bytes != bytes)
        return CUDA_ERROR_INVALID_VALUE;
    mmap(p, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    leave(whole->second.handle);
    mappings.erase(whole);
    return CUDA_SUCCESS;
}

CUresult cuGetErrorString(CUresult error, const char **text)
{
    *text = cudaGetErrorString((cudaError_t)error);
    return CUDA_SUCCESS;
}

CUresult cuGetErrorName(CUresult error, const char **text)
{
    *text = cudaGetErrorName((cudaError_t)error);
    return CUDA_SUCCESS;
}

void *emulator_driver_function(const char *symbol)
{
    static const struct {
        const char *name;
        void *function;
    } functions[] = {
        {"cuMemGetAllocationGranularity", (void *)cuMemGetAllocationGranularity},
        {"cuMemAddressReserve", (void *)cuMemAddressReserve},
        {"cuMemAddressFree", (void *)cuMemAddressFree},
        {"cuMemCreate", (void *)cuMemCreate},
        {"cuMemRelease", (void *)cuMemRelease},
        {"cuMemMap", (void *)cuMemMap},
        {"cuMemUnmap", (void *)cuMemUnmap},
        {"cuMemSetAccess", (void *)cuMemSetAccess},
        {"cuGetErrorString", (void *)cuGetErrorString},
        {"cuGetErrorName", (void *)cuGetErrorName},
    };
    for (const auto &f : functions)
        if (strcmp(f.name, symbol) == 0)
            return f.function;
    return nullptr;
}
