#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fifty weftd on this machine and one etcd: nodes join and leave, and everybody is watched.
#
#   sudo bench/scale/run.sh [--no-install] [--no-build] [options]      --help lists them
exec "$(dirname "$(readlink -f "$0")")/../python.sh" scale "$@"
