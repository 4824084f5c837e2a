/* prune/surgery.h -- removing units from a trained net. The pruned net is built without the units (net_create with
 * `remove`), then inherits every tensor that it still has, BN statistics included. */
#ifndef CLEAVE_SURGERY_H
#define CLEAVE_SURGERY_H

#include "../nets/net.h"

/* Copies the tensors of the checkpoint `parent` into the compiled pruned net by name. ERR_DATA: a tensor is missing, has
 * another shape, or is left over and belongs to none of the removed units; the net's values are then undefined. */
status surgery_inherit(net *pruned, const char *parent);

/* The union of two lists of unit names, in order, without repeats: the units removed before and now. The caller frees with
 * surgery_names_free. */
status surgery_names(char *const *a, unsigned na, char *const *b, unsigned nb, char ***out, unsigned *n);
void surgery_names_free(char **names, unsigned n); /* NULL is harmless */

#endif
