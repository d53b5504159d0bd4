/* What the files of the stand-in share: the shape of the device, the error of a thread, accounting of memory.
 */
#pragma once

#include "emulator.h"

/* The device as the environment shapes it, read anew at each call so that a test may change it:
 *   EMULATED_DEVICES=N            how many there are (1); 0: none
 *   EMULATED_DRIVER=0             no driver at all; else its version (13000)
 *   EMULATED_MEMORY=BYTES[K|M|G]  memory of a device (2G)
 *   EMULATED_MULTIPROCESSORS=N    (132)
 *   EMULATED_L2=BYTES[K|M|G]      (1M: ceilings are measured over several times as much)
 *   EMULATED_FAIL=CALL:N[,...]    the N-th call of that function fails; `kernel:N` is an illegal address in
 * the N-th launch, after which the device stays failed */
struct emulator_shape {
    int devices, driver, multiprocessors;
    size_t memory, l2;
};
emulator_shape emulator_device(void);

enum : size_t { EMULATOR_SHARED = 48 << 10, EMULATOR_SHARED_OPT_IN = 227 << 10, EMULATOR_CONTEXT = 16 << 20 };

/* Keeps a failure as the thread's last error and returns it. */
cudaError_t emulator_status(cudaError_t error);
/* The error this call has to return at once: the device's own, or EMULATED_FAIL's with `failure`. */
cudaError_t emulator_enter(const char *call, cudaError_t failure);
bool emulator_fails(const char *call);  /* it is this call's turn */
void emulator_break(cudaError_t error); /* the device stays failed with this */

bool emulator_take_memory(size_t bytes); /* false: the device has no more */
void emulator_give_memory(size_t bytes);
/* All of [p, p + bytes) is memory of the device. */
bool emulator_is_device(const void *p, size_t bytes);
bool emulator_is_reserved(const void *p, size_t bytes); /* of the virtual memory functions */
void *emulator_driver_function(const char *symbol);

/* A call that may not be made while this thread (or, in the global mode, any thread) captures: fails, and
 * spoils the capture, as the runtime does. */
cudaError_t emulator_not_while_capturing(cudaError_t failure);
size_t emulator_allowed_shared(const void *kernel);

void emulator_run(const emulator_kernel &kernel); /* emulator.cc: now, on this OS thread */
