/* core/cpu/cpu.c -- the cpu device: opening, planning, steps, memory, and its tables of functions. */
#include "cpu.h"

#include "../base/minmax.h"

#include "../base/clock.h"
#include "../base/threads.h"
#include "../device/fusion.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#if defined(__SSE3__)
#include <pmmintrin.h>
#endif

/* Large arenas get huge pages: with small ones, address translation (the TLB) costs time. The kernel gives them only if
 * it is asked before the memory is written to. */
enum { HUGE_PAGE = 2 << 20, CACHE_LINE = 64 };

/* --- plans --- */

size_t cpu_reserve(size_t *size, size_t bytes)
{
    const size_t offset = *size;
    *size += (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    return offset;
}

status cpu_plan_new(cpu *c, const op *o, size_t bytes, cpu_pass *forward, cpu_pass *backward, cpu_plan **out)
{
    status st = OK;
    cpu_plan *p;
    TRY_ALLOC(p, calloc(1, bytes));
    p->op = *o;
    p->cpu = c;
    p->forward = forward;
    p->backward = backward;
    *out = p;
out:
    return st;
}

static status (*const planners[OP_KINDS])(cpu *, const op *, cpu_plan **, op_needs *) = {
    [OP_CONV] = cpu_conv_plan,     [OP_BNACT] = cpu_bnact_plan,     [OP_POOL] = cpu_pool_plan,
    [OP_LINEAR] = cpu_linear_plan, [OP_DROPOUT] = cpu_dropout_plan, [OP_SHORTCUT] = cpu_shortcut_plan,
    [OP_LOSS] = cpu_loss_plan,
};

/* dnnl_cpu_isa_t is a set of bits: a larger number is not always a larger set of instructions. */
static bool has_avx512(void)
{
    return LANES == 16 &&
           (dnnl_get_effective_cpu_isa() & dnnl_cpu_isa_avx512_core) == dnnl_cpu_isa_avx512_core;
}

static const char *cpu_unsupported(backend *b, const op *o)
{
    (void)b;
    if (o->kind >= OP_KINDS || !planners[o->kind]) return "there is no such operation on cpu";
    if (o->type == BF16 && !has_avx512())
        return "bf16 needs a processor with AVX-512, and a build for it: precision=f32 runs everywhere";
    if (o->kind == OP_BNACT && o->training && !o->bnact.frozen && (int64_t)o->x.n * o->x.h * o->x.w < 2)
        return "batch normalisation needs at least two values per channel";
    if (o->kind == OP_LOSS && (o->x.h != 1 || o->x.w != 1)) return "the loss takes logits [N, C, 1, 1]";
    if (o->kind == OP_POOL && o->pool.kind == POOL_MAX && o->pool.kernel > 255)
        return "max pooling windows larger than 255 are not available on cpu";
    return NULL;
}

void cpu_plan_free(cpu_plan *p)
{
    if (!p) return;
    if (p->free_parts) p->free_parts(p);
    free(p);
}

static void free_plan(plan *p)
{
    cpu_plan_free((cpu_plan *)p);
}

static status plan_op(backend *b, const op *o, plan **out, op_needs *needs)
{
    status st = OK;
    op_needs n = { 0 };
    cpu_plan *p;
    const char *why = cpu_unsupported(b, o);
    if (why) FAIL(ERR_RUNTIME, "%s", why);
    TRY(planners[o->kind]((cpu *)b, o, &p, &n));
    *out = (plan *)p;
    *needs = n;
out:
    return st;
}

/* --- two operations as one --- */

static bool folds(const op *first, const op *then)
{
    return first->kind == OP_CONV && then->kind == OP_BNACT && !first->training;
}

static bool pools(const op *first, const op *then)
{
    return first->kind == OP_BNACT && then->kind == OP_POOL && first->training;
}

static const char *unsupported_pair(backend *b, const op *first, const op *then)
{
    const char *why = cpu_unsupported(b, first);
    if (!why) why = cpu_unsupported(b, then);
    if (why || folds(first, then)) return why;
    if (pools(first, then)) return cpu_bnact_pool_unsupported(first, then);
    return "cpu fuses conv with bnact in evaluation, and bnact with pool in training";
}

static status plan_pair(backend *b, const op *first, const op *then, plan **out, op_needs *needs)
{
    status st = OK;
    op_needs n = { 0 };
    cpu_plan *p;
    const char *why = unsupported_pair(b, first, then);
    if (why) FAIL(ERR_RUNTIME, "%s", why);
    if (folds(first, then))
        TRY(cpu_conv_bnact_plan((cpu *)b, first, then, &p, &n));
    else
        TRY(cpu_bnact_pool_plan((cpu *)b, first, then, &p, &n));
    *out = (plan *)p;
    *needs = n;
out:
    return st;
}

/* --- running --- */

work_kind cpu_work(cpu *c, work_kind kind)
{
    const work_kind before = c->working;
    if (!c->work) return before;
    const double now = time_now();
    if (before != WORK_OTHER) c->work[before] += now - c->since;
    c->since = now;
    c->working = kind;
    return before;
}

static work_kind kind_of(const cpu_plan *p)
{
    switch (p->op.kind) {
    case OP_CONV:
    case OP_LINEAR: return WORK_CONV;
    case OP_BNACT: return WORK_BN;
    default: return WORK_ELEMENTWISE;
    }
}

static status run_pass(cpu_pass *pass, cpu_plan *p, const op_args *a)
{
    const work_kind before = cpu_work(p->cpu, kind_of(p));
    const status st = pass(p, a);
    cpu_work(p->cpu, before);
    return st;
}

static status cpu_forward(plan *p, const op_args *a)
{
    return run_pass(((cpu_plan *)p)->forward, (cpu_plan *)p, a);
}

static status cpu_backward(plan *p, const op_args *a)
{
    return run_pass(((cpu_plan *)p)->backward, (cpu_plan *)p, a);
}

static status cpu_recompute(plan *p, const op_args *a)
{
    return run_pass(((cpu_plan *)p)->recompute, (cpu_plan *)p, a);
}

/* --- steps --- */

static status cpu_step_begin(backend *b, step_handle *h, const step_scalars *now, bool *replayed)
{
    (void)h;
    ((cpu *)b)->now = *now;
    *replayed = false;
    return OK;
}

static status cpu_step_end(backend *b)
{
    (void)b;
    return OK;
}

static status cpu_sgd(backend *b, float *value, const float *grad, float *velocity, int64_t count)
{
    const step_scalars s = ((cpu *)b)->now;
    const work_kind before = cpu_work((cpu *)b, WORK_OPTIMIZER);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) {
        float g = grad[i] + s.weight_decay * value[i];
        float v = s.momentum * velocity[i] + g;
        velocity[i] = v;
        value[i] -= s.lr * (s.nesterov ? g + s.momentum * v : v);
    }
    cpu_work((cpu *)b, before);
    return OK;
}

