/* tests/cuda/test_engine.c -- core/cuda/engine.c: an engine that was chosen once is not timed again, neither by a
 * process that finds the cache nor by a run that is resumed without it. cuDNN is a fake (fake_plans.h); test_planning.c
 * shows that its own plans can be written and read. */
#include "../must.h"

#include <stdio.h>

#ifdef CLEAVE_CUDA
#include "../../core/base/file.h"
#include "../scratch.h"
#include "fake_plans.h"

#include <stdlib.h>
#include <string.h>

/* --- the fake --- */

/* The name of problem_of(n). */
#define NAMED(n) "fprop_f32_n" #n "c0h0w0_k0r0s0p0g0"

enum { OWN = 16 }; /* the batch for which our own kernels are the fastest */
static int n_timed, n_guessed, n_notes;
static char last_note[6000];
static char meanwhile[4400]; /* a file that another process writes while this one times */

status engine_choose(cuda *c, const conv_problem *p, bool timed, descriptor *made)
{
    char text[64];
    (void)c;
    snprintf(text, sizeof text, "{ \"engine\": %d,\n \"n\": %d }", timed ? n_timed : 99, p->x.n);
    n_timed += timed;
    n_guessed += !timed;
    *made = p->x.n == OWN ? NULL : new_plan(text);
    if (*meanwhile) must(file_replace(meanwhile, "{ theirs }", 10));
    return OK;
}

bool own_fits(const conv_problem *p)
{
    return p->x.n == OWN;
}

size_t own_workspace(const cuda *c, const conv_problem *p)
{
    (void)c, (void)p;
    return 0;
}

/* --- */

static void note(const char *line)
{
    n_notes++;
    snprintf(last_note, sizeof last_note, "%s", line);
}

static cuda gpu(const char *name)
{
    cuda c = { .note = note };
    snprintf(c.device.name, sizeof c.device.name, "%s", name);
    return c;
}

static conv_problem problem_of(int n)
{
    return (conv_problem){ .x.n = n };
}

/* The text of the plan for batch n; NULL: our own kernels. */
static const char *plan_of(cuda *c, int n)
{
    descriptor made;
    const conv_problem p = problem_of(n);
    must(choice_find(c, &p, &made));
    return (const char *)made;
}

/* Each test has a cache of its own. */
static int fresh(void **state)
{
    static int number;
    char name[16];
    (void)state;
    n_timed = n_guessed = n_notes = n_open = 0;
    meanwhile[0] = '\0';
    snprintf(name, sizeof name, "%d", number++);
    unsetenv("CLEAVE_TUNE");
    return setenv("CLEAVE_CACHE", scratch_path(name), 1);
}

/* Kept plans are a line each. */
static void one_line(char *text)
{
    for (; *text; text++)
        if (*text == '\n') *text = ' ';
}

static void is_timed_once(void **state)
{
    char first[64];
    (void)state;
    cuda c = gpu("A GPU");
    snprintf(first, sizeof first, "%s", plan_of(&c, 4));
    assert_string_equal(plan_of(&c, 4), first);
    assert_int_equal(n_timed, 1);
    plan_of(&c, 8);
    assert_int_equal(n_timed, 2);
    choices_forget(&c);
    assert_int_equal(n_open, 0);
    one_line(first);
    assert_string_equal(plan_of(&c, 4), first); /* as another process: from the cache */
    assert_int_equal(n_timed, 2);
    choices_forget(&c);
    cuda other = gpu("Another/GPU");
    plan_of(&other, 4);
    assert_int_equal(n_timed, 3);
    choices_forget(&other);
}

static void untimed_is_not_kept(void **state)
{
    (void)state;
    setenv("CLEAVE_TUNE", "0", 1);
    cuda c = gpu("A GPU");
    plan_of(&c, 4);
    plan_of(&c, 4);
    choices_forget(&c);
    assert_int_equal(n_guessed, 1);
    unsetenv("CLEAVE_TUNE");
    plan_of(&c, 4);
    assert_int_equal(n_timed, 1);
    choices_forget(&c);
}

static void who_was_first_counts(void **state)
{
    (void)state;
    cuda c = gpu("A GPU");
    plan_of(&c, 4); /* makes the folder */
    snprintf(meanwhile, sizeof meanwhile, "%s/cudnn-91900-A_GPU/" NAMED(8) ".json", getenv("CLEAVE_CACHE"));
    assert_string_equal(plan_of(&c, 8), "{ theirs }");
    choices_forget(&c);
    assert_int_equal(n_open, 0);
}

static void a_rejected_cache_is_replaced(void **state)
{
    char path[4400];
    (void)state;
    cuda c = gpu("A GPU");
    plan_of(&c, 4);
    choices_forget(&c);
    snprintf(path, sizeof path, "%s/cudnn-91900-A_GPU/" NAMED(4) ".json", getenv("CLEAVE_CACHE"));
    must(file_replace(path, "garbage", 7));
    n_notes = 0;
    plan_of(&c, 4);
    choices_forget(&c);
    assert_int_equal(n_timed, 2);
    assert_int_equal(n_notes, 1);
    assert_non_null(strstr(last_note, "not a plan; choosing again"));
    plan_of(&c, 4);
    choices_forget(&c);
    assert_int_equal(n_timed, 2);
}

