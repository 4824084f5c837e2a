/* graph/ring.c -- ring graphs with cairo, as PNG and as SVG: [Yang23] fig. 3. */
#include "../core/base/file.h"
#include "pictures.h"

#include <cairo-svg.h>
#include <cairo.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Edges that are stroked together: their crossings do not get darker, and SVG names colour and width once. */
enum { STROKE_EDGES = 16 };

static const double TURN = 6.283185307179586;
static const double PAGE_HEAD = 70, PAGE_MARGIN = 4; /* of a single ring: below its title; around it */

/* Where the vertices are on the circle; the same for all layers. */
typedef struct ring_layout {
    double *vertex; /* [samples] angle */
    double *from;   /* [classes] angle at which the class begins */
    double *to;     /* [classes] */
} ring_layout;

/* One ring on a page. */
typedef struct ring {
    cairo_t *c;
    const analysis *a;
    const layer_analysis *l;
    const ring_layout *layout;
    double page_width, page_height; /* only of a ring with labels */
    double x, y, radius;
    int64_t shown; /* edges */
} ring;

static void layout_close(ring_layout *p)
{
    free(p->vertex);
    free(p->from);
    *p = (ring_layout){ 0 };
}

/* Clockwise from the top; a tenth of the circle is for the gaps between classes. */
static status layout_open(const analysis *a, ring_layout *out)
{
    status st = OK;
    int *seen = NULL, present = 0;
    ring_layout p = { 0 };
    TRY_ALLOC(p.vertex, malloc(((size_t)a->samples + 1) * sizeof(double)));
    TRY_ALLOC(p.from, malloc(((size_t)a->classes * 2 + 1) * sizeof(double)));
    TRY_ALLOC(seen, calloc((size_t)a->classes + 1, sizeof(int)));
    p.to = p.from + a->classes;
    for (int i = 0; i < a->samples; i++) present += seen[a->label[i]]++ == 0;
    double gap = present > 1 ? 0.1 * TURN / present : 0, step = (TURN - gap * present) / fmax(a->samples, 1);
    double at = -TURN / 4;
    for (int c = 0; c < a->classes; c++) {
        p.from[c] = at;
        p.to[c] = at + step * seen[c];
        at = p.to[c] + (seen[c] ? gap : 0);
        seen[c] = 0;
    }
    for (int i = 0; i < a->samples; i++)
        p.vertex[i] = p.from[a->label[i]] + step * (seen[a->label[i]]++ + 0.5);
    *out = p;
    p = (ring_layout){ 0 };
out:
    free(seen);
    layout_close(&p);
    return st;
}

/* ---- colours ---- */

/* Ten hues that people with colour-blindness can tell apart, after the schemes of Okabe and Ito and of Tol. From the
 * eleventh class on they are repeated, lighter and darker in turn, so that neighbours always differ. None of them is
 * red: red is for edges between classes. */
static const uint8_t class_hue[10][3] = {
    { 0, 114, 178 },  { 230, 159, 0 }, { 0, 158, 115 },  { 120, 94, 190 },  { 86, 180, 233 },
    { 140, 100, 30 }, { 51, 34, 136 }, { 190, 190, 40 }, { 110, 110, 110 }, { 40, 100, 60 },
};
static const uint8_t red[3] = { 220, 20, 30 };

/* Colour of a class, or of edges between classes (-1); components in [0, 1]. */
static void class_colour(int class, double rgb[3])
{
    static const double shade[5] = { 0, 0.35, -0.3, 0.55, -0.5 };
    const uint8_t *hue = class < 0 ? red : class_hue[class % 10];
    double s = class < 0 ? 0 : shade[class / 10 % 5];
    for (int k = 0; k < 3; k++) {
        double v = hue[k] / 255.0;
        rgb[k] = s > 0 ? v + (1 - v) * s : v * (1 + s);
    }
}

/* ---- edges ---- */

static double snap(double x)
{
    return round(x * 4) / 4;
} /* quarter pixels: short numbers in SVG */

