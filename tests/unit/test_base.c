/* The small parts of core/base: text, path, clock, host, median, minmax, npy. */
#include "../../core/base/clock.h"
#include "../../core/base/file.h"
#include "../../core/base/host.h"
#include "../../core/base/median.h"
#include "../../core/base/minmax.h"
#include "../../core/base/npy.h"
#include "../must.h"
#include "../scratch.h"

#include <math.h>

static void text_fits_or_fails(void **state)
{
    (void)state;
    char out[8];
    must(text_format(out, sizeof out, "%s/%d", "abc", 123));
    assert_string_equal(out, "abc/123");
    assert_int_equal(text_format(out, sizeof out, "%s/%d", "abc", 1234), ERR_RUNTIME);
    assert_string_equal(out, "");
    assert_string_equal(status_message(), "path or text of 8 bytes, but at most 7 fit: abc/123...");
    assert_int_equal(text_format(out, 0, "x"), ERR_RUNTIME);
}

static void text_ends(void **state)
{
    (void)state;
    assert_true(text_ends_with("a.yaml", ".yaml") && text_ends_with("a", "a") && text_ends_with("a", ""));
    assert_false(text_ends_with("a.yaml.c", ".yaml") || text_ends_with("l", "yaml") ||
                 text_ends_with("", "a"));
}

static void text_is_made_visible(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want;
    } shown[] = {
        { "plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "plain \xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80" },
        { "\x1b[31mred\x1b[0m", "\\x1b[31mred\\x1b[0m" },
        { "a\nb\rc\td\x7f", "a\\x0ab\\x0dc\\x09d\\x7f" },
        { "\xc2\x9b"
          "31m",
          "\\u009b31m" },                                          /* the escape sequence of one character */
        { "gpj.\xe2\x80\xaetxe", "gpj.\\u202etxe" },               /* right to left */
        { "\xff\xc3(\xe0\x80\x80", "\\xff\\xc3(\\xe0\\x80\\x80" }, /* not UTF-8 */
        { "", "" },
    };
    char out[64];
    for (size_t i = 0; i < sizeof shown / sizeof *shown; i++)
        assert_string_equal(text_visible(shown[i].text, out, sizeof out), shown[i].want);
    assert_string_equal(text_visible("ab\x1b", out, 6),
                        "ab"); /* no half of a spelling, no half of a character */
    assert_string_equal(text_visible("ab\xc3\xa9", out, 4), "ab");
    char bad[] = "a\xff\xc3\xa9\xe2\x82";
    text_to_utf8(bad);
    assert_string_equal(bad, "a?\xc3\xa9??");
    assert_true(text_is_formula("=1+1") && text_is_formula("@x") && text_is_formula("-2") &&
                text_is_formula("+2"));
    assert_false(text_is_formula("") || text_is_formula("a=b") || text_is_formula("1-2"));
}

static void paths(void **state)
{
    (void)state;
    file_path p;
    char name[PATH_BYTES];
    must(path_set(&p, "%s/%s", "runs", "a"));
    assert_string_equal(p.s, "runs/a");
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    must(path_set(&p, "%s", name)); /* the longest */
    assert_int_equal(path_set(&p, "%sy", name), ERR_RUNTIME);
    assert_string_equal(p.s, "");
    assert_string_equal(path_name("/a/b/c"), "c");
    assert_string_equal(path_name("c"), "c");
    assert_string_equal(path_name("c/"), "");
}

static void parents(void **state)
{
    (void)state;
    static const char *const chains[][4] = {
        { "a/b/c", "a/b", "a" }, { "/a/b", "/a", "/" }, { "a/", "a" }, { "" }
    };
    for (int i = 0; i < 4; i++) {
        file_path p;
        must(path_set(&p, "%s", chains[i][0]));
        for (int k = 1; k < 4 && chains[i][k]; k++) {
            assert_true(path_to_parent(&p));
            assert_string_equal(p.s, chains[i][k]);
        }
        const file_path last = p;
        assert_false(path_to_parent(&p));
        assert_string_equal(p.s, last.s);
    }
}

