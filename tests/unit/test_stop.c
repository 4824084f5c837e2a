/* core/base/stop.c: each signal is noticed; a second SIGINT ends the process. The tests run in child processes, because
 * the flag of a received signal is never cleared. */
#include "../../core/base/stop.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Sends the signals in a child, whose exit status is 0 if stop_signal then returns `name`. */
static int child(int first, int second, const char *name)
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        stop_install();
        if (stop_requested() || stop_signal()[0]) _exit(2);
        if (first) raise(first);
        if (second) raise(second);
        _exit(stop_requested() == (first != 0) && strcmp(stop_signal(), name) == 0 ? 0 : 1);
    }
    int code;
    assert_int_equal(waitpid(pid, &code, 0), pid);
    return WIFEXITED(code) ? WEXITSTATUS(code) : 1000;
}

static void noticed(void **state)
{
    (void)state;
    assert_int_equal(child(0, 0, ""), 0);
    assert_int_equal(child(SIGTERM, 0, "SIGTERM"), 0);
    assert_int_equal(child(SIGINT, 0, "SIGINT"), 0);
    assert_int_equal(child(SIGUSR1, 0, "SIGUSR1"), 0);
    assert_int_equal(child(SIGHUP, 0, "SIGHUP"), 0);
    assert_int_equal(child(SIGUSR2, SIGTERM, "SIGUSR2"), 0); /* the first one counts */
}

/* As nohup starts a program. */
static void ignored_hangup(void **state)
{
    (void)state;
    signal(SIGHUP, SIG_IGN);
    assert_false(stop_on_hangup());
    assert_int_equal(child(SIGHUP, 0, ""), 1); /* it does not stop; 1: stop_requested() is false */
    assert_int_equal(child(SIGHUP, SIGTERM, "SIGTERM"), 0);
    signal(SIGHUP, SIG_DFL);
    assert_true(stop_on_hangup());
}

static void second_interrupt(void **state)
{
    (void)state;
    assert_int_equal(child(SIGTERM, SIGINT, "SIGINT"), 0);
    assert_int_equal(child(SIGINT, SIGINT, "SIGINT"), 128 + SIGINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(noticed), cmocka_unit_test(ignored_hangup),
                                        cmocka_unit_test(second_interrupt) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
