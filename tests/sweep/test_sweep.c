/* tools/sweep/: what a sweep file says, the cases that follow, the tasks that they share. */
#include "../../core/base/file.h"
#include "../../core/base/json.h"
#include "../../core/base/log.h"
#include "../../tools/sweep/spec.h"
#include "../../tools/sweep/state.h"
#include "../../tools/sweep/tasks.h"
#include "../scratch.h"

#include <glob.h>
#include <math.h>
#include <time.h>

static sweep_spec spec;
static sweep_case *cases;
static unsigned n;
static sweep_plan plan;

static void reset(void)
{
    sweep_plan_free(&plan);
    sweep_cases_free(cases, n);
    sweep_spec_free(&spec);
    cases = NULL;
    n = 0;
}

/* Reads and expands; 0 overrides. */
static status expand(const char *yaml)
{
    reset();
    status st = sweep_spec_parse("s.yaml", yaml, &spec);
    return st == OK ? sweep_expand(&spec, NULL, 0, &cases, &n) : st;
}

static status make(const char *yaml)
{
    status st = expand(yaml);
    return st == OK ? sweep_plan_make(&spec, NULL, 0, cases, n, &plan) : st;
}

static void assert_ok(status st)
{
    if (st != OK) fail_msg("%s", status_message());
}

static void assert_fails(status got, status want, const char *part)
{
    assert_int_equal(got, want);
    if (!strstr(status_message(), part)) fail_msg("\"%s\" is not in: %s", part, status_message());
}

static void assert_case(unsigned i, const char *key, const char *want)
{
    char *text = NULL;
    assert_true(i < n);
    assert_ok(sweep_case_get(&cases[i], key, &text));
    assert_string_equal(text, want);
    free(text);
}

static void a_grid_counts_like_digits(void **state)
{
    (void)state;
    assert_ok(expand("grid:\n  net.arch: [resnet20, resnet56]\n  seed: [0, 1, 2]\n"));
    assert_int_equal(n, 6);
    for (unsigned i = 0; i < n; i++) {
        char seed[4];
        snprintf(seed, sizeof seed, "%u", i % 3);
        assert_case(i, "net.arch", i < 3 ? "resnet20" : "resnet56");
        assert_case(i, "seed", seed);
        assert_string_equal(cases[i].cfg->name, cases[i].cfg->net.arch); /* nothing else names it */
        assert_string_equal(cases[i].cfg->out, "runs/s");
    }
}

static void without_a_grid_there_is_one_case(void **state)
{
    (void)state;
    assert_ok(expand("name: solo\nset: {train: {lr: 1e-2, epochs: 3}, name: mine}\n"));
    assert_int_equal(n, 1);
    assert_case(0, "train.lr", "0.01");
    assert_case(0, "train.epochs", "3");
    assert_string_equal(cases[0].cfg->name, "mine");
    assert_string_equal(cases[0].cfg->out, "runs/solo");
}

static void extra_cases_and_excludes(void **state)
{
    (void)state;
    assert_ok(expand("set: {train.epochs: 9}\n"
                     "grid: {train: {lr: [0.1, 0.01]}, seed: [0, 1]}\n"
                     "cases:\n"
                     "  - {net.arch: vgg16_bn, seed: [5, 6]}\n" /* a product of its own */
                     "  - {train.lr: 0.1, seed: 1}\n"           /* in the grid already */
                     "exclude:\n"
                     "  - {train.lr: 1.0e-2, seed: [1, 2]}\n"
                     "  - {net.arch: vgg16_bn, seed: 6}\n"));
    assert_int_equal(n, 4);
    static const char *const want[][3] = { { "resnet56", "0.1", "0" },
                                           { "resnet56", "0.1", "1" },
                                           { "resnet56", "0.01", "0" },
                                           { "vgg16_bn", "0.01", "5" } };
    for (unsigned i = 0; i < n; i++) {
        assert_case(i, "net.arch", want[i][0]);
        assert_case(i, "train.lr", want[i][1]);
        assert_case(i, "seed", want[i][2]);
        assert_case(i, "train.epochs", "9");
    }
}

