/* nets/spelling.c -- see spelling.h. */
#include "spelling.h"

#include "../core/base/text.h"

#include <string.h>

enum { SPELLED_BYTES = 256 };

bool spelling_is_beside(const char *tensor)
{
    static const char *const ends[] = { "num_batches_tracked", "total_ops", "total_params" };
    if (!strncmp(tensor, "optimizer.", 10)) return true;
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        const size_t n = strlen(tensor), end = strlen(ends[i]);
        if (text_ends_with(tensor, ends[i]) && (n == end || tensor[n - end - 1] == '.')) return true;
    }
    return false;
}

static bool is_word(const char *at, size_t length, const char *word)
{
    return strlen(word) == length && !memcmp(at, word, length);
}

/* Copies the name word by word: "module" and "_orig_mod" wrap anything and are left out wherever they stand; with `outer`,
 * so are "model" and "net" at the front, the names of a member of another module. */
static bool unwrap(const char *tensor, bool outer, char out[SPELLED_BYTES])
{
    size_t at = 0;
    bool first = true;
    for (const char *word = tensor; *word;) {
        const size_t length = strcspn(word, ".");
        const bool last = !word[length];
        const bool wraps =
            is_word(word, length, "module") || is_word(word, length, "_orig_mod") ||
            (outer && first && (is_word(word, length, "model") || is_word(word, length, "net")));
        if (!wraps || last) {
            if (at + length + 2 > SPELLED_BYTES) return false;
            memcpy(out + at, word, length);
            at += length;
            if (!last) out[at++] = '.';
            first = false;
        }
        word += length + !last;
    }
    out[at] = '\0';
    return true;
}

/* Replaces the first word `from` of the name by `to`; false: there is none, or no room. */
static bool replace_word(const char *name, const char *from, const char *to, char out[SPELLED_BYTES])
{
    for (const char *word = name; *word;) {
        const size_t length = strcspn(word, ".");
        if (is_word(word, length, from))
            return text_format(out, SPELLED_BYTES, "%.*s%s%s", (int)(word - name), name, to, word + length) ==
                   OK;
        word += length + (word[length] == '.');
    }
    return false;
}

static int find(const net *n, const char *name)
{
    int count;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++)
        if (!strcmp(p[i].name, name)) return i;
    return -1;
}

/* The names of other programs for the same part of a net. */
static const struct {
    const char *theirs, *ours;
} synonyms[] = { { "downsample", "shortcut" }, { "fc", "linear" }, { "linear", "fc" } };

int spelling_param(const net *n, const char *tensor)
{
    char plain[SPELLED_BYTES], other[SPELLED_BYTES];
    if (spelling_is_beside(tensor)) return -1;
    for (int outer = 0; outer < 2; outer++) {
        if (!unwrap(tensor, outer, plain)) return -1;
        int p = find(n, plain);
        for (size_t i = 0; p < 0 && i < sizeof synonyms / sizeof *synonyms; i++)
            if (replace_word(plain, synonyms[i].theirs, synonyms[i].ours, other)) p = find(n, other);
        if (p >= 0) return p;
    }
    return -1;
}

bool spelling_same_shape(const st_tensor *t, const param_spec *spec)
{
    const int most = t->rank > spec->rank ? t->rank : spec->rank;
    for (int i = 0; i < most; i++) {
        const int64_t a = i < t->rank ? t->shape[i] : 1, b = i < spec->rank ? spec->shape[i] : 1;
        if (a != b) return false;
    }
    return t->count > 0;
}
