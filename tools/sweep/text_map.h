/* tools/sweep/text_map.h -- a number for each of many texts, found by hash: what would otherwise be a search through all
 * cases or tasks for each of them. */
#ifndef CLEAVE_SWEEP_TEXT_MAP_H
#define CLEAVE_SWEEP_TEXT_MAP_H

#include "../../core/base/status.h"

typedef struct text_map { /* zeroed: an empty one */
    char **text;          /* [room] NULL: a free place */
    int *value;
    unsigned room, n; /* room: a power of two, at least 2 n */
} text_map;

int text_map_get(const text_map *, const char *text); /* -1: not there */
/* Copies the text, which must not be there yet. value >= 0. */
status text_map_put(text_map *, const char *text, int value);
void text_map_free(text_map *);

#endif
