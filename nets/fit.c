/* nets/fit.c -- the training loop; its checkpoints are fit_checkpoint.c, its evaluations fit_evaluate.c. */
#include "fit.h"
#include "schedule.h"

#include "device.h"
#include "../core/base/log.h"
#include "../core/base/progress.h"
#include "../core/base/stop.h"
#include "../data/loader.h"
#include "fit_events.h"
#include "trainer.h"

#include <math.h>
#include <stdio.h>

/* Reading the loss waits for the device, so divergence is looked for only every so many steps. */
enum { STEPS_BETWEEN_CHECKS = 16 };

static int batch_of(const config *cfg, int images)
{
    return cfg->train.batch < images ? cfg->train.batch : images;
}

status fit_compile(const config *cfg, const dataset *train, net *n, backend *b)
{
    int size = train ? batch_of(cfg, train->n) : cfg->train.batch, remainder = train ? train->n % size : 0;
    net_case cases[] = { [FIT_CASE_EVAL] = { cfg->train.batch, false },
                         [FIT_CASE_TRAIN] = { size, true },
                         [FIT_CASE_LAST] = { remainder, true } };
    net_set_label_smoothing(n, cfg->train.label_smoothing);
    return net_compile(n, b, config_type(cfg), cases, !train ? 1 : remainder ? 3 : 2);
}

status fit_start_values(const config *cfg, net *n)
{
    return *cfg->net.weights ? checkpoint_read(n, cfg->net.weights) : net_init(n, cfg->seed);
}

/* ---- training ---- */

static status report_status(trainer *t, const char *state, const char *message)
{
    double best = t->at.best_accuracy < 0 ? 0 : t->at.best_accuracy;
    return rundir_status(t->job->run, state, t->at.epoch, t->cfg->train.epochs, best, t->at.best_epoch,
                         message);
}

/* The learning rate of the last step taken: from the schedule, not from memory, so that a resumed run knows it too. */
static double last_lr(const trainer *t)
{
    int step = t->at.step > 0 ? t->at.step - 1 : 0;
    return schedule_lr(&t->cfg->train, t->at.epoch, step, t->steps);
}

static status check_loss(trainer *t)
{
    status st = OK;
    TRY(net_stats(t->job->net, &t->at.train));
    if (!isfinite(t->at.train.loss))
        FAIL(ERR_DIVERGED, "the loss is not a number any more at epoch %d, step %d (lr %g); %s",
             t->at.epoch + 1, t->at.step, last_lr(t), trainer_what_is_kept(t));
out:
    return st;
}

/* A signal came: everything that the next step needs goes to disk. */
static status stop_here(trainer *t)
{
    status st = OK;
    TRY(trainer_save(t, "last.safetensors", true, t->last_accuracy));
    TRY(report_status(t, "stopped", stop_signal()));
    FAIL(STOPPED, "stopped by %s at epoch %d, step %d; train --resume goes on from here", stop_signal(),
         t->at.epoch + 1, t->at.step);
out:
    return st;
}

static step_scalars scalars_of(const trainer *t)
{
    const config_train *c = &t->cfg->train;
    double lr = schedule_lr(c, t->at.epoch, t->at.step, t->steps);
    return (step_scalars){ .lr = (float)lr,
                           .momentum = c->momentum,
                           .weight_decay = c->weight_decay,
                           .nesterov = c->nesterov,
                           .seed = t->cfg->seed,
                           .step = (uint64_t)t->at.epoch * (uint64_t)t->steps + (uint64_t)t->at.step };
}

static status train_batch(trainer *t, const batch *b)
{
    status st = OK;
    net *n = t->job->net;
    int which = b->n == batch_of(t->cfg, t->job->train->n) ? FIT_CASE_TRAIN : FIT_CASE_LAST;
    step_scalars scalars = scalars_of(t);
    TRY(fit_put_batch(n, which, t->kept_train, b));
    TRY(net_step(n, which, &scalars));
    t->at.step++;
out:
    return st;
}

static void show(progress *bar, const trainer *t)
{
    char note[96];
    double rows = t->at.train.rows ? (double)t->at.train.rows : 1;
    snprintf(note, sizeof note, "loss %.3f  acc %.1f %%", t->at.train.loss / rows,
             100 * (double)t->at.train.correct / rows);
    progress_update(bar, t->at.step, note);
}

static status train_epoch(trainer *t)
{
    status st = OK;
    progress bar;
    char label[48];
    snprintf(label, sizeof label, "epoch %d/%d", t->at.epoch + 1, t->cfg->train.epochs);
    progress_start(&bar, label, t->steps);
    TRY(net_stats_set(t->job->net, &t->at.train));
    TRY(loader_start(t->loader, t->at.epoch, t->at.step, NULL, 0));
    for (;;) {
        const batch *b;
        TRY(loader_next(t->loader, &b));
        if (!b) break;
        TRY(train_batch(t, b));
        if (t->at.step % STEPS_BETWEEN_CHECKS == 0 || stop_requested()) TRY(check_loss(t));
        if (stop_requested()) TRY(stop_here(t));
        show(&bar, t);
    }
    TRY(check_loss(t));
out:
    progress_end(&bar);
    return st;
}

