/* nets/rundir.c -- see rundir.h. */
#include "rundir.h"

#include "../core/base/claim.h"
#include "../core/base/clock.h"
#include "../core/base/file.h"
#include "../core/base/host.h"
#include "../core/base/json.h"
#include "../core/base/lock.h"
#include "../core/base/log.h"
#include "../core/device/tuning.h"
#include "checkpoint.h"

#include <dirent.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

#ifndef CLEAVE_COMMIT /* the build gives it where it finds a git repository */
#define CLEAVE_COMMIT "unknown"
#endif

static const char TUNING[] = "algorithms.txt";

status rundir_path(const config *cfg, rundir *out)
{
    status st = OK;
    char hash[9];
    TRY(config_hash(cfg, hash));
    TRY(text_format(out->path, sizeof out->path, "%s/%s-%s-s%" PRIu64, cfg->out, cfg->name, hash, cfg->seed));
out:
    return st;
}

status rundir_file(const rundir *run, const char *name, file_path *out)
{
    return path_set(out, "%s/%s", run->path, name);
}

/* ---- the nearest run ---- */

enum { MAX_NAMED = 4, VALUE_BYTES = 60 }; /* keys that the text names, and bytes of a value shown */

/* How many of the keys that tell runs apart differ; `text` (run_near.differs) names some of them. */
static status compare(const config *cfg, const config *other, char *text, size_t bytes, int *n)
{
    status st = OK;
    config_key_info key;
    char *here = NULL, *there = NULL;
    size_t used = 0;
    *n = 0;
    text[0] = '\0';
    for (int i = 0; config_key_describe(i, &key); i++) {
        if (!config_decides_weights(key.name) && strcmp(key.name, "name") && strcmp(key.name, "seed"))
            continue;
        TRY(config_get(cfg, key.name, &here));
        TRY(config_get(other, key.name, &there));
        if (strcmp(here, there) != 0 && ++*n <= MAX_NAMED && used < bytes)
            used += (size_t)snprintf(text + used, bytes - used, "%s%s (%.*s, not %.*s)", *n > 1 ? ", " : "",
                                     key.name, VALUE_BYTES, there, VALUE_BYTES, here);
        free(here);
        free(there);
        here = there = NULL;
    }
    if (*n > MAX_NAMED && used < bytes) snprintf(text + used, bytes - used, " and %d more", *n - MAX_NAMED);
out:
    free(here);
    free(there);
    return st;
}

/* NAME-CONFIGHASH-sSEED, with any hash. */
static bool is_name_of(const config *cfg, const char *folder)
{
    char seed[32];
    size_t n = strlen(cfg->name);
    snprintf(seed, sizeof seed, "-s%" PRIu64, cfg->seed);
    return strncmp(folder, cfg->name, n) == 0 && strlen(folder) == n + 9 + strlen(seed) && folder[n] == '-' &&
           text_ends_with(folder, seed);
}

/* Looks at one folder of OUT; *least: the fewest differences so far. */
static status look_at_folder(const config *cfg, const char *folder, run_near *out, int *least)
{
    status st = OK;
    file_path path;
    config *other = NULL;
    char text[sizeof out->differs];
    int n;
    TRY(path_set(&path, "%s/%s/config.yaml", cfg->out, folder));
    if (!file_exists(path.s) || config_load(path.s, NULL, 0, &other) != OK) goto out;
    TRY(compare(cfg, other, text, sizeof text, &n));
    if (n >= *least) goto out;
    TRY(text_format(out->run.path, sizeof out->run.path, "%s/%s", cfg->out, folder));
    memcpy(out->differs, text, sizeof text);
    *least = n;
out:
    config_free(other);
    return st;
}

status rundir_nearest(const config *cfg, run_near *out)
{
    status st = OK;
    struct dirent **entry = NULL;
    int n = scandir(cfg->out, &entry, NULL, alphasort), least = INT_MAX;
    *out = (run_near){ 0 };
    for (int same_name = 1; same_name >= 0 && least == INT_MAX; same_name--)
        for (int i = 0; i < n; i++) {
            if (same_name && !is_name_of(cfg, entry[i]->d_name)) continue;
            TRY(look_at_folder(cfg, entry[i]->d_name, out, &least));
        }
out:
    for (int i = 0; i < n; i++) free(entry[i]);
    free(entry);
    return st;
}

/* ---- making it ---- */

status rundir_may_write(const rundir *run)
{
    const claim own = { "config.yaml", NULL, "*" };
    return claim_check(&own, run->path);
}

