/* docs/tour/tensor.c -- tensor N C H W  n c h w: where one value of a tensor [N, C, H, W] lies, in NCHW order and in
 * the memory of the cpu backend. */
#include "tour.h"

#include <stdlib.h>

int main(int argc, char **argv)
{
    status st = OK;
    backend *cpu = NULL;
    float *plain = NULL, *memory = NULL;
    int v[8] = { 1, 20, 4, 4, 0, 17, 1, 2 };
    if (argc == 9)
        for (int i = 0; i < 8; i++) v[i] = atoi(argv[1 + i]);
    shape4 s = { v[0], v[1], v[2], v[3] };
    for (int i = 0; i < 4; i++)
        if (v[i] < 1 || v[4 + i] < 0 || v[4 + i] >= v[i])
            FAIL(ERR_USAGE, "usage: tensor N C H W  n c h w, each index below its size");

    int64_t index = (((int64_t)v[4] * s.c + v[5]) * s.h + v[6]) * s.w + v[7];
    TRY(backend_open("cpu", 1, &cpu, NULL, 0));
    size_t bytes = cpu->value_bytes(cpu, s, F32);
    printf("[%d, %d, %d, %d] holds %lld values, %lld bytes as f32\n", s.n, s.c, s.h, s.w,
           (long long)shape_count(s), 4 * (long long)shape_count(s));
    printf("(%d, %d, %d, %d) is value %lld in NCHW order\n", v[4], v[5], v[6], v[7], (long long)index);

    /* Put 1 at that place and 0 elsewhere, then look where the cpu backend stores the 1. */
    TRY_ALLOC(plain, calloc((size_t)shape_count(s), sizeof *plain));
    TRY_ALLOC(memory, calloc(1, bytes));
    plain[index] = 1;
    TRY(cpu->write_value(cpu, memory, s, F32, plain));
    for (size_t i = 0; i < bytes / 4; i++)
        if (memory[i] == 1) printf("the cpu backend keeps it at %zu of %zu\n", i, bytes / 4);
out:
    free(plain);
    free(memory);
    backend_close(cpu);
    return finish(st);
}
