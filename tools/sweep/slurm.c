/* tools/sweep/slurm.c -- see slurm.h. A submission is DIR/slurm/STAMP.json: {"dir", "job", "elements":
 * [[ID, ..], ..]} with the ids of its tasks. Its batch script is STAMP.sh. */
#include "slurm.h"

#include "../../core/base/file.h"
#include "../../core/base/json.h"
#include "../../core/base/log.h"
#include "list.h"
#include "state.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- other programs ---- */

/* Runs a program. *out: what it prints on stdout and stderr, which the caller frees. *code: its exit code;
 * 127 if there is no such program. */
static status run_program(char *const *argv, char **out, int *code)
{
    status st = OK;
    int ends[2] = { -1, -1 }, wait_status;
    size_t bytes;
    FILE *from = NULL, *to = NULL;
    char line[4096];
    if (pipe2(ends, O_CLOEXEC) != 0) FAIL(ERR_RUNTIME, "cannot start %s: %s", argv[0], strerror(errno));
    pid_t pid = fork();
    if (pid == 0) {
        dup2(ends[1], STDOUT_FILENO);
        dup2(ends[1], STDERR_FILENO);
        execvp(argv[0], argv);
        _exit(127);
    }
    if (pid < 0) FAIL(ERR_RUNTIME, "cannot start %s: %s", argv[0], strerror(errno));
    close(ends[1]);
    ends[1] = -1;
    to = open_memstream(out, &bytes);
    from = fdopen(ends[0], "r");
    if (from) ends[0] = -1;
    while (to && from && fgets(line, sizeof line, from)) fputs(line, to);
    while (waitpid(pid, &wait_status, 0) < 0 && errno == EINTR) continue;
    *code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
    if (!to || !from || fclose(to) != 0) FAIL(ERR_RUNTIME, "out of memory");
out:
    if (from) fclose(from);
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
    return st;
}

/* ---- earlier submissions ---- */

/* Sets queued[] for the tasks of an element. */
static void mark_element(const sweep_plan *p, const cJSON *submission, int element, bool *queued)
{
    const cJSON *id;
    cJSON_ArrayForEach(id, cJSON_GetArrayItem(cJSON_GetObjectItem(submission, "elements"), element))
    {
        const char *text = cJSON_GetStringValue(id);
        int task = text ? sweep_plan_find(p, text) : -1;
        if (task >= 0) queued[task] = true;
    }
}

/* squeue prints lines "JOB ELEMENT STATE". It fails if Slurm does not know the job any more: then nothing
 * waits. */
static status ask_queue(const sweep_plan *p, const cJSON *submission, bool *queued)
{
    status st = OK;
    const char *job = json_text(submission, "job");
    char *argv[] = { "squeue", "--noheader", "--array", "--format=%F %K %T", "--jobs", (char *)job, NULL };
    char *text = NULL, state[32];
    int code, element;
    long number;
    if (!isdigit((unsigned char)*job)) goto out;
    TRY(run_program(argv, &text, &code));
    for (char *line = text; code == 0 && line && *line;
         line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        if (sscanf(line, "%ld %d %31s", &number, &element, state) == 3 && strcmp(state, "COMPLETED") != 0 &&
            strcmp(state, "FAILED") != 0 && strcmp(state, "CANCELLED") != 0 && strcmp(state, "TIMEOUT") != 0)
            mark_element(p, submission, element, queued);
out:
    free(text);
    return st;
}

status slurm_queue(const sweep_plan *p, bool *queued)
{
    status st = OK;
    file_path pattern;
    glob_t files = { 0 };
    memset(queued, 0, p->n_tasks * sizeof *queued);
    TRY(path_set(&pattern, "%s/slurm/*.json", p->dir));
    const int found = glob(pattern.s, 0, NULL, &files);
    if (found != 0 && found != GLOB_NOMATCH) FAIL(ERR_RUNTIME, "%s/slurm: cannot be listed", p->dir);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        cJSON *submission = json_read_if_any(files.gl_pathv[i]);
        if (submission) st = ask_queue(p, submission, queued);
        cJSON_Delete(submission);
        TRY(st);
    }
out:
    globfree(&files);
    return st;
}

/* ---- a new one ---- */

static bool descends(const sweep_plan *p, int task, int from)
{
    while (task >= 0 && task != from) task = p->task[task].parent;
    return task == from;
}

/* Appends an element: the root and all wanted tasks that need it, parents first, as they are in the plan.
 * They are not wanted any more. */
static status append_element(const sweep_plan *p, int root, bool *wanted, cJSON *elements)
{
    status st = OK;
    cJSON *element = cJSON_CreateArray();
    TRY(json_append(elements, element));
    for (unsigned i = 0; i < p->n_tasks; i++) {
        if (!wanted[i] || !descends(p, (int)i, root)) continue;
        TRY(json_append(element, cJSON_CreateString(p->task[i].id)));
        wanted[i] = false;
    }
out:
    return st;
}