static const char *compiler_text(void)
{
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

static status put_os(cJSON *j)
{
    char os[256] = "unknown";
    struct utsname u;
    if (uname(&u) == 0) snprintf(os, sizeof os, "%s %s %s", u.sysname, u.release, u.machine);
    return json_put_text(j, "os", os);
}

static status put_command(cJSON *j, int argc, char **argv)
{
    status st = OK;
    cJSON *list;
    TRY(json_put_list(j, "command", &list));
    for (int i = 0; i < argc; i++) TRY(json_append(list, cJSON_CreateString(argv[i])));
out:
    return st;
}

static status write_env(const rundir *run, const backend *b, int argc, char **argv)
{
    status st = OK;
    file_path path;
    cJSON *j;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "commit", CLEAVE_COMMIT));
    TRY(json_put_text(j, "compiler", compiler_text()));
    TRY(json_put_text(j, "backend", b->name));
    TRY(json_put_text(j, "device", b->description));
    TRY(json_put_number(j, "threads", b->threads));
    TRY(json_put_text(j, "host", host_name().s));
    TRY(json_put_text(j, "cpu", host_processor().s));
    TRY(json_put_number(j, "cores", (double)sysconf(_SC_NPROCESSORS_ONLN)));
    TRY(put_os(j));
    TRY(put_command(j, argc, argv));
    TRY(json_put_text(j, "started", time_stamp_now().s));
    TRY(rundir_file(run, "env.json", &path));
    TRY(json_write(path.s, j));
out:
    cJSON_Delete(j);
    return st;
}

status rundir_load_tuning(const rundir *run, backend *b)
{
    status st = OK;
    file_path path;
    if (!b->tuning) goto out;
    TRY(rundir_file(run, TUNING, &path));
    TRY(b->tuning->load(b, path.s));
out:
    return st;
}

status rundir_create(const config *cfg, const backend *b, int argc, char **argv, rundir *out)
{
    status st = OK;
    file_path path;
    char *yaml = NULL;
    TRY(rundir_path(cfg, out));
    TRY(rundir_may_write(out));
    TRY(file_make_dirs(out->path));
    TRY(config_yaml(cfg, &yaml));
    TRY(rundir_file(out, "config.yaml", &path));
    TRY(file_replace(path.s, yaml, strlen(yaml)));
    TRY(write_env(out, b, argc, argv));
    TRY(rundir_file(out, TUNING, &path));
    if (b->tuning) TRY(b->tuning->save(b, path.s));
    TRY(rundir_file(out, "log.txt", &path));
    if (log_open(path.s, true) != OK) log_warn("%s; this run has no log.txt", status_message());
out:
    free(yaml);
    return st;
}

/* ---- status.json ---- */

status rundir_status(const rundir *run, const char *state, int epoch, int epochs, double best_accuracy,
                     int best_epoch, const char *message)
{
    status st = OK;
    file_path path;
    cJSON *j;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_text(j, "state", state));
    TRY(json_put_number(j, "epoch", epoch));
    TRY(json_put_number(j, "epochs", epochs));
    TRY(json_put_number(j, "best_accuracy", best_accuracy));
    TRY(json_put_number(j, "best_epoch", best_epoch));
    TRY(json_put_text(j, "message", message ? message : ""));
    TRY(json_put_text(j, "updated", time_stamp_now().s));
    TRY(json_put_text(j, "host", host_name().s));
    TRY(json_put_number(j, "pid", (double)getpid()));
    TRY(rundir_file(run, "status.json", &path));
    TRY(json_write(path.s, j));
out:
    cJSON_Delete(j);
    return st;
}

/* ---- how far a run is ---- */

status rundir_progress(const char *run, int epochs, run_progress *out)
{
    status st = OK;
    st_file f = { 0 };
    checkpoint_info info = { 0 };
    file_path last, best;
    *out = (run_progress){ 0 };
    TRY(path_set(&last, "%s/last.safetensors", run));
    TRY(path_set(&best, "%s/best.safetensors", run));
    if (!file_exists(last.s)) goto out;
    TRY(st_open(last.s, &f));
    TRY(checkpoint_info_read(&f, last.s, &info));
    if (!info.has_state)
        FAIL(ERR_DATA, "%s: no training state in its metadata; remove the directory to train from the start",
             last.s);
    *out = (run_progress){ .begun = true,
                           .finished = info.state.epoch >= epochs,
                           .epoch = info.state.epoch,
                           .best_epoch = info.state.best_epoch,
                           .best_accuracy = info.state.best_accuracy,
                           .last_accuracy = info.accuracy };
    out->done = out->finished && file_exists(best.s);
out:
    checkpoint_info_free(&info);
    st_close(&f);
    return st;
}

