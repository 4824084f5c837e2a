/* tests/backend/test_cpu.c -- what the cpu device promises besides correct operations: values survive a round trip,
 * padding stays zero, two runs agree to the last bit. Its optimiser and its products of rows against layers/. */
#include "../../core/base/rng.h"
#include "../../core/device/products.h"
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"
#include "pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* Memory of the backend under test, released when the test ends. */
enum { MOST_HELD = 1024 };
static struct {
    void *memory;
    size_t bytes;
} held[MOST_HELD];
static int n_held;

static void *new_memory(size_t bytes)
{
    void *memory;
    assert_true(n_held < MOST_HELD);
    must(cpu->alloc(cpu, bytes, &memory));
    held[n_held].memory = memory;
    held[n_held++].bytes = bytes;
    return memory;
}

static int release_memory(void **state)
{
    (void)state;
    while (n_held--) cpu->release(cpu, held[n_held].memory, held[n_held].bytes);
    n_held = 0;
    return 0;
}

/* Memory of any size is zeroed, and takes no physical memory before it is written to. */
static void memory_is_zero_and_not_there_until_it_is_used(void **state)
{
    enum { LARGE = 64 << 20, PAGES = LARGE / 4096 };
    static const size_t sizes[] = { 0, 1, 4097, (2 << 20) - 1, 2 << 20, (2 << 20) + 1, 5000001 };
    unsigned char *resident = calloc(PAGES, 1);
    int count = 0;
    (void)state;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char *memory = new_memory(sizes[i]);
        assert_int_equal((uintptr_t)memory % 64, 0);
        for (size_t j = 0; j < sizes[i]; j++) assert_true(!memory[j]);
        memset(memory, 0xff, sizes[i]);
    }
    char *large = new_memory(LARGE);
    large[LARGE - 1] = 1;
    assert_int_equal(mincore(large, LARGE, resident), 0);
    for (int i = 0; i < PAGES; i++) count += resident[i] & 1;
    assert_in_range(count, 1, (2 << 20) / 4096); /* at most the huge page of that byte */
    free(resident);
}

static void values_survive_a_round_trip(void **state)
{
    static const shape4 shapes[] = { { 2, 3, 5, 4 },  { 3, 16, 4, 4 }, { 2, 17, 3, 5 }, { 4, 24, 1, 1 },
                                     { 2, 32, 1, 1 }, { 1, 1, 1, 1 },  { 3, 4, 2, 2 },  { 5, 100, 7, 1 } };
    (void)state;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const shape4 s = shapes[i];
        const size_t count = (size_t)shape_count(s);
        float *in = malloc(count * sizeof *in), *out = malloc(count * sizeof *out);
        void *value = new_memory(cpu->value_bytes(cpu, s, F32));
        for (size_t j = 0; j < count; j++) in[j] = rng_normal(1, RNG_TEST, 0, j);
        must(cpu->write_value(cpu, value, s, F32, in));
        must(cpu->read_value(cpu, value, s, F32, s.n, out));
        assert_memory_equal(in, out, count * sizeof *in);
        memset(out, 0, count * sizeof *out); /* the first images only: the rest of `out` stays as it was */
        must(cpu->read_value(cpu, value, s, F32, s.n - 1, out));
        assert_memory_equal(in, out, (size_t)shape_image(s) * (size_t)(s.n - 1) * sizeof *in);
        for (size_t j = (size_t)shape_image(s) * (size_t)(s.n - 1); j < count; j++) assert_true(out[j] == 0);
        free(in);
        free(out);
    }
}

/* A computed value has the same bytes as when it is read and written: so its padding is zero. */
static void assert_canonical(const char *problem, const void *value, shape4 s, dtype type)
{
    const size_t bytes = cpu->value_bytes(cpu, s, type);
    float *plain = malloc((size_t)shape_count(s) * sizeof *plain);
    void *written = new_memory(bytes);
    must(cpu->read_value(cpu, value, s, type, s.n, plain));
    must(cpu->write_value(cpu, written, s, type, plain));
    if (memcmp(value, written, bytes)) fail_msg("%s: the padding is not zero", problem);
    free(plain);
}

/* Runs forward and backward with NaN in all memory that they write. Returns y, dx and the first gradient. */
typedef struct outputs {
    void *y, *dx, *grad;
    size_t y_bytes, dx_bytes, grad_bytes;
} outputs;

