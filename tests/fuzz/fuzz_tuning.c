/* tests/fuzz/fuzz_tuning.c -- the algorithms that the CPU's convolutions were found fastest with, as a run or the cache
 * keeps them. The input is the file without its first line, which names the machine; if it begins with '!', the rest is
 * the whole file. */
#include "fuzz.h"

#include "../../core/base/file.h"
#include "../../core/base/host.h"
#include "../../core/base/text.h"
#include "../../core/cpu/cpu.h"

#include <unistd.h>

static cpu *device;
static char machine[1024]; /* the first line */

static void start(void)
{
    backend *b;
    setenv("CLEAVE_CACHE", "", 1);
    FUZZ_CHECK(cpu_open(1, &b) == OK);
    device = (cpu *)b;
    FUZZ_CHECK(text_format(machine, sizeof machine, "cleave convolutions 2: %s, %s\n", b->description,
                           host_processor().s) == OK);
}

static void read_choices(const char *path)
{
    cpu_choices_close(device);
    FUZZ_CHECK(cpu_choices_open(device) == OK);
    FUZZ_CHECK(cpu_choices_load(&device->base, path) == OK);
}

/* What was taken is written, and is the same when it is read again. False if nothing was taken. */
static bool check_saved(void)
{
    char *first, *second;
    const file_path path = fuzz_path("saved.txt");
    unlink(path.s);
    FUZZ_CHECK(cpu_choices_save(&device->base, path.s) == OK);
    if (!file_exists(path.s)) return false;
    FUZZ_CHECK(file_read(path.s, &first, NULL) == OK);
    read_choices(path.s);
    FUZZ_CHECK(cpu_choices_save(&device->base, path.s) == OK);
    FUZZ_CHECK(file_read(path.s, &second, NULL) == OK);
    FUZZ_CHECK(strcmp(first, second) == 0);
    free(first);
    free(second);
    return true;
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    if (!device) start();
    const bool whole = bytes && data[0] == '!';
    const size_t head = whole ? 0 : strlen(machine);
    char *text = malloc(head + bytes + 1);
    FUZZ_CHECK(text);
    memcpy(text, machine, head);
    memcpy(text + head, data + whole, bytes - whole);
    read_choices(fuzz_write("algorithms.txt", text, head + bytes - whole).s);
    free(text);
    return check_saved();
}
