# SPDX-License-Identifier: Apache-2.0
"""Frames as bytes, for the generator and for programs run by themselves."""
import socket
import struct

VXLAN_PORT = 8472
ETHERTYPE_IPV4 = 0x0800
DISCARD_PORT = 9
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def ethernet(destination, source, payload, ethertype=ETHERTYPE_IPV4):
    return mac(destination) + mac(source) + struct.pack("!H", ethertype) + payload


def ipv4(source, destination, payload, protocol=UDP, ttl=64):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), 1, 0, ttl, protocol, 0,
                         socket.inet_aton(source), socket.inet_aton(destination))
    total = sum(struct.unpack("!10H", header))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return header[:10] + struct.pack("!H", ~total & 0xffff) + header[12:] + payload


def udp(payload=b"w" * 64, source=40000, destination=DISCARD_PORT):
    return struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload  # no checksum: 0


def tcp(payload=b"", source=40000, destination=DISCARD_PORT):
    """An acknowledgement in the middle of a connection."""
    return struct.pack("!HHIIBBHHH", source, destination, 1, 1, 5 << 4, 0x10, 1024, 0, 0) + payload


def vxlan(inner, vni=1):
    return udp(struct.pack("!II", 0x08000000, vni << 8) + inner, source=50000, destination=VXLAN_PORT)


def padded(frame):
    """To a multiple of 4, behind the packet's end."""
    return frame + bytes(-len(frame) % 4)
