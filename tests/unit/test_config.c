/* core/config/: defaults, files, overrides, and one clear line for each mistake. */
#include "../../core/config/config.h"
#include "../scratch.h"

#include <glob.h>

#define COUNT_OF(array) (int)(sizeof(array) / sizeof *(array))

static config *load(const char *yaml, char *const *overrides, int n)
{
    config *c = NULL;
    status st = config_parse("a.yaml", yaml, overrides, n, &c);
    if (st != OK) print_error("%s\n", status_message());
    assert_int_equal(st, OK);
    return c;
}

/* The defaults, typed a second time. */
static void defaults(void **state)
{
    (void)state;
    config *c = NULL;
    assert_int_equal(config_load(NULL, NULL, 0, &c), OK);
    assert_string_equal(c->name, "resnet56-cifar10");
    assert_true(c->seed == 0 && c->precision == PRECISION_F32 && c->threads == 0);
    assert_string_equal(c->device, "auto");
    assert_string_equal(c->out, "runs");
    assert_string_equal(c->net.arch, "resnet56");
    assert_string_equal(c->net.weights, "");
    assert_true(c->net.classes == 10 && c->net.remove_count == 0);
    assert_true(c->data.format == DATA_CIFAR10 && c->data.crop_pad == 4 && c->data.flip &&
                c->data.rotate == 0);
    assert_string_equal(c->data.path, "datasets/cifar-10-batches-bin");
    const float mean[3] = { .4914f, .4822f, .4465f }, std[3] = { .2023f, .1994f, .2010f };
    assert_memory_equal(c->data.mean, mean, sizeof mean);
    assert_memory_equal(c->data.std, std, sizeof std);
    assert_true(c->data.train_limit == 0 && c->data.test_limit == 0);
    const config_train *t = &c->train;
    assert_true(t->epochs == 150 && t->batch == 256 && t->lr == 0.01f && t->momentum == 0.9f && !t->nesterov);
    assert_true(t->weight_decay == 0.005f && t->schedule == SCHEDULE_STEP && t->gamma == 0.1f &&
                t->warmup == 0);
    assert_true(t->milestones_count == 2 && t->milestones[0] == 49 && t->milestones[1] == 99);
    assert_true(t->label_smoothing == 0 && t->save_every == 1);
    const config_analysis *a = &c->analysis;
    assert_true(a->hooks == HOOKS_BLOCK && a->samples == 4000 && !a->balanced && a->edges == 40000);
    assert_true(a->histogram_samples == 10000 && a->norm == NORM_NEWMAN && a->k == 3 && a->lu_batches == 5);
    assert_true(a->lu_batch == 500 && a->every == 0);
    assert_string_equal(a->memory, "8G");
    const config_prune *p = &c->prune;
    assert_true(p->metric == METRIC_YANG && p->eps == 0.01 && p->floor == 0.30 && p->smooth == 1 &&
                p->max_cut == 0);
    assert_true(!p->keep_one_per_stage && p->init == INIT_INHERIT && p->epochs == 0);
    config_free(c);
    config_free(NULL);
}

