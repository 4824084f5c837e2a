/* tools/report/page.c -- writes the HTML file: the interactive page with the data in it, or a page of
 * still pictures. */
#include "collect.h"

#include "../../core/base/file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- the interactive page ----
 *
 * build.mjs bundles it into one HTML file; the data replace MARK. JSON inside HTML would end at the first
 * "</script", and "<!--" has a meaning, too. So every '<' of the JSON, which can only be inside a string,
 * is written as \u003c. Then whatever a run's files contain stays text. */

/* The bundle; empty if it could not be built (tools/report/report.mk). */
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
    text_to_utf8(json); /* a class may be called anything; with a stray byte the page would not be UTF-8 */
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

/* ---- the page of still pictures ---- */

typedef struct html {
    FILE *f;
    char *data;
    size_t bytes;
} html;

/* Escapes the text: what a file says must not become markup, nor a page that is not UTF-8. */
static void put(html *t, const char *s)
{
    for (int left = 0; s && *s; s++, left--) {
        if (left <= 0 && !(left = text_character(s))) {
            fputc('?', t->f);
            continue;
        }
        switch (*s) {
        case '<': fputs("&lt;", t->f); break;
        case '>': fputs("&gt;", t->f); break;
        case '&': fputs("&amp;", t->f); break;
        case '"': fputs("&quot;", t->f); break;
        default: fputc(*s, t->f);
        }
    }
}

/* A cell; a dash for NaN. */
static void put_number(html *t, const char *format, double value)
{
    fputs("<td>", t->f);
    if (isfinite(value))
        fprintf(t->f, format, value);
    else
        fputs("&ndash;", t->f);
}

static void put_row(html *t, const char *name, const char *format, double before, double after)
{
    fprintf(t->f, "<tr><th>%s", name);
    put_number(t, format, before);
    put_number(t, format, after);
    fputs("</tr>\n", t->f);
}

static double get(const cJSON *o, const char *key)
{
    return json_number(o, key, NAN);
}

static void put_training(html *t, const cJSON *history)
{
    const cJSON *last, *metrics = cJSON_GetObjectItem(history, "metrics");
    const int n = cJSON_GetArraySize(metrics);
    if (!(last = cJSON_GetArrayItem(metrics, n - 1))) return;
    fprintf(t->f, "<p>%d epochs; test accuracy %.2f %% (best %.2f %%), test loss %.4f\n", n,
            100 * get(last, "test_accuracy"),
            100 * get(cJSON_GetObjectItem(history, "status"), "best_accuracy"), get(last, "test_loss"));
}

static void put_prune(html *t, const cJSON *p)
{
    const cJSON *unit;
    if (!cJSON_IsObject(p)) return;
    fputs("<h3>Pruning</h3><table><tr><th><th>before<th>after</tr>\n", t->f);
    put_row(t, "parameters", "%.0f", get(p, "params_before"), get(p, "params_after"));
    put_row(t, "multiplications", "%.0f", get(p, "macs_before"), get(p, "macs_after"));
    put_row(t, "latency, ms", "%.3f", get(p, "latency_ms_before"), get(p, "latency_ms_after"));
    put_row(t, "accuracy, %", "%.2f", 100 * get(p, "accuracy_before"), 100 * get(p, "accuracy_after"));
    fputs("</table><table><tr><th>unit<th>value<th><th>why</tr>\n", t->f);
    cJSON_ArrayForEach(unit, cJSON_GetObjectItem(p, "units"))
    {
        fputs("<tr><th>", t->f);
        put(t, cJSON_GetStringValue(cJSON_GetObjectItem(unit, "name")));
        put_number(t, "%.4f", get(unit, "value"));
        fputs(cJSON_IsTrue(cJSON_GetObjectItem(unit, "cut")) ? "<td>cut<td>" : "<td>stays<td>", t->f);
        put(t, cJSON_GetStringValue(cJSON_GetObjectItem(unit, "reason")));
        fputs("</tr>\n", t->f);
    }
    fputs("</table>\n", t->f);
}

