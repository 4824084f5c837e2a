/* tools/report/still.c -- the page where Node was missing at build: the pictures that analyze wrote, and tables. */
#include "../../core/base/file.h"
#include "report.h"
#include <stdlib.h>
#include <string.h>

typedef struct text {
    FILE *f;
    char *data;
    size_t bytes;
} text;

/* Text as HTML: what a file says is never markup. */
static void put(text *t, const char *s)
{
    for (; s && *s; s++) switch (*s) {
        case '<': fputs("&lt;", t->f); break;
        case '>': fputs("&gt;", t->f); break;
        case '&': fputs("&amp;", t->f); break;
        case '"': fputs("&quot;", t->f); break;
        default: fputc(*s, t->f);
        }
}

static void put_row(text *t, const char *name, const char *format, double before, double after)
{
    fprintf(t->f, "<tr><th>%s<td>", name);
    fprintf(t->f, format, before);
    fputs("<td>", t->f);
    fprintf(t->f, format, after);
    fputs("</tr>\n", t->f);
}

static double get(const cJSON *o, const char *key)
{
    return cJSON_GetNumberValue(cJSON_GetObjectItem(o, key)); /* NaN where there is none */
}

/* ---- parts of a run ---- */

static void put_training(text *t, const cJSON *history)
{
    const cJSON *last, *metrics = cJSON_GetObjectItem(history, "metrics");
    const int n = cJSON_GetArraySize(metrics);
    if (!(last = cJSON_GetArrayItem(metrics, n - 1))) return;
    fprintf(t->f, "<p>%d epochs; test accuracy %.2f %% (best %.2f %%), test loss %.4f\n", n,
            100 * get(last, "test_accuracy"),
            100 * get(cJSON_GetObjectItem(history, "status"), "best_accuracy"), get(last, "test_loss"));
}

static void put_prune(text *t, const cJSON *p)
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
        fprintf(t->f, "<td>%.4f<td>%s<td>", get(unit, "value"),
                cJSON_IsTrue(cJSON_GetObjectItem(unit, "cut")) ? "cut" : "stays");
        put(t, cJSON_GetStringValue(cJSON_GetObjectItem(unit, "reason")));
        fputs("</tr>\n", t->f);
    }
    fputs("</table>\n", t->f);
}

static status put_picture(text *t, const report_run *run, const char *name, const char *title)
{
    status st = OK;
    char path[4096], *png = NULL, *url = NULL;
    size_t bytes;
    TRY(text_format(path, sizeof path, "%s/analysis/%s", run->path, name));
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &png, &bytes));
    TRY(base64_text("image/png", png, bytes, &url));
    fprintf(t->f, "<figure><img alt=\"%s\" src=\"%s\"><figcaption>%s</figcaption></figure>\n", title, url,
            title);
out:
    free(png);
    free(url);
    return st;
}

static status put_run(text *t, const report_run *run, const cJSON *collected)
{
    status st = OK;
    const cJSON *history = cJSON_GetObjectItem(collected, "history");
    const cJSON *net = cJSON_GetObjectItem(cJSON_GetObjectItem(collected, "network"), "net");
    fputs("<section><h2>", t->f);
    put(t, run->name);
    fputs("</h2><p>", t->f);
    put(t, cJSON_GetStringValue(cJSON_GetObjectItem(net, "arch")));
    fprintf(t->f, ": %.0f parameters, %.1f M multiplications an image\n", get(net, "params"),
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

/* ---- the page ---- */

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
    "The interactive page needs Node.js and npm when Cleave is built; they were not there.\n"
    "Install them, run <code>make</code> again, then <code>report</code>.\n";
static const char not_wanted[] =
    "The interactive page is what <code>report</code> writes without <code>--still</code>.\n";

static status put_all(text *t, const report *r, const cJSON *collected)
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

status still_write(const char *path, const report *r, const cJSON *collected)
{
    status st = OK;
    text t = { 0 };
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
