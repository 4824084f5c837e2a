/* core/base/progress.c -- draws "epoch 12/150 [######------]  43 %  7.31 steps/s  1:07  loss 0.412" within the width of
 * the terminal. */
#include "progress.h"

#include "log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_MAX = 30, LINE_MAX_BYTES = 500 };
static const double REDRAW_SECONDS = 0.1;

bool progress_is_shown(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0 && log_get_level() >= LOG_INFO;
}

static int terminal_width(void)
{
    struct winsize w;
    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) != 0 || w.ws_col == 0) return 80;
    return w.ws_col < LINE_MAX_BYTES ? w.ws_col : LINE_MAX_BYTES;
}

/* 7 -> "0:07", 3675 -> "1:01:15" */
static void format_duration(char *out, size_t bytes, double seconds)
{
    long s = !(seconds > 0) ? 0 : seconds > 1e7 ? 10000000 : (long)(seconds + 0.5);
    if (s < 3600)
        snprintf(out, bytes, "%ld:%02ld", s / 60, s % 60);
    else
        snprintf(out, bytes, "%ld:%02ld:%02ld", s / 3600, s / 60 % 60, s % 60);
}

static void draw(progress *p, const char *note, double now)
{
    double share = p->total > 0 ? (double)p->done / (double)p->total : 0;
    share = share < 0 ? 0 : share > 1 ? 1 : share;
    double elapsed = now - p->started;
    double rate = elapsed > 0 ? (double)(p->done - p->before) / elapsed : 0;

    char eta[32] = "-:--", speed[64] = "";
    if (rate > 0 && p->total >= p->done)
        format_duration(eta, sizeof eta, (double)(p->total - p->done) / rate);
    if (p->unit[0]) snprintf(speed, sizeof speed, "  %.*f %s/s", rate < 10 ? 2 : 0, rate, p->unit);
    char tail[320];
    snprintf(tail, sizeof tail, " %3.0f %%%s  %s  %s", 100 * share, speed, eta, note ? note : "");

    /* The last column stays empty: some terminals start a new line when it is written. */
    int width = terminal_width() - 1;
    int room = width - (int)strlen(p->label) - (int)strlen(tail) - 3;
    int bar = room > BAR_MAX ? BAR_MAX : room;
    char line[LINE_MAX_BYTES + 1];
    if (bar >= 4) {
        int full = (int)(share * bar);
        snprintf(line, sizeof line, "%s [%.*s%.*s]%s", p->label, full, "##############################",
                 bar - full, "------------------------------", tail);
    } else {
        snprintf(line, sizeof line, "%s%s", p->label, tail);
    }
    if ((int)strlen(line) > width) line[width > 0 ? width : 0] = '\0';
    log_bottom_line(line);
    p->drawn = now;
}

void progress_start(progress *p, const char *label, const char *unit, int64_t total)
{
    *p = (progress){ .total = total, .started = time_now(), .on = progress_is_shown() };
    snprintf(p->label, sizeof p->label, "%s", label);
    snprintf(p->unit, sizeof p->unit, "%s", unit ? unit : "");
    if (p->on) draw(p, "", p->started);
}

void progress_update(progress *p, int64_t done, const char *note)
{
    p->done = done;
    if (!p->on) return;
    double now = time_now();
    if (now - p->drawn >= REDRAW_SECONDS) draw(p, note, now);
}

void progress_end(progress *p)
{
    if (p->on) log_bottom_line(NULL);
    p->on = false;
}
