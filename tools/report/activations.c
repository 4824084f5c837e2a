/* tools/report/activations.c -- the activations of a few test images in every layer of the analysis. To be
 * small enough for a page, a value is one byte, and a layer keeps some of its channels. The first layer
 * keeps all: the page shows its filters beside them. */
#include "../../data/augment.h"
#include "../../nets/tap.h"
#include "network.h"
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIRST_CHANNELS = 64, CHANNELS = 32, FEW_CHANNELS = 4, MAX_BYTES = 4 << 20, MAX_SAMPLED = 20000 };

typedef struct activation_tap {
    char name[64];
    shape4 shape; /* n = picks */
    int kept;     /* channels that go into the page, evenly spaced */
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

/* Copies the activations. A tap_fn. */
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
    const size_t values = (size_t)image_values(d->shape);
    TRY_ALLOC(x, malloc((size_t)w->n_picks * values * sizeof *x));
    for (int i = 0; i < w->n_picks; i++)
        augment_apply(dataset_image(d, w->pick[i]), &run->cfg->data, NULL, x + (size_t)i * values);
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

/* The range shown is from 0, or the 0.1 % quantile if that is negative, to the 99.9 % quantile: a single
 * bright value must not leave the rest dark. */
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
static status put_pixels(cJSON *o, const activation_tap *t, float low, float high)
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
    TRY(put_blob(o, "data", "u8", pixel, 4, dims));
out:
    free(pixel);
    return st;
}

/* ---- JSON ---- */

static status put_tap(cJSON *o, const activation_tap *t)
{
    status st = OK;
    float low = 0, high = 0;
    cJSON *channels;
    TRY(value_range(t, &low, &high));
    TRY(json_put_text(o, "name", t->name));
    TRY(json_put_number(o, "total", t->shape.c));
    TRY(json_put_number(o, "low", low));
    TRY(json_put_number(o, "high", high));
    TRY(json_put_list(o, "channel", &channels));
    for (int k = 0; k < t->kept; k++) TRY(json_append(channels, cJSON_CreateNumber(channel_of(t, k))));
    TRY(put_pixels(o, t, low, high));
out:
    return st;
}

static status put_picks(cJSON *o, const network *w, const dataset *d)
{
    status st = OK;
    cJSON *list, *item;
    TRY(json_put_list(o, "images", &list));
    for (int i = 0; i < w->n_picks; i++) {
        TRY(json_append_object(list, &item));
        TRY(json_put_number(item, "position", w->pick[i]));
        TRY(json_put_number(item, "label", d->label[w->pick[i]]));
    }
out:
    return st;
}

static status put_logits(cJSON *o, const network *w)
{
    status st = OK;
    const int64_t dims[] = { w->n_picks, net_classes(w->net) };
    float *logits;
    TRY_ALLOC(logits, malloc((size_t)(dims[0] * dims[1]) * sizeof *logits));
    TRY(net_logits(w->net, CASE_PICKS, w->n_picks, logits));
    TRY(put_blob(o, "logits", "f32", logits, 2, dims));
out:
    free(logits);
    return st;
}

status put_activations(cJSON *o, network *w, const report_run *run)
{
    status st = OK;
    cJSON *layers, *item;
    TRY(run_picks(w, run));
    choose_channels(w);
    TRY(put_picks(o, w, &run->images->test));
    TRY(put_logits(o, w));
    TRY(json_put_list(o, "layers", &layers));
    for (int i = 0; i < w->n_taps; i++) {
        TRY(json_append_object(layers, &item));
        TRY(put_tap(item, &w->tap[i]));
    }
out:
    return st;
}
