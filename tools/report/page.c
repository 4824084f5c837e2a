/* tools/report/page.c -- the bundled page with the collected data in it.
 *
 * The page is one HTML file made by tools/report/page/build.mjs; its data go where MARK stands. JSON inside HTML
 * ends at the first "</script", and "<!--" begins something else again: every '<' of the JSON, which can only
 * be inside a string, is written as \u003c. Nothing that a file says can then be more than text. */
#include "../../core/base/file.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

/* The bundle, or nothing where it could not be built: the build says which (Makefile, report-page). */
__asm__(".section .rodata\n"
        ".global report_page, report_page_bytes\n"
        "report_page: .incbin \"" CLEAVE_REPORT_PAGE "\"\n"
        "report_page_end: .balign 8\n"
        "report_page_bytes: .quad report_page_end - report_page\n"
        ".previous\n");
extern const char report_page[];
extern const uint64_t report_page_bytes;

static const char MARK[] = "<!--cleave:data-->";

bool page_is_interactive(void)
{
    return report_page_bytes > 0;
}

static status put_escaped(file_writer *w, const char *json)
{
    status st = OK;
    for (const char *rest = json;;) {
        size_t plain = strcspn(rest, "<");
        TRY(file_put(w, rest, plain));
        rest += plain;
        if (!*rest++) break;
        TRY(file_put(w, "\\u003c", 6));
    }
out:
    return st;
}

status page_write(const char *path, const cJSON *collected)
{
    status st = OK;
    file_writer w = { 0 };
    char *json = NULL;
    const char *end = report_page + report_page_bytes;
    const char *mark = memmem(report_page, report_page_bytes, MARK, sizeof MARK - 1);
    if (!mark) FAIL(ERR_RUNTIME, "the bundled page has no place for data: build again");
    TRY_ALLOC(json, cJSON_PrintUnformatted(collected));
    TRY(file_begin(&w, path));
    TRY(file_put(&w, report_page, (size_t)(mark - report_page)));
    TRY(put_escaped(&w, json));
    mark += sizeof MARK - 1;
    TRY(file_put(&w, mark, (size_t)(end - mark)));
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    cJSON_free(json);
    return st;
}
