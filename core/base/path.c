/* core/base/path.c -- see path.h. */
#include "path.h"
#include "text.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

status path_set(file_path *out, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    const status st = text_vformat(out->s, sizeof out->s, format, args);
    va_end(args);
    return st;
}

const char *path_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool path_to_parent(file_path *path)
{
    char *slash = strrchr(path->s, '/');
    if (!slash || strcmp(path->s, "/") == 0) return false;
    slash[slash == path->s] = '\0'; /* the root keeps its slash */
    return true;
}

status path_expand_home(const char *path, file_path *out)
{
    status st = OK;
    const char *home = getenv("HOME");
    if (path[0] != '~' || (path[1] && path[1] != '/')) return path_set(out, "%s", path);
    if (!home || !*home) {
        const struct passwd *user = getpwuid(getuid());
        home = user ? user->pw_dir : NULL;
    }
    if (!home || !*home) FAIL(ERR_RUNTIME, "%s: HOME is not set, so ~ has no meaning", path);
    TRY(path_set(out, "%s%s", home, path + 1));
out:
    return st;
}

status path_of_program(file_path *out)
{
    status st = OK;
    const ssize_t n = readlink("/proc/self/exe", out->s, sizeof out->s - 1);
    out->s[n > 0 ? n : 0] = '\0';
    if (n <= 0) FAIL(ERR_RUNTIME, "the running program is not known: /proc/self/exe: %s", strerror(errno));
out:
    return st;
}
