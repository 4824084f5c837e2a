/* nets/spelling.h -- the names that other programs give to the tensors of a net.
 *
 *   written as                          by
 *   module.conv1.weight                 torch.nn.DataParallel, DistributedDataParallel; also inside: features.module.0.weight
 *   _orig_mod.conv1.weight              torch.compile
 *   model.conv1.weight, net.conv1...    a net that is a member of another module, as in Lightning
 *   layer2.0.downsample.0.weight        torchvision: here layer2.0.shortcut.0.weight
 *   fc.weight, linear.weight            torchvision and kuangliu: the head of a ResNet, as a matrix or a 1x1 convolution
 */
#ifndef CLEAVE_SPELLING_H
#define CLEAVE_SPELLING_H

#include "../core/format/safetensors.h"
#include "net.h"

/* Which parameter or buffer of the net a tensor of this name holds, whoever wrote it; -1: none. */
int spelling_param(const net *, const char *tensor);

/* Belongs to no net: optimizer.*, num_batches_tracked, total_ops, total_params (of profilers). */
bool spelling_is_beside(const char *tensor);

/* The same values in the same order: shapes that differ only in ones at the end, as [10, 512] and [10, 512, 1, 1]. */
bool spelling_same_shape(const st_tensor *, const param_spec *);

#endif
