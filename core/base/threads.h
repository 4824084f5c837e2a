/* core/base/threads.h -- how OpenMP's threads wait for each other. */
#ifndef CLEAVE_THREADS_H
#define CLEAVE_THREADS_H

/* Call first thing in main. libgomp reads its settings when the process starts, before main, so this sets
 * OMP_WAIT_POLICY=passive and starts the same program again, once; a value that the user has set stays.
 * Why: threads that spin at a barrier take the core from whoever they wait for as soon as anything else runs
 * (the loader's thread, another job). Measured on 2 cores with one more busy process, resnet20: 74 images/s
 * spinning, 490 sleeping. */
void threads_sleep_when_waiting(char **argv);

#endif