/* Bent towards the centre, so that edges within a class leave the rim and can be distinguished. */
static void edge_path(const ring *g, edge e)
{
    double a = g->layout->vertex[e.i], b = g->layout->vertex[e.j];
    double xa = g->radius * cos(a), ya = g->radius * sin(a), xb = g->radius * cos(b), yb = g->radius * sin(b);
    const double keep = 0.55;
    cairo_move_to(g->c, snap(g->x + xa), snap(g->y + ya));
    cairo_curve_to(g->c, snap(g->x + keep * xa), snap(g->y + keep * ya), snap(g->x + keep * xb),
                   snap(g->y + keep * yb), snap(g->x + xb), snap(g->y + yb));
}

/* The k-th of the `shown` edges, evenly spaced in the order of similarity. */
static edge shown_edge(const ring *g, int64_t k)
{
    return g->l->edges.edge[(int64_t)((double)k * (double)g->l->edges.n / (double)g->shown)];
}

/* Class of an edge, or -1 between classes. */
static int edge_class(const ring *g, edge e)
{
    return g->a->label[e.i] == g->a->label[e.j] ? g->a->label[e.i] : -1;
}

/* Opacity of an edge: the more edges lie on top of each other on average, the fainter is each, so that shades remain
 * visible. An edge is about as long as the radius. Edges between classes share the whole disc, those within a class its
 * part of the outer half. */
static double faintness(const ring *g, int class, int64_t count, double width)
{
    double share = class < 0 ? 1 : (g->layout->to[class] - g->layout->from[class]) / TURN;
    double depth = 0.44 * (double)count * width / (g->radius * share);
    return fmin(0.9, fmax(0.015, 0.9 / depth));
}

static void draw_class(const ring *g, int class, int64_t count)
{
    double rgb[3];
    if (count == 0) return;
    class_colour(class, rgb);
    double width = (g->radius > 300 ? 0.7 : 0.5) * (class < 0 ? 1.4 : 1);
    cairo_set_source_rgba(g->c, rgb[0], rgb[1], rgb[2], faintness(g, class, count, width));
    cairo_set_line_width(g->c, width);
    int pending = 0;
    for (int64_t k = 0; k < g->shown; k++) {
        edge e = shown_edge(g, k);
        if (edge_class(g, e) != class) continue;
        edge_path(g, e);
        if (++pending % STROKE_EDGES == 0) cairo_stroke(g->c);
    }
    cairo_stroke(g->c);
}

static status draw_edges(const ring *g)
{
    status st = OK;
    int64_t *count; /* [0] between classes, [1 + class] within */
    TRY_ALLOC(count, calloc((size_t)g->a->classes + 1, sizeof *count));
    for (int64_t k = 0; k < g->shown; k++) count[1 + edge_class(g, shown_edge(g, k))]++;
    for (int c = 0; c < g->a->classes; c++) draw_class(g, c, count[1 + c]);
    draw_class(g, -1, count[0]);
    free(count);
out:
    return st;
}

/* ---- rim and labels ---- */

static void draw_rim(const ring *g)
{
    double width = fmax(4, g->radius / 40);
    cairo_set_line_width(g->c, width);
    for (int c = 0; c < g->a->classes; c++) {
        double rgb[3], from = g->layout->from[c], to = g->layout->to[c];
        if (to <= from) continue;
        class_colour(c, rgb);
        cairo_set_source_rgb(g->c, rgb[0], rgb[1], rgb[2]);
        cairo_new_path(g->c);
        cairo_arc(g->c, g->x, g->y, g->radius + width / 2 + 1, from, to);
        cairo_stroke(g->c);
    }
}

/* Writes text with its left end, middle or right end (anchor 0, 0.5, 1) at x, y. */
static void put_text(cairo_t *c, double x, double y, double anchor, double size, const char *text)
{
    cairo_text_extents_t e;
    cairo_set_font_size(c, size);
    cairo_text_extents(c, text, &e);
    cairo_move_to(c, x - anchor * e.x_advance, y);
    cairo_show_text(c, text);
}

