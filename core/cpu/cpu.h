/* core/cpu/cpu.h -- inside the cpu backend: oneDNN for convolutions and products, own loops for the rest.
 *
 * Activations are blocked (layout.c): [N][channel block][H*W][LANES], channels padded with zeros up to a
 * multiple of LANES. Every operation keeps the padding zero. Plain NCHW is used for few channels and for
 * [N, C, 1, 1]. */
#ifndef CLEAVE_CPU_H
#define CLEAVE_CPU_H

#include "../backend.h"
#include "onednn.h"
#include "vec.h"

typedef struct cpu {
    backend base;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_attr_t attr; /* scratchpads are the caller's */
    step_scalars now;
} cpu;

/* What every plan begins with; the files of the operations put their own fields behind it. */
struct plan {
    op op;
    cpu *cpu;
    status (*forward)(plan *, const op_args *);
    status (*backward)(plan *, const op_args *);
    void (*free)(plan *);
};

status cpu_conv_plan(cpu *, const op *, plan **, op_needs *);
status cpu_bnact_plan(cpu *, const op *, plan **, op_needs *);
status cpu_pool_plan(cpu *, const op *, plan **, op_needs *);
status cpu_linear_plan(cpu *, const op *, plan **, op_needs *);
status cpu_dropout_plan(cpu *, const op *, plan **, op_needs *);
status cpu_shortcut_plan(cpu *, const op *, plan **, op_needs *);
status cpu_loss_plan(cpu *, const op *, plan **, op_needs *);

/* For plans whose struct holds nothing to free: allocates `bytes` zeroed and fills the common part. */
status cpu_plan_new(cpu *, const op *, size_t bytes, plan **out);

status cpu_sgd(backend *, float *value, const float *grad, float *velocity, int64_t count);
status cpu_gemm_nt(backend *, int m, int n, int64_t k, const float *a, int64_t lda, const float *b_rows,
                   int64_t ldb, float *c, int64_t ldc);

/* --- layout.c --- */

/* Channels that lie side by side in a value of this shape: LANES, or 1 = plain NCHW. */
int layout_block(shape4);
int layout_blocks(int channels); /* ceil(channels / LANES) */
size_t layout_bytes(shape4, int block);

/* dst = src, or dst += src, between two layouts of one shape. */
void layout_convert(shape4, const float *src, int src_block, float *dst, int dst_block, bool add);

/* A value in the layout `block`, which an operation needs: itself, or a copy in scratch. */
const float *layout_in(shape4, const void *value, int block, void *scratch);

/* Where to compute a result in the layout `block`: the value itself, or scratch if it is laid out
 * otherwise or is to be added to; layout_finish then stores or adds it. */
float *layout_out(shape4, void *value, int block, bool add, void *scratch);
void layout_finish(shape4, const float *computed, void *value, int block, bool add);

/* Reserves `bytes` in a buffer that is being planned; answers their offset, a multiple of 64. */
size_t cpu_reserve(size_t *total, size_t bytes);
static inline void *at(void *base, size_t offset)
{
    return (char *)base + offset;
}

/* --- prim.c --- */

/* A oneDNN primitive and the memory objects of its arguments, made once. Running it allocates nothing
 * here: it only changes the pointers that differ from those of the last run. */
enum { PRIM_ARGS = 5 };
typedef struct prim {
    dnnl_primitive_t primitive;
    dnnl_exec_arg_t args[PRIM_ARGS];
    int n_args;
    size_t scratchpad; /* bytes */
} prim;

/* `args` are n DNNL_ARG_*; their memory descriptors come from the primitive descriptor. */
status prim_create(prim *, cpu *, const_dnnl_primitive_desc_t, const int *args, int n);
status prim_create_reorder(prim *, cpu *, onednn_const_md from, onednn_const_md to);
/* Pointers in the order of `args`; scratchpad: prim.scratchpad bytes. */
status prim_run(prim *, cpu *, void *const *pointers, void *scratchpad);
void prim_destroy(prim *);

/* oneDNN's status as ours. */
#define TRY_DNNL(call)                                                                                       \
    do {                                                                                                     \
        dnnl_status_t dnnl_answer = (call);                                                                  \
        if (dnnl_answer != dnnl_success) FAIL(ERR_RUNTIME, "oneDNN answers %d to " #call, (int)dnnl_answer); \
    } while (0)

#endif
