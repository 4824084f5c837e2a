/* tools/report/activations.c -- what a few test images become in every layer of the analysis, small enough for a
 * page: a byte a value, at most so many channels a layer. The first layer keeps all channels: its filters are
 * shown beside them. */
#include "../../data/augment.h"
#include "../../nets/tap.h"
#include "network.h"
#include "parts.h"
#include <stdlib.h>
#include <string.h>

enum { FIRST_CHANNELS = 64, CHANNELS = 32, FEW_CHANNELS = 4, MAX_BYTES = 4 << 20, MAX_SAMPLED = 20000 };

typedef struct activation_tap {
    char name[64];
    shape4 shape; /* n = picks */
    int kept;     /* channels, evenly spaced */
    float *value; /* [n, c, h, w] */
} activation_tap;

/* ---- which images ---- */

static int find_image(const dataset *d, int class, int occurrence)
{
    for (int i = 0; i < d->n; i++)
        if (d->label[i] == class && occurrence-- == 0) return i;
    return -1;
}

status picks_choose(const report_images *images, int want, int **pick, int *n)
{
    status st = OK;
    const dataset *d = &images->test;
    TRY_ALLOC(*pick, malloc(((size_t)want + 1) * sizeof **pick));
    *n = 0;
    for (int k = 0; *n < want && k < d->n; k++)
        for (int c = 0; *n < want && c < d->classes; c++) {
            int i = find_image(d, c, k);
            if (i < 0) continue;
            (*pick)[(*n)++] = i;
            images->wanted[i] = true;
        }
out:
    return st;
}

/* ---- taps ---- */

/* A tap_fn. */
static status take(void *ctx, const tap_view *v)
{
    status st = OK;
    activation_tap *t = ctx;
    t->shape = v->shape;
    free(t->value);
    TRY_ALLOC(t->value, malloc((size_t)shape_count(v->shape) * sizeof *t->value));
    TRY(tap_read(v, t->value));
out:
    return st;
}

status activations_open(network *w, const report_run *run)
{
    status st = OK;
    int n;
    const net_hook *hook = net_hooks(w->net, &n);
    TRY_ALLOC(w->tap, calloc((size_t)n + 1, sizeof *w->tap));
    for (int h = 0; h < n; h++) {
        if (!(hook[h].sets & 1u << run->cfg->analysis.hooks)) continue;
        activation_tap *t = &w->tap[w->n_taps++];
        snprintf(t->name, sizeof t->name, "%s", hook[h].name);
        TRY(net_tap(w->net, t->name, take, t));
    }
out:
    return st;
}

void activations_close(network *w)
{
    for (int i = 0; i < w->n_taps; i++) free(w->tap[i].value);
    free(w->tap);
}

static status run_picks(const network *w, const report_run *run)
{
    status st = OK;
    const dataset *d = &run->images->test;
    float *x;
    TRY_ALLOC(x, malloc((size_t)w->n_picks * IMAGE_VALUES * sizeof *x));
    for (int i = 0; i < w->n_picks; i++)
        augment_apply(d->image + (size_t)w->pick[i] * IMAGE_VALUES, &run->cfg->data, NULL,
                      x + (size_t)i * IMAGE_VALUES);
    TRY(net_input(w->net, CASE_PICKS, x, NULL, w->n_picks));
    TRY(net_forward(w->net, CASE_PICKS));
out:
    free(x);
    return st;
}

/* ---- few bytes ---- */

static int64_t bytes_with(const network *w, int channels)
{
    int64_t sum = 0;
    for (int i = 0; i < w->n_taps; i++) {
        activation_tap *t = &w->tap[i];
        int most = i == 0 && channels > FEW_CHANNELS ? FIRST_CHANNELS : channels;
        t->kept = t->shape.c < most ? t->shape.c : most;
        sum += (int64_t)t->shape.n * t->kept * t->shape.h * t->shape.w;
    }
    return sum;
}

static void choose_channels(const network *w)
{
    int channels = CHANNELS;
    while (bytes_with(w, channels) > MAX_BYTES && channels > FEW_CHANNELS) channels /= 2;
}

static int channel_of(const activation_tap *t, int k)
{
    return k * t->shape.c / t->kept;
}

static int ascending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

/* The range shown: 0, or less where activations are negative, to the largest but one in a thousand, so that
 * one bright value does not leave the rest dark. */