/* File over defaults, overrides over the file, later ones over earlier ones. */
static void layers(void **state)
{
    (void)state;
    char *overrides[] = { "train.epochs=5", "net.remove=[layer3.2, layer4.1]", "data.mean=[.5,.5,.5]",
                          "train.epochs=3", "seed=18446744073709551615",       "device=cuda:1",
                          "net.weights=",   "analysis={k: 7, memory: 512M}",   "train.milestones=" };
    config *c = load("# a comment\n"
                     "name: try\n"
                     "train: {epochs: 7, batch: 32, schedule: cosine, nesterov: yes}\n"
                     "analysis:\n"
                     "prune:\n"
                     "  eps: 1e-3\n"
                     "net: {arch: vgg16_bn, weights: w.safetensors, remove: features.40}\n"
                     "train.lr: 007e-2\n",
                     overrides, COUNT_OF(overrides));
    assert_string_equal(c->name, "try");
    assert_true(c->train.epochs == 3 && c->train.batch == 32 && c->train.schedule == SCHEDULE_COSINE);
    assert_true(c->train.nesterov && c->train.lr == 0.07f && c->train.milestones_count == 0);
    assert_true(c->prune.eps == 1e-3 && c->seed == 18446744073709551615u);
    assert_string_equal(c->device, "cuda:1");
    assert_string_equal(c->net.arch, "vgg16_bn");
    assert_string_equal(c->net.weights, "");
    assert_int_equal(c->net.remove_count, 2);
    assert_string_equal(c->net.remove[0], "layer3.2");
    assert_string_equal(c->net.remove[1], "layer4.1");
    assert_true(c->data.mean[0] == 0.5f && c->data.mean[2] == 0.5f);
    assert_true(c->analysis.k == 7);
    assert_string_equal(c->analysis.memory, "512M");
    config_free(c);

    c = load("", NULL, 0); /* an empty file is fine */
    assert_int_equal(c->train.epochs, 150);
    config_free(c);
    char *one[] = { "net.remove=layer3.2" }; /* a list of one */
    c = load("# only a comment\n", one, 1);
    assert_int_equal(c->net.remove_count, 1);
    assert_string_equal(c->net.remove[0], "layer3.2");
    config_free(c);

    char *square[] = { "data.size=28", "data.mean=0.13" }; /* one number stands for all */
    c = load("", square, 2);
    assert_true(c->data.size[0] == 28 && c->data.size[1] == 28);
    assert_true(c->data.mean[0] == 0.13f && c->data.mean[2] == 0.13f);
    config_free(c);

    config_source sources[] = { { "a", "train: {epochs: 2, batch: 8}" },
                                { "b", "{\"train\": {\"epochs\": 4}}" } };
    assert_int_equal(config_build(sources, 2, NULL, 0, &c), OK);
    assert_true(c->train.epochs == 4 && c->train.batch == 8);
    config_free(c);
}

typedef struct mistake {
    const char *input, *message;
} mistake;

static void file_mistakes(void **state)
{
    (void)state;
    static const mistake m[] = {
        { "train:\n  epoch: 3\n", "a.yaml:2: unknown key train.epoch; did you mean train.epochs?" },
        { "\nepochs: 3\n", "a.yaml:2: unknown key epochs; did you mean train.epochs?" },
        { "data: {lr: 1}\n", "a.yaml:1: unknown key data.lr; did you mean train.lr?" },
        { "tarin: {}\n", "a.yaml:1: unknown key tarin; did you mean train?" },
        { "prune: {zzzzzzzz: 1}\n",
          "a.yaml:1: unknown key prune.zzzzzzzz; known are prune.metric, prune.eps, prune.floor, "
          "prune.smooth, prune.max_cut, prune.keep_one_per_stage, prune.init, prune.epochs, prune.count, "
          "prune.pick, prune.seed" },
        { "train:\n  epochs: abc\n", "a.yaml:2: train.epochs: expected a whole number >= 0, got \"abc\"" },
        { "train:\n\n  batch: 0\n", "a.yaml:3: train.batch: expected a whole number >= 1, got \"0\"" },
        { "train: {epochs: 1.5}\n", "a.yaml:1: train.epochs: expected a whole number >= 0, got \"1.5\"" },
        { "train: {epochs: 0x10}\n", "a.yaml:1: train.epochs: expected a whole number >= 0, got \"0x10\"" },
        { "train: {epochs: 2147483648}\n",
          "a.yaml:1: train.epochs: expected a whole number >= 0, got \"2147483648\" (too large)" },
        { "train: {epochs: }\n", "a.yaml:1: train.epochs: expected a whole number >= 0, got \"\"" },
        { "train: {epochs: [3]}\n", "a.yaml:1: train.epochs: expected a whole number >= 0, got a list of 1" },
        { "train: {epochs: {a: 1}}\n",
          "a.yaml:1: train.epochs: expected a whole number >= 0, got a mapping" },
        { "train: 3\n", "a.yaml:1: train: expected a mapping {key: value, ...}" },
        { "train: {epochs: 1}\nseed: 1\ntrain: {batch: 2}\n",
          "a.yaml:3: train: given twice, first in line 1" },
        { "train:\n  lr: 1\n  lr: 2\n", "a.yaml:3: train.lr: given twice, first in line 2" },
        { "train:\n  lr: 1\ntrain.lr: 2\n", "a.yaml:3: train.lr: given twice, first in line 2" },
        { "train: {schedule: linear}\n",
          "a.yaml:1: train.schedule: expected one of step, cosine, constant, got \"linear\"" },
        { "train:\n  milestones: [1,\n    x]\n",
          "a.yaml:3: train.milestones: expected a list of whole numbers >= 0, got \"x\"" },
        { "data: {mean: [1, 1]}\n",
          "a.yaml:1: data.mean: expected 1 or 3 numbers from 0 to 1, got a list of 2" },
        { "data: {std: 0}\n", "a.yaml:1: data.std: expected 1 or 3 numbers > 0, got \"0\"" },
        { "data: {size: [28, 28, 3]}\n",
          "a.yaml:1: data.size: expected 1 or 2 whole numbers from 1 to 1024, got a list of 3" },
        { "data: {flip: maybe}\n", "a.yaml:1: data.flip: expected true or false, got \"maybe\"" },
        { "- 1\n", "a.yaml:1: expected keys, as in \"train: {epochs: 3}\"" },
        { "hello\n", "a.yaml:1: expected keys, as in \"train: {epochs: 3}\"" },
        { "a: 1\n---\nb: 2\n", "a.yaml:1: unknown key a; --help lists the keys" },
        { "seed: 1\n---\nseed: 2\n", "a.yaml: more than one YAML document" },
        { "train:\n  lr: [1, 2\nseed: 1\n", "a.yaml:3: not YAML: did not find expected ',' or ']'" },
        { "seed: 1\nname: @x\n", "a.yaml:2: not YAML: found character that cannot start any token" },
        { "[1]: 2\n", "a.yaml:1: config: expected a key such as train.epochs" },
        { "name: \"a\\0b\"\n",
          "a.yaml:1: name: expected letters, digits and . _ + = , @ - (it names a folder), got \"a\"" },
        { "name: \xff\n", "a.yaml: not YAML: invalid leading UTF-8 octet at byte 6" },
        { "? {}\n", "a.yaml:1: config: expected a key such as train.epochs" },
        { "<<: {seed: 1}\n", "a.yaml:1: unknown key <<; --help lists the keys" },
    };
    for (int i = 0; i < COUNT_OF(m); i++) {
        config *c = NULL;
        assert_int_equal(config_parse("a.yaml", m[i].input, NULL, 0, &c), ERR_USAGE);
        assert_string_equal(status_message(), m[i].message);
        assert_null(c);
    }
}