static outputs run_raw(const op_problem *o, const opcheck_result *in)
{
    op_needs needs;
    plan *p;
    op_args a = { .version = 1 };
    must(problem_plan(cpu, o, &p, &needs));
    outputs out = { .y_bytes = cpu->value_bytes(cpu, problem_last(o)->y, o->op.type),
                    .dx_bytes = cpu->value_bytes(cpu, o->op.x, o->op.type),
                    .grad_bytes = (size_t)in->n_param[0] * sizeof(float) };
    void *x = new_memory(out.dx_bytes), *z = new_memory(out.dx_bytes), *dy = new_memory(out.y_bytes);
    void *dz = new_memory(out.dx_bytes), *saved = new_memory(needs.saved), *packed = new_memory(needs.packed);
    void *cached = new_memory(needs.cached);
    void *scratch = new_memory(needs.scratch);
    float *grads[PLAN_MAX_PARAMS];
    out.y = new_memory(out.y_bytes);
    out.dx = new_memory(out.dx_bytes);
    memset(scratch, 0xff, needs.scratch);
    memset(out.y, 0xff, out.y_bytes);
    memset(out.dx, 0xff, out.dx_bytes);
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) {
        grads[i] = new_memory((size_t)in->n_param[i] * sizeof(float));
        a.param[i] = in->param[i];
        a.grad[i] = i < in->n_grads ? grads[i] : NULL;
    }
    must(cpu->write_value(cpu, x, o->op.x, o->op.type, in->x));
    must(cpu->write_value(cpu, dy, problem_last(o)->y, o->op.type, in->dy));
    if (in->z) must(cpu->write_value(cpu, z, o->op.x, o->op.type, in->z));
    a.x = x, a.z = in->z ? z : NULL, a.y = out.y, a.dy = dy, a.dx = out.dx, a.dz = in->z ? dz : NULL;
    a.saved = saved, a.scratch = scratch, a.packed = packed, a.cached = cached;
    must(cpu->forward(p, &a));
    must(cpu->backward(p, &a));
    out.grad = grads[0];
    cpu->plan_free(p);
    return out;
}

static const char *const mixed_problems[] = {
    "conv n2c3h8w8_o24k3s1p1b",    "conv n2c17h7w7_o24k3s2p1",
    "conv n2c24h8w8_o24k3s1p1g24", "conv n4c40h8w8_o40k3s1p1b",
    "conv n16c64h8w8_o64k3s1p1",   "conv n2c24h6w6_o40k1s1p0b",
    "bnact n4c24h8w8_relu_add",    "bnact n64c17h4w4_relu6",
    "pool n2c24h8w8_max_k2s2p0",   "pool n2c20h8w8_avg",
    "dropout n2c24h4w4_p0.5",      "shortcut n2c20h8w8_o28s2",
    "linear n16c24h3w3_o10_relu",  NULL,
};

/* Each problem on random data, in f32, and in bf16 if the processor supports it. */
typedef void problem_check(const char *problem, const op_problem *, const opcheck_result *in);

static void each_problem(const char *const *problems, problem_check *check)
{
    const opcheck_options opt = { .seed = 3, .backward = true };
    for (const char *const *p = problems; *p; p++)
        for (dtype type = F32; type <= BF16; type++) {
            op_problem o;
            opcheck_result in = { 0 };
            must(problem_parse(*p, &o));
            o.op.type = o.then.type = type;
            if (problem_unsupported(cpu, &o)) continue;
            must(opcheck_prepare(&o, &opt, &in));
            check(*p, &o, &in);
            opcheck_free(&in);
        }
}

static void check_padding(const char *problem, const op_problem *o, const opcheck_result *in)
{
    const outputs out = run_raw(o, in);
    assert_canonical(problem, out.y, problem_last(o)->y, o->op.type);
    assert_canonical(problem, out.dx, o->op.x, o->op.type);
}

static void padding_stays_zero(void **state)
{
    (void)state;
    each_problem(mixed_problems, check_padding);
}

