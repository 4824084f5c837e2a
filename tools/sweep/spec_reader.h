/* tools/sweep/spec_reader.h -- private to tools/sweep/spec*.c: the YAML tree of a sweep file. */
#ifndef CLEAVE_SWEEP_SPEC_READER_H
#define CLEAVE_SWEEP_SPEC_READER_H

#include "spec.h"

#include <yaml.h>

typedef struct reader {
    yaml_document_t document;
    sweep_spec *spec;
} reader;

#define FAIL_AT(node, ...)                                                                                   \
    do {                                                                                                     \
        st = status_set(ERR_USAGE, __FILE__, __LINE__, __VA_ARGS__);                                         \
        status_prefix(st, "%s:%zu", r->spec->path, node_line(node));                                         \
        goto out;                                                                                            \
    } while (0)

size_t node_line(const yaml_node_t *);      /* of the file, from 1 */
const char *node_text(const yaml_node_t *); /* of a scalar; NULL for a list or mapping */
unsigned node_entries(const yaml_node_t *); /* of a list; else 0 */
unsigned node_pairs(const yaml_node_t *);   /* of a mapping; else 0 */
yaml_node_t *node_at(reader *, int index);
yaml_node_t *node_entry(reader *, const yaml_node_t *list, unsigned i);

/* {train.lr: 0.1, prune: {eps: 0.1}}: keys of configs into a block; `several`: a key may have a list of
 * values. `prefix`: "", or "prune." for an inner mapping. */
status read_block(reader *, yaml_node_t *mapping, const char *prefix, bool several, sweep_block *);

#endif
