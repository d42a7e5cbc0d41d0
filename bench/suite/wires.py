# SPDX-License-Identifier: Apache-2.0
"""What lies between two nodes: how long packets on it may be, and what is left to the "hardware" of a veth."""
from dataclasses import dataclass


@dataclass(frozen=True)
class Wire:
    name: str
    title: str
    mtu: int = 1500
    # Everything is named, so that one wire can follow another on the same veth.
    offloads: tuple = ("tx", "on", "tso", "on", "gso", "on", "gro", "off")


FRAMES = ("tx", "on", "tso", "off", "gso", "off", "gro", "on")
CABLE = ("tx", "off", "tso", "off", "gso", "off", "gro", "on")

WIRES = {wire.name: wire for wire in (
    Wire("offload", "64 KiB packets cross whole, checksums half done: a NIC with every offload"),
    Wire("framed", "MTU-sized frames, checksums half done: a NIC without tunnel segmentation", offloads=FRAMES),
    Wire("bare", "MTU-sized frames, full checksums in software: what is on a cable", offloads=CABLE),
    Wire("jumbo", "frames of 9,000 bytes, checksums half done", mtu=9000, offloads=FRAMES),
    Wire("64k", "frames of 65,000 bytes, checksums half done", mtu=65000, offloads=FRAMES),
)}
