/* tools/sweep/report_table_print.c -- a table in four formats, which differ in what stands between the cells.
 */
#include "table.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

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

static status print_rows(const table *t, bool markdown)
{
    status st = OK;
    int width[MAX_COLUMNS];
    char cell[CELL_BYTES];
    for (int c = 0; c < t->n_columns; c++) {
        width[c] = width_of(header(&t->column[c]));
        for (int r = 0; r < t->n_rows; r++) {
            TRY(table_cell_text(t, r, &t->column[c], cell));
            if (width_of(cell) > width[c]) width[c] = width_of(cell);
        }
    }
    for (int r = -1; r < t->n_rows; r++) {
        for (int c = 0; c < t->n_columns; c++) {
            bool left = t->column[c].kind == COLUMN_KEY;
            snprintf(cell, sizeof cell, "%s", header(&t->column[c]));
            if (r >= 0) TRY(table_cell_text(t, r, &t->column[c], cell));
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

/* [RFC4180]: quoted where it holds what separates. */
static void put_csv(const char *text)
{
    if (!strpbrk(text, ",\"\n")) {
        printf("%s", text);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"') putchar('"');
        putchar(*text);
    }
    putchar('"');
}

/* "yang_accuracy_after": columns of a preset need not have names of their own. */
static void machine_name(const column *c, char *out, size_t bytes)
{
    snprintf(out, bytes, "%s%s%s", c->metric ? c->metric : "", c->metric ? "_" : "", c->name);
}

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
                value v = table_row_value(t, r, col);
                put_number(v.mean);
                putchar(',');
                put_number(v.sd);
            } else {
                int done, all;
                table_row_counts(t, r, &done, &all);
                TRY(table_cell_text(t, r, col, cell));
                if (col->kind == COLUMN_N) snprintf(cell, sizeof cell, "%d", done);
                put_csv(cell);
            }
        }
        printf("\n");
    }
out:
    return st;
}

static status row_json(const table *t, int row, cJSON *j)
{
    status st = OK;
    char cell[CELL_BYTES], name[128];
    int done, all;
    bool good = true;
    table_row_counts(t, row, &done, &all);
    for (int c = 0; good && c < t->n_columns; c++) {
        const column *col = &t->column[c];
        machine_name(col, name, sizeof name);
        if (col->kind == COLUMN_KEY) {
            TRY(table_cell_text(t, row, col, cell));
            good = json_put_text(j, name, cell) == OK;
        } else if (col->kind == COLUMN_N) {
            good = json_put_number(j, "n", done) == OK && json_put_number(j, "cases", all) == OK;
        } else {
            value v = table_row_value(t, row, col);
            cJSON *o = cJSON_AddObjectToObject(j, name);
            good = o && json_put_number(o, "mean", v.mean) == OK && json_put_number(o, "sd", v.sd) == OK &&
                   json_put_number(o, "n", v.n) == OK;
        }
    }
    if (!good) FAIL(ERR_RUNTIME, "out of memory");
out:
    return st;
}

static status print_json(const table *t)
{
    status st = OK;
    char *text = NULL;
    cJSON *j = cJSON_CreateObject(), *rows = cJSON_AddArrayToObject(j, "rows");
    for (int r = 0; r < t->n_rows; r++) {
        cJSON *row = cJSON_CreateObject();
        if (!cJSON_AddItemToArray(rows, row)) {
            cJSON_Delete(row);
            FAIL(ERR_RUNTIME, "out of memory");
        }
        TRY(row_json(t, r, row));
    }
    TRY_ALLOC(text, cJSON_Print(j));
    printf("%s\n", text);
out:
    cJSON_free(text);
    cJSON_Delete(j);
    return st;
}

status table_print(const table *t, const char *format)
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
    if (fflush(stdout) != 0) FAIL(ERR_RUNTIME, "stdout: write failed");
out:
    return st;
}
