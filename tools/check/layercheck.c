/* tools/check/layercheck.c -- see layercheck.h. */
#include "layercheck.h"

#include "../../layers/layer.h"
#include "opcheck.h"

#include <math.h>

const char *const layer_problems[] = {
    "conv n4c3h32w32_o16k3s1p1",
    "conv n4c16h32w32_o16k3s1p1",
    "conv n4c16h32w32_o32k3s2p1",
    "conv n4c64h8w8_o64k3s1p1",
    "conv n2c64h32w32_o64k3s1p1b",
    "conv n4c64h16w16_o128k1s2p0",
    "conv n3c17h9w7_o24k3s2p1b",
    "conv n4c96h16w16_o96k3s1p1g96",
    "conv n4c96h16w16_o96k3s2p1g96",
    "conv n2c24h8w8_o144k1s1p0",
    "bnact n8c16h32w32_relu",
    "bnact n8c64h8w8_relu_add",
    "bnact n8c32h16w16_none_add",
    "bnact n4c96h16w16_relu6",
    "bnact n5c17h5w7_none",
    "bnact n8c64h8w8_relu_add_eval",
    "conv_bnact n4c64h16w16_o64k3s1p1_relu_add_eval",
    "conv_bnact n4c96h16w16_o96k3s2p1g96_relu6_eval",
    "bnact_pool n4c64h32w32_relu_max_k2s2p0",
    "pool n4c64h32w32_max_k2s2p0",
    "pool n2c17h9w9_max_k3s2p1",
    "pool n8c64h8w8_avg",
    "linear n8c64h1w1_o10_none",
    "linear n8c512h1w1_o512_relu",
    "dropout n8c512h1w1_p0.5",
    "shortcut n4c16h32w32_o32s2",
    "shortcut n2c17h5w7_o24s1",
    "loss n8c10_s0",
    "loss n64c100_s0.1",
    NULL,
};

/* Gradients of parameters: f32 sums on every device. The sum of a fused pair is as good as that of its worse layer. In
 * bf16 a processor's products may add up two terms before they round. */
static double parameter_tolerance(const op_problem *p)
{
    const double one = layer_of(p->op.kind)->tolerance, other = layer_of(problem_last(p)->kind)->tolerance;
    return p->op.type == BF16 ? 1e-5 : fmax(one, other);
}

/* Values in bf16: both devices round the same sum once, and may end on two neighbours, which are 2^-7 apart. */
static double value_tolerance(const op_problem *p)
{
    return p->op.type == BF16 ? 1.2e-2 : parameter_tolerance(p);
}

static void look(layer_error *worst, const char *what, const float *a, const float *ref, int64_t n,
                 double allowed)
{
    if (!a && !ref) return;
    double error = opcheck_error(a, ref, n);
    if (worst->what && error / allowed <= worst->error / worst->allowed) return;
    *worst = (layer_error){ error, allowed, what };
}

/* The loss is a sum in double on every device. Counts must be equal. */
static void look_at_loss(layer_error *worst, const loss_stats *a, const loss_stats *ref)
{
    bool same = a->correct == ref->correct && a->rows == ref->rows;
    *worst = (layer_error){ same ? fabs(a->loss - ref->loss) / fabs(ref->loss) : INFINITY, 1e-6, "loss" };
}

static void compare(const op_problem *p, const opcheck_result *a, const opcheck_result *ref,
                    layer_errors *out)
{
    static const char *const gradient[] = { "grad 0", "grad 1" };
    double value = value_tolerance(p), parameter = parameter_tolerance(p);
    look(&out->forward, "y", a->y, ref->y, ref->n_y, value);
    look(&out->forward, "running mean", a->running_mean, ref->running_mean, ref->n_param[2], parameter);
    look(&out->forward, "running var", a->running_var, ref->running_var, ref->n_param[3], parameter);
    if (p->op.kind == OP_LOSS) look_at_loss(&out->forward, &a->stats, &ref->stats);
    look(&out->backward, "dx", a->dx, ref->dx, ref->n_x, value);
    look(&out->backward, "dz", a->dz, ref->dz, ref->n_x, value);
    for (int i = 0; i < ref->n_grads; i++)
        look(&out->backward, gradient[i], a->grad[i], ref->grad[i], ref->n_param[i], parameter);
}

/* How far pre-activations stay from a kink of ReLU or ReLU6; 0: the default of f32. In bf16, rounding x moves a
 * pre-activation by far more. */
static float margin(const op *o)
{
    const bool six = (o->kind == OP_BNACT && o->bnact.act == ACT_RELU6) ||
                     (o->kind == OP_LINEAR && o->linear.act == ACT_RELU6);
    return o->type != BF16 ? 0 : six ? 0.1f : 0.02f;
}

status layer_check(const char *text, backend *ref, backend *b, layer_errors *out)
{
    status st = OK;
    op_problem p;
    opcheck_result mine = { 0 }, right = { 0 };
    *out = (layer_errors){ 0 };
    TRY(problem_parse(text, &p));
    const opcheck_options options = {
        .seed = 1, .backward = p.op.training, .bf16_data = p.op.type == BF16, .margin = margin(&p.op)
    };
    TRY(opcheck_run(b, &p, &options, &mine));
    TRY(opcheck_run(ref, &p, &options, &right));
    compare(&p, &mine, &right, out);
out:
    opcheck_free(&mine);
    opcheck_free(&right);
    return st;
}
