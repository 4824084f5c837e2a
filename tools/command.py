"""The command line of the Python tools. One Command describes a tool and prints --help and, for `make install`, --man,
--completion-bash and --completion-zsh, as tools/cli_text.c does for the tools in C."""
import argparse, os, re, sys, time


class Output:
    """stdout that nobody may read to its end: `| head` closes the pipe, and what is left goes nowhere, without a traceback."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        return self.unless_closed(self.stream.write, text)

    def flush(self):
        return self.unless_closed(self.stream.flush)

    def unless_closed(self, do, *args):
        try:
            return do(*args)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())
            return len(args[0]) if args else None


class Command(argparse.ArgumentParser):
    """synopsis: what follows the name. about: paragraphs; the first is one sentence, which also stands in lists of manual
    pages; lines that begin with a blank are not filled. exits: {code: meaning}."""

    def __init__(self, synopsis, about, exits):
        super().__init__(prog=os.path.basename(sys.argv[0]), add_help=False, allow_abbrev=False)
        self.synopsis, self.about, self.exits = synopsis, about.strip(), exits

    def parse_args(self, args=None):
        self.add_argument('--help', action='store_true', help='print this text')
        printers = {'--help': self.help_text, '-h': self.help_text, '--man': self.man_page,
                    '--completion-bash': self.bash_completion, '--completion-zsh': self.zsh_completion}
        sys.stdout = Output(sys.stdout)
        for word in sys.argv[1:] if args is None else args:
            if word in printers:
                print(printers[word]())
                sys.exit(0)
        return super().parse_args(args)

    def error(self, message):
        print(f'{self.prog}: {message}; usage: {self.prog} {self.synopsis}', file=sys.stderr)
        sys.exit(2)

    def options(self):
        """[(name, argument or '', help, choices)]"""
        return [(a.option_strings[0], a.metavar or '' if a.nargs != 0 else '', a.help, a.choices or [])
                for a in self._actions if a.option_strings]

    def help_text(self):
        left = [f'{name} {argument}'.rstrip() for name, argument, _, _ in self.options()]
        width = max(map(len, left))
        options = [f'  {l:{width}}  {o[2]}' for l, o in zip(left, self.options())]
        exits = [f'  {code:2} {meaning}' for code, meaning in self.exits.items()]
        return '\n'.join([f'usage: {self.prog} {self.synopsis}', '', self.about, '', 'options:', *options, '',
                          'exit codes:', *exits])

    # ---- man(7) ----

    def man_page(self):
        # the date of the sources, so that the same sources make the same page: reproducible-builds.org
        day = time.strftime('%Y-%m-%d', time.gmtime(int(os.environ.get('SOURCE_DATE_EPOCH') or time.time())))
        summary = self.about.split('\n\n')[0].replace('\n', ' ').rstrip('.')
        out = [f'.TH "{self.prog.upper()}" 1 "{day}" "Cleave" "Cleave"', '.SH NAME',
               f'{roff(self.prog)} \\- {roff(summary[0].lower() + summary[1:])}', '.SH SYNOPSIS', f'.B {roff(self.prog)}',
               roff(self.synopsis), '.SH DESCRIPTION', *man_text(self.about), '.SH OPTIONS']
        for name, argument, text, _ in self.options():
            out += ['.TP', f'\\fB{roff(name)}\\fR' + (f' \\fI{roff(argument)}\\fR' if argument else ''), roff(text)]
        out.append('.SH EXIT STATUS')
        for code, meaning in self.exits.items():
            out += ['.TP', str(code), roff(meaning)]
        return '\n'.join(out)

    # ---- completion ----

    def bash_completion(self):
        function = '_' + re.sub(r'[-.+]', '_', self.prog)
        choices = ''.join(f'    {name}) words="{" ".join(c)}" ;;\n' for name, _, _, c in self.options() if c)
        files = '|'.join(name for name, argument, _, c in self.options() if argument and not c)
        return (f'# completion of {self.prog} for bash, printed by {self.prog} --completion-bash\n{function}()\n{{\n'
                '    local cur=${COMP_WORDS[COMP_CWORD]} words=\n    COMPREPLY=()\n'
                '    case ${COMP_WORDS[COMP_CWORD - 1]} in\n' + choices
                + (f'    {files}) return ;; # -o default completes files\n' if files else '')
                + f'    *) [[ $cur == -* ]] && words="{" ".join(o[0] for o in self.options())}" ;;\n    esac\n'
                '    [[ $words ]] && mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")\n    return 0\n}\n'
                f'complete -o default -F {function} {self.prog}')

    def zsh_completion(self):
        out = [f'#compdef {self.prog}', f'# printed by {self.prog} --completion-zsh', '', '_arguments -s \\']
        for name, argument, text, choices in self.options():
            values = f':{zsh(argument)}:' + (f'({" ".join(choices)})' if choices else '_files') if argument else ''
            out.append(f"  '{name}[{zsh(text)}]{values}' \\")
        return '\n'.join([*out, "  '*:argument:_files'"])


def roff(text):
    """As roff reads it back: a backslash is \\e, a hyphen that users copy \\-, and no line begins with a control character."""
    return re.sub(r"(?m)^(?=[.'])", r'\\&', text.replace('\\', '\\e').replace('-', '\\-'))


def man_text(text):
    """Lines: paragraphs are filled; lines that begin with a blank are kept as they are."""
    kept = False
    for i, paragraph in enumerate(text.split('\n\n')):
        keep = paragraph.startswith(' ')
        yield from ['.fi'] * (kept and not keep) + ['.PP'] * (i > 0) + ['.nf'] * (keep and not kept)
        for line in paragraph.split('\n'):
            if line.startswith(' ') != keep:
                keep = not keep
                yield '.nf' if keep else '.fi'
            yield roff(line)
        kept = keep
    if kept:
        yield '.fi'


def zsh(text):
    """Escaped for '...' in zsh, where ":", "[" and "]" separate the parts of a specification."""
    return re.sub(r'([:\[\]\\])', r'\\\1', text).replace("'", "'\\''")
