/* core/cpu/winograd.h -- 3x3 convolutions with stride 1 and padding 1 by Winograd's F(4x4, 3x3), which multiplies 36
 * times where the direct method multiplies 144 times, or for small images by F(2x2, 3x3). Values are blocked
 * (layout.c), with any number of channels, f32 or bf16. Transformed values and sums are f32. */
#ifndef CLEAVE_CPU_WINOGRAD_H
#define CLEAVE_CPU_WINOGRAD_H

#include "../device/op.h"

#include <stdbool.h>
#include <stddef.h>

/* Can this OP_CONV be computed here? */
static inline bool winograd_can(const op *o)
{
    const conv_desc *d = &o->conv;
    return d->kernel == 3 && d->stride == 1 && d->pad == 1 && d->groups == 1 && o->x.c > 3;
}

/* Multiplications for one image and one pair of channels. */
int64_t winograd_products(int h, int w);

typedef struct winograd {
    int n, c, k, h, w; /* images; channels of x and of y; height and width of both */
    dtype type;        /* of x and y */
    int threads;
} winograd;

/* What is done to the sums before they are stored: y = act(sums + bias + z). */
typedef struct winograd_epilogue {
    const float *bias; /* [k], or NULL */
    const void *z;     /* laid out as y, and may be y; or NULL */
    activation act;
} winograd_epilogue;

/* Transforms weights w [k][c][3][3] to u, which has winograd_packed_bytes bytes. `rotated`: for the gradient of x,
 * which is a convolution of dy. Then c and k are the channels of dy and x, w is [c][k][3][3], and the filters are
 * turned by 180 degrees. */
size_t winograd_packed_bytes(const winograd *);
void winograd_pack(const winograd *, const float *w, bool rotated, float *u);

/* y [n][k][h][w] from x [n][c][h][w] and packed weights. */
size_t winograd_scratch_bytes(const winograd *);
void winograd_convolve(const winograd *, const void *x, const float *u, winograd_epilogue, void *y,
                       void *scratch);

/* dw [k][c][3][3] from x and dy. The order of the sums depends on nothing but the shape and the number of threads. */
size_t winograd_gradient_scratch_bytes(const winograd *);
void winograd_gradient(const winograd *, const void *x, const void *dy, float *dw, void *scratch);

#endif
