/* core/cuda/bnact.cu -- batch normalisation, addition, activation: [op.h] OP_BNACT.
 *
 *   forward    bn_sum_rows     reads x; only in training, and not with frozen statistics
 *              bn_apply        reads x and z, writes y
 *   backward   bn_grad_sums    reads x and dy
 *              bn_grad_apply   reads x and dy, writes dx and dz
 *
 * batchnorm.h says why there are two kernels; columns.h, how their threads share out the rows and channels. Forward
 * keeps a bit for each value: whether the activation passes its gradient. So backward reads neither y nor z. */
#include "batchnorm.h"

/* Forward keeps for backward: bn_channel [c], then passes_t for each vector of x. */
typedef uint8_t passes_t; /* bit i: the activation passes the gradient of value i of the vector */

size_t bn_saved_bytes(dtype type, int64_t m, int c, activation act)
{
    const size_t vectors = (size_t)m * (size_t)(c / width_of(type, c));
    return bn_channels_bytes(c) + (act == ACT_NONE ? 0 : vectors * sizeof(passes_t));
}

size_t bn_scratch_bytes(dtype type, int64_t m, int c, int multiprocessors)
{
    return partial_bytes(columns_of(type, m, c, multiprocessors));
}

/* NULL: all gradients pass, or there will be no backward. */
static inline passes_t *passes_in(const bnact_args *a)
{
    return a->training && a->act != ACT_NONE ? (passes_t *)a->saved + bn_channels_bytes(a->c) : NULL;
}

/* --- forward --- */

/* Sums of x - shift and of its square. shift is the first row: if the mean is large, float cannot hold sums of
 * squares about 0 precisely enough for the variance. */
template <typename W> COLUMN_KERNEL bn_sum_rows(columns k, const void *x, two_sums *partial)
{
    enum { V = W::WIDTH };
    const int vector = my_vector(k);
    const my_rows mine = rows_of(k, vector);
    float shift[V] = { 0 }, sum[2 * V] = { 0 };
    if (vector >= 0) load<W>(x, vector, shift);
    FOR_MY_ROWS(at, mine, SUM_ROWS)
    {
        W rows[SUM_ROWS];
        load_rows(x, at, mine, rows);
        FOR_LOADED_ROWS(r, at, mine, SUM_ROWS)
        {
            float v[V];
            unpack(rows[r], v);
            for (int i = 0; i < V; i++) {
                const float d = v[i] - shift[i];
                sum[i] += d;
                sum[V + i] += d * d;
            }
        }
    }
    put_partial_sums<V>(k, vector, sum, partial);
}

int bn_sums(cuda_stream stream, const bnact_args *a)
{
    const columns k = bn_columns(a);
#define CALL(W) LAUNCH_COLUMNS(bn_sum_rows<W>, k, stream, a->x, (two_sums *)a->scratch)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}

template <typename W> struct apply_rows {
    W x[ROWS], z[ROWS]; /* z: only if there is one */
};

template <typename W>
__device__ static inline void load_apply_rows(const bnact_args &a, int at, my_rows mine, apply_rows<W> *to)
{
    load_rows(a.x, at, mine, to->x);
    if (a.z) load_rows(a.z, at, mine, to->z);
}

/* Stores act(v) and, in training, a bit for each value. */
template <typename W>
__device__ static inline void store_activated(const bnact_args &a, passes_t *keep, int64_t at,
                                              const float v[W::WIDTH])
{
    W y;
    unsigned passes = 0;
    for (int i = 0; i < W::WIDTH; i++) {
        from_float(&y.v[i], act_forward(a.act, v[i]));
        passes |= (unsigned)act_passes(a.act, to_float(y.v[i])) << i;
    }
    ((W *)a.y)[at] = y;
    if (keep) keep[at] = (passes_t)passes;
}

/* Each thread asks for its first rows before the block prepares the channels' parameters: memory is read meanwhile.
 * In the same way it asks for the next rows after it has stored the last. */
template <typename W> COLUMN_KERNEL bn_apply(columns k, bnact_args a, passes_t *keep)
{
    enum { V = W::WIDTH };
    __shared__ bn_line tile[TILE_CHANNELS];
    const my_rows mine = rows_of(k, my_vector(k));
    bn_line p[V];
    apply_rows<W> rows;
    load_apply_rows(a, mine.first, mine, &rows);
    forward_params<W>(k, a, tile);
    my_params<bn_line, V>(k, tile, p);
    FOR_MY_ROWS(at, mine, ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, ROWS)
        {
            float v[V], z[V] = { 0 };
            unpack(rows.x[r], v);
            if (a.z) unpack(rows.z[r], z);
            for (int i = 0; i < V; i++) v[i] = bn_affine(p[i], v[i]) + z[i];
            store_activated<W>(a, keep, mine.base + at + r * mine.step, v);
        }
        load_apply_rows(a, at + ROWS * mine.step, mine, &rows);
    }
}

