/* nets/checkpoint.h -- a net on disk: safetensors with PyTorch's names; __metadata__ says what it is.
 *
 * metadata (all strings): "arch" = {"arch": "resnet20", "classes": 10, "removed": ["layer3.2"],
 * "image": [3, 32, 32]} (image only where it is another size),
 * "normalisation" = {"mean": [..], "std": [..]}, "epoch" (finished epochs), "accuracy", "config_hash",
 * "config" (resolved YAML), "parent" (path), "cuts" (JSON: [{"name", "reason"}]), and for last.safetensors "state".
 * last.safetensors also holds optimizer.NAME (velocity).
 */
#ifndef CLEAVE_CHECKPOINT_H
#define CLEAVE_CHECKPOINT_H

#include "../core/device/backend.h"
#include "../core/format/safetensors.h"
#include "net.h"

/* The content of "state": how far a training has come. */
typedef struct train_state {
    int epoch, step;      /* the next step: step < steps of the epoch */
    loss_stats train;     /* of the steps of this epoch already done */
    double best_accuracy; /* test top-1; -1 = none yet */
    int best_epoch;
} train_state;

typedef struct checkpoint_info {
    char *arch; /* NULL: a file with weights only */
    int classes;
    image_shape image; /* 3 x 32 x 32 where the file does not say */
    char **removed;
    unsigned n_removed;
    bool has_normalisation;
    float mean[3], std[3];
    int epoch;           /* -1 unknown */
    double accuracy;     /* -1 unknown */
    char *config;        /* resolved YAML; NULL unknown */
    char *parent, *cuts; /* NULL: none */
    bool has_state;
    train_state state;
} checkpoint_info;

/* Reads the metadata only. The caller frees with checkpoint_info_free. */
status checkpoint_info_read(const st_file *f, const char *path, checkpoint_info *out);
void checkpoint_info_free(checkpoint_info *);

/* Copies parameters and buffers into a compiled net by name, as nets/spelling.h reads names, and with `velocity` the momenta.
 * Every parameter of the net must be there with its shape. strict: no other parameter may be there; else tensors of
 * removed units may be left over. ERR_DATA names what is lacking and what is left over. */
status checkpoint_load(net *, const st_file *f, const char *path, bool strict, bool velocity);
/* The parameters and buffers of a file: checkpoint_load, strict unless the net lacks units. */
status checkpoint_read(net *, const char *path);

/* The parameter or buffer that a tensor of a checkpoint holds, by name: without "module.", which torch.nn.DataParallel puts
 * before it. NULL for optimizer.* and num_batches_tracked. Points into `tensor`. */
const char *checkpoint_param_name(const char *tensor);

/* Writes atomically. `extra` are further metadata pairs. state != NULL: also velocity and state. */
status checkpoint_save(net *, const char *path, const st_pair *extra, int n_extra, const train_state *state);

#endif
