/* core/base/stop.h -- SIGTERM, SIGINT, SIGUSR1, SIGUSR2 ask for a stop; work ends at the next safe point. */
#ifndef CLEAVE_STOP_H
#define CLEAVE_STOP_H
#include <stdbool.h>
void stop_install(void); /* handlers; a second SIGINT ends the process at once */
bool stop_requested(void);
const char *stop_signal(void); /* "SIGTERM", ...; "" if none came */
#endif