static void override_mistakes(void **state)
{
    (void)state;
    static const mistake m[] = {
        { "train.epochs=abc", "override train.epochs=abc: expected a whole number >= 0, got \"abc\"" },
        { "train.epoch=3", "override train.epoch=3: unknown key train.epoch; did you mean train.epochs?" },
        { "=3", "override =3: unknown key ; --help lists the keys" },
        { "train", "override train: expected key=value" },
        { "train=3", "override train=3: expected a mapping {key: value, ...}" },
        { "data.mean=[1", "override data.mean=[1: not YAML: did not find expected ',' or ']'" },
        { "seed=-1", "override seed=-1: expected a whole number >= 0, got \"-1\"" },
        { "seed=18446744073709551616",
          "override seed=18446744073709551616: expected a whole number >= 0, got "
          "\"18446744073709551616\"" },
    };
    for (int i = 0; i < COUNT_OF(m); i++) {
        config *c = NULL;
        char *overrides[] = { (char *)m[i].input };
        assert_int_equal(config_parse("a.yaml", "seed: 1\n", overrides, 1, &c), ERR_USAGE);
        assert_string_equal(status_message(), m[i].message);
        assert_null(c);
    }
}

/* The ends of every range: what is inside loads, what is outside does not. */
static void ranges(void **state)
{
    (void)state;
    static const struct {
        const char *key, *good, *bad; /* values, separated by spaces */
    } r[] = {
        { "name", "a a.b_c-1 lr=0.1,b", "a/b .. .a -a a:b \"\"" },
        { "seed", "0 18446744073709551615", "-1 1.5 x" },
        { "device", "auto cpu ref cuda cuda:0 cuda:12", "gpu CPU cuda: cuda:x cuda:1x \"\" cuda:-1" },
        { "precision", "f32 bf16 tf32", "f16 fp32" },
        { "threads", "0 1 4096", "-1 4097" },
        { "out", "runs /x", "\"\"" },
        { "net.arch", "x", "\"\"" },
        { "net.classes", "2 100", "1 0 -3" },
        { "data.format", "cifar10 cifar100 folder idx synthetic", "CIFAR10 mnist" },
        { "data.mean", "[0,0,0] [1,1,1] 0.5 [0.5]", "[0,0,1.01] [-1,0,0] [0,0] [0,0,0,0] [nan,0,0]" },
        { "data.std", "[1e-3,1,2] 1", "[0,1,1] [1,1,-1] [inf,1,1] 0" },
        { "data.channels", "1 3", "0 2 4 -1" },
        { "data.size", "1 28 [28] [96,64] 1024", "0 [0,32] [32,1025] [] [1,2,3] 1.5" },
        { "data.fit", "squash crop pad", "stretch" },
        { "data.crop_pad", "0 16", "-1 17" },
        { "data.flip", "true false on off yes no True", "1 0 maybe" },
        { "data.rotate", "0 15 180", "-1 180.5" },
        { "data.train_limit", "0 1", "-1" },
        { "data.test_limit", "0 1", "-1" },
        { "data.max_pixels", "1 67108864 268435456", "0 -1 268435457" },
        { "train.epochs", "0 1 +3", "-1 1e3 3x" },
        { "train.batch", "1 256", "0" },
        { "train.lr", "1e-6 .5 3", "0 -1 nan inf 0x1p3 1e-60 1e60 1,5" },
        { "train.momentum", "0 0.999", "1 -0.1 0.99999999999" },
        { "train.nesterov", "true", "2" },
        { "train.weight_decay", "0 5e-4", "-1e-9" },
        { "train.schedule", "step cosine constant", "Step linear" },
        { "train.milestones", "[] [0] [3,1] 5", "[-1] [1.5] [a]" },
        { "train.gamma", "0.1 1 2", "0 -1" },
        { "train.warmup", "0 5", "-1 .5" },
        { "train.label_smoothing", "0 0.1 0.999", "1 -0.1" },
        { "train.save_every", "1 10", "0" },
        { "analysis.hooks", "block conv lu2022", "all" },
        { "analysis.samples", "2 4000", "1" },
        { "analysis.edges", "1 3000000000", "0 9223372036854775808" },
        { "analysis.histogram_samples", "2", "1" },
        { "analysis.norm", "newman literal", "yang" },
        { "analysis.k", "1 11", "0" },
        { "analysis.lu_batches", "1", "0" },
        { "analysis.lu_batch", "2", "1" },
        { "analysis.memory", "8G 512M 1024", "0 G 8Q 8GB 7k -1G 9223372036854775807K" },
        { "analysis.precision", "f32 bf16 int8", "tf32" },
        { "analysis.every", "0 1", "-1" },
        { "analysis.cka", "0 500", "-1 20001" },
        { "analysis.features", "0 500", "-1" },
        { "prune.metric", "yang lu random last cka", "M" },
        { "prune.count", "0 3", "-1" },
        { "prune.pick", "least most", "first" },
        { "prune.seed", "0 18446744073709551615", "-1 18446744073709551616" },
        { "attack.kind", "fgsm pgd", "cw" },
        { "attack.eps", "0 8 255", "-1 256 0.5" },
        { "attack.step", "1 255", "0" },
        { "attack.steps", "1", "0" },
        { "attack.random_start", "true false", "2" },
        { "prune.eps", "0 0.01 1", "-0.01 1.5" },
        { "prune.floor", "0 1", "1.01 -0.1" },
        { "prune.smooth", "1 3 5", "0 2 4 -1" },
        { "prune.max_cut", "0 3", "-1" },
        { "prune.init", "inherit scratch", "random" },
        { "prune.epochs", "0 3", "-1" },
    };
    for (int i = 0; i < COUNT_OF(r); i++) {
        for (int good = 0; good < 2; good++) {
            char values[128], *save;
            snprintf(values, sizeof values, "%s", good ? r[i].good : r[i].bad);
            for (char *v = strtok_r(values, " ", &save); v; v = strtok_r(NULL, " ", &save)) {
                char override[160], *overrides[] = { override };
                snprintf(override, sizeof override, "%s=%s", r[i].key, v);
                config *c = NULL;
                status st = config_load(NULL, overrides, 1, &c);
                bool expected = st == (good ? OK : ERR_USAGE);
                if (!expected) print_error("%s: %d\n", override, st);
                assert_true(expected);
                config_free(c);
            }
        }
    }
}

