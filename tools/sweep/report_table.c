/* tools/sweep/report_table.c -- sweep table: rows are groups of cases that differ in the seed alone, columns
 * are config keys and results. The presets are lists of columns. */
#include "list.h"
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char table_columns_help[] = "any config key; accuracy, last_accuracy; M, Q (of the last layer), M_max, "
                                  "Q_max; removed, saving_percent, "
                                  "params_before, params_after, macs_before, macs_after, latency_ms_before, "
                                  "latency_ms_after, accuracy_before, "
                                  "accuracy_cut, accuracy_after, accuracy_last; n";

/* ---- rows ---- */

static bool joined(const table *t, const char *key)
{
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
        FAIL(ERR_USAGE, "--columns: no column %.60s; there are %s", name, table_columns_help);
    if (t->n_columns == MAX_COLUMNS) FAIL(ERR_USAGE, "--columns: more than %d", MAX_COLUMNS);
    column *c = &t->column[t->n_columns++];
    *c = (column){ .header = header, .metric = metric, .kind = kind };
    TRY_ALLOC(c->name, strdup(name));
out:
    return st;
}

static status add_varied_keys(table *t)
{
    status st = OK;
    for (unsigned k = 0; k < t->plan->n_keys; k++)
        if (!joined(t, t->plan->key[k])) TRY(add_column(t, t->plan->key[k], NULL, NULL));
out:
    return st;
}

static status standard_columns(table *t)
{
    status st = OK;
    static const char *const of_stage[STAGES][5] = {
        { "accuracy" }, { "M", "Q" }, { "removed", "saving_percent", "accuracy_cut", "accuracy_after" }
    };
    TRY(add_varied_keys(t));
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
    for (unsigned k = 0; k < t->plan->n_keys; k++)
        if (!joined(t, t->plan->key[k]) && strcmp(t->plan->key[k], "net.arch") != 0)
            TRY(add_column(t, t->plan->key[k], NULL, NULL));
    TRY(add_column(t, "accuracy", NULL, NULL));
    TRY(add_column(t, "accuracy_after", "Yang: accuracy", "yang"));
    TRY(add_column(t, "saving_percent", "saving %", "yang"));
    TRY(add_column(t, "accuracy_after", "Lu: accuracy", "lu"));
    TRY(add_column(t, "saving_percent", "saving %", "lu"));
out:
    return st;
}

static status asked_columns(table *t, const char *list)
{
    status st = OK;
    char *copy, *rest = NULL;
    TRY_ALLOC(copy, strdup(list));
    for (char *name = strtok_r(copy, ", ", &rest); name; name = strtok_r(NULL, ", ", &rest))
        TRY(add_column(t, name, NULL, NULL));
    if (t->n_columns == 0) FAIL(ERR_USAGE, "--columns: none is named; there are %s", table_columns_help);
out:
    free(copy);
    return st;
}

/* ---- cells ---- */

static bool counts(const table *t, unsigned i, int row, const column *c)
{
    static const char *const names[] = { "yang", "lu" };
    if (t->row_of[i] != row) return false;
    if (!c->metric) return true;
    metric_kind m = t->plan->cases[i].cfg->prune.metric;
    return m <= METRIC_LU && strcmp(c->metric, names[m]) == 0;
}

/* A training that several cases of a row share is one value, not several. */
static bool is_repeated(const table *t, unsigned i, int row, const column *c)
{
    const sweep_plan *p = t->plan;
    bool of_training = strcmp(c->name, "accuracy") == 0 || strcmp(c->name, "last_accuracy") == 0;
    for (unsigned j = 0; of_training && j < i; j++)
        if (counts(t, j, row, c) && p->cases[i].task[STAGE_TRAIN] == p->cases[j].task[STAGE_TRAIN])
            return true;
    return false;
}

value table_row_value(const table *t, int row, const column *c)
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

void table_row_counts(const table *t, int row, int *done, int *all)
{
    *done = *all = 0;
    for (unsigned i = 0; i < t->plan->n_cases; i++) {
        if (t->row_of[i] != row) continue;
        *done += t->result[i].done;
        ++*all;
    }
}

/* Where not every finished case has a value (nothing was cut, so nothing was fine-tuned): of how many it is. */
static void result_text(const column *c, const value *v, const char *between, char *out)
{
    double scale = results_scale(c->name);
    int digits = results_digits(c->name), n;
    snprintf(out, CELL_BYTES, "-");
    if (!isfinite(v->mean)) return;
    if (digits == 1 && !isfinite(v->sd)) digits = 0; /* a count */
    n = snprintf(out, CELL_BYTES, "%.*f", digits, scale * v->mean);
    if (isfinite(v->sd))
        n += snprintf(out + n, CELL_BYTES - (size_t)n, "%s%.*f", between, digits, scale * v->sd);
    if (v->n < v->of) snprintf(out + n, CELL_BYTES - (size_t)n, " (%d of %d)", v->n, v->of);
}

status table_cell_text(const table *t, int row, const column *c, char *out)
{
    status st = OK;
    char *text = NULL;
    int done, all;
    if (c->kind == COLUMN_KEY) {
        TRY(planned_case_get(t->plan, (unsigned)t->first[row], c->name, &text));
        snprintf(out, CELL_BYTES, "%s", text);
    } else if (c->kind == COLUMN_N) {
        table_row_counts(t, row, &done, &all);
        snprintf(out, CELL_BYTES, done == all ? "%d" : "%d of %d", done, all);
    } else {
        value v = table_row_value(t, row, c);
        result_text(c, &v, " ± ", out);
    }
out:
    free(text);
    return st;
}

/* ---- the whole ---- */

static status choose_columns(table *t, const table_options *o)
{
    status st = OK;
    if (o->preset && strcmp(o->preset, "table1") != 0)
        FAIL(ERR_USAGE, "--preset %s: there is table1", o->preset);
    if (o->preset && o->columns) FAIL(ERR_USAGE, "--preset and --columns exclude each other");
    if (o->preset)
        TRY(table1_columns(t));
    else if (o->columns)
        TRY(asked_columns(t, o->columns));
    else
        TRY(standard_columns(t));
out:
    return st;
}

status report_table(const sweep_plan *p, const table_options *o)
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
