#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Prints docs/coverage.md: coverage-page.py SUMMARY.json (of `llvm-cov export -summary-only`)"""
import json
import os
import sys
from collections import defaultdict

LEAST = 80  # percent of a file's lines, below which it is named

HEAD = """# What the tests reach

Lines and branches of the C++ that is installed which the tests of unit, etcd, cni, ctl and daemon reach, the daemons that they
kill and the system calls that they make fail among them. Written by `sudo scripts/test.sh --coverage`, which shows it line by
line in `build-coverage/coverage/`. What only whole clusters come by (netns, interop, migration, runtime, attack) counts as not
reached here, and so does what a program did for another user than root. The BPF programs have a page of their own:
[bpf-branches.md](bpf-branches.md).
"""


def share(covered, count):
    return f"{100 * covered / count:.0f} %" if count else ""


def table(first, rows):
    lines = [f"| {first} | lines | reached | branches | taken |", "|---|--:|--:|--:|--:|"]
    for name, (lines_of, reached, branches, taken) in rows:
        lines.append(f"| {name} | {lines_of} | {share(reached, lines_of)} | {branches} | {share(taken, branches)} |")
    return "\n".join(lines)


def main():
    with open(sys.argv[1], encoding="utf-8") as export:
        files = json.load(export)["data"][0]["files"]
    root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    folders, by_file = defaultdict(lambda: [0, 0, 0, 0]), []
    for file in files:
        name, summary = os.path.relpath(file["filename"], root), file["summary"]
        counts = [summary[kind][of] for kind in ("lines", "branches") for of in ("count", "covered")]
        by_file.append((f"`{name}`", counts))
        for folder in (f"`{os.path.dirname(name)}`", "**all**"):
            folders[folder] = [sum(pair) for pair in zip(folders[folder], counts)]
    everything = folders.pop("**all**")
    least = [row for row in sorted(by_file) if 100 * row[1][1] < LEAST * row[1][0]]
    print(HEAD)
    print(table("folder", sorted(folders.items()) + [("**all**", everything)]))
    print(f"\n## Files of which less than {LEAST} % is reached\n")
    print(table("file", least))


main()
