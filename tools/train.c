/* tools/train.c -- train CONFIG.yaml [key=value ...] [--resume[=auto]]: from images to a run directory. */
#include "../core/base/file.h"
#include "../core/base/json.h"
#include "../core/base/lock.h"
#include "../core/base/log.h"
#include "../core/base/stop.h"
#include "../graph/analysis.h"
#include "../nets/experiment.h"
#include "../nets/fit.h"
#include "cli.h"

#include <math.h>
#include <string.h>

static bool resume_given, wait_given;
static const char *resume_how; /* "auto", or NULL */
static const cli_option options[] = {
    { "--resume", "=auto",
      "go on from the run's last checkpoint, to the same bits as an uninterrupted run; with =auto, begin "
      "the run if there is none",
      &resume_given, &resume_how },
    { "--wait", NULL, "if another process works in the run directory, wait until it has finished",
      &wait_given, NULL },
};
static const cli_tool tool = {
    .name = "train",
    .synopsis = "CONFIG.yaml [key=value ...] [--resume[=auto]] [--wait]",
    .about =
        "Trains a net from scratch and writes a run directory OUT/NAME-CONFIGHASH-sSEED with its best and "
        "last\n"
        "checkpoint, metrics and configuration. The same configuration is the same directory: a changed\n"
        "setting is another run, which --resume does not find.",
    .examples = "  train configs/demo.yaml\n"
                "  train configs/resnet20.yaml train.epochs=30 seed=1\n"
                "  train configs/resnet20.yaml train.epochs=30 seed=1 --resume\n",
    .options = options,
    .n_options = 2,
    .needs_subject = true,
};

typedef struct session { /* everything one training needs, released at once */
    const cli *args;
    config *cfg;
    experiment e;
    epoch_analysis every;
    rundir run;
    dir_lock lock;
} session;

static void close_session(session *s)
{
    epoch_analysis_close(&s->every);
    experiment_close(&s->e);
    config_free(s->cfg);
    lock_release(&s->lock);
}

/* --resume where there is nothing to resume. A run that was killed before its first checkpoint begins again; but if there
 * is no run at all, most likely a setting is not the one that it was started with. */
static status nothing_to_resume(const session *s)
{
    status st = OK;
    file_path config_file;
    run_near near;
    TRY(rundir_file(&s->run, "config.yaml", &config_file));
    if (file_exists(config_file.s)) {
        log_info("%s: no checkpoint yet: starts from the beginning", s->run.path);
        goto out;
    }
    TRY(rundir_nearest(s->cfg, &near));
    if (near.run.path[0])
        FAIL(ERR_USAGE,
             "--resume: there is no run %s; the nearest, %s, differs in %s. --resume=auto starts a new run",
             s->run.path, near.run.path, near.differs);
    FAIL(ERR_USAGE, "--resume: there is no run %s, nor any other in %s. --resume=auto starts a new run",
         s->run.path, s->cfg->out);
out:
    return st;
}

/* Does the run directory hold a training already? It may be finished (*done), or to be resumed; an error says how. */
static status look_at_run(const session *s, bool *done, fit_result *so_far)
{
    status st = OK;
    run_progress p;
    TRY(rundir_progress(s->run.path, s->cfg->train.epochs, &p));
    if (!p.begun) {
        if (resume_given && !resume_how) TRY(nothing_to_resume(s));
        goto out;
    }
    *so_far = (fit_result){ .best_accuracy = p.best_accuracy,
                            .last_accuracy = p.last_accuracy,
                            .best_epoch = p.best_epoch,
                            .epochs = p.epoch };
    *done = p.finished;
    if (p.finished && !p.done && p.epoch > 0)
        FAIL(ERR_DATA,
             "%s/best.safetensors is gone, and this training is finished; remove the directory to train "
             "from the start",
             s->run.path);
    if (!p.finished && !resume_given)
        FAIL(ERR_USAGE,
             "%s holds a training stopped at epoch %d of %d: add --resume, or remove the directory",
             s->run.path, p.epoch, s->cfg->train.epochs);
out:
    return st;
}

