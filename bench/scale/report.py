# SPDX-License-Identifier: Apache-2.0
"""What the simulation found, as Markdown and as a chart."""
import math
import statistics

from suite import charts
from suite.table import markdown

COLOURS = ("#2b6cb0", "#e08f3c", "#3f9d5a", "#8d5bb5", "#c0504d", "#6b7785")


def series(found):
    """{title: milliseconds, one a node and change}: how long news was on its way."""
    largest = found["sizes"][-1]["spread_ms"]
    rows = {"lease put": largest["put"], "lease deleted": largest["delete"]}
    rows |= {f"node {how}": values for how, values in found["changes"]["leave_ms"].items()}
    rows["node joins (from weftd's start)"] = found["changes"]["join_ms"]
    return {title: [one for change in changes for one in change] for title, changes in rows.items()}


def quantile(values, share):
    values = sorted(values)
    return values[min(len(values) - 1, int(share * len(values)))]


def _ms(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}"


def of_news(found):
    rows = []
    for title, values in series(found).items():
        seen = [one for one in values if one is not None]
        rows.append([title, f"{len(values)}", *(_ms(quantile(seen, share)) for share in (0.5, 0.99, 1)),
                     f"{len(values) - len(seen)}"])
    return ["ms until nodes have it", "node and change", "p50", "p99", "last", "never"], rows


def of_sizes(found):
    rows = [("all know all after a start at once, s", lambda size: f"{size['all_know_all_s']:.2f} ({size['joining_at_once']} new)"),
            ("a put: last node has it, median ms", lambda size: _ms(statistics.median(map(max, size["spread_ms"]["put"])))),
            ("weftd: CPU ms a change", lambda size: f"{size['busy']['weftd_cpu_ms_a_change']:.2f}"),
            ("weftd: CPU when nothing happens", lambda size: f"{size['idle']['weftd_cpu']:.2%}"),
            ("weftd: resident MB", lambda size: f"{size['weftd_resident_mb']:.1f}"),
            ("etcd: CPU ms a change", lambda size: f"{size['busy']['etcd_cpu_ms_a_change']:.2f}"),
            ("etcd: bytes a change and node", lambda size: f"{size['busy']['etcd_sent_bytes_a_change_and_node']:.0f}"),
            ("on the wire: bytes a change and node", lambda size: f"{size['busy']['wire_bytes_a_change_and_node']:.0f}"),
            ("etcd: CPU when nothing happens", lambda size: f"{size['idle']['etcd_cpu']:.2%}"),
            ("etcd: calls a second when nothing happens", lambda size: f"{size['idle']['calls_a_second']:.2f}"),
            ("on the wire: bytes a second and node when nothing happens",
             lambda size: f"{size['idle']['wire_bytes_a_second_and_node']:.0f}"),
            ("etcd: watchers", lambda size: f"{size['etcd']['watchers']}"),
            ("etcd: resident MB", lambda size: f"{size['etcd']['resident_bytes'] / 1e6:.0f}"),
            ("etcd: CPU ms a node's start", lambda size: f"{size['start']['etcd_cpu_ms_a_node']:.1f}"),
            ("etcd: calls a node's start", lambda size: f"{sum(size['start']['calls_a_node'].values()):.1f}")]
    return (["", *(f"{size['nodes']} nodes" for size in found["sizes"])],
            [[title, *map(of, found["sizes"])] for title, of in rows])


def of_watchers(found):
    return (["watchers", "etcd: CPU ms a change", "KB resident each", "last is told, median ms", "slowest"],
            [[f"{row['watchers']:,}{', behind one proxy' if row['proxy'] else ''}", f"{row['etcd_cpu_ms_a_change']:.2f}", f"{row['resident_bytes_a_watcher'] / 1e3:.0f}",
              _ms(statistics.median(row["last_told_ms"])), _ms(max(row["last_told_ms"]))] for row in found["watchers"]])


def of_keys(found):
    names = ("db_bytes_a_key", "db_bytes_a_renewal", "listed_bytes_a_key", "resident_bytes_a_key")
    return (["leases in etcd", "bytes of its database each", "bytes more for each written anew", "bytes to list each",
             "bytes resident each"],
            [[f"{row['keys']:,}", *(f"{row[name]:.0f}" for name in names)] for row in found["keys"]])


