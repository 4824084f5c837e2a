/* core/base/lock.c: there is one holder at a time, others learn who it is, the lock is free however the holder ended, and
 * nothing is left behind. */
#include "../../core/base/file.h"
#include "../../core/base/lock.h"
#include "../../core/base/log.h"
#include "../../core/base/stop.h"
#include "../scratch.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Starts a child that holds the lock until it is killed; returns when the child has the lock. */
static pid_t holder(const char *dir)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        dir_lock l;
        if (lock_take(dir, false, &l) != OK || write(ready[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid, int signal)
{
    int code;
    assert_int_equal(kill(pid, signal), 0);
    assert_int_equal(waitpid(pid, &code, 0), pid);
}

static void taken_and_released(void **state)
{
    (void)state;
    const char *dir = scratch_path("a/b");
    dir_lock l;
    assert_false(lock_is_held(dir, NULL));
    assert_int_equal(lock_take(dir, false, &l), OK);
    lock_holder who;
    assert_true(lock_is_held(dir, &who));
    assert_int_equal(who.pid, getpid());
    assert_true(who.host[0] && strlen(who.since) == 20);
    lock_release(&l);
    assert_false(lock_is_held(dir, NULL));
    assert_false(file_exists(scratch_path("a"))); /* made for the lock, and empty */
    assert_true(file_is_dir(scratch));
    lock_release(&l);
}

static void a_folder_with_results_stays(void **state)
{
    (void)state;
    dir_lock l;
    assert_int_equal(lock_take(scratch_path("full"), false, &l), OK);
    scratch_write("full/result", "x", 1);
    lock_release(&l);
    assert_true(file_exists(scratch_path("full/result")));
    assert_false(file_exists(scratch_path("full/lock")));

    assert_int_equal(file_make_dirs(scratch_path("empty")), OK);
    assert_int_equal(lock_take(scratch_path("empty"), false, &l), OK);
    lock_release(&l);
    assert_true(file_is_dir(scratch_path("empty"))); /* it existed before */
}

static void the_second_hears_who_has_it(void **state)
{
    (void)state;
    const char *dir = scratch_path("busy");
    char pid_text[32];
    dir_lock l;
    bool taken = true;
    pid_t pid = holder(dir);
    assert_int_equal(lock_take(dir, false, &l), ERR_RUNTIME);
    snprintf(pid_text, sizeof pid_text, "process %ld on ", (long)pid);
    assert_non_null(strstr(status_message(), pid_text));
    assert_non_null(strstr(status_message(), dir));
    assert_int_equal(lock_try(dir, &l, &taken), OK);
    assert_false(taken);
    lock_release(&l); /* not taken: harmless */
    assert_true(lock_is_held(dir, NULL));
    end(pid, SIGKILL);
}

static void a_crash_leaves_it_free(void **state)
{
    (void)state;
    const char *dir = scratch_path("crash");
    dir_lock l;
    end(holder(dir), SIGKILL);
    assert_true(file_exists(scratch_path("crash/lock")));
    assert_false(lock_is_held(dir, NULL));
    assert_int_equal(lock_take(dir, false, &l), OK);
    lock_release(&l);
}

/* In a child, because the flag of a received signal is never cleared. */
static void waits_for_its_turn_or_a_signal(void **state)
{
    (void)state;
    const char *dir = scratch_path("turn");
    log_set_level(LOG_ERROR);
    for (int stopped = 0; stopped < 2; stopped++) {
        int code;
        pid_t first = holder(dir), second = fork();
        assert_true(second >= 0);
        if (second == 0) {
            dir_lock l;
            stop_install();
            status st = lock_take(dir, true, &l);
            lock_release(&l);
            _exit(st);
        }
        usleep(300000);
        assert_int_equal(waitpid(second, &code, WNOHANG), 0); /* still waiting */
        if (stopped)
            kill(second, SIGTERM);
        else
            end(first, SIGKILL);
        assert_int_equal(waitpid(second, &code, 0), second);
        assert_true(WIFEXITED(code));
        assert_int_equal(WEXITSTATUS(code), stopped ? STOPPED : OK);
        if (stopped) end(first, SIGKILL);
    }
    log_set_level(LOG_INFO);
}

static void a_folder_that_cannot_be_made(void **state)
{
    (void)state;
    dir_lock l;
    const char *file = scratch_write("file", "x", 1);
    assert_int_equal(lock_take(file, false, &l), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), file));
    assert_int_equal(symlink("/nowhere/at/all", scratch_path("link")), 0);
    assert_int_equal(lock_take(scratch_path("link"), false, &l), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "a link to nothing"));
    assert_int_equal(lock_take("/proc/here", false, &l), ERR_RUNTIME);
}