static status evaluate_epoch(trainer *t, run_epoch *e)
{
    status st = OK;
    loss_stats test;
    st = fit_evaluate(t->job->net, FIT_CASE_EVAL, &t->cfg->data, t->job->test, t->kept_test, &test, NULL);
    if (st == STOPPED) st = stop_here(t); /* all steps done: the resumed run begins with this evaluation */
    if (st != OK) goto out;
    if (!isfinite(test.loss))
        FAIL(ERR_DIVERGED, "the test loss is not a number after epoch %d; %s", t->at.epoch + 1,
             trainer_what_is_kept(t));
    e->test_loss = test.loss / (double)test.rows;
    e->test_accuracy = (double)test.correct / (double)test.rows;
    e->train_loss = t->at.train.loss / (double)t->at.train.rows;
    e->train_accuracy = (double)t->at.train.correct / (double)t->at.train.rows;
out:
    return st;
}

/* What came after an epoch failed: the epoch itself is kept, and --resume begins behind its last step. */
static status save_before_failing(trainer *t, status failed)
{
    char message[1024];
    snprintf(message, sizeof message, "%s", status_message());
    if (trainer_save(t, "last.safetensors", true, t->last_accuracy) != OK) log_warn("%s", status_message());
    return status_set(failed, __FILE__, __LINE__, "%s", message);
}

static status after_epoch(trainer *t)
{
    status st = OK;
    if (!t->job->after_epoch) goto out;
    st = t->job->after_epoch(t->job->ctx, t->job->net, t->at.epoch);
    if (st == STOPPED)
        st = stop_here(t); /* as above */
    else if (st != OK)
        st = save_before_failing(t, st);
out:
    return st;
}

/* Order matters for a kill in between: `last` comes at the end, so a resumed run repeats the whole epoch and writes
 * the same best and the same metrics again. */
static status finish_epoch(trainer *t, const run_epoch *e)
{
    status st = OK;
    bool best = e->test_accuracy > t->at.best_accuracy;
    t->last_accuracy = e->test_accuracy;
    t->at.epoch++;
    t->at.step = 0;
    t->at.train = (loss_stats){ 0 };
    if (best) {
        t->at.best_accuracy = e->test_accuracy;
        t->at.best_epoch = e->epoch;
        TRY(trainer_save(t, "best.safetensors", false, e->test_accuracy));
    }
    TRY(rundir_metrics(t->job->run, e));
    TRY(fit_events(t->job->run, t->job->net, e));
    if (t->at.epoch % t->cfg->train.save_every == 0 || t->at.epoch == t->cfg->train.epochs)
        TRY(trainer_save(t, "last.safetensors", true, e->test_accuracy));
    TRY(report_status(t, t->at.epoch == t->cfg->train.epochs ? "done" : "running", ""));
    log_info("epoch %d/%d  lr %.4g  train loss %.4f acc %.2f %%  test loss %.4f acc %.2f %%%s  %.0f images/s "
             " %.1f s",
             e->epoch + 1, t->cfg->train.epochs, e->lr, e->train_loss, 100 * e->train_accuracy, e->test_loss,
             100 * e->test_accuracy, best ? " (best)" : "", e->images_per_s, e->seconds);
out:
    return st;
}

static status run_epoch_of(trainer *t)
{
    status st = OK;
    run_epoch e = { .epoch = t->at.epoch };
    double started = time_now();
    const int64_t before = t->at.train.rows; /* of a resumed epoch */
    TRY(train_epoch(t));
    e.lr = last_lr(t);
    e.seconds = time_now() - started;
    e.images_per_s = (double)(t->at.train.rows - before) / e.seconds;
    t->train_seconds += e.seconds;
    TRY(evaluate_epoch(t, &e));
    TRY(after_epoch(t));
    TRY(finish_epoch(t, &e));
out:
    return st;
}

static status keep_images(trainer *t)
{
    status st = OK;
    const dataset *train = t->job->train, *test = t->job->test;
    const image_norm norm = augment_norm(&t->cfg->data);
    TRY(net_keep_images(t->job->net, train->image, train->n, &norm, &t->kept_train));
    TRY(net_keep_images(t->job->net, test->image, test->n, &norm, &t->kept_test));
out:
    return st;
}

status fit(const fit_job *job, fit_result *out)
{
    status st = OK;
    int batch_size = batch_of(job->cfg, job->train->n);
    trainer t = {
        .job = job, .cfg = job->cfg, .last_accuracy = -1, .at = { .best_accuracy = -1, .best_epoch = -1 }
    };
    t.steps = (job->train->n + batch_size - 1) / batch_size;
    TRY(trainer_resume(&t));
    TRY(keep_images(&t));
    TRY(rundir_truncate(job->run, t.at.epoch));
    TRY(fit_events_truncate(job->run, t.at.epoch));
    const loader_options options = { .batch = batch_size,
                                     .shuffle = true,
                                     .augment = true,
                                     .draws_only = t.kept_train != NET_NOT_KEPT,
                                     .seed = job->cfg->seed };
    TRY(loader_open(job->train, &job->cfg->data, &options, &t.loader));
    TRY(report_status(&t, "running", ""));
    while (t.at.epoch < job->cfg->train.epochs) TRY(run_epoch_of(&t));
    TRY(report_status(&t, "done", ""));
    *out = (fit_result){ .best_accuracy = t.at.best_accuracy,
                         .best_epoch = t.at.best_epoch,
                         .epochs = t.at.epoch,
                         .last_accuracy = t.last_accuracy,
                         .train_seconds = t.train_seconds };
out:
    loader_close(t.loader);
    checkpoint_info_free(&t.resumed);
    if (st != OK && st != STOPPED) {
        char message[1024];
        snprintf(message, sizeof message, "%s", status_message());
        report_status(&t, st == ERR_DIVERGED ? "diverged" : "failed", message);
        status_set(st, __FILE__, __LINE__, "%s", message);
    }
    return st;
}
