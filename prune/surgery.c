/* prune/surgery.c -- a unit keeps its PyTorch name when units before it are removed. So inheriting is copying by name, and
 * tensors of the parent that are left over must belong to the removed units. */
#include "surgery.h"
#include "../nets/checkpoint.h"
#include "../nets/spelling.h"
#include <stdlib.h>
#include <string.h>

/* The complete architecture has exactly the tensors of the pruned net and of the removed units. */
static status check_left_over(const net *pruned, const st_file *parent, const char *parent_path)
{
    status st = OK;
    net *complete = NULL;
    TRY(net_without(pruned, NULL, 0, &complete));
    for (int i = 0; i < parent->n_tensors; i++) {
        const char *name = parent->tensor[i].name;
        if (!spelling_is_beside(name) && spelling_param(complete, name) < 0)
            FAIL(ERR_DATA, "%s: tensor %s belongs to no unit of %s", parent_path, name, net_arch(pruned));
    }
out:
    net_free(complete);
    return st;
}

status surgery_inherit(net *pruned, const char *parent)
{
    status st = OK;
    st_file f = { 0 };
    TRY(st_open(parent, &f));
    TRY(check_left_over(pruned, &f, parent));
    TRY(checkpoint_load(pruned, &f, parent, false, false));
out:
    st_close(&f);
    return st;
}

static status append(char **names, unsigned *n, const char *name)
{
    status st = OK;
    for (unsigned i = 0; i < *n; i++)
        if (!strcmp(names[i], name)) return OK;
    TRY_ALLOC(names[*n], strdup(name));
    (*n)++;
out:
    return st;
}

status surgery_names(char *const *a, unsigned na, char *const *b, unsigned nb, char ***out, unsigned *n)
{
    status st = OK;
    unsigned count = 0;
    char **names;
    TRY_ALLOC(names, calloc((size_t)na + nb + 1, sizeof *names));
    for (unsigned i = 0; i < na; i++) TRY(append(names, &count, a[i]));
    for (unsigned i = 0; i < nb; i++) TRY(append(names, &count, b[i]));
    *out = names;
    *n = count;
    names = NULL;
out:
    surgery_names_free(names, count);
    return st;
}

void surgery_names_free(char **names, unsigned n)
{
    if (!names) return;
    for (unsigned i = 0; i < n; i++) free(names[i]);
    free(names);
}
