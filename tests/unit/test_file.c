/* core/base/file.c: a file is whole or not there, also when the disk is full. */
#include "../../core/base/file.h"
#include "../scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>

static int files_in_folder(void)
{
    int n = 0;
    DIR *d = opendir(scratch);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d));) n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static void assert_content(const char *path, const char *want)
{
    char *text = NULL;
    size_t bytes = 0;
    assert_int_equal(file_read(path, &text, &bytes), OK);
    assert_int_equal(bytes, strlen(want));
    assert_string_equal(text, want); /* also: ends with NUL */
    free(text);
}

static void replaces(void **state)
{
    (void)state;
    const char *path = scratch_path("a");
    assert_false(file_exists(path));
    assert_int_equal(file_replace(path, "one", 3), OK);
    assert_content(path, "one");
    assert_int_equal(file_replace(path, "", 0), OK);
    assert_content(path, "");
    assert_true(file_exists(path));
    assert_false(file_is_dir(path));
    assert_int_equal(unlink(path), 0);
    assert_int_equal(files_in_folder(), 0);
}

static void keeps_links_and_writes_into_pipes(void **state)
{
    (void)state;
    char got[8] = "";
    const char *path = scratch_path("a"), *link = scratch_path("link"), *pipe = scratch_path("pipe");
    assert_int_equal(file_replace(path, "one", 3), OK);
    assert_int_equal(symlink("a", link), 0);
    assert_int_equal(file_replace(link, "two", 3), OK);
    assert_content(path, "two");
    assert_int_equal(readlink(link, got, sizeof got), 1);

    assert_int_equal(mkfifo(pipe, 0600), 0);
    const int reader = open(pipe, O_RDONLY | O_NONBLOCK);
    assert_int_equal(file_replace(pipe, "three", 5), OK);
    assert_int_equal(read(reader, got, sizeof got), 5);
    assert_memory_equal(got, "three", 5);
    close(reader);
    assert_int_equal(unlink(pipe), 0);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(files_in_folder(), 0);
}

/* The old file stays until the commit; an abandoned writer leaves nothing. */
static void old_until_commit(void **state)
{
    (void)state;
    const char *path = scratch_path("b");
    assert_int_equal(file_replace(path, "old", 3), OK);
    file_writer w;
    assert_int_equal(file_begin(&w, path), OK);
    assert_int_equal(file_put(&w, "new", 3), OK);
    assert_content(path, "old");
    assert_int_equal(files_in_folder(), 2);
    file_abandon(&w);
    file_abandon(&w); /* twice is harmless */
    assert_int_equal(files_in_folder(), 1);
    assert_content(path, "old");
    memset(&w, 0, sizeof w);
    file_abandon(&w); /* never begun is harmless */
    assert_int_equal(unlink(path), 0);
}

/* A process begins to write the file and is killed; returns its PID. */
static pid_t killed_while_writing(const char *path)
{
    file_writer w;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        file_begin(&w, path);
        raise(SIGKILL);
    }
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    return pid;
}

/* The temporary file of a killed writer is removed; that of a living one, and other files of similar names, stay. */
static void leftovers_of_the_killed(void **state)
{
    (void)state;
    char name[64];
    file_writer w;
    static const char *const others[] = {
        "a.tmp-99999999",
        "a.cleave.tmp-",
        "a.cleave.tmp-12x",
        "a.cleave.tmp--7",
    };
    enum { OTHERS = sizeof others / sizeof *others };
    const int before = files_in_folder();
    for (int i = 0; i < OTHERS; i++) assert_int_equal(file_replace(scratch_path(others[i]), "x", 1), OK);
    assert_int_equal(file_begin(&w, scratch_path("living")), OK);
    const pid_t pid = killed_while_writing(scratch_path("killed.cleave.tmp-file"));
    assert_int_equal(files_in_folder(), before + OTHERS + 2);
    file_remove_leftovers(scratch);
    file_remove_leftovers(scratch_path("no such folder"));
    assert_false(file_is_temporary(".cleave.tmp-99999999"));
    assert_true(file_is_temporary("a.cleave.tmp-99999999"));
    assert_int_equal(files_in_folder(), before + OTHERS + 1);
    snprintf(name, sizeof name, "killed.cleave.tmp-file.cleave.tmp-%ld", (long)pid);
    assert_false(file_exists(scratch_path(name)));
    assert_int_equal(file_commit(&w), OK);
    for (int i = 0; i < OTHERS; i++) assert_int_equal(unlink(scratch_path(others[i])), 0);
    assert_int_equal(unlink(scratch_path("living")), 0);
}

