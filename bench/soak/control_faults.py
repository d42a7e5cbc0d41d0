# SPDX-License-Identifier: Apache-2.0
"""Faults of weftd, etcd and what the two agree on; and the comings and goings of nodes and pods.

Each function does the harm, waits until all is as it should be, and says what it hit."""
import signal
import time

from suite.lab import BenchError, wait_until

from .etcd_members import PREFIX

KILL, END = signal.SIGKILL, signal.SIGTERM
NOBODY = "nobody, all run another build"


def _is_synced(node):
    try:
        status = node.weft.ctl("status")
    except BenchError:  # a weftctl of another build, as long as the pins are not its own
        return False
    return status["state"] == "running" and status["daemon"]["state"] == "synced"


def _wait_synced(world, node):
    wait_until(lambda: _is_synced(node), f"weftd on {node.name} is not synced", 60)
    wait_until(lambda: len(node.weft.ctl("leases")) == len(world.nodes) - 1, f"{node.name} has not the others' leases")


def _pod_comes_and_goes(world, node, number, target):
    """By the CNI plugin, and it reaches somebody meanwhile."""
    pod = world.make_pod(node, f"{node.name}-extra{number}")
    try:
        wait_until(lambda: world.reaches(pod.ns, target), f"a new pod on {node.name} does not reach {target.ns.name}", 5)
    finally:
        world.remove_pod(node, pod)


def _other(world, rng, node):
    return rng.choice([one for one in world.nodes if one is not node])


def kill_weftd(world, rng):
    """While it is away a pod comes and goes."""
    node = rng.choice(world.nodes)
    world.kill(node.weft.process, KILL)
    _pod_comes_and_goes(world, node, 0, _other(world, rng, node).pods[0])
    time.sleep(rng.uniform(0, 1))
    node.weft.launch()
    _wait_synced(world, node)
    return f"on {node.name}"


def restart_weftd(world, rng):
    node = rng.choice(world.nodes)
    world.kill(node.weft.process, END)
    node.weft.launch()
    _wait_synced(world, node)
    return f"on {node.name}"


def upgrade_weftd(world, rng):
    """To the other build, if there is one, and back the next time. Every program must be another one afterwards."""
    node = rng.choice(world.nodes)
    before = node.programs()
    world.kill(node.weft.process, END)
    builds = world.builds
    node.weft.program = builds[(builds.index(node.weft.program) + 1) % len(builds)]
    node.weft.launch()
    _wait_synced(world, node)
    wait_until(lambda: not set(before) & set(node.programs()), f"programs {before} of {node.name} are not replaced", 5)
    return f"on {node.name}, to build {builds.index(node.weft.program) + 1} of {len(builds)}"


def _outage(world, rng, meanwhile):
    """All of etcd away; nothing may be deleted meanwhile, and everybody finds it again."""
    before = [node.weft.ctl("leases") and node.subnet() for node in world.nodes]
    world.etcd.stop(world.etcd.members, END)
    try:
        meanwhile()
        time.sleep(rng.uniform(2, 6))
        for node in world.nodes:
            if len(node.weft.ctl("leases")) != len(world.nodes) - 1:
                raise BenchError(f"{node.name} has forgotten leases while etcd was away")
    finally:
        world.etcd.start(world.etcd.members)
    for node in world.nodes:
        _wait_synced(world, node)
    if [node.subnet() for node in world.nodes] != before:
        raise BenchError("subnets are others after etcd's return")
    return "all members"


def etcd_outage(world, rng):
    node = rng.choice(world.nodes)
    return _outage(world, rng, lambda: _pod_comes_and_goes(world, node, 1, _other(world, rng, node).pods[0]))


def etcd_outage_and_restart(world, rng):
    """weftd comes back before etcd does."""
    node = rng.choice(world.nodes)

    def restart():
        world.kill(node.weft.process, KILL)
        node.weft.launch()
    return f"{_outage(world, rng, restart)}, weftd on {node.name}"


def etcd_slow(world, rng):
    """As on a disk that takes half a second for each write."""
    node = rng.choice(world.nodes)
    end = time.monotonic() + rng.uniform(3, 6)
    while time.monotonic() < end:
        for member in world.etcd.members:
            world.etcd.freeze(member)
        time.sleep(0.5)
        for member in world.etcd.members:
            world.etcd.thaw(member)
        time.sleep(0.05)
    world.etcd.wait_healthy()
    _wait_synced(world, node)
    return f"seen from {node.name}"


