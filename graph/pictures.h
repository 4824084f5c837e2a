/* graph/pictures.h -- an analysis as pictures, each as PNG and as SVG: rings by cairo (ring.c), curves, histograms
 * and differences by gnuplot (plots.c). */
#ifndef CLEAVE_PICTURES_H
#define CLEAVE_PICTURES_H

#include "analysis.h"

/* DIR/ring-LAYER.{png,svg}, the graph of a layer [Yang23 fig. 3]. The vertices of a class stand side by side on the
 * circle; edges within a class have its colour, edges between classes are red and drawn last. If there are more than
 * RING_MAX_EDGES edges, so many are drawn, evenly spaced in the order of similarity, and the picture says so. */
enum { RING_MAX_EDGES = 40000 };
status ring_write(const analysis *, int layer, const char *dir);

/* DIR/rings.{png,svg}: the rings of all layers side by side, in order of depth. Each has at most RING_SMALL_EDGES
 * edges and all together RING_ALL_EDGES, chosen in the same way. */
enum { RING_SMALL_EDGES = 4000, RING_ALL_EDGES = 30000 };
status ring_write_all(const analysis *, const char *dir);

/* As [Yang23] fig. 2 and 4: DIR/curves.{png,svg}, M and Q of every layer, and DIR/histograms.{png,svg}, a panel for
 * each layer. With CKA also DIR/difference.{png,svg}: |Q_i - Q_j| of every pair of layers beside their CKA.
 * Without gnuplot: one warning, and OK. ERR_RUNTIME if gnuplot fails. */
status plots_write(const analysis *, const char *dir);

/* Columns of a grid of n > 0 panels: 5 to 8, whichever leaves the fewest cells empty. */
static inline int picture_columns(int n)
{
    int best = n < 5 ? n : 5;
    for (int c = 6; c <= 8 && c <= n; c++) {
        if ((n + c - 1) / c * c <= (n + best - 1) / best * best) best = c;
    }
    return best;
}

#endif
