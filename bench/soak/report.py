# SPDX-License-Identifier: Apache-2.0
"""What a soak found, as Markdown."""
import statistics

from suite.table import markdown

from .faults import FAULTS


def wrongs(found):
    return [f"{row['fault']} {row['hit']} at {row['begin']:.1f} s: {what}" for row in found["episodes"]
            for what in row["wrong"]]


def of_kinds(found):
    kinds = {}
    for row in found["episodes"]:
        kinds.setdefault(row["fault"], []).append(row)
    table = []
    for name, rows in kinds.items():
        took = statistics.median(row["end"] - row["begin"] for row in rows)
        lossy = [row["last_loss_ms"] for row in rows if row["lost"]]
        allowed = FAULTS[name].loss_s if name in FAULTS else 0
        table.append([name, f"{len(rows)}", f"{took:.1f}", f"{sum(row['sent'] for row in rows):,}",
                      f"{sum(row['lost'] for row in rows):,}", f"for {allowed:g} s" if allowed else "none",
                      f"{max(lossy):,.0f}" if lossy else "", f"{sum(row['corrupt'] for row in rows)}",
                      f"{max(row['longest_udp_gap_ms'] for row in rows):,.0f}",
                      f"{max(row['longest_tcp_gap_ms'] for row in rows):,.0f}",
                      f"{sum(bool(row['wrong']) for row in rows)}"])
    return (["fault", "times", "s until all is right, median", "datagrams sent", "lost", "allowed",
             "last loss, ms after the fault", "corrupt", "longest gap UDP, ms", "TCP, ms", "wrong"], table)


def document(found):
    machine = found["machine"]
    flows = found["flows"]
    udp = [told for name, told in flows.items() if name.startswith("udp")]
    sent, answered = sum(told["sent"] for told in udp), sum(told["answered"] for told in udp)
    tcp_gb = sum(told["answered"] for name, told in flows.items() if name.startswith("tcp")) / 1e9
    parts = [f"# {found['date']}, commit {found['commit']}: soak of {found['seconds']:.0f} s, seed {found['seed']}\n",
             f"`{found['command']}` on Linux {machine['kernel']}, {machine['cpus']} CPUs ({machine['cpu']}), of which other "
             f"programs used {found['others_cpu']:.0%} of one.\n",
             f"{len(udp)} UDP flows: {sent:,} datagrams sent, {sent - answered:,} without an echo; "
             f"{len(flows) - len(udp)} TCP connections: {tcp_gb:.2f} GB. Every byte was compared: "
             f"{sum(told['corrupt'] for told in flows.values())} times something came that was not sent, "
             f"{sum(told['broken'] for told in flows.values())} connections broke.\n",
             "A loss belongs to the fault that began last before the datagram was sent; a gap is time without any echo (UDP: from "
             "10 ms on, TCP: from 200 ms), a busy machine's pauses included.\n",
             markdown(*of_kinds(found))]
    if bad := wrongs(found):
        parts.append("## Wrong\n\n" + "\n".join(f"- {what}" for what in bad) + "\n")
    else:
        parts.append("Nothing went wrong.\n")
    return "\n".join(parts)