static status correct_status(const char *run, cJSON *j)
{
    status st = OK;
    run_progress p;
    const bool running = strcmp(json_text(j, "state"), "running") == 0;
    const int epochs = (int)json_whole(j, "epochs", 0, INT_MAX, INT_MAX);
    if (rundir_progress(run, epochs, &p) == OK && p.done) {
        TRY(json_replace(j, "state", cJSON_CreateString("done")));
        TRY(json_replace(j, "epoch", cJSON_CreateNumber(p.epoch)));
        TRY(json_replace(j, "best_accuracy", cJSON_CreateNumber(p.best_accuracy)));
        TRY(json_replace(j, "best_epoch", cJSON_CreateNumber(p.best_epoch)));
    } else if (running && !lock_is_held(run, NULL)) {
        TRY(json_replace(j, "state", cJSON_CreateString("stopped")));
    }
out:
    return st;
}

status rundir_status_read(const char *run, cJSON **out)
{
    status st = OK;
    file_path path;
    cJSON *j = NULL;
    *out = NULL;
    TRY(path_set(&path, "%s/status.json", run));
    if (!file_exists(path.s)) goto out;
    TRY(json_read(path.s, &j));
    TRY(correct_status(run, j));
    *out = j;
    j = NULL;
out:
    cJSON_Delete(j);
    return st;
}

/* ---- metrics.jsonl and metrics.csv: the same numbers, a line an epoch, whole after a crash or a full disk ---- */

enum { COLUMNS = 8, LINE_BYTES = 512 }; /* a column needs less than 40 bytes */
static const char *const column[COLUMNS] = { "epoch",          "lr",          "train_loss",
                                             "train_accuracy", "test_loss",   "test_accuracy",
                                             "seconds",        "images_per_s" };

static void format_header(char *csv)
{
    int n = 0;
    for (int i = 0; i < COLUMNS; i++)
        n += snprintf(csv + n, LINE_BYTES - (size_t)n, "%s%s", i ? "," : "", column[i]);
    snprintf(csv + n, LINE_BYTES - (size_t)n, "\n");
}

static void format_epoch(const run_epoch *e, char *json, char *csv)
{
    const double value[COLUMNS] = { e->epoch,          e->lr,          e->train_loss,
                                    e->train_accuracy, e->test_loss,   e->test_accuracy,
                                    e->seconds,        e->images_per_s };
    int j = 0, c = 0;
    for (int i = 0; i < COLUMNS; i++) {
        char number[32] = "";
        if (isfinite(value[i])) snprintf(number, sizeof number, "%.9g", value[i]);
        j += snprintf(json + j, LINE_BYTES - (size_t)j, "%s\"%s\": %s", i ? ", " : "{", column[i],
                      *number ? number : "null");
        c += snprintf(csv + c, LINE_BYTES - (size_t)c, "%s%s", i ? "," : "", number);
    }
    snprintf(json + j, LINE_BYTES - (size_t)j, "}\n");
    snprintf(csv + c, LINE_BYTES - (size_t)c, "\n");
}

static status append_line(const rundir *run, const char *name, const char *header, const char *line)
{
    status st = OK;
    file_path path;
    TRY(rundir_file(run, name, &path));
    TRY(file_append(path.s, header, strlen(header), line, strlen(line)));
out:
    return st;
}

status rundir_metrics(const rundir *run, const run_epoch *e)
{
    status st = OK;
    char json[LINE_BYTES], csv[LINE_BYTES], header[LINE_BYTES];
    format_header(header);
    format_epoch(e, json, csv);
    TRY(append_line(run, "metrics.jsonl", "", json));
    TRY(append_line(run, "metrics.csv", header, csv));
out:
    return st;
}

/* Keeps the header and the whole lines of earlier epochs. Half a line or NUL bytes, which a crash or a power cut may have
 * left, are dropped. */
static status keep_before(const rundir *run, const char *name, const char *format, const char *header,
                          int epoch)
{
    status st = OK;
    file_path path;
    char *text = NULL;
    size_t all;
    TRY(rundir_file(run, name, &path));
    if (!file_exists(path.s)) goto out;
    TRY(file_read(path.s, &text, &all));
    char *to = text;
    for (char *line = text, *end; (end = memchr(line, '\n', all - (size_t)(line - text))); line = end + 1) {
        size_t bytes = (size_t)(end + 1 - line);
        int e = -1;
        bool is_header = *header && bytes == strlen(header) && memcmp(line, header, bytes) == 0;
        if (!is_header && (sscanf(line, format, &e) != 1 || e < 0 || e >= epoch)) continue;
        memmove(to, line, bytes);
        to += bytes;
    }
    TRY(file_replace(path.s, text, (size_t)(to - text)));
out:
    free(text);
    return st;
}

status rundir_truncate(const rundir *run, int epoch)
{
    status st = OK;
    char header[LINE_BYTES];
    format_header(header);
    TRY(keep_before(run, "metrics.jsonl", "{\"epoch\": %d,", "", epoch));
    TRY(keep_before(run, "metrics.csv", "%d,", header, epoch));
out:
    return st;
}
