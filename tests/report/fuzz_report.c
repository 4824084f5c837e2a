/* tests/report/fuzz_report.c -- the files of a run that report shows. The first byte of the input says which one the rest
 * replaces: 'a' analysis.json, then those in `files`. */
#include "../fuzz/fuzz.h"

#include "../../tools/report/collect.h"

#define EPOCH "run/analysis/epoch-001/"
/* Edges 0-1 (0.9) and 1-2 (0.5). */
static const char edges[] = "\0\0\0\0\1\0\0\0\x66\x66\x66\x3f\1\0\0\0\2\0\0\0\0\0\0\x3f";
static const fuzz_file files[] = {
    { "run/analysis/analysis.json",
      "{\"edges\": 2, \"layers\": [{\"name\": \"conv1\", \"yang\": {\"M\": 0.5}, \"histogram\": [1, 2]}]}",
      0 },
    { "run/analysis/samples.csv", "vertex,image,label\n0,4,0\n1,7,1\n2,9,9\n", 0 },
    { "run/analysis/edges/conv1.bin", edges, sizeof edges - 1 },
    { EPOCH "analysis.json", "{\"edges\": 2, \"layers\": [{\"name\": \"conv1\"}]}", 0 },
    { EPOCH "samples.csv", "vertex,image,label\n0,4,0\n", 0 },
    { "run/metrics.jsonl", "{\"epoch\": 0, \"test_accuracy\": 0.5, \"test_loss\": 1}\n", 0 },
    { "run/status.json", "{\"state\": \"done\", \"best_accuracy\": 0.5}", 0 },
    { "run/env.json", "{\"device\": \"cpu\"}", 0 },
    { "run/prune.json",
      "{\"params_before\": 2, \"units\": [{\"name\": \"u\", \"cut\": true, \"reason\": \"r\"}]}", 0 },
};
enum { N_FILES = sizeof files / sizeof *files, N_IMAGES = 10, N_CLASSES = 10 };

static status collect(report *r, cJSON *runs)
{
    status st = OK;
    cJSON *run, *part;
    TRY(json_append_object(runs, &run));
    TRY(json_put_object(run, "history", &part));
    TRY(put_history(part, &r->run[0]));
    TRY(analyses_open(&r->run[0]));
    share_edges(r);
    for (int i = 0; i < 2; i++) FUZZ_CHECK(r->max_edges[i] >= 200 && r->max_edges[i] <= 3000000);
    TRY(json_put_list(run, "graphs", &part));
    TRY(append_analyses(part, r, &r->run[0]));
out:
    return st;
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    static config *cfg;
    bool wanted[N_IMAGES] = { false };
    report_images images = { .test = { .n = N_IMAGES, .classes = N_CLASSES }, .wanted = wanted };
    const file_path path = fuzz_path("run");
    report_run run = { .path = path.s, .name = "run", .images = &images };
    report r = { .run = &run, .n_runs = 1 };
    cJSON *collected = cJSON_CreateObject(), *runs;
    if (!cfg) FUZZ_CHECK(config_parse("fuzz", "net: {arch: resnet20}\n", NULL, 0, &cfg) == OK);
    run.cfg = cfg;
    fuzz_replace_one(files, N_FILES, data, bytes);
    FUZZ_CHECK(json_put_list(collected, "notes", &r.notes) == OK);
    FUZZ_CHECK(json_put_list(collected, "runs", &runs) == OK);
    const bool accepted = fuzz_accepted(collect(&r, runs), ERR_DATA);
    if (accepted) FUZZ_CHECK(page_write_still(fuzz_path("report.html").s, &r, collected) == OK);
    analyses_close(&run);
    cJSON_Delete(collected);
    return accepted;
}
