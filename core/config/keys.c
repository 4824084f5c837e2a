/* core/config/keys.c -- the table that describes each key: type, default, range, meaning.
 *
 * To add a key, add a member to struct config in config.h and a line to the table here. Loading, checking, --help,
 * config.yaml and the suggestions for misspelt keys use the table. Types and offsets are written as libcyaml's
 * schema. Names are full ("train.epochs"), so that one flat mapping holds them all. */
#include "keys.h"

#include <ctype.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

/* ---- choices: an enum of config.h and its spellings ---- */

static const cyaml_strval_t precisions[] = { { "f32", PRECISION_F32 },
                                             { "bf16", PRECISION_BF16 },
                                             { "tf32", PRECISION_TF32 } };
static const cyaml_strval_t similarity_precisions[] = { { "f32", PRECISION_F32 },
                                                        { "bf16", PRECISION_BF16 },
                                                        { "int8", PRECISION_INT8 } };
static const cyaml_strval_t formats[] = { { "cifar10", DATA_CIFAR10 },
                                          { "cifar100", DATA_CIFAR100 },
                                          { "folder", DATA_FOLDER },
                                          { "idx", DATA_IDX },
                                          { "synthetic", DATA_SYNTHETIC } };
static const cyaml_strval_t fits[] = { { "squash", FIT_SQUASH }, { "crop", FIT_CROP }, { "pad", FIT_PAD } };
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

/* ---- conditions that a range cannot express ---- */

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

static bool is_one_or_three(const char *s)
{
    return strcmp(s, "1") == 0 || strcmp(s, "3") == 0;
}

static bool is_bytes(const char *s)
{
    int64_t bytes;
    return config_bytes(s, &bytes) == OK;
}

/* ---- the table ---- */

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* clang-format off */
#define AT_LEAST(a)      { (a), INFINITY, false, false }
#define ABOVE(a)         { (a), INFINITY, true, false }
#define BETWEEN(a, b)    { (a), (b), false, false }
#define FROM_BELOW(a, b) { (a), (b), false, true } /* a <= x < b */
#define ANY              { -INFINITY, INFINITY, false, false }

