/* graph/ring.h -- the graph of a layer as a picture: [Yang23] fig. 3. */
#ifndef CLEAVE_RING_H
#define CLEAVE_RING_H

#include "analysis.h"

/* DIR/ring-LAYER.png and .svg. The vertices of a class stand in a row on the circle; edges within a class
 * have its colour, edges between classes are red and drawn last. */
status ring_write(const analysis *, int layer, const char *dir);

/* Most edges that a ring-LAYER shows: of more, as many evenly spaced ones in the order of similarity. */
enum { RING_MAX_EDGES = 40000 };

/* DIR/rings.png and .svg: the rings of all layers side by side, in order of depth. Each shows at most
 * RING_SMALL_EDGES edges and all together RING_ALL_EDGES, chosen in the same way.
 * A picture that does not show all edges says so. */
enum { RING_SMALL_EDGES = 4000, RING_ALL_EDGES = 30000 };
status ring_write_all(const analysis *, const char *dir);

#endif
