# SPDX-License-Identifier: Apache-2.0
"""A run's chart and tables in the README: what stands there between a pair of marks is written anew."""
import json
import os
import re

from . import charts, table
from .tools import ROOT

CHAINS = ("weft", "bridge + host-local", "weft, portmap", "flannel's chain")


def of_paths(results, stem):
    paths, kernel = results["paths"], results["machine"]["kernel"].partition("-")[0]
    return f"""![weft beside flannel: streams, packets, latency, connections, CPU]({stem}-paths.svg)

Pod to pod across two nodes, interleaved in one run on a virtual machine with {results['machine']['cpus']} CPUs, kernel {kernel}, veth
uplinks, medians of {paths['rounds']} rounds; x: the ratio to flannel's data path (kernel vxlan device, bridge, its iptables rules), for
host-gw to flannel's host-gw.

{table.markdown(*table.of_headlines(results))}
Every value, the spread, how near the targets are: `{stem}.md`, made by

    {results['command']}
"""


def of_control(results, stem):
    leases = results["control"]["leases"]
    counts = [count for count in ("10", "10000", "100000") if count in leases]
    warm = {row["leases"]: row["warm_ns"] for row in results["programs"]
            if row["name"] == "from_pod: push, TCP" and row["endpoints"] == 10}

    def row(title, text):
        return [title, *(text(count) for count in counts)]
    header = ["", *(f"{int(count):,} leases" for count in counts)]
    rows = [row("`weftd` started until every lease is in the maps, s", lambda count: f"{leases[count]['cold_start_s']:.2f}"),
            row("resident, MB", lambda count: f"{leases[count]['resident_mb']:.1f}"),
            row("CPU with 100 changes a second", lambda count: f"{leases[count]['cpu']:.1%}"),
            row("a push of TCP by itself, warm, ns", lambda count: f"{warm[int(count)]:.0f}")]
    return f"""The control plane (`{stem}.md`; `docs/scale.md` for many nodes):

{table.markdown(header, rows)}
A lease that is put in etcd carries its first packet after {results['control']['put_to_packet_ms']:.1f} ms in the median.
"""


def of_cni(results, _stem):
    rows = [[f"{command}{', 50 at once' if how == 'at once' else ''}",
             *(f"{results['cni'][chain][how][command]:.{digits}f}" for chain in CHAINS)]
            for how, digits in (("one by one", 1), ("at once", 0)) for command in ("ADD", "DEL")]
    return f"""CNI, median ms; flannel's chain is a stand-in for flannel's plugin, bridge with host-local, portmap:

{table.markdown(['', *CHAINS], rows)}"""


BLOCKS = {"paths": of_paths, "control": of_control, "cni": of_cni}


def refresh(path):
    """Writes README.md, and the run's tables and charts, from its JSON. What the run did not look at stays as it is."""
    results = json.loads(path.read_text(encoding="utf-8"))
    stem = path.with_suffix("")
    stem.with_suffix(".md").write_text(table.document(results), encoding="utf-8")
    charts.write(results, stem)
    readme = ROOT / "README.md"
    text = readme.read_text(encoding="utf-8")
    for name, block in BLOCKS.items():
        if name in results:
            marked = f"<!-- measured: {name} -->\n{block(results, os.path.relpath(stem.resolve(), ROOT))}<!-- end -->\n"
            text = re.sub(rf"<!-- measured: {name} -->\n.*?<!-- end -->\n", lambda _, marked=marked: marked, text, flags=re.S)
    readme.write_text(text, encoding="utf-8")
