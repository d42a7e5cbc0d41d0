# SPDX-License-Identifier: Apache-2.0
"""Results as Markdown."""
from . import results as r
from .contenders import CONTENDERS
from .measurements import MEASUREMENTS
from .targets import TARGETS
from .wires import WIRES


def number(value, digits):
    return f"{value:,.{digits}f}"


def markdown(header, rows):
    return "\n".join(["| " + " | ".join(header) + " |", "|" + "---|" * len(header),
                      *("| " + " | ".join(row) + " |" for row in rows)]) + "\n"


def aligned(header, rows):
    """The same for a terminal."""
    lines = [header, *rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    padded = ([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])] for line in lines)
    return "".join("  ".join(cells).rstrip() + "\n" for cells in padded)


def _cell(results, wire, contender, measurement, figure, spread):
    values = r.values(results, wire, contender.name, measurement.name, figure.name)
    if not values:
        return ""
    text = number(r.median(results, wire, contender.name, measurement.name, figure.name), figure.digits)
    if spread:
        text += f" ({number(min(values), figure.digits)} to {number(max(values), figure.digits)})"
    if contender.name != contender.baseline:
        ratio = r.ratio(results, wire, contender.name, contender.baseline, measurement.name, figure.name)
        text += f" x{ratio:.2f}" if ratio is not None else ""
    return text


def of_wire(results, wire, spread):
    """(header, rows): a row a figure, a column a contender."""
    present = [contender for contender in CONTENDERS.values() if contender.name in results["paths"]["wires"][wire]]
    rows = []
    for measurement in MEASUREMENTS.values():
        for figure in measurement.figures:
            cells = [_cell(results, wire, contender, measurement, figure, spread) for contender in present]
            if any(cells):
                prefix = "" if "," in figure.title and not figure.title.startswith("p") else f"{measurement.name}: "
                rows.append([prefix + figure.title, *cells])
    return ["", *(contender.title for contender in present)], rows


HEADLINES = {"offload": (("tcp-1", "gbit"), ("same-node-tcp", "gbit")),
             "offload-apart": (("tcp-1", "gbit"),),
             "framed": (("tcp-1", "gbit"), ("udp-64", "kpps"), ("tcp-rr", "p50_us"), ("tcp-crr", "per_s"),
                        ("udp-64", "cpu_s_per_mpkt"), ("receive", "mpps")),
             "apart": (("tcp-1", "gbit"), ("tcp-4", "gbit")),
             "bare": (("tcp-1", "gbit"),)}
TITLES = {"tcp-rr": "TCP half round trip p50, us", "tcp-crr": "new connections a second",
          "receive": "receive path, million/s", "same-node-tcp": "same node: TCP, 1 stream, Gbit/s"}


def of_headlines(results, names=("host", "flannel", "weft", "flannel-host-gw", "weft-host-gw")):
    """(header, rows): what a newcomer wants to know, from every wire."""
    present = [CONTENDERS[name] for name in names]
    rows = []
    for wire, keys in HEADLINES.items():
        for name, figure_name in keys:
            figure = next(figure for figure in MEASUREMENTS[name].figures if figure.name == figure_name)
            cells = [_cell(results, wire, contender, MEASUREMENTS[name], figure, spread=False) for contender in present]
            if any(cells):
                rows.append([wire, TITLES.get(name, figure.title), *cells])
    return ["wire", "", *(contender.title for contender in present)], rows


def of_targets(results):
    """(header, rows) of the targets that this run has a figure for."""
    rows = []
    for target in TARGETS:
        value = target.measured(results)
        if value is not None:
            bound = f"{'at least' if target.at_least else 'at most'} {target.bound:g}"
            rows.append([target.title, bound, f"{value:.3g}", "yes" if target.met(results) else "no"])
    return ["figure", "target", "measured", "met"], rows


def of_programs(results):
    """(header, rows): a row a program and outcome, a column a number of leases or pods."""
    costs = results["programs"]
    at = {(row["name"], row["leases"], row["endpoints"]): row for row in costs}
    sizes = sorted({(leases, endpoints) for _, leases, endpoints in at})
    rows = []
    for name in dict.fromkeys(row["name"] for row in costs):
        cells = []
        for leases, endpoints in sizes:
            row = at.get((name, leases, endpoints))
            cells.append(f"{row['warm_ns']:.0f} / {row['cold_ns']:.0f}" if row else "")
        rows.append([name, *cells])
    header = ["ns a packet, warm / cold", *(f"{leases:,} leases, {endpoints:,} pods" for leases, endpoints in sizes)]
    return header, rows


