/* tools/export.c -- export RUN|CKPT: a trained net as an ONNX model. */
#include "../core/base/claim.h"
#include "../core/base/json.h"
#include "../core/base/log.h"
#include "../core/base/path.h"
#include "../core/base/text.h"
#include "../nets/experiment.h"
#include "../nets/onnx.h"
#include "../prune/surgery.h"
#include "cli.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *output;
static const cli_option options[] = {
    { "--output", "F.onnx", "where to write it; else beside the checkpoint", NULL, &output },
};
static const cli_tool tool = {
    .name = "export",
    .synopsis = "RUN|CKPT [key=value ...] [--output F.onnx]",
    .about =
        "Writes the best checkpoint of a run, or any checkpoint, as an ONNX model (opset 13) for other\n"
        "programs: the net as evaluation computes it, pruned nets included. Input \"image\": float32\n"
        "[N, 3, 32, 32], normalised with the mean and std of the model's metadata; output \"logits\":\n"
        "float32 [N, classes]. Weights keep their names. A file with weights only, made by PyTorch, needs\n"
        "net.arch= and the normalisation it was trained with.",
    .examples = "  export runs/demo-1a2b3c4d-s0\n"
                "  export runs/demo-1a2b3c4d-s0 --output demo.onnx\n"
                "  export resnet20.safetensors net.arch=resnet20 'data.mean=[0.5,0.5,0.5]'\n",
    .options = options,
    .n_options = 1,
    .needs_subject = true,
};

/* ir_version and producer_name, with which the models begin that onnx_write makes. */
static const char own_start[] = "\x08\x07\x12\x06"
                                "cleave";

/* best.safetensors -> best.onnx, in the same folder */
static status output_path(const char *checkpoint, file_path *out)
{
    static const char ending[] = ".safetensors";
    size_t n = strlen(checkpoint);
    if (output) return path_set(out, "%s", output);
    if (text_ends_with(checkpoint, ending)) n -= strlen(ending);
    return path_set(out, "%.*s.onnx", (int)n, checkpoint);
}

/* A net whose training diverged is of no use to another program. */
static status check_values(net *n, const char *checkpoint)
{
    status st = OK;
    float *values = NULL;
    int count;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++) {
        free(values);
        TRY_ALLOC(values, malloc((size_t)p[i].count * sizeof *values));
        TRY(net_param_read(n, &p[i], values));
        for (int64_t k = 0; k < p[i].count; k++)
            if (!isfinite(values[k]))
                FAIL(ERR_DIVERGED, "%s: %s has values that are not finite", checkpoint, p[i].name);
    }
out:
    free(values);
    return st;
}

static status publish(const cli *args, const net *n, const char *path)
{
    status st = OK;
    cJSON *j;
    log_info("%s: %lld parameters, opset %d, written to %s", net_arch(n), (long long)net_param_count(n),
             ONNX_OPSET, path);
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "arch", net_arch(n)));
    TRY(json_put_text(j, "onnx", path));
    TRY(json_put_number(j, "opset", ONNX_OPSET));
    TRY(json_put_number(j, "params", (double)net_param_count(n)));
    TRY(cli_print_json(args, j));
out:
    cJSON_Delete(j);
    return st;
}

static status export_net(const cli *args)
{
    status st = OK;
    cli_subject subject;
    config *cfg = NULL;
    experiment e = { 0 };
    file_path path;
    const net_case evaluation = { .batch = 1, .training = false };
    TRY(cli_subject_find(args->subject, &subject));
    TRY(cli_subject_config(args, &subject, &cfg));
    TRY(output_path(subject.checkpoint, &path));
    TRY(claim_file(path.s, own_start, "an ONNX model of this program"));
    TRY(experiment_open(cfg, OPEN_FOR_VALUES, &e));
    TRY(experiment_compile(&e, &evaluation, 1));
    TRY(surgery_inherit(e.net, subject.checkpoint));
    TRY(check_values(e.net, subject.checkpoint));
    TRY(onnx_write(e.net, cfg->data.mean, cfg->data.std, path.s));
    TRY(publish(args, e.net, path.s));
out:
    experiment_close(&e);
    config_free(cfg);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, export_net);
}
