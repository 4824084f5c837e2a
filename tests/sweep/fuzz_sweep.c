/* tests/sweep/fuzz_sweep.c -- the folder of a sweep, as status and table read it. The first byte of the input says which
 * file the rest replaces: 'a' sweep.json, then those in `files`. */
#include "../fuzz/fuzz.h"

#include "../../tools/sweep/slurm.h"
#include "../../tools/sweep/state.h"
#include "../../tools/sweep/table.h"

#define RUN "x-12345678-s0"
static const char plan_text[] =
    "{\"sweep\": \"x\", \"file\": \"x.yaml\", \"last\": \"prune\", \"keys\": [\"seed\"],\n"
    "\"cases\": [{\"settings\": {\"seed\": \"0\"}, \"finetune\": {}, \"config\": \"name: x\\nnet: {arch: "
    "resnet20}\\n\",\n"
    " \"tasks\": {\"train\": \"t\", \"analyze\": \"a\", \"prune\": \"p\"}}],\n"
    "\"tasks\": [{\"id\": \"t\", \"stage\": \"train\", \"parent\": null, \"run\": \"" RUN
    "\", \"analysis\": null,\n"
    " \"command\": [\"train\", \"c.yaml\"], \"epochs\": 2, \"threads\": 0, \"device\": \"auto\"},\n"
    "{\"id\": \"a\", \"stage\": \"analyze\", \"parent\": \"t\", \"run\": \"" RUN
    "\", \"analysis\": \"analysis\",\n"
    " \"command\": [\"analyze\", \"r\"], \"epochs\": 0, \"threads\": 0, \"device\": \"auto\"},\n"
    "{\"id\": \"p\", \"stage\": \"prune\", \"parent\": \"a\", \"run\": \"" RUN
    "\", \"analysis\": \"analysis\",\n"
    " \"command\": [\"prune\", \"r\"], \"epochs\": 1, \"threads\": 0, \"device\": \"auto\"}]}\n";
/* Metadata only: a training that is done. */
static const char state_text[] =
    "{\"__metadata__\":{\"accuracy\":\"0.5\",\"state\":\"{\\\"epoch\\\":2,\\\"step\\\":0,\\\"train_loss\\\":"
    "1,"
    "\\\"train_correct\\\":0,\\\"train_rows\\\":0,\\\"best_accuracy\\\":0.5,\\\"best_epoch\\\":1}\"}}";
static char last[8 + sizeof state_text - 1];

/* In the order in which they were made: a result counts only if it is not older than what it was made from. */
static const fuzz_file files[] = {
    { "s/sweep.json", plan_text, 0 },
    { "s/" RUN "/status.json", "{\"state\": \"done\", \"epoch\": 2, \"epochs\": 2, \"best_accuracy\": 0.5}",
      0 },
    { "s/" RUN "/metrics.jsonl", "{\"epoch\": 1, \"seconds\": 3, \"test_accuracy\": 0.5}\n", 0 },
    { "s/" RUN "/last.safetensors", last, sizeof last },
    { "s/" RUN "/best.safetensors", last, sizeof last },
    { "s/" RUN "/analysis/analysis.json", "{\"layers\": [{\"name\": \"c\", \"yang\": {\"M\": 0.5}}]}", 0 },
    { "s/tasks/t/state.json", "{\"state\": \"done\", \"host\": \"h\", \"pid\": 7, \"reason\": \"\"}", 0 },
    { "s/tasks/a/state.json", "{\"state\": \"done\", \"host\": \"h\", \"pid\": 7}", 0 },
    { "s/tasks/p/result.json",
      "{\"run\": \"" RUN "\", \"arch\": \"resnet20\", \"removed\": [\"a\"], \"accuracy_after\": 0.5}", 0 },
    { "s/" RUN "/prune.json", "{}", 0 },
    { "s/tasks/p/state.json", "{\"state\": \"done\", \"host\": \"h\", \"pid\": 7}", 0 },
    { "s/slurm/1.json", "{\"dir\": \"s\", \"job\": \"\", \"elements\": [[\"t\", \"a\", \"p\"]]}", 0 },
};
enum { N_FILES = sizeof files / sizeof *files };

static FILE *nowhere;

static void start(void)
{
    const uint64_t header = sizeof state_text - 1;
    memcpy(last, &header, 8);
    memcpy(last + 8, state_text, sizeof state_text - 1);
    setenv("PATH", "/nowhere", 1); /* nobody asks Slurm */
    FUZZ_CHECK(nowhere = fopen("/dev/null", "w"));
}

/* Prints to /dev/null. */
static void print_table(const sweep_plan *p, const char *format, const char *columns)
{
    FILE *out = stdout;
    const table_options o = { columns, format, NULL };
    stdout = nowhere;
    const status st = sweep_table_print(p, &o);
    stdout = out;
    fuzz_accepted(st, ERR_USAGE);
}

static void look(const sweep_plan *p)
{
    int n_in_state[TASK_STATES];
    cJSON *j = NULL;
    bool *queued = calloc(p->n_tasks + 1, sizeof *queued);
    FUZZ_CHECK(queued);
    slurm_queue(p, queued);
    FUZZ_CHECK(sweep_status_print(p, queued, n_in_state) == OK);
    FUZZ_CHECK(sweep_status_json(p, queued, &j) == OK);
    cJSON_Delete(j);
    free(queued);
    print_table(p, "text", NULL);
    print_table(p, "csv", "seed,accuracy,last_accuracy,M,Q_max,removed,saving_percent,accuracy_after,n");
    print_table(p, "json", NULL);
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    sweep_plan p;
    if (!nowhere) start();
    fuzz_replace_one(files, N_FILES, data, bytes);
    if (!fuzz_accepted(sweep_plan_read(fuzz_path("s").s, &p), ERR_DATA)) return false;
    look(&p);
    const bool done = p.n_cases && task_done(&p, p.cases[0].task[p.last]);
    sweep_plan_free(&p);
    return done;
}
