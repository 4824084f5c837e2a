/* tests/image32.h -- the size of CIFAR's images, which most tests use. */
#ifndef CLEAVE_TESTS_IMAGE32_H
#define CLEAVE_TESTS_IMAGE32_H

#include "../core/device/image.h"

enum { IMAGE_SIDE = 32, IMAGE_PIXELS = 32 * 32, IMAGE_VALUES = 3 * 32 * 32 };
static const image_shape image32 __attribute__((unused)) = { 3, IMAGE_SIDE, IMAGE_SIDE };

/* Of a config_data. */
#define CONFIG32 .channels = 3, .size = { IMAGE_SIDE, IMAGE_SIDE }

#endif
