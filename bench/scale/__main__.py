# SPDX-License-Identifier: Apache-2.0
"""Runs the simulation that the command line asks for; run.sh is the way in."""
import argparse
import json
import shlex
import signal
import statistics
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from suite import results, tools
from suite.control import CHANGES_PER_S, keys
from suite.etcd_keys import CHURNED, SUBNET_LEN, subnet_of
from suite.lab import STATE, BenchError, Lab, NotHere, handle_endings, wait_until
from suite.machine import Watch
from suite.weft import ENDPOINT, ETCD, Etcd

from . import etcd_load, pods, report
from .cluster import PREFIX, Cluster

SKIPPED = 77


@dataclass(frozen=True)
class Size:
    """How much of everything."""
    nodes: tuple         # clusters, each grown out of the one before
    changes: int         # leases put and deleted, one by one
    busy_s: float        # with CHANGES_PER_S
    idle_s: float
    rejoins: int         # of each way to leave
    renewal_s: float     # of a node that renews each minute; 0: not looked at
    watchers: tuple      # that are nothing but watchers
    watched_changes: int
    keys: tuple          # in etcd at once
    pods: int            # of one node
    pods_idle_s: float   # with them; weftd looks at everything once a minute


SIZES = {
    "full": Size(nodes=(10, 25, 50), changes=10, busy_s=5, idle_s=30, rejoins=5, renewal_s=130, watchers=(50, 200, 1000),
                 watched_changes=100, keys=(10_000, 100_000), pods=250, pods_idle_s=61),
    "smoke": Size(nodes=(3, 5), changes=1, busy_s=0.5, idle_s=0.5, rejoins=1, renewal_s=0, watchers=(10,),
                  watched_changes=4, keys=(256,), pods=3, pods_idle_s=0.5),
}
EXPIRY_S = 2
STRANGER = 7  # a node that is a key in etcd only
PROXY = f"{ETCD}:23790"
WATCHED_CHANGES_PER_S = 10  # each has reached everybody before the next


def parse():
    parser = argparse.ArgumentParser(prog="bench/scale/run.sh",
                                     description="Many weftd and one etcd on this machine: how fast news spreads, and "
                                                 "what a node, a lease and a change cost.")
    parser.add_argument("--smoke", dest="size", action="store_const", const="smoke", default="full",
                        help="only to see that it works")
    parser.add_argument("--nodes", type=lambda text: tuple(map(int, text.split(","))), metavar="N,M",
                        help="clusters of how many, one grown out of the other (10,25,50)")
    parser.add_argument("--out", type=Path, metavar="STEM",
                        help="STEM.json, STEM.md and a chart (bench/results/<date>-<commit>-cluster)")
    parser.add_argument("--build-dir", default=tools.ROOT / "build")
    return parser.parse_args()


def say(line):
    print(f"[{time.strftime('%H:%M:%S')}] {line}", file=sys.stderr, flush=True)


def spread(cluster, size):
    """A lease of a node that is no node, put and deleted: milliseconds until each node has it, or has it no more."""
    found = {"put": [], "delete": []}
    for _ in range(size.changes):
        for command, what in (("put", "there"), ("delete", "gone")):
            watch = cluster.watch(f"{subnet_of(STRANGER)}/{SUBNET_LEN}", cluster.nodes, what)
            begin = int(keys(cluster.etcd, command, PREFIX, STRANGER))
            found[command].append(watch.milliseconds_after(begin))
    return found


def busy(cluster, size):
    """With many changes a second: etcd's work and weftd's for one change."""
    keys(cluster.etcd, "fill", PREFIX, CHURNED)
    cluster.wait_for_leases(len(cluster.nodes) - 1 + CHURNED)
    cpu, load, wire = cluster.cpu_seconds(), etcd_load.Load(cluster.etcd), cluster.wire_bytes()
    keys(cluster.etcd, "churn", PREFIX, CHANGES_PER_S, size.busy_s)
    changes = int(CHANGES_PER_S * size.busy_s)
    told, nodes = load.so_far(), len(cluster.nodes)
    return {"changes": changes, "etcd_cpu_ms_a_change": told["cpu_s"] / changes * 1e3,
            "etcd_sent_bytes_a_change_and_node": told["sent_bytes"] / changes / nodes,
            "wire_bytes_a_change_and_node": (cluster.wire_bytes() - wire) / changes / nodes,
            "weftd_cpu_ms_a_change": (cluster.cpu_seconds() - cpu) / changes / nodes * 1e3}


