/* graph/picture.h -- what the pictures share: class colours and the grid of small panels. */
#ifndef CLEAVE_PICTURE_H
#define CLEAVE_PICTURE_H

#include <stdint.h>

/* Ten hues that people with colour-blindness tell apart too, after the schemes of Okabe and Ito and of Tol;
 * beyond ten classes they come again, lighter and darker in turn, so that neighbours always differ. None of
 * them is red: red is for edges between classes. */
static const uint8_t picture_hue[10][3] = {
    { 0, 114, 178 },  { 230, 159, 0 }, { 0, 158, 115 },  { 120, 94, 190 },  { 86, 180, 233 },
    { 140, 100, 30 }, { 51, 34, 136 }, { 190, 190, 40 }, { 110, 110, 110 }, { 40, 100, 60 },
};
static const uint8_t picture_red[3] = { 220, 20, 30 };

/* Colour of a class, or of edges between classes (-1); components in [0, 1]. */
static inline void picture_colour(int class, double rgb[3])
{
    static const double shade[5] = { 0, 0.35, -0.3, 0.55, -0.5 };
    const uint8_t *hue = class < 0 ? picture_red : picture_hue[class % 10];
    double s = class < 0 ? 0 : shade[class / 10 % 5];
    for (int k = 0; k < 3; k++) {
        double v = hue[k] / 255.0;
        rgb[k] = s > 0 ? v + (1 - v) * s : v * (1 + s);
    }
}

/* Columns for n > 0 panels in rows: 5 to 8, whichever leaves the fewest cells empty. */
static inline int picture_columns(int n)
{
    int best = n < 5 ? n : 5;
    for (int c = 6; c <= 8 && c <= n; c++) {
        if ((n + c - 1) / c * c <= (n + best - 1) / best * best) best = c;
    }
    return best;
}

#endif
