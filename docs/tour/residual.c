/* docs/tour/residual.c -- residual: y = relu(BN(x) + z) on four numbers, and how the gradient passes the sum. */
#include "tour.h"

#include <string.h>

static const float x[4] = { -2, -1, 1, 2 }, z[4] = { 3, 0.5f, -3, 1 }, dy[4] = { 1, 10, 100, 1000 };

int main(void)
{
    status st = OK;
    op_problem o;
    backend *ref = NULL;
    opcheck_result r = { 0 };
    const opcheck_options opt = { .backward = true };
    TRY(problem_parse("bnact n1c1h1w4_relu_add", &o));
    TRY(backend_open("ref", 1, &ref, NULL, 0));
    TRY(opcheck_prepare(&o, &opt, &r));
    memcpy(r.x, x, sizeof x);
    memcpy(r.z, z, sizeof z);
    memcpy(r.dy, dy, sizeof dy);
    r.param[0][0] = 1;
    r.param[1][0] = 0;
    TRY(opcheck_execute(ref, &o, &opt, &r));
    print_plane("x, from the convolutions", r.x, 1, 4);
    print_plane("z, past them: the shortcut", r.z, 1, 4);
    print_plane("y = relu(BN(x) + z)", r.y, 1, 4);
    print_plane("dy", r.dy, 1, 4);
    print_plane("dz: dy where y > 0", r.dz, 1, 4);
    print_plane("dx: through BN", r.dx, 1, 4);
out:
    opcheck_free(&r);
    backend_close(ref);
    return finish(st);
}
