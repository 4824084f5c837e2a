/* core/cpu/choose.c -- direct or Winograd, for each convolution and direction.
 *
 * Which is faster depends on the shape and on the processor. Where both exist and the convolution is large
 * enough to matter, they are timed, once: choices.c remembers the choice. Small convolutions follow a rule of
 * their shape alone.
 *
 * Determinism. The two algorithms round differently, so the choice is part of the result. It is made once for
 * a machine, under a lock: two processes that meet an unknown shape at the same time do not both time it, the
 * second reads what the first has found. */
#include "choices.h"
#include "cpu.h"
#include "winograd.h"

#include "../base/lock.h"
#include "../base/log.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the rule --- */

/* Winograd's method multiplies 36 times for a tile of 16 outputs where the direct method multiplies 144 times, and 16
 * times for one of 4 where that multiplies 36 times; the tiles cover the image with waste at its edge, and transforming
 * the weights costs as much as some 16 tiles save. Milliseconds, batch 256, 2 cores of Zen 4, forward / data / weights:
 *
 *      channels, image     f32 direct          bf16 direct         Winograd
 *       16 -> 16   32x32    7.0  5.4  6.1       2.8  2.8  3.5       2.8  3.0  3.6
 *       32 -> 32   16x16    4.8  4.9  5.4       2.4  2.4  3.1       2.1  2.1  2.2
 *       64 -> 64     8x8    4.4  4.4  5.1       2.3  2.3  3.6       1.7  1.7  1.8
 *       64 -> 64   32x32     81   81   98        40   41   50        28   28   33
 *      128 -> 128  16x16     77   77   86        38   39   42        26   26   30
 *      256 -> 256    8x8     70   71   81        38   38   41        24   24   30
 *      512 -> 512    4x4     59   62   87        29   30   45        28   28   32
 *      512 -> 512    2x2     16   16   28       7.9  7.7   25        12   12   13
 *
 * so: from 16 channels on both sides, where tiles at least halve the multiplications. The rule depends on nothing but
 * the shape: two runs never choose differently. */
static int by_rule(const op *o)
{
    const int64_t products = winograd_products(o->y.h, o->y.w);
    const bool pays = o->x.c >= 16 && o->y.c >= 16 && products * 2 <= (int64_t)o->y.h * o->y.w * 9 &&
                      o->y.n * products >= 32 * 16;
    return pays ? CONV_WINOGRAD : CONV_DIRECT;
}

/* --- choosing --- */

/* Both algorithms in turn, so that whatever disturbs the machine meets both; *algorithm as by the rule unless
 * the other is clearly faster: a repeated measurement would come to the same. */
static status race(cpu *c, const op *o, int direction, int *algorithm)
{
    status st = OK;
    static const double CLEARLY = 1.05;
    double seconds[CONV_ALGORITHMS];
    const int rule = by_rule(o);
    TRY(cpu_conv_race(c, o, direction, seconds));
    *algorithm = seconds[!rule] * CLEARLY < seconds[rule] ? !rule : rule;
    log_debug("convolution %d -> %d of %dx%d, %s: direct %.2f ms, winograd %.2f ms: %s", o->x.c, o->y.c,
              o->x.h, o->x.w, conv_direction_names[direction], 1e3 * seconds[CONV_DIRECT],
              1e3 * seconds[CONV_WINOGRAD], conv_algorithm_names[*algorithm]);
out:
    return st;
}

/* Times it, unless another process has done so while this one waited. */
static status choose_now(cpu *c, const op *o, int direction, const char *name, int *algorithm)
{
    status st = OK;
    choices *all = c->choices;
    dir_lock lock = { 0 };
    bool keep;
    TRY(choices_lock(all, &lock, &keep));
    TRY(choices_find(all, name, algorithm));
    if (*algorithm >= 0) goto out;
    if (!c->told) log_info("timing convolution algorithms, once for this machine");
    c->told = true;
    TRY(race(c, o, direction, algorithm));
    TRY(choices_add(all, name, *algorithm, keep));
out:
    lock_release(&lock);
    return st;
}

/* Below some milliseconds a choice is not worth its timing. */
static bool worth_timing(const op *o)
{
    static const double FLOPS = 1e9;
    return 2.0 * 9 * o->x.c * (double)shape_count(o->y) >= FLOPS;
}

status cpu_choose_conv(cpu *c, const op *o, int direction, int *out)
{
    status st = OK;
    const char *forced = getenv("CLEAVE_CONV");
    int algorithm = CONV_DIRECT;
    char name[64];
    if (c->forced >= 0) algorithm = c->forced;
    if (c->forced >= 0 || !winograd_can(o)) goto out;
    if (!forced || !strcmp(forced, "auto")) {
        algorithm = by_rule(o);
        if (!worth_timing(o)) goto out;
        snprintf(name, sizeof name, "n%dc%dh%dw%d_o%d%s %s", o->x.n, o->x.c, o->x.h, o->x.w, o->y.c,
                 o->type == BF16 ? "_bf16" : "", conv_direction_names[direction]);
        TRY(choices_find(c->choices, name, &algorithm));
        if (algorithm < 0) TRY(choose_now(c, o, direction, name, &algorithm));
    } else if (!strcmp(forced, "winograd")) {
        algorithm = CONV_WINOGRAD;
    } else if (!strcmp(forced, "rule")) {
        algorithm = by_rule(o);
    } else if (strcmp(forced, "direct")) {
        FAIL(ERR_USAGE, "CLEAVE_CONV=%s: auto, rule, direct or winograd is wanted", forced);
    }
out:
    *out = algorithm;
    return st;
}
