/* tools/cli.c: every kind of argument, and where the configuration of a checkpoint comes from. */
#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../nets/checkpoint.h"
#include "../../tools/cli.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static bool resume, go;
static const char *logits, *how;
static const cli_option options[] = {
    { "--resume", NULL, "go on", &resume, NULL },
    { "--logits", "F.npy", "write logits", NULL, &logits },
    { "--go", "=auto", "go", &go, &how },
};
static const cli_tool tool = { .name = "try",
                               .synopsis = "CONFIG [key=value ...]",
                               .about = "Tries.",
                               .examples = "  try a.yaml\n",
                               .options = options,
                               .n_options = 3,
                               .needs_subject = true };
static const cli_tool bare_tool = { .name = "bench", .synopsis = "[key=value ...]", .about = "Measures." };

/* Parses "a b c"; the words stay in `words`. */
static char words[512];
static status parse(const cli_tool *t, const char *line, cli *out, bool *done)
{
    static char *argv[32];
    int argc = 0;
    char *save;
    resume = go = false;
    logits = how = NULL;
    snprintf(words, sizeof words, "%s %s", t->name, line);
    for (char *w = strtok_r(words, " ", &save); w; w = strtok_r(NULL, " ", &save)) argv[argc++] = w;
    argv[argc] = NULL;
    return cli_parse(t, argc, argv, out, done);
}

static void arguments(void **state)
{
    (void)state;
    cli c;
    bool done = true;
    assert_int_equal(
        parse(&tool, "train.epochs=3 a.yaml --resume seed=1 --logits x.npy --json seed=2", &c, &done), OK);
    assert_false(done);
    assert_string_equal(c.subject, "a.yaml");
    assert_int_equal(c.n_overrides, 3);
    assert_string_equal(c.overrides[0], "train.epochs=3");
    assert_string_equal(c.overrides[2], "seed=2");
    assert_true(resume && c.json && !c.quiet);
    assert_string_equal(logits, "x.npy");
    assert_int_equal(c.argc, 9);
    assert_string_equal(c.argv[0], "try");
    cli_free(&c);

    assert_int_equal(parse(&tool, "runs/lr=0.1/x --logits=y.npy --quiet", &c, &done), OK);
    assert_string_equal(c.subject, "runs/lr=0.1/x"); /* a path, for all its = */
    assert_string_equal(logits, "y.npy");
    assert_true(c.quiet && log_get_level() == LOG_ERROR);
    cli_free(&c);
    assert_int_equal(parse(&tool, "a --debug", &c, &done), OK);
    assert_int_equal(log_get_level(), LOG_DEBUG);
    cli_free(&c);
    assert_int_equal(parse(&tool, "a --go=auto", &c, &done), OK);
    assert_true(go && how && strcmp(how, "auto") == 0);
    cli_free(&c);
    assert_int_equal(parse(&tool, "--go a", &c, &done), OK); /* "a" is no value of --go */
    assert_true(go && !how && strcmp(c.subject, "a") == 0);
    cli_free(&c);
    assert_int_equal(parse(&bare_tool, "seed=1", &c, &done), OK);
    assert_null(c.subject);
    assert_int_equal(log_get_level(), LOG_INFO);
    cli_free(&c);
    cli_free(&c);
}

static void mistakes(void **state)
{
    (void)state;
    static const struct {
        const cli_tool *tool;
        const char *line, *message;
    } m[] = {
        { &tool, "", "usage: try CONFIG [key=value ...]; --help explains it" },
        { &tool, "seed=1", "usage: try CONFIG [key=value ...]; --help explains it" },
        { &tool, "a b", "unexpected argument b after a; settings are key=value, --help lists the keys" },
        { &tool, "a --resum", "unknown option --resum; --help lists the options" },
        { &tool, "a --resumes", "unknown option --resumes; --help lists the options" },
        { &tool, "a -x", "unknown option -x; --help lists the options" },
        { &tool, "a --resume=1", "--resume takes no value" },
        { &tool, "a --go=1", "--go=1: expected --go or --go=auto" },
        { &tool, "a --go=", "--go=: expected --go or --go=auto" },
        { &tool, "a --logits", "--logits needs F.npy; --help explains it" },
        { &bare_tool, "a", "unexpected argument a; usage: bench [key=value ...]" },
    };
    for (size_t i = 0; i < sizeof m / sizeof *m; i++) {
        cli c;
        bool done;
        assert_int_equal(parse(m[i].tool, m[i].line, &c, &done), ERR_USAGE);
        assert_string_equal(status_message(), m[i].message);
        cli_free(&c);
    }
}

