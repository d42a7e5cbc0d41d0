#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Measures weft beside flannel's data path and bare hosts, in network namespaces of this machine: tables and charts.
#
#   sudo bench/run.sh [--no-install] [--no-build] [--quick] [options]      --help lists them
#
# Everything, seven rounds: 20 to 25 minutes. --quick: under five minutes, prints only.
exec "$(dirname "$(readlink -f "$0")")/python.sh" suite "$@"
