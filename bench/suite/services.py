# SPDX-License-Identifier: Apache-2.0
"""A node's rules as kube-proxy's iptables mode keeps them for a number of ClusterIP services."""


def rules(count):
    """`count` services of one port and two backends each, none of them what is measured."""
    nat = ["*nat", ":KUBE-SERVICES - [0:0]", ":KUBE-POSTROUTING - [0:0]", ":KUBE-MARK-MASQ - [0:0]"]
    body = ["-A PREROUTING -j KUBE-SERVICES", "-A OUTPUT -j KUBE-SERVICES", "-A POSTROUTING -j KUBE-POSTROUTING",
            "-A KUBE-MARK-MASQ -j MARK --set-xmark 0x4000/0x4000",
            "-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN",
            "-A KUBE-POSTROUTING -j MARK --set-xmark 0x4000/0x0", "-A KUBE-POSTROUTING -j MASQUERADE --random-fully"]
    for i in range(count):
        service, cluster_ip = f"KUBE-SVC-{i:016}", f"10.96.{i >> 8}.{i & 255}"
        nat.append(f":{service} - [0:0]")
        body.append(f"-A KUBE-SERVICES -d {cluster_ip}/32 -p tcp -m tcp --dport 80 -j {service}")
        body.append(f"-A {service} ! -s 10.244.0.0/16 -d {cluster_ip}/32 -p tcp -m tcp --dport 80 -j KUBE-MARK-MASQ")
        for backend in (0, 1):
            endpoint, pod = f"KUBE-SEP-{i:015}{backend}", f"10.244.{200 + (i >> 12)}.{(i * 2 + backend) & 255}"
            choice = "" if backend else "-m statistic --mode random --probability 0.50000000000 "
            nat.append(f":{endpoint} - [0:0]")
            body += [f"-A {service} {choice}-j {endpoint}", f"-A {endpoint} -s {pod}/32 -j KUBE-MARK-MASQ",
                     f"-A {endpoint} -p tcp -m tcp -j DNAT --to-destination {pod}:8080"]
    return "\n".join([*nat, *body, "COMMIT", FILTER])


FILTER = """*filter
:KUBE-FORWARD - [0:0]
:KUBE-SERVICES - [0:0]
-A FORWARD -m conntrack --ctstate NEW -j KUBE-SERVICES
-A FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
"""


def load(pair, count):
    """To be called before all that makes rules: iptables-nft takes minutes for 10,000 services beside other rules."""
    for node in pair.nodes:
        node.ns.run("iptables-restore", stdin=rules(count))
