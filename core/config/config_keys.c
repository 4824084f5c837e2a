/* core/config/config_keys.c -- the one place that describes each key: type, default, range, meaning.
 *
 * To add a key: a member in config.h and a line here. Loading, checking, --help, config.yaml and the
 * suggestions for misspelt keys follow. Types and places are libcyaml's schema; the names are full
 * ("train.epochs"), so that one flat mapping holds them all. */
#include "config_keys.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const cyaml_strval_t precisions[] = { { "f32", PRECISION_F32 },
                                             { "bf16", PRECISION_BF16 },
                                             { "tf32", PRECISION_TF32 } };
static const cyaml_strval_t similarity_precisions[] = { { "f32", PRECISION_F32 },
                                                        { "bf16", PRECISION_BF16 },
                                                        { "int8", PRECISION_INT8 } };
static const cyaml_strval_t formats[] = { { "cifar10", DATA_CIFAR10 },
                                          { "cifar100", DATA_CIFAR100 },
                                          { "folder", DATA_FOLDER },
                                          { "synthetic", DATA_SYNTHETIC } };
static const cyaml_strval_t schedules[] = { { "step", SCHEDULE_STEP },
                                            { "cosine", SCHEDULE_COSINE },
                                            { "constant", SCHEDULE_CONSTANT } };
static const cyaml_strval_t hook_sets[] = { { "block", HOOKS_BLOCK },
                                            { "conv", HOOKS_CONV },
                                            { "lu2022", HOOKS_LU2022 } };
static const cyaml_strval_t norms[] = { { "newman", NORM_NEWMAN }, { "literal", NORM_LITERAL } };
static const cyaml_strval_t metrics[] = { { "yang", METRIC_YANG },
                                          { "lu", METRIC_LU },
                                          { "random", METRIC_RANDOM },
                                          { "last", METRIC_LAST },
                                          { "cka", METRIC_CKA } };
static const cyaml_strval_t picks[] = { { "least", PICK_LEAST }, { "most", PICK_MOST } };
static const cyaml_strval_t attacks[] = { { "fgsm", ATTACK_FGSM }, { "pgd", ATTACK_PGD } };
static const cyaml_strval_t inits[] = { { "inherit", INIT_INHERIT }, { "scratch", INIT_SCRATCH } };

static const cyaml_schema_value_t a_float = { CYAML_VALUE_FLOAT(CYAML_FLAG_STRICT, float) };
static const cyaml_schema_value_t an_int = { CYAML_VALUE_INT(CYAML_FLAG_STRICT, int) };
static const cyaml_schema_value_t a_string = { CYAML_VALUE_STRING(CYAML_FLAG_POINTER, char, 0,
                                                                  CYAML_UNLIMITED) };

static bool is_run_name(const char *s)
{
    if (!isalnum((unsigned char)*s) && *s != '_') return false;
    size_t n = strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._+=,@-");
    return s[n] == '\0' && n <= 128;
}

static bool is_device(const char *s)
{
    static const char *const plain[] = { "auto", "cpu", "ref", "cuda" };
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++)
        if (strcmp(s, plain[i]) == 0) return true;
    if (strncmp(s, "cuda:", 5) != 0) return false;
    size_t digits = strspn(s + 5, "0123456789");
    return digits >= 1 && digits <= 4 && s[5 + digits] == '\0';
}

static bool is_not_empty(const char *s)
{
    return *s != '\0';
}

static bool is_odd(const char *s)
{
    return strtoll(s, NULL, 10) % 2 != 0;
}

static bool is_bytes(const char *s)
{
    int64_t bytes;
    return config_bytes(s, &bytes) == OK;
}

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* clang-format off */
#define AT_LEAST(a)      { (a), INFINITY, false, false }
#define ABOVE(a)         { (a), INFINITY, true, false }
#define BETWEEN(a, b)    { (a), (b), false, false }
#define FROM_BELOW(a, b) { (a), (b), false, true } /* a <= x < b */
#define ANY              { -INFINITY, INFINITY, false, false }

