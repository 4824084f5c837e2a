/* tools/sweep/local.c -- see local.h. First one task as a process, then the loop that starts processes and
 * waits for them with sigtimedwait: until one ends, a signal comes, or a second has passed. */
#include "local.h"

#include "../../core/base/clock.h"
#include "../../core/base/file.h"
#include "../../core/base/lock.h"
#include "../../core/base/log.h"
#include "../../core/base/progress.h"
#include "../../core/base/stop.h"
#include "../../core/base/threads.h"
#include "../../core/device/plugin.h"
#include "list.h"
#include "state.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- a task as a process ---- */

typedef struct reason_text {
    char s[512];
} reason_text;

typedef struct child {
    int task;
    pid_t pid; /* 0: this slot is free */
    dir_lock lock;
    double started; /* time_now() */
    long log_start; /* this attempt's first byte in log.txt */
} child;

/* Installed programs are called cleave-sweep, cleave-train: the prefix of this one is the prefix of the
 * others. */
status tool_path(const char *tool, file_path *out)
{
    status st = OK;
    file_path self;
    TRY(path_of_program(&self));
    size_t prefix = (size_t)(path_name(self.s) - self.s);
    if (text_ends_with(self.s, "sweep")) prefix = strlen(self.s) - strlen("sweep");
    TRY(path_set(out, "%.*s%s", (int)prefix, self.s, tool));
out:
    return st;
}

