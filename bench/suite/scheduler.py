# SPDX-License-Identifier: Apache-2.0
"""Rounds: every measurement on every contender in turn, A B C A B C: a slow minute of the machine is everybody's."""
from collections import defaultdict
from dataclasses import dataclass, field

from .measurements import applies, warm_up

RETRIES = 2  # of a round that was disturbed


@dataclass
class Samples:
    """A value a round, by (wire, contender, measurement, figure); and how many rounds others disturbed."""
    values: dict = field(default_factory=lambda: defaultdict(list))
    rounds: int = 0
    kept: int = 0  # rounds of one measurement on one wire, as the next two
    discarded: int = 0
    disturbed: int = 0

    def add(self, wire, measurement, by_contender):
        self.kept += 1
        for contender, figures in by_contender.items():
            for figure, value in figures.items():
                self.values[wire.name, contender, measurement.name, figure].append(value)


@dataclass
class Plan:
    rounds: int
    seconds: float
    discard: bool = True  # False: a round counts whatever others did meanwhile

    def run(self, paths, contenders, wires, measurements, say):
        """`paths`: {(contender name, MTU): Path}. Interrupted, it ends with the rounds that it has."""
        samples = Samples()
        for path in paths.values():
            warm_up(path)
        try:
            while samples.rounds < self.rounds:
                self._round(samples, paths, contenders, wires, measurements)
                say(f"round {samples.rounds} of {self.rounds} done; disturbed so far: "
                    f"{samples.disturbed} of {samples.kept + samples.discarded}")
        except KeyboardInterrupt:
            if not samples.rounds:
                raise
            say("interrupted: what there is counts")
        return samples

    def _round(self, samples, paths, contenders, wires, measurements):
        for wire in wires:
            for (_, mtu), path in paths.items():
                if mtu == wire.mtu:
                    path.pair.set_wire(wire)
            for measurement in measurements:
                self._everybody(samples, wire, measurement, paths, contenders)
        samples.rounds += 1

    def _everybody(self, samples, wire, measurement, paths, contenders):
        """Everybody once; all of it again when somebody else took the machine meanwhile."""
        taking_part = [contender for contender in contenders
                       if (contender.name, wire.mtu) in paths and applies(contender, wire, measurement)]
        if not taking_part:
            return
        for _ in range(1 + RETRIES if self.discard else 1):
            by_contender, disturbed = {}, False
            for contender in taking_part:
                measured = measurement.run(contender, paths[contender.name, wire.mtu], self.seconds)
                if measured is None:
                    continue
                watch, by_contender[contender.name] = measured
                disturbed = disturbed or watch.disturbed
                if disturbed and self.discard:
                    break
            samples.disturbed += disturbed
            if disturbed and self.discard:
                samples.discarded += 1
                continue
            samples.add(wire, measurement, by_contender)
            return