/* Returns y, computed in memory of its own or over z. */
static void *run_sum(const op_problem *o, const opcheck_result *in, bool over)
{
    op_needs needs;
    plan *p;
    op_args a = { .version = 1 };
    must(problem_plan(cpu, o, &p, &needs));
    assert_true(needs.y_over_z);
    void *x = new_memory(cpu->value_bytes(cpu, o->op.x, o->op.type)), *cached = new_memory(needs.cached);
    void *z = new_memory(cpu->value_bytes(cpu, problem_last(o)->y, o->op.type)),
         *scratch = new_memory(needs.scratch);
    void *y = over ? z : new_memory(cpu->value_bytes(cpu, problem_last(o)->y, o->op.type));
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) a.param[i] = in->param[i];
    must(cpu->write_value(cpu, x, o->op.x, o->op.type, in->x));
    must(cpu->write_value(cpu, z, problem_last(o)->y, o->op.type, in->z));
    a.x = x, a.z = z, a.y = y, a.scratch = scratch, a.cached = cached;
    must(cpu->forward(p, &a));
    cpu->plan_free(p);
    return y;
}

static void check_sum(const char *problem, const op_problem *o, const opcheck_result *in)
{
    void *apart = run_sum(o, in, false), *over = run_sum(o, in, true);
    assert_memory_equal(apart, over, cpu->value_bytes(cpu, problem_last(o)->y, o->op.type));
    assert_canonical(problem, over, problem_last(o)->y, o->op.type);
}

static void a_sum_may_lie_over_its_summand(void **state)
{
    static const char *const problems[] = { "conv_bnact n2c24h8w8_o40k3s1p1_relu_add_eval",
                                            "conv_bnact n4c32h8w8_o32k3s1p1b_none_add_eval",
                                            "conv_bnact n2c24h6w6_o17k1s1p0_relu6_add_eval", NULL };
    (void)state;
    each_problem(problems, check_sum);
}

/* Returns dx, computed in memory of its own or over dy; and *dz, which must not depend on that. */
static void *run_gradient(const op_problem *o, const opcheck_result *in, bool over, void **dz)
{
    const size_t bytes = cpu->value_bytes(cpu, o->op.x, o->op.type);
    op_needs needs;
    plan *p;
    op_args a = { .version = 1 };
    must(problem_plan(cpu, o, &p, &needs));
    assert_true(needs.dx_over_dy);
    void *x = new_memory(bytes), *y = new_memory(bytes), *z = new_memory(bytes), *dy = new_memory(bytes);
    void *saved = new_memory(needs.saved), *scratch = new_memory(needs.scratch);
    float *grad[2] = { new_memory(sizeof(float) * (size_t)o->op.x.c),
                       new_memory(sizeof(float) * (size_t)o->op.x.c) };
    void *dx = over ? dy : new_memory(bytes);
    *dz = new_memory(bytes);
    for (int i = 0; i < PLAN_MAX_PARAMS; i++) a.param[i] = in->param[i];
    must(cpu->write_value(cpu, x, o->op.x, o->op.type, in->x));
    if (in->z) must(cpu->write_value(cpu, z, problem_last(o)->y, o->op.type, in->z));
    must(cpu->write_value(cpu, dy, problem_last(o)->y, o->op.type, in->dy));
    a.x = x, a.z = z, a.y = y, a.dy = dy, a.dx = dx, a.saved = saved, a.scratch = scratch;
    if (in->z) a.dz = *dz;
    a.grad[0] = grad[0], a.grad[1] = grad[1];
    must(cpu->forward(p, &a));
    must(cpu->backward(p, &a));
    cpu->plan_free(p);
    return dx;
}

static void check_gradient(const char *problem, const op_problem *o, const opcheck_result *in)
{
    const size_t bytes = cpu->value_bytes(cpu, o->op.x, o->op.type);
    void *dz[2], *apart = run_gradient(o, in, false, &dz[0]), *over = run_gradient(o, in, true, &dz[1]);
    (void)problem;
    assert_memory_equal(apart, over, bytes);
    assert_memory_equal(dz[0], dz[1], bytes);
}

static void a_gradient_may_lie_over_the_one_it_is_made_from(void **state)
{
    static const char *const problems[] = { "bnact n3c24h7w5_relu_add",
                                            "bnact n4c32h16w16_relu",
                                            "bnact n2c17h9w9_none_add",
                                            "bnact n5c24h1w1_relu6",
                                            "bnact n5c64h1w1_relu_add",
                                            "bnact n8c512h32w32_relu",
                                            NULL };
    (void)state;
    each_problem(problems, check_gradient);
}

