/* tests/new_layer/check_scale.c -- the layer of scale.c, added to a copy of the tree: read from a problem string, run on
 * ref in f32 and bf16, its gradients compared with differences, refused by cpu. */
#include "../../tools/check/opcheck.h"

#include <stdio.h>
#include <string.h>

static status check(backend *ref, backend *cpu, const char *text)
{
    status st = OK;
    op_problem p, half;
    opcheck_result r = { 0 }, rounded = { 0 };
    const opcheck_options options = { .seed = 1, .backward = true, .bf16_data = true };
    char printed[PROBLEM_BYTES];
    double error;
    TRY(problem_parse(text, &p));
    problem_print(&p, printed);
    if (p.op.kind != OP_SCALE || strcmp(printed, text) != 0) FAIL(ERR_DATA, "%s is read as %s", text, printed);
    TRY(opcheck_run(ref, &p, &options, &r));
    TRY(opcheck_gradients(ref, &p, &options, &r, &error));
    printf("%s: gradients are off by %.0e\n", text, error);
    if (!(error < 1e-4)) FAIL(ERR_DATA, "%s: wrong gradients", text);
    half = p;
    half.op.type = BF16;
    TRY(opcheck_run(ref, &half, &options, &rounded));
    for (int64_t i = 0; i < r.n_y; i++)
        if (rounded.y[i] != bf16_to(bf16_from(r.y[i]))) FAIL(ERR_DATA, "%s: bf16 is not f32, rounded", text);
    const char *why = cpu->unsupported(cpu, &p.op);
    if (!why) FAIL(ERR_DATA, "cpu claims to have a layer that it does not know");
    printf("cpu: %s\n", why);
out:
    opcheck_free(&r);
    opcheck_free(&rounded);
    return st;
}

int main(void)
{
    status st = OK;
    backend *ref = NULL, *cpu = NULL;
    TRY(ref_open(2, &ref));
    TRY(cpu_open(1, &cpu));
    TRY(check(ref, cpu, "scale n2c3h4w5_each"));
    TRY(check(ref, cpu, "scale n3c5h2w1"));
out:
    if (st != OK) printf("%s\n", status_message());
    backend_close(ref);
    backend_close(cpu);
    return st;
}
