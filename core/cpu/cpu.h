/* core/cpu/cpu.h -- inside the cpu device: oneDNN for direct convolutions and products, own loops for the rest.
 *
 * Activations are blocked (layout.c): [N][block of channels][H*W][LANES]. The last block is padded with zeros, and
 * every operation keeps this padding zero. Values of few channels and [N, C, 1, 1] are plain NCHW. */
#ifndef CLEAVE_CPU_H
#define CLEAVE_CPU_H

#include "../device/backend.h"
#include "../device/measure.h"
#include "../device/products.h"
#include "../device/tuning.h"
#include "onednn.h"
#include "vec.h"

typedef struct choices choices; /* algorithm.c */

typedef struct cpu {
    backend base;
    choices *choices;         /* of convolution algorithms: those that are known */
    int forced_algorithm;     /* of all convolutions, while algorithms are timed; -1: none */
    uint32_t *product_buffer; /* products.c: one for each thread */
    int product_buffers;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr; /* we allocate the scratchpads */
    step_scalars now;
    double *work;      /* [WORK_KINDS] seconds, the caller's; NULL: nobody measures */
    work_kind working; /* what the time since `since` counts as */
    double since;
} cpu;

/* --- cpu.c --- */

/* What every plan of this device begins with. Each operation's file puts its own fields behind it. backend.h's `plan *`
 * points to such a struct; only cpu.c converts. */
typedef struct cpu_plan cpu_plan;
typedef status cpu_pass(cpu_plan *, const op_args *);
struct cpu_plan {
    op op; /* of two operations as one, the first */
    cpu *cpu;
    cpu_pass *forward, *backward, *recompute; /* as in backend.h; NULL where the operation has none */
    void (*free_parts)(cpu_plan *);           /* frees what the struct points to; NULL: nothing */
};

/* Allocates `bytes`, zeroed, for a plan and fills in what is common to all. */
status cpu_plan_new(cpu *, const op *, size_t bytes, cpu_pass *forward, cpu_pass *backward, cpu_plan **out);
void cpu_plan_free(cpu_plan *); /* NULL is harmless */

/* Reserves `bytes` in a buffer that is being planned: adds to its size, and returns the offset, a multiple of 64. */
size_t cpu_reserve(size_t *size, size_t bytes);
static inline void *at_offset(void *buffer, size_t offset)
{
    return (char *)buffer + offset;
}

/* From now on the time counts as `kind`. Returns what it counted as before. Costs nothing unless somebody measures. */
work_kind cpu_work(cpu *, work_kind kind);

/* Results of this size or more are stored past the caches (vec.h): no cache would keep them until they are read, and it
 * saves a fifth of the memory traffic. */
enum { CPU_STREAMED_BYTES = 32 << 20 };

/* Sums over images are made in groups: group g is the images [image_group_begin(n, g), image_group_begin(n, g + 1)).
 * The groups depend on n alone, so a sum has the same bits for any number of threads. */
enum { MOST_GROUPS = 64 };
static inline int image_groups(int n)
{
    return n < MOST_GROUPS ? n : MOST_GROUPS;
}
static inline int image_group_begin(int n, int group)
{
    return (int)((int64_t)n * group / image_groups(n));
}

/* Memory for timing. It is filled with small numbers, 2^-7 to 2^-3 in f32 and in bf16: none is denormal, which would be
 * slow. */
typedef struct timing_buffer {
    void *memory;
    size_t bytes;
} timing_buffer;
status timing_buffer_grow(cpu *, timing_buffer *, size_t bytes); /* to `bytes` or more; contents are lost */
void timing_buffer_free(cpu *, timing_buffer *);

/* --- the operations: each in the file of its name --- */

status cpu_conv_plan(cpu *, const op *, cpu_plan **, op_needs *);
status cpu_bnact_plan(cpu *, const op *, cpu_plan **, op_needs *);
status cpu_pool_plan(cpu *, const op *, cpu_plan **, op_needs *);
status cpu_linear_plan(cpu *, const op *, cpu_plan **, op_needs *);
status cpu_dropout_plan(cpu *, const op *, cpu_plan **, op_needs *);
status cpu_shortcut_plan(cpu *, const op *, cpu_plan **, op_needs *);
status cpu_loss_plan(cpu *, const op *, cpu_plan **, op_needs *);

