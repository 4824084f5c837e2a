/* nets/checkpoint.c -- see checkpoint.h. */
#include "checkpoint.h"

#include "../core/base/json.h"
#include "../core/base/log.h"
#include "../core/base/text.h"
#include "net_private.h"
#include "spelling.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- metadata ---- */

static status json_of(const st_file *f, const char *path, const char *key, cJSON **out)
{
    status st = OK;
    const char *text = st_meta(f, key);
    *out = NULL;
    if (text) TRY(json_parse(text, strlen(text), NULL, out));
    if (text && !*out) FAIL(ERR_DATA, "%s: metadata \"%s\" is not JSON", path, key);
out:
    return st;
}

static bool whole_number(const cJSON *j, double low, double high)
{
    return cJSON_IsNumber(j) && j->valuedouble >= low && j->valuedouble <= high &&
           j->valuedouble == (double)(int64_t)j->valuedouble;
}

/* [channels, height, width]; missing in files from before nets saw images of other sizes. */
static bool read_image(const cJSON *list, image_shape *out)
{
    int *const value[] = { &out->channels, &out->height, &out->width };
    *out = (image_shape){ 3, 32, 32 };
    if (!list) return true;
    if (cJSON_GetArraySize(list) != 3) return false;
    for (int i = 0; i < 3; i++) {
        const cJSON *v = cJSON_GetArrayItem(list, i);
        if (!whole_number(v, 1, i ? DATA_MAX_SIDE : 3)) return false;
        *value[i] = (int)v->valuedouble;
    }
    return out->channels != 2;
}

static status read_arch(const st_file *f, const char *path, checkpoint_info *out)
{
    status st = OK;
    cJSON *j = NULL;
    TRY(json_of(f, path, "arch", &j));
    if (!j) goto out;
    const cJSON *arch = cJSON_GetObjectItem(j, "arch"), *classes = cJSON_GetObjectItem(j, "classes");
    const cJSON *removed = cJSON_GetObjectItem(j, "removed"), *unit;
    if (!cJSON_IsString(arch) || !whole_number(classes, 2, 1e6) || (removed && !cJSON_IsArray(removed)))
        FAIL(ERR_DATA,
             "%s: metadata \"arch\" should be {\"arch\": name, \"classes\": n, \"removed\": [names]}", path);
    TRY_ALLOC(out->arch, strdup(arch->valuestring));
    out->classes = (int)classes->valuedouble;
    if (!read_image(cJSON_GetObjectItem(j, "image"), &out->image))
        FAIL(ERR_DATA,
             "%s: metadata \"arch\": \"image\" should be [channels, height, width], each at least 1", path);
    TRY_ALLOC(out->removed, calloc((size_t)cJSON_GetArraySize(removed) + 1, sizeof *out->removed));
    cJSON_ArrayForEach(unit, removed)
    {
        if (!cJSON_IsString(unit))
            FAIL(ERR_DATA, "%s: metadata \"arch\": a removed unit is not a name", path);
        TRY_ALLOC(out->removed[out->n_removed], strdup(unit->valuestring));
        out->n_removed++;
    }
out:
    cJSON_Delete(j);
    return st;
}

static bool three_numbers(const cJSON *list, float out[3])
{
    if (!cJSON_IsArray(list) || cJSON_GetArraySize(list) != 3) return false;
    for (int i = 0; i < 3; i++) {
        const cJSON *x = cJSON_GetArrayItem(list, i);
        if (!cJSON_IsNumber(x)) return false;
        out[i] = (float)x->valuedouble;
    }
    return true;
}

static status read_normalisation(const st_file *f, const char *path, checkpoint_info *out)
{
    status st = OK;
    cJSON *j = NULL;
    TRY(json_of(f, path, "normalisation", &j));
    if (!j) goto out;
    if (!three_numbers(cJSON_GetObjectItem(j, "mean"), out->mean) ||
        !three_numbers(cJSON_GetObjectItem(j, "std"), out->std))
        FAIL(ERR_DATA, "%s: metadata \"normalisation\" should be {\"mean\": [r, g, b], \"std\": [r, g, b]}",
             path);
    out->has_normalisation = true;
out:
    cJSON_Delete(j);
    return st;
}

