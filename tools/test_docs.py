#!/usr/bin/env python3
"""tools/test_docs.py FILE.md ... -- runs the commands of the documentation and compares what they print.

  ```sh                     is run, in an empty folder with links to the files of the repository; a page is one session,
                            and later pages find what earlier ones have made
  ```sh skip: REASON        is not run, but counted and named
  ```output                 is what the commands before it print; "..." stands for any text and, alone on a line, for any
                            number of lines

A block of commands that is marked with none of these words is a mistake. Three things are checked in every page, also in one
without commands: links lead to files that exist; names of functions after a link to a file, as in
[core/device/op.h](../core/device/op.h) `op`, occur in that file; paths of source files (graph/edges.c, core/cpu/, `edges.c`)
exist, unless they have a placeholder (layers/NAME.c).
Exit code 1 if anything fails, 2 for no page.
"""
import glob
import os
import re
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
LIMIT = 600  # seconds per page
COMMAND = re.compile(r'^(\$ )?(bin/\w|make\b|tools/\S+\.(sh|py)\b|build/\w|cleave-|git |sudo |python3 )')
ROOMS = 'core|layers|nets|data|graph|prune|tools|configs|tests|docs'
PATH = re.compile(rf'(?<![\w./(-])(?:{ROOMS})/[\w./*-]*[\w/*]')
NAME = re.compile(r'`(\w+\.(?:c|h|cu|mk|bats))`')
LINK = re.compile(r'\[[^\]]+\]\(([^)#\s]+)[^)]*\)((?:(?:,| and)?\s`\w+`)*)')


def blocks(text):
    """-> [(line number, word after ```, content)]"""
    out, fence, lines = [], None, []
    for number, line in enumerate(text.split('\n'), 1):
        if line.lstrip().startswith('```'):
            if fence is None:
                fence, lines = (number, line.strip()[3:].strip()), []
            else:
                out.append((*fence, '\n'.join(lines)))
                fence = None
        elif fence is not None:
            lines.append(line)
    return out


def matches(expected, printed):
    """-> the expected line that is missing, or the printed line that was not expected, or None"""
    printed, at, anywhere = printed.split('\n'), 0, False
    for line in expected.split('\n'):
        if line.strip() == '...':
            anywhere = True
            continue
        pattern = '.*'.join(re.escape(' '.join(part.split())) for part in line.split('...'))
        rest = [' '.join(p.split()) for p in printed[at:]]
        found = next((i for i, p in enumerate(rest) if re.fullmatch(pattern, p)), None)
        if found is None or (found > 0 and not anywhere):
            return line
        at, anywhere = at + found + 1, False
    return None if anywhere or at == len(printed) else printed[at]


def run(scripts, folder):
    """Runs the blocks in one shell. -> [(exit code, what it printed, seconds)]; fewer if the shell ended early"""
    mark = '@@block'
    session = f'cd {folder}\nexport OMP_WAIT_POLICY=passive\n' + ''.join(
        f'{{\n{s}\n}} 2>&1 </dev/null\nprintf "\\n{mark} %d %s\\n" $? $EPOCHREALTIME\n' for s in scripts)
    start = time.time()
    shell = subprocess.run(['timeout', str(LIMIT), 'bash', '-c', session], stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out = []
    pieces = re.split(rf'\n{mark} (\d+) ([\d.]+)\n', shell.stdout.decode(errors='replace'))
    for printed, code, end in zip(pieces[::3], pieces[1::3], pieces[2::3]):
        out.append((int(code), printed.strip('\n'), float(end) - start))
        start = float(end)
    return out


def make_folder(folder):
    for entry in os.listdir(ROOT):
        if entry not in ('runs', 'bin', 'build') and not entry.startswith('.'):
            os.symlink(os.path.join(ROOT, entry), os.path.join(folder, entry))
    for name, variable in (('bin', 'BIN'), ('build', 'B')):
        os.symlink(os.path.join(ROOT, os.environ.get(variable, name)), os.path.join(folder, name))


class Tally:
    def __init__(self):
        self.ran = self.skipped = self.failed = 0

    def fail(self, where, what):
        print(f'FAILED  {where}: {what}')
        self.failed += 1


def check_links(path, text, tally):
    for target, names in LINK.findall(re.sub(r'```.*?```', '', text, flags=re.S)):
        if '://' in target:
            continue
        file = os.path.normpath(os.path.join(os.path.dirname(path), target))
        if not os.path.exists(file):
            tally.fail(path, f'the link to {target} leads nowhere')
            continue
        for name in re.findall(r'`(\w+)`', names):
            if os.path.isfile(file) and not re.search(rf'\b{name}\b', open(file).read()):
                tally.fail(path, f'{target} has no {name}')


def source_names():
    return {name for room in ROOMS.split('|') for _, _, files in os.walk(os.path.join(ROOT, room)) for name in files}


def check_paths(path, text, tally):
    for name in sorted(set(PATH.findall(text))):
        if not re.search('[A-Z]{3}', name.replace('README.md', '')) and not glob.glob(os.path.join(ROOT, name)):
            tally.fail(path, f'there is no {name}')
    for name in sorted(set(NAME.findall(text)) - source_names()):
        tally.fail(path, f'there is no file called {name}')


def check_file(path, folder, tally):
    text = open(path).read()
    check_links(path, text, tally)
    check_paths(path, text, tally)
    scripts, expected = [], []
    for line, kind, content in blocks(text):
        where = f'{path}:{line}'
        if kind == 'sh':
            scripts.append((where, content))
            expected.append([])
        elif kind.startswith('sh skip:'):
            first = content.strip().split('\n')[0]
            print(f'SKIPPED {where}: {first}: {kind[len("sh skip:"):].strip()}')
            tally.skipped += 1
        elif kind == 'output':
            expected[-1].append((where, content)) if expected else tally.fail(where, 'output of no command')
        elif not kind and any(COMMAND.match(c) for c in content.split('\n')):
            tally.fail(where, 'commands, but not marked as sh')
    if not scripts:
        return
    results = run([s for _, s in scripts], folder)
    for (where, script), want, result in zip(scripts, expected, results):
        code, printed, seconds = result
        tally.ran += 1
        first = script.strip().split('\n')[0]
        if code != 0:
            tally.fail(where, f'exit code {code} from {first}\n' + printed[-2000:])
            continue
        print(f'ok      {where}: {first}  ({seconds:.1f} s)')
        for place, content in want:
            missing = matches(content, printed)
            if missing is not None:
                tally.fail(place, f'the line "{missing}" did not come where it should, or is too much. Printed was:\n{printed[-2000:]}')
    if len(results) < len(scripts):
        tally.fail(scripts[len(results)][0], f'the session ended here, or took more than {LIMIT} s in all')


def main():
    if len(sys.argv) < 2:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    tally = Tally()
    with tempfile.TemporaryDirectory(prefix='cleave-docs-') as folder:
        make_folder(folder)
        for path in sys.argv[1:]:
            check_file(path, folder, tally)
    print(f'{tally.ran} blocks of commands run, {tally.skipped} skipped, {tally.failed} failed')
    sys.exit(1 if tally.failed else 0)


if __name__ == '__main__':
    main()
