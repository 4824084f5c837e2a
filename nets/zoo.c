/* nets/zoo.c -- the nets by name, and net_create. */
#include "builder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A new architecture is a line here. */
static const struct {
    const char *arch;
    void (*build)(net_builder *, ref image, int variant);
    int variant; /* depth; mobilenetv2: torchvision or not */
} zoo[] = {
    { "resnet18", build_resnet_imagenet, 18 },
    { "resnet34", build_resnet_imagenet, 34 },
    { "resnet50", build_resnet_imagenet, 50 },
    { "resnet101", build_resnet_imagenet, 101 },
    { "resnet152", build_resnet_imagenet, 152 },
    { "resnet20", build_resnet_cifar, 20 },
    { "resnet32", build_resnet_cifar, 32 },
    { "resnet44", build_resnet_cifar, 44 },
    { "resnet56", build_resnet_cifar, 56 },
    { "resnet110", build_resnet_cifar, 110 },
    { "vgg11_bn", build_vgg, 11 },
    { "vgg13_bn", build_vgg, 13 },
    { "vgg16_bn", build_vgg, 16 },
    { "vgg19_bn", build_vgg, 19 },
    { "mobilenetv2", build_mobilenetv2, false },
    { "mobilenetv2_tv", build_mobilenetv2, true },
};
enum { N_ARCHS = sizeof zoo / sizeof zoo[0] };

const char *const *net_archs(int *n)
{
    static const char *names[N_ARCHS];
    for (int i = 0; i < N_ARCHS; i++) names[i] = zoo[i].arch;
    *n = N_ARCHS;
    return names;
}

/* "a, b, c" into a buffer, for messages. */
static void list(char *out, size_t bytes, const char *item)
{
    size_t used = strlen(out);
    snprintf(out + used, bytes - used, "%s%s", used ? ", " : "", item);
}

static status unknown_arch(const char *arch)
{
    char known[512] = "";
    for (int i = 0; i < N_ARCHS; i++) list(known, sizeof known, zoo[i].arch);
    return status_set(ERR_USAGE, __FILE__, __LINE__, "net.arch: unknown net \"%s\"; known are %s", arch,
                      known);
}

static status unknown_unit(const net *n, const char *unit)
{
    char known[900] = "";
    for (int i = 0; i < n->n_units; i++)
        if (n->unit[i].removable) list(known, sizeof known, n->unit[i].name);
    return status_set(ERR_USAGE, __FILE__, __LINE__, "net.remove: %s has no unit \"%s\"; removable are %s",
                      n->arch, unit, known);
}

/* The loss is a node like any other, but without an output. */
static status add_loss(net *n)
{
    status st = OK;
    n->logits = n->n_values - 1;
    TRY(net_grow(&n->node, n->n_nodes, sizeof *n->node));
    n->node[n->n_nodes++] =
        (net_node){ .op = { .kind = OP_LOSS, .x = n->value[n->logits].shape, .y = n->value[n->logits].shape },
                    .x = n->logits,
                    .z = NONE,
                    .y = NONE,
                    .param = n->n_params };
out:
    return st;
}

static status copy_removed(net *n, char *const *remove, unsigned n_remove)
{
    status st = OK;
    TRY_ALLOC(n->removed, calloc(n_remove + 1, sizeof *n->removed));
    for (; n->n_removed < n_remove; n->n_removed++)
        TRY_ALLOC(n->removed[n->n_removed], strdup(remove[n->n_removed]));
out:
    return st;
}

static status describe(net_builder *b, image_shape image, int zoo_index)
{
    status st = OK;
    TRY(net_grow(&b->net->value, 0, sizeof *b->net->value));
    b->net->value[b->net->n_values++] = (net_value){ { 1, image.channels, image.height, image.width }, NONE };
    zoo[zoo_index].build(b, 0, zoo[zoo_index].variant);
    TRY(b->st);
    for (unsigned i = 0; i < b->n_remove; i++)
        if (!b->remove_seen[i]) TRY(unknown_unit(b->net, b->remove[i]));
    TRY(add_loss(b->net));
out:
    return st;
}

status net_create(const net_spec *spec, net **out)
{
    status st = OK;
    net *n = NULL;
    net_builder b = { .conv_init = PARAM_UNIFORM,
                      .linear_init = PARAM_UNIFORM,
                      .unit = NONE,
                      .remove = spec->remove,
                      .n_remove = spec->n_remove };
    const image_shape image = spec->image.channels ? spec->image : (image_shape){ 3, 32, 32 };
    int which = 0;
    while (which < N_ARCHS && strcmp(spec->arch, zoo[which].arch)) which++;
    if (which == N_ARCHS) TRY(unknown_arch(spec->arch));
    if (spec->classes < 2) FAIL(ERR_USAGE, "net.classes: %d classes; at least 2 are needed", spec->classes);
    TRY_ALLOC(n, calloc(1, sizeof *n));
    snprintf(n->arch, sizeof n->arch, "%s", spec->arch);
    n->classes = spec->classes;
    TRY(copy_removed(n, spec->remove, spec->n_remove));
    TRY_ALLOC(b.remove_seen, calloc(spec->n_remove + 1, sizeof *b.remove_seen));
    b.net = n;
    TRY(describe(&b, image, which));
    *out = n;
    n = NULL;
out:
    free(b.remove_seen);
    net_free(n);
    return st;
}

status net_from_config(const config *cfg, net **out)
{
    const config_data *d = &cfg->data;
    const net_spec spec = { .arch = cfg->net.arch,
                            .classes = cfg->net.classes,
                            .image = { d->channels, d->size[0], d->size[1] },
                            .remove = cfg->net.remove,
                            .n_remove = cfg->net.remove_count };
    return net_create(&spec, out);
}

status net_without(const net *n, char *const *remove, unsigned n_remove, net **out)
{
    const net_spec spec = {
        .arch = n->arch, .classes = n->classes, .image = net_image(n), .remove = remove, .n_remove = n_remove
    };
    return net_create(&spec, out);
}