/* Opens a new result.json.new in the task's folder, in place of one that a killed sweep has left. */
static status open_result(const sweep_plan *p, int task, int *fd)
{
    status st = OK;
    file_path path;
    TRY(task_path(p, task, "result.json.new", &path));
    unlink(path.s);
    *fd = open(path.s, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0666);
    if (*fd < 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", path.s, strerror(errno));
out:
    return st;
}

static status open_log(const sweep_plan *p, int task, int *fd)
{
    status st = OK;
    file_path path;
    TRY(task_path(p, task, "log.txt", &path));
    TRY(file_open_to_append(path.s, fd));
out:
    return st;
}

/* Runs between fork and exec, so it may only call what is safe after a fork. If the parent died before
 * prctl, there is no signal for that any more, but getppid has changed. */
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
    file_path tool;
    char setting[64];
    TRY(tool_path(t->command[0], &tool));
    TRY(list_add_text(argv, n, tool.s));
    for (unsigned i = 1; i < t->n_command; i++) TRY(list_add_text(argv, n, t->command[i]));
    TRY(text_format(setting, sizeof setting, "threads=%d", threads));
    TRY(list_add_text(argv, n, setting));
    if (device) {
        TRY(text_format(setting, sizeof setting, "device=%s", device));
        TRY(list_add_text(argv, n, setting));
    }
    if (t->stage != STAGE_ANALYZE)
        TRY(list_add_text(argv, n, "--json")); /* analyze writes analysis.json itself */
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

/* Starts the tool of c->task, whose folder c->lock locks: messages go to log.txt, and the --json result to
 * result.json, which gets its name only if the tool succeeds. The tool gets `threads` and `device` (NULL:
 * the device of the configuration). It is in a process group of its own, and gets SIGTERM when this
 * process dies. */
static status child_start(const sweep_plan *p, child *c, int threads, const char *device)
{
    status st = OK;
    char **argv = NULL;
    unsigned n = 0;
    int out_fd = -1, log_fd = -1;
    pid_t parent = getpid();
    TRY(arguments(&p->task[c->task], threads, device, &argv, &n));
    TRY(open_result(p, c->task, &out_fd));
    TRY(open_log(p, c->task, &log_fd));
    log_command(log_fd, argv);
    c->log_start = (long)lseek(log_fd, 0, SEEK_END);
    c->started = time_now();
    c->pid = fork();
    if (c->pid == 0) become(argv, out_fd, log_fd, parent);
    if (c->pid < 0) {
        c->pid = 0;
        FAIL(ERR_RUNTIME, "cannot start a process: %s", strerror(errno));
    }
    setpgid(c->pid, c->pid); /* the child does it too, and may be first: then this fails */
    TRY(task_record(p, c->task, TASK_RUNNING, (long)c->pid, 0, 0, ""));
out:
    if (out_fd >= 0) close(out_fd);
    if (log_fd >= 0) close(log_fd);
    list_free_texts(argv, n);
    if (c->pid == 0) lock_release(&c->lock);
    return st;
}

static void child_stop(const child *c)
{
    kill(c->pid, SIGTERM);
}

static void child_kill(const child *c)
{
    kill(-c->pid, SIGKILL);
    kill(c->pid, SIGKILL); /* it may not have its group yet */
}

/* The last line that this attempt wrote to the task's log; "" if there is none. */
static reason_text last_line(const sweep_plan *p, const child *c)
{
    reason_text out = { "" };
    file_path path;
    char *text = NULL;
    size_t bytes = 0;
    if (task_path(p, c->task, "log.txt", &path) != OK || file_read(path.s, &text, &bytes) != OK) return out;
    char *start = text + ((size_t)c->log_start < bytes ? (size_t)c->log_start : bytes), *end = text + bytes;
    while (end > start && (end[-1] == '\n' || end[-1] == ' ')) *--end = '\0';
    char *line = strrchr(start, '\n');
    snprintf(out.s, sizeof out.s, "%s", line ? line + 1 : start);
    for (char *s = out.s; *s; s++)
        if ((unsigned char)*s < 0x20) *s = ' ';
    free(text);
    return out;
}

/* What the end of the process means. *reason is "" if the task is done. */
static task_state judge(const sweep_plan *p, const child *c, int wait_status, bool stopping,
                        reason_text *reason)
{
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 0;
    reason->s[0] = '\0';
    if (WIFSIGNALED(wait_status)) {
        int number = WTERMSIG(wait_status);
        snprintf(reason->s, sizeof reason->s, "killed by signal %d (%s)", number, strsignal(number));
        return stopping ? TASK_STOPPED : TASK_FAILED;
    }
    if (code == OK) return TASK_DONE;
    *reason = last_line(p, c);
    if (!reason->s[0]) snprintf(reason->s, sizeof reason->s, "exit code %d", code);
    return code == STOPPED ? TASK_STOPPED : TASK_FAILED;
}

/* Gives result.json its name, or removes it. */
static status keep_result(const sweep_plan *p, int task, bool keep)
{
    status st = OK;
    file_path from, to;
    TRY(task_path(p, task, "result.json.new", &from));
    TRY(task_path(p, task, "result.json", &to));
    if (!keep) unlink(from.s);
    if (keep && rename(from.s, to.s) != 0) FAIL(ERR_RUNTIME, "cannot write %s: %s", to.s, strerror(errno));
out:
    return st;
}

/* After waitpid: writes the record, releases the lock, frees the slot. `stopping`: the pool asked the task
 * to stop. */
static status child_end(const sweep_plan *p, child *c, int wait_status, bool stopping, task_state *out,
                        reason_text *reason)
{
    status st = OK;
    int code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
    *out = judge(p, c, wait_status, stopping, reason);
    TRY(keep_result(p, c->task, *out == TASK_DONE && p->task[c->task].stage != STAGE_ANALYZE));
    TRY(task_record(p, c->task, *out, (long)c->pid, code, time_now() - c->started, reason->s));
out:
    lock_release(&c->lock);
    c->pid = 0;
    return st;
}

/* ---- the pool ---- */

typedef enum mark {
    NOT_WANTED,
    PENDING,
    RUNNING,
    ELSEWHERE, /* another process has it */
    DONE,
    FAILED,
    HALTED, /* stopped before its end */
    BLOCKED /* needs a task that is not going to be done */
} mark;

typedef struct pool {
    const sweep_plan *plan;
    mark *mark;
    child *slot;
    int jobs, cores, gpus;
    int total;     /* wanted tasks */
    bool stopping; /* a signal came */
    int signal;    /* the first that came */
    double started;
} pool;

int pool_count_cores(void)
{
    const char *allocated = getenv("SLURM_CPUS_ON_NODE"); /* Slurm may not bind the job to its cores */
    const int n = threads_available(), m = allocated ? atoi(allocated) : 0;
    return m > 0 && m < n ? m : n;
}

/* Counts in a child process, whose end frees CUDA's libraries and memory. */
int pool_count_gpus(void)
{
    int code = 0;
    pid_t pid = fork();
    if (pid == 0) {
        int n = 0;
        backend *b;
        log_set_level(LOG_QUIET);
        for (; n < 100 && plugin_open("cuda", n, 1, &b) == OK; n++) backend_close(b);
        _exit(n);
    }
    if (pid < 0) return -1;
    while (waitpid(pid, &code, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(code) ? WEXITSTATUS(code) : 0;
}

/* ---- what runs where ---- */

static bool wants_gpu(const sweep_task *t)
{
    return strcmp(t->device, "auto") == 0 || strcmp(t->device, "cuda") == 0;
}

static int running(const pool *l)
{
    int n = 0;
    for (int i = 0; i < l->jobs; i++) n += l->slot[i].pid != 0;
    return n;
}

static int count(const pool *l, mark m)
{
    int n = 0;
    for (unsigned i = 0; i < l->plan->n_tasks; i++) n += l->mark[i] == m;
    return n;
}

static status launch(pool *l, int slot)
{
    status st = OK;
    child *c = &l->slot[slot];
    const sweep_task *t = &l->plan->task[c->task];
    char device[32], *on = NULL;
    int threads = t->threads;
    if (threads == 0)
        threads = l->cores / l->jobs + (slot < l->cores % l->jobs); /* the first slots get the remainder */
    if (threads == 0) threads = 1;
    if (l->gpus > 0 && wants_gpu(t)) {
        snprintf(device, sizeof device, "cuda:%d", slot % l->gpus);
        on = device;
    }
    TRY(child_start(l->plan, c, threads, on));
    l->mark[c->task] = RUNNING;
    log_info("start   %-7s %s  (%s%s%d thread%s)", stage_name[t->stage], t->id, on ? on : "", on ? ", " : "",
             threads, threads > 1 ? "s" : "");
out:
    return st;
}

/* Starts the task, unless another process has it or has done it in the meantime. */
static status try_task(pool *l, int task, int slot)
{
    status st = OK;
    file_path dir;
    bool taken;
    child *c = &l->slot[slot];
    TRY(task_path(l->plan, task, "", &dir));
    TRY(lock_try(dir.s, &c->lock, &taken));
    if (!taken) {
        lock_holder who = { 0 };
        if (l->mark[task] != ELSEWHERE && lock_is_held(dir.s, &who))
            log_info("wait    %-7s %s  (process %ld on %s has it)", stage_name[l->plan->task[task].stage],
                     l->plan->task[task].id, who.pid, who.host);
        l->mark[task] = ELSEWHERE;
        goto out;
    }
    if (task_done(l->plan, task)) {
        l->mark[task] = DONE;
        lock_release(&c->lock);
        goto out;
    }
    c->task = task;
    TRY(launch(l, slot));
out:
    return st;
}

static mark parent_mark(const pool *l, int task)
{
    int parent = l->plan->task[task].parent;
    if (parent < 0) return DONE;
    if (l->mark[parent] == NOT_WANTED) return task_done(l->plan, parent) ? DONE : BLOCKED;
    return l->mark[parent];
}

static int free_slot(const pool *l)
{
    int i = 0;
    while (i < l->jobs && l->slot[i].pid) i++;
    return i;
}

/* Starts tasks in all free slots. */
static status fill(pool *l)
{
    status st = OK;
    for (unsigned i = 0; i < l->plan->n_tasks && !l->stopping; i++) {
        if (l->mark[i] != PENDING && l->mark[i] != ELSEWHERE) continue;
        mark parent = parent_mark(l, (int)i);
        if (parent == FAILED || parent == BLOCKED || parent == HALTED) l->mark[i] = BLOCKED;
        int slot = free_slot(l);
        if (parent == DONE && slot < l->jobs) TRY(try_task(l, (int)i, slot));
    }
out:
    return st;
}

/* ---- what happens ---- */

static void log_end(const pool *l, int task, task_state state, double seconds, const char *reason)
{
    const sweep_task *t = &l->plan->task[task];
    static const char *const word[] = {
        [TASK_STOPPED] = "stopped", [TASK_FAILED] = "FAILED", [TASK_DONE] = "done"
    };
    char note[600] = "";
    task_info info;
    task_look(l->plan, task, &info);
    if (state == TASK_DONE && isfinite(info.accuracy))
        snprintf(note, sizeof note, "  %.2f %%", 100 * info.accuracy);
    if (*reason) snprintf(note, sizeof note, "  %s", reason);
    log_info("%-7s %-7s %s  (%d of %d, %s)%s", word[state], stage_name[t->stage], t->id, count(l, DONE),
             l->total, sweep_duration(seconds).s, note);
}

/* Collects the processes that have ended. */
static status reap(pool *l)
{
    status st = OK;
    for (int i = 0; i < l->jobs; i++) {
        child *c = &l->slot[i];
        int code, task = c->task;
        reason_text reason;
        task_state state;
        if (!c->pid || waitpid(c->pid, &code, WNOHANG) != c->pid) continue;
        double seconds = time_now() - c->started;
        TRY(child_end(l->plan, c, code, l->stopping, &state, &reason));
        l->mark[task] = state == TASK_DONE ? DONE : state == TASK_FAILED ? FAILED : HALTED;
        log_end(l, task, state, seconds, reason.s);
    }
out:
    return st;
}

static void stop(pool *l, int number)
{
    bool second = l->stopping && number == SIGINT && l->signal == SIGINT;
    if (!l->stopping) {
        l->signal = number;
        if (running(l))
            log_info("SIG%s: %d running, they save their state and end", sigabbrev_np(number), running(l));
    }
    l->stopping = true;
    for (int i = 0; i < l->jobs; i++) {
        if (!l->slot[i].pid) continue;
        if (second)
            child_kill(&l->slot[i]);
        else
            child_stop(&l->slot[i]);
    }
}

static void show(const pool *l)
{
    char line[256];
    if (!progress_is_shown()) return;
    snprintf(line, sizeof line, "%d of %d tasks done, %d running, %d failed  %s", count(l, DONE), l->total,
             running(l), count(l, FAILED), sweep_duration(time_now() - l->started).s);
    log_bottom_line(line);
}

static void signals_of_pool(sigset_t *set)
{
    static const int wanted[] = { SIGCHLD, SIGINT, SIGTERM, SIGUSR1, SIGUSR2 };
    sigemptyset(set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) sigaddset(set, wanted[i]);
    /* A blocked signal arrives even if it is ignored (nohup), so an ignored one must not be blocked. */
    if (stop_on_hangup()) sigaddset(set, SIGHUP);
}

static status loop(pool *l, const sigset_t *set)
{
    status st = OK;
    for (;;) {
        const struct timespec pause = { 1, 0 };
        TRY(reap(l));
        TRY(fill(l));
        if (!running(l) && (l->stopping || (count(l, PENDING) == 0 && count(l, ELSEWHERE) == 0))) break;
        show(l);
        int number = sigtimedwait(set, NULL, &pause);
        if (number > 0 && number != SIGCHLD) stop(l, number);
    }
out:
    return st;
}

/* After an error of the pool itself: stops the running tasks and waits for them. */
static void end_all(pool *l)
{
    stop(l, SIGTERM);
    for (int i = 0; i < l->jobs; i++) {
        int code;
        if (!l->slot[i].pid) continue;
        waitpid(l->slot[i].pid, &code, 0);
        lock_release(&l->slot[i].lock);
    }
}

static void sum_up(const pool *l, pool_result *out)
{
    *out = (pool_result){ .done = count(l, DONE),
                          .failed = count(l, FAILED),
                          .stopped = count(l, HALTED),
                          .not_begun = count(l, BLOCKED) + count(l, PENDING) + count(l, ELSEWHERE),
                          .signalled = l->stopping,
                          .signal_number = l->signal };
}

static status prepare(pool *l, const bool *wanted, const pool_options *o)
{
    status st = OK;
    const sweep_plan *p = l->plan;
    bool gpu = false;
    for (unsigned i = 0; i < p->n_tasks; i++) gpu |= wants_gpu(&p->task[i]);
    l->gpus = o->gpus >= 0 ? o->gpus : gpu ? pool_count_gpus() : 0;
    if (l->gpus < 0) FAIL(ERR_RUNTIME, "cannot start a process to look for GPUs: %s", strerror(errno));
    l->cores = o->cores ? o->cores : pool_count_cores();
    l->jobs = o->jobs ? o->jobs : l->gpus ? l->gpus : 1;
    TRY_ALLOC(l->mark, calloc(p->n_tasks + 1, sizeof *l->mark));
    TRY_ALLOC(l->slot, calloc((size_t)l->jobs, sizeof *l->slot));
    for (unsigned i = 0; i < p->n_tasks; i++) {
        if (wanted && !wanted[i]) continue;
        l->mark[i] = task_done(p, (int)i) ? DONE : PENDING;
        l->total++;
    }
out:
    return st;
}

status pool_run(const sweep_plan *p, const bool *wanted, const pool_options *o, pool_result *out)
{
    status st = OK;
    pool l = { .plan = p, .started = time_now() };
    sigset_t set, old;
    *out = (pool_result){ 0 };
    signals_of_pool(&set);
    sigprocmask(SIG_BLOCK, &set, &old);
    TRY(prepare(&l, wanted, o));
    st = loop(&l, &set);
    if (st != OK) end_all(&l);
    sum_up(&l, out);
out:
    log_bottom_line(NULL);
    sigprocmask(SIG_SETMASK, &old, NULL);
    free(l.mark);
    free(l.slot);
    return st;
}
