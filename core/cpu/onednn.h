/* core/cpu/onednn.h -- how this device calls oneDNN: primitives with their arguments, descriptors of our arrays, and
 * the differences between oneDNN 2.x and 3.x. */
#ifndef CLEAVE_CPU_ONEDNN_H
#define CLEAVE_CPU_ONEDNN_H

#include "../base/status.h"
#include "../device/op.h"

#include <dnnl.h>
#include <stdlib.h>

typedef struct cpu cpu; /* cpu.h */

/* ---- the two versions ----
 *
 * Only creating things differs. In 2.x a memory descriptor is a struct, and a primitive descriptor is made in two steps
 * (operation descriptor, then primitive descriptor). In 3.x a memory descriptor is a handle, and one call makes a
 * primitive descriptor. Running, queries and reorders are the same in both. The header and the library must be of the
 * same major version: the values of the enumerations differ. */

/* A convolution's geometry in the form that both versions take. */
typedef struct onednn_conv {
    dnnl_prop_kind_t prop; /* of the forward pass */
    dnnl_alg_kind_t algorithm;
    dnnl_dims_t strides, pads;
} onednn_conv;

#if DNNL_VERSION_MAJOR >= 3

typedef dnnl_memory_desc_t onednn_md;
typedef const_dnnl_memory_desc_t onednn_const_md;

static inline dnnl_status_t onednn_md_create(onednn_md *md, int n_dims, const dnnl_dims_t dims,
                                             dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(md, n_dims, dims, type, tag);
}

static inline void onednn_md_destroy(onednn_md md)
{
    if (md) dnnl_memory_desc_destroy(md);
}

static inline dnnl_status_t onednn_conv_forward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                const onednn_conv *c, onednn_const_md x, onednn_const_md w,
                                                onednn_const_md bias, onednn_const_md y,
                                                const_dnnl_primitive_attr_t attr)
{
    const dnnl_dims_t dilates = { 0 };
    return dnnl_convolution_forward_primitive_desc_create(pd, engine, c->prop, c->algorithm, x, w, bias, y,
                                                          c->strides, dilates, c->pads, c->pads, attr);
}

static inline dnnl_status_t onednn_conv_backward_data(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                      const onednn_conv *c, onednn_const_md dx,
                                                      onednn_const_md w, onednn_const_md dy,
                                                      const_dnnl_primitive_desc_t hint,
                                                      const_dnnl_primitive_attr_t attr)
{
    const dnnl_dims_t dilates = { 0 };
    return dnnl_convolution_backward_data_primitive_desc_create(
        pd, engine, c->algorithm, dx, w, dy, c->strides, dilates, c->pads, c->pads, hint, attr);
}

static inline dnnl_status_t onednn_conv_backward_weights(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                         const onednn_conv *c, onednn_const_md x,
                                                         onednn_const_md dw, onednn_const_md dbias,
                                                         onednn_const_md dy, const_dnnl_primitive_desc_t hint,
                                                         const_dnnl_primitive_attr_t attr)
{
    const dnnl_dims_t dilates = { 0 };
    return dnnl_convolution_backward_weights_primitive_desc_create(
        pd, engine, c->algorithm, x, dw, dbias, dy, c->strides, dilates, c->pads, c->pads, hint, attr);
}

static inline dnnl_status_t onednn_post_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
}

static inline dnnl_status_t onednn_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dnnl_post_ops_append_eltwise(ops, kind, a, b);
}

static inline dnnl_status_t onednn_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, onednn_const_md a,
                                          onednn_const_md b, onednn_const_md y,
                                          const_dnnl_primitive_attr_t attr)
{
    return dnnl_matmul_primitive_desc_create(pd, engine, a, b, NULL, y, attr);
}

#else /* 2.x */

typedef dnnl_memory_desc_t *onednn_md; /* on the heap: a handle, as in 3.x */
typedef const dnnl_memory_desc_t *onednn_const_md;

static inline dnnl_status_t onednn_md_create(onednn_md *md, int n_dims, const dnnl_dims_t dims,
                                             dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    *md = calloc(1, sizeof **md);
    return *md ? dnnl_memory_desc_init_by_tag(*md, n_dims, dims, type, tag) : dnnl_out_of_memory;
}

static inline void onednn_md_destroy(onednn_md md)
{
    free(md);
}

