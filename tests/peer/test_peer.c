/* PyTorch itself, where it is installed: a training of three steps compared in every element of every
 * gradient, value and velocity, starting from a file that PyTorch's side wrote; and all parameter names,
 * shapes and MACs of all nets, whole and pruned. tests/peer/compare_torch.py is the other half. */
#include "../../core/base/file.h"
#include "../../nets/checkpoint.h"
#include "../../nets/device.h"
#include "../../nets/run.h"
#include "../scratch.h"
#include "python.h"

enum { STEPS = 3, BATCH = 8, CLASSES = 10, PIXELS = 3 * 32 * 32, SEED = 1 };

static void compare_torch(const char *arguments)
{
    run_python("tests/peer/compare_torch.py", arguments);
}

/* Every second removable unit; the names point into `from`. */
static unsigned some_units(const net *from, char *names[], unsigned room)
{
    int count;
    unsigned n = 0, removable = 0;
    const net_unit *u = net_units(from, &count);
    for (int i = 0; i < count; i++) {
        if (!u[i].removable || removable++ % 2) continue;
        assert_true(n < room);
        names[n++] = (char *)u[i].name;
    }
    return n;
}

/* "ARCH CLASSES MACS [UNIT ...]" and a line "NAME DIM ..." for each parameter, into FILE.names. */
static void write_names(const char *file, const char *arch, int classes, char *const *removed,
                        unsigned n_removed)
{
    char name[64];
    net *n;
    int count;
    must(net_create(&(net_spec){ .arch = arch, .classes = classes, .remove = removed, .n_remove = n_removed },
                    &n));
    must(text_format(name, sizeof name, "%s.names", file));
    FILE *f = fopen(scratch_path(name), "w");
    assert_non_null(f);
    const net_param *p = net_params(n, &count);
    fprintf(f, "%s %d %lld", arch, classes, (long long)net_macs(n));
    for (unsigned i = 0; i < n_removed; i++) fprintf(f, " %s", removed[i]);
    fputc('\n', f);
    for (int i = 0; i < count; i++) {
        fprintf(f, "%s", p[i].name);
        for (int d = 0; d < p[i].spec.rank; d++) fprintf(f, " %lld", (long long)p[i].spec.shape[d]);
        fputc('\n', f);
    }
    assert_int_equal(fclose(f), 0);
    net_free(n);
}

static void names_shapes_and_macs_are_pytorch_s(void **state)
{
    (void)state;
    int n;
    skip_without_torch();
    const char *const *archs = net_archs(&n);
    for (int i = 0; i < n; i++) {
        char *units[64], cut[40];
        net *whole;
        must(net_create(&(net_spec){ .arch = archs[i], .classes = CLASSES }, &whole));
        write_names(archs[i], archs[i], CLASSES, NULL, 0);
        must(text_format(cut, sizeof cut, "%s-cut", archs[i]));
        write_names(cut, archs[i], 100, units, some_units(whole, units, 64));
        net_free(whole);
    }
    compare_torch("names");
}

/* ---- a short training ---- */

typedef struct result {
    float eval[BATCH * CLASSES], train[BATCH * CLASSES], after[BATCH * CLASSES], loss[STEPS];
} result;

static const st_tensor *input_of(const st_file *f, const char *kind, int step, const char *rest)
{
    char name[128];
    must(text_format(name, sizeof name, "%s%d%s%s", kind, step, *rest ? " " : "", rest));
    return st_find(f, name);
}

static void shift_biases(net *n, const st_file *input, int step)
{
    int count;
    const net_param *p = net_params(n, &count);
    for (int i = 0; i < count; i++) {
        const st_tensor *t = input_of(input, "shift", step, p[i].name);
        if (!t) continue;
        assert_int_equal(t->count, p[i].count);
        float *value = malloc((size_t)t->count * sizeof *value),
              *shift = malloc((size_t)t->count * sizeof *shift);
        assert_true(value && shift);
        must(net_param_read(n, &p[i], value));
        must(st_to_f32(t, shift));
        for (int64_t j = 0; j < t->count; j++) value[j] += shift[j];
        must(net_param_write(n, &p[i], value));
        free(value);
        free(shift);
    }
}

static void feed(net *n, int which, const st_file *input, int step)
{
    static float x[BATCH * PIXELS];
    float y[BATCH];
    int32_t label[BATCH];
    const st_tensor *images = input_of(input, "x", step, ""), *labels = input_of(input, "y", step, "");
    assert_true(images && labels && images->count == BATCH * PIXELS && labels->count == BATCH);
    must(st_to_f32(images, x));
    must(st_to_f32(labels, y));
    for (int i = 0; i < BATCH; i++) label[i] = (int32_t)y[i];
    must(net_input(n, which, x, label, BATCH));
}

static void evaluate(net *n, const st_file *input, float *logits)
{
    feed(n, CASE_EVAL, input, 0);
    must(net_forward(n, CASE_EVAL));
    must(net_logits(n, CASE_EVAL, BATCH, logits));
}

