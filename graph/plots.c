/* graph/plots.c -- curves and histograms through a pipe to gnuplot: [Yang23] fig. 2 and 4. */
#include "../core/base/file.h"
#include "../core/base/log.h"
#include "histogram.h"
#include "pictures.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the script ---- */

/* A gnuplot string: 'text', with quotes doubled and without control characters, since a line end would end it. */
static void put_quoted(FILE *f, const char *text)
{
    fputc('\'', f);
    for (; *text; text++) {
        if (*text == '\'') fputc('\'', f);
        fputc((unsigned char)*text < ' ' ? '?' : *text, f);
    }
    fputc('\'', f);
}

static void set_output(FILE *f, const char *name, bool svg, int width, int height)
{
    fprintf(f, "reset\nset terminal %s noenhanced size %d,%d font ',11' background rgb 'white'\nset output ",
            svg ? "svg" : "pngcairo", width, height);
    fprintf(f, "'%s.%s'\n", name, svg ? "svg" : "png");
}

static void put_curve_data(FILE *f, const analysis *a)
{
    fprintf(f, "$curves << EOD\n");
    for (int l = 0; l < a->n_layers; l++) {
        const layer_analysis *x = &a->layer[l];
        fprintf(f, "%d %s %.9g %.9g %.9g\n", l, x->name, x->yang.M, x->lu.mean, x->lu.sd);
    }
    fprintf(f, "EOD\n");
}

/* The axis is [0, 1], and longer if a value lies outside. */
static void put_curve_range(FILE *f, const analysis *a)
{
    double low = 0, high = 1;
    for (int l = 0; l < a->n_layers; l++) {
        const layer_analysis *x = &a->layer[l];
        low = fmin(low, fmin(x->yang.M, x->lu.mean - x->lu.sd)); /* fmin, fmax: NaN loses */
        high = fmax(high, fmax(x->yang.M, x->lu.mean + x->lu.sd));
    }
    fprintf(f, "set xrange [-0.5:%d.5]\nset yrange [%g:%g]\n", a->n_layers - 1, low, high);
}

static void put_curves(FILE *f, const analysis *a, bool svg)
{
    int width = 160 + 26 * a->n_layers;
    char text[512];
    snprintf(text, sizeof text, "%s: %d images, %lld edges, norm %s", a->arch, a->samples,
             (long long)a->edges, config_choice("analysis.norm", a->norm));
    set_output(f, "curves", svg, width < 720 ? 720 : width, 520);
    fprintf(f, "set title ");
    put_quoted(f, text);
    fprintf(f,
            "\nset datafile missing 'nan'\nset xtics rotate by 60 right nomirror\nset ylabel 'modularity'\n"
            "set ytics 0.1 nomirror\nset grid ytics lc rgb '#d8d8d8'\nset border 3 lc rgb '#606060'\n"
            "set key top left reverse Left\n");
    put_curve_range(f, a);
    fprintf(
        f,
        "plot $curves using 1:4:5 with yerrorbars pt -1 lc rgb '#e69f00' notitle, '' using 1:3:xtic(2) with "
        "linespoints lw 2 pt 7 ps 0.8 lc rgb '#0072b2' title 'M (Yang et al.)', '' using 1:4 with "
        "linespoints "
        "lw 2 pt 5 ps 0.8 lc rgb '#e69f00' title 'Q (Lu et al.), mean and standard deviation'\nset output\n");
}

static double histogram_pairs(const layer_analysis *l)
{
    double pairs = 0;
    for (int b = 0; b < HISTOGRAM_BINS; b++) pairs += (double)l->histogram[b];
    return pairs > 0 ? pairs : 1;
}

static void put_histogram_data(FILE *f, const analysis *a)
{
    fprintf(f, "$histograms << EOD\n");
    for (int l = 0; l < a->n_layers; l++) {
        double pairs = histogram_pairs(&a->layer[l]);
        for (int b = 0; b < HISTOGRAM_BINS; b++)
            fprintf(f, "%g %.6g\n", (b + 0.5) / HISTOGRAM_BINS,
                    100 * (double)a->layer[l].histogram[b] / pairs);
        fprintf(f, "\n\n");
    }
    fprintf(f, "EOD\n");
}

