# SPDX-License-Identifier: Apache-2.0
"""An etcd of three members, any of which can be lost, frozen and brought back."""
import json
import signal

from suite.lab import STATE, wait_until
from suite.weft import Switch

COUNT = 3
PREFIX = "/soak/network"


class Member:
    def __init__(self, number):
        self.name = f"etcd{number}"
        self.address = f"198.18.255.{number}"
        self.client, self.peer = f"http://{self.address}:2379", f"http://{self.address}:2380"
        self.process = None


class EtcdMembers(Switch):
    """Its data outlives its members."""

    def __init__(self, lab):
        super().__init__(lab)
        self._lab = lab
        self.members = [Member(number) for number in range(1, COUNT + 1)]
        for member in self.members:
            self.ns.ip(f"address add {member.address}/16 dev lan")
        self.start(self.members)

    @property
    def endpoints(self):
        return ",".join(member.client for member in self.members)

    def start(self, members):
        for member in members:
            member.process = self.ns.spawn(
                "etcd", "--name", member.name, "--data-dir", STATE / member.name, "--listen-client-urls", member.client,
                "--advertise-client-urls", member.client, "--listen-peer-urls", member.peer,
                "--initial-advertise-peer-urls", member.peer, "--initial-cluster-token", "soak", "--initial-cluster",
                ",".join(f"{one.name}={one.peer}" for one in self.members), "--logger=zap", "--log-outputs=stderr",
                "--unsafe-no-fsync", log=f"{member.name}.log")
        self.wait_healthy()

    def wait_healthy(self):
        wait_until(self._healthy, "etcd does not answer", timeout=60, interval=0.1)

    def _healthy(self):
        told = self.ns.run("timeout", "2", "etcdctl", "--endpoints", self.endpoints, "endpoint", "health",
                           "--write-out=json", check=False)
        return told.count('"health":true') == COUNT

    def stop(self, members, how):
        for member in members:
            self._lab.stop(member.process, how)

    def freeze(self, member):
        member.process.send_signal(signal.SIGSTOP)

    def thaw(self, member):
        member.process.send_signal(signal.SIGCONT)

    def leader(self):
        told = json.loads(self.etcdctl("endpoint", "status", "--write-out=json"))
        address = next(row["Endpoint"] for row in told if row["Status"]["leader"] == row["Status"]["header"]["member_id"])
        return next(member for member in self.members if member.client == address)

    def etcdctl(self, *words):
        return self.ns.run("etcdctl", "--endpoints", self.endpoints, *words)

    def configure(self, prefix, **net_conf):
        self.etcdctl("put", f"{prefix}/config", json.dumps(net_conf))

    def delete(self, key):
        """@return the revision that it made"""
        return json.loads(self.etcdctl("del", key, "--write-out=json"))["header"]["revision"]

    def revoke(self, key):
        """What etcd does itself at the end of a lease's time: the key goes with it."""
        lease = json.loads(self.etcdctl("get", key, "--write-out=json"))["kvs"][0]["lease"]
        self.etcdctl("lease", "revoke", f"{lease:x}")
