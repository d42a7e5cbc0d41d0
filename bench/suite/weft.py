# SPDX-License-Identifier: Apache-2.0
"""etcd and weft's nodes, used from outside as an operator uses them: weftd, weftctl, the CNI plugin."""
import json
import os
import re
import signal
import socket
import threading
import time

from .lab import BPF, STATE, BenchError, run, wait_until
from .tools import binary

ETCD = "198.18.0.1"
ENDPOINT = f"http://{ETCD}:2379"


class Switch:
    """A switch that nodes are plugged into; its namespace is where etcd is."""

    def __init__(self, lab):
        self._plugged = 1
        self.ns = lab.namespace("etcd")
        self.ns.ip(f"link add lan type bridge\nlink set lan up\naddress add {ETCD}/16 dev lan")

    def spare_address(self):
        self._plugged += 1
        return f"198.18.{self._plugged >> 8}.{self._plugged & 255}"

    def plug(self, ns, device="ctl0"):
        """@return the address that the namespace has on the switch"""
        address, port = self.spare_address(), f"port{self._plugged}"
        self.ns.ip(f"link add {port} type veth peer name {device} netns {ns.name}\nlink set {port} master lan up")
        ns.ip(f"address add {address}/16 dev {device}\nlink set {device} up")
        return address


class Etcd(Switch):
    """One for the whole run. Its data lies in memory."""

    def __init__(self, lab):
        super().__init__(lab)
        self.ns.spawn("etcd", "--data-dir", STATE / "etcd", "--listen-client-urls", ENDPOINT,
                      "--advertise-client-urls", ENDPOINT, "--log-outputs=stderr", "--logger=zap", "--unsafe-no-fsync",
                      "--heartbeat-interval=20", "--election-timeout=200", log="etcd.log")
        wait_until(self._healthy, "etcd does not answer")

    def _healthy(self):
        return '"health":true' in self.ns.run("timeout", "1", "etcdctl", "--endpoints", ENDPOINT, "endpoint", "health",
                                              "--write-out=json", check=False)

    def put(self, key, value):
        self.ns.run("etcdctl", "--endpoints", ENDPOINT, "put", key, value)

    def configure(self, prefix, **net_conf):
        self.put(f"{prefix}/config", json.dumps(net_conf))


class ServiceManager:
    """What weftd tells systemd, with the time at which it came. Always read: who is not listened to waits."""

    def __init__(self, path):
        self.said = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            said = self._socket.recv(4096).decode()
            self.said.append((time.monotonic(), said))


