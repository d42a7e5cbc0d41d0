#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs this build's tests in Debian's kernels, in QEMU: tests/kernels/run.sh --build build [--help]
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
PYTHONPATH=tests/kernels exec python3 -B -m matrix "$@"
