/* core/base/claim.h -- may a tool fill this folder? Only if nothing of a user's can be lost: the folder is missing or empty,
 * or the tool's own result is in it. While the tool works, a mark stands for the result, so that a folder which a killed
 * process has left half filled is still known as the tool's. */
#ifndef CLEAVE_CLAIM_H
#define CLEAVE_CLAIM_H

#include "status.h"

typedef struct claim {
    const char *result; /* "analysis.json": a folder with this file is the tool's */
    /* What the JSON object in it must have, else it is another program's; NULL: any file will do. */
    const char *member;
    /* Of what may not be there without it (fnmatch with FNM_EXTMATCH), such as "*". Hidden files, the lock and temporary
     * files never count. */
    const char *names;
} claim;

/* Before any work. ERR_USAGE names the folder, what is in the way, and what to do. ERR_RUNTIME: the folder cannot be read. */
status claim_check(const claim *, const char *dir);
/* The same, and then makes the mark, DIR/RESULT.unfinished. Call it before the first file is written or removed. The folder
 * must exist. */
status claim_begin(const claim *, const char *dir);
/* Removes the mark: the result is there. */
void claim_end(const claim *, const char *dir);

/* May a tool write this file? It may be missing, empty, a pipe or a device; else it must begin with `start` (at most 16 bytes),
 * as what the tool writes does. `what`: "an ONNX model of this program". ERR_USAGE: it is something else, which would be
 * lost. */
status claim_file(const char *path, const char *start, const char *what);

#endif
