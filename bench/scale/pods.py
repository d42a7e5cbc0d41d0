# SPDX-License-Identifier: Apache-2.0
"""What pods cost a node: the kernel's memory and weftd's, and what a restart with many of them takes."""
import re
import time

KERNEL = ("Slab", "Percpu", "KernelStack", "PageTables")


def _kernel_kb():
    """Of the whole machine: what others do meanwhile is in it."""
    with open("/proc/meminfo", encoding="ascii") as lines:
        return sum(int(re.search(r"\d+", line)[0]) for line in lines if line.partition(":")[0] in KERNEL)


def of_node(lab, cluster, count, idle_s):
    """A node of its own with `count` pods, each in a namespace."""
    node = cluster.make_node()
    node.weft.launch()
    node.weft.wait_ready()
    namespaces = [lab.namespace(f"pod{i}") for i in range(count)]
    kernel, weftd, maps = _kernel_kb(), node.weft.memory_mb(), node.weft.map_mb()
    begin = time.monotonic()
    for ns in namespaces:
        node.weft.add(ns)
    added = time.monotonic() - begin
    time.sleep(1)  # weftd looks at them when they have come
    found = {"pods": count, "kernel_kb_a_pod": (_kernel_kb() - kernel) / count,
             "maps_bytes_a_pod": (node.weft.map_mb() - maps) * 1e6 / count,
             "weftd_kb_a_pod": (node.weft.memory_mb() - weftd) * 1024 / count, "add_ms": added / count * 1e3}
    cluster.kill(node)
    begin = time.monotonic()
    node.weft.launch()
    found["restart_ready_ms"] = (node.weft.wait_ready() - begin) * 1e3
    cpu = node.weft.cpu_seconds()
    time.sleep(idle_s)
    found["weftd_cpu"] = (node.weft.cpu_seconds() - cpu) / idle_s
    return found

