#!/bin/bash
# tools/find_cuda.sh -- looks for everything that the CUDA backend is built with, and prints it as make variables.
#
#   nvcc     $CUDA_HOME, $PATH, /usr/local/cuda, the newest /usr/local/cuda-*
#   cuDNN    $CUDNN_HOME, the toolkit's folder, /usr, the wheels of python3 (nvidia-cudnn)
#   cuBLAS   the toolkit's folder, /usr, the wheels
#   CUPTI    the same folders, and the toolkit's extras/; optional
# CUDA_FOUND is a line that says what was found, or what is missing.
set -u

first() { # the first of the arguments that exists
    local f
    for f in "$@"; do [ -e "$f" ] && { echo "$f"; return; }; done
}

missing() {
    echo "CUDA_FOUND := no CUDA backend: $1 not found"
    exit 0
}

nvcc=$(first "${CUDA_HOME:-/nowhere}/bin/nvcc" "$(command -v nvcc 2>/dev/null || echo /nowhere)" /usr/local/cuda/bin/nvcc \
    $(ls -d /usr/local/cuda-*/bin/nvcc 2>/dev/null | sort -rV))
[ -n "$nvcc" ] || missing nvcc
home=$(dirname "$(dirname "$(readlink -f "$nvcc")")")
command -v g++ >/dev/null || missing "g++ (nvcc needs it)"

# Folders that may hold include/ and lib/. Wheels come last, because finding them needs python3.
folders=("${CUDNN_HOME:-/nowhere}" "$home" "$home/targets/x86_64-linux" /usr)
wheels() {
    python3 - 2>/dev/null <<'EOF'
import importlib.util, os
found = importlib.util.find_spec("nvidia")
for root in (found.submodule_search_locations if found else []):
    for name in sorted(os.listdir(root)):
        print(os.path.join(root, name))
EOF
}

find_in() { # find_in NAME...: the first folder/NAME that exists
    local f n
    for f in "${folders[@]}"; do
        for n in "$@"; do [ -e "$f/$n" ] && { echo "$f/$n"; return; }; done
    done
}

libraries() { # libraries NAME: where libNAME.so* may be
    echo "lib64/lib$1.so" "lib/lib$1.so" "lib/x86_64-linux-gnu/lib$1.so"
    local f
    for f in "${folders[@]}"; do (cd "$f" 2>/dev/null && ls -d lib64/lib$1.so.* lib/lib$1.so.* lib/x86_64-linux-gnu/lib$1.so.* 2>/dev/null); done
}

search() {
    header=$(find_in include/cudnn.h)
    cudnn=$(find_in $(libraries cudnn))
    cublas_header=$(find_in include/cublas_v2.h)
    cublas=$(find_in $(libraries cublas))
    cudart=$(find_in lib64/libcudart_static.a lib/libcudart_static.a lib/x86_64-linux-gnu/libcudart_static.a $(libraries cudart))
}
search
if [ -z "$header" ] || [ -z "$cudnn" ] || [ -z "$cublas_header" ] || [ -z "$cublas" ]; then
    while read -r f; do folders+=("$f"); done < <(wheels)
    search
fi
[ -n "$header" ] || missing cudnn.h
[ -n "$cudnn" ] || missing libcudnn
[ -n "$cublas_header" ] || missing cublas_v2.h
[ -n "$cublas" ] || missing libcublas
[ -n "$cudart" ] || missing libcudart

defined() { sed -n "s/^#define $1 *\([0-9]*\).*/\1/p" "$2" | head -n 1; }
version_header=$(first "$(dirname "$header")/cudnn_version_v9.h" "$(dirname "$header")/cudnn_version.h" "$header")
major=$(defined CUDNN_MAJOR "$version_header")
version="$major.$(defined CUDNN_MINOR "$version_header").$(defined CUDNN_PATCHLEVEL "$version_header")"
minor=$(defined CUDNN_MINOR "$version_header")
[ "${major:-0}" -gt 9 ] || { [ "${major:-0}" -eq 9 ] && [ "${minor:-0}" -ge 8 ]; } || missing "cuDNN 9.8 or newer (only $version)"
toolkit=$("$nvcc" --version | sed -n 's/.*release \([0-9.]*\),.*/\1/p')

# The architectures of the GPUs in this machine, else all that are supported; make CUDA_ARCHS="80 90" chooses.
archs="80 86 89 90 120"
own=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | tr -d . | sort -u | tr '\n' ' ')
[[ $own =~ ^[0-9\ ]+$ ]] && archs=$own

includes="$home/include $(dirname "$header") $(dirname "$cublas_header")"
echo "NVCC := $nvcc"
echo "CUDA_ARCHS ?= $archs"
# The toolkit's folder comes first, since wheels may have another version of the same headers.
echo "CUDA_INCLUDES := $(for i in $includes; do echo "-isystem $i"; done | awk '!seen[$0]++' | tr '\n' ' ')"
echo "CUDA_LIBS := $cudnn $cublas $cudart $(for l in "$cudnn" "$cublas"; do echo "-Wl,-rpath,$(dirname "$(readlink -f "$l")")"; done | sort -u | tr '\n' ' ')-lrt"
# Optional: the benchmark uses it to measure how long kernels take.
folders+=("$home/extras/CUPTI")
cupti_header=$(find_in include/cupti.h)
cupti=$(find_in $(libraries cupti))
if [ -n "$cupti_header" ] && [ -n "$cupti" ]; then
    echo "CUPTI_FLAGS := -DCLEAVE_CUPTI -isystem $(dirname "$cupti_header") -isystem $home/include"
    echo "CUPTI_LIBS := $cupti -Wl,-rpath,$(dirname "$(readlink -f "$cupti")")"
fi
echo "CUDA_FOUND := CUDA backend: nvcc $toolkit, cuDNN $version in $(dirname "$(dirname "$header")"), for sm_$(echo $archs | sed 's/ /, sm_/g')"