/* Cuts the text off where it gets wider than `room`; then it ends with three dots. The text has 3 bytes to spare. */
static void fit_text(cairo_t *c, double size, double room, char *text)
{
    cairo_text_extents_t e;
    size_t n = strlen(text);
    cairo_set_font_size(c, size);
    cairo_text_extents(c, text, &e);
    while (e.x_advance > room && n > 0) {
        do n--; /* a whole character */
        while (n > 0 && (text[n] & 0xc0) == 0x80);
        memcpy(text + n, "\xe2\x80\xa6", 4);
        cairo_text_extents(c, text, &e);
    }
}

static double width_of(cairo_t *c, double size, const char *text)
{
    cairo_text_extents_t e;
    cairo_set_font_size(c, size);
    cairo_text_extents(c, text, &e);
    return e.x_advance;
}

/* A name as UTF-8, as cairo requires, with room for three dots. */
typedef struct class_text {
    char s[256 + 4];
} class_text;

static class_text class_text_of(const analysis *a, int class)
{
    class_text t;
    text_visible(a->class_name[class], t.s, sizeof t.s - 4);
    return t;
}

/* If there are many classes, their names stand along the radius, without their shares. */
static bool label_along_radius(const analysis *a)
{
    return a->classes > 24;
}

/* Along the radius from `away` to the edge of the page, or to the head of the page. */
static void draw_label_along(const ring *g, double middle, double away, class_text name)
{
    const double x = cos(middle), y = sin(middle), edge_x = x < 0 ? g->x : g->page_width - g->x,
                 edge_y = y < 0 ? g->y - PAGE_HEAD : g->page_height - g->y;
    const double room = fmin(edge_x / fmax(fabs(x), 1e-6), edge_y / fmax(fabs(y), 1e-6)) - away - PAGE_MARGIN;
    fit_text(g->c, 9, room, name.s);
    cairo_save(g->c);
    cairo_translate(g->c, g->x, g->y);
    cairo_rotate(g->c, middle);
    if (x < 0) cairo_rotate(g->c, TURN / 2);
    put_text(g->c, x < 0 ? -away : away, 3, x < 0 ? 1 : 0, 9, name.s);
    cairo_restore(g->c);
}

/* Class name and its share of the ends of the edges. */
static void draw_label(const ring *g, int class)
{
    const double middle = (g->layout->from[class] + g->layout->to[class]) / 2, away = g->radius * 1.06;
    class_text name = class_text_of(g->a, class);
    char text[sizeof name.s + 32], share[32];
    if (label_along_radius(g->a)) {
        draw_label_along(g, middle, away, name);
        return;
    }
    snprintf(share, sizeof share, "  %.0f %%", 100 * g->l->yang.class_share[class]);
    const double anchor = 0.5 - 0.5 * fmax(-1, fmin(1, cos(middle) * 2.5)), x = g->x + away * cos(middle),
                 y = g->y + away * sin(middle) + 5 + 6 * sin(middle);
    const double room = fmin((x - PAGE_MARGIN) / fmax(anchor, 1e-6),
                             (g->page_width - PAGE_MARGIN - x) / fmax(1 - anchor, 1e-6));
    fit_text(g->c, 15, room - width_of(g->c, 15, share), name.s);
    snprintf(text, sizeof text, "%s%s", name.s, share);
    put_text(g->c, x, y, anchor, 15, text);
}

static void draw_labels(const ring *g)
{
    cairo_set_source_rgb(g->c, 0.2, 0.2, 0.2);
    for (int c = 0; c < g->a->classes; c++) {
        if (g->layout->to[c] > g->layout->from[c]) draw_label(g, c);
    }
}

/* ---- pages ---- */

