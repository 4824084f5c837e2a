/* core/cpu/algorithm.c -- which algorithm computes a convolution: oneDNN's direct method or Winograd's (winograd.c),
 * for each shape and direction.
 *
 * Which of the two is faster depends on the shape and on the processor. Large convolutions that both can do are timed,
 * once per machine. Small ones follow a rule of their shape alone.
 *
 * Determinism. The two algorithms round differently, so the choice is part of the result, and timing a shape a second
 * time might give another choice. Therefore choices are remembered:
 *
 *   - for all later runs on this machine, in a cache,
 *         CACHE/conv-HASH.txt      CACHE = $CLEAVE_CACHE, else $XDG_CACHE_HOME/cleave, else ~/.cache/cleave
 *     The first line names the machine (library version, instruction set, threads, processor); HASH is its hash. Each
 *     further line is a choice: "n256c64h32w32_o64 forward winograd". A file of any other form is ignored and replaced.
 *     Whoever times holds the folder's lock: if two processes meet an unknown shape at the same time, one of them times
 *     it and the other reads the result.
 *
 *   - for the run, in its directory (cpu_choices_save). A resumed run loads that file (cpu_choices_load) and prefers it
 *     to the cache: it ends with the same bits even if the cache was lost in between. */
#include "cpu.h"
#include "winograd.h"

#include "../base/clock.h"
#include "../base/file.h"
#include "../base/host.h"
#include "../base/lock.h"
#include "../base/log.h"
#include "../base/median.h"

#include <stdio.h>
#include <stdlib.h>

/* As files and messages spell them. */
static const char *const direction_names[CONV_DIRECTIONS] = { "forward", "data", "weights" };
static const char *const algorithm_names[CONV_ALGORITHMS] = {
    [CONV_DIRECT] = "direct", [CONV_WINOGRAD] = "winograd"
};

/* ---- the rule ---- */

/* For a tile of 4x4 outputs Winograd's method multiplies 36 times where the direct method multiplies 144 times; for a
 * tile of 2x2, 16 times instead of 36. But tiles at the edge of the image compute outputs that are not needed, and
 * transforming the weights costs about as much as 16 tiles save. Milliseconds, batch 256, 2 cores of Zen 4, forward /
 * data / weights:
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
 * So: Winograd from 16 channels on both sides, where the tiles at least halve the multiplications. The rule depends on
 * nothing but the shape: two runs never choose differently. */
static int by_rule(const op *o)
{
    const int64_t products = winograd_products(o->y.h, o->y.w);
    const bool pays = o->x.c >= 16 && o->y.c >= 16 && products * 2 <= (int64_t)o->y.h * o->y.w * 9 &&
                      o->y.n * products >= 32 * 16;
    return pays ? CONV_WINOGRAD : CONV_DIRECT;
}

/* Convolutions that take less than some milliseconds are not worth timing. */
static bool is_worth_timing(const op *o)
{
    static const double FLOPS = 1e9;
    return 2.0 * 9 * o->x.c * (double)shape_count(o->y) >= FLOPS;
}

/* ---- timing ---- */

enum { RUNS = 5 };
enum { X, Y, W, DW, SCRATCH, BUFFERS };

typedef struct race {
    cpu *cpu;
    op op;
    cpu_plan *plan[CONV_ALGORITHMS];
    size_t scratch_bytes;
    timing_buffer buffer[BUFFERS];
    op_args args; /* of both algorithms */
} race;

static status make_plans(race *r)
{
    status st = OK;
    for (int a = 0; a < CONV_ALGORITHMS; a++) {
        op_needs needs = { 0 };
        r->cpu->forced_algorithm = a;
        TRY(cpu_conv_plan(r->cpu, &r->op, &r->plan[a], &needs));
        if (needs.scratch > r->scratch_bytes) r->scratch_bytes = needs.scratch;
    }
out:
    r->cpu->forced_algorithm = -1;
    return st;
}

