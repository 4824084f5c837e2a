/* tests/fuzz/fuzz_analysis.c -- the input is an analysis.json, by which prune decides. */
#include "fuzz.h"

#include "../../core/base/json.h"
#include "../../prune/choose.h"
#include "../../prune/curve.h"

#include <math.h>

static const char *const settings[] = {
    "prune: {metric: yang}",           "prune: {metric: lu, smooth: 3}",
    "prune: {metric: cka, count: 2}",  "prune: {metric: yang, count: 3, pick: most}",
    "prune: {metric: lu, max_cut: 1}", "prune: {metric: random, count: 2}",
};
enum { N_SETTINGS = sizeof settings / sizeof *settings };

static config *cfg[N_SETTINGS];
static net *parent;

static void start(void)
{
    char yaml[256];
    for (int i = 0; i < N_SETTINGS; i++) {
        snprintf(yaml, sizeof yaml, "net: {arch: resnet20}\n%s\n", settings[i]);
        FUZZ_CHECK(config_parse("fuzz", yaml, NULL, 0, &cfg[i]) == OK);
    }
    FUZZ_CHECK(net_create(&(net_spec){ .arch = "resnet20", .classes = 10 }, &parent) == OK);
}

/* What is cut can be cut, and as many units as were asked for. */
static void check_choice(const choice *c, const config *wanted)
{
    unsigned cut = 0;
    for (int i = 0; i < c->n_units; i++) {
        const criterion_decision *d = &c->unit[i].decision;
        FUZZ_CHECK(!d->cut || c->unit[i].removable);
        FUZZ_CHECK(d->reason[0] && strlen(d->reason) < sizeof d->reason);
        cut += d->cut;
    }
    FUZZ_CHECK(cut == c->n_cut);
    FUZZ_CHECK(!wanted->prune.count || (int)cut == wanted->prune.count);
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    bool accepted = false;
    cJSON *analysis = NULL;
    choice c = { 0 };
    if (!parent) start();
    const config *wanted = cfg[bytes % N_SETTINGS]; /* whatever the length is: mutations change it */
    fuzz_write("analysis.json", data, bytes);
    if (!fuzz_accepted(curve_read(wanted, fuzz_path(".").s, &analysis), ERR_DATA)) return false;
    /* ERR_USAGE: prune.count asks for more units than have a value. */
    if (fuzz_accepted(choose_by_curve(parent, analysis, wanted, &c), ERR_USAGE)) {
        check_choice(&c, wanted);
        accepted = true;
    }
    choice_free(&c);
    cJSON_Delete(analysis);
    return accepted;
}