class WeftNode:
    """weftd on one node, with directories of its own."""

    def __init__(self, lab, node, name, prefix, flags=(), program=binary, endpoints=ENDPOINT):
        """@param program: the path of "weftd", "weftctl" or "weft", from its name"""
        self._lab = lab
        self.program = program
        self._endpoints = endpoints
        self.node = node
        self.ns = node.ns
        self.prefix = prefix
        self.directory = STATE / name
        self.bpf_dir = BPF / name
        self._flags = flags
        self.added = 0
        self.process = None
        (self.directory / "cni").mkdir(parents=True)
        self._notify = ServiceManager(self.directory / "notify")

    def launch(self):
        self._notify.said.clear()
        self.process = self.ns.spawn(
            self.program("weftd"), f"--etcd-endpoints={self._endpoints}", f"--etcd-prefix={self.prefix}", "--iface=eth0",
            f"--run-dir={self.directory}/run", f"--bpf-dir={self.bpf_dir}",
            f"--subnet-file={self.directory}/subnet.env", *self._with_masquerade(), log=f"{self.directory.name}.log",
            env={"NOTIFY_SOCKET": str(self.directory / "notify")})

    def _with_masquerade(self):
        """As flannel's manifests have it, unless the flags say otherwise."""
        said = any(flag.startswith("--ip-masq=") for flag in self._flags)
        return self._flags if said else ("--ip-masq", *self._flags)

    def wait_for(self, word, timeout=120.0):
        """Until weftd tells its service manager this word. @return when (time.monotonic), and all that it said then"""
        found = []
        wait_until(lambda: found.extend(one for one in list(self._notify.said) if word in one[1]) or found
                   or self.process.poll() is not None, f"{self.ns.name}: weftd does not say \"{word}\"", timeout, 0.005)
        if not found:
            log = (STATE / f"{self.directory.name}.log").read_text(errors="replace")
            raise BenchError(f"weftd on {self.ns.name} has ended: {log[-800:]}")
        return found[0]

    def wait_until_last_said(self, word):
        """Until this word is in what weftd told last. @return when it did"""
        wait_until(lambda: self._notify.said and word in self._notify.said[-1][1],
                   f"{self.ns.name}: weftd does not say \"{word}\"", timeout=60)
        return self._notify.said[-1][0]

    def wait_ready(self):
        return self.wait_for("READY=1")[0]

    def wait_synced(self):
        """Until the packet path has the leases of other nodes. @return when, and how many it has"""
        when, said = self.wait_for("STATUS=synced")
        return when, int(re.search(r"(\d+) leases of other nodes", said)[1])

    def stop(self):
        self._lab.stop(self.process, signal.SIGTERM)

    def ctl(self, command, *options):
        return json.loads(self.ns.run(self.program("weftctl"), command, "--json", f"--run-dir={self.directory}/run",
                                      f"--bpf-dir={self.bpf_dir}", *options))

    def add(self, pod_ns, interface="eth0"):
        """A pod by the CNI plugin. @return its address"""
        self.added += 1
        result = json.loads(self._plugin("ADD", f"pod{self.added}", pod_ns, interface))
        return result["ips"][0]["address"].partition("/")[0]

    def delete(self, number, pod_ns):
        """The `number`th pod that was added."""
        self._plugin("DEL", f"pod{number}", pod_ns, "eth0")

    def _plugin(self, command, container, pod_ns, interface):
        env = {"CNI_COMMAND": command, "CNI_CONTAINERID": container, "CNI_NETNS": pod_ns.path, "CNI_IFNAME": interface,
               "CNI_PATH": str(self.program("weft").parent)}
        conf = {"cniVersion": "1.0.0", "name": "cbr0", "type": "weft", "subnetFile": f"{self.directory}/subnet.env",
                "runDir": f"{self.directory}/run", "bpfDir": str(self.bpf_dir), "dataDir": f"{self.directory}/cni"}
        return self.ns.run(self.program("weft"), stdin=json.dumps(conf), env=env)

    def memory_mb(self):
        """Resident."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1]) / 1024
        return None

    def map_mb(self):
        """What the kernel holds in this node's maps."""
        pins = [pin for pin in self.bpf_dir.iterdir() if not pin.name.startswith("from_pod")]
        return sum(json.loads(run("bpftool", "--json", "map", "show", "pinned", pin))["bytes_memlock"] for pin in pins) / 1e6

    def cpu_seconds(self):
        with open(f"/proc/{self.process.pid}/stat", encoding="ascii") as stat:
            words = stat.read().rpartition(")")[2].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def set_up(pair, etcd, backend, flags, program=binary):
    """Both nodes of a pair, and their pods. @return the WeftNodes"""
    prefix = f"/{pair.name}/network"
    etcd.configure(prefix, Network="10.244.0.0/16", Backend={"Type": backend})
    nodes = []
    for node in pair.nodes:
        etcd.plug(node.ns)
        nodes.append(WeftNode(pair.lab, node, f"{pair.name}-{node.name}", prefix, flags, program))
        nodes[-1].launch()
    for weft in nodes:
        weft.wait_ready()
        wait_until(lambda: len(weft.ctl("leases")) == 1, f"{weft.ns.name} does not learn the other's lease")
        for pod in weft.node.pods:
            pod.address = weft.add(pod.ns)
    return nodes
