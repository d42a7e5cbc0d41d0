#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-format, C++ by .clang-format and C by bpf/.clang-format: format.sh checks the tree, format.sh --fix FILE... writes
# those files (a whole tree is never rewritten by one slip: others may be at work in it). Exit status 77: no clang-format-19.
set -euo pipefail

if ! command -v clang-format-19 >/dev/null; then
    echo "SKIP: no clang-format-19"
    exit 77
fi

root=$(readlink -f "$(dirname "$0")/../..")
c_style=--style=file:$root/bpf/.clang-format

if [[ ${1:-} == --fix ]]; then
    shift
    (($#)) || { echo "format.sh: --fix needs files" >&2 && exit 2; }
    for file in "$@"; do
        case $file in
        *.c | *.h) clang-format-19 "$c_style" -i "$file" ;;
        *.cpp | *.hpp) clang-format-19 -i "$file" ;;
        *) echo "format.sh: $file is neither C nor C++: left as it is" >&2 ;;
        esac
    done
    exit 0
fi

cd "$root"
status=0
find loader cni maps tests bench \( -name '*.cpp' -o -name '*.hpp' \) -print0 |
    xargs -0 --no-run-if-empty clang-format-19 --dry-run --Werror || status=1
# Not the two headers that are made of macros: clang-format takes their lists for code.
find bpf maps \( -name '*.c' -o -name '*.h' \) ! -name weft_maps.h ! -name weft_reasons.h -print0 |
    xargs -0 --no-run-if-empty clang-format-19 "$c_style" --dry-run --Werror || status=1
exit $status
