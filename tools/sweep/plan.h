/* tools/sweep/plan.h -- the cases of a sweep and the tasks that they need, each task once, however many cases
 * share it.
 *
 *   DIR/sweep.json             the plan: what status, table, clean and the elements of a Slurm array go by
 *   DIR/RUN/ ...               run directories, as train and prune make them
 *   DIR/tasks/TASK/            config.yaml (of a training), log.txt, result.json, state.json; lock while it
 * runs DIR/slurm/                 batch scripts and logs of submissions
 */
#ifndef CLEAVE_SWEEP_PLAN_H
#define CLEAVE_SWEEP_PLAN_H

#include "expand.h"

typedef struct sweep_task {
    char *id; /* "resnet20-1a2b3c4d-s0", "....analysis", "....prune-5e6f7a8b"; names its folder */
    sweep_stage stage;
    int parent;     /* index of the task whose result it needs; -1 = none */
    char *run;      /* name of the training's run directory */
    char *analysis; /* name of the analysis' folder in there; NULL for a training */
    char **command; /* tool and arguments, without threads=, device= */
    unsigned n_command;
    char *yaml; /* of a training: its configuration, to be written into the task's folder; NULL in a plan read
                 */
    int epochs; /* of training or fine-tuning */
    int threads;  /* as the configuration says: 0 = the launcher decides */
    char *device; /* the same: auto */
} sweep_task;

typedef struct planned_case {
    sweep_setting *setting; /* a value for each key that differs among the cases */
    unsigned n_settings;    /* = n_keys of the plan */
    config *cfg;
    sweep_setting *finetune;
    unsigned n_finetune;
    int task[STAGES]; /* -1: the sweep has no such stage */
} planned_case;

typedef struct sweep_plan {
    char *name, *dir, *file; /* file: the sweep file */
    sweep_stage last;
    bool pictures;
    char **key; /* that differ among the cases */
    unsigned n_keys;
    planned_case *cases;
    unsigned n_cases;
    sweep_task *task; /* parents before children */
    unsigned n_tasks;
} sweep_plan;

/* Takes over the cases, which were expanded with the same overrides. ERR_USAGE if two of them differ only in
 * keys that none of their stages takes into account: they would be one run. The caller frees. */
status sweep_plan_make(const sweep_spec *, char *const *overrides, int n_overrides, sweep_case *, unsigned n,
                       sweep_plan *out);

/* The folders and configurations of the trainings, then DIR/sweep.json, replaced whole. */
status sweep_plan_write(const sweep_plan *);
/* ERR_DATA if DIR is not the folder of a sweep. The caller frees. */
status sweep_plan_read(const char *dir, sweep_plan *out);
void sweep_plan_free(sweep_plan *);

int sweep_plan_find(const sweep_plan *, const char *task_id); /* -1: none */

/* Paths: DIR/tasks/ID/NAME (NAME may be ""), DIR/RUN/NAME, the folder of an analysis. */
status task_path(const sweep_plan *, int task, const char *name, char *out, size_t bytes);
status task_run_path(const sweep_plan *, int task, const char *name, char *out, size_t bytes);
status task_analysis_path(const sweep_plan *, int task, const char *name, char *out, size_t bytes);

/* "net.arch=resnet20 seed=0": what tells this case from the others; "the only case" if there is no other. */
void planned_case_label(const sweep_plan *, unsigned i, char *out, size_t bytes);

/* A key's value in a case; ERR_USAGE for an unknown key. The caller frees. */
status planned_case_get(const sweep_plan *, unsigned i, const char *key, char **out);

#endif
