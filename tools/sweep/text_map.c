/* tools/sweep/text_map.c -- see text_map.h: open addressing, linear probing. */
#include "text_map.h"

#include "../../core/base/file.h"

#include <stdlib.h>
#include <string.h>

/* The place of the text, or the free one where it belongs. The map has room. */
static unsigned place_of(const text_map *m, const char *text)
{
    unsigned i = (unsigned)file_hash(text, strlen(text)) & (m->room - 1);
    while (m->text[i] && strcmp(m->text[i], text) != 0) i = (i + 1) & (m->room - 1);
    return i;
}

int text_map_get(const text_map *m, const char *text)
{
    if (!m->room) return -1;
    const unsigned i = place_of(m, text);
    return m->text[i] ? m->value[i] : -1;
}

static status grow(text_map *m)
{
    status st = OK;
    text_map larger = { .room = m->room ? 2 * m->room : 64, .n = m->n };
    TRY_ALLOC(larger.text, calloc(larger.room, sizeof *larger.text));
    TRY_ALLOC(larger.value, calloc(larger.room, sizeof *larger.value));
    for (unsigned i = 0; i < m->room; i++) {
        if (!m->text[i]) continue;
        const unsigned to = place_of(&larger, m->text[i]);
        larger.text[to] = m->text[i];
        larger.value[to] = m->value[i];
    }
    free(m->text);
    free(m->value);
    *m = larger;
    larger = (text_map){ 0 };
out:
    free(larger.text);
    free(larger.value);
    return st;
}

status text_map_put(text_map *m, const char *text, int value)
{
    status st = OK;
    if (2 * (m->n + 1) > m->room) TRY(grow(m));
    const unsigned i = place_of(m, text);
    TRY_ALLOC(m->text[i], strdup(text));
    m->value[i] = value;
    m->n++;
out:
    return st;
}

void text_map_free(text_map *m)
{
    for (unsigned i = 0; i < m->room; i++) free(m->text[i]);
    free(m->text);
    free(m->value);
    *m = (text_map){ 0 };
}