/* Runs f with `stream` going to a file; returns what was written. */
static char *captured(FILE *stream, void (*f)(void))
{
    char path[] = "/tmp/cleave-test-cli-XXXXXX", *text = NULL;
    int fd = mkstemp(path), number = fileno(stream);
    fflush(stream);
    int saved = dup(number);
    assert_true(fd >= 0 && saved >= 0 && dup2(fd, number) >= 0);
    f();
    fflush(stream);
    dup2(saved, number);
    close(saved);
    close(fd);
    status st = file_read(path, &text, NULL);
    unlink(path);
    assert_int_equal(st, OK);
    return text;
}

static void ask_help(void)
{
    cli c;
    bool done = false;
    assert_int_equal(parse(&tool, "--help", &c, &done), OK); /* no subject is needed for that */
    assert_true(done);
    cli_free(&c);
}

static void help(void **state)
{
    (void)state;
    static const char *const parts[] = { "usage: try CONFIG [key=value ...]\n\nTries.\n",
                                         "\n  --resume ",
                                         "\n  --logits F.npy ",
                                         "\n  --go[=auto] ",
                                         "\n  --json ",
                                         "\n  train.epochs=150 ",
                                         "one of step, cosine, constant",
                                         "75 stopped",
                                         "examples:\n  try a.yaml\n" };
    char *text = captured(stdout, ask_help);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) assert_non_null(strstr(text, parts[i]));
    free(text);
}

static void fail_quietly(void)
{
    log_set_level(LOG_ERROR); /* as --quiet does */
    status_set(ERR_DATA, "f.c", 1, "a.bin: gone");
    assert_int_equal(cli_exit(&tool, ERR_DATA), 3);
    assert_int_equal(cli_exit(&tool, OK), 0);
    log_set_level(LOG_INFO);
}

static void exit_message(void **state)
{
    (void)state;
    char *text = captured(stderr, fail_quietly);
    assert_string_equal(text, "try: a.bin: gone\n");
    free(text);
}

/* ---- RUN|CKPT ---- */

static char folder[] = "/tmp/cleave-test-subject-XXXXXX";

static const char *in_folder(const char *name)
{
    static char path[4][512];
    static int next;
    char *p = path[next++ % 4];
    assert_int_equal(text_format(p, sizeof path[0], "%s/%s", folder, name), OK);
    return p;
}

static void put(const char *name, const char *text)
{
    assert_int_equal(file_replace(in_folder(name), text, strlen(text)), OK);
}

static void checkpoint(const char *name, const st_pair *meta, int n)
{
    assert_int_equal(st_write(in_folder(name), NULL, 0, meta, n), OK);
}

static st_pair described[] = {
    { "arch", "{\"arch\": \"resnet20\", \"classes\": 100, \"removed\": [\"layer1.1\", \"layer3.2\"]}" },
    { "normalisation", "{\"mean\": [0.5, 0.25, 0.125], \"std\": [1, 2, 0.2023]}" },
    { "config",
      "name: told\nout: /etc\ntrain: {lr: 0.5}\nnet: {arch: vgg16_bn, classes: 7}\nanalysis: {k: 9}\n" },
};

static int setup(void **state)
{
    (void)state;
    if (!mkdtemp(folder)) return -1;
    assert_int_equal(file_make_dirs(in_folder("run")), OK);
    put("run/config.yaml", "name: of-run\nseed: 5\n");
    assert_int_equal(file_make_dirs(in_folder("young")), OK);
    put("young/config.yaml", "name: of-run\n");
    assert_int_equal(file_make_dirs(in_folder("other")), OK);
    checkpoint("run/best.safetensors", described, 3);
    checkpoint("full.safetensors", described, 3);
    checkpoint("arch-only.safetensors", described, 1);
    checkpoint("bare.safetensors", NULL, 0);
    st_pair bad = { "config", "train: {lr: -1}\n" };
    checkpoint("bad.safetensors", &bad, 1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command);
}

