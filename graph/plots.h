/* graph/plots.h -- curves and histograms, drawn by gnuplot. */
#ifndef CLEAVE_PLOTS_H
#define CLEAVE_PLOTS_H

#include "analysis.h"

/* DIR/curves.{png,svg}: M and Q against the layer. DIR/histograms.{png,svg}: a panel per layer. Of an
 * analysis with CKA also DIR/difference.{png,svg}: |Q_i - Q_j| of every pair of layers beside their CKA.
 * Without gnuplot: one warning, and OK. ERR_RUNTIME if gnuplot fails. */
status plots_write(const analysis *, const char *dir);

#endif