/* Whoever writes into a folder removes them, too, so no tool needs to think of it. */
static void the_next_writer_removes_leftovers(void **state)
{
    (void)state;
    const int before = files_in_folder();
    killed_while_writing(scratch_path("one"));
    assert_int_equal(files_in_folder(), before + 1);
    assert_int_equal(file_replace(scratch_path("another"), "x", 1), OK);
    assert_int_equal(files_in_folder(), before + 1);
    assert_int_equal(unlink(scratch_path("another")), 0);
}

/* SCRATCH/NAME.cleave.tmp-PID */
static const char *temporary_of(const char *name, long pid)
{
    char whole[128];
    snprintf(whole, sizeof whole, "%s.cleave.tmp-%ld", name, pid);
    return scratch_path(whole);
}

static void make_older(const char *path, int seconds)
{
    struct timeval now, old[2];
    assert_int_equal(gettimeofday(&now, NULL), 0);
    old[0] = old[1] = (struct timeval){ now.tv_sec - seconds, 0 };
    assert_int_equal(utimes(path, old), 0);
}

/* On a shared file system, or in two containers, the PID of a writer is that of another process here. Its lock says that it
 * lives. */
static void pids_of_other_hosts(void **state)
{
    (void)state;
    enum { INIT = 1, NONE = 99999999 };
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    scratch_write("young.cleave.tmp-1", "x", 1);
    scratch_write("old.cleave.tmp-1", "x", 1);
    make_older(temporary_of("old", INIT), 120);
    scratch_write("far.cleave.tmp-99999999", "x", 1);
    const int fd = open(temporary_of("far", NONE), O_RDWR);
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &whole), 0);
    file_remove_leftovers(scratch);
    assert_true(file_exists(temporary_of("young", INIT))); /* its writer may not have locked it yet */
    assert_false(file_exists(temporary_of("old", INIT)));
    assert_true(file_exists(temporary_of("far", NONE)));
    close(fd);
    file_remove_leftovers(scratch);
    assert_false(file_exists(temporary_of("far", NONE)));
    assert_int_equal(unlink(temporary_of("young", INIT)), 0);
}

/* An earlier process of this PID may have left a file, which is replaced; but nothing is written through a link. */
static void the_temporary_file_is_new(void **state)
{
    (void)state;
    const char *victim = scratch_write("victim", "precious", 8), *path = scratch_path("new");
    const char *temporary = temporary_of("new", getpid());
    assert_int_equal(link(victim, temporary), 0);
    assert_int_equal(file_replace(path, "n", 1), OK);
    assert_content(path, "n");
    assert_content(victim, "precious");
    assert_int_equal(symlink(victim, temporary), 0);
    assert_int_equal(file_replace(path, "m", 1), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), temporary));
    assert_content(path, "n");
    assert_content(victim, "precious");
    assert_int_equal(unlink(temporary), 0); /* it is still there */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(unlink(victim), 0);
}

/* Nobody waits at a pipe in place of a file. */
static void pipes_in_place_of_files(void **state)
{
    (void)state;
    int fd;
    const char *pipe = scratch_path("pipe");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(file_open(pipe, &fd), ERR_DATA);
    assert_int_equal(fd, -1);
    assert_int_equal(file_open_to_append(pipe, &fd), ERR_RUNTIME);
    assert_int_equal(file_append(pipe, "", 0, "x", 1), ERR_RUNTIME);
    assert_int_equal(file_replace(pipe, "x", 1), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "nobody reads from it"));
    assert_int_equal(file_append("/dev/null", "", 0, "x", 1), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "a device"));
    assert_int_equal(unlink(pipe), 0);
}

/* Neither is a damaged file, and they must not be taken for one. */
static void too_many_open_files_and_no_memory(void **state)
{
    (void)state;
    struct rlimit limit, none;
    char *text;
    const char *path = scratch_write("whole", "x", 1);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    const int held = open("/dev/null", O_RDONLY); /* the first free number, if none below is free */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    const status st = file_read(path, &text, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(st, ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "Too many open files"));
    close(held);
    assert_int_equal(status_of_errno(ENOMEM, ERR_DATA), ERR_RUNTIME);
    assert_int_equal(status_of_errno(ENOENT, ERR_DATA), ERR_DATA);
    assert_int_equal(unlink(path), 0);
}

static void large_file(void **state)
{
    (void)state;
    size_t n = 1000003;
    char *data = malloc(n), *back = NULL;
    assert_non_null(data);
    for (size_t i = 0; i < n; i++) data[i] = (char)(i * 31 >> 3);
    assert_int_equal(file_replace(scratch_path("c"), data, n), OK);
    size_t bytes = 0;
    assert_int_equal(file_read(scratch_path("c"), &back, &bytes), OK);
    assert_int_equal(bytes, n);
    assert_memory_equal(back, data, n);
    free(back);
    free(data);
    assert_int_equal(unlink(scratch_path("c")), 0);
}

