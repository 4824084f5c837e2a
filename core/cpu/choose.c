/* core/cpu/choose.c -- direct or Winograd, for each convolution and direction.
 *
 * Which is faster depends on the shape and on the processor. Where both exist and the convolution is large
 * enough to matter, they are timed, once: the choice is kept in a file for all later runs,
 *
 *     CACHE/conv-HASH.txt      CACHE = $CLEAVE_CACHE, else $XDG_CACHE_HOME/cleave, else ~/.cache/cleave
 *
 * whose first line is what HASH stands for (library version, processor, instructions, threads), and each
 * further line a choice: "n256c64h32w32_o64 forward winograd". A file that is not of this form is ignored,
 * and replaced.
 *
 * Determinism. The two algorithms round differently, so the choice is part of the result. It is made once for
 * a machine, under a lock: two processes that meet an unknown shape at the same time do not both time it, the
 * second reads what the first has found. A run keeps a copy of its choices in its directory (choices_save),
 * which goes before the cache when it is resumed (choices_load): it ends with the bits it began with even if
 * the cache was lost in between. Small convolutions follow a rule of their shape alone. */
#include "../file.h"
#include "../lock.h"
#include "../log.h"
#include "../progress.h"
#include "cpu.h"
#include "winograd.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const direction_names[] = { "forward", "data", "weights" };
static const char *const algorithm_names[] = { [CONV_DIRECT] = "direct", [CONV_WINOGRAD] = "winograd" };

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

/* --- what is known --- */

typedef struct choice {
    char name[64]; /* shape and direction */
    int algorithm;
} choice;

struct choices {
    char machine[256];
    char folder[3000], file[4096]; /* of the cache; "" = none */
    bool read, said;
    choice *list;
    int n;
};

static int find(const choices *c, const char *name)
{
    for (int i = 0; i < c->n; i++)
        if (!strcmp(c->list[i].name, name)) return c->list[i].algorithm;
    return -1;
}

static status add(choices *c, const char *name, int algorithm)
{
    status st = OK;
    choice *list;
    if (find(c, name) >= 0) goto out; /* what was known first stays */
    TRY_ALLOC(list, realloc(c->list, (size_t)(c->n + 1) * sizeof *list));
    c->list = list;
    snprintf(list[c->n].name, sizeof list->name, "%s", name);
    list[c->n++].algorithm = algorithm;
out:
    return st;
}

static void machine_text(const cpu *c, char *out, size_t bytes)
{
    char line[256], model[128] = "unknown processor";
    FILE *f = fopen("/proc/cpuinfo", "re");
    while (f && fgets(line, sizeof line, f)) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) || !colon) continue;
        snprintf(model, sizeof model, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (f) fclose(f);
    snprintf(out, bytes, "cleave convolutions 2: %s, %s", c->base.description, model);
}

/* Where the cache is; "" if there is no place for one, or none is wanted. */
static void find_cache(choices *c)
{
    const char *own = getenv("CLEAVE_CACHE"), *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    status st = OK;
    if (own)
        st = path_format(c->folder, sizeof c->folder, "%s", own);
    else if (xdg && *xdg)
        st = path_format(c->folder, sizeof c->folder, "%s/cleave", xdg);
    else if (home && *home)
        st = path_format(c->folder, sizeof c->folder, "%s/.cache/cleave", home);
    if (st != OK || !*c->folder) return;
    snprintf(c->file, sizeof c->file, "%s/conv-%016llx.txt", c->folder,
             (unsigned long long)file_hash(c->machine, strlen(c->machine)));
}

status choices_open(cpu *owner, choices **out)
{
    status st = OK;
    choices *c;
    TRY_ALLOC(c, calloc(1, sizeof *c));
    machine_text(owner, c->machine, sizeof c->machine);
    find_cache(c);
    *out = c;
out:
    return st;
}

void choices_close(choices *c)
{
    if (!c) return;
    free(c->list);
    free(c);
}

/* --- files --- */

/* One line of a file; false if it is not a choice. */
static bool read_choice(char *line, choice *out)
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

/* The choices of a whole text, or none of them: *why says what is wrong with it. */
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

/* `consequence` ends the warning about a file that is ignored; NULL: it has been given before. */
static status read_file(choices *c, const char *path, const char *consequence)
{
    status st = OK;
    char *text = NULL;
    const char *why = NULL;
    size_t bytes;
    if (!file_exists(path)) goto out;
    if (file_read(path, &text, &bytes) != OK || strlen(text) != bytes) {
        if (consequence) log_warn("%s: not readable as text; %s", path, consequence);
        goto out;
    }
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
    char line[512];
    TRY(file_begin(&w, path));
    snprintf(line, sizeof line, "%s\n", c->machine);
    TRY(file_put(&w, line, strlen(line)));
    for (int i = 0; i < c->n; i++) {
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
    return read_file(((cpu *)b)->choices, path, "choosing anew: the run will not repeat to the last bit");
}

status cpu_choices_save(const backend *b, const char *path)
{
    const choices *c = ((const cpu *)b)->choices;
    return c->n ? write_file(c, path) : OK;
}

/* --- choosing --- */

/* Both algorithms in turn, so that whatever disturbs the machine meets both; *winograd as by the rule unless
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
              o->x.h, o->x.w, direction_names[direction], 1e3 * seconds[CONV_DIRECT],
              1e3 * seconds[CONV_WINOGRAD], algorithm_names[*algorithm]);
out:
    return st;
}

/* To what the cache holds, not to what is in use here: a resumed run's own choices are no machine's. */
static status add_to_cache(const choices *all, const char *name, int algorithm)
{
    status st = OK;
    choices cache = *all;
    cache.list = NULL;
    cache.n = 0;
    TRY(read_file(&cache, cache.file, NULL));
    TRY(add(&cache, name, algorithm));
    TRY(write_file(&cache, cache.file));
out:
    free(cache.list);
    return st;
}

/* Locks the cache's folder; *kept: there is one that can be written. */
static status lock_cache(const choices *all, dir_lock *lock, bool *kept)
{
    status st = *all->file ? file_make_dirs(all->folder) : ERR_RUNTIME;
    if (st == OK) st = lock_take(all->folder, true, lock);
    *kept = st == OK;
    if (*all->file && !*kept) log_debug("no cache of convolution algorithms: %s", status_message());
    return st == STOPPED ? st : OK;
}

/* Times it, unless another process has done so while this one waited. */
static status choose_now(cpu *c, const op *o, int direction, const char *name, int *algorithm)
{
    status st = OK;
    choices *all = c->choices;
    dir_lock lock = { 0 };
    bool keep;
    TRY(lock_cache(all, &lock, &keep));
    if (keep) TRY(read_file(all, all->file, NULL));
    *algorithm = find(all, name);
    if (*algorithm >= 0) goto out;
    if (!all->said) log_info("timing convolution algorithms, once for this machine");
    all->said = true;
    TRY(race(c, o, direction, algorithm));
    TRY(add(all, name, *algorithm));
    if (keep && add_to_cache(all, name, *algorithm) != OK)
        log_warn("%s: not kept: %s", all->file, status_message());
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
                 o->type == BF16 ? "_bf16" : "", direction_names[direction]);
        algorithm = find(c->choices, name);
        if (algorithm < 0 && !c->choices->read && *c->choices->file)
            TRY(read_file(c->choices, c->choices->file, "choosing anew"));
        c->choices->read = true;
        if (algorithm < 0) algorithm = find(c->choices, name);
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