static void a_run_keeps_its_choices(void **state)
{
    char path[512], first[64];
    (void)state;
    cuda c = gpu("A GPU");
    snprintf(path, sizeof path, "%s", scratch_path("algorithms.txt"));
    must(choices_load(&c.base, path)); /* not there yet */
    snprintf(first, sizeof first, "%s", plan_of(&c, 4));
    plan_of(&c, 8);
    must(choices_save(&c.base, path));
    choices_forget(&c);
    setenv("CLEAVE_CACHE", scratch_path("empty"), 1);
    must(choices_load(&c.base, path));
    one_line(first);
    assert_string_equal(plan_of(&c, 4), first);
    plan_of(&c, 8);
    assert_int_equal(n_timed, 2);
    choices_forget(&c);
    assert_int_equal(n_open, 0);
}

/* A digit of a plan that changed by itself, in the run's file or in the cache, does not reach cuDNN, which would take it. */
static void a_damaged_plan_is_not_taken(void **state)
{
    char path[512], cached[4400], *text;
    (void)state;
    cuda c = gpu("A GPU");
    snprintf(path, sizeof path, "%s", scratch_path("algorithms.txt"));
    snprintf(cached, sizeof cached, "%s/cudnn-91900-A_GPU/" NAMED(4) ".json", getenv("CLEAVE_CACHE"));
    plan_of(&c, 4);
    must(choices_save(&c.base, path));
    choices_forget(&c);
    for (int in_cache = 0; in_cache < 2; in_cache++)
        for (int change = 0; change < 2; change++) { /* the plan; whose plan it is */
            if (in_cache && change) continue;        /* there, the file's name says whose */
            must(file_read(in_cache ? cached : path, &text, NULL));
            char *at = strstr(text, change ? "n4c0" : "\"n\": 4");
            assert_non_null(at);
            at[change ? 1 : 5] = '5';
            must(file_replace(in_cache ? cached : path, text, strlen(text)));
            n_notes = 0;
            if (!in_cache) must(choices_load(&c.base, path));
            if (in_cache) plan_of(&c, 4);
            assert_true(n_notes >= 1 && n_timed == 1 + in_cache); /* it is timed again */
            if (!in_cache) assert_null(c.choices);
            at[change ? 1 : 5] = '4';
            must(file_replace(in_cache ? cached : path, text, strlen(text)));
            free(text);
            choices_forget(&c);
        }
    must(choices_load(&c.base, path)); /* whole again */
    assert_non_null(c.choices);
    choices_forget(&c);
}

static void our_own_kernels_are_a_choice(void **state)
{
    char path[512];
    (void)state;
    cuda c = gpu("A GPU");
    snprintf(path, sizeof path, "%s", scratch_path("own.txt"));
    for (int from = 0; from < 3; from++) { /* timing, the cache, the run's file */
        if (from == 2) setenv("CLEAVE_CACHE", scratch_path("none"), 1);
        if (from == 2) must(choices_load(&c.base, path));
        assert_null(plan_of(&c, OWN));
        assert_null(plan_of(&c, OWN));
        must(choices_save(&c.base, path));
        choices_forget(&c);
    }
    assert_int_equal(n_timed, 1);
    assert_int_equal(n_open, 0);
}

static void what_is_not_of_this_device_is_said(void **state)
{
    static const char *const files[] = {
        "cleave convolution engines, cuDNN 91900, Another GPU\n" NAMED(4) " { }\n", "",
        "cleave convolution engines, cuDNN 91900, A GPU\n" NAMED(4) "\n",
        "cleave convolution engines, cuDNN 91900, A GPU\n" NAMED(4) " garbage\n"
    };
    (void)state;
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cuda c = gpu("A GPU");
        n_notes = 0;
        must(choices_load(&c.base, scratch_write("algorithms.txt", files[i], strlen(files[i]))));
        assert_int_equal(n_notes, 1);
        assert_non_null(strstr(last_note, "the run will not repeat to the last bit"));
        assert_null(c.choices);
    }
    static const char cut_off[] = "cleave convolution engines, cuDNN 91900, A GPU\n\0" NAMED(4) " { }\n";
    cuda c = gpu("A GPU");
    must(choices_load(&c.base, scratch_write("algorithms.txt", cut_off, sizeof cut_off - 1)));
    assert_int_equal(n_notes, 2);
    assert_non_null(strstr(last_note, "NUL"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(is_timed_once, fresh),
        cmocka_unit_test_setup(untimed_is_not_kept, fresh),
        cmocka_unit_test_setup(who_was_first_counts, fresh),
        cmocka_unit_test_setup(a_rejected_cache_is_replaced, fresh),
        cmocka_unit_test_setup(a_run_keeps_its_choices, fresh),
        cmocka_unit_test_setup(a_damaged_plan_is_not_taken, fresh),
        cmocka_unit_test_setup(our_own_kernels_are_a_choice, fresh),
        cmocka_unit_test_setup(what_is_not_of_this_device_is_said, fresh),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
#else
int main(void)
{
    printf("1..1\nok 1 remembering cuDNN's engines # skip no CUDA toolkit with cuDNN here\n");
    return status_message()[0] != '\0';
}
#endif
