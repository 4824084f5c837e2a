/* tools/check/problem.c -- see problem.h. The reader moves a cursor over the text; each helper either takes
 * what it is asked for and moves on, or leaves the cursor where it is. */
#include "problem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool take(const char **at, const char *word)
{
    const size_t length = strlen(word);
    if (strncmp(*at, word, length) != 0) return false;
    *at += length;
    return true;
}

/* "k3": the name, then a decimal number of at most six digits and at least `min`. */
static bool take_number(const char **at, const char *name, int min, int *out)
{
    const char *p = *at;
    int value = 0, digits = 0;
    if (!take(&p, name)) return false;
    for (; *p >= '0' && *p <= '9' && digits < 6; p++, digits++) value = value * 10 + (*p - '0');
    if (digits == 0 || value < min || (*p >= '0' && *p <= '9')) return false;
    *out = value;
    *at = p;
    return true;
}

/* "p0.5": the name, then a fraction in [0, 1). */
static bool take_fraction(const char **at, const char *name, float *out)
{
    const char *p = *at;
    char *end;
    if (!take(&p, name) || *p != '0') return false;
    const float value = strtof(p, &end);
    if (end != p + strspn(p, "0123456789.") || !(value >= 0 && value < 1)) return false;
    *out = value;
    *at = end;
    return true;
}

static bool take_activation(const char **at, activation *out)
{
    if (take(at, "_relu6")) {
        *out = ACT_RELU6;
    } else if (take(at, "_relu")) {
        *out = ACT_RELU;
    } else if (take(at, "_none")) {
        *out = ACT_NONE;
    } else {
        return false;
    }
    return true;
}

static bool take_shape(const char **at, shape4 *s)
{
    return take_number(at, "n", 1, &s->n) && take_number(at, "c", 1, &s->c) &&
           take_number(at, "h", 1, &s->h) && take_number(at, "w", 1, &s->w);
}

/* op.h: P = floor((H + 2 pad - R) / stride) + 1; below 1 if the window does not fit. */
static int windows(int size, int kernel, int stride, int pad)
{
    const int room = size + 2 * pad - kernel;
    return room < 0 ? 0 : room / stride + 1;
}

static bool take_filters(const char **at, op *o, conv_desc *d)
{
    d->groups = 1;
    if (!take_shape(at, &o->x) || !take_number(at, "_o", 1, &d->out) ||
        !take_number(at, "k", 1, &d->kernel) || !take_number(at, "s", 1, &d->stride) ||
        !take_number(at, "p", 0, &d->pad)) {
        return false;
    }
    take_number(at, "g", 1, &d->groups);
    d->bias = take(at, "b");
    if (o->x.c % d->groups != 0 || d->out % d->groups != 0) return false;
    o->y = (shape4){ o->x.n, d->out, windows(o->x.h, d->kernel, d->stride, d->pad),
                     windows(o->x.w, d->kernel, d->stride, d->pad) };
    return o->y.h > 0 && o->y.w > 0;
}

static bool take_conv(const char **at, op *o)
{
    return take_filters(at, o, &o->conv);
}

static bool take_normalisation(const char **at, bnact_desc *d)
{
    d->eps = 1e-5f;
    d->momentum = 0.1f;
    if (!take_activation(at, &d->act)) return false;
    d->add = take(at, "_add");
    return true;
}

static bool take_conv_bnact(const char **at, op *o)
{
    return take_filters(at, o, &o->conv_bnact.conv) && take_normalisation(at, &o->conv_bnact.bnact);
}

static bool take_bnact(const char **at, op *o)
{
    if (!take_shape(at, &o->x) || !take_normalisation(at, &o->bnact)) return false;
    o->bnact.frozen = take(at, "_frozen");
    o->y = o->x;
    return true;
}

