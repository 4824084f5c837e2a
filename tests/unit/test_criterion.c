/* Criterion I: the cuts of the published curves and of curves made by hand. prune/criterion.h. */
#include "../../prune/criterion.h"
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_POINTS = 32 };
#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

static const criterion_options defaults = { .eps = 0.01, .floor = 0.30, .smooth = 1 };
static const char *const letters[] = { "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n" };

/* Names the cut points "b d e" for points called a, b, c, ... that can all be removed (but for those in
 * `fixed`). */
static const char *cuts(const double *value, int n, const char *fixed, const criterion_options *o)
{
    static char text[2 * MAX_POINTS + 1];
    criterion_point p[MAX_POINTS] = { 0 };
    criterion_decision d[MAX_POINTS];
    for (int t = 0; t < n; t++)
        p[t] = (criterion_point){ letters[t], value[t], .removable = !strstr(fixed, letters[t]),
                                  .fixed = "fixed" };
    assert_int_equal(criterion_cut(p, n, o, d), OK);
    text[0] = 0;
    for (int t = 0; t < n; t++) {
        if (d[t].cut) sprintf(text + strlen(text), "%s%s", *text ? " " : "", letters[t]);
        assert_true(strlen(d[t].reason) > 5);
    }
    return text;
}
#define CUTS(o, fixed, ...)                                                                                  \
    cuts((const double[]){ __VA_ARGS__ }, COUNT(((const double[]){ __VA_ARGS__ })), fixed, o)

/* ---- the curves that [Lu22]'s authors published ---- */

/* Points of VGG16: the 13 convolutions; those with equal input and output channels can go. */
static const criterion_point vgg16[] = {
    { "features.0", .118, false, 1, "3 channels in, 64 out" },
    { "features.3", .019, true, 1 },
    { "features.7", .235, false, 2, "64 channels in, 128 out" },
    { "features.10", .115, true, 2 },
    { "features.14", .393, false, 3, "128 channels in, 256 out" },
    { "features.17", .374, true, 3 },
    { "features.20", .523, true, 3 },
    { "features.24", .746, false, 4, "256 in, 512 out" },
    { "features.27", .814, true, 4 },
    { "features.30", .828, true, 4 },
    { "features.34", .815, true, 5 },
    { "features.37", .820, true, 5 },
    { "features.40", .823, true, 5 },
};

static const criterion_point resnet18[] = {
    { "conv1", .119, false, 0, "the stem" }, { "layer1.0", .025, true, 1 },
    { "layer1.1", .077, true, 1 },           { "layer2.0", .274, false, 2, "its shortcut is a convolution" },
    { "layer2.1", .335, true, 2 },           { "layer3.0", .517, false, 3, "its shortcut is a convolution" },
    { "layer3.1", .807, true, 3 },           { "layer4.0", .844, false, 4, "its shortcut is a convolution" },
    { "layer4.1", .849, true, 4 },
};

/* Cut names joined by spaces; *saved: what unit sizes say is saved. */
static const char *published(const criterion_point *p, int n, const criterion_options *o, const int *size,
                             int *saved)
{
    static char text[256];
    criterion_decision d[MAX_POINTS];
    assert_int_equal(criterion_cut(p, n, o, d), OK);
    text[0] = 0;
    *saved = 0;
    for (int t = 0; t < n; t++) {
        if (!d[t].cut) continue;
        sprintf(text + strlen(text), "%s%s", *text ? " " : "", p[t].name);
        *saved += size[p[t].stage];
    }
    return text;
}

static const int vgg_size[] = { 0, 37056, 147840, 590592, 2360832, 2360832 };
static const int resnet_size[] = { 0, 73984, 295424, 1180672, 4720640 };

static void assert_percent(int saved, int total, const char *want)
{
    char text[16];
    snprintf(text, sizeof text, "%.2f", 100.0 * saved / total);
    assert_string_equal(text, want);
}

static void published_vgg16(void **state)
{
    (void)state;
    int saved;
    assert_string_equal(published(vgg16, COUNT(vgg16), &defaults, vgg_size, &saved),
                        "features.17 features.34 features.37 features.40"); /* conv6, conv11-13 */
    assert_percent(saved, 15253578, "50.30");
}

static void published_resnet18(void **state)
{
    (void)state;
    int saved;
    assert_string_equal(published(resnet18, COUNT(resnet18), &defaults, resnet_size, &saved), "layer4.1");
    assert_percent(saved, 11173962, "42.25");
}

