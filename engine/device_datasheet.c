#include "engine/device_datasheet.h"

#include <stddef.h>
#include <string.h>

#define TERA 1e12
#define GIGA 1e9

/* Where a sheet gives rates with sparsity alone, the dense one is half. GeForce: fp16 and bf16 with fp32
 * accumulation, as our products accumulate. */
static const struct device_datasheet sheets[] = {
    {"NVIDIA B200",
     8.0 * TERA,
     {75 * TERA, 2250 * TERA, 2250 * TERA, 4500 * TERA},
     "NVIDIA DGX B200 data sheet, an eighth"},
    {"NVIDIA H200",
     4.8 * TERA,
     {67 * TERA, 989.5 * TERA, 989.5 * TERA, 1979 * TERA},
     "NVIDIA H200 data sheet, SXM"},
    {"NVIDIA H200 NVL",
     4.8 * TERA,
     {60 * TERA, 835.5 * TERA, 835.5 * TERA, 1670.5 * TERA},
     "NVIDIA H200 data sheet, NVL"},
    {"NVIDIA H100 80GB HBM3",
     3.35 * TERA,
     {67 * TERA, 989.5 * TERA, 989.5 * TERA, 1979 * TERA},
     "NVIDIA H100 data sheet, SXM"},
    {"NVIDIA H100 NVL",
     3.9 * TERA,
     {60 * TERA, 835.5 * TERA, 835.5 * TERA, 1670.5 * TERA},
     "NVIDIA H100 data sheet, NVL"},
    {"NVIDIA H100 PCIe",
     2.0 * TERA,
     {51 * TERA, 756.5 * TERA, 756.5 * TERA, 1513 * TERA},
     "NVIDIA H100 PCIe data sheet"},
    {"NVIDIA A100-SXM4-80GB",
     2039 * GIGA,
     {19.5 * TERA, 312 * TERA, 312 * TERA, 624 * TERA},
     "NVIDIA A100 data sheet, 80 GB SXM"},
    {"NVIDIA A100-SXM4-40GB",
     1555 * GIGA,
     {19.5 * TERA, 312 * TERA, 312 * TERA, 624 * TERA},
     "NVIDIA A100 data sheet, 40 GB SXM"},
    {"NVIDIA A100 80GB PCIe",
     1935 * GIGA,
     {19.5 * TERA, 312 * TERA, 312 * TERA, 624 * TERA},
     "NVIDIA A100 data sheet, 80 GB PCIe"},
    {"NVIDIA A100-PCIE-40GB",
     1555 * GIGA,
     {19.5 * TERA, 312 * TERA, 312 * TERA, 624 * TERA},
     "NVIDIA A100 data sheet, 40 GB PCIe"},
    {"NVIDIA L40S",
     864 * GIGA,
     {91.6 * TERA, 362.05 * TERA, 362.05 * TERA, 733 * TERA},
     "NVIDIA L40S data sheet"},
    {"NVIDIA L4", 300 * GIGA, {30.3 * TERA, 121 * TERA, 121 * TERA, 242.5 * TERA}, "NVIDIA L4 data sheet"},
    {"NVIDIA GeForce RTX 5090",
     1792 * GIGA,
     {104.8 * TERA, 209.5 * TERA, 209.5 * TERA, 838 * TERA},
     "NVIDIA RTX Blackwell architecture paper, appendix A"},
    {"NVIDIA GeForce RTX 4090",
     1008 * GIGA,
     {82.6 * TERA, 165.2 * TERA, 165.2 * TERA, 660.6 * TERA},
     "NVIDIA Ada architecture paper, appendix A"},
};

const struct device_datasheet *device_datasheet_find(const char *name)
{
    /* Whole names: a laptop's RTX 4090, or a 4090 D, is another card. */
    for (size_t i = 0; i < sizeof sheets / sizeof *sheets; i++)
        if (strcmp(sheets[i].name, name) == 0)
            return &sheets[i];
    return NULL;
}
