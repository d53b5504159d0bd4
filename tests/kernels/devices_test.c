/* The door to GPUs on a machine without one, and what it says there. */
#include "kernels/kernels.h"

#include "tests/test.h"

static const struct kernels_config any = {0, "auto", "auto"};

TEST(a_machine_without_a_gpu_says_so_and_what_to_do)
{
    struct kernel_device device;
    char why[256] = "";
    int count = kernels_devices(&device, 1, why, sizeof why);
    if (count > 0)
        SKIP("this machine has a GPU");
    CHECK_INT(count, 0);
    if (strstr(why, "no driver"))
        CHECK_CONTAINS(why, "install");
    else if (!strstr(why, "no device") && !strstr(why, "no CUDA") && !strstr(why, "too old"))
        CHECK_CONTAINS(why, "nvidia-smi");
}

TEST(opening_a_gpu_that_is_not_there_gives_the_same_reason)
{
    char listed[256] = "", opened[256] = "";
    if (kernels_devices(NULL, 0, listed, sizeof listed) > 0)
        SKIP("this machine has a GPU");
    CHECK(!kernels_open("cuda", &any, opened, sizeof opened));
    CHECK_STRING(opened, listed);
    CHECK(!kernels_open("cuda:7", &any, opened, sizeof opened));
    CHECK_STRING(opened, listed);
}

TEST(a_gpu_beyond_the_last_is_told_how_many_there_are)
{
    char why[256] = "", part[32];
    int count = kernels_devices(NULL, 0, why, sizeof why);
    if (count == 0)
        SKIP("no GPU here");
    CHECK(!kernels_open("cuda:900", &any, why, sizeof why));
    snprintf(part, sizeof part, "has %d GPU", count);
    CHECK_CONTAINS(why, part);
}

TEST(a_reason_never_overflows_its_buffer)
{
    char why[16];
    memset(why, 'x', sizeof why);
    if (kernels_devices(NULL, 0, why, 8) > 0)
        SKIP("this machine has a GPU");
    CHECK_INT(strlen(why), 7);
    CHECK(why[8] == 'x');
}
