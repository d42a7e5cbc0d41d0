# SPDX-License-Identifier: Apache-2.0
"""What weft means to reach, and how near a run came. Nothing is judged by it: a machine's bad day fails no build."""
from dataclasses import dataclass

from . import results as r


@dataclass(frozen=True)
class Target:
    """A ratio of two contenders' medians on one wire; without `versus` a figure from elsewhere in the results."""
    title: str
    bound: float
    at_least: bool
    figure: tuple  # (measurement, figure), or a way through the results
    wire: str = ""
    contender: str = "weft"
    versus: str = ""

    def measured(self, results):
        if self.versus:
            return r.ratio(results, self.wire, self.contender, self.versus, *self.figure)
        at = results
        for name in self.figure:
            at = at.get(name) if isinstance(at, dict) else None
        return at

    def met(self, results):
        value = self.measured(results)
        if value is None:
            return None
        return value >= self.bound if self.at_least else value <= self.bound


def _pairs(contender, baseline, prefix):
    """The same margins over flannel's vxlan and over its host-gw."""
    def target(title, bound, at_least, wire, versus, *figure):
        return Target(f"{prefix}{title}", bound, at_least, figure, wire, contender, versus)

    return [
        target("TCP stream, offload wire, to flannel", 1.25, True, "offload", baseline, "tcp-1", "gbit"),
        target("TCP stream, offload wire, to host to host", 0.95, True, "offload", "host", "tcp-1", "gbit"),
        target("TCP stream, offload wire, nodes apart, to flannel", 1.25, True, "offload-apart", baseline, "tcp-1",
               "gbit"),
        target("TCP stream, offload wire, nodes apart, to host to host", 0.95, True, "offload-apart", "host", "tcp-1",
               "gbit"),
        target("TCP stream, framed wire, to flannel", 1.15, True, "framed", baseline, "tcp-1", "gbit"),
        target("TCP stream, framed wire, to host to host", 0.8, True, "framed", "host", "tcp-1", "gbit"),
        target("TCP stream, bare wire, to flannel", 1.1, True, "bare", baseline, "tcp-1", "gbit"),
        target("TCP, 4 streams, nodes apart, to flannel", 1, True, "apart", baseline, "tcp-4", "gbit"),
        target("UDP 64 B packets/s, to flannel", 2.3, True, "framed", baseline, "udp-64", "kpps"),
        target("UDP 64 B packets/s, to host to host", 0.75, True, "framed", "host", "udp-64", "kpps"),
        target("TCP half round trip p50, to flannel", 0.5, False, "framed", baseline, "tcp-rr", "p50_us"),
        target("TCP half round trip p50, to host to host", 1.2, False, "framed", "host", "tcp-rr", "p50_us"),
        target("TCP half round trip p99, to flannel", 0.6, False, "framed", baseline, "tcp-rr", "p99_us"),
        target("connect/request/response a second, to flannel", 1.5, True, "framed", baseline, "tcp-crr", "per_s"),
        target("receive path, to flannel", 5, True, "framed", baseline, "receive", "mpps"),
        target("CPU seconds per GB, to flannel", 0.8, False, "framed", baseline, "tcp-1", "cpu_s_per_gb"),
        target("CPU seconds per million packets, to flannel", 0.5, False, "framed", baseline, "udp-64",
               "cpu_s_per_mpkt"),
        target("same node, TCP stream, to bridge", 1.2, True, "offload", baseline, "same-node-tcp", "gbit"),
        target("same node, half round trip p50, to bridge", 0.7, False, "offload", baseline, "same-node-rr", "p50_us"),
    ]


TARGETS = [
    *_pairs("weft", "flannel", ""),
    *_pairs("weft-host-gw", "flannel-host-gw", "host-gw: "),
    Target("checks of packets on: UDP 64 B packets/s, to all off", 0.95, True, ("udp-64", "kpps"), "framed", "weft",
           "weft-checks-off"),
    *(Target(f"{count} services loaded: {what}, to none", 0.98, True, figure, "framed", contender, "weft")
      for count, contender in (("1,000", "weft-1k"), ("10,000", "weft-10k"))
      for what, figure in (("UDP 64 B packets/s", ("udp-64", "kpps")), ("connections/s", ("tcp-crr", "per_s")))),
    Target("push (from_pod) under traffic, ns a packet", 120, False, ("traffic", "from_pod", "ns")),
    Target("pop and deliver (from_wire) under traffic, ns a packet", 80, False, ("traffic", "from_wire", "ns")),
    Target("cold start, 10,000 leases programmed, s", 0.5, False, ("control", "leases", "10000", "cold_start_s")),
    Target("cold start, 100,000 leases programmed, s", 5, False, ("control", "leases", "100000", "cold_start_s")),
    Target("weftd resident with 10,000 leases, MB", 20, False, ("control", "leases", "10000", "resident_mb")),
    Target("lease put to first packet, ms", 3, False, ("control", "put_to_packet_ms")),
    Target("CNI ADD, median ms", 5, False, ("cni", "weft", "one by one", "ADD")),
    Target("CNI DEL, median ms", 5, False, ("cni", "weft", "one by one", "DEL")),
    Target("CNI ADD, 50 at once, rate to flannel's chain", 5, True, ("cni", "rate_to_chain")),
]
