/* core/cuda/values.cu -- how values come to be in the backend's layout, NHWC: from NCHW f32 and back, and from images
 * of a data set that lies on the device. */
#include "launch.h"

/* --- NCHW and NHWC ---
 *
 * One image is a matrix: [pixels][channels] in NHWC, [channels][pixels] in NCHW. To change the layout is to transpose
 * it. A block transposes a square of SIDE x SIDE values through shared memory, so that it both reads and writes SIDE
 * values that are next to each other. Lines of the square are one value longer than needed: then the values of a
 * column are in different banks of shared memory. */

enum { SIDE = 32, SIDE_ROWS = THREADS / SIDE };

template <typename A, typename B>
__global__ void transpose_kernel(const A *from, B *to, int rows, int cols, int squares_across, int squares)
{
    __shared__ float square[SIDE][SIDE + 1];
    const int image = (int)blockIdx.x / squares, number = (int)blockIdx.x - image * squares;
    const int row0 = number / squares_across * SIDE, col0 = number % squares_across * SIDE;
    const int x = (int)threadIdx.x % SIDE, y = (int)threadIdx.x / SIDE;
    const int64_t begin = (int64_t)image * rows * cols;
    for (int r = y; r < SIDE && row0 + r < rows; r += SIDE_ROWS)
        if (col0 + x < cols) square[r][x] = to_float(from[begin + (int64_t)(row0 + r) * cols + col0 + x]);
    __syncthreads();
    for (int c = y; c < SIDE && col0 + c < cols; c += SIDE_ROWS)
        if (row0 + x < rows) from_float(&to[begin + (int64_t)(col0 + c) * rows + row0 + x], square[x][c]);
}

/* [images][rows][cols] -> [images][cols][rows] */
template <typename A, typename B>
static int transpose(cuda_stream stream, const A *from, B *to, int images, int rows, int cols)
{
    const int across = (cols + SIDE - 1) / SIDE, squares = across * ((rows + SIDE - 1) / SIDE);
    return LAUNCH_BLOCKS((transpose_kernel<A, B>), (unsigned)images * (unsigned)squares, THREADS, stream,
                         from, to, rows, cols, across, squares);
}

int value_from_nchw(cuda_stream stream, dtype type, const float *nchw, void *value, shape4 s)
{
#define CALL(T) transpose(stream, nchw, (T *)value, s.n, s.c, s.h *s.w)
    return BY_TYPE(type, CALL);
#undef CALL
}

int value_to_nchw(cuda_stream stream, dtype type, const void *value, float *nchw, shape4 s)
{
#define CALL(T) transpose(stream, (const T *)value, nchw, s.n, s.h *s.w, s.c)
    return BY_TYPE(type, CALL);
#undef CALL
}

/* --- images: a thread takes one pixel. The arithmetic is core/device/image.h, as on the host --- */

template <typename T>
__global__ void augment_kernel(const uint8_t *images, const image_draw *draws, image_norm norm, int n,
                               image_shape s, T *to)
{
    FOR_EACH(p, (int64_t)n * image_pixels(s))
    {
        const image_draw draw = draws[p / image_pixels(s)];
        const int pixel = (int)(p % image_pixels(s));
        for (int c = 0; c < s.channels; c++) {
            float v = 0;
            if (draw.index >= 0) {
                const uint8_t *plane = images + ((int64_t)draw.index * s.channels + c) * image_pixels(s);
                v = image_normalised(image_pixel(s, plane, &draw, pixel / s.width, pixel % s.width), &norm,
                                     c);
            }
            from_float(&to[p * s.channels + c], v);
        }
    }
}

int value_from_images(cuda_stream stream, dtype type, const uint8_t *images, const image_draw *draws,
                      image_norm norm, int n, image_shape s, void *to)
{
#define CALL(T)                                                                                              \
    LAUNCH_FOR(augment_kernel<T>, (int64_t)n *image_pixels(s), stream, images, draws, norm, n, s, (T *)to)
    return BY_TYPE(type, CALL);
#undef CALL
}
