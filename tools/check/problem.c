/* tools/check/problem.c -- see problem.h. The reader moves a cursor over the text: each helper takes what it is asked
 * for and moves the cursor on, or leaves it where it is. */
#include "problem.h"

#include "../../core/device/fusion.h"
#include "../../layers/layer.h"

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

/* "k3": the letters, then a decimal number of at most six digits. */
static bool take_int(const char **at, const char *letters, int *out)
{
    const char *p = *at;
    int value = 0, digits = 0;
    if (!take(&p, letters)) return false;
    for (; *p >= '0' && *p <= '9' && digits < 6; p++, digits++) value = value * 10 + (*p - '0');
    if (digits == 0 || (*p >= '0' && *p <= '9')) return false;
    *out = value;
    *at = p;
    return true;
}

/* "p0.5": the letters, then a fraction in [0, 1). */
static bool take_fraction(const char **at, const char *letters, float *out)
{
    const char *p = *at;
    char *end;
    if (!take(&p, letters) || *p != '0') return false;
    const float value = strtof(p, &end);
    if (end != p + strspn(p, "0123456789.") || !(value >= 0 && value < 1)) return false;
    *out = value;
    *at = end;
    return true;
}

/* The longest word that fits: "_relu6" begins with "_relu". */
static bool take_choice(const char **at, const char *const *words, int *out)
{
    size_t longest = 0;
    for (int i = 0; words[i]; i++) {
        const size_t length = strlen(words[i]);
        if (strncmp(*at, words[i], length) != 0 || length <= longest) continue;
        longest = length;
        *out = i;
    }
    *at += longest;
    return longest > 0;
}

static bool take_field(const char **at, const layer_field *f, op *o)
{
    void *member = (char *)o + f->offset;
    switch (f->type) {
    case FIELD_INT: return take_int(at, f->letters, member);
    case FIELD_OPTIONAL: return take_int(at, f->letters, member) || true;
    case FIELD_FRACTION: return take_fraction(at, f->letters, member);
    case FIELD_FLAG: *(bool *)member = take(at, f->letters); return true;
    case FIELD_CHOICE: return take_choice(at, f->words, member); /* enums are stored as int */
    }
    return false;
}

static bool is_field(const layer_field *f)
{
    return f->letters || f->words;
}

/* One layer on values of shape x. */
static status take_op(const char **at, const layer_type *t, shape4 x, op *o)
{
    status st = OK;
    *o = t->usual;
    o->kind = t->kind;
    o->x = x;
    for (const layer_field *f = t->fields; f && is_field(f); f++) {
        if (f->applies && !f->applies(o)) continue;
        if (!take_field(at, f, o)) FAIL(ERR_USAGE, "not valid at or before '%s'", *at);
    }
    TRY(t->infer(o));
out:
    return st;
}

/* A layer's name and what follows it. */
static const layer_type *take_layer(const char **at, const char *end)
{
    for (int kind = 0; kind < OP_KINDS; kind++) {
        const layer_type *t = layer_of((op_kind)kind);
        const char *p = *at;
        if (!t || !take(&p, t->name) || !take(&p, end)) continue;
        *at = p;
        return t;
    }
    return NULL;
}

/* Logits have no height and width. */
static bool has_images(const layer_type *t)
{
    return t->kind != OP_LOSS;
}

static bool take_shape(const char **at, bool images, shape4 *s)
{
    s->h = s->w = 1;
    if (!take_int(at, "n", &s->n) || !take_int(at, "c", &s->c)) return false;
    if (images && (!take_int(at, "h", &s->h) || !take_int(at, "w", &s->w))) return false;
    return s->n > 0 && s->c > 0 && s->h > 0 && s->w > 0;
}

static void set_mode(op_problem *p, bool training, dtype type)
{
    p->op.training = p->then.training = training;
    p->op.type = p->then.type = type;
}

