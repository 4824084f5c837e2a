/* tools/sweep/table.c -- see table.h. A row is a group of cases that differ only in the seed, or a single case if the seed is
 * a column; a column is a config key or a result. A preset is a list of columns. */
#include "table.h"

#include "../../core/base/file.h"
#include "../../core/base/json.h"
#include "../cli.h"
#include "list.h"
#include "state.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the results of a case ---- */

/* Each is NaN or NULL until its stage is done. */
typedef struct case_results {
    double best, last; /* test accuracies, 0 to 1 */
    cJSON *analysis;   /* analysis.json */
    cJSON *prune;      /* prune.json */
    bool done;         /* all stages */
} case_results;

/* The test accuracy after the last epoch. */
static double last_accuracy(const sweep_plan *p, int task)
{
    file_path path;
    if (task_run_path(p, task, "metrics.jsonl", &path) != OK) return NAN;
    cJSON *epoch = json_read_last_line(path.s);
    double accuracy = json_number(epoch, "test_accuracy", NAN);
    cJSON_Delete(epoch);
    return accuracy;
}

static void results_read(const sweep_plan *p, unsigned i, case_results *out)
{
    const int *task = p->cases[i].task;
    file_path path;
    task_info info;
    *out = (case_results){ .best = NAN, .last = NAN };
    out->done = task_done(p, task[p->last]);
    if (task_done(p, task[STAGE_TRAIN])) {
        task_look(p, task[STAGE_TRAIN], &info);
        out->best = info.accuracy;
        out->last = last_accuracy(p, task[STAGE_TRAIN]);
    }
    if (task[STAGE_ANALYZE] >= 0 && task_done(p, task[STAGE_ANALYZE]) &&
        task_analysis_path(p, task[STAGE_ANALYZE], "analysis.json", &path) == OK)
        out->analysis = json_read_if_any(path.s);
    if (task[STAGE_PRUNE] >= 0) out->prune = task_result(p, task[STAGE_PRUNE]);
}

static void results_free(case_results *r)
{
    cJSON_Delete(r->analysis);
    cJSON_Delete(r->prune);
    *r = (case_results){ 0 };
}

/* M or Q of the last layer, or the largest of all layers. */
static double curve_value(const cJSON *analysis, bool yang, bool largest)
{
    const cJSON *layer;
    double value = NAN;
    cJSON_ArrayForEach(layer, cJSON_GetObjectItem(analysis, "layers"))
    {
        double v = json_number(cJSON_GetObjectItem(layer, yang ? "yang" : "lu"), yang ? "M" : "mean", NAN);
        value = largest ? fmax(value, v) : v;
    }
    return value;
}

/* The numbers in prune.json. They are listed here so that a misspelt column is found before anything is
 * pruned. */