static bool take_pool(const char **at, op *o)
{
    pool_desc *d = &o->pool;
    if (!take_shape(at, &o->x)) return false;
    if (take(at, "_avg")) {
        d->kind = POOL_AVG_GLOBAL;
        o->y = (shape4){ o->x.n, o->x.c, 1, 1 };
        return true;
    }
    d->kind = POOL_MAX;
    if (!take(at, "_max") || !take_number(at, "_k", 1, &d->kernel) || !take_number(at, "s", 1, &d->stride) ||
        !take_number(at, "p", 0, &d->pad) || d->pad > d->kernel / 2) {
        return false;
    }
    o->y = (shape4){ o->x.n, o->x.c, windows(o->x.h, d->kernel, d->stride, d->pad),
                     windows(o->x.w, d->kernel, d->stride, d->pad) };
    return o->y.h > 0 && o->y.w > 0;
}

static bool take_bnact_pool(const char **at, op *o)
{
    op pool = { 0 };
    if (!take_pool(at, &pool) || pool.pool.kind != POOL_MAX) return false;
    if (!take_normalisation(at, &o->bnact_pool.bnact) || o->bnact_pool.bnact.add) return false;
    o->bnact_pool.bnact.frozen = take(at, "_frozen");
    o->bnact_pool.pool = pool.pool;
    o->x = pool.x;
    o->y = pool.y;
    return true;
}

static bool take_linear(const char **at, op *o)
{
    if (!take_shape(at, &o->x) || !take_number(at, "_o", 1, &o->linear.out)) return false;
    o->y = (shape4){ o->x.n, o->linear.out, 1, 1 };
    return take_activation(at, &o->linear.act);
}

static bool take_dropout(const char **at, op *o)
{
    if (!take_shape(at, &o->x) || !take_fraction(at, "_p", &o->dropout.p)) return false;
    o->y = o->x;
    return true;
}

static bool take_shortcut(const char **at, op *o)
{
    shortcut_desc *d = &o->shortcut;
    if (!take_shape(at, &o->x) || !take_number(at, "_o", o->x.c, &d->out) ||
        !take_number(at, "s", 1, &d->stride)) {
        return false;
    }
    o->y = (shape4){ o->x.n, d->out, (o->x.h - 1) / d->stride + 1, (o->x.w - 1) / d->stride + 1 };
    return true;
}

static bool take_loss(const char **at, op *o)
{
    o->x.h = o->x.w = 1;
    o->y = (shape4){ 0 }; /* no y */
    return take_number(at, "n", 1, &o->x.n) && take_number(at, "c", 1, &o->x.c) &&
           take_fraction(at, "_s", &o->loss.smoothing);
}

static const struct {
    const char *name;
    bool (*take)(const char **at, op *o);
} kinds[OP_KINDS] = {
    [OP_CONV] = { "conv ", take_conv },
    [OP_BNACT] = { "bnact ", take_bnact },
    [OP_POOL] = { "pool ", take_pool },
    [OP_LINEAR] = { "linear ", take_linear },
    [OP_DROPOUT] = { "dropout ", take_dropout },
    [OP_SHORTCUT] = { "shortcut ", take_shortcut },
    [OP_LOSS] = { "loss ", take_loss },
    [OP_CONV_BNACT] = { "conv_bnact ", take_conv_bnact },
    [OP_BNACT_POOL] = { "bnact_pool ", take_bnact_pool },
};