/* --- memory --- */

/* From the kernel: begins at a huge page, is zeroed, and takes memory only where it is written to. */
static void *map_memory(size_t bytes)
{
    const size_t mapped = bytes + HUGE_PAGE;
    char *base = mmap(NULL, mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (base == MAP_FAILED) return NULL;
    char *memory = (char *)round_up((uintptr_t)base, HUGE_PAGE);
    const size_t before = (size_t)(memory - base);
    if (before) munmap(base, before);
    munmap(memory + bytes, mapped - bytes - before);
    madvise(memory, bytes, MADV_HUGEPAGE); /* a hint: the kernel may refuse */
    return memory;
}

static status cpu_alloc(backend *b, size_t bytes, void **out)
{
    status st = OK;
    void *memory;
    (void)b;
    if (bytes >= HUGE_PAGE)
        memory = map_memory(round_up(bytes, HUGE_PAGE));
    else if ((memory = aligned_alloc(CACHE_LINE, round_up(bytes + !bytes, CACHE_LINE))))
        memset(memory, 0, bytes);
    if (!memory) FAIL(ERR_RUNTIME, "out of memory: %zu MB", bytes >> 20);
    *out = memory;
out:
    return st;
}

static void cpu_release(backend *b, void *memory, size_t bytes)
{
    (void)b;
    if (bytes < HUGE_PAGE)
        free(memory);
    else
        munmap(memory, round_up(bytes, HUGE_PAGE));
}

status timing_buffer_grow(cpu *c, timing_buffer *b, size_t bytes)
{
    status st = OK;
    if (bytes <= b->bytes) goto out;
    timing_buffer_free(c, b);
    TRY(cpu_alloc(&c->base, bytes, &b->memory));
    b->bytes = bytes;
    uint16_t *half = b->memory; /* a bf16, or half of an f32 */
#pragma omp parallel for simd schedule(static)
    for (size_t i = 0; i < bytes / 2; i++) half[i] = (uint16_t)(0x3c00 + (i * 2654435761u >> 20) % 512);
out:
    return st;
}

void timing_buffer_free(cpu *c, timing_buffer *b)
{
    if (b->memory) cpu_release(&c->base, b->memory, b->bytes);
    *b = (timing_buffer){ 0 };
}

static status cpu_copy(backend *b, void *dst, const void *src, size_t bytes)
{
    (void)b;
    memcpy(dst, src, bytes);
    return OK;
}

static size_t cpu_value_bytes(backend *b, shape4 s, dtype t)
{
    (void)b;
    return layout_bytes(s, layout_of(s, t));
}

static status cpu_write_value(backend *b, void *dst, shape4 s, dtype t, const float *nchw)
{
    (void)b;
    layout_convert(s, nchw, (layout){ 1, F32 }, dst, layout_of(s, t), false);
    return OK;
}

static status cpu_read_value(backend *b, const void *src, shape4 s, dtype t, int n, float *nchw)
{
    (void)b;
    s.n = n;
    layout_convert(s, src, layout_of(s, t), nchw, (layout){ 1, F32 }, false);
    return OK;
}

/* --- opening --- */

static void cpu_close(backend *b)
{
    cpu *c = (cpu *)b;
    cpu_choices_close(c);
    free(c->product_buffer);
    if (c->attr) dnnl_primitive_attr_destroy(c->attr);
    if (c->stream) dnnl_stream_destroy(c->stream);
    if (c->engine) dnnl_engine_destroy(c->engine);
    free(c);
}

/* Arithmetic with denormals is about a hundred times slower, and numbers so small do not matter here. Each thread has
 * its own flags. */
static void flush_denormals(void)
{
#if defined(__SSE3__)
#pragma omp parallel
    {
        _MM_SET_FLUSH_ZERO_MODE(_MM_FLUSH_ZERO_ON);
        _MM_SET_DENORMALS_ZERO_MODE(_MM_DENORMALS_ZERO_ON);
    }
#endif
}

static const char *isa_name(void)
{
    switch (dnnl_get_effective_cpu_isa()) {
    case dnnl_cpu_isa_sse41: return "sse41";
    case dnnl_cpu_isa_avx: return "avx";
    case dnnl_cpu_isa_avx2: return "avx2";
    case dnnl_cpu_isa_avx512_core: return "avx512";
    case dnnl_cpu_isa_avx512_core_vnni: return "avx512_vnni";
    case dnnl_cpu_isa_avx512_core_bf16: return "avx512_bf16";
    default: return "newer instructions";
    }
}

static void cpu_count_work(backend *b, double *seconds)
{
    ((cpu *)b)->work = seconds;
}

static const backend_fusion fusion = { .unsupported = unsupported_pair, .plan = plan_pair };
static const backend_products products = { .product = cpu_product, .product_i8 = cpu_product_i8 };
static const backend_tuning tuning = { .load = cpu_choices_load, .save = cpu_choices_save };
static const backend_measure measure = {
    .count_work = cpu_count_work,
    .ceiling_open = cpu_ceiling_open,
    .ceiling_run = cpu_ceiling_run,
    .ceiling_close = cpu_ceiling_close,
};

static const backend table = {
    .name = "cpu",
    .host_memory = true,
    .fusion = &fusion,
    .products = &products,
    .tuning = &tuning,
    .measure = &measure,
    .close = cpu_close,
    .unsupported = cpu_unsupported,
    .plan = plan_op,
    .plan_free = free_plan,
    .forward = cpu_forward,
    .backward = cpu_backward,
    .recompute = cpu_recompute,
    .step_begin = cpu_step_begin,
    .step_end = cpu_step_end,
    .sgd = cpu_sgd,
    .alloc = cpu_alloc,
    .release = cpu_release,
    .upload = cpu_copy,
    .download = cpu_copy,
    .value_bytes = cpu_value_bytes,
    .write_value = cpu_write_value,
    .read_value = cpu_read_value,
};

status cpu_open(int threads, backend **out)
{
    status st = OK;
    cpu *c = NULL;
    const dnnl_version_t *v = dnnl_version();
    if (threads < 0) FAIL(ERR_USAGE, "threads: %d is negative; 0 means all cores", threads);
    TRY_ALLOC(c, calloc(1, sizeof *c));
    c->base = table;
    c->base.threads = threads_choose(threads);
    omp_set_dynamic(0); /* oneDNN waits for as many threads as it asks for */
    omp_set_num_threads(c->base.threads);
    flush_denormals();
    TRY_DNNL(dnnl_engine_create(&c->engine, dnnl_cpu, 0));
    TRY_DNNL(dnnl_stream_create(&c->stream, c->engine, dnnl_stream_default_flags));
    TRY_DNNL(dnnl_primitive_attr_create(&c->attr));
    TRY_DNNL(dnnl_primitive_attr_set_scratchpad_mode(c->attr, dnnl_scratchpad_mode_user));
    snprintf(c->base.description, sizeof c->base.description, "oneDNN %d.%d.%d (%s), %d thread%s", v->major,
             v->minor, v->patch, isa_name(), c->base.threads, c->base.threads == 1 ? "" : "s");
    c->forced_algorithm = -1;
    TRY(cpu_choices_open(c));
    *out = &c->base;
    c = NULL;
out:
    if (c) cpu_close(&c->base);
    return st;
}
