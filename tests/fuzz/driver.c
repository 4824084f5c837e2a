/* tests/fuzz/driver.c -- feeds a target its seeds and fixed mutations of them, under any compiler. Errors show as crashes,
 * most of them only under the sanitizers (make asan, ubsan, sanitize). */
#include "fuzz.h"

#include "../../core/base/clock.h"
#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../core/base/rng.h"
#include "../must.h"

#include <dirent.h>
#include <unistd.h>

enum { MAX_BYTES = 16384, MAX_SEEDS = 256, MAX_WORDS = 128, WORD_BYTES = 64, ROUNDS = 4000 };
static const double MAX_SECONDS = 3; /* of a slow target */

typedef struct input {
    uint8_t bytes[MAX_BYTES];
    size_t n;
} input;

static input seed[MAX_SEEDS];
static int n_seeds;
static struct {
    char text[WORD_BYTES];
    size_t n;
} word[MAX_WORDS];
static int n_words;
static char name[64]; /* of the target */

/* ---- seeds and words ---- */

/* build/tests/DIR/fuzz_NAME -> tests/DIR/corpus/NAME */
static void corpus_path(file_path *out)
{
    char program[PATH_BYTES] = "";
    assert_true(readlink("/proc/self/exe", program, sizeof program - 1) > 0);
    char *file = strrchr(program, '/');
    *file++ = '\0';
    assert_true(strncmp(file, "fuzz_", 5) == 0);
    snprintf(name, sizeof name, "%s", file + 5);
    must(path_set(out, "tests/%s/corpus/%s", strrchr(program, '/') + 1, name));
}

static int is_file(const struct dirent *e)
{
    return e->d_name[0] != '.';
}

static void read_seeds(const char *folder)
{
    struct dirent **entry = NULL;
    const int n = scandir(folder, &entry, is_file, alphasort);
    if (n < 1 || n > MAX_SEEDS) fail_msg("%s: %d seeds", folder, n);
    for (int i = 0; i < n; i++) {
        file_path path;
        char *text;
        must(path_set(&path, "%s/%s", folder, entry[i]->d_name));
        must(file_read_within(path.s, MAX_BYTES, FILE_REGULAR, &text, &seed[i].n));
        memcpy(seed[i].bytes, text, seed[i].n);
        free(text);
        free(entry[i]);
    }
    free(entry);
    n_seeds = n;
}

/* "a\"b\\\x00": libFuzzer's notation. */
static void add_word(const char *from)
{
    assert_in_range(n_words, 0, MAX_WORDS - 1);
    for (; *from && *from != '"'; from++) {
        unsigned byte = (unsigned char)*from;
        if (*from == '\\' && *++from == 'x') {
            assert_int_equal(sscanf(from + 1, "%2x", &byte), 1);
            from += 2;
        } else {
            byte = (unsigned char)*from;
        }
        assert_in_range(word[n_words].n, 0, WORD_BYTES - 1);
        word[n_words].text[word[n_words].n++] = (char)byte;
    }
    n_words++;
}

static void read_words(const char *folder)
{
    file_path path;
    char *text = NULL, *rest = NULL;
    must(path_set(&path, "%s.dict", folder));
    if (!file_exists(path.s)) return;
    must(file_read(path.s, &text, NULL));
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        if (*line == '"') add_word(line + 1);
    free(text);
}

/* ---- mutations ---- */

/* Each throw of the dice is the next number of a random stream. */
static uint32_t throw_below(size_t n)
{
    static uint64_t thrown;
    return rng_below(2024, RNG_TEST, 0, thrown++, (uint32_t)n);
}

static void insert(input *in, size_t at, const void *bytes, size_t n)
{
    if (n > MAX_BYTES - in->n) return;
    memmove(in->bytes + at + n, in->bytes + at, in->n - at);
    memcpy(in->bytes + at, bytes, n);
    in->n += n;
}

static void erase(input *in, size_t at, size_t n)
{
    memmove(in->bytes + at, in->bytes + at + n, in->n - at - n);
    in->n -= n;
}

static void mutate(input *in)
{
    static const uint8_t nasty[] = { 0,   1,   0x7f, 0x80, 0xff, '"', '\\', '{',  '}',
                                     '[', ']', ',',  ':',  '-',  '&', '*',  '\n', '\t' };
    size_t at = throw_below(in->n + 1), left = in->n - at;
    const size_t some = left ? throw_below(left < 32 ? left : 32) + 1 : 0;
    uint8_t copy[32];
    const uint32_t which = n_words ? throw_below((size_t)n_words) : 0;
    switch (throw_below(7)) {
    case 0:
        if (left) in->bytes[at] ^= (uint8_t)(1 << throw_below(8));
        break;
    case 1:
        if (left) in->bytes[at] = nasty[throw_below(sizeof nasty)];
        break;
    case 2: insert(in, at, word[which].text, word[which].n); break;
    case 3: erase(in, at, some); break;
    case 4:
        memcpy(copy, in->bytes + at, some);
        insert(in, throw_below(in->n + 1), copy, some);
        break;
    case 5:
        if (throw_below(8) == 0) in->n = at; /* cut off */
        break;
    default: /* another number */
        while (left && (in->bytes[at] < '0' || in->bytes[at] > '9')) at++, left--;
        if (left) in->bytes[at] = (uint8_t)('0' + throw_below(10));
        break;
    }
}

/* The input is copied to a block of exactly its size, so that the sanitizer sees a read beyond it. */
static bool feed(const input *in)
{
    uint8_t *exact = malloc(in->n ? in->n : 1);
    assert_non_null(exact);
    memcpy(exact, in->bytes, in->n);
    const bool accepted = fuzz_one(exact, in->n);
    free(exact);
    return accepted;
}

static void seeds(void **state)
{
    (void)state;
    int accepted = 0;
    for (int i = 0; i < n_seeds; i++) accepted += feed(&seed[i]);
    print_message("%s: %d of %d seeds accepted\n", name, accepted, n_seeds);
    assert_in_range(accepted, 1, n_seeds);
}

/* Mutations are useful only if the target accepts some of them and rejects others. */
static void mutations(void **state)
{
    (void)state;
    int accepted = 0, round = 0;
    const double start = time_now();
    for (; round < ROUNDS && time_now() - start < MAX_SECONDS; round++) {
        static input in;
        in = seed[round % n_seeds];
        for (uint32_t n = throw_below(6) + 1; n > 0; n--) mutate(&in);
        accepted += feed(&in);
    }
    print_message("%s: %d of %d mutations accepted\n", name, accepted, round);
    assert_in_range(accepted, round / 100, round - round / 100);
}

static int setup(void **state)
{
    (void)state;
    file_path corpus;
    log_set_level(LOG_QUIET);
    corpus_path(&corpus);
    read_seeds(corpus.s);
    read_words(corpus.s);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(seeds), cmocka_unit_test(mutations) };
    return cmocka_run_group_tests(tests, setup, NULL);
}
