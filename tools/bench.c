/* tools/bench.c -- bench [key=value ...]: how fast, and how close to what the library's convolutions allow. */
#include "bench/bench.h"
#include "cli.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

static const char *peer_program, *rounds_text;
static bool as_row;
static const cli_option options[] = {
    { "--peer", "PROGRAM", "measure PROGRAM beside it, e.g. tests/peer/bench_torch.py", NULL, &peer_program },
    { "--rounds", "N", "rounds to take the median of (default 5)", NULL, &rounds_text },
    { "--row", NULL, "print one line of the table of `make bench`", &as_row, NULL },
};
static const cli_tool tool = {
    .name = "bench",
    .synopsis = "[key=value ...] [--peer PROGRAM] [--rounds N]",
    .about =
        "Measures training and inference of a net on random images and with the loader (data.*; generated "
        "images\n"
        "if no data are named), the convolutions of the same net alone in the library's best algorithms and\n"
        "layouts, where the time goes, peak memory, and the rate of the similarity matrix against the best\n"
        "matrix product.",
    .examples = "  bench net.arch=resnet18\n"
                "  bench net.arch=vgg11_bn precision=bf16 train.batch=128 --json\n"
                "  bench net.arch=resnet56 --peer tests/peer/bench_torch.py\n",
    .options = options,
    .n_options = 3,
};

static status read_rounds(bench *b)
{
    status st = OK;
    char *end;
    b->rounds = 5;
    if (!rounds_text) goto out;
    const long n = strtol(rounds_text, &end, 10);
    if (end == rounds_text || *end || n < 1 || n > MAX_ROUNDS)
        FAIL(ERR_USAGE, "--rounds %s: a whole number from 1 to %d is wanted", rounds_text, MAX_ROUNDS);
    b->rounds = (int)n;
out:
    return st;
}

static status print_json(const bench *b, const cli *args)
{
    status st = OK;
    cJSON *j;
    TRY_ALLOC(j, bench_json(b));
    TRY(cli_print_json(args, j));
out:
    cJSON_Delete(j);
    return st;
}

static status print_result(const bench *b, const cli *args)
{
    if (args->json) return print_json(b, args);
    if (as_row)
        bench_print_row(b);
    else
        bench_print_text(b);
    return fflush(stdout) ? status_set(ERR_RUNTIME, __FILE__, __LINE__, "stdout: write failed") : OK;
}

static status bench_run(bench *b, const cli *args)
{
    status st = OK;
    const config_source generated = { "bench", "data: {format: synthetic}" };
    TRY(read_rounds(b));
    TRY(config_build(&generated, 1, args->overrides, args->n_overrides, &b->cfg));
    b->batch = b->cfg->train.batch;
    TRY(bench_open(b, peer_program));
    TRY(bench_measure(b));
    TRY(print_result(b, args));
out:
    return st;
}

static status work(const cli *args)
{
    static bench b;
    const status st = bench_run(&b, args);
    bench_close(&b);
    return st;
}

int main(int argc, char **argv)
{
    return cli_main(&tool, argc, argv, work);
}
