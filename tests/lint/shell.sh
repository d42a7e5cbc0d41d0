#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs shellcheck on every shell script of ours. Exit status 77: no shellcheck.
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."

if ! command -v shellcheck >/dev/null; then
    echo "SKIP: no shellcheck"
    exit 77
fi
find .ci scripts tests bench deploy -type f \( -name '*.sh' -o -path '.ci/run' \) -print0 | xargs -0 shellcheck
