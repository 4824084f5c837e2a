/* core/cpu/layout.c -- how activations lie in memory.
 *
 * Blocked (oneDNN's nChw16c, nChw8c without AVX-512): value (n, c, h, w) of a [N, C, H, W] lies at
 *     ((n * blocks + c / LANES) * H*W + h*W + w) * LANES + c % LANES,     blocks = ceil(C / LANES)
 * The same formula with 1 for LANES is plain NCHW.
 *
 * Which one: blocked is what oneDNN's fast training convolutions read and write for every channel count,
 * and pads widths such as 24 or 100 (pruned nets). Plain for
 *   - at most 3 channels (an image): the first convolution reads planes directly, padding to 16 would
 *     multiply the bytes;
 *   - [N, C, 1, 1] whose C does not fill its blocks: it is a matrix, for linear, loss and gemm. (Full
 *     blocks of one pixel are the same bytes as the plain matrix.) */
#include "cpu.h"

int layout_block(shape4 s)
{
    if (s.h == 1 && s.w == 1) return s.c % LANES == 0 ? LANES : 1;
    return s.c <= 3 ? 1 : LANES;
}

int layout_blocks(int channels)
{
    return (channels + LANES - 1) / LANES;
}

size_t layout_bytes(shape4 s, int block)
{
    size_t channels = block == 1 ? (size_t)s.c : (size_t)layout_blocks(s.c) * LANES;
    return (size_t)s.n * channels * (size_t)s.h * (size_t)s.w * sizeof(float);
}

/* One image's block of channels [c0, c0 + LANES) from planes; the lanes past C become zero. */
static void block_from_planes(const float *planes, int n_lanes, int64_t pixels, float *dst, bool add)
{
    for (int64_t p = 0; p < pixels; p++)
        for (int l = 0; l < LANES; l++) {
            float v = l < n_lanes ? planes[l * pixels + p] : 0;
            dst[p * LANES + l] = add ? dst[p * LANES + l] + v : v;
        }
}

static void planes_from_block(const float *src, int n_lanes, int64_t pixels, float *planes, bool add)
{
    for (int l = 0; l < n_lanes; l++)
        for (int64_t p = 0; p < pixels; p++) {
            float v = src[p * LANES + l];
            planes[l * pixels + p] = add ? planes[l * pixels + p] + v : v;
        }
}

static void copy_or_add(const float *src, float *dst, int64_t count, bool add)
{
    if (add) {
#pragma omp parallel for simd schedule(static)
        for (int64_t i = 0; i < count; i++) dst[i] += src[i];
    } else {
#pragma omp parallel for simd schedule(static)
        for (int64_t i = 0; i < count; i++) dst[i] = src[i];
    }
}

void layout_convert(shape4 s, const float *src, int src_block, float *dst, int dst_block, bool add)
{
    if (src_block == dst_block) {
        copy_or_add(src, dst, (int64_t)(layout_bytes(s, src_block) / sizeof(float)), add);
        return;
    }
    const int blocks = layout_blocks(s.c);
    const int64_t pixels = (int64_t)s.h * s.w;
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < s.n; n++)
        for (int b = 0; b < blocks; b++) {
            int left = s.c - b * LANES, n_lanes = left < LANES ? left : LANES;
            int64_t planes = ((int64_t)n * s.c + b * LANES) * pixels;
            int64_t block = ((int64_t)n * blocks + b) * pixels * LANES;
            if (src_block == 1)
                block_from_planes(src + planes, n_lanes, pixels, dst + block, add);
            else
                planes_from_block(src + block, n_lanes, pixels, dst + planes, add);
        }
}

const float *layout_in(shape4 s, const void *value, int block, void *scratch)
{
    if (layout_block(s) == block) return value;
    layout_convert(s, value, layout_block(s), scratch, block, false);
    return scratch;
}

float *layout_out(shape4 s, void *value, int block, bool add, void *scratch)
{
    return layout_block(s) == block && !add ? value : scratch;
}

void layout_finish(shape4 s, const float *computed, void *value, int block, bool add)
{
    if (computed != value) layout_convert(s, computed, block, value, layout_block(s), add);
}

size_t cpu_reserve(size_t *total, size_t bytes)
{
    size_t offset = *total;
    *total += (bytes + 63) / 64 * 64;
    return offset;
}
