/* tools/cli_complete.c -- --completion-bash, --completion-zsh: options, settings and the values of settings.
 */
#include "cli_text.h"

#include <stdio.h>
#include <string.h>

/* A name for a shell function: cleave-train -> cleave_train. */
static void put_identifier(const char *program)
{
    for (; *program; program++) putchar(strchr("-.+", *program) ? '_' : *program);
}

static void put_all_options(const cli_tool *tool)
{
    for (int i = 0; i < tool->n_options; i++) printf("%s ", tool->options[i].name);
    for (int i = 0; i < cli_n_common_options; i++) printf("%s ", cli_common_options[i].name);
}

/* "key) ACTION words ACTION_END ;;" for each key that has a set of values. */
static void put_choices(const char *before, const char *after)
{
    config_key_info key;
    for (int i = 0; config_key_describe(i, &key); i++) {
        int n;
        const char *const *choice = cli_key_choices(&key, &n);
        if (n == 0) continue;
        printf("    %s) %s", key.name, before);
        for (int c = 0; c < n; c++) printf("%s%s", c ? " " : "", choice[c]);
        printf("%s ;;\n", after);
    }
}

/* ---- bash ---- */

void cli_print_bash(const cli_tool *tool, const char *program)
{
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

/* ---- zsh ---- */

/* Inside '...' of zsh, where ":", "[" and "]" divide the parts of a specification. */
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
    printf("  '%s[", o->name);
    put_zsh(o->help);
    putchar(']');
    if (o->argument) {
        putchar(':');
        put_zsh(o->argument);
        printf(":_files");
    }
    printf("' \\\n");
}

void cli_print_zsh(const cli_tool *tool, const char *program)
{
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
    for (int i = 0; i < tool->n_options; i++) put_zsh_option(&tool->options[i]);
    for (int i = 0; i < cli_n_common_options; i++) put_zsh_option(&cli_common_options[i]);
    printf("  '*:argument:_");
    put_identifier(program);
    printf("_argument'\n");
}
