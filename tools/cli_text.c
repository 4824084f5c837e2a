/* tools/cli_text.c -- --help, manual pages and completions: one section for what they share, one for each. */
#include "cli_text.h"

#include "../core/base/clock.h"
#include "../nets/net.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- shared ---- */

static const cli_option common_options[] = {
    /* of every tool */
    { "--json", NULL, "the result as JSON on stdout; messages stay on stderr", NULL, NULL },
    { "--quiet", NULL, "only error messages", NULL, NULL },
    { "--debug", NULL, "more messages, and the source line of an error", NULL, NULL },
    { "--help", NULL, "print this text", NULL, NULL },
};

/* The i-th option of a tool: its own, then those that every tool has. NULL beyond the last. */
static const cli_option *option_at(const cli_tool *tool, int i)
{
    const int n_common = sizeof common_options / sizeof *common_options;
    if (i < tool->n_options) return &tool->options[i];
    return i - tool->n_options < n_common ? &common_options[i - tool->n_options] : NULL;
}

static const struct {
    int code;
    const char *meaning;
} exit_codes[] = {
    { 0, "ok" },
    { 1, "run-time failure" },
    { 2, "usage or configuration" },
    { 3, "data" },
    { 4, "diverged (NaN, Inf)" },
    { 75, "stopped by a signal, state saved; the same command continues (train: with --resume)" },
};
enum { EXIT_CODES = sizeof exit_codes / sizeof *exit_codes };

/* The values that a key can take; *n = 0: numbers or text. The names of nets are not in the table of keys. */
static const char *const *key_choices(const config_key_info *key, int *n)
{
    *n = key->n_choices;
    return strcmp(key->name, "net.arch") == 0 ? net_archs(n) : key->choice;
}

/* Gives the examples of a tool to `put`, line by line and without newlines; "  train x" becomes "  PROGRAM x". */
static void each_example(const cli_tool *tool, const char *program, void (*put)(const char *line))
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

/* ---- --help ---- */

static void print_option(const cli_option *o)
{
    char left[64];
    snprintf(left, sizeof left,
             !o->argument             ? "%s"
             : cli_option_optional(o) ? "%s[%s]"
                                      : "%s %s",
             o->name, o->argument);
    printf("  %-16s %s\n", left, o->help);
}

static void print_line(const char *line)
{
    printf("%s\n", line);
}

static void print_help(const cli_tool *tool, const char *program)
{
    const cli_option *o;
    printf("usage: %s %s\n\n%s\n\noptions:\n", program, tool->synopsis, tool->about);
    for (int i = 0; (o = option_at(tool, i)); i++) print_option(o);
    if (tool->examples && *tool->examples) printf("\nexamples:\n");
    each_example(tool, program, print_line);
    printf("\nexit codes:\n");
    for (int i = 0; i < EXIT_CODES; i++) printf("  %2d %s\n", exit_codes[i].code, exit_codes[i].meaning);
    printf(
        "\nkey=value sets a configuration key; values are YAML, lists are [a,b]. The keys and defaults:\n");
    config_print_keys(stdout);
}

/* ---- --man: section 1, in the macros of man(7) ---- */

/* Text as roff reads it back: a backslash is \e, a hyphen that users copy is \-, and a control character at
 * the beginning of a line is hidden behind \&. */
static void put_text(const char *text, size_t bytes)
{
    bool line_start = true;
    for (size_t i = 0; i < bytes; i++) {
        char c = text[i];
        if (line_start && (c == '.' || c == '\'')) printf("\\&");
        if (c == '\\')
            printf("\\e");
        else if (c == '-')
            printf("\\-");
        else
            putchar(c);
        line_start = c == '\n';
    }
}

static void put(const char *text)
{
    put_text(text, strlen(text));
}

static void put_line(const char *line)
{
    put(line);
    putchar('\n');
}

/* The line for lists of manual pages: the first sentence about the tool, with a small first letter. */
static void put_name(const cli_tool *tool, const char *program)
{
    size_t n = 0;
    while (tool->about[n] && !(strchr(".:", tool->about[n]) && strchr(" \n", tool->about[n + 1]))) n++;
    put(program);
    printf(" \\- %c", tolower((unsigned char)tool->about[0]));
    for (size_t i = 1; i < n; i++) put_text(tool->about[i] == '\n' ? " " : tool->about + i, 1);
    putchar('\n');
}