static status read_state(const st_file *f, const char *path, checkpoint_info *out)
{
    status st = OK;
    cJSON *j = NULL;
    TRY(json_of(f, path, "state", &j));
    if (!j) goto out;
    static const char *const keys[] = { "epoch",      "step",          "train_loss", "train_correct",
                                        "train_rows", "best_accuracy", "best_epoch" };
    double v[7];
    for (int i = 0; i < 7; i++) {
        const cJSON *x = cJSON_GetObjectItem(j, keys[i]);
        const bool is_count = i != 2 && i != 5;
        if (is_count ? !whole_number(x, i == 6 ? -1 : 0, 1e12) : !cJSON_IsNumber(x))
            FAIL(ERR_DATA, "%s: metadata \"state\" has no number \"%s\", or one that cannot be", path,
                 keys[i]);
        v[i] = x->valuedouble;
    }
    if (v[0] > INT_MAX || v[1] > INT_MAX || v[3] > v[4] || v[6] >= fmax(v[0], 1) ||
        !(v[5] >= -1 && v[5] <= 1))
        FAIL(ERR_DATA, "%s: metadata \"state\" contradicts itself", path);
    out->state = (train_state){ .epoch = (int)v[0],
                                .step = (int)v[1],
                                .best_accuracy = v[5],
                                .best_epoch = (int)v[6],
                                .train = { .loss = v[2], .correct = (int64_t)v[3], .rows = (int64_t)v[4] } };
    out->has_state = true;
out:
    cJSON_Delete(j);
    return st;
}

static status copy_text(const st_file *f, const char *key, char **out)
{
    status st = OK;
    const char *text = st_meta(f, key);
    if (text) TRY_ALLOC(*out, strdup(text));
out:
    return st;
}

static double number_of(const st_file *f, const char *key, double otherwise)
{
    const char *text = st_meta(f, key);
    char *end = NULL;
    double v = text ? strtod(text, &end) : otherwise;
    return text && (end == text || *end) ? otherwise : v;
}

status checkpoint_info_read(const st_file *f, const char *path, checkpoint_info *out)
{
    status st = OK;
    *out = (checkpoint_info){ 0 };
    TRY(read_arch(f, path, out));
    TRY(read_normalisation(f, path, out));
    TRY(read_state(f, path, out));
    TRY(copy_text(f, "config", &out->config));
    TRY(copy_text(f, "parent", &out->parent));
    TRY(copy_text(f, "cuts", &out->cuts));
    const double epoch = number_of(f, "epoch", -1);
    out->epoch = epoch >= -1 && epoch <= 1e9 ? (int)epoch : -1;
    out->accuracy = number_of(f, "accuracy", -1);
out:
    if (st != OK) checkpoint_info_free(out);
    return st;
}

void checkpoint_info_free(checkpoint_info *c)
{
    for (unsigned i = 0; i < c->n_removed; i++) free(c->removed[i]);
    free(c->removed);
    free(c->arch);
    free(c->config);
    free(c->parent);
    free(c->cuts);
    *c = (checkpoint_info){ 0 };
}

/* ---- loading ---- */

const char *checkpoint_param_name(const char *tensor)
{
    if (!strncmp(tensor, "module.", 7)) tensor += 7;
    return spelling_is_beside(tensor) ? NULL : tensor;
}

static void shape_text(char *out, size_t bytes, int rank, const int64_t *shape)
{
    size_t used = (size_t)snprintf(out, bytes, "[");
    for (int i = 0; i < rank && used < bytes; i++)
        used += (size_t)snprintf(out + used, bytes - used, "%s%lld", i ? ", " : "", (long long)shape[i]);
    if (used < bytes) snprintf(out + used, bytes - used, "]");
}