static void full_disk(void **state)
{
    (void)state;
    const char *path = scratch_path("d");
    char *data = calloc(1, 1 << 20), message[1024];
    assert_non_null(data);
    assert_int_equal(file_replace(path, "old", 3), OK);

    disk_is_full(100000);
    const status large = file_replace(path, data, 1 << 20);
    strcpy(message, status_message());
    disk_is_full(2); /* fails only in the flush of the buffer */
    const status little = file_replace(path, "new", 3);
    disk_has_room();
    free(data);

    assert_int_equal(large, ERR_RUNTIME);
    assert_non_null(strstr(message, path));
    assert_non_null(strstr(message, "File too large"));
    assert_int_equal(little, ERR_RUNTIME);
    assert_content(path, "old");
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(unlink(path), 0);
}

/* /dev/full: every write fails with "No space left on device". */
static void no_space(void **state)
{
    (void)state;
    if (!file_exists("/dev/full")) skip();
    file_writer w;
    assert_int_equal(file_begin(&w, scratch_path("e")), OK);
    assert_non_null(freopen("/dev/full", "w", w.f));
    assert_int_equal(file_put(&w, "x", 1), OK); /* only into the buffer */
    assert_int_equal(file_commit(&w), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "No space left on device"));
    assert_int_equal(files_in_folder(), 0);
}

static void errors_name_the_path(void **state)
{
    (void)state;
    char *text = NULL;
    assert_int_equal(file_read(scratch_path("none"), &text, NULL), ERR_DATA);
    assert_non_null(strstr(status_message(), "/none: No such file or directory"));
    assert_null(text);
    assert_int_equal(file_read(scratch, &text, NULL), ERR_DATA);
    assert_non_null(strstr(status_message(), "Is a directory"));
    assert_int_equal(file_replace(scratch_path("none/x"), "", 0), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "/none/x: No such file or directory"));
    assert_int_equal(mkdir(scratch_path("taken"), 0777), 0);
    assert_int_equal(file_replace(scratch_path("taken"), "", 0), ERR_RUNTIME);
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(rmdir(scratch_path("taken")), 0);
}

static void folders(void **state)
{
    (void)state;
    assert_int_equal(file_make_dirs(scratch_path("x/y//z/")), OK);
    assert_true(file_is_dir(scratch_path("x/y/z")));
    assert_int_equal(file_make_dirs(scratch_path("x/y/z")), OK); /* there already */
    assert_int_equal(file_replace(scratch_path("x/f"), "", 0), OK);
    assert_int_equal(file_make_dirs(scratch_path("x/f/g")), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "/x/f: a file of this name is there"));
    assert_int_equal(file_make_dirs(""), ERR_RUNTIME);
}

/* Known answers of FNV-1a, 64 bit. */
static void hash(void **state)
{
    (void)state;
    assert_true(file_hash("", 0) == 0xcbf29ce484222325u);
    assert_true(file_hash("a", 1) == 0xaf63dc4c8601ec8cu);
    assert_true(file_hash("foobar", 6) == 0x85944171f73967e8u);
}

static void newer_files(void **state)
{
    (void)state;
    const char *a = scratch_path("older"), *b = scratch_path("newer");
    assert_int_equal(file_replace(a, "", 0), OK);
    assert_false(file_is_newer(a, b) || file_is_newer(b, a)); /* one is missing */
    assert_int_equal(file_replace(b, "", 0), OK);
    static const struct timespec at[][2] = { { { 1000, 5 }, { 1000, 5 } }, { { 1000, 6 }, { 1000, 6 } } };
    assert_int_equal(utimensat(AT_FDCWD, a, at[0], 0), 0);
    assert_int_equal(utimensat(AT_FDCWD, b, at[1], 0), 0);
    assert_true(file_is_newer(b, a) && !file_is_newer(a, b) && file_is_newer(a, a));
    assert_int_equal(unlink(a), 0);
    assert_int_equal(unlink(b), 0);
}

static void removes_by_pattern(void **state)
{
    (void)state;
    static const char *const names[] = { "a.bin", "b.bin", "c.png", "d.svg", "e.txt" };
    char dir[512]; /* scratch_path is called more than four times below */
    strcpy(dir, scratch_path("mixed"));
    assert_int_equal(mkdir(dir, 0777), 0);
    for (int i = 0; i < 5; i++) {
        char name[64];
        snprintf(name, sizeof name, "mixed/%s", names[i]);
        assert_int_equal(file_replace(scratch_path(name), "", 0), OK);
    }
    assert_int_equal(file_remove_matching(dir, "*.bin"), OK);
    assert_int_equal(file_remove_matching(dir, "@(c|d).@(png|svg)"), OK);
    assert_int_equal(file_remove_matching(dir, "none"), OK);
    assert_int_equal(unlink(scratch_path("mixed/e.txt")), 0);
    assert_int_equal(rmdir(dir), 0); /* empty */
    assert_int_equal(file_remove_matching(dir, "*"), ERR_RUNTIME);
}

