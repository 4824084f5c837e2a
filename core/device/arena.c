/* core/device/arena.c -- see arena.h. The problem is known as dynamic storage allocation, and finding the
 * optimum is NP-hard ([Garey79] SR2). Placing the largest first is good because the large values leave
 * gaps that the small ones fill, and it is simple: one list of what is placed, in order of offset. */
#include "arena.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static int alive_together(const arena_request *a, const arena_request *b)
{
    return a->first <= b->last && b->first <= a->last;
}

/* Larger first; among equals the one that comes first in the caller's array (they all lie in it). */
static int larger_first(const void *a, const void *b)
{
    const arena_request *x = *(arena_request *const *)a, *y = *(arena_request *const *)b;
    if (x->bytes != y->bytes) return x->bytes > y->bytes ? -1 : 1;
    return x < y ? -1 : x > y;
}

/* Rounded up, so that whatever lies behind is aligned too. */
static size_t room_of(const arena_request *r)
{
    return (r->bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* The lowest offset at which r meets none of placed[], which is ordered by offset. */
static size_t lowest_gap(arena_request *const *placed, int n, const arena_request *r)
{
    size_t offset = 0;
    for (int i = 0; i < n; i++) {
        if (!alive_together(placed[i], r)) continue;
        if (placed[i]->offset >= offset + room_of(r)) break; /* it fits before this one */
        const size_t end = placed[i]->offset + room_of(placed[i]);
        if (end > offset) offset = end;
    }
    return offset;
}

static void insert_by_offset(arena_request **placed, int n, arena_request *r)
{
    int i = n;
    while (i > 0 && placed[i - 1]->offset > r->offset) i--;
    memmove(placed + i + 1, placed + i, (size_t)(n - i) * sizeof *placed);
    placed[i] = r;
}

/* No offset can exceed the sum of all rooms: where that fits a size_t, nothing below overflows. */
static status check(const arena_request *requests, int n)
{
    status st = OK;
    size_t sum = 0;
    for (int i = 0; i < n; i++) {
        const arena_request *r = &requests[i];
        if (r->first > r->last)
            FAIL(ERR_RUNTIME, "arena: request %d lives from %d to %d", i, r->first, r->last);
        if (r->bytes > SIZE_MAX - ARENA_ALIGN || __builtin_add_overflow(sum, room_of(r), &sum)) {
            FAIL(ERR_RUNTIME, "arena: the requests add up to more than can be addressed");
        }
    }
out:
    return st;
}

status arena_plan(arena_request *requests, int n, size_t *total)
{
    status st = OK;
    arena_request **order = NULL, **placed = NULL;
    size_t end = 0;

    TRY(check(requests, n));
    TRY_ALLOC(order, malloc(((size_t)n + 1) * sizeof(*order)));
    TRY_ALLOC(placed, malloc(((size_t)n + 1) * sizeof(*placed)));
    for (int i = 0; i < n; i++) order[i] = &requests[i];
    qsort(order, (size_t)n, sizeof(*order), larger_first);

    for (int i = 0; i < n && order[i]->bytes > 0; i++) {
        order[i]->offset = lowest_gap(placed, i, order[i]);
        insert_by_offset(placed, i, order[i]);
        if (order[i]->offset + room_of(order[i]) > end) end = order[i]->offset + room_of(order[i]);
    }
    for (int i = 0; i < n; i++) {
        if (requests[i].bytes == 0) requests[i].offset = 0;
    }
    *total = end;
out:
    free(order);
    free(placed);
    return st;
}
