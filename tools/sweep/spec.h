/* tools/sweep/spec.h -- a sweep file as it is written: every key checked, its products not yet expanded
 * into cases. docs/sweeps.md explains the file. */
#ifndef CLEAVE_SWEEP_SPEC_H
#define CLEAVE_SWEEP_SPEC_H

#include "../../core/base/status.h"
#include <stdbool.h>
#include <stddef.h>

typedef enum sweep_stage { STAGE_TRAIN, STAGE_ANALYZE, STAGE_PRUNE, STAGES } sweep_stage;
extern const char *const stage_name[STAGES]; /* also the names of the tools */
int sweep_stage_of(const char *name);        /* STAGES if there is no such stage */

typedef enum sweep_launcher { LAUNCHER_LOCAL, LAUNCHER_SLURM } sweep_launcher;
bool sweep_launcher_of(const char *name, sweep_launcher *out); /* false: there is no such launcher */

/* "finetune.KEY" is a setting of the fine-tuning alone: prune gets it as KEY. */
#define FINETUNE "finetune."

/* True if *key is one; then *key points to KEY. */
bool sweep_is_finetune(const char **key);

/* A key and the values that it takes. */
typedef struct sweep_axis {
    char *key;   /* "train.lr", "finetune.train.lr" */
    char **text; /* [n] the values as YAML, in the standard spelling: "0.01" */
    unsigned n;
    size_t line; /* of the sweep file */
} sweep_axis;

/* A product of axes: the grid, an entry of `cases` or of `exclude`; or `set`, where every axis has one
 * value. */
typedef struct sweep_block {
    sweep_axis *axis;
    unsigned n;
    size_t line;
} sweep_block;

typedef struct sweep_spec {
    char *path;           /* of the sweep file */
    char *name, *out;     /* out: the sweep's folder; runs/NAME by default */
    char *base;           /* path of a config; NULL: the defaults */
    sweep_stage last;     /* the stages before it are done too */
    sweep_block set;      /* replaces values of the base */
    sweep_block *product; /* the grid, then each entry of cases */
    unsigned n_products;
    sweep_block *exclude;
    unsigned n_excludes;
    bool pictures; /* analyze draws its rings and plots */
    sweep_launcher launcher;
    int jobs;      /* processes at a time; 0: one per GPU, or one if there is no GPU */
    int gpus;      /* -1: count them */
    int limit;     /* array elements that run at a time; 0: no limit */
    int grace;     /* Slurm signals this many seconds before an allocation ends */
    char **sbatch; /* [n_sbatch] further options of sbatch */
    unsigned n_sbatch;
} sweep_spec;

/* Reads a sweep file. ERR_USAGE, with file and line, for what docs/sweeps.md does not allow and for a
 * value that its config key does not take. The caller frees *out. */
status sweep_spec_read(const char *path, sweep_spec *out);
/* The same from the text `yaml`; messages call it `path`. */
status sweep_spec_parse(const char *path, const char *yaml, sweep_spec *out);
void sweep_spec_free(sweep_spec *);

const sweep_axis *sweep_block_find(const sweep_block *, const char *key); /* NULL if absent */

/* The standard spelling of a key's value: "1e-2" -> "0.01". `key` may begin with FINETUNE. ERR_USAGE, with
 * the message of core/config, if the key does not take the value. The caller frees *out. */
status sweep_value_check(const char *key, const char *text, char **out);

#endif
