/* core/cpu/winograd.h -- 3x3 convolutions, stride 1, padding 1, by Winograd's F(4x4, 3x3): 36 multiplications where the
 * direct method needs 144; by F(2x2, 3x3) for images so small. Values are blocked (layout.c), of any number of channels,
 * f32 or bf16; transformed values and sums are f32. */
#ifndef CLEAVE_CPU_WINOGRAD_H
#define CLEAVE_CPU_WINOGRAD_H

#include "../device/op.h"

#include <stdbool.h>
#include <stddef.h>

/* Is this a convolution of that kind? */
static inline bool winograd_can(const op *o)
{
    const conv_desc *d = &o->conv;
    return d->kernel == 3 && d->stride == 1 && d->pad == 1 && d->groups == 1 && o->x.c > 3;
}

/* Multiplications for each image and pair of channels. */
int64_t winograd_products(int h, int w);

typedef struct winograd {
    int n, c, k, h, w; /* images; channels of x and of y; height and width of both */
    dtype type;        /* of x and y */
    int threads;
} winograd;

/* What becomes of the sums: y = act(sums + bias + z). */
typedef struct winograd_after {
    const float *bias; /* [k], or NULL */
    const void *z;     /* as y, may be y; or NULL */
    activation act;
} winograd_after;

/* Weights w [k][c][3][3], transformed, to u of so many bytes. `rotated`: w is [c][k][3][3] and turned by 180 degrees, for the
 * gradient of x: a convolution of dy whose c is the k of the forward pass. */
size_t winograd_packed_bytes(const winograd *);
void winograd_pack(const winograd *, const float *w, bool rotated, float *u);

/* y [n][k][h][w] from x [n][c][h][w] and packed weights. */
size_t winograd_scratch_bytes(const winograd *);
void winograd_convolve(const winograd *, const void *x, const float *u, winograd_after, void *y,
                       void *scratch);

/* dw [k][c][3][3] from x and dy. Which thread sums what depends on the shape and the number of threads alone. */
size_t winograd_gradient_scratch_bytes(const winograd *);
void winograd_gradient(const winograd *, const void *x, const void *dy, float *dw, void *scratch);

#endif
