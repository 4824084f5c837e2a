/* tools/analyze.c -- analyze RUN|CKPT: how far the classes have come apart at each layer. */
#include "../core/base/file.h"
#include "../core/base/json.h"
#include "../core/base/lock.h"
#include "../core/base/log.h"
#include "../core/base/stop.h"
#include "../graph/analysis.h"
#include "../nets/checkpoint.h"
#include "../nets/experiment.h"
#include "cli.h"

static bool no_pictures, wait_given;
static const char *into;
static const cli_option options[] = {
    { "--no-pictures", NULL, "write numbers only", &no_pictures, NULL },
    { "--into", "DIR", "write here instead, so that several analyses of a run stand side by side", NULL,
      &into },
    { "--wait", NULL, "if another process writes there, wait until it has finished", &wait_given, NULL },
};
static const cli_tool tool = {
    .name = "analyze",
    .synopsis = "RUN|CKPT [key=value ...] [--no-pictures] [--into DIR] [--wait]",
    .about =
        "Measures at each layer of a trained net how similar the test images are, and how well the graph\n"
        "of the most similar ones splits into the classes: M [Yang et al. 2023], Q [Lu et al. 2022].\n"
        "Writes RUN/analysis/, or OUT/CKPTNAME-analysis/ for a bare checkpoint; the folder must be new, "
        "empty,\n"
        "or that of an earlier analysis, which is replaced. A file with weights only,\n"
        "made by PyTorch, needs net.arch= and the normalisation it was trained with. analysis.cka=N adds\n"
        "the likeness of every two layers, analysis.features=N the activations themselves.",
    .examples = "  analyze runs/demo-1a2b3c4d-s0\n"
                "  analyze runs/demo-1a2b3c4d-s0 analysis.hooks=conv analysis.norm=literal\n"
                "  analyze runs/demo-1a2b3c4d-s0 --into runs/demo-k5 analysis.k=5 analysis.cka=1000\n"
                "  analyze resnet20.safetensors net.arch=resnet20 analysis.memory=2G --json\n",
    .options = options,
    .n_options = 3,
    .needs_subject = true,
};

typedef struct session { /* everything one analysis needs, released at once */
    const cli *args;
    cli_subject subject;
    config *cfg;
    experiment e;
    analyser *analyser;
    analysis result;
    dir_lock lock;
} session;

static void close_session(session *s)
{
    analysis_free(&s->result);
    analyser_free(s->analyser);
    experiment_close(&s->e);
    config_free(s->cfg);
    lock_release(&s->lock);
}

/* A net with taps, compiled for one evaluation batch, with the checkpoint's values. */
static status prepare(session *s)
{
    status st = OK;
    experiment *e = &s->e;
    TRY(experiment_open(s->cfg, OPEN_TEST_SET, e));
    log_info("device %s: %s", e->why, e->device->description);
    TRY(analyser_create(e->net, s->cfg, &s->analyser));
    const net_case evaluation = { .batch = analysis_batch(s->cfg, &e->test) };
    TRY(experiment_compile(e, &evaluation, 1));
    TRY(checkpoint_read(e->net, s->subject.checkpoint));
out:
    return st;
}

static void print_table(const analysis *a, const char *dir)
{
    log_info("%-24s %8s %8s %8s %8s %8s", "layer", "dim", "M", "r", "Q", "isolated");
    for (int l = 0; l < a->n_layers; l++) {
        const layer_analysis *x = &a->layer[l];
        log_info("%-24s %8lld %8.4f %8.4f %8.4f %8d", x->name, (long long)x->dim, x->yang.M, x->yang.r,
                 x->lu.mean, x->yang.isolated);
    }
    log_info("%d images, %lld edges, norm %s; written to %s", a->samples, (long long)a->edges,
             config_choice("analysis.norm", a->norm), dir);
}

static status print_result(const session *s)
{
    status st = OK;
    cJSON *j;
    TRY_ALLOC(j, analysis_json(&s->result));
    TRY(cli_print_json(s->args, j));
out:
    cJSON_Delete(j);
    return st;
}

/* For TensorBoard: beside the events of the training, or, for a bare checkpoint, in the folder of the analysis. The step is
 * the checkpoint's epoch, counted from 0 like the training's. */
static status write_events(const session *s, const char *dir)
{
    status st = OK;
    events list = { 0 };
    st_file file = { 0 };
    checkpoint_info info = { 0 };
    file_path path;
    TRY(st_open(s->subject.checkpoint, &file));
    TRY(checkpoint_info_read(&file, s->subject.checkpoint, &info));
    TRY(path_set(&path, "%s/%s", *s->subject.run ? s->subject.run : dir, EVENTS_ANALYSIS));
    TRY(analysis_events(&s->result, dir, info.epoch > 0 ? info.epoch - 1 : 0, &list));
    TRY(events_replace(&list, path.s));
out:
    checkpoint_info_free(&info);
    st_close(&file);
    events_free(&list);
    return st;
}

static status work(const cli *args)
{
    status st = OK;
    session opened = { .args = args }, *s = &opened;
    const experiment *e = &s->e;
    file_path dir, features;
    TRY(cli_subject_find(s->args->subject, &s->subject));
    TRY(cli_subject_config(s->args, &s->subject, &s->cfg));
    TRY(cli_subject_dir(&s->subject, s->cfg, into, "analysis", &dir));
    stop_install();
    /* before the work, so that a folder that cannot be made, or is not an analysis' own, fails at once */
    TRY(analysis_may_write(dir.s));
    TRY(lock_take(dir.s, wait_given, &s->lock));
    TRY(prepare(s));
    TRY(path_set(&features, "%s/features", dir.s));
    analyser_export(s->analyser, features.s);
    if (s->cfg->analysis.features > 0) TRY(analysis_begin(dir.s)); /* they are written before the rest */
    TRY(analysis_run(s->analyser, CASE_EVAL, net_batch(e->net, CASE_EVAL), &e->test, s->subject.checkpoint,
                     &s->result));
    TRY(analysis_write(&s->result, dir.s, !no_pictures));
    TRY(write_events(s, dir.s));
    print_table(&s->result, dir.s);
    TRY(print_result(s));
out:
    close_session(s);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