static status put_picture(html *t, const report_run *run, const char *name, const char *title)
{
    status st = OK;
    file_path path;
    char *png = NULL, *url = NULL;
    size_t bytes;
    TRY(path_set(&path, "%s/analysis/%s", run->path, name));
    if (!file_exists(path.s)) goto out;
    TRY(file_read(path.s, &png, &bytes));
    TRY(base64_text("image/png", png, bytes, &url));
    fprintf(t->f, "<figure><img alt=\"%s\" src=\"%s\"><figcaption>%s</figcaption></figure>\n", title, url,
            title);
out:
    free(png);
    free(url);
    return st;
}

static status put_run(html *t, const report_run *run, const cJSON *collected)
{
    status st = OK;
    const cJSON *history = cJSON_GetObjectItem(collected, "history");
    const cJSON *net = cJSON_GetObjectItem(cJSON_GetObjectItem(collected, "network"), "net");
    fputs("<section><h2>", t->f);
    put(t, run->name);
    fputs("</h2><p>", t->f);
    put(t, cJSON_GetStringValue(cJSON_GetObjectItem(net, "arch")));
    fprintf(t->f, ": %.0f parameters, %.1f M multiplications per image\n", get(net, "params"),
            get(net, "macs") / 1e6);
    put_training(t, history);
    put_prune(t, cJSON_GetObjectItem(history, "prune"));
    TRY(put_picture(t, run, "curves.png", "M and Q against depth"));
    TRY(put_picture(t, run, "histograms.png", "similarity of all pairs of images, layer by layer"));
    TRY(put_picture(t, run, "rings.png",
                    "the most similar pairs on a ring of classes, layer by layer; wrong ones in red"));
    fputs("</section>\n", t->f);
out:
    return st;
}

static const char head[] =
    "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>Cleave report</title>\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n"
    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
    "img-src data:\">\n"
    "<style>:root{color-scheme:light dark}body{font:16px/1.5 "
    "system-ui,sans-serif;max-width:70rem;margin:auto;padding:1rem}"
    "img{max-width:100%;background:#fff}figure{margin:1rem 0}table{border-collapse:collapse;margin:1rem 0}"
    "th,td{text-align:left;padding:.2rem .8rem .2rem 0;border-bottom:1px solid #8886}</style>\n"
    "<h1>Cleave report</h1>\n"
    "<p><strong>Still pictures only.</strong> ";
static const char not_built[] =
    "The interactive page needs Node.js and npm when Cleave is built; they were missing.\n"
    "Install them, run <code>make</code> again, then <code>report</code>.\n";
static const char not_wanted[] =
    "Without <code>--still</code>, <code>report</code> writes the interactive page.\n";

static status put_all(html *t, const report *r, const cJSON *collected)
{
    status st = OK;
    const cJSON *note, *runs = cJSON_GetObjectItem(collected, "runs");
    fputs(head, t->f);
    fputs(page_is_interactive() ? not_wanted : not_built, t->f);
    cJSON_ArrayForEach(note, cJSON_GetObjectItem(collected, "notes"))
    {
        fputs("<p>", t->f);
        put(t, cJSON_GetStringValue(note));
    }
    for (int i = 0; i < r->n_runs; i++) TRY(put_run(t, &r->run[i], cJSON_GetArrayItem(runs, i)));
out:
    return st;
}

status page_write_still(const char *path, const report *r, const cJSON *collected)
{
    status st = OK;
    html t = { 0 };
    TRY_ALLOC(t.f, open_memstream(&t.data, &t.bytes));
    TRY(put_all(&t, r, collected));
    bool failed = ferror(t.f);
    failed |= fclose(t.f) != 0;
    t.f = NULL;
    if (failed) FAIL(ERR_RUNTIME, "out of memory");
    TRY(file_replace(path, t.data, t.bytes));
out:
    if (t.f) fclose(t.f);
    free(t.data);
    return st;
}