static void write_gradients(const net *n, backend *b)
{
    int count, n_tensors = 0;
    const net_param *p = net_params(n, &count);
    st_tensor *tensors = calloc((size_t)count, sizeof *tensors);
    assert_non_null(tensors);
    for (int i = 0; i < count; i++) {
        if (!p[i].grad) continue;
        float *values = malloc((size_t)p[i].count * sizeof *values);
        assert_non_null(values);
        must(b->download(b, values, p[i].grad, (size_t)p[i].count * sizeof *values));
        st_tensor *t = &tensors[n_tensors++];
        *t = (st_tensor){ .name = (char *)p[i].name,
                          .type = ST_F32,
                          .rank = p[i].spec.rank,
                          .count = p[i].count,
                          .data = values };
        memcpy(t->shape, p[i].spec.shape, sizeof p[i].spec.shape);
    }
    must(st_write(scratch_path("grad.safetensors"), tensors, n_tensors, NULL, 0));
    for (int i = 0; i < n_tensors; i++) free((void *)tensors[i].data);
    free(tensors);
}

static void write_result(const result *r)
{
    const st_tensor tensors[] = {
        { "logits.eval", ST_F32, 2, { BATCH, CLASSES }, BATCH * CLASSES, r->eval },
        { "logits.train", ST_F32, 2, { BATCH, CLASSES }, BATCH * CLASSES, r->train },
        { "logits.after", ST_F32, 2, { BATCH, CLASSES }, BATCH * CLASSES, r->after },
        { "loss", ST_F32, 1, { STEPS }, STEPS, r->loss },
    };
    must(st_write(scratch_path("result.safetensors"), tensors, 4, NULL, 0));
}

/* The logits of a training step exist only between its forward and its backward. */
static void train_logits(net *n, backend *b, const st_file *input, const step_scalars *s, float *logits)
{
    bool replayed;
    step_handle handle = { NULL };
    feed(n, CASE_TRAIN, input, 0);
    must(b->step_begin(b, &handle, s, &replayed));
    must(net_forward(n, CASE_TRAIN));
    must(net_logits(n, CASE_TRAIN, BATCH, logits));
    must(b->step_end(b));
    backend_forget_step(b, &handle);
}

static void load_start(net *n)
{
    st_file start;
    must(st_open(scratch_path("start.safetensors"), &start));
    must(checkpoint_load(n, &start, "start.safetensors", true, false));
    st_close(&start);
}

static void train(net *n, backend *b, const st_file *input)
{
    result r;
    step_scalars s = { .lr = 0.01f, .momentum = 0.9f, .weight_decay = 0.005f, .seed = SEED };
    load_start(n);
    evaluate(n, input, r.eval);
    shift_biases(n, input, 0);
    train_logits(n, b, input, &s, r.train);
    load_start(n); /* the running statistics had moved */
    for (int step = 0; step < STEPS; step++) {
        loss_stats stats;
        shift_biases(n, input, step);
        feed(n, CASE_TRAIN, input, step);
        must(net_stats_set(n, &(loss_stats){ 0 }));
        s.step = (uint64_t)step;
        must(net_step(n, CASE_TRAIN, &s));
        must(net_stats(n, &stats));
        r.loss[step] = (float)(stats.loss / BATCH);
        if (step == 0) write_gradients(n, b);
    }
    evaluate(n, input, r.after);
    write_result(&r);
    must(checkpoint_save(n, scratch_path("end.safetensors"), NULL, 0, &(train_state){ 0 }));
}

static void compare_training(const char *arch)
{
    const net_case cases[] = { [CASE_TRAIN] = { BATCH, true }, [CASE_EVAL] = { BATCH, false } };
    char arguments[64];
    backend *b;
    net *n;
    st_file input;
    skip_without_torch();
    assert_int_equal(setenv("CLEAVE_CONV", "direct", 1),
                     0); /* Winograd rounds ten times as much: kinks are near */
    must(text_format(arguments, sizeof arguments, "prepare %s %d", arch, SEED));
    compare_torch(arguments);
    must(st_open(scratch_path("input.safetensors"), &input));
    must(backend_open("cpu", 0, &b, NULL, 0));
    must(net_create(&(net_spec){ .arch = arch, .classes = CLASSES }, &n));
    must(net_compile(n, b, F32, cases, 2));
    train(n, b, &input);
    net_free(n);
    backend_close(b);
    st_close(&input);
    must(text_format(arguments, sizeof arguments, "compare %s %d", arch, SEED));
    compare_torch(arguments);
}

static void resnet32_in_every_element(void **state)
{
    (void)state;
    compare_training("resnet32");
}

static void vgg11_in_every_element(void **state)
{
    (void)state;
    compare_training("vgg11_bn");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_shapes_and_macs_are_pytorch_s),
        cmocka_unit_test(resnet32_in_every_element),
        cmocka_unit_test(vgg11_in_every_element),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
