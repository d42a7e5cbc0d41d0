# SPDX-License-Identifier: Apache-2.0
"""Three nodes, their pods, and the traffic between them."""
import json
import os
from dataclasses import dataclass, field

from suite.lab import STATE, BenchError, Namespace, wait_until
from suite.tools import tool
from suite.weft import WeftNode

from .etcd_members import PREFIX, EtcdMembers
from .flows import Flow

UDP_INTERVAL_US, TCP_INTERVAL_US = 2000, 20_000
RECOVERY_S = 20  # what is not put right by then never will be, as far as this is concerned


@dataclass
class Pod:
    ns: Namespace
    address: str


@dataclass
class Node:
    name: str
    ns: Namespace
    address: str
    weft: WeftNode = None
    pods: list = field(default_factory=list)

    def ip(self, line):
        self.ns.ip(line)

    def pod_link(self, pod):
        return next(row["ifname"] for row in self.weft.ctl("endpoints") if row["address"] == pod.address)

    def subnet(self):
        text = (self.weft.directory / "subnet.env").read_text(encoding="ascii")
        gateway = dict(line.split("=") for line in text.split())["FLANNEL_SUBNET"]
        return gateway.replace(".1/", ".0/")

    def programs(self):
        """What is attached: id to program and place."""
        return {row["id"]: f"{row['program']} on {row['ifname']}"
                for row in self.weft.ctl("status")["datapath"]["programs"]}

    def reserved(self):
        """Addresses that IPAM has given."""
        return sorted(name for name in os.listdir(self.weft.directory / "cni" / "cbr0") if name[0].isdigit())

    def kernel_state(self):
        """All of weft's in the kernel and on the disk, without what counts or may be numbered anew."""
        said = self.weft.ctl("status")
        return {
            "routes": sorted(self._out("ip", "-o", "route", "show", "proto", "119")),
            "addresses": sorted(line.partition("inet ")[2] for line in self._out("ip", "-o", "-4", "address", "show", "dev",
                                                                                 "weft.1")),
            "neighbours": sorted(self._out("ip", "neigh", "show", "dev", "weft.1", "nud", "permanent")),
            "programs": sorted((row["ifname"], row["hook"], row["program"]) for row in said["datapath"]["programs"]),
            "leases": _rows(self.weft.ctl("leases"), "subnet", "node", "next_hop", "ifname", "mtu", "vtep_mac", "encap"),
            "senders": said["datapath"]["senders"],
            "endpoints": _rows(self.weft.ctl("endpoints"), "address", "ifname", "pod_mac", "host_mac"),
            "pins": sorted(os.listdir(self.weft.bpf_dir)),
            "rules": [line for line in self._out("nft", "--stateless", "list", "ruleset") if line],
            "forwarding": self._out("sysctl", "-n", "net.ipv4.ip_forward"),
            "subnet.env": (self.weft.directory / "subnet.env").exists(),
        }

    def _out(self, *words):
        return self.ns.run(*words, check=False).splitlines()


def _rows(rows, *names):
    return sorted(tuple(str(row[name]) for name in names) for row in rows)


class World:
    def __init__(self, lab, programs):
        """@param programs: for each build that takes part, the path of a program from its name"""
        self._lab = lab
        self.builds = programs
        self.etcd = EtcdMembers(lab)
        self.etcd.configure(PREFIX, Network="10.244.0.0/16", Backend={"Type": "vxlan"})
        self.nodes = [self.make_node("a"), self.make_node("b"), self.make_node("c", "--datapath=xdp")]
        for node in self.nodes:
            node.weft.wait_ready()
        for node in self.nodes:
            wait_until(lambda: len(node.weft.ctl("leases")) == len(self.nodes) - 1, f"{node.name} does not know the others")
            node.pods = [self.make_pod(node, f"{node.name}{i}") for i in (1, 2)]
        self.flows = []

    @property
    def xdp_node(self):
        return self.nodes[2]

    def choose_ours(self, rng):
        """A node that runs this build and not the other; None: there is none."""
        return rng.choice([node for node in self.nodes if node.weft.program is self.builds[0]] or [None])

    def make_node(self, name, *flags):
        ns = self._lab.namespace(f"soak-{name}")
        address = self.etcd.plug(ns, "eth0")
        ns.sysctl(net__ipv4__ip_forward=1)
        node = Node(name, ns, address)
        node.weft = WeftNode(self._lab, node, f"soak-{name}", PREFIX, ("--firewall=nftables", "--log-level=debug", *flags),
                             self.builds[0], self.etcd.endpoints)
        node.weft.launch()
        return node

    def make_pod(self, node, name):
        ns = self._lab.namespace(f"soak-pod-{name}")
        return Pod(ns, node.weft.add(ns))

    def remove_pod(self, node, pod):
        node.weft.delete(node.weft.added, pod.ns)
        self._lab.remove([pod.ns])

    def lose_pod(self, pod):
        self._lab.remove([pod.ns])

    def remove_node(self, node):
        """Whose weftd has ended."""
        self._lab.remove([node.ns])

    def kill(self, process, how):
        self._lab.stop(process, how)

    def start_traffic(self):
        """Between all nodes, on one node, and from a node itself; each way crosses each node."""
        a, b, c = self.nodes
        for pod in [pod for node in self.nodes for pod in node.pods]:
            said = STATE / f"{pod.ns.name}.log"
            pod.ns.spawn(tool("checked_flow"), "serve", log=said.name)
            wait_until(lambda: said.exists() and "serving" in said.read_text(encoding="ascii"), f"{pod.ns.name} does not serve")
        ways = [("udp", a.pods[0].ns, b.pods[0]), ("udp", b.pods[0].ns, c.pods[0]), ("udp", c.pods[0].ns, a.pods[0]),
                ("udp", b.pods[0].ns, b.pods[1]), ("udp", a.ns, b.pods[0]),
                ("tcp", b.pods[1].ns, a.pods[1]), ("tcp", c.pods[1].ns, b.pods[1]), ("tcp", a.pods[1].ns, c.pods[1])]
        self.flows = [Flow(self._lab, kind, source, target, TCP_INTERVAL_US if kind == "tcp" else UDP_INTERVAL_US)
                      for kind, source, target in ways]
        for flow in self.flows:
            flow.wait_flowing()

    def reaches(self, ns, pod):
        return "1 received" in ns.run("ping", "-c1", "-W1", pod.address, check=False)

    def wait_reachable(self):
        """Until every node and a pod of it reaches a pod of every other."""
        for node in self.nodes:
            for other in self.nodes:
                if other is node:
                    continue
                for ns in (node.ns, node.pods[0].ns):
                    wait_until(lambda: self.reaches(ns, other.pods[0]), f"{ns.name} does not reach {other.pods[0].ns.name}",
                               RECOVERY_S)

    def wait_as_before(self, node, before, patience):
        """Until everything of weft's on a node is what it was."""
        now = {}

        def same():
            try:
                now.update(node.kernel_state())
            except (BenchError, FileNotFoundError, json.JSONDecodeError, KeyError, TypeError):
                return False  # of what it is made of, something is missing
            return now == before
        try:
            wait_until(same, "", patience, 0.05)
        except BenchError:
            wrong = "; ".join(f"{name}: {before[name]} is {now.get(name)}" for name in before if now.get(name) != before[name])
            raise BenchError(f"not put right within {patience:g} s: {wrong}") from None