static inline dnnl_status_t onednn_conv_forward(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                const onednn_conv *c, onednn_const_md x, onednn_const_md w,
                                                onednn_const_md bias, onednn_const_md y,
                                                const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    dnnl_status_t s = dnnl_convolution_forward_desc_init(&d, c->prop, c->algorithm, x, w, bias, y, c->strides,
                                                         c->pads, c->pads);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) : s;
}

static inline dnnl_status_t onednn_conv_backward_data(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                      const onednn_conv *c, onednn_const_md dx,
                                                      onednn_const_md w, onednn_const_md dy,
                                                      const_dnnl_primitive_desc_t hint,
                                                      const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    dnnl_status_t s =
        dnnl_convolution_backward_data_desc_init(&d, c->algorithm, dx, w, dy, c->strides, c->pads, c->pads);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, hint) : s;
}

static inline dnnl_status_t onednn_conv_backward_weights(dnnl_primitive_desc_t *pd, dnnl_engine_t engine,
                                                         const onednn_conv *c, onednn_const_md x,
                                                         onednn_const_md dw, onednn_const_md dbias,
                                                         onednn_const_md dy, const_dnnl_primitive_desc_t hint,
                                                         const_dnnl_primitive_attr_t attr)
{
    dnnl_convolution_desc_t d;
    dnnl_status_t s = dnnl_convolution_backward_weights_desc_init(&d, c->algorithm, x, dw, dbias, dy,
                                                                  c->strides, c->pads, c->pads);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, hint) : s;
}

/* Adds to the result what y holds before the primitive runs. */
static inline dnnl_status_t onednn_post_sum(dnnl_post_ops_t ops)
{
    return dnnl_post_ops_append_sum(ops, 1);
}

static inline dnnl_status_t onednn_post_eltwise(dnnl_post_ops_t ops, dnnl_alg_kind_t kind, float a, float b)
{
    return dnnl_post_ops_append_eltwise(ops, 1, kind, a, b);
}

static inline dnnl_status_t onednn_matmul(dnnl_primitive_desc_t *pd, dnnl_engine_t engine, onednn_const_md a,
                                          onednn_const_md b, onednn_const_md y,
                                          const_dnnl_primitive_attr_t attr)
{
    dnnl_matmul_desc_t d;
    dnnl_status_t s = dnnl_matmul_desc_init(&d, a, b, NULL, y);
    return s == dnnl_success ? dnnl_primitive_desc_create(pd, &d, attr, engine, NULL) : s;
}

#endif

/* oneDNN's status as ours. */
#define TRY_DNNL(call)                                                                                       \
    do {                                                                                                     \
        dnnl_status_t dnnl_answer = (call);                                                                  \
        if (dnnl_answer != dnnl_success) FAIL(ERR_RUNTIME, "oneDNN answers %d to " #call, (int)dnnl_answer); \
    } while (0)

/* ---- our arrays and convolutions in oneDNN's words ---- */

dnnl_data_type_t onednn_type(dtype);
/* A value [N, C, H, W]. */
status onednn_value_md(onednn_md *, shape4, dtype, dnnl_format_tag_t);
/* The weights of OP_CONV: [K, C, R, R], or with groups [G, K/G, C/G, R, R]. */
status onednn_weights_md(onednn_md *, const op *, dtype, dnnl_format_tag_t);
onednn_conv onednn_conv_of(const op *, dnnl_alg_kind_t);

/* ---- primitives ---- */

/* A primitive and the memory objects of its arguments, made once. To run it only changes the pointers that differ from
 * those of the last run; nothing is allocated on this side. */
enum { PRIMITIVE_ARGS = 5 };
typedef struct primitive {
    dnnl_primitive_t handle;
    dnnl_exec_arg_t args[PRIMITIVE_ARGS];
    int n_args;
    size_t scratchpad; /* bytes */
} primitive;

/* `args` are n DNNL_ARG_*; their memory descriptors come from the primitive descriptor. */
status primitive_create(primitive *, cpu *, const_dnnl_primitive_desc_t, const int *args, int n);
status primitive_create_reorder(primitive *, cpu *, onednn_const_md from, onednn_const_md to);
/* Pointers in the order of `args`; scratchpad: primitive.scratchpad bytes. */
status primitive_run(primitive *, cpu *, void *const *pointers, void *scratchpad);
void primitive_destroy(primitive *); /* a zeroed one is harmless */

#endif
