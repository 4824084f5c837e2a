/* tools/cli_text.h -- what a tool says about itself, all of it from its cli_tool and from the table of config keys:
 * --help and, for `make install`, --man, --completion-bash and --completion-zsh. */
#ifndef CLEAVE_CLI_TEXT_H
#define CLEAVE_CLI_TEXT_H

#include "cli.h"

/* Prints to stdout; `program` is the name that the user types ("train", "cleave-train"). */
typedef void (*cli_printer)(const cli_tool *, const char *program);

/* The printer that an option asks for; NULL if it is not such an option. */
cli_printer cli_text_printer(const char *option);

#endif
