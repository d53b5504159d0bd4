/* What reserve.c needs of the CUDA driver's interface (cuda.h, "Virtual Memory Management"): our own
 * prototypes, because libcuda.so is opened by the runtime alone, so that the program starts without a driver,
 * and because the tests' stand-in has no cuda.h. Checked against cuda.h where that is there (reserve.c). */
#pragma once

#include <stddef.h>

typedef unsigned long long driver_address; /* CUdeviceptr */
typedef unsigned long long driver_memory;  /* CUmemGenericAllocationHandle */

enum {
    DRIVER_PINNED = 1,         /* CU_MEM_ALLOCATION_TYPE_PINNED */
    DRIVER_ON_DEVICE = 1,      /* CU_MEM_LOCATION_TYPE_DEVICE */
    DRIVER_READ_WRITE = 3,     /* CU_MEM_ACCESS_FLAGS_PROT_READWRITE */
    DRIVER_GRANULARITY_MIN = 0 /* CU_MEM_ALLOC_GRANULARITY_MINIMUM */
};

struct driver_location { /* CUmemLocation */
    int type, id;
};

struct driver_property { /* CUmemAllocationProp */
    int type, requested_handle_types;
    struct driver_location location;
    void *win32_metadata;
    struct {
        unsigned char compression, rdma_capable;
        unsigned short usage;
        unsigned char reserved[4];
    } flags;
};

struct driver_access { /* CUmemAccessDesc */
    struct driver_location location;
    int flags;
};

/* Every call returns a CUresult: 0 is success, 2 out of memory. */
struct driver {
    int (*granularity)(size_t *bytes, const struct driver_property *property, int option);
    int (*reserve)(driver_address *at, size_t bytes, size_t alignment, driver_address wanted,
                   unsigned long long flags);
    int (*unreserve)(driver_address at, size_t bytes);
    int (*create)(driver_memory *memory, size_t bytes, const struct driver_property *property,
                  unsigned long long flags);
    int (*release)(driver_memory memory);
    int (*map)(driver_address at, size_t bytes, size_t offset, driver_memory memory,
               unsigned long long flags);
    int (*unmap)(driver_address at, size_t bytes);
    int (*set_access)(driver_address at, size_t bytes, const struct driver_access *access, size_t count);
};
