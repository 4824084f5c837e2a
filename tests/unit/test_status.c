/* core/base/status.c: each thread has a message of one line without control characters. */
#include "../../core/base/status.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static status fails(int n)
{
    status st = OK;
    if (n > 0) FAIL(ERR_DATA, "%s: %d of %d records", "a.bin", n, 7);
out:
    return st;
}

static int cleaned;

static status passes_up(int n)
{
    status st = OK;
    TRY(fails(0));
    TRY(fails(n));
    cleaned = -1; /* not reached */
out:
    cleaned++;
    return st;
}

static void travels(void **state)
{
    (void)state;
    cleaned = 0;
    assert_int_equal(passes_up(3), ERR_DATA);
    assert_int_equal(cleaned, 1);
    assert_string_equal(status_message(), "a.bin: 3 of 7 records");
    assert_non_null(strstr(status_place(), "test_status.c:"));
}

static void prefix(void **state)
{
    (void)state;
    assert_int_equal(fails(1), ERR_DATA);
    assert_int_equal(status_prefix(ERR_USAGE, "run %d", 5), ERR_USAGE);
    assert_string_equal(status_message(), "run 5: a.bin: 1 of 7 records");
    status_prefix(ERR_USAGE, "%s", status_message()); /* the argument is the message itself */
    assert_string_equal(status_message(), "run 5: a.bin: 1 of 7 records: run 5: a.bin: 1 of 7 records");
    status_set(ERR_DATA, "f.c", 1, "<%s>", status_message());
    assert_string_equal(status_message(), "<run 5: a.bin: 1 of 7 records: run 5: a.bin: 1 of 7 records>");
    assert_string_equal(status_place(), "f.c:1");
}

/* Text from a file must not move the cursor or start a second line. */
static void one_clean_line(void **state)
{
    (void)state;
    status_set(ERR_DATA, "f.c", 1, "name \"a\nb\033[31m\x7f\" is bad\n");
    assert_string_equal(status_message(), "name \"a b?[31m?\" is bad");
    char big[5000];
    memset(big, 'x', sizeof big - 1);
    big[sizeof big - 1] = '\0';
    status_set(ERR_DATA, "f.c", 1, "%s", big);
    assert_int_equal(strlen(status_message()), 1023);
    status_prefix(ERR_DATA, "%s", big);
    assert_int_equal(strlen(status_message()), 1023);
}

static status allocate(size_t bytes)
{
    status st = OK;
    void *p = NULL;
    TRY_ALLOC(p, bytes > 100 ? NULL : malloc(bytes));
out:
    free(p);
    return st;
}

static void out_of_memory(void **state)
{
    (void)state;
    assert_int_equal(allocate(10), OK);
    assert_int_equal(allocate(1000), ERR_RUNTIME);
    assert_string_equal(status_message(), "out of memory");
}

static void *other_thread(void *arg)
{
    *(int *)arg = status_message()[0] == '\0';
    status_set(ERR_RUNTIME, "f.c", 2, "of the other thread");
    return NULL;
}

static void per_thread(void **state)
{
    (void)state;
    status_set(ERR_DATA, "f.c", 1, "mine");
    pthread_t t;
    int empty = 0;
    assert_int_equal(pthread_create(&t, NULL, other_thread, &empty), 0);
    assert_int_equal(pthread_join(t, NULL), 0);
    assert_true(empty);
    assert_string_equal(status_message(), "mine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(travels),       cmocka_unit_test(prefix),     cmocka_unit_test(one_clean_line),
        cmocka_unit_test(out_of_memory), cmocka_unit_test(per_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
