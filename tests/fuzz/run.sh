#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Searches for inputs that break a parser, with libFuzzer, address and undefined-behaviour sanitizers.
#
#   tests/fuzz/run.sh [--seconds N] [--build-dir D] [--keep] [TARGET...]
#
# N: of each target, default 60. What ends a target is left in D/findings. --keep: inputs that reach new code join
# tests/fuzz/corpus. Exit status 77: no clang-19 with libFuzzer.
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
root=$here/../..
seconds=60
build=$root/build-fuzz
keep=0
targets=()

while (($#)); do
    case $1 in
    --seconds) seconds=$2 && shift ;;
    --build-dir) build=$2 && shift ;;
    --keep) keep=1 ;;
    -h | --help) sed -n '3,9s/^# \{0,1\}//p' "$0" && exit 0 ;;
    -*) echo "run.sh: unknown argument \"$1\" (--help tells more)" >&2 && exit 2 ;;
    *) targets+=("$1") ;;
    esac
    shift
done
if ((${#targets[@]} == 0)); then readarray -t targets < <(cd "$here/corpus" && ls); fi

if ! echo 'extern "C" int LLVMFuzzerTestOneInput(const char *, unsigned long) { return 0; }' |
    clang++-19 -x c++ -fsanitize=fuzzer - -o /dev/null 2>/dev/null; then
    echo "SKIP: no clang-19 with libFuzzer (clang-19, libclang-rt-19-dev)"
    exit 77
fi

sanitize="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined"
launcher=()
if command -v ccache >/dev/null; then launcher=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
cmake -S "$root" -B "$build" --log-level=NOTICE -DWEFT_FUZZ=ON -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_C_COMPILER=clang-19 \
    "${launcher[@]}" "-DCMAKE_CXX_FLAGS=$sanitize"
cmake --build "$build" --parallel "$(nproc)" --target weft_fuzz

status=0
mkdir -p "$build/findings"
for target in "${targets[@]}"; do
    found=$build/corpus/$target
    mkdir -p "$found"
    log=$build/findings/$target.log
    if ! "$build/tests/fuzz_$target" -max_total_time="$seconds" -max_len=8192 -timeout=5 -rss_limit_mb=2048 -print_final_stats=1 \
        -artifact_prefix="$build/findings/$target-" "$found" "$here/corpus/$target" >"$log" 2>&1; then
        echo "fuzz: $target: a finding, see $log"
        tail -n 25 "$log"
        status=1
        continue
    fi
    echo "fuzz: $target: $(awk '/number_of_executed_units/ {print $2}' "$log") inputs in $seconds s, no finding"
    if ((keep)); then
        # One input for each new branch is enough for a replay; for how often it was taken would be three times as many.
        "$build/tests/fuzz_$target" -set_cover_merge=1 -use_counters=0 "$here/corpus/$target" "$found" >>"$log" 2>&1
    fi
done
exit "$status"
