/* data/jpeg.c -- what a JPEG claims. [T.81] is https://www.w3.org/Graphics/JPEG/itu-t81.pdf
 *
 *   FF D8 (begin), then segments:  | FF | marker | length, 2 bytes, itself included | data |  and FF D9 (end).
 *   C0 to C2 are the frame: size and components. C4 Huffman tables, DB quantisation tables, DD the restart interval,
 *   DA the header of a scan, behind which its coded data follow up to the next marker: FF 00 in them is a byte FF,
 *   FF D0 to FF D7 divide them into restart intervals. E0 to EF, FE: of applications, comments.
 *
 * A decoder fills its tables from these numbers and trusts them in its inner loops. That is why each is checked here,
 * and in the order of the file: a table must be there before the scan that uses it. What the coded data hold cannot
 * be seen without decoding them; they are bounded by the tables. */
#include "picture.h"

#include <string.h>

enum {
    BEGIN_FRAME = 0xc0,
    PROGRESSIVE = 0xc2,
    HUFFMAN = 0xc4,
    RESTART = 0xd0,
    END = 0xd9,
    SCAN = 0xda,
    QUANTISATION = 0xdb,
    LINES = 0xdc,
    INTERVAL = 0xdd,
    APPLICATION = 0xe0,
    COMMENT = 0xfe
};

/* A progressive file of three colours has about ten scans. Each costs a pass over the picture. */
enum { MAX_SCANS = 500 };

/* A decoder's table of short codes marks "a longer code" with the last index, 255 ([T.81] allows 256 codes, an encoder
 * makes at most 162, or 176 in a progressive file). */
enum { SHORT_CODE = 9 };

typedef struct component {
    int id, h, v, table;  /* h, v: blocks of a unit across and down; table: of quantisation */
    int64_t across, down; /* blocks, when the component is alone in a scan */
    bool begun;           /* a scan had its first (DC) coefficients */
} component;

typedef struct jpeg {
    const char *name;
    const uint8_t *at, *end; /* what is not read yet */
    int64_t max_pixels;
    picture_claim *claim;
    bool progressive;
    component part[4];
    int parts; /* 0: no frame yet */
    int64_t units_across, units_down;
    bool has_dc[4], has_ac[4], has_quantisation[4];
    unsigned interval; /* units between restarts; 0 = none */
    int scans;
} jpeg;

/* ---- tables ---- */

/* Symbols in order of their codes: `count` holds how many codes have 1, 2, ... 16 bits. Bytes of the table, or 0 if
 * it is broken: the codes of each length must fit behind the shorter ones ([T.81] annex C). */
static size_t huffman_bytes(const uint8_t *data, size_t bytes)
{
    unsigned total = 0, is_short = 0;
    uint32_t code = 0;
    if (bytes < 17) return 0;
    const bool is_dc = data[0] >> 4 == 0;
    for (int bits = 1; bits <= 16; bits++) {
        const unsigned count = data[bits];
        code += count;
        total += count;
        if (code > 1u << bits) return 0;
        if (bits <= SHORT_CODE) is_short = total;
        code <<= 1;
    }
    if (total > 256 || is_short > 255 || bytes < 17 + total) return 0;
    for (unsigned i = 0; is_dc && i < total; i++)
        if (data[17 + i] > 15) return 0; /* the bits of a difference */
    return 17 + total;
}

static status read_huffman(jpeg *j, const uint8_t *data, size_t bytes)
{
    status st = OK;
    while (bytes > 0) {
        const size_t used = huffman_bytes(data, bytes);
        const int is_ac = data[0] >> 4, which = data[0] & 15;
        if (!used || is_ac > 1 || which > 3) FAIL(ERR_DATA, "%s: broken JPEG: Huffman table", j->name);
        (is_ac ? j->has_ac : j->has_dc)[which] = true;
        data += used;
        bytes -= used;
    }
out:
    return st;
}

