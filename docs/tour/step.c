/* docs/tour/step.c -- step: resnet20 learns one batch by heart. Prints how a step changes one parameter. */
#include "tour.h"

#include "../../core/base/rng.h"
#include "../../nets/run.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 20, STEPS = 10, PIXELS = 3 * 32 * 32 };

/* First value, gradient and velocity of the last parameter of the net, linear.bias. */
static status follow(net *n, float *value, float *gradient, float *velocity)
{
    status st = OK;
    int count;
    const net_param *p = &net_params(n, &count)[0];
    float host[16];
    p += count - 1;
    TRY(net_param_read(n, p, host));
    *value = host[0];
    TRY(net_velocity_read(n, p, host));
    *velocity = host[0];
    memcpy(host, p->grad, sizeof *host); /* memory of the cpu backend can be read directly */
    *gradient = host[0];
out:
    return st;
}

int main(void)
{
    status st = OK;
    backend *cpu = NULL;
    net *n = NULL;
    float *x = NULL, before, after, gradient, velocity;
    int32_t label[BATCH];
    const net_case training = { .batch = BATCH, .training = true };
    TRY(net_create(&(net_spec){ .arch = "resnet20", .classes = 10 }, &n));
    TRY(backend_open("cpu", 0, &cpu, NULL, 0));
    TRY(net_compile(n, cpu, F32, &training, 1));
    TRY(net_init(n, 0));
    TRY_ALLOC(x, malloc(sizeof(float[BATCH]) * PIXELS));
    for (uint64_t i = 0; i < (uint64_t)BATCH * PIXELS; i++) x[i] = rng_normal(0, RNG_TEST, 0, i);
    for (int i = 0; i < BATCH; i++) label[i] = i % 10;
    TRY(net_input(n, 0, x, label, BATCH));
    for (int step = 0; step < STEPS; step++) {
        const step_scalars s = {
            .lr = 0.05f, .momentum = 0.9f, .weight_decay = 0.0005f, .step = (uint64_t)step
        };
        loss_stats loss;
        TRY(follow(n, &before, &gradient, &velocity));
        TRY(net_stats_set(n, &(loss_stats){ 0 }));
        TRY(net_step(n, 0, &s));
        TRY(net_stats(n, &loss));
        printf("step %d: loss %.4f, %lld of %d right\n", step, loss.loss / BATCH, (long long)loss.correct,
               BATCH);
        TRY(follow(n, &after, &gradient, &velocity));
        if (step == 0)
            printf("  linear.bias[0]: %.6f - %g * (%.6f + %g * %.6f) = %.6f\n", (double)before, (double)s.lr,
                   (double)gradient, (double)s.weight_decay, (double)before, (double)after);
    }
out:
    free(x);
    net_free(n);
    backend_close(cpu);
    return finish(st);
}
