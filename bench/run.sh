#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures weft beside flannel's data path and bare hosts, in network namespaces of this machine: tables and charts.
#
#   sudo bench/run.sh [--no-install] [--no-build] [--quick] [options]      --help lists them
#
# Everything, at least seven rounds: about an hour. --quick: under five minutes, prints only.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."

install=1 build=1 rest=()
for word in "$@"; do
    case $word in
    --no-install) install=0 ;;
    --no-build) build=0 ;;
    -h | --help)
        install=0 build=0
        rest+=(--help)
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
PYTHONPATH=bench exec python3 -B -m suite "${rest[@]}"
