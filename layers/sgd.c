/* layers/sgd.c -- stochastic gradient descent with momentum, over all parameters at once.
 *
 *   g = grad + weight_decay * value
 *   v = momentum * v + g
 *   value -= lr * v                     or, with Nesterov's momentum:  value -= lr * (g + momentum * v)
 *
 * Source: PyTorch's SGD without dampening. It follows [Sutskever13] sec. 2, except that lr multiplies v and not g.
 */
#include "ref.h"

void ref_sgd(const step_scalars *s, int threads, float *value, const float *grad, float *velocity,
             int64_t count)
{
#pragma omp parallel for num_threads(threads)
    for (int64_t i = 0; i < count; i++) {
        const double g = grad[i] + (double)s->weight_decay * value[i];
        const double v = (double)s->momentum * velocity[i] + g;
        velocity[i] = (float)v;
        value[i] = (float)(value[i] - s->lr * (s->nesterov ? g + s->momentum * v : v));
    }
}
