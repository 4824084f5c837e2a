/* tests/sweep/fuzz_sweep_file.c -- the input is a sweep file, from YAML to the list of tasks. */
#include "../fuzz/fuzz.h"

#include "../../tools/sweep/tasks.h"

enum { MAX_VALUES = 40 };

/* A product of longer lists is as right, but takes its time: up to 20,000 cases are allowed. */
static bool is_small(const char *yaml)
{
    int values = 0;
    for (; *yaml; yaml++) values += *yaml == ',' || *yaml == '-';
    return values <= MAX_VALUES;
}

/* Parents come before their children, and every case has a task in each stage. */
static void check_plan(const sweep_plan *p)
{
    for (unsigned i = 0; i < p->n_tasks; i++) {
        FUZZ_CHECK(p->task[i].parent < (int)i);
        FUZZ_CHECK(sweep_plan_find(p, p->task[i].id) == (int)i);
    }
    for (unsigned i = 0; i < p->n_cases; i++)
        for (int s = 0; s <= (int)p->last; s++)
            FUZZ_CHECK(p->cases[i].task[s] >= 0 && p->task[p->cases[i].task[s]].stage == (sweep_stage)s);
}

static status plan(const char *yaml)
{
    status st = OK;
    sweep_spec spec = { 0 };
    sweep_case *cases = NULL;
    sweep_plan p = { 0 };
    unsigned n = 0;
    TRY(sweep_spec_parse("fuzz.yaml", yaml, &spec));
    TRY(sweep_expand(&spec, NULL, 0, &cases, &n));
    TRY(sweep_plan_make(&spec, NULL, 0, cases, n, &p));
    check_plan(&p);
out:
    sweep_plan_free(&p);
    sweep_cases_free(cases, n);
    sweep_spec_free(&spec);
    return st;
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    char *yaml = malloc(bytes + 1);
    FUZZ_CHECK(yaml);
    memcpy(yaml, data, bytes);
    yaml[bytes] = '\0';
    const bool accepted = is_small(yaml) && fuzz_accepted(plan(yaml), ERR_USAGE);
    free(yaml);
    return accepted;
}
