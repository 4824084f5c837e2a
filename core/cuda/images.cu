/* core/cuda/images.cu -- crop, flip, rotation and normalisation of images that live on the device as uint8: the
 * arithmetic is core/device/image.h, as on the host. */
#include "device.h"

enum { CHANNELS = 3 };

template <typename T>
__global__ void augment_kernel(const uint8_t *images, const image_draw *draws, image_norm norm, int n, T *to)
{
    FOR_EACH(p, (int64_t)n * IMAGE_PIXELS)
    {
        const image_draw draw = draws[p / IMAGE_PIXELS];
        const int pixel = (int)(p % IMAGE_PIXELS);
        for (int c = 0; c < CHANNELS; c++) {
            float v = 0;
            if (draw.index >= 0) {
                const uint8_t *plane = images + ((int64_t)draw.index * CHANNELS + c) * IMAGE_PIXELS;
                v = image_normalised(image_pixel(plane, &draw, pixel / IMAGE_SIDE, pixel % IMAGE_SIDE), &norm,
                                     c);
            }
            from_float(&to[p * CHANNELS + c], v);
        }
    }
}

int images_augment(cuda_stream stream, dtype type, const uint8_t *images, const image_draw *draws,
                   image_norm norm, int n, void *to)
{
#define CALL(T)                                                                                              \
    LAUNCH(augment_kernel<T>, blocks_for((int64_t)n *IMAGE_PIXELS), THREADS, stream, images, draws, norm, n, \
           (T *)to)
    return BY_TYPE(type, CALL);
#undef CALL
}
