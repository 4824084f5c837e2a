/* nets/kept_images.c -- data sets that stay on the device: a step receives positions of images and how each is shown, and
 * puts the batch together itself. */
#include "../core/base/log.h"
#include "net_private.h"

#include "../core/device/image_sets.h"

#include <stdlib.h>
#include <string.h>

static size_t draw_bytes(const net *n)
{
    return (size_t)net_largest_batch(n) * sizeof(image_draw);
}

void net_forget_images(net *n)
{
    net_images *m = &n->images;
    for (int i = 0; i < m->n; i++) n->device->release(n->device, m->set[i].pixel, m->set[i].bytes);
    if (m->draw) n->device->release(n->device, m->draw, draw_bytes(n));
    free(m->staging);
    *m = (net_images){ .chosen = NET_NOT_KEPT };
}

/* Host and device memory for the draws of a batch; all sets share it. */
static status alloc_draws(net *n)
{
    status st = OK;
    net_images *m = &n->images;
    void *p;
    if (m->draw) goto out;
    TRY_ALLOC(m->staging, realloc(m->staging, draw_bytes(n)));
    TRY(n->device->alloc(n->device, draw_bytes(n), &p));
    m->draw = p;
out:
    return st;
}

status net_keep_images(net *n, const uint8_t *pixel, int count, const image_norm *norm, int *set)
{
    status st = OK;
    net_images *m = &n->images;
    net_image_set s = { .bytes = (size_t)count * (size_t)image_values(net_image(n)),
                        .count = count,
                        .norm = *norm };
    *set = NET_NOT_KEPT;
    if (!n->device->images) goto out;
    if (m->n == NET_IMAGE_SETS) FAIL(ERR_RUNTIME, "the device keeps %d sets of images already", m->n);
    if (alloc_draws(n) != OK || n->device->alloc(n->device, s.bytes, &s.pixel) != OK) {
        log_info("%d images stay on the host: %s", count, status_message());
        goto out;
    }
    m->set[m->n] = s;
    *set = m->n++;
    TRY(n->device->upload(n->device, s.pixel, pixel, s.bytes));
out:
    return st;
}

status net_input_kept(net *n, int net_case_index, int set, const image_draw *draw, const int32_t *labels,
                      int rows)
{
    status st = OK;
    net_images *m = &n->images;
    const int batch = net_batch(n, net_case_index);
    if (set < 0 || set >= m->n) FAIL(ERR_RUNTIME, "the device keeps no set %d of images", set);
    for (int i = 0; i < rows; i++)
        if (draw[i].index < 0 || draw[i].index >= m->set[set].count)
            FAIL(ERR_RUNTIME, "image %d of %d", draw[i].index, m->set[set].count);
    TRY(net_input_labels(n, net_case_index, labels, rows));
    memset(m->staging, 0, draw_bytes(n));
    memcpy(m->staging, draw, (size_t)rows * sizeof *draw);
    for (int i = rows; i < batch; i++) m->staging[i].index = -1;
    TRY(n->device->upload(n->device, m->draw, m->staging, (size_t)batch * sizeof *draw));
    m->chosen = set;
out:
    return st;
}

status net_show_images(net *n, const net_compiled_case *c)
{
    const net_images *m = &n->images;
    shape4 s = n->value[0].shape;
    s.n = c->which.batch;
    if (m->chosen == NET_NOT_KEPT) return OK;
    const net_image_set *set = &m->set[m->chosen];
    return n->device->images->show(n->device, set->pixel, m->draw, &set->norm, s, n->type,
                                   (char *)n->act + c->value[0]);
}
