/* tools/cli.h -- the command line that all tools share: RUN|CKPT|CONFIG, key=value, --help, --json, --quiet, --debug,
 * exit codes; and the configuration that belongs to a RUN or a CKPT. */
#ifndef CLEAVE_CLI_H
#define CLEAVE_CLI_H

#include "../core/base/path.h"
#include "../core/base/status.h"
#include "../core/config/config.h"

typedef struct cli_option { /* an option of one tool */
    const char *name;       /* "--resume" */
    const char
        *argument; /* "F.npy"; NULL for a switch; "=auto": the option stands alone, or as --resume=auto */
    const char *help;
    bool *flag;         /* set to true if the option is given; may be NULL */
    const char **value; /* receives the argument; NULL if the option stands alone */
} cli_option;
/* The argument may be left out: it is "=VALUE". */
bool cli_option_optional(const cli_option *);

typedef struct cli_tool {
    const char *name;     /* "train" */
    const char *synopsis; /* "CONFIG.yaml [key=value ...] [--resume]" */
    const char *about;    /* paragraphs for --help and the manual page; the first sentence is its summary */
    const char *examples; /* lines that begin with two blanks */
    const cli_option *options;
    int n_options;
    bool needs_subject; /* a first argument that is not key=value */
    bool many_subjects; /* or several of them */
} cli_tool;

typedef struct cli {
    const char *subject;   /* CONFIG, RUN or CKPT; NULL if none was given */
    const char **subjects; /* all of them, in order; array owned by cli */
    int n_subjects;
    char **overrides; /* key=value, in order; they point into argv; array owned by cli */
    int n_overrides;
    bool json, quiet;
    int argc;
    char **argv;
} cli;

/* Parses the command line and sets the log level. --help and its kin print, and *done is true. An argument is
 * key=value if only letters, digits, _ and . stand before its first "=" ("runs/lr=1" is a path). ERR_USAGE names the
 * argument. */
status cli_parse(const cli_tool *, int argc, char **argv, cli *out, bool *done);
void cli_free(cli *);

/* All of a tool's main(): parses the command line, answers --help, makes OpenMP's threads sleep while they wait
 * (core/base/threads.h), calls `work`, prints the message of a failure. Returns the exit code. */
int cli_main(const cli_tool *, int argc, char **argv, status (*work)(const cli *));

/* Reads the whole number `text` of an option; NULL leaves *out as it is. ERR_USAGE outside least to most. */
status cli_count(const char *option, const char *text, int least, int most, int *out);

/* Prints `result` on stdout if --json was given. The caller deletes it. */
struct cJSON;
status cli_print_json(const cli *, const struct cJSON *result);

/* After the last printf of a result: ERR_RUNTIME if not all of it could be written to stdout (errno says why). */
status cli_end_output(void);

/* Prints "TOOL: MESSAGE" on stderr (and in the log file) if st is a failure; returns the exit code. */
int cli_exit(const cli_tool *, status st);

/* ---- RUN|CKPT: which files, and with what configuration ---- */

/* A run directory or a checkpoint. */
typedef struct cli_subject {
    char checkpoint[PATH_BYTES]; /* RUN/best.safetensors, or the checkpoint itself */
    char run[PATH_BYTES];        /* the run directory; "" for a bare checkpoint */
    char name[256];              /* file name of a bare checkpoint without .safetensors */
} cli_subject;
/* ERR_DATA if it is neither. */
status cli_subject_find(const char *subject, cli_subject *out);

/* The configuration of a subject: the run's config.yaml, or else the config in the checkpoint's metadata, or else the
 * defaults (`out` always is the default then: a file that came from elsewhere does not decide where results are
 * written); over that architecture, classes, removed units and normalisation of the checkpoint; over that the
 * overrides. ERR_USAGE if neither the checkpoint nor net.arch= says what net it is. */
status cli_subject_config(const cli *, const cli_subject *, config **out);

/* Where the results of WHAT ("analysis") go: `into` if given, RUN/WHAT for a run, OUT/NAME-WHAT for a checkpoint. */
status cli_subject_dir(const cli_subject *, const config *, const char *into, const char *what,
                       file_path *out);

#endif
