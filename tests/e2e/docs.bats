#!/usr/bin/env bats
# tools/test_docs.py, which runs the commands of the documentation, notices mistakes. Links and paths in the documentation
# are right. (`make test-docs` runs its commands, which takes minutes.)

bats_require_minimum_version 1.5.0

setup() { cd "$BATS_TEST_DIRNAME/../.." || return 1; }

# page: tests stdin as a page
page() {
    cat >"$BATS_TEST_TMPDIR/page.md"
    run tools/test_docs.py "$BATS_TEST_TMPDIR/page.md"
}

@test "commands run in one session, outputs are compared, skipped commands are named and counted" {
    page <<'EOF'
```sh
x=two; echo "one   line"; echo other; echo $x
```
```output
one line
...
t...o
```
```sh
test $x = two && ls configs/demo.yaml
```
```sh skip: needs a moon
bin/land
```
EOF
    [ "$status" -eq 0 ]
    [[ $output == *"SKIPPED "*"page.md:12: bin/land: needs a moon"* ]]
    [[ $output == *"2 blocks of commands run, 1 skipped, 0 failed" ]]
}

@test "a command that fails; a block that ends the session" {
    page <<<$'```sh\nfalse\n```'
    [ "$status" -eq 1 ] && [[ $output == *"exit code 1 from false"* ]]
    page <<<$'```sh\nexit 3\n```\n```sh\necho later\n```'
    [ "$status" -eq 1 ] && [[ $output == *"session ended here"* ]]
}

@test "different output: a wrong line, a missing line, an extra line before, a wrong order" {
    for want in 'two' $'one\nthree' 'three' $'two\none' $'one\n...\nfour'; do
        page <<<$'```sh\necho one; echo two; echo three\n```\n```output\n'"$want"$'\n```'
        [ "$status" -eq 1 ] && [[ $output == *"did not come"* ]] || { echo "not noticed: $want"; return 1; }
    done
    for want in $'one\ntwo\nthree' $'one\n...' $'...\nthree' $'one\n...\nthree'; do
        page <<<$'```sh\necho one; echo two; echo three\n```\n```output\n'"$want"$'\n```'
        [ "$status" -eq 0 ]
    done
}

@test "commands that are not marked, dead links, functions that do not exist" {
    page <<<$'```\nbin/train x\n```'
    [ "$status" -eq 1 ] && [[ $output == *"not marked as sh"* ]]
    page <<<$'[a](no/where.md)\n```sh\ntrue\n```'
    [ "$status" -eq 1 ] && [[ $output == *"leads nowhere"* ]]
    echo 'int here(void);' >"$BATS_TEST_TMPDIR/a.h"
    page <<<$'[a](a.h) `here`\n```sh\ntrue\n```'
    [ "$status" -eq 0 ]
    page <<<$'[a](a.h) `here` `there`\n```sh\ntrue\n```'
    [ "$status" -eq 1 ] && [[ $output == *"a.h has no there"* ]]
}

@test "paths of source files that do not exist" {
    page <<<'`core/device/op.h`, tools/*.py, `op.h`, `layers/NAME.c`, `notes/x.c`'
    [ "$status" -eq 0 ]
    for path in core/device/gone.h '`core/gone/`' 'tests/*.gone' '`gone.h`'; do
        page <<<"see $path"
        [ "$status" -eq 1 ] && [[ $output == *"there is no"*gone* ]] || { echo "not noticed: $path"; return 1; }
    done
}

@test "a page without commands passes if its links are good; no page is a failure" {
    page <<<'no commands, no [links](https://example.org)'
    [ "$status" -eq 0 ] && [[ $output == "0 blocks of commands run, 0 skipped, 0 failed" ]]
    page <<<'a [link](no/where.md)'
    [ "$status" -eq 1 ]
    run tools/test_docs.py
    [ "$status" -eq 2 ]
}

@test "the documentation's links lead somewhere, and it names functions and files that exist" {
    python3 - <<'EOF'
import glob, sys
sys.path.insert(0, 'tools')
import test_docs
tally = test_docs.Tally()
pages = ['README.md'] + glob.glob('docs/*.md') + glob.glob('docs/tour/*.md')
for page in pages:
    test_docs.check_links(page, open(page).read(), tally)
    test_docs.check_paths(page, open(page).read(), tally)
sys.exit(tally.failed or len(pages) < 15)
EOF
}