static void published_with_one_kept_per_stage(void **state)
{
    (void)state;
    int saved;
    criterion_options o = defaults;
    o.keep_one_per_stage = true; /* conv13 has the largest gain of the last stage: .823 - .828 */
    assert_string_equal(published(vgg16, COUNT(vgg16), &o, vgg_size, &saved),
                        "features.17 features.34 features.37");
    o.max_cut = 2; /* gains: conv6 -.019, conv11 -.013, conv12 -.008 */
    assert_string_equal(published(vgg16, COUNT(vgg16), &o, vgg_size, &saved), "features.17 features.34");
}

static void reasons_in_words(void **state)
{
    (void)state;
    criterion_decision d[COUNT(vgg16)];
    assert_int_equal(criterion_cut(vgg16, COUNT(vgg16), &defaults, d), OK);
    assert_string_equal(d[0].reason, "first point of the curve");
    assert_string_equal(d[2].reason, "stays: 64 channels in, 128 out");
    assert_string_equal(d[1].reason,
                        "only prune.floor keeps it: -0.099 over features.0, which at 0.118 is below 0.248");
    assert_string_equal(d[3].reason,
                        "only prune.floor keeps it: -0.12 over features.7, which at 0.235 is below 0.248");
    assert_string_equal(d[5].reason, "decline: -0.019 against features.14 (0.393)");
    assert_string_equal(d[6].reason, "rises: +0.13 > 0.00809 over features.14");
    assert_string_equal(d[12].reason, "after the peak at features.30 (0.828): -0.005");
    assert_true(fabs(d[5].gain - -0.019) < 1e-12 && d[5].smoothed == .374);
}

/* The rule and the words at point t of a curve of points a, b, c, ... in one stage, with the stem a. */
static void assert_says(const double *value, int n, const criterion_options *o, int t, criterion_rule rule,
                        const char *reason)
{
    criterion_point p[MAX_POINTS] = { 0 };
    criterion_decision d[MAX_POINTS];
    static const criterion_rule that_cut[] = { RULE_PLATEAU, RULE_DECLINE, RULE_SATURATED, RULE_PEAK };
    bool cuts = false;
    for (int i = 0; i < n; i++) p[i] = (criterion_point){ letters[i], value[i], i > 0, i > 0 };
    assert_int_equal(criterion_cut(p, n, o, d), OK);
    assert_string_equal(d[t].reason, reason);
    assert_string_equal(criterion_rule_name(d[t].rule), criterion_rule_name(rule));
    for (int i = 0; i < COUNT(that_cut); i++) cuts |= rule == that_cut[i];
    assert_int_equal(d[t].cut, cuts);
}
#define SAYS(o, t, rule, reason, ...)                                                                        \
    assert_says((const double[]){ __VA_ARGS__ }, COUNT(((const double[]){ __VA_ARGS__ })), o, t, rule, reason)

/* One curve for each way to be decided; the span is 1 and the maximum 1 where nothing else is said. */
static void every_rule_in_words(void **state)
{
    (void)state;
    const criterion_options *o = &defaults;
    criterion_options limited = defaults, staged = defaults, smoothed = defaults;
    limited.max_cut = 1;
    staged.keep_one_per_stage = true;
    smoothed.smooth = 3;
    SAYS(o, 0, RULE_FIRST, "first point of the curve", 0, .5, 1);
    SAYS(o, 1, RULE_RISES, "rises: +0.5 > 0.01 over a", 0, .5, 1);
    SAYS(o, 1, RULE_NO_VALUE, "no value here: left alone", 0, NAN, 1);
    SAYS(o, 1, RULE_FLOOR, "only prune.floor keeps it: +0.005 over a, which at 0 is below 0.3", 0, .005, 1);
    SAYS(o, 2, RULE_FLOOR, "only prune.floor keeps it: -0.1 over b, which at 0.2 is below 0.3", 0, .2, .1, 1);
    SAYS(o, 2, RULE_PLATEAU, "plateau: +0.005 <= 0.01 over b (0.5)", 0, .5, .505, 1);
    SAYS(o, 2, RULE_PLATEAU, "plateau: +0 <= 0.01 over b (0.5)", 0, .5, .5, 1);
    SAYS(o, 2, RULE_DECLINE, "decline: -0.1 against b (0.5)", 0, .5, .4, 1);
    SAYS(o, 2, RULE_PEAK, "after the peak at b (1): -0.1", 0, 1, .9);
    SAYS(o, 2, RULE_SATURATED, "saturated: b (0.992) is within 0.01 of the maximum (1); +0.008", 0, .992, 1);
    SAYS(o, 3, RULE_SATURATED, "saturated: b (0.992) is within 0.01 of the maximum (1); -0.092", 0, .992, 1,
         .9);
    SAYS(o, 1, RULE_PEAK, "after the peak at a (0.5): +0", .5, .5); /* flat */
    SAYS(&limited, 2, RULE_MAX_CUT, "only prune.max_cut=1 keeps it: what is cut gains no more than its -0.1",
         0, 1, .9, .8);
    SAYS(&limited, 3, RULE_PEAK, "after the peak at b (1): -0.2", 0, 1, .9, .8);
    SAYS(&staged, 1, RULE_STAGE,
         "only prune.keep_one_per_stage keeps it: the largest gain (-0.1) of a stage that would be empty", 1,
         .9, .8);
    SAYS(&smoothed, 3, RULE_DECLINE, "decline: -0.2 against b (0.6)", 0, .9, .9, 0, .3, 2, 2);
}

