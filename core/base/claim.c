/* core/base/claim.c -- see claim.h. */
#include "claim.h"

#include "file.h"
#include "json.h"

#include <dirent.h>
#include <errno.h>
#include <fnmatch.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static status mark_path(const claim *c, const char *dir, file_path *out)
{
    return path_set(out, "%s/%s.unfinished", dir, c->result);
}

/* Is DIR/RESULT there, or the mark? ERR_USAGE: another program's result is there. */
static status look_for_result(const claim *c, const char *dir, bool *found)
{
    status st = OK;
    file_path result, mark;
    cJSON *j = NULL;
    TRY(path_set(&result, "%s/%s", dir, c->result));
    TRY(mark_path(c, dir, &mark));
    *found = file_exists(result.s);
    if (*found && c->member) {
        st = json_read(result.s, &j);
        if (st != OK && st != ERR_DATA) goto out;
        st = OK;
        if (!cJSON_HasObjectItem(j, c->member))
            FAIL(ERR_USAGE,
                 "%s was not written by this program, or is damaged; remove it, or choose another folder",
                 result.s);
    }
    *found = *found || file_exists(mark.s);
out:
    cJSON_Delete(j);
    return st;
}

static bool counts(const claim *c, const char *name)
{
    return name[0] != '.' && strcmp(name, "lock") != 0 && !file_is_temporary(name) &&
           fnmatch(c->names, name, FNM_EXTMATCH) == 0;
}

status claim_check(const claim *c, const char *dir)
{
    status st = OK;
    bool found;
    DIR *d = opendir(dir);
    if (!d && (errno == ENOENT || errno == ENOTDIR))
        goto out; /* what is wrong with it, file_make_dirs says */
    if (!d) FAIL(ERR_RUNTIME, "%s: %s", dir, strerror(errno));
    TRY(look_for_result(c, dir, &found));
    for (struct dirent *e; !found && (e = readdir(d));)
        if (counts(c, e->d_name))
            FAIL(ERR_USAGE,
                 "%s: %s is there, but no %s, so this folder was not written by this program; choose "
                 "another, or an empty one",
                 dir, e->d_name, c->result);
out:
    if (d) closedir(d);
    return st;
}

status claim_begin(const claim *c, const char *dir)
{
    status st = OK;
    file_path mark;
    TRY(claim_check(c, dir));
    TRY(mark_path(c, dir, &mark));
    TRY(file_replace(mark.s, "", 0));
out:
    return st;
}

void claim_end(const claim *c, const char *dir)
{
    file_path mark;
    if (mark_path(c, dir, &mark) == OK) unlink(mark.s);
}

status claim_file(const char *path, const char *start, const char *what)
{
    status st = OK;
    char begin[16];
    struct stat s;
    int fd = -1;
    const size_t bytes = strlen(start);
    if (stat(path, &s) != 0 || !S_ISREG(s.st_mode) || s.st_size == 0) goto out;
    TRY(file_open(path, &fd));
    if (read(fd, begin, bytes) != (ssize_t)bytes || memcmp(begin, start, bytes) != 0)
        FAIL(ERR_USAGE, "%s exists and is not %s: choose another name, or remove it", path, what);
out:
    if (fd >= 0) close(fd);
    return st;
}
