/* tests/peer/python.h -- running the Python half of a test; include after ../scratch.h. */
#ifndef CLEAVE_TESTS_PYTHON_H
#define CLEAVE_TESTS_PYTHON_H

#include "../../core/base/file.h"
#include "../must.h"

#include <sys/wait.h>

static const char *python_program(void)
{
    const char *given = getenv("PYTHON");
    return given ? given : "/usr/bin/python3";
}

static void skip_without_torch(void)
{
    char command[512];
    must(text_format(command, sizeof command, "%s -c 'import torch, numpy' 2>/dev/null", python_program()));
    if (system(command) == 0) return;
    printf("SKIPPED: no PyTorch for %s (python3-torch, python3-numpy)\n", python_program());
    skip();
}

/* Runs "SCRIPT ARGUMENTS SCRATCH"; what it finds goes to stdout. */
static void run_python(const char *script, const char *arguments)
{
    char command[1024];
    must(text_format(command, sizeof command, "%s %s %s %s", python_program(), script, arguments, scratch));
    fflush(stdout);
    int answer = system(command);
    assert_true(WIFEXITED(answer));
    assert_int_equal(WEXITSTATUS(answer), 0);
}

#endif
