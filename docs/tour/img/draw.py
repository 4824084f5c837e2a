#!/usr/bin/env python3
"""docs/tour/img/draw.py -- makes the drawings of the tour as SVG, in the folder of this file."""
import os

HERE = os.path.dirname(os.path.abspath(__file__))
BLUE, ORANGE, GREEN, RED, GREY, DARK = '#0072b2', '#e69f00', '#009e73', '#d55e00', '#8a8a8a', '#222222'
PALE = {BLUE: '#d6e8f4', ORANGE: '#fbecc9', GREEN: '#d0ece3', RED: '#f8dfd0', GREY: '#eeeeee'}


class Drawing:
    def __init__(self, width, height, title):
        self.size, self.out = (width, height), [f'<title>{title}</title>', f'<rect width="{width}" height="{height}" fill="white"/>']

    def box(self, x, y, w, h, fill='white', stroke=DARK, width=1, radius=0):
        self.out.append(f'<rect x="{x}" y="{y}" width="{w}" height="{h}" rx="{radius}" fill="{fill}" stroke="{stroke}" '
                        f'stroke-width="{width}"/>')

    def text(self, x, y, text, size=14, anchor='middle', colour=DARK, weight='normal'):
        text = text.replace('&', '&amp;').replace('<', '&lt;')
        self.out.append(f'<text x="{x}" y="{y}" font-size="{size}" text-anchor="{anchor}" fill="{colour}" '
                        f'font-weight="{weight}">{text}</text>')

    def line(self, points, colour=DARK, width=1.5, arrow=True, dash=''):
        path = ' '.join(f'{x},{y}' for x, y in points)
        head = f' marker-end="url(#{"a" + colour[1:]})"' if arrow else ''
        dash = f' stroke-dasharray="{dash}"' if dash else ''
        self.out.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{head}{dash}/>')

    def grid(self, x, y, values, cell=30, colours=None, size=13):
        for i, row in enumerate(values):
            for j, v in enumerate(row):
                fill = (colours or {}).get((i, j), 'white')
                self.box(x + j * cell, y + i * cell, cell, cell, fill, GREY)
                self.text(x + j * cell + cell / 2, y + i * cell + cell / 2 + 5, str(v), size)

    def frame(self, x, y, rows, columns, colour, cell=30):
        self.box(x, y, columns * cell, rows * cell, 'none', colour, 3)

    def save(self, name):
        w, h = self.size
        heads = ''.join(f'<marker id="a{c[1:]}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
                        f'orient="auto"><path d="M0,0L10,5L0,10z" fill="{c}"/></marker>'
                        for c in (BLUE, ORANGE, GREEN, RED, GREY, DARK))
        with open(os.path.join(HERE, name + '.svg'), 'w') as f:
            f.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{w}" height="{h}" viewBox="0 0 {w} {h}" '
                    f'font-family="DejaVu Sans, Verdana, sans-serif">\n<defs>{heads}</defs>\n' + '\n'.join(self.out) + '\n</svg>\n')


X = [[0, 0, 5, 5, 5]] * 4 + [[0, 0, 5, 5, 9]]
W = [[-1, 0, 1]] * 3
Y = [[0, 10, 10, 0, -10], [0, 15, 15, 0, -15], [0, 15, 15, 0, -15], [0, 15, 15, 4, -15], [0, 10, 10, 4, -10]]
WINDOW = {(i, j): PALE[BLUE] for i in (1, 2, 3) for j in (0, 1, 2)}