static void keys_that_are_lists(void **state)
{
    (void)state;
    assert_ok(expand(
        "set: {train.milestones: [3, 4]}\ngrid:\n  net.remove: [[], [layer3.1], [layer3.1, layer3.2]]\n"));
    assert_int_equal(n, 3);
    assert_case(0, "net.remove", "[]");
    assert_case(1, "net.remove", "[layer3.1]");
    assert_case(2, "net.remove", "[layer3.1, layer3.2]");
    assert_case(2, "train.milestones", "[3, 4]");
    assert_int_equal(cases[2].cfg->net.remove_count, 2);
}

static void base_set_command_line_case(void **state)
{
    (void)state;
    char yaml[700];
    char *over[] = { "train.epochs=5", "train.momentum=0.5" };
    static const char text[] = "name: b\ntrain: {epochs: 3, batch: 7, lr: 0.5, momentum: 0.1}\n";
    const char *base = scratch_write("base.yaml", text, sizeof text - 1);
    snprintf(yaml, sizeof yaml, "base: %s\nset: {train.epochs: 4, train.lr: 0.25}\ngrid: {seed: [1, 2]}\n",
             base);
    reset();
    assert_ok(sweep_spec_parse("s.yaml", yaml, &spec));
    assert_ok(sweep_expand(&spec, over, 2, &cases, &n));
    assert_case(0, "train.batch", "7");
    assert_case(0, "train.lr", "0.25");
    assert_case(0, "train.epochs", "5");
    assert_case(1, "train.momentum", "0.5");
    char *clash[] = { "seed=3" };
    sweep_cases_free(cases, n);
    cases = NULL;
    n = 0;
    assert_fails(sweep_expand(&spec, clash, 1, &cases, &n), ERR_USAGE, "s.yaml:3 gives seed");
    char *out[] = { "out=elsewhere" };
    assert_fails(sweep_expand(&spec, out, 1, &cases, &n), ERR_USAGE, "out");
}

static void nulls_and_the_home_folder(void **state)
{
    (void)state;
    setenv("HOME", "/home/me", 1);
    assert_ok(expand("out: ~/sweeps\nname: null\nbase: ~\ngrid: {net.weights: [null, ~/w, 'null', '~']}\n"));
    assert_int_equal(n, 4);
    assert_string_equal(spec.name, "s");
    assert_string_equal(cases[0].cfg->out, "/home/me/sweeps");
    static const char *const want[] = { "", "/home/me/w", "null", "/home/me" };
    for (unsigned i = 0; i < n; i++) assert_string_equal(cases[i].cfg->net.weights, want[i]);
}

static void deep_nesting_is_refused_at_once(void **state)
{
    (void)state;
    static char yaml[262001];
    memset(yaml, '{', sizeof yaml - 1);
    assert_fails(expand(yaml), ERR_USAGE, "s.yaml:1: lists and mappings nest deeper than 32 levels");
}

/* What was quadratic in the number of cases took two minutes for these. */
static void thousands_of_cases(void **state)
{
    (void)state;
    char yaml[8000] = "set: {net.arch: resnet20}\ngrid: {train.epochs: [5], seed: [";
    size_t at = strlen(yaml);
    for (int i = 0; i < 500; i++) at += (size_t)snprintf(yaml + at, sizeof yaml - at, "%d, ", i);
    snprintf(yaml + at, sizeof yaml - at, "], train.batch: [64, 65, 66, 67]}\n");
    const clock_t start = clock();
    assert_ok(make(yaml));
    assert_int_equal(n, 2000);
    assert_int_equal(plan.n_tasks, 3 * 2000);
    assert_int_equal(plan.n_keys, 2); /* train.epochs does not differ */
    for (unsigned i = 0; i < plan.n_tasks; i++) assert_int_equal(sweep_plan_find(&plan, plan.task[i].id), i);
    assert_int_equal(sweep_plan_find(&plan, "none"), -1);
    assert_true(clock() - start < 30 * CLOCKS_PER_SEC);
}