static status make_arguments(race *r, int direction)
{
    status st = OK;
    const op *o = &r->op;
    const size_t w_bytes =
        sizeof(float) * (size_t)o->y.c * (size_t)(o->x.c * o->conv.kernel * o->conv.kernel);
    const size_t bytes[BUFFERS] = { [X] = layout_bytes(o->x, layout_of(o->x, o->type)),
                                    [Y] = layout_bytes(o->y, layout_of(o->y, o->type)),
                                    [W] = w_bytes,
                                    [DW] = w_bytes,
                                    [SCRATCH] = r->scratch_bytes };
    for (int i = 0; i < BUFFERS; i++) TRY(timing_buffer_grow(r->cpu, &r->buffer[i], bytes[i]));
    r->args = (op_args){ .x = r->buffer[X].memory,
                         .y = r->buffer[Y].memory,
                         .param = { r->buffer[W].memory },
                         .dy = r->buffer[Y].memory,
                         .scratch = r->buffer[SCRATCH].memory };
    if (direction == CONV_DATA) r->args.dx = r->buffer[X].memory;
    if (direction == CONV_WEIGHTS) r->args.grad[0] = r->buffer[DW].memory;
out:
    return st;
}

static status run_once(race *r, int direction, int algorithm, double *seconds)
{
    status st = OK;
    cpu_plan *p = r->plan[algorithm];
    const double start = time_now();
    r->args.version++; /* as in a training step, where the weights are packed every time */
    TRY(direction == CONV_FORWARD ? p->forward(p, &r->args) : p->backward(p, &r->args));
    *seconds = time_now() - start;
out:
    return st;
}

/* Median seconds of each algorithm for one direction of a convolution that both can do. They run in turn, so that
 * whatever disturbs the machine disturbs both. */
static status time_algorithms(cpu *c, const op *o, int direction, double seconds[CONV_ALGORITHMS])
{
    status st = OK;
    race r = { .cpu = c, .op = *o };
    double all[CONV_ALGORITHMS][RUNS];
    r.op.kind = OP_CONV;
    r.op.training = true;
    r.op.conv.bias = false;
    TRY(make_plans(&r));
    TRY(make_arguments(&r, direction));
    for (int run = -1; run < RUNS; run++) /* run -1 brings data and code into the caches: not counted */
        for (int a = 0; a < CONV_ALGORITHMS; a++) {
            TRY(run_once(&r, direction, a, &seconds[a]));
            if (run >= 0) all[a][run] = seconds[a];
        }
    for (int a = 0; a < CONV_ALGORITHMS; a++) seconds[a] = median(all[a], RUNS);
out:
    for (int a = 0; a < CONV_ALGORITHMS; a++) cpu_plan_free(r.plan[a]);
    for (int i = 0; i < BUFFERS; i++) timing_buffer_free(c, &r.buffer[i]);
    return st;
}

/* The rule's algorithm unless the other one is clearly faster: a second measurement would most likely agree. */
static status choose_by_timing(cpu *c, const op *o, int direction, int *algorithm)
{
    status st = OK;
    static const double CLEARLY = 1.05;
    double seconds[CONV_ALGORITHMS];
    const int rule = by_rule(o);
    TRY(time_algorithms(c, o, direction, seconds));
    *algorithm = seconds[!rule] * CLEARLY < seconds[rule] ? !rule : rule;
    log_debug("convolution %d -> %d of %dx%d, %s: direct %.2f ms, winograd %.2f ms: %s", o->x.c, o->y.c,
              o->x.h, o->x.w, direction_names[direction], 1e3 * seconds[CONV_DIRECT],
              1e3 * seconds[CONV_WINOGRAD], algorithm_names[*algorithm]);
out:
    return st;
}

/* ---- what is known ---- */

typedef struct choice {
    char name[64]; /* shape and direction: "n256c64h32w32_o64 forward" */
    int algorithm;
} choice;

struct choices {
    char machine[512];       /* the first line of a file */
    file_path folder, cache; /* of the cache, and its file for this machine; "": there is none */
    bool cache_read;         /* the cache is read when a choice is first asked for */
    bool timing_announced;   /* in the log: once per process */
    choice *list;
    int n;
};

/* -1: not known. */
static int find(const choices *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->list[i].name, name)) return c->list[i].algorithm;
    return -1;
}

/* If `name` is known, its first choice stays. */
static status add(choices *c, const char *name, int algorithm)
{
    status st = OK;
    choice *list;
    if (find(c, name) >= 0) goto out;
    TRY_ALLOC(list, realloc(c->list, (size_t)(c->n + 1) * sizeof *list));
    c->list = list;
    snprintf(list[c->n].name, sizeof list->name, "%s", name);
    list[c->n++].algorithm = algorithm;
out:
    return st;
}