/* True if the task or one that it needs is in the queue: then it is left to that array, or to a later
 * submission. */
static bool waits_in_queue(const sweep_plan *p, const bool *queued, int task)
{
    while (task >= 0 && !queued[task]) task = p->task[task].parent;
    return task >= 0;
}

/* A wanted task whose parents are done begins an element; all wanted tasks that need it join the element. */
static status make_elements(const sweep_plan *p, const bool *queued, cJSON **out)
{
    status st = OK;
    bool *wanted = NULL;
    cJSON *elements;
    TRY_ALLOC(elements, cJSON_CreateArray());
    TRY_ALLOC(wanted, calloc(p->n_tasks + 1, sizeof *wanted));
    for (unsigned i = 0; i < p->n_tasks; i++)
        wanted[i] = !waits_in_queue(p, queued, (int)i) && !task_done(p, (int)i);
    for (unsigned i = 0; i < p->n_tasks; i++)
        if (wanted[i]) TRY(append_element(p, (int)i, wanted, elements));
    *out = elements;
    elements = NULL;
out:
    cJSON_Delete(elements);
    free(wanted);
    return st;
}

/* Puts the text in single quotes, so that sh reads it back. */
static void put_sh(FILE *f, const char *text)
{
    fputc('\'', f);
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", f);
        else
            fputc(*text, f);
    }
    fputc('\'', f);
}

static status write_script(const char *path, const char *submission)
{
    status st = OK;
    file_path self;
    char *text = NULL;
    size_t bytes;
    FILE *f = NULL;
    TRY(tool_path("sweep", &self));
    TRY_ALLOC(f, open_memstream(&text, &bytes));
    fprintf(f, "#!/bin/sh\n# Written by sweep. exec: Slurm signals this process.\nexec ");
    put_sh(f, self.s);
    fprintf(f, " element ");
    put_sh(f, submission);
    fprintf(f, "\n");
    if (fclose(f) != 0) FAIL(ERR_RUNTIME, "out of memory");
    TRY(file_replace(path, text, bytes));
out:
    free(text);
    return st;
}