status problem_parse(const char *text, op *o)
{
    status st = OK;
    const char *at = text;
    op read = { .training = true, .type = F32 };
    int kind = 0;

    while (kind < OP_KINDS && !take(&at, kinds[kind].name)) kind++;
    if (kind == OP_KINDS) FAIL(ERR_USAGE, "problem '%s': starts with no known operation", text);
    read.kind = (op_kind)kind;
    if (!kinds[kind].take(&at, &read)) FAIL(ERR_USAGE, "problem '%s': not valid at or before '%s'", text, at);
    if (take(&at, "_eval")) read.training = false;
    if (take(&at, "_bf16")) read.type = BF16;
    if (*at) FAIL(ERR_USAGE, "problem '%s': '%s' is too much", text, at);
    if ((kind == OP_BNACT || kind == OP_BNACT_POOL) && read.training && shape_count(read.x) == read.x.c) {
        FAIL(ERR_USAGE, "problem '%s': the variance of one value", text);
    }
    if (kind == OP_CONV_BNACT && read.training)
        FAIL(ERR_USAGE, "problem '%s': without _eval; it has no backward", text);
    if (kind == OP_BNACT_POOL && !read.training)
        FAIL(ERR_USAGE, "problem '%s': _eval; it is for training", text);
    *o = read;
out:
    return st;
}

static const char *act_name(activation act)
{
    return act == ACT_RELU6 ? "_relu6" : act == ACT_RELU ? "_relu" : "_none";
}

/* What follows the shape. */
static void print_filters(const conv_desc *d, char *out, size_t bytes)
{
    char groups[16] = "";
    if (d->groups != 1) snprintf(groups, sizeof groups, "g%d", d->groups);
    snprintf(out, bytes, "_o%dk%ds%dp%d%s%s", d->out, d->kernel, d->stride, d->pad, groups,
             d->bias ? "b" : "");
}

static void print_pool(const pool_desc *d, char *out, size_t bytes)
{
    if (d->kind == POOL_AVG_GLOBAL)
        snprintf(out, bytes, "_avg");
    else
        snprintf(out, bytes, "_max_k%ds%dp%d", d->kernel, d->stride, d->pad);
}

static void print_attributes(const op *o, char *out, size_t bytes)
{
    switch (o->kind) {
    case OP_CONV: print_filters(&o->conv, out, bytes); break;
    case OP_CONV_BNACT:
        print_filters(&o->conv_bnact.conv, out, bytes);
        snprintf(out + strlen(out), bytes - strlen(out), "%s%s", act_name(o->conv_bnact.bnact.act),
                 o->conv_bnact.bnact.add ? "_add" : "");
        break;
    case OP_BNACT:
        snprintf(out, bytes, "%s%s%s", act_name(o->bnact.act), o->bnact.add ? "_add" : "",
                 o->bnact.frozen ? "_frozen" : "");
        break;
    case OP_BNACT_POOL:
        print_pool(&o->bnact_pool.pool, out, bytes);
        snprintf(out + strlen(out), bytes - strlen(out), "%s%s", act_name(o->bnact_pool.bnact.act),
                 o->bnact_pool.bnact.frozen ? "_frozen" : "");
        break;
    case OP_POOL: print_pool(&o->pool, out, bytes); break;
    case OP_LINEAR: snprintf(out, bytes, "_o%d%s", o->linear.out, act_name(o->linear.act)); break;
    case OP_DROPOUT: snprintf(out, bytes, "_p%.9g", o->dropout.p); break;
    case OP_SHORTCUT: snprintf(out, bytes, "_o%ds%d", o->shortcut.out, o->shortcut.stride); break;
    case OP_LOSS: snprintf(out, bytes, "_s%.9g", o->loss.smoothing); break;
    case OP_KINDS: break;
    }
}

void problem_print(const op *o, char out[PROBLEM_BYTES])
{
    char shape[48], attributes[64] = "";
    if (o->kind == OP_LOSS) {
        snprintf(shape, sizeof shape, "n%dc%d", o->x.n, o->x.c);
    } else {
        snprintf(shape, sizeof shape, "n%dc%dh%dw%d", o->x.n, o->x.c, o->x.h, o->x.w);
    }
    print_attributes(o, attributes, sizeof attributes);
    snprintf(out, PROBLEM_BYTES, "%s%s%s%s%s", kinds[o->kind].name, shape, attributes,
             o->training ? "" : "_eval", o->type == BF16 ? "_bf16" : "");
}