/* `what`: the name that the net gives to it. */
static status check_tensor(const net *n, const st_tensor *t, const char *path, const net_param *p,
                           const char *what)
{
    status st = OK;
    if (t->type != ST_F32 && t->type != ST_F16 && t->type != ST_BF16 && t->type != ST_F64)
        FAIL(ERR_DATA, "%s: %s holds %s, not floating-point numbers", path, t->name, st_dtype_name(t->type));
    if (!spelling_same_shape(t, &p->spec)) {
        char is[200], should[200];
        shape_text(is, sizeof is, t->rank, t->shape);
        shape_text(should, sizeof should, p->spec.rank, p->spec.shape);
        FAIL(ERR_DATA, "%s: %s is %s, but %s needs %s", path, what, is, net_arch(n), should);
    }
out:
    return st;
}

/* What a profiler adds, for example, is said once and left out. */
static void warn_of_tensors_beside(const st_file *f, const char *path)
{
    const char *first = NULL;
    int n = 0;
    for (int i = 0; i < f->n_tensors; i++) {
        const char *name = f->tensor[i].name;
        if (!text_ends_with(name, "total_ops") && !text_ends_with(name, "total_params")) continue;
        if (!first) first = name;
        n++;
    }
    if (n)
        log_warn("%s: %d tensors that are no part of a net are left out: %s%s", path, n, first,
                 n > 1 ? ", ..." : "");
}

/* "conv1.weight, bn1.weight, ... (62 in all)": the parameters of the net that the file lacks, or with `of_file` the tensors
 * of the file that the net lacks. */
static void list_strangers(const net *n, const st_file *f, const st_tensor *const *found, bool of_file,
                           char *out, size_t bytes)
{
    enum { SHOWN = 3 };
    int total = 0;
    size_t used = 0;
    out[0] = '\0';
    for (int i = 0; i < (of_file ? f->n_tensors : n->n_params); i++) {
        const char *name = of_file ? f->tensor[i].name : n->param[i].name;
        if (of_file ? spelling_is_beside(name) || spelling_param(n, name) >= 0 : found[i] != NULL) continue;
        if (total++ < SHOWN && used < bytes)
            used += (size_t)snprintf(out + used, bytes - used, "%s%s", used ? ", " : "", name);
    }
    if (total > SHOWN && used < bytes) snprintf(out + used, bytes - used, ", ... (%d in all)", total);
    if (!total) snprintf(out, bytes, "none");
}

/* tensor[n_params] of the file for each parameter and buffer. strict: every tensor has its place. */
static status match(const net *n, const st_file *f, const char *path, bool strict, const st_tensor **tensor)
{
    status st = OK;
    char lacking[400], left_over[400];
    for (int i = 0; i < f->n_tensors; i++) {
        const st_tensor *t = &f->tensor[i];
        const int p = spelling_param(n, t->name);
        if (p < 0 && strict && !spelling_is_beside(t->name)) goto strangers;
        if (p < 0) continue;
        if (tensor[p])
            FAIL(ERR_DATA, "%s: %s is there twice: %s and %s", path, n->param[p].name, tensor[p]->name,
                 t->name);
        tensor[p] = t;
    }
    for (int i = 0; i < n->n_params; i++)
        if (!tensor[i]) goto strangers;
    for (int i = 0; i < n->n_params; i++)
        TRY(check_tensor(n, tensor[i], path, &n->param[i], n->param[i].name));
    warn_of_tensors_beside(f, path);
    goto out;
strangers:
    list_strangers(n, f, tensor, false, lacking, sizeof lacking);
    list_strangers(n, f, tensor, true, left_over, sizeof left_over);
    FAIL(ERR_DATA, "%s does not hold %s%s: lacking %s; of no use %s", path, net_arch(n),
         n->n_removed ? " without its removed units" : "", lacking, left_over);
out:
    return st;
}

