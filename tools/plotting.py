"""What the Python tools share: pictures by gnuplot, as graph/plots.c makes them, and messages."""
import json, os, shutil, subprocess, sys

# The colours of graph/ring.c: ten hues that colour-blind people can tell apart, too.
HUES = ['#0072b2', '#e69f00', '#009e73', '#785ebe', '#56b4e9', '#8c641e', '#332288', '#bebe28', '#6e6e6e', '#28643c']


def fail(tool, message, code):
    print(f'{tool}: {message}', file=sys.stderr)
    sys.exit(code)


def quoted(text):
    return "'" + str(text).replace("'", "''") + "'"


def shade(t):
    """From light to dark blue, for t in [0, 1]: the order remains visible when printed in grey."""
    low, high = (178, 208, 232), (8, 48, 107)
    return '#' + ''.join(f'{round(a + (b - a) * t):02x}' for a, b in zip(low, high))


def draw(tool, prefix, width, height, body):
    """Runs gnuplot on `body` for PREFIX.png and PREFIX.svg."""
    if not shutil.which('gnuplot'):
        fail(tool, 'gnuplot is not installed (Debian: gnuplot-nox)', 1)
    script = ''
    for kind, terminal in (('png', 'pngcairo'), ('svg', 'svg')):
        script += (f"reset\nset terminal {terminal} noenhanced size {width},{height} font ',11' "
                   "background rgb 'white'\n"
                   f'set output {quoted(prefix + "." + kind)}\nset border 3 lc rgb "#606060"\n'
                   f'set datafile missing "nan"\n{body}\nunset multiplot\nset output\n')
    done = subprocess.run(['gnuplot'], input=script, text=True, stderr=subprocess.PIPE)
    if done.returncode:
        fail(tool, f'gnuplot failed: {done.stderr.strip()}', 1)


def read_analysis(tool, path):
    """Of a folder or of analysis.json itself."""
    if os.path.isdir(path):
        path = os.path.join(path, 'analysis.json')
    try:
        with open(path) as f:
            return json.load(f)
    except (OSError, json.JSONDecodeError) as e:
        fail(tool, f'{path}: {e.strerror if isinstance(e, OSError) else "not JSON"}', 3)
