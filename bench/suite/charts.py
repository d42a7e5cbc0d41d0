# SPDX-License-Identifier: Apache-2.0
"""Results as SVG, drawn by hand: bars side by side, readable on a light page and on a dark one."""
from html import escape

from . import results as r
from .contenders import CONTENDERS
from .measurements import MEASUREMENTS

FONT = "font-family='Helvetica, Arial, sans-serif'"
INK, FAINT, PAPER, RULE = "#1f2933", "#6b7785", "#ffffff", "#dde3ea"
COLOURS = {"host": "#a9b4c0", "flannel": "#e08f3c", "flannel-host-gw": "#edbd86", "weft": "#2b6cb0",
           "weft-xdp": "#6c9fd2", "weft-host-gw": "#4f93c9", "weft-stack": "#b7cfe6"}
WIDTH, PANEL, GAP, MARGIN, BAR, NAMES = 980, 300, 20, 20, 20, 92

# What a newcomer wants to see first.
PANELS = (("tcp-1", "gbit"), ("udp-64", "kpps"), ("tcp-rr", "p50_us"),
             ("tcp-crr", "per_s"), ("tcp-1", "cpu_s_per_gb"), ("udp-64", "cpu_s_per_mpkt"))
TITLES = {("tcp-rr", "p50_us"): "TCP half round trip p50, us", ("tcp-crr", "per_s"): "New connections a second",
          ("tcp-1", "cpu_s_per_gb"): "TCP, CPU s per GB", ("udp-64", "cpu_s_per_mpkt"): "UDP, CPU s per million"}


def text(x, y, words, size=12, colour=INK, anchor="start", weight="normal"):
    return (f"<text x='{x:.1f}' y='{y:.1f}' font-size='{size}' fill='{colour}' text-anchor='{anchor}' "
            f"font-weight='{weight}' {FONT}>{escape(words)}</text>")


def bar(x, y, width, height, colour):
    return f"<rect x='{x:.1f}' y='{y:.1f}' width='{max(width, 1):.1f}' height='{height}' rx='2' fill='{colour}'/>"


def document(height, body):
    return (f"<svg xmlns='http://www.w3.org/2000/svg' width='{WIDTH}' height='{height:.0f}' "
            f"viewBox='0 0 {WIDTH} {height:.0f}'>\n"
            f"<rect width='{WIDTH}' height='{height:.0f}' fill='{PAPER}'/>\n" + "\n".join(body) + "\n</svg>\n")


def _panel(results, wire, contenders, key, x, y):
    """One figure: a bar a contender, its value and its ratio to the baseline."""
    measurement = MEASUREMENTS[key[0]]
    figure = next(figure for figure in measurement.figures if figure.name == key[1])
    found = {c.name: r.values(results, wire, c.name, *key) for c in contenders}
    if not any(found.values()):
        return []
    most = max(max(values) for values in found.values() if values)
    room = PANEL - NAMES - 78
    out = [text(x, y + 13, TITLES.get(key, figure.title), 13, weight="bold"),
           text(x + PANEL, y + 13, f"{figure.better} is better", 10, FAINT, "end")]
    for i, contender in enumerate(c for c in contenders if found[c.name]):
        top, value = y + 24 + i * (BAR + 4), r.median(results, wire, contender.name, *key)
        scale = room / most
        low, high = min(found[contender.name]) * scale, max(found[contender.name]) * scale
        out.append(text(x + NAMES - 6, top + 14, contender.title, 11, anchor="end"))
        out.append(bar(x + NAMES, top, value * scale, BAR, COLOURS.get(contender.name, FAINT)))
        out.append(f"<path d='M{x + NAMES + low:.1f} {top + BAR / 2}H{x + NAMES + high:.1f}' stroke='{INK}'/>")
        label = f"{value:,.{figure.digits}f}"
        if contender.name != contender.baseline:
            ratio = r.ratio(results, wire, contender.name, contender.baseline, *key)
            label += f"  \N{MULTIPLICATION SIGN}{ratio:.2f}" if ratio else ""
        out.append(text(x + NAMES + max(value * scale, high) + 5, top + 14, label, 11))
    return out


