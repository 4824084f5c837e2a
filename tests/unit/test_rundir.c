/* nets/rundir.c: a stable place, files that parse, metrics that survive crash, resume and full
 * disk. */
#include "../../core/base/file.h"
#include "../../core/base/json.h"
#include "../../core/base/lock.h"
#include "../../core/device/tuning.h"
#include "../../core/format/safetensors.h"
#include "../../nets/rundir.h"

#include <math.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/cleave-test-run-XXXXXX";
static rundir run;
static config *cfg;
static backend fake = { .name = "ref", .description = "plain loops, 2 threads", .threads = 2 };

static char *content(const char *name)
{
    file_path path;
    char *text = NULL;
    assert_int_equal(rundir_file(&run, name, &path), OK);
    assert_int_equal(file_read(path.s, &text, NULL), OK);
    return text;
}

static void assert_content(const char *name, const char *want)
{
    char *text = content(name);
    assert_string_equal(text, want);
    free(text);
}

static void put(const char *name, const char *text)
{
    file_path path;
    assert_int_equal(rundir_file(&run, name, &path), OK);
    assert_int_equal(file_replace(path.s, text, strlen(text)), OK);
}

static void drop(const char *name)
{
    file_path path;
    assert_int_equal(rundir_file(&run, name, &path), OK);
    unlink(path.s);
}

static int setup(void **state)
{
    (void)state;
    char out[128], *overrides[] = { out, "name=try", "seed=7" };
    if (!mkdtemp(folder)) return -1;
    snprintf(out, sizeof out, "out=%s/a/b", folder);
    return config_load(NULL, overrides, 3, &cfg) == OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    config_free(cfg);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void place(void **state)
{
    (void)state;
    char hash[9], want[256];
    assert_int_equal(config_hash(cfg, hash), OK);
    snprintf(want, sizeof want, "%s/a/b/try-%s-s7", folder, hash);
    assert_int_equal(rundir_path(cfg, &run), OK);
    assert_string_equal(run.path, want);
    assert_false(file_exists(run.path)); /* touches nothing */
}

static void create(void **state)
{
    (void)state;
    char *argv[] = { "bin/train", "a.yaml", "name=\"x y\"", NULL };
    for (int twice = 0; twice < 2; twice++) assert_int_equal(rundir_create(cfg, &fake, 3, argv, &run), OK);
    file_path path;
    char *text = content("env.json");
    cJSON *env = cJSON_Parse(text);
    assert_non_null(env);
    assert_string_equal(cJSON_GetObjectItem(env, "backend")->valuestring, "ref");
    assert_string_equal(cJSON_GetObjectItem(env, "device")->valuestring, fake.description);
    assert_int_equal(cJSON_GetObjectItem(env, "threads")->valueint, 2);
    assert_string_equal(cJSON_GetArrayItem(cJSON_GetObjectItem(env, "command"), 2)->valuestring, argv[2]);
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(env, "command")), 3);
    static const char *const texts[] = { "commit", "compiler", "host", "cpu", "os", "started" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        const cJSON *item = cJSON_GetObjectItem(env, texts[i]);
        assert_true(cJSON_IsString(item) && item->valuestring[0]);
    }
    cJSON_Delete(env);
    free(text);

    config *back = NULL;
    rundir same;
    assert_int_equal(rundir_file(&run, "config.yaml", &path), OK);
    assert_int_equal(config_load(path.s, NULL, 0, &back), OK);
    assert_int_equal(rundir_path(back, &same), OK); /* the written config leads to the same place */
    assert_string_equal(same.path, run.path);
    config_free(back);
}

static run_epoch epoch_of(int e)
{
    return (run_epoch){ e, 0.01, 1.0 / 3, 0.5, 2.0 / 3, 0.25, 1.5, 1000 + e };
}

#define HEADER "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_s\n"
#define CSV(e) #e ",0.01,0.333333333,0.5,0.666666667,0.25,1.5,100" #e "\n"
#define JSON(e)                                                                                              \
    "{\"epoch\": " #e                                                                                        \
    ", \"lr\": 0.01, \"train_loss\": 0.333333333, \"train_accuracy\": 0.5, \"test_loss\": "                  \
    "0.666666667, \"test_accuracy\": 0.25, \"seconds\": 1.5, \"images_per_s\": 100" #e "}\n"

static void metrics(void **state)
{
    (void)state;
    for (int e = 0; e < 3; e++) {
        run_epoch m = epoch_of(e);
        assert_int_equal(rundir_metrics(&run, &m), OK);
    }
    assert_content("metrics.csv", HEADER CSV(0) CSV(1) CSV(2));
    assert_content("metrics.jsonl", JSON(0) JSON(1) JSON(2));

    assert_int_equal(rundir_truncate(&run, 3), OK); /* nothing to drop */
    assert_content("metrics.csv", HEADER CSV(0) CSV(1) CSV(2));
    assert_int_equal(rundir_truncate(&run, 1), OK);
    assert_content("metrics.csv", HEADER CSV(0));
    assert_content("metrics.jsonl", JSON(0));
    run_epoch m = epoch_of(1);
    assert_int_equal(rundir_metrics(&run, &m), OK);
    assert_content("metrics.csv", HEADER CSV(0) CSV(1));
    assert_int_equal(rundir_truncate(&run, 0), OK);
    assert_content("metrics.csv", HEADER);
    assert_content("metrics.jsonl", "");
    drop("metrics.csv");
    drop("metrics.jsonl");
    assert_int_equal(rundir_truncate(&run, 0), OK); /* not there is fine */
    file_path path;
    assert_int_equal(rundir_file(&run, "metrics.csv", &path), OK);
    assert_false(file_exists(path.s));
}

