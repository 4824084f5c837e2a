/* tools/sweep/child.c -- fork, exec, and what the end of a process means. */
#include "child.h"

#include "../../core/base/file.h"
#include "../../core/base/progress.h"
#include "list.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REASON_BYTES = 512 };

/* Installed programs are called cleave-sweep, cleave-train: what stands before "sweep" stands before the
 * others too. */
status tool_path(const char *tool, char *out, size_t bytes)
{
    status st = OK;
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) FAIL(ERR_RUNTIME, "cannot find the folder of the tools: /proc/self/exe: %s", strerror(errno));
    self[n] = '\0';
    size_t length = strlen(self), own = strlen("sweep");
    if (length > own && strcmp(self + length - own, "sweep") == 0)
        self[length - own] = '\0';
    else
        *(strrchr(self, '/') + 1) = '\0';
    TRY(text_format(out, bytes, "%s%s", self, tool));
out:
    return st;
}

/* ---- starting ---- */

static status open_for(const sweep_plan *p, int task, const char *name, int flags, int *fd)
{
    status st = OK;
    char path[4096];
    TRY(task_path(p, task, name, path, sizeof path));
    *fd = open(path, flags | O_CREAT | O_WRONLY | O_CLOEXEC, 0666);
    if (*fd < 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", path, strerror(errno));
out:
    return st;
}

/* Between fork and exec: only what is safe there. A signal that came before prctl shows in a changed parent.
 */
static void become(char **argv, int out_fd, int log_fd, pid_t parent)
{
    sigset_t none;
    sigemptyset(&none);
    int null = open("/dev/null", O_RDWR);
    bool ready = setpgid(0, 0) == 0 && prctl(PR_SET_PDEATHSIG, SIGTERM) == 0 && getppid() == parent &&
                 null >= 0 && dup2(null, STDIN_FILENO) >= 0 && dup2(out_fd, STDOUT_FILENO) >= 0 &&
                 dup2(log_fd, STDERR_FILENO) >= 0 && sigprocmask(SIG_SETMASK, &none, NULL) == 0;
    if (ready) execv(argv[0], argv);
    const char *why = strerror(errno);
    if (write(STDERR_FILENO, "cannot start: ", 14) > 0 && write(STDERR_FILENO, why, strlen(why)) > 0)
        _exit(ERR_RUNTIME);
    _exit(ERR_RUNTIME);
}

static status arguments(const sweep_task *t, int threads, const char *device, char ***argv, unsigned *n)
{
    status st = OK;
    char text[4200];
    TRY(tool_path(t->command[0], text, sizeof text));
    TRY(list_add_text(argv, n, text));
    for (unsigned i = 1; i < t->n_command; i++) TRY(list_add_text(argv, n, t->command[i]));
    TRY(text_format(text, sizeof text, "threads=%d", threads));
    TRY(list_add_text(argv, n, text));
    if (device) TRY(text_format(text, sizeof text, "device=%s", device));
    if (device) TRY(list_add_text(argv, n, text));
    if (t->stage != STAGE_ANALYZE)
        TRY(list_add_text(argv, n, "--json")); /* analysis.json is where it belongs */
    TRY(list_grow(argv, *n, sizeof **argv));   /* the NULL at the end */
out:
    return st;
}

static void log_command(int fd, char *const *argv)
{
    dprintf(fd, "$");
    for (unsigned i = 0; argv[i]; i++) dprintf(fd, strpbrk(argv[i], " \"[]'") ? " '%s'" : " %s", argv[i]);
    dprintf(fd, "\n");
}

status child_start(const sweep_plan *p, child *c, int threads, const char *device)
{
    status st = OK;
    char **argv = NULL;
    unsigned n = 0;
    int out_fd = -1, log_fd = -1;
    pid_t parent = getpid();
    TRY(arguments(&p->task[c->task], threads, device, &argv, &n));
    TRY(open_for(p, c->task, "result.json.new", O_TRUNC, &out_fd));
    TRY(open_for(p, c->task, "log.txt", O_APPEND, &log_fd));
    log_command(log_fd, argv);
    c->log_start = (long)lseek(log_fd, 0, SEEK_END);
    c->started = time_now();
    c->pid = fork();
    if (c->pid == 0) become(argv, out_fd, log_fd, parent);
    if (c->pid < 0) {
        c->pid = 0;
        FAIL(ERR_RUNTIME, "cannot start a process: %s", strerror(errno));
    }
    setpgid(c->pid, c->pid); /* whoever is first; EACCES after its exec */
    TRY(task_record(p, c->task, TASK_RUNNING, (long)c->pid, 0, 0, ""));
out:
    if (out_fd >= 0) close(out_fd);
    if (log_fd >= 0) close(log_fd);
    list_free_texts(argv, n);
    if (c->pid == 0) lock_release(&c->lock);
    return st;
}

void child_stop(const child *c)
{
    kill(c->pid, SIGTERM);
}

void child_kill(const child *c)
{
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL); /* before it has its group */
}

/* ---- the end ---- */

/* The last line that the attempt wrote to its log. */
static void last_line(const sweep_plan *p, const child *c, char *out)
{
    char path[4096], *text = NULL;
    size_t bytes = 0;
    *out = '\0';
    if (task_path(p, c->task, "log.txt", path, sizeof path) != OK || file_read(path, &text, &bytes) != OK)
        return;
    char *start = text + ((size_t)c->log_start < bytes ? (size_t)c->log_start : bytes), *end = text + bytes;
    while (end > start && (end[-1] == '\n' || end[-1] == ' ')) *--end = '\0';
    char *line = strrchr(start, '\n');
    snprintf(out, REASON_BYTES, "%s", line ? line + 1 : start);
    for (char *s = out; *s; s++)
        if ((unsigned char)*s < 0x20) *s = ' ';
    free(text);
}

static task_state judge(const sweep_plan *p, const child *c, int wait_status, bool stopping, char *reason)
{
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0;
    *reason = '\0';
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        snprintf(reason, REASON_BYTES, "killed by signal %d (%s)", number, strsignal(number));
        return stopping ? TASK_STOPPED : TASK_FAILED;
    }
    if (code == OK) return TASK_DONE;
    last_line(p, c, reason);
    if (!*reason) snprintf(reason, REASON_BYTES, "exit code %d", code);
    return code == STOPPED ? TASK_STOPPED : TASK_FAILED;
}

/* Its result appears under its name only when it is whole. */
static status keep_result(const sweep_plan *p, int task, bool keep)
{
    status st = OK;
    char from[4096], to[4096];
    TRY(task_path(p, task, "result.json.new", from, sizeof from));
    TRY(task_path(p, task, "result.json", to, sizeof to));
    if (!keep) unlink(from);
    if (keep && rename(from, to) != 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", to, strerror(errno));
out:
    return st;
}

status child_end(const sweep_plan *p, child *c, int wait_status, bool stopping, task_state *out, char *reason)
{
    status st = OK;
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
    *out = judge(p, c, wait_status, stopping, reason);
    TRY(keep_result(p, c->task, *out == TASK_DONE && p->task[c->task].stage != STAGE_ANALYZE));
    TRY(task_record(p, c->task, *out, (long)c->pid, code, time_now() - c->started, reason));
out:
    lock_release(&c->lock);
    c->pid = 0;
    return st;
}
