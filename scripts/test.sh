#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is needed, builds into build/, runs the tests through ctest and says what ran and what was skipped, and why.
# The last line is always "N passed, N failed, N skipped". Exit status: 0 when nothing failed.
#
#   sudo scripts/test.sh [options]
#     --label L      only tests of this kind (a folder of tests/: unit, prog_run, netns, ...); may be repeated
#     --name REGEX   only tests whose name matches
#     --long         also the tests labelled "long" (bulk transfers, clang-tidy)
#     --kernels      instead of the tests: builds, and runs them in Debian's kernels in QEMU (docs/kernels.md)
#     --sanitize     weftd, weft and weftctl, and the unit tests, built by clang with address and undefined-behaviour sanitizers
#                    in build-address/; labels unit, cni and daemon unless told otherwise
#     --sanitize=thread  the same with the thread sanitizer, in build-thread/; labels etcd, cni and daemon
#     --coverage     what they reach of the source, in build-coverage/; without --label and --name, writes docs/coverage.md
#     --again        what fails runs once more, one test at a time, and fails only if it fails then too; it is named
#     --build-dir D  default: build
#     -j N           jobs of the build (default: CPUs); twice as many tests run at a time, because they mostly wait
#     --no-install   do not look for missing packages
# Without root everything builds, and tests that need privileges are skipped.
set -euo pipefail
self=$(readlink -f "$0")
cd "$(dirname "$self")/.."

build=
labels=()
linked=()  # of an instrumented run's labels, those whose tests have what they test linked into them
driving=() # those that drive programs: they need no instruments themselves, so that they are compiled once
whole=0    # no selection of tests was asked for
name=
long=0
kernels=0
instrument=
install=1
again=0
jobs=$(nproc)

usage() {
    sed -n '3,21s/^# \{0,1\}//p' "$self"
}

fail_usage() {
    echo "test.sh: $1 (--help tells more)" >&2
    exit 2
}

parse() {
    while (($#)); do
        case $1 in
        --label | --name | --build-dir | -j) (($# > 1)) || fail_usage "$1 needs a value" ;;&
        --label) labels+=("$2") && shift ;;
        --name) name=$2 && shift ;;
        --build-dir) build=$2 && shift ;;
        -j) jobs=$2 && shift ;;
        -j*) jobs=${1#-j} ;;
        --long) long=1 ;;
        --kernels) kernels=1 ;;
        --sanitize | --sanitize=address) instrument=address ;;
        --sanitize=thread) instrument=thread ;;
        --coverage) instrument=coverage ;;
        --again) again=1 ;;
        --no-install) install=0 ;;
        -h | --help)
            usage
            exit 0
            ;;
        *) fail_usage "unknown argument \"$1\"" ;;
        esac
        shift
    done
    [[ $jobs =~ ^[1-9][0-9]*$ ]] || fail_usage "-j $jobs: not a number of jobs"
    if [[ -z $build ]]; then build="build"; fi
    instrumented=$(readlink -f "$build")-$instrument
    if [[ -n $instrument ]]; then sort_labels; fi
}

sort_labels() {
    local label
    if ((${#labels[@]} == 0)); then
        if [[ -z $name ]]; then whole=1; fi
        case $instrument in
        address) labels=(unit cni daemon) ;;
        thread) labels=(etcd cni daemon) ;;
        coverage) labels=(unit etcd cni ctl daemon) ;;
        esac
    fi
    for label in "${labels[@]}"; do
        case $label in
        unit | etcd) linked+=("$label") ;;
        *) driving+=("$label") ;;
        esac
    done
}

# configure_and_build <build tree> "<options of a new one>" <target>...
configure_and_build() {
    local tree=$1 options=()
    if [[ ! -f $tree/CMakeCache.txt ]]; then # whoever configured it before chose these
        read -ra options <<<"$2"
        if command -v ninja >/dev/null; then options+=(-G Ninja); fi
        if command -v ccache >/dev/null; then options+=(-DCMAKE_CXX_COMPILER_LAUNCHER=ccache); fi
    fi
    cmake -S . -B "$tree" "${options[@]}" --log-level=NOTICE
    cmake --build "$tree" --parallel "$jobs" --target "${@:3}"
}

