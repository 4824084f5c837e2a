/* docs/tour/conv.c -- conv [STRIDE [PAD]]: a 3x3 convolution of a 5x5 image, forward and backward, on the device
 * `ref`. */
#include "tour.h"

#include <stdlib.h>
#include <string.h>

static const float image[25] = {
    0, 0, 5, 5, 5, /* dark on the left, bright on the right */
    0, 0, 5, 5, 5, /* */
    0, 0, 5, 5, 5, /* */
    0, 0, 5, 5, 5, /* */
    0, 0, 5, 5, 9, /* one pixel is brighter still */
};
/* Large output where the image gets brighter from left to right. */
static const float kernel[9] = { -1, 0, 1, -1, 0, 1, -1, 0, 1 };

/* The loss of this example is the sum of dy * y, so its derivative with respect to y is dy. */
static double loss(const opcheck_result *r)
{
    double sum = 0;
    for (int64_t i = 0; i < r->n_y; i++) sum += (double)r->dy[i] * r->y[i];
    return sum;
}

/* *out = (L(w + h) - L(w - h)) / 2h for one weight, which is then restored. */
static status difference(backend *ref, const op_problem *o, const opcheck_options *opt, opcheck_result *r, int weight,
                         double *out)
{
    status st = OK;
    const float before = r->param[0][weight], h = 0.5f;
    r->param[0][weight] = before + h;
    TRY(opcheck_execute(ref, o, opt, r));
    *out = loss(r);
    r->param[0][weight] = before - h;
    TRY(opcheck_execute(ref, o, opt, r));
    *out = (*out - loss(r)) / (2 * h);
    r->param[0][weight] = before;
out:
    return st;
}

int main(int argc, char **argv)
{
    status st = OK;
    op_problem o;
    backend *ref = NULL;
    opcheck_result r = { 0 };
    const opcheck_options opt = { .backward = true };
    char problem[PROBLEM_BYTES];
    double numeric;
    snprintf(problem, sizeof problem, "conv n1c1h5w5_o1k3s%sp%s", argc > 1 ? argv[1] : "1",
             argc > 2 ? argv[2] : "1");
    TRY(problem_parse(problem, &o));
    TRY(backend_open("ref", 1, &ref, NULL, 0));
    TRY(opcheck_prepare(&o, &opt, &r)); /* allocates and fills with random numbers, which we replace */
    memcpy(r.x, image, sizeof image);
    memcpy(r.param[0], kernel, sizeof kernel);
    memset(r.dy, 0, (size_t)r.n_y * sizeof *r.dy);
    const int middle = o.op.y.h / 2 * o.op.y.w + 1; /* the loss depends on this one output only */
    r.dy[middle] = 1;
    TRY(opcheck_execute(ref, &o, &opt, &r));

    print_plane("x, the image", r.x, 5, 5);
    print_plane("w, the kernel", r.param[0], 3, 3);
    print_plane("y = x * w", r.y, o.op.y.h, o.op.y.w);
    print_plane("dy, given: how the loss changes with y", r.dy, o.op.y.h, o.op.y.w);
    print_plane("dx: how it changes with x", r.dx, 5, 5);
    print_plane("dw: how it changes with w", r.grad[0], 3, 3);
    const double analytic = (double)r.grad[0][8];
    TRY(difference(ref, &o, &opt, &r, 8, &numeric));
    printf("dw[2][2] = %g, by trying (L(w + h) - L(w - h)) / 2h = %g\n", analytic, numeric);
out:
    opcheck_free(&r);
    backend_close(ref);
    return finish(st);
}
