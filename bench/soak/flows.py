# SPDX-License-Identifier: Apache-2.0
"""Flows of checked traffic, and what they say became of it."""
import signal
from dataclasses import dataclass, field

from suite.lab import STATE, wait_until
from suite.tools import tool


@dataclass
class Account:
    """All that a flow said; times in ns of CLOCK_MONOTONIC."""
    lost: list = field(default_factory=list)     # (first, last, how many)
    gaps: list = field(default_factory=list)     # (from, to)
    corrupt: list = field(default_factory=list)  # when
    broken: list = field(default_factory=list)   # when
    sent: int = 0
    answered: int = 0


class Flow:
    def __init__(self, lab, kind, source, target, interval_us):
        self._lab = lab
        self.kind = kind
        self.interval_us = interval_us
        self.name = f"{kind} {source.name.rpartition('soak-')[2]} to {target.ns.name.rpartition('soak-')[2]}"
        self._said = STATE / f"{self.name.replace(' ', '-')}.flow"
        self._process = source.spawn(tool("checked_flow"), kind, target.address, "--interval-us", interval_us,
                                     log=self._said.name)

    def wait_flowing(self):
        wait_until(lambda: "flowing" in self._said.read_text(encoding="ascii"), f"{self.name}: nothing comes back")

    def ask_to_end(self):
        self._process.send_signal(signal.SIGTERM)

    def account(self):
        """To be asked for after ask_to_end()."""
        self._process.wait()
        account = Account()
        for line in self._said.read_text(encoding="ascii").splitlines():
            word, *numbers = line.split()
            numbers = [int(number) for number in numbers]
            if word == "lost":
                account.lost.append(tuple(numbers))
            elif word == "gap":
                account.gaps.append(tuple(numbers))
            elif word in ("corrupt", "broken"):
                getattr(account, word).append(numbers[0])
            elif word == "total":
                account.sent, account.answered = numbers
        return account
