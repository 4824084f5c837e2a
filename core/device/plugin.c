/* core/device/plugin.c -- see plugin.h. */
#include "plugin.h"

#include "../base/log.h"
#include "../base/path.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool found(char *out, size_t bytes, const char *folder, const char *below, const char *name)
{
    int n = snprintf(out, bytes, "%s%s/libcleave_%s.so", folder, below, name);
    return n > 0 && (size_t)n < bytes && access(out, F_OK) == 0;
}

/* Whoever may write to the folder or the file decides what this program runs. */
static status check_writers(const char *path)
{
    status st = OK;
    struct stat s;
    if (stat(path, &s) == 0 && s.st_mode & S_IWOTH)
        FAIL(ERR_RUNTIME,
             "CLEAVE_PLUGINS: everyone may write to %s, so nothing from there is run (chmod o-w)", path);
out:
    return st;
}

static status plugin_path(const char *name, char *out, size_t bytes)
{
    status st = OK;
    file_path folder;
    const char *wanted = getenv("CLEAVE_PLUGINS");
    if (wanted) {
        if (!found(out, bytes, wanted, "", name))
            FAIL(ERR_RUNTIME, "this build has no %s backend (there is no %s)", name, out);
        TRY(check_writers(wanted));
        TRY(check_writers(out));
        goto out;
    }
    TRY(path_of_program(&folder));
    path_to_parent(&folder);
    if (!found(out, bytes, folder.s, "", name) && !found(out, bytes, folder.s, "/../lib/cleave", name))
        FAIL(ERR_RUNTIME, "this build has no %s backend (there is no %s/libcleave_%s.so)", name, folder.s,
             name);
out:
    return st;
}

static void note(const char *line)
{
    log_info("%s", line);
}

static status check_abi(const plugin *p, const char *path)
{
    status st = OK;
    if (p->abi != PLUGIN_ABI)
        FAIL(ERR_RUNTIME, "%s has interface %d, this program %d: build both from the same source", path,
             p->abi, PLUGIN_ABI);
    if (p->backend_bytes != sizeof(backend) || p->op_bytes != sizeof(op) || p->args_bytes != sizeof(op_args))
        FAIL(ERR_RUNTIME, "%s is of another version than this program: build both from the same source",
             path);
out:
    return st;
}

status plugin_open(const char *name, int device, int threads, backend **out)
{
    status st = OK;
    char path[PATH_BYTES];
    void *file = NULL;
    TRY(plugin_path(name, path, sizeof path));
    file = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!file) FAIL(ERR_RUNTIME, "%s", dlerror());
    const plugin *p = dlsym(file, "cleave_plugin");
    if (!p) FAIL(ERR_RUNTIME, "%s is not a backend of this program: %s", path, dlerror());
    TRY(check_abi(p, path));
    TRY(p->open(device, threads, note, out));
out:
    if (st != OK && file) dlclose(file); /* a vendor's libraries are 140 MB of memory */
    return st;
}