static void mistakes_name_file_and_line(void **state)
{
    (void)state;
    static const struct {
        const char *yaml, *want;
    } bad[] = {
        { "grids: {seed: [0]}", "s.yaml:1: unknown key grids; known are" },
        { "grid:\n  train.lr: [0.1, fast]\n", "s.yaml:2: " },
        { "grid:\n  seed: [0]\n  train.epoch: [1]\n", "did you mean train.epochs?" },
        { "grid:\n  seed: [0, 1, 0]\n", "s.yaml:2: seed: the value 0 is given twice" },
        { "grid: {train.lr: [0.1, 1e-1]}\n", "given twice" },
        { "grid: {seed: []}", "no case would be left" },
        { "set: {seed: [1, 2]}", "s.yaml:1: seed: expected one value" },
        { "set: {out: x}", "out: the folder of all runs is the sweep's own key" },
        { "set: {train.lr: 1}\nset: {seed: 1}", "s.yaml:2: set: given twice" },
        { "set: {train.lr: 1, train: {lr: 2}}", "train.lr: given twice" },
        { "stages: [train, test]", "stages: expected a list of train, analyze, prune" },
        { "launcher: pbs", "launcher: expected local or slurm" },
        { "local: {jobs: many}", "local.jobs: expected a whole number" },
        { "local: {cores: 1}", "local: unknown key cores" },
        { "slurm: {sbatch: [--array=0-3]}", "--array=0-3 is the launcher's own" },
        { "slurm: {sbatch: [--arr=0-3]}",
          "--arr=0-3 is the launcher's own" }, /* sbatch takes abbreviations */
        { "slurm: {sbatch: [--wra=id]}", "--wra=id is the launcher's own" },
        { "slurm: {sbatch: [-Holog.txt]}", "-Holog.txt is the launcher's own" },
        { "slurm: {sbatch: [--]}", "-- is the launcher's own" },
        { "slurm: {sbatch: [partition]}", "expected an option of sbatch" },
        { "name: ../x", "name: expected letters" },
        { "- 1\n", "expected keys" },
        { "grid: [", "s.yaml:2: not YAML" },
        { "", "expected keys" },
        { "cases: {seed: 1}", "cases: expected a list" },
        { "grid: {net.arch: [resnet20, resnet21]}", "case net.arch=resnet21: net.arch: unknown net" },
        { "grid: {net.remove: [[layer2.0]]}", "layer2.0" },
        { "exclude: [{seed: 0}]", "no case is left" },
        { "base: nowhere.yaml", "nowhere.yaml" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_fails(expand(bad[i].yaml), ERR_USAGE, bad[i].want);
    reset();
    assert_fails(sweep_spec_read(scratch_path("none.yaml"), &spec), ERR_USAGE, "none.yaml");
}

/* ---- tasks ---- */

static int count(sweep_stage s)
{
    int k = 0;
    for (unsigned i = 0; i < plan.n_tasks; i++) k += plan.task[i].stage == s;
    return k;
}

static void cases_share_stages(void **state)
{
    (void)state;
    assert_ok(make("grid: {seed: [0, 1], analysis.k: [3, 5], prune.eps: [0.01, 0.02, 0.05]}\nset: {net.arch: "
                   "resnet20}\n"));
    assert_int_equal(plan.n_cases, 12);
    assert_int_equal(count(STAGE_TRAIN), 2);
    assert_int_equal(count(STAGE_ANALYZE), 4);
    assert_int_equal(count(STAGE_PRUNE), 12);
    for (unsigned i = 0; i < plan.n_tasks; i++) {
        const sweep_task *t = &plan.task[i];
        assert_true(t->parent < (int)i); /* parents first */
        if (t->stage == STAGE_TRAIN) continue;
        assert_int_equal(plan.task[t->parent].stage, t->stage - 1);
        assert_string_equal(plan.task[t->parent].run, t->run);
    }
    /* The analysis with the settings of the base is where other tools look for it. */
    const sweep_task *first = &plan.task[plan.cases[0].task[STAGE_ANALYZE]];
    assert_string_equal(first->analysis, "analysis");
    assert_int_equal(strncmp(plan.task[plan.cases[3].task[STAGE_ANALYZE]].analysis, "analysis-", 9), 0);
    assert_string_equal(first->command[0], "analyze");
}

static void a_stage_brings_those_it_needs(void **state)
{
    (void)state;
    assert_ok(make("stages: [analyze]\ngrid: {seed: [0, 1]}\n"));
    assert_int_equal(plan.n_tasks, 4);
    assert_ok(make("stages: train\ngrid: {seed: [0, 1]}\n"));
    assert_int_equal(plan.n_tasks, 2);
    assert_int_equal(plan.cases[0].task[STAGE_PRUNE], -1);
}

static void fine_tuning_has_settings_of_its_own(void **state)
{
    (void)state;
    assert_ok(make("set: {finetune: {train.lr: 0.001}}\ngrid: {finetune.train.warmup: [0, 1]}\n"));
    assert_int_equal(count(STAGE_TRAIN), 1);
    assert_int_equal(count(STAGE_PRUNE), 2);
    const sweep_task *t = &plan.task[plan.cases[1].task[STAGE_PRUNE]];
    bool lr = false, warmup = false;
    for (unsigned i = 0; i < t->n_command; i++) {
        lr |= !strcmp(t->command[i], "train.lr=0.001");
        warmup |= !strcmp(t->command[i], "train.warmup=1");
    }
    assert_true(lr && warmup);
    assert_true(plan.cases[0].cfg->train.lr == 0.01f);
    char *text;
    assert_ok(planned_case_get(&plan, 1, "finetune.train.warmup", &text));
    assert_string_equal(text, "1");
    free(text);
}

static void cases_that_would_be_one_run(void **state)
{
    (void)state;
    assert_fails(make("stages: [train]\ngrid: {prune.eps: [0.01, 0.02]}"), ERR_USAGE,
                 "differ only in prune.eps");
    assert_fails(make("grid: {device: [cpu, ref]}"), ERR_USAGE, "differ only in device");
    assert_fails(make("grid: {analysis.k: [3, 5]}\nset: {analysis.every: 1}"), ERR_USAGE, "analysis.every");
    assert_fails(make("set: {prune.metric: cka}"), ERR_USAGE, "needs analysis.cka");
    assert_ok(make("set: {prune.metric: cka, analysis.cka: 100}"));
}

/* The directory is the one that train itself would take for this configuration. */
static void names_do_not_change(void **state)
{
    (void)state;
    char yaml[700], *copy;
    assert_ok(make("set: {net.arch: resnet20, train.epochs: 3}\ngrid: {seed: [4]}\n"));
    copy = strdup(plan.task[2].id);
    assert_non_null(copy);
    assert_ok(make("set: {train.epochs: 3, net.arch: resnet20, threads: 2}\ngrid: {seed: [3, 4], prune.eps: "
                   "[0.1, 0.01]}\n"));
    assert_true(sweep_plan_find(&plan, copy) >= 0);
    free(copy);
    snprintf(yaml, sizeof yaml, "out: %s\nset: {net.arch: resnet20}\n", scratch_path("p"));
    assert_ok(make(yaml));
    assert_ok(file_make_dirs(plan.dir));
    assert_ok(sweep_plan_write(&plan));
    config *c;
    file_path path;
    assert_ok(task_path(&plan, 0, "config.yaml", &path));
    assert_ok(config_load(path.s, NULL, 0, &c));
    char hash[9], run[64];
    assert_ok(config_hash(c, hash));
    snprintf(run, sizeof run, "resnet20-%s-s0", hash);
    assert_string_equal(plan.task[0].run, run);
    config_free(c);
}

/* The first task of the file with another member (of a list its first entry) is refused; then the file is as before. */
static void tampered(const char *path, const char *key, cJSON *value)
{
    sweep_plan back;
    cJSON *j = NULL, *original;
    assert_ok(json_read(path, &j));
    original = cJSON_Duplicate(j, true);
    cJSON *task = cJSON_GetArrayItem(cJSON_GetObjectItem(j, "tasks"), 0),
          *list = cJSON_GetObjectItem(task, key);
    if (cJSON_IsArray(list))
        cJSON_ReplaceItemInArray(list, 0, value);
    else
        cJSON_ReplaceItemInObject(task, key, value);
    assert_ok(json_write(path, j));
    assert_fails(sweep_plan_read(plan.dir, &back), ERR_DATA, "task 1 is not one that sweep writes");
    assert_ok(json_write(path, original));
    cJSON_Delete(j);
    cJSON_Delete(original);
}

static void a_plan_comes_back_from_its_file(void **state)
{
    (void)state;
    char yaml[700];
    sweep_plan back;
    snprintf(yaml, sizeof yaml,
             "out: %s\nset: {finetune.train.lr: 0.5}\ngrid: {seed: [0, 1], 'data.path': [\"a b: 'c'\", d]}\n",
             scratch_path("plan"));
    assert_ok(make(yaml));
    assert_ok(file_make_dirs(plan.dir));
    assert_ok(sweep_plan_write(&plan));
    assert_ok(sweep_plan_read(plan.dir, &back));
    assert_int_equal(back.n_cases, plan.n_cases);
    assert_int_equal(back.n_tasks, plan.n_tasks);
    assert_int_equal(back.n_keys, 2);
    for (unsigned i = 0; i < back.n_tasks; i++) {
        const sweep_task *a = &plan.task[i], *b = &back.task[i];
        assert_string_equal(a->id, b->id);
        assert_int_equal(a->parent, b->parent);
        assert_int_equal(a->n_command, b->n_command);
        for (unsigned k = 0; k < a->n_command; k++) assert_string_equal(a->command[k], b->command[k]);
    }
    for (unsigned i = 0; i < back.n_cases; i++) {
        char a[512], b[512];
        planned_case_label(&plan, i, a, sizeof a);
        planned_case_label(&back, i, b, sizeof b);
        assert_string_equal(a, b);
        assert_string_equal(plan.cases[i].cfg->data.path, back.cases[i].cfg->data.path);
        assert_int_equal(memcmp(plan.cases[i].task, back.cases[i].task, sizeof plan.cases[i].task), 0);
    }
    assert_string_equal(back.cases[0].cfg->data.path, "a b: 'c'");
    sweep_plan_free(&back);

    /* Half a file, somebody else's file, no file: an error, never a crash. */
    char path[600], *text;
    size_t bytes;
    snprintf(path, sizeof path, "%s/sweep.json", plan.dir);
    assert_ok(file_read(path, &text, &bytes));
    for (size_t cut = 0; cut < bytes - 2; cut += 97) {
        assert_ok(file_replace(path, text, cut));
        assert_int_equal(sweep_plan_read(plan.dir, &back), ERR_DATA);
    }
    assert_ok(file_replace(path, text, bytes));
    tampered(path, "command", cJSON_CreateString("../../../bin/sh"));
    tampered(path, "command", cJSON_CreateString("analyze")); /* a tool, but not the stage's */
    tampered(path, "id", cJSON_CreateString(".."));
    tampered(path, "run", cJSON_CreateString("../elsewhere"));
    tampered(path, "run", cJSON_CreateString(".."));
    tampered(path, "epochs", cJSON_CreateNumber(1e300));
    tampered(path, "epochs", cJSON_CreateNull());
    tampered(path, "threads", cJSON_CreateNumber(-1));
    tampered(path, "threads", cJSON_CreateNumber(1.5));
    assert_ok(sweep_plan_read(plan.dir, &back));
    sweep_plan_free(&back);
    free(text);
    assert_ok(file_replace(path, "{\"last\": \"prune\", \"cases\": [{}]}", 32));
    assert_fails(sweep_plan_read(plan.dir, &back), ERR_DATA, "case 1 is not one that sweep writes");
    assert_fails(sweep_plan_read(scratch, &back), ERR_DATA, "not the folder of a sweep");
}

/* status.json of a run may hold anything; what does not fit an int counts as not there. */
static void numbers_of_a_run_that_do_not_fit(void **state)
{
    (void)state;
    char yaml[700];
    file_path path;
    task_info info;
    snprintf(yaml, sizeof yaml, "out: %s\nset: {train.epochs: 7}\n", scratch_path("odd"));
    assert_ok(make(yaml));
    static const char *const odd[] = { "1e300", "-1e300", "null", "1e999", "0.5", "-1" };
    for (size_t i = 0; i < sizeof odd / sizeof *odd; i++) {
        char text[200];
        snprintf(text, sizeof text, "{\"epoch\": %s, \"epochs\": %s, \"pid\": %s}", odd[i], odd[i], odd[i]);
        assert_ok(task_run_path(&plan, 0, "", &path));
        assert_ok(file_make_dirs(path.s));
        assert_ok(task_run_path(&plan, 0, "status.json", &path));
        assert_ok(file_replace(path.s, text, strlen(text)));
        task_look(&plan, 0, &info);
        assert_int_equal(info.epoch, 0);
        assert_int_equal(info.epochs, 7);
    }
    assert_string_equal(sweep_duration(NAN).s, "-");
    assert_string_equal(sweep_duration(1e300).s, "-");
    assert_string_equal(sweep_duration(-1).s, "-");
    assert_string_equal(sweep_duration(3661).s, "1:01:01");
}

static void every_sweep_of_configs(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        unsigned cases;
        int trainings, analyses, prunings;
    } want[] = {
        { "configs/sweeps/table1.yaml", 48, 24, 24, 48 },
        { "configs/sweeps/ablation-k-n.yaml", 50, 2, 50, 0 },
        { "configs/sweeps/seeds.yaml", 3, 3, 3, 0 },
        { "configs/sweeps/prune-thresholds.yaml", 8, 1, 1, 8 },
    };
    glob_t files;
    assert_int_equal(glob("configs/sweeps/*.yaml", 0, NULL, &files), 0);
    assert_int_equal(files.gl_pathc, sizeof want / sizeof *want);
    globfree(&files);
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        reset();
        assert_ok(sweep_spec_read(want[i].path, &spec));
        assert_ok(sweep_expand(&spec, NULL, 0, &cases, &n));
        assert_ok(sweep_plan_make(&spec, NULL, 0, cases, n, &plan));
        assert_int_equal(plan.n_cases, want[i].cases);
        assert_int_equal(count(STAGE_TRAIN), want[i].trainings);
        assert_int_equal(count(STAGE_ANALYZE), want[i].analyses);
        assert_int_equal(count(STAGE_PRUNE), want[i].prunings);
    }
}

static int teardown(void **state)
{
    reset();
    return scratch_teardown(state);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_grid_counts_like_digits),
        cmocka_unit_test(without_a_grid_there_is_one_case),
        cmocka_unit_test(extra_cases_and_excludes),
        cmocka_unit_test(keys_that_are_lists),
        cmocka_unit_test(base_set_command_line_case),
        cmocka_unit_test(deep_nesting_is_refused_at_once),
        cmocka_unit_test(thousands_of_cases),
        cmocka_unit_test(numbers_of_a_run_that_do_not_fit),
        cmocka_unit_test(nulls_and_the_home_folder),
        cmocka_unit_test(mistakes_name_file_and_line),
        cmocka_unit_test(cases_share_stages),
        cmocka_unit_test(a_stage_brings_those_it_needs),
        cmocka_unit_test(fine_tuning_has_settings_of_its_own),
        cmocka_unit_test(cases_that_would_be_one_run),
        cmocka_unit_test(names_do_not_change),
        cmocka_unit_test(a_plan_comes_back_from_its_file),
        cmocka_unit_test(every_sweep_of_configs),
    };
    return cmocka_run_group_tests(tests, scratch_setup, teardown);
}