/* A diverged epoch: JSON stays JSON. */
static void not_finite(void **state)
{
    (void)state;
    run_epoch m = epoch_of(0);
    m.train_loss = NAN;
    m.test_loss = INFINITY;
    assert_int_equal(rundir_metrics(&run, &m), OK);
    assert_content("metrics.csv", HEADER "0,0.01,,0.5,,0.25,1.5,1000\n");
    char *text = content("metrics.jsonl");
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(json, "train_loss")));
    cJSON_Delete(json);
    free(text);
    drop("metrics.csv");
    drop("metrics.jsonl");
}

/* Killed while a line was written: the half line goes when the run resumes. */
static void half_lines(void **state)
{
    (void)state;
    put("metrics.csv", HEADER CSV(0) "1,0.0");
    put("metrics.jsonl", JSON(0) "{\"epoch\": 1, \"lr\"");
    assert_int_equal(rundir_truncate(&run, 1), OK);
    assert_content("metrics.csv", HEADER CSV(0));
    assert_content("metrics.jsonl", JSON(0));
}

/* A power cut may leave NUL bytes in place of a line: the lines after them stay. */
static void nul_bytes(void **state)
{
    (void)state;
    static const char csv[] = HEADER CSV(0) "\0\0\0\n" CSV(2) CSV(3), json[] = "\0\0\n" JSON(2);
    file_path path;
    assert_int_equal(rundir_file(&run, "metrics.csv", &path), OK);
    assert_int_equal(file_replace(path.s, csv, sizeof csv - 1), OK);
    assert_int_equal(rundir_file(&run, "metrics.jsonl", &path), OK);
    assert_int_equal(file_replace(path.s, json, sizeof json - 1), OK);
    assert_int_equal(rundir_truncate(&run, 3), OK);
    assert_content("metrics.csv", HEADER CSV(0) CSV(2));
    assert_content("metrics.jsonl", JSON(2));
}

static void full_disk(void **state)
{
    (void)state;
    put("metrics.csv", HEADER CSV(0));
    put("metrics.jsonl", JSON(0));
    struct rlimit before, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small = before;
    small.rlim_cur = sizeof JSON(0) + 20; /* in the middle of the next line */
    void (*handler)(int) = signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    run_epoch m = epoch_of(1);
    status st = rundir_metrics(&run, &m);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, handler);
    assert_int_equal(st, ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "metrics.jsonl: File too large"));
    assert_content("metrics.csv", HEADER CSV(0));
    assert_content("metrics.jsonl", JSON(0));
}

static void status_file(void **state)
{
    (void)state;
    assert_int_equal(rundir_status(&run, "failed", 3, 150, 0.75, 2, "it's \"full\"\n"), OK);
    char *text = content("status.json");
    cJSON *json = cJSON_Parse(text);
    assert_non_null(json);
    assert_string_equal(cJSON_GetObjectItem(json, "state")->valuestring, "failed");
    assert_string_equal(cJSON_GetObjectItem(json, "message")->valuestring, "it's \"full\"\n");
    assert_int_equal(cJSON_GetObjectItem(json, "epoch")->valueint, 3);
    assert_int_equal(cJSON_GetObjectItem(json, "epochs")->valueint, 150);
    assert_true(cJSON_GetObjectItem(json, "best_accuracy")->valuedouble == 0.75);
    assert_int_equal(cJSON_GetObjectItem(json, "best_epoch")->valueint, 2);
    assert_int_equal(cJSON_GetObjectItem(json, "pid")->valueint, getpid());
    assert_int_equal(strlen(cJSON_GetObjectItem(json, "updated")->valuestring), 20);
    assert_true(text[strlen(text) - 1] == '\n');
    cJSON_Delete(json);
    free(text);
    assert_int_equal(rundir_status(&run, "done", 3, 150, 0.75, 2, NULL), OK);
}

/* What rundir_status_read says while status.json holds `written` at epoch 1 of 3. */
static void assert_state(const char *written, const char *want, int epoch, double best)
{
    cJSON *json = NULL;
    assert_int_equal(rundir_status(&run, written, 1, 3, 0.25, 0, NULL), OK);
    assert_int_equal(rundir_status_read(run.path, &json), OK);
    assert_string_equal(json_text(json, "state"), want);
    assert_true(json_number(json, "epoch", -1) == epoch && json_number(json, "best_accuracy", -1) == best);
    cJSON_Delete(json);
}

