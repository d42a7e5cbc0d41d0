# SPDX-License-Identifier: Apache-2.0
"""Many nodes, each with a weftd of its own, on one switch with etcd."""
import json
import signal
import time
from dataclasses import dataclass

from suite.etcd_keys import SUBNET_LEN, mac_of, value
from suite.lab import STATE, BenchError, Namespace, wait_until
from suite.tools import tool
from suite.weft import ENDPOINT, WeftNode

PREFIX = "/scale/network"


def subnet_of(number):
    """A node's, asked for by subnet.env, so that it is known before it is there."""
    return f"10.1.{number >> 1}.{(number & 1) << 7}"


@dataclass
class Node:
    number: int
    ns: Namespace
    address: str
    weft: WeftNode = None

    @property
    def subnet(self):
        return f"{subnet_of(self.number)}/{SUBNET_LEN}"

    @property
    def key(self):
        return f"{PREFIX}/subnets/{self.subnet.replace('/', '-')}"

    @property
    def lease_value(self):
        return value(self.address, mac_of(self.number))


class Cluster:
    """What an operator does with nodes: adds them, loses them, takes them out."""

    def __init__(self, lab, etcd):
        self._lab = lab
        self.etcd = etcd
        self.nodes = []
        # 131,072 subnets. The nodes' are of 10.1.0.0/16; those of nodes that are keys in etcd only lie behind it.
        etcd.configure(PREFIX, Network="10.0.0.0/8", SubnetLen=SUBNET_LEN, SubnetMin="10.1.0.0", SubnetMax="10.1.127.128",
                       Backend={"Type": "vxlan"})

    def make_node(self, *flags):
        """A node that has never run weftd."""
        number = len(self.nodes) + 1
        ns = self._lab.namespace(f"node{number}")
        node = Node(number, ns, self.etcd.plug(ns, "eth0"))
        node.weft = WeftNode(self._lab, node, f"node{number}", PREFIX, flags)
        self.nodes.append(node)
        self._wish_subnet(node)
        return node

    @staticmethod
    def _wish_subnet(node):
        first = subnet_of(node.number).rpartition(".")
        gateway = f"{first[0]}.{int(first[2]) + 1}"
        (node.weft.directory / "subnet.env").write_text(
            f"FLANNEL_NETWORK=10.0.0.0/8\nFLANNEL_SUBNET={gateway}/{SUBNET_LEN}\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n",
            encoding="ascii")

    def grow_to(self, count):
        """All that are missing at once. @return seconds until every node has every other's lease"""
        new = [self.make_node() for _ in range(count - len(self.nodes))]
        begin = time.monotonic()
        for node in new:
            node.weft.launch()
        return self.wait_for_leases(count - 1) - begin

    def wait_for_leases(self, count):
        """Until each node has so many of other nodes. @return when the last had"""
        return max(node.weft.wait_until_last_said(f" {count} leases of other nodes") for node in self.nodes)

    def drop_strangers(self):
        """Leases of nodes that are keys in etcd only."""
        self._etcdctl("del", "--prefix", f"{PREFIX}/subnets/10.8.")
        self.wait_for_leases(len(self.nodes) - 1)

    def others(self, node):
        return [other for other in self.nodes if other is not node]

    def watch(self, subnet, nodes, what, seconds=20):
        return LeaseWatch(self._lab, subnet, nodes, what, seconds)

    def kill(self, node):
        self._lab.stop(node.weft.process, signal.SIGKILL)

    def delete_lease(self, node):
        """@return when it was asked for"""
        at = time.monotonic_ns()
        self._etcdctl("del", node.key)
        return at

    def revoke_lease(self, node):
        """What etcd does itself at the end of a lease's time."""
        lease = json.loads(self._etcdctl("get", node.key, "--write-out=json"))["kvs"][0]["lease"]
        at = time.monotonic_ns()
        self._etcdctl("lease", "revoke", f"{lease:x}")
        return at

    def let_expire(self, node, ttl):
        """The node's key gets a short lease that nobody renews. @return the moment at which its time is over"""
        lease = json.loads(self._etcdctl("lease", "grant", ttl, "--write-out=json"))["ID"]
        at = time.monotonic_ns() + ttl * 1_000_000_000
        self._etcdctl("put", node.key, node.lease_value, f"--lease={lease:x}")
        return at

    def forget(self, node):
        """The node as if it had never run weftd."""
        node.weft.ctl("cleanup", f"--subnet-file={node.weft.directory}/subnet.env")
        self._wish_subnet(node)

    def cpu_seconds(self):
        return sum(node.weft.cpu_seconds() for node in self.nodes)

    def wire_bytes(self):
        """Frames of all nodes' uplinks so far, both directions, acknowledgements and keep-alives included."""
        total = 0
        for node in self.nodes:
            stats = json.loads(node.ns.run("ip", "-s", "-json", "link", "show", "eth0"))[0]["stats64"]
            total += stats["rx"]["bytes"] + stats["tx"]["bytes"]
        return total

    def _etcdctl(self, *words):
        return self.etcd.ns.run("etcdctl", "--endpoints", ENDPOINT, *words)


class LeaseWatch:
    """Looks into the maps of nodes from its making on."""

    def __init__(self, lab, subnet, nodes, what, seconds):
        self._lab = lab
        self._said = STATE / "lease_watch.log"
        self._said.unlink(missing_ok=True)
        self._process = lab.spawn(tool("lease_watch"), subnet, f"--{what}", "--seconds", seconds,
                                  *(node.weft.bpf_dir for node in nodes), log=self._said.name)
        wait_until(lambda: self._process.poll() is not None or "watching" in self._said.read_text(encoding="utf-8"),
                   "lease_watch does not begin", interval=0.002)

    def milliseconds_after(self, begin_ns):
        """One number a node; None where it was not so in time."""
        if self._process.wait() != 0:
            raise BenchError(self._said.read_text(encoding="utf-8"))
        self._lab.stop(self._process)
        seen = json.loads(self._said.read_text(encoding="utf-8").splitlines()[-1])["seen_ns"]
        return [None if at is None else (at - begin_ns) / 1e6 for at in seen]