/* A file called "lock" need not be one of ours: it is neither written nor removed. */
static void a_lock_of_somebody_else(void **state)
{
    (void)state;
    dir_lock l;
    lock_holder who;
    static const char text[] = "4711 keys of the house, not to be lost";
    char own[512], dir[512], *back; /* scratch_path has four buffers only */
    snprintf(own, sizeof own, "%s", scratch_write("theirs/lock", text, sizeof text - 1));
    snprintf(dir, sizeof dir, "%s", scratch_path("theirs"));
    assert_int_equal(lock_take(dir, false, &l), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "not a lock of this program"));
    assert_int_equal(rename(own, scratch_path("keys")), 0);
    assert_int_equal(symlink(scratch_path("keys"), own), 0);
    assert_int_equal(lock_take(dir, false, &l), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "a symbolic link"));
    assert_false(lock_is_held(dir, NULL));
    assert_int_equal(file_read(scratch_path("keys"), &back, NULL), OK);
    assert_string_equal(back, text);
    free(back);
    assert_int_equal(unlink(own), 0);
    assert_int_equal(mkfifo(own, 0600), 0);
    assert_false(lock_is_held(dir, &who)); /* and nobody waits for its writer */
    assert_int_equal(lock_take(dir, false, &l), ERR_RUNTIME);
    assert_int_equal(unlink(own), 0);
    scratch_write("theirs/lock", "4711 host 2026-11-30T20:28:35Z\n", 31); /* of a killed process */
    assert_int_equal(lock_take(dir, false, &l), OK);
    lock_release(&l);
}

/* Many processes increment a number in a file under the lock; every release removes the lock's file. */
static void nothing_is_lost_among_many(void **state)
{
    (void)state;
    enum { PROCESSES = 8, ROUNDS = 3 };
    const char *dir = scratch_path("many/deep/er"), *count = scratch_write("count", "0", 1);
    log_set_level(LOG_ERROR);
    for (int p = 0; p < PROCESSES; p++) {
        pid_t pid = fork();
        assert_true(pid >= 0);
        if (pid) continue;
        for (int r = 0; r < ROUNDS; r++) {
            dir_lock l;
            char *text, more[32];
            if (lock_take(dir, true, &l) != OK || file_read(count, &text, NULL) != OK) _exit(1);
            snprintf(more, sizeof more, "%d", atoi(text) + 1);
            usleep(1000);
            if (file_replace(count, more, strlen(more)) != OK) _exit(1);
            free(text);
            lock_release(&l);
        }
        _exit(0);
    }
    for (int p = 0, code; p < PROCESSES; p++) {
        assert_true(wait(&code) > 0);
        assert_int_equal(code, 0);
    }
    char *text;
    assert_int_equal(file_read(count, &text, NULL), OK);
    assert_int_equal(atoi(text), PROCESSES * ROUNDS);
    free(text);
    assert_false(file_exists(scratch_path("many/deep/er/lock")));
    log_set_level(LOG_INFO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(taken_and_released),
        cmocka_unit_test(a_folder_with_results_stays),
        cmocka_unit_test(the_second_hears_who_has_it),
        cmocka_unit_test(a_crash_leaves_it_free),
        cmocka_unit_test(waits_for_its_turn_or_a_signal),
        cmocka_unit_test(a_folder_that_cannot_be_made),
        cmocka_unit_test(a_lock_of_somebody_else),
        cmocka_unit_test(nothing_is_lost_among_many),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