static status read_quantisation(jpeg *j, const uint8_t *data, size_t bytes)
{
    status st = OK;
    while (bytes > 0) {
        const int wide = data[0] >> 4, which = data[0] & 15;
        const size_t used = wide ? 129 : 65;
        if (wide > 1 || which > 3 || bytes < used)
            FAIL(ERR_DATA, "%s: broken JPEG: quantisation table", j->name);
        j->has_quantisation[which] = true;
        data += used;
        bytes -= used;
    }
out:
    return st;
}

/* ---- the frame ---- */

static status read_component(jpeg *j, const uint8_t *data)
{
    status st = OK;
    component *c = &j->part[j->parts];
    *c = (component){ .id = data[0], .h = data[1] >> 4, .v = data[1] & 15, .table = data[2] };
    for (int i = 0; i < j->parts; i++)
        if (j->part[i].id == c->id) FAIL(ERR_DATA, "%s: broken JPEG: two components %d", j->name, c->id);
    if (c->h < 1 || c->h > 4 || c->v < 1 || c->v > 4 || c->table > 3)
        FAIL(ERR_DATA, "%s: broken JPEG: component %d has %d x %d blocks, table %d", j->name, c->id, c->h,
             c->v, c->table);
    j->parts++;
out:
    return st;
}

static int64_t divided_up(int64_t n, int64_t by)
{
    return (n + by - 1) / by;
}

static status measure_components(jpeg *j)
{
    status st = OK;
    int h = 1, v = 1;
    for (int i = 0; i < j->parts; i++) {
        if (j->part[i].h > h) h = j->part[i].h;
        if (j->part[i].v > v) v = j->part[i].v;
    }
    for (int i = 0; i < j->parts; i++) {
        component *c = &j->part[i];
        if (h % c->h || v % c->v)
            FAIL(ERR_DATA, "%s: cannot read this JPEG: component %d has %d x %d blocks of %d x %d", j->name,
                 c->id, c->h, c->v, h, v);
        c->across = divided_up(divided_up((int64_t)j->claim->width * c->h, h), 8);
        c->down = divided_up(divided_up((int64_t)j->claim->height * c->v, v), 8);
    }
    j->units_across = divided_up(j->claim->width, 8 * h);
    j->units_down = divided_up(j->claim->height, 8 * v);
out:
    return st;
}

static status read_frame(jpeg *j, int marker, const uint8_t *data, size_t bytes)
{
    status st = OK;
    if (j->parts) FAIL(ERR_DATA, "%s: broken JPEG: two frames", j->name);
    if (bytes < 6 || bytes != 6 + 3u * data[5]) FAIL(ERR_DATA, "%s: broken JPEG: frame header", j->name);
    if (data[0] != 8) FAIL(ERR_DATA, "%s: cannot read this JPEG: %d bits a colour, not 8", j->name, data[0]);
    const int n = data[5];
    if (n != 1 && n != 3 && n != 4) FAIL(ERR_DATA, "%s: cannot read this JPEG: %d components", j->name, n);
    TRY(picture_set_size(j->name, big16(data + 3), big16(data + 1), j->max_pixels, j->claim));
    for (int i = 0; i < n; i++) TRY(read_component(j, data + 6 + 3 * i));
    j->progressive = marker == PROGRESSIVE;
    TRY(measure_components(j));
out:
    return st;
}

/* ---- scans ---- */

typedef struct scan {
    int n, part[4], dc[4], ac[4];
    int first, last, high, low; /* coefficients of a block; which of their bits (progressive) */
} scan;

static status read_scan(const jpeg *j, const uint8_t *data, size_t bytes, scan *s)
{
    status st = OK;
    *s = (scan){ .n = bytes ? data[0] : 0 };
    if (s->n < 1 || s->n > j->parts || bytes != 4 + 2u * (unsigned)s->n)
        FAIL(ERR_DATA, "%s: broken JPEG: scan header", j->name);
    for (int i = 0; i < s->n; i++) {
        int which = 0;
        while (which < j->parts && j->part[which].id != data[1 + 2 * i]) which++;
        s->part[i] = which;
        s->dc[i] = data[2 + 2 * i] >> 4;
        s->ac[i] = data[2 + 2 * i] & 15;
        bool twice = false;
        for (int k = 0; k < i; k++) twice |= s->part[k] == which;
        if (which == j->parts || twice || s->dc[i] > 3 || s->ac[i] > 3)
            FAIL(ERR_DATA, "%s: broken JPEG: a scan of component %d", j->name, data[1 + 2 * i]);
    }
    const uint8_t *range = data + 1 + 2 * s->n;
    s->first = range[0];
    s->last = j->progressive ? range[1] : 63; /* a sequential scan is of all, whatever its header says */
    s->high = range[2] >> 4;
    s->low = range[2] & 15;
out:
    return st;
}

