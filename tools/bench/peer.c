/* tools/bench/peer.c -- a child process with a pipe each way. */
#include "peer.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static void close_all(int *fd, int n)
{
    for (int i = 0; i < n; i++)
        if (fd[i] >= 0) close(fd[i]);
}

/* fd: [0] the stdin of the program, [1] our end of it, [2] our end of its stdout, [3] its stdout. */
static status spawn(bench_peer *p, char *const *argv, const int *fd)
{
    status st = OK;
    posix_spawn_file_actions_t actions;
    int error = posix_spawn_file_actions_init(&actions);
    if (error) FAIL(ERR_RUNTIME, "cannot start %s: %s", argv[0], strerror(error));
    error = posix_spawn_file_actions_adddup2(&actions, fd[0], STDIN_FILENO);
    if (!error) error = posix_spawn_file_actions_adddup2(&actions, fd[3], STDOUT_FILENO);
    if (!error) error = posix_spawnp(&p->pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error) FAIL(ERR_RUNTIME, "cannot start %s: %s", argv[0], strerror(error));
out:
    return st;
}

static status read_line(bench_peer *p, char *line, size_t bytes)
{
    status st = OK;
    if (!fgets(line, (int)bytes, p->from))
        FAIL(ERR_RUNTIME, "the peer program ended early (its messages are above)");
    line[strcspn(line, "\n")] = 0;
out:
    return st;
}

status bench_peer_start(bench_peer *p, char *const *argv)
{
    status st = OK;
    int fd[4] = { -1, -1, -1, -1 };
    *p = (bench_peer){ 0 };
    if (pipe2(fd, O_CLOEXEC) || pipe2(fd + 2, O_CLOEXEC)) /* not inherited by later children */
        FAIL(ERR_RUNTIME, "pipe: %s", strerror(errno));
    TRY(spawn(p, argv, fd));
    if (!(p->to = fdopen(fd[1], "w"))) FAIL(ERR_RUNTIME, "pipe: %s", strerror(errno));
    fd[1] = -1;
    if (!(p->from = fdopen(fd[2], "r"))) FAIL(ERR_RUNTIME, "pipe: %s", strerror(errno));
    fd[2] = -1;
    close_all(fd, 4); /* the program's ends: while they are open here, nothing shows that it has ended */
    fd[0] = fd[3] = -1;
    TRY(read_line(p, p->name, sizeof p->name));
out:
    close_all(fd, 4);
    if (st != OK) bench_peer_stop(p);
    return st;
}

status bench_peer_ask(bench_peer *p, const char *word, double *answer)
{
    status st = OK;
    char line[128], *end;
    if (fprintf(p->to, "%s\n", word) < 0 || fflush(p->to))
        FAIL(ERR_RUNTIME, "the peer program does not listen");
    TRY(read_line(p, line, sizeof line));
    *answer = strtod(line, &end);
    if (end == line || *end) FAIL(ERR_RUNTIME, "the peer program answers \"%s\", not a number", line);
out:
    return st;
}

void bench_peer_stop(bench_peer *p)
{
    if (p->to) fclose(p->to); /* it ends when its stdin ends */
    if (p->from) fclose(p->from);
    if (p->pid > 0) waitpid(p->pid, NULL, 0);
    *p = (bench_peer){ 0 };
}
