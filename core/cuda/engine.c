/* core/cuda/engine.c -- runs convolutions, and remembers which engine was chosen for each.
 *
 * A second timing might choose another engine, and then two runs of one experiment would differ. So a choice is kept as
 * text, as cuDNN describes its plan itself or as "own", and looked for in three places, in this order:
 *
 *   memory   layers with the same problem share a plan; a resumed run's file is read into it before anything is planned
 *   cache    $CLEAVE_CACHE (default ~/.cache/cleave)/cudnn-VERSION-DEVICE/PROBLEM.json
 *   timing   engine_choose
 *
 * A run's file has one line that names library and device, then a line "PROBLEM PLAN" for each choice. */
#include "cudnn_graph.h"

#include "../base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- problems --- */

conv_problem conv_problem_of(const op *o, conv_direction direction, bool add, bool tf32)
{
    return (conv_problem){ .direction = direction,
                           .add = add,
                           .tf32 = tf32 && o->type == F32,
                           .type = o->type,
                           .x = o->x,
                           .y = o->y,
                           .conv = o->conv };
}

void conv_problem_name(const conv_problem *p, char out[PROBLEM_NAME_BYTES])
{
    static const char *const names[] = { "fprop", "dgrad", "wgrad" };
    const char *type = p->type == BF16 ? "bf16" : p->tf32 ? "tf32" : "f32";
    snprintf(out, PROBLEM_NAME_BYTES, "%s%s_%s_n%dc%dh%dw%d_k%dr%ds%dp%dg%d", names[p->direction],
             p->add ? "-add" : "", type, p->x.n, p->x.c, p->x.h, p->x.w, p->conv.out, p->conv.kernel,
             p->conv.stride, p->conv.pad, p->conv.groups);
}

/* --- engines --- */

struct engine {
    conv_problem problem;
    descriptor plan; /* shared by all engines of this problem; NULL: our own kernels */
    descriptor pack; /* cuDNN's list of the pointers below */
    const void *x, *w, *y;
    void *workspace;
};

status engine_open(cuda *c, const conv_problem *p, engine **out, size_t *workspace)
{
    status st = OK;
    engine *e = NULL;
    TRY_ALLOC(e, calloc(1, sizeof *e));
    e->problem = *p;
    TRY(choice_find(c, p, &e->plan));
    if (!e->plan && !own_fits(p))
        FAIL(ERR_RUNTIME,
             "the engine kept for a convolution does not fit it: $CLEAVE_CACHE or algorithms.txt "
             "was changed");
    if (e->plan)
        TRY(execution_plan_workspace(e->plan, workspace));
    else
        *workspace = own_workspace(c, p);
    *out = e;
    e = NULL;
out:
    engine_close(e);
    return st;
}

void engine_close(engine *e)
{
    if (!e) return;
    descriptor_close(&e->pack);
    free(e);
}

status engine_run(engine *e, cuda *c, const void *x, const void *w, const void *y, void *workspace)
{
    status st = OK;
    if (!e->plan) return own_run(c, &e->problem, x, w, y, workspace);
    if (!e->pack || x != e->x || w != e->w || y != e->y || workspace != e->workspace) {
        descriptor_close(&e->pack);
        TRY(variant_pack_open(x, w, y, workspace, &e->pack));
        e->x = x, e->w = w, e->y = y, e->workspace = workspace;
    }
    TRY_CUDNN(cudnnBackendExecute(c->cudnn, e->plan, e->pack));
out:
    return st;
}

/* --- choices as text ---
 *
 *   own                             our own kernels
 *   #0123456789abcdef {"cudnn...    cuDNN's plan as JSON, after a hash of the problem's name and of the plan
 *   {"cudnn...                      the same as older files have it
 *
 * cuDNN takes a plan whose JSON was changed: with "alpha": 9.0 in place of 1.0 it computes ninefold convolutions, with
 * another stride it reads beyond x. And other changes make it end the process. So a damaged plan must not reach it. */

static const char OWN[] = "own";
enum { HASH_BYTES = 18 }; /* "#" and 16 digits and a blank */

/* Of the problem and of its plan: a plan beside another problem's name is no better than a damaged one. */
static uint64_t choice_hash(const char *problem, const char *json)
{
    return file_hash(problem, strlen(problem)) ^ 31 * file_hash(json, strlen(json));
}

