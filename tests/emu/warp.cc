/* The warp's operations: what each lane takes from what all lanes give. Fragment layouts: PTX ISA 9.7.14.5.
 */
#include "emulator_ptx.h"

template <typename T> static T given(const emulator_thread *t, size_t at)
{
    T value;
    memcpy(&value, t->give + at * sizeof(T), sizeof value);
    return value;
}

void emulator_shuffle(emulator_thread *const lane[32], unsigned present)
{
    for (unsigned rest = present; rest; rest &= rest - 1) {
        emulator_thread *t = lane[__builtin_ctz(rest)];
        if (present >> t->source & 1u)
            memcpy(t->take, lane[t->source]->give, 8);
        else
            memset(t->take, 0xff, 8);
    }
}

void emulator_vote(emulator_thread *const lane[32], unsigned present)
{
    unsigned votes = 0;
    for (unsigned i = 0; i < 32; i++)
        if (present >> i & 1u && given<int>(lane[i], 0))
            votes |= 1u << i;
    for (unsigned i = 0; i < 32; i++)
        if (present >> i & 1u)
            memcpy(lane[i]->take, &votes, sizeof votes);
}

void emulator_nothing(emulator_thread *const lane[32], unsigned present)
{
    (void)lane;
    (void)present;
}

void emulator_match(emulator_thread *const lane[32], unsigned present)
{
    for (unsigned i = 0; i < 32; i++) {
        unsigned same = 0;
        if (!(present >> i & 1u))
            continue;
        for (unsigned j = 0; j < 32; j++)
            if (present >> j & 1u && memcmp(lane[i]->give, lane[j]->give, 8) == 0)
                same |= 1u << j;
        memcpy(lane[i]->take, &same, sizeof same);
    }
}

static void need_all(const char *what, unsigned present)
{
    if (present != 0xffffffffu)
        emulator_fail("%s needs all 32 lanes of the warp, only %08x are there", what, present);
}

/* A [row][k] and B [k][col] of K elements, widened to W. */
template <int K, typename E, typename W>
static void gather(emulator_thread *const lane[32], W a[16][K], W b[K][8])
{
    enum { PER_WORD = 4 / sizeof(E) };
    for (int i = 0; i < 32; i++) {
        int g = i / 4, t = i % 4;
        for (int word = 0; word < 6; word++) {
            E element[PER_WORD];
            memcpy(element, lane[i]->give + 4 * word, 4);
            for (int e = 0; e < PER_WORD; e++) {
                int half = word < 4 ? word / 2 : word - 4, k = PER_WORD * t + K / 2 * half + e;
                if (word < 4)
                    a[g + 8 * (word % 2)][k] = (W)element[e];
                else
                    b[k][g] = (W)element[e];
            }
        }
    }
}

template <int K, typename E, typename W>
static void mma(const char *what, emulator_thread *const lane[32], unsigned present)
{
    W a[16][K], b[K][8], sum[16][8];
    need_all(what, present);
    gather<K, E, W>(lane, a, b);
    memset(sum, 0, sizeof sum);
    for (int row = 0; row < 16; row++)
        for (int k = 0; k < K; k++)
            for (int col = 0; col < 8; col++)
                sum[row][col] += a[row][k] * b[k][col];
    for (int i = 0; i < 32; i++)
        for (int e = 0; e < 4; e++) {
            W c;
            memcpy(&c, lane[i]->give + 24 + 4 * e, 4);
            c += sum[i / 4 + 8 * (e / 2)][2 * (i % 4) + e % 2];
            memcpy(lane[i]->take + 4 * e, &c, 4);
        }
}

void emulator_mma_f16(emulator_thread *const lane[32], unsigned present)
{
    mma<16, __half, float>("mma_m16n8k16 of fp16", lane, present);
}

void emulator_mma_bf16(emulator_thread *const lane[32], unsigned present)
{
    mma<16, __nv_bfloat16, float>("mma_m16n8k16 of bf16", lane, present);
}

void emulator_mma_s8(emulator_thread *const lane[32], unsigned present)
{
    mma<32, signed char, int>("mma_m16n8k32_s8", lane, present);
}

/* Lane 8 i + row gave that row of matrix i; lane 4 row + pair takes two neighbors of the row from each
 * matrix. */
void emulator_ldmatrix(emulator_thread *const lane[32], unsigned present)
{
    need_all("load_matrices", present);
    for (int i = 0; i < 32; i++)
        for (int matrix = 0; matrix < 4; matrix++)
            memcpy(lane[i]->take + 4 * matrix, lane[8 * matrix + i / 4]->give + 4 * (i % 4), 4);
}

void emulator_ldmatrix_transposed(emulator_thread *const lane[32], unsigned present)
{
    need_all("load_matrices_transposed", present);
    for (int i = 0; i < 32; i++)
        for (int matrix = 0; matrix < 4; matrix++)
            for (int e = 0; e < 2; e++)
                memcpy(lane[i]->take + 4 * matrix + 2 * e,
                       lane[8 * matrix + 2 * (i % 4) + e]->give + 2 * (i / 4), 2);
}