/* optimizer.NAME of a trainable parameter. */
static status find_velocity(const net *n, const st_file *f, const char *path, const net_param *p,
                            const st_tensor **out)
{
    status st = OK;
    char name[128];
    TRY(text_format(name, sizeof name, "optimizer.%s", p->name));
    *out = st_find(f, name);
    if (!*out) FAIL(ERR_DATA, "%s: no tensor %s, which %s needs", path, name, net_arch(n));
    TRY(check_tensor(n, *out, path, p, name));
out:
    return st;
}

static void read_steps(net *n, const st_file *f)
{
    for (int i = 0; i < f->n_tensors; i++) {
        const st_tensor *t = &f->tensor[i];
        int64_t steps;
        if (!text_ends_with(t->name, ".num_batches_tracked") || t->type != ST_I64 || t->count != 1) continue;
        memcpy(&steps, t->data, sizeof steps);
        net_set_steps(n, steps);
        return;
    }
}

status checkpoint_load(net *n, const st_file *f, const char *path, bool strict, bool velocity)
{
    status st = OK;
    float *host = NULL;
    const st_tensor **tensor, *v;
    TRY_ALLOC(tensor, calloc((size_t)n->n_params + 1, sizeof *tensor));
    TRY(match(n, f, path, strict, tensor));
    for (int i = 0; velocity && i < n->n_params; i++)
        if (n->param[i].spec.trainable) TRY(find_velocity(n, f, path, &n->param[i], &v));
    TRY_ALLOC(host, malloc((size_t)net_param_largest(n) * sizeof *host));
    for (int i = 0; i < n->n_params; i++) {
        const net_param *p = &n->param[i];
        TRY(st_to_f32(tensor[i], host));
        TRY(net_param_write(n, p, host));
        if (!velocity || !p->spec.trainable) continue;
        TRY(find_velocity(n, f, path, p, &v));
        TRY(st_to_f32(v, host));
        TRY(net_velocity_write(n, p, host));
    }
    read_steps(n, f);
out:
    free(tensor);
    free(host);
    return st;
}

status checkpoint_read(net *n, const char *path)
{
    status st = OK;
    st_file f = { 0 };
    TRY(st_open(path, &f));
    TRY(checkpoint_load(n, &f, path, n->n_removed == 0, false));
out:
    st_close(&f);
    return st;
}

/* ---- saving ---- */

typedef struct image_of_net { /* a copy of the net on the host, in the form of st_write */
    st_tensor *tensor;
    int n;
    char (*name)[128];
    float *values, *at;
    int64_t steps;
} image_of_net;

static status add_tensor(image_of_net *m, const net_param *p, const char *prefix, st_dtype type,
                         const void *data)
{
    status st = OK;
    st_tensor *t = &m->tensor[m->n];
    TRY(text_format(m->name[m->n], sizeof m->name[0], "%s%s", prefix, p->name));
    *t = (st_tensor){
        .name = m->name[m->n], .type = type, .rank = p->spec.rank, .count = p->count, .data = data
    };
    memcpy(t->shape, p->spec.shape, sizeof p->spec.shape);
    m->n++;
out:
    return st;
}

/* PyTorch keeps a step counter in each BN. They all agree, so a net keeps one. */
static status add_counter(image_of_net *m, const net_param *running_mean)
{
    status st = OK;
    TRY(add_tensor(m, running_mean, "", ST_I64, &m->steps));
    st_tensor *t = &m->tensor[m->n - 1];
    strcpy(t->name + strlen(t->name) - strlen("running_mean"), "num_batches_tracked");
    t->rank = 0;
    t->count = 1;
out:
    return st;
}

static int by_type_and_name(const void *a, const void *b)
{
    const st_tensor *x = a, *y = b;
    return x->type != y->type ? (x->type == ST_I64 ? -1 : 1) : strcmp(x->name, y->name);
}

