/* tests/backend/test_algorithm.c -- the choice of a convolution algorithm: timed once, kept in a file, the same for
 * every process that reads it. The two algorithms round differently, so the bits of the results show which one has
 * run. */
#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../core/device/tuning.h"
#include "../../nets/device.h"
#include "../../tools/check/opcheck.h"
#include "../../tools/check/problem.h"
#include "../must.h"
#include "../scratch.h"

#include <dirent.h>
#include <sys/wait.h>

/* A convolution large enough to be timed, and its name in the cache. */
static const char LARGE[] = "conv n16c64h32w32_o64k3s1p1", SHAPE[] = "n16c64h32w32_o64";

static char folder[256], run_file[300];

/* Each test has a cache of its own. */
static int fresh_cache(void **state)
{
    static int number;
    (void)state;
    snprintf(folder, sizeof folder, "%s/%d", scratch, number++);
    snprintf(run_file, sizeof run_file, "%s-run.txt", folder);
    unsetenv("CLEAVE_CONV");
    return setenv("CLEAVE_CACHE", folder, 1);
}

/* The path of the only conv-*.txt in the cache; false if there is none. */
static bool cache_file(char *out, size_t bytes)
{
    bool found = false;
    DIR *d = opendir(folder);
    for (struct dirent *e; d && (e = readdir(d));)
        if (!strncmp(e->d_name, "conv-", 5)) {
            assert_false(found);
            found = true;
            snprintf(out, bytes, "%s/%s", folder, e->d_name);
        }
    if (d) closedir(d);
    return found;
}

static char *read_cache(void)
{
    char path[600], *text = NULL;
    if (cache_file(path, sizeof path)) must(file_read(path, &text, NULL));
    return text;
}

/* Runs LARGE on a new device. load, save: the run's file of choices, or NULL. */
static void run_large(const char *load, const char *save, opcheck_result *out)
{
    op_problem o;
    backend *b;
    const opcheck_options opt = { .seed = 1, .backward = true };
    must(backend_open("cpu", 0, &b, NULL, 0));
    must(problem_parse(LARGE, &o));
    if (load) must(b->tuning->load(b, load));
    must(opcheck_run(b, &o, &opt, out));
    if (save) must(b->tuning->save(b, save));
    backend_close(b);
}

static void run_forced(const char *algorithm, opcheck_result *out)
{
    setenv("CLEAVE_CONV", algorithm, 1);
    run_large(NULL, NULL, out);
    unsetenv("CLEAVE_CONV");
}

static bool same(const float *a, const float *b, int64_t n)
{
    return memcmp(a, b, (size_t)n * sizeof *a) == 0;
}

/* Writes a file of choices for this machine, as in the cache or in a run. */
static void write_choices(const char *path, const char *forward, const char *data, const char *weights)
{
    char text[1000], *header = read_cache();
    assert_non_null(header);
    header[strcspn(header, "\n")] = 0;
    snprintf(text, sizeof text, "%s\n%s forward %s\n%s data %s\n%s weights %s\n", header, SHAPE, forward,
             SHAPE, data, SHAPE, weights);
    must(file_replace(path, text, strlen(text)));
    free(header);
}

static void it_is_timed_once_and_kept(void **state)
{
    opcheck_result a = { 0 }, b = { 0 };
    char *first, *second, *of_run;
    (void)state;
    assert_null(read_cache());
    run_large(NULL, NULL, &a);
    first = read_cache();
    assert_non_null(first);
    assert_int_equal(strncmp(first, "cleave convolutions 2: oneDNN", 29), 0);
    for (const char *const *d = (const char *const[]){ "forward", "data", "weights", NULL }; *d; d++) {
        char begin[80];
        snprintf(begin, sizeof begin, "\n%s %s ", SHAPE, *d);
        assert_non_null(strstr(first, begin));
    }
    run_large(NULL, run_file, &b);
    second = read_cache();
    assert_string_equal(first, second);
    must(file_read(run_file, &of_run, NULL));
    assert_string_equal(first, of_run);
    assert_true(same(a.y, b.y, a.n_y));
    opcheck_free(&a);
    opcheck_free(&b);
    free(first);
    free(second);
    free(of_run);
}

/* Each direction runs with the algorithm in the file, and the file of a run is preferred to the cache. */
static void what_is_written_is_done(void **state)
{
    opcheck_result direct = { 0 }, winograd = { 0 }, by_file = { 0 };
    char path[600];
    (void)state;
    run_forced("direct", &direct);
    run_forced("winograd", &winograd);
    assert_false(same(direct.y, winograd.y, direct.n_y));
    assert_null(read_cache()); /* forced: nothing was timed */
    run_large(NULL, NULL, &by_file);
    assert_true(cache_file(path, sizeof path));

    write_choices(path, "direct", "winograd", "direct");
    opcheck_free(&by_file);
    run_large(NULL, NULL, &by_file);
    assert_true(same(by_file.y, direct.y, direct.n_y));
    assert_true(same(by_file.dx, winograd.dx, direct.n_x));
    assert_true(same(by_file.grad[0], direct.grad[0], direct.n_param[0]));

    write_choices(run_file, "winograd", "direct", "winograd");
    opcheck_free(&by_file);
    run_large(run_file, NULL, &by_file);
    assert_true(same(by_file.y, winograd.y, direct.n_y));
    assert_true(same(by_file.dx, direct.dx, direct.n_x));
    assert_true(same(by_file.grad[0], winograd.grad[0], direct.n_param[0]));
    opcheck_free(&by_file);
    opcheck_free(&direct);
    opcheck_free(&winograd);
}

