/* tools/cli.h -- what all tools share: CONFIG|RUN|CKPT, key=value, --help, --json, --quiet, --debug, exit
 * codes. */
#ifndef CLEAVE_CLI_H
#define CLEAVE_CLI_H

#include "../core/config/config.h"
#include "../core/base/status.h"

typedef struct cli_option { /* a tool's own options */
    const char *name;       /* "--resume" */
    const char *argument;   /* "F.npy", or NULL for a switch */
    const char *help;
    bool *flag;         /* set true when given */
    const char **value; /* receives the argument */
} cli_option;

typedef struct cli_tool {
    const char *name, *synopsis,
        *about;           /* "train", "CONFIG.yaml [key=value ...] [--resume]", one paragraph */
    const char *examples; /* lines for --help */
    const cli_option *options;
    int n_options;
    bool needs_subject; /* a first argument that is not key=value */
    bool many_subjects; /* and any number more of them */
} cli_tool;

typedef struct cli {
    const char *subject;   /* CONFIG, RUN or CKPT; NULL if none was given */
    const char **subjects; /* all of them, in order; array owned by cli */
    int n_subjects;
    char **overrides;
    int n_overrides; /* point into argv; array owned by cli */
    bool json, quiet;
    int argc;
    char **argv;
} cli;

/* Parses the command line and sets the log level. --help prints and sets *done = true. An argument is
 * key=value if a name of letters, digits, _ and . stands before its first "=" (so "runs/lr=1" is a path).
 * ERR_USAGE names the argument. */
status cli_parse(const cli_tool *, int argc, char **argv, cli *out, bool *done);
void cli_free(cli *);

/* The whole of a tool's main(): parses the command line, answers --help, lets OpenMP's threads sleep while they
 * wait (core/base/threads.h), does the work, prints the message of a failure. Returns the exit code. */
int cli_main(const cli_tool *, int argc, char **argv, status (*work)(const cli *));

/* With --json: prints `result` on stdout. Deletes nothing. */
struct cJSON;
status cli_print_json(const cli *, const struct cJSON *result);

/* Prints "TOOL: MESSAGE" on stderr (and in the log file) if st is a failure; returns the exit code. */
int cli_exit(const cli_tool *, status st);

/* The subject of analyze, prune, evaluate: a run directory or a checkpoint. */
typedef struct cli_subject {
    char checkpoint[4096]; /* RUN/best.safetensors, or the file itself */
    char run[4096];        /* the run directory; "" for a bare checkpoint */
    char name[256];        /* file name of a bare checkpoint without .safetensors */
} cli_subject;
/* ERR_DATA if it is neither. */
status cli_subject_find(const char *subject, cli_subject *out);

/* The config for a subject: the run's config.yaml, else the config in the checkpoint's metadata, else the
 * defaults; arch, classes, removed units and normalisation of the checkpoint over that; overrides on top.
 * ERR_USAGE for a checkpoint that does not say what net it is if net.arch= is not given either. */
status cli_subject_config(const cli *, const cli_subject *, config **out);

#endif
