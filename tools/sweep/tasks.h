/* tools/sweep/tasks.h -- the cases of a sweep and the tasks that they need. A task that several cases
 * share is listed once.
 *
 *   DIR/sweep.json     the plan: status, table, clean and the elements of a Slurm array read it
 *   DIR/RUN/ ...       run directories, as train and prune make them
 *   DIR/tasks/TASK/    config.yaml (of a training), log.txt, result.json, state.json; lock while it runs
 *   DIR/slurm/         batch scripts and logs of submissions */
#ifndef CLEAVE_SWEEP_TASKS_H
#define CLEAVE_SWEEP_TASKS_H

#include "../../core/base/path.h"
#include "cases.h"
#include "text_map.h"

typedef struct sweep_task {
    char *id; /* "resnet20-1a2b3c4d-s0", "....analysis", "....prune-5e6f7a8b": the name of its folder */
    sweep_stage stage;
    int parent;     /* index of the task whose result it needs; -1: none */
    char *run;      /* name of the training's run directory */
    char *analysis; /* name of the analysis' folder in that directory; NULL for a training */
    char **command; /* tool and arguments, without threads= and device= */
    unsigned n_command;
    char *yaml;   /* a training's configuration, to be written to its folder; NULL in a plan that was read */
    int epochs;   /* of training or fine-tuning */
    int threads;  /* as in the configuration; 0: the launcher decides */
    char *device; /* as in the configuration; "auto": the launcher decides */
} sweep_task;

typedef struct planned_case {
    sweep_setting *setting; /* [n_settings] the value of each key that differs between cases */
    unsigned n_settings;    /* = n_keys of the plan */
    config *cfg;
    sweep_setting *finetune;
    unsigned n_finetune;
    int task[STAGES]; /* index; -1: the sweep does not have this stage */
} planned_case;

typedef struct sweep_plan {
    char *name, *dir, *file; /* file: the sweep file */
    sweep_stage last;
    bool pictures;
    char **key; /* [n_keys] those that differ between cases */
    unsigned n_keys;
    planned_case *cases;
    unsigned n_cases;
    sweep_task *task; /* [n_tasks] parents before children */
    unsigned n_tasks;
    text_map by_id; /* of a task -> its index */
} sweep_plan;

/* Takes over what the n cases hold; they must have been expanded with the same overrides. ERR_USAGE if two
 * cases differ only in keys that their last stage does not depend on: they would be the same run. The
 * caller frees. */
status sweep_plan_make(const sweep_spec *, char *const *overrides, int n_overrides, sweep_case *, unsigned n,
                       sweep_plan *out);
void sweep_plan_free(sweep_plan *);

/* ERR_USAGE: there is a sweep.json of another program in the folder, or a folder tasks or slurm that no sweep made. */
status sweep_plan_may_write(const sweep_plan *);
/* Writes the folders and configurations of the trainings, then DIR/sweep.json. */
status sweep_plan_write(const sweep_plan *);
/* ERR_DATA if DIR is not the folder of a sweep. The caller frees. */
status sweep_plan_read(const char *dir, sweep_plan *out);

int sweep_plan_find(const sweep_plan *, const char *task_id); /* -1: no such task */

/* Paths of files in a task's folder, its run directory and its analysis. NAME "": the folder itself. */
status task_path(const sweep_plan *, int task, const char *name, file_path *out);
status task_run_path(const sweep_plan *, int task, const char *name, file_path *out);
status task_analysis_path(const sweep_plan *, int task, const char *name, file_path *out);

/* "net.arch=resnet20 seed=0": how this case differs from the others; "the only case" if there are no
 * others. */
void planned_case_label(const sweep_plan *, unsigned i, char *out, size_t bytes);

/* The value of a key in a case. ERR_USAGE for an unknown key. The caller frees *out. */
status planned_case_get(const sweep_plan *, unsigned i, const char *key, char **out);

#endif