static void check_twice(const char *problem, const op_problem *o, const opcheck_result *in)
{
    const outputs a = run_raw(o, in), b = run_raw(o, in);
    (void)problem;
    assert_memory_equal(a.y, b.y, a.y_bytes);
    assert_memory_equal(a.dx, b.dx, a.dx_bytes);
    assert_memory_equal(a.grad, b.grad, a.grad_bytes);
}

static void two_runs_are_bit_identical(void **state)
{
    (void)state;
    each_problem(mixed_problems, check_twice);
}

static float *random_floats(int64_t n, uint32_t a)
{
    float *v = new_memory((size_t)n * sizeof *v);
    for (int64_t i = 0; i < n; i++) v[i] = rng_normal(7, RNG_TEST, a, (uint64_t)i);
    return v;
}

/* Random rows [n, k]: floats, or bf16 in the same memory. */
static void *random_rows(dtype type, int64_t n, uint32_t a)
{
    float *v = random_floats(n, a);
    uint16_t *half = (uint16_t *)v;
    for (int64_t i = 0; type == BF16 && i < n; i++) half[i] = bf16_from(v[i]);
    return v;
}

static void *row_at(const void *rows, dtype type, int64_t value)
{
    return (char *)rows + value * (int64_t)dtype_bytes(type);
}

/* Tiles of sizes around those of the loops' blocks, whole and above the diagonal. Leading dimensions are larger than
 * the rows; what lies between the rows of c must stay as it was. */
static void gram(void **state)
{
    static const struct {
        int m, n;
        int64_t k;
    } sizes[] = { { 1, 1, 2 },    { 5, 7, 6 },        { 33, 65, 1000 },
                  { 8, 32, 256 }, { 100, 300, 4098 }, { 12, 40, 4099 } };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const dtype type = i % 2 ? BF16 : F32;
        const int n = sizes[i / 2].n;
        const int64_t k = sizes[i / 2].k, lda = k + 2, ldb = k + 4, ldc = n + 1;
        if (type == BF16 && k % 2) continue;
        for (int upper = 0; upper < 2; upper++) {
            const int m = upper ? n : sizes[i / 2].m;
            void *a = random_rows(type, m * lda, 1), *b = upper ? a : random_rows(type, n * ldb, 2);
            float *c = random_floats(m * ldc, 3), *want = random_floats(m * ldc, 3),
                  *before = random_floats(m * ldc, 3);
            must(cpu->products->product(cpu, type, m, n, k, a, lda, b, upper ? lda : ldb, upper, c, ldc));
            must(ref->products->product(ref, type, m, n, k, a, lda, b, upper ? lda : ldb, upper, want, ldc));
            for (int r = 0; r < m; r++) {
                assert_true(c[r * ldc + n] == before[r * ldc + n]);
                for (int j = 0; upper && j <= r; j++)
                    c[r * ldc + j] = want[r * ldc + j]; /* may be anything */
            }
            assert_true(opcheck_error(c, want, m * ldc) < 4e-6); /* as in test_backend.c */
        }
    }
}

/* An element has the same bits in a product of any shape, with its two rows on either side, for any number of threads:
 * so equal pairs are ties. */
static void gram_rounds_alike_in_every_shape(void **state)
{
    enum { N = 300 };
    static const int part[][4] = {
        { 0, 1, 0, 1 }, { 7, 40, 30, 33 }, { 100, 200, 0, 300 }, { 290, 10, 3, 64 }, { 64, 128, 200, 100 }
    };
    const int64_t k = 1030;
    (void)state;
    backend *three;
    must(cpu_open(3, &three));
    for (int t = 0; t < 2; t++) {
        const dtype type = t ? BF16 : F32;
        void *x = random_rows(type, N * k, 5);
        float *whole = random_floats(N * N, 6), *c = random_floats(N * N, 6);
        must(cpu->products->product(cpu, type, N, N, k, x, k, x, k, false, whole, N));
        for (size_t p = 0; p < sizeof part / sizeof *part; p++) {
            const int i0 = part[p][0], m = part[p][1], j0 = part[p][2], n = part[p][3];
            must(three->products->product(three, type, m, n, k, row_at(x, type, i0 * k), k,
                                          row_at(x, type, j0 * k), k, false, c, n));
            for (int i = 0; i < m; i++)
                for (int j = 0; j < n; j++) {
                    assert_true(c[i * n + j] == whole[(i0 + i) * N + j0 + j]);
                    assert_true(c[i * n + j] == whole[(j0 + j) * N + i0 + i]);
                }
        }
        must(three->products->product(three, type, N, N, k, x, k, x, k, true, c, N));
        for (int i = 0; i < N; i++)
            for (int j = i + 1; j < N; j++) assert_true(c[i * N + j] == whole[i * N + j]);
    }
    backend_close(three);
}

