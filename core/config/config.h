/* core/config/config.h -- the configuration of a run: YAML file, then key=value from the command line, over
 * defaults. Every key, its default, its range and its meaning: the table in core/config/config_keys.c. */
#ifndef CLEAVE_CONFIG_H
#define CLEAVE_CONFIG_H

#include "../base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum data_format { DATA_CIFAR10, DATA_CIFAR100, DATA_FOLDER, DATA_SYNTHETIC } data_format;
typedef enum schedule_kind { SCHEDULE_STEP, SCHEDULE_COSINE, SCHEDULE_CONSTANT } schedule_kind;
typedef enum hook_set { HOOKS_BLOCK, HOOKS_CONV, HOOKS_LU2022 } hook_set;
typedef enum norm_kind { NORM_NEWMAN, NORM_LITERAL } norm_kind;
/* What prune orders units by: the gain in M or in Q; or, to compare with, chance, depth, or how little a unit
 * changes the representation (linear CKA). */
typedef enum metric_kind { METRIC_YANG, METRIC_LU, METRIC_RANDOM, METRIC_LAST, METRIC_CKA } metric_kind;
typedef enum pick_kind { PICK_LEAST, PICK_MOST } pick_kind;
typedef enum attack_kind { ATTACK_FGSM, ATTACK_PGD } attack_kind;
typedef enum init_kind { INIT_INHERIT, INIT_SCRATCH } init_kind;
/* int8: of similarities only. */
typedef enum precision_kind { PRECISION_F32, PRECISION_BF16, PRECISION_TF32, PRECISION_INT8 } precision_kind;

typedef struct config_net {
    char *arch;
    int classes;
    char *weights; /* "" = initialise; else a .safetensors file to start from */
    char **remove; /* names of units to leave out */
    unsigned remove_count;
} config_net;

typedef struct config_data {
    data_format format;
    char *path;
    float mean[3], std[3]; /* of pixels in [0, 1] */
    int crop_pad;          /* black pixels on each side before the random crop; 0 = no crop */
    bool flip;
    float rotate;                /* degrees, each way */
    int train_limit, test_limit; /* 0 = all images; else the first so many */
} config_data;

typedef struct config_train {
    int epochs, batch;
    float lr, momentum;
    bool nesterov;
    float weight_decay;
    schedule_kind schedule;
    int *milestones; /* 0-based epochs at which lr is multiplied by gamma */
    unsigned milestones_count;
    float gamma;
    int warmup; /* epochs of linear rise, counted in steps */
    float label_smoothing;
    int save_every; /* epochs */
} config_train;

typedef struct config_analysis {
    hook_set hooks;
    int samples;   /* vertices of Yang's graph */
    bool balanced; /* the same number of each class */
    int64_t edges; /* |E| */
    int histogram_samples;
    norm_kind norm;
    int k, lu_batches, lu_batch;
    char *memory;             /* "8G"; bytes by config_bytes */
    precision_kind precision; /* of the similarities: f32, bf16 or int8 */
    int every;
    int cka;      /* images in the CKA matrix of the layers; 0 = none */
    int features; /* images whose activations are written to files; 0 = none */
} config_analysis;

typedef struct config_prune {
    metric_kind metric;
    double eps, floor;
    int smooth, max_cut;
    bool keep_one_per_stage;
    init_kind init;
    int epochs;     /* 0 = as train */
    int count;      /* cut exactly so many; 0 = as Criterion I decides */
    pick_kind pick; /* with count: the units that gain least, or most */
    uint64_t seed;  /* of METRIC_RANDOM */
} config_prune;

typedef struct config_attack {
    attack_kind kind;
    int eps, step, steps; /* eps and step in 1/255 of the range of a pixel */
    bool random_start;
} config_attack;

typedef struct config {
    char *name;
    uint64_t seed;
    char *device; /* auto cpu ref cuda cuda:N */
    precision_kind precision;
    int threads;
    char *out;
    config_net net;
    config_data data;
    config_train train;
    config_analysis analysis;
    config_prune prune;
    config_attack attack;
} config;

/* Reads `path` (NULL = defaults only), applies the overrides ("train.epochs=3", later ones win), checks
 * every value. Failures are ERR_USAGE with file and line (or the override) and what would be right: an
 * unknown key names the nearest known one. The caller frees. */
status config_load(const char *path, char *const *overrides, int n_overrides, config **out);
/* The same from YAML text, e.g. of a checkpoint's metadata; `label` stands for the path. */
status config_parse(const char *label, const char *yaml, char *const *overrides, int n_overrides,
                    config **out);
/* The general form: each source over the ones before it, the overrides over all. */
typedef struct config_source {
    const char *label, *yaml;
} config_source;
status config_build(const config_source *sources, int n_sources, char *const *overrides, int n_overrides,
                    config **out);
void config_free(config *); /* NULL is harmless */

/* The resolved configuration as YAML that config_load reads back to the same values. The caller frees. */
status config_yaml(const config *, char **out);

/* One line a key, with default and meaning: for --help. */
void config_print_keys(FILE *);

/* What is known about one key, for whoever writes about all of them. Points to constants. */
enum { CONFIG_MAX_CHOICES = 8 };
typedef struct config_key_info {
    const char *name, *preset, *help;       /* "train.epochs", "150" (YAML), "passes over the training set" */
    const char *choice[CONFIG_MAX_CHOICES]; /* "step", "cosine", ...; true, false of a switch */
    int n_choices;                          /* 0: numbers or text */
} config_key_info;
/* The index-th key, from 0, in the order of --help; false beyond the last. */
bool config_key_describe(int index, config_key_info *out);
/* One key as text in its standard spelling: "0.01", "[49, 99]". ERR_USAGE names the nearest known key. The caller
 * frees. */
status config_get(const config *, const char *name, char **out);
bool config_has_key(const char *name, bool *is_list); /* is_list may be NULL */
/* The spelling of an enum's value, from the key that takes it: ("analysis.norm", NORM_NEWMAN) -> "newman".
 * "" if the key is unknown, has no choices or not this one. A constant. */
const char *config_choice(const char *key, int value);

/* 8 hexadecimal digits (and NUL) that stand for what decides the weights: net, data, train, precision.
 * Not name, seed, device, threads, out, analysis, prune: these do not change which training it is. */
status config_hash(const config *, char out[9]);

/* "512M", "8G", "1073741824" -> bytes, > 0; K, M, G, T are powers of 1024. */
status config_bytes(const char *text, int64_t *out);

#endif