static double tallest_bar(const analysis *a)
{
    double tallest = 1;
    for (int l = 0; l < a->n_layers; l++) {
        double pairs = histogram_pairs(&a->layer[l]);
        for (int b = 0; b < HISTOGRAM_BINS; b++)
            tallest = fmax(tallest, 100 * (double)a->layer[l].histogram[b] / pairs);
    }
    return tallest;
}

/* All panels have the same axes; only those at the left and at the bottom have numbers. */
static void put_histograms(FILE *f, const analysis *a, bool svg)
{
    int columns = picture_columns(a->n_layers), rows = (a->n_layers + columns - 1) / columns;
    int width = 90 + 170 * columns, height = 110 + 130 * rows;
    char text[512];
    snprintf(text, sizeof text, "%s: cosine similarity of the pairs of %d images, %% of pairs", a->arch,
             a->histogram_samples);
    set_output(f, "histograms", svg, width < 560 ? 560 : width, height);
    fprintf(f, "set multiplot layout %d,%d margins char 6,2,3,3 spacing char 2,2.2 title ", rows, columns);
    put_quoted(f, text);
    fprintf(f,
            "\nset xrange [0:1]\nset yrange [0:%g]\nset border 3 lc rgb '#606060'\nset style fill solid 0.9\n"
            "set boxwidth 0.09\nset ytics nomirror font ',9'\nunset key\n",
            tallest_bar(a));
    for (int l = 0; l < a->n_layers; l++) {
        fprintf(f, "set title ");
        put_quoted(f, a->layer[l].name);
        fprintf(f, " font ',10' offset 0,-0.8\nset format y '%s'\n", l % columns ? "" : "%g");
        fprintf(f, "set xtics 0,0.5,1 nomirror font ',9'\nset format x '%s'\n",
                l + columns < a->n_layers ? "" : "%g");
        fprintf(f, "plot $histograms index %d using 1:2 with boxes lc rgb '#0072b2'\n", l);
    }
    fprintf(f, "unset multiplot\nset output\n");
}

static void put_matrix_data(FILE *f, const analysis *a)
{
    for (int which = 0; which < 2; which++) {
        fprintf(f, "%s << EOD\n", which ? "$cka" : "$difference");
        for (int i = 0; i < a->n_layers; i++) {
            for (int j = 0; j < a->n_layers; j++) {
                double difference = fabs(a->layer[i].lu.mean - a->layer[j].lu.mean);
                fprintf(f, " %.6g", which ? a->cka[i * a->n_layers + j] : difference);
            }
            fprintf(f, "\n");
        }
        fprintf(f, "EOD\n");
    }
}

/* Names of layers along an axis; of many layers only every second, third, ... */
static void put_layer_tics(FILE *f, const analysis *a, const char *axis, const char *style)
{
    int every = (a->n_layers + 39) / 40;
    fprintf(f, "set %stics (", axis);
    for (int l = 0; l < a->n_layers; l += every) {
        fprintf(f, "%s", l ? ", " : "");
        put_quoted(f, a->layer[l].name);
        fprintf(f, " %d", l);
    }
    fprintf(f, ") %s font ',9' nomirror\n", style);
}

static void put_matrix(FILE *f, const analysis *a, const char *title, const char *data, const char *palette)
{
    fprintf(f, "set title ");
    put_quoted(f, title);
    fputc('\n', f);
    put_layer_tics(f, a, "x", "rotate by 60 right");
    put_layer_tics(f, a, "y", "");
    fprintf(f, "set palette %s\nset datafile missing 'nan'\n", palette);
    fprintf(f, "plot %s matrix with image notitle\n", data);
}

/* Two matrices of the same layers: similar layers are dark in both. */
static void put_difference(FILE *f, const analysis *a, bool svg)
{
    int side = 240 + (a->n_layers < 40 ? 14 * a->n_layers : 560);
    char text[128];
    set_output(f, "difference", svg, 2 * side, side * 5 / 6);
    fprintf(f, "set multiplot layout 1,2\nset size ratio 1\nset xrange [-0.5:%d.5]\nset yrange [%d.5:-0.5]\n",
            a->n_layers - 1, a->n_layers - 1);
    fprintf(f, "set border 0\nset cbtics font ',9'\nset cbrange [0:*]\n");
    put_matrix(f, a, "|Q_i - Q_j| (Lu et al.)", "$difference",
               "defined (0 '#08306b', 1 '#6baed6', 2 '#ffffff')");
    snprintf(text, sizeof text, "linear CKA of %d images", a->cka_samples);
    fprintf(f, "set cbrange [0:1]\n");
    put_matrix(f, a, text, "$cka", "defined (0 '#ffffff', 1 '#6baed6', 2 '#08306b')");
    fprintf(f, "unset multiplot\nset output\n");
}

