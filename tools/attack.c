/* tools/attack.c -- attack RUN|CKPT: test images changed a little, so that the net misclassifies them. */
#include "../nets/attack.h"
#include "../core/base/claim.h"
#include "../core/base/json.h"
#include "../core/base/lock.h"
#include "../core/base/log.h"
#include "../core/base/minmax.h"
#include "../core/base/stop.h"
#include "../core/base/text.h"
#include "../nets/checkpoint.h"
#include "../nets/experiment.h"
#include "../nets/fit.h"
#include "cli.h"

static const char *into;
static const cli_option options[] = {
    { "--into", "DIR", "write the images there", NULL, &into },
};
static const cli_tool tool = {
    .name = "attack",
    .synopsis = "RUN|CKPT [key=value ...] [--into DIR]",
    .about = "Moves every pixel of the test images by at most attack.eps / 255 so that the loss of the net "
             "rises:\n"
             "FGSM [Goodfellow et al. 2015] in one step, PGD [Madry et al. 2018] in several. Writes the "
             "images, and\n"
             "attack.json with the accuracy before and after, into RUN/attack-KIND-EPS, or\n"
             "OUT/CKPTNAME-attack-KIND-EPS for a bare checkpoint: as CIFAR's files if they are 3 x 32 x 32 "
             "of 10 or\n"
             "100 classes, else as a folder of PNG files. analyze and evaluate take them by "
             "data.format=cifar10 (or\n"
             "cifar100, folder: attack.json says which) data.path=DIR.",
    .examples = "  attack runs/demo-1a2b3c4d-s0 attack.kind=pgd attack.eps=4 data.test_limit=1000\n"
                "  analyze runs/demo-1a2b3c4d-s0 --into runs/demo-pgd data.format=cifar10 \\\n"
                "      data.path=runs/demo-1a2b3c4d-s0/attack-pgd-4\n",
    .options = options,
    .n_options = 1,
    .needs_subject = true,
};

enum { CASE_FROZEN = CASE_TRAIN, MAX_BATCH = 128 };

typedef struct session { /* everything one attack needs, released at once */
    const cli *args;
    cli_subject subject;
    config *cfg;
    experiment e;
    dataset moved;
    int batch;
    double accuracy_clean, accuracy_attacked;
    file_path dir;
    dir_lock lock;
} session;

static const claim own = { "attack.json", "accuracy_attacked", "*" };

static void close_session(session *s)
{
    experiment_close(&s->e);
    dataset_free(&s->moved);
    config_free(s->cfg);
    lock_release(&s->lock);
}

static const char *kind_name(attack_kind kind)
{
    return config_choice("attack.kind", (int)kind);
}

/* attack-KIND-EPS of the run or the checkpoint */
static status find_dir(session *s)
{
    status st = OK;
    const config_attack *a = &s->cfg->attack;
    char what[64];
    TRY(text_format(what, sizeof what, "attack-%s-%d", kind_name(a->kind), a->eps));
    TRY(cli_subject_dir(&s->subject, s->cfg, into, what, &s->dir));
out:
    return st;
}

static status prepare(session *s)
{
    status st = OK;
    experiment *e = &s->e;
    TRY(experiment_open(s->cfg, OPEN_TEST_SET, e));
    log_info("device %s: %s", e->why, e->device->description);
    s->batch = min_int(min_int(s->cfg->train.batch, MAX_BATCH), e->test.n);
    const net_case cases[] = { [CASE_EVAL] = { .batch = s->batch },
                               [CASE_FROZEN] = { .batch = s->batch, .training = true, .frozen = true } };
    TRY(experiment_compile(e, cases, 2));
    TRY(checkpoint_read(e->net, s->subject.checkpoint));
out:
    return st;
}

static status measure(session *s, const dataset *set, double *accuracy)
{
    status st = OK;
    loss_stats stats;
    TRY(fit_evaluate(s->e.net, CASE_EVAL, &s->cfg->data, set, NET_NOT_KEPT, &stats, NULL));
    *accuracy = (double)stats.correct / (double)stats.rows;
out:
    return st;
}

static status result_json(const session *s, cJSON *j)
{
    status st = OK;
    const config_attack *a = &s->cfg->attack;
    TRY(json_put_text(j, "arch", s->cfg->net.arch));
    TRY(json_put_text(j, "checkpoint", s->subject.checkpoint));
    TRY(json_put_text(j, "path", s->dir.s));
    TRY(json_put_text(j, "format",
                      config_choice("data.format", dataset_written_as(s->moved.classes, s->moved.shape))));
    TRY(json_put_text(j, "kind", kind_name(a->kind)));
    TRY(json_put_number(j, "eps", a->eps));
    if (a->kind == ATTACK_PGD) {
        TRY(json_put_number(j, "step", a->step));
        TRY(json_put_number(j, "steps", a->steps));
        TRY(json_put_bool(j, "random_start", a->random_start));
    }
    TRY(json_put_number(j, "samples", s->e.test.n));
    TRY(json_put_number(j, "accuracy_clean", s->accuracy_clean));
    TRY(json_put_number(j, "accuracy_attacked", s->accuracy_attacked));
out:
    return st;
}

static status publish(const session *s)
{
    status st = OK;
    file_path path;
    cJSON *j;
    log_info("accuracy %.2f %%, under attack %.2f %% (%s, eps %d / 255, %d images); written to %s",
             100 * s->accuracy_clean, 100 * s->accuracy_attacked, kind_name(s->cfg->attack.kind),
             s->cfg->attack.eps, s->e.test.n, s->dir.s);
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(result_json(s, j));
    TRY(path_set(&path, "%s/attack.json", s->dir.s));
    TRY(json_write(path.s, j));
    TRY(cli_print_json(s->args, j));
out:
    cJSON_Delete(j);
    return st;
}

static status work(const cli *args)
{
    status st = OK;
    session opened = { .args = args }, *s = &opened;
    TRY(cli_subject_find(s->args->subject, &s->subject));
    TRY(cli_subject_config(s->args, &s->subject, &s->cfg));
    TRY(find_dir(s));
    TRY(claim_check(&own, s->dir.s));
    stop_install();
    TRY(lock_take(s->dir.s, false, &s->lock));
    TRY(prepare(s));
    const attack_job job = { s->e.net, CASE_FROZEN, s->batch, &s->cfg->data, &s->cfg->attack, s->cfg->seed };
    TRY(attack_run(&job, &s->e.test, &s->moved));
    TRY(measure(s, &s->e.test, &s->accuracy_clean));
    TRY(measure(s, &s->moved, &s->accuracy_attacked));
    TRY(claim_begin(&own, s->dir.s));
    TRY(dataset_write(&s->moved, s->dir.s));
    TRY(publish(s));
    claim_end(&own, s->dir.s);
out:
    close_session(s);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