static status add_argument(char ***argv, unsigned *n, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static status add_argument(char ***argv, unsigned *n, const char *format, ...)
{
    status st = OK;
    char text[PATH_BYTES + 64];
    va_list args;
    va_start(args, format);
    st = text_vformat(text, sizeof text, format, args);
    va_end(args);
    if (st == OK) st = list_add_text(argv, n, text);
    return st;
}

static status sbatch_arguments(const sweep_plan *p, const sweep_spec *spec, int elements, const char *script,
                               char ***argv)
{
    status st = OK;
    unsigned n = 0;
    char limit[32] = "";
    if (spec->limit > 0) snprintf(limit, sizeof limit, "%%%d", spec->limit);
    TRY(add_argument(argv, &n, "sbatch"));
    TRY(add_argument(argv, &n, "--parsable"));
    TRY(add_argument(argv, &n, "--job-name=%s", p->name));
    TRY(add_argument(argv, &n, "--array=0-%d%s", elements - 1, limit));
    TRY(add_argument(argv, &n, "--signal=B:USR1@%d", spec->grace));
    TRY(add_argument(argv, &n, "--requeue"));
    TRY(add_argument(argv, &n, "--open-mode=append"));
    TRY(add_argument(argv, &n, "--output=%s/slurm/%%A_%%a.log", p->dir));
    for (unsigned i = 0; i < spec->n_sbatch; i++) TRY(add_argument(argv, &n, "%s", spec->sbatch[i]));
    TRY(add_argument(argv, &n, "%s", script));
    TRY(list_grow(argv, n, sizeof **argv)); /* the NULL at the end */
out:
    return st;
}

/* With --parsable, sbatch prints "123" or "123;cluster", perhaps after warnings. */
static status submit(char *const *argv, char *job)
{
    status st = OK;
    char *text = NULL;
    int code;
    TRY(run_program(argv, &text, &code));
    if (code == 127 && !*text)
        FAIL(ERR_RUNTIME, "there is no sbatch here: is Slurm installed on this machine?");
    size_t n = strlen(text);
    while (n > 0 && isspace((unsigned char)text[n - 1])) text[--n] = '\0';
    const char *line = strrchr(text, '\n') ? strrchr(text, '\n') + 1 : text;
    if (code != 0) FAIL(ERR_RUNTIME, "%s", *line ? line : "sbatch failed without a message");
    if (sscanf(line, "%63[0-9]", job) != 1)
        FAIL(ERR_RUNTIME, "sbatch answered \"%.200s\", which is no job number", line);
out:
    free(text);
    return st;
}

/* The files of a new submission. Two submissions of a folder cannot have the same time in milliseconds: a
 * sweep holds the folder's lock while it submits. */
static status name_files(const sweep_plan *p, file_path *json, file_path *script)
{
    status st = OK;
    file_path dir;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    const long long seconds = (long long)now.tv_sec;
    const long milliseconds = now.tv_nsec / 1000000;
    TRY(path_set(&dir, "%s/slurm", p->dir));
    TRY(file_make_dirs(dir.s));
    TRY(path_set(json, "%s/%lld%03ld.json", dir.s, seconds, milliseconds));
    TRY(path_set(script, "%s/%lld%03ld.sh", dir.s, seconds, milliseconds));
out:
    return st;
}

static status submit_elements(const sweep_plan *p, const sweep_spec *spec, cJSON *submission, int elements,
                              char *job)
{
    status st = OK;
    file_path json, script;
    char **argv = NULL;
    TRY(name_files(p, &json, &script));
    TRY(write_script(script.s, json.s));
    TRY(json_write(json.s, submission)); /* before the first element can start */
    TRY(sbatch_arguments(p, spec, elements, script.s, &argv));
    st = submit(argv, job);
    if (st != OK) {
        unlink(json.s);
        unlink(script.s);
        goto out;
    }
    TRY(json_put_text(submission, "job", job));
    TRY(json_write(json.s, submission));
out:
    for (unsigned i = 0; argv && argv[i]; i++) free(argv[i]);
    free(argv);
    return st;
}

status slurm_submit(const sweep_plan *p, const sweep_spec *spec, char *job, int *elements)
{
    status st = OK;
    bool *queued = NULL;
    cJSON *list = NULL, *submission = NULL;
    TRY_ALLOC(queued, calloc(p->n_tasks + 1, sizeof *queued));
    TRY(slurm_queue(p, queued));
    TRY(make_elements(p, queued, &list));
    *elements = cJSON_GetArraySize(list);
    if (*elements == 0) goto out;
    TRY_ALLOC(submission, cJSON_CreateObject());
    TRY(json_put_text(submission, "dir", p->dir));
    st = json_put(submission, "elements", list);
    list = NULL;
    if (st == OK) st = submit_elements(p, spec, submission, *elements, job);
out:
    cJSON_Delete(list);
    cJSON_Delete(submission);
    free(queued);
    return st;
}

/* ---- an element ---- */

/* Has Slurm queue this element again. It is named by the array's id and its index, since its own job id
 * changes when Slurm splits the array. */
static status requeue(void)
{
    status st = OK;
    const char *array = getenv("SLURM_ARRAY_JOB_ID"), *index = getenv("SLURM_ARRAY_TASK_ID");
    char id[64], *text = NULL;
    int code;
    TRY(text_format(id, sizeof id, "%s_%s", array ? array : "", index ? index : ""));
    char *argv[] = { "scontrol", "requeue", id, NULL };
    log_info("the time is up: back into the queue as %s", id);
    TRY(run_program(argv, &text, &code));
    if (code != 0) FAIL(ERR_RUNTIME, "scontrol requeue %s: %.200s", id, text);
out:
    free(text);
    return st;
}

static status choose_tasks(const sweep_plan *p, const cJSON *submission, int element, bool **out)
{
    status st = OK;
    const cJSON *list = cJSON_GetObjectItem(submission, "elements");
    TRY_ALLOC(*out, calloc(p->n_tasks + 1, sizeof **out));
    if (element < 0 || element >= cJSON_GetArraySize(list))
        FAIL(ERR_USAGE, "this submission has no element %d", element);
    mark_element(p, submission, element, *out);
out:
    return st;
}

status slurm_element(const char *file, pool_result *out)
{
    status st = OK;
    const char *index = getenv("SLURM_ARRAY_TASK_ID"), *restarts = getenv("SLURM_RESTART_COUNT");
    const pool_options options = { .jobs = 1, .gpus = 0 }; /* device=auto takes the GPU that Slurm gives */
    cJSON *submission = NULL;
    sweep_plan p = { 0 };
    bool *wanted = NULL;
    *out = (pool_result){ 0 };
    if (!index) FAIL(ERR_USAGE, "sweep element runs in a Slurm array only: SLURM_ARRAY_TASK_ID is not set");
    TRY(json_read(file, &submission));
    TRY(sweep_plan_read(json_text(submission, "dir"), &p));
    TRY(choose_tasks(&p, submission, atoi(index), &wanted));
    log_info("element %s of %s, %s time", index, file, restarts ? "not for the first" : "for the first");
    TRY(pool_run(&p, wanted, &options, out));
    if (out->signalled && out->signal_number == SIGUSR1) TRY(requeue());
out:
    free(wanted);
    sweep_plan_free(&p);
    cJSON_Delete(submission);
    return st;
}
