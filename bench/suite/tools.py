# SPDX-License-Identifier: Apache-2.0
"""Where this build's programs are."""
import os
import shutil
from pathlib import Path

from .lab import NotHere

ROOT = Path(__file__).resolve().parents[2]
BUILD = OTHER_BUILD = ROOT / "build"  # set by the command line

SYSTEM = ("bpftool", "bridge", "etcd", "etcdctl", "ethtool", "ip", "iperf3", "iptables-restore", "nsenter", "taskset", "tc")
OF_WEFT = ("weft", "weftctl", "weftd")
OWN = ("checked_flow", "cni_bench", "detach_program", "empty_program", "lease_watch", "lease_watchers", "live_frames",
       "program_cost", "transactions")


def set_builds(path, other):
    global BUILD, OTHER_BUILD
    BUILD, OTHER_BUILD = Path(path).resolve(), Path(other or path).resolve()


def binary(name):
    """One of weft's: weftd, weftctl, weft."""
    return BUILD / "bin" / name


def other_binary(name):
    """The same of the build that this one is compared with."""
    return OTHER_BUILD / "bin" / name


def tool(name):
    """One of the benchmark's own."""
    return BUILD / "bench" / name


def require():
    """What a measurement cannot do without."""
    if os.geteuid() != 0:
        raise NotHere("needs root")
    missing = [name for name in SYSTEM if not shutil.which(name)]
    if missing:
        raise NotHere(f"{', '.join(missing)} not found: scripts/install-deps.sh bench")
    unbuilt = [str(path) for path in (*map(binary, OF_WEFT), *map(tool, OWN)) if not path.exists()]
    if unbuilt:
        raise NotHere(f"{', '.join(unbuilt)} not found: build first")
