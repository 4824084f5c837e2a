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

/* The loss is a sum in double on every device. Counts must be equal. */
static layer_error loss_error(const loss_stats *a, const loss_stats *ref)
{
    const bool same = a->correct == ref->correct && a->rows == ref->rows;
    return (layer_error){ same ? fabs(a->loss - ref->loss) / fabs(ref->loss) : INFINITY, 1e-6, "loss" };
}

static void compare(const op_problem *p, const opcheck_result *a, const opcheck_result *ref,
                    layer_errors *out)
{
    opcheck_output output[OPCHECK_OUTPUTS];
    const int n = opcheck_compare(a, ref, output);
    if (p->op.kind == OP_LOSS) out->forward = loss_error(&a->stats, &ref->stats);
    for (int i = 0; i < n; i++) {
        const opcheck_output *o = &output[i];
        const double allowed = o->value ? value_tolerance(p) : parameter_tolerance(p);
        layer_error *worst = o->backward ? &out->backward : &out->forward;
        if (worst->what && o->error / allowed <= worst->error / worst->allowed) continue;
        *worst = (layer_error){ o->error, allowed, o->name };
    }
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
