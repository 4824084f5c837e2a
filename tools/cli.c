/* tools/cli.c -- the command line of every tool. */
#include "cli.h"

#include "../core/base/file.h"
#include "../core/base/json.h"
#include "../core/base/log.h"
#include "../core/base/threads.h"
#include "../nets/checkpoint.h"
#include "cli_text.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The options of every tool, besides those in struct cli. */
typedef struct common {
    bool debug;
    cli_printer print; /* --help or its kin is given: print and do not work */
} common;

static bool is_setting(const char *arg)
{
    size_t n = strspn(arg, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.");
    return n > 0 && arg[n] == '=';
}

static bool parse_common(const char *arg, cli *c, common *own)
{
    cli_printer print = cli_text_printer(arg);
    if (print)
        own->print = print;
    else if (strcmp(arg, "--json") == 0)
        c->json = true;
    else if (strcmp(arg, "--quiet") == 0)
        c->quiet = true;
    else if (strcmp(arg, "--debug") == 0)
        own->debug = true;
    else
        return false;
    return true;
}

bool cli_option_optional(const cli_option *o)
{
    return o->argument && o->argument[0] == '=';
}

/* "--logits F.npy", "--logits=F.npy", "--resume" or "--resume=auto"; *i becomes the index of the last argument used. */
static status parse_option(const cli_tool *tool, char **argv, int argc, int *i)
{
    status st = OK;
    const char *arg = argv[*i];
    for (int k = 0; k < tool->n_options; k++) {
        const cli_option *o = &tool->options[k];
        size_t n = strlen(o->name);
        if (strncmp(arg, o->name, n) != 0 || (arg[n] != '\0' && arg[n] != '=')) continue;
        if (cli_option_optional(o)) {
            *o->value = arg[n] ? arg + n + 1 : NULL;
            if (arg[n] && strcmp(arg + n, o->argument) != 0)
                FAIL(ERR_USAGE, "%s: expected %s or %s%s", arg, o->name, o->name, o->argument);
        } else if (o->argument && arg[n] == '=') {
            *o->value = arg + n + 1;
        } else if (o->argument) {
            if (*i + 1 >= argc) FAIL(ERR_USAGE, "%s needs %s; --help explains it", o->name, o->argument);
            *o->value = argv[++*i];
        } else if (arg[n] == '=') {
            FAIL(ERR_USAGE, "%s takes no value", o->name);
        }
        if (o->flag) *o->flag = true;
        goto out;
    }
    FAIL(ERR_USAGE, "unknown option %s; --help lists the options", arg);
out:
    return st;
}

static status parse_positional(const cli_tool *tool, char *arg, cli *out)
{
    status st = OK;
    if (is_setting(arg))
        out->overrides[out->n_overrides++] = arg;
    else if (!tool->needs_subject)
        FAIL(ERR_USAGE, "unexpected argument %s; usage: %s %s", arg, tool->name, tool->synopsis);
    else if (out->subject && !tool->many_subjects)
        FAIL(ERR_USAGE, "unexpected argument %s after %s; settings are key=value, --help lists the keys", arg,
             out->subject);
    else
        out->subjects[out->n_subjects++] = arg;
    if (out->n_subjects) out->subject = out->subjects[0];
out:
    return st;
}

/* The name that the user typed: installed tools have a prefix. */
static const char *program_of(const cli_tool *tool, char **argv)
{
    return argv[0] && *argv[0] ? path_name(argv[0]) : tool->name;
}

status cli_parse(const cli_tool *tool, int argc, char **argv, cli *out, bool *done)
{
    status st = OK;
    common own = { 0 };
    *done = false;
    *out = (cli){ .argc = argc, .argv = argv };
    TRY_ALLOC(out->overrides, calloc((size_t)argc + 1, sizeof *out->overrides));
    TRY_ALLOC(out->subjects, calloc((size_t)argc + 1, sizeof *out->subjects));
    for (int i = 1; i < argc; i++) {
        if (parse_common(argv[i], out, &own)) continue;
        if (argv[i][0] == '-')
            TRY(parse_option(tool, argv, argc, &i));
        else
            TRY(parse_positional(tool, argv[i], out));
    }
    if (own.print) {
        own.print(tool, program_of(tool, argv));
        st = cli_end_output();
        if (st != OK && errno == EPIPE) st = OK; /* --help | head: the reader has seen enough */
        *done = st == OK;
        goto out;
    }
    if (tool->needs_subject && !out->subject)
        FAIL(ERR_USAGE, "usage: %s %s; --help explains it", tool->name, tool->synopsis);
    log_set_level(own.debug ? LOG_DEBUG : out->quiet ? LOG_ERROR : LOG_INFO);
out:
    return st;
}

void cli_free(cli *c)
{
    free(c->overrides);
    free(c->subjects);
    *c = (cli){ 0 };
}

int cli_exit(const cli_tool *tool, status st)
{
    if (st == OK) return OK;
    if (status_message()[0]) log_error("%s: %s", tool->name, status_message());
    log_debug("%s: code %d from %s", tool->name, st, status_place());
    return st;
}

/* If descriptors 0 to 2 are closed, the next files opened would take their numbers: /dev/null takes them first. And a
 * file over the size limit (ulimit -f, the quota of some clusters) or a pipe whose reader is gone (2>&1 | head) becomes a
 * failed write instead of a killed run. */
static void settle_process(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd) _exit(ERR_RUNTIME);
    signal(SIGXFSZ, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
}

int cli_main(const cli_tool *tool, int argc, char **argv, status (*work)(const cli *))
{
    status st = OK;
    cli args = { 0 };
    bool done = false;
    settle_process();
    TRY(threads_check_stack());
    threads_sleep_when_waiting(argv);
    TRY(cli_parse(tool, argc, argv, &args, &done));
    if (done) goto out;
    TRY(threads_start());
    TRY(work(&args));
out:
    cli_free(&args);
    return cli_exit(tool, st);
}

status cli_count(const char *option, const char *text, int least, int most, int *out)
{
    status st = OK;
    char *end;
    if (!text) goto out;
    errno = 0;
    const long n = strtol(text, &end, 10);
    if (!*text || *end || errno || n < least || n > most)
        FAIL(ERR_USAGE, "%s %s: expected a whole number from %d to %d", option, text, least, most);
    *out = (int)n;
out:
    return st;
}

status cli_end_output(void)
{
    status st = OK;
    if (fflush(stdout) != 0 || ferror(stdout)) FAIL(ERR_RUNTIME, "stdout: write failed: %s", strerror(errno));
out:
    return st;
}

status cli_print_json(const cli *args, const struct cJSON *result)
{
    status st = OK;
    char *text = NULL;
    if (!args->json) goto out;
    TRY_ALLOC(text, cJSON_Print(result));
    text_to_utf8(text);
    printf("%s\n", text);
    TRY(cli_end_output());
out:
    cJSON_free(text);
    return st;
}

/* ---- RUN|CKPT: which files, and with what configuration ---- */

static status find_run(const char *subject, cli_subject *out)
{
    status st = OK;
    file_path config_file;
    size_t n = strlen(subject);
    while (n > 1 && subject[n - 1] == '/') n--;
    TRY(text_format(out->run, sizeof out->run, "%.*s", (int)n, subject));
    TRY(path_set(&config_file, "%s/config.yaml", out->run));
    if (!file_exists(config_file.s))
        FAIL(ERR_DATA, "%s: not a run directory: it has no config.yaml", out->run);
    TRY(text_format(out->checkpoint, sizeof out->checkpoint, "%s/best.safetensors", out->run));
    if (!file_exists(out->checkpoint))
        FAIL(ERR_DATA, "%s: no best.safetensors yet: has a training epoch been finished?", out->run);
out:
    return st;
}

static status find_checkpoint(const char *subject, cli_subject *out)
{
    status st = OK;
    static const char suffix[] = ".safetensors";
    const char *name = path_name(subject);
    size_t n = strlen(name);
    if (text_ends_with(name, suffix)) n -= sizeof suffix - 1;
    TRY(text_format(out->checkpoint, sizeof out->checkpoint, "%s", subject));
    TRY(text_format(out->name, sizeof out->name, "%.*s", (int)n, name));
out:
    return st;
}

status cli_subject_find(const char *subject, cli_subject *out)
{
    status st = OK;
    memset(out, 0, sizeof *out);
    if (!file_exists(subject)) FAIL(ERR_DATA, "%s: there is no such run directory or checkpoint", subject);
    if (file_is_dir(subject))
        TRY(find_run(subject, out));
    else
        TRY(find_checkpoint(subject, out));
out:
    return st;
}

status cli_subject_dir(const cli_subject *s, const config *cfg, const char *into, const char *what,
                       file_path *out)
{
    if (into) return path_set(out, "%s", into);
    if (*s->run) return path_set(out, "%s/%s", s->run, what);
    return path_set(out, "%s/%s-%s", cfg->out, s->name, what);
}

static status put_three(cJSON *object, const char *key, const float v[3])
{
    const double value[3] = { v[0], v[1], v[2] };
    return json_put_numbers(object, key, value, 3);
}

static status put_net(cJSON *json, const checkpoint_info *info)
{
    status st = OK;
    cJSON *object, *remove;
    TRY(json_put_object(json, "net", &object));
    TRY(json_put_text(object, "arch", info->arch));
    TRY(json_put_number(object, "classes", info->classes));
    TRY(json_put_list(object, "remove", &remove));
    for (unsigned i = 0; i < info->n_removed; i++)
        TRY(json_append(remove, cJSON_CreateString(info->removed[i])));
out:
    return st;
}

/* What the checkpoint says about itself, as a config. JSON is YAML too. */
static status describe(const checkpoint_info *info, char **out)
{
    status st = OK;
    cJSON *json = NULL, *data;
    TRY_ALLOC(json, cJSON_CreateObject());
    TRY(json_put_object(json, "data", &data));
    if (info->arch) {
        TRY(put_net(json, info));
        TRY(json_put_number(data, "channels", info->image.channels));
        TRY(json_put_numbers(data, "size", (double[]){ info->image.height, info->image.width }, 2));
    }
    if (info->has_normalisation) {
        TRY(put_three(data, "mean", info->mean));
        TRY(put_three(data, "std", info->std));
    }
    TRY_ALLOC(*out, cJSON_PrintUnformatted(json));
out:
    cJSON_Delete(json);
    return st;
}

static bool gives_arch(const cli *c)
{
    for (int i = 0; i < c->n_overrides; i++)
        if (strncmp(c->overrides[i], "net.arch=", 9) == 0 || strncmp(c->overrides[i], "net=", 4) == 0)
            return true;
    return false;
}

static status read_info(const char *path, checkpoint_info *out)
{
    status st = OK;
    st_file f = { 0 };
    TRY(st_open(path, &f));
    TRY(checkpoint_info_read(&f, path, out));
out:
    st_close(&f);
    return st;
}

/* ERR_DATA if the net that a checkpoint describes does not exist. */
static status check_net(const config *c, const char *checkpoint)
{
    status st = OK;
    net *n = NULL;
    char message[1024];
    st = net_from_config(c, &n);
    net_free(n);
    if (st != ERR_USAGE) goto out;
    snprintf(message, sizeof message, "%s", status_message());
    FAIL(ERR_DATA, "%s, metadata: %s", checkpoint, message);
out:
    return st;
}

/* The config.yaml of a run; the caller frees *text, also after a failure. */
static status read_run_config(const cli_subject *s, file_path *path, char **text)
{
    status st = OK;
    size_t bytes;
    TRY(path_set(path, "%s/config.yaml", s->run));
    TRY(file_read(path->s, text, &bytes));
    if (bytes == 0 || strlen(*text) != bytes) FAIL(ERR_DATA, "%s is damaged: empty, or not text", path->s);
out:
    return st;
}

status cli_subject_config(const cli *c, const cli_subject *s, config **out)
{
    status st = OK;
    checkpoint_info info = { 0 };
    char metadata[PATH_BYTES + 16], *run_text = NULL, *described = NULL;
    file_path run_config;
    config *plain = NULL;
    config_source source[3];
    int n = 0;
    TRY(read_info(s->checkpoint, &info));
    TRY(text_format(metadata, sizeof metadata, "%s, metadata", s->checkpoint));
    if (*s->run) {
        TRY(read_run_config(s, &run_config, &run_text));
        source[n++] = (config_source){ run_config.s, run_text };
    } else if (info.config) {
        source[n++] = (config_source){ metadata, info.config };
        source[n++] =
            (config_source){ metadata, "out: null\n" }; /* a file does not decide where results go */
    } else if (!info.arch && !gives_arch(c)) {
        FAIL(ERR_USAGE, "%s has no architecture in its metadata: give net.arch=..., e.g. net.arch=resnet20",
             s->checkpoint);
    }
    TRY(describe(&info, &described));
    source[n++] = (config_source){ metadata, described };

    /* First without the overrides: a failure is then one of the data. */
    st = config_build(source, n, NULL, 0, &plain);
    if (st == ERR_USAGE) st = ERR_DATA;
    TRY(st);
    if (info.arch) TRY(check_net(plain, s->checkpoint));
    TRY(config_build(source, n, c->overrides, c->n_overrides, out));
out:
    config_free(plain);
    free(run_text);
    free(described);
    checkpoint_info_free(&info);
    return st;
}
