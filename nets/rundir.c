/* nets/rundir.c -- what a run says about itself: config.yaml, env.json, status.json. Each is replaced whole.
 */
#include "rundir.h"

#include "../core/device/tuning.h"

#include "../core/base/file.h"
#include "../core/base/json.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#ifndef CLEAVE_COMMIT /* the build gives it where it finds a git repository */
#define CLEAVE_COMMIT "unknown"
#endif

status rundir_path(const config *cfg, rundir *out)
{
    status st = OK;
    char hash[9];
    TRY(config_hash(cfg, hash));
    TRY(text_format(out->path, sizeof out->path, "%s/%s-%s-s%" PRIu64, cfg->out, cfg->name, hash, cfg->seed));
out:
    return st;
}

status rundir_file(const rundir *run, const char *name, char *out, size_t bytes)
{
    return text_format(out, bytes, "%s/%s", run->path, name);
}

/* ---- env.json ---- */

static void time_text(char *out, size_t bytes)
{
    time_t now = time(NULL);
    struct tm tm;
    out[0] = '\0';
    if (gmtime_r(&now, &tm)) strftime(out, bytes, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static void host_text(char *out, size_t bytes)
{
    if (gethostname(out, bytes) != 0) out[0] = '\0';
    out[bytes - 1] = '\0';
}

/* "model name : ..." of the first core; "unknown" where /proc/cpuinfo says nothing. */
static void cpu_text(char *out, size_t bytes)
{
    char line[512];
    snprintf(out, bytes, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        snprintf(out, bytes, "%s", colon + 1 + strspn(colon + 1, " \t"));
        out[strcspn(out, "\n")] = '\0';
        break;
    }
    fclose(f);
}

static const char *compiler_text(void)
{
#ifdef __clang__
    return "clang " __clang_version__;
#else
    return "gcc " __VERSION__;
#endif
}

static bool add_text(cJSON *json, const char *name, const char *text)
{
    return cJSON_AddStringToObject(json, name, text);
}

static bool add_number(cJSON *json, const char *name, double value)
{
    return cJSON_AddNumberToObject(json, name, value);
}

static bool add_command(cJSON *json, int argc, char **argv)
{
    cJSON *list = cJSON_AddArrayToObject(json, "command");
    bool good = list != NULL;
    for (int i = 0; good && i < argc; i++) good = cJSON_AddItemToArray(list, cJSON_CreateString(argv[i]));
    return good;
}

static status write_env(const rundir *run, const backend *b, int argc, char **argv)
{
    status st = OK;
    char path[4096], host[256], cpu[256], started[32], os[256] = "unknown";
    struct utsname u;
    if (uname(&u) == 0) snprintf(os, sizeof os, "%s %s %s", u.sysname, u.release, u.machine);
    host_text(host, sizeof host);
    cpu_text(cpu, sizeof cpu);
    time_text(started, sizeof started);
    cJSON *json = cJSON_CreateObject();
    bool good =
        json && add_text(json, "commit", CLEAVE_COMMIT) && add_text(json, "compiler", compiler_text()) &&
        add_text(json, "backend", b->name) && add_text(json, "device", b->description) &&
        add_number(json, "threads", b->threads) && add_text(json, "host", host) &&
        add_text(json, "cpu", cpu) && add_number(json, "cores", (double)sysconf(_SC_NPROCESSORS_ONLN)) &&
        add_text(json, "os", os) && add_command(json, argc, argv) && add_text(json, "started", started);
    if (!good) FAIL(ERR_RUNTIME, "out of memory");
    TRY(rundir_file(run, "env.json", path, sizeof path));
    TRY(json_write(path, json));
out:
    cJSON_Delete(json);
    return st;
}

static const char CHOICES[] = "algorithms.txt";

status rundir_choices(const rundir *run, backend *b)
{
    status st = OK;
    char path[4096];
    if (!b->tuning) goto out;
    TRY(rundir_file(run, CHOICES, path, sizeof path));
    TRY(b->tuning->load(b, path));
out:
    return st;
}

status rundir_create(const config *cfg, const backend *b, int argc, char **argv, rundir *out)
{
    status st = OK;
    char path[4096], *yaml = NULL;
    TRY(rundir_path(cfg, out));
    TRY(file_make_dirs(out->path));
    TRY(config_yaml(cfg, &yaml));
    TRY(rundir_file(out, "config.yaml", path, sizeof path));
    TRY(file_replace(path, yaml, strlen(yaml)));
    TRY(write_env(out, b, argc, argv));
    TRY(rundir_file(out, CHOICES, path, sizeof path));
    if (b->tuning) TRY(b->tuning->save(b, path));
out:
    free(yaml);
    return st;
}

/* ---- status.json ---- */

status rundir_status(const rundir *run, const char *state, int epoch, int epochs, double best_accuracy,
                     int best_epoch, const char *message)
{
    status st = OK;
    char path[4096], host[256], updated[32];
    host_text(host, sizeof host);
    time_text(updated, sizeof updated);
    cJSON *json = cJSON_CreateObject();
    bool good = json && add_text(json, "state", state) && add_number(json, "epoch", epoch) &&
                add_number(json, "epochs", epochs) && add_number(json, "best_accuracy", best_accuracy) &&
                add_number(json, "best_epoch", best_epoch) &&
                add_text(json, "message", message ? message : "") && add_text(json, "updated", updated) &&
                add_text(json, "host", host) && add_number(json, "pid", (double)getpid());
    if (!good) FAIL(ERR_RUNTIME, "out of memory");
    TRY(rundir_file(run, "status.json", path, sizeof path));
    TRY(json_write(path, json));
out:
    cJSON_Delete(json);
    return st;
}
