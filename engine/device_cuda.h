/* A GPU as a device: what the driver and NVML say of it without a context, and its ceilings. For
 * engine/device alone. */
#pragma once

#include "engine/device.h"

/* id: "cuda", "cuda:N". d has its environment; the rest is filled. -1 USAGE in one line: no driver, no such
 * GPU. Estimates until it was measured. Creates no context. */
int device_cuda_find(const char *id, struct device *d, struct error *e);
/* Reads, copies and products of this card, about two seconds; a context for as long. Fills the ceilings of d
 * alone. -1: UNSUPPORTED for an emulated one, FAILED. */
int device_cuda_measure(struct device *d, struct error *e);
/* Ids of all GPUs ("cuda:0" ...); how many. 0 with the reason in why. */
int device_cuda_list(char (*id)[16], int max, char *why, size_t why_size);
/* What doctor says of one GPU and of NVML; `find` adds a line. */
typedef void device_cuda_find_line(void *who, const struct device_finding *line);
void device_cuda_findings(void *who, device_cuda_find_line *line);