def _member_lost(world, rng, member):
    world.etcd.stop([member], KILL)
    node = rng.choice(world.nodes)
    _pod_comes_and_goes(world, node, 2, _other(world, rng, node).pods[0])
    time.sleep(rng.uniform(1, 3))
    world.etcd.start([member])
    return member.name


def etcd_member_lost(world, rng):
    leader = world.etcd.leader()
    return _member_lost(world, rng, rng.choice([member for member in world.etcd.members if member is not leader]))


def etcd_leader_lost(world, rng):
    return _member_lost(world, rng, world.etcd.leader())


def etcd_leader_frozen(world, rng):
    """Connections to it hang and do not close."""
    leader = world.etcd.leader()
    world.etcd.freeze(leader)
    try:
        time.sleep(rng.uniform(3, 6))
    finally:
        world.etcd.thaw(leader)
    world.etcd.wait_healthy()
    return leader.name


def lease_deleted(world, rng):
    """The node takes the same one again."""
    node = rng.choice(world.nodes)
    subnet = node.subnet()
    world.etcd.etcdctl("del", f"{PREFIX}/subnets/{subnet.replace('/', '-')}")
    for other in world.nodes:
        _wait_synced(world, other)
    wait_until(lambda: subnet.replace("/", "-") in world.etcd.etcdctl("get", "--prefix", "--keys-only", f"{PREFIX}/subnets/"),
               f"{node.name} does not take {subnet} again")
    return f"{node.name}'s, {subnet}"


def node_joins_and_leaves(world, rng):
    """With a pod that reaches everybody; in the end its lease is revoked, as etcd does when it expires."""
    node = world.make_node(f"x{rng.randrange(10**6)}")
    try:
        node.weft.wait_ready()
        wait_until(lambda: len(node.weft.ctl("leases")) == len(world.nodes), "a new node does not learn the others' leases")
        pod = world.make_pod(node, f"{node.name}1")
        for other in world.nodes:
            wait_until(lambda: world.reaches(pod.ns, other.pods[0]),
                       f"a new node's pod does not reach {other.pods[0].ns.name}", 5)
        world.remove_pod(node, pod)
    finally:
        world.kill(node.weft.process, rng.choice((KILL, END)))
        world.etcd.revoke(f"{PREFIX}/subnets/{node.subnet().replace('/', '-')}")
    for other in world.nodes:
        _wait_synced(world, other)
    world.remove_node(node)
    return node.name


def cni_churn(world, rng):
    node = rng.choice(world.nodes)
    count = rng.randrange(2, 6)
    for number in range(count):
        _pod_comes_and_goes(world, node, number, _other(world, rng, node).pods[0])
    return f"{count} pods on {node.name}"


def pod_vanishes(world, rng):
    """Without DEL: its address is given back, and nobody else's. By this build: another may not know how."""
    node = world.choose_ours(rng)
    if node is None:
        return NOBODY
    before = node.reserved()
    world.lose_pod(world.make_pod(node, f"{node.name}-lost"))
    wait_until(lambda: node.reserved() == before, f"{node.name} has reserved {node.reserved()} and not {before}", 5)
    return f"on {node.name}"


def subnet_env_removed(world, rng):
    node = rng.choice(world.nodes)
    path = node.weft.directory / "subnet.env"
    text = path.read_bytes()
    path.unlink()
    wait_until(lambda: path.exists() and path.read_bytes() == text, f"{path.name} of {node.name} does not come back", 5)
    return f"{node.name}'s"


def frozen_while_compacted(world, rng):
    """weftd misses changes, and cannot have them afterwards: it must list anew."""
    node = rng.choice(world.nodes)
    node.weft.process.send_signal(signal.SIGSTOP)
    try:
        for _ in range(3):
            world.etcd.etcdctl("put", f"{PREFIX}/subnets/10.244.255.0-24", "{}")
            revision = world.etcd.delete(f"{PREFIX}/subnets/10.244.255.0-24")
        world.etcd.etcdctl("compact", str(revision))
        time.sleep(rng.uniform(0, 2))
    finally:
        node.weft.process.send_signal(signal.SIGCONT)
    _wait_synced(world, node)
    return f"on {node.name}"


def second_weftd(world, rng):
    """Started by mistake beside the first: it must refuse."""
    node = rng.choice(world.nodes)
    first = node.weft.process
    node.weft.launch()
    second, node.weft.process = node.weft.process, first
    wait_until(lambda: second.poll() is not None, f"a second weftd on {node.name} goes on", 10)
    if second.returncode == 0 or first.poll() is not None:
        raise BenchError(f"on {node.name} the second weftd ended with {second.returncode}, the first with {first.poll()}")
    return f"on {node.name}"
