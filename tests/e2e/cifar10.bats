#!/usr/bin/env bats
# tools/cifar10.sh with small archives made here, from file:// and from a local HTTP server that supports ranges and logs
# the requests.

setup() {
    cd "$BATS_TEST_DIRNAME/../.." || return 1
    mirror=$BATS_TEST_TMPDIR/mirror
    dir=$BATS_TEST_TMPDIR/datasets
    log=$BATS_TEST_TMPDIR/requests
    make_archive cifar-10-binary.tar.gz cifar-10-batches-bin data_batch_{1..5}.bin test_batch.bin batches.meta.txt
    CIFAR10_MD5=$(md5sum <"$mirror/cifar-10-binary.tar.gz" | cut -d' ' -f1)
    export CIFAR10_MD5
}

teardown() { if [ -n "${server:-}" ]; then kill "$server"; fi; }

# make_archive NAME FOLDER FILE...: random bytes, so that the archive is not tiny.
make_archive() {
    local archive=$1 folder=$2 f
    shift 2
    mkdir -p "$mirror" "$BATS_TEST_TMPDIR/content/$folder"
    for f in "$@"; do head -c 30730 /dev/urandom >"$BATS_TEST_TMPDIR/content/$folder/$f"; done
    tar -czf "$mirror/$archive" -C "$BATS_TEST_TMPDIR/content" "$folder"
}

