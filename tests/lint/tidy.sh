#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy-19 on our C++: tests/lint/tidy.sh BUILD_DIR [FILE...]. Minutes for the whole tree, so its label is "long".
# Exit status 77: no clang-tidy-19.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
build=$1
shift

if ! command -v clang-tidy-19 >/dev/null; then
    echo "SKIP: no clang-tidy-19"
    exit 77
fi
files=("$@")
if ((${#files[@]} == 0)); then readarray -t files < <(find loader cni maps -name '*.cpp' | sort); fi
# Of gcc's warnings it does not know all.
printf '%s\0' "${files[@]}" | xargs -0 -P "$(nproc)" -n 1 clang-tidy-19 --quiet -p "$build" --warnings-as-errors='*' \
    --extra-arg=-Wno-unknown-warning-option 2>/dev/null
