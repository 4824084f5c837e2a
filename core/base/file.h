/* core/base/file.h -- files that are whole or not there. */
#ifndef CLEAVE_FILE_H
#define CLEAVE_FILE_H

#include "path.h"
#include "status.h"
#include "text.h"
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

bool file_exists(const char *path);
bool file_is_dir(const char *path);
/* Both exist, and `path` was written to at the same moment as `than` or later. */
bool file_is_newer(const char *path, const char *than);
status file_make_dirs(const char *path); /* like mkdir -p; ERR_RUNTIME names the folder that cannot be made */

/* The whole file; ends with an extra NUL byte that *bytes (may be NULL) does not count. ERR_DATA if it cannot
 * be read. The caller frees. */
status file_read(const char *path, char **out, size_t *bytes);

/* Writes PATH.tmp-PID, flushes it to the disk, renames it over PATH (a link: over what it leads to). On failure the
 * temporary file is gone and PATH is as it was, or, if all but the flush of its folder succeeded, the new one.
 * Devices and pipes are written to as they are. ERR_RUNTIME names the path and the reason ("No space left on
 * device"). */
typedef struct file_writer {
    FILE *f;
    char path[4096], temporary[4128];
} file_writer;
status file_begin(file_writer *, const char *path); /* the folder must exist */
status file_put(file_writer *, const void *data, size_t bytes);
status file_commit(file_writer *); /* flush, fsync, rename, fsync of the folder; abandons on failure */
void file_abandon(file_writer *);  /* after a failure, or never begun: harmless */
status file_replace(const char *path, const void *data, size_t bytes); /* begin, put, commit */
/* Removes the temporary files in this folder whose writers were killed: no process of this machine has their
 * number. For whoever holds the folder's lock. */
void file_remove_leftovers(const char *folder);
/* Removes what is in this folder under a name of the pattern, an fnmatch of ksh's kind: "*.bin", "@(a|b).png".
 * ERR_RUNTIME names what stays and the reason. */
status file_remove_matching(const char *folder, const char *pattern);

/* Adds bytes to the end of a file, flushed to the disk: all of them or, on failure (disk full), none. `head`
 * goes before them if the file is new or empty. ERR_RUNTIME names the path and the reason. */
status file_append(const char *path, const void *head, size_t head_bytes, const void *data, size_t bytes);

uint64_t file_hash(const void *data, size_t bytes); /* FNV-1a, 64 bit */

#endif
