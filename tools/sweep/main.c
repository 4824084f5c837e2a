/* tools/sweep/main.c -- sweep SWEEP.yaml: many runs from one file; sweep status|table|clean DIR. */
#include "../../core/base/file.h"
#include "../../core/base/lock.h"
#include "../../core/base/log.h"
#include "../cli.h"
#include "clean.h"
#include "local.h"
#include "slurm.h"
#include "state.h"
#include "table.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool dry_run, clean_failed, clean_all;
static const char *launcher, *jobs, *gpus, *columns, *format, *preset;
static const cli_option options[] = {
    { "--launcher", "NAME", "local or slurm; replaces the sweep file's key launcher", NULL, &launcher },
    { "--jobs", "N", "local: N processes at a time, which share the cores", NULL, &jobs },
    { "--gpus", "N", "local: use cuda:0 to cuda:N-1; 0: none; default: all GPUs", NULL, &gpus },
    { "--dry-run", NULL, "list what would be run (clean: removed), and do nothing", &dry_run, NULL },
    { "--columns", "A,B", "table: config keys and results, in this order", NULL, &columns },
    { "--format", "NAME", "table: text, md, csv or json", NULL, &format },
    { "--preset", "NAME", "table: table1, the layout of [Yang23] Table 1", NULL, &preset },
    { "--failed", NULL, "clean: also what failed, so that it starts from the beginning", &clean_failed,
      NULL },
    { "--all", NULL, "clean: all runs of the sweep", &clean_all, NULL },
};
static const cli_tool tool = {
    .name = "sweep",
    .synopsis = "SWEEP.yaml [key=value ...] [--launcher local|slurm] [--jobs N] | status|table|clean DIR",
    .about =
        "Trains, analyzes and prunes every case of a sweep file: a base configuration, a grid of settings,\n"
        "extra cases, excludes. A stage that several cases share is done once. The same command again does\n"
        "what is not done yet. docs/sweeps.md explains the file.\n"
        "  sweep status DIR   how far each case is, and why one failed; exit code 1 if one did\n"
        "  sweep table DIR    mean and standard deviation over the seeds\n"
        "  sweep clean DIR    removes runs that belong to no case of the sweep file",
    .examples = "  sweep configs/sweeps/seeds.yaml --dry-run\n"
                "  sweep configs/sweeps/seeds.yaml --jobs 2\n"
                "  sweep configs/sweeps/table1.yaml --launcher slurm\n"
                "  sweep status runs/seeds\n"
                "  sweep table runs/seeds --columns net.arch,accuracy,n --format md\n"
                "  sweep table runs/table1 --preset table1\n",
    .options = options,
    .n_options = sizeof options / sizeof *options,
    .needs_subject = true,
};

static enum { LAUNCH, STATUS, TABLE, CLEAN, ELEMENT } command;
static const char *const command_name[] = { NULL, "status", "table", "clean", "element" };

/* ---- sweep SWEEP.yaml ---- */

enum { MAX_JOBS = 4096 };

static status read_options(sweep_spec *spec)
{
    status st = OK;
    TRY(cli_count("--jobs", jobs, 1, MAX_JOBS, &spec->jobs));
    TRY(cli_count("--gpus", gpus, 0, MAX_JOBS, &spec->gpus));
    if (launcher && !sweep_launcher_of(launcher, &spec->launcher))
        FAIL(ERR_USAGE, "--launcher %s: expected local or slurm", launcher);
out:
    return st;
}

static status make_plan(const cli *args, sweep_spec *spec, sweep_plan *p)
{
    status st = OK;
    sweep_case *cases = NULL;
    unsigned n = 0;
    TRY(sweep_spec_read(args->subject, spec));
    TRY(read_options(spec));
    TRY(sweep_expand(spec, args->overrides, args->n_overrides, &cases, &n));
    TRY(sweep_plan_make(spec, args->overrides, args->n_overrides, cases, n, p));
out:
    sweep_cases_free(cases, n);
    return st;
}

