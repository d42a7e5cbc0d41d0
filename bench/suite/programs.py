# SPDX-License-Identifier: Apache-2.0
"""What a packet costs in each program: by BPF_PROG_RUN with many leases or pods, and as counted under traffic."""
import json
import random
import signal
import statistics

from . import frames
from .etcd_keys import mac_of, node_of, subnet_of
from .lab import SERVER_CPU, STATE, BenchError, run, wait_until
from .tools import tool

PACKETS = 500  # different ones for a cold run
ANY_MAC = "02:00:00:00:00:99"
STRANGER, OUTSIDE = "192.0.2.66", "198.51.100.7"


def program_ids(weft):
    """{name: id}: from_pod's is that of any pod, they share it."""
    return {row["program"].removeprefix("weft_"): row["id"] for row in weft.ctl("status")["datapath"]["programs"]}


class Packets:
    """Packets of a ScaleNode's world, destinations and senders spread over all leases, always in the same order."""

    def __init__(self, node, leases, pods, pod_macs):
        self._random = random.Random(leases)
        self._leases = leases
        self.pods = pods
        self._pod_macs = pod_macs
        self._vtep = node.weft.ns.link("weft.1")["address"]
        self._own = node.pair.a.address

    def others(self):
        return (self._random.randrange(self._leases) for _ in range(PACKETS))

    def some_pods(self):
        return (self._random.choice(self.pods) for _ in range(PACKETS))

    def sent(self, destinations, source, payload=frames.tcp(), protocol=frames.TCP):
        source_mac = self._pod_macs.get(source, ANY_MAC)
        return [frames.ethernet(ANY_MAC, source_mac, frames.ipv4(source, str(to), payload, protocol))
                for to in destinations]

    def tunnelled(self, outer_source, inner_source, to):
        packet = frames.ipv4(str(inner_source), str(to), frames.tcp(), frames.TCP)
        inner = frames.ethernet(self._vtep, mac_of(1), packet)
        return frames.ethernet(ANY_MAC, ANY_MAC, frames.ipv4(str(outer_source), self._own, frames.vxlan(inner)))

    def received(self):
        return [self.tunnelled(node_of(i), subnet_of(i) + 2, to) for i, to in zip(self.others(), self.some_pods())]

    def spoofed(self):
        """From a node that holds a lease, in the name of another node's pod."""
        return [self.tunnelled(node_of(i), subnet_of((i + 1) % self._leases) + 2, to)
                for i, to in zip(self.others(), self.some_pods())]

    def strangers(self):
        return [self.tunnelled(STRANGER, subnet_of(i) + 2, to) for i, to in zip(self.others(), self.some_pods())]


def cases(node, leases, pods):
    """(title, program, reason, ingress device, packets)"""
    endpoints = {row["address"]: row for row in node.weft.ctl("endpoints")}
    packets = Packets(node, leases, pods, {address: row["pod_mac"] for address, row in endpoints.items()})
    pod, device = pods[0], endpoints[pods[0]]["ifname"]
    far = [subnet_of(i) + 2 for i in packets.others()]
    return [
        ("from_pod: push, TCP", "from_pod", "encap", device, packets.sent(far, pod)),
        ("from_pod: push, UDP", "from_pod", "encap", device, packets.sent(far, pod, frames.udp(), frames.UDP)),
        ("from_pod: to a pod here", "from_pod", "to_pod", device, packets.sent(packets.some_pods(), pod)),
        ("from_pod: out of the pod network", "from_pod", "not_pod_network", device, packets.sent([OUTSIDE], pod)),
        ("from_host: push", "from_host", "encap", "weft.1", packets.sent(far, node.pair.a.address)),
        ("from_wire: pop, to a pod", "from_wire", "decap_to_pod", "eth0", packets.received()),
        ("from_wire: unknown sender", "from_wire", "unknown_sender", "eth0", packets.strangers()),
        ("from_wire: spoofed source", "from_wire", "spoofed_source", "eth0", packets.spoofed()),
        ("from_wire: not a tunnel's", "from_wire", "not_overlay", "eth0",
         packets.sent([node.pair.a.address], node.pair.b.address)),
    ]


def costs_of(node, leases, pods):
    """A row for each program and outcome: name, leases, endpoints, warm_ns, cold_ns, instructions, and the program's size."""
    ids = program_ids(node.weft)
    rows = []
    for title, program, reason, device, packets in cases(node, leases, pods):
        case = {"name": title, "program": ids[program], "xdp": False, "ifindex": node.weft.ns.link(device)["ifindex"],
                "packets": [packet.hex() for packet in packets]}
        before = _counted(node.weft, program, reason)
        row = json.loads(node.weft.ns.run(tool("program_cost"), stdin=json.dumps([case]), cpu=SERVER_CPU))[0]
        if _counted(node.weft, program, reason) == before:
            raise BenchError(f"{title}: the program never said {reason}")
        rows.append(row | {"leases": leases, "endpoints": len(pods)})
    return rows


def _counted(weft, program, reason):
    return sum(row["packets"] for row in weft.ctl("counters") if (row["program"], row["reason"]) == (program, reason))


ROUNDS = 5  # the middle one counts


def under_traffic(path, traffic):
    """Nanoseconds a run, by program, while `traffic` runs: from_pod on the client's node, from_wire on the server's.

    The kernel's figure has its own readings of the clock in it: a program that only returns is counted the same way, for the
    same packets on the same CPU, where they leave the client's pod and where they enter the server's. What it takes is taken off."""
    sender, receiver = (program_ids(weft) for weft in path.weft)
    with EmptyProgram(path.client, "egress") as leaving, EmptyProgram(path.server, "ingress") as entering:
        watched = {"from_pod": (sender["from_pod"], leaving.id), "from_wire": (receiver["from_wire"], entering.id)}
        rounds = [_one_round(watched, traffic) for _ in range(ROUNDS)]
    return {name: {key: statistics.median(one[name][key] for one in rounds) for key in ("ns", "counted_ns", "empty_ns")}
            for name in watched}


class EmptyProgram:
    """On a pod's interface for as long as it is used."""

    def __init__(self, ns, hook):
        self._lab = ns.lab
        said = STATE / f"empty-{hook}.log"
        self._process = ns.spawn(tool("empty_program"), "eth0", hook, log=said.name)
        wait_until(lambda: self._process.poll() is not None or said.read_text(encoding="utf-8").endswith("\n"),
                   "empty_program does not begin")
        self.id = int(said.read_text(encoding="utf-8"))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._lab.stop(self._process, signal.SIGTERM)


def _one_round(watched, traffic):
    run("sysctl", "-qw", "kernel.bpf_stats_enabled=1")
    try:
        before = {name: [_run_stats(number) for number in pair] for name, pair in watched.items()}
        traffic()
        after = {name: [_run_stats(number) for number in pair] for name, pair in watched.items()}
    finally:
        run("sysctl", "-qw", "kernel.bpf_stats_enabled=0")
    found = {}
    for name in watched:
        counted, empty = ((end[0] - begin[0]) / max(1, end[1] - begin[1]) for begin, end in zip(before[name], after[name]))
        found[name] = {"ns": counted - empty, "counted_ns": counted, "empty_ns": empty}
    return found


def _run_stats(number):
    shown = json.loads(run("bpftool", "--json", "prog", "show", "id", number))
    return shown.get("run_time_ns", 0), shown.get("run_cnt", 0)
