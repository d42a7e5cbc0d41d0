# SPDX-License-Identifier: Apache-2.0
"""What lies between two nodes: how long packets on it may be, what is left to the "hardware" of a veth, on whose CPU it works."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Wire:
    name: str
    title: str
    mtu: int = 1500
    # Everything is named, so that one wire can follow another on the same veth.
    offloads: tuple = ("tx", "on", "tso", "on", "gso", "on", "gro", "off")
    # On a veth the sender's CPU and the receiver's work for both nodes, as chance has it. On two machines they cannot.
    apart: bool = False
    measurements: tuple = ()  # only these; empty: all

    @property
    def gro(self):
        """Without it a veth has no ring: what one CPU sends is taken up by that CPU, and may overtake another's."""
        return "on" == self.offloads[self.offloads.index("gro") + 1]


FRAMES = ("tx", "on", "tso", "off", "gso", "off", "gro", "on")
CABLE = ("tx", "off", "tso", "off", "gso", "off", "gro", "on")

WIRES = {wire.name: wire for wire in (
    Wire("offload", "64 KiB packets cross whole, checksums half done: a NIC with every offload",
         measurements=("tcp-1", "same-node-tcp", "same-node-rr")),
    Wire("offload-apart", "offload, and each node works on a CPU of its own, as two machines do", apart=True,
         measurements=("tcp-1",)),
    Wire("framed", "MTU-sized frames, checksums half done: a NIC without tunnel segmentation", offloads=FRAMES),
    Wire("apart", "framed, and each node receives on a CPU of its own, as two machines do", offloads=FRAMES, apart=True,
         measurements=("tcp-1", "tcp-4")),
    Wire("bare", "MTU-sized frames, full checksums in software: what is on a cable", offloads=CABLE,
         measurements=("tcp-1", "tcp-4", "udp-64")),
    Wire("jumbo", "frames of 9,000 bytes, checksums half done", mtu=9000, offloads=FRAMES, measurements=("tcp-1",)),
    Wire("64k", "frames of 65,000 bytes, checksums half done", mtu=65000, offloads=FRAMES,
         measurements=("tcp-1", "tcp-rr-64k")),
)}
