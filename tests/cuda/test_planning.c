/* tests/cuda/test_planning.c -- needs no GPU: cuDNN plans for the devices that tests/cuda/devices/ describes as if
 * they were there, one for each architecture that the backend is built for.
 *
 * For every convolution of every net (batch 256), and for those of device_check.c, in all directions, in f32, tf32
 * and bf16, cuDNN has an engine that gives the same bits every time. And its plans can be written as text and read
 * again, as core/cuda/engine.c does. */
#include "../../core/base/status.h"

#include <stdio.h>

#ifdef CLEAVE_CUDA
#include "../../core/base/file.h"
#include "../../core/cuda/cudnn_graph.h"
#include "../../nets/net_private.h"
#include "../../tools/check/problem.h"
#include "convs.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 256, MAX_PROBLEMS = 4096 };

/* Each problem once, however many nets and layers have it. */
static conv_problem problem[MAX_PROBLEMS];
static int n_problems;

static void add_problem(const conv_problem *p)
{
    char name[PROBLEM_NAME_BYTES], other[PROBLEM_NAME_BYTES];
    conv_problem_name(p, name);
    for (int i = 0; i < n_problems; i++) {
        conv_problem_name(&problem[i], other);
        if (strcmp(name, other) == 0) return;
    }
    if (n_problems < MAX_PROBLEMS) problem[n_problems++] = *p;
}

static void add_conv(op o, int batch)
{
    static const struct {
        dtype type;
        bool tf32;
    } precisions[] = { { F32, false }, { F32, true }, { BF16, false } };
    o.x.n = o.y.n = batch;
    for (size_t i = 0; i < sizeof precisions / sizeof *precisions; i++)
        for (int direction = CONV_FORWARD; direction <= CONV_WEIGHTS; direction++)
            for (int add = 0; add <= (direction == CONV_DATA); add++) {
                o.type = precisions[i].type;
                const conv_problem p = conv_problem_of(&o, direction, add, precisions[i].tf32);
                add_problem(&p);
            }
}

static status add_problems(const char *const *problems, int batch)
{
    status st = OK;
    for (; *problems; problems++) {
        op_problem p;
        TRY(problem_parse(*problems, &p));
        add_conv(p.op, batch ? batch : p.op.x.n);
    }
out:
    return st;
}

/* Depthwise convolutions and unusual widths, as MobileNets and pruned nets have them; and those of device_check.c. */
static status add_others(void)
{
    static const char *const others[] = { "conv n1c32h32w32_o32k3s1p1g32",
                                          "conv n1c144h16w16_o144k3s2p1g144",
                                          "conv n1c960h4w4_o960k3s1p1g960",
                                          "conv n1c24h32w32_o144k1s1p0",
                                          "conv n1c20h32w32_o20k3s1p1",
                                          "conv n1c160h4w4_o960k1s1p0",
                                          NULL };
    status st = OK;
    TRY(add_problems(others, BATCH));
    TRY(add_problems(checked_convs, 0));
    TRY(add_problems(checked_depthwise, 0));
    TRY(add_problems(checked_narrow, 0));
out:
    return st;
}

static status add_nets(void)
{
    status st = OK;
    int n_archs;
    const char *const *arch = net_archs(&n_archs);
    for (int i = 0; i < n_archs; i++) {
        net *n;
        TRY(net_create(&(net_spec){ .arch = arch[i], .classes = 10 }, &n));
        for (int j = 0; j < n->n_nodes; j++)
            if (n->node[j].op.kind == OP_CONV) add_conv(n->node[j].op, BATCH);
        net_free(n);
    }
out:
    return st;
}

