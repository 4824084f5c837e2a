/* core/cuda/choice.c -- which engine runs which convolution, remembered, as cuDNN describes it itself, or as "own" (a
 * plan that is NULL): a second timing might choose another engine, and then two runs of one experiment would differ.
 * Three places, asked in this order:
 *
 *   memory   layers with the same problem share a plan; a resumed run's file is read into it before anything is planned
 *   cache    $CLEAVE_CACHE (default ~/.cache/cleave)/cudnn-VERSION-DEVICE/PROBLEM.json
 *   timing   engine_choose
 *
 * A run's file: a line that names library and device, then a line "PROBLEM JSON" each. */
#include "choice.h"

#include "../base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct engine_choice {
    engine_choice *next;
    char name[ENGINE_KEY_BYTES];
    descriptor plan;
};

/* --- as text --- */

static const char OWN[] = "own";

/* The caller frees. */
static status choice_write(descriptor made, char **out)
{
    status st = OK;
    if (made) return plan_to_json(made, out);
    TRY_ALLOC(*out, strdup(OWN));
out:
    return st;
}

static status choice_read(cuda *c, const char *text, descriptor *made)
{
    *made = NULL;
    return strcmp(text, OWN) == 0 ? OK : plan_from_json(c->cudnn, NULL, text, made);
}

/* --- memory --- */

static engine_choice *find(const cuda *c, const char *name)
{
    engine_choice *e = c->choices;
    while (e && strcmp(e->name, name) != 0) e = e->next;
    return e;
}

/* Takes the plan over. */
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

/* --- the cache --- */

static status cache_folder(const cuda *c, char *out, size_t bytes)
{
    const char *wanted = getenv("CLEAVE_CACHE"), *home = getenv("HOME");
    char device[256];
    snprintf(device, sizeof device, "%s", c->device.name);
    for (char *s = device; *s; s++)
        if (*s == ' ' || *s == '/') *s = '_';
    if (wanted) return text_format(out, bytes, "%s/cudnn-%zu-%s", wanted, cudnnGetVersion(), device);
    return text_format(out, bytes, "%s/.cache/cleave/cudnn-%zu-%s", home ? home : "/tmp", cudnnGetVersion(),
                       device);
}

static status cache_path(const cuda *c, const char *name, char *out, size_t bytes)
{
    status st = OK;
    char folder[3000];
    TRY(cache_folder(c, folder, sizeof folder));
    TRY(text_format(out, bytes, "%s/%s.json", folder, name));
out:
    return st;
}

/* Not found: not there, or not usable any more, and then it goes. */
static status cache_read(cuda *c, const char *name, bool *found, descriptor *made)
{
    status st = OK;
    char path[4096], line[5200], *json = NULL;
    *found = false;
    TRY(cache_path(c, name, path, sizeof path));
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &json, NULL));
    *found = choice_read(c, json, made) == OK;
    if (*found) goto out;
    snprintf(line, sizeof line, "%s: %s; choosing anew", path, status_message());
    c->note(line);
    remove(path);
out:
    free(json);
    return st;
}

/* A choice that cannot be stored still runs; the user hears about it once. */
static void cache_write(cuda *c, const char *name, descriptor made)
{
    status st = OK;
    static bool told;
    char path[4096], folder[3000], line[1200], *json = NULL;
    TRY(cache_folder(c, folder, sizeof folder));
    TRY(cache_path(c, name, path, sizeof path));
    TRY(file_make_dirs(folder));
    TRY(choice_write(made, &json));
    TRY(file_replace(path, json, strlen(json)));
out:
    free(json);
    if (st == OK || told) return;
    told = true;
    snprintf(line, sizeof line, "the choice of convolution engines is not kept: %s", status_message());
    c->note(line);
}

/* --- choosing --- */

/* CLEAVE_TUNE=0: our own, else cuDNN's first guess that need not be compiled first; neither timed nor kept; for tests. */
static bool tuning(void)
{
    const char *wanted = getenv("CLEAVE_TUNE");
    return !wanted || strcmp(wanted, "0") != 0;
}

/* Times the engines, unless another process has done so in the meantime: then its choice counts. */
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
    char name[ENGINE_KEY_BYTES];
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

/* --- a run's file --- */

static void machine_text(const cuda *c, char *out, size_t bytes)
{
    snprintf(out, bytes, "cleave convolution engines, cuDNN %zu, %.200s", cudnnGetVersion(), c->device.name);
}

/* The choice of one line; false: it is none, or cuDNN does not take it. */
static bool read_choice(cuda *c, char *line)
{
    char *json = strchr(line, ' ');
    descriptor made = NULL;
    if (!json || json - line >= ENGINE_KEY_BYTES) return false;
    *json++ = '\0';
    if (find(c, line)) return true;
    return choice_read(c, json, &made) == OK && remember(c, line, made) == OK;
}

status choices_load(backend *b, const char *path)
{
    status st = OK;
    cuda *c = (cuda *)b;
    char machine[300], note[5200], *text = NULL, *rest = NULL;
    const char *why = NULL;
    if (!file_exists(path)) goto out;
    TRY(file_read(path, &text, NULL));
    machine_text(c, machine, sizeof machine);
    char *line = strtok_r(text, "\n", &rest);
    if (!line || strcmp(line, machine) != 0) why = "not made by this cuDNN on this GPU";
    while (!why && (line = strtok_r(NULL, "\n", &rest)))
        if (!read_choice(c, line)) why = "damaged, or not taken by cuDNN";
    if (!why) goto out;
    snprintf(note, sizeof note, "%s: %s; choosing anew: the run will not repeat to the last bit", path, why);
    c->note(note);
out:
    free(text);
    return st;
}

static status write_choice(file_writer *w, const engine_choice *e)
{
    status st = OK;
    char *json = NULL;
    TRY(choice_write(e->plan, &json));
    for (char *s = json; *s; s++)
        if (*s == '\n' || *s == '\r') *s = ' '; /* between tokens: strings of JSON have none */
    TRY(file_put(w, e->name, strlen(e->name)));
    TRY(file_put(w, " ", 1));
    TRY(file_put(w, json, strlen(json)));
    TRY(file_put(w, "\n", 1));
out:
    free(json);
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
    TRY(file_put(&w, machine, strlen(machine)));
    TRY(file_put(&w, "\n", 1));
    for (const engine_choice *e = c->choices; e; e = e->next) TRY(write_choice(&w, e));
    TRY(file_commit(&w));
out:
    file_abandon(&w);
    return st;
}
