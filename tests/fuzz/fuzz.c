/* tests/fuzz/fuzz.c -- what the targets share. */
#include "fuzz.h"

#include "../../core/base/file.h"
#include "../../core/base/log.h"

#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes); /* libFuzzer's name for a target */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    log_set_level(LOG_QUIET);
    fuzz_one(data, bytes);
    return 0;
}

bool fuzz_accepted(status st, status want)
{
    if (st == OK) return true;
    FUZZ_CHECK(st == want);
    FUZZ_CHECK(status_message()[0] && !strchr(status_message(), '\n'));
    return false;
}

/* ---- files ---- */

static char scratch[PATH_BYTES];
static pid_t owner;

static void remove_scratch(void)
{
    char command[PATH_BYTES + 16];
    if (getpid() != owner) return; /* a child */
    snprintf(command, sizeof command, "/bin/rm -rf '%s'", scratch);
    if (system(command) != 0) fprintf(stderr, "cannot remove %s\n", scratch);
}

/* In memory if possible: some readers write files, too, and wait for the disk. */
static void make_scratch(void)
{
    const char *folder = getenv("TMPDIR");
    if (!folder) folder = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(scratch, sizeof scratch, "%s/cleave-fuzz-XXXXXX", folder);
    FUZZ_CHECK(mkdtemp(scratch));
    owner = getpid();
    atexit(remove_scratch);
}

file_path fuzz_path(const char *name)
{
    file_path path;
    if (!*scratch) make_scratch();
    FUZZ_CHECK(path_set(&path, "%s/%s", scratch, name) == OK);
    return path;
}

file_path fuzz_write(const char *name, const void *data, size_t bytes)
{
    const file_path path = fuzz_path(name);
    FILE *f = fopen(path.s, "wb");
    if (!f) {
        file_path folder = path;
        FUZZ_CHECK(path_to_parent(&folder) && file_make_dirs(folder.s) == OK);
        f = fopen(path.s, "wb");
    }
    FUZZ_CHECK(f);
    FUZZ_CHECK(fwrite(data, 1, bytes, f) == bytes && fclose(f) == 0);
    return path;
}

int fuzz_replace_one(const fuzz_file *file, int n, const uint8_t *data, size_t bytes)
{
    const int replaced = bytes ? (uint8_t)(data[0] - 'a') % n : -1;
    for (int i = 0; i < n; i++)
        if (i == replaced)
            fuzz_write(file[i].name, data + 1, bytes - 1);
        else
            fuzz_write(file[i].name, file[i].good, file[i].bytes ? file[i].bytes : strlen(file[i].good));
    return replaced;
}