/* One line without its end. The caller frees. */
static status choice_write(const char *problem, descriptor made, char **out)
{
    status st = OK;
    char *json = NULL;
    if (!made) {
        TRY_ALLOC(*out, strdup(OWN));
        goto out;
    }
    TRY(execution_plan_to_json(made, &json));
    for (char *s = json; *s; s++) /* in JSON, line breaks stand only between tokens */
        if (*s == '\n' || *s == '\r') *s = ' ';
    const size_t bytes = HASH_BYTES + strlen(json) + 1;
    TRY_ALLOC(*out, malloc(bytes));
    snprintf(*out, bytes, "#%016llx %s", (unsigned long long)choice_hash(problem, json), json);
out:
    free(json);
    return st;
}

static status choice_read(cuda *c, const char *problem, const char *text, descriptor *made)
{
    status st = OK;
    char hash[HASH_BYTES + 1];
    *made = NULL;
    if (strcmp(text, OWN) == 0) goto out;
    if (*text == '#') {
        const char *json = strlen(text) < HASH_BYTES ? "" : text + HASH_BYTES;
        snprintf(hash, sizeof hash, "#%016llx ", (unsigned long long)choice_hash(problem, json));
        if (strncmp(text, hash, HASH_BYTES) != 0) FAIL(ERR_DATA, "a damaged plan");
        text = json;
    }
    TRY(execution_plan_from_json(c->cudnn, NULL, text, made));
out:
    return st;
}

/* --- choices in memory --- */

struct engine_choice {
    engine_choice *next;
    char name[PROBLEM_NAME_BYTES];
    descriptor plan;
};

static engine_choice *find(const cuda *c, const char *name)
{
    engine_choice *e = c->choices;
    while (e && strcmp(e->name, name) != 0) e = e->next;
    return e;
}

/* Owns the plan from here on, also after a failure. */
static status remember(cuda *c, const char *name, descriptor made)
{
    engine_choice *e = calloc(1, sizeof *e);
    if (!e) {
        descriptor_close(&made);
        return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory");
    }
    snprintf(e->name, sizeof e->name, "%s", name);
    e->plan = made;
    e->next = c->choices;
    c->choices = e;
    return OK;
}

void choices_forget(cuda *c)
{
    while (c->choices) {
        engine_choice *next = c->choices->next;
        descriptor_close(&c->choices->plan);
        free(c->choices);
        c->choices = next;
    }
}

/* --- choices in the cache --- */

static status cache_folder(const cuda *c, file_path *out)
{
    const char *wanted = getenv("CLEAVE_CACHE"), *home = getenv("HOME");
    char device[256];
    snprintf(device, sizeof device, "%s", c->device.name);
    for (char *s = device; *s; s++)
        if (*s == ' ' || *s == '/') *s = '_';
    if (wanted) return path_set(out, "%s/cudnn-%zu-%s", wanted, cudnnGetVersion(), device);
    return path_set(out, "%s/.cache/cleave/cudnn-%zu-%s", home ? home : "/tmp", cudnnGetVersion(), device);
}

static status cache_path(const cuda *c, const char *name, file_path *out)
{
    status st = OK;
    file_path folder;
    TRY(cache_folder(c, &folder));
    TRY(path_set(out, "%s/%s.json", folder.s, name));
out:
    return st;
}

/* *found is false if there is no such file. It is also false if cuDNN rejects the file, which is then removed. */
static status cache_read(cuda *c, const char *name, bool *found, descriptor *made)
{
    status st = OK;
    file_path path;
    char note[PATH_BYTES + 1200], *text = NULL;
    *found = false;
    TRY(cache_path(c, name, &path));
    if (!file_exists(path.s)) goto out;
    TRY(file_read(path.s, &text, NULL));
    *found = choice_read(c, name, text, made) == OK;
    if (*found) goto out;
    snprintf(note, sizeof note, "%s: %s; choosing again", path.s, status_message());
    c->note(note);
    remove(path.s);
out:
    free(text);
    return st;
}

/* A failure only means that the choice will be made again: it is reported once, as a note. */
static void cache_write(cuda *c, const char *name, descriptor made)
{
    status st = OK;
    static bool told;
    file_path path, folder;
    char note[1200], *text = NULL;
    TRY(cache_folder(c, &folder));
    TRY(cache_path(c, name, &path));
    TRY(file_make_dirs(folder.s));
    TRY(choice_write(name, made, &text));
    TRY(file_replace(path.s, text, strlen(text)));
out:
    free(text);
    if (st == OK || told) return;
    told = true;
    snprintf(note, sizeof note, "the choice of convolution engines is not kept: %s", status_message());
    c->note(note);
}