static int lines_of(const char *path)
{
    char *text = NULL;
    int n = 0;
    must(file_read(path, &text, NULL));
    for (const char *p = text; *p; p++) n += *p == '\n';
    free(text);
    return n;
}

static void a_damaged_cache_is_replaced(void **state)
{
    static const char *const damage[] = { "",
                                          "garbage",
                                          "cleave convolutions 1: another machine\n",
                                          "%sn1 forward winograd extra\n",
                                          "%sn1 sideways direct\n",
                                          "%sn1 forward fastest\n",
                                          "%s\n\x01\n" };
    char path[600], log[300], header[300] = "";
    opcheck_result r = { 0 };
    (void)state;
    run_large(NULL, NULL, &r);
    opcheck_free(&r);
    char *good = read_cache();
    snprintf(header, sizeof header, "%.*s\n", (int)strcspn(good, "\n"), good);
    assert_true(cache_file(path, sizeof path));
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        char text[600];
        snprintf(text, sizeof text, damage[i][0] == '%' ? "%s%s" : "%s",
                 damage[i][0] == '%' ? header : damage[i], damage[i] + 2);
        must(file_replace(path, text, strlen(text)));
        snprintf(log, sizeof log, "%s-log%zu", folder, i);
        must(log_open(log, false));
        run_large(NULL, NULL, &r);
        must(log_open(NULL, false));
        opcheck_free(&r);
        char *now = read_cache(); /* timed again, perhaps with another result */
        assert_int_equal(strncmp(now, header, strlen(header)), 0);
        assert_non_null(strstr(now, SHAPE));
        assert_int_equal(lines_of(path), 4);
        free(now);
        assert_int_equal(lines_of(log), 2); /* one names the damage, one says that it is timed again */
    }
    free(good);
}

static void without_a_place_it_is_timed_for_this_process(void **state)
{
    opcheck_result r = { 0 };
    (void)state;
    setenv("CLEAVE_CACHE", "/proc/nowhere", 1);
    run_large(NULL, NULL, &r);
    opcheck_free(&r);
    setenv("CLEAVE_CACHE", "", 1);
    run_large(NULL, NULL, &r);
    opcheck_free(&r);
}

/* Both start with an empty cache, and must make the same choices. */
static void two_processes_agree(void **state)
{
    char file[2][300], *text[2];
    pid_t child[2];
    (void)state;
    for (int i = 0; i < 2; i++) {
        snprintf(file[i], sizeof file[i], "%s-run%d.txt", folder, i);
        if ((child[i] = fork()) == 0) {
            execl("/proc/self/exe", "test_algorithm", file[i], NULL);
            _exit(127);
        }
    }
    for (int i = 0; i < 2; i++) {
        int code;
        assert_int_equal(waitpid(child[i], &code, 0), child[i]);
        assert_int_equal(code, 0);
        must(file_read(file[i], &text[i], NULL));
    }
    assert_string_equal(text[0], text[1]);
    free(text[0]);
    free(text[1]);
}

static void a_wrong_setting_is_named(void **state)
{
    op_problem o;
    backend *b;
    plan *p;
    op_needs needs;
    (void)state;
    must(backend_open("cpu", 0, &b, NULL, 0));
    must(problem_parse(LARGE, &o));
    setenv("CLEAVE_CONV", "fastest", 1);
    assert_int_equal(problem_plan(b, &o, &p, &needs), ERR_USAGE);
    assert_string_equal(status_message(), "CLEAVE_CONV=fastest: must be auto, rule, direct or winograd");
    backend_close(b);
}

int main(int argc, char **argv)
{
    if (argc > 1) { /* the child of two_processes_agree */
        opcheck_result r = { 0 };
        run_large(NULL, argv[1], &r);
        opcheck_free(&r);
        return 0;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(it_is_timed_once_and_kept, fresh_cache),
        cmocka_unit_test_setup(what_is_written_is_done, fresh_cache),
        cmocka_unit_test_setup(a_damaged_cache_is_replaced, fresh_cache),
        cmocka_unit_test_setup(without_a_place_it_is_timed_for_this_process, fresh_cache),
        cmocka_unit_test_setup(two_processes_agree, fresh_cache),
        cmocka_unit_test_setup(a_wrong_setting_is_named, fresh_cache),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
