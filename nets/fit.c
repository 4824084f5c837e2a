/* nets/fit.c -- see fit.h. */
#include "fit.h"

#include "../core/base/clock.h"
#include "../core/base/file.h"
#include "../core/base/log.h"
#include "../core/base/minmax.h"
#include "../core/base/progress.h"
#include "../core/base/stop.h"
#include "../core/format/events.h"
#include "../data/loader.h"
#include "checkpoint.h"
#include "device.h"
#include "schedule.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Reading the loss blocks until the device is idle, so we check for divergence only every few steps. */
enum { STEPS_BETWEEN_CHECKS = 16 };

static const char LAST[] = "last.safetensors";

/* A training under way. */
typedef struct trainer {
    const fit_job *job;
    const config *cfg;
    loader *loader;
    int kept_train, kept_test; /* net_keep_images */
    train_state at;            /* what the next checkpoint will say */
    int steps;                 /* of an epoch */
    double last_accuracy;
    double train_seconds;
    checkpoint_info resumed; /* its parent and cuts go into further checkpoints */
} trainer;

static int batch_of(const config *cfg, int images)
{
    return min_int(cfg->train.batch, images);
}

status fit_compile(const config *cfg, const dataset *train, net *n, backend *b)
{
    const int size = train ? batch_of(cfg, train->n) : cfg->train.batch;
    const int remainder = train ? train->n % size : 0;
    net_case cases[] = { [CASE_EVAL] = { cfg->train.batch, false },
                         [CASE_TRAIN] = { size, true },
                         [CASE_TRAIN_LAST] = { remainder, true } };
    net_set_label_smoothing(n, cfg->train.label_smoothing);
    return net_compile(n, b, config_type(cfg), cases, !train ? 1 : remainder ? 3 : 2);
}

bool fit_can_resume(const rundir *run)
{
    file_path last;
    return rundir_file(run, LAST, &last) == OK && file_exists(last.s);
}

status fit_start_values(const config *cfg, net *n)
{
    return *cfg->net.weights ? checkpoint_read(n, cfg->net.weights) : net_init(n, cfg->seed);
}

/* ---- evaluation ---- */

/* The input of a case: the pixels of a batch or, if the device keeps the images, their positions. */
static status put_batch(net *n, int net_case_index, int kept, const batch *b)
{
    return kept == NET_NOT_KEPT ? net_input(n, net_case_index, b->x, b->label, b->n)
                                : net_input_kept(n, net_case_index, kept, b->draw, b->label, b->n);
}

status fit_evaluate(net *n, int eval_case, const config_data *data, const dataset *set, int kept,
                    loss_stats *out, float *logits)
{
    status st = OK;
    loader *l = NULL;
    progress bar;
    int done = 0;
    loader_options options = { .batch = net_batch(n, eval_case), .draws_only = kept != NET_NOT_KEPT };
    progress_start(&bar, "evaluate", "images", set->n);
    TRY(net_stats_set(n, &(loss_stats){ 0 }));
    TRY(loader_open(set, data, &options, &l));
    TRY(loader_start(l, 0, 0, NULL, 0));
    for (;;) {
        const batch *b;
        TRY(loader_next(l, &b));
        if (!b) break;
        if (stop_requested()) FAIL(STOPPED, "stopped by %s", stop_signal());
        TRY(put_batch(n, eval_case, kept, b));
        TRY(net_forward(n, eval_case));
        if (logits) TRY(net_logits(n, eval_case, b->n, logits + (size_t)done * (size_t)net_classes(n)));
        done += b->n;
        progress_update(&bar, done, "");
    }
    TRY(net_stats(n, out));
out:
    progress_end(&bar);
    loader_close(l);
    return st;
}

/* ---- checkpoints ---- */

/* The net's parent and cuts: from the caller, else from the checkpoint that was resumed. */
static int lineage(const trainer *t, st_pair *out)
{
    int n = 0;
    for (int i = 0; i < t->job->n_meta; i++) out[n++] = t->job->meta[i];
    if (t->job->n_meta == 0 && t->resumed.parent) out[n++] = (st_pair){ "parent", t->resumed.parent };
    if (t->job->n_meta == 0 && t->resumed.cuts) out[n++] = (st_pair){ "cuts", t->resumed.cuts };
    return n;
}

/* Writes RUN/`file`: the values, their origin and `accuracy` (test top-1; below 0: unknown); with_state: also what --resume
 * needs. */