static void yaml_round_trip(void **state)
{
    (void)state;
    char *overrides[] = {
        "name=x",
        "seed=18446744073709551615",
        "train.lr=0.1",
        "train.momentum=0.333333343",
        "prune.eps=0.1234567890123456",
        "prune.floor=0.1",
        "data.rotate=1e-20",
        "train.weight_decay=3.4028235e38",
        "analysis.edges=9007199254740993",
        "precision=bf16",
        "net.remove=[layer3.2, 'a: b', \"q\\\"\\n\\u00e9\\x01\", '', '#', 'true', '-', \"\\U0001F600\"]",
        "data.path=' leading and trailing '",
        "train.milestones=[]",
        "out=\"\\ttab\"",
        "net.weights='a, [b] {c} & *d !e |f %g @h `i ? j : k'",
        "analysis.hooks=conv"
    };
    config *a = load("", overrides, COUNT_OF(overrides)), *b = NULL;
    char *yaml = NULL, *again = NULL;
    assert_int_equal(config_yaml(a, &yaml), OK);
    assert_int_equal(config_parse("b.yaml", yaml, NULL, 0, &b), OK);
    assert_int_equal(config_yaml(b, &again), OK);
    assert_string_equal(yaml, again);
    assert_true(a->seed == b->seed && a->train.lr == b->train.lr && a->train.momentum == b->train.momentum);
    assert_true(a->prune.eps == b->prune.eps && a->data.rotate == b->data.rotate && b->data.rotate == 1e-20f);
    assert_true(b->analysis.edges == 9007199254740993 && b->precision == PRECISION_BF16);
    assert_true(a->train.weight_decay == b->train.weight_decay && b->train.milestones_count == 0);
    assert_int_equal(b->net.remove_count, 8);
    assert_string_equal(b->net.remove[1], "a: b");
    assert_string_equal(b->net.remove[2], "q\"\n\xc3\xa9\x01");
    assert_string_equal(b->net.remove[7], "\xf0\x9f\x98\x80");
    for (unsigned i = 0; i < 8; i++) assert_string_equal(a->net.remove[i], b->net.remove[i]);
    assert_string_equal(b->data.path, " leading and trailing ");
    assert_string_equal(b->out, "\ttab");
    assert_string_equal(b->net.weights, "a, [b] {c} & *d !e |f %g @h `i ? j : k");
    assert_non_null(strstr(yaml, "\n  lr: 0.1\n"));             /* the fewest digits */
    assert_non_null(strstr(yaml, "\ntrain:\n  epochs: 150\n")); /* for people */
    free(yaml);
    free(again);
    config_free(a);
    config_free(b);
}

