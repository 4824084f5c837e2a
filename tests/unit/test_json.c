/* core/base/json.c: files, members, and NaN as null. */
#include "../../core/base/file.h"
#include "../../core/base/json.h"
#include "../must.h"
#include "../scratch.h"

#include <math.h>

static void assert_printed(const cJSON *json, const char *want)
{
    char *text = cJSON_PrintUnformatted(json);
    assert_string_equal(text, want);
    cJSON_free(text);
}

static void reads_objects_only(void **state)
{
    (void)state;
    static const char *const bad[] = { "", "[1]", "3", "{\"a\": 1", "{\"a\":}" };
    cJSON *j = NULL;
    const char *path = scratch_write("a.json", "{\"a\": 1}\n", 9);
    must(json_read(path, &j));
    assert_printed(j, "{\"a\":1}");
    cJSON_Delete(j);
    j = json_read_if_any(path);
    assert_printed(j, "{\"a\":1}");
    cJSON_Delete(j);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        scratch_write("a.json", bad[i], strlen(bad[i]));
        assert_int_equal(json_read(path, &j), ERR_DATA);
        assert_null(j);
        assert_true(strncmp(status_message(), path, strlen(path)) == 0);
        assert_null(json_read_if_any(path));
    }
    assert_int_equal(json_read(scratch_path("none"), &j), ERR_DATA);
    assert_null(json_read_if_any(scratch_path("none")));
}

/* A line that a crash has cut short does not count. */
static void the_last_complete_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *want; /* want NULL: none */
    } files[] = {
        { "{\"n\":1}\n{\"n\":2}\n", "{\"n\":2}" },
        { "{\"n\":1}\n{\"n\":2", "{\"n\":1}" },
        { "{\"n\":1}\n{\"n\":2}", "{\"n\":1}" },
        { "{\"n\":1}\n", "{\"n\":1}" },
        { "{\"n\":1}", NULL },
        { "", NULL },
        { "[1]\n", NULL },
        { "{\"n\":1}\nx\n", NULL },
    };
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        cJSON *j = json_read_last_line(scratch_write("lines", files[i].text, strlen(files[i].text)));
        assert_int_equal(j != NULL, files[i].want != NULL);
        if (j) assert_printed(j, files[i].want);
        cJSON_Delete(j);
    }
    assert_null(json_read_last_line(scratch_path("none")));
    /* A power cut may leave NUL bytes where a line was to be; the lines after them count. */
    static const char cut[] = "{\"a\": 1}\n\0\0\0\n{\"a\": 2}\n";
    cJSON *j = json_read_last_line(scratch_write("lines", cut, sizeof cut - 1));
    assert_true(json_number(j, "a", 0) == 2);
    cJSON_Delete(j);
}

static void members(void **state)
{
    (void)state;
    cJSON *j = cJSON_Parse("{\"text\": \"x\", \"n\": 2.5, \"nothing\": null, \"no\": false}");
    assert_string_equal(json_text(j, "text"), "x");
    assert_string_equal(json_text(j, "n"), "");
    assert_string_equal(json_text(j, "none"), "");
    assert_string_equal(json_text(NULL, "text"), "");
    assert_true(json_number(j, "n", -1) == 2.5 && json_number(j, "none", -1) == -1);
    assert_true(json_number(j, "nothing", -1) == -1 && json_number(j, "text", -1) == -1);
    assert_true(json_number(j, "no", -1) == -1 && json_number(NULL, "n", -1) == -1);
    cJSON_Delete(j);
    j = cJSON_Parse("{\"three\": 3, \"half\": 0.5, \"huge\": 1e300, \"inf\": 1e999, \"minus\": -4}");
    assert_true(json_whole(j, "three", 0, 3, -1) == 3 && json_whole(j, "three", 4, 9, -1) == -1);
    assert_true(json_whole(j, "half", 0, 9, -1) == -1 && json_whole(j, "huge", 0, INT64_MAX >> 10, -1) == -1);
    assert_true(json_whole(j, "inf", 0, 9, -1) == -1 && json_whole(j, "none", 0, 9, -1) == -1);
    assert_true(json_whole(j, "minus", -9, 9, 0) == -4);
    cJSON_Delete(j);
}