/* The training was killed after its last checkpoint, before it could say so in status.json. */
static status correct_status(const session *s, const fit_result *end)
{
    status st = OK;
    file_path path;
    cJSON *j = NULL;
    TRY(rundir_file(&s->run, "status.json", &path));
    j = json_read_if_any(path.s);
    if (strcmp(json_text(j, "state"), "done") == 0) goto out;
    TRY(rundir_status(&s->run, "done", end->epochs, s->cfg->train.epochs, end->best_accuracy, end->best_epoch,
                      NULL));
out:
    cJSON_Delete(j);
    return st;
}

static status prepare(session *s)
{
    status st = OK;
    const config *c = s->cfg;
    experiment *e = &s->e;
    TRY(experiment_open(c, OPEN_TRAIN_SET | OPEN_TEST_SET, e));
    log_info("device %s: %s", e->why, e->device->description);
    s->every = (epoch_analysis){ c, &e->test, &s->run, CASE_EVAL, NULL };
    TRY(epoch_analysis_open(&s->every, e->net));
    TRY(rundir_load_tuning(&s->run, e->device));
    TRY(fit_compile(c, &e->train, e->net, e->device));
    if (!resume_given || !fit_can_resume(&s->run)) TRY(fit_start_values(c, e->net));
    TRY(rundir_create(c, e->device, s->args->argc, s->args->argv, &s->run));
    net_memory m = net_memory_used(e->net);
    log_info("%s: %lld parameters, %.1f M MACs an image; %d training and %d test images; %.0f MiB",
             c->net.arch, (long long)net_param_count(e->net), (double)net_macs(e->net) / 1e6, e->train.n,
             e->test.n, (double)(m.param + m.act + m.saved + m.packed) / (1 << 20));
    log_info("run directory %s", s->run.path);
out:
    return st;
}

/* Without an epoch (train.epochs=0) there is no accuracy: null. */
static status print_result(const session *s, const fit_result *end)
{
    status st = OK;
    const bool any = end->epochs > 0;
    cJSON *j;
    if (any)
        log_info("best test accuracy %.2f %% at epoch %d, last %.2f %%; %s", 100 * end->best_accuracy,
                 end->best_epoch + 1, 100 * end->last_accuracy, s->run.path);
    else
        log_info("no epochs, nothing is trained; %s", s->run.path);
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "run", s->run.path));
    TRY(json_put_text(j, "arch", s->cfg->net.arch));
    TRY(json_put_number(j, "epochs", end->epochs));
    TRY(json_put_number(j, "best_accuracy", any ? end->best_accuracy : NAN));
    TRY(json_put_number(j, "best_epoch", any ? end->best_epoch : NAN));
    TRY(json_put_number(j, "last_accuracy", any ? end->last_accuracy : NAN));
    TRY(cli_print_json(s->args, j));
out:
    cJSON_Delete(j);
    return st;
}

static status work(const cli *args)
{
    status st = OK;
    session opened = { .args = args }, *s = &opened;
    bool finished = false;
    fit_result result = { 0 };
    TRY(config_load(s->args->subject, s->args->overrides, s->args->n_overrides, &s->cfg));
    TRY(rundir_path(s->cfg, &s->run));
    stop_install();
    TRY(rundir_may_write(&s->run));
    TRY(lock_take(s->run.path, wait_given, &s->lock));
    TRY(look_at_run(s, &finished, &result));
    if (finished) {
        log_info("this training is finished");
        TRY(correct_status(s, &result));
        TRY(print_result(s, &result));
        goto out;
    }
    TRY(prepare(s));
    fit_job job = { .cfg = s->cfg,
                    .net = s->e.net,
                    .train = &s->e.train,
                    .test = &s->e.test,
                    .run = &s->run,
                    .resume = resume_given,
                    .after_epoch = epoch_analysis_wanted(&s->every) ? epoch_analysis_run : NULL,
                    .ctx = &s->every };
    TRY(fit(&job, &result));
    TRY(print_result(s, &result));
out:
    close_session(s);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
