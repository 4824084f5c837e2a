/* core/base/stop.h -- SIGTERM, SIGINT, SIGUSR1 and SIGUSR2 ask the program to stop at the next safe point. */
#ifndef CLEAVE_STOP_H
#define CLEAVE_STOP_H

#include <stdbool.h>

void stop_install(void);       /* installs the handlers; a second SIGINT ends the process at once */
bool stop_requested(void);     /* one of the signals has arrived */
const char *stop_signal(void); /* "SIGTERM", ...; "" if none has arrived */

#endif