/* Two operations as one (core/device/fusion.h): conv and bnact in evaluation, bnact and pool in training. */
status cpu_conv_bnact_plan(cpu *, const op *conv, const op *bnact, cpu_plan **, op_needs *);
const char *cpu_bnact_pool_unsupported(const op *bnact, const op *pool);
status cpu_bnact_pool_plan(cpu *, const op *bnact, const op *pool, cpu_plan **, op_needs *);

/* OP_CONV whose forward adds args.z if end->add, and activates by end->act; *end is not read later. */
status cpu_conv_plan_with(cpu *, const op *, const bnact_desc *end, cpu_plan **, op_needs *);
/* The same for depthwise convolutions, by own loops. */
bool cpu_is_depthwise(const op *);
status cpu_depthwise_plan(cpu *, const op *, const bnact_desc *end, cpu_plan **, op_needs *);
/* db [K] of OP_CONV: for each channel the sum of dy, which is blocked, over images and pixels. */
void cpu_bias_gradient(const op *, const void *dy, float *db);

/* --- algorithm.c --- */

enum { CONV_DIRECT, CONV_WINOGRAD, CONV_ALGORITHMS }; /* oneDNN's; winograd.c's */

/* Which algorithm computes this direction of OP_CONV. The environment decides how it is chosen: CLEAVE_CONV = auto (the
 * default: large convolutions are timed, once), rule, direct or winograd; ERR_USAGE: anything else. */
status cpu_choose_algorithm(cpu *, const op *, int direction, int *algorithm);

status cpu_choices_open(cpu *);
void cpu_choices_close(cpu *);
/* [core/device/tuning.h] */
status cpu_choices_load(backend *, const char *path);
status cpu_choices_save(const backend *, const char *path);

/* --- products.c: [core/device/products.h] --- */

status cpu_product(backend *, dtype, int m, int n, int64_t k, const void *a, int64_t lda, const void *b_rows,
                   int64_t ldb, bool upper, float *c, int64_t ldc);
status cpu_product_i8(backend *, int m, int n, int64_t k, i8_rows x, i8_rows y, bool upper, float *c,
                      int64_t ldc);

/* --- ceiling.c: [core/device/measure.h] --- */

status cpu_ceiling_open(backend *, const op *convs, int n, ceiling **out);
status cpu_ceiling_run(ceiling *, double seconds[3], double *gemm_gflops);
void cpu_ceiling_close(ceiling *);

/* --- layout.c --- */

/* How a value lies in memory. */
typedef struct layout {
    int block; /* how many channels lie side by side: LANES, or 1 = plain NCHW */
    dtype type;
} layout;

int layout_block(shape4);        /* of every value of this shape */
int layout_blocks(int channels); /* ceil(channels / LANES) */
size_t layout_bytes(shape4, layout);
size_t blocked_bytes(shape4, dtype); /* in blocks of LANES */
static inline layout layout_of(shape4 s, dtype type)
{
    return (layout){ layout_block(s), type };
}

/* dst = src or, with `add`, dst += src, from one layout of the shape to another. */
void layout_convert(shape4, const void *src, layout from, void *dst, layout to, bool add);

/* For an operation that reads a value in blocks of `block`: the value itself, or a converted copy in scratch. */
const void *layout_in(const cpu_plan *, shape4, const void *value, int block, void *scratch);

/* For an operation that writes a value in blocks of `block`: where to write. That is the value itself, or scratch if
 * the value is laid out otherwise or is to be added to. Afterwards layout_finish converts or adds it. */
void *layout_out(const cpu_plan *, shape4, void *value, int block, bool add, void *scratch);
void layout_finish(const cpu_plan *, shape4, const void *computed, void *value, int block, bool add);

#endif
