#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which branches of the BPF programs the tables of tests/prog_run reach: builds the programs with a trace in each jump, runs the
# tables, prints the report. Needs root and what scripts/install-deps.sh build installs.
#
#   sudo tests/prog_run/branches/run.sh [--write] [--build-dir DIR]       default: build-branches
#
# --write: docs/bpf-branches.md anew; without it, exit status 1 if that page is out of date. With and without: also if a branch is
# neither reached nor excused.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$here/../../..
build=$root/build-branches
write=()
while (($#)); do
    case $1 in
    --write) write=(--write) ;;
    --build-dir) build=$2 && shift ;;
    *) echo "run.sh: unknown argument \"$1\"" >&2 && exit 2 ;;
    esac
    shift
done
if ((EUID != 0)); then
    echo "SKIP: loading BPF programs needs root"
    exit 77
fi

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake -S "$root" -B "$build" "${launcher[@]}" "-DCLANG=$here/counting_clang.py" --log-level=NOTICE
cmake --build "$build" --parallel "$(nproc)" --target prog_run_test differential_test >"$build/build.log" 2>&1 || {
    tail -n 30 "$build/build.log" >&2
    exit 1
}
traces=$build/branches
rm -rf "$traces"
mkdir "$traces"
WEFT_BRANCHES=$traces "$build/tests/prog_run_test" --gtest_brief=1
WEFT_BRANCHES=$traces WEFT_PACKETS=200000 "$build/tests/differential_test" --gtest_brief=1
exec python3 "$here/report.py" "${write[@]}" "$build/bpf" "$traces"
