# SPDX-License-Identifier: Apache-2.0
"""What pods cost a node: the kernel's memory and weftd's, and what a restart with many of them takes."""
import re
import time

from suite.weft import WeftNode

from .cluster import Node

PREFIX = "/pods/network"
KERNEL = ("Slab", "Percpu", "KernelStack", "PageTables")


def _kernel_kb():
    """Of the whole machine: what others do meanwhile is in it."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        return sum(int(re.search(r"\d+", line)[0]) for line in lines if line.partition(":")[0] in KERNEL)


def of_node(lab, etcd, count, idle_s):
    """A node alone with `count` pods, each in a namespace."""
    etcd.configure(PREFIX, Network="10.244.0.0/16", Backend={"Type": "vxlan"})
    ns = lab.namespace("podnode")
    weft = WeftNode(lab, Node(0, ns, etcd.plug(ns, "eth0")), "podnode", PREFIX)
    weft.launch()
    weft.wait_ready()
    namespaces = [lab.namespace(f"pod{i}") for i in range(count)]
    kernel, weftd, maps = _kernel_kb(), weft.memory_mb(), weft.map_mb()
    begin = time.monotonic()
    for pod in namespaces:
        weft.add(pod)
    added = time.monotonic() - begin
    time.sleep(1)  # weftd looks at them when they have come
    found = {"pods": count, "kernel_kb_a_pod": (_kernel_kb() - kernel) / count,
             "maps_bytes_a_pod": (weft.map_mb() - maps) * 1e6 / count,
             "weftd_kb_a_pod": (weft.memory_mb() - weftd) * 1024 / count, "add_ms": added / count * 1e3}
    lab.stop(weft.process)
    begin = time.monotonic()
    weft.launch()
    found["restart_ready_ms"] = (weft.wait_ready() - begin) * 1e3
    cpu = weft.cpu_seconds()
    time.sleep(idle_s)
    found["weftd_cpu"] = (weft.cpu_seconds() - cpu) / idle_s
    lab.stop(weft.process)
    return found