/* Unquoted null is the key's default, whatever was set before; quoted, it is text and stays text. */
static void nulls(void **state)
{
    (void)state;
    static char *const null[] = { "out=null",  "net.weights=~",         "train.epochs=Null",
                                  "name=NULL", "train.milestones=null", "data.mean=~" };
    static char *const text[] = { "out=\"null\"", "net.weights='~x'", "net.arch='NULL'", "net.remove=['~']" };
    const char *yaml = "out: here\nname: x\nnet: {weights: w}\ntrain: {epochs: 3, milestones: [1]}\n"
                       "data: {mean: [0, 0, 0]}\nanalysis: null\n";
    config *c = load(yaml, null, COUNT_OF(null)), *back = NULL;
    assert_string_equal(c->out, "runs");
    assert_string_equal(c->net.weights, "");
    assert_string_equal(c->name, "resnet56-cifar10");
    assert_true(c->train.epochs == 150 && c->train.milestones_count == 2 && c->data.mean[0] == .4914f);
    config_free(c);
    c = load("out: null\nnet:\n  weights: ~\n  remove: NULL\n", NULL, 0);
    assert_string_equal(c->out, "runs");
    assert_string_equal(c->net.weights, "");
    assert_int_equal(c->net.remove_count, 0);
    config_free(c);
    c = load("", text, COUNT_OF(text));
    char *written = NULL;
    assert_int_equal(config_yaml(c, &written), OK);
    assert_int_equal(config_parse("b.yaml", written, NULL, 0, &back), OK);
    for (const config *each = c; each; each = each == c ? back : NULL) {
        assert_string_equal(each->out, "null");
        assert_string_equal(each->net.weights, "~x");
        assert_string_equal(each->net.arch, "NULL");
        assert_string_equal(each->net.remove[0], "~");
    }
    free(written);
    config_free(c);
    config_free(back);
}