/* The order of scans ([T.81] G.1.1.1): a component's first coefficients come first, in a scan of their own; a
 * component is alone in a scan of its other coefficients. */
static bool scan_fits(const jpeg *j, const scan *s)
{
    if (!j->progressive) return s->first == 0 && s->high == 0 && s->low == 0;
    if (s->first > s->last || s->last > 63 || s->high > 13 || s->low > 13) return false;
    if (s->first == 0 && s->last != 0) return false;
    if (s->first > 0 && s->n != 1) return false;
    for (int i = 0; i < s->n; i++)
        if ((s->first > 0 || s->high > 0) && !j->part[s->part[i]].begun) return false;
    return true;
}

static status check_tables(const jpeg *j, const scan *s)
{
    status st = OK;
    const bool needs_dc = s->first == 0 && s->high == 0, needs_ac = s->last > 0;
    for (int i = 0; i < s->n; i++) {
        const component *c = &j->part[s->part[i]];
        if ((needs_dc && !j->has_dc[s->dc[i]]) || (needs_ac && !j->has_ac[s->ac[i]]) ||
            !j->has_quantisation[c->table])
            FAIL(ERR_DATA, "%s: broken JPEG: a scan uses a table that is not there", j->name);
    }
out:
    return st;
}

/* Moves to the marker behind the coded data. */
static status skip_data(jpeg *j, int64_t *bytes, int64_t *restarts)
{
    status st = OK;
    const uint8_t *begin = j->at;
    *restarts = 0;
    for (;;) {
        const size_t left = (size_t)(j->end - j->at);
        const uint8_t *mark = left < 2 ? NULL : memchr(j->at, 0xff, left - 1);
        if (!mark) FAIL(ERR_DATA, "%s: truncated JPEG: the data of a scan have no end", j->name);
        const bool is_restart = mark[1] >= RESTART && mark[1] < RESTART + 8;
        j->at = mark + (mark[1] == 0xff ? 1 : 2); /* FF FF: the first fills up */
        *restarts += is_restart;
        if (is_restart || mark[1] == 0 || mark[1] == 0xff) continue;
        j->at = mark;
        break;
    }
    *bytes = j->at - begin;
out:
    return st;
}

static status read_coded(jpeg *j, const scan *s)
{
    status st = OK;
    int64_t units = j->units_across * j->units_down, blocks = 0, bytes = 0, restarts = 0;
    const component *alone = &j->part[s->part[0]];
    for (int i = 0; i < s->n; i++) blocks += units * j->part[s->part[i]].h * j->part[s->part[i]].v;
    if (s->n == 1) blocks = units = alone->across * alone->down;
    TRY(skip_data(j, &bytes, &restarts));
    if (s->first == 0 && blocks > 8 * bytes) /* each has a bit at least */
        FAIL(ERR_DATA, "%s: truncated JPEG: %lld bytes of data cannot hold %d x %d pixels", j->name,
             (long long)bytes, j->claim->width, j->claim->height);
    if (j->interval && restarts < divided_up(units, j->interval) - 1)
        FAIL(ERR_DATA, "%s: truncated JPEG: %lld of %lld restart intervals", j->name, (long long)restarts + 1,
             (long long)divided_up(units, j->interval));
out:
    return st;
}