build_all() {
    if [[ -z $instrument ]]; then
        configure_and_build "$build" "" all
        return
    fi
    local targets=("${linked[@]/#/tests_}")
    if ((${#driving[@]})); then
        configure_and_build "$build" "" "${driving[@]/#/tests_}"
        targets+=(weftd weft weftctl weftd-testhooks weft-testhooks)
    fi
    configure_and_build "$instrumented" \
        "-DWEFT_INSTRUMENT=$instrument -DCMAKE_CXX_COMPILER=clang++-19 -DCMAKE_C_COMPILER=clang-19" "${targets[@]}"
}

mount_bpffs() {
    if ((EUID == 0)) && [[ $(stat -f -c %T /sys/fs/bpf 2>/dev/null) != bpf_fs ]]; then
        mount -t bpf bpf /sys/fs/bpf || echo "test.sh: cannot mount a BPF filesystem; tests that pin will be skipped" >&2
    fi
}

# What killed test programs left behind: everything they make is named after their pid.
sweep() {
    local path pid
    for path in /run/netns/weft-[0-9]*-* /sys/fs/bpf/weft-{test,prog-run}-[0-9]* /tmp/weft-test-[0-9]*-* \
        /dev/shm/weft-test-[0-9]*-*; do
        [[ -e $path && $path =~ /weft-(test-|prog-run-)?([0-9]+)(-|$) ]] || continue
        pid=${BASH_REMATCH[2]}
        if kill -0 "$pid" 2>/dev/null; then continue; fi
        case $path in
        /run/netns/*)
            ip netns pids "${path##*/}" 2>/dev/null | xargs --no-run-if-empty kill -KILL 2>/dev/null || true
            ip netns delete "${path##*/}" || true
            ;;
        *) rm -rf -- "$path" ;;
        esac
    done
}

# run_ctest <build tree> [<label>...]
run_ctest() {
    local select=() status=0 tree
    tree=$(readlink -f "$1")
    if (($# > 1)); then
        local any
        any=$(IFS='|' && echo "${*:2}")
        select+=(-L "^($any)\$")
    fi
    if [[ -n $name ]]; then select+=(-R "$name"); fi
    if [[ -n ${without-} ]]; then select+=(-E "$without"); fi
    if ((!long)); then select+=(-LE '^long$'); fi
    ctest_reporting "$tree/tests.xml" --parallel "$((2 * jobs))" "${select[@]}" || status=$?
    if ((status && again)); then
        status=0
        ctest_reporting "$tree/tests-again.xml" --rerun-failed || status=$?
    fi
    return "$status"
}

# ctest_reporting <report to write> <option of ctest>...
ctest_reporting() {
    rm -f "$1"
    reports+=("$1")
    # Output of passed tests is kept whole: it holds the reasons of those that were skipped.
    WEFT_LONG=$long ctest --test-dir "$(dirname "$1")" --output-on-failure --no-tests=error \
        --test-output-size-passed 65536 --output-junit "$1" "${@:2}"
}

run_instrumented() {
    local status=0
    export WEFT_BIN_DIR=$instrumented/bin WEFT_PATIENCE=3
    if ((${#linked[@]})); then run_ctest "$instrumented" "${linked[@]}" || status=$?; fi
    if ((${#driving[@]})); then run_ctest "$build" "${driving[@]}" || status=$?; fi
    return "$status"
}

# What a sanitizer has to say is a file of its own, because a test may neither look at a program's stderr nor at how it ends.
run_sanitized() {
    local status=0 finding findings=$instrumented/findings
    rm -rf "$findings" && mkdir "$findings"
    export ASAN_OPTIONS="log_path=$findings/report:detect_stack_use_after_return=1:strict_string_checks=1"
    # Debian's libraries are not built for it: what they do among themselves is not judged.
    export TSAN_OPTIONS="log_path=$findings/report:ignore_noninstrumented_modules=1:second_deadlock_stack=1"
    export UBSAN_OPTIONS=print_stacktrace=1
    ASAN_SYMBOLIZER_PATH=$(command -v llvm-symbolizer-19) && export ASAN_SYMBOLIZER_PATH
    # Not under a tracer or a filter of system calls, where leaks cannot be looked for, nor with allocations that fail.
    local without='Faults\.|/confined_'
    run_instrumented || status=$?
    for finding in "$findings"/*; do
        [[ -f $finding ]] || continue
        echo "sanitizer: $finding"
        head -n 40 "$finding"
        status=1
    done
    return "$status"
}

run_covered() {
    local status=0 programs=("$instrumented"/bin/weft{d,,ctl,d-testhooks,-testhooks} "$instrumented"/tests/*_test)
    rm -rf "$instrumented/profiles" "$instrumented/coverage"
    run_instrumented || status=$?
    llvm-profdata-19 merge -o "$instrumented/profile" "$instrumented"/profiles/*.profraw || return
    local of=("-instr-profile=$instrumented/profile" "${programs[@]/#/-object=}" "-ignore-filename-regex=_hooks\\." -sources loader cni maps)
    # It says "mismatched data" of others' inline functions, which differ between these programs.
    llvm-cov-19 show -format=html -show-branches=count -output-dir="$instrumented/coverage" "${of[@]}" \
        2> >(grep -v 'mismatched data' >&2) || return
    llvm-cov-19 export -summary-only "${of[@]}" 2> >(grep -v 'mismatched data' >&2) >"$instrumented/coverage.json" || return
    if ((whole)); then python3 scripts/coverage-page.py "$instrumented/coverage.json" >docs/coverage.md; fi
    echo "line by line: $instrumented/coverage/index.html"
    return "$status"
}

run_tests() {
    local status=0 reports=()
    case $instrument in
    "") run_ctest "$build" "${labels[@]}" || status=$? ;;
    coverage) run_covered || status=$? ;;
    *) run_sanitized || status=$? ;;
    esac
    python3 scripts/summarize-tests.py "${reports[@]}" || status=1
    return "$status"
}

parse "$@"
if ((install)); then scripts/install-deps.sh build test; fi
build_all
if ((kernels)); then exec tests/kernels/run.sh --build "$build"; fi
mount_bpffs
if ((EUID == 0)); then
    sweep
    trap sweep EXIT
fi
run_tests
