/* data/loader.c -- a ring of batches between one worker thread and the training loop.
 *
 *        held      made, waiting      being made
 *     |  next-1  |  next .. made-1  |    made    |      slot of batch b = b % SLOTS
 *
 * The content of a batch depends only on (seed, epoch, position), so the worker's timing cannot change a result. The
 * worker only computes, in memory that is allocated before it starts: nothing in it can fail. */
#include "loader.h"

#include "../core/base/rng.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SLOTS = 4 }; /* one held by the caller, three ahead of it */

typedef struct slot {
    batch b;
    float *x;
    int32_t *label;
    image_draw *draw;
} slot;

struct loader {
    const dataset *data;
    const config_data *cfg;
    loader_options options;
    slot slots[SLOTS];

    /* The epoch. loader_start writes it while the worker is idle. */
    int *order; /* [n_order] */
    int n_order, order_room;
    int epoch, batches;

    pthread_t worker;
    bool has_worker;
    pthread_mutex_t mutex; /* guards what follows */
    pthread_cond_t changed;
    int next, made; /* batches handed out and batches made, counted from the start of the epoch */
    bool busy, quit;
};

static void fill_slot(const loader *l, int number, slot *s)
{
    const int first = number * l->options.batch;
    const int n = l->n_order - first < l->options.batch ? l->n_order - first : l->options.batch;
    for (int i = 0; i < n; i++) {
        const int index = l->order[first + i];
        augment_choice choice = { 0 };
        if (l->options.augment) choice = augment_choose(l->cfg, l->options.seed, l->epoch, index);
        s->draw[i] = augment_draw(&choice, index);
        if (s->x)
            augment_apply(dataset_image(l->data, index), l->cfg, &choice,
                          s->x + (size_t)i * (size_t)image_values(l->data->shape));
        s->label[i] = l->data->label[index];
    }
    s->b = (batch){ .n = n, .x = s->x, .label = s->label, .draw = s->draw };
}

static void *work(void *argument)
{
    loader *l = argument;
    pthread_mutex_lock(&l->mutex);
    while (!l->quit) {
        if (l->made >= l->batches || l->made >= l->next + SLOTS - 1) {
            pthread_cond_wait(&l->changed, &l->mutex);
            continue;
        }
        const int number = l->made;
        l->busy = true;
        pthread_mutex_unlock(&l->mutex);
        fill_slot(l, number, &l->slots[number % SLOTS]);
        pthread_mutex_lock(&l->mutex);
        l->busy = false;
        l->made = number + 1;
        pthread_cond_broadcast(&l->changed);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

static status alloc_slot(slot *s, int images, int values, bool pixels)
{
    status st = OK;
    const size_t n = (size_t)images;
    if (pixels) TRY_ALLOC(s->x, malloc(n * (size_t)values * sizeof *s->x));
    TRY_ALLOC(s->label, malloc(n * sizeof *s->label));
    TRY_ALLOC(s->draw, malloc(n * sizeof *s->draw));
out:
    return st;
}

static void free_slot(slot *s)
{
    free(s->x);
    free(s->label);
    free(s->draw);
}

/* An order may repeat images and so be longer than the data set; then the array grows in the first epoch. */
static status reserve_order(loader *l, int n)
{
    if (n <= l->order_room) return OK;
    int *grown = realloc(l->order, (size_t)n * sizeof *grown);
    if (!grown)
        return status_set(ERR_RUNTIME, __FILE__, __LINE__, "out of memory for an order of %d images", n);
    l->order = grown;
    l->order_room = n;
    return OK;
}

status loader_open(const dataset *data, const config_data *cfg, const loader_options *options, loader **out)
{
    status st = OK;
    loader *l = NULL;
    *out = NULL;
    if (options->batch < 1) FAIL(ERR_USAGE, "a batch of %d images; at least 1 is needed", options->batch);

    TRY_ALLOC(l, calloc(1, sizeof *l));
    l->data = data;
    l->cfg = cfg;
    l->options = *options;
    pthread_mutex_init(&l->mutex, NULL); /* these two cannot fail with default attributes on Linux */
    pthread_cond_init(&l->changed, NULL);
    for (int i = 0; i < SLOTS; i++)
        TRY(alloc_slot(&l->slots[i], options->batch, image_values(data->shape), !options->draws_only));
    TRY(reserve_order(l, data->n));
    const int error = pthread_create(&l->worker, NULL, work, l);
    if (error) FAIL(ERR_RUNTIME, "cannot start the data loader's thread: %s", strerror(error));
    l->has_worker = true;
    *out = l;
out:
    if (st != OK) loader_close(l);
    return st;
}

void loader_close(loader *l)
{
    if (!l) return;
    if (l->has_worker) {
        pthread_mutex_lock(&l->mutex);
        l->quit = true;
        pthread_cond_broadcast(&l->changed);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->worker, NULL);
    }
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    for (int i = 0; i < SLOTS; i++) free_slot(&l->slots[i]);
    free(l->order);
    free(l);
}

/* Leaves nothing to make and waits for the batch that is being made. The caller holds the mutex. */
static void stop_epoch(loader *l)
{
    l->batches = 0;
    while (l->busy) pthread_cond_wait(&l->changed, &l->mutex);
}

static status set_order(loader *l, int epoch, const int *order, int n_order)
{
    status st = OK;
    const int n = !l->options.shuffle && order ? n_order : l->data->n;
    TRY(reserve_order(l, n));
    if (l->options.shuffle) {
        rng_permutation(l->options.seed, RNG_SHUFFLE, (uint32_t)epoch, n, l->order);
    } else {
        for (int i = 0; i < n; i++) l->order[i] = order ? order[i] : i;
        for (int i = 0; i < n; i++)
            if (l->order[i] < 0 || l->order[i] >= l->data->n)
                FAIL(ERR_RUNTIME, "position %d of the order asks for image %d of %d", i, l->order[i],
                     l->data->n);
    }
    l->n_order = n;
out:
    return st;
}

status loader_start(loader *l, int epoch, int first, const int *order, int n_order)
{
    status st = OK;
    pthread_mutex_lock(&l->mutex);
    stop_epoch(l);
    TRY(set_order(l, epoch, order, n_order));
    const int batches = (int)(((int64_t)l->n_order + l->options.batch - 1) / l->options.batch);
    if (first < 0 || first > batches) FAIL(ERR_RUNTIME, "batch %d of an epoch of %d", first, batches);
    l->epoch = epoch;
    l->next = l->made = first;
    l->batches = batches;
    pthread_cond_broadcast(&l->changed);
out:
    pthread_mutex_unlock(&l->mutex);
    return st;
}

int loader_batches(const loader *l)
{
    return l->batches;
}

status loader_next(loader *l, const batch **out)
{
    *out = NULL;
    pthread_mutex_lock(&l->mutex);
    while (l->next < l->batches && l->made <= l->next) pthread_cond_wait(&l->changed, &l->mutex);
    if (l->next < l->batches) *out = &l->slots[l->next++ % SLOTS].b;
    pthread_cond_broadcast(&l->changed);
    pthread_mutex_unlock(&l->mutex);
    return OK;
}
