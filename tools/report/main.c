/* tools/report/main.c -- report RUN...: runs as one HTML file to look at. */
#include "../../core/base/claim.h"
#include "../../core/base/log.h"
#include "../cli.h"
#include "collect.h"
#include <stdio.h>
#include <stdlib.h>

static const char *out_path, *picks_text;
static bool still;
static const cli_option options[] = {
    { "--out", "FILE.html", "where to write; default: report.html in the first run", NULL, &out_path },
    { "--still", NULL, "still pictures and tables instead of the interactive page", &still, NULL },
    { "--images", "N", "how many test images to show in every layer, 1 to 200; default 20", NULL,
      &picks_text },
};
static const cli_tool tool = {
    .name = "report",
    .synopsis = "RUN... [key=value ...] [--out FILE.html] [--still] [--images N]",
    .about =
        "Writes one HTML file that opens from disk without a network: the net layer by layer with its costs\n"
        "and measured times, learning curves, M and Q with the criterion's decisions, similarity "
        "histograms,\n"
        "the ring graph of every layer, first-layer filters, activations of test images, and what pruning\n"
        "changed. Give a run and its pruned runs together to see them side by side.",
    .examples = "  report runs/demo-1a2b3c4d-s0\n"
                "  report runs/demo-1a2b3c4d-s0 runs/demo-pruned-5e6f7a8b-s0 --out demo.html\n"
                "  report runs/demo-1a2b3c4d-s0 data.path=/elsewhere/cifar10 device=cpu\n",
    .options = options,
    .n_options = 3,
    .needs_subject = true,
    .many_subjects = true,
};

typedef struct session {
    const cli *args;
    report report;
    cli_subject *subject; /* [report.n_runs] */
    config **cfg;         /* [report.n_runs] */
    file_path path;       /* of the page */
} session;

static void close_session(session *s)
{
    report_close(&s->report);
    for (int i = 0; s->cfg && i < s->report.n_runs; i++) config_free(s->cfg[i]);
    free(s->report.run);
    free(s->subject);
    free(s->cfg);
}

static status read_options(session *s)
{
    s->report.picks = 20;
    return cli_count("--images", picks_text, 1, 200, &s->report.picks);
}

static status find_runs(session *s)
{
    status st = OK;
    const cli *args = s->args;
    TRY_ALLOC(s->subject, calloc((size_t)args->n_subjects, sizeof *s->subject));
    TRY_ALLOC(s->cfg, calloc((size_t)args->n_subjects, sizeof(config *)));
    TRY_ALLOC(s->report.run, calloc((size_t)args->n_subjects, sizeof *s->report.run));
    s->report.n_runs = args->n_subjects;
    for (int i = 0; i < args->n_subjects; i++) {
        TRY(cli_subject_find(args->subjects[i], &s->subject[i]));
        if (!*s->subject[i].run) FAIL(ERR_DATA, "%s: not a run directory", args->subjects[i]);
        TRY(cli_subject_config(args, &s->subject[i], &s->cfg[i]));
        s->report.run[i] = (report_run){ .path = s->subject[i].run,
                                         .checkpoint = s->subject[i].checkpoint,
                                         .cfg = s->cfg[i] };
    }
    if (out_path)
        TRY(path_set(&s->path, "%s", out_path));
    else
        TRY(path_set(&s->path, "%s/report.html", s->subject[0].run));
out:
    return st;
}

static status print_result(const session *s, bool interactive)
{
    status st = OK;
    cJSON *j = NULL;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "report", s->path.s));
    TRY(json_put_bool(j, "interactive", interactive));
    TRY(json_put_number(j, "runs", s->report.n_runs));
    TRY(json_put(j, "notes", cJSON_Duplicate(s->report.notes, true)));
    TRY(cli_print_json(s->args, j));
out:
    cJSON_Delete(j);
    return st;
}

static status work(const cli *args)
{
    status st = OK;
    session opened = { .args = args }, *s = &opened;
    const bool interactive = page_is_interactive() && !still;
    cJSON *collected = NULL;
    TRY(read_options(s));
    TRY(find_runs(s));
    TRY(claim_file(s->path.s, "<!doctype html>", "a page in HTML"));
    TRY(report_collect(&s->report, &collected));
    if (interactive)
        TRY(page_write(s->path.s, collected));
    else
        TRY(page_write_still(s->path.s, &s->report, collected));
    if (!page_is_interactive())
        log_warn("still pictures only: Node.js or npm was missing when this was built");
    log_info("written to %s", s->path.s);
    TRY(print_result(s, interactive));
out:
    cJSON_Delete(collected);
    close_session(s);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
