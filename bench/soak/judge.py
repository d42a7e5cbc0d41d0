# SPDX-License-Identifier: Apache-2.0
"""Which fault cost what, and whether it may have: a loss belongs to the fault that began last before it."""
import bisect
from dataclasses import asdict, dataclass, field

from .faults import FAULTS

QUIET = "no fault"  # before the first one


@dataclass
class Episode:
    """One fault as it happened; times in ns of CLOCK_MONOTONIC."""
    fault: str
    begin: int
    hit: str = ""
    end: int = 0  # when all was right again
    sent: int = 0
    lost: int = 0
    corrupt: int = 0
    longest_udp_gap_ms: float = 0
    longest_tcp_gap_ms: float = 0
    last_loss_ms: float = 0  # after its beginning
    wrong: list = field(default_factory=list)

    @property
    def loss_s(self):
        return FAULTS[self.fault].loss_s if self.fault != QUIET else 0


def attribute(episodes, accounts, ended):
    """Puts what flows told into the episodes. @param accounts: {Flow: Account}; @param ended: when traffic was ended"""
    begins = [episode.begin for episode in episodes]

    def at(moment):
        return episodes[max(0, bisect.bisect_right(begins, moment) - 1)]
    for flow, account in accounts.items():
        if flow.kind == "udp":
            for episode, end in zip(episodes, [*begins[1:], ended]):
                episode.sent += (end - episode.begin) // (flow.interval_us * 1000)
        for first, last, count in account.lost:
            _lose(at(first), flow, first, last, count)
        for begin, end in account.gaps:
            episode, length = at(begin), (end - begin) / 1e6
            name = f"longest_{flow.kind}_gap_ms"
            setattr(episode, name, max(getattr(episode, name), length))
        for moment in account.corrupt:
            at(moment).corrupt += 1
            at(moment).wrong.append(f"{flow.name}: something arrived that was not sent")
        for moment in account.broken:
            at(moment).wrong.append(f"{flow.name}: the connection broke")


def _lose(episode, flow, first, last, count):
    episode.lost += count
    after = (last - episode.begin) / 1e6
    episode.last_loss_ms = max(episode.last_loss_ms, after)
    if after > episode.loss_s * 1e3:
        episode.wrong.append(f"{flow.name}: {count} lost, sent {(first - episode.begin) / 1e6:.0f} to {after:.0f} ms after "
                             f"the fault's beginning; {episode.loss_s:g} s are allowed")


def by_kind(episodes):
    """{name: its episodes}"""
    kinds = {}
    for episode in episodes:
        kinds.setdefault(episode.fault, []).append(episode)
    return kinds


def rows(episodes):
    """For the results."""
    start = episodes[0].begin
    return [asdict(one) | {"begin": round((one.begin - start) / 1e9, 3), "end": round((one.end - start) / 1e9, 3)}
            for one in episodes]
