# SPDX-License-Identifier: Apache-2.0
"""A node's data path as flannel sets it up: bridge, static neighbour, FDB entry and route, its rules, bridge-nf on."""

OVERHEAD = {"vxlan": 50, "host-gw": 0}
NETWORK = "10.244.0.0/16"


def rules(number):
    """flannel's own, of node `number` with subnet 10.244.<number>.0/24."""
    subnet = f"10.244.{number}.0/24"
    return f"""*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -j RETURN
-A FLANNEL-POSTRTG -s {subnet} -d {NETWORK} -j RETURN
-A FLANNEL-POSTRTG -s {NETWORK} -d {subnet} -j RETURN
-A FLANNEL-POSTRTG ! -s {NETWORK} -d {subnet} -j RETURN
-A FLANNEL-POSTRTG -s {NETWORK} ! -d 224.0.0.0/4 -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s {NETWORK} -d {NETWORK} -j MASQUERADE --random-fully
COMMIT
*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s {NETWORK} -j ACCEPT
-A FLANNEL-FWD -d {NETWORK} -j ACCEPT
COMMIT
"""


def vtep_mac(number):
    return f"02:77:c0:00:02:{number:02x}"


def wire_pods(node, mtu):
    """What the bridge plugin does for each pod."""
    node.ns.ip(f"link add cni0 mtu {mtu} type bridge\nlink set cni0 up\naddress add 10.244.{node.number}.1/24 dev cni0")
    for i, pod in enumerate(node.pods):
        pod.address = f"10.244.{node.number}.{i + 2}"
        node.ns.ip(f"link add veth{i} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {pod.ns.name}\n"
                   f"link set veth{i} master cni0 up")
        node.ns.run("bridge", "link", "set", "dev", f"veth{i}", "hairpin", "on")
        pod.ns.ip(f"address add {pod.address}/24 dev eth0\nlink set eth0 up\n"
                  f"route add default via 10.244.{node.number}.1")


def connect(node, peer, backend):
    """The way from `node` to `peer`'s pods."""
    subnet = f"10.244.{peer.number}.0/24"
    if backend == "host-gw":
        node.ns.ip(f"route add {subnet} via {peer.address} dev eth0")
        return
    node.ns.ip(f"link add flannel.1 address {vtep_mac(node.number)} type vxlan id 1 local {node.address} dev eth0 "
               f"dstport 8472 nolearning\n"
               f"link set flannel.1 up\n"
               f"address add 10.244.{node.number}.0/32 dev flannel.1\n"
               f"neigh add 10.244.{peer.number}.0 lladdr {vtep_mac(peer.number)} dev flannel.1 nud permanent\n"
               f"route add {subnet} via 10.244.{peer.number}.0 dev flannel.1 onlink")
    node.ns.run("bridge", "fdb", "add", vtep_mac(peer.number), "dev", "flannel.1", "dst", peer.address, "self",
                "permanent")


def set_up(pair, backend):
    for node, peer in ((pair.a, pair.b), (pair.b, pair.a)):
        connect(node, peer, backend)
        wire_pods(node, pair.mtu - OVERHEAD[backend])
        node.ns.sysctl(**{"net__bridge__bridge-nf-call-iptables": 1})
        node.ns.run("iptables-restore", "--noflush", stdin=rules(node.number))
