/* tests/fuzz/test_fuzz.c -- feeds fixed mutations of good and hostile inputs to every target. Errors show as crashes,
 * most of them only under the sanitizers (make asan ubsan). */
#include "fuzz.h"

#include "../../core/base/rng.h"
#include "../pictures.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_BYTES = 4096, ROUNDS = 4000 };

typedef struct input {
    uint8_t bytes[MAX_BYTES];
    size_t n;
} input;

/* Each throw of the dice is the next number of a random stream. */
typedef struct dice {
    uint32_t stream;
    uint64_t thrown;
} dice;

static uint32_t throw_below(dice *d, size_t n)
{
    return rng_below(2024, RNG_TEST, d->stream, d->thrown++, (uint32_t)n);
}

static void insert(input *in, size_t at, const void *bytes, size_t n)
{
    if (n > MAX_BYTES - in->n) return;
    memmove(in->bytes + at + n, in->bytes + at, in->n - at);
    memmove(in->bytes + at, bytes, n);
    in->n += n;
}

static void erase(input *in, size_t at, size_t n)
{
    memmove(in->bytes + at, in->bytes + at + n, in->n - at - n);
    in->n -= n;
}

static void mutate(input *in, dice *d, const char *const *words, size_t n_words)
{
    static const uint8_t nasty[] = { 0,   1,   0x7f, 0x80, 0xff, '"', '\\', '{',  '}',
                                     '[', ']', ',',  ':',  '-',  '&', '*',  '\n', '\t' };
    size_t at = throw_below(d, in->n + 1), left = in->n - at;
    size_t some = left ? throw_below(d, left < 32 ? left : 32) + 1 : 0;
    uint8_t copy[32];
    const char *word = words[throw_below(d, n_words)];
    switch (throw_below(d, 7)) {
    case 0:
        if (left) in->bytes[at] ^= (uint8_t)(1 << throw_below(d, 8));
        break;
    case 1:
        if (left) in->bytes[at] = nasty[throw_below(d, sizeof nasty)];
        break;
    case 2: insert(in, at, word, strlen(word)); break;
    case 3: erase(in, at, some); break;
    case 4:
        memcpy(copy, in->bytes + at, some);
        insert(in, throw_below(d, in->n + 1), copy, some);
        break;
    case 5:
        if (throw_below(d, 8) == 0) in->n = at; /* cut off */
        break;
    default: /* another number */
        while (left && (in->bytes[at] < '0' || in->bytes[at] > '9')) at++, left--;
        if (left) in->bytes[at] = (uint8_t)('0' + throw_below(d, 10));
        break;
    }
}

typedef struct fuzz_case {
    bool (*target)(const uint8_t *, size_t);
    const char *const *seeds;
    const size_t *seed_bytes; /* NULL: C strings */
    size_t n_seeds;
    const char *const *words;
    size_t n_words;
    void (*mend)(
        input *); /* repairs what the parser checks first, so that mutations reach the rest; or NULL */
} fuzz_case;

/* The input is copied to a block of exactly its size, so that the sanitizer sees a read beyond it. */
static bool run_target(const fuzz_case *c, const input *in)
{
    uint8_t *exact = malloc(in->n ? in->n : 1);
    assert_non_null(exact);
    memcpy(exact, in->bytes, in->n);
    bool accepted = c->target(exact, in->n);
    free(exact);
    return accepted;
}

/* The mutations are useful only if the target accepts some of them and rejects others. */
static void fuzz(const fuzz_case *c, uint32_t stream)
{
    dice d = { .stream = stream };
    int accepted = 0;
    for (int round = 0; round < ROUNDS; round++) {
        input in;
        size_t seed = (size_t)round % c->n_seeds;
        in.n = c->seed_bytes ? c->seed_bytes[seed] : strlen(c->seeds[seed]);
        memcpy(in.bytes, c->seeds[seed], in.n);
        for (uint32_t n = throw_below(&d, 6) + 1; n > 0; n--) mutate(&in, &d, c->words, c->n_words);
        if (c->mend && throw_below(&d, 4)) c->mend(&in);
        accepted += run_target(c, &in);
    }
    print_message("%d of %d accepted\n", accepted, ROUNDS);
    assert_in_range(accepted, ROUNDS / 100, ROUNDS - ROUNDS / 100);
}