/* A leading ~/ is the home folder in every key that is a path, and in no other. */
static void home(void **state)
{
    (void)state;
    static char *const overrides[] = { "data.path=~/d", "name=x" };
    char *before = getenv("HOME") ? strdup(getenv("HOME")) : NULL;
    setenv("HOME", "/home/me", 1);
    config *c = load("out: ~/runs\nnet: {weights: '~/w', arch: ~/net}\n", overrides, COUNT_OF(overrides));
    assert_string_equal(c->out, "/home/me/runs");
    assert_string_equal(c->net.weights, "/home/me/w");
    assert_string_equal(c->data.path, "/home/me/d");
    assert_string_equal(c->net.arch, "~/net");
    config_free(c);
    c = load("out: ./~\nnet: {weights: '~'}\ndata: {path: a~/b}", NULL, 0);
    assert_string_equal(c->out, "./~");
    assert_string_equal(c->net.weights, "/home/me");
    assert_string_equal(c->data.path, "a~/b");
    config_free(c);
    unsetenv("HOME"); /* the password file knows a home, too */
    c = load("out: ~/runs\n", NULL, 0);
    assert_true(c->out[0] == '/');
    config_free(c);
    if (before) setenv("HOME", before, 1);
    free(before);
}

static void hash(void **state)
{
    (void)state;
    static char *same[] = { "name=other",          "seed=5",         "device=cpu",
                            "threads=2",           "out=elsewhere",  "analysis.k=5",
                            "prune.eps=0.5",       "train.lr=0.010", "train.epochs=150",
                            "data.max_pixels=100", "data.size=32",   "data.fit=squash" };
    static char *other[] = { "net.arch=vgg16_bn",     "net.remove=[a]",     "net.classes=100",
                             "data.flip=false",       "data.train_limit=5", "train.lr=0.02",
                             "train.milestones=[49]", "precision=bf16",     "data.size=28",
                             "data.channels=1",       "data.fit=pad" };
    config *c = load("", NULL, 0);
    char want[9], got[9], again[9];
    assert_int_equal(config_hash(c, want), OK);
    config_free(c);
    assert_int_equal(strlen(want), 8);
    assert_string_equal(want, "a841ac74"); /* as before there were younger keys: runs keep their names */
    for (int i = 0; i < COUNT_OF(same); i++) {
        c = load("", &same[i], 1);
        assert_int_equal(config_hash(c, got), OK);
        assert_string_equal(got, want);
        config_free(c);
    }
    for (int i = 0; i < COUNT_OF(other); i++) {
        c = load("", &other[i], 1);
        assert_int_equal(config_hash(c, got), OK);
        assert_string_not_equal(got, want);
        assert_int_equal(config_hash(c, again), OK);
        assert_string_equal(got, again);
        config_free(c);
    }
}

static void files(void **state)
{
    (void)state;
    config *c = NULL;
    assert_int_equal(config_load("none.yaml", NULL, 0, &c), ERR_USAGE);
    assert_string_equal(status_message(), "none.yaml: No such file or directory");
    assert_int_equal(config_load("/", NULL, 0, &c), ERR_USAGE);

    const char *path = scratch_write("a.yaml", "train:\n  lr: 3\n", 15);
    char expected[600];
    assert_int_equal(config_load(path, NULL, 0, &c), OK);
    assert_true(c->train.lr == 3);
    config_free(c);
    c = NULL;
    scratch_write("a.yaml", "train:\n  lr: x\n", 15);
    assert_int_equal(config_load(path, NULL, 0, &c), ERR_USAGE);
    snprintf(expected, sizeof expected, "%s:2: train.lr: expected a number > 0, got \"x\"", path);
    assert_string_equal(status_message(), expected);
    scratch_write("a.yaml", "seed: 1\0\n", 9);
    assert_int_equal(config_load(path, NULL, 0, &c), ERR_USAGE);
    assert_non_null(strstr(status_message(), "a NUL byte at byte 7"));

    char *large = malloc(100001);
    assert_non_null(large);
    memset(large, '[', 100000); /* with this nesting, libyaml would take minutes */
    large[100000] = '\0';
    assert_int_equal(config_parse("a.yaml", large, NULL, 0, &c), ERR_USAGE);
    assert_string_equal(status_message(), "a.yaml: 100000 bytes: a config has at most 65536");
    free(large);
    assert_null(c);
}