/* Reports missing data once instead of in every run. Not for Slurm: the data may be on its nodes only. */
static status check_data(const sweep_plan *p)
{
    status st = OK;
    for (unsigned i = 0; i < p->n_cases; i++) {
        const config_data *d = &p->cases[i].cfg->data;
        if (d->format != DATA_SYNTHETIC && !file_exists(d->path))
            FAIL(ERR_DATA, "data.path: there is no %s", d->path);
    }
out:
    return st;
}

static status print_status(const cli *args, const sweep_plan *p, const bool *queued)
{
    status st = OK;
    cJSON *j = NULL;
    if (!args->json) goto out;
    TRY(sweep_status_json(p, queued, &j));
    TRY(cli_print_json(args, j));
out:
    cJSON_Delete(j);
    return st;
}

/* One message and one exit code for everything that went wrong. */
static status judge(const sweep_plan *p, const pool_result *r)
{
    status st = OK;
    if (r->signalled)
        FAIL(STOPPED, "stopped by SIG%s, %d tasks are done; the same command continues",
             sigabbrev_np(r->signal_number), r->done);
    if (r->failed)
        FAIL(ERR_RUNTIME, "%d task%s failed, %d not begun for it; sweep status %s says why", r->failed,
             r->failed > 1 ? "s" : "", r->not_begun, p->dir);
    if (r->stopped) FAIL(STOPPED, "%d of the runs were stopped; the same command continues", r->stopped);
    if (r->not_begun) FAIL(ERR_RUNTIME, "%d tasks need others that are not done", r->not_begun);
out:
    return st;
}

static status launch_local(const cli *args, const sweep_spec *spec, const sweep_plan *p)
{
    status st = OK;
    const pool_options o = { .jobs = spec->jobs, .gpus = spec->gpus };
    pool_result result;
    TRY(check_data(p));
    TRY(sweep_plan_write(p));
    TRY(pool_run(p, NULL, &o, &result));
    TRY(print_status(args, p, NULL));
    TRY(judge(p, &result));
    log_info("all %d tasks of %u cases are done: sweep table %s", result.done, p->n_cases, p->dir);
out:
    return st;
}

static status launch_slurm(const cli *args, const sweep_spec *spec, const sweep_plan *p)
{
    status st = OK;
    char job[64];
    int elements;
    TRY(sweep_plan_write(p));
    TRY(slurm_submit(p, spec, job, &elements));
    if (elements)
        log_info("job %s: an array of %d; sweep status %s shows how far it is", job, elements, p->dir);
    else
        log_info("nothing to submit: all is done, or in the queue");
    TRY(print_status(args, p, NULL));
out:
    return st;
}

static void list_tasks(const sweep_plan *p)
{
    int done = 0;
    for (unsigned i = 0; i < p->n_cases; i++) {
        char label[512];
        planned_case_label(p, i, label, sizeof label);
        log_info("%s  ->  %s", label, p->task[p->cases[i].task[p->last]].id);
    }
    for (unsigned i = 0; i < p->n_tasks; i++) done += task_done(p, (int)i);
    log_info("%u cases, %u tasks, %d of them done; nothing was started", p->n_cases, p->n_tasks, done);
}

static status launch(const cli *args)
{
    status st = OK;
    sweep_spec spec = { 0 };
    sweep_plan p = { 0 };
    dir_lock lock = { 0 };
    TRY(make_plan(args, &spec, &p));
    if (dry_run) {
        list_tasks(&p);
        TRY(print_status(args, &p, NULL));
        goto out;
    }
    TRY(sweep_plan_may_write(&p));
    TRY(lock_take(p.dir, false, &lock));
    TRY(spec.launcher == LAUNCHER_SLURM ? launch_slurm(args, &spec, &p) : launch_local(args, &spec, &p));
out:
    lock_release(&lock);
    sweep_plan_free(&p);
    sweep_spec_free(&spec);
    return st;
}

/* ---- sweep status|table|clean DIR, sweep element FILE ---- */

