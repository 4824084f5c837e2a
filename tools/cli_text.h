/* tools/cli_text.h -- what a tool says of itself, all from its cli_tool and the table of config keys:
 * --help, and for `make install` --man, --completion-bash and --completion-zsh. */
#ifndef CLEAVE_CLI_TEXT_H
#define CLEAVE_CLI_TEXT_H

#include "cli.h"

/* Prints to stdout; `program` is the name that the user types ("train", "cleave-train"). */
typedef void (*cli_printer)(const cli_tool *, const char *program);

/* The printer that an option asks for; NULL if it is not such an option. */
cli_printer cli_text_printer(const char *option);

void cli_print_help(const cli_tool *, const char *program);

/* A manual page of section 1, in the man macros of roff. */
void cli_print_man(const cli_tool *, const char *program);

/* Completion of options, settings and their values, for sourcing by bash; for zsh's $fpath. */
void cli_print_bash(const cli_tool *, const char *program);
void cli_print_zsh(const cli_tool *, const char *program);

/* The options that every tool has besides its own, to be shown after them. */
extern const cli_option cli_common_options[];
extern const int cli_n_common_options;

/* What exit codes mean. */
typedef struct cli_exit_meaning {
    int code;
    const char *text;
} cli_exit_meaning;
extern const cli_exit_meaning cli_exit_meanings[];
extern const int cli_n_exit_meanings;

/* The names of nets, which net.arch= takes and the table of keys does not know: see config_key_describe. */
const char *const *cli_key_choices(const config_key_info *, int *n);

/* Prints the examples of a tool line by line; "  train x" becomes "  PROGRAM x". `put` writes one line
 * without its newline. */
void cli_each_example(const cli_tool *, const char *program, void (*put)(const char *line));

#endif