static void put_script(FILE *f, const analysis *a)
{
    put_curve_data(f, a);
    if (a->cka) put_matrix_data(f, a);
    put_histogram_data(f, a);
    for (int svg = 0; svg < 2; svg++) {
        put_curves(f, a, svg);
        put_histograms(f, a, svg);
        if (a->cka) put_difference(f, a, svg);
    }
}

/* ---- the pipe ---- */

/* Starts gnuplot in a folder. No shell is between, so what fails is known: without gnuplot, *to is NULL. */
static status start(const char *dir, pid_t *pid, FILE **to)
{
    status st = OK;
    char *const argv[] = { "gnuplot", NULL };
    int ends[2] = { -1, -1 };
    posix_spawn_file_actions_t actions;
    *to = NULL;
    if (!file_is_dir(dir)) FAIL(ERR_RUNTIME, "%s: no such folder", dir);
    if (pipe2(ends, O_CLOEXEC) != 0) FAIL(ERR_RUNTIME, "cannot start gnuplot: %s", strerror(errno));
    int error = posix_spawn_file_actions_init(&actions);
    if (error) FAIL(ERR_RUNTIME, "cannot start gnuplot: %s", strerror(error));
    error = posix_spawn_file_actions_adddup2(&actions, ends[0], STDIN_FILENO);
    if (!error) error = posix_spawn_file_actions_addchdir_np(&actions, dir);
    if (!error) error = posix_spawnp(pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    if (error == ENOENT) goto out;
    if (error) FAIL(ERR_RUNTIME, "cannot start gnuplot: %s", strerror(error));
    if (!(*to = fdopen(ends[1], "w"))) {
        close(ends[1]); /* and gnuplot ends */
        waitpid(*pid, NULL, 0);
        ends[1] = -1;
        FAIL_OUT_OF_MEMORY();
    }
    ends[1] = -1;
out:
    for (int i = 0; i < 2; i++)
        if (ends[i] >= 0) close(ends[i]);
    return st;
}

/* Closes the pipe, so that gnuplot draws and ends. */
static status finish(const char *dir, pid_t pid, FILE *to)
{
    status st = OK;
    int end;
    fclose(to); /* if gnuplot did not read all of it, it says why, and its exit code counts */
    while (waitpid(pid, &end, 0) < 0)
        if (errno != EINTR) FAIL(ERR_RUNTIME, "%s: how gnuplot ended is not known: %s", dir, strerror(errno));
    if (end != 0)
        FAIL(ERR_RUNTIME, "%s: gnuplot failed (%s %d)", dir, WIFEXITED(end) ? "exit code" : "signal",
             WIFEXITED(end) ? WEXITSTATUS(end) : WTERMSIG(end));
out:
    return st;
}

status plots_write(const analysis *a, const char *dir)
{
    status st = OK;
    pid_t pid;
    FILE *f;
    /* If gnuplot ends early, that is an error here and no SIGPIPE. */
    struct sigaction ignore = { .sa_handler = SIG_IGN }, before;
    sigaction(SIGPIPE, &ignore, &before);
    /* If a parent process has set SIGCHLD to be ignored, waitpid cannot tell how gnuplot ended. */
    struct sigaction heed = { .sa_handler = SIG_DFL }, child;
    sigaction(SIGCHLD, &heed, &child);
    fflush(NULL);
    TRY(start(dir, &pid, &f));
    if (f) {
        put_script(f, a);
        TRY(finish(dir, pid, f));
    } else {
        log_warn("gnuplot is not installed: no curves and no histograms as pictures (the numbers are in the "
                 "CSV files)");
    }
out:
    sigaction(SIGCHLD, &child, NULL);
    sigaction(SIGPIPE, &before, NULL);
    return st;
}
