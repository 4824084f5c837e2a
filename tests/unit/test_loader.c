/* data/loader.c: every batch against a direct computation, whatever the worker's timing. */
#include "../../core/base/rng.h"
#include "../../data/loader.h"
#include "../image32.h"
#include "../scratch.h"

#include <sched.h>

enum { IMAGES = 103, BATCH = 16, BATCHES = 7, LAST = IMAGES - (BATCHES - 1) * BATCH };

static const config_data cfg = { CONFIG32, .mean = { .5f, .4f, .3f }, .std = { .2f, .3f, .4f }, .crop_pad = 4,
                                 .flip = true };
static dataset data;

static int make_data(void **state)
{
    (void)state;
    data = (dataset){ .n = IMAGES, .classes = 10 };
    data.shape = image32;
    data.image = malloc((size_t)IMAGES * IMAGE_VALUES);
    data.label = malloc(IMAGES * sizeof *data.label);
    if (!data.image || !data.label) return -1;
    for (int i = 0; i < IMAGES; i++) data.label[i] = (i * 7) % 10;
    for (int i = 0; i < IMAGES * IMAGE_VALUES; i++)
        data.image[i] = (uint8_t)(rng_u32(3, RNG_TEST, 0, (uint64_t)i) >> 24);
    return 0;
}

static int free_data(void **state)
{
    (void)state;
    dataset_free(&data);
    return 0;
}

static loader *open_loader(bool shuffle, bool augment, uint64_t seed)
{
    loader *l;
    const loader_options options = { .batch = BATCH, .shuffle = shuffle, .augment = augment, .seed = seed };
    assert_int_equal(loader_open(&data, &cfg, &options, &l), OK);
    return l;
}

static const batch *next(loader *l)
{
    const batch *b;
    assert_int_equal(loader_next(l, &b), OK);
    return b;
}

/* All that a batch says about its images, computed from the indices it should have. */
static void assert_batch(const batch *b, const int *index, int n, bool augment, uint64_t seed, int epoch)
{
    float x[IMAGE_VALUES];
    assert_non_null(b);
    assert_int_equal(b->n, n);
    for (int i = 0; i < n; i++) {
        const augment_choice choice = augment_choose(&cfg, seed, epoch, index[i]);
        assert_int_equal(b->draw[i].index, index[i]);
        assert_int_equal(b->label[i], (index[i] * 7) % 10);
        assert_int_equal(b->draw[i].dx, augment ? choice.dx : 0);
        assert_int_equal(b->draw[i].dy, augment ? choice.dy : 0);
        assert_int_equal(b->draw[i].flip, augment && choice.flip);
        augment_apply(data.image + index[i] * IMAGE_VALUES, &cfg, augment ? &choice : NULL, x);
        assert_memory_equal(b->x + (size_t)i * IMAGE_VALUES, x, sizeof x);
    }
}

static void in_order_with_a_smaller_last_batch(void **state)
{
    (void)state;
    int index[IMAGES];
    for (int i = 0; i < IMAGES; i++) index[i] = i;
    loader *l = open_loader(false, false, 1);
    assert_null(next(l)); /* nothing was started */
    for (int epoch = 0; epoch < 2; epoch++) {
        assert_int_equal(loader_start(l, epoch, 0, NULL, 0), OK);
        assert_int_equal(loader_batches(l), BATCHES);
        for (int b = 0; b < BATCHES; b++)
            assert_batch(next(l), index + b * BATCH, b < BATCHES - 1 ? BATCH : LAST, false, 1, epoch);
        assert_null(next(l));
        assert_null(next(l));
    }
    loader_close(l);
}

static void shuffled_and_augmented_from_any_batch(void **state)
{
    (void)state;
    int index[IMAGES];
    loader *l = open_loader(true, true, 9);
    for (int epoch = 0; epoch < 3; epoch++)
        for (int first = 0; first <= BATCHES; first++) { /* a resumed epoch has the same remaining batches */
            rng_permutation(9, RNG_SHUFFLE, (uint32_t)epoch, IMAGES, index);
            assert_int_equal(loader_start(l, epoch, first, NULL, 0), OK);
            for (int b = first; b < BATCHES; b++)
                assert_batch(next(l), index + b * BATCH, b < BATCHES - 1 ? BATCH : LAST, true, 9, epoch);
            assert_null(next(l));
        }
    loader_close(l);
}

static void read_order(loader *l, int epoch, int *out)
{
    int n = 0;
    assert_int_equal(loader_start(l, epoch, 0, NULL, 0), OK);
    for (const batch *b; (b = next(l)); n += b->n)
        for (int i = 0; i < b->n; i++) out[n + i] = b->draw[i].index;
    assert_int_equal(n, IMAGES);
}