static status read_scan_and_data(jpeg *j, const uint8_t *data, size_t bytes)
{
    status st = OK;
    scan s;
    if (!j->parts) FAIL(ERR_DATA, "%s: broken JPEG: a scan before the frame", j->name);
    if (++j->scans > MAX_SCANS)
        FAIL(ERR_DATA, "%s: cannot read this JPEG: more than %d scans", j->name, MAX_SCANS);
    TRY(read_scan(j, data, bytes, &s));
    if (!scan_fits(j, &s))
        FAIL(ERR_DATA, "%s: broken JPEG: a scan of coefficients %d to %d, bits %d to %d", j->name, s.first,
             s.last, s.high, s.low);
    TRY(check_tables(j, &s));
    TRY(read_coded(j, &s));
    if (s.first == 0)
        for (int i = 0; i < s.n; i++) j->part[s.part[i]].begun = true;
out:
    return st;
}

/* ---- segments ---- */

static status read_segment(jpeg *j, int marker, const uint8_t *data, size_t bytes)
{
    status st = OK;
    switch (marker) {
    case BEGIN_FRAME:
    case BEGIN_FRAME + 1:
    case PROGRESSIVE: TRY(read_frame(j, marker, data, bytes)); break;
    case HUFFMAN: TRY(read_huffman(j, data, bytes)); break;
    case QUANTISATION: TRY(read_quantisation(j, data, bytes)); break;
    case INTERVAL:
        if (bytes != 2) FAIL(ERR_DATA, "%s: broken JPEG: restart interval", j->name);
        j->interval = big16(data);
        break;
    case LINES:
        if (bytes != 2 || !j->scans || (int)big16(data) != j->claim->height)
            FAIL(ERR_DATA, "%s: broken JPEG: number of lines", j->name);
        break;
    case SCAN: TRY(read_scan_and_data(j, data, bytes)); break;
    default:
        if (marker > PROGRESSIVE && marker < RESTART)
            FAIL(ERR_DATA, "%s: cannot read this JPEG: lossless, hierarchical or arithmetic coding (FF %02X)",
                 j->name, (unsigned)marker);
        if ((marker < APPLICATION || marker > APPLICATION + 15) && marker != COMMENT)
            FAIL(ERR_DATA, "%s: broken JPEG: marker FF %02X", j->name, (unsigned)marker);
    }
out:
    return st;
}

/* The next marker. Before the frame, bytes between segments are passed over, as decoders do. */
static status next_marker(jpeg *j, bool may_skip, int *marker)
{
    status st = OK;
    while (may_skip && j->at < j->end && *j->at != 0xff) j->at++;
    if (j->at < j->end && *j->at != 0xff)
        FAIL(ERR_DATA, "%s: broken JPEG: no marker between segments", j->name);
    while (j->at < j->end && *j->at == 0xff) j->at++;
    if (j->at == j->end) FAIL(ERR_DATA, "%s: truncated JPEG: no end marker", j->name);
    *marker = *j->at++;
out:
    return st;
}

status jpeg_check(const char *name, const uint8_t *file, size_t bytes, int64_t max_pixels, picture_claim *out)
{
    status st = OK;
    int marker = 0;
    jpeg j = { .name = name, .at = file + 2, .end = file + bytes, .max_pixels = max_pixels, .claim = out };
    for (bool first = true;; first = false) {
        TRY(next_marker(&j, !first && !j.parts, &marker));
        if (marker == END) break;
        if (j.end - j.at < 2 || big16(j.at) < 2 || j.end - j.at < (ptrdiff_t)big16(j.at))
            FAIL(ERR_DATA, "%s: truncated JPEG: a segment (FF %02X) ends beyond the file", name,
                 (unsigned)marker);
        const uint8_t *data = j.at + 2;
        const size_t length = big16(j.at) - 2;
        j.at = data + length;
        TRY(read_segment(&j, marker, data, length));
    }
    if (!j.parts) FAIL(ERR_DATA, "%s: broken JPEG: no frame", name);
    for (int i = 0; i < j.parts; i++)
        if (!j.part[i].begun)
            FAIL(ERR_DATA, "%s: truncated JPEG: no scan of component %d", name, j.part[i].id);
out:
    return st;
}