static void making(void **state)
{
    (void)state;
    const double value[] = { 1, NAN, -0.5, INFINITY, -INFINITY };
    cJSON *j = cJSON_CreateObject(), *object, *list;
    must(json_put_text(j, "text", "a \"b\""));
    must(json_put_text(j, "none", NULL));
    must(json_put_number(j, "n", 0.25));
    must(json_put_number(j, "nan", NAN));
    must(json_put_bool(j, "yes", true));
    must(json_put_numbers(j, "values", value, 5));
    must(json_put_numbers(j, "empty", NULL, 0));
    must(json_put_object(j, "object", &object));
    must(json_put_number(object, "m", 1));
    must(json_put_list(j, "list", &list));
    must(json_append(list, cJSON_CreateString("x")));
    must(json_append_object(list, &object));
    must(json_put_bool(object, "deep", false));
    assert_printed(j, "{\"text\":\"a \\\"b\\\"\",\"none\":null,\"n\":0.25,\"nan\":null,\"yes\":true,"
                      "\"values\":[1,null,-0.5,null,null],\"empty\":[],\"object\":{\"m\":1},\"list\":[\"x\",{"
                      "\"deep\":false}]}");
    assert_int_equal(json_put(j, "failed", NULL), ERR_RUNTIME); /* as after a failed allocation */
    assert_int_equal(json_append(list, NULL), ERR_RUNTIME);
    assert_null(cJSON_GetObjectItem(j, "failed"));

    const char *path = scratch_path("made.json");
    cJSON *back;
    must(json_write(path, j));
    must(json_read(path, &back));
    assert_true(cJSON_Compare(j, back, true));
    char *text;
    must(file_read(path, &text, NULL));
    assert_int_equal(text[strlen(text) - 1], '\n');
    free(text);
    cJSON_Delete(back);
    assert_int_equal(json_write(scratch_path("no/folder"), j), ERR_RUNTIME);
    cJSON_Delete(j);
}

/* Each number is itself and none of its neighbours, also after writing and reading. */
static void whole_numbers_of_64_bits(void **state)
{
    (void)state;
    const uint64_t limit = (uint64_t)1 << 53, value[] = { 1,     999999999999999, 1000000000000001, limit - 1,
                                                          limit, limit + 1,       UINT64_MAX };
    const char *path = scratch_path("numbers.json");
    for (size_t i = 0; i < sizeof value / sizeof *value; i++) {
        cJSON *j = cJSON_CreateObject(), *back;
        must(json_put_uint64(j, "seed", value[i]));
        must(json_write(path, j));
        must(json_read(path, &back));
        assert_true(json_is_uint64(j, "seed", value[i]) && json_is_uint64(back, "seed", value[i]));
        assert_false(json_is_uint64(back, "seed", value[i] - 1) ||
                     json_is_uint64(back, "seed", value[i] + 1));
        assert_true(json_number(back, "seed", -1) == (double)value[i]);
        assert_true((cJSON_GetObjectItem(back, "seed_text") != NULL) == (value[i] > 999999999999999));
        cJSON_Delete(back);
        cJSON_Delete(j);
    }
    cJSON *j = cJSON_CreateObject();
    must(json_put_uint64(j, "seed", limit + 1));
    assert_printed(j, "{\"seed\":9007199254740993,\"seed_text\":\"9007199254740993\"}");
    must(json_replace(j, "seed", cJSON_CreateNumber(1)));
    must(json_replace(j, "new", cJSON_CreateNumber(2)));
    assert_printed(j, "{\"seed\":1,\"seed_text\":\"9007199254740993\",\"new\":2}");
    cJSON_Delete(j);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_objects_only),
        cmocka_unit_test(the_last_complete_line),
        cmocka_unit_test(members),
        cmocka_unit_test(making),
        cmocka_unit_test(whole_numbers_of_64_bits),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
