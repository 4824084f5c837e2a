/* tests/fuzz/fuzz_run.c -- what is read back of a run directory, apart from its checkpoints. The first byte of the input
 * says which file the rest replaces: 'a' status.json, 'b' metrics.jsonl, 'c' metrics.csv, 'd' lock, 'e' the config.yaml
 * of a run beside it. */
#include "fuzz.h"

#include "../../core/base/json.h"
#include "../../core/base/lock.h"
#include "../../core/base/text.h"
#include "../../nets/rundir.h"

#include <fcntl.h>
#include <unistd.h>

enum { STATUS, JSONL, CSV, LOCK, CONFIG, FILES };
static const fuzz_file files[FILES] = {
    [STATUS] = { "run/status.json", "{\"state\": \"running\", \"epoch\": 1, \"epochs\": 2}\n", 0 },
    [JSONL] = { "run/metrics.jsonl", "{\"epoch\": 0, \"lr\": 0.1}\n{\"epoch\": 1, \"lr\": 0.1}\n", 0 },
    [CSV] = { "run/metrics.csv",
              "epoch,lr,train_loss,train_accuracy,test_loss,test_accuracy,seconds,images_per_s\n"
              "0,0.1,2,0.5,2,0.5,1,10\n1,0.1,2,0.5,2,0.5,1,10\n",
              0 },
    [LOCK] = { "run/lock", "12 host 2026-01-01T00:00:00\n", 0 },
    [CONFIG] = { "out/near-12345678-s0/config.yaml", "name: near\n", 0 },
};

static bool read_status(const char *run)
{
    cJSON *j = NULL;
    if (!fuzz_accepted(rundir_status_read(run, &j), ERR_DATA)) return false;
    FUZZ_CHECK(strcmp(json_text(j, "state"), "running") != 0); /* nobody holds the lock */
    cJSON_Delete(j);
    return true;
}

/* The lines of epoch 0 stay, those of epoch 1 go, and a second time changes nothing. */
static bool cut_metrics(const char *run)
{
    rundir r;
    cJSON *last = json_read_last_line(fuzz_path("run/metrics.jsonl").s);
    cJSON_Delete(last);
    FUZZ_CHECK(text_format(r.path, sizeof r.path, "%s", run) == OK);
    if (!fuzz_accepted(rundir_truncate(&r, 1), ERR_DATA)) return false;
    last = json_read_last_line(fuzz_path("run/metrics.jsonl").s);
    const bool found = last != NULL;
    cJSON_Delete(last);
    return found;
}

/* Someone holds the lock: what its file says of him is shown. */
static bool read_holder(const char *run)
{
    lock_holder who = { 0 };
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
    const int fd = open(fuzz_path("run/lock").s, O_RDWR | O_CLOEXEC);
    FUZZ_CHECK(fd >= 0 && fcntl(fd, F_OFD_SETLK, &whole) == 0);
    FUZZ_CHECK(lock_is_held(run, &who));
    FUZZ_CHECK(strlen(who.host) < sizeof who.host && strlen(who.since) < sizeof who.since);
    close(fd);
    return who.pid > 0;
}

static bool find_near(void)
{
    static config *cfg;
    char out[PATH_BYTES + 8];
    run_near near;
    char *override[] = { out };
    snprintf(out, sizeof out, "out=%s", fuzz_path("out").s);
    if (!cfg) FUZZ_CHECK(config_parse("fuzz", "name: near\n", override, 1, &cfg) == OK);
    FUZZ_CHECK(rundir_nearest(cfg, &near) == OK);
    FUZZ_CHECK(strlen(near.differs) < sizeof near.differs);
    return near.run.path[0] != '\0';
}

bool fuzz_one(const uint8_t *data, size_t bytes)
{
    const int replaced = fuzz_replace_one(files, FILES, data, bytes);
    const file_path run = fuzz_path("run");
    switch (replaced) {
    case STATUS: return read_status(run.s);
    case JSONL:
    case CSV: return cut_metrics(run.s);
    case LOCK: return read_holder(run.s);
    case CONFIG: return find_near();
    default: return false;
    }
}
