#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Pods on three nodes with traffic whose every byte is checked, while faults come at random.
#
#   sudo bench/soak/run.sh [--no-install] [--no-build] [--seconds N] [--seed N] [--faults A,B] [options]      --help lists them
exec "$(dirname "$(readlink -f "$0")")/../python.sh" soak "$@"
