/* tools/sweep/spec.h -- what a sweep file says, checked key by key, not yet expanded. docs/sweeps.md explains
 * the file. */
#ifndef CLEAVE_SWEEP_SPEC_H
#define CLEAVE_SWEEP_SPEC_H

#include "../../core/base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum sweep_stage { STAGE_TRAIN, STAGE_ANALYZE, STAGE_PRUNE, STAGES } sweep_stage;
extern const char *const stage_name[STAGES]; /* also the names of the tools */

typedef enum sweep_launcher { LAUNCHER_LOCAL, LAUNCHER_SLURM } sweep_launcher;

/* FINETUNE.KEY is a setting of the fine-tuning alone: prune gets it as KEY. */
#define FINETUNE "finetune."

/* Is it one? Then *key moves on to KEY. */
bool sweep_is_finetune(const char **key);

/* A key and the values it takes in turn. */
typedef struct sweep_axis {
    char *key;   /* "train.lr", "finetune.train.lr" */
    char **text; /* [n] YAML, in the standard spelling of the key */
    unsigned n;
    size_t line; /* of the sweep file */
} sweep_axis;

/* A product of axes: the grid, one of `cases`, one of `exclude`, `set` (where each n is 1). */
typedef struct sweep_block {
    sweep_axis *axis;
    unsigned n;
    size_t line;
} sweep_block;

typedef struct sweep_spec {
    char *path;           /* of the sweep file */
    char *name, *out;     /* the sweep's folder; default runs/NAME */
    char *base;           /* a config, or NULL: the defaults */
    sweep_stage last;     /* each stage needs those before it */
    sweep_block set;      /* over the base */
    sweep_block *product; /* grid, then each of cases */
    unsigned n_products;
    sweep_block *exclude;
    unsigned n_excludes;
    bool pictures; /* of each analysis: rings and plots */
    sweep_launcher launcher;
    int jobs;  /* 0 = one a GPU, without GPUs one */
    int gpus;  /* -1 = look */
    int limit; /* of array elements at a time; 0 = none */
    int grace; /* seconds before the end of an allocation at which Slurm signals */
    char **sbatch;
    unsigned n_sbatch;
} sweep_spec;

/* Reads a sweep file. ERR_USAGE with file and line for anything that is not as docs/sweeps.md says, and for
 * every value that its config key does not take. The caller frees. */
status sweep_spec_read(const char *path, sweep_spec *out);
/* The same from text. */
status sweep_spec_parse(const char *path, const char *yaml, sweep_spec *out);
void sweep_spec_free(sweep_spec *);

const sweep_axis *sweep_block_find(const sweep_block *, const char *key); /* NULL if absent */

/* A value of a key in its standard spelling ("1e-2" -> "0.01"), or ERR_USAGE in core/config's words. `key`
 * may begin with FINETUNE. The caller frees. */
status sweep_value_check(const char *key, const char *text, char **out);

#endif
