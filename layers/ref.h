/* layers/ref.h -- the parts of the device `ref` that are not layers. Contracts: core/device/backend.h, products.h. */
#ifndef CLEAVE_REF_H
#define CLEAVE_REF_H

#include "../core/device/products.h"

void ref_sgd(const step_scalars *, int threads, float *value, const float *grad, float *velocity,
             int64_t count);

extern const backend_products ref_products;

#endif
