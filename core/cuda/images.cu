/* core/cuda/images.cu -- crop, flip, rotation and normalisation of images that live on the device as uint8:
 * what data/augment.c does on the host, with the same numbers. */
#include "device.h"

enum { SIDE = 32, PIXELS = SIDE * SIDE, CHANNELS = 3 };

/* Bilinear; pixels outside are black. */
__device__ static inline float sample(const uint8_t *plane, float y, float x)
{
    const int top = (int)floorf(y), left = (int)floorf(x);
    const float fy = y - (float)top, fx = x - (float)left;
    float sum = 0;
    for (int b = 0; b < 2; b++)
        for (int a = 0; a < 2; a++) {
            const int i = top + b, j = left + a;
            if (i < 0 || i >= SIDE || j < 0 || j >= SIDE) continue;
            sum += (b ? fy : 1 - fy) * (a ? fx : 1 - fx) * (float)plane[i * SIDE + j];
        }
    return sum;
}

/* The byte, or mixture of bytes, that output pixel (i, j) of a channel shows. */
__device__ static inline float pixel_of(const uint8_t *plane, const image_choice &choice, int i, int j)
{
    const int y = i + choice.dy, x = augment_column(j, SIDE, choice.flip != 0, choice.dx);
    if (y < 0 || y >= SIDE || x < 0 || x >= SIDE) return 0;
    if (choice.degrees == 0) return (float)plane[y * SIDE + x];
    const float angle = choice.degrees * (float)3.14159265358979323846 / 180, cosine = cosf(angle),
                sine = sinf(angle);
    const float centre = (SIDE - 1) / 2.0f, v = (float)y - centre, u = (float)x - centre;
    return sample(plane, centre + u * sine + v * cosine, centre + u * cosine - v * sine);
}

template <typename T>
__global__ void augment_kernel(const uint8_t *images, const image_choice *choices, image_norm norm, int rows,
                               int n, T *to)
{
    FOR_EACH(p, (int64_t)n * PIXELS)
    {
        const int row = (int)(p / PIXELS), pixel = (int)(p % PIXELS);
        for (int c = 0; c < CHANNELS; c++) {
            float v = 0;
            if (row < rows) {
                const image_choice choice = choices[row];
                const uint8_t *plane = images + ((int64_t)choice.index * CHANNELS + c) * PIXELS;
                v = (pixel_of(plane, choice, pixel / SIDE, pixel % SIDE) / 255 - norm.mean[c]) / norm.std[c];
            }
            from_float(&to[p * CHANNELS + c], v);
        }
    }
}

int images_augment(cuda_stream stream, dtype type, const uint8_t *images, const image_choice *choices,
                   image_norm norm, int rows, int n, void *to)
{
#define CALL(T)                                                                                              \
    LAUNCH(augment_kernel<T>, blocks_for((int64_t)n *PIXELS), THREADS, stream, images, choices, norm, rows,  \
           n, (T *)to)
    return BY_TYPE(type, CALL);
#undef CALL
}
