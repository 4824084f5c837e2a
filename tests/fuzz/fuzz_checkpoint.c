/* tests/fuzz/fuzz_checkpoint.c -- the input is a checkpoint, from its metadata to the values of a net. The bytes of the
 * tensors may be missing at the end: they are zero. So a whole net is a small seed. */
#include "fuzz.h"

#include "../../nets/checkpoint.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../../prune/surgery.h"
#include "../../tools/cli.h"

enum { MAX_TENSOR_BYTES = 2 << 20 };

/* The smallest net there is: resnet20 without all units that can go. */
static char *removed[] = { "layer1.1", "layer1.2", "layer2.1", "layer2.2", "layer3.1", "layer3.2" };
enum { N_REMOVED = sizeof removed / sizeof *removed };
static net *small;

static void start(void)
{
    backend *device;
    const net_case cases[] = { { 1, false } };
    FUZZ_CHECK(backend_open("ref", 1, &device, NULL, 0) == OK);
    const net_spec spec = { .arch = "resnet20", .classes = 10, .remove = removed, .n_remove = N_REMOVED };
    FUZZ_CHECK(net_create(&spec, &small) == OK);
    FUZZ_CHECK(net_compile(small, device, F32, cases, 1) == OK);
}

/* How many bytes of tensors the header says there are: the largest end of "data_offsets":[begin,end]. */
static size_t claimed_bytes(const uint8_t *header, size_t bytes)
{
    static const char key[] = "\"data_offsets\":[";
    size_t most = 0;
    for (const uint8_t *p = header; (p = memmem(p, bytes - (size_t)(p - header), key, sizeof key - 1));) {
        unsigned long long begin, end;
        char text[64] = "";
        p += sizeof key - 1;
        const size_t left = bytes - (size_t)(p - header);
        memcpy(text, p, left < sizeof text - 1 ? left : sizeof text - 1);
        if (sscanf(text, "%llu,%llu]", &begin, &end) == 2 && end > most && end <= MAX_TENSOR_BYTES)
            most = (size_t)end;
    }
    return most;
}

/* The input as a file, with zeros up to what its header claims. */
static file_path write_checkpoint(const uint8_t *data, size_t bytes)
{
    uint64_t header = 0;
    if (bytes >= 8) memcpy(&header, data, 8);
    const size_t there = bytes >= 8 && header <= bytes - 8 ? bytes - 8 - (size_t)header : 0;
    const size_t claimed = bytes >= 8 ? claimed_bytes(data + 8, bytes - 8 - there) : 0;
    const size_t missing = claimed > there ? claimed - there : 0;
    uint8_t *file = calloc(1, bytes + missing + 1);
    FUZZ_CHECK(file);
    memcpy(file, data, bytes);
    const file_path path = fuzz_write("a.safetensors", file, bytes + missing);
    free(file);
    return path;
}

/* The configuration that the tools make of it. ERR_USAGE: it does not say what net it is. */
static bool read_config(const char *path)
{
    cli_subject subject;
    config *c = NULL;
    const cli args = { 0 };
    FUZZ_CHECK(cli_subject_find(path, &subject) == OK);
    const status st = cli_subject_config(&args, &subject, &c);
    FUZZ_CHECK(st != OK || c);
    config_free(c);
    return fuzz_accepted(st, st == ERR_USAGE ? ERR_USAGE : ERR_DATA);
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    if (!small) start();
    const file_path path = write_checkpoint(data, bytes);
    bool accepted = read_config(path.s);
    accepted |= fuzz_accepted(checkpoint_read(small, path.s), ERR_DATA);
    accepted |= fuzz_accepted(surgery_inherit(small, path.s), ERR_DATA);
    return accepted;
}
