/* core/cuda/bnact.cu -- batch normalisation, addition, activation: [op.h] OP_BNACT.
 *
 * forward in training: sums over the rows (x once), apply (x again, z, y).
 * backward: sums over the rows (x, dy), apply (x, dy again, dx, dz).
 * Each block of the second kernel makes statistics, or gradients of gamma and beta, of the sums of its channels;
 * those of the first part keep them.
 * Which values the activation let pass is kept as a bit each, so that backward reads neither y nor z. */
#include "columns.h"

/* What forward keeps for backward: bn_channel [c], then `passes_t` for each vector of x. */
typedef uint8_t passes_t; /* bit i: the gradient of value i of the vector passes the activation */

static inline size_t bn_channels_bytes(int c)
{
    return ((size_t)c * sizeof(bn_channel) + 255) / 256 * 256;
}

size_t bn_saved_bytes(dtype type, int64_t m, int c, activation act)
{
    const size_t vectors = (size_t)m * (size_t)(c / width_of(type, c));
    return bn_channels_bytes(c) + (act == ACT_NONE ? 0 : vectors * sizeof(passes_t));
}

size_t bn_scratch_bytes(dtype type, int64_t m, int c)
{
    return partial_bytes(columns_of(type, m, c));
}

/* The kernels' arguments: bnact_args and where its `saved` is divided. */
typedef struct bn_work {
    bnact_args a;
    bn_channel *channel;
    passes_t *passes; /* NULL: all pass, or nobody will ask */
} bn_work;

static inline bn_work bn_work_of(const bnact_args *a)
{
    bn_work w = { *a, (bn_channel *)a->saved, NULL };
    if (a->training && a->act != ACT_NONE) w.passes = (passes_t *)a->saved + bn_channels_bytes(a->c);
    return w;
}

/* What the rows need to know of a channel. A block keeps those of its tile in shared memory, where one thread
 * prepares a channel; each thread reads those of its vector from there. */
template <typename P, int V>
__device__ static inline void my_params(columns k, const P tile[TILE_CHANNELS], P mine[V])
{
    for (int i = 0; i < V; i++) mine[i] = tile[(int)threadIdx.x % k.xs * V + i];
}

/* Channel c by the running statistics. */
__device__ static inline bn_channel running_channel(const bnact_args &a, int c)
{
    const bn_channel s = { a.running_mean[c], 0,
                           (float)(1 / sqrt((double)a.running_var[c] + (double)a.eps)) };
    return s;
}

/* --- forward --- */

/* Sums of x - shift and its square, shift = the first row: of squares about 0, float would lose the variance
 * where the mean is large. */
template <typename W> COLUMN_KERNEL bn_sums(columns k, const void *x, two_sums *partial)
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
    add_columns<V>(k, vector, sum, partial);
}

/* What a channel's parameters are made of, read before the sums are there: one way to memory instead of two. */
typedef struct bn_given {
    float gamma, beta, shift, running_mean, running_var, bias;
} bn_given;

template <typename W> __device__ static inline bn_given read_given(const bnact_args &a, int c, bool keep)
{
    bn_given g = { a.gamma[c], a.beta[c], to_float(((const typename W::element *)a.x)[c]), 0, 0, 0 };
    if (keep) {
        g.running_mean = a.running_mean[c];
        g.running_var = a.running_var[c];
        if (a.shift) g.bias = a.shift[c];
    }
    return g;
}

/* Of channel c, from its sums. The statistics are the same in all blocks; `keep` in one. each: 1 / m. */
__device__ static inline bn_channel bn_statistics(const bn_work &w, columns k, int c, const bn_given &given,
                                                  double sum, double squares, double each, bool keep)
{
    double mean, var;
    const bn_channel s = bn_from_sums(sum, squares, given.shift, each, w.a.eps, &mean, &var);
    if (!keep) return s;
    w.channel[c] = s;
    w.a.running_mean[c] = bn_running(given.running_mean, mean + given.bias, w.a.momentum);
    w.a.running_var[c] = bn_running(given.running_var, var * (double)k.m / (double)(k.m - 1), w.a.momentum);
    return s;
}

