/* tools/prune.c -- prune RUN|CKPT: cuts the units that no longer separate the classes, then fine-tunes. */
#include "../core/base/claim.h"
#include "../core/base/file.h"
#include "../core/base/json.h"
#include "../core/base/lock.h"
#include "../core/base/log.h"
#include "../core/base/stop.h"
#include "../graph/analysis.h"
#include "../prune/accuracy.h"
#include "../prune/curve.h"
#include "../prune/finetune.h"
#include "../prune/result.h"
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool dry_run, wait_given;
static const char *analysis_given;
static const cli_option options[] = {
    { "--dry-run", NULL, "say what would go and what it saves; train nothing", &dry_run, NULL },
    { "--analysis", "DIR", "decide by DIR/analysis.json instead, as it is", NULL, &analysis_given },
    { "--wait", NULL, "if another process works in the new run, wait until it has finished", &wait_given,
      NULL },
};
static const cli_tool tool = {
    .name = "prune",
    .synopsis = "RUN|CKPT [key=value ...] [--dry-run] [--analysis DIR] [--wait]",
    .about =
        "Finds the units of a trained net that no longer pull the classes apart (Criterion I of\n"
        "[Yang23], on the curve of RUN/analysis/analysis.json, which is made if missing), takes them\n"
        "out, and fine-tunes what is left in a new run OUT/NAME-pruned-HASH-sSEED; the result is its\n"
        "prune.json. A prune that was stopped goes on when the same command is given again.\n"
        "net.remove=[...] cuts exactly the units named; prune.count=N cuts N units, those that gain least;\n"
        "prune.metric=random, last or cka cuts as many as Criterion I would by M, to compare with. Where "
        "nothing can be cut there is no new run,\n"
        "and prune.json goes to the analysis.",
    .examples = "  prune runs/demo-1a2b3c4d-s0 --dry-run\n"
                "  prune runs/demo-1a2b3c4d-s0 prune.epochs=30\n"
                "  prune runs/demo-1a2b3c4d-s0 prune.metric=lu prune.max_cut=2\n"
                "  prune runs/demo-1a2b3c4d-s0 prune.metric=random prune.seed=1\n"
                "  prune runs/demo-1a2b3c4d-s0 'net.remove=[layer3.1, layer3.2]'\n",
    .options = options,
    .n_options = 3,
    .needs_subject = true,
};

typedef struct session { /* everything one prune needs, released at once */
    const cli *args;
    cli_subject subject;
    config *parent; /* the subject as it is */
    config *asked;  /* with net.remove of the command line; NULL: the criterion decides */
    config *pruned; /* of the new run */
    file_path analysis_dir;
    dataset train, test;
    net *net; /* the parent's graph, never compiled */
    choice choice;
    rundir run;
    dir_lock lock; /* on the new run */
} session;

static void close_session(session *s)
{
    choice_free(&s->choice);
    net_free(s->net);
    dataset_free(&s->train);
    dataset_free(&s->test);
    config_free(s->pruned);
    config_free(s->asked);
    config_free(s->parent);
    lock_release(&s->lock);
}

static bool starts_with(const char *text, const char *start)
{
    return !strncmp(text, start, strlen(start));
}

static bool has_override(const cli *args, const char *start)
{
    for (int i = 0; i < args->n_overrides; i++)
        if (starts_with(args->overrides[i], start)) return true;
    return false;
}

/* net.remove= on the command line means units to cut now; the parent has those of its checkpoint only. */
static status read_configs(session *s)
{
    status st = OK;
    cli plain = *s->args;
    plain.overrides = NULL;
    if (has_override(s->args, "net="))
        FAIL(ERR_USAGE, "net=...: say net.remove=[...] for the units to cut, net.KEY=VALUE for the rest");
    TRY_ALLOC(plain.overrides, calloc((size_t)s->args->n_overrides + 1, sizeof *plain.overrides));
    plain.n_overrides = 0;
    for (int i = 0; i < s->args->n_overrides; i++)
        if (!starts_with(s->args->overrides[i], "net.remove="))
            plain.overrides[plain.n_overrides++] = s->args->overrides[i];
    TRY(cli_subject_config(&plain, &s->subject, &s->parent));
    if (plain.n_overrides < s->args->n_overrides) TRY(cli_subject_config(s->args, &s->subject, &s->asked));
out:
    free(plain.overrides);
    return st;
}

static status prepare(session *s)
{
    status st = OK;
    TRY(cli_subject_find(s->args->subject, &s->subject));
    TRY(read_configs(s));
    TRY(cli_subject_dir(&s->subject, s->parent, analysis_given, "analysis", &s->analysis_dir));
    TRY(net_from_config(s->parent, &s->net));
out:
    return st;
}

static status choose(session *s)
{
    status st = OK;
    cJSON *curve = NULL;
    if (s->asked) {
        TRY(choose_by_hand(s->net, s->asked->net.remove, s->asked->net.remove_count, &s->choice));
    } else if (analysis_given) {
        TRY(curve_read(s->parent, s->analysis_dir.s, &curve));
        TRY(choose_by_curve(s->net, curve, s->parent, &s->choice));
    } else {
        if (choose_needs_analysis(&s->parent->prune))
            TRY(curve_analysis(s->parent, s->subject.checkpoint, s->analysis_dir.s, &s->test, &curve));
        TRY(choose_by_curve(s->net, curve, s->parent, &s->choice));
    }
    choice_log(&s->choice);
out:
    cJSON_Delete(curve);
    return st;
}

