/* core/base/log.c, core/base/progress.c: levels, the file, whole lines from many threads, and the progress bar below the
 * messages. stderr is redirected to a file or a pseudo-terminal, and its content is compared. */
#include "../../core/base/file.h"
#include "../../core/base/log.h"
#include "../../core/base/progress.h"
#include "../scratch.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/ioctl.h>

static char captured[512]; /* the file that stderr is redirected to */
static int real_stderr;

static void redirect(int fd)
{
    fflush(stderr);
    real_stderr = dup(STDERR_FILENO);
    assert_true(real_stderr >= 0 && dup2(fd, STDERR_FILENO) >= 0);
}

static void restore(void)
{
    fflush(stderr);
    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
}

static void capture(void)
{
    int fd = open(captured, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    assert_true(fd >= 0);
    redirect(fd);
    close(fd);
}

static char *captured_text(void)
{
    restore();
    char *text = NULL;
    assert_int_equal(file_read(captured, &text, NULL), OK);
    return text;
}

static void say_all(void)
{
    log_error("e%d", 1);
    log_warn("w");
    log_info("i");
    log_debug("d");
}

static void levels(void **state)
{
    (void)state;
    static const char *const want[] = { "", "e1\n", "e1\nwarning: w\n", "e1\nwarning: w\ni\n",
                                        "e1\nwarning: w\ni\nd\n" };
    for (int l = LOG_QUIET; l <= LOG_DEBUG; l++) {
        log_set_level((log_level)l);
        assert_int_equal(log_get_level(), l);
        capture();
        say_all();
        char *text = captured_text();
        assert_string_equal(text, want[l]);
        free(text);
    }
    log_set_level(LOG_INFO);
}

/* The file gets LOG_INFO and above, each line with its time, whatever the level of stderr is. */
static void file(void **state)
{
    (void)state;
    const char *path = scratch_path("log.txt");
    log_set_level(LOG_QUIET);
    for (int append = 0; append < 2; append++) {
        assert_int_equal(log_open(path, append), OK);
        say_all();
        assert_int_equal(log_open(NULL, false), OK);
    }
    log_set_level(LOG_INFO);
    char *text = NULL;
    assert_int_equal(file_read(path, &text, NULL), OK);
    static const char *const want[] = { "e1", "warning: w", "i", "e1", "warning: w", "i" };
    char *save, *line = strtok_r(text, "\n", &save);
    for (int i = 0; i < 6; i++, line = strtok_r(NULL, "\n", &save)) {
        assert_non_null(line);
        assert_true(line[4] == '-' && line[10] == 'T' && line[19] == 'Z' && line[20] == ' ');
        assert_string_equal(line + 21, want[i]);
    }
    assert_null(line);
    free(text);
    assert_int_equal(log_open("/nonexistent/log.txt", false), ERR_RUNTIME);
    assert_non_null(strstr(status_message(), "/nonexistent/log.txt: No such file"));
}

enum { THREADS = 4, LINES = 500 };

static void *talk(void *name)
{
    for (int i = 0; i < LINES; i++)
        log_info("%s %s %s %s", (char *)name, (char *)name, (char *)name, (char *)name);
    return NULL;
}

static void whole_lines(void **state)
{
    (void)state;
    static char *names[THREADS] = { "alpha", "beta", "gamma", "delta" };
    pthread_t t[THREADS];
    capture();
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&t[i], NULL, talk, names[i]), 0);
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_join(t[i], NULL), 0);
    char *text = captured_text(), *save;
    int n = 0;
    for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), n++) {
        char w[4][8];
        assert_int_equal(sscanf(line, "%7s %7s %7s %7s", w[0], w[1], w[2], w[3]), 4);
        for (int k = 1; k < 4; k++) assert_string_equal(w[0], w[k]);
    }
    assert_int_equal(n, THREADS * LINES);
    free(text);
}

static void no_bar_without_terminal(void **state)
{
    (void)state;
    capture();
    progress p;
    progress_start(&p, "epoch 1", "steps", 10);
    assert_false(p.on);
    for (int i = 0; i <= 10; i++) progress_update(&p, i, "loss 1");
    assert_int_equal(p.done, 10);
    progress_end(&p);
    char *text = captured_text();
    assert_string_equal(text, "");
    free(text);
}

static int no_terminal(void)
{
    print_message("SKIPPED: no pseudo-terminal here (/dev/ptmx)\n");
    return -1;
}

