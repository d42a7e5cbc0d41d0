# SPDX-License-Identifier: Apache-2.0
"""What is measured on a path, and how.

Client and server have a CPU each where throughput is asked for. Where latency is, both are on one, so that it is the
path's own work and not the wake-up of an idle CPU."""
import json
from collections.abc import Callable
from dataclasses import dataclass

from .contenders import frame_to_server
from .lab import CLIENT_CPU, SERVER_CPU, BenchError
from .machine import Watch
from .tools import tool


@dataclass(frozen=True)
class Figure:
    name: str
    title: str
    better: str  # "more" or "less"
    digits: int = 1


@dataclass(frozen=True)
class Measurement:
    name: str
    figures: tuple
    run: Callable  # (contender, path, seconds) -> {figure name: value}, or None: not for this contender
    wires: tuple = ()  # only on these; empty: on all


def _iperf(ns, target, seconds, *options):
    """@return its report, and the watch that was kept meanwhile"""
    whole = str(max(1, round(seconds)))  # it knows no other; 0 is for ever
    with Watch() as watch:
        said = ns.run("iperf3", "--client", target, "--time", whole, "--json", *options, cpu=CLIENT_CPU, check=False)
    report = json.loads(said or "{}")
    if "error" in report or "end" not in report:
        raise BenchError(f"iperf3 to {target}: {report.get('error', said)}")
    return report["end"], watch


CUBIC = ("--congestion", "cubic")  # Debian's and most others', whatever this machine's is


def _tcp_stream(flows):
    def measure(_contender, path, seconds):
        end, watch = _iperf(path.client, path.target, seconds, *CUBIC, "--parallel", str(flows))
        received = end["sum_received"]
        return watch, {"gbit": received["bits_per_second"] / 1e9,
                       "cpu_s_per_gb": watch.cpu_s / (received["bytes"] / 1e9),
                       "retransmits": end["sum_sent"].get("retransmits", 0)}
    return measure


def _udp_packets(_contender, path, seconds):
    end, watch = _iperf(path.client, path.target, seconds, "--udp", "--length", "64", "--bitrate", "0")
    sent, lost = end["sum"]["packets"], end["sum"]["lost_packets"]
    received = max(sent - lost, 1)
    return watch, {"kpps": received / end["sum"]["seconds"] / 1e3, "loss": lost / max(sent, 1),
                   "cpu_s_per_mpkt": watch.cpu_s / (received / 1e6)}


def _transactions(ns, target, seconds, *how):
    with Watch() as watch:
        told = json.loads(ns.run(tool("transactions"), how[0], target, "--seconds", f"{seconds:g}", *how[1:],
                                 cpu=SERVER_CPU))
    if told["transactions"] == 0:
        raise BenchError(f"no answer from {target} to {' '.join(how)}")
    return watch, told


def _round_trips(*how):
    def measure(_contender, path, seconds):
        watch, told = _transactions(path.client, path.target, seconds, *how)
        return watch, {"p50_us": told["p50_us"] / 2, "p99_us": told["p99_us"] / 2}
    return measure


def _connections(_contender, path, seconds):
    watch, told = _transactions(path.client, path.target, seconds, "crr")
    return watch, {"per_s": told["transactions"] / told["seconds"], "p50_us": told["p50_us"], "p99_us": told["p99_us"]}


def _same_node_stream(_contender, path, seconds):
    if not path.neighbour:
        return None
    end, watch = _iperf(path.client, path.neighbour.address, seconds, *CUBIC)
    return watch, {"gbit": end["sum_received"]["bits_per_second"] / 1e9}


def _same_node_round_trips(_contender, path, seconds):
    if not path.neighbour:
        return None
    watch, told = _transactions(path.client, path.neighbour.address, seconds, "rr")
    return watch, {"p50_us": told["p50_us"] / 2, "p99_us": told["p99_us"] / 2}


DROP_ALL = "1,6 0 0 2"  # one instruction: return TC_ACT_SHOT


def _receive(contender, path, seconds):
    """Packets are counted and dropped where the server's namespace first sees them: a socket costs everybody the same."""
    frame = frame_to_server(contender, path)
    path.server.run("tc", "qdisc", "add", "dev", "eth0", "clsact")
    try:
        path.server.run("tc", "filter", "add", "dev", "eth0", "ingress", "bpf", "direct-action", "bytecode", DROP_ALL)
        with Watch() as watch:
            told = json.loads(path.pair.a.ns.run(tool("live_frames"), "--interface", "eth0", "--frame", frame.hex(),
                                                 "--seconds", f"{seconds:g}", cpu=SERVER_CPU))
        qdiscs = json.loads(path.server.run("tc", "-stats", "-json", "qdisc", "show", "dev", "eth0"))
    finally:
        path.server.run("tc", "qdisc", "del", "dev", "eth0", "clsact")
    dropped = next(qdisc["drops"] for qdisc in qdiscs if qdisc["kind"] == "clsact")
    return watch, {"mpps": dropped / told["seconds"] / 1e6, "loss": 1 - dropped / told["sent"]}


LATENCY = (Figure("p50_us", "p50, us", "less"), Figure("p99_us", "p99, us", "less"))

MEASUREMENTS = {measurement.name: measurement for measurement in (
    Measurement("tcp-1", (Figure("gbit", "TCP, 1 stream, Gbit/s", "more"),
                          Figure("cpu_s_per_gb", "CPU seconds per GB", "less", 2),
                          Figure("retransmits", "retransmits", "less", 0)), _tcp_stream(1)),
    Measurement("tcp-4", (Figure("gbit", "TCP, 4 streams, Gbit/s", "more"),
                          Figure("cpu_s_per_gb", "CPU seconds per GB", "less", 2),
                          Figure("retransmits", "retransmits", "less", 0)), _tcp_stream(4)),
    Measurement("udp-64", (Figure("kpps", "UDP 64 B, thousand/s", "more", 0),
                           Figure("cpu_s_per_mpkt", "CPU seconds per million packets", "less", 2),
                           Figure("loss", "lost", "less", 3)), _udp_packets),
    Measurement("tcp-rr", LATENCY, _round_trips("rr")),
    Measurement("tcp-rr-64k", LATENCY, _round_trips("rr", "--size", "65536"), wires=("64k",)),
    Measurement("udp-rr", LATENCY, _round_trips("rr", "--udp")),
    Measurement("tcp-crr", (Figure("per_s", "connections/s", "more", 0), *LATENCY), _connections),
    Measurement("receive", (Figure("mpps", "received, million/s", "more", 2), Figure("loss", "lost", "less", 3)),
                _receive, wires=("framed",)),
    Measurement("same-node-tcp", (Figure("gbit", "same node, TCP, Gbit/s", "more"),), _same_node_stream,
                wires=("offload",)),
    Measurement("same-node-rr", LATENCY, _same_node_round_trips, wires=("offload",)),
)}


def warm_up(path):
    """Neighbours, caches, the JIT's first run: nobody's first packet counts."""
    path.client.run("iperf3", "--client", path.target, "--bytes", "64M", cpu=CLIENT_CPU)
    for target in filter(None, (path.target, path.neighbour and path.neighbour.address)):
        _transactions(path.client, target, 0.05, "rr")
        _transactions(path.client, target, 0.05, "crr")


def applies(contender, wire, measurement):
    return ((not contender.wires or wire.name in contender.wires)
            and (not contender.measurements or measurement.name in contender.measurements)
            and (not wire.measurements or measurement.name in wire.measurements)
            and (not measurement.wires or wire.name in measurement.wires))