static void appends(void **state)
{
    (void)state;
    const char *path = scratch_path("lines");
    assert_int_equal(file_append(path, "head\n", 5, "a\n", 2), OK);
    assert_int_equal(file_append(path, "head\n", 5, "b\n", 2), OK);
    assert_content(path, "head\na\nb\n");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(file_append(scratch_path("none/x"), "", 0, "", 0), ERR_RUNTIME);
}

/* At once, also where a plain read would wait or never end. */
static void reads_only_what_ends(void **state)
{
    (void)state;
    char *text = NULL;
    size_t bytes = 0;
    const char *pipe = scratch_path("fifo"), *large = scratch_path("large");
    assert_int_equal(mkfifo(pipe, 0600), 0);
    assert_int_equal(file_read(pipe, &text, &bytes), ERR_DATA);
    assert_non_null(strstr(status_message(), "a pipe, not a regular file"));
    assert_int_equal(file_read("/dev/zero", &text, &bytes), ERR_DATA);
    assert_non_null(strstr(status_message(), "a device, not a regular file"));
    assert_int_equal(file_read_within(pipe, 100, FILE_OR_STREAM, &text, &bytes), ERR_DATA);
    assert_non_null(strstr(status_message(), "nobody"));
    assert_int_equal(file_read_within("/dev/zero", 100, FILE_OR_STREAM, &text, &bytes), ERR_DATA);
    assert_non_null(strstr(status_message(), "more than 100 bytes"));
    assert_int_equal(file_read_within("/dev/null", 100, FILE_OR_STREAM, &text, &bytes), OK);
    assert_int_equal(bytes, 0);
    free(text);

    assert_int_equal(file_replace(large, "0123456789", 10), OK);
    assert_int_equal(file_read_within(large, 9, FILE_OR_STREAM, &text, &bytes), ERR_DATA);
    assert_non_null(strstr(status_message(), "10 bytes are too many"));
    assert_int_equal(file_read_within(large, 10, FILE_REGULAR, &text, &bytes), OK);
    assert_string_equal(text, "0123456789");
    free(text);
    assert_int_equal(truncate(large, (off_t)FILE_MAX_BYTES + 1), 0);
    assert_int_equal(file_read(large, &text, &bytes), ERR_DATA);
    assert_int_equal(unlink(large), 0);
    assert_int_equal(unlink(pipe), 0);
}

/* A pipe with a writer that takes its time is read to its end. */
static void waits_for_a_writer(void **state)
{
    (void)state;
    int end[2];
    char path[32], *text = NULL;
    size_t bytes;
    assert_int_equal(pipe(end), 0);
    const pid_t child = fork();
    if (child == 0) {
        close(end[0]);
        usleep(20000);
        _exit(write(end[1], "seed: ", 6) == 6 && usleep(20000) == 0 && write(end[1], "7\n", 2) == 2 ? 0 : 1);
    }
    close(end[1]);
    snprintf(path, sizeof path, "/dev/fd/%d", end[0]);
    assert_int_equal(file_read_within(path, 100, FILE_OR_STREAM, &text, &bytes), OK);
    assert_string_equal(text, "seed: 7\n");
    free(text);
    close(end[0]);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(replaces),
        cmocka_unit_test(keeps_links_and_writes_into_pipes),
        cmocka_unit_test(old_until_commit),
        cmocka_unit_test(large_file),
        cmocka_unit_test(full_disk),
        cmocka_unit_test(no_space),
        cmocka_unit_test(errors_name_the_path),
        cmocka_unit_test(folders),
        cmocka_unit_test(hash),
        cmocka_unit_test(newer_files),
        cmocka_unit_test(removes_by_pattern),
        cmocka_unit_test(appends),
        cmocka_unit_test(leftovers_of_the_killed),
        cmocka_unit_test(the_next_writer_removes_leftovers),
        cmocka_unit_test(pids_of_other_hosts),
        cmocka_unit_test(the_temporary_file_is_new),
        cmocka_unit_test(pipes_in_place_of_files),
        cmocka_unit_test(too_many_open_files_and_no_memory),
        cmocka_unit_test(reads_only_what_ends),
        cmocka_unit_test(waits_for_a_writer),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
