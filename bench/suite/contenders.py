# SPDX-License-Identifier: Apache-2.0
"""Who is measured. Each stands ready, side by side with the others, before the first measurement."""
from collections.abc import Callable
from dataclasses import dataclass

from . import flannel, frames, services, tools, weft
from .topology import Pair, Path


@dataclass(frozen=True)
class Contender:
    name: str
    title: str
    carry: Callable  # (pair, etcd) -> WeftNodes or None: makes the pods of a pair reach each other
    baseline: str = "flannel"  # whom it is compared with
    with_pods: bool = True
    tunnel: str = ""  # the vxlan device of a node, where packets between nodes are VXLAN
    wires: tuple = ()  # only on these; empty: on all
    measurements: tuple = ()  # only these; empty: all


def _flannel(backend):
    return lambda pair, _etcd: flannel.set_up(pair, backend)


def _weft(backend, *flags, program=tools.binary):
    return lambda pair, etcd: weft.set_up(pair, etcd, backend, flags, program)


def _with_services(count, carry):
    def carry_beside(pair, etcd):
        services.load(pair, count)
        return carry(pair, etcd)
    return carry_beside


# What new connections and small packets cost is where rules would show.
RULED = {"wires": ("framed",), "measurements": ("tcp-rr", "tcp-crr", "udp-64")}
# What an option could cost shows on the wire whose packets are many.
OPTIONAL = {"wires": ("framed",), "measurements": ("tcp-1", "tcp-rr", "tcp-crr", "udp-64")}

CONTENDERS = {contender.name: contender for contender in (
    Contender("host", "host to host", lambda pair, etcd: None, with_pods=False),
    Contender("flannel", "flannel", _flannel("vxlan"), tunnel="flannel.1"),
    Contender("weft", "weft", _weft("vxlan", "--datapath=tc"), tunnel="weft.1"),
    Contender("weft-other", "weft, other build", _weft("vxlan", "--datapath=tc", program=tools.other_binary), "weft",
              tunnel="weft.1"),
    Contender("weft-xdp", "weft, XDP", _weft("vxlan", "--datapath=xdp"), tunnel="weft.1"),
    Contender("weft-stack", "weft, fast path off", _weft("vxlan", "--fast-path=off"), tunnel="weft.1", wires=("framed",)),
    Contender("weft-peers", "weft, all backends taken", _weft("vxlan", "--peer-backends=vxlan,host-gw,udp,ipip"),
              tunnel="weft.1", **OPTIONAL),
    Contender("weft-no-rules", "weft, no firewall rules", _weft("vxlan", "--ip-masq=false", "--iptables-forward-rules=false"),
              tunnel="weft.1", **OPTIONAL),
    Contender("weft-checks-off", "weft, checks off", _weft("vxlan", "--datapath=tc", "--check=all=off"), tunnel="weft.1",
              **OPTIONAL),
    Contender("flannel-host-gw", "flannel host-gw", _flannel("host-gw"), baseline="flannel-host-gw"),
    Contender("weft-host-gw", "weft host-gw", _weft("host-gw"), baseline="flannel-host-gw"),
    Contender("flannel-1k", "flannel, 1,000 services", _with_services(1000, _flannel("vxlan")), "flannel-1k",
              tunnel="flannel.1", **RULED),
    Contender("weft-1k", "weft, 1,000 services", _with_services(1000, _weft("vxlan")), "flannel-1k", tunnel="weft.1",
              **RULED),
    Contender("flannel-10k", "flannel, 10,000 services", _with_services(10000, _flannel("vxlan")), "flannel-10k",
              tunnel="flannel.1", **RULED),
    Contender("weft-10k", "weft, 10,000 services", _with_services(10000, _weft("vxlan")), "flannel-10k",
              tunnel="weft.1", **RULED),
)}


def stand_up(lab, etcd, contender, mtu):
    """@return its Path, with servers running"""
    pair = Pair(lab, f"{contender.name}-{mtu}", mtu, contender.with_pods)
    nodes = contender.carry(pair, etcd) or []
    if contender.with_pods:
        near, neighbour, far = *pair.a.pods, *pair.b.pods
        path = Path(pair, near.ns, far.ns, far.address, neighbour, nodes)
    else:
        path = Path(pair, pair.a.ns, pair.b.ns, pair.b.address)
    path.serve()
    return path


def frame_to_server(contender, path):
    """What the client's node would put on the wire for a 64-byte datagram from client to server."""
    uplinks = [node.ns.link("eth0")["address"] for node in path.pair.nodes]
    source = path.pair.a.pods[0].address if contender.with_pods else path.pair.a.address
    packet = frames.ipv4(source, path.target, frames.udp(), ttl=63)
    if contender.tunnel:
        vteps = [node.ns.link(contender.tunnel)["address"] for node in path.pair.nodes]
        inner = frames.ethernet(vteps[1], vteps[0], packet)
        packet = frames.ipv4(path.pair.a.address, path.pair.b.address, frames.vxlan(inner))
    return frames.padded(frames.ethernet(uplinks[1], uplinks[0], packet))