/* Rows of whole numbers -128 .. 127, with different scales. */
static i8_rows random_i8(int64_t rows, int64_t stride, uint32_t a)
{
    int8_t *value = new_memory((size_t)(rows * stride));
    i8_scale *scale = new_memory((size_t)rows * sizeof *scale);
    for (int64_t i = 0; i < rows * stride; i++)
        value[i] = (int8_t)(rng_u32(7, RNG_TEST, a, (uint64_t)i) & 255);
    for (int64_t r = 0; r < rows; r++) scale[r].scale = 1e-4f * (float)(1 + r % 3);
    return (i8_rows){ value, stride, scale };
}

/* Sums of the first k values, as similarity_round makes them. */
static void sum_rows(i8_rows x, int64_t rows, int64_t k)
{
    i8_scale *scale = (i8_scale *)x.scale;
    for (int64_t r = 0; r < rows; r++) {
        scale[r].sum = 0;
        for (int64_t i = 0; i < k; i++) scale[r].sum += x.value[r * x.stride + i];
    }
}

/* Sums of whole numbers are exact: the same bits as ref. */
static void gram_of_int8(void **state)
{
    static const struct {
        int m, n;
        int64_t k;
    } sizes[] = { { 1, 1, 4 },     { 5, 7, 12 },       { 33, 65, 1000 },
                  { 8, 32, 1024 }, { 100, 300, 4100 }, { 12, 40, 8192 } };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const bool upper = i % 2;
        const int n = sizes[i / 2].n, m = upper ? n : sizes[i / 2].m;
        const int64_t k = sizes[i / 2].k, ldc = n + 1;
        const i8_rows a = random_i8(m, k + 4, 1), b = upper ? a : random_i8(n, k + 8, 2);
        float *c = random_floats(m * ldc, 3), *want = random_floats(m * ldc, 3),
              *before = random_floats(m * ldc, 3);
        sum_rows(a, m, k);
        if (!upper) sum_rows(b, n, k);
        must(cpu->products->product_i8(cpu, m, n, k, a, b, upper, c, ldc));
        must(ref->products->product_i8(ref, m, n, k, a, b, upper, want, ldc));
        for (int r = 0; r < m; r++) {
            assert_true(c[r * ldc + n] == before[r * ldc + n]);
            for (int j = upper ? r + 1 : 0; j < n; j++) assert_true(c[r * ldc + j] == want[r * ldc + j]);
        }
    }
}

/* The largest sum that is allowed: 46340^2 < 2^31. With 128 added to every factor the sums are far larger on the
 * way. */
static void sums_of_int8_may_wrap_on_the_way(void **state)
{
    enum { K = 1 << 18 };
    (void)state;
    int8_t *value = new_memory(2 * K);
    memset(value, 90, K);
    memset(value + K, -90, K);
    const i8_scale scale[] = { { 1, 90 * K }, { 1, -90 * K } };
    const i8_rows x = { value, K, scale };
    float c[4];
    must(cpu->products->product_i8(cpu, 2, 2, K, x, x, false, c, 2));
    const float most = 8100.f * K;
    assert_true(c[0] == most && c[1] == -most && c[2] == -most && c[3] == most);
    assert_int_equal(cpu->products->product_i8(cpu, 2, 2, 6, x, x, false, c, 2),
                     ERR_RUNTIME); /* not a multiple of 4 */
}