def paths(results, wires, names=("host", "flannel", "weft", "flannel-host-gw", "weft-host-gw")):
    """A block of panels for each wire."""
    contenders = [CONTENDERS[name] for name in names]
    body, y = [], MARGIN
    for wire in wires:
        at = results["paths"]["wires"].get(wire)
        if not at:
            continue
        shown = [contender for contender in contenders if contender.name in at]
        height = 24 + len(shown) * (BAR + 4) + 22
        body.append(text(MARGIN, y + 14, f"Wire: {wire}", 15, weight="bold"))
        body.append(f"<path d='M{MARGIN} {y + 22}H{WIDTH - MARGIN}' stroke='{RULE}'/>")
        y += 34
        keys = [key for key in PANELS if r.values(results, wire, "flannel", *key)]
        for i, key in enumerate(keys):
            body += _panel(results, wire, shown, key, MARGIN + i % 3 * (PANEL + GAP), y + i // 3 * height)
        y += -(-len(keys) // 3) * height + 10
    paths_of = results["paths"]
    legend = (f"Pod to pod across two nodes, one interleaved run; medians of {paths_of['rounds']} rounds, the line is "
              f"least to most; \N{MULTIPLICATION SIGN}: ratio to flannel, or flannel host-gw. "
              f"Commit {results['commit']}, Linux {results['machine']['kernel']}.")
    body.append(text(MARGIN, y + 4, legend, 10, FAINT))
    return document(y + 20, body)


def programs(results):
    """Cost of a packet by number of leases, warm and cold: flat lines are what is hoped for."""
    title, y = "A packet's cost in each program, by number of leases", MARGIN + 34
    body = [text(MARGIN, MARGIN + 14, title, 15, weight="bold")]
    few_pods = min(row["endpoints"] for row in results["programs"])
    costs = [row for row in results["programs"] if row["endpoints"] == few_pods]
    sizes = sorted({row["leases"] for row in costs})
    names = list(dict.fromkeys(row["name"] for row in costs))
    tints = ("#dfeaf5", "#b5d1ea", "#7eaed9", "#4a86bf", "#245a92")[-len(sizes):]
    most = max(row["cold_ns"] for row in costs)
    room, names_room = (WIDTH - 2 * MARGIN - 230 - 100) / 2, 230
    for i, how in enumerate(("warm", "cold")):
        body.append(text(MARGIN + names_room + i * (room + 50), y, f"{how} caches, ns", 12, FAINT))
    y += 10
    for name in names:
        body.append(text(MARGIN + names_room - 8, y + len(sizes) * 5 + 6, name, 12, anchor="end"))
        for line, leases in enumerate(sizes):
            for row in costs:
                if row["name"] != name or row["leases"] != leases:
                    continue
                for i, how in enumerate(("warm_ns", "cold_ns")):
                    x, width = MARGIN + names_room + i * (room + 50), row[how] / most * room
                    body.append(bar(x, y + line * 10, width, 8, tints[line]))
                    body.append(text(x + width + 4, y + line * 10 + 8, f"{row[how]:.0f}", 9, FAINT))
        y += len(sizes) * 10 + 10
    x = MARGIN + names_room
    for line, leases in enumerate(sizes):
        body += [bar(x, y + 2, 10, 10, tints[line]), text(x + 14, y + 11, f"{leases:,} leases", 11)]
        x += 110
    return document(y + 30, body)


def scale(results):
    """Cold start and memory by number of leases."""
    body, y = [text(MARGIN, MARGIN + 14, "weftd by number of leases", 15, weight="bold")], MARGIN + 40
    leases = {count: found for count, found in results["control"]["leases"].items() if found["cold_start_s"] is not None}
    panels = (("cold_start_s", "Started to every lease programmed, s", 2), ("resident_mb", "Resident, MB", 1))
    for i, (key, title, digits) in enumerate(panels):
        x, room = MARGIN + i * 480, 300
        most = max(found[key] for found in leases.values())
        body.append(text(x, y, title, 13, weight="bold"))
        for line, (count, found) in enumerate(leases.items()):
            top, width = y + 12 + line * (BAR + 4), found[key] / most * room
            body += [text(x + 60, top + 14, f"{int(count):,}", 11, anchor="end"),
                     bar(x + 66, top, width, BAR, COLOURS["weft"]),
                     text(x + 72 + width, top + 14, f"{found[key]:.{digits}f}", 11)]
    return document(y + 12 + len(leases) * (BAR + 4) + 20, body)


def write(results, stem):
    """@return the files written"""
    drawn = {}
    if "paths" in results:
        drawn["paths"] = paths(results, ("framed", "offload"))
    if results.get("programs"):
        drawn["programs"] = programs(results)
    if "control" in results:
        drawn["scale"] = scale(results)
    files = []
    for name, svg in drawn.items():
        files.append(stem.with_name(f"{stem.name}-{name}.svg"))
        files[-1].write_text(svg, encoding="utf-8")
    return files
