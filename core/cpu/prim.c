/* core/cpu/prim.c -- oneDNN primitives with their arguments, made once and run many times. */
#include "cpu.h"

static status add_argument(prim *p, cpu *c, int arg, onednn_const_md md)
{
    status st = OK;
    p->args[p->n_args].arg = arg;
    TRY_DNNL(dnnl_memory_create(&p->args[p->n_args].memory, md, c->engine, DNNL_MEMORY_NONE));
    p->n_args++;
out:
    return st;
}

/* The primitive itself and, last, its scratchpad. */
static status finish(prim *p, cpu *c, const_dnnl_primitive_desc_t pd)
{
    status st = OK;
    onednn_const_md scratchpad = dnnl_primitive_desc_query_md(pd, dnnl_query_scratchpad_md, 0);
    p->scratchpad = dnnl_memory_desc_get_size(scratchpad);
    TRY(add_argument(p, c, DNNL_ARG_SCRATCHPAD, scratchpad));
    TRY_DNNL(dnnl_primitive_create(&p->primitive, pd));
out:
    return st;
}

status prim_create(prim *p, cpu *c, const_dnnl_primitive_desc_t pd, const int *args, int n)
{
    status st = OK;
    for (int i = 0; i < n; i++)
        TRY(add_argument(p, c, args[i], dnnl_primitive_desc_query_md(pd, dnnl_query_exec_arg_md, args[i])));
    TRY(finish(p, c, pd));
out:
    return st;
}

status prim_create_reorder(prim *p, cpu *c, onednn_const_md from, onednn_const_md to)
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

status prim_run(prim *p, cpu *c, void *const *pointers, void *scratchpad)
{
    status st = OK;
    for (int i = 0; i < p->n_args; i++) {
        void *wanted = i < p->n_args - 1 ? pointers[i] : scratchpad, *present;
        TRY_DNNL(dnnl_memory_get_data_handle(p->args[i].memory, &present));
        /* Setting it makes 2.x clear the padded channels of the buffer: only when it really changed. */
        if (present != wanted) TRY_DNNL(dnnl_memory_set_data_handle(p->args[i].memory, wanted));
    }
    TRY_DNNL(dnnl_primitive_execute(p->primitive, c->stream, p->n_args, p->args));
    TRY_DNNL(dnnl_stream_wait(c->stream));
out:
    return st;
}

void prim_destroy(prim *p)
{
    for (int i = 0; i < p->n_args; i++) dnnl_memory_destroy(p->args[i].memory);
    if (p->primitive) dnnl_primitive_destroy(p->primitive);
}