def layout():
    d = Drawing(760, 300, 'The same 20 channels as planes and in blocks of 16')
    d.text(20, 28, 'NCHW: plane after plane', 15, 'start', weight='bold')
    for c in range(20):
        colour = PALE[BLUE] if c < 16 else PALE[ORANGE]
        d.box(20 + c * 36, 44, 36, 44, colour, GREY)
        d.text(38 + c * 36, 71, f'c{c}', 12)
    d.text(20, 106, 'each plane: its 16 pixels, row by row', 11, 'start', GREY)
    d.text(20, 148, 'nChw16c: pixel after pixel, 16 channels side by side; 20 channels need two blocks', 15, 'start', weight='bold')
    for block, (colour, first) in enumerate(((BLUE, 0), (ORANGE, 16))):
        y = 164 + block * 62
        for p in range(3):
            used = min(16, 20 - first)
            for k in range(used):
                d.box(20 + p * 216 + k * 13, y, 13, 40, PALE[colour], GREY, 0.6)
                if k in (0, 1, used - 1):
                    d.text(26.5 + p * 216 + k * 13, y + 25, str(first + k), 9)
            if used < 16:
                d.box(20 + p * 216 + used * 13, y, (16 - used) * 13, 40, 'white', GREY, 0.6)
                d.text(20 + p * 216 + (16 + used) * 13 / 2, y + 25, f'{16 - used} zeros', 11, colour=GREY)
            d.text(20 + p * 216 + 104, y + 53, f'pixel {p}', 11, colour=GREY)
        d.text(668, y + 25, '... pixel 15', 12, 'start', GREY)
    d.save('layout')


def conv_forward():
    d = Drawing(760, 250, 'A 3x3 convolution: one output is the sum of nine products')
    d.text(95, 28, 'x', 16, weight='bold')
    d.grid(20, 44, X, colours=WINDOW)
    d.frame(20, 74, 3, 3, BLUE)
    d.text(260, 28, 'w', 16, weight='bold')
    d.grid(215, 74, W, colours={(i, j): PALE[ORANGE] for i in range(3) for j in range(3)})
    d.text(192, 125, '*', 22)
    d.text(330, 125, '=', 20)
    d.text(435, 28, 'y', 16, weight='bold')
    d.grid(360, 44, Y, colours={(2, 1): PALE[GREEN]})
    d.frame(390, 104, 1, 1, GREEN)
    d.text(530, 80, '3 rows of', 14, 'start')
    d.text(530, 104, '-1*0 + 0*0 + 1*5', 14, 'start')
    d.text(530, 128, 'make 15', 14, 'start', GREEN, 'bold')
    d.text(20, 226, 'The window moves by "stride"; "pad" rings of zeros around x keep y as large as x.', 14, 'start')
    d.save('conv-forward')


def conv_backward():
    d = Drawing(760, 270, 'Backward: dx and dw of one output')
    d.text(95, 28, 'dy', 16, weight='bold')
    zero = [[0] * 5 for _ in range(5)]
    dy = [row[:] for row in zero]
    dy[2][1] = 1
    d.grid(20, 44, dy, colours={(2, 1): PALE[GREEN]})
    d.frame(50, 104, 1, 1, GREEN)
    d.line([(182, 90), (258, 70)], ORANGE, 2.5)
    d.text(205, 66, 'times w', 13, colour=RED)
    d.text(345, 28, 'dx: the kernel, where it stood', 15, weight='bold')
    dx = [row[:] for row in zero]
    for i in (1, 2, 3):
        dx[i][0], dx[i][2] = -1, 1
    d.grid(270, 44, dx, colours={k: PALE[ORANGE] for k in WINDOW})
    d.frame(270, 74, 3, 3, ORANGE)
    d.line([(182, 196), (470, 222), (552, 140)], BLUE, 2.5)
    d.text(330, 238, 'times x', 13, colour=BLUE)
    d.text(605, 28, 'dw: the pixels it saw', 15, weight='bold')
    d.grid(560, 74, [[0, 0, 5]] * 3, colours={(i, j): PALE[BLUE] for i in range(3) for j in range(3)})
    d.text(20, 262, 'Every output does this; what falls on the same place is added.', 14, 'start')
    d.save('conv-backward')


