/* core/cuda/bnact.cu -- batch normalisation, addition, activation: [op.h] OP_BNACT.
 *
 * forward in training: sums over the rows (x once), apply (x again, z, y).
 * backward: sums over the rows (x, dy), apply (x, dy again, dx, dz).
 * Each block of the second kernel makes statistics, or gradients of gamma and beta, of the sums of its channels;
 * those of the first part keep them.
 * Where no z was added, backward asks gamma * xh + beta again for the sign of the activation instead of
 * reading y: one tensor less to read, and y need not be kept. */
#include "columns.h"

size_t bn_saved_bytes(int c)
{
    return (size_t)c * sizeof(bn_channel);
}

size_t bn_scratch_bytes(dtype type, int64_t m, int c)
{
    return partial_bytes(columns_of(type, m, c));
}

/* What the rows need to know of a channel. A block keeps those of its tile in shared memory, where one thread
 * prepares a channel; each thread reads those of its vector from there. */
typedef struct bn_param {
    bn_channel s;
    float gamma, beta;
} bn_param;

template <int V>
__device__ static inline void my_params(columns k, const bn_param tile[TILE_CHANNELS], bn_param mine[V])
{
    for (int i = 0; i < V; i++) mine[i] = tile[(int)threadIdx.x % k.xs * V + i];
}