def of_sizes(results):
    """(header, rows): how much of each program there is."""
    rows = {}
    for row in results["programs"]:
        name = row["name"].partition(":")[0]
        rows[name] = [name, *(f"{row[key]:,}" for key in ("program_instructions", "machine_code_bytes", "verifier_walked"))]
    return ["program", "BPF instructions", "bytes of machine code", "walked by the verifier"], list(rows.values())


def of_instructions(results):
    """(header, rows): executed for one packet, the system call that runs the program taken off. Empty where nobody counts."""
    rows = {row["name"]: [row["name"], f"{row['instructions']:,.0f}"] for row in results["programs"] if row["instructions"]}
    return ["", "instructions a packet"], list(rows.values())


def of_traffic(results):
    return ["program", "ns", "as counted", "of which counting"], [
        [name, *(f"{told[key]:.0f}" for key in ("ns", "counted_ns", "empty_ns"))] for name, told in results["traffic"].items()]


def of_control(results):
    control = results["control"]
    rows = []
    for title, key, form in (("cold start to all programmed", "cold_start_s", "{:.3f} s"),
                             ("weftd resident", "resident_mb", "{:.1f} MB"),
                             ("kernel memory of its maps", "maps_mb", "{:.1f} MB"),
                             ("CPU with 100 changes a second", "cpu", "{:.1%}")):
        for count, found in control["leases"].items():
            value = f"only {found['programmed']:,} fit" if found[key] is None else form.format(found[key])
            rows.append([f"{int(count):,} leases: {title}", value])
    least, most = control["put_to_packet_min_ms"], control["put_to_packet_max_ms"]
    rows.append(["lease put to first packet", f"{control['put_to_packet_ms']:.2f} ms ({least:.2f} to {most:.2f})"])
    rows.append(["weftd started to ready, no other node", f"{control['start_s'] * 1e3:.0f} ms"])
    rows.append(["weftd started again to ready, programs in place", f"{control['restart_s'] * 1e3:.0f} ms"])
    return ["control plane", ""], rows


def of_cni(results):
    rows = []
    for how in ("one by one", "at once"):
        for command in ("ADD", "DEL"):
            for name, found in results["cni"].items():
                if isinstance(found, dict) and how in found:
                    times = found[how]
                    rows.append([f"{command}, {how}", name, f"{times[command]:.2f}", f"{times[command + ' p99']:.2f}"])
    return ["CNI", "plugins", "median ms", "p99 ms"], rows


def document(results):
    """The whole of it, for the file beside the JSON."""
    machine = results["machine"]
    parts = [f"# {results['date']}, commit {results['commit']}\n",
             f"`{results['command']}` on Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['cpu']}).\n"]
    if "paths" in results:
        paths = results["paths"]
        parts.append(f"Medians of {paths['rounds']} rounds of {paths['seconds']:g} s a measurement (iperf3's at least "
                     f"1 s), least and most in brackets; x: ratio to flannel (host-gw: to its host-gw). Others disturbed "
                     f"{paths['disturbed']} of {paths['kept'] + paths['discarded']} rounds of a measurement; "
                     f"{paths['discarded']} were discarded, the rest counts.\n")
        parts.append(markdown(*of_headlines(results)))
    parts.append("## Targets\n\n" + markdown(*of_targets(results)))
    for wire in results.get("paths", {}).get("wires", {}):
        parts.append(f"## Wire: {wire}\n\n{WIRES[wire].title}.\n\n" + markdown(*of_wire(results, wire, spread=True)))
    if "traffic" in results:
        parts.append("## Programs under traffic, ns a packet\n\n" + markdown(*of_traffic(results)))
    for title, key, make in (("Programs by themselves", "programs", of_programs), ("Programs' sizes", "programs", of_sizes),
                             ("Instructions", "programs", of_instructions),
                             ("Control plane", "control", of_control), ("CNI", "cni", of_cni)):
        if key in results and (table := make(results))[1]:
            parts.append(f"## {title}\n\n" + markdown(*table))
    return "\n".join(parts)


def summary(results):
    """For the terminal: medians and ratios, and how near the targets are."""
    parts = []
    for wire in results.get("paths", {}).get("wires", {}):
        parts.append(f"wire: {wire}\n" + aligned(*of_wire(results, wire, spread=False)))
    for key, make in (("traffic", of_traffic), ("programs", of_programs), ("programs", of_sizes), ("control", of_control), ("cni", of_cni)):
        if key in results:
            parts.append(aligned(*make(results)))
    parts.append(aligned(*of_targets(results)))
    return "\n".join(parts)
