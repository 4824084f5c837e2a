# tools/download.bash -- for the scripts that download data; sourced by them.

# fail EXIT_CODE MESSAGE: one line; the codes are those of core/base/status.h.
fail() {
    local code=$1
    shift
    echo "${0##*/}: $*" >&2
    exit "$code"
}

# matches FILE MD5: true if the file has this sum.
matches() { [ "$(md5sum <"$1" | cut -d' ' -f1)" = "$2" ]; }

# get URL FILE: downloads the part of FILE that is missing.
get() {
    if command -v curl >/dev/null; then
        local bar=--progress-bar
        [ -t 2 ] || bar=--silent
        curl --fail --location --show-error $bar --retry 3 --continue-at - --output "$2" "$1" && return
        # 33: the server cannot resume; 36: a file:// cannot be resumed because it is smaller now.
        case $? in
        33 | 36) rm -f "$2"; curl --fail --location --show-error $bar --retry 3 --output "$2" "$1" ;;
        *) return 1 ;;
        esac
    elif command -v wget >/dev/null; then
        case $1 in file://*) fail 1 "wget cannot read file:// addresses: install curl (apt-get install curl)" ;; esac
        wget --no-verbose --tries=3 --continue --output-document="$2" "$1"
    else
        fail 1 "needs curl or wget: apt-get install curl"
    fi
}

# fetch_checked URL FILE MD5 SIZE: FILE.part is completed and checked; FILE is whole or not there. SIZE is for people.
fetch_checked() {
    local part=$2.part
    [ -s "$part" ] && echo "going on with $part"
    if ! { [ -s "$part" ] && matches "$part" "$3"; }; then
        command -v curl >/dev/null || command -v wget >/dev/null || fail 1 "needs curl or wget: apt-get install curl"
        echo "downloading $1 (about $4)"
        get "$1" "$part" || fail 1 "cannot download $1; run again to go on where it broke off"
    fi
    if ! matches "$part" "$3"; then
        local sum
        sum=$(md5sum <"$part" | cut -d' ' -f1)
        rm -f "$part"
        fail 3 "$1: MD5 is $sum, not $3; the download is deleted, run again or try another --mirror"
    fi
    mv "$part" "$2"
}