template <typename W>
__device__ static inline void forward_params(columns k, const bn_work &w, bn_line tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    if (w.a.training && !w.a.frozen) {
        const bool keep = my_part(k) == 0;
        const double each = 1 / (double)k.m;
        const bn_given none = {}, given = c >= 0 ? read_given<W>(w.a, c, keep) : none;
        double sum, squares;
        total_columns(k, (const two_sums *)w.a.scratch, &sum, &squares);
        if (c >= 0) {
            const bn_channel s = bn_statistics(w, k, c, given, sum, squares, each, keep);
            tile[threadIdx.x] = bn_line_of(s, given.gamma, given.beta);
        }
    } else if (c >= 0)
        tile[threadIdx.x] = bn_line_of(running_channel(w.a, c), w.a.gamma[c], w.a.beta[c]);
    __syncthreads();
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

/* Stores act(v) and, in training, what of it passes. */
template <typename W>
__device__ static inline void store_activated(const bn_work &w, int64_t at, const float v[W::WIDTH])
{
    W y;
    unsigned passes = 0;
    for (int i = 0; i < W::WIDTH; i++) {
        from_float(&y.v[i], cuda_act(w.a.act, v[i]));
        passes |= (unsigned)cuda_act_passes(w.a.act, to_float(y.v[i])) << i;
    }
    ((W *)w.a.y)[at] = y;
    if (w.passes) w.passes[at] = (passes_t)passes;
}

/* The first rows are on their way while the parameters are prepared. */
template <typename W> COLUMN_KERNEL bn_apply(columns k, bn_work w)
{
    enum { V = W::WIDTH };
    __shared__ bn_line tile[TILE_CHANNELS];
    const my_rows mine = rows_of(k, my_vector(k));
    bn_line p[V];
    apply_rows<W> rows;
    load_apply_rows(w.a, mine.first, mine, &rows);
    forward_params<W>(k, w, tile);
    my_params<bn_line, V>(k, tile, p);
    FOR_MY_ROWS(at, mine, ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, ROWS)
        {
            float v[V], z[V] = { 0 };
            unpack(rows.x[r], v);
            if (w.a.z) unpack(rows.z[r], z);
            for (int i = 0; i < V; i++) v[i] = bn_affine(p[i], v[i]) + z[i];
            store_activated<W>(w, mine.base + at + r * mine.step, v);
        }
        load_apply_rows(w.a, at + ROWS * mine.step, mine, &rows);
    }
}

template <typename W> static int forward(cuda_stream stream, const bnact_args *a)
{
    const columns k = columns_of(a->type, a->m, a->c);
    int error = 0;
    if (a->training && !a->frozen)
        error = LAUNCH_BLOCKS(bn_sums<W>, columns_grid(k), columns_block(k), stream, k, a->x,
                              (two_sums *)a->scratch);
    if (!error)
        error = LAUNCH_BLOCKS(bn_apply<W>, columns_grid(k), columns_block(k), stream, k, bn_work_of(a));
    return error;
}

int bn_forward(cuda_stream stream, const bnact_args *a)
{
#define CALL(W) forward<W>(stream, a)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}

/* --- backward --- */

/* What the gradient of a vector is made of, of some rows. */
template <typename W, int N> struct grad_rows {
    W x[N], dy[N];
    passes_t passes[N];
};

template <typename W, int N>
__device__ static inline void load_grad_rows(const bn_work &w, int at, my_rows mine, grad_rows<W, N> *to)
{
    load_rows(w.a.x, at, mine, to->x);
    load_rows(w.a.dy, at, mine, to->dy);
    if (w.passes)
        load_rows(w.passes, at, mine, to->passes);
    else
        for (int r = 0; r < N; r++) to->passes[r] = (passes_t)-1;
}

/* x and g = dy * act'(v) of row r. */
template <typename W, int N>
__device__ static inline void bn_gradient(const grad_rows<W, N> &rows, int r, float x[W::WIDTH],
                                          float g[W::WIDTH])
{
    unpack(rows.x[r], x);
    unpack(rows.dy[r], g);
    for (int i = 0; i < W::WIDTH; i++)
        if (!(rows.passes[r] >> i & 1)) g[i] = 0;
}

/* Channel c as forward normalised it. */
__device__ static inline bn_channel known_channel(const bn_work &w, int c)
{
    return w.a.frozen ? running_channel(w.a, c) : w.channel[c];
}

/* Sums of g and of g * (x - mean_high). */
template <typename W> COLUMN_KERNEL bn_grad_sums(columns k, bn_work w)
{
    enum { V = W::WIDTH };
    __shared__ float tile[TILE_CHANNELS];
    const int vector = my_vector(k), c = my_channel(k);
    const my_rows mine = rows_of(k, vector);
    float mean[V], sum[2 * V] = { 0 };
    grad_rows<W, GRAD_SUM_ROWS> rows;
    load_grad_rows(w, mine.first, mine, &rows);
    if (c >= 0) tile[threadIdx.x] = known_channel(w, c).mean_high;
    __syncthreads();
    my_params<float, V>(k, tile, mean);
    FOR_MY_ROWS(at, mine, GRAD_SUM_ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, GRAD_SUM_ROWS)
        {
            float x[V], g[V];
            bn_gradient(rows, r, x, g);
            for (int i = 0; i < V; i++) {
                sum[i] += g[i];
                sum[V + i] = fmaf(g[i], x[i] - mean[i], sum[V + i]);
            }
        }
        load_grad_rows(w, at + GRAD_SUM_ROWS * mine.step, mine, &rows);
    }
    add_columns<V>(k, vector, sum, (two_sums *)w.a.scratch);
}

