# SPDX-License-Identifier: Apache-2.0
"""One guest: QEMU without KVM, started straight into a kernel, read through its serial ports."""
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .image import find_tool

MEMORY = "1536M"
# Without what no test of packets is about: each costs seconds of emulation. The clock is one that needs no calibration, which
# goes wrong on a busy host: a guest's seconds were a third of real ones, and time limits in it too short.
QUIET = ("console=ttyS0 quiet loglevel=4 panic=-1 oops=panic mitigations=off nokaslr init_on_alloc=0 audit=0 apparmor=0 "
         "selinux=0 random.trust_cpu=on cryptomgr.notests no_timer_check tsc=unstable clocksource=acpi_pm rcupdate.rcu_expedited=1 "
         "rdinit=/init")


@dataclass
class Run:
    """How a guest ended: `results` is what it wrote to its second serial port, whole or not."""
    results: str
    console: str
    seconds: float
    timed_out: bool


def boot(kernel, initrd, work, timeout_s):
    work = Path(work)
    results, console = work / "results", work / "console"
    argv = [find_tool("qemu-system-x86_64"), "-accel", "tcg,thread=single,tb-size=256", "-cpu", "Nehalem,-cx16,+rdrand,+rdtscp", "-smp", "1",
            "-m", MEMORY, "-M", "pc,vmport=off,hpet=off", "-nodefaults", "-no-user-config", "-no-reboot", "-display", "none",
            "-serial", f"file:{console}", "-serial", f"file:{results}",
            "-kernel", str(kernel), "-initrd", str(initrd), "-append", QUIET]
    started = time.monotonic()
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) as qemu:
        try:
            said, _ = qemu.communicate(timeout=timeout_s)
            timed_out = False
        except subprocess.TimeoutExpired:
            timed_out = True
            said = b""
        finally:
            qemu.kill()
    seconds = time.monotonic() - started

    def read(path):
        return path.read_text(errors="replace").replace("\r\n", "\n") if path.exists() else ""
    return Run(read(results), said.decode(errors="replace") + read(console), seconds, timed_out)
