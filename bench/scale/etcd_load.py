# SPDX-License-Identifier: Apache-2.0
"""What etcd had to do, by its own account."""
import re
import time
from dataclasses import dataclass, field

from suite.control import keys

COUNTED = {"cpu_s": "process_cpu_seconds_total", "sent_bytes": "etcd_network_client_grpc_sent_bytes_total",
           "received_bytes": "etcd_network_client_grpc_received_bytes_total",
           "proposals": "etcd_server_proposals_committed_total"}
STANDING = {"resident_bytes": "process_resident_memory_bytes", "watchers": "etcd_debugging_mvcc_watcher_total",
            "keys": "etcd_debugging_mvcc_keys_total", "db_bytes": "etcd_mvcc_db_total_size_in_bytes",
            "db_used_bytes": "etcd_mvcc_db_total_size_in_use_in_bytes"}
LINE = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


@dataclass
class Metrics:
    at: float
    values: dict = field(default_factory=dict)
    calls: dict = field(default_factory=dict)  # by method, those that have been answered


def read(etcd):
    metrics = Metrics(time.monotonic())
    for name, labels, number in LINE.findall(keys(etcd, "metrics")):
        if name == "grpc_server_handled_total":
            method = re.search(r'grpc_method="(\w+)"', labels)[1]
            metrics.calls[method] = metrics.calls.get(method, 0) + float(number)
        else:
            metrics.values[name] = metrics.values.get(name, 0) + float(number)
    return metrics


def standing(etcd):
    now = read(etcd)
    return {name: int(now.values[source]) for name, source in STANDING.items()}


class Load:
    """A stretch of time at etcd. What is read of it in the middle ends it."""

    def __init__(self, etcd):
        self._etcd = etcd
        self._before = read(etcd)

    def so_far(self):
        after = read(self._etcd)
        found = {name: after.values[source] - self._before.values[source] for name, source in COUNTED.items()}
        calls = {name: count - self._before.calls.get(name, 0) for name, count in sorted(after.calls.items())}
        return found | {"seconds": after.at - self._before.at, "calls": {name: n for name, n in calls.items() if n}}
