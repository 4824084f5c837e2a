/* core/cpu/sgd.c -- the optimiser, one pass over the whole parameter arena: [backend.h] sgd. */
#include "cpu.h"

status cpu_sgd(backend *b, float *value, const float *grad, float *velocity, int64_t count)
{
    const step_scalars s = ((cpu *)b)->now;
    const work_kind before = cpu_work((cpu *)b, WORK_OPTIMIZER);
#pragma omp parallel for simd schedule(static)
    for (int64_t i = 0; i < count; i++) {
        float g = grad[i] + s.weight_decay * value[i];
        float v = s.momentum * velocity[i] + g;
        velocity[i] = v;
        value[i] -= s.lr * (s.nesterov ? g + s.momentum * v : v);
    }
    cpu_work((cpu *)b, before);
    return OK;
}