static void bf16_rows_of_an_odd_length_are_refused(void **state)
{
    float memory[64] = { 0 };
    (void)state;
    assert_int_equal(cpu->products->product(cpu, BF16, 1, 1, 3, memory, 4, memory, 4, false, memory, 1),
                     ERR_RUNTIME);
}

static void sgd(void **state)
{
    const int64_t n = 1003;
    (void)state;
    for (int nesterov = 0; nesterov < 2; nesterov++) {
        float *value[2], *velocity[2], *grad = random_floats(n, 13);
        backend *both[] = { cpu, ref };
        for (int i = 0; i < 2; i++) {
            step_scalars s = { .lr = 0.1f, .momentum = 0.9f, .weight_decay = 0.005f, .nesterov = nesterov };
            bool replayed = true;
            step_handle handle = { NULL };
            value[i] = random_floats(n, 11);
            velocity[i] = random_floats(n, 12);
            for (s.step = 0; s.step < 3; s.step++, s.lr /= 10) {
                must(both[i]->step_begin(both[i], &handle, &s, &replayed));
                assert_false(replayed);
                must(both[i]->sgd(both[i], value[i], grad, velocity[i], n));
                must(both[i]->step_end(both[i]));
            }
        }
        assert_true(opcheck_error(value[0], value[1], n) < 1e-6);
        assert_true(opcheck_error(velocity[0], velocity[1], n) < 1e-6);
    }
}

/* The vectors are rounded as bf16_from rounds, NaN and infinity too. */
static void bf16_values_are_rounded_to_nearest_even(void **state)
{
    enum { COUNT = 2 * 17 * 3 * 5 };
    static const float special[] = {
        0, 1 + 0x1p-8f, 1 + 0x1.8p-7f, INFINITY, -INFINITY, NAN, 0x1.fffffep127f
    };
    const shape4 s = { 2, 17, 3, 5 };
    float in[COUNT], out[COUNT];
    void *value = new_memory(cpu->value_bytes(cpu, s, BF16));
    (void)state;
    for (uint64_t i = 0; i < COUNT; i++)
        in[i] = i < 7 ? special[i] : rng_normal(1, RNG_TEST, 0, i) * exp2f((float)(i % 60) - 30);
    assert_int_equal(2 * cpu->value_bytes(cpu, s, BF16), cpu->value_bytes(cpu, s, F32));
    must(cpu->write_value(cpu, value, s, BF16, in));
    must(cpu->read_value(cpu, value, s, BF16, s.n, out));
    for (int i = 0; i < COUNT; i++) {
        if (isnan(in[i]))
            assert_true(isnan(out[i]));
        else
            assert_true(out[i] == bf16_to(bf16_from(in[i])));
    }
}

static void opening(void **state)
{
    backend *b = NULL;
    (void)state;
    assert_int_equal(cpu_open(-1, &b), ERR_USAGE);
    assert_null(b);
    must(cpu_open(1, &b));
    assert_int_equal(b->threads, 1);
    assert_string_equal(b->name, "cpu");
    assert_non_null(strstr(b->description, "oneDNN"));
    backend_close(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(memory_is_zero_and_not_there_until_it_is_used, release_memory),
        cmocka_unit_test_teardown(values_survive_a_round_trip, release_memory),
        cmocka_unit_test_teardown(padding_stays_zero, release_memory),
        cmocka_unit_test_teardown(a_sum_may_lie_over_its_summand, release_memory),
        cmocka_unit_test_teardown(a_gradient_may_lie_over_the_one_it_is_made_from, release_memory),
        cmocka_unit_test_teardown(two_runs_are_bit_identical, release_memory),
        cmocka_unit_test_teardown(gram, release_memory),
        cmocka_unit_test_teardown(gram_rounds_alike_in_every_shape, release_memory),
        cmocka_unit_test_teardown(gram_of_int8, release_memory),
        cmocka_unit_test_teardown(sums_of_int8_may_wrap_on_the_way, release_memory),
        cmocka_unit_test_teardown(bf16_rows_of_an_odd_length_are_refused, release_memory),
        cmocka_unit_test_teardown(sgd, release_memory),
        cmocka_unit_test_teardown(bf16_values_are_rounded_to_nearest_even, release_memory),
        cmocka_unit_test_teardown(opening, release_memory), /* last: it changes the number of threads */
    };
    return cmocka_run_group_tests(tests, open_pair, close_pair);
}
