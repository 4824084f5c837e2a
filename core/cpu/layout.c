/* core/cpu/layout.c -- how activations lie in memory, and how they are converted.
 *
 * Blocked (oneDNN's nChw16c, or nChw8c without AVX-512): element (n, c, h, w) of [N, C, H, W] lies at
 *     ((n * blocks + c / LANES) * H*W + h*W + w) * LANES + c % LANES,     blocks = ceil(C / LANES)
 * The same formula with 1 for LANES is plain NCHW.
 *
 * Most values are blocked. oneDNN's fast convolutions read and write this layout for every number of channels; those
 * that do not fill their blocks, such as 24 or 100 in a pruned net, are padded. Plain are
 *   - values of at most 3 channels, such as images: the first convolution reads planes directly, and padding 3 channels
 *     to 16 would multiply the bytes;
 *   - [N, C, 1, 1] if C does not fill its blocks: linear layers, the loss and products read it as a matrix. (If C does,
 *     the blocked value is the same bytes as the matrix.) */
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

size_t layout_bytes(shape4 s, layout l)
{
    size_t channels = l.block == 1 ? (size_t)s.c : (size_t)layout_blocks(s.c) * LANES;
    return (size_t)s.n * channels * (size_t)s.h * (size_t)s.w * dtype_bytes(l.type);
}

size_t blocked_bytes(shape4 s, dtype type)
{
    return layout_bytes(s, (layout){ LANES, type });
}

/* One block of channels of one image, in both layouts: n_lanes <= LANES planes that begin at element `planes`, and a
 * block that begins at element `block`. */
typedef struct part {
    int64_t planes, block, pixels;
    int n_lanes;
} part;

/* Lanes behind the last channel become zero. */
INLINED void block_from_planes(part p, const void *src, dtype from, void *dst, dtype to, bool add)
{
    for (int64_t i = 0; i < p.pixels; i++)
        for (int l = 0; l < LANES; l++) {
            float v = l < p.n_lanes ? value_get(src, p.planes + l * p.pixels + i, from) : 0;
            value_set(dst, p.block + i * LANES + l, to, v, add);
        }
}

INLINED void planes_from_block(part p, const void *src, dtype from, void *dst, dtype to, bool add)
{
    for (int l = 0; l < p.n_lanes; l++)
        for (int64_t i = 0; i < p.pixels; i++)
            value_set(dst, p.planes + l * p.pixels + i, to, value_get(src, p.block + i * LANES + l, from),
                      add);
}

INLINED void change_blocks(shape4 s, const void *src, layout from, void *dst, layout to, bool add)
{
    const int blocks = layout_blocks(s.c);
    const int64_t pixels = (int64_t)s.h * s.w;
#pragma omp parallel for collapse(2) schedule(static)
    for (int n = 0; n < s.n; n++)
        for (int b = 0; b < blocks; b++) {
            const int left = s.c - b * LANES;
            const part p = { .planes = ((int64_t)n * s.c + b * LANES) * pixels,
                             .block = ((int64_t)n * blocks + b) * pixels * LANES,
                             .pixels = pixels,
                             .n_lanes = left < LANES ? left : LANES };
            if (from.block == 1)
                block_from_planes(p, src, from.type, dst, to.type, add);
            else
                planes_from_block(p, src, from.type, dst, to.type, add);
        }
}

INLINED void copy_or_add(shape4 s, const void *src, layout from, void *dst, layout to, bool add)
{
    const int64_t count = (int64_t)(layout_bytes(s, from) / dtype_bytes(from.type));
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) value_set(dst, i, to.type, value_get(src, i, from.type), add);
}

INLINED void convert(shape4 s, const void *src, layout from, void *dst, layout to, bool add)
{
    if (from.block == to.block)
        copy_or_add(s, src, from, dst, to, add);
    else
        change_blocks(s, src, from, dst, to, add);
}

void layout_convert(shape4 s, const void *src, layout from, void *dst, layout to, bool add)
{
    const layout from_f32 = { from.block, F32 }, to_f32 = { to.block, F32 };
    const layout from_bf16 = { from.block, BF16 }, to_bf16 = { to.block, BF16 };
    if (from.type == F32 && to.type == F32)
        convert(s, src, from_f32, dst, to_f32, add);
    else if (from.type == F32)
        convert(s, src, from_f32, dst, to_bf16, add);
    else if (to.type == F32)
        convert(s, src, from_bf16, dst, to_f32, add);
    else
        convert(s, src, from_bf16, dst, to_bf16, add);
}

const void *layout_in(const cpu_plan *p, shape4 s, const void *value, int block, void *scratch)
{
    const layout from = layout_of(s, p->op.type), to = { block, p->op.type };
    if (from.block == block) return value;
    const work_kind before = cpu_work(p->cpu, WORK_REORDER);
    layout_convert(s, value, from, scratch, to, false);
    cpu_work(p->cpu, before);
    return scratch;
}

void *layout_out(const cpu_plan *p, shape4 s, void *value, int block, bool add, void *scratch)
{
    (void)p;
    return layout_block(s) == block && !add ? value : scratch;
}

void layout_finish(const cpu_plan *p, shape4 s, const void *computed, void *value, int block, bool add)
{
    const layout from = { block, p->op.type }, to = layout_of(s, p->op.type);
    if (computed == value) return;
    const work_kind before = cpu_work(p->cpu, from.block == to.block ? WORK_ELEMENTWISE : WORK_REORDER);
    layout_convert(s, computed, from, value, to, add);
    cpu_work(p->cpu, before);
}