static status gather(const net *n, bool velocity, image_of_net *m)
{
    status st = OK;
    int64_t values = 0;
    for (int i = 0; i < n->n_params; i++) values += 2 * n->param[i].count;
    TRY_ALLOC(m->values, malloc((size_t)values * sizeof *m->values));
    TRY_ALLOC(m->tensor, calloc(3 * (size_t)n->n_params, sizeof *m->tensor));
    TRY_ALLOC(m->name, calloc(3 * (size_t)n->n_params, sizeof *m->name));
    m->at = m->values;
    m->steps = n->steps;
    for (int i = 0; i < n->n_params; i++) {
        const net_param *p = &n->param[i];
        TRY(net_param_read(n, p, m->at));
        TRY(add_tensor(m, p, "", ST_F32, m->at));
        m->at += p->count;
        if (text_ends_with(p->name, ".running_mean")) TRY(add_counter(m, p));
        if (!velocity || !p->spec.trainable) continue;
        TRY(net_velocity_read(n, p, m->at));
        TRY(add_tensor(m, p, "optimizer.", ST_F32, m->at));
        m->at += p->count;
    }
    qsort(m->tensor, (size_t)m->n, sizeof *m->tensor, by_type_and_name);
out:
    return st;
}

static status arch_json(const net *n, char **out)
{
    status st = OK;
    cJSON *j, *removed, *size;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(json_put_list(j, "removed", &removed));
    TRY(json_put_text(j, "arch", n->arch));
    TRY(json_put_number(j, "classes", n->classes));
    const image_shape image = net_image(n);
    if (image.channels != 3 || image.height != 32 || image.width != 32) {
        TRY(json_put_list(j, "image", &size));
        for (int i = 0; i < 3; i++)
            TRY(json_append(size,
                            cJSON_CreateNumber((int[]){ image.channels, image.height, image.width }[i])));
    }
    for (unsigned i = 0; i < n->n_removed; i++) TRY(json_append(removed, cJSON_CreateString(n->removed[i])));
    TRY_ALLOC(*out, cJSON_PrintUnformatted(j));
out:
    cJSON_Delete(j);
    return st;
}

/* cJSON prints 15 digits where these are close enough, but a resumed run needs the same bits. */
static status put_exact(cJSON *j, const char *key, double v)
{
    char text[32];
    snprintf(text, sizeof text, "%.17g", v);
    return json_put(j, key, cJSON_CreateRaw(text));
}

static status state_json(const train_state *s, char **out)
{
    status st = OK;
    cJSON *j;
    TRY_ALLOC(j, cJSON_CreateObject());
    TRY(put_exact(j, "epoch", s->epoch));
    TRY(put_exact(j, "step", s->step));
    TRY(put_exact(j, "train_loss", s->train.loss));
    TRY(put_exact(j, "train_correct", (double)s->train.correct));
    TRY(put_exact(j, "train_rows", (double)s->train.rows));
    TRY(put_exact(j, "best_accuracy", s->best_accuracy));
    TRY(put_exact(j, "best_epoch", s->best_epoch));
    TRY_ALLOC(*out, cJSON_PrintUnformatted(j));
out:
    cJSON_Delete(j);
    return st;
}

status checkpoint_save(net *n, const char *path, const st_pair *extra, int n_extra, const train_state *state)
{
    status st = OK;
    image_of_net m = { 0 };
    char *arch = NULL, *where = NULL;
    st_pair *meta = NULL;
    int n_meta = 0;
    TRY(arch_json(n, &arch));
    if (state) TRY(state_json(state, &where));
    TRY_ALLOC(meta, calloc((size_t)n_extra + 3, sizeof *meta));
    meta[n_meta++] = (st_pair){ "format", "pt" }; /* what PyTorch's reader expects */
    meta[n_meta++] = (st_pair){ "arch", arch };
    if (state) meta[n_meta++] = (st_pair){ "state", where };
    for (int i = 0; i < n_extra; i++) meta[n_meta++] = extra[i];
    TRY(gather(n, state != NULL, &m));
    TRY(st_write(path, m.tensor, m.n, meta, n_meta));
out:
    free(m.tensor);
    free(m.name);
    free(m.values);
    free(meta);
    cJSON_free(where);
    cJSON_free(arch);
    return st;
}