static status show_status(const cli *args, const sweep_plan *p)
{
    status st = OK;
    bool *queued = NULL;
    int n_in_state[TASK_STATES];
    TRY_ALLOC(queued, calloc(p->n_tasks + 1, sizeof *queued));
    TRY(slurm_queue(p, queued));
    TRY(sweep_status_print(p, queued, n_in_state));
    TRY(print_status(args, p, queued));
    if (n_in_state[TASK_FAILED])
        FAIL(ERR_RUNTIME, "%d of %u tasks failed", n_in_state[TASK_FAILED], p->n_tasks);
out:
    free(queued);
    return st;
}

static status clean(const sweep_plan *p)
{
    status st = OK;
    dir_lock lock = { 0 };
    int n = 0;
    TRY(lock_take(p->dir, false, &lock));
    TRY(sweep_clean(p, clean_all ? CLEAN_ALL : clean_failed ? CLEAN_FAILED : CLEAN_LEFTOVERS, dry_run, &n));
    if (n == 0) log_info("nothing to remove");
out:
    lock_release(&lock);
    return st;
}

static status element(const char *file)
{
    status st = OK;
    pool_result result;
    TRY(slurm_element(file, &result));
    const sweep_plan nowhere = { .dir = "DIR" };
    TRY(judge(&nowhere, &result));
out:
    return st;
}

/* ERR_USAGE for an option of another command. */
static status check_options(const cli *args)
{
    status st = OK;
    const struct {
        bool given;
        const char *name;
        unsigned commands; /* bits */
    } use[] = {
        { launcher, "--launcher", 1 << LAUNCH }, { jobs, "--jobs", 1 << LAUNCH },
        { gpus, "--gpus", 1 << LAUNCH },         { dry_run, "--dry-run", 1 << LAUNCH | 1 << CLEAN },
        { columns, "--columns", 1 << TABLE },    { format, "--format", 1 << TABLE },
        { preset, "--preset", 1 << TABLE },      { clean_failed, "--failed", 1 << CLEAN },
        { clean_all, "--all", 1 << CLEAN },      { args->n_overrides > 0, "key=value", 1 << LAUNCH },
    };
    for (size_t i = 0; i < sizeof use / sizeof *use; i++)
        if (use[i].given && !(use[i].commands >> command & 1))
            FAIL(ERR_USAGE, "%s is not for sweep%s%s", use[i].name, command ? " " : "",
                 command ? command_name[command] : " SWEEP.yaml");
out:
    return st;
}

static status show_table(const cli *args, const sweep_plan *p)
{
    const table_options o = { columns, args->json && !format ? "json" : format, preset };
    return sweep_table_print(p, &o);
}

static status work(const cli *args)
{
    status st = OK;
    sweep_plan p = { 0 };
    TRY(check_options(args));
    if (command == LAUNCH) return launch(args);
    if (command == ELEMENT) return element(args->subject);
    TRY(sweep_plan_read(args->subject, &p));
    if (command == STATUS) TRY(show_status(args, &p));
    if (command == TABLE) TRY(show_table(args, &p));
    if (command == CLEAN) TRY(clean(&p));
    if (status_ran_out()) FAIL(ERR_RUNTIME, "this is not complete: %s", status_message());
out:
    sweep_plan_free(&p);
    return st;
}

/* Takes the command out of the arguments, so that cli_main reads the rest like those of any tool. cli_main
 * starts a program once more to set OMP_WAIT_POLICY (core/base/threads.h). sweep does not use OpenMP, so
 * the setting here avoids that; the tools that it starts inherit it. */
int main(int argc, char **argv)
{
    for (int i = STATUS; i <= ELEMENT; i++) {
        if (argc < 2 || strcmp(argv[1], command_name[i]) != 0) continue;
        command = i;
        argv[1] = argv[0];
        argv++;
        argc--;
        break;
    }
    if (!getenv("GOMP_SPINCOUNT")) setenv("OMP_WAIT_POLICY", "passive", 0);
    return cli_main(&tool, argc, argv, work);
}