static void put_last(int epoch)
{
    file_path path;
    char text[256];
    snprintf(text, sizeof text,
             "{\"epoch\": %d, \"step\": 0, \"train_loss\": 0, \"train_correct\": 0, \"train_rows\": 0, "
             "\"best_accuracy\": 0.5, \"best_epoch\": 1}",
             epoch);
    st_pair meta[] = { { "state", text }, { "accuracy", "0.375" } };
    assert_int_equal(rundir_file(&run, "last.safetensors", &path), OK);
    assert_int_equal(st_write(path.s, NULL, 0, meta, 2), OK);
}

/* The last checkpoint decides, not status.json, which a killed process may have left behind. */
static void the_last_checkpoint_decides_whether_a_run_is_done(void **state)
{
    (void)state;
    run_progress p;
    dir_lock lock = { 0 };
    cJSON *json;
    assert_int_equal(rundir_progress(run.path, 3, &p), OK);
    assert_false(p.begun || p.finished || p.done);
    assert_state("running", "stopped", 1, 0.25); /* no process holds the lock */
    assert_state("failed", "failed", 1, 0.25);
    put_last(2);
    assert_int_equal(rundir_progress(run.path, 3, &p), OK);
    assert_true(p.begun && !p.finished && !p.done);
    assert_state("running", "stopped", 1, 0.25);
    assert_int_equal(lock_take(run.path, false, &lock), OK);
    assert_state("running", "running", 1, 0.25);
    lock_release(&lock);

    put_last(3);
    assert_int_equal(rundir_progress(run.path, 3, &p), OK);
    assert_true(p.finished && !p.done); /* there is no best.safetensors */
    put("best.safetensors", "");
    assert_int_equal(rundir_progress(run.path, 3, &p), OK);
    assert_true(p.done && p.epoch == 3 && p.best_epoch == 1);
    assert_true(p.best_accuracy == 0.5 && p.last_accuracy == 0.375);
    assert_state("running", "done", 3, 0.5);
    assert_state("failed", "done", 3, 0.5);
    put("status.json", "{");
    assert_int_equal(rundir_status_read(run.path, &json), ERR_DATA);
    put("last.safetensors", "damaged");
    assert_int_equal(rundir_progress(run.path, 3, &p), ERR_DATA);
}

/* A status.json that nobody wrote: no conversion is undefined, and what it says is corrected all the same. */
static void a_strange_status(void **state)
{
    (void)state;
    static const char *const texts[] = { "{\"state\": \"running\", \"epochs\": 1e300}",
                                         "{\"state\": \"running\", \"epochs\": -1e300}",
                                         "{\"state\": \"running\", \"epochs\": 3.5}",
                                         "{\"STATE\": \"running\"}" };
    put_last(2);
    put("best.safetensors", "");
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        cJSON *json = NULL;
        put("status.json", texts[i]);
        assert_int_equal(rundir_status_read(run.path, &json), OK);
        assert_string_equal(json_text(json, "state"), "stopped");
        cJSON_Delete(json);
    }
}

static void unwritable(void **state)
{
    (void)state;
    char out[160], *overrides[] = { out };
    snprintf(out, sizeof out, "out=%s/file/runs", folder);
    char path[160];
    snprintf(path, sizeof path, "%s/file", folder);
    assert_int_equal(file_replace(path, "", 0), OK);
    config *other = NULL;
    rundir r;
    assert_int_equal(config_load(NULL, overrides, 1, &other), OK);
    assert_int_equal(rundir_create(other, &fake, 0, NULL, &r), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "/file: a file of this name is there"));
    config_free(other);
}

static char choices_seen[2][4096];

static status fake_load(backend *b, const char *path)
{
    (void)b;
    snprintf(choices_seen[0], sizeof choices_seen[0], "%s", path);
    return OK;
}

static status fake_save(const backend *b, const char *path)
{
    (void)b;
    snprintf(choices_seen[1], sizeof choices_seen[1], "%s", path);
    return OK;
}

/* A resumed run loads what the run that began it saved. */
static void what_a_device_chose_stays_with_the_run(void **state)
{
    (void)state;
    file_path expected;
    backend choosy = fake;
    const backend_tuning tuning = { .load = fake_load, .save = fake_save };
    choosy.tuning = &tuning;
    assert_int_equal(rundir_create(cfg, &choosy, 0, NULL, &run), OK);
    assert_int_equal(rundir_load_tuning(&run, &choosy), OK);
    assert_int_equal(rundir_file(&run, "algorithms.txt", &expected), OK);
    assert_string_equal(choices_seen[0], expected.s);
    assert_string_equal(choices_seen[1], expected.s);
    assert_int_equal(rundir_load_tuning(&run, &fake), OK); /* a device that chooses nothing */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place),
        cmocka_unit_test(create),
        cmocka_unit_test(metrics),
        cmocka_unit_test(not_finite),
        cmocka_unit_test(half_lines),
        cmocka_unit_test(nul_bytes),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(status_file),
        cmocka_unit_test(the_last_checkpoint_decides_whether_a_run_is_done),
        cmocka_unit_test(a_strange_status),
        cmocka_unit_test(unwritable),
        cmocka_unit_test(what_a_device_chose_stays_with_the_run),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