template <typename W> static int forward(cuda_stream stream, const bnact_args *a)
{
    int error = 0;
    if (a->training && !a->frozen) error = bn_sums(stream, a);
    if (!error) error = LAUNCH_COLUMNS(bn_apply<W>, bn_columns(a), stream, *a, passes_in(a));
    return error;
}

int bn_forward(cuda_stream stream, const bnact_args *a)
{
#define CALL(W) forward<W>(stream, a)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}

/* --- backward --- */

/* What the gradients of N rows are computed from. */
template <typename W, int N> struct grad_rows {
    W x[N], dy[N];
    passes_t passes[N];
};

template <typename W, int N>
__device__ static inline void load_grad_rows(const bnact_args &a, const passes_t *kept, int at, my_rows mine,
                                             grad_rows<W, N> *to)
{
    load_rows(a.x, at, mine, to->x);
    load_rows(a.dy, at, mine, to->dy);
    if (kept)
        load_rows(kept, at, mine, to->passes);
    else
        for (int r = 0; r < N; r++) to->passes[r] = (passes_t)-1;
}

/* x and g = dy * act'(v) of row r. */
template <typename W, int N>
__device__ static inline void gradient_of(const grad_rows<W, N> &rows, int r, float x[W::WIDTH],
                                          float g[W::WIDTH])
{
    unpack(rows.x[r], x);
    unpack(rows.dy[r], g);
    for (int i = 0; i < W::WIDTH; i++)
        if (!(rows.passes[r] >> i & 1)) g[i] = 0;
}

/* Sums of g and of g * (x - mean_high). */
template <typename W> COLUMN_KERNEL bn_grad_sums(columns k, bnact_args a, const passes_t *kept)
{
    enum { V = W::WIDTH };
    __shared__ float tile[TILE_CHANNELS];
    const int vector = my_vector(k);
    const my_rows mine = rows_of(k, vector);
    float mean[V], sum[2 * V] = { 0 };
    grad_rows<W, GRAD_SUM_ROWS> rows;
    load_grad_rows(a, kept, mine.first, mine, &rows);
    known_means(k, a, tile);
    my_params<float, V>(k, tile, mean);
    FOR_MY_ROWS(at, mine, GRAD_SUM_ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, GRAD_SUM_ROWS)
        {
            float x[V], g[V];
            gradient_of(rows, r, x, g);
            for (int i = 0; i < V; i++) {
                sum[i] += g[i];
                sum[V + i] = fmaf(g[i], x[i] - mean[i], sum[V + i]);
            }
        }
        load_grad_rows(a, kept, at + GRAD_SUM_ROWS * mine.step, mine, &rows);
    }
    put_partial_sums<V>(k, vector, sum, (two_sums *)a.scratch);
}

template <typename W> COLUMN_KERNEL bn_grad_apply(columns k, bnact_args a, const passes_t *kept)
{
    enum { V = W::WIDTH };
    __shared__ bn_slope tile[TILE_CHANNELS];
    const my_rows mine = rows_of(k, my_vector(k));
    bn_slope p[V];
    grad_rows<W, GRAD_ROWS> rows;
    load_grad_rows(a, kept, mine.first, mine, &rows);
    backward_params(k, a, tile);
    if (!a.dx && !a.dz) return;
    my_params<bn_slope, V>(k, tile, p);
    FOR_MY_ROWS(at, mine, GRAD_ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, GRAD_ROWS)
        {
            float x[V], g[V];
            gradient_of(rows, r, x, g);
            if (a.dz) store<W>(a.dz, mine.base + at + r * mine.step, g, a.dz_add);
            for (int i = 0; i < V; i++) x[i] = bn_dx(p[i], x[i], g[i]);
            if (a.dx) store<W>(a.dx, mine.base + at + r * mine.step, x, a.dx_add);
        }
        load_grad_rows(a, kept, at + GRAD_ROWS * mine.step, mine, &rows);
    }
}

template <typename W> static int backward(cuda_stream stream, const bnact_args *a)
{
    const columns k = bn_columns(a);
    const passes_t *kept = passes_in(a);
    int error = LAUNCH_COLUMNS(bn_grad_sums<W>, k, stream, *a, kept);
    if (!error) error = LAUNCH_COLUMNS(bn_grad_apply<W>, k, stream, *a, kept);
    return error;
}

int bn_backward(cuda_stream stream, const bnact_args *a)
{
#define CALL(W) backward<W>(stream, a)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}
