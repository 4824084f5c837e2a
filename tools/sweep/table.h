/* tools/sweep/table.h -- `sweep table`: results of the cases, with mean and standard deviation over the
 * seeds. */
#ifndef CLEAVE_SWEEP_TABLE_H
#define CLEAVE_SWEEP_TABLE_H

#include "tasks.h"

typedef struct table_options {
    const char
        *columns; /* "net.arch,accuracy,M"; NULL: the keys that differ, then the results of each stage */
    const char *format; /* text, md, csv, json; NULL: text */
    const char *preset; /* table1; NULL: none */
} table_options;

/* Prints a row for each combination of the settings other than the seed, or with it if the seed is among the columns. ERR_USAGE for an unknown column,
 * format or preset. */
status sweep_table_print(const sweep_plan *, const table_options *);

#endif
