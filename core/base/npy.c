/* core/base/npy.c -- see npy.h. The file:
 *
 *   0x93 "NUMPY" | 1 0 | u16 little-endian: bytes of the header | header | rows * columns float32
 *
 * The header is padded with blanks and ends with a newline, so that the values begin at a multiple of 64 bytes. The
 * values are little-endian and in C order. */
#include "npy.h"

#include <string.h>

status npy_begin(file_writer *w, const char *path, int64_t rows, int64_t columns)
{
    status st = OK;
    char header[256];
    static const char magic[] = "\x93NUMPY\x01"; /* and its NUL: the minor version */
    TRY(text_format(header + 10, 100, "{'descr': '<f4', 'fortran_order': False, 'shape': (%lld, %lld), }",
                    (long long)rows, (long long)columns));
    size_t used = 10 + strlen(header + 10), bytes = (used + 1 + 63) / 64 * 64;
    memcpy(header, magic, sizeof magic);
    header[8] = (char)((bytes - 10) & 0xff);
    header[9] = (char)((bytes - 10) >> 8);
    memset(header + used, ' ', bytes - used);
    header[bytes - 1] = '\n';
    TRY(file_begin(w, path));
    TRY(file_put(w, header, bytes));
out:
    return st;
}
