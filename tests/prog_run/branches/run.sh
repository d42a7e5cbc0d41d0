#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Which branches of the BPF programs the tables of tests/prog_run reach: builds the programs with a trace in each jump, runs the
# tables, prints the report. Needs root and what scripts/install-deps.sh build installs.
#
#   sudo tests/prog_run/branches/run.sh [--build-dir DIR]       default: build-branches
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$here/../../..
build=$root/build-branches
if [[ ${1-} == --build-dir && -n ${2-} ]]; then build=$2; fi
if ((EUID != 0)); then
    echo "SKIP: loading BPF programs needs root"
    exit 77
fi

launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake -S "$root" -B "$build" "${launcher[@]}" "-DCLANG=$here/counting_clang.py" --log-level=NOTICE
cmake --build "$build" --parallel "$(nproc)" --target prog_run_test >"$build/build.log" 2>&1 || {
    tail -n 30 "$build/build.log" >&2
    exit 1
}
traces=$build/branches
rm -rf "$traces"
mkdir "$traces"
WEFT_BRANCHES=$traces "$build/tests/prog_run_test" --gtest_brief=1
exec python3 "$here/report.py" "$build/bpf" "$traces"
