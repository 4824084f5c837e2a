/* core/cpu/onednn.h -- the differences between oneDNN 2.x and 3.x, and nothing else.
 *
 * Only the creation of things changed: in 2.x a memory descriptor is a struct and a primitive
 * descriptor is made in two steps (operation descriptor, then primitive descriptor); in 3.x the memory
 * descriptor is a handle and one call does both. Execution, queries and reorders are spelled the same.
 * Never mix headers and library of different majors: the enumerations were renumbered. */
#ifndef CLEAVE_CPU_ONEDNN_H
#define CLEAVE_CPU_ONEDNN_H

#include <dnnl.h>
#include <stdlib.h>

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

static inline dnnl_status_t onednn_md_strides(onednn_md *md, int n_dims, const dnnl_dims_t dims,
                                              dnnl_data_type_t type, const dnnl_dims_t strides)
{
    return dnnl_memory_desc_create_with_strides(md, n_dims, dims, type, strides);
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

typedef dnnl_memory_desc_t *onednn_md; /* on the heap, so that it can be passed around like 3.x's handle */
typedef const dnnl_memory_desc_t *onednn_const_md;

static inline dnnl_status_t onednn_md_create(onednn_md *md, int n_dims, const dnnl_dims_t dims,
                                             dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    *md = calloc(1, sizeof **md);
    return *md ? dnnl_memory_desc_init_by_tag(*md, n_dims, dims, type, tag) : dnnl_out_of_memory;
}

static inline dnnl_status_t onednn_md_strides(onednn_md *md, int n_dims, const dnnl_dims_t dims,
                                              dnnl_data_type_t type, const dnnl_dims_t strides)
{
    *md = calloc(1, sizeof **md);
    return *md ? dnnl_memory_desc_init_by_strides(*md, n_dims, dims, type, strides) : dnnl_out_of_memory;
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

/* Adds what is in y already to the result. */
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
#endif
