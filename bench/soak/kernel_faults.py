# SPDX-License-Identifier: Apache-2.0
"""Faults of the kernel's network: somebody deletes or changes what weft needs.

Each function does the harm, waits until the node is as before, and says what it hit."""
import json
import signal
import time

from suite.lab import BenchError, run, wait_until
from suite.tools import tool

from .control_faults import NOBODY

REPAIRED_S = 5  # at the latest: two seconds, and the machine is a busy one


def _and_back(world, node, harm):
    before = node.kernel_state()
    harm()
    world.wait_as_before(node, before, REPAIRED_S)


def _ip(world, rng, line, node=None):
    node = node or rng.choice(world.nodes)
    _and_back(world, node, lambda: node.ip(line))
    return f"on {node.name}"


def vtep_deleted(world, rng):
    return _ip(world, rng, "link del weft.1")


def overlay_route_deleted(world, rng):
    return _ip(world, rng, "route del 10.244.0.0/16")


def pod_route_deleted(world, rng):
    node = rng.choice(world.nodes)
    pod = rng.choice(node.pods)
    _ip(world, rng, f"route del {pod.address}/32", node)
    return f"of {pod.address} on {node.name}"


def program_detached(device, hook):
    """By TCX, where nobody is told of it."""
    def harm(world, rng):
        node = rng.choice(world.nodes)
        _and_back(world, node, lambda: node.ns.run(tool("detach_program"), device, hook))
        return f"on {node.name}"
    return harm


def pod_program_detached(world, rng):
    """With its qdisc, where it has one: the plugin attaches to clsact, and what comes back is attached by TCX."""
    node = rng.choice(world.nodes)
    pod = rng.choice(node.pods)
    link = node.pod_link(pod)
    if "clsact" in node.ns.run("tc", "qdisc", "show", "dev", link):
        _and_back(world, node, lambda: node.ns.run("tc", "qdisc", "del", "dev", link, "clsact"))
        return f"of {pod.address} on {node.name}, with its qdisc"
    _and_back(world, node, lambda: node.ns.run(tool("detach_program"), link, "ingress"))
    return f"of {pod.address} on {node.name}"


def xdp_program_detached(world, _rng):
    node = world.xdp_node
    _and_back(world, node, lambda: node.ip("link set dev eth0 xdp off"))
    return f"on {node.name}"


def map_entry_deleted(name):
    def harm(world, rng):
        node = rng.choice(world.nodes)
        pin = next(node.weft.bpf_dir.glob(f"{name}_v*"))
        entry = rng.choice(json.loads(run("bpftool", "--json", "map", "dump", "pinned", pin)))
        _and_back(world, node, lambda: run("bpftool", "map", "delete", "pinned", pin, "key", "hex",
                                           *(byte.removeprefix("0x") for byte in entry["key"])))
        return f"in {pin.name} on {node.name}"
    return harm


def pin_removed(world, rng):
    node = rng.choice(world.nodes)
    pin = rng.choice(sorted(node.weft.bpf_dir.iterdir()))
    _and_back(world, node, pin.unlink)
    return f"{pin.name} on {node.name}"


def firewall_flushed(world, rng):
    """As `systemctl reload nftables` does it."""
    node = rng.choice(world.nodes)
    _and_back(world, node, lambda: node.ns.run("nft", "flush", "ruleset"))
    return f"on {node.name}"


def forwarding_off(world, rng):
    node = rng.choice(world.nodes)
    _and_back(world, node, lambda: node.ns.sysctl(net__ipv4__ip_forward=0))
    return f"on {node.name}"


def neighbours_flushed(world, rng):
    """Those of the uplink, and weft.1's permanent one."""
    def flush():
        node.ns.run("ip", "neigh", "flush", "dev", "eth0")
        node.ns.run("ip", "neigh", "flush", "dev", "weft.1", "nud", "permanent")
    node = rng.choice(world.nodes)
    _and_back(world, node, flush)
    return f"on {node.name}"


def uplink_bounced(world, rng):
    def bounce():
        node.ip("link set eth0 down")
        time.sleep(rng.uniform(0, 0.8))
        node.ip("link set eth0 up")
    node = rng.choice(world.nodes)
    _and_back(world, node, bounce)
    return f"on {node.name}"


def uplink_mtu_changed(world, rng):
    """Smaller, and what was: both are followed."""
    def change():
        node.ip("link set eth0 mtu 1400")
        time.sleep(rng.uniform(0, 1))
        node.ip("link set eth0 mtu 1500")
    node = rng.choice(world.nodes)
    _and_back(world, node, change)
    return f"on {node.name}"


def uplink_mac_changed(world, rng):
    """To another one and back. Both are announced, as weftd has asked the kernel to."""
    node = rng.choice(world.nodes)
    before = node.kernel_state()
    mac = node.ns.link("eth0")["address"]
    node.ip(f"link set eth0 address 02:00:00:00:00:{rng.randrange(256):02x}")
    world.wait_reachable()
    node.ip(f"link set eth0 address {mac}")
    world.wait_as_before(node, before, REPAIRED_S)
    world.wait_reachable()
    return f"on {node.name}"


def uplink_address_changed(world, rng):
    """As a DHCP server may do it: peers learn the new one from etcd."""
    node = rng.choice(world.nodes)
    old = _readdress(world, node)
    _wait_peers_know_address(world, node)
    return f"{old} of {node.name} to {node.address}"


def uplink_address_changed_unseen(world, rng):
    """While weftd is away: it knows its lease again by what it wrote last. Another build may not."""
    node = world.choose_ours(rng)
    if node is None:
        return NOBODY
    subnet = node.subnet()
    world.kill(node.weft.process, signal.SIGKILL)
    old = _readdress(world, node)
    node.weft.launch()
    _wait_peers_know_address(world, node)
    if node.subnet() != subnet:
        raise BenchError(f"{node.name} has {node.subnet()} now and not {subnet}")
    return f"{old} of {node.name} to {node.address}"


def _readdress(world, node):
    old, node.address = node.address, world.etcd.spare_address()
    node.ip(f"address del {old}/16 dev eth0\naddress add {node.address}/16 dev eth0")
    return old


def _wait_peers_know_address(world, node):
    for other in world.nodes:
        if other is not node:
            wait_until(lambda: any(row["node"] == node.address for row in other.weft.ctl("leases")),
                       f"{other.name} does not learn {node.name}'s new address {node.address}")
