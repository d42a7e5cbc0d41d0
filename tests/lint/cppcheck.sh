#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs cppcheck on what is installed and on the benchmark's tools. Tests are left out: it does not know their macros. Exit
# status 77: no cppcheck.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

if ! command -v cppcheck >/dev/null; then
    echo "SKIP: no cppcheck"
    exit 77
fi
cppcheck -q -j "$(nproc)" --enable=warning,performance,portability --std=c++20 --library=posix --library=gnu \
    --suppressions-list=tests/lint/cppcheck-suppressions.txt --suppress=missingIncludeSystem --error-exitcode=1 \
    --template='{file}:{line}: {severity}: {id}: {message}' -I . -I loader -I maps loader cni maps bench/tools