static void the_program(void **state)
{
    (void)state;
    file_path p;
    must(path_of_program(&p));
    assert_true(text_ends_with(p.s, "/test_base"));
}

static void time_stamps(void **state)
{
    (void)state;
    const char *format = "%Y-%m-%dT%H:%M:%SZ";
    assert_string_equal(time_stamp_of(0, format).s, "1970-01-01T00:00:00Z");
    assert_string_equal(time_stamp_of(951782399, format).s, "2000-02-28T23:59:59Z");
    assert_string_equal(time_stamp_of(951782400, "%d %b %Y").s, "29 Feb 2000");
    assert_string_equal(time_stamp_of(INT64_MAX, format).s, "");
    assert_string_equal(time_stamp_of(0, "a text of more than thirty-one bytes").s, "");
    const time_stamp now = time_stamp_now();
    assert_int_equal(strlen(now.s), 20);
    assert_true(now.s[4] == '-' && now.s[10] == 'T' && now.s[19] == 'Z');
}

static void clocks(void **state)
{
    (void)state;
    const double start = time_now();
    usleep(2000);
    const double took = time_now() - start;
    assert_true(took >= 0.002 && took < 60);
    assert_true(fabs(time_unix() - (double)time(NULL)) < 60);
}

static void the_host(void **state)
{
    (void)state;
    char name[256] = "";
    assert_int_equal(gethostname(name, sizeof name - 1), 0);
    assert_string_equal(host_name().s, name);
    const host_text processor = host_processor();
    assert_true(processor.s[0] && processor.s[0] != ' ' && !strchr(processor.s, '\n'));
}

static void medians(void **state)
{
    (void)state;
    double one[] = { 7 }, odd[] = { 3, -1, 100 }, even[] = { 4, 1, 1000, 2 }, equal[] = { 5, 5, 5, 5 };
    assert_true(median(one, 1) == 7 && median(odd, 3) == 3 && median(even, 4) == 3 && median(equal, 4) == 5);
    assert_true(even[0] == 1 && even[1] == 2 && even[2] == 4 && even[3] == 1000); /* sorted */
}

static void minima_and_maxima(void **state)
{
    (void)state;
    assert_true(min_int(-2, 1) == -2 && min_int(1, -2) == -2 && max_int(-2, 1) == 1 && max_int(1, -2) == 1);
    assert_true(max_size(1, SIZE_MAX) == SIZE_MAX && max_size(3, 2) == 3);
}

/* The header as NumPy's documentation describes it; tests/e2e reads such files with NumPy. */
static void numpy_file(void **state)
{
    (void)state;
    const char *path = scratch_path("a.npy");
    const float value[6] = { 1, 2, 3, 4, 5, 6 };
    file_writer w;
    must(npy_begin(&w, path, 2, 3));
    must(file_put(&w, value, sizeof value));
    must(file_commit(&w));
    char *text;
    size_t bytes;
    must(file_read(path, &text, &bytes));
    const size_t header = 10 + (uint8_t)text[8] + 256 * (size_t)(uint8_t)text[9];
    assert_memory_equal(text, "\x93NUMPY\1\0", 8);
    assert_int_equal(header % 64, 0);
    assert_int_equal(bytes, header + sizeof value);
    assert_int_equal(text[header - 1], '\n');
    assert_non_null(strstr(text + 10, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), } "));
    assert_memory_equal(text + header, value, sizeof value);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_fits_or_fails),
        cmocka_unit_test(text_ends),
        cmocka_unit_test(text_is_made_visible),
        cmocka_unit_test(paths),
        cmocka_unit_test(parents),
        cmocka_unit_test(the_program),
        cmocka_unit_test(time_stamps),
        cmocka_unit_test(clocks),
        cmocka_unit_test(the_host),
        cmocka_unit_test(medians),
        cmocka_unit_test(minima_and_maxima),
        cmocka_unit_test(numpy_file),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
