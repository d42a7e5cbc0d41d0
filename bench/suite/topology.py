# SPDX-License-Identifier: Apache-2.0
"""Two nodes and their pods, before anything carries packets between them."""
from dataclasses import dataclass, field

from .lab import CLIENT_CPU, SERVER_CPU, Namespace, wait_until
from .tools import tool

IPERF_PORT, TRANSACTION_PORT = 5201, 7007


@dataclass
class Node:
    name: str
    number: int  # 1 or 2: the last octet of its address
    ns: Namespace
    address: str
    pods: list = field(default_factory=list)


@dataclass
class Pod:
    ns: Namespace
    address: str = ""  # once it is wired


class Pair:
    """Nodes a and b, joined by a veth pair eth0; two pods on a, one on b, not wired yet.

    With `with_pods` false it is the bare nodes: host to host."""

    def __init__(self, lab, name, mtu, with_pods):
        self.lab = lab
        self.name = name
        self.mtu = mtu
        self.nodes = [Node(letter, number, lab.namespace(f"{name}-{letter}"), f"192.0.2.{number}")
                      for number, letter in enumerate("ab", 1)]
        self.a, self.b = self.nodes
        self.a.ns.ip(f"link add eth0 mtu {mtu} type veth peer name eth0 mtu {mtu} netns {self.b.ns.name}")
        for node in self.nodes:
            node.ns.ip(f"address add {node.address}/24 dev eth0\nlink set eth0 up")
            node.ns.sysctl(net__ipv4__ip_forward=1)
            # A short window of new connections must not fill the machine's one conntrack table for the next contender.
            node.ns.sysctl(net__netfilter__nf_conntrack_tcp_timeout_time_wait=3)
        if with_pods:
            self.a.pods = [Pod(lab.namespace(f"{name}-a{i}")) for i in (1, 2)]
            self.b.pods = [Pod(lab.namespace(f"{name}-b1"))]

    def set_wire(self, wire):
        for node, cpu in zip(self.nodes, (CLIENT_CPU, SERVER_CPU)):
            # What XDP on the other end forbids (segmentation) cannot be switched on: that is part of the contender.
            node.ns.run("ethtool", "-K", "eth0", *wire.offloads, check=False)
            node.ns.receive_on("eth0", cpu if wire.apart and wire.gro else None)
            node.ns.steer_to(cpu if wire.apart and not wire.gro else None)

    def namespaces(self):
        return [self.a.ns, self.b.ns, *(pod.ns for node in self.nodes for pod in node.pods)]


@dataclass
class Path:
    """A way for packets: what a measurement needs to know of a contender."""
    pair: Pair
    client: Namespace
    server: Namespace
    target: str            # the server's address
    neighbour: Pod = None  # a pod on the client's node, with servers too
    weft: list = field(default_factory=list)  # its nodes, where weft carries the packets

    def serve(self):
        """Servers at both targets, on the CPU that servers have."""
        places = [(self.server, self.target)]
        if self.neighbour:
            places.append((self.neighbour.ns, self.neighbour.address))
        for ns, _ in places:
            ns.spawn("iperf3", "--server", cpu=SERVER_CPU)
            ns.spawn(tool("transactions"), "serve", cpu=SERVER_CPU)
        # Ports of connections that a short window made are used again after a second, not after a minute.
        self.client.sysctl(net__ipv4__tcp_tw_reuse=1, net__ipv4__ip_local_port_range="1024 65000")
        for _, target in places:
            for port in (IPERF_PORT, TRANSACTION_PORT):
                wait_until(lambda: self._answers(target, port), f"{self.pair.name}: nobody answers at {target}:{port}")

    def _answers(self, target, port):
        probe = f"exec 3<>/dev/tcp/{target}/{port}"
        return self.client.run("timeout", "1", "bash", "-c", f"{probe} && echo yes", check=False) == "yes\n"
