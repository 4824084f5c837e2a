/* tools/cli_help.c -- --help, and what it shares with the manual pages and the completions. */
#include "cli_text.h"

#include "../nets/net.h"

#include <stdio.h>
#include <string.h>

const cli_option cli_common_options[] = {
    { "--json", NULL, "the result as JSON on stdout; messages stay on stderr", NULL, NULL },
    { "--quiet", NULL, "no messages but errors", NULL, NULL },
    { "--debug", NULL, "more messages, and where an error arose", NULL, NULL },
    { "--help", NULL, "this text", NULL, NULL },
};
const int cli_n_common_options = sizeof cli_common_options / sizeof *cli_common_options;

const cli_exit_meaning cli_exit_meanings[] = {
    { 0, "ok" },
    { 1, "run-time failure" },
    { 2, "usage or configuration" },
    { 3, "data" },
    { 4, "diverged (NaN, Inf)" },
    { 75, "stopped by a signal, state saved: the same command, for train with --resume, goes on" },
};
const int cli_n_exit_meanings = sizeof cli_exit_meanings / sizeof *cli_exit_meanings;

cli_printer cli_text_printer(const char *option)
{
    static const struct {
        const char *option;
        cli_printer print;
    } known[] = {
        { "--help", cli_print_help },
        { "-h", cli_print_help },
        { "--man", cli_print_man },
        { "--completion-bash", cli_print_bash },
        { "--completion-zsh", cli_print_zsh },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(option, known[i].option) == 0) return known[i].print;
    return NULL;
}

const char *const *cli_key_choices(const config_key_info *key, int *n)
{
    *n = key->n_choices;
    return strcmp(key->name, "net.arch") == 0 ? net_archs(n) : key->choice;
}

void cli_each_example(const cli_tool *tool, const char *program, void (*put)(const char *line))
{
    size_t n = strlen(tool->name);
    for (const char *from = tool->examples, *end; from && *from; from = *end ? end + 1 : end) {
        char line[512];
        end = from + strcspn(from, "\n");
        const char *word = from + strspn(from, " ");
        int indent = (int)(word - from);
        bool own = strncmp(word, tool->name, n) == 0 && (word[n] == ' ' || word[n] == '\n' || !word[n]);
        if (own)
            snprintf(line, sizeof line, "%.*s%s%.*s", indent, from, program, (int)(end - word - (long)n),
                     word + n);
        else
            snprintf(line, sizeof line, "%.*s", (int)(end - from), from);
        put(line);
    }
}

static void print_option(const cli_option *o)
{
    char left[64];
    snprintf(left, sizeof left, "%s%s%s", o->name, o->argument ? " " : "", o->argument ? o->argument : "");
    printf("  %-16s %s\n", left, o->help);
}

static void print_line(const char *line)
{
    printf("%s\n", line);
}

void cli_print_help(const cli_tool *tool, const char *program)
{
    printf("usage: %s %s\n\n%s\n\noptions:\n", program, tool->synopsis, tool->about);
    for (int i = 0; i < tool->n_options; i++) print_option(&tool->options[i]);
    for (int i = 0; i < cli_n_common_options; i++) print_option(&cli_common_options[i]);
    if (tool->examples && *tool->examples) printf("\nexamples:\n");
    cli_each_example(tool, program, print_line);
    printf("\nexit codes:\n");
    for (int i = 0; i < cli_n_exit_meanings; i++)
        printf("  %2d %s\n", cli_exit_meanings[i].code, cli_exit_meanings[i].text);
    printf(
        "\nkey=value sets a configuration key; values are YAML, lists are [a,b]. The keys and defaults:\n");
    config_print_keys(stdout);
}