/* ---- curves made by hand ---- */

static void shapes(void **state)
{
    (void)state;
    const criterion_options *o = &defaults;
    assert_string_equal(CUTS(o, "", .1, .2, .3, .4, .5, .6), ""); /* monotone rise */
    assert_string_equal(CUTS(o, "", .5, .5, .5, .5), "b c d");    /* flat: the first point stays */
    assert_string_equal(CUTS(o, "c", .5, .5, .5, .5), "b d");
    assert_string_equal(CUTS(o, "", .1, .4, .8, .7, .6), "d e");       /* peak, then decline */
    assert_string_equal(CUTS(o, "", .1, .4, .402, .8, .85), "c");      /* plateau on the way */
    assert_string_equal(CUTS(o, "", .1, .6, .5, .8, .9), "c");         /* a dip on the way */
    assert_string_equal(CUTS(o, "", .10, .02, .11, .10, .9, .95), ""); /* noise below the floor */
    assert_string_equal(CUTS(o, "", .7), "");                          /* a single point */
    assert_string_equal(CUTS(o, "", .0, .5, .999, 1.),
                        "d"); /* within eps of the maximum is the peak already */
}

/* Gains of .004 each against eps = .01: the third in a row makes .012 over the last point kept. */
static void small_gains_add_up(void **state)
{
    (void)state;
    assert_string_equal(CUTS(&defaults, "", .0, .4, .404, .408, .412, .7, 1.), "c d");
    assert_string_equal(CUTS(&defaults, "c", .0, .4, .404, .408, .412, .7, 1.),
                        "d e"); /* c moves the reference */
}

static void points_without_value(void **state)
{
    (void)state;
    const criterion_options *o = &defaults;
    assert_string_equal(CUTS(o, "", NAN, .1, .4, NAN, .8, .7, NAN), "f");
    assert_string_equal(CUTS(o, "", NAN, .5, NAN, .5, .5), "d e"); /* b is the first reference */
    assert_string_equal(CUTS(o, "", NAN, NAN), "");
    assert_string_equal(CUTS(o, "", .1, INFINITY, .4, .3), "d");
}

/* ---- options ---- */

static void smoothing(void **state)
{
    (void)state;
    criterion_options o = defaults;
    const double v[] = { .1, .5, .47, .8, .9 }; /* averages of three: .3 .3567 .59 .7233 .85 */
    assert_string_equal(cuts(v, COUNT(v), "", &o), "c");
    o.smooth = 3;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "");
    criterion_point p[COUNT(v)];
    criterion_decision d[COUNT(v)];
    for (int t = 0; t < COUNT(v); t++) p[t] = (criterion_point){ letters[t], t == 1 ? NAN : v[t], true };
    assert_int_equal(criterion_cut(p, COUNT(v), &o, d), OK);
    assert_true(d[0].smoothed == .1 && isnan(d[1].smoothed) && isnan(d[1].gain));
    assert_true(fabs(d[2].smoothed - (.47 + .8) / 2) < 1e-15 &&
                fabs(d[3].smoothed - (.47 + .8 + .9) / 3) < 1e-15);
    o.smooth = 99; /* wider than the curve: every point is the mean of all */
    assert_string_equal(cuts(v, COUNT(v), "", &o), "b c d e");
}

