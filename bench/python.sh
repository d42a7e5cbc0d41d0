#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs one of the packages beside it, with all that it needs installed and built: what run.sh, scale/ and soak/ begin with.
#
#   bench/python.sh PACKAGE [--no-install] [--no-build] [the package's options]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

package=$1
shift
install=1 build=1 rest=()
for word in "$@"; do
    case $word in
    --no-install) install=0 ;;
    --no-build) build=0 ;;
    -h | --help)
        install=0 build=0
        rest+=(--help)
        ;;
    --readme) # measures nothing
        install=0 build=0
        rest+=(--readme)
        ;;
    *) rest+=("$word") ;;
    esac
done
if ((install)); then scripts/install-deps.sh build bench; fi
if ((build)); then
    [[ -f build/CMakeCache.txt ]] || cmake -S . -B build --log-level=NOTICE
    cmake --build build --parallel "$(nproc)" --target weftd weftctl weft bench_tools >&2
fi
if ((EUID == 0)) && [[ $(stat -f -c %T /sys/fs/bpf) != bpf_fs ]]; then mount -t bpf bpf /sys/fs/bpf; fi
PYTHONPATH=bench exec python3 -B -m "$package" "${rest[@]}"