static void config_target(void **state)
{
    (void)state;
    static const char first[] =
        "# the paper\nname: a-b\nseed: 7\nnet: {arch: resnet20, remove: [layer3.2, layer3.1]}\n"
        "data:\n  mean: [0.4914, 0.4822, 0.4465]\n  path: \"a\\tb \\u00e9\"\n"
        "train: {epochs: 3, lr: 1e-2, milestones: [1, 2]}\nanalysis:\n  memory: 8G\n"
        "\0train.lr=0.5";
    static const char second[] = "prune: &p {eps: .01}\ntrain.epochs: 5\n\0data.std=[.2, .2, .2]";
    static const char third[] = "\0net={arch: vgg16_bn, weights: 'it''s'}";
    static const char fourth[] = "a: &a [*a, *a]\ntrain: *a\n<<: {}\n? [x]\n: |\n  y\n--- !!int 3\n";
    static const char *const seeds[] = { first, second, third, fourth };
    static const size_t bytes[] = { sizeof first - 1, sizeof second - 1, sizeof third - 1,
                                    sizeof fourth - 1 };
    static const char *const words[] = { "train:",
                                         "train.epochs: ",
                                         "net.remove=",
                                         "[",
                                         "]",
                                         "{",
                                         "}",
                                         "&x ",
                                         "*x",
                                         "!!",
                                         "\n",
                                         "  ",
                                         "- ",
                                         "# ",
                                         "'",
                                         "\"",
                                         "\\x00",
                                         "\\U0010ffff",
                                         "---\n",
                                         "...",
                                         "null",
                                         "~",
                                         "1e999",
                                         "-1",
                                         "nan",
                                         "99999999999999999999",
                                         "\xef\xbb\xbf",
                                         "\xc2\x85",
                                         "?",
                                         ": " };
    const fuzz_case c = { fuzz_config, seeds, bytes, 4, words, sizeof words / sizeof *words, NULL };
    fuzz(&c, 0);
}

/* Sets the length of the header so that it ends after the last brace. */
static void mend_length(input *in)
{
    if (in->n < 8) return;
    uint64_t length = in->n - 8;
    while (length > 0 && in->bytes[8 + length - 1] != '}') length--;
    memcpy(in->bytes, &length, 8);
}

static void safetensors_target(void **state)
{
    (void)state;
#define LENGTH "\0\0\0\0\0\0\0\0"
    static const char first[] =
        LENGTH "{\"__metadata__\":{\"arch\":\"{\\\"arch\\\": \\\"x\\\"}\",\"epoch\":\"3\"},"
               "\"n\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[0,8]},"
               "\"w\":{\"dtype\":\"F32\",\"shape\":[1,2],\"data_offsets\":[8,16]},"
               "\"h\":{\"dtype\":\"F16\",\"shape\":[2],\"data_offsets\":[16,20]}}01234567890123456789";
    static const char second[] = LENGTH "{\"a\":{\"dtype\":\"BF16\",\"shape\":[0,9],\"data_offsets\":[2,2]},"
                                        "\"b\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}}01";
    static const char third[] = LENGTH "{}";
    static const char *const seeds[] = { first, second, third };
    static const size_t bytes[] = { sizeof first - 1, sizeof second - 1, sizeof third - 1 };
    static const char *const words[] = { "\"dtype\":",
                                         "\"F64\"",
                                         "\"BOOL\"",
                                         "\"shape\":[",
                                         "\"data_offsets\":[0,",
                                         "\"w\":",
                                         "{}",
                                         "[[[[",
                                         "]",
                                         "},",
                                         "null",
                                         "-1",
                                         "1e308",
                                         "0.5",
                                         "9007199254740993",
                                         "18446744073709551616",
                                         "\\u0000",
                                         "\\ud800",
                                         "__metadata__",
                                         "\"",
                                         " ",
                                         "        " };
    const fuzz_case c = {
        fuzz_safetensors, seeds, bytes, 3, words, sizeof words / sizeof *words, mend_length
    };
    fuzz(&c, 1);
}

static void picture_target(void **state)
{
    (void)state;
    static const char *const words[] = { "\xff\xd8\xff", "\xff\xc4",     "\xff\xc0", "\xff\xc2",
                                         "\xff\xda",     "\xff\xd9",     "\xff\xdb", "\xff\xd0",
                                         "\xff\xff",     "\xff\xdd\1\4", "IDAT",     "PLTE",
                                         "tRNS",         "IEND",         "\x7f\xff", "BM(" };
    static picture_file file[N_PICTURES];
    const char *seeds[N_PICTURES];
    size_t bytes[N_PICTURES], n = 0;
    for (int i = 0; i < N_PICTURES; i++) {
        make_picture(&file[i], i);
        if (file[i].n > MAX_BYTES) continue;
        seeds[n] = (const char *)file[i].at;
        bytes[n++] = file[i].n;
    }
    assert_true(n > N_PICTURES - 4);
    const fuzz_case c = { fuzz_picture, seeds, bytes, n, words, sizeof words / sizeof *words, NULL };
    fuzz(&c, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(config_target), cmocka_unit_test(safetensors_target),
                                        cmocka_unit_test(picture_target) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
