/* core/base/path.h -- the path of a file, as a value: it needs no allocation and is never truncated. */
#ifndef CLEAVE_PATH_H
#define CLEAVE_PATH_H

#include "status.h"

#include <stdbool.h>

/* The longest path that Linux accepts, including the NUL. */
enum { PATH_BYTES = 4096 };

typedef struct file_path {
    char s[PATH_BYTES];
} file_path;

/* path_set(&p, "%s/%s", folder, name). ERR_RUNTIME: the path would be too long; then it is "". */
status path_set(file_path *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The last part, after the last slash: "c" of "/a/b/c". Points into `path`. */
const char *path_name(const char *path);

/* Cuts off the last part: "a/b" -> "a", "/a" -> "/". False if only one part is left: "a", "/". */
bool path_to_parent(file_path *);

/* `path` as a shell would read it: "~" and "~/x" are in the home folder ($HOME, else the user's entry in the password
 * file); everything else stays as it is ("~other", "./~"). ERR_RUNTIME: no home folder is known, or the path would be
 * too long. */
status path_expand_home(const char *path, file_path *out);

/* The running program. ERR_RUNTIME: the system does not tell. */
status path_of_program(file_path *);

#endif
