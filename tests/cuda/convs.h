/* tests/cuda/convs.h -- the convolutions that device_check.c runs on a device. test_planning.c asks cuDNN, without a
 * device, for engines for them. */
#ifndef CLEAVE_TESTS_CONVS_H
#define CLEAVE_TESTS_CONVS_H

#include <stddef.h>

static const char *const checked_convs[] = {
    "conv n2c3h8w8_o16k3s1p1",     "conv n2c3h9w7_o16k3s2p1b",   "conv n2c17h7w5_o24k3s1p1",
    "conv n4c32h8w8_o32k3s1p1b",   "conv n2c16h8w8_o32k1s1p0",   "conv n2c24h9w9_o40k1s2p0",
    "conv n2c64h8w8_o128k1s2p0",   "conv n2c3h16w16_o16k7s2p3",  "conv n2c32h1w1_o16k1s1p0b",
    "conv n2c24h6w6_o24k5s1p2g24", "conv n2c32h6w6_o64k3s1p1g2", NULL,
};

/* Those for which we have kernels: for both types here, for bf16 below. */
static const char *const checked_depthwise[] = {
    "conv n2c32h8w8_o32k3s1p1g32",    "conv n2c24h7w7_o24k3s2p1g24b",
    "conv n5c32h16w13_o32k3s2p1g32",  "conv n5c128h15w13_o128k3s1p1g128",
    "conv n2c140h5w6_o140k3s1p1g140", "conv n2c960h4w4_o960k3s1p1g960b",
    "conv n3c17h9w10_o17k3s1p1g17",   "conv n3c17h10w9_o17k3s2p1g17",
    "conv n4c32h1w1_o32k3s2p1g32",    NULL,
};

static const char *const checked_narrow[] = {
    "conv n3c16h33w20_o16k3s1p1",
    "conv n2c32h17w16_o32k3s1p1b",
    "conv n1c30h16w16_o9k3s1p1",
    "conv n2c16h9w9_o32k3s1p1",
    "conv n2c3h32w32_o16k3s1p1",

    "conv n2c9h5w40_o31k3s1p1",
    "conv n2c32h8w8_o16k3s1p1",
    "conv n1c32h7w9_o12k3s1p1",
    "conv n1c12h7w9_o32k3s1p1",
    NULL,
};

#endif
