/* core/cpu/choices.c -- which algorithm runs which convolution, remembered: a second timing might choose another one,
 * and then two runs of one experiment would differ. Choices are kept for all later runs in a file,
 *
 *     CACHE/conv-HASH.txt      CACHE = $CLEAVE_CACHE, else $XDG_CACHE_HOME/cleave, else ~/.cache/cleave
 *
 * whose first line is what HASH stands for (library version, processor, instructions, threads), and each
 * further line a choice: "n256c64h32w32_o64 forward winograd". A file that is not of this form is ignored,
 * and replaced.
 *
 * A run keeps a copy of its choices in its directory (cpu_choices_save), which goes before the cache when it is
 * resumed (cpu_choices_load): it ends with the bits it began with even if the cache was lost in between. */
#include "choices.h"

#include "../base/file.h"
#include "../base/log.h"

#include <stdio.h>
#include <stdlib.h>

const char *const conv_direction_names[CONV_DIRECTIONS] = { "forward", "data", "weights" };
const char *const conv_algorithm_names[CONV_ALGORITHMS] = {
    [CONV_DIRECT] = "direct", [CONV_WINOGRAD] = "winograd"
};

/* --- what is known --- */

typedef struct choice {
    char name[64]; /* shape and direction */
    int algorithm;
} choice;

struct choices {
    char machine[256];
    char folder[3000], file[4096]; /* of the cache; "" = none */
    bool read;                     /* the cache, when something was first asked for */
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
        st = text_format(c->folder, sizeof c->folder, "%s", own);
    else if (xdg && *xdg)
        st = text_format(c->folder, sizeof c->folder, "%s/cleave", xdg);
    else if (home && *home)
        st = text_format(c->folder, sizeof c->folder, "%s/.cache/cleave", home);
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
    for (int d = 0; d < CONV_DIRECTIONS; d++) known |= !strcmp(direction, conv_direction_names[d]);
    out->algorithm = -1;
    for (int a = 0; a < CONV_ALGORITHMS; a++)
        if (!strcmp(algorithm, conv_algorithm_names[a])) out->algorithm = a;
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
        snprintf(line, sizeof line, "%s %s\n", c->list[i].name, conv_algorithm_names[c->list[i].algorithm]);
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

/* --- the cache --- */

status choices_find(choices *c, const char *name, int *algorithm)
{
    status st = OK;
    *algorithm = find(c, name);
    if (*algorithm < 0 && !c->read && *c->file) TRY(read_file(c, c->file, "choosing anew"));
    c->read = true;
    if (*algorithm < 0) *algorithm = find(c, name);
out:
    return st;
}

status choices_lock(choices *c, dir_lock *lock, bool *kept)
{
    status st = *c->file ? file_make_dirs(c->folder) : ERR_RUNTIME;
    if (st == OK) st = lock_take(c->folder, true, lock);
    *kept = st == OK;
    if (*kept) return read_file(c, c->file, NULL);
    if (*c->file) log_debug("no cache of convolution algorithms: %s", status_message());
    return st == STOPPED ? st : OK;
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

status choices_add(choices *c, const char *name, int algorithm, bool keep)
{
    status st = OK;
    TRY(add(c, name, algorithm));
    if (keep && add_to_cache(c, name, algorithm) != OK)
        log_warn("%s: not kept: %s", c->file, status_message());
out:
    return st;
}
