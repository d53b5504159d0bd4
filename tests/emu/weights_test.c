/* Weights made, read and widened on the device: the bits of the CPU. */
#include "kernels/cuda/cuda.h"
#include "tests/emu/fixture.h"

static const int64_t shapes[][2] = {{7, 1003}, {5, 64}, {40, 20}, {3, 172}, {60, 1}, {1, 4104}, {9, 4224}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* The same tensor on both; true where every byte of data, scales and codes is. */
static void check_same(struct kernels *cuda, struct kernels *cpu, enum kernel_dtype dtype,
                       const int64_t *shape, enum kernel_weight_law law, float amplitude)
{
    size_t part[3];
    int64_t rows = shape[0], cols = whole_cols(dtype, shape[1]);
    struct kernel_matrix d = new_matrix(cuda, dtype, rows, cols, 31, NULL),
                         h = new_matrix(cpu, dtype, rows, cols, 31, NULL);
    cuda->ops->generate(cuda, &d, 99, 12, law, amplitude);
    cpu->ops->generate(cpu, &h, 99, 12, law, amplitude);
    kernel_matrix_parts(dtype, rows, cols, part);
    const void *from[3] = {d.data, d.scales, d.codes}, *want[3] = {h.data, h.scales, h.codes};
    for (int i = 0; i < 3; i++) {
        if (!part[i])
            continue;
        void *got = malloc(part[i]);
        cuda->ops->download(cuda, got, from[i], part[i]);
        if (memcmp(got, want[i], part[i]) != 0)
            TEST_FAIL("part %d of %s %d x %d differs", i, kernel_dtype_name(dtype), (int)rows, (int)cols);
        free(got);
    }
    free_matrix(cuda, &d);
    free_matrix(cpu, &h);
}

TEST(uniform_weights_of_every_type_and_shape_are_the_bits_of_the_cpu)
{
    struct kernels *cuda = open_emulated(), *cpu = open_cpu();
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int s = 0; s < SHAPES; s++)
            check_same(cuda, cpu, (enum kernel_dtype)dtype, shapes[s], KERNEL_UNIFORM, 0.02f);
    close_emulated(cuda);
    cpu->ops->close(cpu);
}

TEST(constant_weights_of_every_type_are_the_bits_of_the_cpu)
{
    struct kernels *cuda = open_emulated(), *cpu = open_cpu();
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int zero = 0; zero < 2; zero++)
            check_same(cuda, cpu, (enum kernel_dtype)dtype, shapes[3], KERNEL_CONSTANT, zero ? 0 : 1.5f);
    close_emulated(cuda);
    cpu->ops->close(cpu);
}

TEST(matrices_are_read_as_the_cpu_reads_them_whole_and_in_ranges_of_rows)
{
    static const int64_t wide[2] = {2, 140000}; /* one row is more than a piece, in every type */
    struct kernels *cuda = open_emulated(), *cpu = open_cpu();
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int s = 0; s <= SHAPES; s++) {
            int64_t shape[2] = {s < SHAPES ? shapes[s][0] : wide[0],
                                whole_cols((enum kernel_dtype)dtype, s < SHAPES ? shapes[s][1] : wide[1])};
            size_t n = (size_t)(shape[0] * shape[1]);
            float *got, *want;
            struct kernel_matrix d = new_matrix(cuda, (enum kernel_dtype)dtype, shape[0], shape[1], 3, &got),
                                 h = new_matrix(cpu, (enum kernel_dtype)dtype, shape[0], shape[1], 3, &want);
            if (memcmp(got, want, n * sizeof *got) != 0)
                TEST_FAIL("%s %d x %d is read otherwise", kernel_dtype_name((enum kernel_dtype)dtype),
                          (int)shape[0], (int)shape[1]);
            if (shape[0] > 4) {
                struct kernel_matrix view = kernel_matrix_rows(&d, 1, shape[0] - 1);
                cuda->ops->read_matrix(cuda, &view, 1, shape[0] - 3, got);
                CHECK(memcmp(got, want + 2 * shape[1], (size_t)((shape[0] - 3) * shape[1]) * sizeof *got) ==
                      0);
            }
            free_matrix(cuda, &d);
            free_matrix(cpu, &h);
            free(got), free(want);
        }
    close_emulated(cuda);
    cpu->ops->close(cpu);
}

TEST(widened_matrices_are_the_nearest_halves_of_what_they_hold)
{
    struct kernels *cuda = open_emulated();
    for (int dtype = 0; dtype < KERNEL_DTYPES; dtype++)
        for (int s = 0; s < SHAPES; s++)
            for (int to = KERNEL_FP16; to <= KERNEL_BF16; to++) {
                int64_t cols = whole_cols((enum kernel_dtype)dtype, shapes[s][1]);
                size_t n = (size_t)(shapes[s][0] * cols), wrong = 0;
                float *plain;
                struct kernel_matrix m =
                    new_matrix(cuda, (enum kernel_dtype)dtype, shapes[s][0], cols, 3, &plain);
                void *out = cuda->ops->alloc(cuda, 2 * n);
                uint16_t *got = malloc(2 * n);
                cuda_widen(cuda_of(cuda), out, (enum kernel_dtype)to, &m);
                cuda->ops->download(cuda, got, out, 2 * n);
                for (size_t i = 0; i < n; i++)
                    wrong += got[i] != narrow(plain[i], (enum kernel_dtype)to);
                CHECK_INT(wrong, 0);
                if (m.rows > 3 && m.cols % 8 == 0) { /* a view's groups of scales go on */
                    struct kernel_matrix view = kernel_matrix_rows(&m, 2, m.rows - 2);
                    cuda_widen(cuda_of(cuda), out, (enum kernel_dtype)to, &view);
                    cuda->ops->download(cuda, got, out, 2 * n);
                    for (size_t i = 0; i < (size_t)(view.rows * view.cols); i++)
                        wrong += got[i] != narrow(plain[2 * (size_t)m.cols + i], (enum kernel_dtype)to);
                    CHECK_INT(wrong, 0);
                }
                free_matrix(cuda, &m);
                cuda->ops->free(cuda, out, 2 * n);
                free(got), free(plain);
            }
    close_emulated(cuda);
}
