/* core/config/config.h -- the configuration of a run: defaults, then a YAML file, then key=value from the command
 * line, each over the ones before. The table in core/config/keys.c gives the default, range and meaning of each
 * key. To add a key: a member here and a line there. */
#ifndef CLEAVE_CONFIG_H
#define CLEAVE_CONFIG_H

#include "../base/status.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

typedef enum data_format { DATA_CIFAR10, DATA_CIFAR100, DATA_FOLDER, DATA_SYNTHETIC, DATA_IDX } data_format;
/* How a picture of another shape becomes data.size: scaled in both directions; its shorter side scaled and a window cut
 * out; its longer side scaled and black around it. */
typedef enum fit_kind { FIT_SQUASH, FIT_CROP, FIT_PAD } fit_kind;
typedef enum schedule_kind { SCHEDULE_STEP, SCHEDULE_COSINE, SCHEDULE_CONSTANT } schedule_kind;
typedef enum hook_set { HOOKS_BLOCK, HOOKS_CONV, HOOKS_LU2022 } hook_set;
typedef enum norm_kind { NORM_NEWMAN, NORM_LITERAL } norm_kind;
/* How prune ranks units: by the gain in M or in Q; for comparison also by chance, by depth, or by how little a unit
 * changes the representation (linear CKA). */
typedef enum metric_kind { METRIC_YANG, METRIC_LU, METRIC_RANDOM, METRIC_LAST, METRIC_CKA } metric_kind;
typedef enum pick_kind { PICK_LEAST, PICK_MOST } pick_kind;
typedef enum attack_kind { ATTACK_FGSM, ATTACK_PGD } attack_kind;
typedef enum init_kind { INIT_INHERIT, INIT_SCRATCH } init_kind;
/* PRECISION_INT8 is for similarities only. */
typedef enum precision_kind { PRECISION_F32, PRECISION_BF16, PRECISION_TF32, PRECISION_INT8 } precision_kind;

typedef struct config_net {
    char *arch;
    int classes;
    char *weights; /* a .safetensors file to start from; "" = initialise */
    char **remove; /* names of the units to leave out */
    unsigned remove_count;
} config_net;

enum { DATA_MAX_SIDE = 1024 }; /* of data.size */

typedef struct config_data {
    data_format format;
    char *path;
    int channels;          /* 1: gray, 3: colour */
    int size[2];           /* height, width of the images that the net sees; 1 to DATA_MAX_SIDE */
    fit_kind fit;          /* pictures of another shape */
    float mean[3], std[3]; /* of pixels in [0, 1]; gray: the first of each */
    int crop_pad;          /* black pixels on each side before the random crop; 0 = no crop */
    bool flip;
    float rotate;                /* largest angle in either direction, degrees */
    int train_limit, test_limit; /* use only the first n images; 0 = all */
    int64_t max_pixels;          /* of a picture file; >= 1 */
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
    int warmup; /* epochs in which lr rises linearly, step by step */
    float label_smoothing;
    int save_every; /* epochs between checkpoints */
} config_train;

typedef struct config_analysis {
    hook_set hooks;
    int samples;   /* vertices of Yang's graph */
    bool balanced; /* the same number of each class */
    int64_t edges; /* |E| of Yang's graph */
    int histogram_samples;
    norm_kind norm;
    int k, lu_batches, lu_batch;
    char *memory;             /* "8G"; config_bytes converts it */
    precision_kind precision; /* of the similarities: f32, bf16 or int8 */
    int every;                /* epochs of training between analyses; 0 = none during training */
    int cka;                  /* images in the CKA matrix of the layers; 0 = none */
    int features;             /* images whose activations are written to files; 0 = none */
} config_analysis;

typedef struct config_prune {
    metric_kind metric;
    double eps, floor;
    int smooth, max_cut;
    bool keep_one_per_stage;
    init_kind init;
    int epochs;     /* 0 = as train */
    int count;      /* number of units to cut; 0 = Criterion I decides */
    pick_kind pick; /* with count: cut the units that gain least, or most */
    uint64_t seed;  /* of METRIC_RANDOM */
} config_prune;

typedef struct config_attack {
    attack_kind kind;
    int eps, step, steps; /* eps and step in units of 1/255 of a pixel's range */
    bool random_start;
} config_attack;

typedef struct config {
    char *name;
    uint64_t seed;
    char *device; /* auto, cpu, ref, cuda or cuda:N */
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

/* The most that is read of a configuration's file or pipe. */
enum { CONFIG_FILE_BYTES = 1 << 20 };

/* Reads `path` (NULL: only defaults; a file or a pipe), applies the overrides ("train.epochs=3"; a later one wins) and checks every
 * value. ERR_USAGE: the message names file and line, or the override, and what would be right; for an unknown key,
 * the nearest known one. The caller frees. */
status config_load(const char *path, char *const *overrides, int n_overrides, config **out);
/* The same from YAML text, e.g. of a checkpoint's metadata; messages show `label` in place of a path. */
status config_parse(const char *label, const char *yaml, char *const *overrides, int n_overrides,
                    config **out);
/* The general form: several texts, each over the ones before, then the overrides. */
typedef struct config_source {
    const char *label, *yaml;
} config_source;
status config_build(const config_source *sources, int n_sources, char *const *overrides, int n_overrides,
                    config **out);
void config_free(config *); /* NULL is harmless */

/* The whole configuration as YAML; config_load reads it back to the same values. The caller frees. */
status config_yaml(const config *, char **out);
/* One key as text in its standard spelling: "0.01", "[49, 99]". ERR_USAGE names the nearest known key. The caller
 * frees. */
status config_get(const config *, const char *name, char **out);

/* 8 hexadecimal digits and a NUL: a hash of what determines the trained weights, which is net, data, train and
 * precision. Not part of it: name, seed, device, threads, out, analysis, prune, attack, data.max_pixels; and keys that are
 * younger than version 0.1 while they have their default, so that runs keep their names. */
status config_hash(const config *, char out[9]);

/* Is this key, by its full name, part of config_hash? */
bool config_decides_weights(const char *name);

/* What is known about one key. Points to constants. */
enum { CONFIG_MAX_CHOICES = 8 };
typedef struct config_key_info {
    const char *name, *preset, *help;       /* "train.epochs", "150" (YAML), "passes over the training set" */
    const char *choice[CONFIG_MAX_CHOICES]; /* "step", "cosine", ...; of a switch: "true", "false" */
    int n_choices;                          /* 0: the value is a number, a text or a list */
} config_key_info;
/* The key at `index`, from 0, in the order of --help; false beyond the last. */
bool config_key_describe(int index, config_key_info *out);
/* "null", "Null", "NULL" and "~": unquoted, YAML reads them as no value, and a config as the key's default. */
bool config_is_null(const char *text);
bool config_has_key(const char *name, bool *is_list); /* is_list may be NULL */
/* The spelling of an enum's value as a key takes it: ("analysis.norm", NORM_NEWMAN) -> "newman". "" if the key is
 * unknown, has no choices, or not this one. A constant. */
const char *config_choice(const char *key, int value);
/* For --help: a line for each key, with its default and meaning. */
void config_print_keys(FILE *);

/* "512M", "8G", "1073741824" -> bytes, > 0; K, M, G, T are powers of 1024. ERR_USAGE: not such a size. */
status config_bytes(const char *text, int64_t *out);

#endif
