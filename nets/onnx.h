/* nets/onnx.h -- a net as an ONNX model, for other programs: onnxruntime, Netron, a phone. */
#ifndef CLEAVE_ONNX_H
#define CLEAVE_ONNX_H

#include "net.h"

enum { ONNX_IR_VERSION = 7, ONNX_OPSET = 13 }; /* of ONNX 1.8 */

/* Writes a compiled net as evaluation computes it, with its present values.
 *   input  "image"  float32 [N, 3, 32, 32], normalised: (pixel / 255 - mean) / std for each channel
 *   output "logits" float32 [N, classes]
 * Weights keep their PyTorch names; mean, std (of 3 channels) and the net's description go into the model's
 * metadata. The file is replaced atomically. */
status onnx_write(const net *, const float mean[3], const float std[3], const char *path);

#endif
