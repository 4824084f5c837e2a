/* nets/images.c -- a data set that stays on the device: a step is told which images it is made of, and how each is
 * shown, and puts its batch together itself. */
#include "../core/log.h"
#include "graph.h"

#include <stdlib.h>
#include <string.h>

static int largest_batch(const net *n)
{
    int batch = 0;
    for (int i = 0; i < n->n_cases; i++)
        if (n->compiled[i].which.batch > batch) batch = n->compiled[i].which.batch;
    return batch;
}

static size_t draw_bytes(const net *n)
{
    return (size_t)largest_batch(n) * sizeof(image_draw);
}

void net_forget_images(net *n)
{
    net_images *m = &n->images;
    if (m->pixel) n->device->release(n->device, m->pixel, m->bytes);
    if (m->draw) n->device->release(n->device, m->draw, draw_bytes(n));
    free(m->staging);
    *m = (net_images){ 0 };
}

/* Pixels and draws, and what the draws are made ready in. */
static status alloc_images(net *n)
{
    status st = OK;
    net_images *m = &n->images;
    void *p;
    TRY(n->device->alloc(n->device, m->bytes, &p));
    m->pixel = p;
    TRY(n->device->alloc(n->device, draw_bytes(n), &p));
    m->draw = p;
    TRY_ALLOC(m->staging, malloc(draw_bytes(n)));
out:
    return st;
}

status net_keep_images(net *n, const uint8_t *pixel, int count, const image_norm *norm, bool *kept)
{
    status st = OK;
    *kept = false;
    if (n->images.pixel) FAIL(ERR_RUNTIME, "the device keeps images of this net already");
    if (!n->device->show_images) goto out;
    n->images = (net_images){ .bytes = (size_t)count * IMAGE_VALUES, .count = count, .norm = *norm };
    if (alloc_images(n) != OK) {
        log_info("the images stay on the host: %s", status_message());
        net_forget_images(n);
        goto out;
    }
    TRY(n->device->upload(n->device, n->images.pixel, pixel, n->images.bytes));
    *kept = true;
out:
    return st;
}

status net_input_kept(net *n, int net_case_index, const image_draw *draw, const int32_t *labels, int rows)
{
    status st = OK;
    net_images *m = &n->images;
    const int batch = n->compiled[net_case_index].which.batch;
    if (!m->pixel) FAIL(ERR_RUNTIME, "no images were left on the device");
    for (int i = 0; i < rows; i++)
        if (draw[i].index < 0 || draw[i].index >= m->count)
            FAIL(ERR_RUNTIME, "image %d of %d", draw[i].index, m->count);
    TRY(net_input_labels(n, net_case_index, labels, rows));
    memset(m->staging, 0, draw_bytes(n));
    memcpy(m->staging, draw, (size_t)rows * sizeof *draw);
    for (int i = rows; i < batch; i++) m->staging[i].index = -1;
    TRY(n->device->upload(n->device, m->draw, m->staging, (size_t)batch * sizeof *draw));
    m->chosen = true;
out:
    return st;
}

status net_show_images(net *n, const net_compiled_case *c)
{
    const net_images *m = &n->images;
    shape4 s = n->value[0].shape;
    s.n = c->which.batch;
    return n->device->show_images(n->device, m->pixel, m->draw, &m->norm, s, n->type,
                                  (char *)n->act + c->value[0]);
}
