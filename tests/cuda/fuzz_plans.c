/* tests/cuda/fuzz_plans.c -- the engines that were found fastest for the convolutions of a run, as RUN/algorithms.txt keeps
 * them. cuDNN, which reads the plans themselves, is a fake. The input is the file without its first line, which names the
 * machine; if it begins with '!', the rest is the whole file. */
#include "../fuzz/fuzz.h"

#include "../../core/base/file.h"
#include "../../core/cuda/engine.h"
#include "fake_plans.h"

static const char machine[] = "cleave convolution engines, cuDNN 91900, A GPU\n";

status engine_choose(cuda *c, const conv_problem *p, bool timed, descriptor *made)
{
    (void)c, (void)p, (void)timed, (void)made;
    abort(); /* nothing is chosen here */
}

bool own_fits(const conv_problem *p)
{
    (void)p;
    abort();
}

size_t own_workspace(const cuda *c, const conv_problem *p)
{
    (void)c, (void)p;
    abort();
}

static void note(const char *line)
{
    FUZZ_CHECK(*line && !strchr(line, '\n'));
}

/* Loads the file and saves what was taken; NULL if nothing was. The caller frees. */
static char *load_and_save(const char *from, const char *to)
{
    char *text = NULL;
    cuda c = { .note = note, .device.name = "A GPU" };
    remove(to);
    FUZZ_CHECK(choices_load(&c.base, from) == OK);
    FUZZ_CHECK(choices_save(&c.base, to) == OK);
    choices_forget(&c);
    FUZZ_CHECK(n_open == 0);
    if (file_exists(to)) FUZZ_CHECK(file_read(to, &text, NULL) == OK);
    return text;
}

/* What was taken is the same when it is read and written twice: saving turns the order around. */
static bool check_saved(const char *path)
{
    const file_path a = fuzz_path("a.txt"), b = fuzz_path("b.txt");
    char *first = load_and_save(path, a.s), *turned, *again;
    if (!first) return false;
    turned = load_and_save(a.s, b.s);
    again = load_and_save(b.s, a.s);
    FUZZ_CHECK(turned && again && strcmp(first, again) == 0);
    free(first);
    free(turned);
    free(again);
    return true;
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    const bool whole = bytes && data[0] == '!';
    const size_t head = whole ? 0 : sizeof machine - 1;
    char *text = malloc(head + bytes + 1);
    FUZZ_CHECK(text);
    memcpy(text, machine, head);
    memcpy(text + head, data + whole, bytes - whole);
    const file_path path = fuzz_write("algorithms.txt", text, head + bytes - whole);
    free(text);
    return check_saved(path.s);
}
