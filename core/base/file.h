/* core/base/file.h -- reading whole files; writing files so that they are whole or not there. */
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
/* True if both exist and `path` was last written at the same time as `than` or later. */
bool file_is_newer(const char *path, const char *than);
/* Makes a folder and its parents, like mkdir -p. ERR_RUNTIME names the folder that cannot be made. */
status file_make_dirs(const char *path);

/* The whole file and a NUL byte after it, which *bytes does not count; `bytes` may be NULL. Only a regular file of at
 * most FILE_MAX_BYTES: a pipe may never end, a device neither. ERR_DATA, at once: it cannot be read, or is something
 * else. ERR_RUNTIME: no memory, or too many open files. The caller frees. */
enum { FILE_MAX_BYTES = 1 << 30 };
status file_read(const char *path, char **out, size_t *bytes);
/* The same with another limit. FILE_OR_STREAM: also a pipe that somebody writes to, as of `train <(make_config)`, or a
 * device such as /dev/null, up to the limit. */
typedef enum file_kind { FILE_REGULAR, FILE_OR_STREAM } file_kind;
status file_read_within(const char *path, size_t max_bytes, file_kind, char **out, size_t *bytes);

/* Writes PATH.cleave.tmp-PID, flushes it to the disk and renames it to PATH; if PATH is a symbolic link, its target is
 * replaced. After a failure the temporary file is gone and PATH is unchanged, except that PATH is the new file if
 * only the flush of its folder failed. Devices and pipes are written to directly; a pipe needs a reader at once.
 * Temporary files of killed processes in the same folder are removed. ERR_RUNTIME names the path and the reason ("No space
 * left on device"). */
typedef struct file_writer {
    FILE *f;
    file_path path, temporary; /* temporary: "" for a device */
} file_writer;
status file_begin(file_writer *, const char *path); /* the folder must exist */
status file_put(file_writer *, const void *data, size_t bytes);
status file_commit(file_writer *); /* flush, fsync, rename, fsync of the folder; abandons on failure */
void file_abandon(file_writer *);  /* removes the temporary file; harmless after a commit or if zeroed */
status file_replace(const char *path, const void *data, size_t bytes); /* begin, put, commit */
/* Removes the temporary files in this folder whose writer has ended without removing them: nobody holds the lock that a
 * writer has on its file, and no process of this machine has the PID in its name, or nothing was written for a minute. On
 * a file system without locks: no process here has the PID, and the file is a day old. Other files stay. */
void file_remove_leftovers(const char *folder);
/* Is it the name of a temporary file, NAME.cleave.tmp-PID? */
bool file_is_temporary(const char *name);
/* Removes the files in this folder whose names match the pattern: "*.bin", "@(a|b).png" (fnmatch with FNM_EXTMATCH).
 * ERR_RUNTIME names the file that cannot be removed and the reason. */
status file_remove_matching(const char *folder, const char *pattern);

/* Appends bytes to a file and flushes it to the disk: all of them or, after a failure such as a full disk, none. If
 * the file is new or empty, `head` is written first. ERR_RUNTIME names the path and the reason. */
status file_append(const char *path, const void *head, size_t head_bytes, const void *data, size_t bytes);

/* Opens a regular file for reading, or for appending (made if it is missing), and waits for nobody: a pipe or a device is
 * refused at once. Reading fails with ERR_DATA or, where the machine has run out of something, ERR_RUNTIME; appending with
 * ERR_RUNTIME. The caller closes *fd, which is -1 after a failure. */
status file_open(const char *path, int *fd);
status file_open_to_append(const char *path, int *fd);

uint64_t file_hash(const void *data, size_t bytes); /* FNV-1a, 64 bit */

#endif
