/* core/base/path.h -- the path of a file, as a value: it needs no memory and is never cut off. */
#ifndef CLEAVE_PATH_H
#define CLEAVE_PATH_H

#include "status.h"

/* Linux takes no longer path, the NUL included. */
enum { PATH_BYTES = 4096 };

typedef struct file_path {
    char s[PATH_BYTES];
} file_path;

/* path_set(&p, "%s/%s", folder, name). ERR_RUNTIME: the path would be too long; then it is "". */
status path_set(file_path *, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What follows the last slash: "c" of "/a/b/c". Points into `path`. */
const char *path_name(const char *path);

#endif
