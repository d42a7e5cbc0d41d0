# SPDX-License-Identifier: Apache-2.0
"""The control plane: how long until leases carry packets, and what weftd costs while nothing and while much happens."""
import json
import statistics
import sys
import time
from pathlib import Path

from . import etcd_keys, flannel
from .lab import SERVER_CPU, STATE, BenchError, run
from .programs import costs_of
from .tools import tool
from .topology import Pair
from .weft import ETCD, WeftNode

CHANGES_PER_S, CHURN_S = 100, 3
PUT_PORT = 7008


def keys(etcd, command, *arguments):
    script = Path(etcd_keys.__file__)
    return etcd.ns.run(sys.executable, "-B", script, command, f"{ETCD}:2379", *arguments)


class ScaleNode:
    """One weft node in a cluster of many others that are keys in etcd only. Its uplink's other end is their router."""

    def __init__(self, lab, etcd, name, pods):
        self._lab = lab
        self.etcd = etcd
        self.prefix = f"/{name}/network"
        self.pair = Pair(lab, name, 1500, with_pods=True)
        self.pair.a.ns.ip(f"route add default via {self.pair.b.address}")
        etcd.plug(self.pair.a.ns)
        # 131,072 subnets; the node's own is taken from a part that no other's lies in.
        etcd.configure(self.prefix, Network="10.0.0.0/8", SubnetLen=etcd_keys.SUBNET_LEN, SubnetMin="10.1.0.0",
                       SubnetMax="10.1.3.128", Backend={"Type": "vxlan"})
        self.pods = pods
        self.weft = WeftNode(lab, self.pair.a, name, self.prefix)

    def start(self):
        """@return seconds from weftd's start until the packet path has every lease, and how many it has"""
        begin = time.monotonic()
        self.weft.launch()
        synced, leases = self.weft.wait_synced()
        return synced - begin, leases

    def add_pods(self):
        """All in one namespace: it is their number in the map that counts."""
        return [self.weft.add(self.pair.a.pods[0].ns, f"eth{i}") for i in range(self.pods)]

    def remove(self):
        self.weft.stop()
        self._lab.remove(self.pair.namespaces())


def at_scale(lab, etcd, leases):
    """A node with `leases` leases. @return (figures of the control plane, costs of the programs)"""
    node = ScaleNode(lab, etcd, f"scale-{leases}", pods=10)
    keys(etcd, "fill", node.prefix, leases)
    seconds, programmed = node.start()
    # What was not done has no time.
    figures = {"cold_start_s": seconds if programmed == leases else None, "programmed": programmed,
               "resident_mb": node.weft.memory_mb(), "maps_mb": node.weft.map_mb()}
    costs = costs_of(node, leases, node.add_pods()) if programmed == leases else []
    before = node.weft.cpu_seconds()
    keys(etcd, "churn", node.prefix, CHANGES_PER_S, CHURN_S)
    figures |= {"changes_per_s": CHANGES_PER_S, "cpu": (node.weft.cpu_seconds() - before) / CHURN_S,
                "resident_after_changes_mb": node.weft.memory_mb()}
    node.remove()
    return figures, costs


def many_pods(lab, etcd, pods):
    """The programs' costs with few leases and many pods."""
    leases = 10
    node = ScaleNode(lab, etcd, f"pods-{pods}", pods)
    etcd.configure(node.prefix, Network="10.0.0.0/8", SubnetLen=21, SubnetMin="10.1.0.0", SubnetMax="10.1.248.0",
                   Backend={"Type": "vxlan"})
    keys(etcd, "fill", node.prefix, leases)
    node.start()
    costs = costs_of(node, leases, node.add_pods())
    node.remove()
    return costs


def starts(lab, etcd):
    """@return seconds to readiness of a first start in an empty cluster, and of a second on the same node"""
    node = ScaleNode(lab, etcd, "start", pods=0)
    taken = []
    for _ in range(2):
        begin = time.monotonic()
        node.weft.launch()
        taken.append(node.weft.wait_ready() - begin)
        if len(taken) == 1:
            node.weft.stop()
    node.remove()
    return taken


def put_to_packet(lab, etcd, times):
    """`times` milliseconds from a lease's put to the first packet at its pod, behind a kernel vxlan device."""
    pair = Pair(lab, "put", 1500, with_pods=True)
    flannel.connect(pair.b, pair.a, "vxlan")
    flannel.wire_pods(pair.b, 1450)
    etcd.plug(pair.a.ns)
    prefix = "/put/network"
    etcd.configure(prefix, Network="10.244.0.0/16", SubnetMin="10.244.1.0", SubnetMax="10.244.1.0",
                   Backend={"Type": "vxlan"})
    weft = WeftNode(lab, pair.a, "put", prefix)
    weft.launch()
    weft.wait_ready()
    weft.add(pair.a.pods[0].ns)
    seconds = times * (etcd_keys.GONE_S + etcd_keys.THERE_S) + 2
    log = STATE / "first.log"
    gap = int(etcd_keys.GONE_S * 500)
    near, far = pair.a.pods[0], pair.b.pods[0]
    first = far.ns.spawn(tool("transactions"), "first", "--port", PUT_PORT, "--gap-ms", gap, cpu=SERVER_CPU,
                         log=log.name)
    knock = near.ns.spawn(tool("transactions"), "knock", far.address, "--port", PUT_PORT, "--interval-us", 100,
                          "--seconds", seconds, cpu=SERVER_CPU)
    lease = etcd_keys.value(pair.b.address, flannel.vtep_mac(pair.b.number))
    puts = [int(line) for line in keys(etcd, "toggle", f"{prefix}/subnets/10.244.2.0-24", lease, times).split()]
    for process in (knock, first):
        lab.stop(process)
    firsts = [int(line) for line in log.read_text(encoding="ascii").split()]
    weft.stop()
    lab.remove(pair.namespaces())
    taken = [(min(after) - put) / 1e6 for put in puts if (after := [moment for moment in firsts if moment > put])]
    if len(taken) != len(puts):
        raise BenchError(f"{len(puts)} leases put, packets came {len(firsts)} times")
    return taken


def measure(lab, etcd, lease_counts, pod_counts, puts, say):
    """@return (control plane, costs of programs)"""
    control, costs = {"leases": {}}, []
    for leases in lease_counts:
        control["leases"][str(leases)], more = at_scale(lab, etcd, leases)
        costs += more
        say(f"{leases:,} leases done")
    for pods in pod_counts:
        costs += many_pods(lab, etcd, pods)
        say(f"{pods:,} pods done")
    taken = put_to_packet(lab, etcd, puts)
    control |= {"put_to_packet_ms": statistics.median(taken), "put_to_packet_min_ms": min(taken),
                "put_to_packet_max_ms": max(taken)}
    control["start_s"], control["restart_s"] = starts(lab, etcd)
    say("control plane done")
    return control, costs


def cni(pods, at_once):
    """Medians by chain; and how many times the pods a second of flannel's chain weft's takes."""
    found = json.loads(run(tool("cni_bench"), "--rounds", pods, "--at-once", at_once).splitlines()[-1])
    flannels, wefts = (found[chain]["at once"]["ADD of all"] for chain in ("flannel's chain", "weft, portmap"))
    return found | {"rate_to_chain": flannels / wefts}
