/* nets/fit_evaluate.c -- loss and top-1 of a net over a data set, and how a batch gets into a net. */
#include "../core/base/progress.h"
#include "../core/base/stop.h"
#include "../data/loader.h"
#include "trainer.h"

status fit_put_batch(net *n, int net_case_index, int kept, const batch *b)
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
    progress_start(&bar, "evaluate", set->n);
    TRY(net_stats_set(n, &(loss_stats){ 0 }));
    TRY(loader_open(set, data, &options, &l));
    TRY(loader_start(l, 0, 0, NULL, 0));
    for (;;) {
        const batch *b;
        TRY(loader_next(l, &b));
        if (!b) break;
        if (stop_requested()) FAIL(STOPPED, "stopped by %s", stop_signal());
        TRY(fit_put_batch(n, eval_case, kept, b));
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