static void limit(void **state)
{
    (void)state;
    criterion_options o = defaults;
    const double v[] = { .1, .9, .85, .88, .80, .85 }; /* gains of c..f: -.05 -.02 -.10 -.05 */
    o.max_cut = 0;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "c d e f");
    o.max_cut = 1;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "e");
    o.max_cut = 2;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "e f"); /* of equals the deeper one goes */
    o.max_cut = 3;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "c e f");
    o.max_cut = 9;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "c d e f");
}

static void thresholds(void **state)
{
    (void)state;
    criterion_options o = defaults;
    const double v[] = { .0, .2, .19, .5, .52, 1. };
    assert_string_equal(cuts(v, COUNT(v), "", &o), "");
    o.floor = .1;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "c");
    o.eps = .05;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "c e");
    o.floor = 1;
    assert_string_equal(cuts(v, COUNT(v), "", &o), "");
}

static void keeps_one_per_stage(void **state)
{
    (void)state;
    criterion_options o = defaults;
    criterion_point p[] = { { "a", .1, false, 0 }, { "b", .9, true, 1 },  { "c", .89, true, 2 },
                            { "d", .88, true, 2 }, { "e", .80, true, 3 }, { "f", NAN, true, 3 } };
    criterion_decision d[COUNT(p)];
    assert_int_equal(criterion_cut(p, COUNT(p), &o, d), OK);
    assert_true(d[2].cut && d[3].cut && d[4].cut && !d[5].cut);
    o.keep_one_per_stage = true;
    assert_int_equal(criterion_cut(p, COUNT(p), &o, d), OK);
    assert_true(!d[2].cut && d[3].cut && d[4].cut); /* f stays in stage 3 anyway */
    assert_int_equal(d[2].rule, RULE_STAGE);
}

static void options_out_of_range(void **state)
{
    (void)state;
    const criterion_options bad[] = {
        { -.01, .3, 1 }, { 1.01, .3, 1 }, { NAN, .3, 1 },  { .01, -.1, 1 }, { .01, 1.1, 1 },
        { .01, NAN, 1 }, { .01, .3, 0 },  { .01, .3, -1 }, { .01, .3, 2 },  { .01, .3, 1, -1 },
    };
    criterion_point p = { "a", 1, true };
    criterion_decision d;
    for (int i = 0; i < COUNT(bad); i++) assert_int_equal(criterion_cut(&p, 1, &bad[i], &d), ERR_USAGE);
    assert_non_null(strstr(status_message(), "prune.max_cut=-1"));
    assert_int_equal(criterion_cut(&p, 0, &defaults, &d), ERR_USAGE);
}

/* ---- what must not change the decisions ---- */

static void invariances(void **state)
{
    (void)state;
    int saved;
    criterion_point scaled[COUNT(vgg16)], longer[COUNT(vgg16) + 3];
    memcpy(scaled, vgg16, sizeof vgg16);
    for (int t = 0; t < COUNT(vgg16); t++) scaled[t].value *= .25; /* norm literal against norm newman */
    const char *want = "features.17 features.34 features.37 features.40";
    assert_string_equal(published(scaled, COUNT(scaled), &defaults, vgg_size, &saved), want);

    /* More points: one without a value first, a fixed one that repeats its predecessor, and a low end. */
    longer[0] = (criterion_point){ "nothing", NAN, true, 0 };
    memcpy(longer + 1, vgg16, 5 * sizeof *vgg16);
    longer[6] = (criterion_point){ "again", vgg16[4].value, false, 3, "fixed" };
    memcpy(longer + 7, vgg16 + 5, (COUNT(vgg16) - 5) * sizeof *vgg16);
    longer[COUNT(longer) - 1] = (criterion_point){ "end", .5, false, 0, "fixed" };
    assert_string_equal(published(longer, COUNT(longer), &defaults, vgg_size, &saved), want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vgg16),
        cmocka_unit_test(published_resnet18),
        cmocka_unit_test(published_with_one_kept_per_stage),
        cmocka_unit_test(reasons_in_words),
        cmocka_unit_test(every_rule_in_words),
        cmocka_unit_test(shapes),
        cmocka_unit_test(small_gains_add_up),
        cmocka_unit_test(points_without_value),
        cmocka_unit_test(smoothing),
        cmocka_unit_test(limit),
        cmocka_unit_test(thresholds),
        cmocka_unit_test(keeps_one_per_stage),
        cmocka_unit_test(options_out_of_range),
        cmocka_unit_test(invariances),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