/* ---- results ---- */

/* To stderr, to `dir`/prune.json (dir NULL: no file), and to stdout with --json. */
static status publish(const session *s, const prune_result *r, const char *dir)
{
    status st = OK;
    cJSON *j = NULL;
    file_path path;
    prune_result_log(r);
    TRY(prune_result_json(r, &j));
    if (dir) {
        TRY(file_make_dirs(dir));
        TRY(path_set(&path, "%s/prune.json", dir));
        TRY(json_write(path.s, j));
        log_info("written to %s", path.s);
    }
    TRY(cli_print_json(s->args, j));
out:
    cJSON_Delete(j);
    return st;
}

/* An earlier prune of the same parent with the same cut has finished: its prune.json is the result. */
static status show_finished(const session *s, const char *path)
{
    status st = OK;
    cJSON *j = json_read_if_any(path);
    if (!cJSON_IsString(cJSON_GetObjectItem(j, "arch")) || !cJSON_IsArray(cJSON_GetObjectItem(j, "removed")))
        FAIL(ERR_DATA, "%s: not the result of a prune; remove it to prune again", path);
    log_info("this prune is finished: %s", path);
    TRY(cli_print_json(s->args, j));
out:
    cJSON_Delete(j);
    return st;
}

/* ---- the work ---- */

static status measure_accuracy(session *s, const config *c, double *out)
{
    status st = OK;
    accuracy a;
    TRY(accuracy_measure(c, s->subject.checkpoint, &s->test, &a, NULL));
    if (c == s->parent) {
        TRY(accuracy_check(&a, s->subject.checkpoint));
        log_info("accuracies on %s", a.why);
    }
    *out = a.top1;
out:
    return st;
}

/* What needs no training: costs and accuracies before and right after the cut. */
static status measure(session *s, prune_result *r)
{
    status st = OK;
    TRY(cost_measure(s->parent, &r->before));
    TRY(cost_measure(s->pruned, &r->after));
    if (!s->test.n) goto out; /* a dry run by hand without the data */
    TRY(measure_accuracy(s, s->parent, &r->accuracy_before));
    TRY(measure_accuracy(s, s->pruned, &r->accuracy_cut));
out:
    return st;
}

static status nothing_to_cut(session *s, prune_result *r)
{
    status st = OK;
    char why[1600];
    const bool able = choice_why_none(&s->choice, why, sizeof why);
    const claim earlier = { "prune.json", "removed", "" };
    if (!dry_run) TRY(analysis_may_write(s->analysis_dir.s));
    if (!dry_run) TRY(claim_check(&earlier, s->analysis_dir.s));
    log_info("nothing to cut: %s", why);
    log_info("there is no new run%s", able ? "; prune.count=N cuts the N units that gain least" : "");
    TRY(cost_measure(s->parent, &r->before));
    r->after = r->before;
    if (s->test.n) TRY(measure_accuracy(s, s->parent, &r->accuracy_before));
    r->accuracy_cut = r->accuracy_before;
    TRY(publish(s, r, dry_run ? NULL : s->analysis_dir.s));
out:
    return st;
}

static status train_pruned(session *s, prune_result *r)
{
    status st = OK;
    fit_result result;
    const finetune_job job = { s->pruned, s->subject.checkpoint, &s->choice,   &s->train,
                               &s->test,  s->args->argc,         s->args->argv };
    TRY(finetune(&job, &s->run, &result));
    if (result.epochs > 0) {
        r->accuracy_after = result.best_accuracy;
        r->accuracy_last = result.last_accuracy;
    }
    r->run = s->run.path;
    TRY(publish(s, r, s->run.path));
out:
    return st;
}

static status prune(session *s)
{
    status st = OK;
    file_path finished;
    prune_result r = { .arch = s->parent->net.arch, .parent = s->subject.checkpoint, .choice = &s->choice };
    r.accuracy_before = r.accuracy_cut = r.accuracy_after = r.accuracy_last = NAN;
    TRY(choose(s));
    if (s->choice.n_cut == 0) {
        TRY(nothing_to_cut(s, &r));
        goto out;
    }
    TRY(finetune_config(s->parent, s->subject.checkpoint, &s->choice, &s->pruned));
    TRY(rundir_path(s->pruned, &s->run));
    TRY(rundir_may_write(&s->run));
    TRY(rundir_file(&s->run, "prune.json", &finished));
    if (!dry_run) TRY(lock_take(s->run.path, wait_given, &s->lock));
    if (!dry_run && file_exists(finished.s)) {
        TRY(show_finished(s, finished.s));
        goto out;
    }
    TRY(measure(s, &r));
    TRY(dry_run ? publish(s, &r, NULL) : train_pruned(s, &r));
out:
    return st;
}

/* A dry run by hand can do without the images, and says so. */
static status open_data(session *s)
{
    status st = dataset_open(&s->parent->data, s->parent->net.classes, dry_run ? NULL : &s->train, &s->test);
    if (st == OK || !dry_run || !s->asked) return st;
    log_warn("no accuracies: %s", status_message());
    return OK;
}

static status work(const cli *args)
{
    status st = OK;
    session opened = { .args = args }, *s = &opened;
    stop_install();
    TRY(prepare(s));
    TRY(open_data(s));
    TRY(prune(s));
out:
    close_session(s);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