static void select_font(cairo_t *c)
{
    cairo_select_font_face(c, "sans-serif", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
}

static void clear_page(cairo_t *c)
{
    cairo_set_source_rgb(c, 1, 1, 1);
    cairo_paint(c);
    select_font(c);
    cairo_set_antialias(c, CAIRO_ANTIALIAS_FAST); /* these two halve the time of 40,000 edges */
    cairo_set_tolerance(c, 0.5);
}

static const char *number(char text[16], double x)
{
    if (isnan(x)) return "undefined";
    snprintf(text, 16, "%.3f", x);
    return text;
}

typedef struct page {
    const analysis *a;
    ring_layout layout;
    int layer; /* of a single ring */
    int columns;
    double cell, top; /* of all rings: side of one, where the first row begins */
    double width, height;
    status (*draw)(const struct page *, cairo_t *);
} page;

static status draw_one(const page *p, cairo_t *c)
{
    status st = OK;
    const analysis *a = p->a;
    const layer_analysis *l = &a->layer[p->layer];
    ring g = { .c = c,
               .a = a,
               .l = l,
               .layout = &p->layout,
               .page_width = p->width,
               .page_height = p->height,
               .x = p->width / 2,
               .y = label_along_radius(a) ? 595 : 535,
               .radius = 390,
               .shown = l->edges.n };
    char text[256], r[16], m[16];
    if (g.shown > RING_MAX_EDGES) g.shown = RING_MAX_EDGES;
    clear_page(c);
    TRY(draw_edges(&g));
    draw_rim(&g);
    draw_labels(&g);
    snprintf(text, sizeof text, "%s    r = %s    M = %s", l->name, number(r, l->yang.r),
             number(m, l->yang.M));
    put_text(c, p->width / 2, 36, 0.5, 26, text);
    int n =
        snprintf(text, sizeof text, "%d images, %lld edges, %d images without an edge; red: between classes",
                 a->samples, (long long)l->edges.n, l->yang.isolated);
    if (g.shown < l->edges.n)
        snprintf(text + n, sizeof text - (size_t)n, "; %lld of the edges are drawn", (long long)g.shown);
    cairo_set_source_rgb(c, 0.4, 0.4, 0.4);
    put_text(c, p->width / 2, 62, 0.5, 15, text);
    if (!label_along_radius(a)) put_text(c, p->width / 2, 82, 0.5, 15, "%: share of the ends of the edges");
out:
    return st;
}

static status draw_cell(const page *p, cairo_t *c, int layer, int64_t shown)
{
    status st = OK;
    const layer_analysis *l = &p->a->layer[layer];
    double x = (layer % p->columns + 0.5) * p->cell, y = p->top + layer / p->columns * (p->cell + 24);
    ring g = { .c = c,
               .a = p->a,
               .l = l,
               .layout = &p->layout,
               .x = x,
               .y = y + 30 + p->cell / 2,
               .radius = p->cell / 2 - 16,
               .shown = shown };
    char text[160], r[16], m[16];
    TRY(draw_edges(&g));
    draw_rim(&g);
    cairo_set_source_rgb(c, 0.2, 0.2, 0.2);
    put_text(c, x, y + 16, 0.5, 15, l->name);
    cairo_set_source_rgb(c, 0.4, 0.4, 0.4);
    snprintf(text, sizeof text, "r %s   M %s", number(r, l->yang.r), number(m, l->yang.M));
    put_text(c, x, y + 34, 0.5, 13, text);
out:
    return st;
}

static double legend_size(const analysis *a)
{
    return label_along_radius(a) ? 11 : 15;
}

/* The class names in their colours, in lines below (16, 48). Returns the number of lines; draws only if asked to. */
static int lay_legend(const page *p, cairo_t *c, bool draw)
{
    enum { MAX_LINES = 12 };
    const double size = legend_size(p->a), left = 16, room = p->width - 2 * left;
    double rgb[3], at = 0;
    int line = 0;
    for (int k = 0; k < p->a->classes; k++) {
        class_text name = class_text_of(p->a, k);
        fit_text(c, size, room / 4, name.s);
        const double width = width_of(c, size, name.s);
        if (at > 0 && at + width > room) {
            if (line + 1 == MAX_LINES) return MAX_LINES; /* the pictures of the layers have the names, too */
            line++;
            at = 0;
        }
        class_colour(k, rgb);
        cairo_set_source_rgb(c, rgb[0], rgb[1], rgb[2]);
        if (draw) put_text(c, left + at, 48 + line * (size + 5), 0, size, name.s);
        at += width + 14;
    }
    return line + 1;
}

/* Pixels that the legend's lines after the first take. */
static double legend_height(const page *p)
{
    cairo_surface_t *s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, 1, 1);
    cairo_t *c = cairo_create(s);
    select_font(c);
    const double height = (lay_legend(p, c, false) - 1) * (legend_size(p->a) + 5);
    cairo_destroy(c);
    cairo_surface_destroy(s);
    return height;
}

