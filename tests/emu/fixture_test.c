/* The fixture's own arithmetic, which judges the kernels'. */
#include "tests/emu/fixture.h"

TEST(arrays_come_back_as_they_were_in_every_activation_type)
{
    enum { N = 1000 };
    struct kernels *cuda = open_emulated();
    FOR_EACH_ACTIVATION(cuda, k)
    {
        float *x = noise_array(N);
        double want[N];
        narrow_array(k, x, N);
        for (int i = 0; i < N; i++)
            want[i] = (double)x[i];
        void *p = to_device(k, x, N);
        float *back = from_device(k, p, N);
        check_near("a copy", back, want, N, 0, 0);
        check_device("a copy", k, p, want, N, 1);
        free(back);
        free(x);
        free_array(k, p, N);
    }
    close_emulated(cuda);
}

TEST(narrow_rounds_ties_to_even)
{
    CHECK_INT(narrow(1.0f, KERNEL_FP16), 0x3c00);
    CHECK_INT(narrow(65519.0f, KERNEL_FP16), 0x7bff);
    CHECK_INT(narrow(0x1.ffep0f, KERNEL_FP16), 0x4000);
    CHECK_INT(narrow(0x1.ffep-15f, KERNEL_FP16), 0x0400);
    CHECK_INT(narrow(-0x1p-24f, KERNEL_FP16), 0x8001);
    CHECK_INT(narrow(0x1.01p0f, KERNEL_BF16), 0x3f80);
    CHECK_INT(narrow(0x1.03p0f, KERNEL_BF16), 0x3f82);
}

TEST(widen_undoes_narrow_for_every_bit_pattern)
{
    for (unsigned bits = 0; bits < 0x10000; bits++) {
        float half = widen((uint16_t)bits, KERNEL_FP16), brain = widen((uint16_t)bits, KERNEL_BF16);
        if ((!isnan(half) && narrow(half, KERNEL_FP16) != bits) ||
            (!isnan(brain) && narrow(brain, KERNEL_BF16) != bits)) {
            TEST_FAIL("%04x is %a or %a", bits, (double)half, (double)brain);
            return;
        }
    }
}