static status save(trainer *t, const char *file, bool with_state, double accuracy)
{
    status st = OK;
    file_path path;
    char hash[9], normalisation[256], epoch[16], top1[32], *yaml = NULL;
    const config_data *d = &t->cfg->data;
    st_pair *meta = NULL;
    int n = 0;
    TRY(rundir_file(t->job->run, file, &path));
    TRY(config_hash(t->cfg, hash));
    TRY(config_yaml(t->cfg, &yaml));
    TRY(text_format(normalisation, sizeof normalisation,
                    "{\"mean\": [%.9g, %.9g, %.9g], \"std\": [%.9g, %.9g, %.9g]}", (double)d->mean[0],
                    (double)d->mean[1], (double)d->mean[2], (double)d->std[0], (double)d->std[1],
                    (double)d->std[2]));
    TRY(text_format(epoch, sizeof epoch, "%d", t->at.epoch));
    TRY(text_format(top1, sizeof top1, "%.6f", accuracy));
    TRY_ALLOC(meta, calloc((size_t)t->job->n_meta + 7, sizeof *meta));
    meta[n++] = (st_pair){ "normalisation", normalisation };
    meta[n++] = (st_pair){ "epoch", epoch };
    if (accuracy >= 0) meta[n++] = (st_pair){ "accuracy", top1 };
    meta[n++] = (st_pair){ "config_hash", hash };
    meta[n++] = (st_pair){ "config", yaml };
    n += lineage(t, meta + n);
    TRY(checkpoint_save(t->job->net, path.s, meta, n, with_state ? &t->at : NULL));
out:
    free(meta);
    free(yaml);
    return st;
}

/* Continues from RUN/last.safetensors, if the job asks for it and the file is there: sets the net's values and velocity,
 * `at`, `last_accuracy` and `resumed`; `steps` must be set. ERR_DATA: this training cannot continue from that file. */
static status resume(trainer *t)
{
    status st = OK;
    st_file f = { 0 };
    checkpoint_info *info = &t->resumed;
    file_path path;
    TRY(rundir_file(t->job->run, LAST, &path));
    if (!t->job->resume || !fit_can_resume(t->job->run)) goto out;
    TRY(st_open(path.s, &f));
    TRY(checkpoint_info_read(&f, path.s, info));
    if (!info->has_state)
        FAIL(ERR_DATA, "%s: no training state in its metadata; it cannot be resumed", path.s);
    TRY(checkpoint_load(t->job->net, &f, path.s, true, true));
    if (info->state.step > t->steps)
        FAIL(ERR_DATA, "%s: stopped at step %d of an epoch, which has %d", path.s, info->state.step,
             t->steps);
    t->at = info->state;
    t->last_accuracy = info->accuracy;
    log_info("resuming at epoch %d, step %d of %d", t->at.epoch + 1, t->at.step, t->steps);
out:
    st_close(&f);
    return st;
}

/* For the message of a divergence: is there a good checkpoint? */
static const char *what_is_kept(const trainer *t)
{
    return fit_can_resume(t->job->run) ? "the last good checkpoint is kept" : "there is no checkpoint yet";
}

/* ---- TensorBoard: losses, accuracies, and a histogram of each trainable parameter under its name ---- */

static status add_scalars(events *list, const run_epoch *e)
{
    status st = OK;
    TRY(events_scalar(list, "loss/train", e->epoch, e->train_loss));
    TRY(events_scalar(list, "loss/test", e->epoch, e->test_loss));
    TRY(events_scalar(list, "accuracy/train", e->epoch, e->train_accuracy));
    TRY(events_scalar(list, "accuracy/test", e->epoch, e->test_accuracy));
    TRY(events_scalar(list, "lr", e->epoch, e->lr));
    TRY(events_scalar(list, "images_per_s", e->epoch, e->images_per_s));
out:
    return st;
}

static status add_weights(events *list, const net *n, int epoch)
{
    status st = OK;
    int count;
    const net_param *p = net_params(n, &count);
    float *value = NULL;
    TRY_ALLOC(value, malloc((size_t)net_param_largest(n) * sizeof *value));
    for (int i = 0; i < count; i++) {
        if (!p[i].spec.trainable) continue;
        TRY(net_param_read(n, &p[i], value));
        TRY(events_histogram(list, p[i].name, epoch, value, p[i].count));
    }
out:
    free(value);
    return st;
}

static status append_events(const rundir *run, const net *n, const run_epoch *e)
{
    status st = OK;
    events list = { 0 };
    file_path path;
    TRY(rundir_file(run, EVENTS_TRAINING, &path));
    TRY(add_scalars(&list, e));
    TRY(add_weights(&list, n, e->epoch));
    TRY(events_append(&list, path.s));
out:
    events_free(&list);
    return st;
}

/* Removes what was written for epochs >= `epoch`. */
static status truncate_events(const rundir *run, int epoch)
{
    status st = OK;
    file_path path;
    TRY(rundir_file(run, EVENTS_TRAINING, &path));
    TRY(events_truncate(path.s, epoch));
out:
    return st;
}

