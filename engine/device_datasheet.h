/* What vendors' data sheets promise, by the device's name: dense rates without sparsity, at boost clocks.
 * A ceiling to hold measured ones against, never a substitute for them. Pure. */
#pragma once

struct device_datasheet {
    const char *name;      /* "NVIDIA H200" */
    double read_bandwidth; /* bytes/s */
    double rate[4];        /* FLOP/s by kernel dtype: fp32 (CUDA cores), fp16, bf16, int8 (tensor cores) */
    const char *source;    /* which sheet */
};

/* name as the driver gives it ("NVIDIA H100 80GB HBM3"). NULL: no sheet is known, and none is guessed. */
const struct device_datasheet *device_datasheet_find(const char *name);