def idle(cluster, size):
    """Nothing happens: what it costs to be there."""
    cpu, load, wire = cluster.cpu_seconds(), etcd_load.Load(cluster.etcd), cluster.wire_bytes()
    time.sleep(size.idle_s)
    told, nodes = load.so_far(), len(cluster.nodes)
    seconds = told["seconds"]
    return {"etcd_cpu": told["cpu_s"] / seconds, "calls_a_second": sum(told["calls"].values()) / seconds,
            "wire_bytes_a_second_and_node": (cluster.wire_bytes() - wire) / seconds / nodes,
            "weftd_cpu": (cluster.cpu_seconds() - cpu) / seconds / nodes}


def of_size(cluster, count, size):
    """A cluster of that many: its start, and what it costs."""
    joining, load = count - len(cluster.nodes), etcd_load.Load(cluster.etcd)
    found = {"nodes": count, "joining_at_once": joining, "all_know_all_s": cluster.grow_to(count)}
    told = load.so_far()
    found["start"] = {"calls_a_node": {name: calls / joining for name, calls in told["calls"].items()},
                      "etcd_cpu_ms_a_node": told["cpu_s"] / joining * 1e3}
    with Watch() as watch:
        found["spread_ms"] = spread(cluster, size)
    found["others_cpu"] = watch.others
    found["busy"], found["idle"] = busy(cluster, size), idle(cluster, size)
    cluster.drop_strangers()
    found["etcd"] = etcd_load.standing(cluster.etcd)
    found["weftd_resident_mb"] = statistics.median(node.weft.memory_mb() for node in cluster.nodes)
    return found


def leave(cluster, node, how):
    """@return milliseconds, by node that stays, from the end of its lease until its entry is gone"""
    watch = cluster.watch(node.subnet, cluster.others(node), "gone")
    if how == "stopped, lease deleted":
        node.weft.stop()
        return watch.milliseconds_after(cluster.delete_lease(node))
    cluster.kill(node)
    if how == "killed, lease revoked":
        return watch.milliseconds_after(cluster.revoke_lease(node))
    return watch.milliseconds_after(cluster.let_expire(node, EXPIRY_S))


def join(cluster, node):
    """@return milliseconds from weftd's start until it is ready, and by other node until that has its lease"""
    watch = cluster.watch(node.subnet, cluster.others(node), "there")
    begin = time.monotonic()
    node.weft.launch()
    seen = watch.milliseconds_after(begin * 1e9)
    return (node.weft.wait_ready() - begin) * 1e3, seen


def restart(cluster, node):
    """Killed and started again: the others must see nothing of it. @return ms to readiness, nodes that lost its lease"""
    watch = cluster.watch(node.subnet, cluster.others(node), "gone", seconds=3)
    cluster.kill(node)
    begin = time.monotonic()
    node.weft.launch()
    ready = node.weft.wait_ready()
    return (ready - begin) * 1e3, sum(one is not None for one in watch.milliseconds_after(0))


LEAVES = ("stopped, lease deleted", "killed, lease revoked", "killed, lease expires")


def comings_and_goings(cluster, size):
    found = {"leave_ms": {how: [] for how in LEAVES}, "join_ms": [], "ready_ms": [], "restart_ready_ms": [],
             "restart_seen_by": 0}
    turn = 0
    for _ in range(size.rejoins):
        for how in LEAVES:
            node = cluster.nodes[turn % len(cluster.nodes)]
            turn += 1
            found["leave_ms"][how].append(leave(cluster, node, how))
            cluster.forget(node)
            ready, seen = join(cluster, node)
            found["ready_ms"].append(ready)
            found["join_ms"].append(seen)
        ready, lost = restart(cluster, cluster.nodes[turn % len(cluster.nodes)])
        found["restart_ready_ms"].append(ready)
        found["restart_seen_by"] += lost
    return found


def renewals(cluster, seconds):
    """What one renewal asks of etcd, by a node that renews each minute."""
    node = cluster.make_node("--subnet-lease-renew-margin=1439")
    node.weft.launch()
    node.weft.wait_ready()
    time.sleep(15)  # it publishes once more 10 s after its start
    load = etcd_load.Load(cluster.etcd)
    time.sleep(seconds)
    calls = load.so_far()["calls"]
    renewed = calls.get("LeaseGrant", 0)
    return {"renewals": renewed, "calls_each": {name: count / renewed for name, count in calls.items()} if renewed else {}}


def only_watchers(lab, etcd, counts, changes):
    """Watchers with nothing behind them: etcd's share of a large cluster; the largest number again behind a proxy of etcd's."""
    keys(etcd, "fill", PREFIX, CHURNED)
    found = [crowd(lab, etcd, count, changes, ENDPOINT) for count in counts]
    proxy = etcd.ns.spawn("etcd", "grpc-proxy", "start", "--endpoints", ENDPOINT, "--listen-addr", PROXY, log="proxy.log")
    wait_until(lambda: etcd.ns.run("etcdctl", "--endpoints", PROXY, "get", f"{PREFIX}/config", check=False), "no proxy")
    found.append(crowd(lab, etcd, counts[-1], changes, f"http://{PROXY}") | {"proxy": True})
    lab.stop(proxy)
    return found