/* How many problems have no engine on this device. */
static int without_engine(const char *json, const char *device)
{
    int lacking = 0;
    for (int i = 0; i < n_problems; i++) {
        char name[PROBLEM_NAME_BYTES];
        int all = 0, repeatable = 0;
        conv_problem_name(&problem[i], name);
        if (engine_count(&problem[i], json, &all, &repeatable) != OK) printf("# %s\n", status_message());
        if (getenv("CLEAVE_TEST_VERBOSE"))
            printf("# %s %s: %d engines, %d repeatable\n", device, name, all, repeatable);
        if (repeatable > 0) continue;
        printf("# %s has no engine for %s (%d that vary)\n", device, name, all);
        lacking++;
    }
    return lacking;
}

/* Writes the first plan of a problem, reads it, and writes it again: *same if both texts are equal. */
static status round_trip(const conv_problem *p, descriptor device, bool *same)
{
    status st = OK;
    conv_graph graph = { 0 };
    engine_configs configs = { 0 };
    descriptor made = NULL, again = NULL;
    char *text = NULL, *second = NULL;
    TRY(conv_graph_open(p, NULL, &graph));
    TRY(engine_configs_find(&graph, device, &configs));
    TRY(execution_plan_from_config(NULL, configs.config[0], &made));
    TRY(execution_plan_to_json(made, &text));
    TRY(execution_plan_from_json(NULL, device, text, &again));
    TRY(execution_plan_to_json(again, &second));
    *same = strcmp(text, second) == 0;
out:
    free(text);
    free(second);
    descriptor_close(&made);
    descriptor_close(&again);
    engine_configs_free(&configs);
    conv_graph_close(&graph);
    return st;
}

/* Tries every tenth problem; how many failed, or -1. */
static int not_restored(const char *json)
{
    int failed = 0;
    descriptor device = NULL;
    if (device_properties_from_json(json, &device) != OK) return -1;
    for (int i = 0; i < n_problems; i += 10) {
        bool same = false;
        const status st = round_trip(&problem[i], device, &same);
        if (st == OK && same) continue;
        printf("# problem %d: %s\n", i, st == OK ? "another plan" : status_message());
        failed++;
    }
    descriptor_close(&device);
    return failed;
}

/* The caller frees; NULL after saying why not. */
static char *description(const char *device)
{
    char path[64], *json = NULL;
    snprintf(path, sizeof path, "tests/cuda/devices/%s.json", device);
    if (file_read(path, &json, NULL) != OK) printf("# %s\n", status_message());
    return json;
}

/* `wrong`: how many failed; -1 if that is not known. */
static int report(int number, int wrong, const char *what, const char *device)
{
    printf("%sok %d %s on %s\n", wrong ? "not " : "", number, what, device);
    fflush(stdout);
    return wrong != 0;
}

/* test_planning [DEVICE]: only that one. */
int main(int argc, char **argv)
{
    static const char *const devices[] = { "sm80", "sm86", "sm89", "sm90", "sm120" };
    const int n = sizeof devices / sizeof *devices;
    int failed = 0;
    if (add_nets() != OK || add_others() != OK || n_problems == 0 || n_problems == MAX_PROBLEMS) {
        printf("1..1\nnot ok 1 %d convolutions: %s\n", n_problems, status_message());
        return 1;
    }
    printf("1..%d\n# %d convolutions\n", 2 * n, n_problems);
    for (int i = 0; i < n; i++) {
        if (argc > 1 && strcmp(argv[1], devices[i])) {
            printf("ok %d %s # skip not asked for\nok %d %s # skip not asked for\n", 2 * i + 1, devices[i],
                   2 * i + 2, devices[i]);
            continue;
        }
        char *json = description(devices[i]);
        failed += report(2 * i + 1, json ? without_engine(json, devices[i]) : -1,
                         "an engine for every convolution", devices[i]);
        failed +=
            report(2 * i + 2, json ? not_restored(json) : -1, "plans written and read again", devices[i]);
        free(json);
    }
    return failed != 0;
}
#else
int main(void)
{
    printf("1..1\nok 1 planning convolutions for cuDNN # skip no CUDA toolkit with cuDNN here\n");
    return status_message()[0] != '\0';
}
#endif