/* m: the member of struct config; its name is the name of the key. preset: the default, as YAML. */
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
#define PATH(m, preset, accepts, expects, help) \
    { CYAML_FIELD_STRING_PTR(#m, CYAML_FLAG_POINTER, config, m, 0, CYAML_UNLIMITED), preset, ANY, accepts, \
      expects, help, .is_path = true }
#define LIST(m, entry, preset, range, help) \
    { CYAML_FIELD_SEQUENCE(#m, CYAML_FLAG_POINTER, config, m, &entry, 0, CYAML_UNLIMITED), preset, range, \
      NULL, NULL, help }
/* n numbers; one stands for all of them. */
#define NUMBERS(m, n, entry, preset, range, help) \
    { CYAML_FIELD_SEQUENCE_FIXED(#m, CYAML_FLAG_DEFAULT, config, m, &entry, n), preset, range, \
      NULL, NULL, help }

/* The keys of a section are neighbours: write.c opens a section where its name changes. */
const config_key config_keys[] = {
    TEXT(name, "resnet56-cifar10", is_run_name,
         "letters, digits and . _ + = , @ - (it names a folder)",
         "name of the run"),
    UINT(seed, "0", AT_LEAST(0), "of initialisation, order of images, augmentation and sampling"),
    TEXT(device, "auto", is_device, "auto, cpu, ref, cuda or cuda:N", "auto, cpu, ref, cuda or cuda:N"),
    CHOICE(precision, precisions, "f32", "of activations and copies of weights; tf32 (cuda only): of products"),
    INT(threads, "0", BETWEEN(0, 4096), "processor threads; 0 = one per core that this process may use"),
    PATH(out, "runs", is_not_empty, "a folder", "folder of the run directories"),

    TEXT(net.arch, "resnet56", is_not_empty, "a net, such as resnet56 or vgg16_bn",
         "the net; an unknown name lists the known ones"),
    INT(net.classes, "10", BETWEEN(2, 1000000), "number of classes of the data"),
    PATH(net.weights, "\"\"", NULL, NULL, "a .safetensors file to start from; empty = initialise"),
    LIST(net.remove, a_string, "[]", ANY, "units to leave out, e.g. [layer3.2, layer4.1]"),

    CHOICE(data.format, formats, "cifar10", "layout of the files at data.path"),
    PATH(data.path, "datasets/cifar-10-batches-bin", NULL, NULL, "folder of the data"),
    INT_THAT(data.channels, "3", ANY, is_one_or_three, "1 (gray) or 3 (colour)",
             "of the images that the net sees: 1 (gray) or 3 (colour)"),
    NUMBERS(data.size, 2, an_int, "[32, 32]", BETWEEN(1, DATA_MAX_SIDE),
            "height and width of the images that the net sees; one number for both"),
    CHOICE(data.fit, fits, "squash",
           "pictures of another shape are squashed; cropped (shorter side to size); or padded (longer side)"),
    NUMBERS(data.mean, 3, a_float, "[0.4914, 0.4822, 0.4465]", BETWEEN(0, 1),
            "of each channel, for pixels in [0, 1]; gray: the first"),
    NUMBERS(data.std, 3, a_float, "[0.2023, 0.1994, 0.2010]", ABOVE(0), "of each channel"),
    INT(data.crop_pad, "4", BETWEEN(0, 16), "black pixels on each side before the random crop; 0 = no crop"),
    BOOL(data.flip, "true", "random horizontal flip"),
    NUMBER(data.rotate, "0", BETWEEN(0, 180), "random rotation, degrees each way"),
    INT(data.train_limit, "0", AT_LEAST(0), "number of training images used, from the first; 0 = all"),
    INT(data.test_limit, "0", AT_LEAST(0), "number of test images used, from the first; 0 = all"),
    INT(data.max_pixels, "67108864", BETWEEN(1, 268435456), "a picture file that claims more is refused"),

    INT(train.epochs, "150", AT_LEAST(0), "passes over the training set"),
    INT(train.batch, "256", AT_LEAST(1), "images per step"),
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

    CHOICE(analysis.hooks, hook_sets, "block", "which outputs are analysed"),
    INT(analysis.samples, "4000", AT_LEAST(2), "images in the graph"),
    BOOL(analysis.balanced, "false", "the same number of each class"),
    INT(analysis.edges, "40000", AT_LEAST(1), "most similar pairs that become edges"),
    INT(analysis.histogram_samples, "10000", AT_LEAST(2), "images whose pairs are counted in the histogram"),
    CHOICE(analysis.norm, norms, "newman", "reading of Yang's M"),
    INT(analysis.k, "3", AT_LEAST(1), "Lu's Q: neighbours of a vertex"),
    INT(analysis.lu_batches, "5", AT_LEAST(1), "Lu's Q: batches"),
    INT(analysis.lu_batch, "500", AT_LEAST(2), "Lu's Q: images per batch"),
    TEXT(analysis.memory, "8G", is_bytes, "a size such as 512M or 8G", "upper limit for stored activations"),
    CHOICE(analysis.precision, similarity_precisions, "f32",
           "of the similarities; bf16, int8: 1/2, 1/4 of the memory; r and M of a trained net within 3e-4"),
    INT(analysis.every, "0", AT_LEAST(0), "analyse every n epochs of training and fine-tuning; 0 = never"),
    INT(analysis.cka, "0", BETWEEN(0, 20000), "number of test images in the CKA of the layers; 0 = no CKA"),
    INT(analysis.features, "0", AT_LEAST(0),
        "number of test images whose activations are written to files; 0 = none"),

    CHOICE(prune.metric, metrics, "yang",
           "M (yang) or Q (lu) decides; to compare with: chance, depth, least change of CKA"),
    NUMBER(prune.eps, "0.01", BETWEEN(0, 1), "a gain below this share of the curve's span is a plateau"),
    NUMBER(prune.floor, "0.30", BETWEEN(0, 1), "no cut below this share of the maximum"),
    INT_THAT(prune.smooth, "1", AT_LEAST(1), is_odd, "an odd whole number >= 1",
             "window of the moving average; odd"),
    INT(prune.max_cut, "0", AT_LEAST(0), "largest number of units to cut; 0 = no limit"),
    BOOL(prune.keep_one_per_stage, "false", "leave at least one unit in each stage"),
    CHOICE(prune.init, inits, "inherit", "weights of the pruned net"),
    INT(prune.epochs, "0", AT_LEAST(0), "of fine-tuning; 0 = as train"),
    INT(prune.count, "0", AT_LEAST(0),
        "number of units to cut; 0 = Criterion I decides (random, last, cka: as many as by M)"),
    CHOICE(prune.pick, picks, "least", "with prune.count: the units with the smallest or largest gain"),
    UINT(prune.seed, "0", AT_LEAST(0), "of prune.metric=random"),

    CHOICE(attack.kind, attacks, "fgsm", "one step, or several with projection"),
    INT(attack.eps, "8", BETWEEN(0, 255), "how far a pixel may move, in 1/255"),
    INT(attack.step, "2", BETWEEN(1, 255), "pgd: how far a pixel moves in one step, in 1/255"),
    INT(attack.steps, "10", AT_LEAST(1), "pgd: steps"),
    BOOL(attack.random_start, "true", "pgd: start at a random point within eps"),
};
/* clang-format on */
const int config_n_keys = COUNT_OF(config_keys);

/* Younger keys: at their default, nothing has changed, and a run keeps the name that it had before there was the key. */
bool config_key_is_younger(const char *name)
{
    static const char *const younger[] = { "data.channels", "data.size", "data.fit" };
    for (size_t i = 0; i < COUNT_OF(younger); i++)
        if (strcmp(younger[i], name) == 0) return true;
    return false;
}

/* libcyaml takes an array of fields that ends with an empty one. */
static cyaml_schema_field_t fields[COUNT_OF(config_keys) + 1];

static void fill_fields(void)
{
    for (int i = 0; i < config_n_keys; i++) fields[i] = config_keys[i].field;
}

const cyaml_schema_value_t *config_schema(void)
{
    static const cyaml_schema_value_t schema = { CYAML_VALUE_MAPPING(CYAML_FLAG_POINTER, config, fields) };
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, fill_fields);
    return &schema;
}

/* ---- looking up ---- */

int config_key_find(const char *name)
{
    for (int i = 0; i < config_n_keys; i++)
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
    for (int i = 0; i < config_n_keys; i++) {
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

const char *config_key_choice(const config_key *key, int64_t value)
{
    const cyaml_schema_value_t *type = config_key_scalar(key);
    for (uint32_t i = 0; type->type == CYAML_ENUM && i < type->enumeration.count; i++)
        if (type->enumeration.strings[i].val == value) return type->enumeration.strings[i].str;
    return "";
}

const char *config_choice(const char *key, int value)
{
    const int k = config_key_find(key);
    return k < 0 ? "" : config_key_choice(&config_keys[k], value);
}

bool config_is_null(const char *text)
{
    static const char *const spelling[] = { "null", "Null", "NULL", "~" };
    for (size_t i = 0; i < COUNT_OF(spelling); i++)
        if (strcmp(text, spelling[i]) == 0) return true;
    return false;
}

bool config_has_key(const char *name, bool *is_list)
{
    const int k = config_key_find(name);
    if (k >= 0 && is_list) *is_list = config_key_is_list(&config_keys[k]);
    return k >= 0;
}

/* ---- what people are told ---- */

/* Appends to a text of fixed size, cut off where it is full. */
static void append(char *out, size_t bytes, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void append(char *out, size_t bytes, const char *format, ...)
{
    size_t n = strlen(out);
    va_list args;
    va_start(args, format);
    vsnprintf(out + n, bytes - n, format, args);
    va_end(args);
}

static void append_range(char *out, size_t bytes, const config_range *r)
{
    bool low = isfinite(r->min), high = isfinite(r->max);
    if (low && high && !r->above_min && !r->below_max)
        append(out, bytes, " from %.15g to %.15g", r->min, r->max);
    else {
        if (low) append(out, bytes, " %s %.15g", r->above_min ? ">" : ">=", r->min);
        if (high) append(out, bytes, "%s %s %.15g", low ? " and" : "", r->below_max ? "<" : "<=", r->max);
    }
}

static void append_scalar(char *out, size_t bytes, const config_key *key)
{
    const cyaml_schema_value_t *type = config_key_scalar(key);
    const char *plural = config_key_is_list(key) ? "s" : "", *a = *plural ? "" : "a ";
    switch (type->type) {
    case CYAML_INT:
    case CYAML_UINT: append(out, bytes, "%swhole number%s", a, plural); break;
    case CYAML_FLOAT: append(out, bytes, "%snumber%s", a, plural); break;
    case CYAML_BOOL: append(out, bytes, "true or false"); break;
    case CYAML_ENUM:
        append(out, bytes, "one of ");
        for (uint32_t i = 0; i < type->enumeration.count; i++)
            append(out, bytes, "%s%s", i ? ", " : "", type->enumeration.strings[i].str);
        break;
    default: append(out, bytes, *plural ? "names" : "text"); break;
    }
    append_range(out, bytes, &key->range);
}

void config_key_expects(const config_key *key, char *out, size_t bytes)
{
    out[0] = '\0';
    if (key->expects)
        append(out, bytes, "%s", key->expects);
    else {
        const cyaml_schema_value_t *type = &key->field.value;
        if (type->type == CYAML_SEQUENCE) append(out, bytes, "a list of ");
        if (type->type == CYAML_SEQUENCE_FIXED) append(out, bytes, "1 or %u ", type->sequence.max);
        append_scalar(out, bytes, key);
    }
}

/* Edit distance [Wagner74] with swaps of neighbours: insert, delete, replace, swap cost 1 each. */
static int distance(const char *a, const char *b)
{
    enum { MAX = 64 };
    int n = (int)strlen(a), m = (int)strlen(b), d[MAX + 1][MAX + 1];
    if (n > MAX || m > MAX) return MAX;
    for (int i = 0; i <= n; i++) {
        for (int j = 0; j <= m; j++) {
            if (i == 0 || j == 0) {
                d[i][j] = i + j;
                continue;
            }
            int best = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            if (d[i - 1][j] + 1 < best) best = d[i - 1][j] + 1;
            if (d[i][j - 1] + 1 < best) best = d[i][j - 1] + 1;
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped && d[i - 2][j - 2] + 1 < best) best = d[i - 2][j - 2] + 1;
            d[i][j] = best;
        }
    }
    return d[n][m];
}

typedef struct candidate {
    char name[64];
    int distance;
} candidate;

static void consider(candidate *best, const char *name, size_t length, int d)
{
    if (d >= best->distance) return;
    best->distance = d;
    snprintf(best->name, sizeof best->name, "%.*s", (int)length, name);
}

/* The key or section meant by a misspelt name, or by one in the wrong section or without one; "" if none is
 * near: at most one edit in four letters, three in all. */
static candidate nearest(const char *unknown)
{
    size_t length = strlen(unknown);
    candidate best = { .distance = 2 + (int)(length / 4 < 2 ? length / 4 : 2) };
    const char *dot = strrchr(unknown, '.'), *last = dot ? dot + 1 : unknown;
    for (int i = 0; i < config_n_keys; i++) {
        const char *key = config_keys[i].field.key;
        size_t section = config_section_length(key);
        char title[64];
        snprintf(title, sizeof title, "%.*s", (int)section, key);
        consider(&best, key, strlen(key), distance(unknown, key));
        consider(&best, key, strlen(key), distance(last, section ? key + section + 1 : key) + 1);
        if (section) consider(&best, key, section, distance(unknown, title));
    }
    return best;
}

void config_key_suggest(const char *unknown, char *out, size_t bytes)
{
    out[0] = '\0';
    candidate near = nearest(unknown);
    size_t section = config_section_length(unknown);
    int n = 0;
    if (near.name[0]) {
        append(out, bytes, "did you mean %s?", near.name);
        return;
    }
    for (int i = 0; i < config_n_keys; i++) {
        const char *key = config_keys[i].field.key;
        if (section == 0 || config_section_length(key) != section || strncmp(key, unknown, section) != 0)
            continue;
        append(out, bytes, "%s%s", n++ ? ", " : "known are ", key);
    }
    if (n == 0) append(out, bytes, "--help lists the keys");
}

bool config_key_describe(int index, config_key_info *out)
{
    if (index < 0 || index >= config_n_keys) return false;
    const config_key *key = &config_keys[index];
    const cyaml_schema_value_t *type = &key->field.value;
    *out = (config_key_info){ .name = key->field.key, .preset = key->preset, .help = key->help };
    if (type->type == CYAML_BOOL) {
        out->choice[out->n_choices++] = "true";
        out->choice[out->n_choices++] = "false";
    }
    for (uint32_t i = 0; type->type == CYAML_ENUM && i < type->enumeration.count; i++)
        if (out->n_choices < CONFIG_MAX_CHOICES)
            out->choice[out->n_choices++] = type->enumeration.strings[i].str;
    return true;
}

void config_print_keys(FILE *f)
{
    for (int i = 0; i < config_n_keys; i++) {
        const config_key *key = &config_keys[i];
        char setting[128], choices[128] = "";
        snprintf(setting, sizeof setting, "%s=%s", key->field.key, key->preset);
        bool choice = key->field.value.type == CYAML_ENUM;
        if (choice) config_key_expects(key, choices, sizeof choices);
        fprintf(f, "  %-40s %s%s%s\n", setting, key->help, choice ? ": " : "", choices);
    }
}