def crowd(lab, etcd, count, changes, endpoint):
    before, said = etcd_load.standing(etcd), STATE / f"watchers{count}.log"
    said.unlink(missing_ok=True)
    watchers = etcd.ns.spawn(tools.tool("lease_watchers"), endpoint, f"{PREFIX}/", count, log=said.name)
    wait_until(lambda: watchers.poll() is not None or "watching" in said.read_text(encoding="utf-8"),
               f"{count} watchers do not come up", timeout=60)
    standing, load = etcd_load.standing(etcd), etcd_load.Load(etcd)
    sent = [int(line) for line in keys(etcd, "churn", PREFIX, WATCHED_CHANGES_PER_S, changes / WATCHED_CHANGES_PER_S).split()]
    time.sleep(2)  # for the last of them
    told = load.so_far()
    lab.stop(watchers, signal.SIGTERM)
    seen = json.loads(said.read_text(encoding="utf-8").splitlines()[-1])
    by_all = [(row["last_ns"] - at) / 1e6 for at, row in zip(sent, seen["told"]) if row["watchers"] == count]
    if len(by_all) != len(sent):
        raise BenchError(f"{count} watchers: {len(sent)} changes, {len(by_all)} of them told to all")
    return {"watchers": count, "changes": len(sent), "last_told_ms": by_all, "proxy": False,
            "etcd_cpu_ms_a_change": told["cpu_s"] / len(sent) * 1e3,
            "resident_bytes_a_watcher": (standing["resident_bytes"] - before["resident_bytes"]) / count}


def many_keys(etcd, counts):
    """What leases take in etcd, and what writing each anew adds until etcd is compacted."""
    found = []
    for count in counts:
        prefix = f"/keys-{count}/network"
        before = etcd_load.standing(etcd)
        keys(etcd, "fill", prefix, count)
        once, load = etcd_load.standing(etcd), etcd_load.Load(etcd)
        etcd.ns.run("etcdctl", "--endpoints", ENDPOINT, "get", "--prefix", prefix)
        listed = load.so_far()
        keys(etcd, "fill", prefix, count)
        twice = etcd_load.standing(etcd)
        found.append({"keys": count, "db_bytes_a_key": (once["db_used_bytes"] - before["db_used_bytes"]) / count,
                      "db_bytes_a_renewal": (twice["db_used_bytes"] - once["db_used_bytes"]) / count,
                      "listed_bytes_a_key": listed["sent_bytes"] / count,
                      "listing_etcd_cpu_s": listed["cpu_s"],
                      "resident_bytes_a_key": (once["resident_bytes"] - before["resident_bytes"]) / count})
    return found


def run(options):
    size = SIZES[options.size]
    tools.set_builds(options.build_dir, None)
    tools.require()
    found = results.head("sudo bench/scale/run.sh " + shlex.join(sys.argv[1:]))
    with Lab() as lab:
        etcd = Etcd(lab)
        cluster = Cluster(lab, etcd)
        found["sizes"] = []
        for count in options.nodes or size.nodes:
            found["sizes"].append(of_size(cluster, count, size))
            say(f"{count} nodes done")
        with Watch() as watch:
            found["changes"] = comings_and_goings(cluster, size)
        found["changes"]["others_cpu"] = watch.others
        say("joins and leaves done")
        if size.renewal_s:
            found["renewals"] = renewals(cluster, size.renewal_s)
            say("renewals done")
        found["pods"] = pods.of_node(lab, etcd, size.pods, size.pods_idle_s)
        for node in cluster.nodes:
            cluster.kill(node)
        found["watchers"] = only_watchers(lab, etcd, size.watchers, size.watched_changes)
        say("watchers done")
        found["keys"] = many_keys(etcd, size.keys)
    print(report.document(found))
    if options.out or options.size == "full":
        stem = options.out or tools.ROOT / "bench" / "results" / f"{found['date']}-{found['commit']}-cluster"
        results.write(found, stem)
        stem.with_suffix(".md").write_text(report.document(found), encoding="utf-8")
        stem.with_suffix(".svg").write_text(report.chart(found), encoding="utf-8")
        say(f"every value is in {stem}.json")


def main():
    options = parse()
    handle_endings()
    try:
        run(options)
    except NotHere as reason:
        if options.size == "smoke":  # it is run as a test, which counts what it skips
            print(f"SKIP: {reason}")
            sys.exit(SKIPPED)
        sys.exit(f"bench: {reason}")
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