# serve MODE: ranges, noranges (ignores them) or broken (closes the first answer half way).
serve() {
    python3 - "$1" "$mirror" "$log" "$BATS_TEST_TMPDIR/port" >/dev/null 2>&1 3>&- <<'EOF' &
import http.server, os, sys
mode, root, log, port_file = sys.argv[1:]
answers = 0
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        global answers
        answers += 1
        wanted = self.headers.get("Range")
        with open(log, "a") as f: f.write(f"{self.path} {wanted}\n")
        path = root + self.path
        if not os.path.exists(path): return self.send_error(404)
        data = open(path, "rb").read()
        start = 0
        if wanted and mode != "noranges":
            start = int(wanted.split("=")[1].split("-")[0])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data) - start))
        self.end_headers()
        self.wfile.write(data[start : len(data) // 2] if mode == "broken" and answers == 1 else data[start:])
server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
open(port_file + ".new", "w").write(str(server.server_port))
os.rename(port_file + ".new", port_file)
server.serve_forever()
EOF
    server=$!
    for _ in $(seq 100); do [ -s "$BATS_TEST_TMPDIR/port" ] && break; sleep 0.1; done
    url=http://127.0.0.1:$(cat "$BATS_TEST_TMPDIR/port")
}

# fetch ARGUMENT...: runs the script with the folder of this test.
fetch() {
    run tools/cifar10.sh --dir "$dir" "$@"
    echo "$output"
}

# complete: the data are there and complete, and nothing else is.
complete() { diff -r "$BATS_TEST_TMPDIR/content" "$dir"; }

# without PROGRAM...: prints a PATH with all that the script needs except these.
without() {
    local bin=$BATS_TEST_TMPDIR/bin p
    path=$PATH
    mkdir -p "$bin"
    for p in bash cat cut curl gzip md5sum mkdir mktemp mv rm tar wget; do
        [[ " $* " == *" $p "* ]] || ln -sf "$(command -v "$p")" "$bin/$p"
    done
    PATH=$bin
}

@test "cifar10.sh: downloads, checks, unpacks, and leaves only the data" {
    fetch --mirror "file://$mirror"
    [ "$status" -eq 0 ]
    complete
}

@test "cifar10.sh: the mirror can be given on make's command line" {
    MIRROR=file://$mirror/ fetch
    [ "$status" -eq 0 ]
    complete
}

@test "cifar10.sh: does nothing the second time" {
    fetch --mirror "file://$mirror"
    fetch --mirror file:///nonexistent
    [ "$status" -eq 0 ]
    [[ $output == *"nothing to do"* ]]
}

@test "cifar10.sh: completes a folder that lacks a file" {
    fetch --mirror "file://$mirror"
    rm "$dir/cifar-10-batches-bin/data_batch_4.bin"
    fetch --mirror "file://$mirror"
    [ "$status" -eq 0 ]
    complete
}

@test "cifar10.sh: CIFAR-100" {
    rm -rf "$BATS_TEST_TMPDIR/content"
    make_archive cifar-100-binary.tar.gz cifar-100-binary train.bin test.bin fine_label_names.txt
    CIFAR100_MD5=$(md5sum <"$mirror/cifar-100-binary.tar.gz" | cut -d' ' -f1) \
        fetch --mirror "file://$mirror/" --format cifar100
    [ "$status" -eq 0 ]
    complete
}

@test "cifar10.sh: a wrong checksum is reported and nothing is kept" {
    CIFAR10_MD5=00000000000000000000000000000000 fetch --mirror "file://$mirror"
    [ "$status" -eq 3 ]
    [[ $output == *"$CIFAR10_MD5"*00000000000000000000000000000000* ]]
    [ -z "$(ls -A "$dir")" ]
}

@test "cifar10.sh: the official checksum is the default" {
    unset CIFAR10_MD5
    fetch --mirror "file://$mirror"
    [ "$status" -eq 3 ]
    [[ $output == *c32a1d4ab5d03f1284b67883e8d87530* ]]
}

@test "cifar10.sh: continues a download that broke off" {
    serve broken
    fetch --mirror "$url"
    if [ "$status" -ne 0 ]; then fetch --mirror "$url"; fi
    [ "$status" -eq 0 ]
    complete
    half=$(($(stat -c %s "$mirror/cifar-10-binary.tar.gz") / 2))
    grep -q "bytes=$half-" "$log"
}

@test "cifar10.sh: continues from the file of an earlier run" {
    serve ranges
    mkdir -p "$dir"
    head -c 1000 "$mirror/cifar-10-binary.tar.gz" >"$dir/cifar-10-binary.tar.gz.part"
    fetch --mirror "$url"
    [ "$status" -eq 0 ]
    complete
    [ "$(cat "$log")" = "/cifar-10-binary.tar.gz bytes=1000-" ]
}

@test "cifar10.sh: starts again if the server does not support ranges" {
    serve noranges
    mkdir -p "$dir"
    head -c 1000 "$mirror/cifar-10-binary.tar.gz" >"$dir/cifar-10-binary.tar.gz.part"
    fetch --mirror "$url"
    [ "$status" -eq 0 ]
    complete
}

@test "cifar10.sh: a complete archive that was not unpacked is not downloaded again" {
    mkdir -p "$dir"
    cp "$mirror/cifar-10-binary.tar.gz" "$dir/cifar-10-binary.tar.gz.part"
    fetch --mirror file:///nonexistent
    [ "$status" -eq 0 ]
    complete
}

@test "cifar10.sh: works with wget" {
    serve ranges
    mkdir -p "$dir"
    head -c 1000 "$mirror/cifar-10-binary.tar.gz" >"$dir/cifar-10-binary.tar.gz.part"
    without curl
    fetch --mirror "$url"
    PATH=$path
    [ "$status" -eq 0 ]
    complete
    grep -q "bytes=1000-" "$log"
}

@test "cifar10.sh: says what to install" {
    without curl wget
    fetch --mirror http://127.0.0.1:1
    PATH=$path
    [ "$status" -eq 1 ]
    [[ $output == *"apt-get install curl"* ]]
}

@test "cifar10.sh: an archive that is not on the server" {
    rm "$mirror/cifar-10-binary.tar.gz"
    serve ranges
    fetch --mirror "$url"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot download $url/cifar-10-binary.tar.gz"* ]]
    [ ! -e "$dir/cifar-10-batches-bin" ]
}

@test "cifar10.sh: an archive with something else inside" {
    rm "$BATS_TEST_TMPDIR/content/cifar-10-batches-bin/test_batch.bin"
    tar -czf "$mirror/cifar-10-binary.tar.gz" -C "$BATS_TEST_TMPDIR/content" cifar-10-batches-bin
    CIFAR10_MD5=$(md5sum <"$mirror/cifar-10-binary.tar.gz" | cut -d' ' -f1) fetch --mirror "file://$mirror"
    [ "$status" -eq 3 ]
    [[ $output == *test_batch.bin* ]]
    [ ! -e "$dir/cifar-10-batches-bin" ]
}

@test "cifar10.sh: --help, and unknown arguments" {
    run tools/cifar10.sh --help
    [ "$status" -eq 0 ]
    [[ $output == *--mirror* ]]
    run tools/cifar10.sh --nothing
    [ "$status" -eq 2 ]
    run tools/cifar10.sh --dir
    [ "$status" -eq 2 ]
    run tools/cifar10.sh --format mnist
    [ "$status" -eq 2 ]
    [[ $output == *mnist* ]]
}
