/* core/config/depth.h -- YAML that nests too deep is refused before libyaml builds a document of it. */
#ifndef CLEAVE_DEPTH_H
#define CLEAVE_DEPTH_H

#include "../base/status.h"

/* A sweep needs 5 levels: the file, cases, an entry, a section, a list of lists. */
enum { YAML_MAX_DEPTH = 32 };

/* libyaml's time grows with the square of the nesting depth: 262,000 brackets took 100 s. ERR_USAGE, with `label` and
 * the line: mappings and lists in each other beyond YAML_MAX_DEPTH. Any other mistake in the YAML is not looked for. */
status yaml_check_depth(const char *label, const char *yaml);

#endif