/* Paragraphs are filled; lines that begin with a blank stay as they are. */
static void put_about(const char *text)
{
    bool kept = false;
    for (const char *end; *text; text = *end ? end + 1 : end) {
        end = text + strcspn(text, "\n");
        bool keep = *text == ' ';
        if (keep != kept) printf(keep ? ".PP\n.nf\n" : ".fi\n.PP\n");
        if (end == text)
            printf(keep == kept && !keep ? ".PP\n" : "");
        else {
            put_text(text, (size_t)(end - text));
            putchar('\n');
        }
        kept = keep;
    }
    if (kept) printf(".fi\n");
}

static void put_option(const cli_option *o)
{
    printf(".TP\n\\fB");
    put(o->name);
    printf("\\fR");
    if (o->argument) {
        const bool optional = cli_option_optional(o);
        printf(optional ? "[=\\fI" : " \\fI");
        put(o->argument + optional);
        printf(optional ? "\\fR]" : "\\fR");
    }
    putchar('\n');
    put_line(o->help);
}

static void put_key(const config_key_info *key)
{
    int n;
    const char *const *choice = key_choices(key, &n);
    printf(".TP\n\\fB");
    put(key->name);
    printf("\\fR=");
    put_line(key->preset);
    put(key->help);
    for (int i = 0; i < n; i++) {
        printf(i ? ", " : ": ");
        put(choice[i]);
    }
    putchar('\n');
}

/* The date is SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), so that the same sources
 * make the same page; without it, today. */
static void put_title(const char *program)
{
    char title[64];
    size_t n = 0;
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    const time_stamp day = time_stamp_of(epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL), "%Y-%m-%d");
    for (; program[n] && n + 1 < sizeof title; n++) title[n] = (char)toupper((unsigned char)program[n]);
    title[n] = '\0';
    printf(".TH \"%s\" 1 \"%s\" \"Cleave\" \"Cleave\"\n", title, day.s);
}

static void print_man(const cli_tool *tool, const char *program)
{
    const cli_option *o;
    config_key_info key;
    put_title(program);
    printf(".SH NAME\n");
    put_name(tool, program);
    printf(".SH SYNOPSIS\n.B ");
    put_line(program);
    put_line(tool->synopsis);
    printf(".SH DESCRIPTION\n");
    put_about(tool->about);
    printf(".SH OPTIONS\n");
    for (int i = 0; (o = option_at(tool, i)); i++) put_option(o);
    if (tool->examples && *tool->examples) {
        printf(".SH EXAMPLES\n.nf\n");
        each_example(tool, program, put_line);
        printf(".fi\n");
    }
    printf(".SH SETTINGS\nA setting is \\fIkey\\fR=\\fIvalue\\fR. Values are YAML, lists are [a,b]. "
           "The keys and their defaults:\n");
    for (int i = 0; config_key_describe(i, &key); i++) put_key(&key);
    printf(".SH EXIT STATUS\n");
    for (int i = 0; i < EXIT_CODES; i++) {
        printf(".TP\n%d\n", exit_codes[i].code);
        put_line(exit_codes[i].meaning);
    }
}

/* ---- completions: options, settings and the values of settings ---- */

/* A name for a shell function: cleave-train -> cleave_train. */
static void put_identifier(const char *program)
{
    for (; *program; program++) putchar(strchr("-.+", *program) ? '_' : *program);
}

static void put_all_options(const cli_tool *tool)
{
    const cli_option *o;
    for (int i = 0; (o = option_at(tool, i)); i++) {
        printf("%s ", o->name);
        if (cli_option_optional(o)) printf("%s%s ", o->name, o->argument);
    }
}

/* "key) BEFORE words AFTER ;;" for each key that has a set of values. */
static void put_choices(const char *before, const char *after)
{
    config_key_info key;
    for (int i = 0; config_key_describe(i, &key); i++) {
        int n;
        const char *const *choice = key_choices(&key, &n);
        if (n == 0) continue;
        printf("    %s) %s", key.name, before);
        for (int c = 0; c < n; c++) printf("%s%s", c ? " " : "", choice[c]);
        printf("%s ;;\n", after);
    }
}