static status value_range(const activation_tap *t, float *low, float *high)
{
    status st = OK;
    const int64_t count = shape_count(t->shape), step = count / MAX_SAMPLED + 1;
    int n = 0;
    float *some;
    TRY_ALLOC(some, malloc(((size_t)(count / step) + 1) * sizeof *some));
    for (int64_t i = 0; i < count; i += step) some[n++] = t->value[i];
    qsort(some, (size_t)n, sizeof *some, ascending);
    *low = fminf(0, some[n / 1000]);
    *high = fmaxf(*low + 1e-6f, some[n - 1 - n / 1000]);
out:
    free(some);
    return st;
}

static uint8_t quantise(float v, float low, float high)
{
    return (uint8_t)lroundf(255 * fminf(1, fmaxf(0, (v - low) / (high - low))));
}

/* [n, kept, h, w] as bytes. */
static status pixels_json(const activation_tap *t, float low, float high, cJSON **out)
{
    status st = OK;
    const int64_t plane = (int64_t)t->shape.h * t->shape.w;
    const int64_t dims[] = { t->shape.n, t->kept, t->shape.h, t->shape.w };
    uint8_t *pixel, *to;
    TRY_ALLOC(pixel, malloc((size_t)(t->shape.n * t->kept * plane)));
    to = pixel;
    for (int i = 0; i < t->shape.n; i++)
        for (int k = 0; k < t->kept; k++) {
            const float *from = t->value + ((int64_t)i * t->shape.c + channel_of(t, k)) * plane;
            for (int64_t p = 0; p < plane; p++) *to++ = quantise(from[p], low, high);
        }
    TRY(blob_json("u8", pixel, 4, dims, out));
out:
    free(pixel);
    return st;
}

/* ---- JSON ---- */

static status tap_json(const activation_tap *t, cJSON **out)
{
    status st = OK;
    float low = 0, high = 0;
    cJSON *o, *channels, *blob = NULL;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(value_range(t, &low, &high));
    TRY(put_text(o, "name", t->name));
    TRY(put_number(o, "total", t->shape.c));
    TRY(put_number(o, "low", low));
    TRY(put_number(o, "high", high));
    TRY_ALLOC(channels, cJSON_AddArrayToObject(o, "channel"));
    for (int k = 0; k < t->kept; k++) TRY(append(channels, cJSON_CreateNumber(channel_of(t, k))));
    TRY(pixels_json(t, low, high, &blob));
    TRY(put(o, "data", blob));
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}

static status put_images(cJSON *o, const network *w, const dataset *d)
{
    status st = OK;
    cJSON *list, *item = NULL;
    TRY_ALLOC(list, cJSON_AddArrayToObject(o, "images"));
    for (int i = 0; i < w->n_picks; i++) {
        TRY_ALLOC(item, cJSON_CreateObject());
        TRY(append(list, item));
        TRY(put_number(item, "position", w->pick[i]));
        TRY(put_number(item, "label", d->label[w->pick[i]]));
    }
out:
    return st;
}

static status put_logits(cJSON *o, const network *w)
{
    status st = OK;
    const int64_t dims[] = { w->n_picks, net_classes(w->net) };
    cJSON *blob = NULL;
    float *logits;
    TRY_ALLOC(logits, malloc((size_t)(dims[0] * dims[1]) * sizeof *logits));
    TRY(net_logits(w->net, CASE_PICKS, w->n_picks, logits));
    TRY(blob_json("f32", logits, 2, dims, &blob));
    TRY(put(o, "logits", blob));
out:
    free(logits);
    return st;
}

status activations_json(network *w, const report_run *run, cJSON **out)
{
    status st = OK;
    cJSON *o, *layers, *item = NULL;
    TRY_ALLOC(o, cJSON_CreateObject());
    TRY(run_picks(w, run));
    choose_channels(w);
    TRY(put_images(o, w, &run->images->test));
    TRY(put_logits(o, w));
    TRY_ALLOC(layers, cJSON_AddArrayToObject(o, "layers"));
    for (int i = 0; i < w->n_taps; i++) {
        TRY(tap_json(&w->tap[i], &item));
        TRY(append(layers, item));
    }
    *out = o;
    o = NULL;
out:
    cJSON_Delete(o);
    return st;
}