def residual():
    d = Drawing(760, 230, 'A residual block, forward and backward')
    for x, label in ((110, 'conv1'), (220, 'BN, ReLU'), (340, 'conv2'), (450, 'BN')):
        d.box(x, 60, 90, 44, PALE[BLUE], BLUE, 1.5, 6)
        d.text(x + 45, 87, label)
    for a, b in ((40, 108), (200, 218), (310, 338), (430, 448), (540, 572), (604, 636)):
        d.line([(a, 82), (b, 82)])
    d.text(26, 87, 'x', 16, weight='bold')
    d.out.append(f'<circle cx="590" cy="82" r="15" fill="{PALE[GREEN]}" stroke="{GREEN}" stroke-width="2"/>')
    d.text(590, 88, '+', 20, colour=GREEN, weight='bold')
    d.box(638, 60, 60, 44, PALE[BLUE], BLUE, 1.5, 6)
    d.text(668, 87, 'ReLU')
    d.line([(698, 82), (728, 82)])
    d.text(742, 87, 'y', 16, weight='bold')
    d.line([(60, 82), (60, 26), (590, 26), (590, 65)], GREEN, 2.5)
    d.text(330, 19, 'shortcut z: the identity', 13, colour=GREEN)
    d.line([(668, 112), (668, 150), (606, 150)], RED, 2)
    d.text(690, 140, 'dy', 14, 'start', RED, 'bold')
    d.text(590, 155, 'g', 14, colour=RED, weight='bold')
    d.line([(574, 150), (76, 150)], RED, 2)
    d.text(330, 143, 'dx through BN, conv2, ReLU, BN, conv1', 13, colour=RED)
    d.line([(590, 164), (590, 196), (60, 196), (60, 160)], RED, 2)
    d.text(330, 189, 'dz = g: the gradient goes back unchanged', 13, colour=RED)
    d.text(60, 152, '+', 18, colour=RED, weight='bold')
    d.text(20, 222, 'At the + both paths get the same g; at x their gradients are added. So deep nets train [He16].', 13, 'start')
    d.save('residual')


def criterion():
    d = Drawing(760, 320, 'Criterion I on a curve')
    m = [.02, .10, .27, .30, .46, .62, .625, .80, .805, .79]
    fate = ['', 'floor', 'floor', '', '', '', 'plateau', '', 'past', 'past']
    x0, y0, sx, sy = 70, 270, 68, 230
    d.line([(x0, y0), (x0, 25)])
    d.line([(x0, y0), (740, y0)])
    d.text(30, 32, 'M or Q', 13)
    d.text(700, 302, 'depth', 13)
    floor = y0 - .3 * .805 * sy
    d.line([(x0, floor), (740, floor)], GREY, 1.2, False, '6 4')
    d.text(736, floor - 6, 'floor: 0.30 of the maximum; what starts below it stays', 12, 'end', GREY)
    points = [(x0 + 25 + i * sx, y0 - v * sy) for i, v in enumerate(m)]
    d.line(points, BLUE, 2, False)
    for (x, y), f in zip(points, fate):
        colour = RED if f in ('plateau', 'past') else BLUE
        d.out.append(f'<circle cx="{x}" cy="{y}" r="6" fill="{colour}"/>')
    x, y = points[6]
    d.text(x, y + 26, 'plateau: cut', 13, colour=RED)
    x = (points[8][0] + points[9][0]) / 2
    d.text(x, y0 - .79 * sy + 30, 'past the', 13, colour=RED)
    d.text(x, y0 - .79 * sy + 46, 'maximum: cut', 13, colour=RED)
    x, y = points[7]
    d.text(x, y - 14, 'within eps of the maximum: stays', 13, colour=BLUE)
    x, y = points[4]
    d.text(x - 10, y - 14, 'rises: stays', 13, 'end', BLUE)
    d.save('criterion')


def pipeline():
    d = Drawing(900, 120, 'From pixels to a pruned net')
    steps = (('pixels', 1), ('layers', '2-5'), ('training', 6), ('taps', 7), ('similarity', 8), ('graph', 9), ('M, Q', 10),
             ('criterion', 11), ('surgery', 12))
    for i, (label, chapter) in enumerate(steps):
        x = 12 + i * 98
        colour = BLUE if i < 3 else ORANGE if i < 7 else GREEN
        d.box(x, 30, 84, 44, PALE[colour], colour, 1.5, 6)
        d.text(x + 42, 57, label, 13)
        d.text(x + 42, 96, f'chapter {chapter}', 11, colour=GREY)
        if i:
            d.line([(x - 14, 52), (x - 1, 52)])
    d.save('pipeline')


for draw in (layout, conv_forward, conv_backward, residual, criterion, pipeline):
    draw()