/* ---- --completion-bash: for sourcing ---- */

static void print_bash(const cli_tool *tool, const char *program)
{
    const cli_option *o;
    config_key_info key;
    printf("# completion of %s for bash, printed by %s --completion-bash\n_", program, program);
    put_identifier(program);
    printf("()\n{\n"
           "    local cur=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} key= values=\n"
           "    COMPREPLY=()\n"
           "    # bash splits words at \"=\": a setting is three of them\n"
           "    if [[ $cur == = ]]; then key=$before cur=\n"
           "    elif [[ $before == = ]]; then key=${COMP_WORDS[COMP_CWORD - 2]}\n"
           "    fi\n"
           "    case $key in\n");
    put_choices("values=\"", "\"");
    for (int i = 0; (o = option_at(tool, i)); i++)
        if (cli_option_optional(o)) printf("    %s) values=\"%s\" ;;\n", o->name, o->argument + 1);
    printf("    esac\n    if [[ $values ]]; then mapfile -t COMPREPLY < <(compgen -W \"$values\" -- "
           "\"$cur\"); return; fi\n"
           "    if [[ ! $key && $cur == -* ]]; then\n        mapfile -t COMPREPLY < <(compgen -W \"");
    put_all_options(tool);
    printf("\" -- \"$cur\")\n        return\n    fi\n"
           "    if [[ ! $key && $cur ]]; then\n        mapfile -t COMPREPLY < <(compgen -W \"");
    for (int i = 0; config_key_describe(i, &key); i++) printf("%s%s=", i ? " " : "", key.name);
    printf("\" -- \"$cur\")\n        [[ ${#COMPREPLY[@]} -gt 0 ]] && compopt -o nospace\n    fi\n"
           "    # nothing so far: -o default completes files\n}\n"
           "complete -o default -F _");
    put_identifier(program);
    printf(" %s\n", program);
}

/* ---- --completion-zsh: for $fpath ---- */

/* Text inside '...' of zsh; ":", "[" and "]" would separate the parts of a specification. */
static void put_zsh(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            printf("'\\''");
        else if (strchr(":[]\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

static void put_zsh_option(const cli_option *o)
{
    printf("  '%s%s[", o->name, cli_option_optional(o) ? "=-" : "");
    put_zsh(o->help);
    putchar(']');
    if (cli_option_optional(o)) {
        printf("::value:(%s)", o->argument + 1);
    } else if (o->argument) {
        putchar(':');
        put_zsh(o->argument);
        printf(":_files");
    }
    printf("' \\\n");
}

static void print_zsh(const cli_tool *tool, const char *program)
{
    const cli_option *o;
    config_key_info key;
    printf("#compdef %s\n# printed by %s --completion-zsh\n\n_", program, program);
    put_identifier(program);
    printf("_argument()\n{\n  local -a settings\n  if compset -P '*='; then\n    case ${IPREFIX%%=} in\n");
    put_choices("compadd ", "");
    printf("    *) _files ;;\n    esac\n    return\n  fi\n  settings=(\n");
    for (int i = 0; config_key_describe(i, &key); i++) {
        printf("    '%s:", key.name);
        put_zsh(key.help);
        printf("'\n");
    }
    printf("  )\n  _describe -t settings setting settings -qS =\n  _files\n}\n\n_arguments -s \\\n");
    for (int i = 0; (o = option_at(tool, i)); i++) put_zsh_option(o);
    printf("  '*:argument:_");
    put_identifier(program);
    printf("_argument'\n");
}

/* ---- all of them ---- */

cli_printer cli_text_printer(const char *option)
{
    static const struct {
        const char *option;
        cli_printer print;
    } known[] = {
        { "--help", print_help },
        { "-h", print_help },
        { "--man", print_man },
        { "--completion-bash", print_bash },
        { "--completion-zsh", print_zsh },
    };
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(option, known[i].option) == 0) return known[i].print;
    return NULL;
}