/* Opens a terminal of `columns` and makes it stderr; returns the side that reads what was drawn, or -1. */
static int terminal(int columns)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY);
    if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0) return no_terminal();
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY);
    if (slave < 0) return no_terminal();
    struct winsize w = { .ws_row = 24, .ws_col = (unsigned short)columns };
    assert_int_equal(ioctl(slave, TIOCSWINSZ, &w), 0);
    redirect(slave);
    close(slave);
    return master;
}

static void drawn_text(int master, char *out, size_t bytes)
{
    ssize_t n = read(master, out, bytes - 1);
    assert_true(n > 0);
    out[n] = '\0';
}

static void bar_stays_below_messages(void **state)
{
    (void)state;
    setenv("TERM", "xterm", 1);
    int master = terminal(100);
    if (master < 0) skip();
    char text[4096];
    progress p;
    progress_start(&p, "epoch 1", "steps", 200);
    bool on = p.on;
    drawn_text(master, text, sizeof text);
    bool bar = strncmp(text, "epoch 1 [---", 12) == 0;
    p.drawn -= 1; /* one second earlier */
    progress_update(&p, 100, "loss 0.5");
    drawn_text(master, text, sizeof text);
    bool half = strncmp(text, "\r\033[Kepoch 1 [###############---------------]  50 %", 48) == 0;
    bool note = strstr(text, "loss 0.5") != NULL;
    bool rate = strstr(text, " steps/s  0:") != NULL;
    log_info("hello");
    drawn_text(master, text, sizeof text);
    bool aside = strncmp(text, "\r\033[Khello\r\nepoch 1 [####", 23) == 0;
    progress_end(&p);
    drawn_text(master, text, sizeof text);
    bool erased = strcmp(text, "\r\033[K") == 0;
    restore();
    close(master);
    assert_true(on && bar && half && note && rate && aside && erased);
}

/* After 10 seconds 80 of 100 steps are done, 60 of them by an earlier process. */
static void rate_of_a_resumed_epoch(void **state)
{
    (void)state;
    int master = terminal(100);
    if (master < 0) skip();
    char text[4096], bare[4096];
    progress p;
    progress_start(&p, "epoch 1", "steps", 100);
    drawn_text(master, text, sizeof text);
    p.before = 60;
    p.started -= 10;
    p.drawn -= 1;
    progress_update(&p, 80, "");
    drawn_text(master, text, sizeof text);
    progress_end(&p);
    drawn_text(master, bare, sizeof bare);
    progress_start(&p, "analysis", NULL, 1000000);
    drawn_text(master, bare, sizeof bare);
    p.started -= 10;
    p.drawn -= 1;
    progress_update(&p, 500000, "similarities");
    drawn_text(master, bare, sizeof bare);
    progress_end(&p);
    restore();
    close(master);
    assert_non_null(strstr(text, " 80 %  2.00 steps/s  0:10 "));
    assert_non_null(strstr(bare, " 50 %  0:10  similarities"));
}

static void fits_the_width(void **state)
{
    (void)state;
    for (int columns = 1; columns <= 120; columns += 7) {
        int master = terminal(columns);
        if (master < 0) skip();
        char text[4096];
        progress p;
        progress_start(&p, "epoch 123", "images", 1000);
        if (columns > 1) drawn_text(master, text, sizeof text);
        p.drawn -= 1;
        progress_update(&p, 999, "loss 0.123 acc 99.9 % and a note that does not fit most terminals");
        if (columns > 1)
            drawn_text(master, text, sizeof text);
        else
            text[0] = '\0';
        progress_end(&p);
        restore();
        close(master);
        const char *line = strrchr(text, 'K');
        assert_true((int)strlen(line ? line + 1 : text) < columns);
    }
}

static int setup(void **state)
{
    if (scratch_setup(state)) return -1;
    snprintf(captured, sizeof captured, "%s", scratch_path("stderr"));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(levels),
        cmocka_unit_test(file),
        cmocka_unit_test(whole_lines),
        cmocka_unit_test(bar_stays_below_messages),
        cmocka_unit_test(fits_the_width),
        cmocka_unit_test(no_bar_without_terminal),
        cmocka_unit_test(rate_of_a_resumed_epoch),
    };
    return cmocka_run_group_tests(tests, setup, scratch_teardown);
}
