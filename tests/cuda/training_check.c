/* tests/cuda/training_check.c -- a training on the emulated device gives the same metrics with images that stay on the
 * device as with images from the loader. */
#include "checks.h"

#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../nets/fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Trains on 10 images in batches of 4, 4 and 2. *metrics: losses and accuracies of the epochs, as text. */
static status train(const config *cfg, backend *b, char **metrics)
{
    status st = OK;
    dataset training = { 0 }, test = { 0 };
    net *n = NULL;
    rundir run = { 0 };
    fit_result result;
    file_path path;
    TRY(dataset_open(&cfg->data, cfg->net.classes, &training, &test));
    TRY(net_from_config(cfg, &n));
    TRY(fit_compile(cfg, &training, n, b));
    TRY(fit_start_values(cfg, n));
    TRY(rundir_create(cfg, b, 0, NULL, &run));
    const fit_job job = { .cfg = cfg, .net = n, .train = &training, .test = &test, .run = &run };
    TRY(fit(&job, &result));
    TRY(rundir_file(&run, "metrics.csv", &path));
    TRY(file_read(path.s, metrics, NULL));
out:
    net_free(n);
    dataset_free(&training);
    dataset_free(&test);
    return st;
}

/* Compares line by line, up to the sixth comma: after it there are times. */
static bool same_metrics(char *a, char *b)
{
    int lines = 0;
    char *rest_a, *rest_b;
    char *x = strtok_r(a, "\n", &rest_a), *y = strtok_r(b, "\n", &rest_b);
    for (; x && y; x = strtok_r(NULL, "\n", &rest_a), y = strtok_r(NULL, "\n", &rest_b), lines++) {
        size_t length = 0;
        for (int commas = 0; x[length] && commas < 6; length++) commas += x[length] == ',';
        if (strncmp(x, y, length)) {
            printf("# %s\n# %s\n", x, y);
            return false;
        }
    }
    return !x && !y && lines == 3;
}

static status run(backend *cuda, const char *folder, bool *same)
{
    status st = OK;
    char out[2][128], *metrics[2] = { NULL, NULL };
    const backend whole = *cuda;
    config *cfg = NULL;
    for (int i = 0; i < 2; i++) {
        snprintf(out[i], sizeof out[i], "out=%s/%d", folder, i);
        char *settings[] = { out[i],
                             "net.arch=resnet20",
                             "net.remove=[layer1.1, layer1.2, layer2.1, layer2.2, layer3.1, layer3.2]",
                             "data.format=synthetic",
                             "data.train_limit=10",
                             "data.test_limit=4",
                             "data.rotate=15",
                             "train.batch=4",
                             "train.epochs=2",
                             "train.lr=0.05" };
        config_free(cfg);
        cfg = NULL;
        TRY(config_load(NULL, settings, sizeof settings / sizeof *settings, &cfg));
        if (i == 1) cuda->images = NULL;
        TRY(train(cfg, cuda, &metrics[i]));
    }
    *same = same_metrics(metrics[0], metrics[1]);
out:
    cuda->images = whole.images;
    config_free(cfg);
    free(metrics[0]);
    free(metrics[1]);
    return st;
}

int check_training(backend *cuda)
{
    char folder[] = "/tmp/cleave-test-XXXXXX", command[64];
    bool same = false;
    const log_level level = log_get_level();
    if (!mkdtemp(folder)) return 1;
    log_set_level(LOG_WARN);
    if (run(cuda, folder, &same) != OK) printf("# %s\n", status_message());
    log_set_level(level);
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return (system(command) != 0) + !same;
}