static bool is_prune_number(const char *name)
{
    static const char *const names[] = { "params_before",    "params_after",        "saving_percent",
                                         "macs_before",      "macs_after",          "latency_ms_before",
                                         "latency_ms_after", "images_per_s_before", "images_per_s_after",
                                         "accuracy_before",  "accuracy_cut",        "accuracy_after",
                                         "accuracy_last" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* A result by the name of its column. False: there is no result of this name. *out: NaN while there is no
 * such number. */
static bool results_value(const case_results *r, const char *name, double *out)
{
    *out = NAN;
    if (strcmp(name, "accuracy") == 0)
        *out = r->best;
    else if (strcmp(name, "last_accuracy") == 0)
        *out = r->last;
    else if (strcmp(name, "M") == 0 || strcmp(name, "M_max") == 0)
        *out = curve_value(r->analysis, true, name[1] == '_');
    else if (strcmp(name, "Q") == 0 || strcmp(name, "Q_max") == 0)
        *out = curve_value(r->analysis, false, name[1] == '_');
    else if (strcmp(name, "removed") == 0)
        *out = r->prune ? cJSON_GetArraySize(cJSON_GetObjectItem(r->prune, "removed")) : NAN;
    else if (is_prune_number(name))
        *out = json_number(r->prune, name, NAN);
    else
        return false;
    return true;
}

static bool is_accuracy(const char *name)
{
    return strstr(name, "accuracy") != NULL;
}

/* Accuracies are shown in percent. */
static double results_scale(const char *name)
{
    return is_accuracy(name) ? 100 : 1;
}

/* After the decimal point. */
static int results_digits(const char *name)
{
    if (is_accuracy(name) || strstr(name, "percent") || strstr(name, "latency")) return 2;
    if (strncmp(name, "params", 6) == 0 || strncmp(name, "macs", 4) == 0 || strncmp(name, "images", 6) == 0)
        return 0;
    return strcmp(name, "removed") == 0 ? 1 : 4;
}

/* ---- the table ---- */

enum { MAX_COLUMNS = 64, CELL_BYTES = 256 };

typedef enum column_kind { COLUMN_KEY, COLUMN_RESULT, COLUMN_N } column_kind;

typedef struct column {
    char *name;         /* of the key or the result */
    const char *header; /* of text and Markdown; NULL: the name */
    const char *metric; /* counts only cases with this prune.metric; NULL: all cases */
    column_kind kind;
} column;

typedef struct value { /* of a result in a row */
    double mean, sd;   /* sd: of a sample (n - 1); NaN for a single value */
    int n, of;         /* how many of the finished cases have the result */
} value;

typedef struct table {
    const sweep_plan *plan;
    column column[MAX_COLUMNS];
    int n_columns;
    const char *also_joined; /* a key: cases that differ in it share a row, too; NULL: none */
    int *row_of;             /* [n_cases] */
    int *first;              /* [n_rows] the first case of a row */
    int n_rows;
    case_results *result; /* [n_cases] */
} table;

static const char columns_help[] = "any config key; accuracy, last_accuracy; M, Q (of the last layer), "
                                   "M_max, Q_max; removed, saving_percent, "
                                   "params_before, params_after, macs_before, macs_after, latency_ms_before, "
                                   "latency_ms_after, accuracy_before, "
                                   "accuracy_cut, accuracy_after, accuracy_last; n";

/* ---- rows ---- */

static bool is_column(const table *t, const char *key)
{
    for (int c = 0; c < t->n_columns; c++)
        if (t->column[c].kind == COLUMN_KEY && strcmp(t->column[c].name, key) == 0) return true;
    return false;
}

/* Do cases that differ in this key share a row? Not if it is a column: a row has one value of it. */
static bool joined(const table *t, const char *key)
{
    if (is_column(t, key)) return false;
    return strcmp(key, "seed") == 0 || (t->also_joined && strcmp(key, t->also_joined) == 0);
}

static bool same_row(const table *t, unsigned a, unsigned b)
{
    const sweep_plan *p = t->plan;
    for (unsigned k = 0; k < p->n_keys; k++)
        if (!joined(t, p->key[k]) && strcmp(p->cases[a].setting[k].text, p->cases[b].setting[k].text) != 0)
            return false;
    return true;
}

static status make_rows(table *t)
{
    status st = OK;
    unsigned n = t->plan->n_cases;
    TRY_ALLOC(t->row_of, calloc(n + 1, sizeof *t->row_of));
    TRY_ALLOC(t->first, calloc(n + 1, sizeof *t->first));
    TRY_ALLOC(t->result, calloc(n + 1, sizeof *t->result));
    for (unsigned i = 0; i < n; i++) {
        int row = 0;
        while (row < t->n_rows && !same_row(t, i, (unsigned)t->first[row])) row++;
        if (row == t->n_rows) t->first[t->n_rows++] = (int)i;
        t->row_of[i] = row;
        results_read(t->plan, i, &t->result[i]);
    }
out:
    return st;
}

/* ---- columns ---- */

static status add_column(table *t, const char *name, const char *header, const char *metric)
{
    status st = OK;
    static const case_results none = { 0 };
    const char *key = name;
    double ignored;
    column_kind kind = COLUMN_RESULT;
    sweep_is_finetune(&key);
    if (strcmp(name, "n") == 0)
        kind = COLUMN_N;
    else if (config_has_key(key, NULL))
        kind = COLUMN_KEY;
    else if (!results_value(&none, name, &ignored))
        FAIL(ERR_USAGE, "--columns: no column %.60s; there are %s", name, columns_help);
    if (t->n_columns == MAX_COLUMNS) FAIL(ERR_USAGE, "--columns: more than %d", MAX_COLUMNS);
    column *c = &t->column[t->n_columns++];
    *c = (column){ .header = header, .metric = metric, .kind = kind };
    TRY_ALLOC(c->name, strdup(name));
out:
    return st;
}

/* The keys that differ between rows, without `except`. */
static status add_varied_keys(table *t, const char *except)
{
    status st = OK;
    for (unsigned k = 0; k < t->plan->n_keys; k++)
        if (!joined(t, t->plan->key[k]) && strcmp(t->plan->key[k], except) != 0)
            TRY(add_column(t, t->plan->key[k], NULL, NULL));
out:
    return st;
}

static status standard_columns(table *t)
{
    status st = OK;
    static const char *const of_stage[STAGES][5] = {
        { "accuracy" }, { "M", "Q" }, { "removed", "saving_percent", "accuracy_cut", "accuracy_after" }
    };
    TRY(add_varied_keys(t, ""));
    for (int s = 0; s <= (int)t->plan->last; s++)
        for (int i = 0; of_stage[s][i]; i++) TRY(add_column(t, of_stage[s][i], NULL, NULL));
    TRY(add_column(t, "n", NULL, NULL));
out:
    return st;
}

/* [Yang23] Table 1: model, accuracy, then new accuracy and saving by Yang's M and by Lu's Q. */
static status table1_columns(table *t)
{
    status st = OK;
    if (t->plan->last < STAGE_PRUNE) FAIL(ERR_USAGE, "--preset table1: this sweep does not prune");
    t->also_joined = "prune.metric";
    TRY(add_column(t, "net.arch", "model", NULL));
    TRY(add_varied_keys(t, "net.arch"));
    TRY(add_column(t, "accuracy", NULL, NULL));
    TRY(add_column(t, "accuracy_after", "Yang: accuracy", "yang"));
    TRY(add_column(t, "saving_percent", "saving %", "yang"));
    TRY(add_column(t, "accuracy_after", "Lu: accuracy", "lu"));
    TRY(add_column(t, "saving_percent", "saving %", "lu"));
out:
    return st;
}

static status named_columns(table *t, const char *list)
{
    status st = OK;
    char *copy, *rest = NULL;
    TRY_ALLOC(copy, strdup(list));
    for (char *name = strtok_r(copy, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
        TRY(add_column(t, name, NULL, NULL));
    if (t->n_columns == 0) FAIL(ERR_USAGE, "--columns: none is named; there are %s", columns_help);
out:
    free(copy);
    return st;
}

/* ---- cells ---- */

static bool counts(const table *t, unsigned i, int row, const column *c)
{
    const int metric = (int)t->plan->cases[i].cfg->prune.metric;
    return t->row_of[i] == row &&
           (!c->metric || strcmp(c->metric, config_choice("prune.metric", metric)) == 0);
}

/* If several cases of a row share a training, its accuracy counts once. */
static bool is_repeated(const table *t, unsigned i, int row, const column *c)
{
    const sweep_plan *p = t->plan;
    bool of_training = strcmp(c->name, "accuracy") == 0 || strcmp(c->name, "last_accuracy") == 0;
    for (unsigned j = 0; of_training && j < i; j++)
        if (counts(t, j, row, c) && p->cases[i].task[STAGE_TRAIN] == p->cases[j].task[STAGE_TRAIN])
            return true;
    return false;
}

/* Mean and standard deviation over the cases of a row. */
static value row_value(const table *t, int row, const column *c)
{
    value v = { .mean = NAN, .sd = NAN };
    double sum = 0, squares = 0, x;
    for (unsigned i = 0; i < t->plan->n_cases; i++) {
        if (!counts(t, i, row, c) || is_repeated(t, i, row, c)) continue;
        v.of += t->result[i].done;
        if (!results_value(&t->result[i], c->name, &x) || !isfinite(x)) continue;
        sum += x;
        v.n++;
    }
    if (v.n == 0) return v;
    v.mean = sum / v.n;
    for (unsigned i = 0; i < t->plan->n_cases; i++) {
        if (!counts(t, i, row, c) || is_repeated(t, i, row, c)) continue;
        if (results_value(&t->result[i], c->name, &x) && isfinite(x)) squares += (x - v.mean) * (x - v.mean);
    }
    if (v.n > 1) v.sd = sqrt(squares / (v.n - 1));
    return v;
}

/* How many cases of a row are done, and how many there are. */
static void row_counts(const table *t, int row, int *done, int *all)
{
    *done = *all = 0;
    for (unsigned i = 0; i < t->plan->n_cases; i++) {
        if (t->row_of[i] != row) continue;
        *done += t->result[i].done;
        ++*all;
    }
}

/* "91.20 ± 0.31", or "91.20 ± 0.31 (2 of 3)" if a finished case has no value: nothing was cut, so nothing was
 * fine-tuned. out: CELL_BYTES. */
static void result_text(const column *c, const value *v, char *out)
{
    double scale = results_scale(c->name);
    int digits = results_digits(c->name), n;
    snprintf(out, CELL_BYTES, "-");
    if (!isfinite(v->mean)) return;
    if (digits == 1 && !isfinite(v->sd)) digits = 0; /* a count */
    n = snprintf(out, CELL_BYTES, "%.*f", digits, scale * v->mean);
    if (isfinite(v->sd)) n += snprintf(out + n, CELL_BYTES - (size_t)n, " ± %.*f", digits, scale * v->sd);
    if (v->n < v->of) snprintf(out + n, CELL_BYTES - (size_t)n, " (%d of %d)", v->n, v->of);
}

/* A cell as people read it. out: CELL_BYTES. */
static status cell_text(const table *t, int row, const column *c, char *out)
{
    status st = OK;
    char *text = NULL;
    int done, all;
    if (c->kind == COLUMN_KEY) {
        TRY(planned_case_get(t->plan, (unsigned)t->first[row], c->name, &text));
        snprintf(out, CELL_BYTES, "%s", text);
    } else if (c->kind == COLUMN_N) {
        row_counts(t, row, &done, &all);
        snprintf(out, CELL_BYTES, done == all ? "%d" : "%d of %d", done, all);
    } else {
        value v = row_value(t, row, c);
        result_text(c, &v, out);
    }
out:
    free(text);
    return st;
}

/* ---- text and Markdown ---- */

static const char *header(const column *c)
{
    return c->header ? c->header : c->name;
}

/* Characters, not bytes: "±" is one. */
static int width_of(const char *text)
{
    int n = 0;
    for (; *text; text++) n += (*text & 0xc0) != 0x80;
    return n;
}

static void put_cell(const char *text, int width, bool left)
{
    int space = width - width_of(text);
    if (space < 0) space = 0;
    printf("%*s%s%*s", left ? 0 : space, "", text, left ? space : 0, "");
}

/* A cell for a terminal or for Markdown, where a "|" would begin the next cell. Row -1 is the header. */
static status shown_text(const table *t, int row, const column *c, bool markdown, char *out)
{
    status st = OK;
    char cell[CELL_BYTES], visible[CELL_BYTES];
    size_t n = 0;
    snprintf(cell, sizeof cell, "%s", header(c));
    if (row >= 0) TRY(cell_text(t, row, c, cell));
    text_visible(cell, visible, sizeof visible);
    for (const char *s = visible; *s && n + 2 < CELL_BYTES; s++) {
        if (markdown && *s == '|') out[n++] = '\\';
        out[n++] = *s;
    }
    out[n] = '\0';
out:
    return st;
}

static status print_rows(const table *t, bool markdown)
{
    status st = OK;
    int width[MAX_COLUMNS];
    char cell[CELL_BYTES];
    for (int c = 0; c < t->n_columns; c++) {
        width[c] = width_of(header(&t->column[c]));
        for (int r = 0; r < t->n_rows; r++) {
            TRY(shown_text(t, r, &t->column[c], markdown, cell));
            if (width_of(cell) > width[c]) width[c] = width_of(cell);
        }
    }
    for (int r = -1; r < t->n_rows; r++) {
        for (int c = 0; c < t->n_columns; c++) {
            bool left = t->column[c].kind == COLUMN_KEY;
            TRY(shown_text(t, r, &t->column[c], markdown, cell));
            printf("%s", markdown ? "| " : c ? "  " : "");
            put_cell(cell, width[c], left);
            if (markdown) printf(c + 1 < t->n_columns ? " " : " |");
        }
        printf("\n");
        for (int c = 0; markdown && r < 0 && c < t->n_columns; c++)
            printf("|%s%s",
                   t->column[c].kind == COLUMN_KEY ? "---" : "---:", c + 1 < t->n_columns ? "" : "|\n");
    }
out:
    return st;
}

/* ---- CSV, JSON ---- */

/* [RFC4180]: quotes text that holds a separator. Cells that look like a formula get a "'". */
static void put_csv(const char *text)
{
    char *end;
    strtod(text, &end); /* "-1" is a number */
    const char *quote = strpbrk(text, ",\"\r\n") ? "\"" : "";
    printf("%s%s", quote, text_is_formula(text) && *end ? "'" : "");
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    printf("%s", quote);
}

/* "yang_accuracy_after": two columns of a preset may show the same result. */
static void machine_name(const column *c, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s%s%s", c->metric ? c->metric : "", c->metric ? "_" : "", c->name);
}

/* Nothing for NaN. */
static void put_number(double x)
{
    if (isfinite(x)) printf("%.9g", x);
}

static status print_csv(const table *t)
{
    status st = OK;
    char cell[CELL_BYTES];
    for (int r = -1; r < t->n_rows; r++) {
        for (int c = 0; c < t->n_columns; c++) {
            const column *col = &t->column[c];
            if (c) putchar(',');
            if (r < 0) {
                machine_name(col, cell, sizeof cell);
                printf("%s", cell);
                if (col->kind == COLUMN_RESULT) printf(",%s_sd", cell);
            } else if (col->kind == COLUMN_RESULT) {
                value v = row_value(t, r, col);
                put_number(v.mean);
                putchar(',');
                put_number(v.sd);
            } else {
                int done, all;
                row_counts(t, r, &done, &all);
                TRY(cell_text(t, r, col, cell));
                if (col->kind == COLUMN_N) snprintf(cell, sizeof cell, "%d", done);
                put_csv(cell);
            }
        }
        printf("\n");
    }
out:
    return st;
}

static status put_row(cJSON *j, const table *t, int row)
{
    status st = OK;
    char cell[CELL_BYTES], name[128];
    int done, all;
    row_counts(t, row, &done, &all);
    for (int c = 0; c < t->n_columns; c++) {
        const column *col = &t->column[c];
        machine_name(col, name, sizeof name);
        if (col->kind == COLUMN_KEY) {
            TRY(cell_text(t, row, col, cell));
            TRY(json_put_text(j, name, cell));
        } else if (col->kind == COLUMN_N) {
            TRY(json_put_number(j, "n", done));
            TRY(json_put_number(j, "cases", all));
        } else {
            value v = row_value(t, row, col);
            cJSON *o;
            TRY(json_put_object(j, name, &o));
            TRY(json_put_number(o, "mean", v.mean));
            TRY(json_put_number(o, "sd", v.sd));
            TRY(json_put_number(o, "n", v.n));
        }
    }
out:
    return st;
}

static status print_json(const table *t)
{
    status st = OK;
    char *text = NULL;
    cJSON *j, *rows, *row;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_list(j, "rows", &rows));
    for (int r = 0; r < t->n_rows; r++) {
        TRY(json_append_object(rows, &row));
        TRY(put_row(row, t, r));
    }
    TRY_ALLOC(text, cJSON_Print(j));
    text_to_utf8(text);
    printf("%s\n", text);
out:
    cJSON_free(text);
    cJSON_Delete(j);
    return st;
}

static status table_print(const table *t, const char *format)
{
    status st = OK;
    if (!format || strcmp(format, "text") == 0)
        TRY(print_rows(t, false));
    else if (strcmp(format, "md") == 0)
        TRY(print_rows(t, true));
    else if (strcmp(format, "csv") == 0)
        TRY(print_csv(t));
    else if (strcmp(format, "json") == 0)
        TRY(print_json(t));
    else
        FAIL(ERR_USAGE, "--format %s: expected text, md, csv or json", format);
    TRY(cli_end_output());
out:
    return st;
}

static status choose_columns(table *t, const table_options *o)
{
    status st = OK;
    if (o->preset && strcmp(o->preset, "table1") != 0)
        FAIL(ERR_USAGE, "--preset %s: there is table1", o->preset);
    if (o->preset && o->columns) FAIL(ERR_USAGE, "--preset and --columns exclude each other");
    if (o->preset)
        TRY(table1_columns(t));
    else if (o->columns)
        TRY(named_columns(t, o->columns));
    else
        TRY(standard_columns(t));
out:
    return st;
}

status sweep_table_print(const sweep_plan *p, const table_options *o)
{
    status st = OK;
    table t = { .plan = p };
    TRY(choose_columns(&t, o));
    TRY(make_rows(&t));
    TRY(table_print(&t, o->format));
out:
    for (int c = 0; c < t.n_columns; c++) free(t.column[c].name);
    for (unsigned i = 0; t.result && i < p->n_cases; i++) results_free(&t.result[i]);
    free(t.result);
    free(t.row_of);
    free(t.first);
    return st;
}