/* ---- an epoch of training ---- */

static status report_status(trainer *t, const char *state, const char *message)
{
    double best = t->at.best_accuracy < 0 ? 0 : t->at.best_accuracy;
    return rundir_status(t->job->run, state, t->at.epoch, t->cfg->train.epochs, best, t->at.best_epoch,
                         message);
}

/* The learning rate of the last step. It is computed, so that a resumed run knows it too. */
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
             t->at.epoch + 1, t->at.step, last_lr(t), what_is_kept(t));
out:
    return st;
}

/* A signal came: everything that the next step needs goes to disk. */
static status stop_here(trainer *t)
{
    status st = OK;
    TRY(save(t, LAST, true, t->last_accuracy));
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
    int which = b->n == batch_of(t->cfg, t->job->train->n) ? CASE_TRAIN : CASE_TRAIN_LAST;
    step_scalars scalars = scalars_of(t);
    TRY(put_batch(n, which, t->kept_train, b));
    TRY(net_step(n, which, &scalars));
    t->at.step++;
out:
    return st;
}

static void show(progress *bar, const trainer *t)
{
    char note[96] = ""; /* until the statistics are read for the first time */
    const double rows = (double)t->at.train.rows;
    if (rows > 0)
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
    progress_start(&bar, label, "steps", t->steps);
    bar.before = t->at.step;
    TRY(net_stats_set(t->job->net, &t->at.train));
    TRY(loader_start(t->loader, t->at.epoch, t->at.step, NULL, 0));
    for (;;) {
        const batch *b;
        TRY(loader_next(t->loader, &b));
        if (!b) break;
        TRY(train_batch(t, b));
        const bool stop = stop_requested(); /* asked once: what is saved must be of this step */
        if (t->at.step % STEPS_BETWEEN_CHECKS == 0 || stop) TRY(check_loss(t));
        if (stop) TRY(stop_here(t));
        show(&bar, t);
    }
    TRY(check_loss(t));
out:
    progress_end(&bar);
    return st;
}

/* ---- after the steps of an epoch ---- */

static status evaluate_epoch(trainer *t, run_epoch *e)
{
    status st = OK;
    loss_stats test;
    st = fit_evaluate(t->job->net, CASE_EVAL, &t->cfg->data, t->job->test, t->kept_test, &test, NULL);
    if (st == STOPPED) st = stop_here(t); /* all steps done: the resumed run begins with this evaluation */
    if (st != OK) goto out;
    if (!isfinite(test.loss))
        FAIL(ERR_DIVERGED, "the test loss is not a number after epoch %d; %s", t->at.epoch + 1,
             what_is_kept(t));
    e->test_loss = test.loss / (double)test.rows;
    e->test_accuracy = (double)test.correct / (double)test.rows;
    e->train_loss = t->at.train.loss / (double)t->at.train.rows;
    e->train_accuracy = (double)t->at.train.correct / (double)t->at.train.rows;
out:
    return st;
}

/* after_epoch failed: the epoch itself is kept, and --resume begins after its last step. */
static status save_before_failing(trainer *t, status failed)
{
    char message[1024];
    snprintf(message, sizeof message, "%s", status_message());
    if (save(t, LAST, true, t->last_accuracy) != OK) log_warn("%s", status_message());
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

/* `last` is written at the end: after a kill before that, the resumed run repeats the whole epoch and writes the same best
 * checkpoint and the same metrics again. */
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
        TRY(save(t, "best.safetensors", false, e->test_accuracy));
    }
    TRY(rundir_metrics(t->job->run, e));
    TRY(append_events(t->job->run, t->job->net, e));
    if (t->at.epoch % t->cfg->train.save_every == 0 || t->at.epoch == t->cfg->train.epochs)
        TRY(save(t, LAST, true, e->test_accuracy));
    TRY(report_status(t, t->at.epoch == t->cfg->train.epochs ? "done" : "running", ""));
    log_info("epoch %d/%d  lr %.4g  train loss %.4f acc %.2f %%  test loss %.4f acc %.2f %%%s  %.0f images/s "
             " %.1f s",
             e->epoch + 1, t->cfg->train.epochs, e->lr, e->train_loss, 100 * e->train_accuracy, e->test_loss,
             100 * e->test_accuracy, best ? " (best)" : "", e->images_per_s, e->seconds);
out:
    return st;
}

/* ---- all of it ---- */

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
    TRY(resume(&t));
    TRY(keep_images(&t));
    TRY(rundir_truncate(job->run, t.at.epoch));
    TRY(truncate_events(job->run, t.at.epoch));
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
