/* tools/cli_man.c -- --man: the manual page of a tool, in the macros of man(7). */
#include "cli_text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

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

/* The name that lists of manual pages show: the first sentence of what the tool does, begun small. */
static void put_name(const cli_tool *tool, const char *program)
{
    size_t n = 0;
    while (tool->about[n] && !(strchr(".:", tool->about[n]) && strchr(" \n", tool->about[n + 1]))) n++;
    put(program);
    printf(" \\- %c", tolower((unsigned char)tool->about[0]));
    for (size_t i = 1; i < n; i++) put_text(tool->about[i] == '\n' ? " " : tool->about + i, 1);
    putchar('\n');
}

/* Paragraphs are filled; lines that begin with a blank are kept as they are. */
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
        printf(" \\fI");
        put(o->argument);
        printf("\\fR");
    }
    putchar('\n');
    put_line(o->help);
}

static void put_key(const config_key_info *key)
{
    int n;
    const char *const *choice = cli_key_choices(key, &n);
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

/* The day of the sources: SOURCE_DATE_EPOCH (https://reproducible-builds.org/specs/source-date-epoch/), so
 * that the same sources make the same page; today without it. */
static void put_title(const char *program)
{
    char day[16] = "", title[64];
    const char *epoch = getenv("SOURCE_DATE_EPOCH");
    time_t when = epoch ? (time_t)strtoll(epoch, NULL, 10) : time(NULL);
    struct tm tm;
    size_t n = 0;
    if (gmtime_r(&when, &tm)) strftime(day, sizeof day, "%Y-%m-%d", &tm);
    for (; program[n] && n + 1 < sizeof title; n++) title[n] = (char)toupper((unsigned char)program[n]);
    title[n] = '\0';
    printf(".TH \"%s\" 1 \"%s\" \"Cleave\" \"Cleave\"\n", title, day);
}

void cli_print_man(const cli_tool *tool, const char *program)
{
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
    for (int i = 0; i < tool->n_options; i++) put_option(&tool->options[i]);
    for (int i = 0; i < cli_n_common_options; i++) put_option(&cli_common_options[i]);
    if (tool->examples && *tool->examples) {
        printf(".SH EXAMPLES\n.nf\n");
        cli_each_example(tool, program, put_line);
        printf(".fi\n");
    }
    printf(".SH SETTINGS\nA setting is \\fIkey\\fR=\\fIvalue\\fR. Values are YAML, lists are [a,b]. "
           "The keys and their defaults:\n");
    for (int i = 0; config_key_describe(i, &key); i++) put_key(&key);
    printf(".SH EXIT STATUS\n");
    for (int i = 0; i < cli_n_exit_meanings; i++) {
        printf(".TP\n%d\n", cli_exit_meanings[i].code);
        put_line(cli_exit_meanings[i].text);
    }
}