static void without_pixels_the_draws_are_the_same(void **state)
{
    (void)state;
    loader *whole, *draws;
    loader_options o = { .batch = BATCH, .shuffle = true, .augment = true, .seed = 6 };
    assert_int_equal(loader_open(&data, &cfg, &o, &whole), OK);
    o.draws_only = true;
    assert_int_equal(loader_open(&data, &cfg, &o, &draws), OK);
    assert_int_equal(loader_start(whole, 1, 0, NULL, 0), OK);
    assert_int_equal(loader_start(draws, 1, 0, NULL, 0), OK);
    for (const batch *b; (b = next(whole));) {
        const batch *d = next(draws);
        assert_non_null(d);
        assert_null(d->x);
        assert_int_equal(d->n, b->n);
        assert_memory_equal(d->label, b->label, (size_t)b->n * sizeof *b->label);
        for (int i = 0; i < b->n; i++) {
            assert_int_equal(d->draw[i].index, b->draw[i].index);
            assert_int_equal(d->draw[i].dx, b->draw[i].dx);
            assert_true(d->draw[i].sine == b->draw[i].sine);
        }
    }
    loader_close(whole);
    loader_close(draws);
}

static void epochs_are_different_permutations(void **state)
{
    (void)state;
    int order[3][IMAGES];
    loader *l = open_loader(true, false, 4), *other = open_loader(true, false, 5);
    read_order(l, 0, order[0]);
    read_order(l, 1, order[1]);
    read_order(other, 0, order[2]);
    for (int k = 0; k < 3; k++) {
        int seen[IMAGES] = { 0 };
        for (int i = 0; i < IMAGES; i++) seen[order[k][i]]++;
        for (int i = 0; i < IMAGES; i++) assert_int_equal(seen[i], 1);
        for (int m = 0; m < k; m++) assert_memory_not_equal(order[k], order[m], sizeof order[0]);
    }
    loader_close(l);
    loader_close(other);
}

static void takes_a_given_order(void **state)
{
    (void)state;
    int order[2 * IMAGES]; /* longer than the data set, with repetitions */
    for (int i = 0; i < 2 * IMAGES; i++) order[i] = (i * 31) % IMAGES;
    loader *l = open_loader(false, false, 1);
    const int lengths[] = { 5, BATCH, 2 * IMAGES, 1, 0 };
    for (int k = 0; k < 5; k++) {
        const int n = lengths[k];
        assert_int_equal(loader_start(l, k, 0, order, n), OK);
        assert_int_equal(loader_batches(l), (n + BATCH - 1) / BATCH);
        for (int i = 0; i < n; i += BATCH)
            assert_batch(next(l), order + i, n - i < BATCH ? n - i : BATCH, false, 1, k);
        assert_null(next(l));
    }
    loader_close(l);
}

/* The caller changes its mind after 0, 1, 2, ... batches, at once or late; nothing old may come through. */
static void an_epoch_can_be_left(void **state)
{
    (void)state;
    int index[IMAGES];
    loader *l = open_loader(true, true, 2);
    for (int round = 0; round < 60; round++) {
        assert_int_equal(loader_start(l, round, 0, NULL, 0), OK);
        rng_permutation(2, RNG_SHUFFLE, (uint32_t)round, IMAGES, index);
        for (int b = 0; b < round % BATCHES; b++)
            assert_batch(next(l), index + b * BATCH, BATCH, true, 2, round);
        if (round % 3 == 0) sched_yield();
        if (round % 5 == 0) usleep(1000);
    }
    loader_close(l); /* in the middle of an epoch */
    loader_close(open_loader(true, true, 2));
    loader_close(NULL);
}

/* The worker runs three batches ahead, but may not touch the one that is held. */
static void a_batch_stays_until_the_next_call(void **state)
{
    (void)state;
    loader *l = open_loader(true, true, 6);
    static float copy[BATCH * IMAGE_VALUES];
    assert_int_equal(loader_start(l, 0, 0, NULL, 0), OK);
    for (const batch *b; (b = next(l));) {
        memcpy(copy, b->x, (size_t)b->n * IMAGE_VALUES * sizeof *copy);
        usleep(3000);
        assert_memory_equal(copy, b->x, (size_t)b->n * IMAGE_VALUES * sizeof *copy);
    }
    loader_close(l);
}

static void refuses_what_cannot_be(void **state)
{
    (void)state;
    loader *l;
    const loader_options nothing = { .batch = 0 };
    assert_int_equal(loader_open(&data, &cfg, &nothing, &l), ERR_USAGE);
    assert_null(l);

    l = open_loader(false, false, 1);
    const int beyond[] = { 0, IMAGES }, below[] = { -1 };
    assert_int_equal(loader_start(l, 0, 0, beyond, 2), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "103"));
    assert_null(next(l)); /* a failed start leaves an empty epoch */
    assert_int_equal(loader_start(l, 0, 0, below, 1), ERR_RUNTIME);
    assert_int_equal(loader_start(l, 0, BATCHES + 1, NULL, 0), ERR_RUNTIME);
    assert_int_equal(loader_start(l, 0, -1, NULL, 0), ERR_RUNTIME);
    assert_int_equal(loader_start(l, 0, 0, NULL, 0), OK); /* and does not break the next one */
    assert_int_equal(next(l)->n, BATCH);
    loader_close(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_order_with_a_smaller_last_batch),
        cmocka_unit_test(shuffled_and_augmented_from_any_batch),
        cmocka_unit_test(without_pixels_the_draws_are_the_same),
        cmocka_unit_test(epochs_are_different_permutations),
        cmocka_unit_test(takes_a_given_order),
        cmocka_unit_test(an_epoch_can_be_left),
        cmocka_unit_test(a_batch_stays_until_the_next_call),
        cmocka_unit_test(refuses_what_cannot_be),
    };
    return cmocka_run_group_tests(tests, make_data, free_data);
}