/* m: the member of struct config, whose spelling is the key's name. preset: the default, as YAML. */
#define INT(m, preset, range, help) \
    { CYAML_FIELD_INT(#m, CYAML_FLAG_STRICT, config, m), preset, range, NULL, NULL, help }
#define INT_THAT(m, preset, range, accepts, expects, help) \
    { CYAML_FIELD_INT(#m, CYAML_FLAG_STRICT, config, m), preset, range, accepts, expects, help }
#define UINT(m, preset, range, help) \
    { CYAML_FIELD_UINT(#m, CYAML_FLAG_STRICT, config, m), preset, range, NULL, NULL, help }
#define NUMBER(m, preset, range, help) \
    { CYAML_FIELD_FLOAT(#m, CYAML_FLAG_STRICT, config, m), preset, range, NULL, NULL, help }
#define BOOL(m, preset, help) \
    { CYAML_FIELD_BOOL(#m, CYAML_FLAG_STRICT, config, m), preset, ANY, NULL, NULL, help }
#define CHOICE(m, names, preset, help) \
    { CYAML_FIELD_ENUM(#m, CYAML_FLAG_STRICT, config, m, names, COUNT_OF(names)), preset, ANY, \
      NULL, NULL, help }
#define TEXT(m, preset, accepts, expects, help) \
    { CYAML_FIELD_STRING_PTR(#m, CYAML_FLAG_POINTER, config, m, 0, CYAML_UNLIMITED), preset, ANY, accepts, \
      expects, help }
#define LIST(m, entry, preset, range, help) \
    { CYAML_FIELD_SEQUENCE(#m, CYAML_FLAG_POINTER, config, m, &entry, 0, CYAML_UNLIMITED), preset, range, \
      NULL, NULL, help }
#define THREE(m, preset, range, help) \
    { CYAML_FIELD_SEQUENCE_FIXED(#m, CYAML_FLAG_DEFAULT, config, m, &a_float, 3), preset, range, \
      NULL, NULL, help }

/* Keys of a section stand together. */
const config_key config_keys[] = {
    TEXT(name, "resnet56-cifar10", is_run_name,
         "letters, digits and . _ + = , @ - (it names a folder)",
         "names the run"),
    UINT(seed, "0", AT_LEAST(0), "of initialisation, order, augmentation, sampling"),
    TEXT(device, "auto", is_device, "auto, cpu, ref, cuda or cuda:N", "auto, cpu, ref, cuda or cuda:N"),
    CHOICE(precision, precisions, "f32", "of activations and weight copies; tf32 (cuda only): of products"),
    INT(threads, "0", BETWEEN(0, 4096), "of the processor; 0 = all cores"),
    TEXT(out, "runs", is_not_empty, "a folder", "folder that receives the run directories"),

    TEXT(net.arch, "resnet56", is_not_empty, "a net, such as resnet56 or vgg16_bn",
         "the net; an unknown name lists the known ones"),
    INT(net.classes, "10", BETWEEN(2, 1000000), "of the data"),
    TEXT(net.weights, "\"\"", NULL, NULL, "a .safetensors file to start from; empty = initialise"),
    LIST(net.remove, a_string, "[]", ANY, "units to leave out, e.g. [layer3.2, layer4.1]"),

    CHOICE(data.format, formats, "cifar10", "what lies at data.path"),
    TEXT(data.path, "datasets/cifar-10-batches-bin", NULL, NULL, "folder of the data"),
    THREE(data.mean, "[0.4914, 0.4822, 0.4465]", BETWEEN(0, 1), "of the channels, pixels in [0, 1]"),
    THREE(data.std, "[0.2023, 0.1994, 0.2010]", ABOVE(0), "of the channels"),
    INT(data.crop_pad, "4", BETWEEN(0, 16), "black pixels on each side before the random crop; 0 = no crop"),
    BOOL(data.flip, "true", "random horizontal flip"),
    NUMBER(data.rotate, "0", BETWEEN(0, 180), "random rotation, degrees each way"),
    INT(data.train_limit, "0", AT_LEAST(0), "only the first so many training images; 0 = all"),
    INT(data.test_limit, "0", AT_LEAST(0), "only the first so many test images; 0 = all"),

    INT(train.epochs, "150", AT_LEAST(0), "passes over the training set"),
    INT(train.batch, "256", AT_LEAST(1), "images a step"),
    NUMBER(train.lr, "0.01", ABOVE(0), "learning rate"),
    NUMBER(train.momentum, "0.9", FROM_BELOW(0, 1), "of SGD"),
    BOOL(train.nesterov, "false", "Nesterov's form of momentum"),
    NUMBER(train.weight_decay, "0.005", AT_LEAST(0), "on every parameter"),
    CHOICE(train.schedule, schedules, "step", "of the learning rate"),
    LIST(train.milestones, an_int, "[49, 99]", AT_LEAST(0),
         "step: 0-based epochs from which lr is multiplied by gamma"),
    NUMBER(train.gamma, "0.1", ABOVE(0), "step: the factor"),
    INT(train.warmup, "0", AT_LEAST(0), "epochs in which lr rises linearly"),
    NUMBER(train.label_smoothing, "0", FROM_BELOW(0, 1), "share spread over all classes"),
    INT(train.save_every, "1", AT_LEAST(1), "epochs between checkpoints"),

    CHOICE(analysis.hooks, hook_sets, "block", "which outputs are looked at"),
    INT(analysis.samples, "4000", AT_LEAST(2), "images in the graph"),
    BOOL(analysis.balanced, "false", "the same number of each class"),
    INT(analysis.edges, "40000", AT_LEAST(1), "most similar pairs that become edges"),
    INT(analysis.histogram_samples, "10000", AT_LEAST(2), "images whose pairs the histogram counts"),
    CHOICE(analysis.norm, norms, "newman", "reading of Yang's M"),
    INT(analysis.k, "3", AT_LEAST(1), "Lu's Q: neighbours of a vertex"),
    INT(analysis.lu_batches, "5", AT_LEAST(1), "Lu's Q: batches"),
    INT(analysis.lu_batch, "500", AT_LEAST(2), "Lu's Q: images a batch"),
    TEXT(analysis.memory, "8G", is_bytes, "a size such as 512M or 8G", "for the activations that are kept"),
    CHOICE(analysis.precision, similarity_precisions, "f32",
           "of the similarities; bf16, int8: 1/2, 1/4 of the memory; r and M of a trained net within 3e-4"),
    INT(analysis.every, "0", AT_LEAST(0), "n = also while training and fine-tuning, every n epochs; 0 = not"),
    INT(analysis.cka, "0", BETWEEN(0, 20000), "first so many test images in the CKA of the layers; 0 = none"),
    INT(analysis.features, "0", AT_LEAST(0),
        "first so many test images whose activations are written to files; 0 = none"),

    CHOICE(prune.metric, metrics, "yang",
           "M (yang) or Q (lu) decides; or chance, depth, least change of CKA, to compare with"),
    NUMBER(prune.eps, "0.01", BETWEEN(0, 1), "a gain below this share of the curve's span is a plateau"),
    NUMBER(prune.floor, "0.30", BETWEEN(0, 1), "no cut below this share of the maximum"),
    INT_THAT(prune.smooth, "1", AT_LEAST(1), is_odd, "an odd whole number >= 1",
             "window of the moving average; odd"),
    INT(prune.max_cut, "0", AT_LEAST(0), "at most so many units; 0 = no limit"),
    BOOL(prune.keep_one_per_stage, "false", "leave at least one unit in each stage"),
    CHOICE(prune.init, inits, "inherit", "weights of the pruned net"),
    INT(prune.epochs, "0", AT_LEAST(0), "of fine-tuning; 0 = as train"),
    INT(prune.count, "0", AT_LEAST(0),
        "cut exactly so many units; 0 = as Criterion I decides (random, last, cka: as many as by M)"),
    CHOICE(prune.pick, picks, "least", "with prune.count: the units with the smallest or largest gain"),
    UINT(prune.seed, "0", AT_LEAST(0), "of prune.metric=random"),

    CHOICE(attack.kind, attacks, "fgsm", "of attack: one step, or several with projection"),
    INT(attack.eps, "8", BETWEEN(0, 255), "how far a pixel may move, in 1/255"),
    INT(attack.step, "2", BETWEEN(1, 255), "pgd: how far a pixel moves in one step, in 1/255"),
    INT(attack.steps, "10", AT_LEAST(1), "pgd: steps"),
    BOOL(attack.random_start, "true", "pgd: begin at a random point within eps"),
};
/* clang-format on */
_Static_assert(COUNT_OF(config_keys) == CONFIG_KEYS, "the table and CONFIG_KEYS in config_keys.h differ");

int config_key_find(const char *name)
{
    for (int i = 0; i < CONFIG_KEYS; i++)
        if (strcmp(config_keys[i].field.key, name) == 0) return i;
    return -1;
}

size_t config_section_length(const char *name)
{
    const char *dot = strchr(name, '.');
    return dot ? (size_t)(dot - name) : 0;
}

bool config_is_section(const char *name)
{
    size_t n = strlen(name);
    for (int i = 0; i < CONFIG_KEYS; i++) {
        const char *key = config_keys[i].field.key;
        if (n > 0 && config_section_length(key) == n && strncmp(key, name, n) == 0) return true;
    }
    return false;
}

bool config_key_is_list(const config_key *key)
{
    return key->field.value.type == CYAML_SEQUENCE || key->field.value.type == CYAML_SEQUENCE_FIXED;
}

const cyaml_schema_value_t *config_key_scalar(const config_key *key)
{
    return config_key_is_list(key) ? key->field.value.sequence.entry : &key->field.value;
}

void config_values_free(config_values *values)
{
    for (int i = 0; i < CONFIG_KEYS; i++) {
        config_value *v = &values->key[i];
        for (unsigned k = 0; k < v->n; k++) free(v->item[k]);
        free(v->item);
        *v = (config_value){ 0 };
    }
}
