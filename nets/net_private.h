/* nets/net_private.h -- inside a net: values, nodes, and what compiling adds. Private to nets/. */
#ifndef CLEAVE_NET_PRIVATE_H
#define CLEAVE_NET_PRIVATE_H

#include "run.h"
#include "tap.h"

enum { NONE = -1, NAME_BYTES = 64 };

/* A tensor that flows along an edge: the image, or the output of a node. */
typedef struct net_value {
    shape4 shape; /* of one image: n = 1 */
    int producer; /* node; NONE for the image */
} net_value;

typedef struct net_node {
    char name[NAME_BYTES]; /* PyTorch's module name: "layer1.0.bn2"; "" where PyTorch has no module */
    op op;                 /* x.n = y.n = 1; batch and mode are set by compile */
    int x, z, y;           /* values; z = NONE without add, y = NONE for the loss */
    int param, n_params;   /* params[param .. param + n_params) */
} net_node;

/* One node of one case: what it does there, planned, with its places in the arenas. */
typedef struct net_plan {
    bool absent;                /* a later node runs this one along with itself; no plan, no values */
    bool fused;                 /* it runs `op`, which is another node's, and then `then` */
    op op, then;                /* with the case's batch and mode */
    int x, z, y;                /* as in net_node; of a fused plan, x is that of `op` */
    int param[PLAN_MAX_PARAMS]; /* params[]; NONE */
    int layer;                  /* the node that its time counts for */
    int bias;                   /* of BN: the convolution that left out its bias; NONE */
    plan *plan;
    op_needs needs;
    size_t saved;      /* offset in the SAVED arena */
    size_t scratch[2]; /* in the ACT arena: forward's, backward's */
    size_t cached;     /* in the ACT arena, behind the values */
    void *packed;
    bool dx_add, dz_add; /* another node has written this gradient before */
    bool recompute_x;    /* backward has x recomputed first, because it was not kept */
} net_plan;

typedef struct net_compiled_case {
    net_case which;
    net_plan *node;            /* [n_nodes] */
    size_t *value, *grad;      /* [n_values] offsets in the ACT arena; grad only in training */
    size_t *value_in_backward; /* where backward finds the value: elsewhere, if it is recomputed */
    bool *has_grad;            /* the value's gradient exists; that of the image only in a frozen case */
    step_handle step[NET_IMAGE_SETS + 1]; /* what the device recorded: images of net_input, of each set */
} net_compiled_case;

typedef struct net_tap_entry {
    int value;
    const char *name;
    tap_fn fn;
    void *ctx;
} net_tap_entry;

/* net_keep_images. */
typedef struct net_image_set {
    void *pixel; /* device */
    size_t bytes;
    int count;
    image_norm norm;
} net_image_set;

typedef struct net_images {
    net_image_set set[NET_IMAGE_SETS];
    int n;
    image_draw *draw;    /* device: of the batch; NULL while there is no set */
    image_draw *staging; /* host */
    int chosen;          /* the set that the batch comes from; NET_NOT_KEPT: it came by net_input */
} net_images;

struct net {
    char arch[32];
    int classes;

    net_value *value;
    net_node *node;
    net_param *param;
    net_unit *unit;
    net_hook *hook;
    int *hook_value; /* [n_hooks] */
    net_tap_entry *tap;
    char **removed;
    int n_values, n_nodes, n_params, n_units, n_hooks, n_taps;
    unsigned n_removed;
    int logits; /* value */

    /* after net_compile */
    backend *device;
    dtype type;
    net_compiled_case *compiled;
    int n_cases, current; /* the case that ran last; the others have lost what they cached */
    void *arena_param, *arena_buffer, *act, *saved, *packed;
    int64_t trainable, buffers; /* values in arena_param's three parts, in arena_buffer; padding included */
    net_memory used;
    int32_t *label_staging, *label; /* host; device */
    float *image_staging;           /* host, one batch, for padded batches */
    loss_stats *stats;              /* device */
    net_images images;
    int rows;         /* of the last net_input */
    uint64_t version; /* of the parameter values */
    int64_t steps;
};

/* Grows *array (of elements of `size`) to hold n + 1 elements; the new one is zeroed. */
status net_grow(void *array, int n, size_t size);

/* The index of a hook. ERR_USAGE: there is none of this name. */
status net_find_hook(const net *, const char *hook_name, int *hook);

int net_largest_batch(const net *); /* of the compiled cases */

/* The steps of net_compile for a case: plans of its operations; then offsets for all the memory they need, in two blocks of
 * *act and *saved bytes. */
status net_plan_nodes(net *, net_compiled_case *);
status net_place(net *, net_compiled_case *, size_t *act, size_t *saved);

/* net_input without the pixels. */
status net_input_labels(net *, int net_case, const int32_t *labels, int rows);

void net_forget_images(net *); /* frees what net_keep_images allocated */
/* If the batch comes from a kept set, writes it into the value of the image. */
status net_show_images(net *, const net_compiled_case *);

void net_release(net *); /* frees what net_compile allocated */

#endif
