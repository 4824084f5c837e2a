/* core/base/rng.c: Philox against Random123's known answers, the distributions against their definitions. */
#include "../../core/base/rng.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

/* kat_vectors of Random123, "philox4x32 10": counter, key, answer. */
static void known_answers(void **state)
{
    (void)state;
    static const struct {
        uint32_t c[4];
        uint64_t seed;
        uint32_t want[4];
    } kat[] = {
        { { 0, 0, 0, 0 }, 0, { 0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8 } },
        { { 0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff },
          0xffffffffffffffffu,
          { 0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd } },
        { { 0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344 },
          0x299f31d0a4093822u,
          { 0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1 } },
    };
    for (size_t i = 0; i < sizeof kat / sizeof *kat; i++) {
        const uint32_t *c = kat[i].c;
        rng4 got = philox(kat[i].seed, c[0], c[1], c[2], c[3]);
        assert_memory_equal(got.v, kat[i].want, sizeof got.v);
    }
}

/* All devices must use word b & 3 of the block with counter (b >> 2, a, stream, 0). */
static void addressing(void **state)
{
    (void)state;
    for (uint64_t b = 0; b < 64; b++) {
        rng4 block = philox(77, (uint32_t)(b >> 2), 5, RNG_TEST, 0);
        assert_int_equal(rng_u32(77, RNG_TEST, 5, b), block.v[b & 3]);
    }
    assert_int_equal(rng_u32(1, 2, 3, (1ull << 34) - 1), philox(1, 0xffffffffu, 3, 2, 0).v[3]);
    /* Each argument matters. */
    uint32_t x = rng_u32(1, 2, 3, 4);
    assert_int_not_equal(x, rng_u32(2, 2, 3, 4));
    assert_int_not_equal(x, rng_u32(1ull << 32 | 1, 2, 3, 4));
    assert_int_not_equal(x, rng_u32(1, 3, 3, 4));
    assert_int_not_equal(x, rng_u32(1, 2, 4, 4));
    assert_int_not_equal(x, rng_u32(1, 2, 3, 5));
}

enum { DRAWS = 1 << 20 };

/* Mean and variance within five standard errors of the exact values. */
static void uniform_moments(void **state)
{
    (void)state;
    double sum = 0, squares = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = rng_uniform(3, RNG_TEST, 0, i);
        assert_true(u >= 0 && u < 1);
        assert_true(u * 0x1p24 == floor(u * 0x1p24)); /* 24 bits: exact in a float */
        sum += u - 0.5;
        squares += (u - 0.5) * (u - 0.5);
    }
    assert_true(fabs(sum / DRAWS) < 5 * sqrt(1.0 / 12 / DRAWS));
    assert_true(fabs(squares / DRAWS - 1.0 / 12) < 5 * sqrt(1.0 / 180 / DRAWS));
}

/* Moments 1 to 4 (0, 1, 0, 3; their variances 1, 2, 15, 96), the tail, and no correlation of neighbours, which share
 * a block or a pair of words. */
static void normal_moments(void **state)
{
    (void)state;
    double m[5] = { 0 }, lag[4] = { 0 }, last[4] = { 0 };
    int tail = 0;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double z = rng_normal(11, RNG_TEST, 1, i), p = 1;
        assert_true(isfinite(z));
        for (int k = 1; k <= 4; k++) m[k] += p *= z;
        for (int k = 0; k < 4; k++) lag[k] += z * last[k];
        memmove(last + 1, last, 3 * sizeof *last);
        last[0] = z;
        tail += fabs(z) > 2;
    }
    const double want[5] = { 0, 0, 1, 0, 3 }, variance[5] = { 0, 1, 2, 15, 96 };
    for (int k = 1; k <= 4; k++) assert_true(fabs(m[k] / DRAWS - want[k]) < 5 * sqrt(variance[k] / DRAWS));
    for (int k = 0; k < 4; k++) assert_true(fabs(lag[k] / DRAWS) < 5 / sqrt(DRAWS));
    double share = erfc(2 / sqrt(2));
    assert_true(fabs((double)tail / DRAWS - share) < 5 * sqrt(share * (1 - share) / DRAWS));
}

static void below_is_fair(void **state)
{
    (void)state;
    enum { N = 7 };
    int count[N] = { 0 };
    for (uint64_t i = 0; i < 70000; i++) {
        uint32_t x = rng_below(5, RNG_TEST, 2, i, N);
        assert_true(x < N);
        count[x]++;
    }
    double chi2 = 0;
    for (int i = 0; i < N; i++) chi2 += pow(count[i] - 10000, 2) / 10000;
    assert_true(chi2 < 22.46); /* 6 degrees of freedom, p = 0.001 */
    for (uint64_t i = 0; i < 100; i++) assert_int_equal(rng_below(5, RNG_TEST, 2, i, 1), 0);

    /* With n = 3 * 2^30 and without rejection, half of the results would be 0 mod 3. */
    int zero = 0;
    for (uint64_t i = 0; i < 30000; i++) zero += rng_below(5, RNG_TEST, 3, i, 3u << 30) % 3 == 0;
    assert_true(fabs(zero - 10000.0) < 5 * sqrt(30000 * 2.0 / 9));
}

static void permutations(void **state)
{
    (void)state;
    enum { N = 1000 };
    int p[N], q[N], seen[N] = { 0 };
    rng_permutation(1, RNG_TEST, 0, N, p);
    for (int i = 0; i < N; i++) {
        assert_in_range(p[i], 0, N - 1);
        assert_int_equal(seen[p[i]]++, 0);
    }
    rng_permutation(1, RNG_TEST, 0, N, q);
    assert_memory_equal(p, q, sizeof p);
    rng_permutation(1, RNG_TEST, 1, N, q);
    assert_memory_not_equal(p, q, sizeof p);

    /* All 24 permutations of four things are equally likely. */
    int count[256] = { 0 };
    for (uint32_t a = 0; a < 24000; a++) {
        rng_permutation(9, RNG_TEST, a, 4, p);
        count[p[0] << 6 | p[1] << 4 | p[2] << 2 | p[3]]++;
    }
    double chi2 = 0;
    int kinds = 0;
    for (int i = 0; i < 256; i++)
        if (count[i]) kinds++, chi2 += pow(count[i] - 1000, 2) / 1000;
    assert_int_equal(kinds, 24);
    assert_true(chi2 < 49.73); /* 23 degrees of freedom, p = 0.001 */

    rng_permutation(1, RNG_TEST, 0, 0, p); /* nothing to do */
    rng_permutation(1, RNG_TEST, 0, 1, p);
    assert_int_equal(p[0], 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_answers),  cmocka_unit_test(addressing),    cmocka_unit_test(uniform_moments),
        cmocka_unit_test(normal_moments), cmocka_unit_test(below_is_fair), cmocka_unit_test(permutations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
