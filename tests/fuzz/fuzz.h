/* tests/fuzz/fuzz.h -- fuzz targets: each feeds one of Cleave's readers with a file that may hold anything.
 *
 * A target is a file tests/DIR/fuzz_NAME.c with fuzz_one, built as a program of its own, and seeds in
 * tests/DIR/corpus/NAME/, small files of the format. With tests/DIR/corpus/NAME.dict, a list of words in libFuzzer's
 * form, mutations also insert these words. An input that once failed stays as a seed.
 *
 *   make test    feeds every seed, then fixed mutations of them (driver.c), under any compiler
 *   make fuzz    feeds what libFuzzer finds, with clang and sanitizers (fuzz.mk) */
#ifndef CLEAVE_FUZZ_H
#define CLEAVE_FUZZ_H

#include "../../core/base/path.h"
#include "../../core/base/status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Feeds one input, which must not crash, leak, hang or be read beyond its end, and checks what must hold afterwards.
 * True if the reader took the input as whole. Messages of log.h are off. */
bool fuzz_one(const uint8_t *data, size_t bytes);

/* An assertion for every build; a failure ends the process, as a fuzzer expects. */
#define FUZZ_CHECK(condition)                                                                                \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                          \
            fprintf(stderr, "the last message: %s\n", status_message());                                     \
            abort();                                                                                         \
        }                                                                                                    \
    } while (0)

/* True if st is OK. Otherwise it must be `want`, with a message of one line. */
bool fuzz_accepted(status st, status want);

/* ---- for readers that take a path ---- */

/* SCRATCH/NAME, where SCRATCH is this process's own folder, which vanishes when it ends: fuzz_path("x").s. */
file_path fuzz_path(const char *name);
/* Replaces SCRATCH/NAME, whose folder is made if it is missing. Returns its path. */
file_path fuzz_write(const char *name, const void *data, size_t bytes);

/* A file of a good folder. */
typedef struct fuzz_file {
    const char *name; /* below SCRATCH */
    const char *good; /* its text */
    size_t bytes;     /* 0: strlen(good) */
} fuzz_file;
/* Writes all n files in this order, the input in place of one of them: its first byte says which ('a': the first), the
 * rest is the file. Returns the index of the replaced file; -1: the input is empty, and all are good. */
int fuzz_replace_one(const fuzz_file *, int n, const uint8_t *data, size_t bytes);

#endif