/* Leaves folder and cache "" if the user wants no cache (CLEAVE_CACHE is set and empty) or no folder is known. */
static void find_cache(choices *c)
{
    const char *own = getenv("CLEAVE_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    status st = OK;
    if (own)
        st = path_set(&c->folder, "%s", own);
    else if (xdg && *xdg)
        st = path_set(&c->folder, "%s/cleave", xdg);
    else if (home && *home)
        st = path_set(&c->folder, "%s/.cache/cleave", home);
    if (st != OK || !*c->folder.s) return;
    const uint64_t hash = file_hash(c->machine, strlen(c->machine));
    (void)path_set(&c->cache, "%s/conv-%016llx.txt", c->folder.s,
                   (unsigned long long)hash); /* too long: no cache */
}

status cpu_choices_open(cpu *owner)
{
    status st = OK;
    choices *c;
    TRY_ALLOC(c, calloc(1, sizeof *c));
    snprintf(c->machine, sizeof c->machine, "cleave convolutions 2: %s, %s", owner->base.description,
             host_processor().s);
    find_cache(c);
    owner->choices = c;
out:
    return st;
}

void cpu_choices_close(cpu *owner)
{
    if (!owner->choices) return;
    free(owner->choices->list);
    free(owner->choices);
}

/* ---- files ---- */

/* One line of a file; false if it is not a choice. */
static bool read_choice(const char *line, choice *out)
{
    char shape[32], direction[16], algorithm[16], end;
    if (sscanf(line, "%31s %15s %15s %c", shape, direction, algorithm, &end) != 3) return false;
    bool known = false;
    for (int d = 0; d < CONV_DIRECTIONS; d++) known |= !strcmp(direction, direction_names[d]);
    out->algorithm = -1;
    for (int a = 0; a < CONV_ALGORITHMS; a++)
        if (!strcmp(algorithm, algorithm_names[a])) out->algorithm = a;
    snprintf(out->name, sizeof out->name, "%s %s", shape, direction);
    return known && shape[0] == 'n' && out->algorithm >= 0;
}

/* Adds the choices of a text, all or none. *why: what is wrong with the text, or NULL. */
static status read_text(choices *c, char *text, const char **why)
{
    status st = OK;
    const int before = c->n;
    char *rest = NULL, *line = strtok_r(text, "\n", &rest);
    *why = NULL;
    if (!line || strcmp(line, c->machine)) {
        *why = "made by another library, processor or number of threads";
        if (!line || strncmp(line, "cleave convolutions", 19)) *why = "not a list of convolution algorithms";
        goto out;
    }
    while ((line = strtok_r(NULL, "\n", &rest))) {
        choice found;
        if (!read_choice(line, &found)) {
            *why = "damaged";
            c->n = before;
            goto out;
        }
        TRY(add(c, found.name, found.algorithm));
    }
out:
    return st;
}

/* A file that is missing or cannot be used adds nothing. `consequence` ends the warning about one that cannot be used;
 * NULL: no warning. */
static status read_file(choices *c, const char *path, const char *consequence)
{
    status st = OK;
    char *text = NULL;
    const char *why = NULL;
    size_t bytes;
    if (!file_exists(path)) goto out;
    if (file_read(path, &text, &bytes) != OK || strlen(text) != bytes)
        why = "not readable as text";
    else
        TRY(read_text(c, text, &why));
    if (why && consequence) log_warn("%s: %s; %s", path, why, consequence);
out:
    free(text);
    return st;
}

static status write_file(const choices *c, const char *path)
{
    status st = OK;
    file_writer w = { 0 };
    TRY(file_begin(&w, path));
    TRY(file_put(&w, c->machine, strlen(c->machine)));
    TRY(file_put(&w, "\n", 1));
    for (int i = 0; i < c->n; i++) {
        char line[100];
        snprintf(line, sizeof line, "%s %s\n", c->list[i].name, algorithm_names[c->list[i].algorithm]);
        TRY(file_put(&w, line, strlen(line)));
    }
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    return st;
}

status cpu_choices_load(backend *b, const char *path)
{
    return read_file(((cpu *)b)->choices, path, "timing again: the run will not repeat to the last bit");
}

status cpu_choices_save(const backend *b, const char *path)
{
    const choices *c = ((const cpu *)b)->choices;
    return c->n ? write_file(c, path) : OK;
}

/* ---- the cache ---- */

static status find_or_read_cache(choices *c, const char *name, int *algorithm)
{
    status st = OK;
    *algorithm = find(c, name);
    if (*algorithm < 0 && !c->cache_read && *c->cache.s) TRY(read_file(c, c->cache.s, "timing again"));
    c->cache_read = true;
    if (*algorithm < 0) *algorithm = find(c, name);
out:
    return st;
}

/* Locks the cache, waiting for other processes, and reads what they have added. *locked false: no cache can be written
 * here. The caller releases the lock. STOPPED: a signal came during the wait. */
static status lock_cache(choices *c, dir_lock *lock, bool *locked)
{
    status st = *c->cache.s ? file_make_dirs(c->folder.s) : ERR_RUNTIME;
    if (st == OK) st = lock_take(c->folder.s, true, lock);
    *locked = st == OK;
    if (*locked) return read_file(c, c->cache.s, NULL);
    if (*c->cache.s) log_debug("no cache of convolution algorithms: %s", status_message());
    return st == STOPPED ? st : OK;
}

/* Adds to what the cache's file holds, not to what is in use here: what a resumed run has loaded was perhaps not timed
 * on this machine. The caller holds the lock. */
static status add_to_cache(const choices *all, const char *name, int algorithm)
{
    status st = OK;
    choices cache = *all;
    cache.list = NULL;
    cache.n = 0;
    TRY(read_file(&cache, cache.cache.s, NULL));
    TRY(add(&cache, name, algorithm));
    TRY(write_file(&cache, cache.cache.s));
out:
    free(cache.list);
    return st;
}

/* ---- choosing ---- */

/* For a choice that is not known: times the algorithms, unless another process has done so while this one waited. */
static status choose_and_remember(cpu *c, const op *o, int direction, const char *name, int *algorithm)
{
    status st = OK;
    choices *all = c->choices;
    dir_lock lock = { 0 };
    bool locked;
    TRY(lock_cache(all, &lock, &locked));
    *algorithm = find(all, name);
    if (*algorithm >= 0) goto out;
    if (!all->timing_announced) log_info("timing convolution algorithms, once for this machine");
    all->timing_announced = true;
    TRY(choose_by_timing(c, o, direction, algorithm));
    TRY(add(all, name, *algorithm));
    if (locked && add_to_cache(all, name, *algorithm) != OK)
        log_warn("%s: not kept: %s", all->cache.s, status_message());
out:
    lock_release(&lock);
    return st;
}

static status choose_auto(cpu *c, const op *o, int direction, int *algorithm)
{
    status st = OK;
    char name[64];
    *algorithm = by_rule(o);
    if (!is_worth_timing(o)) goto out;
    snprintf(name, sizeof name, "n%dc%dh%dw%d_o%d%s %s", o->x.n, o->x.c, o->x.h, o->x.w, o->y.c,
             o->type == BF16 ? "_bf16" : "", direction_names[direction]);
    TRY(find_or_read_cache(c->choices, name, algorithm));
    if (*algorithm < 0) TRY(choose_and_remember(c, o, direction, name, algorithm));
out:
    return st;
}

status cpu_choose_algorithm(cpu *c, const op *o, int direction, int *algorithm)
{
    status st = OK;
    const char *setting = getenv("CLEAVE_CONV");
    *algorithm = CONV_DIRECT;
    if (c->forced_algorithm >= 0)
        *algorithm = c->forced_algorithm;
    else if (!winograd_can(o))
        goto out;
    else if (!setting || !strcmp(setting, "auto"))
        TRY(choose_auto(c, o, direction, algorithm));
    else if (!strcmp(setting, "rule"))
        *algorithm = by_rule(o);
    else if (!strcmp(setting, "winograd"))
        *algorithm = CONV_WINOGRAD;
    else if (strcmp(setting, "direct"))
        FAIL(ERR_USAGE, "CLEAVE_CONV=%s: must be auto, rule, direct or winograd", setting);
out:
    return st;
}