/* libyaml would take minutes for these. */
static void deep_nesting(void **state)
{
    (void)state;
    static const char *const part[] = { "[", "{", "{a: ", "- ", "[[], ", "? ", "!!seq [", "&a [" };
    config *c = NULL;
    for (int i = 0; i < COUNT_OF(part); i++) {
        const size_t n = strlen(part[i]), times = 65000 / n;
        char *yaml = malloc(times * n + 1);
        assert_non_null(yaml);
        for (size_t k = 0; k < times; k++) memcpy(yaml + k * n, part[i], n);
        yaml[times * n] = '\0';
        assert_int_equal(config_parse("a.yaml", yaml, NULL, 0, &c), ERR_USAGE);
        assert_string_equal(status_message(), "a.yaml:1: lists and mappings nest deeper than 32 levels");
        assert_null(c);
        free(yaml);
    }
}

static void bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t want;
    } good[] = {
        { "1", 1 },          { "1024", 1024 },    { "2K", 2048 }, { "512M", 512ll << 20 },
        { "8G", 8ll << 30 }, { "3T", 3ll << 40 },
    };
    static const char *const bad[] = {
        "", "0", "0G", "-1", "G", "1.5G", "8 G", "8GB", "9223372036854775808", "9000000T", " 1"
    };
    int64_t n;
    for (int i = 0; i < COUNT_OF(good); i++) {
        assert_int_equal(config_bytes(good[i].text, &n), OK);
        assert_true(n == good[i].want);
    }
    for (int i = 0; i < COUNT_OF(bad); i++) assert_int_equal(config_bytes(bad[i], &n), ERR_USAGE);
}

/* The spelling of a value is the one that the key takes. */
static void choices(void **state)
{
    (void)state;
    assert_string_equal(config_choice("precision", PRECISION_TF32), "tf32");
    assert_string_equal(config_choice("analysis.precision", PRECISION_INT8), "int8");
    assert_string_equal(config_choice("analysis.norm", NORM_NEWMAN), "newman");
    assert_string_equal(config_choice("analysis.hooks", HOOKS_LU2022), "lu2022");
    assert_string_equal(config_choice("prune.metric", METRIC_CKA), "cka");
    assert_string_equal(config_choice("precision", PRECISION_INT8), ""); /* of similarities only */
    assert_string_equal(config_choice("train.epochs", 0), "");
    assert_string_equal(config_choice("nonsense", 0), "");
}

/* Every configuration that is shipped loads. */
static void shipped(void **state)
{
    (void)state;
    glob_t g;
    if (glob("configs/*.yaml", 0, NULL, &g) != 0) {
        print_message("SKIPPED: no configs/*.yaml: not run from the root of the repository\n");
        skip();
    }
    for (size_t i = 0; i < g.gl_pathc; i++) {
        config *c = NULL;
        status st = config_load(g.gl_pathv[i], NULL, 0, &c);
        if (st != OK) print_error("%s\n", status_message());
        assert_int_equal(st, OK);
        config_free(c);
    }
    globfree(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults),      cmocka_unit_test(layers),
        cmocka_unit_test(file_mistakes), cmocka_unit_test(override_mistakes),
        cmocka_unit_test(ranges),        cmocka_unit_test(yaml_round_trip),
        cmocka_unit_test(hash),          cmocka_unit_test(files),
        cmocka_unit_test(bytes),         cmocka_unit_test(choices),
        cmocka_unit_test(shipped),       cmocka_unit_test(nulls),
        cmocka_unit_test(home),          cmocka_unit_test(deep_nesting),
    };
    return cmocka_run_group_tests(tests, scratch_setup, scratch_teardown);
}
