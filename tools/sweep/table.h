/* tools/sweep/table.h -- private to tools/sweep/report_table*.c: a table before it is printed. */
#ifndef CLEAVE_SWEEP_TABLE_H
#define CLEAVE_SWEEP_TABLE_H

#include "report.h"
#include "results.h"

enum { MAX_COLUMNS = 64, CELL_BYTES = 256 };

typedef enum column_kind { COLUMN_KEY, COLUMN_RESULT, COLUMN_N } column_kind;

typedef struct column {
    char *name;         /* key or result */
    const char *header; /* of text and Markdown; NULL: the name */
    const char *metric; /* only cases with this prune.metric count; NULL: all */
    column_kind kind;
} column;

typedef struct value { /* of a result in a row */
    double mean, sd;   /* sd: of a sample (n - 1), NaN for one value */
    int n, of;         /* finished cases that have it, of those that could */
} value;

typedef struct table {
    const sweep_plan *plan;
    column column[MAX_COLUMNS];
    int n_columns;
    const char *also_joined; /* besides seed: cases that differ in this key share a row too; NULL: none */
    int *row_of;             /* [n_cases] */
    int *first;              /* [n_rows] the first case of a row */
    int n_rows;
    case_results *result; /* [n_cases] */
} table;

/* Mean and standard deviation over the cases of a row that have a value. */
value table_row_value(const table *, int row, const column *);
/* Cases of the row that are done, and all of them. */
void table_row_counts(const table *, int row, int *done, int *all);
/* What people read in a cell; out: CELL_BYTES. */
status table_cell_text(const table *, int row, const column *, char *out);

/* On stdout, as text, md, csv or json. ERR_USAGE for another format. */
status table_print(const table *, const char *format);

#endif
