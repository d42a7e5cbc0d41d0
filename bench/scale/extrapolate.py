# SPDX-License-Identifier: Apache-2.0
"""What measured figures make of larger clusters, as a table for docs/scale.md:

    PYTHONPATH=bench python3 -m scale.extrapolate CLUSTER.json SUITE.json

CLUSTER.json is bench/scale/run.sh's, SUITE.json has bench/run.sh's parts `control` and `traffic`. Everything is a straight line
through two measured points; what would bend it is the document's business."""
import json
import sys
from pathlib import Path

from suite.table import markdown

PODS = 250
LARGE = (5_000, 100_000)
RENEWED_EVERY_S = 23 * 3600  # a lease's 24 h less the margin of one
REPLACED_A_DAY = 0.05        # of the nodes: an autoscaled cluster; a join and a leave are three changes
LISTS_A_START = 2            # to choose a subnet, and to follow changes from
GIGABIT = 1e9 / 8


class Costs:
    """Of one lease, one change, one watcher, one pod."""

    def __init__(self, cluster, suite):
        few, many = (suite["control"]["leases"][count] for count in ("100", "10000"))
        apart = 10_000 - 100

        def slope(key):
            return (many[key] - few[key]) / apart

        self.maps_mb, self.maps_mb_a_lease = few["maps_mb"], slope("maps_mb")
        self.weftd_mb, self.weftd_mb_a_lease = few["resident_mb"], slope("resident_mb")
        self.start_s, self.start_s_a_lease = few["cold_start_s"], max(0, slope("cold_start_s"))
        self.weftd_cpu_s_a_change = many["cpu"] / many["changes_per_s"]
        largest = cluster["sizes"][-1]
        self.keepalive_bytes_s = largest["idle"]["wire_bytes_a_second_and_node"]
        self.bytes_a_change = largest["busy"]["wire_bytes_a_change_and_node"]
        direct = [row for row in cluster["watchers"] if not row["proxy"]]
        crowd, crew = direct[-1], direct[0]
        between = crowd["watchers"] - crew["watchers"]
        self.etcd_cpu_s_a_told = (crowd["etcd_cpu_ms_a_change"] - crew["etcd_cpu_ms_a_change"]) / between / 1e3
        self.etcd_bytes_a_watcher = crowd["resident_bytes_a_watcher"]
        keys = cluster["keys"][-1]
        self.db_bytes_a_key, self.db_bytes_a_write = keys["db_bytes_a_key"], keys["db_bytes_a_renewal"]
        self.etcd_bytes_a_key, self.listed_bytes = max(0, keys["resident_bytes_a_key"]), keys["listed_bytes_a_key"]
        self.calls_a_renewal = sum(cluster["renewals"]["calls_each"].values())
        pods = cluster["pods"]
        self.kernel_kb_a_pod, self.weftd_kb_a_pod = pods["kernel_kb_a_pod"], pods["weftd_kb_a_pod"]


def _bytes(count):
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if count < 1000 or unit == "TB":
            return f"{count:.3g} {unit}"
        count /= 1000
    return ""


def _seconds(count):
    return f"{count * 1e3:.3g} ms" if count < 1 else f"{count:.3g} s" if count < 600 else f"{count / 3600:.3g} h"


def _count(value):
    return f"{value:.2g}" if value >= 0.001 else "less than 0.001"


def of_nodes(costs, nodes):
    """(title, value) of a cluster of that many."""
    renewals = nodes / RENEWED_EVERY_S
    changes = renewals + 3 * REPLACED_A_DAY * nodes / 86400
    listed = LISTS_A_START * nodes * costs.listed_bytes
    return [
        ("**a node**: kernel memory of leases and their nodes",
         _bytes((costs.maps_mb + nodes * costs.maps_mb_a_lease) * 1e6)),
        ("weftd resident", _bytes((costs.weftd_mb + nodes * costs.weftd_mb_a_lease) * 1e6)),
        ("kernel memory of its pods", _bytes(PODS * costs.kernel_kb_a_pod * 1e3)),
        ("weftd for its pods", _bytes(PODS * costs.weftd_kb_a_pod * 1e3)),
        ("cold start until every lease is in the maps", _seconds(costs.start_s + nodes * costs.start_s_a_lease)),
        ("changes a second, renewals and replaced nodes", _count(changes)),
        ("weftd's CPU for them", f"{changes * costs.weftd_cpu_s_a_change:.2%}"),
        ("its traffic with etcd for them", f"{_bytes(changes * costs.bytes_a_change)}/s"),
        ("its traffic with etcd when nothing happens", f"{_bytes(costs.keepalive_bytes_s)}/s"),
        ("**etcd**: renewals' calls a second", _count(renewals * costs.calls_a_renewal)),
        ("CPU to tell everybody of one change", _seconds(nodes * costs.etcd_cpu_s_a_told)),
        ("CPUs to tell everybody of all changes", _count(changes * nodes * costs.etcd_cpu_s_a_told)),
        ("sent for them", f"{_bytes(changes * nodes * costs.bytes_a_change)}/s"),
        ("memory: watchers and leases", _bytes(nodes * (costs.etcd_bytes_a_watcher + costs.etcd_bytes_a_key))),
        ("database: leases", _bytes(nodes * costs.db_bytes_a_key)),
        ("database: history a day, until compacted", _bytes(changes * 86400 * costs.db_bytes_a_write)),
        ("all nodes start at once: sent", _bytes(nodes * listed)),
        ("of one node's start: its lists", _bytes(listed)),
        ("all nodes' lists through one Gbit/s", _seconds(nodes * listed / GIGABIT)),
    ]


def table(cluster, suite):
    costs = Costs(cluster, suite)
    sizes = (cluster["sizes"][-1]["nodes"], *LARGE)
    columns = [of_nodes(costs, nodes) for nodes in sizes]
    return markdown([f"{PODS} pods a node", *(f"{nodes:,} nodes" for nodes in sizes)],
                    [[title, *(column[row][1] for column in columns)] for row, (title, _) in enumerate(columns[0])])


if __name__ == "__main__":
    print(table(*(json.loads(Path(name).read_text(encoding="utf-8")) for name in sys.argv[1:])))