static status take_problem(const char **at, op_problem *p)
{
    status st = OK;
    shape4 x;
    const layer_type *first = take_layer(at, "_"), *then = first ? take_layer(at, " ") : NULL;
    p->fused = first;
    if (!first) first = take_layer(at, " ");
    if (!first || (p->fused && !then)) FAIL(ERR_USAGE, "starts with no known operation");
    if (!take_shape(at, has_images(first), &x)) FAIL(ERR_USAGE, "not valid at or before '%s'", *at);
    TRY(take_op(at, first, x, &p->op));
    if (p->fused) TRY(take_op(at, then, p->op.y, &p->then));
    const bool training = !take(at, "_eval");
    set_mode(p, training, take(at, "_bf16") ? BF16 : F32);
    if (**at) FAIL(ERR_USAGE, "'%s' is too much", *at);
    if (first->unsupported && first->unsupported(&p->op)) FAIL(ERR_USAGE, "%s", first->unsupported(&p->op));
out:
    return st;
}

status problem_parse(const char *text, op_problem *p)
{
    const char *at = text;
    op_problem read = { 0 };
    const status st = take_problem(&at, &read);
    if (st != OK) return status_prefix(st, "problem '%s'", text);
    *p = read;
    return OK;
}

/* ---- printing ---- */

static void print_field(const layer_field *f, const op *o, const op *usual, char *out, size_t bytes)
{
    const void *member = (const char *)o + f->offset, *was = (const char *)usual + f->offset;
    switch (f->type) {
    case FIELD_OPTIONAL:
        if (*(const int *)member == *(const int *)was) return;
        /* fall through */
    case FIELD_INT: snprintf(out, bytes, "%s%d", f->letters, *(const int *)member); break;
    case FIELD_FRACTION: snprintf(out, bytes, "%s%.9g", f->letters, *(const float *)member); break;
    case FIELD_FLAG: snprintf(out, bytes, "%s", *(const bool *)member ? f->letters : ""); break;
    case FIELD_CHOICE: snprintf(out, bytes, "%s", f->words[*(const int *)member]); break;
    }
}

static void append_text(char out[PROBLEM_BYTES], const char *text)
{
    const size_t n = strlen(out);
    snprintf(out + n, PROBLEM_BYTES - n, "%s", text);
}

static void append_fields(char out[PROBLEM_BYTES], const op *o)
{
    const layer_type *t = layer_of(o->kind);
    for (const layer_field *f = t->fields; f && is_field(f); f++) {
        const size_t n = strlen(out);
        if (!f->applies || f->applies(o)) print_field(f, o, &t->usual, out + n, PROBLEM_BYTES - n);
    }
}

void problem_print(const op_problem *p, char out[PROBLEM_BYTES])
{
    const layer_type *first = layer_of(p->op.kind);
    const shape4 x = p->op.x;
    char images[32] = "";
    if (has_images(first)) snprintf(images, sizeof images, "h%dw%d", x.h, x.w);
    snprintf(out, PROBLEM_BYTES, "%s%s%s n%dc%d%s", first->name, p->fused ? "_" : "",
             p->fused ? layer_of(p->then.kind)->name : "", x.n, x.c, images);
    append_fields(out, &p->op);
    if (p->fused) append_fields(out, &p->then);
    if (!p->op.training) append_text(out, "_eval");
    if (p->op.type == BF16) append_text(out, "_bf16");
}

const char *problem_unsupported(backend *b, const op_problem *p)
{
    if (!p->fused) return b->unsupported(b, &p->op);
    return b->fusion ? b->fusion->unsupported(b, &p->op, &p->then) : "the device fuses no operations";
}

status problem_plan(backend *b, const op_problem *p, plan **out, op_needs *needs)
{
    status st = OK;
    const char *why = problem_unsupported(b, p);
    if (why) FAIL(ERR_RUNTIME, "%s", why);
    if (p->fused)
        TRY(b->fusion->plan(b, &p->op, &p->then, out, needs));
    else
        TRY(b->plan(b, &p->op, out, needs));
out:
    return st;
}
