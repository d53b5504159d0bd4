/* Which GPUs there are, without creating a context on any; and the words for each reason that there is none.
 */
#include "kernels/cuda/host.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef BENCHTOP_EMULATED
static const bool emulated = true;
/* By this .ci/dist knows a binary that must not travel. */
__attribute__((used)) static const char mark[] = "benchtop-emulated-device";
#else
static const bool emulated = false;
#endif

static const char MODE[] = "CUDA_MODULE_LOADING";
static pthread_once_t started = PTHREAD_ONCE_INIT;
static cudaError_t start_status;
static int device_count;
static bool at_once;

/* The driver reads the variable when it starts, at the first call. Loaded when first used, a kernel's module
 * would be loaded between two timestamps whenever a longer context first needs it. The variable goes again,
 * so that child processes keep their own default. */
static void start(void)
{
    const char *chosen = getenv(MODE);
    at_once = !chosen || strcmp(chosen, "EAGER") == 0;
    if (!chosen)
        setenv(MODE, "EAGER", 1);
    start_status = cudaGetDeviceCount(&device_count);
    (void)cudaGetLastError();
    if (!chosen)
        unsetenv(MODE);
}

bool cuda_modules_at_once(void)
{
    pthread_once(&started, start);
    return at_once;
}

int cuda_count_devices(char *why, size_t why_size)
{
    int driver = 0, runtime = 0;
    pthread_once(&started, start);
    if (start_status == cudaSuccess && device_count > 0)
        return device_count;
    if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
        snprintf(why, why_size,
                 "no driver: install NVIDIA's driver (its libcuda.so.1 was not found) and start again");
        return 0;
    }
    cudaRuntimeGetVersion(&runtime);
    if (start_status == cudaErrorInsufficientDriver)
        snprintf(why, why_size,
                 "the driver is too old (CUDA %d.%d, this build needs %d.%d): install a newer one, or build "
                 "with its toolkit",
                 driver / 1000, driver % 1000 / 10, runtime / 1000, runtime % 1000 / 10);
    else if (start_status == cudaErrorNoDevice || start_status == cudaSuccess)
        snprintf(why, why_size, "no device: the driver sees no GPU; nvidia-smi lists them%s",
                 getenv("CUDA_VISIBLE_DEVICES") ? ", CUDA_VISIBLE_DEVICES hides some: unset it" : "");
    else
        snprintf(why, why_size, "the driver does not start (%s): nvidia-smi may say more",
                 cudaGetErrorString(start_status));
    return 0;
}

static void describe(struct kernel_device *out, int index)
{
    struct cudaDeviceProp p;
    *out = (struct kernel_device){.emulated = emulated};
    snprintf(out->id, sizeof out->id, "cuda:%d", index);
    cudaDriverGetVersion(&out->driver);
    cudaRuntimeGetVersion(&out->runtime);
    cudaError_t status = cudaGetDeviceProperties(&p, index);
    if (status != cudaSuccess) {
        (void)cudaGetLastError();
        snprintf(out->name, sizeof out->name, "unknown: %.80s", cudaGetErrorString(status));
        return;
    }
    snprintf(out->name, sizeof out->name, "%.95s", p.name);
    const unsigned char *u = (const unsigned char *)p.uuid.bytes;
    snprintf(out->uuid, sizeof out->uuid,
             "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
             u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    out->major = p.major;
    out->minor = p.minor;
    out->multiprocessors = p.multiProcessorCount;
    out->memory_bytes = (int64_t)p.totalGlobalMem;
    out->l2_bytes = p.l2CacheSize;
}

int kernels_devices(struct kernel_device *out, int max, char *why, size_t why_size)
{
    int count = cuda_count_devices(why, why_size);
    if (count > 0 && why_size > 0)
        why[0] = '\0';
    for (int i = 0; i < count && i < max; i++)
        describe(&out[i], i);
    return count;
}
