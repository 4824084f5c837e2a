/* tools/sweep/pool.c -- a loop around sigtimedwait: a child ended, a signal came, or time to look around. */
#include "pool.h"

#include "../../core/base/log.h"
#include "../../core/device/plugin.h"
#include "../../core/base/progress.h"
#include "child.h"

#include <errno.h>
#include <math.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* How a task stands in this pool. */
typedef enum mark { NOT_WANTED, PENDING, RUNNING, ELSEWHERE, DONE, FAILED, HALTED, BLOCKED } mark;

typedef struct pool {
    const sweep_plan *plan;
    mark *mark;
    child *slot;
    int jobs, cores, gpus;
    int total; /* wanted tasks */
    bool stopping;
    int signal; /* that asked for it */
    double started;
} pool;

int pool_count_cores(void)
{
    cpu_set_t set;
    const char *allocated = getenv("SLURM_CPUS_ON_NODE"); /* where Slurm does not bind, it still counts */
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1,
        m = allocated ? atoi(allocated) : 0;
    return m > 0 && m < n ? m : n;
}

/* In a process of its own, which CUDA's libraries and their memory end with. */
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
    while (pid > 0 && waitpid(pid, &code, 0) < 0 && errno == EINTR) continue;
    return pid > 0 && WIFEXITED(code) ? WEXITSTATUS(code) : 0;
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
    if (threads == 0) threads = l->cores / l->jobs + (slot < l->cores % l->jobs); /* no core is left over */
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

/* Takes the task if nobody else has it; it may have been done meanwhile. */
static status try_task(pool *l, int task, int slot)
{
    status st = OK;
    char dir[4096];
    bool taken;
    child *c = &l->slot[slot];
    TRY(task_path(l->plan, task, "", dir, sizeof dir));
    TRY(lock_try(dir, &c->lock, &taken));
    if (!taken) {
        lock_holder who = { 0 };
        if (l->mark[task] != ELSEWHERE && lock_is_held(dir, &who))
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

static void say_end(const pool *l, int task, task_state state, double seconds, const char *reason)
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
    long s = (long)(seconds + 0.5);
    log_info("%-7s %-7s %s  (%d of %d, %ld:%02ld:%02ld)%s", word[state], stage_name[t->stage], t->id,
             count(l, DONE), l->total, s / 3600, s / 60 % 60, s % 60, note);
}

static status reap(pool *l)
{
    status st = OK;
    for (int i = 0; i < l->jobs; i++) {
        child *c = &l->slot[i];
        int code, task = c->task;
        char reason[512];
        task_state state;
        if (!c->pid || waitpid(c->pid, &code, WNOHANG) != c->pid) continue;
        double seconds = time_now() - c->started;
        TRY(child_end(l->plan, c, code, l->stopping, &state, reason));
        l->mark[task] = state == TASK_DONE ? DONE : state == TASK_FAILED ? FAILED : HALTED;
        say_end(l, task, state, seconds, reason);
    }
out:
    return st;
}

static void stop(pool *l, int number)
{
    bool again = l->stopping && number == SIGINT && l->signal == SIGINT;
    if (!l->stopping) {
        l->signal = number;
        if (running(l))
            log_info("SIG%s: %d running, they save their state and end", sigabbrev_np(number), running(l));
    }
    l->stopping = true;
    for (int i = 0; i < l->jobs; i++) {
        if (!l->slot[i].pid) continue;
        if (again)
            child_kill(&l->slot[i]);
        else
            child_stop(&l->slot[i]);
    }
}

static void show(const pool *l)
{
    char line[256];
    long s = (long)(time_now() - l->started);
    const char *term = getenv("TERM");
    if (!isatty(STDERR_FILENO) || !term || strcmp(term, "dumb") == 0 || log_get_level() < LOG_INFO) return;
    snprintf(line, sizeof line, "%d of %d tasks done, %d running, %d failed  %ld:%02ld:%02ld", count(l, DONE),
             l->total, running(l), count(l, FAILED), s / 3600, s / 60 % 60, s % 60);
    log_bottom_line(line);
}

static void signals_of_pool(sigset_t *set)
{
    static const int wanted[] = { SIGCHLD, SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2 };
    sigemptyset(set);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) sigaddset(set, wanted[i]);
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

/* After an error of the pool itself: nothing may stay behind. */
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