/* Channel c as it is normalised, once forward's statistics are there. */
__device__ static inline bn_param known_param(const bnact_args &a, int c)
{
    bn_param p = { { a.running_mean[c], 0, 0 }, a.gamma[c], a.beta[c] };
    if (a.training && !a.frozen)
        p.s = ((const bn_channel *)a.saved)[c];
    else
        p.s.inv = (float)(1 / sqrt((double)a.running_var[c] + (double)a.eps));
    return p;
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

/* Of channel c, from its sums. The statistics are the same in all blocks; `keep` in one. */
template <typename W>
__device__ static inline bn_channel bn_statistics(columns k, const bnact_args &a, int c, double sum,
                                                  double squares, bool keep)
{
    double mean, var;
    const float shift = to_float(((const typename W::element *)a.x)[c]);
    const bn_channel s = bn_from_sums(sum, squares, shift, (double)k.m, a.eps, &mean, &var);
    if (!keep) return s;
    ((bn_channel *)a.saved)[c] = s;
    if (a.shift) mean += a.shift[c];
    a.running_mean[c] = bn_running(a.running_mean[c], mean, a.momentum);
    a.running_var[c] = bn_running(a.running_var[c], var * (double)k.m / (double)(k.m - 1), a.momentum);
    return s;
}

template <typename W>
__device__ static inline void forward_params(columns k, const bnact_args &a, bn_param tile[TILE_CHANNELS])
{
    const int c = my_channel(k);
    if (a.training && !a.frozen) {
        double sum, squares;
        total_columns(k, (const two_sums *)a.scratch, &sum, &squares);
        if (c >= 0) {
            const bn_param p = { bn_statistics<W>(k, a, c, sum, squares, my_part(k) == 0), a.gamma[c],
                                 a.beta[c] };
            tile[threadIdx.x] = p;
        }
    } else if (c >= 0)
        tile[threadIdx.x] = known_param(a, c);
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

/* The first rows are on their way while the parameters are prepared. */
template <typename W> COLUMN_KERNEL bn_apply(columns k, bnact_args a)
{
    enum { V = W::WIDTH };
    __shared__ bn_param tile[TILE_CHANNELS];
    const my_rows mine = rows_of(k, my_vector(k));
    bn_param p[V];
    apply_rows<W> rows;
    load_apply_rows(a, mine.first, mine, &rows);
    forward_params<W>(k, a, tile);
    my_params<V>(k, tile, p);
    FOR_MY_ROWS(at, mine, ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, ROWS)
        {
            float v[V], z[V] = { 0 };
            unpack(rows.x[r], v);
            if (a.z) unpack(rows.z[r], z);
            for (int i = 0; i < V; i++)
                v[i] = cuda_act(a.act, bn_affine(p[i].s, p[i].gamma, p[i].beta, v[i]) + z[i]);
            store<W>(a.y, mine.base + at + r * mine.step, v, false);
        }
        load_apply_rows(a, at + ROWS * mine.step, mine, &rows);
    }
}

template <typename W> static int forward(cuda_stream stream, const bnact_args *a)
{
    const columns k = columns_of(a->type, a->m, a->c);
    int error = 0;
    if (a->training && !a->frozen)
        error = LAUNCH_BLOCKS(bn_sums<W>, columns_grid(k), columns_block(k), stream, k, a->x,
                              (two_sums *)a->scratch);
    if (!error) error = LAUNCH_BLOCKS(bn_apply<W>, columns_grid(k), columns_block(k), stream, k, *a);
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
template <typename W> struct grad_rows {
    W x[GRAD_ROWS], dy[GRAD_ROWS], y[GRAD_ROWS]; /* y: only if it is needed */
};

template <typename W>
__device__ static inline void load_grad_rows(const bnact_args &a, int at, my_rows mine, grad_rows<W> *to)
{
    load_rows(a.x, at, mine, to->x);
    load_rows(a.dy, at, mine, to->dy);
    if (a.act != ACT_NONE && a.add) load_rows(a.y, at, mine, to->y);
}

/* x and g = dy * act'(v) of row r. */
template <typename W>
__device__ static inline void bn_gradient(const bnact_args &a, const bn_param p[W::WIDTH],
                                          const grad_rows<W> &rows, int r, float x[W::WIDTH],
                                          float g[W::WIDTH])
{
    float y[W::WIDTH] = { 0 };
    unpack(rows.x[r], x);
    unpack(rows.dy[r], g);
    if (a.act == ACT_NONE) return;
    if (a.add) unpack(rows.y[r], y);
    for (int i = 0; i < W::WIDTH; i++) {
        if (!a.add)
            y[i] = rounded((const typename W::element *)0,
                           cuda_act(a.act, bn_affine(p[i].s, p[i].gamma, p[i].beta, x[i]) + 0.0f));
        g[i] = cuda_act_grad(a.act, y[i], g[i]);
    }
}

/* Sums of g and of g * xh: dbeta and dgamma. */
template <typename W> COLUMN_KERNEL bn_grad_sums(columns k, bnact_args a)
{
    enum { V = W::WIDTH };
    __shared__ bn_param tile[TILE_CHANNELS];
    const int vector = my_vector(k), c = my_channel(k);
    const my_rows mine = rows_of(k, vector);
    bn_param p[V];
    float sum[2 * V] = { 0 };
    grad_rows<W> rows;
    load_grad_rows(a, mine.first, mine, &rows);
    if (c >= 0) tile[threadIdx.x] = known_param(a, c);
    __syncthreads();
    my_params<V>(k, tile, p);
    FOR_MY_ROWS(at, mine, GRAD_ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, GRAD_ROWS)
        {
            float x[V], g[V];
            bn_gradient(a, p, rows, r, x, g);
            for (int i = 0; i < V; i++) {
                sum[i] += g[i];
                sum[V + i] += g[i] * bn_xhat(p[i].s, x[i]);
            }
        }
        load_grad_rows(a, at + GRAD_ROWS * mine.step, mine, &rows);
    }
    add_columns<V>(k, vector, sum, (two_sums *)a.scratch);
}

/* dbeta / m, dgamma / m */
typedef struct grad_means {
    float g, gx;
} grad_means;

__device__ static inline void backward_params(columns k, const bnact_args &a, bn_param tile[TILE_CHANNELS],
                                              grad_means means[TILE_CHANNELS])
{
    const int c = my_channel(k);
    double dbeta, dgamma;
    total_columns(k, (const two_sums *)a.scratch, &dbeta, &dgamma);
    if (c >= 0) {
        const grad_means moving = { (float)(dbeta / (double)k.m), (float)(dgamma / (double)k.m) };
        const grad_means frozen = { 0, 0 }; /* these statistics do not move with x */
        tile[threadIdx.x] = known_param(a, c);
        means[threadIdx.x] = a.frozen ? frozen : moving;
        if (a.dbeta && my_part(k) == 0) a.dbeta[c] = (float)dbeta;
        if (a.dgamma && my_part(k) == 0) a.dgamma[c] = (float)dgamma;
    }
    __syncthreads();
}

template <typename W> COLUMN_KERNEL bn_grad_apply(columns k, bnact_args a)
{
    enum { V = W::WIDTH };
    __shared__ bn_param tile[TILE_CHANNELS];
    __shared__ grad_means means[TILE_CHANNELS]; /* stay there: registers are full */
    const grad_means *mean = &means[(int)threadIdx.x % k.xs * V];
    const my_rows mine = rows_of(k, my_vector(k));
    bn_param p[V];
    grad_rows<W> rows;
    load_grad_rows(a, mine.first, mine, &rows);
    backward_params(k, a, tile, means);
    if (!a.dx && !a.dz) return;
    my_params<V>(k, tile, p);
    FOR_MY_ROWS(at, mine, GRAD_ROWS)
    {
        FOR_LOADED_ROWS(r, at, mine, GRAD_ROWS)
        {
            float x[V], g[V];
            bn_gradient(a, p, rows, r, x, g);
            if (a.dz) store<W>(a.dz, mine.base + at + r * mine.step, g, a.dz_add);
            for (int i = 0; i < V; i++) x[i] = bn_dx(p[i].s, p[i].gamma, x[i], g[i], mean[i].g, mean[i].gx);
            if (a.dx) store<W>(a.dx, mine.base + at + r * mine.step, x, a.dx_add);
        }
        load_grad_rows(a, at + GRAD_ROWS * mine.step, mine, &rows);
    }
}

template <typename W> static int backward(cuda_stream stream, const bnact_args *a)
{
    const columns k = columns_of(a->type, a->m, a->c);
    int error = LAUNCH_BLOCKS(bn_grad_sums<W>, columns_grid(k), columns_block(k), stream, k, *a);
    if (!error) error = LAUNCH_BLOCKS(bn_grad_apply<W>, columns_grid(k), columns_block(k), stream, k, *a);
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
