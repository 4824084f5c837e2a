/* graph/palette.h -- a colour for every class, none of them red: red is for edges between classes. */
#ifndef CLEAVE_PALETTE_H
#define CLEAVE_PALETTE_H

#include <stdint.h>

/* Ten hues that people with colour-blindness tell apart too, after the schemes of Okabe and Ito and of Tol;
 * beyond ten classes they come again, lighter and darker in turn, so that neighbours always differ. */
static const uint8_t palette_rgb[10][3] = {
    { 0, 114, 178 },   { 230, 159, 0 },  { 0, 158, 115 }, { 120, 94, 190 }, { 86, 180, 233 },
    { 140, 100, 30 },  { 51, 34, 136 },  { 190, 190, 40 }, { 110, 110, 110 }, { 40, 100, 60 },
};
static const uint8_t palette_wrong[3] = { 220, 20, 30 };

/* Components in [0, 1]. */
static inline void palette_class(int c, double rgb[3])
{
    static const double shade[5] = { 0, 0.35, -0.3, 0.55, -0.5 };
    double s = shade[c / 10 % 5];
    for (int k = 0; k < 3; k++) {
        double v = palette_rgb[c % 10][k] / 255.0;
        rgb[k] = s > 0 ? v + (1 - v) * s : v * (1 + s);
    }
}

#endif