/* --- choosing --- */

/* With CLEAVE_TUNE=0, which is for tests, engines are neither timed nor kept. */
static bool tuning(void)
{
    const char *wanted = getenv("CLEAVE_TUNE");
    return !wanted || strcmp(wanted, "0") != 0;
}

/* If another process timed the same problem meanwhile, we take its choice, so that both run the same engine. */
static status time_engines(cuda *c, const conv_problem *p, const char *name, descriptor *made)
{
    status st = OK;
    static bool told;
    bool found = false;
    descriptor theirs = NULL;
    if (!told) c->note("timing convolution engines; the choice is kept for the next time");
    told = true;
    TRY(engine_choose(c, p, true, made));
    TRY(cache_read(c, name, &found, &theirs));
    if (found) {
        descriptor_close(made);
        *made = theirs;
    } else {
        cache_write(c, name, *made);
    }
out:
    return st;
}

static status find_plan(cuda *c, const conv_problem *p, const char *name, descriptor *made)
{
    status st = OK;
    bool found = false;
    if (!tuning()) {
        TRY(engine_choose(c, p, false, made));
        goto out;
    }
    TRY(cache_read(c, name, &found, made));
    if (!found) TRY(time_engines(c, p, name, made));
out:
    if (st != OK) st = status_prefix(st, "convolution %s", name);
    return st;
}

status choice_find(cuda *c, const conv_problem *p, descriptor *made)
{
    status st = OK;
    char name[PROBLEM_NAME_BYTES];
    conv_problem_name(p, name);
    const engine_choice *known = find(c, name);
    if (known) {
        *made = known->plan;
        goto out;
    }
    TRY(find_plan(c, p, name, made));
    TRY(remember(c, name, *made));
out:
    return st;
}

/* --- choices in a run's file --- */

static void machine_text(const cuda *c, char *out, size_t bytes)
{
    snprintf(out, bytes, "cleave convolution engines, cuDNN %zu, %.200s", cudnnGetVersion(), c->device.name);
}

/* Remembers the choice of one line; false if the line has none or cuDNN rejects it. */
static bool read_choice(cuda *c, char *line)
{
    char *text = strchr(line, ' ');
    descriptor made = NULL;
    if (!text || text - line >= PROBLEM_NAME_BYTES) return false;
    *text++ = '\0';
    if (find(c, line)) return true;
    return choice_read(c, line, text, &made) == OK && remember(c, line, made) == OK;
}

status choices_load(backend *b, const char *path)
{
    status st = OK;
    cuda *c = (cuda *)b;
    char machine[300], note[PATH_BYTES + 1200], *text = NULL, *rest = NULL;
    const char *why = NULL;
    size_t bytes;
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &text, &bytes));
    machine_text(c, machine, sizeof machine);
    const bool cut_off = strlen(text) != bytes; /* by a NUL byte */
    char *line = strtok_r(text, "\n", &rest);
    if (!line || strcmp(line, machine) != 0) why = "not made by this cuDNN on this GPU";
    while (!why && (line = strtok_r(NULL, "\n", &rest)))
        if (!read_choice(c, line)) why = "damaged, or not taken by cuDNN";
    if (!why && cut_off) why = "damaged: a NUL byte in it";
    if (!why) goto out;
    snprintf(note, sizeof note, "%s: %s; choosing again: the run will not repeat to the last bit", path, why);
    c->note(note);
out:
    free(text);
    return st;
}

static status put_text(file_writer *w, const char *text)
{
    return file_put(w, text, strlen(text));
}

static status write_choice(file_writer *w, const engine_choice *e)
{
    status st = OK;
    char *text = NULL;
    TRY(choice_write(e->name, e->plan, &text));
    TRY(put_text(w, e->name));
    TRY(put_text(w, " "));
    TRY(put_text(w, text));
    TRY(put_text(w, "\n"));
out:
    free(text);
    return st;
}

status choices_save(const backend *b, const char *path)
{
    status st = OK;
    const cuda *c = (const cuda *)b;
    char machine[300];
    file_writer w = { 0 };
    if (!c->choices) goto out;
    machine_text(c, machine, sizeof machine);
    TRY(file_begin(&w, path));
    TRY(put_text(&w, machine));
    TRY(put_text(&w, "\n"));
    for (const engine_choice *e = c->choices; e; e = e->next) TRY(write_choice(&w, e));
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    return st;
}
