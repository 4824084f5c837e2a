/* core/base/host.c -- see host.h. */
#include "host.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

host_text host_name(void)
{
    host_text name = { "" };
    if (gethostname(name.s, sizeof name.s - 1) != 0) name.s[0] = '\0';
    return name;
}

/* "model name : ..." of the first core. */
host_text host_processor(void)
{
    host_text name = { "unknown processor" };
    char line[512];
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        const char *text = colon + 1 + strspn(colon + 1, " \t");
        snprintf(name.s, sizeof name.s, "%.*s", (int)strcspn(text, "\n"), text);
        break;
    }
    if (f) fclose(f);
    return name;
}