static status draw_all(const page *p, cairo_t *c)
{
    status st = OK;
    char text[200];
    int64_t shown = RING_ALL_EDGES / p->a->n_layers;
    if (shown > RING_SMALL_EDGES) shown = RING_SMALL_EDGES;
    if (shown > p->a->edges) shown = p->a->edges;
    clear_page(c);
    for (int l = 0; l < p->a->n_layers; l++) TRY(draw_cell(p, c, l, shown));
    cairo_set_source_rgb(c, 0.2, 0.2, 0.2);
    snprintf(text, sizeof text, "%s: %lld of %lld edges are drawn; red: between classes", p->a->arch,
             (long long)shown, (long long)p->a->edges);
    put_text(c, 16, 26, 0, 15, text);
    lay_legend(p, c, true);
out:
    return st;
}

/* ---- files ---- */

/* A cairo_write_func_t. status_message has the message of a failure. */
static cairo_status_t put_bytes(void *ctx, const unsigned char *data, unsigned n)
{
    return file_put(ctx, data, n) == OK ? CAIRO_STATUS_SUCCESS : CAIRO_STATUS_WRITE_ERROR;
}

static status check(cairo_status_t s, const char *path)
{
    if (s == CAIRO_STATUS_SUCCESS) return OK;
    if (s == CAIRO_STATUS_WRITE_ERROR) return ERR_RUNTIME; /* put_bytes has stored the message */
    return status_set(ERR_RUNTIME, __FILE__, __LINE__, "%s: cairo: %s", path, cairo_status_to_string(s));
}

static status draw_on(const page *p, cairo_surface_t *s, double scale, const char *path)
{
    status st = OK;
    cairo_t *c = cairo_create(s);
    TRY(check(cairo_status(c), path));
    cairo_scale(c, scale, scale);
    TRY(p->draw(p, c));
    TRY(check(cairo_status(c), path));
out:
    cairo_destroy(c);
    return st;
}

static status write_page(const page *p, const char *dir, const char *name, bool svg)
{
    status st = OK;
    file_writer w = { 0 };
    cairo_surface_t *s = NULL;
    file_path path;
    const double scale = svg ? 1 : 1.25;
    TRY(path_set(&path, "%s/%s.%s", dir, name, svg ? "svg" : "png"));
    TRY(file_begin(&w, path.s));
    if (svg)
        s = cairo_svg_surface_create_for_stream(put_bytes, &w, p->width, p->height);
    else
        s = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int)(p->width * scale), (int)(p->height * scale));
    TRY(check(cairo_surface_status(s), path.s));
    TRY(draw_on(p, s, scale, path.s));
    if (!svg) TRY(check(cairo_surface_write_to_png_stream(s, put_bytes, &w), path.s));
    cairo_surface_finish(s);
    TRY(check(cairo_surface_status(s), path.s));
    TRY(file_commit(&w));
out:
    if (s) cairo_surface_destroy(s);
    if (st != OK) file_abandon(&w);
    return st;
}

static status write_both(page *p, const char *dir, const char *name)
{
    status st = OK;
    TRY(layout_open(p->a, &p->layout));
    TRY(write_page(p, dir, name, false));
    TRY(write_page(p, dir, name, true));
out:
    layout_close(&p->layout);
    return st;
}

status ring_write(const analysis *a, int layer, const char *dir)
{
    char name[96];
    page p = { .a = a, .layer = layer, .width = 1080, .height = 1010, .draw = draw_one };
    if (label_along_radius(a)) p.height += 120; /* names stand above and below the ring */
    snprintf(name, sizeof name, "ring-%s", a->layer[layer].name);
    return write_both(&p, dir, name);
}

status ring_write_all(const analysis *a, const char *dir)
{
    int columns = picture_columns(a->n_layers);
    int rows = (a->n_layers + columns - 1) / columns;
    page p = { .a = a, .columns = columns, .cell = 220, .draw = draw_all };
    p.width = fmax(columns * p.cell, 880); /* room for the legend */
    p.top = 60 + legend_height(&p);
    p.height = p.top + 20 + rows * (p.cell + 24);
    return write_both(&p, dir, "rings");
}
