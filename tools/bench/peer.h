/* tools/bench/peer.h -- another program that is measured in the same rounds, step by step, so that other load on the
 * machine slows both equally.
 *
 * The program is started once and reads words from its stdin, one a line: "train" (one training step), "eval" (one
 * inference batch), "memory" (the peak so far). It answers each word with a line that holds one number: seconds,
 * seconds, bytes. When it is ready, it prints a line with its name ("PyTorch 1.13.1 channels_last"). */
#ifndef CLEAVE_BENCH_PEER_H
#define CLEAVE_BENCH_PEER_H

#include "../../core/base/status.h"

#include <stdio.h>
#include <sys/types.h>

typedef struct bench_peer {
    pid_t pid;
    FILE *to, *from;
    char name[128];
} bench_peer;

/* argv[0] is searched in PATH; argv ends with NULL. Waits until the program is ready; ERR_RUNTIME if it cannot be
 * started or ends. */
status bench_peer_start(bench_peer *, char *const *argv);
status bench_peer_ask(bench_peer *, const char *word, double *answer);
void bench_peer_stop(bench_peer *); /* a zeroed peer is harmless */

#endif
