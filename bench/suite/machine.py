# SPDX-License-Identifier: Apache-2.0
"""Whose CPU time it was: the whole system's for the figures, other programs' for judging a measurement."""
import os
import time
from dataclasses import dataclass

TICK = 1 / os.sysconf("SC_CLK_TCK")
DISTURBED = 0.05  # of one CPU, used by somebody else


def busy_seconds():
    """CPU time of the whole machine so far, interrupts included: one packet's work is done in many names."""
    user, nice, system, _idle, _iowait, irq, softirq = _cpu_line()[:7]
    return (user + nice + system + irq + softirq) * TICK


def _cpu_line():
    with open("/proc/stat", encoding="ascii") as stat:
        return [int(word) for word in stat.readline().split()[1:]]


def _processes():
    """{pid: (parent, CPU ticks of it and of its children that ended)}"""
    found = {}
    for entry in os.listdir("/proc"):
        if not entry.isdigit():
            continue
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as stat:
                words = stat.read().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        found[int(entry)] = int(words[1]), sum(int(word) for word in words[11:15])
    return found


def _others_ticks():
    """CPU ticks of every process that this program did not start.

    Not kernel threads': they work for whoever has packets. A process that ends hands its ticks to its parent, so the sum
    loses nothing in between."""
    processes = _processes()
    ours = {os.getpid()}
    kernel = {2}
    grown = True
    while grown:
        grown = False
        for group in (ours, kernel):
            more = {pid for pid, (parent, _) in processes.items() if parent in group} - group
            group |= more
            grown = grown or bool(more)
    return sum(ticks for pid, (_, ticks) in processes.items() if pid not in ours and pid not in kernel)


@dataclass
class Watch:
    """A stretch of time and what was used in it."""
    cpu_s: float = 0.0
    seconds: float = 0.0
    others: float = 0.0  # share of one CPU that other programs had, and the hypervisor took

    def __enter__(self):
        self._others = _others_ticks() + _cpu_line()[7]
        self._begin = time.monotonic()
        self._busy = busy_seconds()
        return self

    def __exit__(self, *_):
        self.cpu_s = busy_seconds() - self._busy
        self.seconds = time.monotonic() - self._begin
        self.others = max(0, _others_ticks() + _cpu_line()[7] - self._others) * TICK / self.seconds

    @property
    def disturbed(self):
        # One tick is more than 5% of a short window: a single one says nothing.
        return self.others > max(DISTURBED, 1.5 * TICK / self.seconds)


def description():
    model = "unknown"
    with open("/proc/cpuinfo", encoding="utf-8") as info:
        for line in info:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    return {"kernel": os.uname().release, "cpus": os.cpu_count(), "cpu": model}
