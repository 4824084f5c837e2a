/* core/base/stop.c -- the handler only sets a flag; loops check it between steps. */
#include "stop.h"

#include <signal.h>
#include <stddef.h>
#include <unistd.h>

static volatile sig_atomic_t received; /* the first signal, or SIGINT if that came later; 0: none */

static void on_signal(int number)
{
    if (number == SIGINT && received == SIGINT) _exit(128 + SIGINT);
    if (!received || number == SIGINT) received = number;
}

bool stop_on_hangup(void)
{
    struct sigaction now;
    return sigaction(SIGHUP, NULL, &now) == 0 && now.sa_handler != SIG_IGN;
}

void stop_install(void)
{
    static const int wanted[] = { SIGTERM, SIGINT, SIGUSR1, SIGUSR2 };
    struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) sigaction(wanted[i], &action, NULL);
    if (stop_on_hangup()) sigaction(SIGHUP, &action, NULL);
}

bool stop_requested(void)
{
    return received != 0;
}

const char *stop_signal(void)
{
    switch (received) {
    case SIGTERM: return "SIGTERM";
    case SIGINT: return "SIGINT";
    case SIGUSR1: return "SIGUSR1";
    case SIGUSR2: return "SIGUSR2";
    case SIGHUP: return "SIGHUP";
    default: return "";
    }
}
