/* core/cpu/onednn.c -- see onednn.h. */
#include "cpu.h"

#include <sys/mman.h>

/* ---- our arrays and convolutions in oneDNN's words ---- */

dnnl_data_type_t onednn_type(dtype t)
{
    return t == F32 ? dnnl_f32 : dnnl_bf16;
}

status onednn_value_md(onednn_md *md, shape4 s, dtype t, dnnl_format_tag_t tag)
{
    status st = OK;
    const dnnl_dims_t dims = { s.n, s.c, s.h, s.w };
    TRY_DNNL(onednn_md_create(md, 4, dims, onednn_type(t), tag));
out:
    return st;
}

status onednn_weights_md(onednn_md *md, const op *o, dtype t, dnnl_format_tag_t tag)
{
    status st = OK;
    const conv_desc *c = &o->conv;
    const dnnl_dims_t one = { c->out, o->x.c, c->kernel, c->kernel };
    const dnnl_dims_t grouped = { c->groups, c->out / c->groups, o->x.c / c->groups, c->kernel, c->kernel };
    const bool g = c->groups > 1;
    TRY_DNNL(onednn_md_create(md, g ? 5 : 4, g ? grouped : one, onednn_type(t), tag));
out:
    return st;
}

onednn_conv onednn_conv_of(const op *o, dnnl_alg_kind_t algorithm)
{
    return (onednn_conv){ .prop = o->training ? dnnl_forward_training : dnnl_forward_inference,
                          .algorithm = algorithm,
                          .strides = { o->conv.stride, o->conv.stride },
                          .pads = { o->conv.pad, o->conv.pad } };
}

/* ---- primitives ---- */

static status add_argument(primitive *p, cpu *c, int arg, onednn_const_md md)
{
    status st = OK;
    p->args[p->n_args].arg = arg;
    TRY_DNNL(dnnl_memory_create(&p->args[p->n_args].memory, md, c->engine, DNNL_MEMORY_NONE));
    p->n_args++;
out:
    return st;
}

/* oneDNN 2.x crashes where its code generator gets no memory. What it takes for one primitive is much less than this. */
static bool memory_is_short(void)
{
    const size_t bytes = 8 << 20;
    void *probe = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (probe != MAP_FAILED) munmap(probe, bytes);
    return probe == MAP_FAILED;
}

/* The primitive itself and, last, its scratchpad. */
static status finish(primitive *p, cpu *c, const_dnnl_primitive_desc_t pd)
{
    status st = OK;
    if (memory_is_short()) FAIL_OUT_OF_MEMORY();
    onednn_const_md scratchpad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->scratchpad = dnnl_memory_desc_get_size(scratchpad);
    TRY(add_argument(p, c, DNNL_ARG_SCRATCHPAD, scratchpad));
    TRY_DNNL(dnnl_primitive_create(&p->handle, pd));
out:
    return st;
}

status primitive_create(primitive *p, cpu *c, const_dnnl_primitive_desc_t pd, const int *args, int n)
{
    status st = OK;
    for (int i = 0; i < n; i++)
        TRY(add_argument(p, c, args[i], dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, args[i])));
    TRY(finish(p, c, pd));
out:
    return st;
}

status primitive_create_reorder(primitive *p, cpu *c, onednn_const_md from, onednn_const_md to)
{
    status st = OK;
    dnnl_primitive_desc_t pd = NULL;
    TRY_DNNL(dnnl_reorder_primitive_desc_create(&pd, from, c->engine, to, c->engine, c->attr));
    TRY(add_argument(p, c, DNNL_ARG_FROM, from));
    TRY(add_argument(p, c, DNNL_ARG_TO, to));
    TRY(finish(p, c, pd));
out:
    if (pd) dnnl_primitive_desc_destroy(pd);
    return st;
}

status primitive_run(primitive *p, cpu *c, void *const *pointers, void *scratchpad)
{
    status st = OK;
    for (int i = 0; i < p->n_args; i++) {
        void *next = i < p->n_args - 1 ? pointers[i] : scratchpad, *last;
        TRY_DNNL(dnnl_memory_get_data_handle(p->args[i].memory, &last));
        /* 2.x clears the padded channels of a buffer whenever it is set: not needed for the buffer of the last run. */
        if (next != last) TRY_DNNL(dnnl_memory_set_data_handle(p->args[i].memory, next));
    }
    TRY_DNNL(dnnl_primitive_execute(p->handle, c->stream, p->n_args, p->args));
    TRY_DNNL(dnnl_stream_wait(c->stream));
out:
    return st;
}

void primitive_destroy(primitive *p)
{
    for (int i = 0; i < p->n_args; i++) dnnl_memory_destroy(p->args[i].memory);
    if (p->handle) dnnl_primitive_destroy(p->handle);
}