def of_pods(found):
    pods = found["pods"]
    return (["pods of a node", "ms an ADD", "KB of the kernel's memory each", "of those, bytes in weft's maps", "KB of weftd each",
             "weftd ready after a restart, ms", "CPU with the minute's audit"],
            [[f"{pods['pods']}", f"{pods['add_ms']:.1f}", f"{pods['kernel_kb_a_pod']:.0f}", f"{pods['maps_bytes_a_pod']:.0f}",
              f"{pods['weftd_kb_a_pod']:.1f}", _ms(pods["restart_ready_ms"]), f"{pods['weftd_cpu']:.2%}"]])


def document(found):
    machine, changes = found["machine"], found["changes"]
    restarts = changes["restart_ready_ms"]
    parts = [f"# {found['date']}, commit {found['commit']}: {found['sizes'][-1]['nodes']} nodes on one machine\n",
             f"`{found['command']}` on Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['cpu']}), which all weftd and "
             f"etcd share: on a node of its own a weftd has its news sooner. Other programs used "
             f"{changes['others_cpu']:.0%} of a CPU during joins and leaves.\n",
             "## News\n", markdown(*of_news(found)),
             f"A node is ready for pods {_ms(statistics.median(changes['ready_ms']))} ms after its start (median); killed and "
             f"started again, {_ms(statistics.median(restarts))} ms, which {changes['restart_seen_by']} of the other nodes "
             f"noticed in {len(restarts)} times.\n",
             "## Size\n", markdown(*of_sizes(found))]
    if "renewals" in found:
        calls = ", ".join(f"{count:.1f} {name}" for name, count in found["renewals"]["calls_each"].items())
        parts.append(f"A renewal asks of etcd: {calls}.\n")
    parts += ["## etcd with watchers only\n", markdown(*of_watchers(found)), "## etcd with many leases\n",
              markdown(*of_keys(found)), "## A node with pods\n", markdown(*of_pods(found))]
    return "\n".join(parts)


def chart(found):
    """Share of nodes and changes that have the news, by time: one line each kind."""
    left, right, top, height = 70, charts.WIDTH - 250, 60, 300
    shown = {title: sorted(one for one in values if one is not None) for title, values in series(found).items()}
    least = math.floor(math.log10(max(0.1, min(values[0] for values in shown.values()))))
    most = math.ceil(math.log10(max(values[-1] for values in shown.values())))

    def x(milliseconds):
        return left + (math.log10(max(milliseconds, 10 ** least)) - least) / (most - least) * (right - left)

    body = [charts.text(charts.MARGIN, charts.MARGIN + 14, f"{found['sizes'][-1]['nodes']} nodes: how long news takes to reach "
                        "their packet paths", 15, weight="bold")]
    for power in range(least, most + 1):
        at = x(10 ** power)
        body.append(f"<path d='M{at:.1f} {top}V{top + height}' stroke='{charts.RULE}'/>")
        body.append(charts.text(at, top + height + 18, f"{10.0 ** power:g} ms", 11, charts.FAINT, "middle"))
    for share in (0, 0.25, 0.5, 0.75, 1):
        at = top + height * (1 - share)
        body.append(f"<path d='M{left} {at:.1f}H{right}' stroke='{charts.RULE}'/>")
        body.append(charts.text(left - 8, at + 4, f"{share:.0%}", 11, charts.FAINT, "end"))
    for line, (title, values) in enumerate(shown.items()):
        points = " ".join(f"{x(value):.1f},{top + height * (1 - (i + 1) / len(values)):.1f}"
                          for i, value in enumerate(values))
        body.append(f"<polyline points='{points}' fill='none' stroke='{COLOURS[line]}' stroke-width='2'/>")
        body.append(charts.bar(right + 16, top + line * 24, 14, 10, COLOURS[line]))
        body.append(charts.text(right + 36, top + line * 24 + 10, title, 11))
    body.append(charts.text(left, top + height + 42, f"Each other node and each change counts. Commit {found['commit']}, "
                            f"{found['machine']['cpus']} CPUs for all of them.", 10, charts.FAINT))
    return charts.document(top + height + 60, body)
