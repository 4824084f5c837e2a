/* tools/bench/peer.h -- another program that is measured beside this one, step by step, so that both meet the
 * same weather on a shared machine.
 *
 * The program is started once and waits on its stdin for a word a line: "train" (one training step), "eval"
 * (one inference batch), "memory" (the peak so far). It answers each with one number a line: seconds,
 * seconds, bytes. Its first line, when it is ready, names it ("PyTorch 1.13.1 channels_last"). */
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

/* argv[0] is looked for in PATH; argv ends with NULL. Waits until it is ready; ERR_RUNTIME if it is not. */
status bench_peer_start(bench_peer *, char *const *argv);
status bench_peer_ask(bench_peer *, const char *word, double *answer);
void bench_peer_stop(bench_peer *); /* a zeroed peer is harmless */

#endif
