/* nets/run.h -- a net (nets/net.h) is compiled for a device, then runs: all memory is allocated once, a step allocates
 * nothing.
 *
 * A case is a batch size in training or evaluation mode. A net has one or more cases; they share parameters and memory.
 * Functions that take a net_case index run that case. */
#ifndef CLEAVE_RUN_H
#define CLEAVE_RUN_H

#include "../core/device/backend.h"
#include "../core/device/image.h"
#include "net.h"

/* ---- compiling ---- */

typedef struct net_case {
    int batch;
    bool training;
    bool frozen; /* training only: computes what evaluation computes (BN by running statistics, no dropout, no
                    smoothing); backward gives the gradient of the image and none of the parameters */
} net_case;

/* The usual numbers of the usual cases: evaluation, training, and a smaller last batch of an epoch of training. */
enum { CASE_EVAL, CASE_TRAIN, CASE_TRAIN_LAST };

/* Smoothing of the labels in training cases; evaluation never smooths. Before net_compile. */
void net_set_label_smoothing(net *, float);

/* Once per net. `b` must outlive the net. ERR_USAGE: the device cannot run one of its operations. */
status net_compile(net *, backend *b, dtype activations, const net_case *cases, int n_cases);
int net_batch(const net *, int net_case);

typedef struct net_memory {
    size_t param, act, saved, packed;
} net_memory; /* bytes */
net_memory net_memory_used(const net *);

/* Operation `index`, in the order of the forward pass, as that case runs it; false past the last. */
bool net_op(const net *, int index, net_case which, dtype activations, op *out);

/* ---- values of the parameters ---- */

/* The initialisation of this architecture (docs/nets.md), from `seed`; running statistics 0 and 1. */
status net_init(net *, uint64_t seed);
status net_param_read(const net *, const net_param *, float *host);
status net_param_write(net *, const net_param *, const float *host);
status net_velocity_read(const net *, const net_param *, float *host);
status net_velocity_write(net *, const net_param *, const float *host);

/* Training steps that made these values (PyTorch's num_batches_tracked). */
int64_t net_steps(const net *);
void net_set_steps(net *, int64_t);

/* ---- input ---- */

/* Sets the case's input: `rows` <= batch images (normalised, NCHW) and their labels; the rows after them become padding,
 * which does not count. A training case that is not frozen needs rows == batch, because BN sees every row. labels may be
 * NULL (all -1). */
status net_input(net *, int net_case, const float *nchw, const int32_t *labels, int rows);

/* Images [count][c][h][w] that stay on the device as long as the net. After net_compile; at most NET_IMAGE_SETS times,
 * e.g. for training and for test images. *set is their number for net_input_kept, or NET_NOT_KEPT: the device cannot keep
 * images, or has no room for them; then net_input is the way. */
enum { NET_NOT_KEPT = -1, NET_IMAGE_SETS = 2 };
status net_keep_images(net *, const uint8_t *images, int count, const image_norm *, int *set);
/* net_input with images of a kept set, shown as draw[rows] says. The device puts the batch together at the beginning of
 * the next step or pass, as part of what it records. */
status net_input_kept(net *, int net_case, int set, const image_draw *draw, const int32_t *labels, int rows);

/* ---- running ---- */

status net_forward(net *, int net_case);  /* adds to the statistics; calls the taps in evaluation cases */
status net_backward(net *, int net_case); /* after net_forward of the same training case */
status net_step(net *, int net_case, const step_scalars *); /* forward, backward, SGD */

/* net_forward up to and including this hook, with taps. Evaluation cases. */
status net_forward_until(net *, int net_case, const char *hook_name);
/* net_forward without taps, waiting for the device after each layer: seconds[net_layer_count] of each. A BN that was
 * computed along with the convolution before it costs nothing; its time is the convolution's. */
status net_forward_timed(net *, int net_case, double *seconds);

/* ---- results ---- */

status net_stats(net *, loss_stats *out);                     /* since the last clear; waits for the device */
status net_stats_set(net *, const loss_stats *value);         /* zeroed to clear, or restored by a resume */
status net_logits(net *, int net_case, int rows, float *out); /* [rows, classes], after net_forward */
/* After net_backward of a frozen case: d loss / d image, [rows, c, h, w], for the images as they were put in
 * (normalised); loss is the mean over the rows that count. */
status net_image_gradient(net *, int net_case, int rows, float *out);

#endif