__device__ static inline void backward_params(columns k, const bn_work &w, bn_slope tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    const double each = w.a.frozen ? 0 : 1 / (double)k.m; /* frozen statistics do not move with x */
    const bn_channel none = {}, s = c >= 0 ? known_channel(w, c) : none;
    const float gamma = c >= 0 ? w.a.gamma[c] : 0;
    double dbeta, products;
    total_columns(k, (const two_sums *)w.a.scratch, &dbeta, &products);
    if (c >= 0) {
        const double dgamma = s.inv * (products - s.mean_low * dbeta);
        tile[threadIdx.x] = bn_slope_of(s, gamma, (float)(dbeta * each), (float)(dgamma * each));
        if (w.a.dbeta && my_part(k) == 0) w.a.dbeta[c] = (float)dbeta;
        if (w.a.dgamma && my_part(k) == 0) w.a.dgamma[c] = (float)dgamma;
    }
    __syncthreads();
}

template <typename W> COLUMN_KERNEL bn_grad_apply(columns k, bn_work w)
{
    enum { V = W::WIDTH };
    __shared__ bn_slope tile[TILE_CHANNELS];
    const my_rows mine = rows_of(k, my_vector(k));
    bn_slope p[V];
    grad_rows<W, GRAD_ROWS> rows;
    load_grad_rows(w, mine.first, mine, &rows);
    backward_params(k, w, tile);
    if (!w.a.dx && !w.a.dz) return;
    my_params<bn_slope, V>(k, tile, p);
    FOR_MY_ROWS(at, mine, GRAD_ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, GRAD_ROWS)
        {
            float x[V], g[V];
            bn_gradient(rows, r, x, g);
            if (w.a.dz) store<W>(w.a.dz, mine.base + at + r * mine.step, g, w.a.dz_add);
            for (int i = 0; i < V; i++) x[i] = bn_dx(p[i], x[i], g[i]);
            if (w.a.dx) store<W>(w.a.dx, mine.base + at + r * mine.step, x, w.a.dx_add);
        }
        load_grad_rows(w, at + GRAD_ROWS * mine.step, mine, &rows);
    }
}

template <typename W> static int backward(cuda_stream stream, const bnact_args *a)
{
    const columns k = columns_of(a->type, a->m, a->c);
    const bn_work w = bn_work_of(a);
    int error = LAUNCH_BLOCKS(bn_grad_sums<W>, columns_grid(k), columns_block(k), stream, k, w);
    if (!error) error = LAUNCH_BLOCKS(bn_grad_apply<W>, columns_grid(k), columns_block(k), stream, k, w);
    return error;
}

int bn_backward(cuda_stream stream, const bnact_args *a)
{
#define CALL(W) backward<W>(stream, a)
    return BY_WIDTH(a->type, a->c, CALL);
#undef CALL
}

/* --- sums alone: the gradient of a bias --- */

template <typename W> COLUMN_KERNEL column_parts(columns k, const void *x, two_sums *partial)
{
    enum { V = W::WIDTH };
    const int vector = my_vector(k);
    const my_rows mine = rows_of(k, vector);
    float sum[2 * V] = { 0 };
    FOR_MY_ROWS(at, mine, SUM_ROWS)
    {
        W rows[SUM_ROWS];
        load_rows(x, at, mine, rows);
        FOR_LOADED_ROWS(r, at, mine, SUM_ROWS)
        for (int i = 0; i < V; i++) sum[i] += to_float(rows[r].v[i]);
    }
    add_columns<V>(k, vector, sum, partial);
}

/* A block a tile. */
__global__ void column_totals(columns k, const two_sums *partial, float *out)
{
    double sum, none;
    const int c = my_channel(k);
    total_columns(k, partial, &sum, &none);
    if (c >= 0) out[c] = (float)sum;
}

size_t column_sums_bytes(dtype type, int64_t m, int c)
{
    return partial_bytes(columns_of(type, m, c));
}

int column_sums(cuda_stream stream, dtype type, const void *x, int64_t m, int c, float *out, void *scratch)
{
    const columns k = columns_of(type, m, c);
#define CALL(W)                                                                                              \
    LAUNCH_BLOCKS(column_parts<W>, columns_grid(k), columns_block(k), stream, k, x, (two_sums *)scratch)
    const int error = BY_WIDTH(type, c, CALL);
#undef CALL
    return error ? error
                 : LAUNCH_BLOCKS(column_totals, (unsigned)k.tiles, columns_block(k), stream, k,
                                 (const two_sums *)scratch, out);
}
