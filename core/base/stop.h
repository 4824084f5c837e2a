/* core/base/stop.h -- SIGTERM, SIGINT, SIGUSR1, SIGUSR2 and SIGHUP ask the program to stop at the next safe point. */
#ifndef CLEAVE_STOP_H
#define CLEAVE_STOP_H

#include <stdbool.h>

/* Installs the handlers; a second SIGINT ends the process at once. SIGHUP, which the closing of a terminal sends, is left
 * alone if it was ignored when the program began: nohup. */
void stop_install(void);
/* One of the signals has arrived. Two calls may disagree: ask once where two decisions have to agree. */
bool stop_requested(void);
const char *stop_signal(void); /* "SIGTERM", ...; "" if none has arrived */
bool stop_on_hangup(void);     /* SIGHUP is not ignored. To be called before a handler is installed */

#endif
