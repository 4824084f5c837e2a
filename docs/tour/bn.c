/* docs/tour/bn.c -- bn: batch normalisation of one channel of two images, in training and in evaluation. */
#include "tour.h"

#include <math.h>
#include <string.h>

static const float x[8] = { 1, 3, 5, 7, 9, 11, 13, 15 }; /* [2, 1, 2, 2] */

static void describe(const char *what, const float *v, int n)
{
    double mean = 0, var = 0;
    for (int i = 0; i < n; i++) mean += (double)v[i] / n;
    for (int i = 0; i < n; i++) var += pow((double)v[i] - mean, 2) / n;
    printf("%s: mean %.4g, variance %.4g\n", what, mean, var);
}

static status run(backend *ref, const char *problem, opcheck_result *r)
{
    status st = OK;
    op_problem o;
    opcheck_options opt = { 0 };
    TRY(problem_parse(problem, &o));
    opt.backward = o.op.training;
    TRY(opcheck_prepare(&o, &opt, r));
    memcpy(r->x, x, sizeof x);
    r->param[0][0] = 2;  /* gamma */
    r->param[1][0] = 10; /* beta */
    r->param[2][0] = 0;  /* running mean and variance, as in a new net */
    r->param[3][0] = 1;
    TRY(opcheck_execute(ref, &o, &opt, r));
out:
    return st;
}

int main(void)
{
    status st = OK;
    backend *ref = NULL;
    opcheck_result training = { 0 }, evaluation = { 0 };
    TRY(backend_open("ref", 1, &ref, NULL, 0));
    TRY(run(ref, "bnact n2c1h2w2_none", &training));
    TRY(run(ref, "bnact n2c1h2w2_none_eval", &evaluation));
    describe("x", x, 8);
    print_plane("y = gamma (x - mean) / sqrt(var + eps) + beta, gamma 2, beta 10, in training", training.y, 2,
                4);
    describe("y", training.y, 8);
    printf("running mean %g -> %g, running variance %g -> %g\n", 0.0, (double)training.running_mean[0], 1.0,
           (double)training.running_var[0]);
    print_plane("y in evaluation, by the running statistics 0 and 1", evaluation.y, 2, 4);
    double sum = 0, along = 0;
    for (int i = 0; i < 8; i++) {
        sum += (double)training.dx[i];
        along += (double)training.dx[i] * x[i];
    }
    printf("sum of dx %.1g, sum of dx * x %.1g: neither a shift nor a stretch of x changes y\n",
           fabs(sum) < 1e-5 ? 0 : sum, fabs(along) < 1e-3 ? 0 : along);
out:
    opcheck_free(&training);
    opcheck_free(&evaluation);
    backend_close(ref);
    return finish(st);
}
