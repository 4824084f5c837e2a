/* core/base/host_device.h -- functions that C, C++ and CUDA kernels all compile from the same text, so that host and
 * device compute the same bits. */
#ifndef CLEAVE_HOST_DEVICE_H
#define CLEAVE_HOST_DEVICE_H

#ifdef __CUDACC__
#define HOST_DEVICE __host__ __device__ static inline
#else
#define HOST_DEVICE static inline
#endif

#endif