static void finds(void **state)
{
    (void)state;
    cli_subject s;
    char run[512];
    snprintf(run, sizeof run, "%s//", in_folder("run"));
    assert_int_equal(cli_subject_find(run, &s), OK);
    assert_string_equal(s.run, in_folder("run"));
    assert_string_equal(s.checkpoint, in_folder("run/best.safetensors"));
    assert_int_equal(cli_subject_find(in_folder("full.safetensors"), &s), OK);
    assert_string_equal(s.run, "");
    assert_string_equal(s.checkpoint, in_folder("full.safetensors"));
    assert_string_equal(s.name, "full");

    assert_int_equal(cli_subject_find(in_folder("none"), &s), ERR_DATA);
    assert_non_null(strstr(status_message(), "/none: there is no such run directory or checkpoint"));
    assert_int_equal(cli_subject_find(in_folder("other"), &s), ERR_DATA);
    assert_non_null(strstr(status_message(), "/other: not a run directory: it has no config.yaml"));
    assert_int_equal(cli_subject_find(in_folder("young"), &s), ERR_DATA);
    assert_non_null(strstr(status_message(), "/young: no best.safetensors yet"));
}

static status configure(const char *name, char **overrides, int n, config **out)
{
    cli c = { .overrides = overrides, .n_overrides = n };
    cli_subject s;
    *out = NULL;
    assert_int_equal(cli_subject_find(in_folder(name), &s), OK);
    return cli_subject_config(&c, &s, out);
}

/* The facts of the checkpoint come before the config of its training, and this before the defaults. */
static void of_checkpoint(void **state)
{
    (void)state;
    config *c;
    assert_int_equal(configure("full.safetensors", NULL, 0, &c), OK);
    assert_string_equal(c->out, "runs"); /* not where the file says: it may come from anywhere */
    assert_string_equal(c->name, "told");
    assert_true(c->train.lr == 0.5f && c->analysis.k == 9 && c->train.epochs == 150);
    assert_string_equal(c->net.arch, "resnet20");
    assert_int_equal(c->net.classes, 100);
    assert_int_equal(c->net.remove_count, 2);
    assert_string_equal(c->net.remove[1], "layer3.2");
    const float mean[3] = { .5f, .25f, .125f }, std[3] = { 1, 2, .2023f };
    assert_memory_equal(c->data.mean, mean, sizeof mean);
    assert_memory_equal(c->data.std, std, sizeof std);
    config_free(c);

    char *overrides[] = { "net.arch=resnet56", "net.remove=[]", "analysis.k=4", "data.std=[1,1,1]" };
    assert_int_equal(configure("full.safetensors", overrides, 4, &c), OK);
    assert_string_equal(c->net.arch, "resnet56");
    assert_true(c->net.remove_count == 0 && c->analysis.k == 4 && c->net.classes == 100 &&
                c->data.std[2] == 1);
    config_free(c);

    assert_int_equal(configure("arch-only.safetensors", NULL, 0, &c), OK);
    assert_string_equal(c->net.arch, "resnet20");
    assert_true(c->data.mean[0] == 0.4914f);
    config_free(c);
}

static void of_run(void **state)
{
    (void)state;
    config *c;
    assert_int_equal(configure("run", NULL, 0, &c), OK);
    assert_string_equal(c->name, "of-run");
    assert_true(c->seed == 5 && c->analysis.k == 3); /* config.yaml counts, not the metadata's config */
    assert_string_equal(c->net.arch, "resnet20");
    config_free(c);
}

static void of_bare_file(void **state)
{
    (void)state;
    config *c;
    char *overrides[] = { "net.arch=resnet20" }, *wrong[] = { "net.arch=resnet20", "train.lr=x" };
    assert_int_equal(configure("bare.safetensors", NULL, 0, &c), ERR_USAGE);
    assert_non_null(
        strstr(status_message(), "/bare.safetensors has no architecture in its metadata: give net.arch=..."));
    assert_int_equal(configure("bare.safetensors", overrides, 1, &c), OK);
    assert_string_equal(c->net.arch, "resnet20");
    config_free(c);
    assert_int_equal(configure("bare.safetensors", wrong, 2, &c), ERR_USAGE);
    assert_string_equal(status_message(), "override train.lr=x: expected a number > 0, got \"x\"");
    assert_int_equal(configure("bad.safetensors", overrides, 1, &c), ERR_DATA);
    assert_non_null(strstr(status_message(),
                           "/bad.safetensors, metadata:1: train.lr: expected a number > 0, got \"-1\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments),    cmocka_unit_test(mistakes),     cmocka_unit_test(help),
        cmocka_unit_test(exit_message), cmocka_unit_test(finds),        cmocka_unit_test(of_checkpoint),
        cmocka_unit_test(of_run),       cmocka_unit_test(of_bare_file),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
