/* nets/fit.c: a training that is stopped after the last step of an epoch and resumed writes the same as one that is not
 * stopped, and needs nothing but its last checkpoint for that; a signal at any moment saves the statistics of just the
 * steps that are saved. tests/e2e/resume.bats stops at random moments. */
#include "../../core/base/file.h"
#include "../../core/base/stop.h"
#include "../../nets/checkpoint.h"
#include "../../nets/experiment.h"
#include "../../nets/fit.h"
#include "../scratch.h"

/* In place of core/base/stop.c: the signal comes right before one of the calls. */
static int calls, signal_at; /* signal_at 0: never */
bool stop_requested(void)
{
    return ++calls >= signal_at && signal_at > 0;
}
const char *stop_signal(void)
{
    return "SIGTERM";
}

typedef struct training {
    config *cfg;
    experiment e;
    rundir run;
} training;

/* 96 generated images in steps of 32, two epochs, a learning rate that changes with every step. */
static void training_open(training *t, const char *name)
{
    char out[600];
    snprintf(out, sizeof out, "out=%s", scratch_path(name));
    char *overrides[] = { out,
                          "name=r",
                          "data.format=synthetic",
                          "data.train_limit=96",
                          "data.test_limit=16",
                          "net.arch=resnet20",
                          "train.batch=32",
                          "train.epochs=2",
                          "train.schedule=cosine",
                          "device=cpu" };
    *t = (training){ 0 };
    assert_int_equal(config_load(NULL, overrides, sizeof overrides / sizeof overrides[0], &t->cfg), OK);
    assert_int_equal(experiment_open(t->cfg, OPEN_TRAIN_SET | OPEN_TEST_SET, &t->e), OK);
    assert_int_equal(fit_compile(t->cfg, &t->e.train, t->e.net, t->e.device), OK);
    assert_int_equal(rundir_create(t->cfg, t->e.device, 0, NULL, &t->run), OK);
}

static void training_close(training *t)
{
    experiment_close(&t->e);
    config_free(t->cfg);
}

/* As analyze within a training does when a signal comes: all steps of the epoch are done by then. */
static status stop_after(void *epoch, net *n, int now)
{
    (void)n;
    return now == *(int *)epoch ? STOPPED : OK;
}

static status fit_once(const char *name, bool resume, int stop_epoch, rundir *run)
{
    training t;
    fit_result result;
    training_open(&t, name);
    if (!resume || !fit_can_resume(&t.run)) assert_int_equal(fit_start_values(t.cfg, t.e.net), OK);
    fit_job job = { .cfg = t.cfg,
                    .net = t.e.net,
                    .train = &t.e.train,
                    .test = &t.e.test,
                    .run = &t.run,
                    .resume = resume,
                    .after_epoch = stop_after,
                    .ctx = &stop_epoch };
    status st = fit(&job, &result);
    *run = t.run;
    training_close(&t);
    return st;
}

/* Columns up to the test accuracy of line `line`, without the times. */
static void metrics_line(const rundir *run, int line, char *out, size_t bytes)
{
    file_path path;
    char *text = NULL;
    assert_int_equal(rundir_file(run, "metrics.csv", &path), OK);
    assert_int_equal(file_read(path.s, &text, NULL), OK);
    char *p = text;
    for (int i = 0; i < line; i++) {
        p = strchr(p, '\n');
        assert_non_null(p);
        p++;
    }
    char *end = p;
    for (int commas = 0; *end && commas < 6; end++) commas += *end == ',';
    snprintf(out, bytes, "%.*s", (int)(end - p), p);
    free(text);
}

static void a_stop_between_the_last_step_and_the_evaluation(void **state)
{
    (void)state;
    rundir whole, halves;
    assert_int_equal(fit_once("whole", false, -1, &whole), OK);
    for (int stop = 0; stop < 2; stop++)
        assert_int_equal(fit_once("halves", stop > 0, stop, &halves), STOPPED);
    assert_int_equal(fit_once("halves", true, -1, &halves), OK);
    for (int line = 1; line <= 2; line++) {
        char want[256], got[256];
        metrics_line(&whole, line, want, sizeof want);
        metrics_line(&halves, line, got, sizeof got);
        assert_true(strlen(want) > 20);
        assert_string_equal(got, want);
    }
}

/* Epochs have 3 steps of 32 images: what the checkpoint of a stop says about the images of the steps done. */
static void a_signal_between_any_two_looks(void **state)
{
    (void)state;
    bool in_epoch[3] = { false };
    for (int k = 1; k <= 6; k++) {
        rundir run;
        file_path last;
        st_file f = { 0 };
        checkpoint_info info = { 0 };
        char name[32];
        snprintf(name, sizeof name, "signal%d", k);
        calls = 0;
        signal_at = k;
        assert_int_equal(fit_once(name, false, -1, &run), STOPPED);
        signal_at = 0;
        assert_int_equal(rundir_file(&run, "last.safetensors", &last), OK);
        assert_int_equal(st_open(last.s, &f), OK);
        assert_int_equal(checkpoint_info_read(&f, last.s, &info), OK);
        assert_true(info.has_state);
        assert_int_equal(info.state.train.rows, 32 * info.state.step);
        if (info.state.epoch == 0 && info.state.step < 3) in_epoch[info.state.step] = true;
        checkpoint_info_free(&info);
        st_close(&f);
    }
    assert_true(in_epoch[1] && in_epoch[2]);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(a_stop_between_the_last_step_and_the_evaluation),
                                        cmocka_unit_test(a_signal_between_any_two_looks) };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
